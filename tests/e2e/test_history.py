"""Reads as of a position, READ snapshot:<position>, in keyspaces that keep their past (G15, D2)."""
import random
import re
import threading

import pytest

import behind
from cluster import CALM, Cluster, wait_for
from resp import Error, as_row, as_rows, as_text, encode

PATIENCE = ["--leader-wait", "400"]


@pytest.fixture(scope="module")
def three():
    with behind.cluster(3, [*CALM, *PATIENCE]) as cluster:
        yield cluster


def create(cluster, name, *options):
    node = cluster.nodes[0]
    assert node.call("KEYSPACE", "CREATE", name, "STRATEGY", "raft", *options, timeout=20) == "OK"
    return name


class Client:
    """A connection that has selected a keyspace."""

    def __init__(self, node, keyspace):
        self.connection = node.connect()
        assert self.connection.call("SELECT", keyspace) == "OK"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def call(self, *words):
        return self.connection.call(*words)

    def meta(self, *words):
        reply, shown = self.call("WITH", 1, "META", *words)
        return reply, as_row(shown)

    def position(self, *words):
        return as_text(self.meta(*words)[1]["position"])

    def as_of(self, position, *words):
        return self.call("WITH", 2, "READ", f"snapshot:{position}", *words)

    def refused(self, position, *words):
        with pytest.raises(Error) as found:
            self.as_of(position, *words)
        return str(found.value)


def behind_by(position, more):
    group, slot = position.split("-")
    return f"{group}-{int(slot) + more}"


def gets(node):
    row = node.info("commandstats").get("cmdstat_get", "calls=0,")
    return int(row.split("calls=")[1].split(",")[0])


def test_each_node_answers_with_what_was_G15(three):
    name = create(three, "past", "HISTORY", "60s")
    with Client(three.leader(), name) as writer:
        begin = writer.position("SET", "other", "0")
        positions = [writer.position("SET", "k", value) for value in range(20)]
        gone = writer.position("DEL", "k")
        writer.call("SET", "k", "again")
    for node in three.nodes:
        before = gets(node)
        with Client(node, name) as client:
            for value, position in enumerate(positions):
                assert client.as_of(position, "GET", "k") == b"%d" % value
                assert client.as_of(position, "STRLEN", "k") == len(str(value))
            assert client.as_of(begin, "GET", "k") is None
            assert client.as_of(begin, "MGET", "k", "other") == [None, b"0"]
            assert client.as_of(gone, "EXISTS", "k", "other") == 1
            assert client.as_of(gone, "TYPE", "k") == "none"
            assert client.call("GET", "k") == b"again"
            reply, shown = client.call("WITH", 3, "META", "READ", f"snapshot:{positions[7]}",
                                       "GETRANGE", "k", 0, 0)
            shown = as_row(shown)
            assert (reply, as_text(shown["position"])) == (b"7", positions[7])
            assert shown["replica"] == node.number
        assert gets(node) >= before + len(positions) + 1  # by itself


def test_a_position_of_a_read_is_the_state_that_it_showed(three):
    name = create(three, "shown", "HISTORY", "60s")
    with Client(three.leader(), name) as writer, Client(three.followers()[0], name) as reader:
        seen = []
        for i in range(50):
            writer.call("SET", "k", i)
            value, shown = reader.meta("GET", "k")
            seen.append((value, as_text(shown["position"])))
        for value, position in random.sample(seen, len(seen)):
            assert reader.as_of(position, "GET", "k") == value
            assert writer.as_of(position, "GET", "k") == value


def test_consistency_makes_all_reads_be_as_of_one_position_G15(three):
    name = create(three, "sticky", "HISTORY", "60s")
    with Client(three.leader(), name) as writer, Client(three.followers()[0], name) as reader:
        position = writer.position("MSET", "a", "1", "b", "1")
        writer.call("MSET", "a", "2", "b", "2")
        assert reader.call("CONSISTENCY", "READ", f"snapshot:{position}") == "OK"
        assert reader.call("MGET", "a", "b") == [b"1", b"1"]
        assert reader.call("SET", "a", "3") == "OK"  # a level is about what is read
        assert reader.call("GET", "a") == b"1"
        assert reader.call("CONSISTENCY", "RESET") == "OK"
        assert reader.call("MGET", "a", "b") == [b"3", b"2"]


def test_a_write_of_several_keys_is_seen_whole_or_not_at_all_G15(three):
    """Whatever goes on meanwhile, wherever it is asked for."""
    name = create(three, "whole", "HISTORY", "60s")
    written, stop = [], threading.Event()

    def write():
        with Client(three.leader(), name) as writer:
            for i in range(100000):
                position = writer.position("MSET", "a", i, "b", i, "c", i)
                written.append((position, b"%d" % i))
                if stop.is_set():
                    return

    thread = threading.Thread(target=write)
    thread.start()
    try:
        wait_for(lambda: len(written) > 100, "something is written")
        readers = [Client(node, name) for node in three.nodes]
        for _ in range(1500):
            position, value = random.choice(written[-1000:])
            assert random.choice(readers).as_of(position, "MGET", "a", "b", "c") == [value] * 3
    finally:
        stop.set()
        thread.join()


