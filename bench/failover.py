#!/usr/bin/python3
"""How long no write is accepted when the leader of three nodes fails.

    bench/failover.py [--runs 20] [--how kill|stop] [-- OPTION...]

Each run starts from a healthy cluster. `kill` is kill -9 of the leader, `stop` is SIGSTOP. One
writer per survivor has always one SET under way; the gap is the time from the signal to the first
OK of a SET that was sent after it. OPTIONs go to every node, for example --read-mode lease.
"""
import argparse
import os
import select
import statistics
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
os.environ.setdefault("QUORATE_BINARY", os.path.join(ROOT, "build", "quorate"))

from cluster import Cluster  # noqa: E402
from resp import encode  # noqa: E402

LIMIT = 30.0  # seconds


def gap_after(connections, strike):
    """Milliseconds from strike() to the first write that is accepted."""
    request = encode("SET", "failover", "x" * 100)
    struck = None
    sent = {}
    began = time.monotonic()
    for connection in connections:
        connection.socket.sendall(request)
        sent[connection.socket] = time.monotonic()
    while True:
        now = time.monotonic()
        if struck is None and now - began > 0.3:  # the writers are well under way
            strike()
            struck = time.monotonic()
        if struck is not None and now - struck > LIMIT:
            return float("inf")
        ready, _, _ = select.select(list(sent), [], [], 0.01)
        for source in ready:
            reply = source.recv(4096)
            now = time.monotonic()
            if struck is not None and reply.startswith(b"+OK") and sent[source] >= struck:
                return (now - struck) * 1000
            source.sendall(request)
            sent[source] = now


def one_run(cluster, how):
    leader = cluster.wait_ready()
    connections = [node.connect() for node in cluster.followers()]
    try:
        return gap_after(connections, leader.kill if how == "kill" else leader.pause)
    finally:
        for connection in connections:
            connection.close()
        if how == "kill":
            leader.start()
        else:
            leader.resume()
        cluster.wait_applied()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--how", choices=("kill", "stop"), default="kill")
    parser.add_argument("options", nargs="*")
    arguments = parser.parse_args()
    with Cluster(3, options=arguments.options) as cluster:
        gaps = [one_run(cluster, arguments.how) for _ in range(arguments.runs)]
    print(" ".join(f"{gap:.0f}" for gap in gaps))
    print(f"{arguments.how}: median {statistics.median(gaps):.0f} ms, worst {max(gaps):.0f} ms, "
          f"best {min(gaps):.0f} ms of {len(gaps)}")


if __name__ == "__main__":
    main()
