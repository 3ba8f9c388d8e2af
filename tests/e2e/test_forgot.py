"""A member whose directory is an older copy of itself, as from a backup: it lacks what it had
acknowledged and does not know it. Its leader tells, does not count it, and feeds it anew
(src/protocol/raft/forget.c: V7, docs/alarms.md: FORGOT)."""
import os
import shutil

import pytest

from cluster import CALM, Cluster, wait_for
from resp import Closed, Error
from test_group_damage import check as check_keyspace
from test_group_damage import fill as fill_keyspace
from test_group_damage import selected, where
from test_leadership import alarms
from test_partitions import create
from test_repair import SMALL, all_equal, raft
from test_restart import check, fill
from test_status import run, status


BRIEF = ["--log-segment-bytes", "1mb", "--log-reserve-bytes", "1mb"]  # a directory to be copied


def copy(node):
    """A copy of its directory, after an orderly end."""
    assert node.terminate() == 0
    shutil.copytree(node.directory, node.directory + ".backup")
    node.start()
    return node.directory + ".backup"


def put_back(node, backup):
    """As somebody does who means well: the node is killed and its directory replaced."""
    node.kill()
    shutil.rmtree(node.directory)
    os.rename(backup, node.directory)
    node.start()


def on_all_disks(node, keyspace):
    """One more write, and so all before it, is acknowledged by both other replicas."""
    with selected(node, keyspace) as connection:
        assert connection.call("SET", "last", "v") == "OK"
        assert connection.call("WAIT", "2", "20000") == 2


def told(cluster, victim):
    """The alarms about it, once each node has one."""
    def rows_on(node):
        try:
            rows = alarms(node, "FORGOT")
        except (OSError, Closed, Error):
            return None  # it starts
        assert {row["node"] for row in rows} <= {victim.number}, rows
        return rows
    return [wait_for(lambda node=node: rows_on(node), f"node {node.number} has the alarm", 20)
            for node in cluster.nodes][0]


def has_all(cluster):
    """Its state is that of the others, to the last entry."""
    cluster.wait_ready()
    cluster.wait_applied()
    all_equal(cluster)


@pytest.mark.parametrize("by", ["log", "snapshot"])
def test_an_older_copy_of_a_member_is_told_and_fed_anew(by):
    """Also when what it lacks is in the log no more. Then its leader dies: the others, one of which
    is that member, have all that was acknowledged."""
    with Cluster(3, options=CALM + (SMALL if by == "snapshot" else BRIEF)) as cluster:
        fill(cluster.nodes[0], "before", 200)
        victim = cluster.followers()[0]
        cluster.wait_applied()
        backup = copy(victim)
        old = int(raft(cluster.leader(), "raft_last"))
        wait_for(lambda: raft(victim, "raft_role") == "follower", "it is back")
        leader = cluster.leader()
        fill(leader, "since", 200 if by == "log" else 4000)
        on_all_disks(leader, "0")  # else it has not acknowledged what it then lacks
        if by == "snapshot":
            wait_for(lambda: int(raft(leader, "raft_first")) > old + 100, "the log is short", 20)
        term = raft(leader, "raft_term")
        assert [alarms(node, "FORGOT") for node in cluster.nodes] == [[], [], []]
        put_back(victim, backup)
        row, = told(cluster, victim)
        assert row["until"] == 0 and "which it had acknowledged as durable" in row["text"]
        assert raft(leader, "raft_term") == term, "elected since, it could not tell"
        assert f"Node {victim.number} lacks slots" in leader.log()
        assert "it does not count until it has them again" in leader.log()
        for node in cluster.nodes:
            assert int(node.info("quorate")["alarms"]) >= 1
            code, out, err = run("status", "-p", node.port)
            assert (code, err) == (0, "") and "FORGOT" in out, out
            assert "FORGOT" in [alarm["alarm"] for alarm in status(node)["alarms"]]
        has_all(cluster)
        if by == "snapshot":
            wait_for(lambda: int(victim.info("quorate")["snapshots_installed"]) >= 1, "fed anew")
        fill(leader, "behind", 50)  # it counts again, or does not: both are enough
        cluster.wait_applied()
        leader.kill()
        for node in cluster.alive():
            check(node, "before", 200)
            check(node, "since", 200 if by == "log" else 4000)
            check(node, "behind", 50)


def test_an_older_copy_is_told_of_the_partition_that_lacks_something():
    """Its leader tells, whoever leads group 0."""
    with Cluster(3, CALM + BRIEF) as cluster:
        for name in ("kept", "beside"):
            create(cluster, name, "PARTITIONS", 1, "REPLICAS", 3)
            fill_keyspace(cluster.nodes[0], name, "before", 200)
            on_all_disks(cluster.nodes[0], name)
        leader = where(cluster, "led=1", "ks16")
        victim = next(node for node in cluster.followers() if node is not leader)
        cluster.wait_applied()
        backup = copy(victim)
        cluster.wait_ready()
        fill_keyspace(leader, "kept", "since", 300)
        on_all_disks(leader, "kept")
        assert where(cluster, "led=1", "ks16") is leader
        put_back(victim, backup)
        rows = told(cluster, victim)
        assert all(row["until"] == 0 and "it lacks slots" in row["text"] for row in rows), rows
        # Of several partitions whose leader is one node it is one alarm; the log names each.
        line = f"partition 0 of keyspace 'kept' (group 2): Node {victim.number} lacks slots"
        wait_for(lambda: line in leader.log(), "the partition's leader says so", 20)
        on_all_disks(leader, "kept")
        leader.kill()
        for node in cluster.alive():
            check_keyspace(node, "kept", "before", 200)
            check_keyspace(node, "kept", "since", 300)
            check_keyspace(node, "beside", "before", 200)
