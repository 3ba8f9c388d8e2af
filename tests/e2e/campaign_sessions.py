"""Clients that append to lists and read them at every level, hopping between the nodes with the
tokens of their sessions, while nodes are killed, cut off, stopped and held behind. What each was
told is written as a history, and `check-history` judges every guarantee from what was read alone
(docs/testing.md, "Histories"; scenarios 66, 67, 68, 70, 76).
"""
import contextlib
import itertools
import os
import random
import subprocess
import threading
import time

import behind
from cluster import BINARY, PATIENCE, Cluster, wait_for
from links import LinkedNode, Links
from resp import Closed, Connection, Error

BOUND_MS = 400
LEVELS = ["session", "session", "session", f"bounded:{BOUND_MS}ms", "bounded:5ops", "local",
          "prefix", "leader", "linearizable"]
HISTORY_LEVELS = {f"bounded:{BOUND_MS}ms": f"bounded:{BOUND_MS * 1000}"}
ELEMENTS_MAX = 60  # of a list; then its clients go on with the next
KEYS = 3  # at a time
CLIENT_PATIENCE = 2.0
TRIES = 50  # of a request with an id
# What a node may answer while nodes die: the command was not applied, or it may have been.
REFUSED = ("TRYAGAIN", "CLUSTERDOWN", "UPGRADE", "IDMPFULL", "LOADING", "STALE", "OVERLOADED",
           "BUSY", "NOREPLICAS", "NOSPACE", "THROTTLED", "REMOVED")
UNCERTAIN = ("UNCERTAIN",)


class Refused(Exception):
    """The command was surely not applied."""


def now():
    return time.monotonic_ns() // 1000


