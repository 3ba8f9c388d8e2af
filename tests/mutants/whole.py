"""Bugs that whole nodes under simulation are to find (sim/nodes): rows as in driver.py. Most have
judges of their own elsewhere, too.
"""

NODE = [
    ("whole: the directory's own name is not synced", "nodes", "identity.c",
     "int synced = error == 0 ? io_sync_dir(io, above) : error;", "int synced = error;"),
    ("whole: the identity is renamed before it is synced", "nodes", "identity.c",
     "error = error != 0 ? error : io_file_sync(file);", ""),
    ("whole: the identity's name is not synced", "nodes", "identity.c",
     "error = error != 0 ? error : io_sync_dir(io, identity->dir);", ""),
    ("whole: a checkpoint is renamed before it is synced", "nodes", "checkpoint.c",
     "if (!cp->failing) { sync_file(cp); }", ""),
    ("whole: a checkpoint's name is not synced", "nodes", "checkpoint_place.c",
     "int error = io_sync_dir(io, path); return error == 0 && group != 0 ? io_sync_dir(io, dir) : "
     "error;", "return dir == NULL || io == NULL ? -1 : 0;"),
    ("whole: nothing waits for the disk", "nodes", "perform.c",
     "if (h->effect.after > r->durable) {", "if (h->effect.after == UINT64_MAX) {"),
    ("whole: a write that lost its slot is answered as if it had not", "nodes", "apply.c",
     "if (p->term == term) {", "if (p->term == term || winner == NULL) {"),
    ("whole: a lost leader's writes were not applied", "nodes", "router_forward.c",
     "stream_refuse(p, STATUS_UNCERTAIN);", "stream_refuse(p, STATUS_LEADER_CHANGED);"),
    ("whole: a new cluster is of an old level", "unit/node/client_wants", "client_wants.c",
     "return node->holding.current && control_level(node) >= node->identity.level;",
     "return node->holding.current;"),
    ("whole: a new cluster's level is waited for by nobody", "unit/node/client_wants",
     "client_wants.c", "spec->place == PLACE_WRITE && !knows_level(node) &&",
     "spec->place == PLACE_WRITE && !node->holding.current &&"),
]

LOG = [
    ("whole: what the log writes is synced later", "nodes", "flush.c",
     ".done = write_done, .context = log };",
     ".done = write_done, .context = log, .sync_later = true };"),
    ("whole: a segment's name is not synced", "nodes", "janitor.c",
     "error = io_sync_dir(job->io, job->dir);", ""),
    ("whole: the log's directory is not synced", "nodes", "log.c",
     "error = io_sync_dir(log->io, path);", "error = 0;"),
]
