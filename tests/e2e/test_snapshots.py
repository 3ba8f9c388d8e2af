"""Members that come back: from the log within its bounds, beyond them by another's checkpoint.

Rows L5-L8, U15-U22, U25; scenarios 27, 28, 41, 56, 58, 63.
"""
import contextlib
import os
import re
import time

import pytest

from cluster import CALM, Cluster, wait_for
from damage import flip, write_at
from loadgen import LoadGenerator
from resp import Error
from test_disk import SmallDisk
from test_members import GrowingCluster, start_joined, wait_roles

MIB = 1 << 20
# The log keeps so little that whoever was away needs a snapshot.
SHORT = ["--log-max-entries", "500", "--log-segment-bytes", "1mb", *CALM]
VALUE = 4000


def fill(node, first, count, value=VALUE):
    """What is uncertain, for the leader has changed meanwhile, is written again."""
    with node.connect(timeout=30) as connection:
        for start in range(first, first + count, 100):
            batch = [("SET", f"key:{i}", (b"%d," % i) * (value // len(b"%d," % i)))
                     for i in range(start, min(start + 100, first + count))]
            while batch:
                replies = connection.pipeline(batch)
                kinds = {r.kind() if isinstance(r, Error) else r for r in replies}
                assert kinds <= {"OK", "UNCERTAIN"}, replies
                batch = [words for words, reply in zip(batch, replies) if reply != "OK"]


def number(node, field):
    info = node.try_info()
    return int(info[field]) if info else -1


def wait_trimmed(node, beyond):
    wait_for(lambda: number(node, "raft_first") > beyond, f"node {node.number} trims its log", 15)


def wait_installed(node, count=1):
    wait_for(lambda: number(node, "snapshots_installed") >= count,
             f"node {node.number} installs a snapshot", 20)


def assert_equal(cluster):
    """All that run hold the same state at the same slot."""
    cluster.wait_applied()

    def digests():
        infos = [node.info("digest") for node in cluster.alive()]
        return {(info["digest_slot"], info["digest"]) for info in infos}
    wait_for(lambda: len(digests()) == 1, "the replicas are equal", 10, 0.05)


def strand(cluster, node, keys=2000):
    """Ends the node, and goes on until the log has no more what it lacks; the checkpoint of that is
    written."""
    node.kill()
    held = number(cluster.leader(), "raft_last")  # the node may have less
    fill(cluster.leader(), 0, keys)
    leader = cluster.leader()  # beside other work it may have changed meanwhile
    wait_trimmed(leader, held + 1)
    wait_for(lambda: not number(leader, "rdb_bgsave_in_progress"), "no checkpoint is written")
    return leader


def wait_checkpoint_of_all(leader):
    """The one that is offered has all that was filled in, or but a few entries less. The bound asks
    for one now and then only: more is written until it is one of the end."""
    def covers_all():
        if number(leader, "raft_last") - number(leader, "checkpoint_slot") < 5:
            return True
        if not os.path.exists(os.path.join(leader.directory, "checkpoint.new")):
            leader.call("SET", "another", "entry")
        return False
    wait_for(covers_all, "the checkpoint that will be offered", 15)


def slow_down(node, rate):
    node.call("CONFIG", "SET", "snapshot-bytes-per-second", rate)


def a_follower(cluster):
    return cluster.followers()[0]


def pulled(node):
    return number(node, "snapshot_done_bytes")


@contextlib.contextmanager
def pulling(rate, beyond, size=3, keys=4000):
    """A follower that has more than so many bytes of a snapshot of 16 MB, and its source."""
    with Cluster(size, SHORT) as cluster:
        node = a_follower(cluster)
        for _ in range(3):
            source = strand(cluster, node, keys)
            wait_checkpoint_of_all(source)
            slow_down(source, rate)
            node.start()
            wait_for(lambda: pulled(node) > beyond or number(node, "snapshots_installed") > 0,
                     "it pulls", 10)
            if number(node, "snapshots_installed") == 0:
                break  # else it has passed by unseen
        yield cluster, node, source


# --- From the log, or not ------------------------------------------------------------------------


def test_within_retention_the_log_is_enough():
    """Row L8: the log reaches back to where the member stood."""
    options = ["--checkpoint-bytes", "256kb", "--log-segment-bytes", "256kb", *CALM]
    with Cluster(3, options) as cluster:
        node = a_follower(cluster)
        node.kill()
        leader = cluster.leader()
        fill(leader, 0, 1500)
        wait_for(lambda: number(leader, "checkpoints") > 0, "a checkpoint", 15)
        node.start()
        assert_equal(cluster)
        assert number(node, "snapshots_begun") == 0
        assert number(leader, "snapshot_offers") == 0


@pytest.mark.parametrize("bound", [["--log-max-entries", "500"], ["--log-max-age", "1"],
                                   ["--log-max-bytes", "64mb"]], ids=lambda bound: bound[0][2:])
def test_the_log_is_trimmed_as_far_as_its_bound_asks(bound):
    """Row U25, by itself and although a member is away: entries, age, bytes. Checkpoints are taken
    for that, whatever checkpoint-bytes says (U23)."""
    options = ["--log-segment-bytes", "1mb", "--checkpoint-bytes", "8gb", *CALM, *bound]
    with Cluster(3, options) as cluster:
        a_follower(cluster).kill()
        leader = cluster.leader()
        if bound[0] == "--log-max-bytes":
            for _ in range(3):
                fill(leader, 0, 800, value=30_000)
        else:
            fill(leader, 0, 2000, value=100)
        wait_trimmed(leader, 10)
        info = leader.info()
        kept = int(info["raft_last"]) - int(info["raft_first"]) + 1
        if bound[0] == "--log-max-entries":
            wait_for(lambda: number(leader, "raft_last") - number(leader, "raft_first") < 501,
                     "no more than 500 entries", 10)
            assert kept >= 499  # and no less
        elif bound[0] == "--log-max-bytes":
            wait_for(lambda: number(leader, "raft_log_bytes") <= 66 * MIB, "64 MiB are left", 10)
            assert number(leader, "raft_log_bytes") >= 60 * MIB


def test_a_stopped_follower_costs_the_leader_no_memory():
    """U21: what it lacks is in the log, which is on disk."""
    with Cluster(3, ["--log-max-bytes", "64mb", "--checkpoint-bytes", "32mb", *CALM]) as cluster:
        node, leader = a_follower(cluster), cluster.leader()
        node.pause()

        def write(rounds):
            for _ in range(rounds):
                fill(leader, 0, 400, value=30_000)
            info = leader.info()
            return int(info["used_memory_rss"]), int(info["raft_first"])
        before, _ = write(18)  # 200 MiB: every cache and queue is full
        after, first = write(8)
        assert after - before < 24 * MIB, (before, after)
        node.resume()
        wait_installed(node)
        assert first > 1
        assert_equal(cluster)


# --- By snapshot ----------------------------------------------------------------------------------


def has_caught_up(cluster, node):
    """Whoever leads now says so."""
    leader = cluster.find_leader()
    info = leader and leader.try_info()
    return leader is node or info and "state=online" in info.get(f"replica{node.number - 1}", "")


def test_scenario_41_beyond_retention_a_snapshot_under_load():
    """U15, U22: writes go on all the time, nothing is lost, and it does catch up. Scenario 41: no
    sooner is it there than it needs the next one."""
    options = ["--log-max-entries", "3000", "--log-segment-bytes", "1mb", *CALM]
    with Cluster(3, options) as cluster, LoadGenerator(cluster, clients=6, rate=4000) as load:
        node = a_follower(cluster)
        load.wait_for_acknowledged(500)
        for _ in range(3):
            strand(cluster, node, 4000)
            node.start()
            wait_installed(node)
        wait_for(lambda: has_caught_up(cluster, node), "it has caught up", 15)
        load.wait_for_acknowledged(500)
        load.finish()
        load.check_history()
        assert_equal(cluster)


def test_the_receiver_dies_in_the_middle_and_goes_on():
    """U15, U19: never from zero. Asserted by the bytes that its second life gets."""
    with pulling("5mb", 4 * MIB) as (cluster, node, leader):
        began, before = time.monotonic(), pulled(node)
        wait_for(lambda: pulled(node) > before + 3 * MIB, "it goes on", 10)
        assert time.monotonic() - began > 0.2  # the rate holds
        node.kill()
        slow_down(leader, "1gb")
        node.start()
        wait_installed(node)
        info = node.info()
        assert int(info["snapshots_resumed"]) == 1
        assert int(info["snapshot_bytes_received"]) < 12 * MIB
        assert "Goes on with the snapshot" in node.log()
        assert_equal(cluster)
        assert not os.path.exists(os.path.join(node.directory, "checkpoint.received"))


def test_what_is_left_of_another_file_is_of_no_use():
    """The receiver dies, and comes back when another node leads, whose file is not the same."""
    with pulling("5mb", 4 * MIB) as (cluster, node, source):
        node.kill()
        assert source.call("FAILOVER") == "OK"
        node.start()
        wait_installed(node)
        info = node.info()
        assert (info["snapshots_resumed"], info["snapshots_refused"]) == ("0", "0")
        assert_equal(cluster)


def test_the_source_dies_in_the_middle_and_comes_back():
    """Another node leads meanwhile. The file is still there, so it is gone on with."""
    with pulling("5mb", 4 * MIB) as (cluster, node, source):
        source.kill()
        wait_for(lambda: cluster.leader() is not source, "another leader", 10)
        source.start(["--snapshot-bytes-per-second", "1gb"])
        wait_installed(node)
        info = node.info()
        assert int(info["snapshots_begun"]) == 1
        assert int(info["snapshot_bytes_received"]) < 19 * MIB
        assert_equal(cluster)


def test_the_leader_changes_in_the_middle():
    """L7: the follower goes on with whom it began, leader or not; nothing comes twice."""
    with pulling("10mb", 2 * MIB) as (cluster, node, source):
        source.call("FAILOVER")
        wait_for(lambda: cluster.leader() is not source, "another leader", 10)
        slow_down(source, "1gb")
        wait_installed(node)
        info = node.info()
        assert int(info["snapshots_begun"]) == 1
        assert int(info["snapshot_bytes_received"]) < 19 * MIB
        assert_equal(cluster)


def test_a_new_member_begins_with_a_snapshot():
    """Rows L5, R7: it knows who the members are from the snapshot alone (scenarios 18, 19), also
    after a restart."""
    with GrowingCluster(2, SHORT) as cluster:
        first, second = cluster.nodes
        fill(first, 0, 2000)
        wait_trimmed(first, 1000)
        start_joined(second)
        wait_roles(first, {1: "voter", 2: "learner"})
        wait_installed(second)
        assert_equal(cluster)
        second.kill()
        second.start()
        wait_roles(second, {1: "voter", 2: "learner"})
        fill(second, 2000, 100)
        assert_equal(cluster)


def test_scenario_28_two_members_share_one_file():
    """One open file, and new checkpoints meanwhile do not disturb it (scenario 28)."""
    with Cluster(5, SHORT + ["--checkpoint-bytes", "1mb"]) as cluster:
        nodes = cluster.followers()[:2]
        nodes[1].kill()
        leader = strand(cluster, nodes[0], 3000)
        slow_down(leader, "1mb")  # the first one is not done when the other begins
        nodes[0].start()
        wait_for(lambda: pulled(nodes[0]) > MIB, "a megabyte", 10)
        checkpoints = number(leader, "checkpoints")
        fill(leader, 3000, 1500)
        nodes[1].start()
        wait_for(lambda: pulled(nodes[1]) > 0, "the other pulls too", 10)
        wait_for(lambda: number(leader, "checkpoints") > checkpoints, "a newer checkpoint", 10)
        files = f"/proc/{leader.process.pid}/fd"
        names = [os.readlink(os.path.join(files, fd)) for fd in os.listdir(files)
                 if os.path.exists(os.path.join(files, fd))]
        names = {name for name in map(os.path.basename, names) if name.startswith("checkpoint")}
        assert len([name for name in names if not name.startswith("checkpoint.new")]) <= 1, names
        slow_down(leader, "1gb")
        slots = set()
        for node in nodes:
            wait_installed(node)
            slots.update(re.findall(r"Pulls the snapshot at slot (\d+)", node.log()))
        assert len(slots) == 1
        assert_equal(cluster)


def test_checkpoints_wait_while_a_member_is_brought_up():
    """Row L5: the log behind its snapshot stays, so they would let nothing go. Four times as much
    log makes them due all the same, at the source and at the others."""
    with Cluster(3, SHORT + ["--checkpoint-bytes", "1mb"]) as cluster:
        node = a_follower(cluster)
        leader = strand(cluster, node)
        for other in cluster.alive():
            other.call("CONFIG", "SET", "log-max-entries", 0)
        slow_down(leader, "256kb")  # it is pulled to the end of what follows, however long
        node.start()
        wait_for(lambda: pulled(node) > 0, "it pulls", 10)
        cluster.leader().call("SET", "one", "more")
        others = [other for other in cluster.alive() if other is not node]

        def taken():
            before = {other: number(other, "checkpoints") for other in others}
            fill(leader, 2000, 350)
            last = number(leader, "raft_last")
            wait_for(lambda: all(number(other, "raft_applied") >= last for other in others),
                     "all have it")
            wait_for(lambda: not any(number(other, "rdb_bgsave_in_progress") for other in others),
                     "what was begun is there")
            return {other: number(other, "checkpoints") - before[other] for other in others}
        # The others hear of it by word of mouth.
        wait_for(lambda: not any(taken().values()), "1.4 MB without a checkpoint", 5)
        before = {other: number(other, "checkpoints") for other in others}
        fill(leader, 2000, 1400)  # 5.6 MB
        for other in others:
            wait_for(lambda other=other: number(other, "checkpoints") > before[other],
                     "a checkpoint", 10)
            assert number(other, "checkpoints") - before[other] <= 2
        assert number(node, "snapshots_installed") == 0
        slow_down(leader, "1gb")
        wait_installed(node)
        assert_equal(cluster)


def test_scenario_58_a_checkpoint_is_being_written_when_the_snapshot_is_whole():
    """Scenario 58: the follower's own checkpoint is given up, the snapshot takes its place."""
    with Cluster(3, SHORT) as cluster:
        node = a_follower(cluster)
        fill(node, 0, 4000)  # its own state is worth writing
        cluster.wait_applied()
        leader = cluster.leader()
        node.kill()
        held = number(leader, "raft_last")
        fill(leader, 2000, 4000)
        wait_trimmed(leader, held + 1)
        node.start(["--checkpoint-bytes", "64kb"])
        wait_installed(node)
        assert_equal(cluster)
        node.kill()
        node.start()
        assert_equal(cluster)


# --- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage,why", [
    (flip, "bad checksum of a block"),
    (lambda path, at: os.truncate(path, os.path.getsize(path) - 20), "its end is missing"),
    (lambda path, at: write_at(path, os.path.getsize(path), b"more"), "it goes on behind its end")],
    ids=["flipped", "cut", "longer"])
