"""Every error says whether its write happened (D9; scenarios 69, 74): the table in docs/errors.md
has each code of the source, a test provokes each, and what its class says is true."""
import os
import re
import threading

import pytest

from cluster import CALM, Cluster, wait_for
from resp import Closed, Connection, Error

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLASSES = {"not applied", "uncertain", "elsewhere", "conflict"}
CODE = re.compile(r'"-?([A-Z]{3,}) (?=[a-z0-9%\'-]|[A-Z][a-z ])[^"]*"')
# Words in capitals that begin a text and are no codes.
WORDS = {"ADDR", "EACH", "LEADERWINDOW", "MAXMEMORY", "MAXOPS", "MEMBER", "PXAT", "RESET", "RESP",
         "SELECT", "SESSION", "STATUS", "CLUSTER", "KEYSPACE", "DONE", "REPLICAS", "APPENDFSYNC",
         "HISTORY", "MAXLAG"}
# Which test sees each of them, with what became of the write. Here, or in another file.
PROVOKED = {
    "ERR": "errors::test_not_applied_is_true",
    "BADTOKEN": "sessions::test_a_bad_token_with_a_command_is_refused_and_nothing_applied",
    "CLUSTERDOWN": "errors::test_without_a_leader_nothing_is_applied",
    "CROSSSLOT": "errors::test_not_applied_is_true",
    "DENIED": "bad_input::test_protected_mode",
    "IDMPFULL": "unit/engine/idempotency",
    "IDMPMISMATCH": "unit/engine/idempotency",
    "LEVEL": "errors::test_not_applied_is_true",
    "LOADING": "partitions::test_a_node_that_just_started_does_not_deny_a_keyspace",
    "MOVED": "errors::test_moved_is_not_applied_here",
    "NOAUTH": "bad_input::test_requirepass",
    "NOKEYSPACE": "errors::test_not_applied_is_true_of_what_depends_on_others",
    "NOPROTO": "errors::test_not_applied_is_true",
    "NOQUORUM": "facades::test_without_a_quorum_all_say_so",
    "NOREPLICAS": "primary_failures::"
                  "test_scenario_71_too_few_followers_is_said_before_anything_is_executed",
    "NOSPACE": "disk::test_scenario_56_full_disk",
    "QUOTA": "errors::test_not_applied_is_true_of_what_depends_on_others",
    "REMOVED": "members::test_scenario_29_remove_the_leader_under_load_and_it_stops_serving",
    "SESSIONLOST": "sessions::test_what_a_group_has_lost_is_told_and_no_older_state_shown",
    "STALE": "unit/node/router_timeout",
    "THROTTLED": "acks::test_what_waits_for_a_zone_that_is_cut_off_is_bounded",
    "TRYAGAIN": "errors::test_without_a_leader_nothing_is_applied",
    "UNCERTAIN": "errors::test_what_is_uncertain_is_applied_or_not",
    "UNSAFE": "errors::test_not_applied_is_true",
    "UPGRADE": "peer::test_a_peer_of_version_2_gets_nothing_in_parts",
    "WRONGPASS": "bad_input::test_requirepass",
}


