"""Keyspaces of many partitions, from their clients' side (issue 5; O10, P3, U45; scenarios 1, 9,
10): any node takes any command, in order, also where it holds no replica; many keys, or none."""
import binascii
import random
import threading

import pytest

from cluster import CALM, Cluster, wait_for
from loadgen import LoadGenerator
from resp import Error, as_row, as_text, encode

PARTITIONS = 8
CROSSSLOT = (f"CROSSSLOT Keys in request don't hash to the same slot (keyspace 'parts' has "
             f"{PARTITIONS} partitions: give the keys one {{tag}}), the command was not applied")


def create(cluster, name, *options):
    """Made, and every node can write to all of it."""
    cluster.nodes[0].call("KEYSPACE", "CREATE", name, "STRATEGY", "raft", *options, timeout=20)
    for node in cluster.nodes:
        def serves(node=node):
            with node.connect() as connection:
                try:
                    connection.call("SELECT", name)
                    return connection.call("DBSIZE") >= 0
                except Error:
                    return False
        wait_for(serves, f"node {node.number} serves {name}", 20)


@pytest.fixture(scope="module")
def four():
    """Four nodes, three replicas each: every node is without a replica of some."""
    with Cluster(4, CALM) as cluster:
        create(cluster, "parts", "PARTITIONS", PARTITIONS, "REPLICAS", 3)
        create(cluster, "routed", "PARTITIONS", 4, "PREFIX", "routed:")
        yield cluster


def selected(node, keyspace="parts", version=2):
    connection = node.connect()
    if version == 3:
        connection.call("HELLO", 3)
    assert connection.call("SELECT", keyspace) == "OK"
    return connection


def flush(cluster, keyspace="parts"):
    with selected(cluster.nodes[0], keyspace) as connection:
        assert connection.call("FLUSHALL") == "OK"


def as_set(keys):
    return {bytes(key) for key in keys}


# --- Order --------------------------------------------------------------------------------------

def test_pipelines_over_partitions_keep_their_order(four):
    """Replies come in order, and each read sees the writes before it, from any node (S1 to S3)."""
    flush(four)
    for node in four.nodes:
        with selected(node) as connection:
            rng = random.Random(node.number)
            model, expected, out = {}, [], []
            for i in range(2000):
                key = b"%d:%d" % (node.number, rng.randrange(200))
                if rng.random() < 0.5:
                    model[key] = b"%d" % i
                    out.append(encode("SET", key, model[key]))
                    expected.append("OK")
                else:
                    out.append(encode("GET", key))
                    expected.append(model.get(key))
            connection.send_raw(b"".join(out))
            assert [connection.read() for _ in expected] == expected


def test_one_node_sees_what_another_wrote(four):
    flush(four)
    writers = [selected(node) for node in four.nodes]
    for i in range(200):
        assert writers[i % 4].call("SET", f"k{i}", i) == "OK"
        assert writers[(i + 1) % 4].call("GET", f"k{i}") == b"%d" % i
    for writer in writers:
        writer.close()


# --- Several keys -------------------------------------------------------------------------------

def test_keys_of_one_tag_go_together_and_others_are_refused_U45(four):
    flush(four)
    for node in four.nodes:
        with selected(node) as connection:
            assert connection.call("MSET", "{t}a", 1, "{t}b", 2) == "OK"
            assert connection.call("MGET", "{t}a", "{t}b") == [b"1", b"2"]
            assert connection.call("RENAME", "{t}a", "{t}c") == "OK"
            for words in (("MSET", "a", 1, "b", 2), ("DEL", "a", "b", "c"), ("RENAME", "a", "b"),
                          ("COPY", "a", "b"), ("EXISTS", "a", "b")):
                with pytest.raises(Error) as caught:
                    connection.call(*words)
                assert str(caught.value) == CROSSSLOT
            assert connection.call("DBSIZE") == 2  # and nothing of it was done


def test_databases_are_keyspace_0s_K5(four):
    with selected(four.nodes[1]) as connection:
        for words in (("MOVE", "a", 1), ("SWAPDB", 0, 1), ("COPY", "{t}a", "{t}b", "DB", 1)):
            with pytest.raises(Error, match="keyspace 'parts' has one database: "):
                connection.call(*words)


