#!/usr/bin/python3
"""The clients of a run of chaos, a process of its own: what they ask, what they are told, and what
must be true of it.

    clients.py --nodes HOST:PORT,... --history FILE --progress FILE [--seed N] [--each N]
               [--round N] [--keyspaces] [--primaries]

They work until a line comes on standard input, with what excuses that a loner's write is gone. Then
each finishes what it must not leave open, every key is read once more and removed, and one line of
JSON says what came of it. Keys, clients and ids of another round are others. The history is for
`check-history`; what that has no word for is judged here:

- A *claim* is `SET key me NX`: of those who want a key exactly one may be told OK, and in the end
  the key must be his. It is a compare-and-set, and what was acknowledged is looked for at the end.
- A *retrier* counts up a key of its own under ids (`IDMP`) and never gives up: each answer must be
  the one before plus 1, whatever died meanwhile (U49). Now and then it sends again what was
  answered long ago: the answer must be that of then, whoever leads now and wherever it has its
  state from.
- A *scribe* counts up in pipelines (scribes.py): there are more of its writes than of all others.
- Those who want each *zone* to have what they write believe an error that says that it is in force.
- *Several* keys that are written by one command are seen as one.
- A *steward* orders keyspaces of its own, and writes by their prefixes (stewards.py).
- A *loner* writes where the primary alone may have it when it answers (loners.py).
- A *lessee* sets a key for a while that is longer than any clock is wrong, and reads it soon: it
  must be there, and its time must have begun when it was set.
"""
import argparse
import collections
import json
import mmap
import os
import random
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))

from campaign_sessions import LEVELS, Keys, Session, now  # noqa: E402
from client import Answer, Client, History  # noqa: E402
from load import SHOWN  # noqa: E402
from loners import Journals, Loner, judge as judge_loners  # noqa: E402
from scribes import Scribe  # noqa: E402
from stewards import Steward  # noqa: E402

KEY_OPERATIONS = 300  # of a register or a counter; then its clients go on with the next
KEY_UNKNOWN = 6  # of unknown outcome, which make the search for a linear order long
KEYS = 3  # of a kind, at a time
ROUND_KEYS = 1_000_000  # of a kind, in a round
ROUND_CLIENTS = 1000
LEASE_S = 400  # of a lessee; clocks are wrong by less than CLOCKS_S
CLOCKS_S = 300
LEASE_READS = 20
REMEMBERED = 200  # requests that a retrier may send again
CLAIMS = 4  # that are wanted at the same time
CLAIM_PAUSE_S = 0.01
READER_PAUSE_S = 0.01
FINAL_SECONDS = 60
ZONE_MS = [50, 300, 1000]  # that a write waits for zones
IN_FORCE = "is committed by a majority and was applied"
SEVERAL = 3  # keys that are written at once
READ_AT_ONCE = 100  # claims
Node = collections.namedtuple("Node", "host port")


class Rotation:
    """Keys that several clients use until enough was done to them."""

    def __init__(self, prefix, first=0):
        self.prefix, self.lock = prefix, threading.Lock()
        self.first, self.next = first, first + KEYS
        self.now = list(range(first, self.next))
        self.done, self.open = collections.Counter(), collections.Counter()

    def some(self, dice):
        return f"{self.prefix}:{dice.choice(self.now)}"

    def used(self, key, outcome):
        number = int(key.partition(":")[2])
        with self.lock:
            self.done[number] += 1
            self.open[number] += outcome == "unknown"
            if number in self.now and (self.done[number] >= KEY_OPERATIONS or
                                       self.open[number] >= KEY_UNKNOWN):
                self.now[self.now.index(number)] = self.next
                self.next += 1

    def all(self):
        return [f"{self.prefix}:{number}" for number in range(self.first, self.next)]


class Lists(Keys):
    """Those of a round, some of them where the counters are: in partitions, if there are any, so
    that tokens tell of several groups. Of these each is a group to its judge."""

    def __init__(self, first):
        super().__init__()
        self.first, self.numbers = first, list(range(first, first + KEYS))

    def some(self, dice):
        return ("cnt:" if dice.random() < 0.4 else "") + super().some(dice)

    def group(self, key):
        return f"group={key}" if key.startswith("cnt:") else super().group(key)

    def all(self):
        return [f"{prefix}list:{number}" for prefix in ("", "cnt:")
                for number in range(self.first, max(self.numbers) + 1)]