def text_of(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def codes_of_source():
    found = set()
    for area in ("base", "cluster", "command", "engine", "node"):
        for directory, _, files in os.walk(os.path.join(ROOT, "src", area)):
            for name in files:
                if name.endswith((".c", ".h", ".def")):
                    found |= set(CODE.findall(text_of(directory, name)))
    return found - WORDS


def rows():
    section = text_of("docs", "errors.md").partition("## Codes")[2].partition("\n## ")[0]
    cells = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {row[0].strip("| `"): row[1] for row in cells}


def test_each_code_has_a_row_and_a_class():
    table = rows()
    assert set(table.values()) <= CLASSES
    assert codes_of_source() - set(table) == set(), "codes without a row in docs/errors.md"
    assert set(table) - codes_of_source() == set(), "rows whose code nobody says"


def test_each_code_is_provoked_by_a_test():
    assert set(PROVOKED) == set(rows())
    for code, place in PROVOKED.items():
        area, _, name = place.partition("::")
        path = f"tests/{area}_test.c" if place.startswith("unit/") else f"tests/e2e/test_{area}.py"
        text = text_of(path)
        assert code in text, f"{path} says nothing of {code}"
        if not place.startswith("unit/"):
            assert f"def {name}(" in text, f"{path} has no {name}"


def test_what_statuses_promise_is_their_codes_class():
    """STATUS(tag, NAME, retryable, surely_not_applied, "text")."""
    table = rows()
    source = text_of("src/base/status.def")
    statuses = re.findall(r'^STATUS\(\d+, (\w+), \w+, (\w+), "(\w+)', source, re.M)
    assert len(statuses) > 25
    for name, not_applied, code in statuses:
        if name != "OK":
            assert (table[code] != "uncertain") == (not_applied == "true"), name


# --- Seen ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def three():
    with Cluster(3, CALM, cluster_ports=True) as cluster:
        for words in ("parts PARTITIONS 8", "tight MAXOPS 1", "used", "gone"):
            assert cluster.leader().call("KEYSPACE", "CREATE", *words.split()[:1], "STRATEGY",
                                         "raft", *words.split()[1:], timeout=20) == "OK"
        yield cluster


def refusal(node, *commands):
    """Of the last one."""
    with node.connect(timeout=20) as client:
        for words in commands[:-1]:
            assert client.call(*words) == "OK"
        with pytest.raises(Error) as found:
            client.call(*commands[-1])
        return found.value


def everywhere(cluster, key):
    """What all nodes have under a key, each for itself and as the leader says."""
    cluster.wait_applied()
    return {value for node in cluster.nodes for value in (
        node.call("GET", key), node.call("WITH", 2, "READ", "local", "GET", key))}


@pytest.mark.parametrize("code, commands", [
    ("ERR", [("INCR", "kept")]),
    ("ERR", [("SET", "kept", "2", "EX", "0")]),
    ("ERR", [("WITH", 2, "ACK", "SOME", "SET", "kept", "2")]),
    ("ERR", [("NOSUCH", "kept")]),
    ("LEVEL", [("WITH", 2, "ACK", "ALL", "SET", "kept", "2")]),
    ("LEVEL", [("WITH", 2, "FALLBACK", "async", "SET", "kept", "2")]),
    ("LEVEL", [("WITH", 2, "READ", "causal", "SET", "kept", "2")]),
    ("NOPROTO", [("HELLO", "4")]),
    ("CROSSSLOT", [("SELECT", "parts"), ("MSET", "kept", "2", "other", "2")]),
    ("UNSAFE", [("SELECT", "used"), ("KEYSPACE", "DROP", "used")]),
])
def test_not_applied_is_true(three, code, commands):
    assert rows()[code] == "not applied"
    assert three.leader().call("SET", "kept", "one") == "OK"
    for node in (three.leader(), three.followers()[0]):
        assert refusal(node, *commands).kind() == code
    assert everywhere(three, "kept") == {b"one"}
    for name in ("parts", "used"):
        with three.leader().connect() as client:
            assert client.call("SELECT", name) == "OK"
            assert client.call("DBSIZE") == 0


def test_not_applied_is_true_of_what_depends_on_others(three):
    """QUOTA: what was taken is there, what was refused is not, and leaves no doubt in a session.
    NOKEYSPACE."""
    with three.followers()[0].connect() as client, three.leader().connect() as other:
        assert client.call("SELECT", "tight") == "OK"
        taken, refused = set(), set()
        for i in range(30):
            try:
                client.call("SET", f"k{i}", "v")
                taken.add(i)
            except Error as error:
                assert error.kind() == "QUOTA", error
                refused.add(i)
        assert refused
        assert dict(zip(*[iter(client.call("SESSION", "SHOW"))] * 2))[b"open"] == b"no"
        assert other.call("KEYSPACE", "ALTER", "tight", "MAXOPS", 0) == "OK"
        wait_for(lambda: value(client, "k0") is not False, "the quota is gone")
        assert {i for i in range(30) if client.call("GET", f"k{i}") == b"v"} == taken
        assert client.call("SELECT", "gone") == "OK"
        assert three.leader().call("KEYSPACE", "DROP", "gone", "FORCE", timeout=20) == "OK"
        wait_for(lambda: value(client, "k") is False, "it is gone")
        assert three.leader().call("SET", "kept", "one") == "OK"
        with pytest.raises(Error, match="^NOKEYSPACE .* not applied"):
            client.call("SET", "kept", "2")
        assert everywhere(three, "kept") == {b"one"}  # nor in the keyspace that is left


def value(client, key):
    try:
        return client.call("GET", key)
    except (Error, OSError):
        return False


def test_moved_is_not_applied_here(three):
    assert three.leader().call("SET", "kept", "one") == "OK"
    follower = three.followers()[0]
    with Connection(follower.cluster_port) as client:
        with pytest.raises(Error, match="^MOVED") as moved:
            client.call("SET", "kept", "2")
    assert everywhere(three, "kept") == {b"one"}
    port = int(str(moved.value).rpartition(":")[2])
    with Connection(port) as client:  # where it says
        assert client.call("SET", "kept", "2") == "OK"


# --- Uncertain -----------------------------------------------------------------------------------

def lone_write(cluster, key):
    """A write that its leader alone has: it must not be called failed (scenario 74). Returns the
    leader."""
    for _ in range(5):
        leader = cluster.leader()
        assert leader.call("SET", key, "one") == "OK"
        cluster.wait_applied()
        with leader.connect() as client:
            for node in cluster.followers():
                node.kill()
            try:
                client.call("WITH", 2, "TIMEOUT", 300, "SET", key, "two")
            except Error as error:
                if error.kind() == "UNCERTAIN":
                    return leader
                assert rows()[error.kind()] == "not applied"
        for node in cluster.nodes:
            if not node.running():
                node.start()
        cluster.wait_ready()
        assert everywhere(cluster, key) == {b"one"}
    pytest.fail("nothing was proposed")


@pytest.mark.parametrize("applied", [True, False])
def test_what_is_uncertain_is_applied_or_not(applied):
    assert rows()["UNCERTAIN"] == "uncertain"
    with Cluster(3, CALM) as cluster:
        leader = lone_write(cluster, "k")
        others = [node for node in cluster.nodes if node is not leader]
        if not applied:
            leader.kill()  # and with it the only one that knows of the write
        for node in others:
            node.start()
        wait_for(lambda: value(others[0], "k") is not False, "somebody leads", 30)
        if not applied:
            assert others[0].call("GET", "k") == b"one"
            leader.start()
        cluster.wait_ready()
        expected = b"two" if applied else b"one"
        wait_for(lambda: everywhere(cluster, "k") == {expected}, "all have the same", 30)


def test_without_a_leader_nothing_is_applied():
    with Cluster(3, [*CALM, "--leader-wait", "700"]) as cluster:
        assert cluster.leader().call("SET", "k", "one") == "OK"
        cluster.wait_applied()
        last = cluster.followers()[0]
        for node in cluster.nodes:
            if node is not last:
                node.kill()

        def kind_of(*words):
            return refusal(last, words).kind()
        wait_for(lambda: kind_of("SET", "other", "two") == "CLUSTERDOWN", "nobody leads", 20)
        assert kind_of("SET", "k", "two") == "CLUSTERDOWN"
        assert kind_of("WITH", 2, "TIMEOUT", 50, "SET", "k", "two") == "TRYAGAIN"
        assert kind_of("WAIT", 1, 100) == "CLUSTERDOWN"
        for node in cluster.nodes:
            if node is not last:
                node.start()
        cluster.wait_ready()
        assert everywhere(cluster, "k") == {b"one"}


# --- All of them under kills ---------------------------------------------------------------------


class Counter:
    """Counts up a key of its own at all nodes in turn, and keeps what each answer says."""

    def __init__(self, cluster, key, words):
        self.cluster, self.key, self.words = cluster, key, words
        self.applied = self.unsure = self.refused = 0
        self.wrong, self.stop = [], threading.Event()
        self.classes = rows()

    def run(self):
        turn = 0
        while not self.stop.is_set():
            node = self.cluster.nodes[turn % 3]
            turn += 1
            try:
                with node.connect(timeout=20) as client:
                    self.count(client)
            except (OSError, Closed):
                self.stop.wait(0.01)

    def count(self, client):
        for _ in range(50):
            if self.stop.is_set():
                return
            try:
                value = client.call(*self.words, "INCR", self.key)
            except Error as error:
                kind = self.classes.get(error.kind(), f"no row: {error}")
                self.refused += kind == "not applied"
                self.unsure += kind == "uncertain"
                if kind not in ("not applied", "uncertain"):
                    self.wrong.append(str(error))
                return
            except (OSError, Closed):
                self.unsure += 1  # a connection that ends says nothing
                raise
            self.applied += 1
            if not self.applied <= value <= self.applied + self.unsure:
                self.wrong.append((value, self.applied, self.unsure))


@pytest.mark.parametrize("words", [(), ("WITH", 4, "ACK", "EACH zone", "TIMEOUT", 400)])
def test_scenario_74_what_all_errors_say_adds_up_while_leaders_are_killed(words):
    with Cluster(3) as cluster:
        for node, zone in zip(cluster.nodes, "abb"):
            assert cluster.leader().call("MEMBER", "SET", node.number, "ZONE", zone) == "OK"
        counters = [Counter(cluster, f"c{i}", words) for i in range(4)]
        threads = [threading.Thread(target=counter.run) for counter in counters]
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                victim = cluster.leader()
                wait_for(lambda before=sum(c.applied for c in counters):
                         sum(c.applied for c in counters) > before + 200, "they count", 20)
                victim.kill()
                wait_for(lambda victim=victim: cluster.find_leader() not in (None, victim),
                         "another one leads", 20)
                victim.start()
        finally:
            for counter in counters:
                counter.stop.set()
            for thread in threads:
                thread.join()
        cluster.wait_ready()
        assert sum(counter.unsure + counter.refused for counter in counters) > 0
        for counter in counters:
            assert counter.wrong == []
            value = int(cluster.leader().call("GET", counter.key))
            assert counter.applied <= value <= counter.applied + counter.unsure, vars(counter)
