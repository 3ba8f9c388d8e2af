"""What the clients were told and how long it took, from their histories. What is kept grows with
time, by some numbers for each tick, and not with what was asked."""
import collections
import math

PER_TEN = 24  # buckets of times for a factor of ten
TICK_S = 0.25


def bucket(seconds):
    return max(0, round(math.log10(max(seconds, 1e-6)) * PER_TEN + 6 * PER_TEN))


def seconds_of(number):
    return 10 ** (number / PER_TEN - 6)


def percentile(times, percent):
    """Of how many operations took how long, by buckets: within a twentieth."""
    left = sum(times.values()) * percent / 100
    for number in sorted(times):
        left -= times[number]
        if left < 0 or (left <= 0 and percent == 100):
            return seconds_of(number)
    return seconds_of(max(times)) if times else 0


class Figures:
    """Of histories one after the other, in seconds since the beginning."""

    def __init__(self, began):
        self.began = began
        self.outcomes = collections.Counter()  # (kind, outcome)
        self.ticks = collections.defaultdict(collections.Counter)  # times of what ended in it
        self.calm, self.trouble = collections.Counter(), collections.Counter()
        self.last_write, self.silence = 0.0, (0.0, 0.0)  # longest without a write, from when
        self.end = 0.0

    def take(self, path, is_calm):
        writes = []
        with open(path, encoding="ascii") as file:
            for line in file:
                fields = line.split(" ")
                if len(fields) >= 7:  # else the end of a file that nobody closed
                    self.take_line(fields, is_calm, writes)
        for at in sorted(writes):
            self.silence = max(self.silence, (at - self.last_write, self.last_write))
            self.last_write = max(self.last_write, at)

    def take_line(self, fields, is_calm, writes):
        kind, result, start, end = fields[2], fields[4], int(fields[5]), int(fields[6])
        outcome = result if result in ("fail", "unknown") else "done"
        self.outcomes[kind, outcome] += 1
        if outcome != "done":
            return
        at, took = end / 1e6 - self.began, bucket((end - start) / 1e6)
        self.ticks[int(at / TICK_S)][took] += 1
        (self.calm if is_calm(at) else self.trouble)[took] += 1
        self.end = max(self.end, at)
        if kind != "get":
            writes.append(at)

    def bins(self, count, end):
        """(middle, answers a second, times) of so many spans; none is below a tick."""
        width = max(1, math.ceil(end / TICK_S / count))
        for first in range(0, max(1, math.ceil(end / TICK_S)), width):
            times = collections.Counter()
            for tick in range(first, first + width):
                times.update(self.ticks.get(tick, {}))
            yield (first + width / 2) * TICK_S, sum(times.values()) / width / TICK_S, times