class Register(Client):
    """Sets, deletes and gets."""

    def keys(self):
        return self.world.registers

    def act(self):
        key, dice = self.keys().some(self.dice), self.dice.random()
        if dice < 0.45:
            value = f"{self.number}-{self.acknowledged}-{self.dice.randrange(1 << 20)}"
            answer = self.write(key, value)
        elif dice < 0.55:
            answer = self.delete(key)
        else:
            answer = self.read(key)
        if answer is not None:
            self.keys().used(key, answer.outcome)

    def write(self, key, value):
        return self.tell(key, "set", value, ("SET", key, value), lambda _: "ok")

    def delete(self, key):
        return self.tell(key, "del", "-", ("DEL", key), lambda count: f"={count}")


class Zoned(Register):
    """Wants what it writes in each zone. Where a zone does not tell in time, what the error says
    must be true: the write is in force, and stays."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.in_force = 0

    def ask(self, *words):
        if words[0] == "SET":
            words = ("WITH", 4, "ACK", "EACH zone", "TIMEOUT", self.dice.choice(ZONE_MS), *words)
        answer = super().ask(*words)
        if words[0] == "WITH" and answer is not None and IN_FORCE in (answer.reply or ""):
            self.in_force += 1
            return Answer("done", "OK")
        return answer


class Several(Register):
    """Writes, removes and reads a few keys, each time by one command: of a write all is seen or
    nothing, so that together they are one register."""

    def keys(self):
        return self.world.several

    @staticmethod
    def names(key):
        """Of one partition, wherever that is."""
        return [f"reg:{{{key}}}{i}" for i in range(SEVERAL)]

    def write(self, key, value):
        words = [word for name in self.names(key) for word in (name, value)]
        return self.tell(key, "set", value, ("MSET", *words), lambda _: "ok")

    def delete(self, key):
        return self.tell(key, "del", "-", ("DEL", *self.names(key)), lambda count: self.all_of(
            key, [count // SEVERAL, count / SEVERAL]))

    def read(self, key):
        return self.tell(key, "get", "-", ("MGET", *self.names(key)),
                         lambda values: self.all_of(key, values))

    @staticmethod
    def all_of(key, values):
        assert len(set(values)) == 1, f"wrong: one of several: {key} is {values}"
        value = values[0]
        return "nil" if value is None else \
            f"={value.decode() if isinstance(value, bytes) else value}"


class Counter(Client):
    """Counts up, and gets."""

    def act(self):
        key = self.world.counters.some(self.dice)
        if self.dice.random() < 0.6:
            answer = self.tell(key, "incr", "-", ("INCR", key), lambda number: f"={number}")
        else:
            answer = self.read(key)
        if answer is not None:
            self.world.counters.used(key, answer.outcome)


class Reader(Client):
    """Only looks at what others do: no write of its own ever waits, so that it goes on where the
    leader believes to be one still."""

    def act(self):
        keys = self.dice.choice([self.world.registers, self.world.counters])
        self.read(keys.some(self.dice))
        time.sleep(READER_PAUSE_S)


class Claimer(Client):
    """Wants keys that others want too."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.claimed = 0

    def act(self):
        claim = self.world.claims.some()
        me = f"{self.number}-{self.claimed}"
        self.claimed += 1
        answer = self.ask("SET", f"claim:{claim}", me, "NX")
        if answer is not None:
            self.count(answer, True)
            self.world.claims.told(claim, me, answer)
        time.sleep(CLAIM_PAUSE_S)


class Claims:
    """Who was told what about which claim."""

    def __init__(self, first=0):
        self.lock, self.first, self.winner, self.maybe = threading.Lock(), first, {}, {}
        self.taken = set()
        self.seen = set()  # somebody was told that it is there
        self.dice = random.Random(0)

    def some(self):
        with self.lock:
            while self.first in self.taken:
                self.taken.discard(self.first)
                self.first += 1
            return self.first + self.dice.randrange(CLAIMS)

    def told(self, claim, me, answer):
        with self.lock:
            if answer.outcome == "unknown":
                self.maybe.setdefault(claim, set()).add(me)
            elif answer.outcome == "done":
                self.taken.add(claim)
                self.seen.add(claim)
                if answer.reply == "OK":
                    other = self.winner.setdefault(claim, me)
                    assert other == me, f"claim {claim}: both {other} and {me} were told OK"

    def judge(self, claim, value):
        """At the end."""
        winner, maybe = self.winner.get(claim), self.maybe.get(claim, set())
        if winner is not None:
            assert value == winner, f"claim {claim}: lost: {winner} was told OK, {value} is there"
        elif value is not None:
            assert value in maybe, f"claim {claim}: {value} was refused, and is there"
        else:
            assert claim not in self.seen, f"claim {claim}: lost: it was there, and is not"


