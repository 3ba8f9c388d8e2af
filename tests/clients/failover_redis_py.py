"""Writes without pause through redis-py, which follows the leader by itself, until SIGTERM, and then
says as JSON what was acknowledged and which pauses there were. Only the addresses are given to it.

    failover_redis_py.py cluster|sentinel PORT...

The counterpart of failover.js: the same lines on standard output.
"""
import json
import signal
import sys
import time

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException
from redis.sentinel import Sentinel

PAUSE_S = 0.001   # between writes: the servers have other clients to serve
NOTED_MS = 30     # a pause worth telling
ATTEMPT_S = 2     # the sentinel's client is told how long to wait; the cluster's is not


def connect(kind, ports):
    places = [("127.0.0.1", int(port)) for port in ports]
    if kind == "cluster":
        return RedisCluster(startup_nodes=[ClusterNode(*place) for place in places])
    return Sentinel(places, socket_timeout=0.5).master_for("mymaster", socket_timeout=ATTEMPT_S)


class Journal:
    def __init__(self, kind, ports):
        self.kind, self.ports, self.label = kind, ports, f"redis-py-{kind}"
        self.said = {"label": self.label, "acknowledged": 0, "failed": 0, "errors": {}, "gaps": []}
        self.stopping = False
        signal.signal(signal.SIGTERM, self.stop)
        self.client = connect(kind, ports)

    def stop(self, *_):
        self.stopping = True

    def attempt(self, number):
        try:
            self.client.set(f"{self.label}:{number}", number)
            return True
        except (redis.RedisError, RedisClusterException) as error:
            self.said["failed"] += 1
            words = str(error)[:60]
            self.said["errors"][words] = self.said["errors"].get(words, 0) + 1
            time.sleep(0.002)
            if isinstance(error, RedisClusterException):
                self.renew()
            return False

    def renew(self):
        """Its cluster client has failed for good: see docs/cluster-clients.md."""
        try:
            self.client = connect(self.kind, self.ports)
        except (redis.RedisError, RedisClusterException):
            pass

    def run(self):
        before = time.time()
        while not self.stopping:
            if not self.attempt(self.said["acknowledged"] + 1):
                continue
            now = time.time()
            if (now - before) * 1000 >= NOTED_MS:
                self.said["gaps"].append([round(before * 1000), round((now - before) * 1000)])
            before = now
            self.said["acknowledged"] += 1
            if self.said["acknowledged"] % 25 == 0:
                print(".", flush=True)
            time.sleep(PAUSE_S)
        print(json.dumps(self.said), flush=True)


if __name__ == "__main__":
    Journal(sys.argv[1], sys.argv[2:]).run()
