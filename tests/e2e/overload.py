"""Scenarios of overload: what harms, whom, for how long, and what must not happen meanwhile.

tests/e2e/test_overload.py runs short ones, bench/overload those of ten minutes. Each has a client
that asks for little, one thing at a time, and checks every answer: before, during and after.
"""
import contextlib
import re
import time

import floods
from cluster import wait_for
from floods import Flood, Probe

OPTIONS = ["--log-segment-bytes", "16mb", "--log-reserve-bytes", "16mb",
           "--checkpoint-bytes", "64mb"]
KEYS = 100_000  # for commands that visit many


class Scenario:
    def __init__(self, name, begin, harm=None, heal=None, prepare=None):
        self.name = name
        self.begin = begin  # (ports of leader and followers, scale) -> floods
        self.harm, self.heal = harm, heal  # (victim): a follower is stopped, ...
        self.prepare = prepare


def fill_many(leader):
    if leader.call("EXISTS", f"many-{KEYS - 1}") == 0:
        floods.fill(leader, KEYS, "many")


def several(function, count, *arguments):
    return [Flood(function, *arguments) for _ in range(count)]


SCENARIOS = [
    Scenario("slow readers", lambda p, n: [Flood(floods.slow_readers, p[:1], n)]),
    Scenario("slow readers at a follower", lambda p, n: [Flood(floods.slow_readers, p[1:2], n)]),
    Scenario("never readers", lambda p, n: [Flood(floods.never_readers, p[:1], n // 16)]),
    Scenario("never readers at a follower",
             lambda p, n: [Flood(floods.never_readers, p[1:2], n // 16)]),
    Scenario("one byte a second", lambda p, n: [
        Flood(floods.one_byte_a_second, p, n),
        Flood(floods.one_byte_a_second, p[:1], 20, 4 << 20)]),
    Scenario("idle connections", lambda p, n: [Flood(floods.idle, p[:1], n * 5)]),
    Scenario("storm of connections", lambda p, n: [Flood(floods.storm, p, n * 5)]),
    Scenario("huge values", lambda p, n: [
        Flood(floods.huge_values, p[:1], i, 32 << 20 if n >= 1000 else 4 << 20)
        for i in range(6 if n >= 1000 else 2)]),
    Scenario("KEYS and MGET of many keys",
             lambda p, n: several(floods.heavy_commands, 4 if n >= 1000 else 2, p[:1], KEYS),
             prepare=fill_many),
    Scenario("commands of many arguments", lambda p, n: [
        Flood(floods.many_arguments, p[i:][:1], i, 35_000 if n >= 1000 else 10_000)
        for i in range(2)]),
    Scenario("DEL of many keys", lambda p, n: [Flood(floods.mass_delete, p[:1], n * 20)]),
    Scenario("nonsense", lambda p, n: [Flood(floods.nonsense, p[:1])]),
    Scenario("a follower stopped", lambda p, n: several(floods.writers, 3, p[:1]),
             harm=lambda node: node.pause(), heal=lambda node: node.resume()),
    Scenario("a follower dead", lambda p, n: several(floods.writers, 3, p[:1]),
             harm=lambda node: node.kill(), heal=lambda node: node.start()),
]


def queues(info):
    """{name: (now, most, limit)} of INFO's queue_ fields."""
    found = {}
    for name, value in info.items():
        match = re.fullmatch(r"now=(\d+),most=(\d+),limit=(\d+)", value)
        if name.startswith("queue_") and match:
            found[name[6:]] = tuple(int(n) for n in match.groups())
    return found


class Watch:
    """What INFO of all nodes says over time."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.resident = {}  # by node: [(moment, bytes)]
        self.most = {}      # by queue: (share of the limit, most, limit) where it was highest
        self.stall = 0
        self.stopped = None  # a node that stands still by itself
        self.evicted = 0

    def look(self):
        for node in self.cluster.alive():
            info = node.try_info()
            if info is None:
                continue
            self.resident.setdefault(node.number, []).append(
                (time.monotonic(), int(info["used_memory_rss"])))
            if node is not self.stopped:
                self.stall = max(self.stall, int(info["loop_stall_max_usec"]))
            self.evicted = max(self.evicted, int(info["evicted_clients"]))
            for name, (_, most, limit) in queues(info).items():
                self.most[name] = max(self.most.get(name, (0, 0, limit)),
                                      (most / limit, most, limit))

    def over(self, seconds, pause=0.5):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.look()
            time.sleep(min(pause, max(0, end - time.monotonic())))

    def resident_at(self, moment):
        """The most that a node had at that moment, and which."""
        best = (0, 0)
        for number, samples in self.resident.items():
            near = min(samples, key=lambda sample: abs(sample[0] - moment))
            best = max(best, (near[1], number))
        return best

    def resident_of(self, number, moment):
        return min(self.resident[number], key=lambda sample: abs(sample[0] - moment))[1]


class Outcome:
    """What a run has shown."""

    def __init__(self, scenario, probe, watch, moments, elections):
        self.scenario, self.probe, self.watch = scenario, probe, watch
        self.moments, self.elections = moments, elections

    def phase(self, name):
        names = ["before", "during", "after"]
        begin, end = self.moments[2 * names.index(name):][:2]
        return self.probe.between(begin, end)

    def beyond_limits(self):
        return [f"{name}: {most} of {limit}"
                for name, (share, most, limit) in self.watch.most.items() if share > 1]


def reset(cluster):
    for node in cluster.alive():
        node.call("CONFIG", "RESETSTAT")


def run(cluster, scenario, before, during, after, scale, pause=0.5):
    leader = cluster.leader()
    others = [node for node in cluster.nodes if node is not leader]
    ports = [leader.port] + [node.port for node in others]
    if scenario.prepare:
        scenario.prepare(leader)
    reset(cluster)
    term = int(leader.info("raft")["raft_term"])
    watch, moments = Watch(cluster), []
    watch.stopped = others[-1] if scenario.harm else None

    def phase(seconds):
        moments.append(time.monotonic())
        watch.over(seconds, pause)
        moments.append(time.monotonic())

    with Probe(ports[:1]) as probe:
        phase(before)
        with contextlib.ExitStack() as stack:
            for flood in scenario.begin(ports, scale):
                stack.enter_context(flood)
            if scenario.harm:
                scenario.harm(others[-1])
            phase(during)
            if scenario.heal:
                scenario.heal(others[-1])
                watch.over(during / 4, pause)
        phase(after)
        probe.finish()
    if scenario.heal:
        wait_for(lambda: cluster.find_leader(), "a leader")
        cluster.wait_applied(60)
    watch.look()
    elections = int(cluster.leader().info("raft")["raft_term"]) - term
    return Outcome(scenario, probe, watch, moments, elections)
