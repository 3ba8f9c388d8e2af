"""Versions (row R9; U29): a cluster of this version and a synthetic next one, which knows one level
more. Until FINALIZE nothing of that level can be asked for and all execute the same; afterwards
this version may not take part any more, and says so."""
import os
import re
import time

import pytest

from cluster import PATIENCE, Cluster, wait_for
from loadgen import LoadGenerator
from peer import crc32c
from resp import Closed, Error, as_row, as_rows, as_text
from test_members import GrowingCluster, members, start_joined

NEXT = {"QUORATE_PRETEND_LEVEL": "7"}
FIRST = {"QUORATE_PRETEND_LEVEL": "1"}


def upgrade(node, word="STATUS"):
    return as_row(node.call("CLUSTER", "UPGRADE", word))


def levels(cluster):
    return [int(node.info("keyspaces")["cluster_level"]) for node in cluster.nodes]


def start_as(node, environment):
    node.environment = dict(node.environment, **environment)
    node.start()
    wait_for(node.try_info, f"node {node.number} runs")


def identity(node):
    with open(os.path.join(node.directory, "identity")) as file:
        return file.read()


def forget_level(node, level):
    """As if it had been killed before it noted down the level that is active."""
    path = os.path.join(node.directory, "identity")
    head = re.sub(r"^level \d+$", f"level {level}", identity(node), flags=re.M)
    head = head[:head.index("crc32c ")]
    with open(path, "w") as file:
        file.write(f"{head}crc32c {crc32c(head.encode()):08x}\n")


def digests(cluster):
    cluster.wait_applied()
    return {as_text(node.call("DEBUG", "DIGEST")) for node in cluster.nodes}


def test_a_new_cluster_begins_with_the_level_of_its_version():
    with Cluster(3) as cluster:
        assert set(levels(cluster)) == {6}
        status = upgrade(cluster.followers()[0])
        assert (status["level"], status["all_know"], status["can_finalize"]) == (6, 6, "no")
        assert [as_row(row)["knows"] for row in status["members"]] == [6, 6, 6]
        with pytest.raises(Error, match="^ERR level 6 is active and there is no higher one"):
            upgrade(cluster.nodes[0], "FINALIZE")
        with pytest.raises(Error, match="^ERR syntax error"):
            cluster.nodes[0].call("CLUSTER", "UPGRADE", "NOW")
        assert all("level 6\n" in identity(node) for node in cluster.nodes)


def test_at_the_first_level_there_are_no_keyspaces_until_it_is_raised():
    """A cluster made by the version before: its directories are of level 1."""
    with Cluster(3, start=False) as cluster:
        for node in cluster.nodes:
            node.environment = FIRST
        cluster.start()
        assert set(levels(cluster)) == {1}
        assert not any("level" in identity(node) for node in cluster.nodes)
        for node in cluster.nodes:  # one after the other gets this version
            node.terminate()
            node.environment = {}
            node.start()
            cluster.wait_ready()
        assert set(levels(cluster)) == {1}
        node = cluster.followers()[0]
        for words in (("KEYSPACE", "CREATE", "a", "STRATEGY", "raft"), ("MEMBER", "DRAIN", "1"),
                      ("MEMBER", "SET", "1", "ZONE", "a")):
            with pytest.raises(Error, match="^UPGRADE .*CLUSTER UPGRADE FINALIZE"):
                node.call(*words)
        wait_for(lambda: upgrade(node)["can_finalize"] == "yes", "all are known to know it")
        assert node.call("CLUSTER", "UPGRADE", "FINALIZE") == "OK"
        assert set(levels(cluster)) == {6}
        assert node.call("KEYSPACE", "CREATE", "a", "STRATEGY", "raft") == "OK"


def test_scenario_51_a_mixed_cluster_executes_as_one_and_there_is_no_way_back_behind_finalize():
    with Cluster(3) as cluster, LoadGenerator(cluster, rate=500) as load:
        for node in cluster.nodes[:2]:  # rolling, under load
            node.terminate()
            start_as(node, NEXT)
            cluster.wait_ready()
            status = upgrade(cluster.nodes[2])
            assert (status["level"], status["can_finalize"]) == (6, "no")
            with pytest.raises(Error, match="^UPGRADE that needs level 7 of the cluster, and"):
                node.call("DEBUG", "LEVEL", "7")
        refusal = "^UNSAFE node [23] is away or runs an older version|^ERR level 6"
        with pytest.raises(Error, match=refusal):
            upgrade(cluster.nodes[0], "FINALIZE")
        assert set(levels(cluster)) == {6}
        assert cluster.nodes[1].call("KEYSPACE", "CREATE", "mixed", "STRATEGY", "raft") == "OK"
        assert cluster.nodes[2].call("DEBUG", "LEVEL", "6") == "OK"
        back = cluster.nodes[1]  # one may still go back
        back.terminate()
        start_as(back, {"QUORATE_PRETEND_LEVEL": "6"})
        cluster.wait_ready()
        for node in cluster.nodes[1:]:
            node.terminate()
            start_as(node, NEXT)
            cluster.wait_ready()
        wait_for(lambda: upgrade(cluster.nodes[0])["can_finalize"] == "yes", "all know level 7")
        assert cluster.nodes[0].call("CLUSTER", "UPGRADE", "FINALIZE") == "OK"
        assert set(levels(cluster)) == {7}
        for node in cluster.nodes:
            assert node.call("DEBUG", "LEVEL", "7") == "OK"
            assert "level 7\n" in identity(node)
        load.finish()
        load.check_history()
        assert len(digests(cluster)) == 1
        late = cluster.nodes[2]
        late.terminate()
        late.environment = {"QUORATE_PRETEND_LEVEL": "6"}
        late.start()
        assert late.wait() != 0
        assert ("belongs to a cluster whose level is 7 by now, and this version knows levels up to "
                "6: start the newer version, there is no way back") in late.log()
        forget_level(late, 6)  # it hears of the level from the records then, and loses nothing
        late.start()
        assert late.wait() == 1
        assert ("the cluster is of a level that this version does not know: start a newer "
                "version") in late.log()
        start_as(late, NEXT)
        cluster.wait_ready()
        assert len(digests(cluster)) == 1
        assert "level 7\n" in identity(late)


def test_finalize_waits_for_nobody_and_needs_all():
    """A node that is away could not take part any more: it is named."""
    with Cluster(3, start=False) as cluster:
        for node in cluster.nodes:
            node.environment = NEXT
        cluster.start()
        away = cluster.followers()[0]
        away.kill()
        asked = cluster.leader()
        wait_for(lambda: upgrade(asked)["all_know"] == 0, "it is missed")
        with pytest.raises(Error, match=f"^UNSAFE node {away.number} is away or runs an older"):
            upgrade(asked, "FINALIZE")
        assert asked.call("MEMBER", "REMOVE", str(away.number)) == "OK"
        wait_for(lambda: upgrade(asked)["can_finalize"] == "yes", "the others know it")
        assert asked.call("CLUSTER", "UPGRADE", "FINALIZE") == "OK"


def test_a_joiner_that_does_not_know_the_level_is_refused_before_it_counts():
    """It would stop as soon as it had the control state, and the quorum would miss it."""
    with GrowingCluster(2) as cluster:
        first, late = cluster.nodes
        late.environment = FIRST
        late.start()
        assert late.wait() == 1
        assert ("the cluster does not take this node in: the cluster is of level 6, which this "
                "node's version does not know: start a newer version") in late.log()
        assert members(first).keys() == {1}
        late.environment = {}
        start_joined(late)
        assert members(first).keys() == {1, 2}
