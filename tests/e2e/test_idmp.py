"""Requests that may be sent again (F15-F17, U49, D6): WITH ... IDMP pid iid carries a command out
once, whatever was lost, and answers the retry as the first time."""
import contextlib
import random
import time

import pytest

from cluster import CALM, Cluster, wait_for
from failpoints import Table
from idmp import AGAIN, Counter, Requests
from keyspaces import held, is_settled
from resp import Closed, Connection, Error, as_row, as_text, encode
from test_snapshots import SHORT, assert_equal, fill, number, strand, wait_installed

NOT_APPLIED = "the command was not applied"


def idmp(pid, iid, *command):
    return ("WITH", 3, "IDMP", pid, iid, *command)


def replayed(node, pid, iid, *command):
    """The reply, and whether it was that of an earlier time."""
    reply, meta = node.call("WITH", 4, "IDMP", pid, iid, "META", *command)
    return reply, as_row(meta)["replayed"] == 1


def selected(node, keyspace):
    connection = node.connect()
    assert connection.call("SELECT", keyspace) == "OK"
    return connection


# --- Delivery (F15) -------------------------------------------------------------------------------


@contextlib.contextmanager
def with_points():
    with Cluster(3, CALM, start=False) as cluster:
        tables = {}
        for node in cluster.nodes:
            tables[node] = Table(f"{cluster.directory}/failpoints-{node.number}")
            node.environment.update(tables[node].environment())
        cluster.start()
        yield cluster, tables


def lose(cluster, tables, point, words):
    """Sends a request to the leader, which dies at that point; the client hears nothing."""
    leader = cluster.leader()
    cluster.wait_applied()
    with leader.connect() as client:
        tables[leader].arm(point)
        with pytest.raises((Closed, OSError)):
            client.call(*words)
    leader.wait()
    return leader


LOST = [("SUBMIT", "the request"), ("CLIENT_FLUSH", "the reply")]


def counted(cluster, key):
    return int(Requests(cluster, None).call("GET", key) or 0)


def test_delivery_semantics_F15():
    """What is counted when the request was lost, and when its reply was: not sent again: at most
    once; sent again: at least once; sent again under its id: once."""
    with with_points() as (cluster, tables):
        counts = {}
        for point, what in LOST:
            for retries, pid in ((False, None), (True, None), (True, "web-17")):
                key = f"{what}:{retries}:{pid}"
                client = Requests(cluster, pid)
                died = lose(cluster, tables, point, client.words(point, ("INCR", key)))
                if retries:
                    client.call("INCR", key, iid=point)
                counts[what, retries, pid is not None] = counted(cluster, key)
                died.start()
                cluster.wait_ready()
        assert counts == {
            ("the request", False, False): 0, ("the reply", False, False): 1,  # at most once
            ("the request", True, False): 1, ("the reply", True, False): 2,  # at least once
            ("the request", True, True): 1, ("the reply", True, True): 1,  # once
        }
        assert_equal(cluster)


@pytest.mark.parametrize("point", ["SUBMITTED", "PERSISTED", "SENT_ENTRIES", "APPLY", "APPLIED",
                                   "REPLY_PEER", "REPLIED_PEER"])
def test_scenario_67_wherever_the_leader_dies_the_retry_counts_once_F17(point):
    """Through a follower, which answers for the leader; sent again through all others."""
    with with_points() as (cluster, tables):
        leader, node = cluster.leader(), cluster.followers()[0]
        cluster.wait_applied()
        with node.connect() as client:
            tables[leader].arm(point)
            with pytest.raises((Closed, OSError, Error)) as found:
                client.call(*idmp("p", "1", "INCR", "k"))
        assert not isinstance(found.value, Error) or found.value.kind() in AGAIN
        leader.wait()
        requests = Requests(cluster, "p")
        assert requests.call("INCR", "k", iid="1") == 1
        leader.start()
        cluster.wait_ready()
        for each in cluster.nodes:
            assert replayed(each, "p", "1", "INCR", "k") == (1, True)
        assert counted(cluster, "k") == 1


