"""Clients that follow the leader by themselves: those that know Redis Cluster, on cluster-port,
and those that ask a sentinel, on sentinel-port (asks U11-U14; rows O10, O12). They are the
distribution's own: redis-py, redis-cli. QUORATE_KILLS is how often the leader dies under them
(`make facades`).
"""
import contextlib
import os
import subprocess
import threading
import time

import pytest
import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException
from redis.sentinel import Sentinel

from cluster import CALM, PATIENCE, Cluster, parse_info, wait_for
from machine import Stalls
from resp import Connection, Error, as_text

KILLS = int(os.environ.get("QUORATE_KILLS", "5"))
GAP_MAX_S = 1.0  # of writes that are acknowledged, around a kill, on a machine that goes on
GAP_SEEN_S = 0.1
# redis-py 4.3.4 asks a dead node of a cluster five times, at intervals of 0.25 s, before it asks
# another one who leads; and then it fails when it copies a lock of its own, so that an application
# needs a new client. ioredis and node-redis are held to GAP_MAX_S by tests/clients.
CLUSTER_OWN_S = 1.5
FAILURES = (redis.RedisError, RedisClusterException)
KEYS = 16        # of different slots


@pytest.fixture(name="facades", scope="module")
def fixture_facades():
    with Cluster(3, CALM, cluster_ports=True) as cluster:
        yield cluster


def at(node, *arguments, version=2):
    """One command on cluster-port."""
    with Connection(node.cluster_port) as connection:
        if version == 3:
            connection.call("HELLO", "3")
        return connection.call(*arguments)


def ask(node, *arguments):
    """One command on sentinel-port."""
    with Connection(node.sentinel_port) as connection:
        return connection.call(*arguments)


def refused(call, *arguments):
    try:
        call(*arguments)
    except Error as error:
        return str(error)
    raise AssertionError(f"no error: {arguments}")


def master_by_nodes(node):
    lines = at(node, "CLUSTER", "NODES").decode().splitlines()
    rows = [line.split(" ") for line in lines]
    masters = [row for row in rows if "master" in row[2] and len(row) > 8]
    assert len(masters) == 1, lines
    return masters[0][0], int(masters[0][1].split("@")[0].split(":")[1]), len(rows)


def master_by_slots(node):
    (first, last, master, *replicas), = at(node, "CLUSTER", "SLOTS")
    assert (first, last) == (0, 16383)
    return master[2].decode(), master[1], 1 + len(replicas)


def master_by_shards(node):
    shard, = at(node, "CLUSTER", "SHARDS", version=3)
    assert shard["slots"] == [0, 16383]
    nodes = [{as_text(key): value for key, value in one.items()} for one in shard["nodes"]]
    master, = [one for one in nodes if one["role"] == b"master"]
    return master["id"].decode(), master["port"], len(nodes)


def test_all_views_of_all_nodes_agree_on_who_leads(facades):
    leader = facades.leader()
    for node in facades.nodes:
        views = {master_by_nodes(node), master_by_slots(node), master_by_shards(node)}
        assert views == {(at(leader, "CLUSTER", "MYID").decode(), leader.cluster_port, 3)}
        assert b"cluster_state:ok" in at(node, "CLUSTER", "INFO")
        info = at(node, "INFO")
        assert b"cluster_enabled:1" in info and b"redis_mode:cluster" in info
        assert b"cluster_enabled:0" in node.call("INFO", "cluster")
        assert "cluster support disabled" in refused(node.call, "CLUSTER", "SLOTS")


def test_only_the_leader_answers_and_others_send_to_it(facades):
    leader = facades.leader()
    assert at(leader, "SET", "foo", "1") == "OK"
    for node in facades.followers():
        moved = f"MOVED 12182 127.0.0.1:{leader.cluster_port}"
        assert refused(at, node, "SET", "foo", "2") == moved
        assert refused(at, node, "GET", "foo") == moved
        with Connection(node.cluster_port) as connection:
            assert connection.call("READONLY") == "OK"
            assert connection.call("GET", "foo") == b"1"
            assert isinstance(connection.pipeline([("SET", "foo", "2")])[0], Error)
            assert connection.call("READWRITE") == "OK"
            assert isinstance(connection.pipeline([("GET", "foo")])[0], Error)
            connection.send("CLIENT", "REPLY", "SKIP")
            connection.send("GET", "foo")  # where it leads is not said either
            assert connection.call("PING") == "PONG"
        assert at(node, "DBSIZE") == at(leader, "DBSIZE")  # no key, nowhere to be sent
        assert node.call("GET", "foo") == b"1"             # plain ports go on forwarding


