"""What a request may ask for beside its command: TIMEOUT, KS, defaults of keyspaces (D3, G16, U3,
scenario 69)."""
import time

import pytest

from cluster import CALM, Cluster, wait_for
from resp import Connection, Error, as_text, encode
from test_snapshots import SHORT, fill, number

LATE = "TRYAGAIN not applied, its TIMEOUT has passed"


@pytest.fixture(scope="module")
def three():
    with Cluster(3, CALM, cluster_ports=True) as cluster:
        yield cluster


def refusal(client, *words):
    with pytest.raises(Error) as found:
        client.call(*words)
    return str(found.value)


def shown(client):
    told = client.call("CONSISTENCY", "SHOW")
    if isinstance(told, dict):  # RESP3
        return {as_text(key): value for key, value in told.items()}
    return {as_text(told[i]): told[i + 1] for i in range(0, len(told), 2)}


# --- TIMEOUT -------------------------------------------------------------------------------------


def test_a_timeout_that_is_long_enough_changes_nothing(three):
    for node in three.nodes:
        with node.connect() as client:
            assert client.call("WITH", 2, "TIMEOUT", 5000, "SET", "t", node.number) == "OK"
            assert client.call("CONSISTENCY", "TIMEOUT", 5000) == "OK"
            for i in range(100):
                client.send_raw(encode("INCR", f"t:{node.number}") + encode("GET", "t"))
            for i in range(100):
                assert [client.read(), client.read()] == [i + 1, b"%d" % node.number]


def test_without_a_majority_each_request_has_its_own_time():
    with Cluster(3, [*CALM, "--leader-wait", "20000", "--request-timeout", "20000"]) as three:
        leader = three.leader()
        assert leader.call("SET", "kept", "1") == "OK"
        assert leader.call("KEYSPACE", "CREATE", "parts", "STRATEGY", "raft", "PARTITIONS", 4,
                           timeout=20) == "OK"
        three.wait_applied()
        last = three.followers()[0]
        wait_for(lambda: last.call("WITH", 2, "READ", "local", "GET", "kept") == b"1", "it heard")
        for node in three.nodes:
            if node is not last:
                node.kill()
        began = time.monotonic()
        with last.connect() as client, last.connect() as other:
            other.send_raw(encode("GET", "kept"))
            # What was on its way to the leader may be uncertain; what waits now is not applied.
            refused = refusal(client, "WITH", 2, "TIMEOUT", 300, "SET", "kept", "2")
            assert refused.startswith(("UNCERTAIN ", LATE))
            wait_for(lambda: refusal(client, "WITH", 2, "TIMEOUT", 50, "SET", "kept", "2") == LATE,
                     "nobody leads")
            assert refusal(client, "WITH", 2, "TIMEOUT", 100, "GET", "kept") == LATE
            assert refusal(client, "WITH", 4, "TIMEOUT", 100, "READ", "leader", "GET",
                           "kept") == LATE
            assert client.call("WITH", 4, "READ", "local", "TIMEOUT", 100, "GET", "kept") == b"1"
            assert client.call("CONSISTENCY", "TIMEOUT", 100) == "OK"
            client.send_raw(b"".join(encode("GET", f"k{i}") for i in range(500)))
            for _ in range(500):
                assert str(client.read()) == LATE
            assert refusal(client, "WITH", 2, "TIMEOUT", 200, "DBSIZE") == LATE
            assert client.call("SELECT", "parts") == "OK"
            assert refusal(client, "DBSIZE").startswith(LATE)  # of the first partition
            assert client.call("SELECT", 0) == "OK"
            assert time.monotonic() - began < 15
            for node in three.nodes:
                if node is not last:
                    node.start()
            assert other.read() == b"1"  # it has waited for the next leader
            wait_for(lambda: client.call("CONSISTENCY", "RESET") and
                     client.call("GET", "kept") == b"1", "there is a leader again", 30)


def test_a_leader_without_followers_gives_up_in_time():
    """It leads until it notices: what it has proposed is uncertain, what it has not is not."""
    with Cluster(3, [*CALM, "--request-timeout", "20000"]) as three:
        leader = three.leader()
        assert leader.call("SET", "kept", "1") == "OK"
        with leader.connect() as client:
            for node in three.followers():
                node.pause()
            began = time.monotonic()
            assert refusal(client, "WITH", 2, "TIMEOUT", 100, "SET", "kept", "2").startswith(
                ("UNCERTAIN ", LATE))
            assert refusal(client, "WITH", 2, "TIMEOUT", 100, "GET", "kept") == LATE
            assert time.monotonic() - began < 5
            for node in three.followers():
                node.resume()


