"""Damage to a partition of a keyspace: it is repaired as keyspace 0's is, by itself, and takes no
other partition with it (decisions 024, 025; U27; scenarios 48, 61, 63, 105)."""
import contextlib
import os

from cluster import Cluster, pipeline_again, wait_for
from damage import entries, flip, flip_entry
from resp import Closed, Error
from test_leadership import alarms
from test_partitions import create
from test_repair import damage_worse

SMALL = ["--checkpoint-bytes", "256kb", "--log-segment-bytes", "256kb", "--log-reserve-bytes",
         "512kb", "--log-max-entries", "1000"]
FIRST = 2  # the group of the first partition that is created


def selected(node, keyspace):
    connection = node.connect(timeout=60)
    assert connection.call("SELECT", keyspace) == "OK"
    return connection


def fill(node, keyspace, prefix, count, size=100):
    with selected(node, keyspace) as connection:
        for first in range(0, count, 500):
            numbers = range(first, min(first + 500, count))
            replies = pipeline_again(connection, [("SET", f"{prefix}:{i}", f"{i}-" + "v" * size)
                                                  for i in numbers])
            assert replies == ["OK"] * len(numbers)


def check(node, keyspace, prefix, count, size=100):
    with selected(node, keyspace) as connection:
        for first in range(0, count, 500):
            numbers = range(first, min(first + 500, count))
            replies = pipeline_again(connection, [("GET", f"{prefix}:{i}") for i in numbers])
            assert replies == [f"{i}-{'v' * size}".encode() for i in numbers]


def file_of(node, name, group=FIRST):
    return os.path.join(node.directory, "groups", f"{group}.{name}")


def over(node, kind):
    """Its alarms of that kind, all of which are over."""
    rows = [row for row in alarms(node, kind) if row["node"] == node.number]
    return rows if rows and all(row["until"] > 0 for row in rows) else None


def harmed(node):
    info = node.try_info("keyspaces")
    return info and [info[f"partitions_{what}"]
                     for what in ("repairing", "forgetful", "quarantined")]


def wait_whole(cluster):
    for node in cluster.nodes:
        wait_for(lambda node=node: harmed(node) == ["0", "0", "0"], "its partitions are whole", 20)


@contextlib.contextmanager
def three(replicas=3, options=()):
    """Two keyspaces of a partition each: one to be harmed, and one beside it."""
    with Cluster(3, options=options) as cluster:
        create(cluster, "harmed", "PARTITIONS", 1, "REPLICAS", replicas)
        create(cluster, "beside", "PARTITIONS", 1, "REPLICAS", 3)
        yield cluster


def writes(node, keyspace="beside"):
    try:
        with selected(node, keyspace) as connection:
            return connection.call("SET", "k", "v") == "OK"
    except (Error, Closed, OSError):
        return False


def where(cluster, words, keyspace="ks16"):
    """The node that says so of the first keyspace that was created."""
    def found():
        infos = [(node, node.try_info("keyspaces") or {}) for node in cluster.nodes]
        return next((node for node, info in infos if words in info.get(keyspace, "").split(",")),
                    None)
    return wait_for(found, f"a node of which {words} is true")


def holder(cluster):
    """The node that has the replica, of one only."""
    return where(cluster, "here=1")


def test_a_partition_that_is_outvoted_is_fed_anew():
    """U27, T14: also over a restart, and while it is in quarantine the others serve."""
    with three() as cluster:
        fill(cluster.nodes[0], "harmed", "k", 500)
        fill(cluster.nodes[0], "beside", "k", 100)
        bad = cluster.followers()[0]
        with selected(bad, "harmed") as connection:
            wait_for(lambda: connection.call("DEBUG", "CORRUPT", "k:7") == 1, "it has it")
            others = [node for node in cluster.nodes if node is not bad]
            rows = wait_for(lambda: writes(others[0], "harmed") and over(bad, "CORRUPT"),
                            "it came and went", 20)
            assert "keyspace 'harmed'" in rows[0]["text"] and "group 2" in rows[0]["text"]
            assert connection.call("GET", "k:7") == b"7-" + b"v" * 100
        assert os.path.exists(os.path.join(bad.directory, "quarantine", "groups", "2.checkpoint"))
        assert not os.path.exists(file_of(bad, "quarantined"))
        wait_whole(cluster)
        bad.kill()
        with open(file_of(bad, "quarantined"), "wb"):
            pass
        for node in others:
            node.kill()
        for node in cluster.nodes:
            node.start()
        wait_for(lambda: "before the last start" in bad.log(), "it remembers")
        wait_whole(cluster)
        check(bad, "harmed", "k", 500)
        assert not os.path.exists(file_of(bad, "quarantined"))


def trimmed(node):
    """What a checkpoint holds is in the log no more; of all of it nothing may be left there."""
    try:
        left = entries(node, FIRST)
    except FileNotFoundError:  # a segment went meanwhile
        return False
    return os.path.exists(file_of(node, "checkpoint")) and min(left, default=8000) > 1000


