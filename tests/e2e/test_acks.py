"""What is true of a write when it is acknowledged: WAIT, WAITAOF, ACK (U1-U6, D3; scenarios 69, 72,
74)."""
import time

import pytest

from cluster import CALM, Cluster, wait_for
from resp import Error

MAKE = ["one 1 4", "three 3 1", "five 5 4"]  # name, replicas, partitions


@pytest.fixture(scope="module")
def five():
    with Cluster(5, CALM) as cluster:
        for row in MAKE:
            name, replicas, partitions = row.split()
            assert cluster.nodes[0].call("KEYSPACE", "CREATE", name, "STRATEGY", "raft", "REPLICAS",
                                         replicas, "PARTITIONS", partitions, timeout=20) == "OK"
        yield cluster


@pytest.mark.parametrize("row", MAKE)
def test_wait_and_waitaof_count_the_replicas_at_every_node(five, row):
    name, replicas, _ = row.split()
    others = int(replicas) - 1
    for node in five.nodes:
        with node.connect() as client:
            assert client.call("SELECT", name) == "OK"
            assert client.call("SET", f"{name}-{node.number}", "v") == "OK"
            assert client.call("WAIT", others, 5000) == others
            assert client.call("WAITAOF", 1, others, 5000) == [1, others]
            began = time.monotonic()
            assert client.call("WAIT", 9, 100) == others
            assert client.call("WAITAOF", 0, 9, 100) == [1, others]
            assert 0.19 < time.monotonic() - began < 3


def test_behind_pipelined_writes_to_several_partitions_each_is_about_those_ahead(five):
    for node in five.nodes[:2]:
        with node.connect() as client:
            assert client.call("SELECT", "five") == "OK"
            writes = [("SET", f"p{i}", "v") for i in range(50)]
            replies = client.pipeline(writes + [("WAIT", 4, 5000)] + writes +
                                      [("WAITAOF", 1, 4, 5000), ("GET", "p7"), ("FLUSHALL",),
                                       ("WAIT", 4, 5000), ("WAITAOF", 1, 4, 5000)])
            assert replies == (["OK"] * 50 + [4] + ["OK"] * 50 +
                               [[1, 4], b"v", "OK", 4, [1, 4]])


def test_a_connection_that_has_written_nothing_asks_about_what_is_there(five):
    for name, others in (("one", 0), ("five", 4)):
        with five.nodes[0].connect() as client:
            client.call("SELECT", name)
            client.call("SET", "k", "v")
            client.call("WAIT", others, 5000)
        with five.nodes[1].connect() as client:
            client.call("SELECT", name)
            assert client.call("WAIT", others, 5000) == others


@pytest.mark.parametrize("words, expected", [
    ("WAIT x 0", "ERR value is not an integer or out of range"),
    ("WAIT 1 x", "ERR timeout is not an integer or out of range"),
    ("WAIT 1 -1", "ERR timeout is negative"),
    ("WAITAOF 2 0 0", "ERR value is out of range, value must between 0 and 1"),
    ("WAITAOF 0 x 0", "ERR value is out of range, must be positive"),
    ("WAITAOF 0 0 -1", "ERR timeout is negative"),
    ("WAITAOF 0 0", "ERR wrong number of arguments for 'waitaof' command"),
])
def test_what_makes_no_sense_is_refused_as_by_redis(five, words, expected):
    for node in (five.leader(), five.followers()[0]):
        with pytest.raises(Error) as refusal:
            node.call(*words.split())
        assert str(refusal.value) == expected


def value_at(node, key):
    try:
        return node.call("GET", key)
    except (Error, OSError):
        return None


def test_what_wait_has_counted_survives_its_leader_U1():
    """Scenario 72: one of two followers lacks it when the leader dies: the other is elected."""
    with Cluster(3) as cluster:
        leader = cluster.leader()
        slow, quick = cluster.followers()
        with leader.connect() as client:
            slow.pause()
            assert client.call("SET", "k", "counted") == "OK"
            assert client.call("WAIT", 1, 5000) == 1  # with the leader two of three: a quorum
            assert client.call("WAIT", 2, 200) == 1
            assert client.call("WAITAOF", 1, 2, 200) == [1, 1]
        leader.kill()
        slow.resume()
        for node in (slow, quick):
            wait_for(lambda node=node: value_at(node, "k") == b"counted", "it is there")
        with slow.connect() as client:
            assert client.call("SET", "k", "after") == "OK"
            assert client.call("WAIT", 2, 200) == 1  # one is down
            leader.start()
            assert client.call("WAIT", 2, 20000) == 2


def test_a_wait_goes_on_at_the_next_leader(five):
    """On a connection whose writes another leader has taken."""
    node = five.followers()[0]
    with node.connect(timeout=20) as client:
        assert client.call("SET", "moved", "1") == "OK"
        former = five.leader()
        assert former.call("FAILOVER") == "OK"
        wait_for(lambda: five.leader() is not former, "another one leads")
        assert client.call("WAITAOF", 1, 4, 10000) == [1, 4]
        assert client.call("SET", "moved", "2") == "OK"
        assert client.call("WAIT", 4, 10000) == 4
