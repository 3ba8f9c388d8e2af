"""Blows of a run of chaos strike at once, in any weather; some wait for the moment at which they do
most harm: right after an election, while a snapshot is pulled, while a disk is full.
Operations are of somebody who looks first."""
import contextlib
import glob
import os
import time

from backups import Backups
from campaign_members import TROUBLE
from changes import Changes
from cluster import wait_for

MOMENT_S = 2.0  # for which a moment is waited
BEHIND = 600  # writes after which who was away needs a snapshot (--log-max-entries)


def by_number(item):
    return item[0].number


class Blows(Backups, Changes):
    """A part of Chaos."""

    BLOWS = {"kill": 4, "stop": 2, "pause": 4, "kill_all": 1, "fail_over": 2, "flap": 1,
             "rolling_restart": 1, "kill_elected": 3, "kill_puller": 2, "kill_all_in_a_hush": 5,
             "kill_all_that_wait": 9, "wrong_time": 4, **Backups.BLOWS}
    OPERATIONS = {"join": 5, "remove": 3, "promote": 1, "demote": 1, "wipe": 2, "damage": 2,
                  "remove_in_the_dark": 1, "drain": 3, "leave_running": 2, "zones": 2,
                  **Backups.OPERATIONS, **Changes.OPERATIONS}
    # Of these it is known for group 0 alone whether the partitions survive it.
    OF_ONE_GROUP = ("remove_in_the_dark", *Changes.OPERATIONS)
    OF_PARTITIONS = ("drain",)

    def some_leader(self):
        """Of group 0; where there are partitions anybody leads some of them."""
        leader = None if self.partitions and self.dice.random() < 0.7 else self.leader()
        return leader or self.dice.choice(self.alive())

    def pause(self):
        """Whoever leads stands still for longer than its lease, and not for longer than its clients
        wait: what they asked for is answered when it goes on."""
        seat = self.some_leader()
        self.say(f"pause {seat.number}")
        seat.pause()
        time.sleep(self.dice.uniform(0.2, 1.4))
        seat.resume()

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
        """In an orderly way, one by one; not waiting for much, nor where nothing goes on anyway."""
        for seat in self.alive():
            if not self.stands_still():
                seat.terminate()
                seat.start()
                self.breathe(20, 2.0)

    def kill_all_in_a_hush(self):
        """The clients hold their breath: the last thing in each log is what they were told."""
        with self.load.hush():
            time.sleep(self.dice.choice([0.05, 0.2]))
            who = self.strike(self.alive())
        self.say(f"in a hush kill {who}")

    def kill_all_that_wait(self):
        """While their disks are slow: what is not on them yet is lost, on all of them."""
        seats = self.alive()
        for seat in seats:
            seat.slow_down(60)
        time.sleep(self.dice.uniform(0.3, 1.0))
        who = self.strike(seats)
        for seat in seats:
            seat.slow_down(0)
        self.say(f"while disks are slow kill {who}")

    def wrong_time(self):
        """The leader's clock is turned, and it sees nobody else but its clients."""
        seat = self.some_leader()
        jump = self.dice.choice([-30, -5, -1, 1, 30])
        seat.turn(jump)
        end = self.cut_links([(here.number, there.number) for other in self.others(seat)
                              for here, there in ((seat, other), (other, seat))])
        time.sleep(2)
        end()
        seat.turn(0)
        self.say(f"clock of {seat.number} {jump:+} s, and cut off")

    # --- Moments ----------------------------------------------------------------------------------

    def strike(self, seats, certain=False):
        """All at once, and at once they are back; most often, or for certain, without what they had
        not synced, all or a part of it. Returns what is to be said of it."""
        seats = [seat for seat in seats if seat.running()]
        for seat in seats:
            seat.stopped = True
            seat.process.kill()
        power, everything = self.dice.random() < 0.7, self.dice.random() < 0.6
        power, everything, lost = power or certain, everything or certain, 0
        for seat in seats:
            seat.wait()
            seat.paused = False
            lost += seat.lose_power(self.dice, everything) if power else 0
            seat.start()
        return f"{[seat.number for seat in seats]}" + \
            (f" by loss of power, {lost} writes lost" if power else "")

    def moment(self, condition):
        until = time.monotonic() + MOMENT_S
        while time.monotonic() < until:
            with contextlib.suppress(TROUBLE):
                found = condition()
                if found:
                    return found
            time.sleep(0.003)
        return None

    def kill_elected(self):
        """Who has just been elected dies, or those who voted, or all."""
        before = self.leader()
        if before is None:
            return
        before.kill()
        elected = self.moment(lambda: next((seat for seat in self.alive() if
                                            self.lookout.ask(seat).get("raft_role") == "leader"),
                                           None))
        others = [seat for seat in self.alive() if seat is not elected]
        self.strike(self.dice.choice([[elected] if elected else others, others, self.alive()]))
        before.start()
        self.say(f"kill {before.number}, then the elected "
                 f"{elected.number if elected else '(none)'}")

    def kill_puller(self):
        """Who needs a snapshot dies when it pulls it, or whoever it pulls it from, or all; or
        everybody else does when it has it."""
        seat = self.dice.choice(self.alive())
        seat.kill()
        self.breathe(BEHIND, 3.0)
        with open(seat.log_path, "rb") as log:
            log.seek(0, os.SEEK_END)
            seat.start()
            read, word = b"", self.dice.choice([b"Pulls the", b"Pulls the", b"Installed the"])

            def is_there():
                nonlocal read
                read += log.read()
                return word in read
            came = self.moment(is_there)
        if came:
            self.strike(self.dice.choice([[seat], self.alive(), [
                other for other in self.alive() if other is not seat]]))
        self.say(f"kill {seat.number}{', and when it pulled a snapshot' if came else ''}")

    # --- Operations -------------------------------------------------------------------------------

    def part(self, seat):
        """Of its groups any, group 0 for one."""
        paths = sorted(glob.glob(os.path.join(seat.directory, "groups", "*.checkpoint")))
        path = self.dice.choice([None, *paths])
        return super().part(seat) if path is None else \
            (int(os.path.basename(path).partition(".")[0]), path)

    def remove(self):
        """Of more than three: two voters stand still whenever one is harmed. What held partitions
        is missed by them, so nothing more is lost meanwhile."""
        if len(self.taken) > 3 and not self.spares and (not self.partitions or self.all_well()):
            self.excuse("a member was removed")
            super().remove()
            self.losing = self.losing or (self.seats[0] if self.partitions else None)

    def remove_in_the_dark(self):
        if len(self.taken) > 3:
            super().remove_in_the_dark()

    def leave_running(self):
        """A member is removed, and goes on for as long as it likes: it must hear of it."""
        members = self.members()
        if len(self.taken) <= 3 or self.losing or self.partitions or not members:
            return
        leader = self.leader()
        seat = leader if leader in members and self.dice.random() < 0.6 else \
            self.dice.choice(list(members))
        self.say(f"remove {seat.number}, and leave it running")
        others = [other for other in self.alive() if other is not seat]
        if seat.is_born() and self.order("MEMBER", "REMOVE", str(members[seat]["id"]),
                                         of=self.dice.choice(others)):
            wait_for(lambda: (seat.try_info("raft") or {}).get("raft_removed") == "1",
                     f"seat {seat.number} hears that it was removed", 10)
            self.breathe(100)
            seat.kill()
            seat.wipe()
            self.taken.discard(seat)

    def drain(self):
        """Partitions leave a member, and may come back."""
        members = self.members()
        if len(members) <= 3 or self.drained:
            return
        seat = self.dice.choice(list(members))
        if self.order("MEMBER", "DRAIN", str(members[seat]["id"])):
            self.drained = str(members[seat]["id"])

    def zones(self):
        """Of three; who wants a write in each zone waits for one member of each."""
        seat, row = self.dice.choice(sorted(self.members().items(), key=by_number) or [(None, {})])
        if seat is not None:
            self.order("MEMBER", "SET", str(row["id"]), "ZONE", self.dice.choice(["a", "b", "c"]))

    def end_drain(self):
        """Whether it is over."""
        if self.drained and self.alive() and \
                self.order("MEMBER", "DRAIN", self.drained, "CANCEL"):
            self.drained = None
            self.order("REBALANCE")
        return self.drained is None
