"""Sessions: what a connection has seen and written, carried to others by a token (D5, G7-G10, G12,
G13, U55)."""
import os
import shutil

import pytest

import behind
from cluster import CALM, Cluster, wait_for
from keyspaces import held, is_settled
from links import LinkedNode, Links
from resp import Error, as_text, encode

NO_TOKEN = "BADTOKEN this is no session token, or only a part of one"
FORGED = "BADTOKEN the session token was not made by this cluster, or was changed since"
FOREIGN = "BADTOKEN the session token is of another cluster"
LOST = ("SESSIONLOST what this session has seen is lost: no replica has it, the command was not "
        "applied")
NEWER = "BADTOKEN the session token was made by a newer version"


@pytest.fixture(scope="module")
def three():
    with behind.cluster(3, CALM, cluster_ports=True) as cluster:
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
        assert len(shown) in (3, 6)


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
        assert client.call("GET", "x") == b"0"
        client.send_raw(encode("SET", "x", "1") + encode("GET", "x"))
        assert (client.read(), client.read()) == ("OK", b"1")
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


@pytest.mark.parametrize("level", ["session", "local"])
def test_a_read_that_waits_for_its_turn_does_not_see_a_later_write_S2(three, follower, level):
    """Behind large replies that the client does not take, or that take long."""
    large = "x" * 5000000
    three.leader().call("SET", "s2:large", large)
    for i in range(3):
        three.leader().call("SET", "s2", "old")
        three.wait_applied()
        with follower.connect() as client:
            assert client.call("CONSISTENCY", "READ", level) == "OK"
            assert client.call("GET", "s2") == b"old"
            client.send_raw(encode("GET", "s2:large") * 6 + encode("GET", "s2") +
                            encode("SET", "s2", f"new{i}"))
            assert [len(client.read()) for _ in range(6)] == [len(large)] * 6
            assert (client.read(), client.read()) == (b"old", "OK")


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


def test_within_the_leader_window_the_leader_reads_G7(three, follower):
    leader = three.leader()
    with at_session(follower) as client:
        assert client.call("CONSISTENCY", "LEADERWINDOW", "60s") == "OK"
        here = calls(follower)
        assert client.call("GET", "x") == b"0"  # it has written nothing
        assert calls(follower) == here + 1
        assert client.call("SET", "x", "1") == "OK"
        behind.shows(follower, "x", b"1")
        here, there = calls(follower), calls(leader)
        for _ in range(5):
            assert client.call("GET", "x") == b"1"
        assert (calls(follower), calls(leader)) == (here, there + 5)
        assert client.call("WITH", 2, "LEADERWINDOW", "1ms", "GET", "x") == b"1"
        assert calls(follower) == here + 1
        assert client.call("WITH", 2, "READ", "local", "GET", "x") == b"1"
        assert calls(follower) == here + 2


def test_what_a_group_has_lost_is_told_and_no_older_state_shown():
    """Two nodes of three are put back to an older copy of their disks: what was acknowledged since
    is lost, and the session that has seen it is told so."""
    with Cluster(3, CALM) as three:
        with three.leader().connect() as client:
            for i in range(10):
                assert client.call("SET", "x", i) == "OK"
            early = client.call("SESSION", "TOKEN")
            assert client.call("SET", "x", "kept") == "OK"
        three.terminate_all()
        for node in three.nodes:
            shutil.copytree(node.directory, node.directory + ".old")
        three.start()
        with three.leader().connect() as client:
            for i in range(50):
                assert client.call("SET", "x", i) == "OK"
            late = client.call("SESSION", "TOKEN")
        three.terminate_all()
        for node in three.nodes:
            shutil.rmtree(node.directory)
            os.rename(node.directory + ".old", node.directory)
        three.start()
        for node in three.nodes:
            assert node.call("WITH", 2, "SESSION", early, "GET", "x") == b"kept"
            for level in ([], ["READ", "linearizable"], ["READ", "leader"]):
                with pytest.raises(Error) as found:
                    node.call("WITH", 2 + len(level), "SESSION", late, *level, "GET", "x")
                assert str(found.value) == LOST
            with at_session(node) as client:
                assert client.call("SESSION", "USE", late) == "OK"
                client.send_raw(encode("GET", "x") * 3 + encode("SESSION", "RESET") +
                                encode("GET", "x"))
                assert [str(client.read()) for _ in range(3)] == [LOST] * 3
                assert (client.read(), client.read()) == ("OK", b"kept")


