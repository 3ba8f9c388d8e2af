"""Leadership that moves by order, by preference and away from slow disks, and the alarms about it
(decision 025; rows L9, L10, L12; asks U20, U27)."""
import contextlib
import os
import threading
import time

import pytest

from cluster import CALM, PATIENCE, Cluster, wait_for
from loadgen import LoadGenerator
from machine import Stalls
from resp import Closed, Error, as_rows
from test_members import members, silence

SHIM = os.environ.get("QUORATE_FAULT_SHIM", "")
QUICK = ["--leader-priority-delay-ms", "300"]


class Writer(threading.Thread):
    """A client that writes one thing after the other and never tries again: whatever is not OK is
    a failed command."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node = node
        self.ending = threading.Event()
        self.failures, self.gaps, self.done = [], [], 0

    def run(self):
        with self.node.connect(timeout=20) as connection:
            last = time.monotonic()
            while not self.ending.is_set():
                try:
                    assert connection.call("INCR", self.name) == self.done + 1
                except (Error, Closed, OSError, AssertionError) as failure:
                    self.failures.append(repr(failure))
                    return
                self.done += 1
                now = time.monotonic()
                self.gaps.append((last, now))
                last = now

    def finish(self):
        self.ending.set()
        self.join(30 * PATIENCE)
        assert not self.failures, f"node {self.node.number}: {self.failures}"
        assert self.done > 0


def length(gap):
    """In milliseconds."""
    return 1000 * (gap[1] - gap[0])


@contextlib.contextmanager
def writers(nodes):
    threads = [Writer(node) for node in nodes]
    for thread in threads:
        thread.start()
    yield threads
    for thread in threads:
        thread.finish()


def moved_to(cluster, node):
    wait_for(node.leads, f"node {node.number} leads")
    return cluster.leader()


def alarms(node, name=None):
    rows = as_rows(node.call("ALARM", "LIST"))
    return [row for row in rows if name in (None, row["alarm"])]


# --- FAILOVER ------------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", ["readindex", "lease"])
def test_planned_hand_over_under_load_fails_no_command(mode):
    """No client sees more than a pause: neither those who pipeline nor those who wait for each
    reply, on the leader and on followers; and that pause is short."""
    with Cluster(3, CALM + ["--read-mode", mode]) as cluster, LoadGenerator(cluster) as load, \
            Stalls(cluster.directory) as stalls:
        load.wait_for_acknowledged(2000)
        pauses, usual = [], []
        for turn in range(9):
            leader = cluster.leader()
            followers = [node for node in cluster.nodes if node is not leader]
            target = followers[turn % 2]
            with writers(cluster.nodes) as threads:
                wait_for(lambda t=threads: all(w.done > 20 for w in t), "the writers write")
                usual += [length(gap) for writer in threads for gap in writer.gaps[:20]]
                asked = cluster.nodes[turn % 3]
                assert asked.call("FAILOVER", "TO", str(target.number), "TIMEOUT", "5000") == "OK"
                before = [writer.done for writer in threads]
                wait_for(lambda t=threads, b=before: all(w.done > n + 20 for w, n in zip(t, b)),
                         "they go on")
            pauses.append(max(length(gap) - 1000 * stalls.within(*gap)
                              for writer in threads for gap in writer.gaps))
            moved_to(cluster, target)
        for word in ("uncertain", "lost", "refused", "unexpected", "uncertain_reads"):
            assert load.word(word) == 0, word
        # A hand-over is a few syncs, one after the other, and a write is one: disks may be busy.
        bound = 50 * PATIENCE + 4 * sorted(usual)[len(usual) // 2]
        assert sorted(pauses)[len(pauses) // 2] < bound, (bound, pauses)
        summary = load.finish()
        assert summary["uncertain"] + summary["refused"] + summary["lost"] == 0, summary
        load.check_history()


def test_shutdown_of_the_leader_fails_no_command_on_the_others():
    with Cluster(3) as cluster:
        for _ in range(3):
            leader = cluster.leader()
            others = [node for node in cluster.nodes if node is not leader]
            with writers(others) as threads:
                wait_for(lambda t=threads: all(w.done > 50 for w in t), "the writers write")
                assert leader.terminate() == 0
                before = [writer.done for writer in threads]
                wait_for(lambda t=threads, b=before: all(w.done > n + 50 for w, n in zip(t, b)),
                         "they go on")
            leader.start()
            cluster.wait_ready()


def test_failover_says_what_stands_in_its_way_and_changes_nothing():
    with Cluster(3) as cluster:
        leader = cluster.leader()
        followers = cluster.followers()
        refused = [(["TO"], "ERR syntax error"),
                   (["TO", "77"], "not a member"), (["TO", "nobody"], "not a member"),
                   (["TO", "127.0.0.1", "1"], "HOST and PORT is not a member"),
                   (["TO", str(followers[0].number), "FORCE"], "could lose writes"),
                   (["TIMEOUT"], "ERR syntax error"), (["TIMEOUT", "x"], "not an integer"),
                   (["TIMEOUT", "0"], "greater than 0"), (["TIMEOUT", "-1"], "greater than 0"),
                   (["ABORT"], "No failover in progress"), (["NOW"], "ERR syntax error"),
                   (["ABORT", "TIMEOUT", "5"], "ERR syntax error")]
        term = leader.info("raft")["raft_term"]
        for arguments, text in refused:
            for node in (leader, followers[0]):
                with pytest.raises(Error, match=text):
                    node.call("FAILOVER", *arguments)
        assert leader.call("FAILOVER", "TO", str(leader.number)) == "OK"  # it does
        followers[1].kill()
        wait_for(lambda: "connected" not in leader.info("raft")[
            f"raft_member{followers[1].number - 1}"].split("state=")[1].split(",")[0], "it is away")
        with pytest.raises(Error, match="not connected, nothing was changed"):
            leader.call("FAILOVER", "TO", str(followers[1].number))
        assert leader.info("raft")["raft_term"] == term
        # A host and port as Redis has it; and whoever is left when nobody is named.
        assert leader.call("FAILOVER", "TO", "127.0.0.1", followers[0].port) == "OK"
        moved_to(cluster, followers[0])
        assert leader.call("FAILOVER") == "OK"
        moved_to(cluster, leader)


def test_a_target_that_does_not_answer_keeps_the_leader_and_can_be_called_off():
    with Cluster(3) as cluster:
        leader, (one, _) = cluster.leader(), cluster.followers()
        one.pause()
        with pytest.raises(Error, match="ERR FAILOVER timed out or was called off, "
                                        f"node {leader.number} still leads"):
            leader.call("FAILOVER", "TO", str(one.number), "TIMEOUT", "200")
        assert leader.call("SET", "k", "v") == "OK"
        with leader.connect() as waiting:
            waiting.send("FAILOVER", "TO", str(one.number), "TIMEOUT", "20000")
            wait_for(lambda: leader.info("replication")["master_failover_state"] ==
                     "waiting-for-sync", "it waits")
            with pytest.raises(Error, match="already in progress"):
                leader.call("FAILOVER")
            deadline = time.monotonic() + 0.6  # two election time-outs: it has more time than that
            wait_for(lambda: time.monotonic() > deadline, "a while")
            assert leader.call("FAILOVER", "ABORT") == "OK"
            assert isinstance(waiting.read(), Error)
        assert leader.call("SET", "k", "w") == "OK"
        one.resume()
        cluster.wait_ready()


# --- Preference ----------------------------------------------------------------------------------

def test_a_hand_over_without_a_target_goes_to_the_best():
    """Among those that could lead: the highest priority."""
    with Cluster(3, options=["--leader-priority-delay-ms", "600000"]) as cluster:
        for best, other in ((0, 1), (1, 0)):
            leader = cluster.wait_ready()
            followers = cluster.followers()
            leader.call("MEMBER", "SET", str(followers[best].number), "PRIORITY", "150")
            leader.call("MEMBER", "SET", str(followers[other].number), "PRIORITY", "50")
            for node in followers:  # it says so when they meet again
                node.kill()
                node.start()
                cluster.wait_ready()
                wait_for(lambda n=node, to=leader: silence(to, n) >= 0, "it is heard")
            assert cluster.leader() is leader
            wait_for(lambda to=leader: all(row["lag"] == 0 for row in members(to).values()),
                     "any of them could lead")
            assert leader.call("FAILOVER") == "OK"
            moved_to(cluster, followers[best])


def test_the_voter_with_the_highest_priority_leads_and_does_not_flap():
    with Cluster(3, options=QUICK) as cluster:
        preferred = cluster.followers()[0]
        with writers([node for node in cluster.nodes if node is not preferred]):
            preferred.call("CONFIG", "SET", "leader-priority", "200")
            moved_to(cluster, preferred)
        # It fails, comes back, keeps up, and gets it again; after a second failure it has to wait
        # for twice as long, then four times.
        waits = []
        for _ in range(2):
            preferred.kill()
            cluster.leader()
            preferred.start(["--leader-priority", "200"])
            wait_for(lambda: preferred.try_info("raft"), "it runs")
            back = time.monotonic()
            moved_to(cluster, preferred)
            waits.append(time.monotonic() - back)
        assert waits[0] > 0.4 and waits[1] > 0.9, waits
        term = preferred.info("raft")["raft_term"]
        preferred.call("CONFIG", "SET", "leader-priority", "100")
        cluster.leader().call("PING")
        deadline = time.monotonic() + 1
        wait_for(lambda: time.monotonic() > deadline, "a second")
        assert preferred.info("raft")["raft_term"] == term  # equals stay where they are


# --- Slow disks ----------------------------------------------------------------------------------

def test_a_leader_with_a_slow_disk_hands_over_and_does_not_come_back():
    with Cluster(3, options=QUICK + ["--slow-disk-ms", "40"], start=False) as cluster:
        speeds = {}
        for node in cluster.nodes:
            speeds[node] = os.path.join(cluster.directory, f"slow-{node.number}")
            with open(speeds[node], "w", encoding="ascii") as file:
                file.write("0")
            node.environment = {"LD_PRELOAD": SHIM, "FAULT_DIR": node.directory,
                                "FAULT_SLOW": speeds[node]}
        cluster.start()
        slow = cluster.leader()
        slow.call("CONFIG", "SET", "leader-priority", "200")
        with writers([node for node in cluster.nodes if node is not slow]):
            with open(speeds[slow], "w", encoding="ascii") as file:
                file.write("120")
            wait_for(lambda: not slow.leads(), "the slow one hands over", 15)
            leader = cluster.leader()
            row = wait_for(lambda: alarms(leader, "SLOWDISK"), "the alarm")[0]
            assert row["node"] == slow.number and row["until"] == 0
            assert "slow-disk-ms 40" in row["text"]
            with open(speeds[slow], "w", encoding="ascii") as file:
                file.write("0")
            wait_for(lambda: alarms(leader, "SLOWDISK")[0]["until"] > 0, "it is over")
            deadline = time.monotonic() + 1.5  # several times the delay of a preference
            wait_for(lambda: time.monotonic() > deadline or slow.leads(), "a while")
            assert not slow.leads()
        assert "its disk is faster" in slow.log()


# --- Alarms --------------------------------------------------------------------------------------

def test_a_lagging_member_is_an_alarm_on_every_node_until_it_is_acknowledged():
    with Cluster(3, options=["--lag-alarm-ms", "400"]) as cluster:
        leader, (away, other) = cluster.leader(), cluster.followers()
        away.kill()
        row = wait_for(lambda: alarms(other, "LAG"), "the alarm on a follower")[0]
        assert row["node"] == away.number and row["until"] == 0
        assert row["id"].split("-")[0] == str(leader.number)
        assert alarms(leader, "LAG")[0]["id"] == row["id"]
        # It starts anew and learns what is open; then the cause is over, the alarm is still listed.
        away.start()
        wait_for(lambda: away.try_info("raft") and alarms(away, "LAG"), "it hears of it")
        wait_for(lambda: alarms(other, "LAG")[0]["until"] > 0, "it is over")
        with pytest.raises(Error, match="no such alarm"):
            other.call("ALARM", "ACK", "9-9")
        with pytest.raises(Error, match="looks like 2-17"):
            other.call("ALARM", "ACK", "what")
        assert other.call("ALARM", "ACK", row["id"]) == 1
        for node in cluster.nodes:
            wait_for(lambda n=node: not alarms(n, "LAG"), f"node {node.number} drops it")
        # The cause comes anew: another alarm.
        away.kill()
        again = wait_for(lambda: alarms(leader, "LAG"), "it is raised again")[0]
        assert again["id"] != row["id"]
        assert leader.call("ALARM", "ACK", "all") >= 1
        wait_for(lambda: not alarms(other), "none is left")
        assert len(leader.call("ALARM", "HELP")) > 4


def test_alarms_outlive_their_reporter_and_a_restart():
    with Cluster(3, options=["--lag-alarm-ms", "300"]) as cluster:
        leader, (away, other) = cluster.leader(), cluster.followers()
        away.kill()
        row = wait_for(lambda: alarms(other, "LAG"), "the alarm")[0]
        leader.kill()
        assert alarms(other, "LAG")[0]["id"] == row["id"]
        away.start()
        leader.start()
        cluster.wait_ready()
        own = wait_for(lambda: [r for r in alarms(leader, "LAG") if r["id"] == row["id"]],
                       "it is told what it said before")[0]
        assert own["until"] > 0  # its new life has not found the cause