# --- None ---------------------------------------------------------------------------------------

def test_commands_without_keys_are_of_all_partitions_K4(four):
    flush(four)
    with selected(four.nodes[3]) as connection:
        assert connection.call("RANDOMKEY") is None
        model = {b"key:%d" % i for i in range(500)}
        connection.send_raw(b"".join(encode("SET", key, "v") for key in model) + encode("DBSIZE"))
        assert [connection.read() for _ in model] == ["OK"] * len(model)
        assert connection.read() == len(model)  # pipelined behind its writes (G1)
        assert as_set(connection.call("KEYS", "*")) == model
        assert as_set(connection.call("KEYS", "key:1?")) == {b"key:1%d" % i for i in range(10)}
        assert bytes(connection.call("RANDOMKEY")) in model
        assert connection.call("WAIT", 1, 5000) >= 1
        connection.send_raw(encode("SET", "before", 1) + encode("FLUSHALL") +
                            encode("SET", "behind", 1) + encode("KEYS", "*"))
        assert [connection.read() for _ in range(3)] == ["OK"] * 3
        assert as_set(connection.read()) == {b"behind"}
    with four.nodes[0].connect() as other:
        assert other.call("SET", "plain", 1) == "OK"
        with selected(four.nodes[0]) as connection:
            connection.call("FLUSHALL")
        assert other.call("GET", "plain") == b"1"  # other keyspaces are left alone


def test_scan_finds_all_that_was_there_while_others_write_G4(four):
    flush(four)
    stays = {b"stays:%d" % i for i in range(3000)}
    with selected(four.nodes[0]) as connection:
        connection.send_raw(b"".join(encode("SET", key, "v") for key in stays))
        assert [connection.read() for _ in stays] == ["OK"] * len(stays)
    over = threading.Event()

    def churn():
        with selected(four.nodes[1]) as connection:
            while not over.is_set():
                names = [b"comes:%d" % random.randrange(2000) for _ in range(50)]
                connection.send_raw(b"".join(encode("SET", n, "v") + encode("DEL", n)
                                             for n in names))
                for _ in range(100):
                    connection.read()

    churner = threading.Thread(target=churn)
    churner.start()
    try:
        found, cursor = set(), b"0"
        scanners = [selected(node) for node in four.nodes]  # a cursor means the same everywhere
        for i in range(100000):
            cursor, keys = scanners[i % 4].call("SCAN", cursor, "COUNT", 100)
            found |= as_set(keys)
            assert 0 <= int(cursor) < 1 << 53
            if cursor == b"0":
                break
        for scanner in scanners:
            scanner.close()
    finally:
        over.set()
        churner.join()
    assert stays <= found
    assert all(key.startswith((b"stays:", b"comes:")) for key in found)


# --- Which keyspace -----------------------------------------------------------------------------

@pytest.mark.parametrize("version", [2, 3])
def test_select_by_name_and_by_id(four, version):
    node = four.nodes[2]
    with selected(node, "parts", version) as connection:
        assert connection.call("SET", "where", "parts") == "OK"
        line = connection.call("CLIENT", "INFO")
        text = bytes(line).decode() if isinstance(line, bytes) else str(line)
        assert " ks=parts" in text and " db=16 " in text
        assert connection.call("SELECT", 0) == "OK"
        assert connection.call("GET", "where") is None
        assert connection.call("SELECT", 16) == "OK"
        assert connection.call("GET", "where") == b"parts"
        for wrong, words in (("nothing", "ERR value is not an integer or out of range"),
                             ("999", "ERR DB index is out of range")):
            with pytest.raises(Error) as caught:
                connection.call("SELECT", wrong)
            assert str(caught.value) == words
        assert connection.call("GET", "where") == b"parts"  # still where it was
        connection.call("RESET")
        assert connection.call("GET", "where") is None


