"""Sessions: what a connection has seen and written, carried to others by a token (D5, G7-G10, G12,
G13, U55)."""
import pytest

import behind
from cluster import CALM, Cluster, wait_for
from resp import Connection, Error, as_text, encode

NO_TOKEN = "BADTOKEN this is no session token, or only a part of one"
FORGED = "BADTOKEN the session token was not made by this cluster, or was changed since"
FOREIGN = "BADTOKEN the session token is of another cluster"
NEWER = "BADTOKEN the session token was made by a newer version"


@pytest.fixture(scope="module")
def three():
    with Cluster(3, CALM, start=False, cluster_ports=True) as cluster:
        behind.prepare(cluster)
        cluster.start()
        yield cluster


def pairs(words):
    return dict(zip(map(as_text, words[::2]), words[1::2]))


def known(client):
    """{(keyspace, partition): slot} of the connection, and whether that is all."""
    shown = pairs(client.call("SESSION", "SHOW"))
    rows = [pairs(row) for row in shown["positions"]]
    return ({(as_text(row["keyspace"]), row["partition"]): row["slot"] for row in rows},
            shown["open"] == b"no")


def test_a_connection_knows_what_it_has_seen_and_written(three):
    with three.nodes[0].connect() as client, three.nodes[1].connect() as other:
        assert known(client) == ({}, True)
        assert client.call("SET", "s", "1") == "OK"
        (first,), whole = known(client)[0].values(), known(client)[1]
        assert first > 0 and whole
        assert other.call("SET", "s", "2") == "OK"
        assert client.call("GET", "s") == b"2"
        (second,) = known(client)[0].values()
        assert second > first
        assert as_text(client.call("CLIENT", "INFO")).endswith(" session=1\n")
        token = client.call("SESSION", "TOKEN")
        assert 30 < len(token) <= 44
        assert client.call("SESSION", "RESET") == "OK"
        assert known(client) == ({}, True)
        assert other.call("SESSION", "RESET") == other.call("SESSION", "USE", token) == "OK"
        assert known(other) == ({("default", 0): second}, True)
        assert other.call("RESET") == "RESET"
        assert known(other) == ({}, True)


def test_a_token_tells_of_all_that_stands_before_it_in_the_pipeline(three):
    follower = three.followers()[0]
    with follower.connect() as client:
        client.send_raw(b"".join(encode("SET", f"p{i}", i) for i in range(50)) +
                        encode("SESSION", "TOKEN") + encode("SET", "p", "x") +
                        encode("SESSION", "SHOW") + encode("PING"))
        assert [client.read() for _ in range(50)] == ["OK"] * 50
        token = client.read()
        assert client.read() == "OK"
        shown = pairs(client.read())
        assert client.read() == "PONG"
        last = pairs(shown["positions"][0])["slot"]
        assert client.call("SESSION", "RESET") == client.call("SESSION", "USE", token) == "OK"
        (slot,) = known(client)[0].values()
        assert slot < last and slot >= last - 5


def test_show_is_a_map_in_resp3(three):
    with three.nodes[0].connect() as client:
        client.call("HELLO", "3")
        assert client.call("SET", "s", "1") == "OK"
        shown = client.call("SESSION", "SHOW")
        assert len(shown) in (2, 4)


def changed(token, at, by=1):
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    text = as_text(token)
    at = at % len(text)
    return text[:at] + letters[(letters.index(text[at]) + by) % 64] + text[at + 1:]


def test_tokens_that_are_none_of_this_clusters_are_refused_and_change_nothing(three):
    with Cluster(1, CALM) as strange, strange.nodes[0].connect() as client:
        client.call("SET", "s", "1")
        foreign = client.call("SESSION", "TOKEN")
    with three.nodes[0].connect() as client:
        assert client.call("SET", "s", "1") == "OK"
        token = client.call("SESSION", "TOKEN")
        before = known(client)
        for text, expected in [(token[:-1], NO_TOKEN), (token[:20], NO_TOKEN), ("", NO_TOKEN),
                               ("!" * 40, NO_TOKEN), (b"\0" * 40, NO_TOKEN),
                               ("A" * 100000, NO_TOKEN), (changed(token, -2), FORGED),
                               (changed(token, -20), FORGED), (foreign, FOREIGN),
                               (changed(token, 1, 16), NEWER)]:
            for words, end in [(("SESSION", "USE", text), ", nothing was changed")]:
                with pytest.raises(Error) as found:
                    client.call(*words)
                assert str(found.value) == expected + end, text
        assert known(client) == before
        for words, expected in [
                (("SESSION",), "ERR wrong number of arguments for 'session' command"),
                (("SESSION", "USE"), "ERR wrong number of arguments for 'session|use' command"),
                (("SESSION", "NONE"), "ERR unknown subcommand 'NONE'. Try SESSION HELP.")]:
            with pytest.raises(Error) as found:
                client.call(*words)
            assert str(found.value) == expected


