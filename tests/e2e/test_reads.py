"""Who serves a read at a node that does not lead: linearizable reads by index, the order of a
pipeline that mixes levels (stream.h S1, S2), and what is shown right after a start."""
import random
import time

import pytest

import behind
from cluster import CALM, Cluster, PATIENCE, ask, wait_for
from resp import Closed, Connection, Error, encode

KEPT = ["--checkpoint-bytes", "256kb", "--log-segment-bytes", "256kb", "--log-reserve-bytes", "0"]


@pytest.fixture(scope="module")
def three():
    with behind.cluster(3, CALM) as cluster:
        yield cluster


def calls(node):
    row = node.info("commandstats").get("cmdstat_get", "calls=0,")
    return int(row.split("calls=")[1].split(",")[0])


def answered_here(node, key):
    before = calls(node)
    node.call("GET", key)
    return calls(node) == before + 1


def test_a_follower_answers_linearizable_reads_and_shows_what_was_acknowledged_G1(three):
    leader, followers = three.leader(), three.followers()
    ask(leader, "SET", "shown", 0)
    wait_for(lambda: all(answered_here(node, "shown") for node in followers),
             "both answer by themselves")
    here = sum(calls(node) for node in followers)
    with leader.connect() as writer:
        readers = [node.connect() for node in followers]
        for i in range(1, 401):
            assert writer.call("SET", "shown", i) == "OK"
            assert [reader.call("GET", "shown") for reader in readers] == [b"%d" % i] * 2
        for reader in readers:
            reader.close()
    assert sum(calls(node) for node in followers) > here + 400


def test_a_leader_shows_under_its_lease_what_a_follower_has_shown_G1():
    """It has committed it, and for some reason not applied it yet: a slow disk, too much to do."""
    with behind.cluster(3, [*CALM, "--read-mode", "lease"]) as cluster:
        leader, follower = cluster.leader(), cluster.followers()[0]
        ask(leader, "SET", "ahead", 1)
        with leader.connect() as writer, leader.connect() as reader, follower.connect() as other:
            for i in range(2, 7):
                with behind.held(leader):
                    assert reader.call("GET", "ahead") == b"%d" % (i - 1)  # there is a lease again
                    writer.send("SET", "ahead", i)
                    while other.call("GET", "ahead") != b"%d" % i:
                        pass
                    reader.send("GET", "ahead")
                    time.sleep(0.02)
                assert reader.read() == b"%d" % i
                assert writer.read() == "OK"


def test_one_that_is_held_behind_leaves_them_to_the_leader_G1(three):
    leader, follower = three.leader(), three.followers()[0]
    ask(leader, "SET", "held", 1)
    wait_for(lambda: answered_here(follower, "held"), "it answers by itself")
    with behind.held(follower):
        assert ask(leader, "SET", "held", 2) == "OK"
        began = time.monotonic()
        for _ in range(50):
            assert ask(follower, "GET", "held") == b"2"
        assert time.monotonic() - began < 2 * PATIENCE  # it waits for the first, not for each
    wait_for(lambda: answered_here(follower, "held"), "it answers by itself again", 20)


def test_a_key_that_is_due_is_gone_and_the_leader_tells_how_long_it_lives_E(three):
    leader, follower = three.leader(), three.followers()[0]
    earliest = time.monotonic() + 0.3
    ask(leader, "SET", "mortal", 1, "PX", 300)
    gone = time.monotonic() + 0.3
    assert 0 < ask(follower, "PTTL", "mortal") <= 300
    while time.monotonic() < gone + 0.1:
        asked = time.monotonic()
        value = ask(follower, "GET", "mortal")
        assert value == b"1" or time.monotonic() >= earliest - 0.02
        assert value is None or asked < gone + 0.02


# --- Pipelines that mix levels --------------------------------------------------------------------

LEVELS = {"strong": [], "session": ["WITH", 2, "READ", "session"],
          "bounded": ["WITH", 2, "READ", "bounded:1"], "ops": ["WITH", 2, "READ", "bounded:5ops"],
          "local": ["WITH", 2, "READ", "local"], "prefix": ["WITH", 2, "READ", "prefix"]}


def mixed_pipeline(rng, key, written, length):
    """Commands, and for each read its level and how many writes of its client came before it."""
    commands, reads = [], []
    for _ in range(length):
        if rng.random() < 0.3:
            written += 1
            commands.append(encode("SET", key, written))
            reads.append(None)
        else:
            level = rng.choice(list(LEVELS))
            commands.append(encode(*LEVELS[level], "GET", key))
            reads.append((level, written))
    return b"".join(commands), reads, written


def judge(reads, replies):
    newest = {"strong": 0, "session": 0}
    for read, reply in zip(reads, replies):
        if read is None:
            assert reply == "OK"
            continue
        level, written = read
        shown = int(reply)
        assert shown <= written, (level, "shows its client's later write", shown, written)
        if level in ("strong", "session"):
            assert shown == written, (level, "lacks its client's own write", shown, written)
        if level in newest:
            assert shown >= newest[level], (level, "goes back", shown, newest[level])
            newest[level] = shown


@pytest.mark.parametrize("seed", range(4))
def test_no_read_of_a_pipeline_shows_a_later_write_of_its_client_S1_S2(three, seed):
    rng = random.Random(seed)
    follower = three.followers()[seed % 2]
    key, written, count = f"mixed:{seed}", 0, 0
    ask(follower, "SET", key, 0)
    three.wait_applied()
    with follower.connect() as client:
        for _ in range(150):
            data, reads, written = mixed_pipeline(rng, key, written, rng.randrange(1, 30))
            for part in split(rng, data):
                client.send_raw(part)
            judge(reads, [client.read() for _ in reads])
            count += len(reads)
    assert count > 1000


def split(rng, data):
    """Now and then in two, so that a turn of the node ends in the middle."""
    if rng.random() < 0.5:
        return [data]
    at = rng.randrange(len(data))
    return [data[:at], data[at:]]


# --- Right after a start --------------------------------------------------------------------------


def shown_after_start(node):
    """The value, or None where it says that it cannot tell."""
    try:
        with Connection(node.port, timeout=2) as connection:
            return connection.call("WITH", 4, "READ", "local", "TIMEOUT", 300, "GET", "last"), True
    except (OSError, Closed):
        return None, False
    except Error as error:
        assert error.kind() in ("STALE", "CLUSTERDOWN", "LOADING"), error
        return None, False


def test_after_a_restart_of_all_a_local_read_lacks_nothing_that_was_acknowledged_G4():
    with Cluster(3, options=KEPT) as cluster:
        for turn in range(3):
            with cluster.leader().connect(timeout=60) as client:
                replies = client.pipeline([("SET", f"fill:{i}", "v" * 500) for i in range(1500)])
                assert replies == ["OK"] * 1500
            assert ask(cluster.leader(), "SET", "last", turn) == "OK"
            cluster.kill_all()
            for node in cluster.nodes:
                node.start()
            left, until = set(cluster.nodes), time.monotonic() + 20 * PATIENCE
            while left and time.monotonic() < until:
                for node in list(left):
                    value, told = shown_after_start(node)
                    assert not told or value == b"%d" % turn, (node.number, value)
                    left -= {node} if told else set()
            assert not left
            cluster.wait_ready()
