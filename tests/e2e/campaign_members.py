"""Members that come, go, die, forget and lose parts of their disks, in an order that dice decide,
while clients go on. The nodes sit on seats: ports that stay while members come and go.

What is done keeps within what a cluster can survive: nothing but single entries is lost on a second
node before the first one has recovered. Everything else may happen at the same time. At the end all
members are equal, they agree on who they are, nothing that was acknowledged is missing, and what
clients saw is linearizable.
"""
import os
import random
import shutil
import threading
import time

from cluster import BINARY, Cluster, Node, free_ports, wait_for
from damage import entries, flip_entry, segments, write_at
from loadgen import LoadGenerator, UnderLoad
from resp import Closed, Error, as_rows

SEATS = 5
OPTIONS = ["--log-segment-bytes", "64kb", "--log-reserve-bytes", "256kb", "--log-max-entries",
           "400"]
SMALL = ["--checkpoint-bytes", "64kb"]
# A snapshot takes so long that other things happen meanwhile.
LARGE = ["--checkpoint-bytes", "512kb", "--snapshot-bytes-per-second", "2mb"]
LARGE_KEYS, LARGE_VALUE = 2000, 2000
# What an order may answer: nothing was done, or it is not known.
EXPECTED = ("TRYAGAIN", "UNSAFE", "UNCERTAIN", "CLUSTERDOWN", "REMOVED", "LOADING")
EXPECTED_TEXTS = ("last voter", "already", "No such member", "no such member", "is not a member",
                  "there is no member", "timed out", "only another voter", "FAILOVER", "no member",
                  "hand over")
BAD_WORDS = ("panic:", "AddressSanitizer", "LeakSanitizer", "runtime error:")
TROUBLE = (Error, Closed, OSError)


