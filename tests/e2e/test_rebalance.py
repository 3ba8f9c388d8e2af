"""Replicas that move (issue 5; rows U28, U46): to new nodes and zones, away from those that are
gone; online, with progress, a rate and a way to stop."""
import time

import pytest

from cluster import Cluster, wait_for
from keyspaces import KeyspaceClient, held, is_settled, places, planned, rebalance
from resp import Error, as_row, as_text
from test_members import GrowingCluster, grow, members, new_node, start_joined, wait_roles
from test_status import status as quorate_status


def with_a_fourth(cluster):
    node = new_node(cluster)
    start_joined(node)
    wait_roles(cluster.nodes[0], {1: "voter", 2: "voter", 3: "voter", 4: "voter"})
    return node


def test_a_new_node_gets_its_share_and_nothing_is_lost():
    with GrowingCluster(3) as cluster:
        grow(cluster)
        node = cluster.nodes[0]
        node.call("KEYSPACE", "CREATE", "spread", "STRATEGY", "raft", "PARTITIONS", "8")
        wait_for(lambda: is_settled(node, "spread", 3), "all partitions are there")
        client = KeyspaceClient(cluster, "spread")
        client.start()
        with_a_fourth(cluster)
        assert 4 not in held(node, "spread")  # only what is ordered moves
        plan = wait_for(lambda: planned(node), "the fourth is known to be up")
        assert {as_text(row["reason"]) for row in plan} <= {"balance", "lead"}
        assert any("4" in as_text(row["to"]).split(",") for row in plan)
        assert rebalance(node) == "OK"
        wait_for(lambda: as_text(rebalance(node, "STATUS")["balancing"]) == "no", "it is done", 30)
        assert is_settled(node, "spread", 3)
        assert sorted(held(node, "spread").values()) == [6, 6, 6, 6]
        assert not planned(node)
        client.finish()
        client.check()
        assert client.longest < 2


def test_a_keyspace_that_is_short_of_replicas_gets_them_when_nodes_come():
    with GrowingCluster(3) as cluster:
        node = cluster.nodes[0]
        node.call("KEYSPACE", "CREATE", "young", "STRATEGY", "raft", "PARTITIONS", "4")
        assert held(node, "young") == {1: 4}
        wait_for(lambda: rebalance(node, "STATUS")["stuck"] == 4, "it says that it is short")
        assert quorate_status(node)["moves"]["stuck"] == 4
        client = KeyspaceClient(cluster, "young")
        client.start()
        grow(cluster)
        wait_for(lambda: held(node, "young") == {1: 4, 2: 4, 3: 4}, "they are wished for", 20)
        wait_for(lambda: is_settled(node, "young", 3), "and there", 20)
        client.finish()
        client.check()


def test_a_rate_lets_one_move_at_a_time_and_cancel_turns_back():
    with GrowingCluster(3) as cluster:
        grow(cluster)
        node = cluster.nodes[0]
        node.call("KEYSPACE", "CREATE", "slow", "STRATEGY", "raft", "PARTITIONS", "8")
        with node.connect() as client:
            client.call("SELECT", "slow")
            for i in range(64):
                client.call("SET", f"k{i}", "x" * 10000)
        with_a_fourth(cluster)
        assert rebalance(node, "RATE", "1") == "OK"
        wait_for(lambda: 4 in held(node, "slow"), "the first one moves", 10)
        time_is_up = time.monotonic() + 1
        while time.monotonic() < time_is_up:
            status = rebalance(node, "STATUS")
            assert status["under_way"] <= 1 and status["rate"] == 1
            assert status["bytes_moved"] <= 320000
            assert held(node, "slow").get(4, 0) <= 1
        assert as_text(status["balancing"]) == "yes" and status["left"] > 0
        wait_for(lambda: rebalance(node, "STATUS")["bytes_left"] > 80000, "it is told what is left")
        shown = quorate_status(node)["moves"]
        assert shown["balancing"] and shown["rate"] == 1 and shown["left"] > 0
        wait_for(lambda: rebalance(node, "STATUS")["under_way"] == 0, "the first one has moved", 20)
        assert node.call("MEMBER", "DRAIN", "4") == "OK"
        assert rebalance(node, "CANCEL") == "OK, node 4 still drains (MEMBER DRAIN id CANCEL)"
        assert node.call("MEMBER", "DRAIN", "4", "CANCEL") == "OK"
        wait_for(lambda: rebalance(node, "STATUS")["under_way"] == 0, "nothing moves any more")
        assert as_text(rebalance(node, "STATUS")["balancing"]) == "no"
        assert held(node, "slow").get(4, 0) <= 1
        with pytest.raises(Error, match="^ERR a RATE is a number of bytes a second"):
            rebalance(node, "RATE", "fast")
        with pytest.raises(Error, match="^ERR syntax error"):
            rebalance(node, "NOW")


