"""Clients that keep a connection and say nothing, or half of something (scenario 113)."""
import socket
import time

from cluster import PATIENCE, Cluster, wait_for
from resp import Closed, Error


def is_closed(connection):
    try:
        return connection.socket.recv(1) == b""
    except socket.timeout:
        return False
    except ConnectionError:
        return True


def test_scenario_113_idle_clients_are_closed_after_timeout():
    with Cluster(1) as cluster:
        node = cluster.nodes[0]
        with node.connect() as idle, node.connect() as busy:
            idle.call("PING")
            busy.call("CONFIG", "SET", "timeout", "1")
            begun = time.monotonic()
            idle.socket.settimeout(0.2)
            while not is_closed(idle):
                busy.call("PING")
            assert 0.5 < time.monotonic() - begun < 5 * PATIENCE


def test_scenario_113_strangers_have_little_time_before_auth():
    """A command begun and not ended is no way to keep a connection."""
    with Cluster(1, start=False, options=["--requirepass", "secret"]) as cluster:
        node = cluster.nodes[0]
        node.start()
        wait_for(lambda: can_ask(node), "the node listens")
        with node.connect(60) as stranger, node.connect(60) as known:
            assert known.call("AUTH", "secret") == "OK"
            begun = time.monotonic()
            stranger.send_raw(b"*2\r\n$4\r\nAUTH\r\n$6\r\nsec")
            known.send_raw(b"*2\r\n$3\r\nGET\r\n$6\r\nsec")
            assert stranger.read_until_closed() == b""
            assert 9 < time.monotonic() - begun < 15 * PATIENCE
            known.send_raw(b"ret\r\n")
            wait_for(lambda: answered(known), "who is known may take all the time")


def can_ask(node):
    try:
        with node.connect() as connection:
            connection.send("PING")
            return connection.read() is not None
    except (OSError, Closed):
        return False


def answered(connection):
    reply = connection.read()
    return reply is None or isinstance(reply, Error)
