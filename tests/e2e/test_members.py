"""Nodes that come, go and are replaced while clients go on (rows R7, L5; asks U15-U19).

Growth from one node to three, wiped and dead nodes, leaders that are removed, strangers; every
scenario of failures.md that is a failed change of members has its number in a name or a comment."""
import collections
import os
import shutil
import threading
import time

import pytest

from cluster import CALM, PATIENCE, UNSURE, Cluster, Node, ask, free_ports, wait_for
from loadgen import LoadGenerator
from resp import Closed, Error, as_row, as_rows, as_text
from worker import Worker


class Joiner(Node):
    """A node that is started with --join, also when it has joined long ago."""

    asked = None  # the nodes to ask; by default the first one
    options = ()
    id = None  # the id wanted; by default whatever the cluster gives

    def arguments(self, extra=()):
        words = super().arguments(extra)
        for name in ("--bootstrap",):
            while name in words:
                words.remove(name)
        words = without(words, "--member", 4)
        words = without(words, "--node-id", 1)
        words = without(words, "--cluster-id", 1)
        asked = self.asked or self.cluster.nodes[:1]
        targets = ",".join(f"127.0.0.1:{node.port}@{node.peer_port}" for node in asked)
        words += ["--join", targets, *self.options]
        return words + (["--node-id", str(self.id)] if self.id else [])


def without(words, name, values):
    while name in words:
        at = words.index(name)
        words = words[:at] + words[at + 1 + values:]
    return words


class First(Node):
    """The node that others join: at its start it is the whole cluster."""

    def arguments(self, extra=()):
        words = without(super().arguments(extra), "--member", 4)
        return words + ["--member", str(self.number), "127.0.0.1", str(self.port),
                        str(self.peer_port)]


class GrowingCluster(Cluster):
    """One node that runs, and any number that may join it."""

    def __init__(self, size=3, options=()):
        super().__init__(1, options)
        self.nodes = [as_kind(First, self.nodes[0])]
        for _ in range(size - 1):
            self.new_node()

    def new_node(self, kind=Joiner):
        return new_node(self, kind)

    def start(self):
        self.nodes[0].start()
        self.wait_ready()


def as_kind(kind, node):
    return kind(node.cluster, node.number, node.port, node.peer_port, node.metrics_port)


def new_node(cluster, kind=Joiner):
    ports = free_ports(3)
    node = kind(cluster, len(cluster.nodes) + 1, *ports)
    node.stopped = True  # nobody waits for it until it was started
    cluster.nodes.append(node)
    return node


def members(node, timeout=10.0):
    return {row["id"]: row for row in as_rows(node.call("MEMBER", "LIST", timeout=timeout))}


def shown_by(node):
    """Which node answers a read of what its own replica has, as META tells it."""
    return as_row(node.call("WITH", 3, "READ", "local", "META", "GET", "x")[1])["replica"]


def roles(node):
    return {member: row["role"] for member, row in members(node).items()}


def silence(leader, node):
    """For how many milliseconds the leader has not heard of a member."""
    line = leader.info("raft")[f"raft_member{members(leader)[node.number]['index']}"]
    return int(line.split("heard_ms=")[1].split(",")[0])


def try_roles(node):
    try:
        return roles(node)
    except (Error, Closed, OSError):
        return None


def change(node, *words):
    """An order that is carried out; the end of a change that began by itself is waited for, and so
    are a leader, and members that were not heard for a moment."""
    uncertain = False

    def carried_out():
        nonlocal uncertain
        try:
            return node.call("MEMBER", *words) == "OK"
        except Error as reason:
            if uncertain and reason.kind() == "ERR":
                return True  # it was carried out before: it is no member, or is that already
            uncertain = uncertain or reason.kind() == "UNCERTAIN"
            if reason.kind() not in (*UNSURE, "UNSAFE"):
                raise
            return False
    wait_for(carried_out, f"MEMBER {' '.join(words)}", 20)


def is_settled(node):
    """While a change is joint the voters before it are still needed."""
    return (node.try_info("raft") or {}).get("raft_joint") == "0"


def wait_roles(node, want, seconds=20.0):
    wait_for(lambda: try_roles(node) == want and is_settled(node), f"members become {want}",
             seconds, 0.05)


def start_joined(node):
    node.start()
    wait_for(lambda: node.try_info("raft") is not None or not node.running(),
             f"node {node.number} is taken in", 20)
    assert node.running(), node.log()