def test_without_anybody_who_has_it_a_read_is_stale_in_time():
    with behind.cluster(3, [*CALM, "--leader-wait", "400"]) as three:
        last, leader = three.followers()[0], three.leader()
        assert leader.call("SET", "x", "1") == "OK"
        behind.shows(last, "x", b"1")
        with at_session(last) as client, behind.held(last):
            assert client.call("SET", "x", "2") == "OK"
            for node in three.nodes:
                if node is not last:
                    node.kill()
            for words in (["GET", "x"], ["WITH", 2, "TIMEOUT", "100", "GET", "x"]):
                with pytest.raises(Error, match=r"^STALE -?\d+ no replica that shows what was "
                                                "asked for answered in time, the command was not "
                                                "applied$"):
                    client.call(*words)
            assert behind.local(last, "GET", "x") == b"1"
            assert client.call("SESSION", "RESET") == "OK"
            assert client.call("GET", "x") == b"1"


def test_scenario_70_tokens_survive_failover_restart_and_go_from_node_to_node():
    with Cluster(3, CALM) as three:
        token = None
        for turn in range(6):
            leader = three.leader()
            with leader.connect() as client:
                if token is not None:
                    assert client.call("SESSION", "USE", token) == "OK"
                assert client.call("SET", "x", turn) == "OK"
                token = client.call("SESSION", "TOKEN")
            for node in three.nodes:
                assert node.call("WITH", 2, "SESSION", token, "GET", "x") == b"%d" % turn
            if turn % 3 == 2:
                three.kill_all()
                three.start()
            else:
                leader.kill()
                leader.start()
            three.wait_ready()
            for node in three.nodes:
                assert node.call("WITH", 2, "SESSION", token, "GET", "x") == b"%d" % turn


# --- Many partitions ------------------------------------------------------------------------------

def in_keyspace(node, keyspace):
    client = at_session(node)
    assert client.call("SELECT", keyspace) == "OK"
    return client


def test_tokens_go_with_partitions_that_move_and_to_nodes_that_have_none():
    with Cluster(3, CALM) as three:
        node = three.nodes[0]
        assert node.call("KEYSPACE", "CREATE", "parts", "STRATEGY", "raft", "REPLICAS", "2",
                         "PARTITIONS", "8", timeout=20) == "OK"
        wait_for(lambda: is_settled(node, "parts", 2), "all partitions are there", 20)
        clients = [in_keyspace(node, "parts") for node in three.nodes]
        for i in range(40):
            assert clients[i % 3].call("SET", f"k{i}", i) == "OK"
        for client, other in zip(clients, clients[1:] + clients[:1]):
            assert other.call("SESSION", "USE", client.call("SESSION", "TOKEN")) == "OK"
        token = clients[0].call("SESSION", "TOKEN")
        positions, whole = known(clients[0])
        assert set(positions) >= {("parts", i) for i in range(8)} and whole
        assert len(token) < 120

        def all_is_there():
            for node in three.nodes:
                with in_keyspace(node, "parts") as client:
                    assert client.call("SESSION", "USE", token) == "OK"
                    for i in range(40):
                        assert client.call("GET", f"k{i}") == b"%d" % i
                        assert client.call("WITH", 2, "SESSION", token, "GET", f"k{i}") == b"%d" % i
        all_is_there()
        assert node.call("MEMBER", "DRAIN", "3") == "OK"
        all_is_there()
        wait_for(lambda: 3 not in held(node, "parts") and is_settled(node, "parts", 2),
                 "node 3 has none of them", 40)
        all_is_there()
        assert node.call("KEYSPACE", "DROP", "parts", "FORCE",
                         timeout=20) == "OK"
        with at_session(node) as client:  # groups that are gone are nobody's concern
            assert client.call("SESSION", "USE", token) == "OK"
            assert client.call("SET", "x", "1") == "OK" and client.call("GET", "x") == b"1"