class Seat(Node):
    """One place for a node: a directory and ports. Who sits there changes."""

    id = 0  # wanted at the next birth; 0: any
    founder = False
    observer = False

    def arguments(self, extra=()):
        words = [*self.wrapper, BINARY, "server", "--dir", self.directory, "--port",
                 str(self.port), "--peer-port", str(self.peer_port), *self.cluster.options]
        if self.founder:
            words += ["--node-id", str(self.number), "--cluster-id", self.cluster.cluster_id]
            for node in self.cluster.nodes[:3]:
                words += ["--member", str(node.number), node.host, str(node.port),
                          str(node.peer_port)]
            return words + ([] if self.is_born() else ["--bootstrap"])
        others = [node for node in self.cluster.nodes if node is not self]
        words += ["--join", ",".join(n.address() for n in others)]
        words += ["--observer", "yes"] if self.observer else []
        return words + (["--node-id", str(self.id)] if self.id else [])

    def address(self):
        return f"{self.host}:{self.port}@{self.peer_port}"

    def is_born(self):
        return os.path.exists(os.path.join(self.directory, "identity"))

    def wipe(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        self.founder = False

    def who(self):
        """The id of the member that sits here; 0 when it is not known."""
        info = self.try_info("raft")
        return int(info["raft_node_id"]) if info else 0


class MemberCampaign(UnderLoad):
    """What happens to members on five seats."""

    def __init__(self, seed, options=()):
        self.dice = random.Random(seed)
        self.large = self.dice.random() < 0.4
        self.hurry = self.dice.choice([0.1, 0.2, 0.4])  # how often it is waited until all is well
        self.cluster = Cluster(3, start=False, options=[
            *OPTIONS, *(LARGE if self.large else SMALL), "--read-mode",
            self.dice.choice(["lease", "readindex"]), *options])
        self.seats = self.make_seats()
        for seat in self.seats[:3]:
            seat.founder = True
        self.cluster.nodes = self.seats
        self.taken = set(self.seats[:3])  # seats with a member, or somebody who is to become one
        self.losing = None  # the seat that something was lost on, until all is well again
        self.rotten = False
        self.done = []
        self.seed = seed

    def make_seats(self):
        ports = free_ports(2 * SEATS)
        return [Seat(self.cluster, i + 1, ports[i], ports[SEATS + i], 0) for i in range(SEATS)]

    def make_load(self):
        return LoadGenerator(self.cluster, clients=9, depth=6, rate=1200, patience_ms=800,
                             seed=self.dice.randrange(1 << 30))

    def begin(self):
        for seat in self.taken:
            seat.start()
        self.cluster.wait_ready()
        if self.large:
            with self.cluster.leader().connect(timeout=30) as connection:
                for n in range(0, LARGE_KEYS, 100):
                    connection.pipeline([("SET", f"large:{n + i}", "v" * LARGE_VALUE)
                                         for i in range(100)])
        return self.make_load()

    def __exit__(self, *problem):
        print(f"QUORATE_SEED={self.seed}: " + ", ".join(self.done))
        super().__exit__(*problem)

    # --- What is there -----------------------------------------------------------------------

    def say(self, what):
        self.done.append(what)

    def check_lives(self):
        for seat in self.seats:
            assert seat.process is None or seat.stopped or seat.process.poll() is None, \
                f"seat {seat.number} ended with {seat.process.returncode}:\n{seat.log()[-3000:]}"

    def alive(self):
        return [seat for seat in self.taken if seat.running() and not seat.paused]

    def rows(self, seat):
        return {row["id"]: row for row in as_rows(seat.call("MEMBER", "LIST", timeout=2.0))}

    def leader(self):
        """The seat of the leader; None when there is none."""
        return self.cluster.find_leader()

    def members(self):
        """Seat: row, as the leader has it; empty when nobody leads."""
        leader = self.leader()
        try:
            rows = self.rows(leader) if leader else {}
        except TROUBLE:
            return {}
        sitting = {seat.address(): seat for seat in self.seats}
        return {sitting[row["address"]]: row for row in rows.values()
                if row["address"] in sitting}  # else it moves just now

    def breathe(self, writes=30, seconds=1.5):
        """Some work is done; not more than so long is waited for it."""
        goal, until = self.load.word("acknowledged") + writes, time.monotonic() + seconds
        while self.load.word("acknowledged") < goal and time.monotonic() < until:
            time.sleep(0.005)

    def order(self, *words, of=None):
        """An order to anybody; whether it was carried out."""
        seat = of or self.dice.choice(self.alive())
        try:
            seat.call(*words, timeout=4.0)
            self.say(f"ok {' '.join(words)}")
            return True
        except (Closed, OSError) as trouble:
            self.say(f"{trouble!r} {' '.join(words)}")
            return False
        except Error as reason:
            assert str(reason).startswith(EXPECTED) or \
                any(text in str(reason) for text in EXPECTED_TEXTS), f"{words}: {reason}"
            self.say(f"{str(reason)[:20]} {' '.join(words)}")
            return False

    # --- What happens ------------------------------------------------------------------------

    def kill(self):
        seat = self.dice.choice(self.alive())
        self.say(f"kill {seat.number}")
        seat.kill()
        self.breathe(self.dice.choice([0, 30, 500]))
        seat.start()

    def stop(self):
        seat = self.leader() or self.dice.choice(self.alive())
        if self.dice.random() < 0.5:
            seat = self.dice.choice(self.alive())
        self.say(f"stop {seat.number}")
        seat.pause()
        self.breathe(self.dice.choice([100, 1000]), 2.5)
        seat.resume()

    def kill_all(self):
        """Sometimes entries are damaged then, on several nodes but not on all: what one has lost
        another has, in its log or in its checkpoint."""
        holes = []
        if self.dice.random() < 0.4 and self.lose() is not None:
            holes = self.dice.sample(sorted(self.taken, key=lambda seat: seat.number),
                                     self.dice.randrange(1, len(self.taken)))
        self.say(f"kill all, holes in {[seat.number for seat in holes]}" if holes else "kill all")
        seats = [seat for seat in self.seats if seat.running()]
        for seat in seats:
            seat.process.kill()
        for seat in seats:
            seat.wait()
        ends = [max(entries(seat), default=0) for seat in self.taken] if holes else []
        same, hit = self.dice.random() < 0.5, None
        for seat in holes:
            found = entries(seat)
            slots = [slot for slot in sorted(found)[:-40] if slot + 40 < min(ends)]
            if hit is None or not same:
                hit = self.dice.sample(slots, min(len(slots), 8))
            for slot in set(hit).intersection(slots):
                flip_entry(found[slot])
        self.dice.shuffle(seats)
        for seat in seats:
            seat.start()
            if self.dice.random() < 0.3:
                self.breathe(1, 0.5)

    def join(self):
        free = [seat for seat in self.seats if seat not in self.taken]
        if not free:
            return
        seat = self.dice.choice(free)
        seat.id, seat.observer = 0, self.dice.random() < 0.2
        self.say(f"join {seat.number}{' observer' if seat.observer else ''}")
        seat.wipe()
        seat.start()
        self.taken.add(seat)
        if self.dice.random() < 0.3:
            time.sleep(self.dice.random() * 0.2)  # anywhere
            seat.kill()
            seat.start()

    def remove(self):
        """Of somebody who lives, most often the leader; or of a dead one, with FORCE."""
        members = self.members()
        voters = [seat for seat, row in members.items() if row["role"] == "voter"]
        if len(voters) < 3 or self.losing:
            return
        leader = self.leader()
        seat = leader if leader in members and self.dice.random() < 0.4 else \
            self.dice.choice(list(members))
        if not seat.is_born():  # it still asks, and would be taken in once more
            return
        words = ["MEMBER", "REMOVE", str(members[seat]["id"])]
        if seat is not leader and self.dice.random() < 0.4:
            seat.kill()
            words.append("FORCE") if len(voters) > 3 or self.all_well() else None
        self.say(f"remove {seat.number}")
        others = [other for other in self.alive() if other is not seat]
        went = self.order(*words, of=self.dice.choice(others))
        if went and self.dice.random() < 0.5:
            if not seat.running():
                seat.start()
            wait_for(lambda: (seat.try_info("raft") or {}).get("raft_removed") == "1",
                     f"seat {seat.number} hears that it was removed", 10)
        if went:
            if seat.running():
                seat.kill()
            seat.wipe()
            self.taken.discard(seat)
        elif not seat.running():
            seat.start()  # whether it is a member settles itself

    def remove_in_the_dark(self):
        """An order whose answer nobody hears: whoever was to carry it out dies meanwhile."""
        members = self.members()
        voters = [seat for seat, row in members.items() if row["role"] == "voter"]
        if len(voters) < 3 or self.losing:
            return
        seat, victim = self.dice.choice(list(members)), self.leader() or voters[0]
        if not seat.is_born():  # it would be told so when it asks again, and end
            return
        self.say(f"remove {seat.number} in the dark")
        order = threading.Thread(target=self.order, daemon=True, args=(
            "MEMBER", "REMOVE", str(members[seat]["id"])), kwargs={"of": victim})
        order.start()
        time.sleep(self.dice.random() * 0.02)  # anywhere
        victim.kill()
        order.join()
        victim.start()

    def move(self):
        """It listens to its peers elsewhere from now on."""
        seat = self.dice.choice(self.alive())
        if seat.founder or not seat.is_born() or not self.all_well():
            return
        self.say(f"move {seat.number}")
        seat.terminate()
        seat.peer_port, = free_ports(1)
        seat.start()

    def promote(self):
        for seat, row in self.members().items():
            if row["role"] == "observer":
                self.order("MEMBER", "PROMOTE", str(row["id"]))
                return

    def demote(self):
        members = self.members()
        voters = [seat for seat, row in members.items() if row["role"] == "voter"]
        if len(voters) > 2 and not self.losing:
            self.order("MEMBER", "DEMOTE", str(members[self.dice.choice(voters)]["id"]))

    def fail_over(self):
        members = self.members()
        if members:
            seat = self.dice.choice(list(members))
            self.order("FAILOVER", "TO", str(members[seat]["id"]), "TIMEOUT", "1000")

    def wipe(self):
        """Everything is lost; it comes back under its id."""
        seat = self.lose()
        if seat is None:
            return
        seat.id = seat.who()
        if seat.id == 0:
            self.losing = None
            return
        self.say(f"wipe {seat.number}")
        seat.kill()
        seat.wipe()
        seat.observer = False
        self.breathe(self.dice.choice([0, 30, 500]))
        seat.start()

    def damage(self):
        seat = self.lose()
        if seat is None:
            return
        how = self.dice.choice(["flip", "zero", "checkpoint", "sector"])
        seat.kill()
        group, checkpoint = self.part(seat)
        self.say(f"damage {seat.number} {how}{f' of group {group}' if group > 0 else ''}")
        if how == "checkpoint" and os.path.exists(checkpoint):
            size = os.path.getsize(checkpoint)
            write_at(checkpoint, self.dice.randrange(size), b"\xa5" * 16)
        elif how == "zero":
            path = segments(seat)[-1]
            write_at(path, 0, bytes(os.path.getsize(path)))
        else:
            found = entries(seat, group)
            slots = sorted(found)[:-40]
            for slot in self.dice.sample(slots, min(3, len(slots))):
                if how == "flip":
                    flip_entry(found[slot])
                else:
                    write_at(found[slot].path, found[slot].at // 512 * 512, bytes(512))
        self.breathe(self.dice.choice([0, 30, 500]))
        seat.start()

    def part(self, seat):
        """Which group of a node that does not run is harmed, and its checkpoint."""
        return 0, os.path.join(seat.directory, "checkpoint")

    def rot(self):
        """A state that a bug has changed: the others outvote it. Nobody may load it meanwhile, so
        nothing else happens until all is well."""
        seat = self.lose()
        if seat is None or not self.order("SET", "rot", str(self.dice.random())):
            return
        self.settle()
        self.say(f"rot {seat.number}")
        if seat.call("DEBUG", "CORRUPT", "rot") != 1:
            return
        self.rotten = True
        if self.dice.random() < 0.5:
            self.breathe(self.dice.choice([0, 30, 500]))
            seat.kill()
            seat.start()
        if self.dice.random() < 0.3:
            seat.pause()
            self.breathe(100)
            seat.resume()
        compared = self.compared(seat)
        wait_for(lambda: self.load.word("acknowledged") and self.compared(seat) != compared,
                 "it is compared", 20)
        self.settle()

    @staticmethod
    def compared(seat):
        info = seat.try_info() or {}
        return info.get("state_digests_compared"), info.get("process_id")

    def lose(self):
        """A seat that may lose something now, or None."""
        if self.losing is not None and not self.all_well():
            return None
        if not self.all_well():
            return None
        members = self.members()
        if sum(row["role"] == "voter" for row in members.values()) < 3:
            return None
        self.losing = self.dice.choice(list(members))
        return self.losing

    # --- Well again --------------------------------------------------------------------------

    def all_well(self):
        """All on seats are members that are whole and keep up, and no change is under way."""
        members = self.members()
        if not members or set(members) != self.taken:
            return False
        roles = [row["role"] for row in members.values()]
        if "learner" in roles and roles.count("voter") > 1:
            return False
        for seat in members:
            info = seat.try_info("raft")
            if info is None or info["raft_leader_id"] == "0" or info["raft_joint"] != "0" or \
                    info["raft_forgetful"] != "0" or info["raft_repairing"] != "0" or \
                    (seat.try_info() or {}).get("quarantined") != "0" or \
                    int(info["raft_applied"]) + 2000 < int(info["raft_commit"]):
                return False
        self.losing = None
        return True

    def settle(self, seconds=25):
        began = time.monotonic()

        def well():
            self.check_lives()
            for seat in list(self.taken):
                info = seat.try_info("raft") or {}
                if info.get("raft_removed") == "1":  # an order whose answer was not heard
                    seat.kill()
                    seat.wipe()
                    self.taken.discard(seat)
            return self.all_well()
        try:
            wait_for(well, "all is well", seconds, 0.05)
        except AssertionError:
            for seat in self.seats:
                info = seat.try_info("raft")
                print(seat.number, seat.running(), info)
                try:
                    print([(r["id"], r["index"], r["role"], r["state"], r["lag"])
                           for r in self.rows(seat).values()])
                except TROUBLE as trouble:
                    print(repr(trouble))
            raise
        self.load.wait_for_acknowledged(30)
        self.say(f"well after {time.monotonic() - began:.1f} s")

    ACTIONS = {"kill": 3, "stop": 2, "kill_all": 1, "join": 4, "remove": 3, "promote": 2,
               "demote": 1, "fail_over": 2, "wipe": 2, "damage": 3, "move": 1,
               "remove_in_the_dark": 1, "rot": 1}

    def run(self, steps):
        for _ in range(steps):
            name = self.dice.choices(list(self.ACTIONS), self.ACTIONS.values())[0]
            getattr(self, name)()
            self.check_lives()
            if self.dice.random() < self.hurry:
                self.settle()
            else:
                self.breathe(self.dice.choice([0, 10, 100]))

    def finish(self):
        self.settle()
        summary = self.load.finish()
        self.load.check_history()
        assert summary["checked"] > 0
        wait_for(lambda: len({digest(seat) for seat in self.taken}) == 1, "the replicas are equal",
                 10)
        views = {tuple((n, row["index"], row["role"], row["uuid"], row["address"], row["leader"])
                       for n, row in sorted(self.rows(seat).items())) for seat in self.taken}
        assert len(views) == 1, views
        for seat in self.seats:
            bad = [line for line in seat.log().splitlines()
                   if any(word in line for word in BAD_WORDS)]
            assert not bad, bad
        for seat in self.taken:
            alarms = as_rows(seat.call("ALARM", "LIST"))
            assert self.rotten or "CORRUPT" not in {row["alarm"] for row in alarms}, alarms
        return summary


def digest(seat):
    try:
        info = seat.info("raft")
        return info["raft_applied"], seat.call("DEBUG", "DIGEST")
    except TROUBLE:
        return seat.number, None
