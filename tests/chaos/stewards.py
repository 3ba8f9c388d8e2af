"""Clients that order keyspaces, each of them its own, all at the same time.

Of a keyspace and of one key that its prefix leads to, a steward knows all that may be the case.
What was told OK is so, what was refused changed nothing, and what has no answer may come at any
time, once. An answer that fits none of these is wrong. In the end every node has to tell the same
of every keyspace that there may be, and that has to be among what may be the case.

A prefix moves, keys do not: what is written by the key goes to the keyspace while the prefix is
there, else to keyspace 0, and stays where it is. A write that comes late may come to where the
prefix led when it was sent (docs/keyspaces.md).
"""
import collections
import time

from client import PATIENCE_S, Answer, Client
from resp import Closed, Connection, Error, as_row

PAUSE_S = 0.05
OPEN_SOME, OPEN_MANY = 3, 5  # without an answer: it is dropped then; and left to the end then
STEPS = [3, 8, 20]  # until it is dropped
FINAL_S = 60
PATIENCES_S = [PATIENCE_S, 6]  # an order takes up to four
LEVELS = ["linearizable", "session"]
WAIT_MS = [100, 250, 1000]  # for a leader
SAYS_SO = ("nothing was changed", "not applied")

State = collections.namedtuple("State", "there prefix ops read here zero")
ABSENT = State(False, False, 0, "linearizable", None, None)


def create(prefix, ops):
    return lambda s: [] if s.there else [ABSENT._replace(there=True, prefix=prefix, ops=ops,
                                                         zero=s.zero)]


def alter(**change):
    return lambda s: [s._replace(**change)] if s.there else []


def drop(ignored=None):
    """With FORCE; or where the value is none but these, of which it is not known when they came."""
    return lambda s: [ABSENT._replace(zero=s.zero)] if s.there and (
        ignored is None or s.here is None or s.here in ignored) else []


def put(value):
    return lambda s: [s._replace(here=value)] if s.there and s.prefix else [s._replace(zero=value)]


def put_late(value):
    return lambda s: [s._replace(zero=value)] + ([s._replace(here=value)] if s.there else [])


class Book:
    """All that may be the case with one keyspace and its key: states, each with those of the open
    orders that have not come to it."""

    def __init__(self, name):
        self.name, self.key = name, f"{name}:key"
        self.open, self.unsure = [], set()
        self.cases = {(ABSENT, frozenset())}

    def now(self):
        """With what may have come of the open ones."""
        found, todo = set(self.cases), list(self.cases)
        while todo:
            state, left = todo.pop()
            for i in left:
                for after in self.open[i](state):
                    case = (after, left - {i})
                    if case not in found:
                        found.add(case)
                        todo.append(case)
        return found

    def may_come(self, effect):
        self.open.append(effect)
        self.cases = {(state, left | {len(self.open) - 1}) for state, left in self.cases}

    def take(self, cases, what):
        before = self.now()
        assert cases, f"wrong: keyspaces: {self.name}: {what}, but it is one of " \
            f"{sorted({str(tuple(state)) for state, _ in before})}"
        self.cases = cases

    def came(self, effect, what):
        self.take({(after, left) for state, left in self.now() for after in effect(state)}, what)

    def seen(self, fits, what):
        self.take({(state, left) for state, left in self.now() if fits(state)}, what)

    def states(self):
        return {state for state, _ in self.now()}

    def is_gone(self):
        """As far as it is known, but for what is open."""
        return not any(state.there for state, _ in self.cases)


