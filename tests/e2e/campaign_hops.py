"""Sessions that hop between nodes by token over many partitions, while keyspaces with prefixes are
created, partitions move, and nodes are killed, stopped, cut off and held behind
(docs/testing.md, "Histories"; scenarios 66, 67, 68, 70, 76).

Beside what campaign_sessions.py does with one partition: each session is one of three kinds. One
takes its token along to a connection of its own. One sends its token with each command, on
connections that several sessions share, and goes on with the token that META gives. One is pinned.
All of them use keyspace 0, a keyspace of many partitions, and each prefix as soon as somebody has
created it: a node that has not heard of it yet must not answer from where its keys were not. And
they read its keys before it is there.
"""
import contextlib
import itertools
import random
import threading
import time

from campaign_sessions import (CLIENT_PATIENCE, HISTORY_LEVELS, LEVELS, REFUSED, UNCERTAIN, Keys,
                               Refused, Session, SessionCampaign, now)
from cluster import wait_for
from keyspaces import held, is_settled
from resp import Closed, Connection, Error, as_text

KEYSPACE, PARTITIONS, PREFIXES = "many", 6, 4


class Field:
    """Lists of one partition: how their keys begin, and in which keyspace they are."""

    def __init__(self, group, begin="", keyspace=None):
        self.group, self.begin, self.keyspace, self.keys = group, begin, keyspace, Keys()

    def name(self, key):
        return self.begin + key

    def options(self):
        return [] if self.keyspace is None else ["KS", self.keyspace]


def by_prefix(number):
    return Field(f"p{number}", f"p{number}:{{x}}")


class Shared:
    """A connection to each node, for all sessions that send their tokens along."""

    def __init__(self, cluster):
        self.nodes = {node: (threading.Lock(), [None]) for node in cluster.nodes}

    def call(self, node, *words):
        lock, held_ = self.nodes[node]
        with lock:
            try:
                held_[0] = held_[0] or Connection(node.port, timeout=CLIENT_PATIENCE)
                return held_[0].pipeline([words])[0]
            except (Closed, OSError):
                if held_[0] is not None:
                    held_[0].close()
                held_[0] = None
                raise


class Hopper(Session):
    """One that takes its token along."""

    pin = None

    def hop(self):
        super().hop()
        if self.pin is not None:
            assert self.connection.call("SESSION", "PIN", self.pin) == "OK"

    def ask_with(self, options, *words):
        options = [str(option) for option in options]
        return self.ask(*(["WITH", len(options), *options] if options else []), *words)

    def append(self, field):
        key = field.keys.some(self.dice)
        element = field.keys.element(key)
        start, result = now(), "unknown"
        try:
            reply = self.ask_with(field.options(), "APPEND", field.name(key), f"{element},")
            result = f"={reply}"
        except Refused:
            result = "fail"
            raise
        finally:
            self.note(field, key, "append", f"{element},", result, start)

    def read(self, field, level, key=None):
        key = key or field.keys.some(self.dice)
        start = now()
        value = self.ask_with(["READ", level, *field.options()], "GET", field.name(key))
        self.note(field, key, "get", "-", "nil" if value is None else f"={value.decode()}", start,
                  f"level={HISTORY_LEVELS.get(level, level)}")

    def note(self, field, key, kind, argument, result, start, *more):
        self.campaign.history.add(self.number, f"{field.group}/{key}", kind, argument, result,
                                  start, now(), f"group={field.group}", *more)

    def act(self):
        self.done += 1
        if self.connection is None or self.dice.random() < 0.3:
            self.hop()
        field = self.dice.choice(self.campaign.fields)
        coming = self.campaign.coming
        if coming is not None and self.dice.random() < 0.1:
            self.read(coming, "session")
        elif self.dice.random() < 0.4:
            self.append(field)
        else:
            self.read(field, self.dice.choice(self.campaign.levels))


class PinnedHopper(Hopper):
    @property
    def pin(self):
        return f"user:{self.number}"


class TokenHopper(Hopper):
    """One that sends its token with each command, to whichever node."""

    def hop(self):
        self.node = self.dice.choice(self.campaign.cluster.nodes)
        self.hops += 1
        self.connection = None

    def leave(self):
        self.connection = None

    def read(self, field, level, key=None):
        """A token asks for no less than its session."""
        super().read(field, level if level in ("session", "linearizable") else "session", key)

    def ask_with(self, options, *words):
        options = [*options, "META"] + ([] if self.token is None else ["SESSION", self.token])
        answer = self.campaign.shared.call(self.node, "WITH", len(options), *options, *words)
        if isinstance(answer, Error):
            if answer.kind() in REFUSED:
                raise Refused(str(answer))
            if answer.kind() in UNCERTAIN:
                raise Closed(str(answer))
            raise answer
        reply, shown = answer
        shown = dict(zip(map(as_text, shown[::2]), shown[1::2]))
        assert shown["session"] is not None, shown
        self.token = as_text(shown["session"])
        return reply


