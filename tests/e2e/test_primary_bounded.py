"""Reads within a bound, and linearizable ones, at members of keyspaces with STRATEGY primary that
do not lead: by the primary's word (features D2, G11; docs/levels/bounded.md)."""
import time

import pytest

import behind
from cluster import CALM, Cluster, wait_for
from links import LinkedNode, Links
from primaries import create, others, primary
from resp import Error


@pytest.fixture(scope="module")
def three():
    with behind.cluster(3, CALM) as cluster:
        create(cluster, "ANY 1", name="any")
        create(cluster, "LOCAL", "LOG", "statement", name="alone")
        yield cluster


def at(node, level, *words, timeout_ms=4000):
    """The answer, and the node that gave it."""
    reply, meta = node.call("WITH", 5, "READ", level, "TIMEOUT", timeout_ms, "META", *words)
    meta = dict(zip(meta[::2], meta[1::2]))
    return reply, meta[b"replica"]


def asked(node):
    return int(node.info()["read_indexes_asked"])


@pytest.mark.parametrize("name", ["any", "alone"])
def test_a_member_answers_what_is_fresh_enough_by_itself_G11(three, name):
    leads, follow = primary(three, name), others(three, name)[0]
    leads.call("SET", f"{name}:own", 1)
    wait_for(lambda: at(follow, "bounded:5000", "GET", f"{name}:own") == (b"1", follow.number),
             "it has asked once")
    before = asked(follow)
    for _ in range(50):
        assert at(follow, "bounded:5000", "GET", f"{name}:own") == (b"1", follow.number)
    assert asked(follow) <= before + 2
    assert at(leads, "bounded:5000", "GET", f"{name}:own") == (b"1", leads.number)


@pytest.mark.parametrize("name", ["any", "alone"])
def test_what_is_older_than_the_bound_is_the_primarys_to_answer_G11(three, name):
    leads, follow = primary(three, name), others(three, name)[0]
    key = f"{name}:held"
    leads.call("SET", key, 1)
    wait_for(lambda: at(follow, "bounded:60000", "GET", key) == (b"1", follow.number), "asked")
    with behind.held(follow):
        assert follow.call("SET", key, 2) == "OK"
        written = time.monotonic()
        assert at(follow, "bounded:60000", "GET", key) == (b"1", follow.number)
        while time.monotonic() - written < 1:
            began = time.monotonic()
            value, _ = at(follow, "bounded:300", "GET", key)
            assert value == b"2" or began - written <= 0.3, (value, began - written)
        assert at(follow, "bounded:300", "GET", key) == (b"2", leads.number)
        for number in range(3, 6):
            assert follow.call("SET", key, number) == "OK"
        assert at(follow, "bounded:1000ops", "GET", key) == (b"1", follow.number)
        assert at(follow, "bounded:1ops", "GET", key) == (b"5", leads.number)
    wait_for(lambda: at(follow, "bounded:1ops", "GET", key) == (b"5", follow.number),
             "it answers by itself again")


def test_linearizable_reads_are_answered_where_they_arrive_by_index(three):
    leads, follow = primary(three, "any"), others(three, "any")
    leads.call("SET", "any:line", "")
    for node in follow:  # until its log is known to be the primary's that one answers
        wait_for(lambda node=node: at(node, "linearizable", "GET", "any:line")[1] == node.number,
                 "it answers by itself")
    for number in range(50):
        assert leads.call("SET", "any:line", number) == "OK"
        for node in follow:
            assert at(node, "linearizable", "GET", "any:line") == (b"%d" % number, node.number)


def test_who_is_cut_off_says_how_old_its_state_is_U3():
    with Cluster(3, CALM, start=False) as cluster:
        links = LinkedNode.links = Links(cluster.nodes)
        try:
            for node in cluster.nodes:
                node.__class__ = LinkedNode
            cluster.start()
            create(cluster, "LOCAL")
            follow = others(cluster)[0]
            follow.call("SET", "cart:cut", 1)
            own = (b"1", follow.number)
            wait_for(lambda: at(follow, "bounded:60000", "GET", "cart:cut") == own, "asked")
            links.isolate(follow.number)
            primary(cluster).call("SET", "cart:cut", 2)
            written = time.monotonic()
            with follow.connect() as client:
                client.call("SELECT", "cart")
                client.call("CONSISTENCY", "READ", "bounded:300", "TIMEOUT", 500)
                refused = None
                while refused is None:
                    assert time.monotonic() - written < 20
                    began = time.monotonic()
                    try:
                        value = client.call("GET", "cart:cut")
                        assert value == b"1" and began - written <= 0.3, (value, began - written)
                    except Error as error:
                        refused = str(error)
            assert refused.startswith("STALE ") and int(refused.split()[1]) >= 300, refused
            links.heal()
            wait_for(lambda: at(follow, "bounded:300", "GET", "cart:cut")[0] == b"2", "it hears")
        finally:
            links.close()