def test_exactly_once_under_kills_and_changes_of_the_leader():
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    with Cluster(3, ["--log-max-entries", "500", "--log-segment-bytes", "1mb"]) as cluster:
        cluster.nodes[0].call("KEYSPACE", "ALTER", "default", "IDMP-MAXSIZE", 1000000)
        clients = [Counter(cluster, f"client-{i}", "k") for i in range(6)]
        for client in clients:
            client.start()
        for _ in range(8):
            node = chance.choice(cluster.nodes)
            time.sleep(chance.random() / 2)
            if chance.random() < 0.3:
                with contextlib.suppress(Error, Closed, OSError):
                    node.call("FAILOVER", timeout=2.0)
            elif chance.random() < 0.3:
                node.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            else:
                node.kill()
                time.sleep(chance.random() / 4)
                node.start()
                cluster.wait_ready()
        for client in clients:
            client.finish()
        replies = sorted(reply for client in clients for reply in client.replies)
        print(f"seed {seed}: {len(replies)} requests in "
              f"{sum(client.requests.tries for client in clients)} tries")
        assert replies == list(range(1, len(replies) + 1))
        assert counted(cluster, "k") == len(replies)
        assert sum(client.requests.tries for client in clients) > len(replies)
        assert_equal(cluster)


# --- Where the records are ------------------------------------------------------------------------


def test_records_outlive_restarts_and_snapshots_and_lead_on():
    """Of a state that comes from checkpoints alone: of a restart, and of a member made anew."""
    with Cluster(3, SHORT) as cluster:
        leader, node = cluster.leader(), cluster.followers()[0]
        assert leader.call(*idmp("p", "1", "INCR", "k")) == 1
        assert leader.call(*idmp("p", "2", "GETDEL", "absent")) is None
        strand(cluster, node)
        node.start()
        wait_installed(node)
        assert_equal(cluster)
        assert int(node.info("stats")["idmp_records"]) == 2
        cluster.kill_all()
        cluster.start()
        leader = cluster.leader()
        if leader is not node:
            assert leader.call("FAILOVER", "TO", "127.0.0.1", node.port) == "OK"
            wait_for(node.leads, "it leads")
        assert replayed(node, "p", "1", "INCR", "k") == (1, True)
        assert replayed(node, "p", "2", "GETDEL", "absent") == (None, True)
        assert node.call("GET", "k") == b"1"
        cluster.wait_ready()
        assert_equal(cluster)


def test_who_was_started_just_now_does_not_deny_ids():
    """It does not know the level of the cluster before there is a leader. -UPGRADE would be the
    last word on a request that was carried out."""
    words = idmp("p", "1", "INCR", "k")
    with Cluster(3, CALM) as cluster:
        assert cluster.leader().call(*words) == 1
        cluster.kill_all()
        node = cluster.nodes[0]
        node.start()
        wait_for(node.listens, "it listens")
        assert node.call("CONFIG", "SET", "leader-wait", 100) == "OK"
        with pytest.raises(Error, match=f"^CLUSTERDOWN .*{NOT_APPLIED}"):
            node.call(*words)
        assert node.call("CONFIG", "SET", "leader-wait", 60000) == "OK"
        with node.connect(timeout=30.0) as client:
            client.send(*words)
            cluster.start()
            assert client.read() == 1
        assert node.call("GET", "k") == b"1"


def test_who_was_away_does_not_go_by_the_bounds_of_then():
    """It has heard of a leader again, and lacks nearly all that was said meanwhile."""
    with Cluster(3, SHORT) as cluster:
        leader = cluster.leader()
        away = cluster.followers()[0]
        assert leader.call("KEYSPACE", "ALTER", "default", "IDMP-MAXSIZE", 1, timeout=20) == "OK"
        assert leader.call(*idmp("p", "0", "INCR", "k")) == 1
        cluster.wait_applied()
        away.kill()
        fill(leader, 0, 4000)
        leader = cluster.leader()
        assert leader.call("KEYSPACE", "ALTER", "default", "IDMP-MAXSIZE", 1000, timeout=20) == "OK"
        held = number(leader, "raft_last")
        away.start()
        wait_for(away.listens, "it listens")
        tries = 0
        with away.connect(timeout=30) as client:
            while number(away, "raft_applied") < held:
                tries += 1
                try:
                    client.call(*idmp("p", str(tries), "INCR", "k"))
                except Error as error:
                    assert error.kind() in ("LOADING", "CLUSTERDOWN", "TRYAGAIN"), error
            assert client.call(*idmp("p", "0", "INCR", "k")) == 1


