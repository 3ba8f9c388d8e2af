"""What is measured: the cells, and for each row of the tables whom it asks and what the answer is
worth.

A cell is a number of connections and of requests outstanding on each. A row is one operation on one
system in one setting; rows of the same operation stand in one table.
"""
import dataclasses

CELLS = {"c1": (1, 1), "c16": (16, 1), "c64": (64, 1), "p16": (16, 16)}
CELL_TEXT = {"c1": "1 connection", "c16": "16 connections", "c64": "64 connections",
             "p16": "16 connections x 16 pipelined"}
SYSTEMS = ("quorate", "primary", "floor", "etcd", "redis-always", "redis-everysec", "floor-thread")


@dataclasses.dataclass(frozen=True)
class Row:
    """`name` is unique within `operation`; `system` is who is started for it."""
    operation: str  # the table: set, get, fault, primary or lag
    name: str
    system: str
    guarantee: str
    asks: str = ""  # lbench's operation, when it is not the table's
    cells: tuple = ("c1", "c16", "c64", "p16")
    read_mode: str = ""  # of our nodes
    spread: bool = False  # the connections are shared out over all nodes
    fault: str = ""  # what happens to a follower a moment after measuring began
    keyspace: tuple = ()  # of STRATEGY primary: the words behind it; else keyspace 0
    probe: bool = False  # the latencies are those after which a follower shows a write

    def key(self, cell):
        return f"{self.operation} {self.name} {cell}"

    def lbench_operation(self):
        return self.asks or self.operation


TWO_OF_THREE = "in the synced logs of 2 of 3 nodes (Raft)"

NO_FAILOVER = "no consensus, a fail-over may lose it"
SYNCED_WAIT = ("the WAIT's answer means: synced by the primary, received by one replica that syncs "
               f"before it says so; {NO_FAILOVER}")
MEMORY = "OK means: in the primary's memory; a crash loses up to a second and what no replica has"
WAIT_ONE = f"the WAIT's answer means: the primary has it in memory, and one replica; {NO_FAILOVER}"
# Keyspaces with a primary, by the name of their rows: what CREATE takes, and what OK means.
PRIMARIES = {
    "LOCAL everysec": (("ACK", "LOCAL ON received", "APPENDFSYNC", "everysec"),
                       "the primary has written it; a power cut loses up to a second"),
    "ANY 1 received everysec": (("ACK", "ANY 1 ON received", "APPENDFSYNC", "everysec"),
                                "the primary and one other have written it; a fail-over keeps it, "
                                "a power cut of both loses up to a second"),
    "LOCAL": (("ACK", "LOCAL"), "the primary has synced it"),
    "ANY 1": (("ACK", "ANY 1"), "the primary and one other have synced it; a fail-over keeps it"),
    "ANY 1 received": (("ACK", "ANY 1 ON received"),
                       "the primary and one other have it in memory; a fail-over keeps it"),
    "ALL": (("ACK", "ALL"), "all three have synced it; a fail-over keeps it"),
}


def primary_rows():
    """Each keyspace with either log."""
    for name, (words, guarantee) in PRIMARIES.items():
        for log in ("statement", "logical"):
            yield Row("primary", f"{name}, {log}", "primary", f"OK means: {guarantee}", asks="set",
                      keyspace=(*words, "LOG", log))


def lag_row(name, system, keyspace=()):
    return Row("lag", name, system, "the time after its OK at which a follower shows a write, "
               "tried every few milliseconds", asks="set", cells=("c64", "p16"),
               keyspace=keyspace, probe=True)


ROWS = (
    Row("set", "quorate", "quorate", f"OK means: {TWO_OF_THREE}; linearizable"),
    Row("set", "floor", "floor",
        "OK means: in the synced logs of 2 of 3 processes; no elections, no recovery: a yardstick"),
    Row("set", "floor, sync thread", "floor-thread",
        "the same; a thread syncs the leader's log, four batches are under way"),
    Row("set", "etcd", "etcd", f"OK means: {TWO_OF_THREE}; linearizable"),
    Row("set", "redis always + WAIT 1", "redis-always", asks="setwait",
        guarantee=SYNCED_WAIT),
    Row("set", "redis everysec", "redis-everysec", MEMORY),
    Row("get", "quorate lease", "quorate", read_mode="lease",
        guarantee="linearizable while clocks drift less than the bound that the lease allows for"),
    Row("get", "quorate readindex", "quorate", read_mode="readindex",
        guarantee="linearizable without clocks: a majority confirms the leader, once for all reads "
        "that wait"),
    Row("get", "quorate lease, 3 nodes", "quorate", read_mode="lease", spread=True,
        cells=("c64", "p16"), guarantee="as above; the connections are spread over the nodes"),
    Row("get", "quorate readindex, 3 nodes", "quorate", read_mode="readindex", spread=True,
        cells=("c64", "p16"), guarantee="as above; the connections are spread over the nodes"),
    Row("get", "floor", "floor",
        "the leader's memory, and nothing checks that it still leads: a yardstick"),
    Row("get", "etcd", "etcd", "linearizable: a majority confirms the leader"),
    Row("get", "redis everysec", "redis-everysec",
        "the primary's memory; a primary that was replaced still answers"),
    Row("fault", "healthy", "quorate", asks="set", cells=("c64",),
        guarantee=f"SET: {TWO_OF_THREE}"),
    Row("fault", "a follower killed", "quorate", asks="set", cells=("c64",), fault="kill",
        guarantee="as above; kill -9 a moment after measuring began"),
    Row("fault", "a follower stopped", "quorate", asks="set", cells=("c64",), fault="stop",
        guarantee="as above; SIGSTOP a moment after measuring began"),
    *primary_rows(),
    Row("primary", "raft", "primary", f"OK means: {TWO_OF_THREE}; linearizable", asks="set"),
    Row("primary", "floor", "floor", "a yardstick: in the synced logs of 2 of 3 processes",
        asks="set"),
    Row("primary", "redis everysec", "redis-everysec", MEMORY, asks="set"),
    Row("primary", "redis everysec + WAIT 1", "redis-everysec", WAIT_ONE, asks="setwait"),
    Row("primary", "redis always + WAIT 1", "redis-always", SYNCED_WAIT, asks="setwait"),
    lag_row("LOCAL everysec, logical", "primary",
            (*PRIMARIES["LOCAL everysec"][0], "LOG", "logical")),
    lag_row("redis everysec", "redis-everysec"),
)
TITLES = {"set": "SET", "get": "GET", "fault": "SET while one follower fails",
          "primary": "SET in keyspaces with a primary",
          "lag": "A follower's lag behind as many SETs as the primary takes"}
OPERATIONS = tuple(TITLES)
USUAL = ("set", "get", "fault")


def find(operation, name):
    return next(row for row in ROWS if (row.operation, row.name) == (operation, name))


def systems_of(operations):
    """Who is measured when nobody says; the floor's other mode only when it is asked for."""
    asked = {row.system for row in ROWS if row.operation in operations}
    return [name for name in SYSTEMS if name in asked and name != "floor-thread"]


def rows_of(operation, systems):
    return [row for row in ROWS if row.operation == operation and row.system in systems]
