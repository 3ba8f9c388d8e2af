"""Replicas compare their states; one that is outvoted stops serving and is fed anew (decision 025;
rows T14; ask U27). DEBUG CORRUPT, which only test builds have, changes one node's copy of a key
as a bug would."""
import contextlib
import os
import time

import pytest

from cluster import CALM, Cluster, ask, pipeline_again, wait_for
from failpoints import Table
from loadgen import LoadGenerator
from resp import Closed, Error
from test_leadership import alarms, writers
from test_snapshots import MIB, assert_equal, pulling, wait_installed


def digests(nodes):
    return {node.call("DEBUG", "DIGEST") for node in nodes}


def fill(cluster, keys=500):
    with cluster.leader().connect(timeout=30) as connection:
        replies = pipeline_again(connection,
                                 [("SET", f"key:{i}", f"{i}" * 20) for i in range(keys)])
        assert replies == ["OK"] * keys
    cluster.wait_applied()


def written(node):
    """Whether a write was acknowledged; one on its way through a leader that stops may not be."""
    try:
        return node.call("SET", "k", "v") == "OK"
    except Error as error:
        assert error.kind() == "UNCERTAIN", error
        return False


def try_failover(cluster, node):
    """Leadership to it; false while the others have not heard that it is well."""
    try:
        return cluster.leader().call("FAILOVER", "TO", str(node.number)) == "OK"
    except Error:
        return False


def is_corrupt(node):
    """While its digest is not the others'; its state serves nobody."""
    return [row for row in alarms(node, "CORRUPT") if row["node"] == node.number]


def test_equal_states_have_equal_digests_whatever_their_history():
    with Cluster(3) as cluster:
        follower = cluster.followers()[0]
        assert digests(cluster.nodes) == {"0" * 40}
        fill(cluster)
        assert len(digests(cluster.nodes)) == 1
        before = digests(cluster.nodes)
        with cluster.leader().connect(timeout=30) as c:
            c.pipeline([("SET", "big", "x" * 100000), ("APPEND", "big", "y"),
                        ("SETRANGE", "big", "99000", "z" * 5000), ("EXPIRE", "big", "1000"),
                        ("RENAME", "big", "large"), ("SELECT", "3"), ("SET", "a", "b"),
                        ("SWAPDB", "3", "4"), ("FLUSHDB",), ("SELECT", "0")])
            follower.kill()  # and from the disk
            follower.start()
            cluster.wait_ready()
            cluster.wait_applied()
            assert len(digests(cluster.nodes)) == 1
            c.pipeline([("DEL", "large"), ("SELECT", "4"), ("FLUSHDB",)])
        cluster.wait_applied()
        assert digests(cluster.nodes) == before
        assert follower.info()["state_digest"] == cluster.leader().info()["state_digest"]


@pytest.mark.parametrize("who", ["follower", "leader"])
def test_scenario_49_a_replica_that_is_outvoted_is_fed_anew_while_others_serve(who):
    """Nobody reads a wrong value from it, not even where it led; nothing that was acknowledged is
    lost; in the end all are equal."""
    with Cluster(3) as cluster:
        fill(cluster)
        bad = cluster.leader() if who == "leader" else cluster.followers()[0]
        others = [node for node in cluster.nodes if node is not bad]
        # What is on its way through a leader whose state is wrong gets no reply from that state.
        with writers(others) if who == "follower" else contextlib.nullcontext():
            assert bad.call("DEBUG", "CORRUPT", "key:7") == 1
            wait_for(lambda: written(others[0]) and alarms(others[0], "CORRUPT"),
                     "the alarm, on another node")
            wait_for(lambda: not bad.leads(), "it does not lead")
            for node in cluster.nodes:
                assert ask(node, "GET", "key:7") == b"7" * 20
            row = wait_for(lambda: [r for r in is_corrupt(bad) if r["until"] > 0], "it is over")[0]
            assert "differs from that of the others" in row["text"]
        cluster.wait_applied()
        assert len(digests(cluster.nodes)) == 1
        assert os.path.exists(os.path.join(bad.directory, "quarantine", "checkpoint"))
        assert not os.path.exists(os.path.join(bad.directory, "quarantined"))
        # It may lead again; and its disk is right as well.
        wait_for(lambda: bad.leads() or try_failover(cluster, bad), "it leads again")
        bad.kill()
        bad.start()
        cluster.wait_ready()
        cluster.wait_applied()
        assert len(digests(cluster.nodes)) == 1
        wait_for(lambda: bad.leads() or try_failover(cluster, bad), "and again")
        assert ask(bad, "GET", "key:7") == b"7" * 20
        assert bad.info()["quarantined"] == "0"
        wait_for(lambda: written(bad) and int(bad.info()["state_digests_compared"]) > 0,
                 "they compare again")


