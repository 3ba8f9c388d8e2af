"""Damaged disks: what is lost on one node comes back from the others, and nothing that was
acknowledged is lost, whoever is hit (scenarios 46, 47, 48, 53, 57, 61, 62, 63, 105, 108, 109)."""
import contextlib
import os
import random
import shutil

import pytest

from campaign import tables_for
from cluster import PATIENCE, Cluster, wait_for
from damage import entries, flip, flip_entry, records, segments, write_at
from loadgen import LoadGenerator
from resp import Error
from test_leadership import alarms
from test_restart import check, fails_to_start, fill

SMALL = ["--checkpoint-bytes", "256kb", "--log-segment-bytes", "256kb", "--log-reserve-bytes",
         "512kb", "--log-max-entries", "1000"]


def digests(cluster):
    found = set()
    for node in cluster.alive():
        info = node.try_info("digest")
        found.add((info["digest_slot"], info["digest"]) if info else None)
    return found


def all_equal(cluster):
    wait_for(lambda: len(digests(cluster)) == 1 and None not in digests(cluster),
             "the replicas are equal", 20)


def raft(node, field):
    info = node.try_info("raft")
    return info and info[field]


def is_whole(node):
    """It takes part as if nothing had been."""
    return raft(node, "raft_repairing") == "0" and raft(node, "raft_forgetful") == "0" and \
        not os.path.exists(os.path.join(node.directory, "forgetful"))


def left_over(node):
    """Files that are of no more use."""
    return [name for name in os.listdir(node.directory) + os.listdir(
        os.path.join(node.directory, "log")) if "damaged" in name or name.endswith("received")]


def going_on(cluster):
    """Alarms whose cause goes on, as every node knows them."""
    return {row["alarm"] for node in cluster.nodes for row in alarms(node) if row["until"] == 0}


def wait_whole(cluster):
    for node in cluster.nodes:
        wait_for(lambda node=node: is_whole(node), f"node {node.number} is whole", 20)
    cluster.wait_ready()
    all_equal(cluster)


def middle(node, part=0.5):
    """An entry from the middle of the log."""
    found = entries(node)
    return found[sorted(found)[int(len(found) * part)]]


@contextlib.contextmanager
def killed(count, options=(), size=100, leads=False):
    """One of three nodes, whose directory may be harmed now; each has `count` keys "k"."""
    with Cluster(3, options=options) as cluster:
        fill(cluster.nodes[0], "k", count, size=size)
        cluster.wait_applied()
        victim = cluster.leader() if leads else cluster.followers()[0]
        victim.kill()
        yield cluster, victim


# --- Single entries -----------------------------------------------------------------------------


def test_scenario_62_105_a_damaged_entry_comes_from_the_others():
    """Scenarios 62, 105."""
    with killed(2000) as (cluster, victim):
        flip_entry(middle(victim))
        victim.start()
        wait_whole(cluster)
        check(victim, "k", 2000)
        assert "Repairing" in victim.log() and "1 entries were fetched" in victim.log()
        # It is repaired for good: alone with one other it can vote, lead, and start again.
        victim.kill()
        victim.start()
        wait_whole(cluster)
        assert victim.log().count("The log is repaired") == 1


def test_parts_of_a_large_value_come_from_the_others():
    """Scenarios 62, 105, with U16: a part is an entry like any other."""
    value = os.urandom(3 << 20)
    with Cluster(3) as cluster:
        assert cluster.nodes[0].call("SET", "large", value) == "OK"
        fill(cluster.nodes[0], "k", 100)
        cluster.wait_applied()
        victim = cluster.followers()[0]
        victim.kill()
        parts = [record for _, record in sorted(entries(victim).items()) if record.kind == 5]
        assert len(parts) >= 12
        for record in (parts[0], parts[5], parts[-1]):
            flip_entry(record)
        victim.start()
        wait_whole(cluster)
        assert "3 entries were fetched" in victim.log()
        assert victim.call("GET", "large") == value
        check(victim, "k", 100)


def test_clients_are_told_while_a_node_repairs():
    with Cluster(3) as cluster:
        fill(cluster.nodes[0], "k", 500)
        cluster.wait_applied()
        cluster.terminate_all()
        victim = cluster.nodes[0]
        flip_entry(middle(victim))
        victim.start()
        wait_for(lambda: raft(victim, "raft_repairing") == "1", "it repairs")
        assert int(raft(victim, "raft_repair_holes")) == 1
        assert int(raft(victim, "raft_repair_first")) > 0
        assert alarms(victim, "DAMAGED")
        assert victim.call("PING") == "PONG"
        for command in (["GET", "k:1"], ["SET", "k:1", "x"], ["FLUSHALL"]):
            try:
                victim.call(*command)
                raise AssertionError("served")
            except Error as error:
                assert str(error).startswith("LOADING"), error
        cluster.start()
        wait_whole(cluster)
        check(victim, "k", 500)