def grow(cluster, to=3):
    """Starts the nodes one after the other, until `to` of them vote."""
    for node in cluster.nodes[1:to]:
        start_joined(node)
    wait_roles(cluster.nodes[0], {number + 1: "voter" for number in range(to)})
    for node in cluster.nodes[:to]:
        node.stopped = False
    cluster.wait_ready()


def fails_to_start(node, seconds=10.0):
    node.start()
    code = node.wait(seconds)
    assert code == 1, f"exit code {code}"
    return node.log()


class Retrier(Worker):
    """A client as people write them: on an error that says that nothing was done, or on a closed
    connection, it asks another node; it gives up after a while. Its writes may be repeated."""

    GIVE_UP, SLOW = 5.0, 0.5
    AGAIN = (b"TRYAGAIN", b"CLUSTERDOWN", b"REMOVED", b"UNCERTAIN", b"LOADING")

    def __init__(self, cluster, name):
        super().__init__()
        self.cluster, self.prefix = cluster, name
        self.done = 0
        self.slow = []  # what took long: when it began and ended, what it met on its way
        self.errors = collections.Counter()  # by first word, or kind; each was tried again

    def once(self, key, value):
        began, turn, met = time.monotonic(), 0, []
        connection = None
        while True:
            try:
                if connection is None:
                    nodes = [node for node in self.cluster.nodes if node.process is not None]
                    node = nodes[(self.done + turn) % len(nodes)]
                    connection = node.connect(timeout=1.0)
                assert connection.call("SET", key, value) == "OK"
                assert connection.call("GET", key) == value.encode()
                ended = time.monotonic()
                if ended - began > self.SLOW:
                    self.slow.append((began, ended, met))
                return connection.close()
            except (Closed, OSError, Error) as reason:
                if isinstance(reason, Error) and \
                        not str(reason).encode().startswith(self.AGAIN):
                    raise
                self.errors[str(reason).split()[0] if isinstance(reason, Error) else
                            "closed" if connection is not None else "refused"] += 1
                met.append((round(time.monotonic() - began, 2), node.number, repr(reason)))
                if connection is not None:
                    connection.close()
                connection, turn = None, turn + 1
                if time.monotonic() - began > self.GIVE_UP * PATIENCE:
                    raise AssertionError(f"gave up: {reason!r}") from reason
                time.sleep(0.01)

    def work(self):
        while not self.ending.is_set():
            self.once(f"{self.prefix}:{self.done}", f"v{self.done}")
            self.done += 1

    def wait_for_more(self, count):
        goal = self.done + count
        wait_for(lambda: self.done >= goal or self.failure, f"{count} more writes", 20)

    def finish(self, node):  # pylint: disable=arguments-renamed
        super().finish(30 * PATIENCE)
        with node.connect() as connection:
            for n in range(self.done):
                assert connection.call("GET", f"{self.prefix}:{n}") == f"v{n}".encode()


# --- Growing -------------------------------------------------------------------------------------

def test_1_2_3_under_load_learner_first():
    with GrowingCluster(options=CALM) as cluster:
        first, second, third = cluster.nodes
        client = Retrier(cluster, "grow")
        client.start()
        client.wait_for_more(50)
        start_joined(second)
        wait_roles(first, {1: "voter", 2: "learner"})  # two voters that need each other are worse
        client.wait_for_more(50)
        assert second.call("GET", "grow:0") == b"v0"
        start_joined(third)
        wait_roles(second, {1: "voter", 2: "voter", 3: "voter"})
        client.wait_for_more(50)
        assert set(client.errors) <= {"refused"}  # by a node that does not listen yet
        first.kill()  # now any one may go
        client.wait_for_more(50)
        client.finish(second)
        assert client.errors["UNCERTAIN"] <= 1, client.errors  # one leader was killed, one client
        info = third.info("raft")
        assert (info["raft_members"], info["raft_voters"], info["raft_joint"]) == ("3", "3", "0")


def test_a_joiner_waits_for_its_cluster_and_may_be_killed_at_any_moment():
    """The node is started first; it is killed while it joins, again and again; it is one member
    in the end, under one id (the same directory twice is the same member)."""
    with GrowingCluster(2) as cluster:
        first, second = cluster.nodes
        first.kill()
        second.start()
        wait_for(lambda: "No answer from" in second.log(), "it says what it waits for")
        assert second.running()
        second.kill()
        first.start()
        cluster.wait_ready()
        for pause in (0.0, 0.02, 0.05, 0.1, 0.15, 0.2):
            second.start()
            time.sleep(pause)  # anywhere
            second.kill()
        start_joined(second)
        wait_roles(first, {1: "voter", 2: "learner"})
        second.kill()
        start_joined(second)  # --join is still there: it knows who it is
        assert second.info("raft")["raft_node_id"] == "2"
        wait_roles(first, {1: "voter", 2: "learner"})


