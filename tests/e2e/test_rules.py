"""What nodes go by where a request says nothing, while some are cut off or stand still (U3,
scenario 69, decision 051): when a change of it is answered OK, no node goes by what was before."""
import contextlib
import time

import pytest

from cluster import CALM, Cluster, wait_for
from keyspaces import places
from links import LinkedNode, Links
from resp import Error, as_row, as_text

LEASE = 4  # seconds: as group 0 counts (cluster/coverage.h)


@contextlib.contextmanager
def linked(size):
    cluster = Cluster(size, CALM, start=False)
    cluster.nodes = [LinkedNode(cluster, n.number, n.port, n.peer_port, n.metrics_port)
                     for n in cluster.nodes]
    links = Links(cluster.nodes)
    for node in cluster.nodes:
        node.links = links
    with contextlib.ExitStack() as stack:
        stack.callback(links.close)
        stack.enter_context(cluster)
        cluster.start()
        yield cluster, links


def knows(node):
    return node.info()["rules_known"] == "1"


def altered(node, *words):
    """Returns how long it took."""
    began = time.monotonic()
    assert node.call("KEYSPACE", "ALTER", *words, timeout=20) == "OK"
    return time.monotonic() - began


def heard(client, *words):
    try:
        return client.call(*words)
    except Error as error:
        return str(error)


def test_scenario_69_a_node_that_is_cut_off_reads_at_no_level_that_was_given_up_U3():
    with linked(3) as (cluster, links):
        leader, away = cluster.leader(), cluster.followers()[0]
        altered(leader, "default", "READ", "local")
        assert leader.call("SET", "k", "before") == "OK"
        cluster.wait_applied()
        with away.connect(timeout=30) as client:
            assert client.call("GET", "k") == b"before"
            links.isolate(away.number)
            assert altered(leader, "default", "READ", "linearizable") < 3 * LEASE
            assert leader.call("SET", "k", "after") == "OK"
            assert heard(client, "WITH", 2, "TIMEOUT", 300, "GET", "k").startswith("TRYAGAIN ")
            assert not knows(away)
            assert client.call("WITH", 2, "READ", "local", "GET", "k") == b"before"
            wait_for(lambda: altered(leader, "default", "READ", "leader") < LEASE / 2,
                     "who is long gone is not waited for")
            links.heal()
            wait_for(lambda: heard(client, "GET", "k") == b"after", "it is back")


def test_scenario_69_a_node_that_stood_still_goes_by_nothing_that_was_given_up_U3():
    """What it was asked meanwhile it may find before it hears of anything."""
    with Cluster(3, CALM) as cluster:
        leader, away = cluster.leader(), cluster.followers()[0]
        altered(leader, "default", "READ", "local")
        assert leader.call("SET", "k", "before") == "OK"
        cluster.wait_applied()
        with away.connect(timeout=30) as client:
            assert client.call("GET", "k") == b"before"
            away.pause()
            try:
                altered(leader, "default", "READ", "linearizable", "IDMP-DURATION", 700)
                assert leader.call("SET", "k", "after") == "OK"
                client.send("GET", "k")
            finally:
                away.resume()
            assert client.read() == b"after"


def test_an_order_that_was_decided_and_lost_its_leader_is_not_called_undecided():
    """It waits for a node that stands still, and its leader dies."""
    with Cluster(3, CALM) as cluster:
        leader, (asked, away) = cluster.leader(), cluster.followers()
        with asked.connect(timeout=30) as client:
            away.pause()
            try:
                client.send("KEYSPACE", "ALTER", "default", "READ", "local")
                wait_for(lambda: as_text(as_row(asked.call("KEYSPACE", "INFO", "default"))["read"])
                         == "local", "a majority has it")
                leader.kill()
                error = str(client.read())
                assert error.startswith("UNCERTAIN leadership ended, perhaps before"), error
                assert "the same order again" in error
            finally:
                away.resume()
            assert altered(asked, "default", "READ", "local") < 3 * LEASE


def test_a_partition_without_group_0_goes_on_for_those_who_say_what_they_need():
    """Two of three replicas, and two of five voters of group 0."""
    with linked(5) as (cluster, links):
        first = cluster.nodes[0]
        assert first.call("KEYSPACE", "CREATE", "cart", "STRATEGY", "raft", timeout=20) == "OK"
        here = [int(n) for n in as_text(places(first, "cart")[0]["nodes"]).split(",")][:2]
        there = [n for n in cluster.nodes if n.number not in here]
        node = cluster.nodes[here[0] - 1]
        with node.connect(timeout=30) as client:
            assert client.call("SELECT", "cart") == "OK"
            assert client.call("SET", "k", "1") == "OK"
            for other in there:
                links.cut([(other.number, n) for n in here] + [(n, other.number) for n in here])
            wait_for(lambda: not knows(node), "it does not know them any more")
            wait_for(lambda: heard(client, "GET", "k") == b"1", "the partition has a leader")
            began = time.monotonic()
            refused = heard(client, "SET", "k", "2")
            assert refused.startswith("CLUSTERDOWN this node has not heard from group 0"), refused
            assert "not applied" in refused and 1.5 < time.monotonic() - began < 6
            late = heard(client, "WITH", 5, "TIMEOUT", 300, "IDMP", "p", "1", "INCR", "k")
            assert late.startswith("TRYAGAIN not applied, its TIMEOUT"), late
            assert client.call("WITH", 2, "ACK", "MAJORITY", "INCR", "k") == 2
            assert client.call("CONSISTENCY", "ACK", "MAJORITY") == "OK"
            assert client.call("INCR", "k") == 3
            assert client.call("CONSISTENCY", "RESET") == "OK"
            with pytest.raises(Error, match="^UNCERTAIN .* does not know the zones by now"):
                client.call("WITH", 4, "ACK", "EACH zone", "TIMEOUT", 500, "INCR", "k")
            wait_for(lambda: knows(there[0]), "the others have a leader")
            altered(there[0], "cart", "ACK", "EACH zone")
            links.heal()
            wait_for(lambda: heard(client, "SET", "k", "5") == "OK", "it is back")
