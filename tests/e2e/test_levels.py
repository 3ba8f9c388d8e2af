"""How fresh a read is: CONSISTENCY for a connection, WITH for one command (G1-G4, G10, G16, D3)."""
import pytest

import behind
from cluster import CALM, Cluster, wait_for
from resp import Connection, Error, as_text, encode

NOT_APPLIED = ", the command was not applied"
WITH_WORDS = ("ERR syntax error: WITH begins with how many words of options follow, 1 to 64" +
              NOT_APPLIED)
NO_COMMAND = "ERR syntax error: no command follows the options of WITH" + NOT_APPLIED


@pytest.fixture(scope="module")
def three():
    with Cluster(3, CALM, cluster_ports=True) as cluster:
        yield cluster


def follower_of(cluster):
    return cluster.followers()[0]


def written(cluster, key, value):
    """Acknowledged, and applied by all."""
    assert cluster.leader().call("SET", key, value) == "OK"
    cluster.wait_applied()


def calls(node, command):
    row = node.info("commandstats").get(f"cmdstat_{command}", "calls=0,")
    return int(row.split("calls=")[1].split(",")[0])


def local(node, *words):
    return node.call("WITH", "2", "READ", "local", *words)


def answers_local(node, key, value):
    try:
        return local(node, "GET", key) == value
    except Error as error:
        assert error.kind() == "CLUSTERDOWN", error
        return False


@pytest.mark.parametrize("level", ["local", "prefix"])
def test_a_follower_answers_by_itself_what_any_replica_may_G4_G10(three, level):
    written(three, "own", "1")
    follower, leader = follower_of(three), three.leader()
    wait_for(lambda: answers_local(follower, "own", b"1"), "it has heard the leader")
    here, there = calls(follower, "get"), calls(leader, "get")
    with follower.connect() as client:
        assert client.call("CONSISTENCY", "READ", level) == "OK"
        assert client.call("GET", "own") == b"1"
        assert client.call("WITH", 2, "READ", level, "GET", "own") == b"1"
    assert (calls(follower, "get"), calls(leader, "get")) == (here + 2, there)


def test_a_follower_asks_the_leader_for_what_only_it_may_give_G2(three):
    written(three, "its", "1")
    follower, leader = follower_of(three), three.leader()
    here, there = calls(follower, "get"), calls(leader, "get")
    assert follower.call("WITH", 2, "READ", "leader", "GET", "its") == b"1"
    assert (calls(follower, "get"), calls(leader, "get")) == (here, there + 1)


def test_with_is_for_one_command_and_consistency_for_those_that_follow_G16(three):
    follower, leader = follower_of(three), three.leader()
    written(three, "mixed", "1")
    wait_for(lambda: answers_local(follower, "mixed", b"1"), "it has heard the leader")
    here, there = calls(follower, "get"), calls(leader, "get")
    with follower.connect() as client:
        client.send_raw(b"".join([
            encode("WITH", 2, "READ", "local", "GET", "mixed"), encode("GET", "mixed"),
            encode("CONSISTENCY", "READ", "local"), encode("GET", "mixed"),
            encode("WITH", 2, "READ", "linearizable", "GET", "mixed"), encode("GET", "mixed"),
            encode("GET", "mixed"), encode("CONSISTENCY", "SHOW"), encode("CONSISTENCY", "RESET"),
            encode("GET", "mixed"), encode("CONSISTENCY", "SHOW")]))
        replies = [client.read() for _ in range(11)]
        assert " read=linearizable" in as_text(client.call("CLIENT", "INFO"))
    shown = [b"read", b"local"], [b"read", b"linearizable"]
    assert (replies[7][:2], replies[10][:2]) == shown
    assert replies[:7] + replies[8:10] == [b"1", b"1", "OK", b"1", b"1", b"1", b"1", "OK", b"1"]
    at_leader = calls(leader, "get") - there  # linearizable ones, where an index came late
    assert at_leader <= 3 and calls(follower, "get") == here + 7 - at_leader


def test_reset_forgets_the_level(three):
    with follower_of(three).connect() as client:
        assert client.call("CONSISTENCY", "READ", "local") == "OK"
        assert " read=local" in as_text(client.call("CLIENT", "INFO"))
        assert client.call("RESET") == "RESET"
        assert client.call("CONSISTENCY", "SHOW")[:2] == [b"read", b"linearizable"]


def test_answers_at_all_levels_leave_in_order(three):
    """Local reads are answered at once, what the leader answers later: in between they wait."""
    follower = follower_of(three)
    written(three, "order", "0")
    wait_for(lambda: answers_local(follower, "order", b"0"), "it has heard the leader")
    with follower.connect() as client:
        for i in range(200):
            client.send_raw(encode("SET", f"order:{i}", i) +
                            encode("WITH", 2, "READ", "local", "STRLEN", "order") +
                            encode("GET", f"order:{i}"))
        for i in range(200):
            assert [client.read(), client.read(), client.read()] == ["OK", 1, b"%d" % i]