def test_what_cannot_join_hears_why_and_changes_nothing():
    """Joining a foreign cluster, with a wrong secret, under an id in use, at an address in use."""
    with GrowingCluster(2, options=["--cluster-secret", "right"]) as cluster, \
            GrowingCluster(1, options=["--cluster-secret", "right"]) as other:
        first, node = cluster.nodes
        node.options = ["--cluster-secret", "wrong"]
        assert "cluster-secret" in fails_to_start(node)
        node.options = ["--cluster-id", "f" * 32]
        assert "belongs to the cluster" in fails_to_start(node)
        node.options, node.id = [], 1
        assert "in use" in fails_to_start(node)
        assert not os.path.exists(os.path.join(node.directory, "identity"))
        node.id = None
        start_joined(node)
        wait_roles(first, {1: "voter", 2: "learner"})
        third = cluster.new_node()
        third.options = node.options
        third.id = 2
        assert "in use by another directory" in fails_to_start(third)
        node.kill()
        wait_for(lambda: members(first)[2]["state"] == "away", "it is away")
        third.start()  # the first one may have lost its connection only
        wait_for(lambda: "was connected a moment ago" in third.log(), "it says what it waits for")
        third.kill()
        third.id, third.peer_port = None, node.peer_port
        assert "is the address of node 2" in fails_to_start(third)
        node.asked = other.nodes  # the directory is of another cluster
        assert "does not know the cluster" in fails_to_start(node)
        assert roles(first) == {1: "voter", 2: "learner"}
        assert roles(other.nodes[0]) == {1: "voter"}


def test_a_full_cluster_takes_nobody_more():
    with GrowingCluster(2) as cluster:
        first, node = cluster.nodes
        for number in range(2, 16):
            place = f"127.0.0.1:{30000 + number}"
            change(first, "ADD", str(number), place, "OBSERVER")
        with pytest.raises(Error, match="full"):
            first.call("MEMBER", "ADD", "16", "127.0.0.1:30016")
        assert "full" in fails_to_start(node)
        assert len(members(first)) == 15
        change(first, "REMOVE", "9")
        start_joined(node)  # there is room again; an index is used anew
        assert members(first)[16]["index"] == 8


# --- Errors of operators -----------------------------------------------------------------------

def test_orders_that_would_harm_are_refused_and_change_nothing():
    """Scenario 31: what could cost the quorum answers -UNSAFE; the last voter cannot go at all."""
    with Cluster(3) as cluster:
        leader = cluster.leader()
        others = [node for node in cluster.nodes if node is not leader]
        want = {1: "voter", 2: "voter", 3: "voter"}
        for node in cluster.nodes:  # any node takes orders
            for words, error in (
                    (("ADD", str(leader.number), "127.0.0.1:1234"), "already"),
                    (("ADD", "4", f"127.0.0.1:{leader.port}"), "has that address"),
                    (("ADD", "4", "nowhere"), "an address is"),
                    (("ADD", "0", "127.0.0.1:1234"), "a node id is"),
                    (("REMOVE", "9"), "no member with that id"),
                    (("REMOVE", "1", "PLEASE"), "syntax"),
                    (("PROMOTE", "1"), "voter already"),
                    (("SET", "1", "PRIORITY", "256"), "priority"),
                    (("SET", str(leader.number), "ADDRESS", "127.0.0.1:99"), "says itself")):
                with pytest.raises(Error, match=error):
                    node.call("MEMBER", *words)
            assert roles(node) == want
        others[0].kill()
        wait_for(lambda: members(leader)[others[0].number]["state"] == "away", "it is away")
        with pytest.raises(Error, match="^UNSAFE"):  # leaves two, one of them dead
            leader.call("MEMBER", "REMOVE", str(others[1].number))
        assert roles(leader) == want
        others[0].start()
        wait_for(lambda: members(leader)[others[0].number]["state"] == "connected", "it is back")
        others[0].pause()  # a connection alone makes no quorum
        wait_for(lambda: silence(leader, others[0]) > 400, "it is silent")
        with pytest.raises(Error, match="^UNSAFE"):
            leader.call("MEMBER", "REMOVE", str(others[1].number))
        assert members(leader)[others[0].number]["state"] == "connected"
        assert roles(leader) == want
        others[0].kill()
        change(leader, "REMOVE", str(others[0].number))
        change(leader, "REMOVE", str(others[1].number), "FORCE")
        assert "FORCE was ordered" in cluster.leader().log()
        with pytest.raises(Error, match="last voter"):
            leader.call("MEMBER", "REMOVE", str(leader.number), "FORCE")
        assert leader.call("SET", "still", "here") == "OK"