# --- Reads at level session -----------------------------------------------------------------------

def calls(node, command="get"):
    row = node.info("commandstats").get(f"cmdstat_{command}", "calls=0,")
    return int(row.split("calls=")[1].split(",")[0])


def at_session(node):
    client = node.connect()
    assert client.call("CONSISTENCY", "READ", "session") == "OK"
    return client


def shown_by(client, *words):
    """The reply and what META says of it."""
    reply, shown = client.call("WITH", 1, "META", *words)
    return reply, pairs(shown)


@pytest.fixture
def follower(three):
    node = three.followers()[0]
    assert three.leader().call("SET", "x", "0") == "OK"
    behind.shows(node, "x", b"0")
    return node


def test_a_follower_answers_what_it_can_show_by_itself_G7(three, follower):
    with at_session(follower) as client:
        assert client.call("SET", "x", "1") == "OK"
        behind.shows(follower, "x", b"1")
        here, there = calls(follower), calls(three.leader())
        for _ in range(10):
            assert client.call("GET", "x") == b"1"
        assert shown_by(client, "GET", "x")[1]["replica"] == follower.number
        assert (calls(follower), calls(three.leader())) == (here + 11, there)


def test_a_session_reads_its_writes_where_the_replica_lacks_them_G7(three, follower):
    with at_session(follower) as client, behind.held(follower):
        for i in range(1, 20):
            assert client.call("SET", "x", i) == "OK"
            assert client.call("GET", "x") == b"%d" % i
        assert behind.local(follower, "GET", "x") == b"0"
        client.send_raw(b"".join(encode("SET", "x", f"p{i}") + encode("GET", "x")
                                 for i in range(50)))
        for i in range(50):
            assert (client.read(), client.read()) == ("OK", b"p%d" % i)


def test_what_a_session_was_shown_stays_shown_G8_G10(three, follower):
    with at_session(follower) as client, behind.held(follower):
        assert three.leader().call("SET", "x", "1") == "OK"
        assert client.call("GET", "x") == b"0"  # it knows of no other yet
        assert client.call("WITH", 2, "READ", "linearizable", "GET", "x") == b"1"
        assert client.call("GET", "x") == b"1"
        assert three.leader().call("SET", "x", "2") == "OK"
        client.send_raw(encode("WITH", 2, "READ", "leader", "GET", "x") + encode("GET", "x"))
        assert [client.read(), client.read()] == [b"2", b"2"]
        assert client.call("SESSION", "RESET") == "OK"
        assert client.call("GET", "x") == b"0"


def test_a_token_carries_a_session_to_another_connection_and_service_G12(three, follower):
    with three.leader().connect() as writer, at_session(follower) as reader:
        with behind.held(follower):
            assert writer.call("SET", "x", "1") == "OK"
            token = writer.call("SESSION", "TOKEN")
            assert reader.call("GET", "x") == b"0"
            assert reader.call("WITH", 2, "SESSION", token, "GET", "x") == b"1"
            assert known(reader)[0] != {}
            assert reader.call("SESSION", "RESET") == "OK"
            assert reader.call("GET", "x") == b"0"
            assert reader.call("SESSION", "USE", token) == "OK"
            assert reader.call("GET", "x") == b"1"
        behind.shows(follower, "x", b"1")
        here = calls(follower)
        with follower.connect() as plain:
            assert plain.call("WITH", 2, "SESSION", token, "GET", "x") == b"1"
        assert calls(follower) == here + 1


def test_meta_gives_the_token_that_goes_on_G12(three, follower):
    with three.leader().connect() as writer, follower.connect() as reader:
        with behind.held(follower):
            token = None
            for i in range(1, 4):
                _, shown = shown_by(writer, "SET", "x", i)
                token = shown["session"]
            reply, shown = reader.call("WITH", 3, "SESSION", token, "META", "GET", "x")
            assert reply == b"3"
            assert reader.call("SESSION", "RESET") == "OK"
            later = pairs(shown)["session"]
            assert three.leader().call("SET", "x", "4") == "OK"
            assert reader.call("WITH", 2, "SESSION", later, "GET", "x") == b"4"
        position = as_text(pairs(shown)["position"]).split("-")
        assert reader.call("SESSION", "RESET") == reader.call("SESSION", "USE", later) == "OK"
        assert known(reader) == ({("default", int(position[0])): int(position[1])}, True)


def test_a_bad_token_with_a_command_is_refused_and_nothing_applied(three):
    with three.nodes[0].connect() as client:
        assert client.call("SET", "n", "1") == "OK"
        token = client.call("SESSION", "TOKEN")
        for text, expected in [(token[:-1], NO_TOKEN), (changed(token, -2), FORGED),
                               (changed(token, 1, 16), NEWER)]:
            with pytest.raises(Error) as found:
                client.call("WITH", 2, "SESSION", text, "INCR", "n")
            assert str(found.value) == expected + ", the command was not applied"
        assert client.call("GET", "n") == b"1"
