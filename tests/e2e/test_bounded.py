"""READ bounded: a follower answers what is at most so old, by its own clock, and never what is
older (features G11): held behind, cut off, stopped, restarted, and when the leader changes."""
import time

import pytest

import behind
from cluster import CALM, Cluster, ask, wait_for
from links import LinkedNode, Links
from resp import Closed, Error

STALE = "no replica that shows what was asked for answered in time, the command was not applied"


@pytest.fixture(scope="module")
def three():
    with behind.cluster(3, CALM) as cluster:
        yield cluster


def bounded(node, bound, *words, timeout_ms=4000):
    return node.call("WITH", 4, "READ", f"bounded:{bound}", "TIMEOUT", timeout_ms, *words)


def replica_of(reply):
    """With META."""
    return dict(zip(reply[1][::2], reply[1][1::2]))[b"replica"]


def staleness_of(reply):
    return dict(zip(reply[1][::2], reply[1][1::2]))[b"staleness_ms"]


def with_meta(node, bound, key):
    return node.call("WITH", 5, "READ", f"bounded:{bound}", "TIMEOUT", "4000", "META", "GET", key)


def asked(node):
    return int(node.info()["read_indexes_asked"])


def pair(cluster, key, value):
    leader = cluster.leader()
    ask(leader, "SET", key, value)
    cluster.wait_applied()
    return leader, cluster.followers()[0]


def test_a_follower_answers_what_is_fresh_enough_by_itself_G11(three):
    leader, follower = pair(three, "own", "1")
    first = with_meta(follower, 5000, "own")
    assert (first[0], replica_of(first)) == (b"1", follower.number)
    before = asked(follower)
    for _ in range(50):
        again = with_meta(follower, 5000, "own")
        assert (again[0], replica_of(again)) == (b"1", follower.number)
        assert staleness_of(again) <= 5000
    assert asked(follower) <= before + 1
    at_leader = with_meta(leader, 5000, "own")
    assert (at_leader[0], replica_of(at_leader)) == (b"1", leader.number)


def test_within_the_bound_it_may_be_older_and_beyond_it_never_is_G11(three):
    _, follower = pair(three, "held", "1")
    assert bounded(follower, 60000, "GET", "held") == b"1"
    with behind.held(follower):
        assert ask(follower, "SET", "held", "2") == "OK"
        written = time.monotonic()
        assert bounded(follower, 60000, "GET", "held") == b"1"
        while time.monotonic() - written < 1.5:
            began = time.monotonic()
            value = bounded(follower, 300, "GET", "held")
            assert value == b"2" or began - written <= 0.3, (value, began - written)
        assert replica_of(with_meta(follower, 300, "held")) != follower.number
        assert bounded(follower, 60000, "GET", "held") == b"1"
    wait_for(lambda: replica_of(with_meta(follower, 300, "held")) == follower.number,
             "it answers by itself again")
    assert bounded(follower, 300, "GET", "held") == b"2"


def test_a_bound_of_operations_counts_what_is_missing_G11(three):
    _, follower = pair(three, "ops", "0")
    assert bounded(follower, "5ops", "GET", "ops") == b"0"
    with behind.held(follower):
        for i in range(1, 4):
            assert ask(follower, "SET", "ops", i) == "OK"
        assert bounded(follower, "1000ops", "GET", "ops") == b"0"
        assert bounded(follower, "1ops", "GET", "ops") == b"3"
        assert replica_of(with_meta(follower, "1ops", "ops")) != follower.number
    wait_for(lambda: replica_of(with_meta(follower, "1ops", "ops")) == follower.number,
             "it answers by itself again")


def test_steady_reads_ask_at_half_of_the_bound_and_never_wait_G11(three):
    _, follower = pair(three, "steady", "1")
    with follower.connect() as client:
        assert client.call("CONSISTENCY", "READ", "bounded:400") == "OK"
        assert client.call("GET", "steady") == b"1"
        before, began, count = asked(follower), time.monotonic(), 0
        while time.monotonic() - began < 2:
            assert client.pipeline([("GET", "steady")] * 50) == [b"1"] * 50
            count += 50
        spent = time.monotonic() - began
    assert count > 500
    assert asked(follower) - before <= spent / 0.2 + 2


def test_many_connections_share_what_is_asked(three):
    _, follower = pair(three, "many", "1")
    clients = [follower.connect() for _ in range(100)]
    try:
        before = asked(follower)
        for client in clients:
            client.send("WITH", 2, "READ", "bounded:1", "GET", "many")
        assert [client.read() for client in clients] == [b"1"] * 100
        for client in clients:
            client.send("WITH", 2, "READ", "bounded:3000", "GET", "many")
        assert [client.read() for client in clients] == [b"1"] * 100
        assert asked(follower) - before <= 100
    finally:
        for client in clients:
            client.close()