class HopCampaign(SessionCampaign):
    def __init__(self, seed):
        super().__init__(seed, sessions=0)
        kinds = [Hopper, Hopper, PinnedHopper, PinnedHopper, TokenHopper, TokenHopper, TokenHopper]
        self.sessions = [kind(self, i + 1, self.dice.random()) for i, kind in enumerate(kinds)]
        self.shared = Shared(self.cluster)
        self.fields = [Field("zero")]
        self.fields += [Field(f"many-{tag}", f"{{{tag}}}", KEYSPACE) for tag in "abcd"]
        self.prefixes = itertools.count(1)
        self.coming = by_prefix(next(self.prefixes))

    def start_sessions(self):
        node = self.cluster.nodes[0]
        assert node.call("KEYSPACE", "CREATE", KEYSPACE, "STRATEGY", "raft", "REPLICAS", "2",
                         "PARTITIONS", PARTITIONS, timeout=20) == "OK"
        wait_for(lambda: is_settled(node, KEYSPACE, 2), "all partitions are there", 20)
        super().start_sessions()

    # --- What happens -------------------------------------------------------------------------

    def order(self, node, *words):
        """Orders may fail while nodes die; what counts is what sessions are shown."""
        try:
            return node.call(*words, timeout=5.0)
        except (Error, Closed, OSError) as reason:
            return reason

    def create(self, node):
        """Its keys are used from the moment on at which one node has said OK."""
        if self.coming is None:
            return
        name, said = self.coming.group, []

        def is_there():
            reply = self.order(node, "KEYSPACE", "CREATE", name, "STRATEGY", "raft", "REPLICAS",
                               "2", "PARTITIONS", "2", "PREFIX", f"{name}:")
            said.append(str(reply))
            return reply == "OK" or "exists" in str(reply)
        try:
            wait_for(is_there, f"{name} is created", 30, pause=0.1)
        except AssertionError as problem:
            raise AssertionError(said[-3:]) from problem
        self.fields.append(self.coming)
        number = next(self.prefixes)
        self.coming = by_prefix(number) if number <= PREFIXES else None

    def create_apart(self, _node):
        """While a node is cut off or stands still, and does not hear of it."""
        last = self.dice.choice([n for n in self.cluster.nodes
                                 if n is not self.cluster.find_leader()])
        others = [n for n in self.cluster.nodes if n is not last]
        if self.dice.random() < 0.5:
            self.links.isolate(last.number)
            self.create(self.dice.choice(others))
            self.breathe()
            self.links.heal()
        else:
            last.pause()
            try:
                self.create(self.dice.choice(others))
            finally:
                last.resume()

    def move(self, node):
        """Partitions leave a node, which may die meanwhile, and come back."""
        asked = self.dice.choice([n for n in self.cluster.nodes if n is not node])
        drains = self.order(asked, "MEMBER", "DRAIN", node.number) == "OK"
        self.breathe()
        if self.dice.random() < 0.4:
            self.kill(self.dice.choice([node, asked]))

        def is_empty():
            with contextlib.suppress(Error, Closed, OSError):
                return node.number not in held(asked, KEYSPACE) and is_settled(asked, KEYSPACE)
        if drains and self.dice.random() < 0.5:
            wait_for(is_empty, f"node {node.number} is drained", 40)
        wait_for(lambda: self.order(asked, "MEMBER", "DRAIN", node.number, "CANCEL") == "OK",
                 "it may hold partitions again", 20)
        self.order(asked, "REBALANCE")

    def fail_over(self, node):
        self.order(node, "FAILOVER", "TIMEOUT", 1000)

    def kill_all(self, _node):
        self.cluster.kill_all()
        for node in self.cluster.nodes:
            node.start()

    def choices(self):
        return [self.create, self.create_apart, self.create_apart, self.kill, self.kill, self.stop,
                self.stop, self.cut, self.cut_one_way, self.hold, self.fail_over, self.move,
                self.move, self.kill_all]

    # --- The end ------------------------------------------------------------------------------

    def finish(self):
        """All is well again, everything is read once more, and the history is judged."""
        self.end()
        self.cluster.wait_ready()
        last = Hopper(self, len(self.sessions) + 1, 1)
        last.node = self.cluster.leader()
        for field in self.fields:
            for key in field.keys.all():
                wait_for(lambda f=field, k=key: self.is_read(last, f, k), f"{field.group} answers",
                         30)
        last.leave()
        return self.history.check()

    @staticmethod
    def is_read(last, field, key):
        try:
            if last.connection is None:
                last.connection = last.node.connect(timeout=20)
            last.read(field, "linearizable", key)
            return True
        except (Refused, Closed, OSError):
            last.leave()
            return False
