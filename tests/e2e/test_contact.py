"""Which nodes are up, and leases with group 0, among real processes (design 4, decision 032)."""
import os
import struct
import time

import pytest

from cluster import CALM, Cluster, wait_for
from keyspaces import places

SHIM = os.environ.get("QUORATE_FAULT_SHIM", "")


def field(node, name):
    info = node.try_info("quorate")
    return int(info[name]) if info else None


def all_hold(cluster):
    wait_for(lambda: all(field(node, "lease_held") == 1 for node in cluster.alive()),
             "every node holds its lease")


def test_a_stopped_node_is_silent_although_it_is_connected():
    """Scenario 4: SIGSTOP closes no connection; the others notice the silence, once.
    Nobody else is silent for so long, however busy the machine is."""
    with Cluster(3, CALM) as cluster:
        quiet = cluster.followers()[0]
        others = [node for node in cluster.nodes if node is not quiet]
        lost = [int(node.info()["peer_reconnects"]) for node in others]
        quiet.pause()
        for node in others:
            wait_for(lambda node=node: field(node, "peers_silent") == 1, "it is missed")
            assert field(node, "peers_up") == 1
        quiet.resume()
        for node in cluster.nodes:
            wait_for(lambda node=node: field(node, "peers_up") == 2, "it is heard again")
        assert [int(node.info()["peer_reconnects"]) for node in others] == lost
        assert all(field(node, "peers_fell_silent") == 1 for node in others)


def believed(node, other):
    """What it believes of the other node, and how good that was (INFO detector)."""
    for name, value in node.info("detector").items():
        fields = dict(pair.split("=") for pair in value.split(",") if "=" in pair)
        if name.startswith("detector") and fields.get("id") == str(other.number):
            return fields
    raise AssertionError(f"nothing of node {other.number}")


@pytest.mark.parametrize("detector", ["ping", "phi"])
def test_a_stopped_node_is_silent_for_every_failure_detector_F1_F3(detector):
    options = ["--failure-detector", detector, "--node-timeout-ms", "1500",
               "--phi-deviation-ms", "100"]
    with Cluster(3, CALM + options) as cluster:
        quiet = cluster.followers()[0]
        others = [node for node in cluster.nodes if node is not quiet]
        if detector == "phi":
            for node in others:
                wait_for(lambda node=node: int(believed(node, quiet)["timeout_ms"]) < 1500,
                         "it knows how silent the others are")
        quiet.pause()
        for node in others:
            assert node.info("detector")["failure_detector"] == detector
            wait_for(lambda node=node: believed(node, quiet)["state"] == "silent", "it is missed")
        quiet.resume()
        for node in others:
            wait_for(lambda node=node: believed(node, quiet)["state"] == "trusted", "it is back")


def test_what_was_suspected_is_compared_with_what_was_so_F4():
    with Cluster(3, CALM) as cluster:
        all_hold(cluster)
        leader, victim = cluster.leader(), cluster.followers()[0]
        victim.pause()
        wait_for(lambda: believed(leader, victim)["state"] == "silent", "it is suspected")
        victim.resume()
        wait_for(lambda: believed(leader, victim)["mistakes"] == "1", "wrongly")
        seen = believed(leader, victim)
        assert (seen["silent"], seen["closed"], seen["failures"]) == ("1", "0", "0")
        assert float(seen["mistake_ms"]) > 0 and float(seen["mistakes_per_hour"]) > 0
        assert float(seen["accuracy"]) < 1 and seen["completeness"] == "1.0000"
        victim.kill()
        wait_for(lambda: believed(leader, victim)["state"] == "closed", "it is suspected at once")
        victim.start()
        wait_for(lambda: believed(leader, victim)["failures"] == "1", "another process came")
        seen = believed(leader, victim)
        assert (seen["closed"], seen["missed"], seen["mistakes"]) == ("1", "0", "1")
        assert seen["completeness"] == "1.0000"
        assert 0 <= float(seen["detection_ms"]) < 1000
        assert cluster.leader() is leader
        leader.call("CONFIG", "RESETSTAT")
        seen = believed(leader, victim)
        assert (seen["state"], seen["silent"], seen["mistakes"]) == ("trusted", "0", "0")


