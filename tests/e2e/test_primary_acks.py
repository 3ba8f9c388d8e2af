"""STRATEGY primary: what one command or connection asks of its acknowledgement, beside what the
keyspace says (U3, U50, D3; scenarios 69, 72, 74), and WAIT and WAITAOF there (U1, U6)."""
import time

import pytest

from cluster import CALM, Cluster, wait_for
from primaries import (attempt, create, judge, local, place, primary, try_local, wait_writes,
                       writing)
from resp import Error

EVERYSEC = ["APPENDFSYNC", "everysec"]


def ack(node, what, *words, timeout_ms=10000):
    """With a long one, for what shall come."""
    return node.call("WITH", 4, "ACK", what, "TIMEOUT", timeout_ms, *words, timeout=20)


def kind(reply):
    return reply.kind() if isinstance(reply, Error) else reply


def refused(node, what, *words, match):
    with pytest.raises(Error, match=match):
        ack(node, what, *words)


@pytest.fixture(scope="module")
def three():
    with Cluster(3, CALM) as cluster:
        yield cluster


def test_more_and_less_than_the_keyspace_says_is_given_at_every_node(three):
    create(three, "ANY 1", name="gives")
    for number, what in enumerate(("LOCAL", "LOCAL ON received", "ANY 1", "ANY 2", "ALL",
                                   "ANY 2 ON received")):
        for node in three.nodes:
            key = f"gives:{number}:{node.number}"
            assert ack(node, what, "SET", key, what) == "OK"
            assert node.call("GET", key) == what.encode()
    for node in three.nodes:
        refused(node, "ANY 3", "SET", "gives:no", "1", match="^LEVEL keyspace 'gives' of strategy "
                "primary has not so many replicas: ACK ANY 3 ON durable, the command was not app")
        refused(node, "ANY 1 ON applied", "SET", "gives:no", "1", match="^LEVEL keyspace 'gives' .*"
                "hears of others what they have executed for its own ACK alone")
        refused(node, "ANY 1 OF mars", "SET", "gives:no", "1", match="^LEVEL keyspace 'gives' .*has"
                " not so many nodes in that zone")
        refused(node, "MAJORITY", "SET", "gives:no", "1", match="^LEVEL keyspace 'gives' ")
        assert node.call("GET", "gives:no") is None


def test_all_have_it_on_disk_when_all_is_asked_for(three):
    """WAIT has nothing to wait for then."""
    create(three, "ANY 1", name="all")
    with three.nodes[1].connect() as client:
        for i in range(100):
            assert client.call("WITH", 2, "ACK", "ALL", "SET", "all:k", i) == "OK"
            assert client.call("WAIT", 2, 1) == 2


def test_a_connection_may_ask_for_all_its_writes_and_a_command_for_less(three):
    create(three, "ANY 1", name="conn")
    with three.nodes[2].connect() as client:
        assert client.call("CONSISTENCY", "ACK", "ANY 2") == "OK"
        assert client.call("CONSISTENCY", "SHOW")[4:10] == [b"ack", b"ANY 2 ON durable",
                                                            b"ack-from", b"connection",
                                                            b"fallback", b"fail"]
        assert client.call("SET", "conn:k", "1") == "OK"
        assert client.call("WITH", 2, "ACK", "LOCAL", "SET", "conn:k", "2") == "OK"
        assert client.pipeline([("APPEND", "conn:p", "x"), ("INCR", "conn:n"),
                                ("GET", "conn:p")]) == [1, 1, b"x"]
        with pytest.raises(Error, match="^LEVEL strategy raft does not give ACK 'ANY 2 ON durable"):
            client.call("SET", "raft", "1")
        assert client.call("GET", "raft") is None
        assert client.call("CONSISTENCY", "RESET") == "OK"
        assert client.call("SET", "raft", "1") == "OK"