def test_replies_have_the_same_fields_in_resp2_and_resp3():
    with Cluster(3) as cluster:
        node = cluster.followers()[0]
        with node.connect() as connection:
            connection.call("HELLO", "3")
            rows = connection.call("MEMBER", "LIST")
        assert [row["id"] for row in rows] == [1, 2, 3]
        assert all(len(row) == 15 for row in rows)
        assert sum(row["leader"] for row in rows) == 1
        assert sorted(members(node)) == [1, 2, 3]
        assert all(len(row["uuid"]) == 32 for row in members(node).values())
        assert "REMOVE <id> [FORCE]" in map(as_text, node.call("MEMBER", "HELP"))


# --- Replacing and removing --------------------------------------------------------------------

def test_replace_a_dead_node_under_load():
    """A node dies for good; another one takes its place; clients that try again notice nothing,
    what they saw is linearizable."""
    with Cluster(3) as cluster, LoadGenerator(cluster, rate=4000) as load:
        client = Retrier(cluster, "replace")
        client.start()
        client.wait_for_more(30)
        dead = cluster.followers()[0]
        dead.kill()
        alive = cluster.leader()
        wait_for(lambda: members(alive)[dead.number]["state"] == "away", "it is away")
        change(alive, "REMOVE", str(dead.number))
        shutil.rmtree(dead.directory)
        fresh = new_node(cluster)
        fresh.asked = [alive]
        start_joined(fresh)
        left = {node.number: "voter" for node in cluster.nodes[:3] if node is not dead}
        wait_roles(alive, {**left, 4: "voter"})
        client.wait_for_more(30)
        client.finish(fresh)
        load.finish()
        load.check_history()


def test_scenario_29_remove_the_leader_under_load_and_it_stops_serving():
    """Scenarios 2, 3, 29: it hands over, its clients are told, it stays up and says what it is."""
    with Cluster(3) as cluster:
        client = Retrier(cluster, "leader")
        client.start()
        client.wait_for_more(30)
        leader = cluster.leader()
        rest = [node for node in cluster.nodes if node is not leader]
        change(rest[0], "REMOVE", str(leader.number))
        wait_for(lambda: (leader.try_info("raft") or {}).get("raft_removed") == "1", "it knows")
        client.wait_for_more(30)
        wait_roles(rest[0], {node.number: "voter" for node in rest})
        for command in (("GET", "leader:0"), ("SET", "x", "y"), ("MEMBER", "LIST")):
            with pytest.raises(Error, match="^REMOVED"):
                leader.call(*command)
        assert rest[0].call("EXISTS", "x") == 0
        assert leader.call("PING") == "PONG"
        fresh = new_node(cluster)
        fresh.asked, fresh.id = [leader, rest[0]], fresh.number  # the first takes nobody in
        start_joined(fresh)
        # It has the index of the one that has gone, and an id of its own: META tells the id.
        wait_roles(rest[0], {node.number: "voter" for node in [*rest, fresh]})
        index = members(rest[0])[fresh.number]["index"]
        assert index == leader.number - 1 != fresh.number - 1
        wait_for(lambda: shown_by(fresh) == fresh.number, "it answers, and says that it is the one")
        leader.kill()
        leader.start()  # it remembers
        with pytest.raises(Error, match="^REMOVED"):
            wait_for(lambda: leader.try_info("raft"), "it is up")
            leader.call("GET", "leader:0")
        client.finish(rest[1])


