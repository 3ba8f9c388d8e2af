"""No leader, no majority, a leader that stands still: what clients are told, and what is true."""
import time

import pytest

from cluster import Cluster, PATIENCE, wait_for
from resp import Closed, Error


def test_scenario_71_without_a_majority_nothing_is_acknowledged():
    """Scenario 71: the leader that is left alone must not acknowledge, and not answer reads."""
    with Cluster(3) as cluster:
        leader = cluster.leader()
        leader.call("SET", "k", "before")
        for node in cluster.followers():
            node.kill()
        with leader.connect(timeout=20) as connection:
            with pytest.raises(Error) as refusal:
                connection.call("SET", "k", "alone")
            assert refusal.value.kind() in ("UNCERTAIN", "CLUSTERDOWN", "TRYAGAIN")
            uncertain = refusal.value.kind() == "UNCERTAIN"
            with pytest.raises(Error, match="CLUSTERDOWN"):
                connection.call("GET", "k")
            assert connection.call("PING") == "PONG"  # local commands go on
        cluster.start()
        value = cluster.nodes[0].call("GET", "k")
        assert value == b"before" or (uncertain and value == b"alone")


def test_clusterdown_comes_after_leader_wait_and_means_not_applied():
    with Cluster(3, options=["--leader-wait", "700"]) as cluster:
        lonely = cluster.followers()[0]
        lonely.call("SET", "k", "0")
        for node in cluster.nodes:
            if node is not lonely:
                node.kill()
        wait_for(lambda: lonely.info("raft")["raft_leader_id"] == "0", "it misses its leader")
        with lonely.connect() as connection:
            for i in range(3):
                started = time.monotonic()
                replies = connection.pipeline([("SET", "k", i + 1), ("INCR", "n"), ("GET", "k")])
                took = time.monotonic() - started
                assert [reply.kind() for reply in replies] == ["CLUSTERDOWN"] * 3
                assert 0.6 < took < 0.7 + 2 * PATIENCE
        cluster.start()
        assert cluster.nodes[0].call("GET", "k") == b"0"
        assert cluster.nodes[0].call("GET", "n") is None


def test_commands_wait_for_the_next_leader():
    """Within leader-wait a client sees a failover as a pause, not as an error."""
    with Cluster(3) as cluster:
        follower = cluster.followers()[0]
        with follower.connect() as connection:
            cluster.leader().kill()
            # Sent while the old leader may still be believed in: unknown or fine, never wrong.
            first = connection.pipeline([("SET", "k", "1")])[0]
            assert first == "OK" or first.kind() in ("UNCERTAIN", "TRYAGAIN")
            assert connection.call("SET", "k", "2") == "OK"
            assert connection.call("GET", "k") == b"2"


def test_scenario_5_43_73_a_stopped_leader_does_not_acknowledge_when_it_wakes():
    """Scenarios 5, 43, 73: a pause longer than the time-out, then the old leader goes on."""
    for mode in ("readindex", "lease"):
        with Cluster(3, options=["--read-mode", mode]) as cluster:
            old = cluster.leader()
            with old.connect(timeout=20) as connection:
                connection.call("SET", "k", "old")
                old.pause()
                # These lie in the socket of the sleeping leader.
                connection.send("GET", "k")
                connection.send("SET", "sleeper", "1")
                connection.send("GET", "k")
                new = cluster.leader()
                wait_for(lambda: writes(new, "k", "new"), "the new leader takes writes")
                old.resume()
                replies = [connection.read() for _ in range(3)]
            for reply in (replies[0], replies[2]):
                assert reply == b"new" or isinstance(reply, Error), f"{mode}: stale: {reply}"
            written = cluster.nodes[0].call("GET", "sleeper")
            if replies[1] == "OK":
                assert written == b"1"
            elif replies[1].kind() in ("CLUSTERDOWN", "TRYAGAIN"):
                assert written is None
            cluster.wait_applied()


def writes(node, key, value):
    try:
        return node.call("SET", key, value) == "OK"
    except (Error, Closed, OSError):
        return False


def test_a_scan_goes_on_at_the_next_leader():
    with Cluster(3) as cluster:
        follower = cluster.followers()[0]
        with follower.connect(timeout=30) as connection:
            connection.pipeline([("SET", f"scan:{i}", i) for i in range(2000)])
            seen, cursor, calls = set(), b"0", 0
            while True:
                try:
                    cursor, keys = connection.call("SCAN", cursor, "COUNT", "50")
                except Error as error:
                    assert error.kind() in ("CLUSTERDOWN", "TRYAGAIN"), error
                    continue
                seen.update(keys)
                calls += 1
                if calls == 10:
                    cluster.leader().kill()
                if cursor == b"0":
                    break
            assert calls > 10
            assert {b"scan:%d" % i for i in range(2000)} <= seen


def test_expiry_survives_a_change_of_leader():
    """Log time goes on: a key does not live again because another node leads."""
    with Cluster(3) as cluster:
        leader = cluster.leader()
        leader.call("SET", "mortal", "x", "PX", "1500")
        leader.call("SET", "stays", "x", "PX", "600000")
        leader.kill()
        rest = cluster.alive()
        cluster.leader()
        wait_for(lambda: rest[0].call("EXISTS", "mortal") == 0, "expiry", 5)
        for node in rest:
            assert node.call("GET", "mortal") is None
            assert 0 < node.call("PTTL", "stays") <= 600000
        leader.start()
        cluster.wait_ready()
        assert leader.call("GET", "mortal") is None


def test_a_node_that_was_away_catches_up():
    with Cluster(3) as cluster:
        away = cluster.followers()[0]
        away.kill()
        with cluster.leader().connect(timeout=60) as connection:
            for i in range(20):
                connection.pipeline([("SET", f"missed:{i}:{k}", "v" * 200) for k in range(500)])
        away.start()
        cluster.wait_applied()
        others = [node for node in cluster.nodes if node is not away]
        others[0].kill()  # now its copy is needed
        cluster.wait_ready()
        with away.connect(timeout=30) as connection:
            assert connection.pipeline([("GET", f"missed:19:{k}") for k in range(500)]) == \
                [b"v" * 200] * 500


def test_changes_of_read_mode_and_transfer_under_way():
    with Cluster(3) as cluster:
        for mode in ("lease", "readindex", "lease"):
            for node in cluster.nodes:
                node.call("CONFIG", "SET", "read-mode", mode)
                assert node.call("CONFIG", "GET", "read-mode") == [b"read-mode", mode.encode()]
            for i in range(50):
                cluster.nodes[i % 3].call("SET", "m", i)
                assert cluster.nodes[(i + 1) % 3].call("GET", "m") == b"%d" % i