def test_who_waits_for_nobody_promises_no_copies(three):
    create(three, "LOCAL", name="alone")
    for node in three.nodes:
        assert ack(node, "LOCAL", "SET", "alone:k", "1") == "OK"
        for what in ("ANY 1", "ALL", "ANY 2 ON received"):
            refused(node, what, "SET", "alone:k", "2",
                    match="^LEVEL keyspace 'alone' of strategy primary has ACK LOCAL: any of its "
                          "nodes may be made primary, so more copies promise nothing")
        with pytest.raises(Error, match="^LEVEL keyspace 'alone' .*never acknowledges less"):
            node.call("WITH", 2, "FALLBACK", "async", "SET", "alone:k", "2")
        assert node.call("GET", "alone:k") == b"1"


def test_scenario_69_what_a_connection_asked_for_outlives_an_alteration(three):
    """The keyspace asks for less by now: whoever asked for more is told, and not given less."""
    create(three, "ANY 1", name="altered")
    with three.nodes[0].connect() as client:
        assert client.call("CONSISTENCY", "ACK", "ANY 1") == "OK"
        assert client.call("SET", "altered:k", "1") == "OK"
        assert client.call("KEYSPACE", "ALTER", "altered", "ACK", "LOCAL", "READ", "leader") == "OK"
        told = set()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and "LEVEL" not in told:
            try:
                client.call("SET", "altered:k", "2")
            except Error as error:
                told.add(error.kind())
        assert told <= {"LEVEL", "NOREPLICAS"} and "LEVEL" in told, told
        assert client.call("WITH", 2, "ACK", "LOCAL", "SET", "altered:k", "3") == "OK"


def test_scenario_74_too_few_are_told_before_and_too_late_is_not_called_failed():
    """One of two others stops: what asked for both is UNCERTAIN and in force, then NOREPLICAS and
    not executed; what asks for one goes on."""
    with Cluster(3) as cluster:
        create(cluster, "ANY 1")
        leads = primary(cluster)
        slow = next(node for node in cluster.nodes if node not in (leads, cluster.leader()))
        asked = next(node for node in cluster.nodes if node not in (leads, slow))
        uncertain = "^UNCERTAIN the write is committed and was applied, but it is not known yet"
        for node in (leads, asked):
            wait_for(lambda: ack(leads, "ALL", "SET", "cart:all", "1") == "OK", "all are there")
            slow.pause()
            with pytest.raises(Error, match=uncertain):
                ack(node, "ANY 2", "SET", "cart:k", f"by {node.number}", timeout_ms=150)
            assert node.call("GET", "cart:k") == b"by %d" % node.number
            wait_for(lambda n=node: kind(attempt(n, "WITH", 4, "ACK", "ALL", "TIMEOUT", 50, "SET",
                                                 "cart:all", "2")) == "NOREPLICAS", "it is missed")
            began = time.monotonic()
            for what in ("ANY 2", "ALL"):
                refused(node, what, "SET", "cart:k", "not",
                        match="^NOREPLICAS too few replicas are in contact for the ACK that was "
                              "asked for, the command was not applied")
            assert time.monotonic() - began < 5
            assert ack(node, "ANY 1", "SET", "cart:one", "1") == "OK"
            assert node.call("GET", "cart:k") == b"by %d" % node.number
            slow.resume()
            wait_for(lambda n=node: attempt(n, "WITH", 2, "ACK", "ANY 2", "SET", "cart:k", "2") ==
                     "OK", "both are there")
        with leads.connect() as client:  # what waits for another one holds nothing up
            slow.pause()
            replies = client.pipeline([("WITH", 4, "ACK", "ANY 2", "TIMEOUT", 200, "SET", "cart:a",
                                        "1"), ("SET", "cart:b", "1"), ("GET", "cart:a")])
            assert isinstance(replies[0], Error) and replies[0].kind() == "UNCERTAIN", replies
            assert replies[1:] == ["OK", b"1"]
            slow.resume()