def test_scenario_13_29_a_node_that_was_away_learns_that_it_was_removed():
    """Scenarios 13, 29: its log says that it is a member; the others know better, and whatever it
    says meanwhile disturbs nobody."""
    with Cluster(3, CALM) as cluster:
        away = cluster.followers()[0]
        away.kill()
        leader = cluster.leader()
        wait_for(lambda: members(leader)[away.number]["state"] == "away", "it is away")
        change(leader, "REMOVE", str(away.number))
        term = leader.info("raft")["raft_term"]
        away.start()
        wait_for(lambda: (away.try_info("raft") or {}).get("raft_removed") == "1", "it is told")
        with pytest.raises(Error, match="^REMOVED"):
            away.call("GET", "x")
        assert leader.info("raft")["raft_term"] == term
        cluster.kill_all()
        away.start()  # nobody is there to tell it again
        wait_for(lambda: away.try_info("raft"), "it is up")
        for command in (["GET", "x"], ["WITH", 3, "IDMP", "p", "1", "SET", "x", "1"]):
            with pytest.raises(Error, match="^REMOVED"):
                away.call(*command)
        away.kill()  # replaying the log does not bring it back
        for node in cluster.nodes:
            if node is not away:
                node.start()
        leader = cluster.wait_ready()
        assert away.number not in members(leader)


def test_scenario_53_wiped_node_under_its_old_id_joins_anew():
    """Scenario 53: it comes as a learner under a new index and votes when it has caught up."""
    with Cluster(3) as cluster:
        for n in range(100):
            ask(cluster.nodes[0], "SET", f"key:{n}", str(n))
        cluster.wait_applied()
        wiped = cluster.followers()[0]
        at = cluster.nodes.index(wiped)
        wiped.kill()
        shutil.rmtree(wiped.directory)
        again = Joiner(cluster, wiped.number, wiped.port, wiped.peer_port, wiped.metrics_port)
        again.asked = [node for node in cluster.nodes if node is not wiped]
        again.id = wiped.number
        cluster.nodes[at] = again
        start_joined(again)
        wait_roles(cluster.leader(), {1: "voter", 2: "voter", 3: "voter"})
        assert members(again)[again.number]["index"] == 3
        cluster.followers()[0 if cluster.followers()[0] is not again else 1].kill()
        assert wait_for(lambda: again.get("key:99"), "two of three serve") == b"99"


def fail_over(cluster, target, to):
    """False: the target could not take over yet, for not all are connected to it."""
    if target.leads():
        return True
    try:
        cluster.leader().call("FAILOVER", "TO", str(to))
    except (Error, Closed, OSError):
        pass
    return target.leads()


def test_scenario_14_an_index_used_anew_is_not_the_node_before():
    """Scenario 14: while one node is away, another member goes and a third comes under its index;
    the one that was away follows the new leader, and the removed one gets nowhere."""
    with Cluster(3) as cluster:
        away, gone = cluster.followers()
        away.kill()
        wait_for(lambda: members(cluster.leader())[away.number]["state"] == "away", "it is away")
        leader = cluster.leader()
        fresh = new_node(cluster)
        fresh.asked = [leader]
        start_joined(fresh)
        wait_for(lambda: roles(leader).get(4) == "voter", "the new one votes", 20)
        change(leader, "REMOVE", str(gone.number))
        gone.kill()
        fifth = new_node(cluster)
        fifth.asked = [leader]
        start_joined(fifth)
        wait_for(lambda: roles(leader).get(5) == "voter", "the fifth votes", 20)
        assert members(leader)[5]["index"] == gone.number - 1
        wait_for(lambda: fail_over(cluster, fifth, 5), "the fifth leads", pause=0.1)
        away.start()
        gone.start()
        wait_for(lambda: (away.try_info("raft") or {}).get("raft_leader_id") == "5", "it follows")
        wait_for(lambda: (gone.try_info("raft") or {}).get("raft_removed") == "1", "it is told")
        want = {leader.number: "voter", away.number: "voter", 4: "voter", 5: "voter"}
        wait_roles(away, want)


def test_an_address_changes_with_the_nodes_own_word():
    with GrowingCluster(3) as cluster:
        grow(cluster)
        moved = cluster.nodes[2]
        assert moved.terminate() == 0
        moved.port, moved.peer_port = free_ports(2)
        moved.start()
        wait_for(lambda: members(cluster.nodes[0])[3]["address"] ==
                 f"127.0.0.1:{moved.port}@{moved.peer_port}", "the log says where it is", 20)
        cluster.wait_ready()
        cluster.kill_all()
        for node in cluster.nodes:
            node.start()
        cluster.wait_ready()
        assert members(moved)[3]["state"] in ("connected", "self")