def test_rules_of_redis_cluster_hold_there(facades):
    leader = facades.leader()
    crossed = "CROSSSLOT Keys in request don't hash to the same slot"
    for node in facades.nodes:
        assert refused(at, node, "MSET", "a", "1", "b", "2") == crossed
        assert refused(at, node, "SELECT", "1") == "ERR SELECT is not allowed in cluster mode"
        assert at(node, "SELECT", "0") == "OK"
        assert at(node, "CLUSTER", "KEYSLOT", "{user}.x") == 5474
    assert at(leader, "MSET", "{t}a", "1", "{t}b", "2") == "OK"
    slot = at(leader, "CLUSTER", "KEYSLOT", "t")
    for node in facades.nodes:
        assert at(node, "CLUSTER", "COUNTKEYSINSLOT", slot) == 2
        assert sorted(at(node, "CLUSTER", "GETKEYSINSLOT", slot, 9)) == [b"{t}a", b"{t}b"]
        assert len(at(node, "CLUSTER", "GETKEYSINSLOT", slot, 1)) == 1
        assert refused(at, node, "CLUSTER", "COUNTKEYSINSLOT", 16384) == "ERR Invalid slot"
        assert "cluster support disabled" in refused(node.call, "CLUSTER", "COUNTKEYSINSLOT", slot)
    assert "not allowed in cluster mode" in refused(at, leader, "MOVE", "{t}a", "1")
    assert "not allowed in cluster mode" in refused(at, leader, "COPY", "{t}a", "{t}c", "DB", "1")
    assert at(leader, "DEL", "{t}a", "{t}b") == 2


