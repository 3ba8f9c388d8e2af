"""What is measured: the cells, and for each row of the tables whom it asks and what the answer is
worth.

A cell is a number of connections and of requests outstanding on each. A row is one operation on one
system in one setting; rows of the same operation stand in one table.
"""
import dataclasses

CELLS = {"c1": (1, 1), "c16": (16, 1), "c64": (64, 1), "p16": (16, 16)}
CELL_TEXT = {"c1": "1 connection", "c16": "16 connections", "c64": "64 connections",
             "p16": "16 connections x 16 pipelined"}
SYSTEMS = ("quorate", "floor", "etcd", "redis-always", "redis-everysec", "floor-thread")
USUAL = SYSTEMS[:-1]  # the floor's other mode only when it is asked for


@dataclasses.dataclass(frozen=True)
class Row:
    """`name` is unique within `operation`; `system` is who is started for it."""
    operation: str  # the table: set, get or fault
    name: str
    system: str
    guarantee: str
    asks: str = ""  # lbench's operation, when it is not the table's
    cells: tuple = ("c1", "c16", "c64", "p16")
    read_mode: str = ""  # of our nodes
    spread: bool = False  # the connections are shared out over all nodes
    fault: str = ""  # what happens to a follower a moment after measuring began

    def key(self, cell):
        return f"{self.operation} {self.name} {cell}"

    def lbench_operation(self):
        return self.asks or self.operation


TWO_OF_THREE = "in the synced logs of 2 of 3 nodes (Raft)"

ROWS = (
    Row("set", "quorate", "quorate", f"OK means: {TWO_OF_THREE}; linearizable"),
    Row("set", "floor", "floor",
        "OK means: in the synced logs of 2 of 3 processes; no elections, no recovery: a yardstick"),
    Row("set", "floor, sync thread", "floor-thread",
        "the same; a thread syncs the leader's log, four batches are under way"),
    Row("set", "etcd", "etcd", f"OK means: {TWO_OF_THREE}; linearizable"),
    Row("set", "redis always + WAIT 1", "redis-always", asks="setwait",
        guarantee="the WAIT's answer means: synced by the primary, received by one replica that "
        "syncs before it says so; no consensus, a fail-over may lose it"),
    Row("set", "redis everysec", "redis-everysec",
        "OK means: in the primary's memory; a crash loses up to a second and what no replica has"),
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
)
OPERATIONS = ("set", "get", "fault")
TITLES = {"set": "SET", "get": "GET", "fault": "SET while one follower fails"}


def find(operation, name):
    return next(row for row in ROWS if (row.operation, row.name) == (operation, name))


def rows_of(operation, systems):
    return [row for row in ROWS if row.operation == operation and row.system in systems]