def test_a_write_under_with_is_a_write(three):
    assert local(follower_of(three), "INCR", "counted") == 1
    assert three.leader().call("GET", "counted") == b"1"


def test_at_cluster_port_nobody_is_sent_away_for_a_local_read(three):
    written(three, "here", "1")
    follower = follower_of(three)
    wait_for(lambda: answers_local(follower, "here", b"1"), "it has heard the leader")
    with Connection(follower.cluster_port) as client:
        with pytest.raises(Error, match="^MOVED "):
            client.call("GET", "here")
        assert client.call("WITH", 2, "READ", "local", "GET", "here") == b"1"
        with pytest.raises(Error, match="^MOVED "):
            client.call("WITH", 2, "READ", "leader", "GET", "here")


def test_cluster_clients_find_the_keys_behind_with(three):
    node = three.nodes[0]
    assert node.call("COMMAND", "GETKEYS", "WITH", 2, "READ", "local", "MGET", "a", "b") == [
        b"a", b"b"]
    with pytest.raises(Error, match="^ERR syntax error: unknown option 'SPEED'"):
        node.call("COMMAND", "GETKEYS", "WITH", 2, "SPEED", "high", "GET", "a")
    assert "movablekeys" in as_text(node.call("COMMAND", "INFO", "WITH")[0][2])


def test_where_there_is_no_replica_the_leader_answers(three):
    assert three.nodes[0].call("KEYSPACE", "CREATE", "single", "ID", 40, "STRATEGY", "raft",
                               "REPLICAS", 1, "PARTITIONS", 8, timeout=20) == "OK"
    for node in three.nodes:
        with node.connect() as client:
            assert client.call("SELECT", "single") == "OK"
            for i in range(20):
                assert client.call("SET", f"k{i}", f"{node.number}") == "OK"
                assert client.call("WITH", 2, "READ", "local", "GET", f"k{i}") == (
                    b"%d" % node.number)


@pytest.mark.parametrize("words, expected", [
    (["WITH", "x", "READ", "local", "GET", "k"], WITH_WORDS),
    (["WITH", "0", "GET", "k"], WITH_WORDS),
    (["WITH", "65", "GET", "k"], WITH_WORDS),
    (["WITH", "-1", "GET", "k"], WITH_WORDS),
    (["WITH", "9" * 30, "GET", "k"], WITH_WORDS),
    (["WITH", "2", "READ", "local"], NO_COMMAND),
    (["WITH", "3", "READ", "local", "GET"], NO_COMMAND),
    (["WITH", "2", "READ", "local", "WITH", "2", "READ", "local", "GET", "k"],
     "ERR syntax error: WITH stands inside of WITH" + NOT_APPLIED),
    (["WITH", "4", "READ", "local", "READ", "leader", "GET", "k"],
     "ERR syntax error: 'READ' stands twice" + NOT_APPLIED),
    (["WITH", "1", "READ", "GET", "k"], "ERR syntax error: 'READ' has no value" + NOT_APPLIED),
    (["WITH", "2", "SPEED", "high", "GET", "k"],
     "ERR syntax error: unknown option 'SPEED'" + NOT_APPLIED + "; the options are READ"),
    (["WITH", "2", "READ", "freshest", "GET", "k"],
     "ERR syntax error: unknown READ level 'freshest'" + NOT_APPLIED + "; use one of linearizable"),
    (["WITH", "2", "READ", "local:3", "GET", "k"],
     "ERR syntax error: READ 'local:3': this level has no parameter" + NOT_APPLIED),
    (["WITH", "2", "READ", "causal", "GET", "k"],
     "LEVEL strategy raft does not give reads at level 'causal', the command was not applied; it "
     "gives linearizable, leader, session, bounded, prefix, snapshot, local"),
    (["WITH", "2", "READ", "local", "NOSUCH"],
     "ERR unknown command 'NOSUCH', with args beginning with: "),
    (["WITH", "2", "READ", "local", "GET"], "ERR wrong number of arguments for 'get' command"),
    (["WITH", "2", "READ"], "ERR wrong number of arguments for 'with' command"),
    (["CONSISTENCY", "READ"], "ERR syntax error: 'READ' has no value" + NOT_APPLIED),
    (["CONSISTENCY", "SHOW", "READ"],
     "ERR syntax error: unknown option 'SHOW'" + NOT_APPLIED + "; the options are READ"),
    (["CONSISTENCY", "READ", "quorum"],
     "LEVEL strategy raft does not give reads at level 'quorum', the command was not applied; it "
     "gives linearizable, leader, session, bounded, prefix, snapshot, local"),
])
def test_what_makes_no_sense_is_refused_and_changes_nothing(three, words, expected):
    with follower_of(three).connect() as client:
        assert client.call("CONSISTENCY", "READ", "leader") == "OK"
        with pytest.raises(Error) as found:
            client.call(*words)
        assert str(found.value).startswith(expected)  # what is offered grows
        assert client.call("CONSISTENCY", "SHOW")[:2] == [b"read", b"leader"]