def answered(client, *words):
    try:
        return client.call(*words)
    except Error:
        return None


def test_who_may_lack_a_prefix_does_not_show_where_its_keys_were_before_K6():
    """A node that is cut off does not hear of a keyspace. A session that comes from there reads its
    keys as ever: of the default keyspace the node has all that the session has seen."""
    with Cluster(3, CALM, start=False) as three:
        links = LinkedNode.links = Links(three.nodes)
        try:
            for node in three.nodes:
                node.__class__ = LinkedNode
            three.start()
            leader, last = three.leader(), three.followers()[0]
            assert leader.call("SET", "x", "1") == "OK"
            behind.shows(last, "x", b"1")
            zero = last.call("WITH", 3, "READ", "local", "META", "GET", "x")
            assert last.call("WITH", 2, "READ", "bounded:1m", "GET", "x") == b"1"
            links.isolate(last.number)
            wait_for(lambda: int(leader.info("quorate")["leases_gone"]) == 1, "it is missed", 20)
            known_there = pairs(zero[1])["session"]
            with leader.connect(timeout=20) as client:
                assert client.call("KEYSPACE", "CREATE", "cart", "STRATEGY", "raft",
                                   "REPLICAS", "1", "PREFIX", "cart:") == "OK"
                wait_for(lambda: answered(client, "SET", "cart:1", "book") == "OK", "it is written")
                token = client.call("SESSION", "TOKEN")
                assert client.call("SESSION", "USE", known_there) == "OK"
                both = client.call("SESSION", "TOKEN")
            with last.connect(timeout=20) as client:
                assert client.call("WITH", 2, "SESSION", known_there, "GET", "x") == b"1"
                with pytest.raises(Error, match="^STALE "):
                    client.call("WITH", 4, "SESSION", token, "TIMEOUT", "300", "GET", "cart:1")
                with pytest.raises(Error, match="^STALE "):  # at whatever level it comes
                    client.call("WITH", 6, "SESSION", both, "READ", "bounded:1m", "TIMEOUT", "300",
                                "GET", "cart:1")
                assert client.call("SESSION", "USE", token) == "OK"
                with pytest.raises(Error, match="^STALE "):
                    client.call("WITH", 4, "READ", "session", "TIMEOUT", "300", "GET", "cart:1")
                links.heal()
                wait_for(lambda: answered(client, "GET", "cart:1") == b"book", "it is found again")
        finally:
            links.close()


def test_commands_over_all_partitions_are_of_the_session_too(three):
    assert three.nodes[0].call("KEYSPACE", "CREATE", "whole", "STRATEGY", "raft", "PARTITIONS",
                               "4", timeout=20) == "OK"
    wait_for(lambda: is_settled(three.nodes[0], "whole"), "all partitions are there", 20)
    for leader in three.nodes:
        with leader.connect() as client:
            client.call("SELECT", "whole")
            for i in range(20):
                assert client.call("SET", f"k{i}", "1") == "OK"
    with in_keyspace(three.nodes[0], "whole") as client:
        assert known(client) == ({}, True)
        assert client.call("DBSIZE") == 20
        seen, whole = known(client)
        assert set(seen) == {("whole", i) for i in range(4)} and whole
        assert client.call("FLUSHDB") == "OK"
        after, whole = known(client)
        assert all(after[part] > seen[part] for part in seen) and whole
        token = client.call("SESSION", "TOKEN")
        assert client.call("SESSION", "RESET") == "OK"
        _, shown = client.call("WITH", 3, "SESSION", token, "META", "EXISTS", "k1")
        later = pairs(shown)["session"]
        assert client.call("SESSION", "RESET") == client.call("SESSION", "USE", later) == "OK"
        assert all(known(client)[0][part] >= after[part] for part in seen)