class History:
    """Lines for check-history; the clients' threads share it."""

    def __init__(self, path):
        self.path, self.lines, self.lock = path, [], threading.Lock()

    def add(self, *fields):
        with self.lock:
            self.lines.append(" ".join(map(str, fields)))

    def check(self, seconds=60.0):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write("\n".join(self.lines) + "\n")
        done = subprocess.run([BINARY, "check-history", self.path], text=True, check=False,
                              timeout=seconds * PATIENCE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        assert done.returncode == 0, f"check-history: {done.stdout[-4000:]}"
        return done.stdout


class Keys:
    """A few lists at a time, all of one partition; one that is long gives way to a new one."""

    def __init__(self):
        self.numbers, self.elements = list(range(KEYS)), itertools.count(1)
        self.counts, self.lock = {}, threading.Lock()

    def some(self, dice):
        return f"list:{dice.choice(self.numbers)}"

    def element(self, key):
        """One that nobody else appends; the list may be over with it."""
        with self.lock:
            self.counts[key] = self.counts.get(key, 0) + 1
            number = int(key.rpartition(":")[2])
            if self.counts[key] > ELEMENTS_MAX and number in self.numbers:
                self.numbers[self.numbers.index(number)] = max(self.numbers) + 1
            return next(self.elements)

    def group(self, _key):
        """What check-history is told of its partition."""
        return "group=zero"

    def all(self):
        return [f"list:{number}" for number in range(max(self.numbers) + 1)]


class Session(threading.Thread):
    """One client that does one thing after the other. When it hops it takes its token along; what
    it was not told it has no token of, and needs not see again."""

    def __init__(self, campaign, number, seed):
        super().__init__(daemon=True)
        self.campaign, self.number, self.dice = campaign, number, random.Random(seed)
        self.connection = self.node = self.token = self.problem = None
        self.done = self.hops = self.again = 0

    def hop(self):
        """To some node, with the token; what it cannot reach it leaves for the next time."""
        self.leave()
        self.node = self.dice.choice(self.campaign.cluster.nodes)
        self.hops += 1
        connection = Connection(self.node.port, self.node.host, CLIENT_PATIENCE)
        try:
            if self.token is not None:
                connection.call("SESSION", "USE", self.token)
        except (Error, Closed, OSError):
            connection.close()
            raise
        self.connection = connection

    def leave(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def ask(self, *words):
        """The reply; with it comes the token of all that was answered so far."""
        reply, token = self.connection.pipeline([words, ("SESSION", "TOKEN")])
        if isinstance(reply, Error):
            if reply.kind() in REFUSED:
                raise Refused(str(reply))
            if reply.kind() in UNCERTAIN:
                raise Closed(str(reply))
            raise reply
        assert not isinstance(token, Error), token
        self.token = token
        return reply

    def ask_again(self, *words):
        """With an id of its own, until it is answered: what took effect does so no second time, and
        the answer is the first one's (scenario 67)."""
        uncertain = False
        for _ in range(TRIES):
            try:
                if self.connection is None:
                    self.hop()
                producer = f"client-{self.number}-{self.done // 50}"  # of few requests each
                reply = self.ask("WITH", 3, "IDMP", producer, self.done, *words)
                self.again += uncertain
                return reply
            except Refused:
                if not uncertain:
                    raise
            except (Closed, OSError):
                uncertain = True
                self.leave()
            time.sleep(0.02)
        raise Closed("it was never answered")

    def append(self, key):
        element = self.campaign.keys.element(key)
        start, result = now(), "unknown"
        ask = self.ask_again if self.number % 2 == 0 else self.ask
        try:
            result = f"={ask('APPEND', key, f'{element},')}"
        except Refused:
            result = "fail"
            raise
        finally:
            self.campaign.history.add(self.number, key, "append", f"{element},", result, start,
                                      now(), self.campaign.keys.group(key))

    def read(self, key, level):
        start = now()
        value = self.ask("WITH", 2, "READ", level, "GET", key)
        result = "nil" if value is None else f"={value.decode()}"
        self.campaign.history.add(self.number, key, "get", "-", result, start, now(),
                                  self.campaign.keys.group(key),
                                  f"level={HISTORY_LEVELS.get(level, level)}")

    def act(self):
        self.done += 1
        if self.connection is None or self.dice.random() < 0.3:
            self.hop()
        key = self.campaign.keys.some(self.dice)
        if self.dice.random() < 0.4:
            self.append(key)
        else:
            self.read(key, self.dice.choice(self.campaign.levels))

    def run(self):
        try:
            while not self.campaign.ended:
                try:
                    self.act()
                except (Closed, OSError):
                    self.leave()
                    time.sleep(0.01)
                except Refused:
                    time.sleep(0.005)
        except BaseException as problem:  # pylint: disable=broad-except
            self.problem = problem  # the campaign raises it
        finally:
            self.leave()


class SessionCampaign:
    """Three nodes, sessions, and what happens to them."""

    def __init__(self, seed, sessions=6):
        self.seed, self.dice, self.ended = seed, random.Random(seed), False
        self.cluster = Cluster(3, start=False, options=[
            "--read-mode", self.dice.choice(["lease", "readindex"])])
        self.cluster.nodes = [LinkedNode(self.cluster, n.number, n.port, n.peer_port,
                                         n.metrics_port) for n in self.cluster.nodes]
        self.links = Links(self.cluster.nodes)
        for node in self.cluster.nodes:
            node.links = self.links
        behind.prepare(self.cluster)
        self.history = History(os.path.join(self.cluster.directory, "history"))
        self.keys, self.levels, self.done = Keys(), LEVELS, []
        self.sessions = [Session(self, i + 1, self.dice.random()) for i in range(sessions)]

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.callback(self.links.close)
            stack.enter_context(self.cluster)
            self.cluster.start()
            with self.cluster.nodes[0].connect() as connection:
                self.levels = [level for level in LEVELS if is_given(connection, level)]
            self.start_sessions()
            self.ends = stack.pop_all()
        return self

    def start_sessions(self):
        for session in self.sessions:
            session.start()

    def __exit__(self, *problem):
        print(f"QUORATE_SEED={self.seed}: " + ", ".join(self.done))
        try:
            self.end()
        finally:
            self.ends.__exit__(*problem)

    def end(self):
        self.ended = True
        for session in self.sessions:
            session.join(20 * PATIENCE)
            if session.problem is not None:
                raise session.problem

    # --- What happens -------------------------------------------------------------------------

    def some_node(self):
        leader = self.cluster.find_leader()
        return leader if leader and self.dice.random() < 0.5 else \
            self.dice.choice(self.cluster.nodes)

    def wait_for_work(self, more=15, seconds=15.0):
        """All sessions together, so that somebody is served."""
        goal = sum(session.done for session in self.sessions) + more
        wait_for(lambda: sum(session.done for session in self.sessions) >= goal or
                 any(session.problem for session in self.sessions), "work", seconds)

    def breathe(self):
        time.sleep(self.dice.uniform(0.1, 1.2))

    def kill(self, node):
        node.kill()
        self.breathe()
        node.start()

    def cut(self, node):
        self.links.isolate(node.number)
        self.breathe()
        self.links.heal()

    def cut_one_way(self, node):
        out = self.dice.random() < 0.5
        others = [n.number for n in self.cluster.nodes if n is not node]
        self.links.cut([(node.number, o) if out else (o, node.number) for o in others])
        self.breathe()
        self.links.heal()

    def stop(self, node):
        node.pause()
        self.breathe()
        node.resume()

    def hold(self, _node):
        followers = [node for node in self.cluster.nodes if node is not self.cluster.find_leader()]
        follower = self.dice.choice(followers)
        self.done[-1] = f"hold {follower.number}"
        with behind.held(follower):
            self.breathe()

    def choices(self):
        return [self.kill, self.kill, self.cut, self.cut, self.cut_one_way, self.stop, self.hold,
                self.hold]

    def step(self):
        what = self.dice.choice(self.choices())
        node = self.some_node()
        self.done.append(f"{what.__name__} {node.number}")
        what(node)
        self.wait_for_work()
        for session in self.sessions:
            assert session.problem is None, session.problem

    def run(self, steps):
        for _ in range(steps):
            self.step()

    def finish(self):
        """All is well again, everything is read once more, and the history is judged."""
        self.end()
        self.cluster.wait_ready()
        last = Session(self, len(self.sessions) + 1, 1)
        last.node = self.cluster.leader()
        last.connection = last.node.connect(timeout=20)
        for key in self.keys.all():
            last.read(key, "linearizable")
        last.leave()
        return self.history.check()


def is_given(connection, level):
    try:
        return connection.call("CONSISTENCY", "READ", level) == "OK"
    except Error as error:
        assert error.kind() == "LEVEL", error
        return False