def test_damage_on_all_nodes_heals_when_it_is_in_different_places():
    """A helix: no node has a whole log, and together they have everything."""
    with Cluster(3) as cluster:
        fill(cluster.nodes[0], "k", 3000)
        cluster.wait_applied()
        cluster.terminate_all()
        dice = random.Random(7)
        common = sorted(set.intersection(*[set(entries(node)) for node in cluster.nodes]))[5:-5]
        hit = dice.sample(common, 60)
        for i, node in enumerate(cluster.nodes):
            found = entries(node)
            for slot in hit[i::3]:
                flip_entry(found[slot])
        cluster.start()
        wait_whole(cluster)
        for node in cluster.nodes:
            assert "20 entries were fetched" in node.log(), node.log()[-2000:]
            check(node, "k", 3000)
        assert all("forgotten" not in node.log() for node in cluster.nodes)


def test_scenario_109_a_zeroed_sector_inside_records():
    """Scenario 109: lengths are gone with it, and many entries."""
    with killed(3000, size=60, leads=True) as (cluster, victim):
        big = {}
        for record in records(victim):
            big.setdefault((record.path, record.batch), []).append(record)
        batch = max(big.values(), key=len)
        assert len(batch) > 20
        at = (batch[0].at + 1024) // 512 * 512
        write_at(batch[0].path, at, bytes(512))
        victim.start()
        wait_whole(cluster)
        assert "entries were fetched" in victim.log()
        check(victim, "k", 3000, size=60)


