"""STRATEGY primary when nodes end, stand still or lose their disks (L9 to L11, R3, R8;
docs/primary.md)."""
import shutil

import pytest

from cluster import Cluster, wait_for
from keyspaces import is_settled
from primaries import (another, attempt, create, discards, find_primary, judge, local, others,
                       place, primary, wait_equal, wait_writes, writing)
from resp import Error, as_text
from test_members import Joiner, start_joined


def commands(entries):
    return [entry["command"] for entry in entries if entry["command"]]


def come_anew(cluster, node):
    """kill -9, its directory is gone, and it joins under its old id."""
    at = cluster.nodes.index(node)
    node.kill()
    shutil.rmtree(node.directory)
    again = Joiner(cluster, node.number, node.port, node.peer_port, node.metrics_port)
    again.asked = [other for other in cluster.nodes if other is not node]
    again.id = node.number
    cluster.nodes[at] = again
    start_joined(again)
    return again


@pytest.mark.parametrize("ack", ["LOCAL", "ANY 1"])
def test_scenario_71_what_the_old_primary_alone_has_is_named_when_it_returns(ack):
    """Its followers stand still, and all are killed: with LOCAL it has acknowledged what nobody
    else has. Each such write is in its journal when it returns, and gone everywhere."""
    with Cluster(3) as cluster:
        create(cluster, ack)
        old = primary(cluster)
        for number in range(20):
            assert old.call("SET", f"cart:before:{number}", number) == "OK"
        wait_equal(cluster)
        followers = others(cluster)
        for node in followers:
            node.pause()
        with old.connect() as connection:
            for number in range(20):
                connection.send("SET", f"cart:tail:{number}", number)
            if ack == "LOCAL":
                assert [connection.read() for _ in range(20)] == ["OK"] * 20
            for node in followers:  # first, so that nothing of it leaves their sockets
                node.kill()
            old.kill()
        for node in followers:
            node.start()
        another(cluster, old)
        wait_writes(followers[0])
        assert followers[0].call("SET", "cart:after", "x") == "OK"
        old.start()
        wait_writes(old)
        assert len(wait_equal(cluster)) == 21
        tail = [[b"SET", b"cart:tail:%d" % i, b"%d" % i] for i in range(20)]
        if ack == "LOCAL":  # what it is asked before it has taken them back others answer
            wait_for(lambda: commands(discards(old)) == tail, "all of the tail is named")
        entries = [entry for entry in discards(old) if entry["command"]]
        assert commands(entries) == tail[:len(entries)]
        for entry in entries:
            assert as_text(entry["state"]) == "discarded", entry
            assert as_text(entry["reason"]) in ("rolled-back", "began-anew"), entry
            assert as_text(entry["acknowledged"]) in ("maybe", "yes"), entry
            assert entry["lost-to"] > entry["term"]
        for node in followers:
            assert discards(node) == []


def test_scenario_73_a_primary_that_stood_still_answers_no_stale_read():
    """What was asked of it before it went on, and while it went on, shows what was acknowledged by
    its successor, or is an error."""
    with Cluster(3) as cluster:
        create(cluster, "ANY 1")
        old = primary(cluster)
        assert old.call("SET", "cart:k", "old") == "OK"
        connections = [old.connect(timeout=30.0) for _ in range(20)]
        for connection in connections[:10]:
            assert connection.call("GET", "cart:k") == b"old"
        old.pause()
        for connection in connections:  # they wait in its sockets
            connection.send("GET", "cart:k")
            connection.send("SET", "cart:late", "x")
            connection.send("GET", "cart:k")
        new = another(cluster, old)
        node = [node for node in cluster.alive() if node is not new][0]
        wait_writes(node)
        assert node.call("SET", "cart:k", "new") == "OK"
        old.resume()
        for connection in connections:
            for reply in (connection.read(), connection.read(), connection.read()):
                assert reply in (b"new", "OK") or isinstance(reply, Error), reply
            connection.close()
        wait_writes(old)
        assert old.call("GET", "cart:k") == b"new"
        wait_equal(cluster)


@pytest.mark.parametrize("ack", ["ANY 1", "ANY 2", "ALL"])
def test_scenario_71_too_few_followers_is_said_before_anything_is_executed(ack):
    with Cluster(5) as cluster:
        create(cluster, ack, "REPLICAS", "3")
        old = primary(cluster)
        row = place(old)
        numbers = [int(number) for number in row["nodes"].split(",")]
        followers = [cluster.nodes[n - 1] for n in numbers if n != old.number]
        gone = followers if ack == "ANY 1" else followers[:1]
        assert old.call("SET", "cart:count", "5") == "OK"
        for node in gone:
            node.kill()

        def says_so():
            reply = attempt(old, "INCR", "cart:other")
            return isinstance(reply, Error) and reply.kind() == "NOREPLICAS"
        wait_for(says_so, "-NOREPLICAS")
        for _ in range(50):
            with pytest.raises(Error, match="NOREPLICAS"):
                old.call("INCR", "cart:count")
        if find_primary(cluster) is old:  # reads go on
            assert old.call("GET", "cart:count") == b"5"
        for node in gone:
            node.start()
        wait_writes(old)
        assert old.call("GET", "cart:count") == b"5"
        assert old.call("INCR", "cart:count") == 6


@pytest.mark.parametrize("ack", ["LOCAL", "ANY 1", "ALL"])
def test_a_wiped_follower_is_rebuilt(ack):
    with Cluster(3) as cluster:
        create(cluster, ack)
        wiped = others(cluster)[0]
        with writing(cluster, nodes=[n for n in cluster.nodes if n is not wiped]) as writers:
            for writer in writers:
                writer.wait_more(100)
            wiped = come_anew(cluster, wiped)
            wait_writes(wiped)
            for writer in writers:
                writer.wait_more(50)
        judge(cluster, writers)
        for key in list(writers[0].done)[:50]:
            assert local(wiped, "GET", key) is not None


def test_scenario_75_the_disks_of_all_are_lost_one_after_the_other():
    """More than ANY 1 bears at once; but each member has all of it again before the next is lost,
    and a node that does not is never chosen."""
    with Cluster(3) as cluster:
        create(cluster, "ANY 1")
        with writing(cluster) as writers:
            for at in range(3):
                for writer in writers:
                    writer.wait_more(50)
                again = come_anew(cluster, cluster.nodes[at])
                wait_writes(again)
                wait_for(lambda: is_settled(again, "cart", 3), "three members have it again", 30)
        judge(cluster, writers)


def test_a_wiped_primary_is_followed_by_another_and_rebuilt():
    with Cluster(3) as cluster:
        create(cluster, "ANY 1")
        with writing(cluster) as writers:
            for writer in writers:
                writer.wait_more(100)
            old = primary(cluster)
            old = come_anew(cluster, old)
            wait_writes(old)
            for writer in writers:
                writer.wait_more(50)
        judge(cluster, writers)
