"""How far followers are behind: figures, states, alarms, and what MAXLAG does about it (features
L12; asks U17, U20, U53, U54; docs/primary.md)."""
import time

import pytest

from cluster import Cluster, wait_for
from primaries import attempt, create, primary, wait_equal
from resp import Error, as_row, as_text
from test_leadership import alarms


def followers(node, keyspace="cart"):
    """INFO replication of that keyspace: the rows of the other nodes, by id."""
    with node.connect() as connection:
        connection.call("SELECT", keyspace)
        text = connection.call("INFO", "replication")
    rows = {}
    for line in text.decode().splitlines():
        name, _, rest = line.partition(":")
        if name.startswith("replica") and name[7:].isdigit():
            row = dict(field.split("=", 1) for field in rest.split(","))
            rows[int(row["id"])] = {key: value if key == "state" else int(value)
                                    for key, value in row.items()}
    return rows


def field(node, name, keyspace="cart"):
    with node.connect() as connection:
        connection.call("SELECT", keyspace)
        for line in connection.call("INFO", "replication").decode().splitlines():
            if line.startswith(name + ":"):
                return line.partition(":")[2]
    return None


def write(node, count, size=100):
    with node.connect() as connection:
        for number in range(count):
            connection.send("SET", f"cart:{number % 100}", f"{number:0{size}d}")
        return [connection.read() for _ in range(count)]


def has_all(row):
    return row["state"] == "online" and row["lag_ops"] == 0 and row["lag_ms"] == 0


def test_a_follower_that_stands_still_is_behind_in_bytes_operations_and_time():
    with Cluster(3, options=["--lag-alarm-ms", "1500"]) as cluster:
        create(cluster, "LOCAL")
        leads = primary(cluster)
        wait_for(lambda: all(has_all(row) for row in followers(leads).values()), "all have all")
        assert field(leads, "role") == "master"
        assert int(field(leads, "connected_slaves")) == 2
        slow, other = [node for node in cluster.nodes if node is not leads]
        assert field(slow, "role") == "slave"
        slow.pause()
        assert write(leads, 2000) == ["OK"] * 2000
        row = wait_for(lambda: (row := followers(leads)[slow.number])["lag_ms"] > 500 and row,
                       "the figures say so")
        assert 1900 <= row["lag_ops"] <= 2100, row
        assert 2000 * 100 <= row["lag_bytes"] <= 2000 * 600, row
        assert row["last_ack_ms"] >= 300
        assert row["state"] in ("catchup", "online")
        wait_for(lambda: has_all(followers(leads)[other.number]), "the other one has all")
        rows = wait_for(lambda: [row for row in alarms(leads, "LAG")
                                 if row["node"] == slow.number and row["until"] == 0],
                        "the alarm")
        assert rows, rows
        slow.resume()
        wait_for(lambda: has_all(followers(leads)[slow.number]), "it has caught up")
        wait_for(lambda: all(row["until"] != 0 for row in alarms(leads, "LAG")), "the alarm ends")
        wait_equal(cluster)


def keyspace_lag(node, keyspace="cart"):
    """KEYSPACE LAG of its one partition, by id."""
    (partition,) = map(as_row, node.call("KEYSPACE", "LAG", keyspace))
    rows = map(as_row, partition["replicas"])
    return {row["node"]: dict(row, state=as_text(row["state"])) for row in rows}


def test_keyspace_lag_tells_state_bytes_and_time_at_any_node():
    with Cluster(3) as cluster:
        create(cluster, "LOCAL", "MAXLAG", "500ms", "LAGGING", "STALL")
        leads, zero = primary(cluster), cluster.leader()  # of group 0, who answers
        slow = next(node for node in cluster.nodes if node not in (leads, zero))
        other = next(node for node in cluster.nodes if node not in (leads, slow))

        def tells(number, **what):
            row = keyspace_lag(other).get(number, {})
            return all(row.get(name) == value for name, value in what.items()) and row
        for node in (slow, other):
            wait_for(lambda n=node: tells(n.number, state="online", lag=0, lag_bytes=0, lag_ms=0),
                     "nothing is lacked")
        slow.pause()
        assert write(leads, 300) == ["OK"] * 300
        first = wait_for(lambda: tells(slow.number, state="throttled"), "writes wait for it")
        assert 250 <= first["lag"] <= 350, first
        assert 300 * 100 <= first["lag_bytes"] <= 300 * 600, first
        assert first["lag_ms"] >= 500, first
        wait_for(lambda: tells(slow.number)["lag_ms"] > first["lag_ms"] + 500, "it grows older")
        slow.resume()
        wait_for(lambda: tells(slow.number, state="online", lag=0, lag_bytes=0, lag_ms=0),
                 "it has caught up")
        slow.kill()
        wait_for(lambda: tells(slow.number, state="away"), "it is away")


def test_maxlag_stall_holds_writers_to_the_pace_of_the_slowest():
    with Cluster(3) as cluster:
        create(cluster, "LOCAL", "MAXLAG", "500ms", "LAGGING", "STALL")
        leads = primary(cluster)
        slow = next(node for node in cluster.nodes if node is not leads)
        slow.pause()
        assert attempt(leads, "SET", "cart:a", "1") == "OK"
        wait_for(lambda: followers(leads)[slow.number]["state"] == "throttled", "writes wait")
        begun = time.monotonic()
        with pytest.raises(Error, match="^THROTTLED a replica is behind by more than MAXLAG"):
            leads.call("SET", "cart:b", "1")
        assert time.monotonic() - begun >= 0.9
        assert leads.call("GET", "cart:b") is None
        slow.resume()
        wait_for(lambda: attempt(leads, "SET", "cart:c", "1") == "OK", "writes go again")
        wait_for(lambda: has_all(followers(leads)[slow.number]), "it has caught up")


def test_maxlag_drop_fences_the_slowest_and_feeds_it_again():
    with Cluster(3) as cluster:
        create(cluster, "ANY 1", "MAXLAG", "64kb", "LAGGING", "DROP")
        leads = primary(cluster)
        slow = next(node for node in cluster.nodes if node is not leads)
        slow.pause()
        assert write(leads, 1000, 1000) == ["OK"] * 1000
        wait_for(lambda: followers(leads)[slow.number]["state"] == "fenced", "it is dropped")
        assert write(leads, 100) == ["OK"] * 100
        slow.resume()
        wait_for(lambda: has_all(followers(leads)[slow.number]), "it is fed again")
        wait_equal(cluster)


def test_scenario_a_follower_that_is_away_is_no_reason_to_stall_for_ever():
    with Cluster(3) as cluster:
        create(cluster, "LOCAL", "MAXLAG", "500ms", "LAGGING", "STALL")
        leads = primary(cluster)
        gone = next(node for node in cluster.nodes if node is not leads)
        gone.kill()
        for _ in range(20):
            wait_for(lambda: attempt(leads, "SET", "cart:a", "1") == "OK", "writes go on")
        gone.start()
        wait_for(lambda: followers(leads).get(gone.number, {}).get("lag_ops") == 0, "it is back")