def test_scenario_72_copies_that_were_asked_for_are_there_when_the_keyspaces_own_are_lost():
    """ANY 1 on three nodes: what asked for all of them is there when one alone is left, which
    nobody but an order makes primary, since it may lack other writes that were acknowledged."""
    with Cluster(5) as cluster:
        create(cluster, "ANY 1", "REPLICAS", "3")
        leads = primary(cluster)
        left, other = (cluster.nodes[int(n) - 1] for n in place(leads)["nodes"].split(",")
                       if int(n) != leads.number)
        for i in range(50):
            assert ack(leads, "ANY 2", "SET", f"cart:{i}", i) == "OK"
        left.pause()
        assert ack(leads, "ANY 1", "SET", "cart:one", "1") == "OK"
        for node in (leads, other):
            node.kill()
        left.resume()
        reply = attempt(left, "SET", "cart:no", "1", timeout=20)
        assert isinstance(reply, Error) and reply.kind() in ("CLUSTERDOWN", "NOREPLICAS"), reply
        told = left.call("KEYSPACE", "FAILOVER", "cart", "FORCE", timeout=20)
        assert told.startswith(f"OK node {left.number} leads; writes acknowledged after entry")
        for i in range(50):
            assert left.call("WITH", 2, "READ", "leader", "GET", f"cart:{i}") == b"%d" % i


def test_a_partition_that_fell_back_gives_what_was_asked_for_or_an_error_U3():
    with Cluster(5) as cluster:
        create(cluster, "ANY 1", "REPLICAS", "3", "FALLBACK", "async")
        leads = primary(cluster)
        gone = [cluster.nodes[int(n) - 1] for n in place(leads)["nodes"].split(",")
                if int(n) != leads.number]
        asked = next(node for node in cluster.nodes if node is not leads and node not in gone)
        for words in (("ACK", "ANY 1"), ("FALLBACK", "fail"), ("FALLBACK", "async")):
            assert asked.call("WITH", 2, *words, "SET", "cart:k", "1") == "OK"
        with pytest.raises(Error, match="^LEVEL keyspace 'cart' .*falls back from its own ACK alo"):
            asked.call("WITH", 4, "ACK", "ANY 2", "FALLBACK", "async", "SET", "cart:k", "2")
        for node in gone:
            node.kill()
        wait_for(lambda: (place(leads) or {}).get("view") == "fallen back", "it falls back", 30)
        for node in (leads, asked):
            wait_for(lambda n=node: attempt(n, "SET", "cart:k", "fell") == "OK", "it goes on")
            for words in (("ACK", "ANY 1"), ("FALLBACK", "fail"), ("ACK", "ALL")):
                with pytest.raises(Error, match="^NOREPLICAS the partition waits for no other node "
                                                "by now, so more copies promise nothing, the "):
                    node.call("WITH", 2, *words, "SET", "cart:k", "more")
            assert node.call("GET", "cart:k") == b"fell"
            assert node.call("WITH", 2, "FALLBACK", "async", "SET", "cart:k", "less") == "OK"
            assert ack(node, "LOCAL", "SET", "cart:k", "local") == "OK"
        for node in gone:
            node.start()
        for node in (leads, asked):
            wait_for(lambda n=node: attempt(n, "WITH", 2, "ACK", "ANY 2", "SET", "cart:k", "2") ==
                     "OK", "the rule holds again", 30)


def test_scenario_71_what_asked_for_a_copy_is_not_lost_where_others_may_be():
    """A partition has fallen back to LOCAL when its primary dies, and is led by those who were
    away: what was acknowledged meanwhile is taken back, and named. Nothing of that had asked for a
    copy."""
    with Cluster(5) as cluster:
        create(cluster, "ANY 1", "REPLICAS", "3", "FALLBACK", "async")
        with writing(cluster, clients=2) as any_of, \
                writing(cluster, clients=2, first=2, asks=("ACK", "ANY 1")) as strict:
            leads = primary(cluster)
            away = [cluster.nodes[int(n) - 1] for n in place(leads)["nodes"].split(",")
                    if int(n) != leads.number]
            for writer in any_of + strict:
                writer.wait_more(50, 60)
            for node in away:
                node.kill()
            wait_for(lambda: (place(leads) or {}).get("view") == "fallen back",
                     "it falls back", 30)
            for writer in any_of:
                writer.wait_more(50)
            refused_so_far = sum(len(writer.refused) for writer in strict)
            wait_for(lambda: sum(len(w.refused) for w in strict) > refused_so_far + 10,
                     "copies are refused")
            leads.pause()
            for node in away:
                node.start()
            leads.kill()
            for node in away:
                wait_writes(node, seconds=60)
            leads.start()
            for writer in any_of + strict:
                writer.wait_more(50, 60)
        assert any("waits for no other node" in text for w in strict for text in w.refused.values())
        assert judge(cluster, any_of, may_lose=True) > 0
        judge(cluster, strict)