def test_expiry_is_that_of_then(three):
    name = create(three, "timed", "HISTORY", "60s")
    with Client(three.leader(), name) as client:
        position = client.position("SET", "k", "v", "PX", 150)
        wait_for(lambda: client.call("EXISTS", "k") == 0, "its time comes")
        late = client.position("SET", "other", "v")
    for node in three.nodes:
        with Client(node, name) as client:
            assert client.as_of(position, "GET", "k") == b"v"
            assert client.as_of(position, "PTTL", "k") == 150
            assert client.as_of(late, "GET", "k") is None


def test_what_is_too_old_says_where_the_floor_is(three):
    name = create(three, "short", "HISTORY", "60m", "HISTORY-BYTES", "64kb")
    with Client(leader_of(three, name), name) as client:
        first = client.position("SET", "k", "0")
        for i in range(1000):
            client.call("SET", "k", f"{i:0100}")
        last = client.position("SET", "k", "last")
        why = client.refused(first, "GET", "k")
        found = re.match(rf"STALE -1 position {first} is too old: the oldest that can be asked for "
                         r"is (\d+-\d+), the command was not applied", why)
        assert found, why
        assert len(client.as_of(found[1], "GET", "k")) == 100
        assert client.refused(behind_by(found[1], -1), "GET", "k").startswith("STALE ")
    with Client(three.followers()[0], name) as client:
        assert client.as_of(last, "GET", "k") == b"last"
        assert client.refused(first, "GET", "k").startswith(f"STALE -1 position {first} is too old")


def test_age_ends_what_is_kept(three):
    name = create(three, "aged", "HISTORY", "200ms")
    with Client(three.leader(), name) as client:
        first = client.position("SET", "k", "1")

        def is_gone():
            client.call("SET", "k", "2")
            try:
                assert client.as_of(first, "GET", "k") == b"1"
                return False
            except Error as error:
                assert error.kind() == "STALE"
                return True

        wait_for(is_gone, "200 ms pass in the log")


def test_what_was_overwritten_refuses_no_write(three):
    """Log time stands still where all writes are refused: what is kept would not grow old."""
    name = create(three, "full", "MAXMEMORY", "1mb", "HISTORY", "60s")
    with Client(leader_of(three, name), name) as client:
        first = client.position("SET", "k", "x")
        for _ in range(200):
            assert client.call("SET", "k", "x" * 10000) == "OK"
        assert client.as_of(first, "GET", "k") == b"x"
        with pytest.raises(Error, match="QUOTA MAXMEMORY"):
            client.call("SET", "k", "x" * 1100000)


def test_what_is_still_to_come_is_waited_for(three):
    name = create(three, "coming", "HISTORY", "60s")
    with Client(three.leader(), name) as writer:
        follower = next(node for node in three.followers() if not leads(node, name))
        writer.call("SET", "k", "1")
        with Client(follower, name) as reader, Client(follower, name) as other:
            assert reader.as_of(writer.position("SET", "k", "2"), "GET", "k") == b"2"
            with behind.held(follower):
                position = writer.position("SET", "k", "3")
                why = reader.refused(position, "GET", "k")
                assert why.startswith(f"STALE -1 position {position} did not come in time: this "
                                      "node is at "), why
                answers = []
                thread = threading.Thread(
                    target=lambda: answers.append(other.as_of(position, "GET", "k")))
                thread.start()
            thread.join()
            assert answers == [b"3"]
            far = behind_by(position, 1000000)
            for client in (reader, writer):
                assert client.refused(far, "GET", "k").startswith(
                    f"STALE -1 position {far} did not come in time: this node is at ")


def leads(node, name):
    placement = as_row(node.call("KEYSPACE", "INFO", name))["placement"]
    return any(as_row(row)["leader"] == node.number for row in placement)


def leader_of(cluster, name):
    wait_for(lambda: any(leads(node, name) for node in cluster.nodes), "it has a leader")
    return next(node for node in cluster.nodes if leads(node, name))


def test_a_read_as_of_does_not_mix_with_what_its_client_writes(three):
    """In one pipeline: what is to come waits, and nothing behind it changes what it shows."""
    name = create(three, "mixed", "HISTORY", "60s")
    leader = leader_of(three, name)
    follower = next(node for node in three.nodes if node is not leader)
    for node, times in ((leader, 50), (follower, 10)):
        with Client(node, name) as client:
            mix(client, times)