def has_trimmed_log(cluster, victim):
    fill(cluster.nodes[0], "harmed", "k", 8000)
    fill(cluster.nodes[0], "beside", "k", 100)
    wait_for(lambda: trimmed(victim), "its log is trimmed", 20)
    victim.kill()


def test_a_checkpoint_of_a_partition_is_damaged_lost_or_cannot_be_read():
    """Scenarios 48, 61, 63: its state comes from another; nothing else waits for it."""
    with three(options=SMALL) as cluster:
        victim = cluster.followers()[0]
        has_trimmed_log(cluster, victim)
        path = file_of(victim, "checkpoint")

        def unreadable():  # for a reason that is the file's own
            os.unlink(path)
            os.symlink(os.path.basename(path), path)

        for harm in (lambda: flip(path, os.path.getsize(path) // 2), lambda: os.unlink(path),
                     unreadable):
            harm()
            victim.start()
            wait_for(lambda: writes(victim), "the other partition")
            wait_whole(cluster)
            rows = wait_for(lambda: over(victim, "DAMAGED"), "the alarm is over")
            assert "keyspace 'harmed'" in rows[-1]["text"], rows
            check(victim, "harmed", "k", 8000)
            wait_for(lambda: not os.path.lexists(path + ".damaged"), "what was damaged goes", 20)
            victim.kill()
        victim.start()
        wait_whole(cluster)
        assert "forgotten" not in victim.log()


def test_what_nobody_else_has_is_waited_for_and_told():
    """R7: the only replica of a partition; the node serves all the others."""
    with three(replicas=1, options=SMALL) as cluster:
        victim = holder(cluster)
        has_trimmed_log(cluster, victim)
        path = file_of(victim, "checkpoint")
        with open(path, "rb") as file:
            whole = file.read()
        flip(path, len(whole) // 2)
        victim.start()
        wait_for(lambda: writes(victim), "the other partition")
        wait_for(lambda: harmed(victim) == ["1", "0", "0"], "it waits")
        row = alarms(victim, "DAMAGED")[0]
        assert row["until"] == 0 and "keyspace 'harmed'" in row["text"] and "backup" in row["text"]
        told = victim.info("keyspaces")["harmed0"]
        assert told == "keyspace=harmed,partition=0,group=2,state=repairing"
        assert not writes(victim, "harmed")
        victim.kill()
        for name in ("checkpoint", "checkpoint.damaged"):
            if os.path.exists(file_of(victim, name)):
                os.unlink(file_of(victim, name))
        with open(path, "wb") as file:
            file.write(whole)
        victim.start()
        wait_for(lambda: writes(victim, "harmed"), "with what was restored", 20)
        check(victim, "harmed", "k", 8000)


def test_a_partition_that_drops_entries_forgets_alone():
    """Scenario 105: a majority never had them; whoever drops them neither votes nor counts until it
    is brought up, and the other partitions of its node know nothing of it."""
    with three() as cluster:
        fill(cluster.nodes[0], "harmed", "k", 100)
        fill(cluster.nodes[0], "beside", "k", 100)
        leader = where(cluster, "led=1")
        others = [node for node in cluster.nodes if node is not leader]
        first = max(entries(leader, FIRST)) + 1
        connections = [selected(leader, "harmed") for _ in range(20)]
        for node in others:
            node.pause()
        for i, connection in enumerate(connections):
            connection.send("SET", f"doubt:{i}", i)
            leader.info("clients")  # a turn of the loop, and a batch of the log, for each
        for node in others:
            node.kill()
        assert leader.terminate() == 0
        doubtful = entries(leader, FIRST)
        flip_entry(doubtful[(first + max(doubtful)) // 2])
        cluster.start()
        wait_whole(cluster)
        log = leader.log()
        assert "the others were dropped" in log
        assert "(group 2): It has forgotten what it promised" in log
        assert log.count("has forgotten") == 1
        assert not os.path.exists(file_of(leader, "forgetful"))
        check(leader, "harmed", "k", 100)
        check(leader, "beside", "k", 100)


def test_a_log_that_was_cut_is_remembered_by_every_partition():
    """Scenarios 53, 57: whose entries were in the end that is gone nobody can tell."""
    with three() as cluster:
        fill(cluster.nodes[0], "harmed", "k", 2000)
        fill(cluster.nodes[0], "beside", "k", 2000)
        victim = cluster.followers()[0]
        victim.kill()
        damage_worse(victim, "truncate")
        victim.start()
        wait_whole(cluster)
        wait_for(lambda: over(victim, "DAMAGED"), "it is over", 20)
        wait_for(lambda: not os.path.exists(os.path.join(victim.directory, "forgetful")), "so")
        assert not [name for name in os.listdir(os.path.join(victim.directory, "log"))
                    if "damaged" in name]
        check(victim, "harmed", "k", 2000)
        check(victim, "beside", "k", 2000)