def test_options_that_come_again_are_counted_anew(three):
    """What is known by its bytes is not read again; its time begins with each command."""
    with three.followers()[0].connect() as client:
        for _ in range(8):
            assert client.call("WITH", 3, "META", "TIMEOUT", 400, "SET", "again", "1")[0] == "OK"
            assert client.call("WITH", 3, "META", "TIMEOUT", 400, "GET", "again")[0] == b"1"
            assert client.call("GET", "again") == b"1"
            time.sleep(0.1)


def test_keyspace_0_has_a_default_too(three):
    """Here while nothing has a prefix, so that no key need be looked at for its way."""
    leader, node = three.leader(), three.followers()[0]
    assert leader.call("SET", "zero", "1") == "OK"
    assert node.call("KEYSPACE", "ALTER", "0", "READ", "prefix") == "OK"
    three.wait_applied()
    try:
        wait_for(lambda: told(node, "0")[0] == b"prefix", "it has heard")
        here, there = calls(node), calls(leader)
        assert node.call("GET", "zero") == b"1"
        with Connection(node.cluster_port) as client:
            assert client.call("GET", "zero") == b"1"
            with pytest.raises(Error, match="^MOVED "):
                client.call("WITH", 2, "READ", "linearizable", "GET", "zero")
        assert (calls(node), calls(leader)) == (here + 2, there)
    finally:
        assert node.call("KEYSPACE", "ALTER", "0", "READ", "linearizable") == "OK"


# --- KS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keyspaces(three):
    node = three.nodes[0]
    for words in (["bank", "ID", 17, "PARTITIONS", 8], ["cart", "ID", 18, "PREFIX", "cart:"]):
        assert node.call("KEYSPACE", "CREATE", words[0], "STRATEGY", "raft", *words[1:],
                         timeout=20) == "OK"
    for node in three.nodes:  # all know of them, and of the prefix
        wait_for(lambda: knows(node), "it knows of the keyspaces")
    return three


def knows(node):
    try:
        return (node.call("WITH", 2, "KS", "bank", "SET", "known", 1) == "OK" and
                node.call("SET", f"cart:{node.number}", 1) == "OK" and
                node.call("WITH", 2, "KS", "cart", "GET", f"cart:{node.number}") == b"1")
    except Error:
        return False


@pytest.mark.parametrize("resp", [2, 3])
def test_ks_is_for_one_command_and_the_selection_stays_G16(keyspaces, resp):
    for node in keyspaces.nodes:
        with node.connect() as client:
            if resp == 3:
                client.call("HELLO", 3)
            assert client.call("SELECT", 3) == "OK"
            assert client.call("SET", "x", "three") == "OK"
            client.send_raw(b"".join(encode(*words) for words in [
                ["WITH", 2, "KS", "bank", "SET", "x", "bank"], ["GET", "x"],
                ["WITH", 2, "ks", "17", "GET", "x"], ["WITH", 2, "KS", 0, "DEL", "x"],
                ["WITH", 2, "KS", 0, "EXISTS", "x"], ["WITH", 2, "KS", 3, "GET", "x"],
                ["WITH", 4, "KS", "bank", "READ", "leader", "GET", "x"], ["GET", "x"],
                ["WITH", 2, "KS", "bank", "NOSUCH"], ["GET", "x"]]))
            replies = [client.read() for _ in range(10)]
            assert replies[8].kind() == "ERR"
            assert replies[:3] + replies[4:8] + replies[9:] == [
                "OK", b"three", b"bank", 0, b"three", b"bank", b"three", b"three"]
            assert " db=3 " in as_text(client.call("CLIENT", "INFO"))
            assert client.call("WITH", 2, "KS", "bank", "DBSIZE") >= 2
            assert client.call("DBSIZE") == 1


def test_ks_and_prefixes(keyspaces):
    """Under KS 0 prefixes lead where they lead; under another keyspace they do not (K1)."""
    node = keyspaces.followers()[0]
    with node.connect() as client:
        assert client.call("WITH", 2, "KS", 0, "SET", "cart:9", "by prefix") == "OK"
        assert client.call("WITH", 2, "KS", "cart", "GET", "cart:9") == b"by prefix"
        assert client.call("WITH", 2, "KS", "bank", "SET", "cart:9", "the bank's") == "OK"
        assert client.call("GET", "cart:9") == b"by prefix"
        assert client.call("WITH", 2, "KS", "bank", "GET", "cart:9") == b"the bank's"
        assert client.call("SELECT", "bank") == "OK"
        assert client.call("WITH", 2, "KS", 0, "GET", "cart:9") == b"by prefix"