def test_a_flush_of_several_partitions_is_asked_for_too(three):
    create(three, "ANY 1", "PARTITIONS", "4", name="parts")
    for i in range(20):
        assert three.nodes[0].call("SET", f"parts:{i}", i) == "OK"
    for node in three.nodes:
        assert node.call("WITH", 4, "KS", "parts", "ACK", "ALL", "FLUSHDB") == "OK"
        assert node.call("WITH", 2, "KS", "parts", "DBSIZE") == 0


@pytest.mark.parametrize("rule", ["LOCAL", "ANY 1", "ALL", "ANY 1 ON received"])
def test_wait_and_waitaof_count_what_is_there_U6(three, rule):
    name = "wait" + "".join(c for c in rule if c.isalnum())
    create(three, rule, name=name)
    leads = primary(three, name)
    slow = next(node for node in three.nodes if node not in (leads, three.leader()))
    for node in three.nodes:
        with node.connect() as client:
            assert client.call("SET", f"{name}:k", node.number) == "OK"
            assert client.call("WAIT", 2, 5000) == 2
            assert client.call("WAITAOF", 1, 2, 5000) == [1, 2]
            assert client.call("WAIT", 9, 50) == 2
    if rule == "ALL":
        return
    with leads.connect() as client:
        slow.pause()
        assert client.call("SET", f"{name}:k", "paused") == "OK"
        assert client.call("WAIT", 2, 200) == 1
        assert client.call("WAITAOF", 1, 2, 200) == [1, 1]
        slow.resume()
        assert client.call("WAIT", 2, 10000) == 2
    wait_for(lambda: try_local(slow, "GET", f"{name}:k") == b"paused", "it follows")


def test_with_everysec_waitaof_waits_for_the_sync_U6(three):
    create(three, "LOCAL ON received", *EVERYSEC, name="sync")
    took = []
    for node in three.nodes:
        with node.connect() as client:
            for i in range(3):
                assert client.call("SET", "sync:k", i) == "OK"
                assert client.call("WAIT", 2, 5000) == 2  # they have written it
                began = time.monotonic()
                assert client.call("WAITAOF", 1, 0, 5000) == [1, 0]
                took.append(time.monotonic() - began)
                assert client.call("SET", "sync:k", i) == "OK"
                assert client.call("WAITAOF", 1, 0, 1)[0] in (0, 1)
            assert client.call("SET", "sync:k", "x") == "OK"
            with pytest.raises(Error, match="^LEVEL WAITAOF counts no replicas here: with "
                                            "APPENDFSYNC everysec nobody knows who has synced"):
                client.call("WAITAOF", 0, 1, 100)
    assert max(took) > 0.2, took  # it is not what was written that counts
    for node in three.nodes:
        refused(node, "LOCAL", "SET", "sync:k", "1", match="^LEVEL keyspace 'sync' .*has APPENDFSYN"
                "C everysec and does not know who has synced")
        assert ack(node, "LOCAL ON received", "SET", "sync:k", "1") == "OK"
    assert local(three.nodes[0], "GET", "sync:k") in (b"1", b"x")


def test_a_sync_is_seen_where_nothing_else_happens_U6(three):
    """One replica has no heartbeats, which would have it look."""
    create(three, "LOCAL ON received", *EVERYSEC, "REPLICAS", "1", name="single")
    with primary(three, "single").connect() as client:
        for i in range(3):
            began = time.monotonic()
            assert client.call("SET", "single:k", i) == "OK"
            assert client.call("WAITAOF", 1, 0, 8000) == [1, 0]
            assert time.monotonic() - began < 6
