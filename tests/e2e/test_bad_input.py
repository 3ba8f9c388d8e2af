"""Garbage, floods and strangers: named refusals, and nobody else is harmed."""
import contextlib
import os
import socket
import struct
import subprocess
import time

import pytest

from cluster import Cluster, undisturbed, wait_for
from resp import Closed, Connection, Error, encode

MALFORMED = {
    "not a number of arguments": (b"*x\r\n", b"invalid multibulk length"),
    "too many arguments": (b"*2147483647\r\n", b"invalid multibulk length"),
    "no bulk": (b"*1\r\n:1\r\n", b"expected '$', got ':'"),
    "negative bulk": (b"*1\r\n$-5\r\n", b"invalid bulk length"),
    "bulk that is no number": (b"*1\r\n$abc\r\n", b"invalid bulk length"),
    "bulk beyond the limit": (b"*1\r\n$536870913\r\n", b"invalid bulk length"),
    "unbalanced quotes": (b"SET \"a\r\n", b"unbalanced quotes in request"),
    "endless inline": (b"x" * (80 * 1024), b"too big inline request"),
    "endless count": (b"*" + b"1" * (80 * 1024), b"too big mbulk count string"),
    "endless length": (b"*1\r\n$" + b"1" * (80 * 1024), b"too big bulk count string"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_scenario_111_malformed_requests_close_their_connection_only(three, name):
    """Scenario 111."""
    node = three.nodes[0]
    data, text = MALFORMED[name]
    with node.connect() as bystander, node.connect() as connection:
        bystander.call("SET", "bystander", name)
        try:
            connection.send_raw(encode("PING") + data)
        except Closed:
            pass  # it was refused before all of it was sent
        said = connection.read_until_closed()
        assert said.startswith(b"+PONG\r\n-ERR Protocol error: "), said
        assert text in said
        assert bystander.call("GET", "bystander") == name.encode()


@pytest.mark.parametrize("pairs, size", [(65_536, 1), (4096, 1024)], ids=["arguments", "bytes"])
def test_a_command_that_would_hold_up_all_others_is_refused(three, pairs, size):
    """R4, U16: with an error that says what fits, and with no effect. A little less is no trouble.
    What is large is not counted: it travels by itself."""
    key = f"wide-{pairs}"
    words = [word for i in range(pairs) for word in (f"{key}-{i}", b"x" * size)]
    large = b"y" * (300 << 10)
    for node in (three.leader(), three.followers()[0]):
        with node.connect() as connection:
            for last in ([], [key, large]):
                with pytest.raises(Error, match="ERR command is too large"):
                    connection.call("MSET", *words, *last)
            assert connection.call("EXISTS", f"{key}-0", key) == 0
            fewer = words[:-400]
            assert connection.call("MSET", *fewer, key, large) == "OK"
            assert connection.call("EXISTS", f"{key}-0", fewer[-2], key) == 3
            assert connection.call("DEL", *fewer[::2], key) == len(fewer) // 2 + 1


def test_random_garbage_harms_nobody(three):
    node = three.nodes[0]
    for i in range(50):
        with node.connect() as connection:
            try:
                connection.send_raw(os.urandom(2000) + b"\r\n" * (i % 3))
                connection.socket.shutdown(socket.SHUT_WR)
                connection.read_until_closed()
            except (Closed, OSError):
                pass
    assert node.call("PING") == "PONG"


def test_scenario_112_a_client_that_never_reads_is_held_back(three):
    """Scenario 112: its replies do not pile up without a bound."""
    node = three.leader()
    with node.connect() as glutton:
        node.call("SET", "page", b"x" * 100_000)
        glutton.socket.setblocking(False)
        request, sent = encode("GET", "page") * 100, 0
        try:
            while sent < 200 * len(request):  # 2 GB of replies
                sent += glutton.socket.send(request)
        except BlockingIOError:
            pass
        until = time.monotonic() + 1
        while time.monotonic() < until:  # it has all of that before it, and waits
            info = node.info()
            assert int(info["client_output_high"]) < 64 << 20
            assert int(info["used_memory_rss"]) < 1 << 30
        assert node.call("PING") == "PONG"


def test_idle_clients_cost_little(three):
    node = three.leader()
    before = int(node.info()["used_memory"])
    many = [node.connect() for _ in range(1000)]
    for connection in many:
        connection.send("PING")
    assert [connection.read() for connection in many] == ["PONG"] * 1000
    cost = int(node.info()["used_memory"]) - before
    for connection in many:
        connection.close()
    assert cost < 1000 * 8192, f"{cost // 1000} bytes for each"


def test_scenario_113_a_client_of_one_byte_at_a_time(three):
    """Scenario 113."""
    with three.nodes[0].connect() as connection:
        for byte in encode("SET", "slow", "value") + encode("GET", "slow"):
            connection.send_raw(bytes([byte]))
        assert [connection.read(), connection.read()] == ["OK", b"value"]


def test_scenario_115_a_pattern_that_backtracks(three):
    """Scenario 115."""
    node = three.nodes[0]
    node.call("SET", "a" * 200, "x")
    with node.connect(timeout=5) as connection:
        assert connection.call("KEYS", "a*" * 60 + "b") == []


def test_scenario_114_maxclients():
    """Scenario 114."""
    with Cluster(1, options=["--maxclients", "20"]) as cluster:
        node = cluster.nodes[0]
        # The node may still count a connection of the harness that has just been closed.
        wait_for(lambda: node.info()["connected_clients"] == "1", "to be alone")
        many, refused = [], []
        for _ in range(30):
            connection = node.connect()
            connection.send("PING")
            reply = connection.read()
            (many if reply == "PONG" else refused).append(connection)
            assert reply == "PONG" or "max number of clients reached" in str(reply)
        assert 19 <= len(many) <= 20
        assert len(refused) >= 10
        for connection in refused:
            assert connection.read_until_closed() == b""
        for connection in many:
            connection.close()
        wait_for(lambda: node.try_info() is not None, "room for a client")


def test_requirepass():
    with Cluster(1, start=False, options=["--requirepass", "secret"]) as cluster:
        node = cluster.nodes[0]
        node.start()
        wait_for(lambda: node.listens(), "the node listens")
        with node.connect() as connection:
            with pytest.raises(Error, match="NOAUTH Authentication required."):
                connection.call("GET", "x")
            with pytest.raises(Error, match="^WRONGPASS"):
                connection.call("AUTH", "wrong")
            with pytest.raises(Error, match="^NOAUTH"):
                connection.call("SET", "never", "1")
            assert connection.call("AUTH", "secret") == "OK"
            wait_for(lambda: connection.call("SET", "x", "1") == "OK", "a write")
            assert connection.call("EXISTS", "never") == 0
        with node.connect() as connection:
            assert connection.call("HELLO", "3", "AUTH", "default", "secret")["proto"] == 3
            assert connection.call("GET", "x") == b"1"
        with node.connect() as connection:  # unauthenticated: no memory for strangers
            connection.send_raw(b"*11\r\n")
            assert b"unauthenticated" in connection.read_until_closed()
        with node.connect() as connection:
            connection.send_raw(b"*2\r\n$3\r\nGET\r\n$16385\r\n")
            assert b"unauthenticated" in connection.read_until_closed()


def own_address():
    """An address of this machine that is not the loopback; None without a network."""
    done = subprocess.run(["hostname", "-I"], stdout=subprocess.PIPE, text=True, check=False)
    found = [word for word in done.stdout.split() if "." in word]
    return found[0] if found else None


def test_protected_mode():
    address = own_address()
    if address is None:
        pytest.skip("kernel: no network interface but the loopback")
    with Cluster(1, options=["--bind", "*"]) as cluster:
        port = cluster.nodes[0].port
        assert cluster.nodes[0].call("PING") == "PONG"
        assert cluster.nodes[0].call("SET", "k", "one") == "OK"
        with Connection(port, host=address) as stranger:
            try:
                stranger.send("SET", "k", "two")
            except OSError:
                pass  # it was closed already
            heard = stranger.read_until_closed()
            assert heard.startswith(b"-DENIED ") and heard.count(b"\r\n") == 1
            assert b"requirepass" in heard and b"protected-mode" in heard  # what to do
        assert cluster.nodes[0].call("GET", "k") == b"one"
        cluster.nodes[0].call("CONFIG", "SET", "protected-mode", "no")
        with Connection(port, host=address) as welcome:
            assert welcome.call("SET", "k", "two") == "OK"


# --- The peer port ------------------------------------------------------------------------------


def test_garbage_on_the_peer_port(three):
    for node in three.nodes:
        for data in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(5000), b"\xff" * 100,
                     struct.pack("<I", 0xffffffff) * 10, encode("PING"), b""):
            with socket.create_connection(("127.0.0.1", node.peer_port), timeout=10) as stranger:
                try:
                    stranger.sendall(data)
                    stranger.shutdown(socket.SHUT_WR)
                    while stranger.recv(4096):
                        pass
                except OSError:
                    pass  # it was cut off, as it should be
    for node in three.nodes:
        assert node.call("SET", "after garbage", node.number) == "OK"


def test_strangers_who_say_nothing_on_the_peer_port(three):
    def among_strangers():
        node = three.leader()
        with contextlib.ExitStack() as strangers:
            for _ in range(200):
                strangers.enter_context(socket.create_connection(("127.0.0.1", node.peer_port)))
            assert node.call("SET", "among strangers", "1") == "OK"

    undisturbed(three, among_strangers)


def test_scenario_14_a_node_of_another_cluster_is_refused_in_words():
    """Scenario 14: the address is right and the cluster is not."""
    with Cluster(3) as cluster, Cluster(3, start=False) as other:
        # Node 3 of the other cluster believes that nodes 1 and 2 of this one are its peers.
        for here, there in zip(cluster.nodes[:2], other.nodes[:2]):
            there.port, there.peer_port = here.port, here.peer_port
        intruder = other.nodes[2]

        def words():
            return sum(node.log().count("another cluster")
                       for node in (intruder, *cluster.nodes[:2]))

        def intrude():
            had = words()
            intruder.start()
            try:
                wait_for(lambda: words() > had, "words about another cluster", 10)
                assert cluster.nodes[0].call("SET", "undisturbed", "1") == "OK"
            finally:
                intruder.kill()

        undisturbed(cluster, intrude)