@pytest.mark.parametrize("name", ["nosuch", "19", "65536", "-1", "99999999999", "a\r\nb"])
def test_an_unknown_keyspace_is_refused_in_words_that_no_command_has(keyspaces, name):
    """SELECT's words, which are Redis's, could be those of INCR in a keyspace that is there."""
    with keyspaces.nodes[0].connect() as client:
        assert refusal(client, "SELECT", name).startswith("ERR ")
        for words in (("SET", "k", "v"), ("INCR", "k"), ("GET", "k")):
            assert refusal(client, "WITH", 2, "KS", name, *words) == (
                "ERR KS names no keyspace that there is, the command was not applied")
        assert client.call("EXISTS", "k") == 0


def test_what_is_the_connections_own_has_no_keyspace(keyspaces):
    with keyspaces.nodes[0].connect() as client:
        for words in (["SELECT", 5], ["CONSISTENCY", "SHOW"], ["PING"]):
            assert refusal(client, "WITH", 2, "KS", "bank", *words).startswith(
                "ERR KS is for commands on keys")
        assert " db=0 " in as_text(client.call("CLIENT", "INFO"))
        assert refusal(client, "CONSISTENCY", "KS", "bank").startswith(
            "ERR syntax error: 'KS' is about one command")


def test_ks_at_cluster_port(keyspaces):
    """The keyspace's own slots and leaders decide who is sent where."""
    with keyspaces.nodes[0].connect() as client:
        placed = client.call("KEYSPACE", "INFO", "bank")
    rows = dict(zip(placed[::2], placed[1::2]))[b"placement"]
    leaders = {}
    for row in rows:
        row = dict(zip(row[::2], row[1::2]))
        low, high = (int(n) for n in row[b"slots"].split(b"-"))
        leaders[low, high] = row[b"leader"]
    assert len(set(leaders.values())) > 1
    moved = 0
    for node in keyspaces.nodes:
        with Connection(node.cluster_port) as client:
            for i in range(40):
                slot = client.call("CLUSTER", "KEYSLOT", f"k{i}")
                leads = next(n for (low, high), n in leaders.items() if low <= slot <= high)
                try:
                    assert client.call("WITH", 2, "KS", "bank", "SET", f"k{i}", i) == "OK"
                    assert leads == node.number
                except Error as error:
                    port = keyspaces.nodes[leads - 1].cluster_port
                    assert str(error) == f"MOVED {slot} 127.0.0.1:{port}"
                    moved += 1
            assert refusal(client, "WITH", 2, "KS", 3, "GET", "k").startswith(
                "ERR KS names a database, and there is one at cluster-port")
    assert moved == 80
    assert keyspaces.nodes[0].call("WITH", 2, "KS", "bank", "GET", "k7") == b"7"
    assert keyspaces.nodes[0].call("EXISTS", "k7") == 0


# --- What a keyspace gives where nothing is said -------------------------------------------------


def calls(node):
    row = node.info("commandstats").get("cmdstat_get", "calls=0,")
    return int(row.split("calls=")[1].split(",")[0])


def told(client, name):
    info = client.call("KEYSPACE", "INFO", name)
    row = dict(zip(info[::2], info[1::2]))
    return row[b"read"], row[b"ack"]


def leader_of(cluster, client, name):
    info = client.call("KEYSPACE", "INFO", name)
    row = dict(zip(info[::2], info[1::2]))[b"placement"][0]
    number = dict(zip(row[::2], row[1::2]))[b"leader"]
    return cluster.nodes[number - 1] if number else None


@pytest.fixture(scope="module")
def defaults(three):
    node = three.nodes[0]
    assert node.call("KEYSPACE", "CREATE", "quick", "ID", 30, "STRATEGY", "raft", "PREFIX", "q:",
                     "READ", "local", timeout=20) == "OK"
    assert node.call("KEYSPACE", "CREATE", "strict", "ID", 31, "STRATEGY", "raft", "PREFIX", "s:",
                     timeout=20) == "OK"
    for node in three.nodes:
        for name in ("quick", "strict"):
            wait_for(lambda: set_by_prefix(node, name), "it knows of the keyspaces")
    three.wait_applied()
    return three


