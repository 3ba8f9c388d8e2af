"""A run of chaos: five seats, three to five of them members, clients, and what happens to all.

There are three kinds of trouble. *Weather* begins and ends: cuts, delays, clogs, full disks, clocks
that are wrong. *Blows* happen during any weather: kill -9, stops, restarts one by one, leaders that
are moved. *Operations* are of somebody who looks first, so they are begun when all is well: members
join and leave, a disk is lost or damaged (campaign_members.py). Everything is chosen by the seed;
when it happens, and what the nodes do meanwhile, is not: a seed repeats the kind of run, not the
run.
"""
import bisect
import collections
import time

from blows import Blows
from campaign_members import BAD_WORDS, SEATS, TROUBLE, MemberCampaign, digest
from cluster import BINARY, wait_for
from keyspaces import is_settled
from load import Load
from lookout import Lookout
from namespaces import Network
from resp import as_rows, as_text
from seats import ChaosSeat
from weather import Weather

WELL_S = 45.0
ROUND_S = 60.0
STILL_S = 2.0  # without an acknowledged write: nobody learns anything then
OFTEN = 20
HURRY_MS = 300
AFTERMATH_S = 2  # behind the end of a trouble it is not calm yet
KEYSPACES = ("reg", "cnt", "own")  # prefixes of partitions, each of a leader of its own
# The words of a node that ends for lack of room: as one of the cluster, and while it joins.
FULL = ("disk full", "cannot be written: No space left on device")
HARMS = ("partitions_repairing", "partitions_forgetful", "partitions_quarantined")

Event = collections.namedtuple("Event", "began ended kind what")


