"""Kills the leader again and again under clients that follow it by themselves (failover.js)."""
import json
import os
import re
import subprocess
import threading
import time

import redis

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENTS = [(library, kind) for library in ("ioredis", "node-redis")
           for kind in ("cluster", "sentinel")]
GAP_MAX_MS = 1000
# node-redis's client of sentinels may lose the same command twice while its nodes come and go.
GAP_OWN_MS = {"node-redis-sentinel": 2500}
PATIENCE_S = 30


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

    def kill_leader(self):
        wait_for(self.leader, "a leader")
        victim = self.leader()
        before = self.pids[victim]
        os.kill(before, 9)
        return lambda: self.pids[victim] != before and self.all_caught_up()


class Writer:
    def __init__(self, library, kind, ports, environment):
        self.label, self.lines, self.said = f"{library}-{kind}", 0, None
        self.process = subprocess.Popen(
            ["node", f"{HERE}/failover.js", library, kind, *map(str, ports)], env=environment,
            stdout=subprocess.PIPE, text=True)
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


def lost(said, port):
    client = redis.Redis(port=port)
    return {key: value for key, value in said["last"].items()
            if int(client.get(key) or 0) < value}


def run(nodes, kills, environment):
    """Returns how many checks passed and failed: two per client."""
    base = nodes.ports
    writers = [Writer(library, kind, [port + (100 if kind == "cluster" else 200) for port in base],
                      environment) for library, kind in CLIENTS]
    passed = failed = 0
    try:
        for _ in range(kills):
            is_back = nodes.kill_leader()
            wait_for(is_back, "the killed node is back")
            for writer in writers:
                writer.go_on()
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
    for writer in writers:
        said = writer.said
        missing = [one for port in base for one in lost(said, port)]
        for good, text in [(not missing, f"nothing acknowledged is lost {missing}"),
                           (said["longest_ms"] <= GAP_OWN_MS.get(said["label"], GAP_MAX_MS),
                            f"longest gap {said['longest_ms']} ms")]:
            passed, failed = passed + good, failed + (not good)
            print(f"{'ok' if good else 'not ok'} - {said['label']}: {text}")
        print(f"# {said['label']}: {said['acknowledged']} acknowledged, {kills} kills, "
              f"{said['failed']} attempts failed: {said['errors']}")
    return passed, failed
