"""A run of chaos: five seats, three to five of them members, clients, and what happens to all.

There are three kinds of trouble. *Weather* begins and ends: cuts, delays, clogs, full disks, clocks
that are wrong. *Blows* happen during any weather: kill -9, stops, restarts one by one, leaders that
are moved. *Operations* are of somebody who looks first, so they are begun when all is well: members
join and leave, a disk is lost or damaged (campaign_members.py). Everything is chosen by the seed;
when it happens, and what the nodes do meanwhile, is not: a seed repeats the kind of run, not the
run.
"""
import collections
import json
import os
import subprocess
import sys
import threading
import time

from campaign_members import BAD_WORDS, SEATS, TROUBLE, MemberCampaign, digest
from cluster import BINARY, PATIENCE, die_with_parent, wait_for
from keyspaces import is_settled
from namespaces import Network
from resp import as_rows, as_text
from seats import ChaosSeat

HERE = os.path.dirname(os.path.abspath(__file__))
LOOK_S = 0.2  # how often each node is asked who leads
WELL_S = 45.0
JUMPS_S = [0.05, 1, 5, 30]  # of a clock; ids of requests are remembered for ten minutes
LEFT_BYTES = [0, 200_000, 2_000_000]  # of a full disk


Event = collections.namedtuple("Event", "began ended kind what")


