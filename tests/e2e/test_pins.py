"""SESSION PIN: one replica answers the reads of a session, whichever node is asked, and another one
while that is away (G8, D5)."""
import time

import pytest

import behind
from cluster import CALM, Cluster, ask, wait_for
from keyspaces import is_settled
from resp import Connection, Error, as_text

TOO_LONG = "ERR SESSION PIN: 1 to 256 bytes, nothing was changed"


@pytest.fixture(scope="module")
def three():
    with behind.cluster(3, CALM, cluster_ports=True) as cluster:
        yield cluster


def read(client, level, key):
    """The value, and which node has shown it."""
    value, shown = client.call("WITH", 3, "READ", level, "META", "GET", key)
    return value, dict(zip(shown[::2], shown[1::2]))[b"replica"]


def pinned(node, text):
    client = node.connect()
    assert client.call("SESSION", "PIN", text) == "OK"
    return client


def reader_of(node, text, level="prefix", key="k"):
    with pinned(node, text) as client:
        return read(client, level, key)[1]


def settled(cluster, key="k"):
    ask(cluster.leader(), "SET", key, "1")
    cluster.wait_applied()


def user_of(cluster, node, key="k"):
    """A session that is pinned to that node."""
    for i in range(200):
        if reader_of(cluster.leader(), f"user:{i}", key=key) == node.number:
            return f"user:{i}"
    raise AssertionError(f"nobody is pinned to node {node.number}")


def pairs(words):
    return dict(zip(map(as_text, words[::2]), words[1::2]))


def test_one_replica_answers_whichever_node_is_asked_G8(three):
    settled(three)
    readers = set()
    for i in range(12):
        level = ("prefix", "local", "session")[i % 3]
        seen = {reader_of(node, f"user:{i}", level) for node in three.nodes}
        assert len(seen) == 1
        readers |= seen
    assert readers == {1, 2, 3}


def test_a_key_that_is_not_there_and_many_in_a_pipeline(three):
    settled(three)
    user = user_of(three, three.followers()[0])
    with pinned(three.leader(), user) as client:
        assert client.call("CONSISTENCY", "READ", "session") == "OK"
        for i in range(30):
            client.send("SET", "k", str(i))
            client.send("GET", "k")
            client.send("GET", "none")
        for i in range(30):
            assert client.read() == "OK"
            assert client.read() == str(i).encode()
            assert client.read() is None


def test_other_levels_go_their_own_ways(three):
    settled(three)
    leader, follower = three.leader(), three.followers()[0]
    with pinned(follower, user_of(three, follower)) as client:
        assert read(client, "leader", "k")[1] == leader.number
        assert client.call("SESSION", "UNPIN") == "OK"
    with pinned(leader, user_of(three, follower)) as client:
        assert read(client, "prefix", "k")[1] == follower.number
        assert client.call("SESSION", "UNPIN") == "OK"
        assert read(client, "prefix", "k")[1] == leader.number


def test_what_is_said_of_a_pin_and_when_it_ends(three):
    with three.nodes[0].connect() as client:
        assert pairs(client.call("SESSION", "SHOW"))["pin"] == b""
        for end in (("SESSION", "UNPIN"), ("SESSION", "RESET"), ("RESET",)):
            assert client.call("SESSION", "PIN", "user:1") == "OK"
            assert pairs(client.call("SESSION", "SHOW"))["pin"] == b"3290bc1a92ad86c2"
            assert b" pin=3290bc1a92ad86c2 " in client.call("CLIENT", "INFO")
            for text in ("", "x" * 257):
                with pytest.raises(Error, match=TOO_LONG):
                    client.call("SESSION", "PIN", text)
            assert pairs(client.call("SESSION", "SHOW"))["pin"] == b"3290bc1a92ad86c2"
            assert client.call(*end) in ("OK", "RESET")
            assert pairs(client.call("SESSION", "SHOW"))["pin"] == b""
            assert b" pin= " in client.call("CLIENT", "INFO")
        assert client.call("SESSION", "PIN", "x" * 256) == "OK"


def test_a_large_value_comes_from_there_too(three):
    value = b"x" * 3_000_000
    assert three.leader().call("SET", "large", value) == "OK"
    three.wait_applied()
    follower = three.followers()[0]
    with pinned(three.leader(), user_of(three, follower)) as client:
        assert read(client, "prefix", "large") == (value, follower.number)
    three.leader().call("DEL", "large")