def test_prefixes_route_keys_of_keyspace_0_K1(four):
    flush(four, "routed")
    with four.nodes[1].connect() as plain, selected(four.nodes[2], "routed") as routed:
        assert plain.call("SET", "routed:1", "a") == "OK"
        assert routed.call("GET", "routed:1") == b"a"  # under its whole name
        assert plain.call("SELECT", 5) == "OK"
        assert plain.call("GET", "routed:1") == b"a"  # whatever the database
        assert plain.call("SET", "other", "b") == "OK"
        assert routed.call("DBSIZE") == 1
        with pytest.raises(Error, match="CROSSSLOT Keys in request belong to different keyspaces"):
            plain.call("MGET", "other", "routed:1")
        with pytest.raises(Error, match="keyspace 'routed' has one database"):
            plain.call("MOVE", "routed:1", 6)
        with selected(four.nodes[0], "parts") as parts:  # the selected keyspace wins
            assert parts.call("GET", "routed:1") is None
        assert plain.call("KEYS", "routed:*") == []


def test_a_dropped_keyspace_is_gone_for_who_had_it(four):
    create(four, "brief", "ID", 99)
    with selected(four.nodes[1], "brief") as connection:
        assert connection.call("SET", "a", 1) == "OK"
        four.nodes[0].call("KEYSPACE", "DROP", "brief", "FORCE")
        with pytest.raises(Error, match="^NOKEYSPACE"):
            connection.call("GET", "a")
        create(four, "again", "ID", 99)
        with pytest.raises(Error, match="^NOKEYSPACE"):  # not into a stranger's keys
            connection.call("SET", "a", 1)
        assert connection.call("SELECT", 99) == "OK"
        assert connection.call("GET", "a") is None
    four.nodes[0].call("KEYSPACE", "DROP", "again", "FORCE")


# --- Large arguments ----------------------------------------------------------------------------

def test_large_values_go_to_their_partition_and_back(four):
    flush(four)
    value = random.Random(1).randbytes(3 << 20)
    for i, node in enumerate(four.nodes):
        with selected(node) as connection:
            assert connection.call("SET", f"large:{i}", value) == "OK"
            assert connection.call("STRLEN", f"large:{i}") == len(value)
    with selected(four.nodes[0]) as connection:
        for i in range(4):
            assert connection.call("GET", f"large:{i}") == value
        with pytest.raises(Error, match="^CROSSSLOT"):
            connection.call("MSET", "a", value, "b", value)
    flush(four)


# --- Kills --------------------------------------------------------------------------------------

