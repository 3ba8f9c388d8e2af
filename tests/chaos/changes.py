"""Operations that change who votes, and a cut or a loss of power at the moment at which two groups
would decide if it was not for the rules of changes: a majority of voters and nobody else, and two
majorities while voters change."""
import contextlib
import threading
import time

from campaign_members import SEATS

GROWS_MS = 150  # a sync of the one that decides alone
ENTRY_MS, VOTE_MS = 60, 420  # an entry's way to a disk, and that of a vote
APART_S = 2.5  # several election time-outs


def both(a, b):
    return [(a.number, b.number), (b.number, a.number)]


class Changes:
    """A part of Chaos."""

    OPERATIONS = {"cut_with_observers": 3, "grow_from_one": 3, "two_candidates": 3}

    def settled(self):
        """The leader, the members and who votes, when all is well and nothing is at risk."""
        members, leader = self.members(), self.leader()
        if not self.all_well() or self.losing or self.drained or leader not in members:
            return None
        voters = [seat for seat in self.seats if members.get(seat, {}).get("role") == "voter"]
        return leader, members, voters

    @contextlib.contextmanager
    def apart(self, some):
        """From all others, but not from the clients."""
        others = [seat for seat in self.seats if seat not in some]
        end = self.cut_links([pair for a in some for b in others for pair in both(a, b)])
        try:
            yield
        finally:
            end()

    def order_each(self, word, seats, members):
        return all(self.order("MEMBER", word, str(members[seat]["id"])) for seat in seats)

    def promote_all(self):
        """Most rounds begin with voters alone."""
        members = self.members()
        if self.dice.random() < 0.7:
            self.order_each("PROMOTE", [seat for seat in self.seats if
                                        members.get(seat, {}).get("role") == "observer"], members)

    def cut_with_observers(self):
        """Two of five are made observers; then the leader is with them, and the other voters, who
        are a majority, are elsewhere: what is acknowledged by observers they do not know."""
        while len(self.taken) < SEATS:
            self.join()
        self.settle()
        leader, members, voters = self.moment(self.settled) or (None, {}, [])
        if len(voters) < 3:
            return
        self.dice.shuffle(voters)
        others = [seat for seat in voters if seat is not leader]
        here = [seat for seat in members if seat not in voters] + others[:len(voters) - 3]
        if self.order_each("DEMOTE", others[:len(voters) - 3], members):
            self.say(f"cut {leader.number} off with observers "
                     f"{sorted(seat.number for seat in here)}")
            with self.apart([leader, *here]):
                time.sleep(APART_S)
        self.order_each("PROMOTE", here, members)

    def grow_from_one(self):
        """One votes, and two more are to. It loses its power when they know that and it does not
        yet have it on its disk, and is cut off: it alone may decide then, and they may not."""
        leader, members, voters = self.moment(self.settled) or (None, {}, [])
        others = [seat for seat in voters if seat is not leader]
        if len(others) < 2 or \
                not self.order_each("DEMOTE", others, members):
            return
        leader.slow_down(GROWS_MS)
        self.order_each("PROMOTE", others[:2], members)
        came = self.moment(lambda: all(self.votes(seat) for seat in others[:2]))
        with self.apart([leader]):
            who = self.strike([leader], certain=True) if came else "nobody"
            leader.slow_down(0)
            time.sleep(APART_S)
        self.say(f"grow from {leader.number}; kill {who}, and cut it off")
        self.order_each("PROMOTE", others[2:], members)

    def two_candidates(self):
        """One of five is handed the leadership, but is alone, and its own vote takes long to reach
        its disk. The leader dies, and somebody else is elected in the same term; those who voted
        lose their power at that moment, and are back when the first one asks for their votes."""
        while len(self.taken) < SEATS:
            self.join()
        self.settle()
        leader, members, voters = self.moment(self.settled) or (None, {}, [])
        if len(voters) < SEATS:
            self.order_each("PROMOTE", [seat for seat in members if seat not in voters], members)
            return
        slow, *others = self.dice.sample([seat for seat in voters if seat is not leader], SEATS - 1)
        with contextlib.ExitStack() as ends, self.load.hush():
            for seat, ms in [(slow, VOTE_MS), *((seat, ENTRY_MS) for seat in others)]:
                seat.slow_down(ms)
                ends.callback(seat.slow_down, 0)
            order = threading.Thread(target=self.order, daemon=True, kwargs={"of": leader}, args=(
                "FAILOVER", "TO", str(members[slow]["id"]), "TIMEOUT", "3000"))
            order.start()
            said = self.moment(lambda: self.role(slow) == "candidate") and \
                self.elect_another(leader, slow, others, ends)
            time.sleep(APART_S if said else 0)
        order.join()
        if not leader.running():
            leader.start()
        self.say(f"two candidates: {slow.number}, whose disk is slow, and {said or 'nobody'}")

    def elect_another(self, leader, slow, others, ends):
        """In the term in which the slow one is a candidate."""
        away = {other: self.cut_links(both(slow, other)) for other in others}
        leader.kill()
        elected = self.moment(lambda: next((seat for seat in others
                                            if self.role(seat) == "leader"), None))
        if elected is not None:
            others.remove(elected)
            ends.enter_context(self.apart([elected]))
        for seat in others:
            seat.slow_down(0)
            seat.hurries = True
        who = self.strike(others, certain=True)
        for seat in others:
            away[seat]()
            seat.hurries = False
        return f"{elected.number if elected else 'nobody'}; kill {leader.number}, and {who}"

    def role(self, seat):
        """As it knows itself."""
        return self.lookout.ask(seat).get("raft_role")

    def votes(self, seat):
        return self.role(seat) in ("follower", "candidate", "leader")
