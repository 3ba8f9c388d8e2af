"""One measurement: lbench against a system, repeated while the machine is busy with other things.

A run that goes wrong gives no figures. When no run of a cell went well, BenchError ends it all.
"""
import json
import subprocess
import time

from probe import Probe
from processes import BenchError
from rows import CELLS

FIELDS = ("ops_per_s", "p50_us", "p99_us", "max_us", "server_cpu_s_per_100k",
          "client_cpu_s_per_100k", "foreign_percent", "answers", "seconds")
STRIKE_AFTER = 0.2  # seconds of measuring before a follower is struck
WARM = 0.5


class Load:
    """How to measure. `noise` is the foreign CPU, in percent of a core, above which a run is
    repeated, at most `tries` times; the run with the least foreign CPU is kept."""

    def __init__(self, lbench, seconds, noise=15, tries=3, warm=WARM):
        self.lbench, self.seconds, self.warm = lbench, seconds, warm
        self.noise, self.tries = noise, tries

    def words(self, system, row, cell, fill=False):
        connections, depth = CELLS[cell]
        ports = system.ports() if row.spread else [system.locate()]
        words = [self.lbench, "-P", system.protocol, "-p", ",".join(map(str, ports)),
                 "-o", row.lbench_operation(), "-c", str(connections), "-d", str(depth),
                 "-t", str(self.seconds), "-W", str(self.warm)]
        # Who is about to be struck is left out: when a process ends, so does its account.
        pids = system.spared_pids() if row.fault else system.pids()
        words += ["-i", ",".join(map(str, pids))] + (["-f"] if fill else [])
        return words + (["-s", str(system.keyspace())] if system.keyspace() else [])

    def fill(self, system):
        """Writes every key once."""
        for row in system.rows_to_fill():
            system.use(row)
            self.fill_once(system, row)

    def fill_once(self, system, row):
        for left in reversed(range(self.tries)):
            try:
                run_lbench(self.words(system, row, "p16", fill=True), f"{system.name}: fill")
                return
            except BenchError:
                if left == 0:
                    raise

    def once(self, system, row, cell):
        system.use(row)
        where = system.locate()
        probe = Probe(system, self.seconds) if row.probe else None
        strike = (lambda: system.strike(row.fault)) if row.fault else probe and probe.run
        try:
            figures = run_lbench(self.words(system, row, cell), row.key(cell), strike,
                                 self.warm + (STRIKE_AFTER if row.fault else 0))
        finally:
            if row.fault:
                system.heal()
        if probe:
            figures.update(probe.figures())
            figures["foreign_percent"] = max(0, figures["foreign_percent"] - probe.own_percent())
        system.check_running()
        if system.locate() != where:
            raise BenchError(f"{row.key(cell)}: the leader changed")
        return figures

    def measure(self, system, row, cell):
        """The quietest of the runs; `noisy` says that even it was not quiet. One that went wrong
        is told of in `failures`; when all of them did there is no figure."""
        runs, failures = [], []
        while len(runs) + len(failures) < self.tries:
            try:
                runs.append(self.once(system, row, cell))
            except BenchError as error:
                failures.append(str(error))
                print(f"{error}; once more" if len(failures) < self.tries else error, flush=True)
                continue
            if runs[-1]["foreign_percent"] <= self.noise:
                break
        if not runs:
            raise BenchError(failures[-1])
        best = min(runs, key=lambda run: run["foreign_percent"])
        return dict(best, tries=len(runs), failures=failures,
                    noisy=best["foreign_percent"] > self.noise)


def run_lbench(words, what, strike=None, strike_after=0.0):
    """The line that lbench printed, as a dictionary with FIELDS."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        if strike is not None:
            time.sleep(strike_after)
            strike()
        out, err = process.communicate(timeout=900)
    finally:
        process.kill()
        process.wait()
    if process.returncode != 0:
        raise BenchError(f"{what}: {err.strip() or f'lbench ended with {process.returncode}'}")
    return parse_line(out, what)


def parse_line(text, what):
    try:
        figures = json.loads(text)
        return {name: float(figures[name]) for name in FIELDS}
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{what}: lbench printed {text!r}: {error}") from error