def mix(client, times):
    position = client.position("SET", "k", "0")
    for i in range(times):
        ahead = behind_by(position, 2 * i + 2)
        raw = client.connection
        raw.send_raw(b"".join(encode(*words) for words in (
            ("WITH", 2, "READ", f"snapshot:{ahead}", "GET", "k"),
            ("SET", "k", f"{i}-a"), ("SET", "k", f"{i}-b"),
            ("WITH", 2, "READ", f"snapshot:{ahead}", "GET", "k"))))
        first, a, b, last = (raw.read() for _ in range(4))
        assert (a, b) == ("OK", "OK")
        assert first == last == b"%d-b" % i


@pytest.mark.parametrize("words, expected", [
    (["WITH", 2, "READ", "snapshot", "GET", "k"],
     "ERR syntax error: READ 'snapshot': a position is told as <group>-<slot>"),
    (["WITH", 2, "READ", "snapshot:", "GET", "k"], "ERR syntax error: READ 'snapshot:'"),
    (["WITH", 2, "READ", "snapshot:4", "GET", "k"], "ERR syntax error: READ 'snapshot:4'"),
    (["WITH", 2, "READ", "snapshot:4-0", "GET", "k"], "ERR syntax error: READ 'snapshot:4-0'"),
    (["WITH", 2, "READ", "snapshot:-1-5", "GET", "k"], "ERR syntax error: READ 'snapshot:-1-5'"),
    (["WITH", 2, "READ", f"snapshot:4-{10 ** 20}", "GET", "k"], "ERR syntax error: READ "),
    (["WITH", 2, "READ", "snapshot:4000000-1", "GET", "k"],
     "ERR position 4000000-1 is of another partition than the key, whose positions begin with "),
    (["WITH", 2, "READ", "snapshot:0-1", "GET", "k"], "ERR position 0-1 is of another partition"),
    (["WITH", 2, "READ", "snapshot:4-1", "DBSIZE"], "ERR READ snapshot is for commands with keys"),
    (["WITH", 2, "READ", "snapshot:4-1", "SCAN", 0], "ERR READ snapshot is for commands with keys"),
    (["WITH", 2, "READ", "snapshot:4-1", "KEYS", "*"], "ERR READ snapshot is for commands with"),
    (["WITH", 2, "READ", "snapshot:4-1", "RANDOMKEY"], "ERR READ snapshot is for commands with"),
])
def test_forged_positions_are_refused(three, words, expected):
    names = [as_text(row["name"]) for row in as_rows(three.nodes[0].call("KEYSPACE", "LIST"))]
    if "forged" not in names:
        create(three, "forged", "HISTORY", "60s", "PARTITIONS", 4)
    for node in three.nodes:
        with Client(node, "forged") as client, pytest.raises(Error) as found:
            client.call(*words)
        assert str(found.value).startswith(expected)


def test_without_history_there_is_none(three):
    with Client(three.followers()[0], 0) as client:
        position = client.position("SET", "k", "v")
        assert client.refused(position, "GET", "k") == (
            "LEVEL keyspace 'default' keeps nothing of its past, so it does not give reads at "
            "level snapshot, the command was not applied; KEYSPACE ALTER default HISTORY 10s "
            "makes it keep the last ten seconds from then on")


def test_it_is_switched_on_and_off(three):
    """Also in keyspace 0, whose databases are kept apart."""
    node = three.leader()
    assert node.call("KEYSPACE", "ALTER", "default", "HISTORY", "60s") == "OK"
    info = as_row(node.call("KEYSPACE", "INFO", "default"))
    assert (info["history_ms"], info["history_bytes"]) == (60000, 64 << 20)
    with Client(node, 0) as client, Client(node, 3) as other:
        position = client.position("SET", "k", "1")
        other.call("SET", "k", "of 3")
        client.call("SET", "k", "2")
        assert client.as_of(position, "GET", "k") == b"1"
        assert other.as_of(position, "GET", "k") is None
        later = client.position("FLUSHALL")
        assert client.refused(position, "GET", "k").startswith("STALE ")
        client.call("SET", "k", "3")
        assert client.as_of(later, "GET", "k") is None
        assert node.call("KEYSPACE", "ALTER", "default", "HISTORY", "0") == "OK"
        info = as_row(node.call("KEYSPACE", "INFO", "default"))
        assert (info["history_ms"], info["history_bytes"]) == (0, 0)
        assert client.refused(later, "GET", "k").startswith("LEVEL ")


def dataset(node):
    return int(node.info("memory")["used_memory_dataset"])


