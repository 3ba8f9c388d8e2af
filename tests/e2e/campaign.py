"""Deaths at failpoints: a cluster under load in which one node after another dies at a named place.

A case is a failpoint, whom it is to strike, and what happens there. A campaign works through cases
with one cluster and one load generator; at its end nothing that was acknowledged may be missing,
what clients saw must be linearizable, and the replicas must be equal.
"""
import collections
import itertools
import os
import random
import time

from cluster import Cluster, PATIENCE, wait_for
from damage import entries, flip_entry, segments, write_at
from failpoints import POINTS, Table
from loadgen import LoadGenerator, UnderLoad
from resp import Closed, Error

OPTIONS = ["--checkpoint-bytes", "256kb", "--log-segment-bytes", "256kb", "--log-reserve-bytes",
           "512kb"]
HOT = [1, 1, 2, 3, 5, 8, 13, 40, 120]  # which hit, counted from the moment of arming
RARE = [1, 1, 2, 3]
SETTLE_WRITES = 30  # acknowledged ones between two deaths
STOPPED = ["READ", "APPLIED", "CLIENT_FLUSH", "SUBMITTED", "DURABLE", "LOG_SYNC", "SENT_ENTRIES",
           "PEER_FLUSHED"]
# Where a full disk is no reason to stop.
FULL = ["CHECKPOINT_OPEN", "CHECKPOINT_WRITE", "CHECKPOINT_SYNC", "CHECKPOINT_RENAME", "PREWRITE",
        "PREWRITE_HALF", "SNAPSHOT_WRITE"]
SHORT_LOG = 50  # entries: whoever was away needs a snapshot
FORGOT = "This node has forgotten what it promised"  # when it does; its alarm stays for a while
PARTITIONS = 4  # of a keyspace that is dropped, or carried along
BORN = 3  # nodes of a cluster that is born
SAVES = 4  # of the identity at a birth: bootstrap, the log is made, two peers are met


class Case(collections.namedtuple("Case", "point role action hit")):
    """`hit` matters for births only; elsewhere dice decide."""

    def __str__(self):
        words = [self.point.name, self.role, self.action, self.hit and str(self.hit)]
        return "-".join(word for word in words if word)


def cases():
    """Every failpoint, and whom it strikes."""
    for point in POINTS:
        if point.life == "ROLLBACK":  # test_rollback_kills.py
            continue
        if point.life in ("ANY", "CHECKPOINT"):
            yield Case(point, "leader", "kill", 0)
            yield Case(point, "follower", "kill", 0)
        elif point.life in ("LEADER", "FOLLOWER"):
            yield Case(point, point.life.lower(), "kill", 0)
        elif point.life == "BIRTH":
            for hit in range(1, 2 if point.name == "IDENTITY_MADE" else SAVES + 1):
                yield Case(point, "newborn", "kill", hit)
        else:
            yield Case(point, "", "kill", 0)
        if point.errors:
            yield Case(point, "newborn" if point.life == "BIRTH" else "", "EIO",
                       1 if point.life == "BIRTH" else 0)
        if point.name in FULL:
            yield Case(point, "", "ENOSPC", 0)
        if point.name in STOPPED:
            yield Case(point, "leader", "stop", 0)


def tables_for(cluster):
    tables = {}
    for node in cluster.nodes:
        tables[node] = Table(os.path.join(cluster.directory, f"failpoints-{node.number}"))
        node.environment = tables[node].environment()
    return tables


def died_at(node, point):
    """Whether the node, which has ended, was killed there and nowhere else."""
    assert node.process.returncode == -9, \
        f"node {node.number} ended with {node.process.returncode} instead:\n{node.log()[-2000:]}"
    last = [line for line in node.log().splitlines() if line.startswith("failpoint ")][-1:]
    assert last and last[0].startswith(f"failpoint {point.name},"), f"{last}"
    node.stopped = True
    return True


def not_forgetful(node):
    info = node.try_info("raft")
    return info is not None and info["raft_forgetful"] == "0"


