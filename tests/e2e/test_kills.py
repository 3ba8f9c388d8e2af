"""Kills under load: nothing that was acknowledged is lost, and what clients saw is linearizable.

Eighteen clients pipeline to all three nodes, so that two thirds of what they send is forwarded.
Meanwhile nodes die by kill -9, one at a time and once all together.
"""
import random

import pytest

from cluster import Cluster, wait_for
from keyspaces import places
from loadgen import LoadGenerator
from resp import Error

LEADER_KILLS, FOLLOWER_KILLS = 18, 12  # and once all three
ACKNOWLEDGED_AT_LEAST = 10_000
SETTLE_WRITES = 300  # acknowledged ones between two kills


def kill_one(cluster, load, victim):
    load.wait_for_flight(8)
    victim.kill()
    load.wait_for_acknowledged(SETTLE_WRITES)  # the two others go on without it
    victim.start()
    wait_for(victim.try_info, f"node {victim.number} is back", 15)
    cluster.wait_applied()


def kill_all(cluster, load):
    load.wait_for_flight(8)
    cluster.kill_all()
    cluster.start()
    load.wait_for_acknowledged(SETTLE_WRITES)


def test_scenario_2_21_acknowledged_writes_survive_kills():
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    plan = ["leader"] * LEADER_KILLS + ["follower"] * FOLLOWER_KILLS + ["all"]
    random.Random(seed).shuffle(plan)
    with Cluster(3) as cluster, LoadGenerator(cluster, seed=seed) as load:
        load.wait_for_acknowledged(SETTLE_WRITES)
        for what in plan:
            if what == "all":
                kill_all(cluster, load)
            elif what == "leader":
                kill_one(cluster, load, cluster.leader())
            else:
                kill_one(cluster, load, random.choice(cluster.followers()))
        load.wait_for_acknowledged(max(0, ACKNOWLEDGED_AT_LEAST - load.word("acknowledged")), 60)
        summary = load.finish()
        print(summary)
        print(load.check_history())
        # A run in which nothing happened proves nothing.
        assert summary["acknowledged"] >= ACKNOWLEDGED_AT_LEAST
        assert summary["uncertain"] > 0, "no write was ever of unknown fate"
        assert summary["checked"] >= ACKNOWLEDGED_AT_LEAST // 5


SMALL = ["--read-mode", "lease", "--checkpoint-bytes", "512kb", "--log-segment-bytes", "256kb",
         "--log-reserve-bytes", "1mb"]


@pytest.mark.parametrize("size", [3, 5])
def test_kills_among_checkpoints(size):
    """Reads under a lease; the log is trimmed and its files are used again all the time."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    dice = random.Random(seed)
    with Cluster(size, options=SMALL) as cluster, LoadGenerator(cluster, seed=seed) as load:
        for _ in range(8):
            load.wait_for_acknowledged(SETTLE_WRITES)
            what = dice.choice(["leader", "follower", "orderly", "all"])
            if what == "all":
                kill_all(cluster, load)
            elif what == "orderly":
                node = dice.choice(cluster.nodes)
                assert node.terminate() == 0
                load.wait_for_acknowledged(SETTLE_WRITES)
                node.start()
                cluster.wait_applied()
            else:
                leader = cluster.leader()
                others = [node for node in cluster.nodes if node is not leader]
                kill_one(cluster, load, leader if what == "leader" else dice.choice(others))
        for node in cluster.nodes:
            wait_for(lambda node=node: int(node.info("raft")["raft_first"]) > 1,
                     f"node {node.number} trims its log", 20)
        load.finish()
        load.check_history()


def test_kills_of_leaders_of_partitions():
    """Each partition has a leader and a history of its own, all share logs and connections."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    dice = random.Random(seed)
    with Cluster(3, options=SMALL[2:]) as cluster:
        cluster.nodes[0].call("KEYSPACE", "CREATE", "parts", "STRATEGY", "raft", "PARTITIONS", "8")
        with LoadGenerator(cluster, rate=4000, seed=seed, keyspace="parts") as load:
            for what in dice.sample(["one", "one", "one", "all"], 4):
                load.wait_for_acknowledged(SETTLE_WRITES)
                if what == "all":
                    kill_all(cluster, load)
                else:
                    kill_one(cluster, load, dice.choice(cluster.nodes))
            load.finish()
            load.check_history()
        groups = [row["group"] for row in places(cluster.nodes[0], "parts")]
        wait_for(lambda: all(len({node.call("DEBUG", "DIGEST", group) for node in cluster.nodes})
                             == 1 for group in groups), "the replicas are equal")
        with pytest.raises(Error, match="^ERR this node has no replica of that group"):
            cluster.nodes[0].call("DEBUG", "DIGEST", max(groups) + 1)


def test_a_stopped_leader_is_replaced():
    """SIGSTOP: it is not dead but says nothing; when it goes on it must not answer as leader."""
    with Cluster(3) as cluster, LoadGenerator(cluster, seed=7, patience_ms=2500) as load:
        for _ in range(4):
            load.wait_for_acknowledged(SETTLE_WRITES)
            leader = cluster.leader()
            load.wait_for_flight(4)
            leader.pause()
            load.wait_for_acknowledged(SETTLE_WRITES)
            cluster.leader()
            leader.resume()
            cluster.wait_applied()
        load.finish()
        load.check_history()