def test_a_rebalance_that_is_cancelled_leaves_nothing_behind():
    with GrowingCluster(3) as cluster:
        grow(cluster)
        node = cluster.nodes[0]
        node.call("KEYSPACE", "CREATE", "back", "STRATEGY", "raft", "PARTITIONS", "8")
        wait_for(lambda: is_settled(node, "back", 3), "all partitions are there")
        client = KeyspaceClient(cluster, "back")
        client.start()
        newcomer = with_a_fourth(cluster)
        wait_for(lambda: planned(node), "the fourth is known to be up")
        newcomer.pause()  # so that no move can end
        try:
            assert rebalance(node) == "OK"
            wait_for(lambda: rebalance(node, "STATUS")["under_way"] > 0, "some have begun")
            assert 4 in held(node, "back")
            assert rebalance(node, "CANCEL") == "OK"
            assert 4 not in held(node, "back")
            wait_for(lambda: rebalance(node, "STATUS")["under_way"] == 0, "they are back")
            assert is_settled(node, "back", 3)
        finally:
            newcomer.resume()
        wait_for(lambda: members(node)[4]["partitions"] == 0, "nothing is held there")
        wait_for(lambda: newcomer.info("keyspaces")["partitions_here"] == "1", "but group 0")
        client.finish()
        client.check()


def test_zones_keep_replicas_apart():
    with GrowingCluster(3) as cluster:
        grow(cluster)
        with_a_fourth(cluster)
        node = cluster.nodes[0]
        for number, zone in ((1, "east"), (2, "east"), (3, "west"), (4, "north")):
            assert node.call("MEMBER", "SET", str(number), "ZONE", zone) == "OK"
        assert [shown["zone"] for shown in quorate_status(node)["nodes"]] == [
            "east", "east", "west", "north"]
        node.call("KEYSPACE", "CREATE", "apart", "STRATEGY", "raft", "PARTITIONS", "6")
        for place in places(node, "apart"):
            nodes = set(as_text(place["nodes"]).split(","))
            assert {"3", "4"} < nodes and len(nodes) == 3
        with pytest.raises(Error, match="^ERR a zone has up to 31"):
            node.call("MEMBER", "SET", "1", "ZONE", "x" * 32)


def test_scenario_75_what_a_node_that_is_gone_had_is_made_anew():
    with GrowingCluster(3) as cluster:
        grow(cluster)
        gone = with_a_fourth(cluster)
        node = cluster.nodes[0]
        node.call("KEYSPACE", "CREATE", "hold", "STRATEGY", "raft", "PARTITIONS", "4")
        wait_for(lambda: is_settled(node, "hold", 3), "all partitions are there")
        client = KeyspaceClient(cluster, "hold")
        client.start()
        for other in cluster.nodes[:3]:
            other.call("CONFIG", "SET", "replace-after", "2")
        assert 4 in held(node, "hold")
        gone.kill()
        gone.process = None
        wait_for(lambda: 4 not in held(node, "hold"), "it is replaced", 20)
        wait_for(lambda: is_settled(node, "hold", 3), "its replicas are made anew", 20)
        client.finish()
        client.check()


def test_more_and_fewer_replicas_by_alter():
    with Cluster(3) as cluster:
        node = cluster.nodes[0]
        node.call("KEYSPACE", "CREATE", "size", "STRATEGY", "raft", "PARTITIONS", "4", "REPLICAS",
                  "1")
        client = KeyspaceClient(cluster, "size")
        client.start()
        for replicas in (3, 1):
            assert node.call("KEYSPACE", "ALTER", "size", "REPLICAS", str(replicas)) == "OK"
            wait_for(lambda n=replicas: sum(held(node, "size").values()) == 4 * n, "wished", 20)
            wait_for(lambda n=replicas: is_settled(node, "size", n), f"{replicas} of each", 20)
        client.finish()
        client.check()
        explained = as_row(node.call("KEYSPACE", "EXPLAIN", "size"))
        assert as_text(explained["failures-tolerated"]).startswith("0 ")
