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