def test_scenario_27_63_a_damaged_snapshot_is_refused_and_replaced(damage, why):
    """Scenarios 27, 63: said, counted, never installed; the source takes a new one."""
    with Cluster(3, SHORT) as cluster:
        node = a_follower(cluster)
        leader = strand(cluster, node)
        wait_checkpoint_of_all(leader)
        damage(os.path.join(leader.directory, "checkpoint"), MIB)
        leader.call("SET", "one", "more")  # what a new checkpoint needs
        node.start()
        wait_installed(node)
        assert number(node, "snapshots_refused") == 1
        assert number(leader, "snapshot_files_refused") == 1
        assert "Refused the snapshot at slot" in node.log()
        assert why in node.log()
        assert "cannot use this node's checkpoint" in leader.log()
        assert_equal(cluster)


def content(node, name="checkpoint"):
    with open(os.path.join(node.directory, name), "rb") as file:
        return file.read()


def alarms(node):
    return [row for row in node.call("ALARM", "LIST") if b"SNAPSHOT" in repr(row).encode()]


def test_a_snapshot_of_another_cluster_is_refused():
    """The issue's bad input: a file that is whole, but not ours. The node that has it does not
    offer it, says so, and takes another one."""
    with Cluster(1, ["--checkpoint-bytes", "64kb"]) as other:
        fill(other.nodes[0], 0, 100)
        wait_for(lambda: number(other.nodes[0], "checkpoints") > 0, "a checkpoint", 10)
        foreign = content(other.nodes[0])
    with Cluster(3, SHORT) as cluster:
        node = a_follower(cluster)
        leader = strand(cluster, node)
        wait_checkpoint_of_all(leader)
        path = os.path.join(leader.directory, "checkpoint")
        with open(path + ".foreign", "wb") as file:
            file.write(foreign)
        os.replace(path + ".foreign", path)
        node.start()
        wait_for(lambda: number(leader, "snapshot_files_unusable") == 1, "it was looked at", 10)
        assert "cannot be offered: it belongs to another cluster" in leader.log()
        assert alarms(leader)
        assert number(leader, "snapshot_offers") == 0
        assert number(node, "snapshots_begun") == 0  # it never got to see it
        leader.call("SET", "one", "more")  # what a new checkpoint needs
        wait_installed(node)
        assert number(node, "snapshots_installed") == 1
        assert_equal(cluster)


