"""Any Redis client at any node, and what a client may expect of order, expiry and cursors."""
import socket
import subprocess
import threading
import time

import redis

import pytest

from cluster import wait_for
from resp import Error, encode

MIB = 1 << 20


def flush(cluster):
    cluster.nodes[0].call("FLUSHALL")


@pytest.fixture(params=["leader", "follower"])
def node(three, request):
    return three.leader() if request.param == "leader" else three.followers()[0]


# --- Clients ------------------------------------------------------------------------------------


def redis_cli(port, *arguments, text=None):
    done = subprocess.run(["redis-cli", "-p", str(port), *arguments], input=text, text=True,
                          stdout=subprocess.PIPE, timeout=20, check=True)
    return done.stdout


def test_redis_cli(node):
    assert redis_cli(node.port, "set", "greeting", "hello") == "OK\n"
    assert redis_cli(node.port, "get", "greeting") == "hello\n"
    assert redis_cli(node.port, "-3", "get", "nothing") == "\n"
    assert redis_cli(node.port, "incr", "greeting").startswith(
        "ERR value is not an integer or out of range")
    assert redis_cli(node.port, text="set a 1\nincr a\nget a\n") == "OK\n2\n2\n"


def test_redis_cli_reads_inline_commands_and_pipes(node):
    requests = "".join(f"SET piped:{i} {i}\r\n" for i in range(1000))
    output = redis_cli(node.port, "--pipe", text=requests)
    assert "errors: 0, replies: 1000" in output


def test_redis_py(node):
    client = redis.Redis(port=node.port)
    assert client.set("name", "value") is True
    assert client.get("name") == b"value"
    assert client.set("name", "other", nx=True) is None
    assert client.mset({"m1": "1", "m2": "2"}) is True
    assert client.mget("m1", "m2", "none") == [b"1", b"2", None]
    assert client.incrby("counter", 5) == 5
    assert client.delete("counter", "none") == 1
    assert client.type("name") == b"string"
    pipe = client.pipeline(transaction=False)
    for i in range(100):
        pipe.set(f"p{i}", i)
        pipe.get(f"p{i}")
    assert pipe.execute() == [x for i in range(100) for x in (True, b"%d" % i)]
    with pytest.raises(redis.exceptions.ResponseError, match="wrong number of arguments"):
        client.execute_command("GET")
    assert client.ping()


def test_scenario_34_resp3(node):
    with node.connect() as connection:
        hello = connection.call("HELLO", "3")
        assert hello["proto"] == 3
        assert connection.call("GET", "nothing at all") is None
        connection.call("SET", "f", "1.5")
        assert connection.call("INCRBYFLOAT", "f", "1") == b"2.5"
        connection.send("GETDEL", "nothing at all")  # a write, which the leader answers
        assert connection.socket.recv(16) == b"_\r\n"  # which is $-1 in RESP2


def test_a_client_that_wants_no_replies_is_read_on(node):
    with node.connect() as connection:
        for command in (("SET", "unheard", "1"), ("GET", "unheard")):
            requests = encode("CLIENT", "REPLY", "OFF") + encode(*command) * 10000
            connection.send_raw(requests + encode("CLIENT", "REPLY", "ON"))
            assert connection.read() == "OK"


# --- Order --------------------------------------------------------------------------------------


def test_ten_thousand_commands_before_the_first_reply_is_read(node):
    with node.connect(timeout=60) as connection:
        sender = threading.Thread(target=connection.send_raw, args=(
            b"".join(encode("SET", f"deep:{i}", i) + encode("GET", f"deep:{i}")
                     for i in range(5000)),))
        sender.start()
        sender.join(60)
        assert not sender.is_alive(), "the server must not make the client wait for its own reads"
        for i in range(5000):
            assert connection.read() == "OK"
            assert connection.read() == b"%d" % i


def test_a_pipeline_keeps_its_order(node):
    """Reads see exactly the writes that stand before them, wherever they are carried out."""
    with node.connect(timeout=30) as connection:
        for _ in range(20):
            commands = []
            for i in range(100):
                commands += [("SET", "order", i), ("GET", "order"), ("INCR", "ordered"),
                             ("PING",), ("GET", "ordered")]
            base = int(connection.call("GET", "ordered") or 0)
            replies = connection.pipeline(commands)
            expected = []
            for i in range(100):
                n = base + i + 1
                expected += ["OK", b"%d" % i, n, "PONG", b"%d" % n]
            assert replies == expected


