"""Keyspaces with STRATEGY primary for tests: making one, who leads it, what its nodes hold, and
clients that note what they were told of each write."""
import contextlib
import time

from cluster import wait_for
from keyspaces import places
from resp import Closed, Error, as_rows, as_text
from worker import Worker

# What these say of a write: nothing was executed, nor will be (docs/errors.md).
NOT_APPLIED = ("CLUSTERDOWN", "LOADING", "NOREPLICAS", "TRYAGAIN")


def create(cluster, ack, *options, name="cart"):
    """Serves writes when this returns."""
    node = cluster.alive()[0]
    assert node.call("KEYSPACE", "CREATE", name, "STRATEGY", "primary", "ACK", ack, "PREFIX",
                     f"{name}:", *options) == "OK"
    for node in cluster.alive():
        wait_writes(node, name)


def wait_writes(node, name="cart", seconds=20.0):
    wait_for(lambda: attempt(node, "DEL", f"{name}:none") == 0, f"node {node.number} takes writes",
             seconds)


def attempt(node, *words, timeout=5.0):
    """The answer, or the error, or None where there was none."""
    try:
        return node.call(*words, timeout=timeout)
    except Error as error:
        return error
    except (Closed, OSError):
        return None


def place(node, name="cart", partition=0):
    """The row of the partition in KEYSPACE INFO; None while the node does not answer."""
    try:
        row = places(node, name)[partition]
    except (Closed, OSError, Error):
        return None
    return {key: as_text(value) for key, value in row.items()}


def find_primary(cluster, name="cart", partition=0):
    """By the record of the highest term that anybody knows."""
    rows = [row for row in (place(node, name, partition) for node in cluster.alive()) if row]
    best = max(rows, key=lambda row: row["term"], default=None)
    if best is None or not best["primary"] or best["view"] in ("choosing", "beginning"):
        return None
    return cluster.nodes[best["primary"] - 1]


def primary(cluster, name="cart", partition=0, seconds=20.0):
    return wait_for(lambda: find_primary(cluster, name, partition), "a primary", seconds)


def another(cluster, old, seconds=20.0):
    def found():
        node = find_primary(cluster)
        return node is not None and node is not old and node
    return wait_for(found, f"another primary than node {old.number}", seconds)


def others(cluster, name="cart"):
    leads = primary(cluster, name)
    return [node for node in cluster.nodes if node is not leads]


def local(node, *words):
    """What the node's own replica shows."""
    return node.call("WITH", 2, "READ", "local", *words)


def try_local(node, *words):
    with contextlib.suppress(Closed, OSError, Error):
        return local(node, *words)
    return "no answer"


def wait_equal(cluster, name="cart", seconds=30.0):
    """All replicas hold the same keys with the same values; returns them, as the primary shows
    them."""
    leads = primary(cluster, name)

    def contents(node):
        try:
            with node.connect() as connection:
                keys = scan(connection, name)
                values = connection.pipeline([("WITH", 2, "READ", "local", "GET", key)
                                              for key in keys])
        except (Closed, OSError, Error):
            return None
        if any(isinstance(value, Error) for value in values):
            return None
        return dict(zip(keys, values))

    def equal():
        held = [contents(node) for node in cluster.alive()]
        return held[0] is not None and all(one == held[0] for one in held) and [held[0]]
    return wait_for(equal, f"all replicas equal that of node {leads.number}", seconds)[0]


def scan(connection, name):
    keys, cursor = set(), b"0"
    assert connection.call("SELECT", name) == "OK"
    while True:
        cursor, page = connection.call("WITH", 2, "READ", "local", "SCAN", cursor, "COUNT", 1000)
        keys.update(page)
        if cursor == b"0":
            return sorted(keys)


def discards(node, name="cart"):
    """All entries of the node's discard journal."""
    entries, cursor = [], b"0"
    while True:
        cursor, page = node.call("KEYSPACE", "DISCARDS", name, "SCAN", cursor, "COUNT", 1000)
        entries += as_rows(page)
        if cursor == b"0":
            return entries