def test_kills_of_nodes_lose_nothing_in_many_partitions():
    """The load's keys are routed by prefixes, so each of its pipelines is for nine partitions and
    keyspace 0 at once; each node that dies leads some of them."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    with Cluster(4) as cluster:
        create(cluster, "once", "PARTITIONS", 5, "PREFIX", "once:")
        create(cluster, "registers", "PARTITIONS", 4, "PREFIX", "register:")
        with LoadGenerator(cluster, seed=seed, rate=6000) as load:
            load.wait_for_acknowledged(300)
            for victim in random.Random(seed).choices(cluster.nodes, k=6):
                load.wait_for_flight(8)
                victim.kill()
                load.wait_for_acknowledged(300)
                victim.start()
                wait_for(victim.try_info, f"node {victim.number} is back", 15)
                cluster.wait_applied()
            summary = load.finish()
            print(summary)
            print(load.check_history())
            assert summary["acknowledged"] >= 2000
        with cluster.nodes[0].connect() as connection:
            for name in ("once", "registers"):
                connection.call("SELECT", name)
                assert connection.call("DBSIZE") > 0


def slot_of(key):
    return binascii.crc_hqx(key, 0) % 16384


def keys_on(node, keyspace, asked):
    """200 keys of partitions whose only replica the node has, and 200 others."""
    here, there = [], []
    places = [as_row(place) for place in
              as_row(asked.call("KEYSPACE", "INFO", keyspace))["placement"]]
    ranges = [(*map(int, as_text(place["slots"]).split("-")),
               as_text(place["nodes"]) == str(node.number)) for place in places]
    for i in range(4000):
        key = b"k%d" % i
        its = next(mine for first, last, mine in ranges if first <= slot_of(key) <= last)
        (here if its else there).append(key)
    return here[:200], there[:200]


def test_a_partition_that_does_not_answer_holds_up_no_other_T5():
    """Its only node is stopped, by a signal first and then for good; who asks others does not
    notice, whatever waits for it."""
    options = ["--leader-wait", "60000", "--request-timeout", "60000", *CALM]
    with Cluster(4, options) as cluster:
        create(cluster, "single", "PARTITIONS", 12, "REPLICAS", 1)
        victim = next(node for node in cluster.followers())
        asked = next(node for node in cluster.followers() if node is not victim)
        stuck, good = keys_on(victim, "single", asked)
        assert len(stuck) == len(good) == 200
        for end in (victim.pause, victim.kill):
            end()
            if not victim.paused:  # what is sent to whom is already dead has another answer
                wait_for(lambda: asked.info()["peers_up"] == "2", "its end is known")
            with selected(asked, "single") as hangs, selected(asked, "single") as goes_on:
                hangs.send_raw(b"".join(encode("SET", key, 1) for key in stuck) * 10)
                for key in good:
                    assert goes_on.call("SET", key, 1) == "OK"
                goes_on.send_raw(b"".join(encode("GET", key) for key in good))
                assert [goes_on.read() for _ in good] == [b"1"] * len(good)
                hangs.socket.setblocking(False)
                with pytest.raises(BlockingIOError):
                    hangs.socket.recv(1)
            if victim.paused:
                victim.resume()


# --- While it is being made ---------------------------------------------------------------------

class EarlyClient(threading.Thread):
    """Selects a keyspace as soon as its node knows it, and writes."""

    def __init__(self, node):
        super().__init__()
        self.node, self.seen, self.refused, self.failure = node, set(), set(), None

    def run(self):
        try:
            with self.node.connect(timeout=60) as connection:
                while True:
                    try:
                        connection.call("SELECT", "early")
                        break
                    except Error as error:
                        self.seen.add(str(error))
                for i in range(200):
                    try:
                        assert connection.call("SET", f"{self.node.number}:{i}", i) == "OK"
                    except Error as error:
                        self.refused.add(str(error))
        except Exception as error:  # told by the test, in its own thread
            self.failure = error


def test_a_keyspace_is_written_to_while_it_is_being_made():
    """Commands wait for the leaders of new partitions as they do in keyspace 0: nobody who selects
    it a moment too early is told that the cluster is down (U10, U45)."""
    options = ["--leader-wait", "30000", "--request-timeout", "60000", *CALM]
    with Cluster(3, options) as cluster:
        clients = [EarlyClient(node) for node in cluster.nodes]
        for client in clients:
            client.start()
        assert cluster.nodes[1].call("KEYSPACE", "CREATE", "early", "STRATEGY", "raft",
                                     "PARTITIONS", 100, timeout=60) == "OK"
        for client in clients:
            client.join()
            assert client.failure is None
            assert client.refused == set()
            assert all(text.startswith(("ERR value is not an integer", "LOADING "))
                       for text in client.seen)
        with selected(cluster.nodes[2], "early") as connection:
            assert connection.call("DBSIZE") == 600


def test_a_node_that_just_started_does_not_deny_a_keyspace():
    """It does not know yet which there are: LOADING, not an error in the arguments."""
    with Cluster(3) as cluster:
        create(cluster, "there", "PARTITIONS", 4)
        assert cluster.nodes[0].call("WITH", 2, "KS", "there", "SET", "k", "one") == "OK"
        for node in cluster.nodes:
            node.kill()
        first = cluster.nodes[0]
        first.start()
        wait_for(first.listens, "it listens")
        with first.connect() as connection:
            with pytest.raises(Error, match="^LOADING this node has just started"):
                connection.call("SELECT", "there")
            with pytest.raises(Error, match="^LOADING .*, the command was not applied: try again"):
                connection.call("WITH", 2, "KS", "there", "SET", "k", "two")
            assert connection.call("SELECT", 3) == "OK"
            for node in cluster.nodes[1:]:
                node.start()

            def selects():
                try:
                    return connection.call("SELECT", "there") == "OK"
                except Error as error:
                    assert str(error).startswith("LOADING ")
                    return False
            wait_for(selects, "the keyspace is known again", 30)
            cluster.wait_ready()
            assert {node.call("WITH", 2, "KS", "there", "GET", "k")
                    for node in cluster.nodes} == {b"one"}
            with pytest.raises(Error, match="^ERR value is not an integer or out of range$"):
                connection.call("SELECT", "elsewhere")
