"""What all clients of a run of chaos have in common: they ask one node or another, count what came
of it, and write it down."""
import collections
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))

from campaign_sessions import REFUSED, UNCERTAIN, now  # noqa: E402
from resp import Closed, Connection, Error  # noqa: E402

PATIENCE_S = 1.5  # for an answer


class Answer(collections.namedtuple("Answer", "outcome reply")):
    """done, fail (surely not applied) or unknown."""


class History:
    """Lines for check-history, in a file; the clients' threads share it."""

    def __init__(self, path):
        self.file = open(path, "w", encoding="ascii", buffering=1 << 16)  # closed by close()
        self.lock, self.appended = threading.Lock(), 0

    def add(self, *fields):
        line = " ".join(map(str, fields)) + "\n"
        with self.lock:
            self.file.write(line)
            self.appended += fields[2] == "append" and fields[4].startswith("=")

    def close(self):
        self.file.close()


class Client(threading.Thread):
    """One thing after the other, at one node or another."""

    def __init__(self, world, number, seed):
        super().__init__(daemon=True)
        self.world, self.number, self.dice = world, number, random.Random(seed)
        self.connection = self.problem = self.unwell = None
        self.acknowledged = self.reads = self.refused = self.uncertain = 0
        self.in_pipelines = 0  # acknowledged, beside the others
        self.patience_s, self.hops_share = PATIENCE_S, 0.01

    def leave(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def reach(self):
        """Now and then another node; False when it cannot be reached, so nothing can be asked."""
        if self.connection is None or self.dice.random() < self.hops_share:
            self.leave()
            node = self.dice.choice(self.world.nodes)
            try:
                self.connection = Connection(node.port, node.host, timeout=self.patience_s)
            except OSError:
                time.sleep(0.01)
        return self.connection is not None

    def ask(self, *words):
        """None when no node could be reached, so nothing was asked."""
        answers = self.ask_all([words])
        return answers and answers[0]

    def ask_all(self, commands):
        """In one pipeline: an answer to each, or None. What came before the connection broke holds:
        it is what is lost first, if anything is."""
        if not self.reach():
            return None
        answers = []
        try:
            for reply in self.connection.each_of(commands):
                answers.append(self.answer_of(reply))
        except (Closed, OSError):
            self.leave()
            answers += [Answer("unknown", None)] * (len(commands) - len(answers))
        finally:
            if self.unwell:
                self.look_elsewhere()
        return answers

    def answer_of(self, reply):
        if not isinstance(reply, Error):
            return Answer("done", reply)
        if reply.kind() in UNCERTAIN:
            return Answer("unknown", str(reply))
        if reply.kind() not in REFUSED:
            raise reply
        self.unwell = reply.kind()
        return Answer("fail", None)

    def look_elsewhere(self):
        """Something was refused."""
        if self.unwell == "REMOVED" or self.dice.random() < 0.2:
            self.leave()
        self.unwell = None
        time.sleep(0.005)

    def count(self, answer, is_write):
        self.acknowledged += is_write and answer.outcome == "done"
        self.reads += not is_write and answer.outcome == "done"
        self.refused += answer.outcome == "fail"
        self.uncertain += answer.outcome == "unknown"

    def tell(self, key, kind, argument, words, shown):
        """Asks, and writes the line; the answer, or None."""
        start = now()
        answer = self.ask(*words)
        if answer is None:
            return None
        result = shown(answer.reply) if answer.outcome == "done" else answer.outcome
        self.world.history.add(self.number, key, kind, argument, result, start, now())
        self.count(answer, kind != "get")
        return answer

    def read(self, key):
        return self.tell(key, "get", "-", ("GET", key),
                         lambda value: "nil" if value is None else f"={value.decode()}")

    def act(self):
        raise NotImplementedError

    def finish(self):
        """When no more is asked for."""

    def run(self):
        try:
            while not self.world.ended:
                self.act()
            self.finish()
        except BaseException as problem:  # pylint: disable=broad-except
            self.problem = problem  # the process tells it, and ends
        finally:
            self.leave()
