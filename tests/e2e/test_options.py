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
