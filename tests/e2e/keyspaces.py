"""Keyspaces for tests: where partitions are, clients of one keyspace."""
import time

from resp import Closed, Error, as_row, as_rows, as_text
from worker import Worker


def places(node, keyspace):
    """Where each partition of the keyspace is to be, and whether it is."""
    return [as_row(row) for row in as_row(node.call("KEYSPACE", "INFO", keyspace))["placement"]]


def held(node, keyspace):
    """How many partitions each node is to hold, by id."""
    count = {}
    for place in places(node, keyspace):
        for number in filter(None, as_text(place["nodes"]).split(",")):
            count[int(number)] = count.get(int(number), 0) + 1
    return count


def is_settled(node, keyspace, replicas=None):
    """Also that nobody whose place is empty is still to hold any: it was wiped, and its replicas
    have not begun to move."""
    rows = [(as_text(row["state"]), as_text(row["nodes"]).split(","))
            for row in places(node, keyspace)]
    return all(state == "settled" and "0" not in nodes and
               (replicas is None or len(nodes) == replicas) for state, nodes in rows)


def rebalance(node, *words):
    reply = node.call("REBALANCE", *words)
    return as_row(reply) if words == ("STATUS",) else reply


def planned(node):
    return as_rows(node.call("REBALANCE", "DRYRUN"))


class KeyspaceClient(Worker):
    """Writes and reads back keys of a keyspace, as a client that tries again elsewhere does: what
    says that nothing was done, or a closed connection, is no failure; five seconds without luck
    is."""

    AGAIN = ("TRYAGAIN", "CLUSTERDOWN", "REMOVED", "UNCERTAIN", "LOADING")

    def __init__(self, cluster, keyspace, keys=200):
        super().__init__()
        self.cluster, self.keyspace, self.keys = cluster, keyspace, keys
        self.written, self.longest, self.again = {}, 0.0, 0

    def connect(self, turn):
        nodes = [node for node in self.cluster.nodes if node.process is not None]
        connection = nodes[turn % len(nodes)].connect(timeout=2.0)
        connection.call("SELECT", self.keyspace)
        return connection

    def once(self, turn, connection):
        key, value = f"{self.name}:{turn % self.keys}", f"v{turn}"
        began = time.monotonic()
        while True:
            try:
                connection = connection or self.connect(turn)
                assert connection.call("SET", key, value) == "OK"
                assert connection.call("GET", key) == value.encode()
                self.written[key] = value
                self.longest = max(self.longest, time.monotonic() - began)
                return connection
            except (Closed, OSError, Error) as reason:
                if isinstance(reason, Error) and not str(reason).startswith(self.AGAIN):
                    raise
                if time.monotonic() - began > 5:
                    raise
                self.again += 1
                turn += 1
                connection = None
                time.sleep(0.01)

    def work(self):
        turn, connection = 0, None
        while not self.ending.is_set():
            connection = self.once(turn, connection)
            turn += 1

    def check(self):
        """All that was written is there."""
        connection = self.connect(0)
        for key, value in self.written.items():
            assert connection.call("GET", key) == value.encode(), key