def test_a_session_is_shown_its_writes_where_its_replica_lacks_them(three):
    settled(three)
    follower = three.followers()[0]
    user = user_of(three, follower)
    with pinned(three.leader(), user) as client, behind.held(follower):
        assert client.call("SET", "k", "newer") == "OK"
        assert read(client, "session", "k")[0] == b"newer"
        assert read(client, "prefix", "k") == (b"1", follower.number)


def test_a_replica_that_may_not_be_read_is_passed_over(three):
    settled(three)
    leader, follower = three.leader(), three.followers()[0]
    user = user_of(three, follower)
    with pinned(leader, user) as client, behind.held(follower):
        ask(leader, "SET", "k", "2")
        behind.shows(three.followers()[1], "k", b"2")
        follower.kill()
        follower.start()  # it has not applied, in this life, what it is told is committed
        wait_for(follower.listens, "it is back")
        wait_for(lambda: read(client, "prefix", "k")[1] == leader.number, "its leader answers")
        for _ in range(20):
            value, reader = read(client, "prefix", "k")
            assert value == b"2" and reader != follower.number
    wait_for(lambda: reader_of(leader, user) == follower.number, "it reads again")


def test_no_client_is_sent_elsewhere_for_it_at_the_cluster_port(three):
    settled(three)
    follower, other = three.followers()
    user = user_of(three, other)
    with Connection(follower.cluster_port) as client:
        assert client.call("SESSION", "PIN", user) == "OK"
        assert read(client, "session", "k")[1] == other.number


def test_while_its_node_is_away_another_one_answers_and_it_comes_back(three):
    settled(three)
    leader, (follower, other) = three.leader(), three.followers()
    user = user_of(three, follower)
    with pinned(leader, user) as client, pinned(other, user) as second:
        assert read(client, "session", "k")[1] == follower.number
        follower.kill()
        began = time.monotonic()
        seen = [(read(client, "session", "k"), read(second, "session", "k")) for _ in range(200)]
        assert time.monotonic() - began < 20
        assert all(value == b"1" for pair in seen for value, _ in pair)
        last = {node for _, node in seen[-1]}
        assert len(last) == 1 and follower.number not in last
        follower.start()
        wait_for(lambda: {read(c, "prefix", "k")[1] for c in (client, second)} ==
                 {follower.number}, "its own node again")


def test_a_node_that_hangs_is_not_waited_for(three):
    settled(three)
    leader, follower = three.leader(), three.followers()[0]
    with pinned(leader, user_of(three, follower)) as client:
        follower.pause()
        try:
            for _ in range(5):
                began = time.monotonic()
                value, reader = read(client, "prefix", "k")
                assert value == b"1" and reader != follower.number
                assert time.monotonic() - began < 2
        finally:
            follower.resume()
        wait_for(lambda: read(client, "prefix", "k")[1] == follower.number, "its own node again")


def test_reads_of_a_session_never_go_back_when_its_node_comes_and_goes_G8(three):
    settled(three, "count")
    three.leader().call("SET", "count", "0")
    follower = three.followers()[0]
    user = user_of(three, follower, "count")
    writer, end = three.leader().connect(), time.monotonic() + 6
    shown, readers, stopped = 0, set(), False
    with pinned(three.followers()[1], user) as client, writer:
        while time.monotonic() < end:
            writer.call("INCR", "count")
            if not stopped and time.monotonic() > end - 4:
                follower.kill()
                follower.start()
                stopped = True
            value, reader = read(client, "session", "count")
            assert int(value) >= shown
            shown = int(value)
            readers.add(reader)
    assert follower.number in readers and len(readers) > 1


def test_partitions_of_a_keyspace_each_have_their_own_replicas():
    with Cluster(5, CALM) as cluster:
        node = cluster.leader()
        assert node.call("KEYSPACE", "CREATE", "cart", "STRATEGY", "RAFT", "REPLICAS", 3,
                         "PARTITIONS", 8) == "OK"
        wait_for(lambda: is_settled(node, "cart"), "the keyspace is there")
        readers = {}
        for i in range(24):
            key = f"cart:{i}"
            assert node.call("WITH", 2, "KS", "cart", "SET", key, "1") == "OK"
        cluster.wait_applied()
        for node in cluster.nodes:
            with pinned(node, "somebody") as client:
                for i in range(24):
                    words = ("KS", "cart", "READ", "session", "META", "GET", f"cart:{i}")
                    wait_for(lambda words=words: client.call("WITH", 5, *words)[0] == b"1",
                             "its replica has it")
                    shown = client.call("WITH", 5, *words)[1]
                    readers.setdefault(i, set()).add(pairs(shown)["replica"])
        assert all(len(seen) == 1 for seen in readers.values())
        assert len(set.union(*readers.values())) > 1