def with_cluster(file, cluster):
    """The checkpoint with another cluster in its header, all checksums right."""
    roster_bytes = int.from_bytes(file[82:84], "little")
    end = 100 + roster_bytes
    header = file[:16] + cluster + file[32:end]
    return header + crc32c(header).to_bytes(4, "little") + file[end + 4:]


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


@pytest.mark.parametrize("harm, said", [
    (lambda file: with_cluster(file, b"another cluster!"),
     "it belongs to another cluster or group"),
    (lambda file: file[:MIB] + bytes([file[MIB] ^ 4]) + file[MIB + 1:], "bad checksum of a block"),
    (lambda file: file[:-30] + bytes(30), "bad"),
], ids=["foreign", "damaged", "cut"])
def test_what_is_refused_changes_nothing(harm, said):
    """Scenarios 27, 63, and the bad input of another cluster: the source has offered the file when
    it turns into another one. Until there is a better one the node is as it was."""
    with Cluster(3, SHORT) as cluster:
        node = a_follower(cluster)
        fill(cluster.leader(), 5000, 1500)
        wait_for(lambda: number(node, "checkpoints") > 0, "a checkpoint of its own", 15)
        cluster.wait_applied()
        wait_for(lambda: not os.path.exists(os.path.join(node.directory, "checkpoint.new")),
                 "it is written", 5)
        own = number(node, "checkpoint_slot")
        leader = strand(cluster, node)
        wait_checkpoint_of_all(leader)
        slow_down(leader, "1mb")
        node.start()
        wait_for(lambda: number(leader, "snapshot_bytes_sent") > 0, "the leader has it open", 10)
        node.kill()
        path = os.path.join(leader.directory, "checkpoint")
        file = harm(content(leader))
        with open(path, "r+b") as place:
            place.write(file)  # where it lies: the leader has it open
        received = os.path.join(node.directory, "checkpoint.received")
        if os.path.exists(received):
            os.unlink(received)
        slow_down(leader, "1gb")
        before, slot = content(node), number(leader, "checkpoint_slot")
        node.start()
        wait_for(lambda: number(node, "snapshots_refused") == 1, "it is refused", 15)
        assert "Refused the snapshot at slot" in node.log()
        assert said in node.log()
        assert alarms(node)
        wait_for(lambda: number(leader, "snapshot_files_refused") == 1, "the source knows", 5)
        wait_for(lambda: not os.path.exists(received), "the file goes", 5)
        # As it was, or of its own since: it takes one when it has applied enough of its log.
        assert content(node) == before or own <= number(node, "checkpoint_slot") < slot
        # Its own state. What its log has beyond it nobody can tell to be the leader's, which has
        # trimmed that.
        wait_for(lambda: own <= number(node, "raft_applied") < slot, "its state is its own", 5)
        assert number(node, "snapshots_installed") == 0
        leader.call("SET", "one", "more")
        wait_installed(node)
        assert_equal(cluster)


