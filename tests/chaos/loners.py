"""Writers where a write may be answered while the primary alone has it (ACK LOCAL, FALLBACK async),
and what must be true of it all the same: it is there in the end, or a node's discard journal names
it (docs/discards.md). What was refused is not there.
"""
import contextlib
import time

from client import PATIENCE_S, Client
from resp import Closed, Connection, Error, as_row, as_rows, as_text

NAME = "loc"
DEPTH = 4  # writes of a pipeline
PAUSE_S = 0.02
FINAL_S = 60
READ_AT_ONCE = 100
LEFT = 20  # keys of each that stay, so that digests at the end are of something


class Loner(Client):
    """Sets keys of its own, each once."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.serial, self.told, self.vain = 0, set(), set()

    def key(self, serial):
        return f"{NAME}:{self.number}-{serial}"

    def act(self):
        serials = range(self.serial, self.serial + DEPTH)
        self.serial += DEPTH
        answers = self.ask_all([("SET", self.key(serial), serial) for serial in serials])
        for serial, answer in zip(serials, answers or []):
            self.in_pipelines += answer.outcome == "done"
            self.refused += answer.outcome == "fail"
            self.uncertain += answer.outcome == "unknown"
            if answer.outcome == "done":
                self.told.add(serial)
            elif answer.outcome == "fail":
                self.vain.add(serial)
        time.sleep(PAUSE_S)

    def gone(self, held):
        """Of what each key is in the end: those that were told and are not there. Nothing else may
        be wrong."""
        for serial in self.vain:
            value = held.get(self.key(serial))
            assert value is None, f"wrong: alone: {self.key(serial)} was refused, and is {value}"
        for serial in self.told:
            value = held.get(self.key(serial))
            assert value in (None, b"%d" % serial), f"wrong: alone: {self.key(serial)} is {value}"
        return {self.key(serial) for serial in self.told if held.get(self.key(serial)) is None}


class Journals:
    """What the discard journals of all nodes say."""

    def __init__(self, nodes):
        self.nodes, self.named, self.denied, self.blind = nodes, set(), set(), 0
        self.before = self.counted()

    def counted(self):
        """Slots of which nothing is known but their number."""
        rows = self.asked(lambda node: as_row(node.call("KEYSPACE", "DISCARDS", NAME, "STATS")))
        return sum(row["blind-slots"] for row in rows)

    def asked(self, ask):
        """What each node says; of a seat where nobody sits, or no member, nothing."""
        answers = []
        for node in self.nodes:
            with contextlib.suppress(Closed, OSError, Error), \
                    Connection(node.port, node.host, timeout=PATIENCE_S) as connection:
                answers.append(ask(connection))
        return answers

    def read(self):
        self.blind = max(0, self.counted() - self.before)
        for entries in self.asked(self.entries):
            for entry in entries:
                self.take(entry)

    @staticmethod
    def entries(node):
        entries, cursor = [], b"0"
        while True:
            cursor, page = node.call("KEYSPACE", "DISCARDS", NAME, "SCAN", cursor, "COUNT", 1000)
            entries += as_rows(page)
            if cursor == b"0":
                return entries

    def take(self, entry):
        """As a command or as rows; of what came back all the same nothing is to be said."""
        if as_text(entry["state"]) != "discarded":
            return
        words = entry["command"]
        keys = {key.decode() for word, key in zip(words, words[1:]) if word == b"SET"}
        self.named |= keys
        if as_text(entry["acknowledged"]) == "no":
            self.denied |= keys

    def explain(self, gone, excuse):
        """A name for each, or an excuse; what has been said at last counts."""
        deadline = time.monotonic() + FINAL_S
        while True:
            self.read()
            nameless = sorted(gone - self.named)
            if excuse or len(nameless) <= self.blind:
                break
            assert time.monotonic() < deadline, \
                f"wrong: alone: {len(nameless)} of {len(gone)} that are gone have no name, and " \
                f"{self.blind} slots are counted: {nameless[:5]}"
            time.sleep(1)
        denied = sorted(gone & self.denied)
        assert not denied, \
            f"wrong: alone: {denied[:5]} were told OK, and their journal says that nobody was told"


def judge(world, last):
    """In the end: everything of all loners; how many are gone."""
    loners = [client for client in world.clients if isinstance(client, Loner)]
    held = {}
    for loner in loners:
        for first in range(0, loner.serial, READ_AT_ONCE):
            keys = [loner.key(i) for i in range(first, min(first + READ_AT_ONCE, loner.serial))]
            held.update(zip(keys, all_of(last, keys)))
    gone = set().union(*(loner.gone(held) for loner in loners))
    world.journals.explain(gone, world.excuse)
    for loner in loners:
        for first in range(0, loner.serial - LEFT, READ_AT_ONCE):
            last.ask_all([("DEL", loner.key(i)) for i in
                          range(first, min(first + READ_AT_ONCE, loner.serial - LEFT))])
    return len(gone)


def all_of(client, keys):
    deadline = time.monotonic() + FINAL_S
    while True:
        answers = client.ask_all([("GET", key) for key in keys])
        if answers is not None and all(answer.outcome == "done" for answer in answers):
            return [answer.reply for answer in answers]
        assert time.monotonic() < deadline, f"{keys[0]} and so on cannot be read"