class Retrier(Client):
    """Counts up a key of its own, each time until it is answered."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.told, self.again = 0, 0

    def producer(self, iid):
        """Of few requests: they are remembered."""
        return f"retrier-{self.number}-{iid // 50}"

    def act(self):
        if self.told > 0 and self.dice.random() < 0.15:
            self.once_more(self.dice.randrange(max(1, self.told - REMEMBERED), self.told + 1))
        else:
            self.count_up(None)

    def once_more(self, iid):
        """What was answered long ago has the answer of then."""
        key = f"own:{self.number}"
        answer = self.ask("WITH", 3, "IDMP", self.producer(iid), iid, "INCR", key)
        if answer is not None and answer.outcome == "done":
            assert answer.reply == iid, \
                f"wrong: once: {key}: {iid} was sent again and answered {answer.reply}"

    def count_up(self, deadline):
        key, words = f"own:{self.number}", ("INCR", f"own:{self.number}")
        iid, uncertain = self.told + 1, False
        while True:
            answer = self.ask("WITH", 3, "IDMP", self.producer(iid), iid, *words)
            if answer is not None:
                self.count(answer, True)
                uncertain = uncertain or answer.outcome == "unknown"
                if answer.outcome == "done":
                    break
            assert deadline is None or time.monotonic() < deadline, f"{key}: no answer to {iid}"
            if self.world.ended and deadline is None:
                deadline = time.monotonic() + FINAL_SECONDS
        assert answer.reply == iid, f"wrong: once: {key} is {answer.reply} after {iid} times"
        self.told = iid
        self.again += uncertain

    def finish(self):
        self.count_up(time.monotonic() + FINAL_SECONDS)


class Lessee(Client):
    """Sets a key for a while, and looks whether it stays."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.key = self.until = None
        self.leases = self.left = 0

    def act(self):
        if self.dice.random() < 0.3:
            self.let_expire()
        elif self.left == 0:
            self.begin()
        else:
            self.look()
        time.sleep(CLAIM_PAUSE_S)

    def begin(self):
        self.key = f"lease:{self.number}-{self.leases % 10}"
        self.leases += 1
        answer = self.ask("SET", self.key, self.leases, "PX", LEASE_S * 1000)
        if answer is None:
            return
        self.count(answer, True)
        if answer.outcome == "done":
            self.left, self.until = LEASE_READS, time.monotonic() + LEASE_S - CLOCKS_S

    def let_expire(self):
        """Nobody looks whether it is there; on all replicas it goes at one place of the log."""
        answer = self.ask("SET", f"brief:{self.number}-{self.dice.randrange(100)}", "v", "PX",
                          self.dice.choice([50, 500, 5000]))
        if answer is not None:
            self.count(answer, True)

    def look(self):
        """Log time may be behind the clocks, or as far ahead as they are wrong."""
        self.left -= 1
        word = self.dice.choice(["GET", "PTTL"])
        answer = self.ask(word, self.key)
        if answer is None:
            return
        self.count(answer, False)
        if answer.outcome == "done" and time.monotonic() < self.until:
            self.judge(word, answer.reply)

    def judge(self, word, reply):
        if word == "GET":
            assert reply == str(self.leases).encode(), \
                f"wrong: lease: {self.key} is {reply}, and was set to {self.leases}"
        else:
            assert 0 < reply <= LEASE_S * 1000, f"wrong: lease: {self.key} ends in {reply} ms"


class Hopper(Session):
    """A session that hops between nodes with its token, and reads at every level. What becomes of
    its requests is counted from the history."""

    acknowledged = reads = refused = uncertain = in_pipelines = 0