def test_it_stays_behind_its_own_writes_S1(three):
    _, follower = pair(three, "mine", "x")
    with follower.connect() as client:
        commands = []
        for i in range(100):
            commands += [("SET", "mine", i), ("WITH", 2, "READ", "bounded:1", "GET", "mine")]
        replies = client.pipeline(commands)
    assert replies[::2] == ["OK"] * 100
    seen = [int(value) for value in replies[1::2] if value != b"x"]
    assert seen == sorted(seen)


def test_whoever_was_stopped_answers_nothing_older_G11(three):
    leader, follower = pair(three, "stopped", "1")
    assert bounded(follower, 200, "GET", "stopped") == b"1"
    follower.pause()
    try:
        ask(leader, "SET", "stopped", "2")
        time.sleep(0.3)
    finally:
        follower.resume()
    assert bounded(follower, 200, "GET", "stopped") == b"2"


def test_a_group_that_rests_answers_and_wakes_for_no_read_within_the_bound_G11(three):
    leader = three.leader()
    leader.call("KEYSPACE", "CREATE", "rests", "ID", "16", "STRATEGY", "raft", "REPLICAS", "3",
                "PARTITIONS", "4", timeout=60)
    for node in three.nodes:
        with node.connect() as client:
            wait_for(lambda client=client: client.call("SELECT", 16) == "OK", "it knows")
    with leader.connect() as client:
        client.call("SELECT", 16)
        for i in range(20):
            wait_for(lambda i=i: is_written(client, f"k{i}", i), "a leader")
    time.sleep(1.0)  # long enough for all groups to come to rest
    for node in three.nodes:
        with node.connect() as client:
            client.call("SELECT", 16)
            client.call("CONSISTENCY", "READ", "bounded:10000")
            assert [client.call("GET", f"k{i}") for i in range(20)] == [b"%d" % i
                                                                       for i in range(20)]
            before = asked(node)
            assert [client.call("GET", f"k{i}") for i in range(20)] == [b"%d" % i
                                                                       for i in range(20)]
            assert asked(node) == before


def is_written(client, key, value):
    client.send("SET", key, value)
    return client.read() == "OK"


def test_the_leader_changes_and_nothing_older_is_shown_G11():
    with Cluster(3) as cluster:
        leader, follower = pair(cluster, "changed", "1")
        assert bounded(follower, 500, "GET", "changed") == b"1"
        leader.kill()
        ask(follower, "SET", "changed", "2")
        written = time.monotonic()
        while time.monotonic() - written < 1.5:
            for node in cluster.alive():
                began = time.monotonic()
                value = bounded(node, 500, "GET", "changed")
                assert value == b"2" or began - written <= 0.5, (value, began - written)
        leader.start()
        wait_for(leader.listens, "it is back")
        wait_for(lambda: answer(leader, 500, "changed"), "it answers")
        assert bounded(leader, 500, "GET", "changed") == b"2"


def answer(node, bound, key):
    try:
        return bounded(node, bound, "GET", key)
    except (Error, Closed, OSError):
        return None


def test_whoever_is_cut_off_says_how_old_its_state_is_U3():
    with Cluster(3, CALM, start=False) as cluster:
        links = LinkedNode.links = Links(cluster.nodes)
        try:
            for node in cluster.nodes:
                node.__class__ = LinkedNode
            cluster.start()
            leader, follower = pair(cluster, "cut", "1")
            assert bounded(follower, 60000, "GET", "cut") == b"1"
            links.isolate(follower.number)
            ask(leader, "SET", "cut", "2")
            written = time.monotonic()
            assert bounded(follower, 60000, "GET", "cut") == b"1"
            refused = None
            while refused is None:
                assert time.monotonic() - written < 20
                began = time.monotonic()
                try:
                    value = bounded(follower, 300, "GET", "cut", timeout_ms=500)
                    assert value == b"1" and began - written <= 0.3, (value, began - written)
                except Error as error:
                    refused = error
            kind, lag, text = str(refused).split(" ", 2)
            assert (kind, text) == ("STALE", STALE)
            assert int(lag) >= 300
            assert int(follower.info()["answers_stale"]) > 0
            links.heal()
            wait_for(lambda: answer(follower, 300, "cut") == b"2", "it has heard the others")
        finally:
            links.close()


def test_alone_after_a_start_it_knows_nothing_and_says_so_U3():
    with Cluster(3) as cluster:
        _, follower = pair(cluster, "alone", "1")
        cluster.kill_all()
        follower.start()
        wait_for(follower.listens, "it listens")
        with pytest.raises(Error, match="^STALE -1 " + STALE):
            bounded(follower, 60000, "GET", "alone", timeout_ms=300)
