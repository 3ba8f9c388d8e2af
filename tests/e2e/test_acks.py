"""What is true of a write when it is acknowledged: WAIT, WAITAOF, ACK (U1-U6, D3; scenarios 69, 72,
74)."""
import time
from collections import Counter

import pytest

import overload
from cluster import CALM, Cluster, wait_for
from resp import Error, encode

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


def test_scenario_72_what_wait_has_counted_survives_its_leader_U1():
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


# --- ACK ----------------------------------------------------------------------------------------


def refused(node, *words):
    with pytest.raises(Error) as refusal:
        node.call(*words)
    return str(refusal.value)


@pytest.mark.parametrize("spec", ["LOCAL", "ANY 1", "ALL", "w=2", "EACH dc", "MAJORITY ON applied",
                                  "EACH zone ON received", "MAJORITY OF east"])
def test_scenario_69_what_raft_does_not_give_is_refused_and_nothing_is_written(five, spec):
    """Scenario 69: nothing lower is given in its place, whoever asks and however."""
    node = five.followers()[0]
    for words in (("WITH", 2, "ACK", spec, "SET", "never", "v"), ("CONSISTENCY", "ACK", spec)):
        error = refused(node, *words)
        assert error.startswith(f"LEVEL strategy raft does not give ACK '{spec}'"), error
        assert "not applied; it gives MAJORITY, QUORUM, EACH zone; ON durable" in error, error
    assert node.call("GET", "never") is None
    rows = node.call("KEYSPACE", "EXPLAIN", "five")
    assert rows[rows.index(b"acks") + 1] == b"MAJORITY, QUORUM, EACH zone; ON durable"


@pytest.fixture(scope="module")
def zoned():
    """The leader and a follower in zone a, the other one in b."""
    with Cluster(3, CALM) as cluster:
        leader, (near, far) = cluster.leader(), cluster.followers()
        for node, zone in ((leader, "a"), (near, "a"), (far, "b")):
            assert leader.call("MEMBER", "SET", node.number, "ZONE", zone) == "OK"
        assert leader.call("KEYSPACE", "CREATE", "many", "STRATEGY", "raft", "PARTITIONS", 4,
                           timeout=20) == "OK"
        yield cluster, leader, near, far


EACH = ("ACK", "EACH zone")


def test_each_zone_has_what_is_acknowledged_U5(zoned):
    _, leader, near, far = zoned
    for node in (leader, near, far):
        with node.connect() as client:
            assert client.call("WITH", 2, *EACH, "SET", "k", "v") == "OK"
            assert client.call("WITH", 2, *EACH, "APPEND", "k", "w") == 2
            assert client.call("CONSISTENCY", *EACH) == "OK"
            replies = client.pipeline([("SET", f"p{i}", "v") for i in range(300)] + [("GET", "p1")])
            assert replies == ["OK"] * 300 + [b"v"]
            assert client.call("SELECT", "many") == "OK"
            replies = client.pipeline([("SET", f"p{i}", "v") for i in range(50)] + [("FLUSHALL",)])
            assert replies == ["OK"] * 51
            assert client.call("INCR", "p1") == 1
            with pytest.raises(Error, match="^WRONGTYPE|^ERR value is not an integer"):
                client.call("INCRBY", "p1", "x")


def test_scenario_74_without_a_zone_it_is_uncertain_and_says_what_is_true_U5(zoned):
    """It is in force: a majority has it. That it failed would not be true (scenario 74)."""
    cluster, leader, near, far = zoned
    far.pause()
    try:
        for node in (leader, near):
            with node.connect(timeout=20) as client:
                key = f"far{node.number}"
                assert client.call("WITH", 2, "ACK", "MAJORITY ON durable", "SET", key, "1") == "OK"
                began = time.monotonic()
                error = client.pipeline([("WITH", 4, *EACH, "TIMEOUT", 400, "INCR", key),
                                         ("GET", key)])
                assert 0.2 < time.monotonic() - began < 1.9
                assert str(error[0]) == (
                    "UNCERTAIN the write is committed by a majority and was applied, but it is not "
                    "known yet to be durable in zone 'b'")
                assert error[1] == b"2"
                assert client.call("WAIT", 2, 100) == 1
        assert cluster.leader() is leader
    finally:
        far.resume()
    with far.connect(timeout=20) as client:
        wait_for(lambda: value_at(far, f"far{near.number}") == b"2", "it is back")
        assert client.call("WITH", 2, *EACH, "SET", "k", "back") == "OK"