class Chaos(Weather, Blows, MemberCampaign):
    """One run."""

    def __init__(self, seed, each=2, often=None):
        self.often = often  # a kind of trouble that comes more often than others
        self.network = Network(SEATS, seed)
        self.has_clocks = "asan" not in BINARY
        super().__init__(seed, ["--checkpoint-bytes", "256kb"])
        self.draw_partitions()
        self.each, self.began, self.events = each, time.monotonic(), []
        self.weather = []  # what goes on: (since, kind, name, how it ends)
        self.drained = None  # the id of a member that partitions leave
        self.lookout, self.counted = Lookout(self.seats, self.acknowledged), {}
        self.drawn, self.classes = set(), set()  # kinds of trouble: of all rounds, of this one
        self.draw_classes()

    @classmethod
    def knows(cls, kind):
        return any(kind in group for group in (cls.WEATHER, cls.BLOWS, cls.OPERATIONS))

    def draw_partitions(self):
        """In every second run; in some of these orders end before they are decided."""
        self.partitions = self.dice.choice([4 * (self.often in self.OF_PARTITIONS +
                                                 self.OF_PRIMARIES),
                                            4 * (self.often not in self.OF_ONE_GROUP)])
        self.backed = self.partitions > 0 and (self.often in self.OF_PRIMARIES or
                                               self.dice.random() < 0.6)
        self.draw_strategies(KEYSPACES)
        if self.partitions and self.dice.random() < 0.4:
            self.cluster.options += ["--request-timeout", str(HURRY_MS)]

    def acknowledged(self):
        return self.load.acknowledged() if self.load is not None else 0

    def make_seats(self):
        seats = [ChaosSeat(self.cluster, i + 1, self.network, self.has_clocks)
                 for i in range(SEATS)]
        for seat in seats:
            if self.dice.random() < 0.6:
                seat.use_disk()
        return seats

    def make_load(self):
        if self.partitions:
            wait_for(self.make_keyspaces, "keyspaces", 20)
        return Load(self.cluster, self.dice, self.each, ["--keyspaces"][:self.partitions] +
                    ["--primaries"][:self.backed])

    def make_keyspaces(self):
        """Where the registers are, the counters, and what is counted under ids."""
        try:
            node = self.cluster.leader()
            for prefix in set(self.strategies) - self.keyspaces(node):
                node.call("KEYSPACE", "CREATE", prefix, *self.strategies[prefix], "PREFIX",
                          f"{prefix}:", "PARTITIONS", self.partitions, "REPLICAS", 3)
            return all(is_settled(node, prefix) for prefix in self.strategies) and \
                self.are_primaries_well(node)
        except TROUBLE:
            return False

    @staticmethod
    def keyspaces(node):
        return {as_text(row["name"]) for row in as_rows(node.call("KEYSPACE", "LIST"))}

    def draw_classes(self):
        """Which trouble there is in this round; in most there is not all of it."""
        absent = self.OF_ONE_GROUP if self.partitions else self.OF_PARTITIONS
        absent += () if self.backed else self.OF_PRIMARIES
        self.spares = self.backed and self.dice.random() < 0.6
        names = [name for group in (self.WEATHER, self.BLOWS, self.OPERATIONS) for name in group
                 if name not in absent]
        chosen = {name for name in names if self.dice.random() < 0.75}
        self.classes = chosen | {"kill", "cut", "pause", "kill_all_in_a_hush",
                                 "kill_all_that_wait"}
        self.classes |= {self.often} & set(names)
        self.drawn |= self.classes

    def __enter__(self):
        super().__enter__()
        self.lookout.start()
        return self

    def stop_watching(self):
        """What was seen, and what the relay has counted, stays."""
        if self.lookout.is_alive():
            self.lookout.finish()
            self.counted = self.network.counts()

    def __exit__(self, *problem):
        self.stop_watching()
        for seat in self.seats:
            if seat.paused:
                seat.resume()
        for seat in self.seats:
            if seat.disk is not None:
                seat.disk.close()  # the nodes have it as long as they live; the directory is empty
        super().__exit__(*problem)
        self.network.close()

    def end_all(self):
        """So that their files stand still."""
        for seat in self.seats:
            if seat.running():
                seat.kill()

    # --- What happened ----------------------------------------------------------------------------

    def happened(self, began, kind, what):
        self.events.append(Event(began, time.monotonic(), kind, what))

    def do(self, group):
        """Something of this kind, from its beginning to its end."""
        kind, began, said = self.choose(group), time.monotonic(), len(self.done)
        try:
            getattr(self, kind)()
        finally:
            if len(self.done) > said or group is self.BLOWS:
                self.happened(began, kind, ", ".join(self.done[said:]) or kind)
        self.check_lives()

    def calm(self):
        """A function that tells whether nothing goes on at some time, nor did a moment before."""
        busy = merged(sorted((a - self.began, b - self.began + AFTERMATH_S)
                             for a, b, kind, _ in self.events if kind != "note"))

        def is_calm(at):
            before = bisect.bisect_right(busy, (at, float("inf"))) - 1
            return before < 0 or busy[before][1] < at
        return is_calm

    def choose(self, group):
        names = [name for name in group if name in self.classes] or list(group)[:1]
        return self.dice.choices(names, [group[name] * (OFTEN if name == self.often else 1)
                                         for name in names])[0]

    # --- Well again -------------------------------------------------------------------------------

    def check_lives(self, freed=()):
        """A node may end by itself only where it says that its disk is full, and it is, or was a
        moment ago."""
        for seat in self.seats:
            if seat.process is not None and not seat.stopped and seat.process.poll() is not None \
                    and (seat in freed or (seat.disk is not None and seat.disk.is_full())) \
                    and any(words in seat.log()[-2000:] for words in FULL):
                seat.stopped = True
                self.say(f"{seat.number} ended: its disk is full")
        super().check_lives()

    def all_well(self):
        """Partitions are whole as well, and where they are to be."""
        return (not self.partitions or self.are_partitions_well()) and super().all_well()

    def are_partitions_well(self):
        leader = self.leader()
        try:
            harmed = [seat.info("keyspaces") for seat in self.taken]
            return leader is not None and \
                all(info[word] == "0" for info in harmed for word in HARMS) and \
                all(is_settled(leader, name) for name in self.keyspaces(leader) - {"default"}) and \
                self.are_primaries_well(leader)
        except TROUBLE:
            return False

    def heal(self):
        while self.weather:
            self.end_weather()
        for seat in self.seats:
            if seat.paused:
                seat.resume()
        self.check_lives()
        for seat in self.taken:
            if not seat.running():
                seat.start()

    def settle(self, seconds=WELL_S):
        began = time.monotonic()
        if self.drained:
            wait_for(self.end_drain, "a drain ends", seconds, 0.2)
        super().settle(seconds)
        self.happened(began, "note", "all is well")

    # --- A run ------------------------------------------------------------------------------------

    def stands_still(self):
        return time.monotonic() - self.lookout.moved > STILL_S

    def storm(self, until):
        """Weather that comes and goes in any order, and blows in it. Where nothing is acknowledged
        for a while it clears up."""
        for _ in range(self.dice.randrange(2, 7)):
            if time.monotonic() > until:
                return
            if self.stands_still() and self.weather:
                self.end_weather()
            else:
                self.change_weather()
            if self.dice.random() < 0.7 and self.alive():
                self.do(self.BLOWS)
            time.sleep(self.dice.uniform(0.05, 1.5))

    def run_for(self, seconds):
        until = time.monotonic() + seconds
        for _ in range(self.dice.randrange(SEATS - 2)):
            self.join()
        while time.monotonic() < until:
            self.storm(until)
            self.heal()
            self.settle()
            for _ in range(self.dice.randrange(4)):
                if time.monotonic() < until:
                    self.do(self.OPERATIONS)
                    self.breathe(self.dice.choice([0, 30, 200]))
            self.heal()
            now = time.monotonic()
            if now - self.load.began > ROUND_S and until - now > ROUND_S / 4:
                self.next_round()

    def next_round(self):
        began = time.monotonic()
        self.settle()
        self.lookout.read_logs()
        self.load.next_round(self.calm())
        self.draw_classes()
        self.promote_all()
        self.happened(began, "note", f"round {self.load.number + 1}")

    def finish(self):
        """All is well again; everything is read once more, and judged."""
        self.heal()
        self.settle()
        self.stop_watching()
        self.lookout.read_logs()
        summary = self.load.finish(self.calm())
        wait_for(lambda: len({digest(seat) for seat in self.taken}) == 1, "the replicas are equal",
                 15)
        self.wait_equal()
        for seat in self.seats:
            bad = [line for line in seat.log().splitlines()
                   if any(word in line for word in BAD_WORDS)]
            assert not bad, bad
        for seat in self.taken:
            alarms = as_rows(seat.call("ALARM", "LIST"))
            assert "CORRUPT" not in {row["alarm"] for row in alarms}, alarms
        summary["leaders"] = len(self.lookout.leaders)
        summary["faults"] = len(self.events)
        return summary


def merged(spans):
    """Of spans that begin in order: those without overlaps that cover the same."""
    found = []
    for a, b in spans:
        if found and a <= found[-1][1]:
            found[-1] = (found[-1][0], max(b, found[-1][1]))
        else:
            found.append((a, b))
    return found
