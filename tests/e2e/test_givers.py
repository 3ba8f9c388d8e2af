"""Checkpoints that come from another follower (L7, L8, U15, U18, U22; decision 059): the primary
says who gives, and gives nothing itself."""
import contextlib

import pytest

from cluster import CALM, Cluster, wait_for
from primaries import (another, create, judge, local, others, primary, wait_equal, wait_writes,
                       writing)
from resp import Closed
from test_primary_failures import come_anew
from test_snapshots import number, slow_down, wait_installed

MIB = 1 << 20
SHORT = ["--log-max-entries", "500", "--log-segment-bytes", "1mb", "--checkpoint-bytes", "1mb",
         *CALM]
VALUE = b"x" * 4000


def fill(node, first, count):
    with node.connect(timeout=30) as connection:
        for start in range(first, first + count, 100):
            batch = [("SET", f"cart:{i}", VALUE) for i in range(start, start + 100)]
            assert set(connection.pipeline(batch)) == {"OK"}


def sent(node):
    return number(node, "snapshot_bytes_sent")


def fell_behind(cluster, keys=4000):
    """Kills a follower and goes on until the log has no more what it lacks, and the other one has
    all: who lacks what the log begins with gives no checkpoint. The primary, and it."""
    leads = primary(cluster)
    behind, other = others(cluster)[:2]
    fill(leads, 0, 200)
    behind.kill()
    fill(leads, 200, keys)
    fill(leads, 0, 1000)
    assert leads.call("SET", "cart:last", 1) == "OK"
    wait_for(lambda: local(other, "GET", "cart:last") == b"1", "the other one has all")
    return leads, behind


def the_other(cluster, *nodes):
    return next(node for node in cluster.nodes if node not in nodes)


@contextlib.contextmanager
def pulling(ack, rate, beyond):
    """A follower that has more than so many bytes of a checkpoint of 16 MB, the primary, and who
    gives it."""
    with Cluster(3, SHORT) as cluster:
        create(cluster, ack)
        leads, behind = fell_behind(cluster)
        giver = the_other(cluster, leads, behind)
        slow_down(giver, rate)
        behind.start()
        wait_for(lambda: number(behind, "snapshot_done_bytes") > beyond, "it pulls", 10)
        assert number(behind, "snapshot_source") == giver.number
        yield cluster, leads, behind, giver


@pytest.mark.parametrize("ack", ["LOCAL", "ANY 1"])
def test_who_fell_behind_the_log_is_rebuilt_by_another_follower_L7_L8_U18(ack):
    """By itself, while others write. The primary sends no byte of it."""
    with Cluster(3, SHORT) as cluster:
        create(cluster, ack)
        leads, behind = fell_behind(cluster)
        with writing(cluster, clients=2, nodes=[leads]) as writers:
            behind.start()
            wait_installed(behind)
            wait_writes(behind)
            for writer in writers:
                writer.wait_more(100)
        wait_equal(cluster)
        judge(cluster, writers)
        assert local(behind, "GET", "cart:4000") == VALUE
        assert sent(leads) == 0
        assert sent(the_other(cluster, leads, behind)) > 12 * MIB
        assert number(leads, "snapshot_orders") >= 1


def test_a_wiped_follower_is_rebuilt_by_another_one_L8_U18():
    with Cluster(3, SHORT) as cluster:
        create(cluster, "ANY 1")
        leads = primary(cluster)
        wiped = others(cluster)[0]
        giver = the_other(cluster, leads, wiped)
        fill(leads, 0, 4000)
        fill(leads, 0, 1000)
        before = sent(leads)
        wiped = come_anew(cluster, wiped)
        wait_for(lambda: sent(giver) > 12 * MIB, "the other follower gives it", 30)
        wait_writes(wiped)
        wait_equal(cluster)
        # Group 0's checkpoint came from its own leader, which may be the primary.
        assert sent(leads) - before < MIB


def test_the_giver_dies_and_the_primary_goes_on_U15():
    with pulling("ANY 1", "4mb", 2 * MIB) as (cluster, leads, behind, giver):
        giver.kill()
        wait_installed(behind)
        assert sent(leads) > 12 * MIB
        giver.start()
        wait_equal(cluster)


def test_the_primary_dies_and_its_follower_goes_on_with_the_giver_U15_L7():
    """What has come is not pulled again, and the new primary's log is kept for it."""
    with pulling("ANY 1", "5mb", 4 * MIB) as (cluster, leads, behind, giver):
        leads.kill()
        assert another(cluster, leads) is giver
        slow_down(giver, "1gb")
        wait_installed(behind)
        assert number(behind, "snapshots_begun") == 1
        assert number(behind, "snapshot_bytes_received") < 22 * MIB
        with contextlib.suppress(Closed, OSError):
            leads.start()
        wait_equal(cluster)


def test_the_log_behind_it_stays_U22():
    """Much is written while the pull takes long: it is enough that it is pulled once."""
    with pulling("LOCAL", "3mb", MIB) as (cluster, leads, behind, giver):
        for turn in range(3):
            fill(leads, 5000 + 1000 * turn, 1000)
        slow_down(giver, "1gb")
        wait_installed(behind)
        wait_equal(cluster)
        assert number(behind, "snapshots_begun") == 1
        assert sent(leads) == 0