def test_priority_and_demotion_are_entries_too():
    with Cluster(3) as cluster:
        node = cluster.followers()[0]
        change(node, "SET", str(node.number), "PRIORITY", "7")
        assert members(node)[node.number]["priority"] == 7
        change(node, "DEMOTE", str(node.number))
        assert roles(node)[node.number] == "observer"
        assert node.call("SET", "through", "an observer") == "OK"
        with pytest.raises(Error, match="observer already"):
            node.call("MEMBER", "DEMOTE", str(node.number))
        node.kill()
        leader = cluster.leader()
        change(leader, "PROMOTE", str(node.number))
        assert roles(leader)[node.number] == "learner"  # it has not caught up
        node.start()
        wait_roles(leader, {1: "voter", 2: "voter", 3: "voter"})


def test_an_announced_node_comes_under_its_id():
    with GrowingCluster(2) as cluster:
        first, node = cluster.nodes
        change(first, "ADD", "7", f"127.0.0.1:{node.port}@{node.peer_port}",
                          "OBSERVER")
        assert roles(first) == {1: "voter", 7: "observer"}
        change(first, "SET", "7", "PRIORITY", "9")
        node.id = 7
        start_joined(node)
        assert roles(first) == {1: "voter", 7: "observer"}
        wait_for(lambda: members(first)[7]["state"] == "connected", "it is connected")
        assert len(members(first)[7]["uuid"]) == 32
        assert members(first)[7]["priority"] == 9


# --- All at once -------------------------------------------------------------------------------

def test_scenario_18_19_32_33_leave_in_turn_kill_all_start_all_join_all():
    """Scenarios 18, 19, 32, 33: members leave one by one, everything dies and comes back, they
    join again; what was written is there throughout. Small checkpoints, so that members are also
    learnt from those."""
    options = ["--checkpoint-bytes", "65536", "--log-segment-bytes", "65536"]
    with GrowingCluster(3, options) as cluster:
        grow(cluster)
        first = cluster.nodes[0]
        for turn in range(2):
            for n in range(300):
                ask(first, "SET", f"t{turn}:{n}", "x" * 500)
            for node in cluster.nodes[1:]:
                number = next(m for m, row in members(first).items()
                              if row["address"].startswith(f"127.0.0.1:{node.port}@"))
                change(cluster.leader(), "REMOVE", str(number))
                wait_for(lambda n=node: (n.try_info("raft") or {}).get("raft_removed") == "1",
                         "it knows")
            wait_for(lambda: len(members(first)) == 1, "the last one knows")
            cluster.kill_all()
            for node in cluster.nodes[1:]:
                shutil.rmtree(node.directory)
            first.start()
            cluster.nodes[1].stopped = cluster.nodes[2].stopped = True
            cluster.wait_ready()
            assert ask(first, "GET", f"t{turn}:299") == b"x" * 500
            for node in cluster.nodes[1:]:
                start_joined(node)
            wait_for(lambda: sorted(roles(first).values()) == ["voter"] * 3, "three vote", 20)
            cluster.kill_all()
            for node in cluster.nodes:
                node.start()
            cluster.wait_ready()
            # What stood in the first one's log only is decided anew.
            wait_for(lambda: sorted((try_roles(cluster.nodes[1]) or {}).values()) == ["voter"] * 3,
                     "the others know it", 20)
            assert ask(cluster.nodes[2], "GET", "t0:0") == b"x" * 500


def test_everything_restarts_in_the_middle_of_a_change():
    """Whatever had been decided of it, the change ends or has never been; nothing else does."""
    with Cluster(3) as cluster:
        for turn in range(4):
            leader = cluster.leader()
            node = next(n for n in cluster.nodes if n is not leader)
            role = roles(leader)[node.number]
            words = ("DEMOTE",) if role == "voter" else ("PROMOTE",)
            order = threading.Thread(target=lambda: give(leader, *words, str(node.number)))
            order.start()
            time.sleep(0.002 * turn)  # anywhere in it
            cluster.kill_all()
            order.join()
            for each in cluster.nodes:
                each.start()
            leader = cluster.wait_ready()
            wait_for(lambda: is_settled(leader), "the change is over")
            assert ask(leader, "SET", "turn", str(turn)) == "OK"
            if roles(leader)[node.number] == "observer":
                change(leader, "PROMOTE", str(node.number))
            wait_roles(leader, {1: "voter", 2: "voter", 3: "voter"})


def give(node, *words):
    try:
        node.call("MEMBER", *words, timeout=3.0)
    except (Error, Closed, OSError):
        pass
