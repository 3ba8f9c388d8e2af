"""Kills the leader again and again under clients that follow it by themselves (failover.js,
failover_redis_py.py), and looks whether all that they were told to be written is there."""
import json
import os
import re
import signal
import statistics
import subprocess
import threading
import time

import redis

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENTS = [(library, kind) for library in ("redis-py", "ioredis", "node-redis")
           for kind in ("cluster", "sentinel")]
CLIENTS_OF_PARTITIONS = [("redis-py", "cluster"), ("ioredis", "cluster")]
PARTITIONS = 16
GAP_MAX_MS = 1000
PATIENCE_S = 30
NOTED_MS = 30     # what the clients call a gap
BATCH = 1000      # keys that are looked at together


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"in vain for {PATIENCE_S} s: {what}")
        time.sleep(0.02)


class Nodes:
    """The processes of a cluster by `quorate up`, as its output tells them; it restarts the dead."""

    def __init__(self, up, ports):
        self.pids, self.ports = {}, ports
        self.thread = threading.Thread(target=self._listen, args=(up,), daemon=True)

    def line(self, text):
        told = re.search(r"up \| node (\d+): pid (\d+)", text)
        if told:
            self.pids[int(told[1])] = int(told[2])

    def _listen(self, up):
        for text in up.stdout:
            self.line(text)

    def info(self, node):
        try:
            return redis.Redis(port=self.ports[node - 1], socket_timeout=2).info("everything")
        except redis.RedisError:
            return None

    def leader(self):
        for node in self.pids:
            info = self.info(node)
            if info and info["raft_role"] == "leader":
                return node
        return None

    def all_caught_up(self):
        infos = [self.info(node) for node in self.pids]
        if None in infos or self.leader() is None:
            return False
        return max(i["raft_commit"] for i in infos) - min(i["raft_applied"] for i in infos) < 1000

    def all_know_all_leaders(self):
        try:
            told = [redis.Redis(port=port + 100, socket_timeout=2).execute_command("CLUSTER INFO")
                    for port in self.ports]
        except redis.RedisError:
            return False
        return all(one["cluster_slots_ok"] == "16384" for one in told)

    def kill(self, victim):
        """When, in ms; and a condition: it is back, and nothing is left to be done."""
        before = self.pids[victim]
        when = time.time() * 1000
        os.kill(before, signal.SIGKILL)
        return when, lambda: (self.pids[victim] != before and self.all_caught_up() and
                              self.all_know_all_leaders())


class Writer:
    def __init__(self, library, kind, ports, environment):
        self.label, self.lines, self.said = f"{library}-{kind}", 0, None
        program = (["/usr/bin/python3", f"{HERE}/failover_redis_py.py"] if library == "redis-py"
                   else ["node", f"{HERE}/failover.js", library])
        self.process = subprocess.Popen(program + [kind, *map(str, ports)], env=environment,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                self.said = json.loads(line)
            self.lines += 1

    def go_on(self):
        goal = self.lines + 2
        wait_for(lambda: self.lines >= goal, f"{self.label} goes on")

    def stop(self):
        self.process.terminate()
        wait_for(lambda: self.said is not None, f"{self.label} says what it has done")


def lost(said, port, keyspace):
    """Every acknowledged write had a key of its own, and is looked for with its value."""
    client = redis.Redis(port=port)
    missing = []
    for first in range(1, said["acknowledged"] + 1, BATCH):
        numbers = range(first, min(first + BATCH, said["acknowledged"] + 1))
        pipeline = client.pipeline(transaction=False)  # its connection may be any of the pool's
        pipeline.execute_command("SELECT", keyspace)
        for number in numbers:
            pipeline.get(f"{said['label']}:{number}")
        missing += [number for number, value in zip(numbers, pipeline.execute()[1:])
                    if value != b"%d" % number]
    return missing


def gaps_of(said, kills):
    """The longest pause of each kill: from it to the next one."""
    longest = [NOTED_MS] * len(kills)
    for start, length in said["gaps"]:
        before = [i for i, when in enumerate(kills) if when <= start + length]
        if before:
            longest[before[-1]] = max(longest[before[-1]], length)
    return longest


def kill_under(nodes, writers, count, choose):
    kills = []
    for i in range(count):
        wait_for(nodes.leader, "a leader")
        when, is_back = nodes.kill(choose(i))
        kills.append(when)
        wait_for(is_back, "the killed node is back")
        for writer in writers:
            writer.go_on()
    return kills


def judge(writer, nodes, kills, keyspace):
    """Prints its two checks; returns how many passed."""
    said, longest = writer.said, gaps_of(writer.said, kills)
    missing = [one for port in nodes.ports for one in lost(said, port, keyspace)]
    good = [(not missing, f"nothing acknowledged is lost {missing[:5]}"),
            (max(longest) <= GAP_MAX_MS,
             f"longest gap {max(longest)} ms, median {statistics.median(longest):.0f} ms")]
    for passed, text in good:
        print(f"{'ok' if passed else 'not ok'} - {said['label']} in keyspace {keyspace}: {text}")
    print(f"# {said['label']}: {said['acknowledged']} acknowledged, {len(kills)} kills, "
          f"{said['failed']} attempts failed: {said['errors']}; gaps {sorted(longest)}", flush=True)
    return sum(passed for passed, _ in good)


def run(nodes, kills, environment, keyspace="0"):
    """Returns how many checks passed and failed: two per client. In keyspace 0 the leader dies each
    time, in another one the nodes in turn, since all of them lead some of its partitions."""
    clients = CLIENTS if keyspace == "0" else CLIENTS_OF_PARTITIONS
    writers = [Writer(library, kind, [port + (100 if kind == "cluster" else 200)
                                      for port in nodes.ports], environment)
               for library, kind in clients]
    try:
        for writer in writers:
            writer.go_on()
        when = kill_under(nodes, writers, kills,
                          lambda i: nodes.leader() if keyspace == "0" else i % len(nodes.pids) + 1)
        for writer in writers:
            writer.stop()
    except AssertionError:
        for writer in writers:
            writer.process.terminate()
        time.sleep(3)
        for writer in writers:
            print(f"# {writer.label}: {writer.lines} lines, {writer.said}")
        raise
    finally:
        for writer in writers:
            writer.process.kill()
    passed = sum(judge(writer, nodes, when, keyspace) for writer in writers)
    return passed, 2 * len(writers) - passed