def discarded_sets(cluster, name="cart"):
    """(key, value) of each SET that some node names as discarded."""
    found = set()
    for node in cluster.alive():
        for entry in discards(node, name):
            if as_text(entry["state"]) == "discarded" and entry["command"]:
                assert entry["command"][0] == b"SET", entry
                found.add((entry["command"][1], entry["command"][2]))
    return found


class Writes(Worker):
    """Sets one key after the other, each once, in pipelines, and notes what was said of each.
    Goes on at the next node where it gets no answer, or an error."""

    def __init__(self, cluster, name="cart", number=0, depth=8, nodes=None, asks=()):
        super().__init__()
        self.before = ("WITH", len(asks), *asks) if asks else ()
        self.cluster, self.space, self.number, self.depth = cluster, name, number, depth
        self.nodes = nodes or cluster.nodes
        self.given = 0
        self.done, self.refused, self.uncertain = {}, {}, {}
        self.errors = []  # (when, text), the first of each kind in a row
        self.times = []   # of each round with something acknowledged

    def round(self, connection):
        """False: go elsewhere."""
        keys = [b"%s:%d:%d" % (self.space.encode(), self.number, self.given + i)
                for i in range(self.depth)]
        self.given += self.depth
        values = {key: b"v" + key for key in keys}
        self.uncertain.update(dict.fromkeys(keys, "no answer"))
        fine = True
        replies = connection.each_of([(*self.before, "SET", key, values[key]) for key in keys])
        for key, reply in zip(keys, replies):
            if reply == "OK":
                self.done[key] = values[key]
                del self.uncertain[key]
                continue
            fine = False
            assert isinstance(reply, Error), reply
            self.note(str(reply))
            if reply.kind() == "UNCERTAIN":
                self.uncertain[key] = str(reply)
            else:
                assert reply.kind() in NOT_APPLIED, reply
                self.refused[key] = str(reply)
                del self.uncertain[key]
        if keys[0] in self.done:
            self.times.append(time.monotonic())
        return fine

    def note(self, text):
        if not self.errors or self.errors[-1][1] != text:
            self.errors.append((time.monotonic(), text))

    def work(self):
        turn = self.number
        while not self.ending.is_set():
            node = self.nodes[turn % len(self.nodes)]
            turn += 1
            try:
                with node.connect(timeout=5.0) as connection:
                    while not self.ending.is_set() and self.round(connection):
                        self.ending.wait(0.002)  # what is written is read again: not too much
            except (Closed, OSError) as error:
                self.note(repr(error))
            self.ending.wait(0.005)

    def wait_more(self, count, seconds=30.0):
        goal = len(self.done) + count

        def enough():
            if self.failure is not None:
                raise self.failure
            return len(self.done) >= goal
        wait_for(enough, f"{count} more acknowledged writes; errors: {self.errors[-3:]}", seconds)

    def gap(self, since):
        """Seconds from then to the first round of writes that was answered later."""
        return min(time for time in self.times if time > since) - since


@contextlib.contextmanager
def writing(cluster, name="cart", clients=4, depth=8, nodes=None, first=0, asks=()):
    """Each of its writes asks for that."""
    writers = [Writes(cluster, name, first + number, depth, nodes, asks)
               for number in range(clients)]
    for writer in writers:
        writer.start()
    try:
        yield writers
    finally:
        for writer in writers:
            writer.ending.set()
        for writer in writers:
            writer.finish(60)


def judge(cluster, writers, may_lose=False, name="cart"):
    """With all nodes there: what was acknowledged is there, what was refused is not. `may_lose`:
    what was acknowledged and is gone is named in a discard journal. Returns the number of those."""
    held = wait_equal(cluster, name)
    gone = {(key, value) for writer in writers for key, value in writer.done.items()
            if held.get(key) != value}
    assert may_lose or not gone, f"acknowledged, and gone: {sorted(gone)[:5]}"
    wait_for(lambda: gone <= discarded_sets(cluster, name), "a journal names each that is gone")
    for writer in writers:
        for key, error in writer.refused.items():
            assert key not in held, f"{key} was executed, after: {error}"
    # Only writes of these clients, and each with its own value.
    known = {}
    for writer in writers:
        known.update(writer.done)
        known.update({key: b"v" + key for key in writer.uncertain})
    for key, value in held.items():
        assert known.get(key, value) == value, key
    return len(gone)
