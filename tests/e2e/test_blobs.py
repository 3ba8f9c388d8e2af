"""Values beyond an entry's size (U16): they travel in parts, and nobody waits for them.

The sizes are small enough for every run; QUORATE_LARGE_MB=512 tries the largest there are.
"""
import os
import threading
import time

import overload
from cluster import CALM, PATIENCE, Cluster, undisturbed, wait_for
from resp import Closed, Error

MB = int(os.environ.get("QUORATE_LARGE_MB", "24"))
LONG = 60.0 + MB  # seconds for one command


def pattern(megabytes, seed):
    """Bytes of which no two parts are equal."""
    block = os.urandom(1 << 20)
    return b"".join(b"%s-%08d" % (seed, i) + block[17:] for i in range(megabytes))


class Plain:
    """A client that only counts, on a node of its own choice, and how long it ever waited."""

    def __init__(self, node):
        self.node, self.done, self.count, self.errors, self.worst = node, False, 0, [], 0.0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        with self.node.connect(timeout=LONG) as connection:
            while not self.done:
                started = time.monotonic()
                try:
                    connection.call("INCR", "plain")
                    self.count += 1
                except (Error, Closed, OSError) as error:
                    self.errors.append(error)
                    return
                self.worst = max(self.worst, time.monotonic() - started)
                time.sleep(0.002)  # a think time, not a wait for something

    def stop(self):
        self.done = True
        self.thread.join()


def round_trip(node, key):
    value = pattern(MB, key.encode())
    half = len(value) // 2
    with node.connect(timeout=LONG) as connection:
        connection.call("DEL", key + "2")
        assert connection.call("SET", key, value) == "OK"
        assert connection.call("STRLEN", key) == len(value)
        assert connection.call("GET", key) == value
        assert connection.call("GETRANGE", key, half - 5, half + 70000) == \
            value[half - 5:half + 70001]
        assert connection.call("APPEND", key + "2", value[:half + 3]) == half + 3
        assert connection.call("APPEND", key + "2", value[half + 3:]) == len(value)
        assert connection.call("SETRANGE", key + "2", half, b"x" * 300000) == len(value)
        # By the leader, from which it comes in pieces; a follower's own GET asks it for an index.
        assert connection.call("WITH", 2, "READ", "leader", "GET", key + "2") == \
            value[:half] + b"x" * 300000 + value[half + 300000:]
        # What is pipelined behind a large command waits for it, and keeps its order.
        replies = connection.pipeline([("SET", key, value), ("APPEND", key, b"!"),
                                       ("STRLEN", key), ("DEL", key + "2"), ("GET", key + "2")])
        assert replies == ["OK", len(value) + 1, len(value) + 1, 1, None]


def large_values_beside_others(cluster):
    leader, follower = cluster.leader(), cluster.followers()[0]
    for node in cluster.nodes:
        node.call("CONFIG", "RESETSTAT")
    plain = [Plain(leader), Plain(follower)]
    try:
        round_trip(leader, "a")
        round_trip(follower, "b")
    finally:
        for client in plain:
            client.stop()
    for client in plain:
        assert not client.errors
        assert client.count > 10
    stalls = [int(node.info()["loop_stall_max_usec"]) / 1000 for node in cluster.nodes]
    print(f"figure: longest stalls of the loops {stalls} ms, node {leader.number} leads; "
          f"the others waited {[round(1000 * client.worst) for client in plain]} ms at most")
    assert max(stalls) < 300 * PATIENCE, "longer than the others wait for their leader"
    queues = overload.queues(leader.info())
    for name in ("staged_bytes", "parts_bytes", "relayed_bytes", "long_reply_bytes"):
        now, most, limit = queues[name]
        assert 0 < most <= limit, (name, queues[name])  # R4: seen, and bounded
        assert now < most, (name, queues[name])


def test_large_values_through_leader_and_follower_while_others_go_on():
    with Cluster(3, CALM) as cluster:
        undisturbed(cluster, lambda: large_values_beside_others(cluster))  # no heartbeat is missed
        cluster.wait_applied()
        digests = {node.call("GET", "a")[-20:] for node in cluster.nodes}
        assert len(digests) == 1


def answer(node, *words):
    """None while there is none."""
    try:
        return node.call(*words, timeout=LONG)
    except (Error, Closed, OSError):
        return None


def last_slot(node):
    info = node.try_info("raft")
    return int(info["raft_last"]) if info else 0


def test_the_leader_dies_among_the_parts():
    """B1 in node/blobs.h: without its command's entry the write is surely not applied, and is tried
    again; a client sees the answer of one of the two, never half a value."""
    value = pattern(MB, b"k")
    with Cluster(3) as cluster:
        leader = cluster.leader()
        follower = next(node for node in cluster.nodes if node is not leader)
        wait_for(lambda: answer(follower, "SET", "k", "before") == "OK", "a write")
        slot = int(follower.info("raft")["raft_last"])
        outcome = []

        def write():
            try:
                outcome.append(follower.call("SET", "k", value, timeout=LONG))
            except (Error, Closed, OSError) as error:
                outcome.append(error)

        thread = threading.Thread(target=write)
        thread.start()
        wait_for(lambda: last_slot(follower) > slot + 8, "parts in the log")
        leader.kill()
        thread.join(LONG * PATIENCE)
        assert outcome, "no answer"
        now = wait_for(lambda: answer(follower, "GET", "k"), "a value", seconds=LONG)
        if outcome[0] == "OK":
            assert now == value
        else:
            assert now in (b"before", value)
        leader.start()
        cluster.wait_applied(seconds=LONG)
        for node in cluster.nodes:
            length = wait_for(lambda node=node: answer(node, "STRLEN", "k"), "an answer")
            assert length == len(now)


def test_parts_survive_a_restart_and_a_client_that_goes_away_leaves_none():
    """The parts are state: a node that starts anew has them from its checkpoint or its log. One
    that was still being sent ends with its client."""
    value = pattern(MB, b"p")
    with Cluster(1, ["--checkpoint-bytes", "4mb"]) as cluster:
        node = cluster.nodes[0]
        with node.connect(timeout=LONG) as connection:
            head = b"*3\r\n$3\r\nSET\r\n$1\r\np\r\n$%d\r\n" % len(value)
            connection.socket.sendall(head + value[:len(value) // 2])
        assert node.call("GET", "p") is None
        assert node.call("SET", "p", value, timeout=LONG) == "OK"
        node.kill()
        cluster.start()
        assert node.call("GET", "p", timeout=LONG) == value
