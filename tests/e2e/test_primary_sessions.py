"""Sessions in keyspaces with STRATEGY primary (features D5, G7; docs/sessions.md): members that are
behind, a new primary, and histories whose end was lost."""
import pytest

import behind
from cluster import Cluster, wait_for
from links import LinkedNode, Links
from primaries import (another, attempt, create, local, others, place, primary, try_local,
                       wait_writes)
from resp import Error

LOST = "^SESSIONLOST "


@pytest.fixture(scope="module")
def three():
    with behind.cluster(3) as cluster:
        create(cluster, "ANY 1", name="any")
        create(cluster, "LOCAL", "LOG", "statement", name="alone")
        yield cluster


def session(client, *words):
    """The answer, the node that gave it, and the token that goes on."""
    reply, meta = client.call("WITH", 3, "READ", "session", "META", *words)
    meta = dict(zip(meta[::2], meta[1::2]))
    return reply, meta[b"replica"], meta[b"session"]


@pytest.mark.parametrize("name", ["any", "alone"])
def test_a_member_that_has_come_so_far_answers_and_another_does_not_G7(three, name):
    leads, (first, second) = primary(three, name), others(three, name)
    key = f"{name}:mine"
    with first.connect() as client:
        for number in range(100):
            assert client.call("SET", key, number) == "OK"
            assert session(client, "GET", key)[0] == b"%d" % number
        wait_for(lambda: session(client, "GET", key)[1] == first.number, "it answers by itself")
        with behind.held(first):
            assert client.call("SET", key, "x") == "OK"
            assert session(client, "GET", key)[:2] == (b"x", leads.number)
            token = client.call("SESSION", "TOKEN")
            wait_for(lambda: second.call("WITH", 2, "READ", "local", "GET", key) == b"x", "there")
            with second.connect() as other:
                assert other.call("SESSION", "USE", token) == "OK"
                assert session(other, "GET", key)[:2] == (b"x", second.number)
            with first.connect() as fresh:  # that has seen nothing
                assert session(fresh, "GET", key)[:2] == (b"99", first.number)
                assert fresh.call("WITH", 2, "SESSION", token, "GET", key) == b"x"


def test_a_session_lives_through_another_primary_that_has_all_G7(three):
    leads, follow = primary(three, "alone"), others(three, "alone")
    with follow[0].connect() as client:
        for number in range(4):
            assert client.call("SET", "alone:way", number) == "OK"
            wait_for(lambda: attempt(follow[0], "KEYSPACE", "FAILOVER", "alone") == "OK", "moved")
            wait_writes(follow[0], "alone")
            assert session(client, "GET", "alone:way")[0] == b"%d" % number
    assert place(leads, "alone")["term"]


@pytest.mark.parametrize("log", ["statement", "logical"])
def test_what_a_lost_primary_alone_had_is_lost_to_its_sessions_U3(log):
    with Cluster(3, start=False) as cluster:
        links = LinkedNode.links = Links(cluster.nodes)
        try:
            for node in cluster.nodes:
                node.__class__ = LinkedNode
            cluster.start()
            create(cluster, "LOCAL", "LOG", log)
            lose_and_look(cluster, links)
        finally:
            links.close()


def lose_and_look(cluster, links):
    leads, follow = primary(cluster), others(cluster)
    with leads.connect() as client:
        assert client.call("SET", "cart:kept", 2) == "OK"
        kept = client.call("SESSION", "TOKEN")
        for node in follow:
            wait_for(lambda node=node: local(node, "GET", "cart:kept") == b"2", "all have it")
        links.isolate(leads.number)
        assert client.call("SET", "cart:gone", 1) == "OK"  # while it holds its lease
        gone = client.call("SESSION", "TOKEN")
    leads.kill()
    links.heal()
    new = another(cluster, leads, 40)
    wait_writes(new)
    assert new.call("SET", "cart:new", 1) == "OK"
    for node in follow:  # what was kept is there, what is gone is told
        assert node.call("WITH", 2, "SESSION", kept, "GET", "cart:kept") == b"2"
        with pytest.raises(Error, match=LOST):
            node.call("WITH", 2, "SESSION", gone, "GET", "cart:gone")
    with follow[0].connect() as client:
        client.call("SESSION", "USE", gone)
        assert client.call("SET", "cart:new", 2) == "OK"  # which does not make good for it
        for _ in range(2):
            with pytest.raises(Error, match=LOST):
                client.call("WITH", 2, "READ", "session", "GET", "cart:new")
        client.call("SESSION", "RESET")
        assert client.call("SET", "cart:new", 3) == "OK"
        value, _, _ = session(client, "GET", "cart:new")
        assert value == b"3"
        token = client.call("SESSION", "TOKEN")
        assert follow[1].call("WITH", 2, "SESSION", token, "GET", "cart:new") == b"3"
    leads.start()  # it takes back what it alone had, and knows of the loss
    wait_for(lambda: try_local(leads, "GET", "cart:new") == b"3", "it follows", 60)
    assert local(leads, "GET", "cart:gone") is None
    with pytest.raises(Error, match=LOST):
        leads.call("WITH", 2, "SESSION", gone, "GET", "cart:gone")
    assert leads.call("WITH", 2, "SESSION", kept, "GET", "cart:kept") == b"2"
