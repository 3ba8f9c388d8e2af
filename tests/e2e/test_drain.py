"""A node is drained under load and removed: no request of a client that tries again fails (issue 5,
must reach; scenarios 27, 33)."""
import pytest

from cluster import PATIENCE, Cluster, wait_for
from keyspaces import KeyspaceClient, held, is_settled, rebalance
from resp import Error, as_text
from test_members import (GrowingCluster, Retrier, grow, members, new_node, start_joined,
                          wait_roles)


def test_a_node_is_drained_under_load_and_removed():
    with GrowingCluster(3) as cluster:
        grow(cluster)
        start_joined(new_node(cluster))
        wait_roles(cluster.nodes[0], {number: "voter" for number in (1, 2, 3, 4)})
        node = cluster.nodes[0]
        node.call("KEYSPACE", "CREATE", "busy", "STRATEGY", "raft", "PARTITIONS", "8")
        wait_for(lambda: is_settled(node, "busy", 3), "all partitions are there")
        clients = [KeyspaceClient(cluster, "busy") for _ in range(3)] + [Retrier(cluster, "zero")]
        for client in clients:
            client.start()
        victim = cluster.nodes[1]
        assert victim.number in held(node, "busy")
        with pytest.raises(Error, match=f"^UNSAFE node {victim.number} holds replicas of .*DRAIN"):
            node.call("MEMBER", "REMOVE", str(victim.number))
        assert node.call("MEMBER", "DRAIN", str(victim.number)) == "OK"
        assert as_text(members(node)[victim.number]["draining"]) == "yes"
        wait_for(lambda: members(node)[victim.number]["partitions"] == 0, "it is drained", 40)
        assert is_settled(node, "busy", 3) and victim.number not in held(node, "busy")
        assert node.call("MEMBER", "REMOVE", str(victim.number)) == "OK"
        wait_for(lambda: victim.info("raft")["raft_removed"] == "1", "it knows")
        for client in clients[:3]:
            client.finish()
            client.check()
            assert client.longest < 2 * PATIENCE, client.longest
        clients[3].finish(node)


def test_a_drain_without_room_is_refused_and_one_can_be_called_off():
    with Cluster(3) as cluster:
        node = cluster.followers()[0]
        node.call("KEYSPACE", "CREATE", "full", "STRATEGY", "raft", "PARTITIONS", "2")
        with pytest.raises(Error, match="^UNSAFE without node 3 there are 2 nodes for keyspace 'f"):
            node.call("MEMBER", "DRAIN", "3")
        assert not any(as_text(row["draining"]) == "yes" for row in members(node).values())
        with pytest.raises(Error, match="^ERR there is no member with that id"):
            node.call("MEMBER", "DRAIN", "9")
        with pytest.raises(Error, match="^ERR syntax error"):
            node.call("MEMBER", "DRAIN", "3", "SLOWLY")
        assert node.call("KEYSPACE", "ALTER", "full", "REPLICAS", "2") == "OK"
        assert node.call("MEMBER", "DRAIN", "3") == "OK"  # also before that is carried out
        wait_for(lambda: is_settled(node, "full", 2), "two of each", 20)
        wait_for(lambda: members(node)[3]["partitions"] == 0, "it is drained", 20)
        assert node.call("MEMBER", "DRAIN", "3", "CANCEL") == "OK"
        assert as_text(members(node)[3]["draining"]) == "no"
        assert node.call("KEYSPACE", "ALTER", "full", "REPLICAS", "3") == "OK"
        wait_for(lambda: is_settled(node, "full", 3), "three of each again", 20)
        assert rebalance(node, "STATUS")["stuck"] == 0
