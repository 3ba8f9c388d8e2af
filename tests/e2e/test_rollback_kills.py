"""A former primary takes back what its successor does not have, and dies while it does so, or its
disk fails, at every failpoint of it (R8; docs/discards.md, "The order of things"). Whatever
happened, in the end each write that was told OK and is gone has one name in its journal, and the
replicas are equal."""
import os
import threading

import pytest

from cluster import Cluster, wait_for
from failpoints import POINTS, Table
from primaries import another, create, discards, primary, try_local, wait_equal, wait_writes
from resp import Closed, Error, as_text

TAIL = 20
KEPT = 5
# Where something is thrown away because 64 MiB are full: tests/unit/node/discards_fault_test.c.
NOT_HERE = ("DISCARDS_DROP",)
CASES = [(point.name, action) for point in POINTS if point.life == "ROLLBACK"
         and point.name not in NOT_HERE for action in ["kill", "EIO"][:1 + point.errors]]


class Forked:
    """Three nodes, of which the former primary alone has acknowledged TAIL writes. It is down."""

    def __init__(self, cluster, value=b""):
        self.cluster, self.value = cluster, value
        create(cluster, "LOCAL")
        self.old = primary(cluster)
        for number in range(KEPT):
            assert self.old.call("SET", f"cart:before:{number}", number) == "OK"
        wait_equal(cluster)
        self.tail = [(b"cart:tail:%d" % i, b"%d" % i + value) for i in range(TAIL)]
        while not self.write_alone():
            wait_writes(cluster.nodes[0])
        followers = [node for node in cluster.nodes if node is not self.old]
        for node in followers:
            node.start()
        self.new = another(cluster, self.old)
        wait_writes(followers[0])
        self.table = Table(os.path.join(cluster.directory, "failpoints"))
        self.old.environment = self.table.environment()

    def write_alone(self):
        """The tail, while the others stand still; then all are killed. False where the primary took
        none of it: its lease was over just then, since the leader of group 0 had changed."""
        self.old = primary(self.cluster)
        followers = [node for node in self.cluster.nodes if node is not self.old]
        for node in followers:
            node.pause()
        with self.old.connect() as connection:
            for key, text in self.tail:
                connection.send("SET", key, text)
            replies = [connection.read() for _ in self.tail]
            if all(str(reply).startswith("CLUSTERDOWN") for reply in replies):
                for node in followers:
                    node.resume()
                return False
            assert replies == ["OK"] * TAIL
            for node in followers:  # first, so that nothing of it leaves their sockets
                node.kill()
            self.old.kill()
        return True

    def named(self):
        """What is said of the tail, each as often as it is said."""
        return sorted((entry["command"][1], entry["command"][2]) for entry in discards(self.old)
                      if as_text(entry["state"]) == "discarded" and entry["command"])

    def judge(self):
        """All of it is named, once, and gone everywhere."""
        wait_writes(self.old)
        assert len(wait_equal(self.cluster)) == KEPT
        wait_for(lambda: self.named() == sorted(self.tail), "each is named once")

    def wait_end(self):
        wait_for(lambda: self.old.process.poll() is not None, "it ends")
        self.old.stopped = True
        self.old.wait()


@pytest.mark.parametrize("name, action", CASES)
def test_who_ends_while_it_takes_back_names_all(name, action):
    """Between the journal and the cut both have it: then the log still decides, and what is taken
    back once more is no second entry."""
    with Cluster(3) as cluster:
        fork = Forked(cluster)
        fork.table.arm(name, 1, action)
        fork.old.start()
        fork.wait_end()
        assert fork.table.order(name) == 0
        if action == "EIO":
            assert "the discard journal cannot be" in fork.old.log()
        fork.old.start()
        fork.judge()


def test_a_journal_that_is_torn_is_written_once_more():
    """Half of it is on the disk, and the process dies twice there."""
    with Cluster(3) as cluster:
        fork = Forked(cluster, b"x" * 5000)
        for _ in range(2):
            fork.table.arm("DISCARDS_TORN", 1, "kill")
            fork.old.start()
            fork.wait_end()
        fork.old.start()
        fork.judge()


def test_a_journal_that_is_full_holds_the_log():
    """Nothing is cut before it is named: the node lives, says what it waits for, and shows none of
    what the others do not have; when there is room it goes on by itself."""
    with Cluster(3) as cluster:
        fork = Forked(cluster)
        fork.table.arm("DISCARDS_WRITE", 1, "ENOSPC", lasts=True)
        fork.old.start()
        wait_for(lambda: "the discard journal takes nothing" in fork.old.log(), "it says so")
        assert fork.named() == []
        assert try_local(fork.old, "GET", fork.tail[0][0]) != fork.tail[0][1]
        assert fork.table.hits("ROLLBACK_NAMED") == fork.table.hits("ROLLBACK_CUT") == 0
        assert fork.new.call("SET", "cart:before:0", "0") == "OK"
        fork.table.disarm("DISCARDS_WRITE")
        fork.judge()
        assert fork.table.hits("ROLLBACK_CUT") == 1


def test_a_journal_that_is_read_while_it_is_written_shows_what_is_durable():
    """Whoever asks meanwhile is told a beginning of it, and never less than before."""
    with Cluster(3) as cluster:
        fork, seen, ended = Forked(cluster, b"x" * 20000), [], threading.Event()

        def look():
            while not ended.is_set():
                try:
                    seen.append(fork.named())
                except (Closed, OSError, Error):
                    pass  # it has just begun to start
        looker = threading.Thread(target=look)
        fork.old.start()
        looker.start()
        fork.judge()
        ended.set()
        looker.join()
        assert all(set(before) <= set(after) <= set(fork.tail)
                   for before, after in zip(seen, seen[1:]))
        assert seen[-1] == sorted(fork.tail)