def test_idle_nodes_stay_in_contact():
    """Two followers have nothing to say to each other: they beat."""
    with Cluster(3, CALM) as cluster:
        a, b = cluster.followers()
        until = time.monotonic() + 2.5  # without beats they are silent after 1.5 s
        while time.monotonic() < until:
            assert field(a, "peers_up") == 2 and field(b, "peers_up") == 2
        assert field(a, "peers_fell_silent") == 0 and field(b, "peers_fell_silent") == 0


def test_a_lease_is_gone_for_group_0_after_it_is_gone_for_its_holder():
    with Cluster(3, CALM) as cluster:
        all_hold(cluster)
        leader, stopped = cluster.leader(), cluster.followers()[0]
        assert field(leader, "leases_gone") == 0
        began = time.monotonic()
        stopped.pause()
        wait_for(lambda: field(leader, "leases_gone") == 1, "its lease is gone")
        assert time.monotonic() - began > 0.9  # 1.2 s from the last renewal
        stopped.resume()
        wait_for(lambda: field(leader, "leases_gone") == 0, "it is renewed")
        wait_for(lambda: field(stopped, "lease_held") == 1, "it holds it again")


def test_without_a_majority_nobody_holds_a_lease():
    with Cluster(3) as cluster:
        all_hold(cluster)
        alone = cluster.leader()
        for node in cluster.nodes:
            if node is not alone:
                node.kill()
        wait_for(lambda: field(alone, "peers_up") == 0, "it knows that it is alone")
        granted = field(alone, "leases_granted")
        wait_for(lambda: field(alone, "lease_held") == 0, "nobody grants it any more")
        assert field(alone, "leases_granted") == granted, "not even the leader that it was"
        assert field(alone, "lease_left_ms") == 0
        cluster.start()
        all_hold(cluster)


def test_a_new_leader_counts_every_lease_from_its_own_first_commit():
    with Cluster(3, CALM) as cluster:
        all_hold(cluster)
        dead = cluster.leader()
        began = time.monotonic()
        dead.kill()
        leader = cluster.leader()
        wait_for(lambda: field(leader, "leases_gone") == 1, "the dead node's lease is gone")
        assert time.monotonic() - began > 1.2
        all_hold(cluster)


# --- Wall clocks ---------------------------------------------------------------------------------

def set_wall(node, seconds):
    """How far its wall clock is off, from now on."""
    path = os.path.join(node.cluster.directory, f"wall-{node.number}")
    file = os.open(path, os.O_WRONLY | os.O_CREAT)  # the node has it mapped: never cut it
    os.pwrite(file, struct.pack("<q", seconds), 0)
    os.close(file)
    node.environment = {"LD_PRELOAD": SHIM, "FAULT_WALL": path}


def leaders(node):
    return [place["leader"] for place in places(node, "timed")]


def test_a_node_whose_clock_is_off_leads_no_partition_W4():
    """Partitions that rest hear of no clock; one that such a node leads would take its time, and
    with it all keys that are to expire within the hour that it is off."""
    with Cluster(3, start=False) as cluster:
        for node in cluster.nodes:
            set_wall(node, 0)
        cluster.start()
        off, other = cluster.followers()
        right = cluster.leader()
        assert right.call("KEYSPACE", "CREATE", "timed", "STRATEGY", "raft", "PARTITIONS", "6",
                          timeout=20) == "OK"
        with right.connect() as client:
            client.call("SELECT", "timed")
            for i in range(60):
                assert client.call("SET", f"k{i}", "v", "EX", 600) == "OK"
            wait_for(lambda: off.number in leaders(right) and all(
                int(node.info()["partitions_resting"]) >= 4 for node in cluster.nodes),
                     "it leads some, and whoever follows rests")
            set_wall(off, 3600)
            wait_for(lambda: off.info()["raft_skewed"] == "1" and off.number not in leaders(right),
                     "it has handed over what it led")
            other.kill()
            wait_for(lambda: set(leaders(right)) == {right.number}, "the only one that may leads")
            assert [client.call("GET", f"k{i}") for i in range(60)] == [b"v"] * 60