class Steward(Client):
    """Creates a keyspace, changes it, writes by its prefix, and drops it."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.books, self.serial, self.orders, self.hops_share = [], 0, 0, 0.2
        self.begin()

    def begin(self):
        self.book, self.steps = Book(f"s{self.number}-{len(self.books)}"), self.dice.choice(STEPS)
        self.books.append(self.book)

    def answer_of(self, reply):
        if isinstance(reply, Error) and reply.kind() in ("ERR", "UNSAFE"):
            assert any(words in str(reply) for words in SAYS_SO), f"wrong: refused: {reply}"
            return Answer("fail", str(reply))
        return super().answer_of(reply)

    # --- What it does -----------------------------------------------------------------------------

    def act(self):
        self.steps -= 1
        self.serial += 1
        self.patience_s = self.dice.choice(PATIENCES_S)
        ends = self.steps < 0 or len(self.book.open) >= OPEN_SOME
        if (ends and self.book.is_gone()) or len(self.book.open) >= OPEN_MANY:
            self.begin()
        elif ends:
            self.drop(True)
        elif self.book.is_gone():
            self.create()
        else:
            self.dice.choice([self.create, self.alter, self.alter, self.move, self.move, self.put,
                              self.put, self.put, self.look, self.look, self.look, self.look_there,
                              lambda: self.drop(False)])()
        time.sleep(PAUSE_S)

    def create(self):
        prefix = self.dice.random() < 0.7
        self.order(create(prefix, self.ops()), "CREATE", "STRATEGY", "raft", "MAXOPS", self.ops(),
                   "PARTITIONS", self.dice.choice([1, 1, 2]), "REPLICAS", 3,
                   *(["PREFIX", self.book.key] if prefix else []))

    def ops(self):
        """A figure that tells one order from another, and is no bound."""
        return 1_000_000 + self.serial

    def alter(self):
        level = self.dice.choice(LEVELS)
        if self.dice.random() < 0.5:  # one kind is answered when all nodes go by it
            self.order(alter(ops=self.ops()), "ALTER", "MAXOPS", self.ops())
        else:
            self.order(alter(ops=self.ops(), read=level), "ALTER", "MAXOPS", self.ops(), "READ",
                       level)

    def move(self):
        there = self.dice.random() < 0.5
        self.order(alter(prefix=there), "ALTER", "PREFIX", self.book.key if there else "")

    def drop(self, force):
        self.order(drop(None if force else self.book.unsure), "DROP", *["FORCE"][:force])

    def order(self, effect, word, *words):
        limit = ["WITH", 2, "TIMEOUT", self.dice.choice(WAIT_MS)][:4 * (self.dice.random() < 0.3)]
        answer = self.ask(*limit, "KEYSPACE", word, self.book.name, *words)
        if answer is None:
            return
        self.count(answer, True)
        self.orders += answer.outcome == "done"
        self.take(answer, effect, effect, f"{word} {words} was answered {answer.reply}")

    def take(self, answer, effect, late, what):
        if answer.outcome == "done":
            self.book.came(effect, what)
        elif answer.outcome == "unknown":
            self.book.may_come(late)
        elif "there is no keyspace" in (answer.reply or ""):
            self.book.seen(lambda state: not state.there, what)
        elif "is there already" in (answer.reply or ""):
            self.book.seen(lambda state: state.there, what)

    def put(self):
        value = f"{self.number}-{self.serial}"
        answer = self.ask("SET", self.book.key, value)
        if answer is not None:
            self.count(answer, True)
            if answer.outcome == "unknown":
                self.book.unsure.add(value)
            self.take(answer, put(value), put_late(value), f"SET {value} was answered OK")

    def look(self):
        self.see(self.ask("WITH", 2, "READ", "linearizable", "GET", self.book.key),
                 lambda state: state.here if state.there and state.prefix else state.zero, "")

    def look_there(self):
        """A node that has not heard of a drop may answer still."""
        if self.is_there():
            self.see(self.ask("WITH", 4, "KS", self.book.name, "READ", "linearizable", "GET",
                              self.book.key), lambda state: state.here, " there")

    def see(self, answer, shown, where):
        if answer is None:
            return
        self.count(answer, False)
        if answer.outcome == "done":
            value = answer.reply and answer.reply.decode()
            self.book.seen(lambda state: shown(state) == value, f"{value} is read{where}")

    # --- In the end -------------------------------------------------------------------------------

    def judge(self):
        """All is well: each node tells the same of each keyspace, and it may be so. Then nothing of
        them stays."""
        deadline = time.monotonic() + FINAL_S
        for book in self.books:
            self.book = book
            while not self.agree(time.monotonic() > deadline):
                time.sleep(0.1)
            self.look_and_remove(deadline)
        self.leave()

    def agree(self, late):
        """Whether they do by now; after some time they have to."""
        told = {}
        for node in self.world.nodes:
            try:
                told[node] = self.told_by(node)
            except (Closed, OSError):
                pass  # nobody sits there
        cases = set(told.values())
        if len(cases) == 1 and any(self.shown(state) in cases for state in self.book.states()):
            self.book.seen(lambda state: self.shown(state) in cases, "all nodes tell so")
            return True
        assert not late, f"wrong: keyspaces: of {self.book.name} nodes tell {told}, it is one of " \
            f"{set(map(self.shown, self.book.states()))}"
        return False

    @staticmethod
    def shown(state):
        return state[:4]

    def told_by(self, node):
        with Connection(node.port, node.host, timeout=PATIENCE_S) as connection:
            try:
                row = as_row(connection.call("KEYSPACE", "INFO", self.book.name))
            except Error as error:
                if "there is no keyspace" in str(error):
                    return self.shown(ABSENT)
                raise Closed() from error  # no member, or not now
            return (True, row["prefix"] == self.book.key, row["maxops"], row["read"])

    def look_and_remove(self, deadline):
        """What it wrote is there."""
        self.until(deadline, self.look, lambda: True)
        self.until(deadline, self.look_there, self.is_there)
        while not self.book.is_gone():
            self.drop(True)
            assert time.monotonic() < deadline, f"{self.book.name} cannot be dropped"
        self.ask("DEL", self.book.key)

    def is_there(self):
        return all(state.there for state in self.book.states())

    def until(self, deadline, look, can_be):
        before = self.reads
        while self.reads == before and can_be():
            look()
            assert time.monotonic() < deadline, f"{self.book.key} cannot be read"
