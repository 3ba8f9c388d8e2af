"""Routes by prefixes while they change: what was answered holds for all nodes (route.h K6; O10)."""
import threading
import time

import pytest

from cluster import CALM, Cluster, wait_for
from resp import Closed, Error, as_row, as_text, encode


@pytest.fixture(scope="module")
def three():
    with Cluster(3, CALM) as cluster:
        yield cluster


def create(cluster, name, *options):
    assert cluster.nodes[0].call("KEYSPACE", "CREATE", name, "STRATEGY", "raft", *options,
                                 timeout=20) == "OK"


def answers(node, *words):
    try:
        return node.call(*words) is not None
    except Error as error:
        assert str(error).startswith("TRYAGAIN")
        return False


def held_by(cluster, name):
    place = as_row(as_row(cluster.nodes[0].call("KEYSPACE", "INFO", name))["placement"][0])
    number = int(as_text(place["nodes"]))
    return next(node for node in cluster.nodes if node.number == number)


def make_held_by_a_follower(cluster, word):
    """A keyspace whose only replica is at a node that does not lead group 0, and its prefix."""
    for i in range(6):  # they are spread
        name, prefix = f"{word}{i}", f"{word}{i}:"
        create(cluster, name, "REPLICAS", 1, "PREFIX", prefix)
        holder = held_by(cluster, name)
        if holder is not cluster.leader():
            wait_for(lambda: answers(holder, "SET", f"{prefix}k", "old"), "it is written")
            return name, prefix, holder
    raise AssertionError("all went to one node")


def move(cluster, how, name):
    """The prefix leads elsewhere."""
    node = cluster.leader()
    words = ("ALTER", name, "PREFIX", "") if how == "altered" else ("DROP", name, "FORCE")
    assert node.call("KEYSPACE", *words, timeout=20) == "OK"


@pytest.mark.parametrize("how", ["altered", "dropped"])
def test_a_node_that_was_stopped_does_not_write_by_an_old_prefix_K6(three, how):
    """It leads where the prefix led, has no need of anybody to write there, and finds the commands
    when it goes on: were they carried out, nobody would find what is acknowledged."""
    name, prefix, holder = make_held_by_a_follower(three, how)
    other = three.leader()
    with holder.connect(timeout=20) as client:
        assert client.call("GET", f"{prefix}k") == b"old"
        holder.pause()
        try:
            move(three, how, name)
            client.send_raw(encode("SET", f"{prefix}k", "new") + encode("GET", f"{prefix}k"))
        finally:
            holder.resume()
        wrote, read = client.read(), client.read()
    wait_for(lambda: answers(holder, "EXISTS", f"{prefix}k"), "it knows the way again")
    found = other.call("GET", f"{prefix}k")
    assert read != b"old"
    assert wrote == "OK" or str(wrote).startswith("TRYAGAIN"), wrote
    assert found == (b"new" if wrote == "OK" else None), (wrote, read)
    assert holder.call("GET", f"{prefix}k") == found


class Writer(threading.Thread):
    """Writes and reads a key of its own in turn, at one node after the other, and keeps what was
    answered. What is uncertain may still happen later: it goes on with another key."""

    REFUSED = ("TRYAGAIN", "CLUSTERDOWN", "LOADING", "NOKEYSPACE")

    def __init__(self, cluster, prefix):
        super().__init__(daemon=True)
        self.cluster, self.prefix = cluster, prefix
        self.histories, self.refused, self.lost, self.failure = [], [], 0, None
        self.ending = threading.Event()

    def once(self, node, connection, turn):
        key = f"{self.prefix}{self.name}:{len(self.histories)}"
        words = ("GET", key) if turn % 2 else ("SET", key, str(turn))
        began = time.monotonic()
        try:
            connection = connection or node.connect(timeout=5.0)
            reply = connection.call(*words)
        except Error as error:
            if str(error).startswith("UNCERTAIN"):
                self.histories.append([])
                self.lost += 1
            else:
                assert str(error).startswith(self.REFUSED), error
                self.refused.append(str(error))
            return connection
        except (Closed, OSError):
            self.histories.append([])
            self.lost += 1
            return None
        value = reply if turn % 2 else str(turn).encode()
        self.histories[-1].append((words[0], value, began, time.monotonic()))
        return connection

    def run(self):
        connections, turn = {}, 0
        self.histories.append([])
        try:
            while not self.ending.is_set():
                node = self.cluster.nodes[turn % len(self.cluster.nodes)]
                connections[node] = self.once(node, connections.get(node), turn)
                turn += 1
        except BaseException as failure:
            self.failure = failure
            raise


def check_history(history, changes, places):
    """Whether there is, for each change of the prefix, one moment between the order and its answer
    at which the key of that history went from one place to the next."""
    states = {(0, ())}
    for kind, value, began, ended in history:
        first = sum(1 for _, answered in changes if answered < began)
        last = sum(1 for ordered, _ in changes if ordered < ended)
        after = set()
        for done, held in states:
            for moved in range(max(done, first), last + 1):
                keys = dict(held)
                if kind == "SET":
                    keys[places[moved]] = value
                if keys.get(places[moved]) == value:
                    after.add((moved, tuple(sorted(keys.items()))))
        assert after, (kind, value, began, states, changes)
        states = after


def order(cluster, *words):
    """Given until it is answered OK; returns when that was first done, and when it was answered."""
    began = time.monotonic()

    def once():
        leader = cluster.leader()
        try:
            return leader is not None and leader.call(*words, timeout=20) == "OK"
        except (Error, Closed, OSError):
            return False
    wait_for(once, " ".join(words), seconds=30)
    return began, time.monotonic()


def move_under_writers(cluster, name, rounds, between=lambda turn: None):
    """Moves a prefix between three keyspaces while writers use it."""
    prefix, changes, places = f"{name}:", [], ["default"]
    for place in ("a", "b"):
        create(cluster, f"{name}{place}", "PARTITIONS", 2)
    writers = [Writer(cluster, prefix) for _ in range(4)]
    for writer in writers:
        writer.start()
    for turn in range(rounds):
        place = f"{name}{'ab'[turn // 2 % 2]}"
        between(turn)
        changes.append(order(cluster, "KEYSPACE", "ALTER", place, "PREFIX",
                             "" if turn % 2 else prefix))
        places.append("default" if turn % 2 else place)
        wanted = sum(len(writer.histories[-1]) for writer in writers) + 30
        wait_for(lambda: sum(len(w.histories[-1]) for w in writers) >= wanted or
                 any(w.failure or w.lost for w in writers), "they write")
    for writer in writers:
        writer.ending.set()
        writer.join()
        assert writer.failure is None, writer.failure
        for history in writer.histories:
            check_history(history, changes, places)
    return writers


def test_a_prefix_moves_at_one_moment_under_writers_at_all_nodes_K6(three):
    writers = move_under_writers(three, "m", 8)
    assert [refusal for writer in writers for refusal in writer.refused] == []
    assert sum(writer.lost for writer in writers) == 0


def test_a_prefix_moves_at_one_moment_while_leaders_of_group_0_die_K6(three):
    killed = []

    def kill_leader(turn):
        """While the order is under way."""
        if turn % 3 != 1:
            return
        leader = three.leader()
        threading.Timer(0.002 * turn, leader.kill).start()
        killed.append(leader)

    def start_again(turn):
        kill_leader(turn)
        for node in three.nodes:
            if node.process.poll() is not None:
                node.start()
    writers = move_under_writers(three, "k", 8, start_again)
    assert killed and all(history is not None for w in writers for history in w.histories)
