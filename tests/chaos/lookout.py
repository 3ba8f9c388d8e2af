"""What a run of chaos sees of its nodes while it goes on."""
import re
import threading
import time

from campaign_members import TROUBLE

LOOK_S = 0.2  # how often each node is asked who leads
LEADS = re.compile(r"Leads since term (\d+)$", re.M)


class Lookout(threading.Thread):
    """Asks each node who it is, all the time, and the load how far it is."""

    def __init__(self, seats, acknowledged=lambda: 0):
        super().__init__(daemon=True)
        self.seats, self.ended, self.acknowledged = seats, threading.Event(), acknowledged
        self.seen = {seat: [] for seat in seats}  # (when, what, term), where it changes
        self.leaders = set()  # (term, seat)
        self.count, self.moved = 0, time.monotonic()  # acknowledged writes, and when there was one

    def run(self):
        while not self.ended.wait(LOOK_S):
            count = self.acknowledged()
            if count != self.count:
                self.count, self.moved = count, time.monotonic()
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

    def read_logs(self):
        """Who led when by their logs, which miss nothing; in no term two of them."""
        for seat in self.seats:
            for term in LEADS.findall(seat.log()):
                self.leaders.add((int(term), seat.number))
        terms = {}
        for term, number in sorted(self.leaders):
            other = terms.setdefault(term, number)
            assert other == number, f"wrong: one leader: both {other} and {number} led term {term}"