class Campaign(UnderLoad):
    """What happens to three nodes."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        options = OPTIONS + ["--read-mode", self.dice.choice(["lease", "readindex"])]
        self.cluster = Cluster(3, options=options, start=False)
        self.table = tables_for(self.cluster)

    def begin(self):
        self.cluster.start()
        return LoadGenerator(self.cluster, clients=9, depth=8, rate=1500, patience_ms=800,
                             seed=self.dice.randrange(1 << 30))

    def run(self, case):
        life = case.point.life
        rare = life not in ("ANY", "LEADER", "FOLLOWER") or "SEGMENT" in case.point.name
        hit = self.dice.choice(RARE if rare else HOT)
        if case.action == "stop":
            self.stop(case, hit)
        elif case.action != "kill":
            self.fail(case)
        elif life == "START":
            self.die_in_start(case, self.dice.choice(self.cluster.nodes))
        elif life == "ELECTION":
            self.die_in_election(case)
        elif life == "CONFLICT":
            self.die_in_conflict(case)
        elif life == "END":
            self.die_in_end(case)
        elif life in ("HOLE", "DAMAGE"):
            self.die_after_damage(case)
        elif life == "GIVE_UP":
            self.die_giving_up(case)
        elif life in ("SOURCE", "FETCH"):
            self.die_in_snapshot(case)
        elif life == "DROPS":
            self.die_dropping(case)
        elif life == "CARRIES":
            self.die_carrying(case)
        else:
            victim = self.strike(case, hit)
            if case.role == "follower":
                self.die_again(case, victim)
        self.settle()

    # --- Whom, and waiting for it ------------------------------------------------------------

    def pick(self, role):
        leader = self.cluster.leader()
        if role == "leader":
            return leader
        return self.dice.choice([node for node in self.cluster.nodes
                                 if role == "" or node is not leader])

    def strike(self, case, hit, done=None):
        """Arms the point in whoever has the role; returns the node to which it happened. The role
        may pass to another node meanwhile, so this tries more than once."""
        done = done or (lambda node: not node.running() and died_at(node, case.point))
        for _ in range(4):
            victim = self.pick(case.role)
            self.table[victim].arm(case.point.name, hit, case.action)
            if self.happens(lambda victim=victim: done(victim), 1) or \
                    self.happens(lambda victim=victim: self.visit() or done(victim), 4):
                return victim
            if self.table[victim].disarm(case.point.name) == 0 and self.happens(
                    lambda victim=victim: done(victim)):
                return victim
        raise AssertionError(f"hit {hit} of {case.point.name} is never reached")

    @staticmethod
    def happens(condition, seconds=4.0):
        try:
            return wait_for(condition, "it", seconds, 0.003)
        except AssertionError as problem:
            if str(problem).startswith("in vain"):
                return False
            raise

    def is_back(self, node):
        if not node.running():
            # The order may have been on its way when it was withdrawn.
            assert node.stopped or node.process.returncode == -9, node.log()[-2000:]
            node.start()
        info = node.try_info("raft")
        return info and info["raft_leader_id"] != "0" and \
            int(info["raft_applied"]) >= int(info["raft_commit"])

    def visit(self):
        """Something to do for everybody: the load may have no connection to some of them."""
        for node in self.cluster.nodes:
            if node.running() and not is_stopped(node):
                visit(node)

    def die_again(self, case, victim):
        """While it catches up, or soon after."""
        self.load.wait_for_acknowledged(SETTLE_WRITES)
        self.table[victim].arm(case.point.name)
        victim.start()
        assert self.happens(lambda: not victim.running(), 0.5) or \
            self.happens(lambda: self.visit() or not victim.running(), 8), \
            f"{case.point.name} is not reached again"
        died_at(victim, case.point)

    def settle(self):
        """Everybody lives, has everything, and the cluster serves."""
        for node in self.cluster.nodes:
            self.table[node].disarm_all()
        wait_for(lambda: all([self.is_back(node) for node in self.cluster.nodes]),
                 "all nodes are back", 15)  # a list: the others are needed for the first
        wait_for(lambda: all(not_forgetful(node) for node in self.cluster.nodes),
                 "all nodes count", 15)  # else with the next that dies two do not
        self.load.wait_for_acknowledged(SETTLE_WRITES)

    # --- Lives -------------------------------------------------------------------------------

    def die_in_start(self, case, victim):
        victim.kill()
        self.load.wait_for_acknowledged(SETTLE_WRITES)
        for _ in range(2):
            self.table[victim].arm(case.point.name)
            victim.start()
            wait_for(lambda: not victim.running(), f"death at {case.point.name}", 10, 0.003)
            died_at(victim, case.point)

    def die_in_election(self, case):
        for _ in range(4):
            leader = self.cluster.leader()
            others = [node for node in self.cluster.nodes if node is not leader]
            for node in others:
                self.table[node].arm(case.point.name)
            leader.terminate() if self.dice.random() < 0.5 else leader.kill()
            if self.happens(lambda others=others: not all(node.running() for node in others)):
                for node in others:
                    self.table[node].disarm_all()
                    assert node.running() or died_at(node, case.point)
                return
            self.settle()
        raise AssertionError(f"{case.point.name} is never reached")

    def leave_alone(self):
        """A leader that logs what the others never see; it is dead afterwards, they start. It may
        not lead any more by the time that it is alone, so this tries more than once."""
        for _ in range(8):
            leader = self.cluster.leader()
            others = [node for node in self.cluster.nodes if node is not leader]
            for node in others:
                node.process.kill()
            for node in others:
                node.wait()
            had = max(max(entries(node), default=0) for node in others)
            wait_for(lambda leader=leader, had=had: visit(leader) or last_entry(leader) > had or
                     not leader.leads(), "entries of the leader alone")
            alone = last_entry(leader) > had
            leader.kill()
            for node in others:
                node.start()
            if alone:
                return leader
            self.settle()
        raise AssertionError("no leader has anything that the others have not")

    def die_in_conflict(self, case):
        """A leader that was left alone meets the others again."""
        leader = self.leave_alone()
        self.load.wait_for_acknowledged(SETTLE_WRITES)
        for _ in range(2):
            self.table[leader].arm(case.point.name)
            leader.start()
            wait_for(lambda: not leader.running(), f"death at {case.point.name}", 10, 0.003)
            died_at(leader, case.point)

    def set_everywhere(self, name, value):
        for node in self.cluster.alive():
            wait_for(lambda node=node: not node.running() or can_set(node, name, value),
                     f"node {node.number} takes a setting")

    def shorten_logs(self, entries):
        self.set_everywhere("log-max-entries", entries)

    def strand(self, node):
        """Ends it; the others go on until their logs have no more what it lacks. One that has
        forgotten what it promised would not count, and nothing would be written meanwhile."""
        for other in self.cluster.alive():
            wait_for(lambda other=other: not_forgetful(other),
                     f"node {other.number} counts again", 15)
        node.kill()
        self.shorten_logs(SHORT_LOG)
        held = int(self.cluster.leader().info("raft")["raft_last"])
        wait_for(lambda: all(int(other.info("raft")["raft_first"]) > held
                             for other in self.cluster.alive()), "the log is trimmed", 15)

    def die_in_snapshot(self, case):
        """Either end of one. Its leader may change just then, so this tries more than once."""
        for _ in range(3):
            node = self.pick("follower")
            self.strand(node)
            victim = node if case.point.life == "FETCH" else self.cluster.leader()
            self.table[victim].arm(case.point.name)
            forgot = node.log().count(FORGOT)
            node.start()
            dead = self.happens(lambda victim=victim: not victim.running())
            self.table[victim].disarm_all()
            if dead:
                died_at(victim, case.point)
                if not node.running():
                    node.start()
                wait_for(lambda node=node: self.is_back(node), "the member is brought up", 15)
                assert node.log().count(FORGOT) == forgot  # the snapshot explains the log
            self.shorten_logs(0)
            if dead:
                return
        raise AssertionError(f"{case.point.name} is never reached")

    def fail_in_snapshot(self, case):
        """As above: a leader that changes may still have in its log what the node lacks."""
        for _ in range(3):
            victim = self.pick("follower")
            self.strand(victim)
            self.table[victim].arm(case.point.name, 1, case.action)
            victim.start()
            reached = self.happens(
                lambda victim=victim: self.table[victim].order(case.point.name) == 0, 8)
            self.table[victim].disarm_all()
            self.shorten_logs(0)
            if reached:
                return victim
        raise AssertionError(f"{case.point.name} is never reached")

    def die_in_end(self, case):
        for _ in range(6):
            victim = self.pick("")
            self.table[victim].arm(case.point.name)
            if victim.terminate() != 0:
                died_at(victim, case.point)
                return
            self.settle()  # something was still to be written when it ended: that leaves no mark
        raise AssertionError(f"{case.point.name} is never reached")

    def order(self, *words, over):
        """Of whoever leads, until it is done: `over` is said where it was."""
        def is_done():
            try:
                return self.cluster.leader().call(*words) == "OK"
            except (Closed, OSError):
                return False
            except Error as error:
                if over not in str(error) and error.kind() == "ERR":
                    raise
                return over in str(error)
        wait_for(is_done, " ".join(words), 15)

    def make_groups(self, name):
        """A keyspace whose entries no checkpoint covers before they are carried."""
        self.set_everywhere("checkpoint-bytes", "4mb")
        self.order("KEYSPACE", "CREATE", name, "STRATEGY", "raft", "PARTITIONS", str(PARTITIONS),
                   over="is there already")
        for i in range(4 * PARTITIONS):
            wait_for(lambda i=i: of_keyspace(self.cluster.leader(), name, "SET", i, f"v{i}")
                     == "OK", "a write", 15)

    def drop_groups(self, name):
        self.order("KEYSPACE", "DROP", name, "FORCE", over="no keyspace")

    def no_groups_are_left(self):
        for node in self.cluster.nodes:
            wait_for(lambda node=node: self.is_back(node) and (node.try_info("quorate") or {}).get(
                "log_groups") == "1", f"node {node.number} has dropped its groups", 15)

    def fill_until(self, condition, what):
        """Others write meanwhile, and more than they do."""
        large = b"x" * (100 << 10)
        wait_for(lambda: condition() or can_call(self.cluster.leader(), "SET", "large", large)
                 and condition(), what, 15)

    def die_dropping(self, case):
        """What is dropped is gone, whether the drop was written or not."""
        victim, name = self.pick(""), case.point.name.lower()
        self.make_groups(name)
        self.table[victim].arm(case.point.name, self.dice.choice(RARE))
        self.drop_groups(name)
        wait_for(lambda: not victim.running(), f"death at {case.point.name}", 15)
        died_at(victim, case.point)
        victim.start()
        self.no_groups_are_left()
        victim.kill()
        victim.start()
        self.no_groups_are_left()
        self.set_everywhere("checkpoint-bytes", "256kb")

    def die_carrying(self, case):
        """Entries that are carried are there, from the originals or, once these are gone, from
        their copies: nothing has to be fetched from the others."""
        victim, name = self.pick(""), case.point.name.lower()
        self.make_groups(name)
        self.table[victim].arm(case.point.name, self.dice.choice(RARE))
        originals = set(segments(victim))
        self.fill_until(lambda: not victim.running(), f"death at {case.point.name}")
        died_at(victim, case.point)
        told = len(victim.log())
        victim.start()
        wait_for(lambda: self.is_back(victim), "it is back", 15)
        self.fill_until(lambda: not originals & set(segments(victim)), "the originals are gone")
        victim.kill()
        victim.start()
        wait_for(lambda: self.is_back(victim), "it is back", 15)
        for i in range(4 * PARTITIONS):
            wait_for(lambda i=i: of_keyspace(victim, name, "GET", i) == f"v{i}".encode(),
                     "a value", 15)
        news = victim.log()[told:]
        assert "epairing" not in news and FORGOT not in news, news
        self.drop_groups(name)
        self.no_groups_are_left()
        self.set_everywhere("checkpoint-bytes", "256kb")

    def die_after_damage(self, case):
        """To entries that no checkpoint covers, neither the victim's nor another's: these need no
        repair, and those are not in the log that could give them."""
        for _ in range(6):
            self.set_everywhere("checkpoint-bytes", "1gb")
            self.load.wait_for_acknowledged(4 * SETTLE_WRITES)
            victim = self.pick("")
            victim.kill()
            self.load.wait_for_acknowledged(SETTLE_WRITES)
            found = entries(victim)
            if not found:  # a checkpoint that was under way holds them all
                self.settle()
                continue
            hit = found[sorted(found)[-min(40, len(found) // 2)]]  # the last write may be cut
            if case.point.life == "HOLE":
                flip_entry(hit)
            else:
                write_at(hit.path, hit.batch, bytes(64))
            self.table[victim].arm(case.point.name)
            victim.start()
            dead = self.happens(lambda victim=victim: not victim.running(), 8)
            self.set_everywhere("checkpoint-bytes", "256kb")
            if dead:
                died_at(victim, case.point)
                return
            self.settle()
        raise AssertionError(f"{case.point.name} is never reached")

    def die_giving_up(self, case):
        victim = self.pick("")
        self.table[victim].arm("CHECKPOINT_WRITE", 1, "ENOSPC")
        self.table[victim].arm(case.point.name)
        wait_for(lambda: not victim.running(), f"death at {case.point.name}", 10, 0.003)
        died_at(victim, case.point)

    # --- Other blows -------------------------------------------------------------------------

    def stop(self, case, hit):
        """It stands still there for as long as another takes to be elected, and goes on."""
        victim = self.strike(case, hit, is_stopped)
        victim.paused = True
        self.load.wait_for_acknowledged(SETTLE_WRITES)
        victim.resume()

    def fail(self, case):
        """The disk reports an error: a full one is survived, any other ends the node."""
        if case.point.life == "FETCH":
            victim = self.fail_in_snapshot(case)
        elif case.point.life == "START":
            victim = self.pick("follower")
            victim.kill()
            self.load.wait_for_acknowledged(SETTLE_WRITES)
            self.table[victim].arm(case.point.name, 1, case.action)
            victim.start()
            happens = lambda: self.table[victim].order(case.point.name) == 0  # noqa: E731
            if not self.happens(happens, 5):  # what was used before serves again, if it suffices
                self.fill_until(happens, f"{case.point.name} is reached")
        else:
            victim = self.strike(case, 1, lambda node: self.table[node].order(case.point.name) == 0)
        if case.action == "ENOSPC":
            self.load.wait_for_acknowledged(SETTLE_WRITES)
            assert victim.running(), f"a full disk ended the node:\n{victim.log()[-1000:]}"
            return
        code = victim.wait()
        assert code == 1, f"exit code {code}:\n{victim.log()[-1000:]}"
        assert "Input/output error" in "".join(victim.log().splitlines()[-20:])

    # --- The end -----------------------------------------------------------------------------

    def finish(self):
        """Judges what was seen and what is left."""
        summary = self.load.finish()
        self.load.check_history()
        assert summary["checked"] > 0
        wait_for(lambda: len(set(map(digest, self.cluster.nodes))) == 1, "the replicas are equal",
                 10)
        return summary


def can_call(node, *words):
    try:
        return node.call(*words) is not None
    except (Closed, OSError, Error):
        return False


def of_keyspace(node, keyspace, *words):
    """The reply, or why there is none."""
    try:
        with node.connect() as connection:
            connection.call("SELECT", keyspace)
            return connection.call(*words)
    except (Closed, OSError, Error) as problem:
        return problem


def can_set(node, name, value):
    try:
        return node.call("CONFIG", "SET", name, value) == "OK"
    except (OSError, Closed, Error):
        return False


def digest(node):
    info = node.info("digest")
    return info["digest_slot"], info["digest"]


def last_entry(node):
    return int((node.try_info("raft") or {}).get("raft_last", 0))


def visit(node):
    try:
        with node.connect(timeout=0.2) as connection:
            for _ in range(20):
                connection.send("SET", "visited", "1")
                connection.send("GET", "visited")
                connection.read()
                connection.read()
    except (OSError, Closed, Error):
        pass


def is_stopped(node):
    with open(f"/proc/{node.process.pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rsplit(")", 1)[1].split()[0] == "T"


def run_birth(group):
    """A new cluster whose nodes each meet one of the cases while they are born."""
    with Cluster(BORN, options=OPTIONS, start=False) as cluster:
        tables = tables_for(cluster)
        victims = list(zip(cluster.nodes, group))
        for node, case in victims:
            tables[node].arm(case.point.name, case.hit, case.action)
        for node in cluster.nodes:
            node.start()
        for node, case in victims:
            # A peer may be met only once the others live again.
            wait_for(lambda node=node: not node.running(), f"{case}", 5) \
                if case.hit <= 2 else None
        deadline = time.monotonic() + 10 * PATIENCE
        dead = set()
        while len(dead) < len(victims):
            assert time.monotonic() < deadline, f"not reached: {set(map(str, group)) - dead}"
            for node, case in victims:
                if not node.running() and str(case) not in dead:
                    if case.action == "kill":
                        died_at(node, case.point)
                    else:
                        assert node.process.returncode == 1
                    dead.add(str(case))
                    node.start()
        cluster.wait_ready()
        assert cluster.nodes[0].call("SET", "k", "v") == "OK"
        cluster.kill_all()
        cluster.start()
        assert cluster.nodes[-1].call("GET", "k") == b"v"


def groups_of(sequence, size):
    sequence = iter(sequence)
    while group := list(itertools.islice(sequence, size)):
        yield group