class World:
    """All of them."""

    KINDS = [Register, Zoned, Several, Counter, Reader, Claimer, Retrier, Lessee, Scribe, Hopper,
             Hopper]

    def __init__(self, options):
        self.nodes = [Node(host, int(port)) for host, _, port in
                      (word.partition(":") for word in options.nodes.split(","))]
        self.cluster = self  # for sessions
        self.history, self.ended = History(options.history), False
        first = options.round * ROUND_KEYS
        self.registers, self.counters = Rotation("reg", first), Rotation("cnt", first)
        self.several = Rotation("several", first)
        self.claims, self.keys, self.levels = Claims(first), Lists(first), LEVELS
        self.first_claim = first
        self.progress = open(options.progress, "r+b")  # as long as the process lives
        self.page = mmap.mmap(self.progress.fileno(), 4096)
        dice = random.Random(options.seed)
        self.excuse, self.gone = "", 0
        self.journals = Journals(self.nodes) if options.primaries else None
        kinds = self.KINDS + [Steward] * options.keyspaces + [Loner] * 2 * options.primaries
        if options.primaries:  # who answers by the keyspace's own rule, and no other
            kinds.remove(Zoned)
        self.clients = [kind(self, options.round * ROUND_CLIENTS + 1 + i, dice.random())
                        for i, kind in enumerate(kinds * options.each)]

    def total(self, name):
        return sum(getattr(client, name) for client in self.clients) + \
            (self.history.appended if name == "acknowledged" else 0)

    def show(self):
        for name in ("acknowledged", "reads", "uncertain", "refused", "in_pipelines"):
            struct.pack_into("<Q", self.page, 8 * SHOWN.index(name), self.total(name))
        for client in self.clients:
            if client.problem is not None:
                raise client.problem

    def run(self):
        for client in self.clients:
            client.start()
        ended = threading.Thread(target=self.listen, daemon=True)
        ended.start()
        while ended.is_alive():
            self.show()
            ended.join(0.05)
        self.ended = True
        for client in self.clients:
            client.join(2 * FINAL_SECONDS)
            assert not client.is_alive(), "a client does not end"
        self.show()

    def listen(self):
        self.excuse = sys.stdin.readline().partition(" ")[2].strip()

    def read_all(self):
        """Everything once more; nobody is harmed any more."""
        last = Register(self, self.clients[-1].number + 1, 1)
        for key in self.registers.all() + self.counters.all():
            self.read_once(last, key)
        self.read_several(last.number + 1)
        for client in self.clients:
            if isinstance(client, Retrier):
                value = self.sure(last, "GET", f"own:{client.number}")
                assert int(value) == client.told, f"wrong: once: {client.told} times, {value}"
            if isinstance(client, Steward):
                client.judge()
            if isinstance(client, Scribe):
                for tally in client.tallies:
                    tally.take(int(self.sure(last, "GET", tally.key) or 0))
                self.remove(last, [tally.key for tally in client.tallies])
        for key in self.keys.all():
            start = now()
            value = self.sure(last, "GET", key)
            result = "nil" if value is None else f"={value.decode()}"
            self.history.add(last.number, key, "get", "-", result, start, now(),
                             self.keys.group(key), "level=linearizable")
        for first in range(self.first_claim, self.claims.first + CLAIMS, READ_AT_ONCE):
            claims = range(first, first + READ_AT_ONCE)
            names = [f"claim:{claim}" for claim in claims]
            values = self.sure(last, "MGET", *names)
            for claim, value in zip(claims, values):
                self.claims.judge(claim, value and value.decode())
            self.remove(last, names)
        if self.journals is not None:
            self.gone = judge_loners(self, last)
        self.remove(last, self.registers.all() + self.counters.all() + self.keys.all())
        last.leave()

    def read_several(self, number):
        last = Several(self, number, 1)
        for key in self.several.all():
            self.read_once(last, key)
            self.remove(last, last.names(key))
        last.leave()

    @staticmethod
    def remove(client, keys):
        """What was judged is of no use to others, and need not stay; if it does no harm is done."""
        for key in keys:
            client.ask("DEL", key)

    @staticmethod
    def read_once(client, key):
        deadline = time.monotonic() + FINAL_SECONDS
        while True:
            answer = client.read(key)
            if answer is not None and answer.outcome == "done":
                return
            assert time.monotonic() < deadline, f"{key} cannot be read"

    @staticmethod
    def sure(client, *words):
        deadline = time.monotonic() + FINAL_SECONDS
        while True:
            answer = client.ask(*words)
            if answer is not None and answer.outcome == "done":
                return answer.reply
            assert time.monotonic() < deadline, f"{words} has no answer"

    def summary(self):
        found = {name: self.total(name) for name in
                 ("acknowledged", "reads", "uncertain", "refused", "in_pipelines")}
        found["acknowledged"] += found["in_pipelines"]
        retriers = [client for client in self.clients if isinstance(client, Retrier)]
        found["retried"] = sum(client.again for client in retriers)
        found["counted_once"] = sum(client.told for client in retriers)
        found["claims"] = len(self.claims.winner)
        found["leases"] = sum(c.leases for c in self.clients if isinstance(c, Lessee))
        found["in_force"] = sum(c.in_force for c in self.clients if isinstance(c, Zoned))
        found["orders"] = sum(c.orders for c in self.clients if isinstance(c, Steward))
        found["gone"] = self.gone
        found["hops"] = sum(c.hops for c in self.clients if isinstance(c, Hopper))
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", required=True)
    parser.add_argument("--history", required=True)
    parser.add_argument("--progress", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--round", type=int, default=0, help="0 is the first")
    parser.add_argument("--each", type=int, default=2, help="clients of each kind")
    parser.add_argument("--keyspaces", action="store_true", help="are ordered, too")
    parser.add_argument("--primaries", action="store_true", help="of keyspaces, are there")
    world = World(parser.parse_args())
    world.run()
    world.read_all()
    world.history.close()
    print(json.dumps(world.summary()), flush=True)
    os._exit(0)  # whoever still waits for standard input


if __name__ == "__main__":
    main()