def test_records_move_with_their_partition():
    with Cluster(3, CALM) as cluster:
        first = cluster.nodes[0]
        first.call("KEYSPACE", "CREATE", "one", "STRATEGY", "raft", "REPLICAS", 1)
        wait_for(lambda: is_settled(first, "one", 1), "it is there")
        there, = held(first, "one")
        with selected(first, "one") as client:
            wait_for(lambda: answers(client, idmp("p", "1", "INCR", "k")), "it serves")
            assert client.call(*idmp("p", "2", "INCR", "k")) == 2
        node = cluster.nodes[there % 3]  # another one
        assert node.call("MEMBER", "DRAIN", there) == "OK"
        wait_for(lambda: is_settled(node, "one", 1) and there not in held(node, "one"),
                 "it has moved", 30)
        with selected(node, "one") as client:
            wait_for(lambda: answers(client, idmp("p", "1", "INCR", "k")), "it serves there")
            assert client.call(*idmp("p", "1", "INCR", "k")) == 1
            assert client.call(*idmp("p", "2", "INCR", "k")) == 2
            assert client.call("GET", "k") == b"2"


def answers(client, words):
    try:
        client.call(*words)
        return True
    except Error as error:
        assert error.kind() in AGAIN, error
        return False


def test_the_version_of_the_retry_may_be_another_one(three):
    with three.leader().connect() as new, three.followers()[0].connect() as old:
        new.call("HELLO", 3)
        for i, (command, reply) in enumerate([
                (("SET", "v", "x", "GET"), None), (("SET", "v", "y", "GET"), b"x"),
                (("INCRBYFLOAT", "f", "1.5"), b"1.5"), (("MSETNX", "v", "1"), 0)]):
            for client in (new, old, new, old) if i % 2 == 0 else (old, new, old, new):
                assert client.call(*idmp("versions", i, *command)) == reply
        new.send(*idmp("versions", "raw", "GETDEL", "absent"))
        old.send(*idmp("versions", "raw", "GETDEL", "absent"))
        assert new._line() == b"_" and old._line() == b"$-1"  # pylint: disable=protected-access


def test_flush_and_all_that_lists_keys_pass_them_by(three):
    node = three.leader()
    before = number(node, "idmp_records")
    assert node.call(*idmp("flush", "1", "SET", "flushed", "1")) == "OK"
    assert node.call("FLUSHALL") == "OK"
    assert node.call(*idmp("flush", "2", "FLUSHDB")) == "OK"
    assert node.call("DBSIZE") == 0 and node.call("KEYS", "*") == []
    assert node.call("SCAN", 0) == [b"0", []] and node.call("RANDOMKEY") is None
    assert "db0" not in node.info("keyspace")
    assert number(node, "idmp_records") == before + 2
    assert replayed(node, "flush", "1", "SET", "flushed", "1") == ("OK", True)
    assert node.call("EXISTS", "flushed") == 0


def test_info_counts_each_kind_by_itself():
    with Cluster(1) as cluster:
        node, = cluster.nodes
        node.call("KEYSPACE", "ALTER", "default", "IDMP-MAXSIZE", 2)
        for iid, *command in [(1, "INCR", "k"), (2, "INCR", "k"), *[(1, "INCR", "k")] * 3,
                              *[(1, "DECR", "k")] * 5, *[(3, "INCR", "k")] * 4]:
            with contextlib.suppress(Error):
                node.call(*idmp("p", iid, *command))
        figures = node.info("stats")
        record = 128 + 3 + 9 + 4  # what it counts for, its names, its head, ":1\r\n"
        assert {name: int(figures["idmp_" + name]) for name in
                ("records", "bytes", "replayed", "mismatched", "refused")} == {
                    "records": 2, "bytes": 2 * record, "replayed": 3, "mismatched": 5,
                    "refused": 4}


