"""The clients of a run of chaos, as the run sees them: a process, and one after the other.

In a long run clients work in rounds. At the end of a round every key is read once more and then
removed, and its history is judged and removed while the next round goes on: what is kept is bounded
however long the run is, and what is wrong comes to light after a minute and not after an hour.
"""
import collections
import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time

from cluster import BINARY, PATIENCE, die_with_parent, wait_for
from figures import Figures
from loadgen import WORDS

SHOWN = (*WORDS, "in_pipelines")  # by the clients, while they work
HERE = os.path.dirname(os.path.abspath(__file__))
FINISH_S, CHECK_S = 180.0, 300.0


class Clients:
    """The process of clients.py."""

    def __init__(self, directory, nodes, number, seed, each, words):
        self.history_path = os.path.join(directory, f"history-{number}")
        self.progress_path = os.path.join(directory, f"progress-{number}")
        with open(self.progress_path, "wb") as file:
            file.truncate(4096)
        places = ",".join(f"{seat.host}:{seat.port}" for seat in nodes)
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "clients.py"), "--nodes", places, "--history",
             self.history_path, "--progress", self.progress_path, "--seed", str(seed),
             "--each", str(each), "--round", str(number), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=die_with_parent)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def check(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the clients complain:\n{self.process.communicate()[1][-4000:]}")

    def told(self, name):
        with open(self.progress_path, "rb") as file:
            return struct.unpack_from("<Q", file.read(), 8 * SHOWN.index(name))[0]

    def finish(self, excuse):
        output, errors = self.process.communicate(f"end {excuse}\n", timeout=FINISH_S * PATIENCE)
        assert self.process.returncode == 0, f"the clients complain:\n{errors[-4000:]}"
        return json.loads(output.splitlines()[-1])


class Load:
    """Rounds of clients; what a campaign asks of its load."""

    def __init__(self, cluster, dice, each, words=()):
        self.cluster, self.dice, self.each, self.words = cluster, dice, each, words
        self.number, self.totals = 0, collections.Counter()  # of the round; of those before it
        self.verdicts, self.problem, self.judge = [], None, None
        self.figures = Figures(time.monotonic())
        self.begin()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.clients.kill()
        if self.judge is not None:
            self.judge.join()

    def begin(self):
        self.began, self.before = time.monotonic(), self.totals.copy()
        self.clients = Clients(self.cluster.directory, self.cluster.nodes, self.number,
                               self.dice.randrange(1 << 30), self.each, self.words)
        self.excuse = ""  # for what is gone without a name

    def word(self, name):
        """Of those who write one thing at a time: how fast they are is what a run goes by."""
        assert name == "acknowledged"
        self.check()
        return self.before["acknowledged"] - self.before["in_pipelines"] + self.clients.told(name)

    def acknowledged(self):
        return self.before["acknowledged"] + self.clients.told("acknowledged") + \
            self.clients.told("in_pipelines")

    def check(self):
        self.clients.check()
        if self.problem is not None:
            raise AssertionError(self.problem)

    def wait_for_acknowledged(self, more, seconds=15.0):
        goal = self.word("acknowledged") + more
        wait_for(lambda: self.word("acknowledged") >= goal, f"{more} more writes", seconds)

    @contextlib.contextmanager
    def hush(self):
        """Nobody asks for anything; answers wait to be read."""
        os.kill(self.clients.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.clients.process.pid, signal.SIGCONT)

    # --- Rounds -----------------------------------------------------------------------------------

    def end_round(self, is_calm):
        """All is well: what has been written is read once more, and judged aside."""
        summary = self.clients.finish(self.excuse)
        self.totals.update(summary)
        if self.judge is not None:
            self.judge.join()
            self.check_judge()
        path = self.clients.history_path
        self.judge = threading.Thread(target=self.judge_round, args=(path, is_calm), daemon=True)
        self.judge.start()

    def next_round(self, is_calm):
        self.end_round(is_calm)
        self.number += 1
        self.begin()

    def judge_round(self, path, is_calm):
        """A round that nobody has judged is none that was clean."""
        try:
            self.judge_history(path, is_calm)
        except Exception as error:  # pylint: disable=broad-except
            self.problem = f"{os.path.basename(path)} was not judged: {error!r}"

    def judge_history(self, path, is_calm):
        self.figures.take(path, is_calm)
        try:
            done = subprocess.run(["nice", "-n", "5", BINARY, "check-history", path], text=True,
                                  check=False, timeout=CHECK_S * PATIENCE, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
        except subprocess.TimeoutExpired:
            self.problem = f"check-history: it takes more than {CHECK_S * PATIENCE:.0f} s"
            return
        if done.returncode != 0:
            self.problem = f"check-history of {os.path.basename(path)}: {done.stdout[-4000:]}"
            return
        self.verdicts.append(done.stdout.strip())
        os.unlink(path)

    def check_judge(self):
        if self.problem is not None:
            raise AssertionError(self.problem)

    def finish(self, is_calm=lambda at: True):
        """What came of all of it."""
        self.end_round(is_calm)
        self.judge.join()
        self.check_judge()
        assert len(self.verdicts) == self.number + 1, "a round was not judged"
        found = dict(self.totals)
        found["rounds"] = self.number + 1
        found["verdict"] = self.verdicts[-1]
        return found

    def take_what_there_is(self, is_calm):
        """Of a run that was broken: what its last history says."""
        self.clients.kill()
        if os.path.exists(self.clients.history_path) and (
                self.judge is None or not self.judge.is_alive()):
            self.figures.take(self.clients.history_path, is_calm)