def test_a_keyspaces_acknowledgement_is_that_of_every_write_U2(zoned):
    """Also of large ones."""
    cluster, leader, near, far = zoned
    assert leader.call("KEYSPACE", "ALTER", "default", "ACK", "EACH zone", timeout=20) == "OK"
    for node in (leader, near):
        assert node.call("SET", "k", "v") == "OK"
    cluster.wait_applied()
    far.pause()
    try:
        for node in (leader, near):
            with node.connect(timeout=20) as client:
                assert client.call("CONSISTENCY", "TIMEOUT", 400) == "OK"
                for write in (("SET", "k", "w"), ("SET", "large", "v" * 400000), ("FLUSHALL",)):
                    with pytest.raises(Error, match="^UNCERTAIN .* in zone 'b'"):
                        client.call(*write)
                assert client.call("DBSIZE") == 0
                assert client.call("WITH", 2, "ACK", "MAJORITY", "SET", "k", "x") == "OK"
        assert cluster.leader() is leader
    finally:
        far.resume()
        assert leader.call("KEYSPACE", "ALTER", "default", "ACK", "MAJORITY", timeout=20) == "OK"


def kept(node):
    """Replies that wait for zones, and their bytes: now, and the most that may be."""
    queues = overload.queues(node.info())
    return [queues[name][i] for name in ("kept_replies", "kept_bytes") for i in (0, 2)]


def test_what_waits_for_a_zone_that_is_cut_off_is_bounded(zoned):
    """However long its clients are willing to wait. What says so has not happened, all else has."""
    cluster, leader, near, far = zoned
    for node in (leader, near):
        assert node.call("CONFIG", "SET", "request-timeout", 120000) == "OK"
    far.pause()
    clients = [node.connect(timeout=60) for node in (leader, near) * 4]
    try:
        for client in clients:
            client.pipeline([("GET", "bounded")] * 100)  # its replies are short: its window is wide
            assert client.call("CONSISTENCY", *EACH, "TIMEOUT", 3600000) == "OK"
            client.send_raw(encode("INCR", "bounded") * 4096)
        _, most, _, bytes_most = kept(leader)
        wait_for(lambda: kept(leader)[0] >= most // 2, "as many wait as may", 30)
        with leader.connect(timeout=20) as other:
            assert refused(other, "WITH", 2, *EACH, "INCR", "bounded").startswith("THROTTLED ")
            assert other.call("INCR", "others") == 1
            assert other.call("GET", "others") == b"1"
        assert kept(leader)[0] <= most and kept(leader)[2] <= bytes_most
    finally:
        far.resume()
    answers = Counter()
    for client in clients:
        replies = [client.read() for _ in range(4096)]
        answers.update(str(r).split(",")[0] if isinstance(r, Error) else "counted" for r in replies)
        client.close()
    # How many of these came before the zone was back is a matter of time.
    assert set(answers) <= {"counted", "THROTTLED too many writes wait until each zone has them"}
    assert int(leader.call("GET", "bounded")) == answers["counted"]
    assert kept(leader)[0] == kept(leader)[2] == 0
    assert cluster.leader() is leader


def test_replies_that_wait_are_their_clients_memory(zoned):
    _, leader, _, far = zoned
    assert leader.call("CONFIG", "SET", "request-timeout", 120000) == "OK"
    assert leader.call("SET", "long", "v" * 200000) == "OK"
    far.pause()
    with leader.connect(timeout=60) as client:
        try:
            assert client.call("CONSISTENCY", *EACH, "TIMEOUT", 3600000) == "OK"
            client.send_raw(encode("GETEX", "long", "PERSIST") * 60)
            wait_for(lambda: overload.queues(leader.info())["clients_bytes"][0] > 60 * 200000,
                     "what waits is counted")
            assert kept(leader)[0] == 60
        finally:
            far.resume()
        assert {client.read() for _ in range(60)} == {b"v" * 200000}
    assert kept(leader)[2] == 0


def test_who_was_started_just_now_acknowledges_no_less_than_the_keyspace_says_U2():
    """A write that waits for a leader comes before this node knows its keyspaces again."""
    with Cluster(3, CALM) as cluster:
        leader = cluster.leader()
        for node, zone in zip(cluster.nodes, "abc"):
            assert leader.call("MEMBER", "SET", node.number, "ZONE", zone) == "OK"
        assert leader.call("KEYSPACE", "ALTER", "default", "ACK", "EACH zone", timeout=20) == "OK"
        cluster.kill_all()
        first, second, _ = cluster.nodes
        first.start()
        wait_for(first.listens, "it listens")
        assert first.call("CONFIG", "SET", "leader-wait", 5000) == "OK"
        with first.connect(timeout=30) as client:
            client.send("SET", "k", "1")
            client.send("WITH", 2, "ACK", "MAJORITY", "SET", "k", "2")
            second.start()
            error = client.read()
            assert isinstance(error, Error) and "durable in zone 'c'" in str(error), error
            assert client.read() == "OK"