def test_what_is_announced_is_what_clients_are_told(facades):
    leader, other = facades.leader(), facades.followers()[0]
    leader.call("CONFIG", "SET", "cluster-announce-ip", "10.1.2.3", "cluster-announce-port", "777",
                "cluster-announce-hostname", "node.example", "replica-announce-ip", "10.3.2.1")
    try:
        wait_for(lambda: refused(at, other, "SET", "foo", "2") == "MOVED 12182 10.1.2.3:777",
                 "the other nodes are told")
        assert b" 10.1.2.3:777@" in at(other, "CLUSTER", "NODES")
        assert b",node.example master" in at(other, "CLUSTER", "NODES")
        assert at(other, "CLUSTER", "SLOTS")[0][2][:2] == [b"10.1.2.3", 777]
        assert ask(other, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")[0] == b"10.3.2.1"
        leader.call("CONFIG", "SET", "cluster-preferred-endpoint-type", "hostname")
        wait_for(lambda: refused(at, other, "SET", "foo", "2") == "MOVED 12182 node.example:777",
                 "the other nodes are told again")
    finally:
        leader.call("CONFIG", "SET", "cluster-announce-ip", "", "cluster-announce-port", "0",
                    "cluster-announce-hostname", "", "replica-announce-ip", "",
                    "cluster-preferred-endpoint-type", "ip")
    wait_for(lambda: f":{leader.cluster_port}" in refused(at, other, "SET", "foo", "2"),
             "the old address is back")


def redis_cli(*arguments):
    done = subprocess.run(["redis-cli", *map(str, arguments)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, timeout=60 * PATIENCE)
    return done.returncode, done.stdout


def test_redis_cli_follows_and_finds_nothing_to_mend(facades):
    leader = facades.leader()
    for node in facades.nodes:
        code, out = redis_cli("-c", "-p", node.cluster_port, "SET", "cli", node.number)
        assert (code, out.splitlines()[-1]) == (0, "OK"), out
        code, out = redis_cli("--cluster", "check", f"127.0.0.1:{node.cluster_port}")
        assert code == 0 and "All 16384 slots covered" in out, out
        assert "All nodes agree about slots configuration" in out, out
        code, out = redis_cli("--cluster", "info", f"127.0.0.1:{node.cluster_port}")
        assert code == 0 and f"127.0.0.1:{leader.cluster_port}" in out, out


def cluster_nodes(cluster):
    return [ClusterNode("127.0.0.1", node.cluster_port) for node in cluster.nodes]


def write_and_find(client, count):
    """Singly, by a pipeline, and by what asks all masters."""
    assert client.flushall()
    for i in range(count):
        assert client.set(f"key:{i}", i)
    pipeline = client.pipeline()
    for i in range(count):
        pipeline.get(f"key:{i}")
    assert pipeline.execute() == [b"%d" % i for i in range(count)]
    found = client.keys("*", target_nodes=RedisCluster.PRIMARIES)
    assert client.dbsize(target_nodes=RedisCluster.PRIMARIES) == len(set(found)) == count
    assert len(set(client.scan_iter(count=7))) == count


def test_redis_py_cluster_finds_its_way(facades):
    nodes = cluster_nodes(facades)
    with RedisCluster(startup_nodes=nodes) as client:
        write_and_find(client, 100)
        assert client.mget("{a}1", "{a}2") == [None, None]
        assert client.mset_nonatomic({"x": 1, "y": 2}) and client.delete("x", "y", "z") == 2
        assert client.get_primaries()[0].port == facades.leader().cluster_port
        assert client.cluster_info()["cluster_known_nodes"] == "3"
    with RedisCluster(startup_nodes=nodes, read_from_replicas=True) as client:
        assert [client.get("key:7") for _ in range(9)] == [b"7"] * 9


def test_redis_py_asks_the_sentinels(facades):
    leader = facades.leader()
    sentinel = Sentinel([("127.0.0.1", node.sentinel_port) for node in facades.nodes])
    assert sentinel.discover_master("mymaster") == ("127.0.0.1", leader.port)
    assert sorted(sentinel.discover_slaves("mymaster")) == \
        sorted(("127.0.0.1", node.port) for node in facades.followers())
    assert sentinel.master_for("mymaster").set("by sentinel", "1")
    assert sentinel.slave_for("mymaster").get("by sentinel") == b"1"
    for node in facades.nodes:
        assert ask(node, "PING") == "PONG"
        assert ask(node, "ROLE") == [b"sentinel", [b"mymaster"]]
        assert ask(node, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "other") is None
        assert ask(node, "SENTINEL", "CKQUORUM", "mymaster").startswith("OK 3 usable Sentinels")
        assert len(ask(node, "SENTINEL", "SENTINELS", "mymaster")) == 2
        assert b"redis_mode:sentinel" in ask(node, "INFO")
        assert f"address=127.0.0.1:{leader.port},slaves=2,sentinels=3".encode() in ask(node, "INFO")
        assert "No such master" in refused(ask, node, "SENTINEL", "MASTER", "other")
        assert "unknown command 'get'" in refused(ask, node, "get", "x")
        assert "unknown command" in refused(node.call, "SENTINEL", "MASTERS")
        assert "unknown command" in refused(node.call, "SUBSCRIBE", "x")


# --- Failover ------------------------------------------------------------------------------------


class Journal(threading.Thread):
    """Writes without pause, and again what failed, until it is told to stop; remembers what was
    acknowledged and the longest times between two of those."""

    def __init__(self, name, connect, allowed):
        super().__init__(daemon=True)
        self.label, self.connect, self.allowed = name, connect, allowed
        self.client = connect()
        self.acknowledged, self.gaps, self.failed, self.errors = 0, [(0.0, 0.0)], 0, {}
        self.last = {}
        self.stopping = threading.Event()

    def run(self):
        before = time.monotonic()
        while not self.stopping.is_set():
            value = self.acknowledged + 1
            key = f"{self.label}:{value % KEYS}"
            try:
                self.client.set(key, value)
            except FAILURES as error:
                self.note(error)
                continue
            now = time.monotonic()
            if now - before > GAP_SEEN_S:
                self.gaps.append((before, now))
            before = now
            self.last[key] = value
            self.acknowledged = value

    def note(self, error):
        self.failed += 1
        words = str(error)[:60]
        self.errors[words] = self.errors.get(words, 0) + 1
        if isinstance(error, RedisClusterException):
            try:
                self.client = self.connect()
            except FAILURES:
                pass
        time.sleep(0.001)

    def wait_for_more(self, count):
        goal = self.acknowledged + count
        wait_for(lambda: self.acknowledged >= goal, f"{count} more writes of {self.label}", 20)

    def stop(self):
        self.stopping.set()
        self.join(30 * PATIENCE)
        assert not self.is_alive()

    def judge(self, stalls, kills):
        """No gap is longer than is allowed, beside what the machine took of it."""
        longest = max(self.gaps, key=lambda gap: gap[1] - gap[0] - stalls.within(*gap))
        took, stood = longest[1] - longest[0], stalls.within(*longest)
        print(f"figure: {self.label}: {self.acknowledged} acknowledged, longest gap "
              f"{took * 1000:.0f} ms, the machine stood for {stood * 1000:.0f} of them, "
              f"in {kills} kills, {self.failed} failed: {self.errors}")
        assert took - stood <= self.allowed, self.label

    def lost(self, node):
        """A later write of the key may have been applied without an answer."""
        return {key: value for key, value in self.last.items()
                if int(node.call("GET", key) or 0) < value}


def clients_of(cluster):
    sentinel = Sentinel([("127.0.0.1", node.sentinel_port) for node in cluster.nodes],
                        socket_timeout=0.5)
    return [Journal("cluster", lambda: RedisCluster(startup_nodes=cluster_nodes(cluster),
                                                    socket_timeout=2),
                    GAP_MAX_S + CLUSTER_OWN_S),
            Journal("sentinel", lambda: sentinel.master_for("mymaster", socket_timeout=2),
                    GAP_MAX_S)]


def test_stock_clients_follow_every_kill_within_a_second():
    with Cluster(3, cluster_ports=True) as cluster, Stalls(cluster.directory) as stalls:
        journals = clients_of(cluster)
        for journal in journals:
            journal.start()
        for _ in range(KILLS):
            victim = cluster.leader()
            for journal in journals:
                journal.wait_for_more(50)
            victim.kill()
            for journal in journals:
                journal.wait_for_more(50)
            victim.start()
            wait_for(victim.try_info, f"node {victim.number} is back", 15)
            cluster.wait_applied()
        for journal in journals:
            journal.stop()
        cluster.wait_applied()
        for journal in journals:
            for node in cluster.nodes:
                assert journal.lost(node) == {}
            journal.judge(stalls, KILLS)


def test_a_killed_leader_is_replaced_without_waiting_for_time_outs():
    """Its closed connections tell the others, in keyspace 0 and in partitions: their time-outs are
    minutes here, and would end long after this test has given up."""
    with Cluster(3) as cluster:
        leader, followers = cluster.leader(), cluster.followers()
        assert leader.call("KEYSPACE", "CREATE", "orders", "STRATEGY", "raft",
                           "PARTITIONS", "4") == "OK"
        for node in followers:
            node.kill()
            node.start(extra=("--election-timeout-ms", "600000"))
            cluster.wait_applied()
        # Who rests knows a leader; a replica that has just started may not, and would have to wait.
        wait_for(lambda: all(node.info()["partitions_resting"] == "4" for node in cluster.nodes),
                 "all partitions rest")
        leader.kill()
        cluster.wait_ready()
        for node in followers:
            wait_for(lambda node=node: writes_everywhere(node), f"node {node.number} writes")


def writes_everywhere(node):
    """Into all partitions of the keyspace "orders"."""
    with node.connect() as connection:
        assert connection.call("SELECT", "orders") == "OK"
        replies = connection.pipeline([("SET", f"key:{i}", i) for i in range(64)])
    return all(reply == "OK" for reply in replies)


def test_nobody_is_sent_to_a_node_that_was_just_killed():
    """What is asked first and answered after the leader died, but before its end was read: a node
    that was stopped meanwhile finds the questions in front (scenario: kill -9 of a leader)."""
    with Cluster(3, CALM, cluster_ports=True) as cluster:
        leader, (follower, _) = cluster.leader(), cluster.followers()
        wait_for(lambda: master_by_slots(follower)[1] == leader.cluster_port, "the leader is known")
        with Connection(follower.cluster_port) as views, \
                Connection(follower.sentinel_port) as sentinel:
            for connection in (views, sentinel):  # it is let in
                connection.call("PING")
            follower.pause()
            views.send("CLUSTER", "SLOTS")
            sentinel.send("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")
            leader.kill()
            follower.resume()
            assert views.read()[0][2][1] != leader.cluster_port
            assert int(sentinel.read()[1]) != leader.port


def read_events(connection, wanted, events):
    while wanted not in events:
        kind, *_, channel, text = connection.read()
        assert kind == b"pmessage"
        events[channel.decode()] = text.decode()
    return events


@pytest.mark.parametrize("version", [2, 3])
def test_sentinels_tell_of_a_switch(version):
    """Of one: nobody else takes over only because the machine is busy."""
    with Cluster(3, CALM, cluster_ports=True) as cluster:
        leader, (follower, _) = cluster.leader(), cluster.followers()
        with Connection(follower.sentinel_port) as connection:
            if version == 3:
                connection.call("HELLO", "3")
            assert connection.call("PSUBSCRIBE", "*") == [b"psubscribe", b"*", 1]
            if version == 2:
                assert "Can't execute 'role'" in refused(connection.call, "ROLE")
                assert connection.call("PING") == [b"pong", b""]
            leader.kill()
            events = read_events(connection, "+switch-master", {})
            fresh = cluster.leader()
            assert events["+switch-master"] == \
                f"mymaster 127.0.0.1 {leader.port} 127.0.0.1 {fresh.port}"
            assert events["+sdown"] == f"master mymaster 127.0.0.1 {leader.port}"
            leader.start()
            events = read_events(connection, "-sdown", events)
            old = f"slave 127.0.0.1:{leader.port} 127.0.0.1 {leader.port} @ mymaster " \
                  f"127.0.0.1 {fresh.port}"
            assert events["+slave"] == events["-sdown"] == old


def current_epoch(node):
    return int(parse_info(at(node, "CLUSTER", "INFO"))["cluster_current_epoch"])


def test_the_epoch_grows_and_the_views_follow_when_leadership_moves():
    with Cluster(3, CALM, cluster_ports=True) as cluster:
        leader = cluster.leader()
        before = current_epoch(leader)
        assert leader.call("FAILOVER") == "OK"
        fresh = wait_for(lambda: next((n for n in cluster.nodes if n is not leader and n.leads()),
                                      None), "another leader")
        for node in cluster.nodes:
            wait_for(lambda node=node: master_by_slots(node)[1] == fresh.cluster_port,
                     f"node {node.number} shows the new leader")
            assert master_by_nodes(node)[1] == master_by_shards(node)[1] == fresh.cluster_port
            assert current_epoch(node) > before
        assert refused(at, leader, "GET", "foo") == f"MOVED 12182 127.0.0.1:{fresh.cluster_port}"


def test_without_a_quorum_all_say_so():
    with Cluster(3, cluster_ports=True, options=("--leader-wait", "200")) as cluster:
        leader, (first, second) = cluster.leader(), cluster.followers()
        assert at(leader, "SET", "a", "1") == "OK"
        leader.kill()
        second.kill()
        wait_for(lambda: b"cluster_state:fail" in at(first, "CLUSTER", "INFO"), "state is fail")
        assert refused(at, first, "SET", "a", "2").startswith("CLUSTERDOWN")
        lines = at(first, "CLUSTER", "NODES").decode()
        assert lines.count(",fail ") == 2, lines
        assert refused(ask, first, "SENTINEL", "CKQUORUM", "mymaster").startswith("NOQUORUM 1")
        row = ask(first, "SENTINEL", "MASTER", "mymaster")
        assert b"s_down,o_down,master" in row
        second.start()  # "bring it back" is what there is to do
        wait_for(lambda: b"cluster_state:ok" in at(first, "CLUSTER", "INFO"), "state is ok")
        assert ask(first, "SENTINEL", "CKQUORUM", "mymaster").startswith("OK 2 usable Sentinels")
        cluster.wait_ready()
        assert at(cluster.leader(), "GET", "a") == b"1"


def test_nodes_that_hang_are_shown_as_down():
    """Their connections stay open: a stopped process, a cut cable."""
    with Cluster(3, cluster_ports=True, options=("--leader-wait", "200")) as cluster:
        first, *others = cluster.nodes
        for node in others:
            node.pause()
        wait_for(lambda: b"cluster_state:fail" in at(first, "CLUSTER", "INFO"), "state is fail")
        assert at(first, "CLUSTER", "NODES").decode().count(",fail ") == 2
        assert refused(at, first, "SET", "a", "1").split()[0] in ("CLUSTERDOWN", "UNCERTAIN")
        assert refused(at, first, "SET", "a", "1").startswith("CLUSTERDOWN")
        assert refused(ask, first, "SENTINEL", "CKQUORUM", "mymaster").startswith("NOQUORUM 1")
        for node in others:
            node.resume()
        wait_for(lambda: b"cluster_state:ok" in at(first, "CLUSTER", "INFO"), "state is ok")


def test_a_node_that_was_removed_sends_its_clients_to_the_others():
    with Cluster(3, cluster_ports=True) as cluster:
        leader, (gone, left) = cluster.leader(), cluster.followers()
        assert leader.call("MEMBER", "REMOVE", str(gone.number)) == "OK"
        wait_for(lambda: gone.info("raft")["raft_removed"] == "1", "it knows")
        assert refused(at, gone, "CLUSTER", "SLOTS").startswith("CLUSTERDOWN")
        assert refused(at, gone, "GET", "x").startswith("CLUSTERDOWN")
        nodes = [ClusterNode("127.0.0.1", node.cluster_port) for node in (gone, left)]
        with RedisCluster(startup_nodes=nodes) as client:
            assert client.set("x", "1") and client.get("x") == b"1"
        sentinel = Sentinel([("127.0.0.1", node.sentinel_port) for node in (gone, left)])
        assert sentinel.discover_master("mymaster") == ("127.0.0.1", leader.port)


# --- A partitioned keyspace ------------------------------------------------------------------


@contextlib.contextmanager
def sixteen_partitions():
    with Cluster(3, cluster_ports=True, options=("--cluster-keyspace", "orders")) as cluster:
        assert cluster.leader().call("KEYSPACE", "CREATE", "orders", "STRATEGY", "raft",
                                     "PARTITIONS", "16") == "OK"
        for node in cluster.nodes:
            wait_for(lambda node=node: b"cluster_slots_ok:16384" in at(node, "CLUSTER", "INFO"),
                     f"node {node.number} knows all leaders")
        yield cluster


def ranges(node):
    return [(first, last, master[1]) for first, last, master, *_ in at(node, "CLUSTER", "SLOTS")]


def is_in_order(port):
    """It asks one node after the other: leadership that moves meanwhile looks like disorder."""
    code, out = redis_cli("--cluster", "check", f"127.0.0.1:{port}")
    return code == 0 and "All 16384 slots covered" in out


def test_slots_of_sixteen_partitions_are_those_of_their_leaders():
    with sixteen_partitions() as cluster:
        ports = {node.cluster_port for node in cluster.nodes}
        for node in cluster.nodes:
            wait_for(lambda node=node: ranges(node) == ranges(cluster.nodes[0]), "views agree")
            found = ranges(node)
            assert found[0][0] == 0 and found[-1][1] == 16383
            assert all(a[1] + 1 == b[0] for a, b in zip(found, found[1:]))
            assert {port for _, _, port in found} <= ports
        leader_of = {port: node for node in cluster.nodes for port in [node.cluster_port]}
        first, _, port = ranges(cluster.nodes[0])[0]
        assert first == 0
        for node in cluster.nodes:  # key 3560 has slot 0
            if node.cluster_port == port:
                assert at(node, "SET", "3560", "1") == "OK"
            else:
                assert refused(at, node, "GET", "3560") == f"MOVED 0 127.0.0.1:{port}"
        assert leader_of[port].call("EXISTS", "3560") == 0  # of keyspace 0
        with RedisCluster(startup_nodes=cluster_nodes(cluster)) as client:
            assert client.set("foo", "1")
        for node in cluster.nodes:  # the keys of a slot are its partition's, whoever is asked
            assert at(node, "CLUSTER", "COUNTKEYSINSLOT", 12182) == 1
            assert at(node, "CLUSTER", "GETKEYSINSLOT", 12182, 9) == [b"foo"]
            assert at(node, "CLUSTER", "COUNTKEYSINSLOT", 12183) == 0
        wait_for(lambda: is_in_order(port), "redis-cli finds the cluster in order")
        with RedisCluster(startup_nodes=cluster_nodes(cluster)) as client:
            write_and_find(client, 300)
        if len({port for _, _, port in ranges(cluster.nodes[0])}) > 1:
            done = subprocess.run(
                ["redis-benchmark", "--cluster", "-p", str(port), "-t", "set,get", "-n", "2000",
                 "-q"],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                timeout=60 * PATIENCE)
            assert done.returncode == 0 and "SET: " in done.stdout, done.stdout


def test_a_cluster_client_of_sixteen_partitions_follows_kills():
    with sixteen_partitions() as cluster, Stalls(cluster.directory) as stalls:
        journal = Journal("partitions", lambda: RedisCluster(startup_nodes=cluster_nodes(cluster),
                                                             socket_timeout=2),
                          GAP_MAX_S + CLUSTER_OWN_S)
        journal.start()
        for victim in cluster.nodes:
            journal.wait_for_more(100)
            victim.kill()
            journal.wait_for_more(100)
            victim.start()
            wait_for(victim.try_info, f"node {victim.number} is back", 15)
            cluster.wait_applied()
        journal.stop()
        with RedisCluster(startup_nodes=cluster_nodes(cluster), socket_timeout=5) as client:
            lost = {key: value for key, value in journal.last.items()
                    if int(client.get(key) or 0) < value}
        assert lost == {}
        journal.judge(stalls, len(cluster.nodes))