# --- Refusals -------------------------------------------------------------------------------------


def test_an_id_is_of_one_command(three):
    node = three.followers()[0]
    assert node.call(*idmp("p", "m", "SET", "m", "1")) == "OK"
    before = number(three.leader(), "idmp_mismatched")
    for other in (("SET", "m", "2"), ("SET", "n", "1"), ("DEL", "m")):
        with pytest.raises(Error, match="^IDMPMISMATCH .*this one was not applied"):
            node.call(*idmp("p", "m", *other))
    with node.connect() as client:
        client.call("SELECT", 1)
        with pytest.raises(Error, match="^IDMPMISMATCH "):
            client.call(*idmp("p", "m", "SET", "m", "1"))
    assert node.call("GET", "m") == b"1"
    assert number(three.leader(), "idmp_mismatched") == before + 4


def test_errors_are_replies_and_kept(three):
    node = three.nodes[0]
    node.call("SET", "word", "abc")
    for _ in range(2):
        with pytest.raises(Error, match="^ERR value is not an integer"):
            node.call(*idmp("p", "e", "INCR", "word"))
    node.call("SET", "word", "1")
    with pytest.raises(Error, match="^ERR value is not an integer"):
        node.call(*idmp("p", "e", "INCR", "word"))
    assert node.call(*idmp("p", "e2", "INCR", "word")) == 2


def test_a_full_window_refuses_and_time_empties_it():
    with Cluster(1) as cluster:
        node, = cluster.nodes
        node.call("KEYSPACE", "CREATE", "small", "STRATEGY", "raft", "IDMP-MAXSIZE", 2,
                  "IDMP-DURATION", 2, "IDMP-MAXBYTES", "4kb")
        info = as_row(node.call("KEYSPACE", "INFO", "small"))
        assert [info["idmp-" + name] for name in ("maxsize", "duration", "maxbytes")] == [2, 2,
                                                                                          4096]
        with selected(node, "small") as client:
            wait_for(lambda: answers(client, ("PING",)) and answers(client, ("DBSIZE",)), "it is")
            assert [client.call(*idmp("p", i, "INCR", "k")) for i in (1, 2, 1)] == [1, 2, 1]
            with pytest.raises(Error, match=f"^IDMPFULL .*{NOT_APPLIED}"):
                client.call(*idmp("p", 3, "INCR", "k"))
            assert client.call(*idmp("q", 3, "INCR", "k")) == 3
            wait_for(lambda: number(node, "idmp_records") == 0, "they expire")
            assert number(node, "idmp_bytes") == 0
            assert client.call(*idmp("p", 1, "INCR", "k")) == 4
            assert number(node, "idmp_refused") == 1
            # Bytes are of all producers.
            for i in range(40):
                try:
                    client.call(*idmp(f"p{i}", "x" * 64, "SET", "k", i))
                except Error as error:
                    assert error.kind() == "IDMPFULL" and 10 < i < 30, (error, i)
                    break
            else:
                raise AssertionError("never full")
            assert node.call("KEYSPACE", "ALTER", "small", "IDMP-MAXBYTES", "1mb") == "OK"
            wait_for(lambda: answers_not_full(client, idmp(f"p{i}", "x" * 64, "SET", "k", i)),
                     "the new bound is known")


def answers_not_full(client, words):
    try:
        return client.call(*words) == "OK"
    except Error as error:
        assert error.kind() == "IDMPFULL"
        return False


