"""APPENDFSYNC everysec (decision 057; docs/primary.md): acknowledged when it is written, synced
within a second. A kill of all processes loses nothing; a loss of power is told as what it may have
been."""
import os
import time

import pytest

from cluster import CALM, Cluster, wait_for
from primaries import create, place, wait_equal, wait_writes
from resp import Error, as_row, as_rows, as_text
from test_keyspaces import info, refused

EVERYSEC = ("APPENDFSYNC", "everysec")
COUNT = 500
SHIM = os.environ.get("QUORATE_FAULT_SHIM", "")


def alarms(cluster, name):
    return [row for node in cluster.nodes if node.listens()
            for row in as_rows(node.call("ALARM", "LIST")) if as_text(row["alarm"]) == name]


def fill(cluster, count=COUNT):
    with cluster.nodes[0].connect() as connection:
        for i in range(count):
            assert connection.call("SET", f"cart:{i}", i) == "OK"


def missing(cluster, count=COUNT):
    with cluster.nodes[0].connect() as connection:
        return [i for i in range(count) if connection.call("GET", f"cart:{i}") != str(i).encode()]


@pytest.mark.parametrize("ack", ["LOCAL ON received", "ANY 1 ON received", "ALL ON received"])
@pytest.mark.parametrize("log", ["statement", "logical"])
def test_a_kill_of_all_processes_loses_nothing_that_was_acknowledged(ack, log):
    with Cluster(3) as cluster:
        create(cluster, ack, *EVERYSEC, "LOG", log)
        holds = ack.replace("received", "written")
        wait_for(lambda: place(cluster.nodes[0])["acknowledges"] == holds, "what holds is told")
        for _ in range(2):
            fill(cluster)
            cluster.kill_all()
            for node in cluster.nodes:
                node.start()
            wait_writes(cluster.nodes[0])
            assert missing(cluster) == []
            assert alarms(cluster, "LOST") == []
        wait_equal(cluster)


def test_many_writes_share_a_sync():
    with Cluster(3, CALM) as cluster:
        create(cluster, "LOCAL ON received", *EVERYSEC)
        fill(cluster, 50)
        before = sum(int(node.info()["log_syncs"]) for node in cluster.nodes)
        fill(cluster)
        after = sum(int(node.info()["log_syncs"]) for node in cluster.nodes)
        assert after - before < COUNT / 2


def test_what_is_received_does_not_wait_for_the_disk():
    with Cluster(3, [*CALM, "--log-sync", "inline"], start=False) as cluster:
        slow = os.path.join(cluster.directory, "slow")
        for node in cluster.nodes:
            node.environment = {"LD_PRELOAD": SHIM, "FAULT_DIR": node.directory, "FAULT_SLOW": slow}
        cluster.start()
        create(cluster, "ANY 1 ON received")
        with open(slow, "w", encoding="ascii") as file:
            file.write("50")  # milliseconds for each sync
        began = time.monotonic()
        fill(cluster, 100)
        assert time.monotonic() - began < 2.5
        os.unlink(slow)
        wait_equal(cluster)


def test_local_a_power_cut_of_all_goes_on_with_the_best_and_says_that_writes_may_be_lost():
    with Cluster(3) as cluster:
        create(cluster, "LOCAL ON received", *EVERYSEC)
        fill(cluster)
        cluster.kill_all()
        for node in cluster.nodes:
            node.environment["QUORATE_PRETEND_BOOT"] = "another"
            node.start()
        wait_writes(cluster.nodes[0])
        wait_for(lambda: alarms(cluster, "LOST"), "the alarm", 30)
        wait_equal(cluster)


def test_any_a_power_cut_of_all_stops_until_it_is_forced():
    with Cluster(3) as cluster:
        create(cluster, "ANY 1 ON received", *EVERYSEC)
        fill(cluster, 50)
        cluster.kill_all()
        for node in cluster.nodes:
            node.environment["QUORATE_PRETEND_BOOT"] = "another"
            node.start()
        wait_for(lambda: alarms(cluster, "NOPRIMARY"), "the alarm", 30)
        told = cluster.nodes[0].call("KEYSPACE", "FAILOVER", "cart", "FORCE", timeout=20)
        assert told.endswith("may be lost"), told
        wait_writes(cluster.nodes[0])
        wait_equal(cluster)


def test_after_an_orderly_end_a_power_cut_costs_nothing():
    with Cluster(3) as cluster:
        create(cluster, "LOCAL ON received", *EVERYSEC)
        fill(cluster)
        cluster.terminate_all()
        for node in cluster.nodes:
            node.environment["QUORATE_PRETEND_BOOT"] = "another"
            node.start()
        wait_writes(cluster.nodes[0])
        assert missing(cluster) == []
        assert alarms(cluster, "LOST") == []


def test_what_it_cannot_stand_beside_is_refused_and_it_can_be_altered():
    with Cluster(3, CALM) as cluster:
        node = cluster.nodes[1]
        for words, match in (
                (("ACK", "LOCAL", *EVERYSEC), "^ERR ACK LOCAL ON durable contradicts "),
                (("ACK", "LOCAL ON received"), "^ERR ACK LOCAL ON received where nobody else may"),
                (("ACK", "ANY 1 ON received", "FALLBACK", "async"),
                 "^ERR ACK ANY 1 ON received where nobody else may have the write")):
            refused(node, "KEYSPACE", "CREATE", "no", "STRATEGY", "primary", *words, match=match)
        create(cluster, "ANY 1 ON received", *EVERYSEC, "FALLBACK", "async")
        assert "APPENDFSYNC everysec" in as_text(info(node, "cart")["options"])
        explained = as_row(node.call("KEYSPACE", "EXPLAIN", "cart"))
        assert "power" in as_text(explained["appendfsync"])
        refused(node, "KEYSPACE", "ALTER", "cart", "APPENDFSYNC", "always",
                match="^ERR ACK ANY 1 ON received where nobody else")
        fill(cluster, 20)
        assert node.call("KEYSPACE", "ALTER", "cart", "ACK", "ANY 1", "FALLBACK", "fail",
                         "APPENDFSYNC", "always") == "OK"
        wait_for(lambda: place(node)["acknowledges"] == "ANY 1 ON durable", "the rule holds")
        fill(cluster, 20)
        wait_equal(cluster)


def test_it_needs_level_5_of_the_cluster_R9():
    with Cluster(3, CALM, start=False) as cluster:
        for node in cluster.nodes:
            node.environment["QUORATE_PRETEND_LEVEL"] = "4"
        cluster.start()
        create(cluster, "ANY 1 ON received")
        for words in (("CREATE", "late", "STRATEGY", "primary", "ACK", "LOCAL ON received"),
                      ("ALTER", "cart")):
            with pytest.raises(Error, match="^UPGRADE these options need level 5 of the "):
                cluster.nodes[1].call("KEYSPACE", *words, *EVERYSEC)