def test_quarantine_outlives_a_restart():
    with Cluster(3) as cluster:
        fill(cluster)
        bad = cluster.followers()[0]
        others = [node for node in cluster.nodes if node is not bad]
        bad.kill()
        with open(os.path.join(bad.directory, "quarantined"), "wb"):
            pass
        for node in others:  # without both of them nobody can feed it
            node.kill()
        bad.start()
        wait_for(lambda: bad.try_info("raft"), "it runs")
        assert is_corrupt(bad)[0]["until"] == 0
        assert bad.info()["quarantined"] == "1"
        with pytest.raises(Error, match="CLUSTERDOWN"):
            bad.call("GET", "key:7")
        others[0].start()  # its vote and its log are needed, and as good as any
        wait_for(others[0].leads, "the other one leads, with its vote")
        assert ask(others[0], "SET", "key:8", "new") == "OK"
        wait_for(lambda: bad.info()["quarantined"] == "0", "it is fed")
        cluster.wait_applied()
        assert len(digests([bad, others[0]])) == 1


def test_quarantine_is_on_disk_before_it_is_over():
    """The node dies when it has the state of another one, but not yet in the place of its own."""
    with Cluster(3, start=False) as cluster:
        tables = {node: Table(os.path.join(cluster.directory, f"failpoints-{node.number}"))
                  for node in cluster.nodes}
        for node, table in tables.items():
            node.environment = table.environment()
        cluster.start()
        fill(cluster)
        bad = cluster.followers()[0]
        others = [node for node in cluster.nodes if node is not bad]
        tables[bad].arm("INSTALL_RENAME")
        assert bad.call("DEBUG", "CORRUPT", "key:7") == 1
        wait_for(lambda: written(others[0]) and not bad.running(), "it dies", 20)
        bad.stopped = True
        for node in others:
            node.kill()
        bad.start()
        wait_for(lambda: bad.try_info("raft"), "it runs")
        assert bad.info()["quarantined"] == "1"
        for node in others:
            node.start()
        wait_for(lambda: bad.info()["quarantined"] == "0", "it is fed", 20)
        cluster.wait_ready()
        cluster.wait_applied()
        assert len(digests(cluster.nodes)) == 1
        assert ask(bad, "GET", "key:7") == b"7" * 20


def test_of_two_that_differ_nobody_is_stopped():
    with Cluster(2, CALM) as cluster:
        fill(cluster)
        leader = cluster.leader()
        assert leader.call("DEBUG", "CORRUPT", "key:7") == 1
        rows = wait_for(lambda: [alarms(node, "CORRUPT") for node in cluster.nodes
                                 if len(alarms(node, "CORRUPT")) == 2] or
                        (written(leader) and None), "both raise the alarm", 20)
        assert {row["node"] for row in rows[0]} == {1, 2}
        assert all("no majority" in row["text"] for row in rows[0])
        assert leader.leads() and leader.call("SET", "k", "v") == "OK"
        assert leader.info()["quarantined"] == "0"
        # The key is written anew: equal again.
        leader.call("SET", "key:7", "7")
        wait_for(lambda: written(leader) and
                 all(row["until"] > 0 for row in alarms(leader, "CORRUPT")), "it is over")
        cluster.wait_applied()
        assert len(digests(cluster.nodes)) == 1


def test_a_corrupt_replica_under_load_harms_no_history():
    """The whole of it under pipelining clients on all nodes, whose history is judged."""
    with Cluster(3, CALM) as cluster, LoadGenerator(cluster, rate=6000) as load:
        load.wait_for_acknowledged(2000)
        term = cluster.leader().info("raft")["raft_term"]
        bad = cluster.followers()[0]
        bad.call("SET", "extra", "value")
        cluster.wait_applied()
        assert bad.call("DEBUG", "CORRUPT", "extra") == 1
        wait_for(lambda: [r for r in is_corrupt(bad) if r["until"] > 0], "it came and went", 20)
        load.wait_for_acknowledged(2000)
        summary = load.finish()
        if cluster.leader().info("raft")["raft_term"] == term:
            assert summary["uncertain"] + summary["lost"] == 0, summary
        load.check_history()
        cluster.wait_applied()
        deadline = time.monotonic() + 5
        wait_for(lambda: len(digests(cluster.nodes)) == 1 or time.monotonic() > deadline, "equal")
        assert len(digests(cluster.nodes)) == 1
        with pytest.raises((Error, Closed)):
            bad.call("DEBUG", "SLEEP", "1")


def test_a_source_that_is_outvoted_gives_no_more():
    """A member that has begun with its file must not finish with it: two that are wrong would
    outvote those that are right."""
    with pulling("2mb", 2 * MIB, size=4) as (cluster, node, source):
        assert source.call("DEBUG", "CORRUPT", "key:7") == 1
        other = next(n for n in cluster.nodes if n not in (node, source))
        wait_for(lambda: written(other) and not source.leads(), "it does not lead", 10)
        wait_for(lambda: "has the snapshot" in node.log(), "its source gives no more", 10)
        wait_installed(node)
        assert int(node.info()["snapshots_begun"]) >= 2
        wait_for(lambda: [r for r in is_corrupt(source) if r["until"] > 0], "it is over", 20)
        assert_equal(cluster)