def test_keyspace_0_has_bounds_as_all_have():
    with Cluster(1) as cluster:
        node, = cluster.nodes
        info = as_row(node.call("KEYSPACE", "INFO", "default"))
        assert [info["idmp-" + name] for name in ("duration", "maxsize", "maxbytes")] == [
            600, 1000, 256 << 20]
        assert node.call("KEYSPACE", "ALTER", "default", "IDMP-MAXSIZE", 1) == "OK"
        assert node.call(*idmp("p", 1, "INCR", "k")) == 1
        with pytest.raises(Error, match="^IDMPFULL "):
            node.call(*idmp("p", 2, "INCR", "k"))
        node.kill()
        node.start()
        cluster.wait_ready()
        with pytest.raises(Error, match="^IDMPFULL "):
            node.call(*idmp("p", 2, "INCR", "k"))
        for words in (("IDMP-MAXSIZE", 0), ("IDMP-DURATION", 86401), ("IDMP-MAXBYTES", 4095)):
            with pytest.raises(Error, match=f"^ERR {words[0]} .*, nothing was changed"):
                node.call("KEYSPACE", "ALTER", "default", *words)


@pytest.mark.parametrize("words, expected", [
    (idmp("p", "1", "GET", "k"), "ERR IDMP is for commands that write keys"),
    (idmp("p", "1", "PING"), "ERR IDMP is for commands that write keys"),
    (idmp("p", "1", "WAIT", 1, 1), "ERR IDMP is for commands that write keys"),
    (idmp("p", "1", "FAILOVER"), "ERR IDMP is for commands that write keys"),
    (idmp("p", "1", "KEYSPACE", "CREATE", "x", "STRATEGY", "raft"),
     "ERR IDMP is for commands that write keys"),
    (idmp("", "1", "INCR", "k"), "ERR syntax error: IDMP ''"),
    (idmp("p", "", "INCR", "k"), "ERR syntax error: IDMP ''"),
    (idmp("p" * 65, "1", "INCR", "k"), "ERR syntax error: IDMP 'ppp"),
    (idmp("p", "1" * 65, "INCR", "k"), "ERR syntax error: IDMP '111"),
    (idmp("p", "1", *idmp("p", "2", "INCR", "k")), "ERR syntax error: WITH stands inside of WITH"),
    (("WITH", 2, "IDMP", "p", "INCR", "k"), "ERR syntax error: 'IDMP' wants two words"),
    (("WITH", 6, "IDMP", "p", "1", "IDMP", "p", "2", "INCR", "k"),
     "ERR syntax error: 'IDMP' stands twice"),
    (("CONSISTENCY", "IDMP", "p", "1"), "ERR syntax error: 'IDMP' is about one command"),
    (idmp("p", "1", "SET", "k", "v" * (300 << 10)),
     "ERR WITH takes no command with arguments beyond 256 KiB"),
])
def test_what_cannot_have_an_id_is_refused(three, words, expected):
    before = number(three.leader(), "idmp_records")
    for node in three.nodes:
        with pytest.raises(Error) as found:
            node.call(*words)
        assert str(found.value).startswith(expected), found.value
        assert NOT_APPLIED in str(found.value)
    assert number(three.leader(), "idmp_records") == before


def test_a_command_of_many_partitions_has_no_id(three):
    node = three.nodes[0]
    node.call("KEYSPACE", "CREATE", "many", "STRATEGY", "raft", "PARTITIONS", 4)
    wait_for(lambda: is_settled(node, "many", 3), "it is there")
    with selected(node, "many") as client:
        with pytest.raises(Error, match=f"^ERR IDMP is for commands of one part.*{NOT_APPLIED}"):
            client.call(*idmp("p", "1", "FLUSHDB"))
        wait_for(lambda: answers(client, idmp("p", "a", "INCR", "a")), "it serves")
        assert client.call(*idmp("p", "a", "INCR", "a")) == 1
        assert client.call(*idmp("p", "b", "MSET", "{t}1", "x", "{t}2", "y")) == "OK"
        with pytest.raises(Error, match="^CROSSSLOT "):
            client.call(*idmp("p", "c", "MSET", "a", "x", "b", "y"))


def test_ids_of_one_producer_are_of_one_partition_each(three):
    """The same id may be used in another keyspace: it is another request."""
    node = three.nodes[0]
    node.call("KEYSPACE", "CREATE", "other", "STRATEGY", "raft")
    wait_for(lambda: is_settled(node, "other", 3), "it is there")
    assert node.call(*idmp("both", "1", "INCR", "both")) == 1
    with selected(node, "other") as client:
        wait_for(lambda: answers(client, idmp("both", "1", "INCR", "both")), "it serves")
        assert client.call("GET", "both") == b"1"