def test_no_room_for_a_snapshot():
    """Scenario 56: the attempt is given up before the disk is full, and made again."""
    with Cluster(3, SHORT + ["--log-reserve-bytes", "4mb"], start=False) as cluster:
        small = cluster.nodes[0]
        mount = os.path.join(cluster.directory, "small")
        disk = SmallDisk(mount, 64 * MIB)
        try:
            small.directory = os.path.join(mount, "node")
            slow = ["--election-timeout-ms", "3000"]
            disk.start(small, slow)
            cluster.nodes[1].start()
            cluster.nodes[2].start()
            cluster.wait_ready()
            wait_checkpoint_of_all(strand(cluster, small, 3000))  # of 12 MB
            disk.leave(12 * MIB)
            disk.start(small, slow)
            wait_for(lambda: number(small, "snapshots_given_up") > 0, "it is given up", 15)
            assert small.running()
            assert "Gave up a snapshot, to be tried again later" in small.log()
            disk.give_back()
            wait_installed(small)
            assert_equal(cluster)
        finally:
            small.kill()
            disk.close()


def test_reads_that_wait_and_writes_in_flight_are_answered():
    """A member that asks others meanwhile: every command gets an answer."""
    with pulling("8mb", 0, keys=2000) as (cluster, node, leader):
        with node.connect() as connection:
            for i in range(200):
                connection.send("GET", f"key:{i}")
                connection.send("SET", f"new:{i}", i)
            slow_down(leader, "1gb")
            for i in range(200):
                value, done = connection.read(), connection.read()
                assert value.startswith(b"%d," % i), value
                assert done == "OK" or isinstance(done, Error), done
        wait_installed(node)
        assert_equal(cluster)
