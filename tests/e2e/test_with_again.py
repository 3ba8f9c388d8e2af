"""WITH before one command after the other: options that come again are known by their bytes."""
import pytest

from cluster import CALM, Cluster, wait_for
from resp import Error, encode

LEVEL = "LEVEL strategy raft does not give reads at level 'quorum', the command was not applied"
NESTED = "ERR syntax error: WITH stands inside of WITH, the command was not applied"
NO_COMMAND = ("ERR syntax error: no command follows the options of WITH, "
              "the command was not applied")
TOO_LONG = ("ERR WITH takes no command with arguments beyond 256 KiB, "
            "the command was not applied")
LOCAL = ["WITH", 2, "READ", "local"]


@pytest.fixture(scope="module")
def three():
    with Cluster(3, CALM) as cluster:
        yield cluster


def follower_that_knows(cluster, key, value):
    leader = cluster.leader()
    assert leader.call("SET", key, value) == "OK"
    cluster.wait_applied()
    follower = cluster.followers()[0]
    wait_for(lambda: is_local(follower, key), "it has heard the leader")
    return follower, leader


def is_local(node, key):
    try:
        return node.call(*LOCAL, "GET", key) is not None
    except Error:
        return False


def gets(node):
    row = node.info("commandstats").get("cmdstat_get", "calls=0,")
    return int(row.split("calls=")[1].split(",")[0])


def test_each_command_has_the_level_that_stands_with_it_G16(three):
    follower, leader = follower_that_knows(three, "again", "1")
    here, there = gets(follower), gets(leader)
    words = [encode(*LOCAL, "GET", "again"), encode(*LOCAL, "GET", "again"),
             encode("WITH", 2, "READ", "leader", "GET", "again"),
             encode("WITH", 2, "READ", "leader", "GET", "again"),
             encode("GET", "again"),
             encode(*LOCAL, "GET", "again"),
             encode("with", 2, "read", "local", "get", "again"),
             encode("CONSISTENCY", "READ", "local"),
             encode("WITH", 2, "READ", "leader", "GET", "again"),
             encode("GET", "again")] * 5
    with follower.connect() as client:
        client.send_raw(b"".join(words))
        replies = [client.read() for _ in words]
    assert replies == ([b"1"] * 7 + ["OK"] + [b"1"] * 2) * 5
    # Without a word of its own the fifth is local from the second time on.
    assert (gets(follower) - here, gets(leader) - there) == (5 * 5 + 4, 3 * 5 + 1)


def test_what_is_refused_is_refused_each_time(three):
    follower, _ = follower_that_knows(three, "refused", "1")
    good, nested = [*LOCAL, "GET", "refused"], [*LOCAL, *LOCAL, "GET", "refused"]
    bad = ["WITH", 2, "READ", "quorum", "GET", "refused"]
    with follower.connect() as client:
        replies = client.pipeline([good, nested, nested, good, bad, bad, good, LOCAL, good,
                                   [*LOCAL, "GET"], [*LOCAL, "NOSUCH"], good])
        assert [replies[i] for i in (0, 3, 6, 8, 11)] == [b"1"] * 5
        assert [str(replies[i]) for i in (1, 2)] == [NESTED] * 2
        assert [str(replies[i]).split(";")[0] for i in (4, 5)] == [LEVEL] * 2
        assert str(replies[7]) == NO_COMMAND
        assert str(replies[9]) == "ERR wrong number of arguments for 'get' command"
        assert str(replies[10]).startswith("ERR unknown command 'NOSUCH'")


def test_a_command_with_large_arguments_has_no_options_each_time(three):
    leader = three.leader()
    large = b"v" * (300 << 10)
    with leader.connect() as client:
        for _ in range(3):
            client.send(*LOCAL, "SET", "large", large)
            assert str(client.read()) == TOO_LONG
            assert client.call(*LOCAL, "SET", "large", "small") == "OK"
        assert client.call("GET", "large") == b"small"


def test_pieces_of_any_length_are_the_same_commands(three):
    follower, _ = follower_that_knows(three, "pieces", "1")
    words = encode(*LOCAL, "GET", "pieces")
    with follower.connect() as client:
        assert client.call(*LOCAL, "GET", "pieces") == b"1"
        for cut in range(1, len(words)):
            client.send_raw(words[:cut])
            client.send_raw(words[cut:])
            assert client.read() == b"1"


def test_who_is_not_known_any_more_gets_no_answer(three):
    follower, _ = follower_that_knows(three, "known", "1")
    with follower.connect() as client:
        assert client.call(*LOCAL, "GET", "known") == b"1"
        assert client.call("CONFIG", "SET", "requirepass", "secret") == "OK"
        try:
            with follower.connect() as other:
                other.send(*LOCAL, "GET", "known")
                assert other.read().kind() == "NOAUTH"
        finally:
            client.call("AUTH", "secret")
            client.call("CONFIG", "SET", "requirepass", "")