def test_a_follower_alone_answers_local_reads_and_no_others_G17():
    with Cluster(3, [*CALM, "--leader-wait", "300"]) as three:
        written(three, "kept", "1")
        last = follower_of(three)
        wait_for(lambda: answers_local(last, "kept", b"1"), "it has heard the leader")
        for node in three.nodes:
            if node is not last:
                node.kill()
        assert local(last, "GET", "kept") == b"1"
        for level in ("leader", "linearizable"):
            with pytest.raises(Error, match="^CLUSTERDOWN "):
                last.call("WITH", 2, "READ", level, "GET", "kept")
        with pytest.raises(Error, match="^(CLUSTERDOWN|UNCERTAIN) "):
            last.call("SET", "kept", "2", timeout=20)
        assert local(last, "GET", "kept") == b"1"
        last.kill()
        last.start()
        wait_for(last.listens, "it is there again")
        with pytest.raises(Error, match="^CLUSTERDOWN "):  # nobody tells it what it has missed
            local(last, "GET", "kept")
        next(node for node in three.nodes if node is not last).start()
        wait_for(lambda: answers_local(last, "kept", b"1"), "it has heard a leader", 30)


def test_a_key_whose_time_has_come_is_gone_by_log_time(three):
    """A follower goes by what is applied: the tick that removes the key makes it go everywhere."""
    leader, follower = three.leader(), follower_of(three)
    written(three, "soon", "1")
    wait_for(lambda: answers_local(follower, "soon", b"1"), "the follower has it")
    assert leader.call("PEXPIRE", "soon", 100) == 1
    wait_for(lambda: local(follower, "EXISTS", "soon") == 0, "the tick is applied there")
    assert leader.call("EXISTS", "soon") == 0


def meta(client, *words):
    """The reply, and what it shows."""
    reply, shown = client.call("WITH", 1, "META", *words)
    return reply, {as_text(shown[i]): shown[i + 1] for i in range(0, len(shown), 2)}


def test_meta_tells_position_replica_and_staleness_D3(three):
    written(three, "meta", "1")
    for node in (three.leader(), follower_of(three)):
        with node.connect() as client:
            set_reply, made = meta(client, "SET", "meta", "2")
            get_reply, seen = meta(client, "GET", "meta")
        assert (as_text(set_reply), get_reply) == ("OK", b"2")
        group, slot = as_text(made["position"]).split("-")
        assert group == "0" and int(as_text(seen["position"]).split("-")[1]) >= int(slot)
        assert made["replica"] == three.leader().number
        assert seen["replica"] in (three.leader().number, node.number)
        assert (seen["staleness_ms"], seen["replayed"]) == (0, 0)


def test_meta_of_a_read_of_a_follower_names_it_D3(three):
    written(three, "own", "1")
    follower = follower_of(three)
    wait_for(lambda: answers_local(follower, "own", b"1"), "it has heard the leader")
    with follower.connect() as client:
        reply, shown = client.call("WITH", 3, "READ", "local", "META", "GET", "own")
    assert (reply, shown[3]) == (b"1", follower.number)


def test_meta_leaves_errors_and_their_order_as_they_are_D3(three):
    with three.leader().connect() as client:
        client.send_raw(b"".join(encode("WITH", 1, "META", *words) for words in
                             (("SET", "e", "x"), ("INCR", "e"), ("GET", "e"), ("PING",))))
        assert as_text(client.read()[0]) == "OK"
        assert str(client.read()).startswith("ERR value is not an integer")
        assert client.read()[0] == b"x"
        assert str(client.read()).startswith("ERR META tells of commands on keys")


def test_what_is_skipped_has_no_meta_D3(three):
    with follower_of(three).connect() as client:
        client.send_raw(b"".join(encode(*words) for words in
                                 (("SET", "skipped", "1"), ("CLIENT", "REPLY", "SKIP"),
                                  ("WITH", 1, "META", "PING"), ("GET", "skipped"))))
        assert as_text(client.read()) == "OK"
        assert client.read() == b"1"


def test_meta_is_a_map_in_resp3_D3(three):
    with three.leader().connect() as client:
        client.call("HELLO", "3")
        reply, shown = client.call("WITH", 1, "META", "SET", "m3", "1")
        assert as_text(reply) == "OK" and len(shown) in (5, 10)


def test_a_replica_that_is_behind_shows_what_it_has_and_the_leader_what_there_is_G1_G4():
    with behind.cluster(3, CALM) as three:
        follower = follower_of(three)
        written(three, "old", "1")
        behind.shows(follower, "old", b"1")
        with behind.held(follower):
            assert follower.call("SET", "old", "2") == "OK"
            assert local(follower, "GET", "old") == b"1"
            assert follower.call("GET", "old") == b"2"
        behind.shows(follower, "old", b"2")