def test_a_write_is_seen_at_every_node_at_once(three):
    """Linearizable: as soon as one client has its OK, another one anywhere reads the value."""
    connections = [node.connect() for node in three.nodes]
    for i in range(300):
        assert connections[i % 3].call("SET", "everywhere", i) == "OK"
        assert connections[(i + 1) % 3].call("GET", "everywhere") == b"%d" % i
        assert connections[(i + 2) % 3].call("GET", "everywhere") == b"%d" % i
    for connection in connections:
        connection.close()


def test_errors_do_not_put_a_pipeline_out_of_step(node):
    with node.connect() as connection:
        replies = connection.pipeline([
            ("SET", "s", "text"), ("INCR", "s"), ("NOSUCH", "x"), ("GET",), ("GET", "s"),
            ("SET", "s", "1", "EX", "0"), ("GET", "s"), ("CONFIG", "NOSUCH"), ("ECHO", "end")])
        kinds = [reply.kind() if isinstance(reply, Error) else reply for reply in replies]
        assert kinds == ["OK", "ERR", "ERR", "ERR", b"text", "ERR", b"text", "ERR", b"end"]


# --- Databases ----------------------------------------------------------------------------------


def test_databases(three, node):
    flush(three)
    with node.connect() as connection:
        connection.call("SET", "k", "in 0")
        connection.call("SELECT", "3")
        assert connection.call("GET", "k") is None
        connection.call("SET", "k", "in 3")
        assert connection.call("MOVE", "k", "0") == 0
        connection.call("SET", "mover", "x")
        assert connection.call("MOVE", "mover", "5") == 1
        assert connection.call("DBSIZE") == 1
        connection.call("SWAPDB", "0", "3")
        assert connection.call("GET", "k") == b"in 0"
        with pytest.raises(Error, match="DB index is out of range"):
            connection.call("SELECT", "16")
        connection.call("FLUSHDB")
        assert connection.call("DBSIZE") == 0
        connection.call("SELECT", "0")
        assert connection.call("GET", "k") == b"in 3"
        connection.call("FLUSHALL")
        connection.call("SELECT", "5")
        assert connection.call("DBSIZE") == 0


# --- Time ---------------------------------------------------------------------------------------


def test_keys_expire_everywhere(three, node):
    flush(three)
    with node.connect() as connection:
        connection.call("SET", "short", "x", "PX", "300")
        connection.call("SET", "long", "x", "EX", "1000")
        for other in three.nodes:
            assert other.call("GET", "short") == b"x"
            assert 0 < other.call("PTTL", "short") <= 300
        wait_for(lambda: connection.call("GET", "short") is None, "expiry", 3)
        for other in three.nodes:
            assert other.call("GET", "short") is None
            assert other.call("EXISTS", "short", "long") == 1
            assert other.call("TTL", "short") == -2
        # Not only hidden: a logged tick removes it, without anybody asking for it.
        connection.call("SET", "unasked", "x", "PX", "50")
        wait_for(lambda: connection.call("DBSIZE") == 1, "the tick that removes it", 3)


# --- Walking ------------------------------------------------------------------------------------


def test_scan_visits_every_key(three, node):
    flush(three)
    with node.connect(timeout=30) as connection:
        connection.pipeline([("SET", f"scan:{i}", i) for i in range(3000)])
        seen, cursor = set(), b"0"
        while True:
            cursor, keys = connection.call("SCAN", cursor, "MATCH", "scan:*", "COUNT", "97")
            seen.update(keys)
            if cursor == b"0":
                break
        assert len(seen) == 3000
        assert sorted(connection.call("KEYS", "scan:1?")) == [b"scan:%d" % i for i in range(10, 20)]
        assert connection.call("RANDOMKEY").startswith(b"scan:")


# --- Big values ---------------------------------------------------------------------------------