def set_by_prefix(node, name):
    try:
        return (node.call("SET", f"{name[0]}:k", "1") == "OK" and
                node.call("WITH", 4, "KS", name, "READ", "linearizable", "GET",
                          f"{name[0]}:k") == b"1")
    except Error:
        return False


PROVEN = {"leader", "by index"}  # which of the two is a matter of time


def indexes_asked(node):
    return int(node.info()["read_indexes_asked"])


def who_answers(cluster, name, *words):
    """Whether it was the leader alone, or the others that were asked: by the calls of each. And
    whether these asked it for an index first."""
    with cluster.nodes[0].connect() as client:
        leader = leader_of(cluster, client, name)
    asked = next(node for node in cluster.nodes if node is not leader)
    before, indexes = (calls(asked), calls(leader)), indexes_asked(asked)
    with asked.connect() as client:
        for command in words:
            reply = client.call(*command)
    assert reply == b"1"
    after = calls(asked), calls(leader)
    assert sum(after) == sum(before) + 1
    if after[0] == before[0]:
        return "leader"
    return "by index" if indexes_asked(asked) > indexes else "here"


def test_a_keyspaces_default_holds_however_it_is_reached_G16(defaults):
    """By SELECT, by KS, and by prefix."""
    for name, expected in (("quick", {"here"}), ("strict", PROVEN)):
        key = f"{name[0]}:k"
        wait_for(lambda: who_answers(defaults, name, ["GET", key]) in expected, "by prefix")
        assert who_answers(defaults, name, ["SELECT", name], ["GET", key]) in expected
        assert who_answers(defaults, name, ["WITH", 2, "KS", name, "GET", key]) in expected
        assert who_answers(defaults, name, ["WITH", 2, "TIMEOUT", 5000, "GET", key]) in expected
    assert who_answers(defaults, "strict", ["STRLEN", "q:k"], ["GET", "s:k"]) in PROVEN


def test_scenario_69_a_weaker_default_never_lowers_what_was_asked_for(defaults):
    for level, expected in (("linearizable", PROVEN), ("leader", {"leader"})):
        get = ["GET", "q:k"]
        assert who_answers(defaults, "quick", ["WITH", 2, "READ", level, *get]) in expected
        consistency = ["CONSISTENCY", "READ", level]
        assert who_answers(defaults, "quick", consistency, get) in expected
        assert who_answers(defaults, "quick", consistency,
                           ["WITH", 2, "KS", "quick", *get]) in expected
    assert who_answers(defaults, "quick", ["CONSISTENCY", "READ", "local"],
                       ["WITH", 2, "READ", "linearizable", "GET", "q:k"]) in PROVEN
    assert who_answers(defaults, "strict", ["WITH", 2, "READ", "local", "GET", "s:k"]) == "here"
    assert who_answers(defaults, "strict", ["CONSISTENCY", "READ", "local"],
                       ["GET", "s:k"]) == "here"
    assert who_answers(defaults, "quick", ["CONSISTENCY", "READ", "leader"],
                       ["CONSISTENCY", "TIMEOUT", 5000], ["GET", "q:k"]) == "leader"
    assert who_answers(defaults, "quick", ["CONSISTENCY", "READ", "leader"],
                       ["CONSISTENCY", "RESET"], ["GET", "q:k"]) == "here"


def test_who_was_away_does_not_read_as_its_keyspace_said_then():
    """It has heard of a leader again, and lacks nearly all that was said meanwhile."""
    with Cluster(3, SHORT) as cluster:
        leader = cluster.leader()
        away = cluster.followers()[0]
        words = ["KEYSPACE", "ALTER", "default", "READ"]
        assert leader.call(*words, "local", timeout=20) == "OK"
        assert leader.call("SET", "k", "before") == "OK"
        cluster.wait_applied()
        away.kill()
        fill(leader, 0, 4000)
        leader = cluster.leader()
        assert leader.call(*words, "linearizable", timeout=20) == "OK"
        assert leader.call("SET", "k", "after") == "OK"
        held = number(leader, "raft_last")
        away.start()
        wait_for(away.listens, "it listens")
        heard = set()
        with away.connect(timeout=30) as client:
            while number(away, "raft_applied") < held or not heard:
                try:
                    heard.add(client.call("GET", "k"))
                except Error as error:
                    assert error.kind() == "LOADING", error
        assert heard == {b"after"}


