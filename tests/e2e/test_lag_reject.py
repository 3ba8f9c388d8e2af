"""LAGGING REJECT: a follower that is behind by more than MAXLAG refuses reads that it would answer
by itself, until it is within (feature L12, ask U22; docs/primary.md). It finds out by itself."""
import time

import pytest

import behind
from cluster import Cluster, wait_for
from primaries import attempt, create, local, primary
from resp import Error, as_text

REFUSED = r"^STALE (-1|\d+) this replica is behind by more than MAXLAG and answers no reads until"
# Whose keys those with a prefix are, who is cut off does not know for long.
READ_THERE = ("WITH", 6, "READ", "local", "KS", "cart", "TIMEOUT", "300")
TURN_MS = 250  # of a machine that is busy: an answer at once takes no longer


def options(node):
    row = node.call("KEYSPACE", "INFO", "cart")
    return as_text(dict(zip(row[::2], row[1::2]))[b"options"])


def replica_of(node, *words, level="local"):
    """Whose state a read shows."""
    reply = node.call("WITH", 3, "READ", level, "META", *words)
    return dict(zip(reply[1][::2], reply[1][1::2]))[b"replica"]


def answers(node, level="local"):
    """It shows its own state; the first read after a pause may be the primary's."""
    def own():
        try:
            return replica_of(node, "GET", "cart:a", level=level) == node.number
        except Error:
            return False
    wait_for(own, f"node {node.number} answers reads by itself")


def refuses(node, level="local"):
    error = wait_for(lambda: isinstance(e := attempt(
        node, "WITH", 2, "READ", level, "GET", "cart:a"), Error) and e, "it refuses")
    assert str(error).startswith("STALE "), error
    return error


@pytest.fixture(scope="module", params=["1s", "50ops"])
def three(request):
    with behind.cluster(3) as cluster:
        create(cluster, "ANY 1", "MAXLAG", request.param)
        cluster.maxlag = request.param
        yield cluster


def test_maxlag_alone_means_reject(three):
    assert f"MAXLAG {three.maxlag}" in options(three.nodes[0])
    assert "LAGGING" not in options(three.nodes[0])


@pytest.mark.parametrize("level", ["local", "prefix", "bounded:60000"])
def test_who_is_behind_refuses_at_once_until_it_is_within(three, level):
    leads = primary(three)
    slow, other = [node for node in three.nodes if node is not leads]
    assert leads.call("SET", "cart:a", "1") == "OK"
    answers(slow, level)
    with behind.held(slow):
        with leads.connect() as connection:
            for number in range(200):
                connection.send("SET", "cart:a", number)
            begun = time.monotonic()
            assert [connection.read() for _ in range(200)] == ["OK"] * 200  # and nobody waits
        refuses(slow, level)
        if three.maxlag == "1s":
            assert time.monotonic() - begun >= 0.4  # what it last asked for was new enough
        for _ in range(20):
            asked = time.monotonic()
            with pytest.raises(Error, match=REFUSED):
                slow.call("WITH", 2, "READ", level, "GET", "cart:a")
            assert time.monotonic() - asked < TURN_MS / 1000
            time.sleep(0.01)
        assert slow.call("GET", "cart:a") == b"199"  # the primary answers as ever
        answers(other, level)
    answers(slow, level)
    assert local(slow, "GET", "cart:a") == b"199"


def test_who_is_cut_off_refuses_and_shows_nothing_old(three):
    leads = primary(three)
    alone = next(node for node in three.nodes if node is not leads)
    answers(alone)
    others = [node for node in three.nodes if node is not alone]
    for node in others:
        node.pause()
    paused = time.monotonic()
    try:
        error = None
        while time.monotonic() - paused < 8 and error is None:
            asked = time.monotonic()
            reply = attempt(alone, *READ_THERE, "GET", "cart:a")
            if isinstance(reply, Error):
                error = reply
            else:
                assert asked - paused <= 1.0 + TURN_MS / 1000, "older than MAXLAG"
        assert str(error).startswith("STALE "), error
        wait_for(lambda: "behind by more than MAXLAG" in str(
            attempt(alone, *READ_THERE, "GET", "cart:a")), "it says why")
    finally:
        for node in others:
            node.resume()
    answers(alone)


def test_an_idle_follower_answers_and_is_not_taken_for_behind(three):
    follower = next(node for node in three.nodes if node is not primary(three))
    for _ in range(3):
        time.sleep(1.2)  # beyond what it knew
        for _ in range(10):
            assert follower.call("WITH", 2, "READ", "local", "GET", "cart:a") is not None


def test_who_stood_still_shows_nothing_old_when_it_goes_on():
    with Cluster(3) as cluster:
        create(cluster, "LOCAL", "MAXLAG", "300ms")
        leads = primary(cluster)
        slow = next(node for node in cluster.nodes if node is not leads)
        assert leads.call("SET", "cart:a", "old") == "OK"
        answers(slow)
        with slow.connect() as connection:
            slow.pause()
            assert leads.call("SET", "cart:a", "new") == "OK"
            time.sleep(1)
            for _ in range(5):
                connection.send("WITH", 2, "READ", "local", "GET", "cart:a")
            slow.resume()
            for _ in range(5):
                try:
                    assert connection.read() == b"new"
                except Error as error:
                    assert str(error).startswith("STALE "), error


def test_a_follower_cannot_tell_bytes():
    with Cluster(3) as cluster:
        node = cluster.nodes[0]
        create_it = ("KEYSPACE", "CREATE", "cart", "STRATEGY", "primary", "MAXLAG", "64mb")
        with pytest.raises(Error, match="^ERR LAGGING REJECT wants MAXLAG as a time or in oper"):
            node.call(*create_it)
        assert node.call(*create_it, "LAGGING", "STALL") == "OK"
        with pytest.raises(Error, match="^ERR LAGGING REJECT wants MAXLAG as a time or in oper"):
            node.call("KEYSPACE", "ALTER", "cart", "LAGGING", "REJECT")
        assert node.call("KEYSPACE", "ALTER", "cart", "LAGGING", "REJECT", "MAXLAG", "1s") == "OK"
        assert "MAXLAG 1s LAGGING REJECT" in options(node)
