"""Operations that change who votes, and a cut or a loss of power at the moment at which two groups
would decide if it was not for the rules of changes: a majority of voters and nobody else, and two
majorities while voters change."""
import contextlib
import time

from campaign_members import SEATS, TROUBLE

GROWS_MS = 150  # a sync of the one that decides alone
APART_S = 2.5  # several election time-outs


class Changes:
    """A part of Chaos."""

    OPERATIONS = {"cut_with_observers": 3, "grow_from_one": 3}

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
        end = self.cut_links([pair for a in some for b in others
                              for pair in ((a.number, b.number), (b.number, a.number))])
        try:
            yield
        finally:
            end()

    def order_each(self, word, seats, members):
        return all(self.order("MEMBER", word, str(members[seat]["id"])) for seat in seats)

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

    def votes(self, seat):
        """As it knows itself."""
        try:
            return self.lookout.ask(seat).get("raft_role") in ("follower", "candidate", "leader")
        except TROUBLE:
            return False
