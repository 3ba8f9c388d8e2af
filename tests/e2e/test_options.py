"""What a request may ask for beside its command: TIMEOUT, KS, defaults of keyspaces (D3, G16, U3,
scenario 69)."""
import time

import pytest

from cluster import CALM, Cluster, wait_for
from resp import Connection, Error, as_text, encode

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
def test_an_unknown_keyspace_is_refused_as_select_does(keyspaces, name):
    with keyspaces.nodes[0].connect() as client:
        assert refusal(client, "WITH", 2, "KS", name, "SET", "k", "v") == refusal(
            client, "SELECT", name)
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