@pytest.mark.parametrize("options", [("HISTORY", "0"), ("HISTORY-BYTES", "64kb")])
def test_what_is_to_be_forgotten_goes_although_nobody_writes(three, options):
    name = create(three, f"idle-{options[0].lower()}", "HISTORY", "60s")
    before = [dataset(node) for node in three.nodes]
    with Client(three.leader(), name) as writer:
        for i in range(3000):
            writer.call("SET", "k", f"{i}" + 1000 * "x")
    three.wait_applied()
    for node, bytes_used in zip(three.nodes, before):
        wait_for(lambda node=node, least=bytes_used + 2500000: dataset(node) > least, "it is kept")
    assert three.nodes[0].call("KEYSPACE", "ALTER", name, *options, timeout=20) == "OK"
    for node, bytes_used in zip(three.nodes, before):
        wait_for(lambda node=node, most=bytes_used + 1000000: dataset(node) < most, "it has gone")


@pytest.mark.parametrize("options, expected", [
    (["HISTORY", "long"], "ERR HISTORY is a time such as 10s up to a day, or 0 for none"),
    (["HISTORY", "25h"], "ERR HISTORY is a time"),
    (["HISTORY", "10s", "HISTORY-BYTES", "0"], "ERR HISTORY-BYTES is a number of bytes"),
    (["HISTORY-BYTES", "1mb"], "ERR HISTORY-BYTES is for keyspaces with HISTORY"),
    (["HISTORY", "10s", "HISTORY-BYTES", "100kb", "PARTITIONS", 2],
     "ERR HISTORY-BYTES 102400 is less than 65536 for each of the 2 partitions"),
])
def test_what_cannot_be_kept_is_refused(three, options, expected):
    with pytest.raises(Error) as found:
        three.nodes[0].call("KEYSPACE", "CREATE", "bad", "STRATEGY", "raft", *options)
    assert str(found.value).startswith(expected)


def test_at_a_lower_level_of_the_cluster_there_is_none():
    """Its members could not read the keyspace's record."""
    with Cluster(3, CALM, start=False) as cluster:
        for node in cluster.nodes:
            node.environment = {"QUORATE_PRETEND_LEVEL": "2"}
        cluster.start()
        with pytest.raises(Error, match="^UPGRADE these options need level 3 of the cluster"):
            create(cluster, "past", "HISTORY", "10s")
        create(cluster, "plain")


def test_what_is_kept_is_in_memory():
    """A node that was away knows what it applies again, and sends on what it does not know."""
    with Cluster(3, [*CALM, *PATIENCE, "--checkpoint-bytes", "64kb"]) as cluster:
        name = create(cluster, "past", "HISTORY", "60s")
        assert cluster.nodes[0].call("KEYSPACE", "ALTER", "default", "HISTORY", "60s") == "OK"
        with Client(cluster.leader(), 0) as client:
            position = client.position("SET", "k", "1")
            for i in range(300):
                client.call("SET", "k", f"{i:01000}")
            client.call("SET", "k", "2")
        wait_for(lambda: all(checkpointed(node) > slot_of(position) for node in cluster.nodes),
                 "it is in the checkpoints")
        again = cluster.followers()[0]
        again.kill()
        again.start()
        cluster.wait_ready()
        cluster.wait_applied()
        with Client(again, 0) as client:
            assert client.as_of(position, "GET", "k") == b"1"
        cluster.terminate_all()
        cluster.start()
        cluster.wait_ready()
        with Client(cluster.leader(), 0) as client:
            wait_for(lambda: client.call("GET", "k") == b"2", "it serves again")
            assert client.refused(position, "GET", "k").startswith(
                f"STALE -1 position {position} is too old: ")
            now = client.position("SET", "k", "3")
            client.call("SET", "k", "4")
            assert client.as_of(now, "GET", "k") == b"3"
        with Client(leader_of(cluster, name), name) as client:  # what it keeps is kept again
            now = client.position("SET", "k", "3")
            client.call("SET", "k", "4")
            assert client.as_of(now, "GET", "k") == b"3"


def slot_of(position):
    return int(position.split("-")[1])


def checkpointed(node):
    return int(node.info()["checkpoint_slot"])


def test_a_node_that_knows_no_keyspaces_yet_does_not_say_that_there_is_no_past():
    """The prefix of a key leads to a keyspace of which it will learn when it hears a leader."""
    with Cluster(3, [*CALM, *PATIENCE]) as cluster:
        create(cluster, "past", "PREFIX", "past:", "HISTORY", "60s")
        _, shown = cluster.nodes[0].call("WITH", 1, "META", "SET", "past:k", "1")
        position = as_text(as_row(shown)["position"])
        cluster.kill_all()
        cluster.nodes[0].start()
        wait_for(cluster.nodes[0].listens, "it listens")
        with pytest.raises(Error) as refused:
            cluster.nodes[0].call("WITH", 2, "READ", f"snapshot:{position}", "GET", "past:k")
        assert refused.value.kind() in {"TRYAGAIN", "LOADING", "CLUSTERDOWN", "STALE"}