def stored(connection, key, value):
    connection.send("SET", key, value)
    reply = connection.read()
    if isinstance(reply, Error):
        assert reply.kind() in ("TRYAGAIN", "UNCERTAIN", "CLUSTERDOWN"), reply
        return False
    return reply == "OK"


@pytest.mark.parametrize("size", [1 * MIB, 32 * MIB])
def test_big_values(node, size):
    value = bytes(range(256)) * (size // 256)
    with node.connect(timeout=60) as connection:
        # Three copies of 32 MiB on a busy machine may cost the leader its leadership.
        wait_for(lambda: stored(connection, "big", value), "the value is stored", 60)
        assert connection.call("GET", "big") == value
        assert connection.call("STRLEN", "big") == size
        assert connection.call("DEL", "big") == 1


def test_a_value_over_the_limit_closes_the_connection(node):
    """As a bulk beyond Redis's proto-max-bulk-len: refused as soon as its length is known."""
    with node.connect() as connection:
        connection.call("SET", "too big", "small")
        connection.send_raw(b"*3\r\n$3\r\nSET\r\n$7\r\ntoo big\r\n$%d\r\n" % (512 * MIB + 1))
        assert connection.read_until_closed() == b"-ERR Protocol error: invalid bulk length\r\n"
    assert node.call("GET", "too big") == b"small"


def test_a_value_that_would_grow_over_the_limit_is_refused(node):
    with node.connect(timeout=60) as connection:
        assert connection.call("SETRANGE", "grows", 512 * MIB - 1, "x") == 512 * MIB
        with pytest.raises(Error, match="string exceeds maximum allowed size"):
            connection.call("APPEND", "grows", "x")
        with pytest.raises(Error, match="string exceeds maximum allowed size"):
            connection.call("SETRANGE", "grows", 512 * MIB, "x")
        assert connection.call("STRLEN", "grows") == 512 * MIB
        connection.call("DEL", "grows")


def test_a_key_over_the_limit_is_refused_by_name(node):
    with node.connect() as connection:
        key = "k" * (64 * 1024)
        assert connection.call("SET", key, "x") == "OK"
        with pytest.raises(Error, match="key is too long"):
            connection.call("SET", key + "k", "x")
        assert connection.call("GET", key) == b"x"
        connection.call("DEL", key)


# --- What the server says of itself -------------------------------------------------------------


def test_info_and_role(three):
    leader = three.leader()
    assert leader.info()["role"] == "master"
    assert leader.call("ROLE")[0] == b"master"
    assert len(leader.call("ROLE")[2]) == 2
    for follower in three.followers():
        info = follower.info()
        assert info["role"] == "slave"
        assert info["raft_role"] == "follower"
        assert int(info["raft_leader_id"]) == leader.number
        role = follower.call("ROLE")
        assert role[0] == b"slave" and role[2] == leader.port


def test_wait_counts_the_others(three, node):
    with node.connect() as connection:
        connection.call("SET", "waited for", "x")
        started = time.monotonic()
        assert connection.call("WAIT", "2", "5000") == 2
        assert time.monotonic() - started < 4
        assert connection.call("WAIT", "0", "10") >= 1


def test_client_commands(node):
    with node.connect() as connection, node.connect() as other:
        connection.call("CLIENT", "SETNAME", "tester")
        assert connection.call("CLIENT", "GETNAME") == b"tester"
        other_id = other.call("CLIENT", "ID")
        listed = connection.call("CLIENT", "LIST").decode()
        assert "name=tester" in listed and f"id={other_id} " in listed
        assert connection.call("CLIENT", "KILL", "ID", other_id) == 1
        assert other.read_until_closed() == b""


def test_quit_answers_what_came_before(node):
    with node.connect() as connection:
        connection.send_raw(encode("SET", "q", "1") + encode("QUIT") + encode("SET", "q", "2"))
        assert connection.read_until_closed() == b"+OK\r\n+OK\r\n"
    assert node.call("GET", "q") == b"1"


def test_half_closed_clients_get_their_replies(node):
    """`printf … | nc`: the client closes its side, and still wants what it asked for."""
    with node.connect() as connection:
        connection.send_raw(encode("SET", "half", "1") + encode("GET", "half"))
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.read_until_closed() == b"+OK\r\n$1\r\n1\r\n"