class Clients:
    """The process of clients.py; what a campaign asks of its load."""

    def __init__(self, cluster, seed, each):
        self.history_path = os.path.join(cluster.directory, "history")
        self.progress_path = os.path.join(cluster.directory, "progress")
        with open(self.progress_path, "wb") as file:
            file.truncate(4096)
        nodes = ",".join(f"{seat.host}:{seat.port}" for seat in cluster.nodes)
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "clients.py"), "--nodes", nodes, "--history",
             self.history_path, "--progress", self.progress_path, "--seed", str(seed),
             "--each", str(each)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=die_with_parent)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def check(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the clients complain:\n{self.process.communicate()[1][-4000:]}")

    def word(self, name):
        assert name == "acknowledged"
        self.check()
        with open(self.progress_path, "rb") as file:
            return int.from_bytes(file.read(8), "little")

    def wait_for_acknowledged(self, more, seconds=15.0):
        goal = self.word("acknowledged") + more
        wait_for(lambda: self.word("acknowledged") >= goal, f"{more} more writes", seconds)

    def finish(self, seconds=180.0):
        output, errors = self.process.communicate("end\n", timeout=seconds * PATIENCE)
        assert self.process.returncode == 0, f"the clients complain:\n{errors[-4000:]}"
        return json.loads(output.splitlines()[-1])

    def check_history(self, seconds=300.0):
        done = subprocess.run([BINARY, "check-history", self.history_path], text=True, check=False,
                              timeout=seconds * PATIENCE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        assert done.returncode == 0, f"check-history: {done.stdout[-4000:]}"
        return done.stdout.strip()


class Lookout(threading.Thread):
    """Asks each node who it is, all the time: what the report shows of roles."""

    def __init__(self, seats):
        super().__init__(daemon=True)
        self.seats, self.ended = seats, threading.Event()
        self.seen = {seat: [] for seat in seats}  # (when, what, term), where it changes
        self.leaders = set()  # (term, seat)

    def run(self):
        while not self.ended.wait(LOOK_S):
            for seat in self.seats:
                self.look(seat)

    def look(self, seat):
        info = {}
        if not seat.running():
            what = "gone"
        elif seat.paused:
            what = "stopped"
        else:
            info = self.ask(seat)
            what = info.get("raft_role", "mute")
        term = int(info.get("raft_term", 0))
        if what == "leader":
            self.leaders.add((term, seat.number))
        if not self.seen[seat] or self.seen[seat][-1][1:] != (what, term):
            self.seen[seat].append((time.monotonic(), what, term))

    @staticmethod
    def ask(seat):
        try:
            with seat.connect(timeout=0.5) as connection:
                text = connection.call("INFO", "raft").decode()
            return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        except TROUBLE:
            return {}

    def finish(self):
        self.ended.set()
        self.join()


class Chaos(MemberCampaign):
    """One run."""

    def __init__(self, seed, each=2):
        self.network = Network(SEATS, seed)
        self.has_clocks = "asan" not in BINARY
        super().__init__(seed, ["--checkpoint-bytes", "256kb"])
        self.partitions = self.dice.choice([0, 0, 4])
        self.each, self.began, self.events = each, time.monotonic(), []
        self.weather = []  # what goes on: (since, kind, name, how it ends)
        self.lookout, self.counted = Lookout(self.seats), {}
        self.classes = self.draw_classes()

    def make_seats(self):
        seats = [ChaosSeat(self.cluster, i + 1, self.network, self.has_clocks)
                 for i in range(SEATS)]
        for seat in seats:
            if self.dice.random() < 0.6:
                seat.use_disk()
        return seats

    def make_load(self):
        if self.partitions:
            wait_for(self.make_keyspace, "a keyspace", 20)
        return Clients(self.cluster, self.dice.randrange(1 << 30), self.each)

    def make_keyspace(self):
        """Where the registers are, and the counters: each key in a partition of its own leader."""
        try:
            node = self.cluster.leader()
            names = {as_text(row["name"]) for row in as_rows(node.call("KEYSPACE", "LIST"))}
            for prefix in {"reg", "cnt"} - names:
                node.call("KEYSPACE", "CREATE", prefix, "STRATEGY", "raft", "PREFIX",
                          f"{prefix}:", "PARTITIONS", self.partitions, "REPLICAS", 3)
            return all(is_settled(node, prefix) for prefix in ("reg", "cnt"))
        except TROUBLE:
            return False

    def draw_classes(self):
        """Which trouble there is in this run; in most there is not all of it."""
        names = [name for group in (self.WEATHER, self.BLOWS, self.OPERATIONS) for name in group
                 if not self.partitions or name not in self.OF_ONE_GROUP]
        chosen = {name for name in names if self.dice.random() < 0.75}
        return chosen | {"kill", "cut"}

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

    # --- Weather: each begins something, and returns its name and how it ends ---------------------

    def some_seat(self):
        leader = self.leader()
        return leader if leader and self.dice.random() < 0.4 else \
            self.dice.choice(sorted(self.taken, key=lambda seat: seat.number))

    def others(self, seat):
        return [other for other in self.seats if other is not seat]

    def cut_links(self, pairs):
        for here, there in pairs:
            self.network.set(here, there, cut=1)
        return lambda: [self.network.set(here, there, cut=0) for here, there in pairs]

    def cut(self):
        """From everybody, or from one, and perhaps from the clients as well."""
        seat = self.some_seat()
        others = [other.number for other in self.others(seat)]
        if self.dice.random() < 0.3:
            others = self.dice.sample(others, 1)
        elif self.dice.random() < 0.3:
            others.append(self.network.here)
        pairs = [(seat.number, other) for other in others] + \
            [(other, seat.number) for other in others]
        return f"cut {seat.number} from {others}", self.cut_links(pairs)

    def one_way(self):
        seat, out = self.some_seat(), self.dice.random() < 0.5
        pairs = [(seat.number, other.number) if out else (other.number, seat.number)
                 for other in self.others(seat)]
        return f"cut one way {'from' if out else 'to'} {seat.number}", self.cut_links(pairs)

    def halves(self):
        numbers = [seat.number for seat in self.seats]
        self.dice.shuffle(numbers)
        size = self.dice.randrange(1, SEATS)
        one, two = numbers[:size], numbers[size:]
        return f"halves {sorted(one)} {sorted(two)}", self.cut_links(
            [pair for a in one for b in two for pair in ((a, b), (b, a))])

    def ring(self):
        """Each sees a majority, and each another one."""
        numbers = [seat.number for seat in self.seats]
        self.dice.shuffle(numbers)
        return f"ring {numbers}", self.cut_links(
            [(a, b) for i, a in enumerate(numbers) for j, b in enumerate(numbers)
             if (i - j) % SEATS in (2, 3)])

    def filter(self):
        """The node's own packet filter: it drops, or resets connections."""
        seat, how = self.some_seat(), self.dice.choice(["drop", "reject with tcp reset"])
        who = ", ".join(other.host for other in self.others(seat))
        proto = "ip protocol tcp " if "reset" in how else ""
        seat.space.filter([f"ip saddr {{ {who} }} {proto}{how}"])
        return f"filter {seat.number} {how}", lambda: seat.space.filter([])

    def faults(self, here, there, **faults):
        self.network.set(here, there, **faults)
        return lambda: self.network.set(here, there, **{name: 0 for name in faults})

    def bad_lines(self):
        share = self.dice.choice([2_000, 10_000, 50_000, 150_000])
        jitter = self.dice.choice([0, 1000, 20_000])
        return f"bad lines, {share // 1000} in a thousand", self.faults(
            "*", "*", loss_ppm=share, duplicate_ppm=share, reorder_ppm=share, jitter_us=jitter)

    def far(self):
        seat, delay = self.some_seat(), self.dice.choice([5, 30, 100, 400])
        ends = [self.faults(seat.number, "*", delay_us=delay * 1000, jitter_us=delay * 300),
                self.faults("*", seat.number, delay_us=delay * 1000)]
        return f"{seat.number} is {delay} ms away", lambda: [end() for end in ends]

    def clog(self):
        seat, rate = self.some_seat(), self.dice.choice([2_000, 20_000, 100_000])
        return f"clog from {seat.number}, {rate} bytes/s", self.faults(
            seat.number, "*", bytes_per_s=rate)

    def full_disk(self):
        seats = [seat for seat in self.taken if seat.disk is not None and not seat.disk.is_full()]
        if not seats:
            return "no disk to fill", lambda: None
        seat = self.dice.choice(sorted(seats, key=lambda seat: seat.number))
        seat.disk.fill(self.dice.choice(LEFT_BYTES))
        return f"disk of {seat.number} is full", seat.disk.give_back

    def clock(self):
        seat = self.some_seat()
        jump = self.dice.choice(JUMPS_S) * self.dice.choice([-1, 1])
        seat.turn(jump)
        return f"clock of {seat.number} {jump:+} s", lambda: seat.turn(0)

    WEATHER = {"cut": 4, "one_way": 3, "halves": 2, "ring": 1, "filter": 2, "bad_lines": 3,
               "far": 2, "clog": 2, "full_disk": 2, "clock": 2}
    CUTS = ("cut", "one_way", "halves", "ring")

    def begin_weather(self):
        """One of a kind at a time, and one cut of links: its end would end the other's."""
        kind, going_on = self.choose(self.WEATHER), {kind for _, kind, _, _ in self.weather}
        if kind in going_on or (kind in self.CUTS and going_on.intersection(self.CUTS)):
            return
        name, end = getattr(self, kind)()
        super().say(name)
        self.weather.append((time.monotonic(), kind, name, end))

    def end_weather(self, which=None):
        since, kind, name, end = self.weather.pop(
            self.dice.randrange(len(self.weather)) if which is None else which)
        end()
        self.happened(since, kind, name)

    # --- Blows ------------------------------------------------------------------------------------

    def flap(self):
        """A link that comes and goes."""
        seat = self.some_seat()
        self.say(f"flap {seat.number}")
        for _ in range(self.dice.randrange(3, 10)):
            heal = self.cut_links([(seat.number, other.number) for other in self.others(seat)])
            time.sleep(self.dice.uniform(0.02, 0.4))
            heal()
            time.sleep(self.dice.uniform(0.02, 0.4))

    def rolling_restart(self):
        """In an orderly way, one by one; not waiting for much."""
        for seat in self.alive():
            seat.terminate()
            seat.start()
            self.breathe(20, 2.0)

    BLOWS = {"kill": 5, "stop": 3, "kill_all": 1, "fail_over": 3, "flap": 2, "rolling_restart": 1}
    OPERATIONS = {"join": 5, "remove": 3, "promote": 1, "demote": 1, "wipe": 2, "damage": 2,
                  "remove_in_the_dark": 1}

    # What asks whether one group survives it.
    OF_ONE_GROUP = ("remove", "remove_in_the_dark", "demote", "promote", "wipe", "damage")

    def lose(self):
        return None if self.partitions else super().lose()

    def choose(self, group):
        names = [name for name in group if name in self.classes] or list(group)[:1]
        return self.dice.choices(names, [group[name] for name in names])[0]

    def check_lives(self):
        """A node may end by itself only where it says that its disk is full."""
        for seat in self.seats:
            if seat.process is not None and not seat.stopped and seat.process.poll() is not None \
                    and seat.disk is not None and "disk full" in seat.log()[-2000:]:
                seat.stopped = True
                self.say(f"{seat.number} ended: its disk is full")
        super().check_lives()

    def remove(self):
        """Of more than three: two voters stand still whenever one is harmed."""
        if len(self.taken) > 3:
            super().remove()

    def remove_in_the_dark(self):
        if len(self.taken) > 3:
            super().remove_in_the_dark()

    # --- A run ------------------------------------------------------------------------------------

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
        super().settle(seconds)
        self.happened(began, "note", "all is well")

    def storm(self, until):
        """Weather that comes and goes in any order, and blows in it."""
        for _ in range(self.dice.randrange(1, 6)):
            if time.monotonic() > until:
                return
            if self.weather and self.dice.random() < 0.4:
                self.end_weather()
            elif len(self.weather) < 3:
                self.begin_weather()
            if self.dice.random() < 0.5 and self.alive():
                self.do(self.BLOWS)
            time.sleep(self.dice.uniform(0.1, 2.5))

    def run_for(self, seconds):
        until = time.monotonic() + seconds
        for _ in range(self.dice.randrange(SEATS - 2)):
            self.join()
        while time.monotonic() < until:
            self.storm(until)
            self.heal()
            self.settle()
            for _ in range(self.dice.randrange(3)):
                if time.monotonic() < until:
                    self.do(self.OPERATIONS)
                    self.breathe(self.dice.choice([0, 30, 200]))
            self.heal()

    def finish(self):
        """All is well again; everything is read once more, and judged."""
        self.heal()
        self.settle()
        self.stop_watching()
        summary = self.load.finish()
        wait_for(lambda: len({digest(seat) for seat in self.taken}) == 1, "the replicas are equal",
                 15)
        summary["verdict"] = self.load.check_history()
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
