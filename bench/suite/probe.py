"""How long after its OK a follower shows a write, seen from outside while others write."""
import time

from processes import BenchError
from resp import Connection

PAUSE = 0.004  # seconds between two tries
PATIENCE = 5.0
ENOUGH = 50


class Probe:
    """`run` takes as long as it was told, in the thread that calls it."""

    def __init__(self, system, seconds):
        self.ports = system.locate(), system.ask_follower()
        self.keyspace, self.seconds = system.keyspace(), seconds
        self.lags, self.used, self.taken = [], 0.0, 0.0

    def run(self):
        used, began = time.process_time(), time.monotonic()
        primary, (follower, words) = self.ports
        with Connection(primary) as writes, Connection(follower) as reads:
            for connection in (writes, reads) if self.keyspace else ():
                connection.call("SELECT", self.keyspace)
            while time.monotonic() < began + self.seconds:
                self.lags.append(lag(writes, reads, words, len(self.lags)))
                time.sleep(PAUSE)
        self.used, self.taken = time.process_time() - used, time.monotonic() - began

    def own_percent(self):
        """Of a core, as lbench's foreign_percent counts it."""
        return 100 * self.used / self.taken

    def figures(self):
        """In the place of lbench's latencies."""
        if len(self.lags) < ENOUGH:
            raise BenchError(f"only {len(self.lags)} writes were looked for at a follower")
        us = sorted(1e6 * lag for lag in self.lags)
        return {"p50_us": us[len(us) // 2], "p99_us": us[len(us) * 99 // 100], "max_us": us[-1]}


def lag(writes, reads, words, number):
    value = str(number).encode()
    if writes.call("SET", "probe", value) != "OK":
        raise BenchError("the probe's write was refused")
    written = time.monotonic()
    while reads.call(*words, "GET", "probe") != value:
        if time.monotonic() > written + PATIENCE:
            raise BenchError(f"a follower does not show a write after {PATIENCE} s")
    return time.monotonic() - written
