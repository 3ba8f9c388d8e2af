"""Bugs that whole nodes under simulation are to find (sim/nodes): rows as in driver.py."""

NODE = [
    ("identity: the directory's own name is not synced", "nodes", "identity.c",
     "int synced = error == 0 ? io_sync_dir(io, above) : error;", "int synced = error;"),
]