def test_scenario_47_padding_and_spare_bytes():
    """Scenario 47: what no record covers may be bad without harm."""
    with killed(300) as (cluster, victim):
        last = records(victim)[len(records(victim)) // 2]
        ends = {}
        for record in records(victim):
            ends[record.batch, record.path] = record.at + record.bytes
        for (batch, path), end in ends.items():
            if end % 4096 and (batch, path) != (last.batch, last.path):
                flip(path, end)
                break
        victim.start()
        wait_whole(cluster)
        check(victim, "k", 300)


def test_scenario_62_who_is_damaged_and_would_have_led_repairs_first():
    """Scenario 62: the corrupt log of a leader never overwrites the good ones."""
    with Cluster(3) as cluster:
        fill(cluster.nodes[0], "k", 1000)
        cluster.wait_applied()
        victim = cluster.leader()
        third = cluster.followers()[0]
        third.kill()  # it falls behind: only the victim and one other have the rest
        other = cluster.followers()[0]
        fill(other, "late", 1000)
        cluster.wait_applied()
        cluster.terminate_all()
        found = entries(victim)
        for slot in sorted(found)[-40:-10]:
            flip_entry(found[slot])
        victim.start()
        third.start()  # a majority, but the victim's log has the end and cannot be used yet
        wait_for(lambda: raft(victim, "raft_repairing") == "1", "it repairs")
        wait_for(lambda: raft(third, "raft_leader_id") == "0", "nobody leads")
        other.start()
        wait_whole(cluster)
        for node in cluster.nodes:
            check(node, "k", 1000)
            check(node, "late", 1000)


# --- What only a checkpoint has -----------------------------------------------------------------


def set_bounds(node, third):
    bounds = (64 << 10, 50) if node is third else (1 << 40, 0)
    for name, bound in zip(("checkpoint-bytes", "log-max-entries"), bounds):
        assert node.call("CONFIG", "SET", name, bound) == "OK"


def only_in_the_checkpoint_of(cluster, third):
    """Writes, of which `third` has the first thousands in its checkpoint only, and the others in
    their logs only."""
    for node in cluster.nodes:
        set_bounds(node, third)
    fill(cluster.nodes[0], "k", 4000)
    cluster.wait_applied()
    wait_for(lambda: fill(cluster.nodes[0], "more", 20) or int(raft(third, "raft_first")) > 3000,
             "its log is trimmed", 20)
    cluster.wait_applied()


def rot(node, slots):
    found = entries(node)
    for slot in slots:
        flip_entry(found[slot])


def nothing_is_forgotten(cluster):
    wait_whole(cluster)
    for node in cluster.nodes:
        check(node, "k", 4000)
        assert "forgotten" not in node.log(), node.log()[-2000:]
    wait_for(lambda: not going_on(cluster), "no alarm stays")
    wait_for(lambda: not any(left_over(node) for node in cluster.nodes), "nothing is left over")


def test_two_logs_lack_what_only_the_third_has_in_its_checkpoint():
    """Scenario 62, U26: all are killed, and two of three logs rot where the third was trimmed. Two
    that had to forget would leave nobody who may lead."""
    with Cluster(3, options=["--log-segment-bytes", "256kb"]) as cluster:
        first, second, third = cluster.nodes
        only_in_the_checkpoint_of(cluster, third)
        cluster.kill_all()
        rot(first, [100, 101, 500, 2000])
        rot(second, [100, 700, 701, 702])
        cluster.start()
        nothing_is_forgotten(cluster)
        assert all("and a checkpoint" in node.log() for node in (first, second))
        fill(first, "after", 100)
        cluster.kill_all()
        cluster.start()
        wait_whole(cluster)
        for node in (first, second):
            assert node.log().count("Repairing: entries of the log") == 1
        check(third, "after", 100)


@pytest.mark.parametrize("number, point", [
    (0, "INSTALL_RENAME"), (0, "INSTALL_NAMED"), (0, "INSTALL_RESET"), (0, "REPAIRED"),
    (2, "SNAPSHOT_SEND")])
def test_whoever_dies_while_a_checkpoint_fills_a_hole_goes_on(number, point):
    """Scenario 56, U26: kill -9 of the node that repairs itself at steps of the installation, and
    of the one that gives the checkpoint, in mid-transfer."""
    with Cluster(3, options=["--log-segment-bytes", "256kb"], start=False) as cluster:
        tables = tables_for(cluster)
        cluster.start()
        first, second, third = cluster.nodes
        only_in_the_checkpoint_of(cluster, third)
        cluster.kill_all()
        for node in (first, second):
            rot(node, [105, 108])
        victim = cluster.nodes[number]
        tables[victim].arm(point)
        for node in cluster.nodes:
            node.start()
        victim.stopped = True
        wait_for(lambda: not victim.running(), f"death at {point}", 20)
        victim.wait()
        victim.start()
        nothing_is_forgotten(cluster)


def test_two_checkpoints_are_lost_and_the_third_is_not_there_yet():
    """Scenario 48: as above, and the third comes late."""
    with Cluster(3, options=SMALL) as cluster:
        fill(cluster.nodes[0], "k", 4000)
        for node in cluster.nodes:
            wait_for(lambda node=node: int(raft(node, "raft_first")) > 500, "trimmed", 20)
        cluster.wait_applied()
        newest = max(cluster.nodes, key=lambda node: int(node.info()["checkpoint_slot"]))
        cluster.kill_all()
        others = [node for node in cluster.nodes if node is not newest]
        for node in others:
            os.unlink(os.path.join(node.directory, "checkpoint"))
            node.start()
        for node in others:
            wait_for(lambda node=node: raft(node, "raft_repairing") == "1", "it repairs")
        newest.start()
        nothing_is_forgotten(cluster)


def only_two_have(cluster, count):
    """Writes that one of three nodes never gets; returns that node, the leader and the third."""
    without = cluster.followers()[0]
    without.kill()
    leader = cluster.leader()
    fill(leader, "two", count)
    for i in range(20):  # more batches: the last one may be cut
        leader.call("SET", f"more:{i}", i)
    cluster.wait_applied()
    other = next(node for node in cluster.nodes if node not in (without, leader))
    cluster.kill_all()
    return without, leader, other


def test_who_has_forgotten_does_not_say_that_it_never_had_an_entry():
    """Scenario 62: acknowledged by two, damaged on one, forgotten by the other, never on the third:
    it is not dropped, and the node says what it waits for."""
    with Cluster(3) as cluster:
        fill(cluster.nodes[0], "k", 100)
        cluster.wait_applied()
        _, holder, other = only_two_have(cluster, 100)
        flip_entry(middle(holder, 0.7))
        damage_worse(other, "wipe")
        for node in cluster.nodes:
            node.start()
        wait_for(lambda: "no member that is connected (2) has them" in holder.log(), "it waits", 15)
        assert raft(holder, "raft_repairing") == "1"
        assert "has forgotten" not in holder.log()


def test_entries_that_only_a_leader_had_are_dropped_with_a_mark():
    """Scenario 105: a majority never had them; but who drops entries has forgotten what it said."""
    # A leader that is left alone leads for one election time-out more: six writes have to fit.
    alone = ["--election-timeout-ms", str(int(1500 * PATIENCE))]
    with Cluster(3, options=alone) as cluster:
        fill(cluster.nodes[0], "k", 100)
        cluster.wait_applied()
        leader, others = cluster.leader(), cluster.followers()
        for node in others:
            node.kill()
        first = int(raft(leader, "raft_last")) + 1
        with leader.connect() as connection:
            for i in range(6):
                last = int(raft(leader, "raft_last"))
                connection.send("SET", f"doubt:{i}", i)
                wait_for(lambda least=last: int(raft(leader, "raft_last")) > least, "it is logged",
                         pause=0.001)
        assert leader.terminate() == 0  # all of it is on disk, and known to be
        flip_entry(entries(leader)[first])
        cluster.start()
        wait_whole(cluster)
        assert "has forgotten what it promised" in leader.log()
        assert "the others were dropped" in leader.log()
        check(leader, "k", 100)


# --- More than entries --------------------------------------------------------------------------


def damage_worse(victim, how):
    paths = segments(victim)
    used = sorted({record.path for record in records(victim)}) or paths[:1]
    path = used[-1] if how == "zero newest" else used[len(used) // 2]
    if how == "truncate":
        with open(path, "r+b") as file:
            file.truncate(os.path.getsize(path) // 2 // 4096 * 4096)
    elif how == "short":  # scenario 108: shorter than its header says, not even whole blocks
        with open(path, "r+b") as file:
            file.truncate(os.path.getsize(path) // 3 + 7)
    elif how in ("zero", "zero newest"):
        write_at(path, 0, bytes(os.path.getsize(path)))
    elif how == "lose":
        os.unlink(path)
    elif how == "header":
        batch = records(victim)[len(records(victim)) // 2]
        write_at(batch.path, batch.batch, bytes(64))
    elif how == "misdirected":  # scenario 46: a block written over another one
        mine = [record for record in records(victim) if record.path == path]
        other = next(record for record in mine if record.batch != mine[-1].batch)
        with open(path, "rb") as file:
            file.seek(mine[-1].batch)
            block = file.read(4096)
        write_at(path, other.batch, block)
    elif how == "wipe":  # the log's directory; the identity knows that there was one
        shutil.rmtree(os.path.join(victim.directory, "log"))
    else:
        raise AssertionError(how)
    assert paths


def forgets_and_comes_back(how, options=(), count=2000):
    with killed(count, options) as (cluster, victim):
        damage_worse(victim, how)
        fill(cluster.leader(), "meanwhile", 200)
        victim.start()
        wait_whole(cluster)
        assert "has forgotten" in victim.log(), victim.log()[-2000:]
        assert "has recovered" in victim.log()
        check(victim, "k", count)
        check(victim, "meanwhile", 200)
        left = os.listdir(victim.directory) + os.listdir(os.path.join(victim.directory, "log"))
        assert not [name for name in left if "damaged" in name]
        # It counts again: with one other it makes a quorum, and what they say is durable.
        third = next(node for node in cluster.nodes
                     if node is not victim and node is not cluster.leader())
        third.kill()
        cluster.wait_ready()
        fill(victim, "after", 100)
        cluster.kill_all()
        cluster.start()
        check(third, "after", 100)


def test_scenario_57_a_cut_segment():
    forgets_and_comes_back("truncate")


def test_scenario_108_a_segment_that_is_shorter_than_its_header_says():
    forgets_and_comes_back("short", SMALL)


def test_a_zeroed_segment():
    forgets_and_comes_back("zero")


def test_a_zeroed_newest_segment():
    """It looks like one that was never used."""
    forgets_and_comes_back("zero newest", SMALL)


def test_a_lost_segment():
    forgets_and_comes_back("lose")


def test_a_batch_without_its_header():
    forgets_and_comes_back("header")


def test_scenario_46_a_misdirected_write():
    forgets_and_comes_back("misdirected")


def test_a_wiped_log_directory():
    """Scenario 53, as far as the identity is still there."""
    forgets_and_comes_back("wipe")


def test_the_mark_stays_until_the_others_have_helped():
    """Scenario 53: what it has forgotten it knows over any number of starts."""
    with killed(100) as (cluster, victim):
        damage_worse(victim, "wipe")
        cluster.kill_all()
        for _ in range(2):
            victim.start()
            wait_for(lambda: raft(victim, "raft_forgetful") == "1", "it has forgotten")
            assert os.path.exists(os.path.join(victim.directory, "forgetful"))
            victim.kill()
        cluster.start()
        wait_whole(cluster)
        check(victim, "k", 100)


def test_a_wiped_log_directory_is_fed_by_snapshot():
    forgets_and_comes_back("wipe", SMALL, count=20000)


def test_scenario_63_a_damaged_checkpoint():
    """Scenario 63: it is never ignored in silence; the state comes from another. The log is whole,
    so nothing is forgotten."""
    with Cluster(3, options=SMALL) as cluster:
        fill(cluster.nodes[0], "k", 8000)
        cluster.wait_applied()
        victim = cluster.followers()[0]
        wait_for(lambda: int(raft(victim, "raft_first")) > 1000, "its log is trimmed", 20)
        victim.kill()
        path = os.path.join(victim.directory, "checkpoint")
        flip(path, os.path.getsize(path) // 2)
        victim.start()
        wait_whole(cluster)
        assert "Repairing: the checkpoint is damaged" in victim.log()
        assert "forgotten" not in victim.log()
        wait_for(lambda: not left_over(victim), "what was damaged goes")
        check(victim, "k", 8000)


def test_what_a_snapshot_left_goes_when_the_log_has_caught_up():
    """Scenario 56: nobody will go on with it."""
    with Cluster(3, options=SMALL) as cluster:
        fill(cluster.nodes[0], "k", 2000)
        for node in cluster.nodes:
            wait_for(lambda node=node: int(node.info()["checkpoint_slot"]) > 0, "a checkpoint")
        cluster.terminate_all()
        for node, left in zip(cluster.nodes, (b"", b"no checkpoint" * 1000, None)):
            path = os.path.join(node.directory, "checkpoint")
            if left is None:
                shutil.copy(path, path + ".received")
            else:
                with open(path + ".received", "wb") as file:
                    file.write(left)
            shutil.copy(path, path + ".damaged")
        cluster.start()
        wait_whole(cluster)
        wait_for(lambda: not any(left_over(node) for node in cluster.nodes), "nothing is left over")


def test_whether_it_has_forgotten_must_be_known():
    """Scenario 53: a mark that cannot be looked at may be there; no start takes it for absent."""
    with Cluster(3) as cluster:
        victim = cluster.followers()[0]
        assert victim.terminate() == 0
        mark = os.path.join(victim.directory, "forgetful")
        os.symlink("forgetful", mark)
        assert "`forgetful`" in fails_to_start(victim)
        os.unlink(mark)
        victim.start()
        wait_whole(cluster)


def test_scenario_48_61_a_lost_checkpoint_and_a_stale_one():
    """Scenarios 48, 61: a log that begins behind the checkpoint does not fit it."""
    with Cluster(3, options=SMALL) as cluster:
        fill(cluster.nodes[0], "k", 4000)
        cluster.wait_applied()
        victim = cluster.followers()[0]
        wait_for(lambda: int(raft(victim, "raft_first")) > 500, "its log is trimmed", 20)
        victim.kill()
        path = os.path.join(victim.directory, "checkpoint")
        stale = path + "-of-before"
        shutil.copy(path, stale)
        victim.start()
        cluster.wait_ready()
        trimmed = int(raft(victim, "raft_first"))
        fill(cluster.nodes[0], "more", 8000)
        wait_for(lambda: int(raft(victim, "raft_first")) > trimmed + 4000, "more is trimmed", 20)
        for loss in (lambda: os.replace(stale, path), lambda: os.unlink(path)):
            victim.kill()
            loss()
            victim.start()
            wait_whole(cluster)
            check(victim, "k", 4000)
            check(victim, "more", 8000)
        assert victim.log().count("and a checkpoint") == 2


# --- Under load ---------------------------------------------------------------------------------


def test_damage_again_and_again_under_load():
    """Every node in turn, entries and worse; nothing acknowledged is lost."""
    dice = random.Random(11)
    with Cluster(3, options=SMALL) as cluster:
        with LoadGenerator(cluster, clients=6, depth=8, rate=1500, patience_ms=1500,
                           seed=3) as load:
            load.wait_for_acknowledged(500)
            for round_ in range(6):
                victim = cluster.nodes[round_ % 3]
                victim.kill()
                load.wait_for_acknowledged(100)
                found = entries(victim)
                if round_ % 2 == 0:
                    rotten = sorted(found)[:-3]
                    for slot in dice.sample(rotten, min(10, len(rotten))):
                        flip_entry(found[slot])
                else:
                    damage_worse(victim, dice.choice(["truncate", "zero", "header", "wipe"]))
                victim.start()
                wait_for(lambda victim=victim: is_whole(victim), "it is whole", 20)
                load.wait_for_acknowledged(100)
            load.finish()
            load.check_history()
        wait_whole(cluster)