def test_a_default_can_be_altered_and_is_shown(defaults):
    with defaults.nodes[0].connect() as client:
        assert told(client, "quick") == (b"local", b"MAJORITY ON durable")
        assert told(client, "strict") == (b"linearizable", b"MAJORITY ON durable")
        assert client.call("KEYSPACE", "ALTER", "strict", "READ", "leader", "ACK", "QUORUM") == "OK"
        assert told(client, "strict") == (b"leader", b"QUORUM ON durable")
        listed = {row[3]: row for row in client.call("KEYSPACE", "LIST")}
        row = dict(zip(listed[b"strict"][::2], listed[b"strict"][1::2]))
        assert (row[b"read"], row[b"ack"]) == (b"leader", b"QUORUM ON durable")
        explained = client.call("KEYSPACE", "EXPLAIN", "strict")
        row = dict(zip(explained[::2], explained[1::2]))
        assert (row[b"read-by-default"], row[b"ack-by-default"]) == (
            b"leader", b"QUORUM ON durable")
        assert client.call("KEYSPACE", "ALTER", "strict", "READ", "linearizable", "ACK",
                           "MAJORITY") == "OK"
        assert told(client, "strict") == (b"linearizable", b"MAJORITY ON durable")


@pytest.mark.parametrize("words, expected", [
    (["READ", "causal"], "LEVEL strategy raft does not give reads at level 'causal'"),
    (["READ", "freshest"], "ERR syntax error: unknown READ level 'freshest'"),
    (["READ", "local:1"], "ERR syntax error: READ 'local:1'"),
    (["READ"], "ERR option 'READ' wants a value"),
    (["READ", "local", "READ", "leader"], "ERR option 'READ' stands there twice"),
    (["ACK", "ALL"], "LEVEL strategy raft does not give ACK 'ALL'"),
    (["ACK", "SOME"], "ERR syntax error: ACK 'SOME' is none of"),
    (["FALLBACK", "async"], "ERR option 'FALLBACK' is not part of strategy raft"),
])
def test_what_the_strategy_cannot_give_is_no_default_U3(defaults, words, expected):
    with defaults.nodes[0].connect() as client:
        refused = refusal(client, "KEYSPACE", "ALTER", "quick", *words)
        assert refused.startswith(expected)
        assert "was not applied" in refused or "nothing was changed" in refused
        assert refusal(client, "KEYSPACE", "CREATE", "other", "STRATEGY", "raft",
                       *words).startswith(expected)
        assert told(client, "quick") == (b"local", b"MAJORITY ON durable")
        assert refusal(client, "SELECT", "other").startswith("ERR ")


# --- CONSISTENCY ---------------------------------------------------------------------------------


@pytest.mark.parametrize("resp", [2, 3])
def test_consistency_shows_all_and_who_says_so(defaults, resp):
    with defaults.nodes[0].connect() as client:
        if resp == 3:
            client.call("HELLO", 3)
        first = {"read": b"linearizable", "read-from": b"keyspace", "ack": b"MAJORITY ON durable",
                 "ack-from": b"keyspace", "fallback": b"fail", "timeout": 0, "leaderwindow": 0}
        assert shown(client) == first
        assert client.call("SELECT", "quick") == "OK"
        assert shown(client) == {**first, "read": b"local"}
        assert " read=local ack=MAJORITY-ON-durable " in as_text(client.call("CLIENT", "INFO"))
        assert client.call("CONSISTENCY", "timeout", 700, "read", "leader", "ack", "QUORUM",
                           "fallback", "fail") == "OK"
        assert client.call("CONSISTENCY", "TIMEOUT", 800) == "OK"
        assert shown(client) == {
            **first, "read": b"leader", "read-from": b"connection", "ack": b"QUORUM ON durable",
            "ack-from": b"connection", "timeout": 800}
        assert " read=leader ack=QUORUM-ON-durable " in as_text(client.call("CLIENT", "INFO"))
        refused = refusal(client, "CONSISTENCY", "TIMEOUT", 900, "READ", "nosuch")
        assert refused.startswith("ERR syntax error: unknown READ level 'nosuch'")
        assert shown(client)["timeout"] == 800  # all or nothing
        assert client.call("CONSISTENCY", "RESET") == "OK"
        assert shown(client) == {**first, "read": b"local"}


def test_cluster_clients_find_the_keys_behind_all_options(three):
    node = three.nodes[0]
    assert node.call("COMMAND", "GETKEYS", "WITH", 7, "KS", "bank", "TIMEOUT", 5, "META", "READ",
                     "leader", "MGET", "a", "b") == [b"a", b"b"]
    docs = node.call("COMMAND", "DOCS", "with")
    assert "TIMEOUT" in str(docs) and "KS" in str(docs)
