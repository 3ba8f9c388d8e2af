"""Weather of a run of chaos: what begins, goes on whatever else happens, and ends. Each kind begins
something, and returns its name and how it ends."""
import time

from campaign_members import SEATS

JUMPS_S = [1, 5, 30, 120]  # of a clock; ids of requests are remembered for ten minutes
LEFT_BYTES = [0, 200_000, 2_000_000]  # of a full disk
SYNC_MS = [5, 20, 60]  # of a slow one
ENDS_S = 0.2  # in which a node ends that has found its disk full
AT_ONCE = 3


class Weather:
    """A part of Chaos."""

    WEATHER = {"cut": 4, "one_way": 3, "halves": 2, "ring": 1, "filter": 2, "bad_lines": 3,
               "far": 2, "clog": 2, "full_disk": 3, "slow_disk": 3, "clock": 3}
    CUTS = ("cut", "one_way", "halves", "ring")

    def some_seat(self):
        leader = self.leader()
        return leader if leader and self.dice.random() < 0.4 else \
            self.dice.choice(sorted(self.taken, key=lambda seat: seat.number))

    def others(self, seat):
        return [other for other in self.seats if other is not seat]

    # --- The network ------------------------------------------------------------------------------

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

    # --- Disks and clocks -------------------------------------------------------------------------

    def several(self, seats):
        """One of them, or all: nobody else has then what one lacks."""
        seats = sorted(seats, key=lambda seat: seat.number)
        return seats if self.dice.random() < 0.4 else [self.dice.choice(seats)]

    def full_disk(self):
        seats = [seat for seat in self.taken if seat.disk is not None and not seat.disk.is_full()]
        if not seats:
            return "no disk to fill", lambda: None
        chosen = self.several(seats)
        for seat in chosen:
            seat.disk.fill(self.dice.choice(LEFT_BYTES))
        return f"full: disks of {[seat.number for seat in chosen]}", \
            lambda: self.empty_disks(chosen)

    def empty_disks(self, seats):
        """Who ended because of it is found now: later there is no excuse."""
        for seat in seats:
            seat.disk.give_back()
        time.sleep(ENDS_S)
        self.check_lives(freed=seats)

    def slow_disk(self):
        """A sync takes its time, and what comes meanwhile waits in memory."""
        chosen, ms = self.several(self.taken), self.dice.choice(SYNC_MS)
        for seat in chosen:
            seat.slow_down(ms)
        return f"slow: disks of {[seat.number for seat in chosen]}, {ms} ms a sync", \
            lambda: [seat.slow_down(0) for seat in chosen]

    def clock(self):
        """There may be several, each wrong in its way."""
        chosen = self.several(self.taken)
        jumps = [self.dice.choice(JUMPS_S) * self.dice.choice([-1, 1]) for _ in chosen]
        for seat, jump in zip(chosen, jumps):
            seat.turn(jump)
        return "clock of " + ", ".join(f"{seat.number} {jump:+} s" for seat, jump in
                                       zip(chosen, jumps)), \
            lambda: [seat.turn(0) for seat in chosen]

    # --- As it goes -------------------------------------------------------------------------------

    def begin_weather(self):
        """One of a kind at a time, and one cut of links: its end would end the other's."""
        kind, going_on = self.choose(self.WEATHER), {kind for _, kind, _, _ in self.weather}
        if kind in going_on or (kind in self.CUTS and going_on.intersection(self.CUTS)):
            return
        name, end = getattr(self, kind)()
        self.say(name)
        self.weather.append((time.monotonic(), kind, name, end))

    def end_weather(self, which=None):
        since, kind, name, end = self.weather.pop(
            self.dice.randrange(len(self.weather)) if which is None else which)
        end()
        self.happened(since, kind, name)

    def change_weather(self):
        if self.weather and self.dice.random() < 0.4:
            self.end_weather()
        elif len(self.weather) < AT_ONCE:
            self.begin_weather()
