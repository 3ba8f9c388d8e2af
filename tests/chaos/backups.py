"""Keyspaces with STRATEGY primary in a run of chaos: which there are, what is ordered of their
partitions while they work, and what excuses a write of theirs that is gone without a name.

What raft's keyspaces promise is promised by ANY k and ALL as well, so the same clients ask there
and the same judges look. What LOCAL, FALLBACK async and ON received may lose is asked for by loners
(loners.py), in a keyspace of its own.
"""
import time

from campaign_members import TROUBLE
from cluster import wait_for
from keyspaces import places
from resp import Error, as_rows, as_text

SAFE = (("ACK", "ANY 1"), ("ACK", "ANY 1"), ("ACK", "ANY 2"), ("ACK", "ALL"))
LOOSE = [("ACK", ack, "FALLBACK", fallback, "READ", "leader") for ack, fallback in (
    ("LOCAL", "fail"), ("LOCAL", "fail"), ("LOCAL", "fail"), ("ANY 2", "async"),
    ("ANY 1 ON received", "fail"))]
LOGS = ("statement", "logical")
LOOSE_NAME = "loc"
PATIENT_S = 5.0  # for those that a choice waits for; then it is forced, where memory was lost
ORDER_MS = (200, 1000, 3000)
# Of an order that changed nothing, or that may come about yet.
CANNOT = ("nothing was changed", "FAILOVER", "No failover", "timed out", "no member", "already",
          "would weaken")


class Backups:
    """A part of Chaos."""

    BLOWS = {"hand_over": 5, "force": 2}
    OPERATIONS = {"alter_ack": 4}
    OF_PRIMARIES = (*BLOWS, *OPERATIONS)

    backed = False  # whether there are any
    strategies = {}
    spares = False  # no disk is lost in this round, so that no write of LOCAL is without a name
    received = False  # somebody may have had a write in memory alone, and lost it
    choosing = None  # since when a partition waits for somebody who may have more
    forced = 0

    def draw_strategies(self, prefixes):
        """Words of CREATE by the keyspaces' names."""
        raft, log = ("STRATEGY", "raft"), lambda: ("LOG", self.dice.choice(LOGS))
        self.strategies = dict.fromkeys(prefixes, raft)
        if not self.backed:
            return
        for name in ("reg", "own"):
            self.strategies[name] = ("STRATEGY", "primary", *self.dice.choice(SAFE), *log())
        loose = self.dice.choice(LOOSE)
        self.strategies[LOOSE_NAME] = ("STRATEGY", "primary", *loose, *log())
        self.received = "received" in loose[1]

    def with_primaries(self):
        return [name for name, words in self.strategies.items() if words[1] == "primary"]

    def excuse(self, reason):
        """From now on until the round ends."""
        if self.load is not None:
            self.load.excuse = reason

    def placement(self, name, seat):
        """Of each partition what the seat knows; those that it holds, by id."""
        return [{key: as_text(value) for key, value in row.items()} for row in places(seat, name)]

    # --- Orders -----------------------------------------------------------------------------------

    def order_of(self, *words):
        """The answer, or None: it was not carried out, or it is not known."""
        seat = self.dice.choice(self.alive())
        try:
            answer = seat.call("KEYSPACE", *words, timeout=5.0)
            self.say(f"ok KEYSPACE {' '.join(words)}")
            return answer
        except Error as reason:
            assert reason.kind() != "ERR" or any(text in str(reason) for text in CANNOT), \
                f"{words}: {reason}"
            self.say(f"{str(reason)[:40]} KEYSPACE {' '.join(words)}")
        except TROUBLE as trouble:
            self.say(f"{trouble!r} KEYSPACE {' '.join(words)}")
        return None

    def some_partition(self, name):
        return ("FAILOVER", name, "PARTITION", str(self.dice.randrange(self.partitions)))

    def some_member(self):
        members = self.members()
        seat = self.dice.choice(sorted(members, key=lambda seat: seat.number)) if members else None
        return ("TO", str(members[seat]["id"])) if seat and self.dice.random() < 0.6 else ()

    def hand_over(self):
        """Another primary by order; now and then it is called off at once."""
        partition = self.some_partition(self.dice.choice(self.with_primaries()))
        if self.dice.random() < 0.1:
            self.order_of(*partition, "ABORT")
        self.order_of(*partition, *self.some_member(), "TIMEOUT",
                      str(self.dice.choice(ORDER_MS)))

    def force(self):
        """Whoever is there, or who is named though another has more; of those who may lose."""
        self.forced_of(self.some_partition(LOOSE_NAME) + self.some_member())

    def forced_of(self, words):
        answer = self.order_of(*words, "FORCE", "TIMEOUT", "3000")
        self.forced += answer is not None
        if self.received:  # of what was in memory alone nobody has a name
            self.excuse("ON received, and a primary was chosen by FORCE")

    def alter_ack(self):
        name = self.dice.choice(self.with_primaries())
        words = self.dice.choice(LOOSE if name == LOOSE_NAME else SAFE)
        self.received = self.received or "received" in words[1]
        self.order_of("ALTER", name, *words)

    # --- Well again -------------------------------------------------------------------------------

    def lose(self):
        """A write of LOCAL is gone with its primary's disk, and nobody names it."""
        seat = None if self.spares else super().lose()
        if seat is not None:
            self.excuse(f"a disk was lost, of seat {seat.number}")
        return seat

    def are_primaries_well(self, seat):
        """All are settled. Those that forgot what they had in memory wait for an order; nobody
        else may need one."""
        rows = {name: self.placement(name, seat) for name in self.with_primaries()}
        waiting = [row for row in rows.get(LOOSE_NAME, []) if row["view"] == "choosing"]
        self.choosing = (self.choosing or time.monotonic()) if waiting else None
        if self.received and waiting and time.monotonic() - self.choosing > PATIENT_S:
            self.forced_of(("FAILOVER", LOOSE_NAME, "PARTITION", str(waiting[0]["partition"])))
            self.choosing = None
        return all(row["view"] == "settled" for found in rows.values() for row in found)

    def digests(self, seat, name):
        """Of each partition those that its replicas have now."""
        members = {int(row["id"]): other for other, row in self.members().items()}
        for row in self.placement(name, seat):
            held = [members.get(int(number)) for number in row["nodes"].split(",")]
            yield {other and other.call("DEBUG", "DIGEST", row["group"]) for other in held}

    def wait_equal(self):
        """With nobody who writes: the replicas of each partition are the same."""
        def equal(name):
            try:
                return all(len(found) == 1 and None not in found
                           for found in self.digests(self.leader(), name))
            except (*TROUBLE, AttributeError):
                return False
        for name in self.with_primaries():
            wait_for(lambda name=name: equal(name), f"the replicas of {name} are equal", 15)

    def losses(self):
        """The alarms that tell of them."""
        return [row["text"] for seat in self.taken for row in as_rows(seat.call("ALARM", "LIST"))
                if as_text(row["alarm"]) == "LOST"]