def test_an_id_with_ks_and_other_options(three):
    """In any order, and of the keyspace that KS names."""
    node = three.nodes[0]
    node.call("KEYSPACE", "CREATE", "apart", "STRATEGY", "raft")
    wait_for(lambda: is_settled(node, "apart", 3), "it is there")
    words = ("WITH", 8, "KS", "apart", "IDMP", "p", "apart", "META", "TIMEOUT", 9000, "INCR", "ap")
    with node.connect() as client:
        wait_for(lambda: answers(client, words), "it serves")
        reply, meta = client.call("WITH", 6, "META", "IDMP", "p", "apart", "KS", "apart", "INCR",
                                  "ap")
        assert (reply, as_row(meta)["replayed"]) == (1, 1)
        assert client.call("EXISTS", "ap") == 0
        assert client.call(*idmp("p", "apart", "INCR", "ap")) == 1  # keyspace 0's: another one
        assert client.call("WITH", 2, "KS", "apart", "GET", "ap") == b"1"


def test_in_a_pipeline_ids_are_of_their_own_command(three):
    with three.followers()[0].connect() as client:
        client.send_raw(b"".join([
            encode(*idmp("pipe", 1, "INCR", "pipe")), encode("INCR", "pipe"),
            encode(*idmp("pipe", 1, "INCR", "pipe")), encode(*idmp("pipe", 2, "INCR", "pipe")),
            encode("INCR", "pipe"), encode(*idmp("pipe", 2, "INCR", "pipe")), encode("GET", "pipe")
        ]))
        assert [client.read() for _ in range(7)] == [1, 2, 1, 3, 4, 3, b"4"]


def test_until_all_nodes_know_of_them_there_are_no_ids():
    """R9, U29: an older member could not carry such an entry out."""
    with Cluster(3, CALM, start=False) as cluster:
        for node in cluster.nodes:
            node.environment["QUORATE_PRETEND_LEVEL"] = "2"
        cluster.start()
        cluster.terminate_all()
        for node in cluster.nodes:
            del node.environment["QUORATE_PRETEND_LEVEL"]
        cluster.start()
        node = cluster.nodes[0]
        for words in (idmp("p", 1, "INCR", "k"), ("KEYSPACE", "ALTER", "default", "IDMP-MAXSIZE",
                                                  5)):
            with pytest.raises(Error, match="^UPGRADE .* level 3 of the cluster"):
                node.call(*words)
        assert node.call("GET", "k") is None

        def finalized():
            status = as_row(node.call("CLUSTER", "UPGRADE", "STATUS"))
            return as_text(status["can_finalize"]) == "yes"
        wait_for(finalized, "all know")
        assert node.call("CLUSTER", "UPGRADE", "FINALIZE") in ("OK", 1) or True
        for each in cluster.nodes:
            wait_for(lambda each=each: answers_id(each), "ids are there")
        assert counted(cluster, "k") == 1


def answers_id(node):
    try:
        return node.call(*idmp("p", 1, "INCR", "k")) == 1
    except Error as error:
        assert error.kind() in ("UPGRADE", *AGAIN)
        return False


def test_cluster_clients_find_the_keys_behind_an_id(three):
    node = three.nodes[0]
    assert node.call("COMMAND", "GETKEYS", *idmp("p", 1, "MSET", "a", "1", "b", "2")) == [b"a",
                                                                                        b"b"]


def test_sentinel_and_cluster_ports_take_ids():
    with Cluster(3, CALM, cluster_ports=True) as cluster:
        leader = cluster.leader()
        with Connection(leader.cluster_port) as client:
            assert [client.call(*idmp("c", 1, "INCR", "k")) for _ in range(2)] == [1, 1]
        follower = cluster.followers()[0]
        with Connection(follower.cluster_port) as client:
            with pytest.raises(Error, match="^MOVED "):
                client.call(*idmp("c", 1, "INCR", "k"))
