"""The two logs of STRATEGY primary (rows L3, R9; decision 056): the same commands come to the same
state with rows and with statements, on every replica, through kills of the primary."""
import random

import pytest

from cluster import CALM, Cluster, wait_for
from resp import Error
from test_primary_orders import create, view

KEYS = 40


@pytest.fixture
def three():
    with Cluster(3, CALM) as cluster:
        create(cluster.nodes[0], "rows", "ANY 1", "LOG", "logical", "PREFIX", "l:")
        create(cluster.nodes[0], "words", "ANY 1", "LOG", "statement", "PREFIX", "s:")
        yield cluster


def commands(seed, count):
    """What changes keys in every way there is; `{}` becomes the keyspace's prefix."""
    dice = random.Random(seed)
    large = "x" * (300 * 1024)  # no row says that
    for _ in range(count):
        a, b = (f"{{}}{dice.randrange(KEYS)}" for _ in range(2))
        yield dice.choice([
            ("SET", a, dice.randrange(1000)), ("INCR", a), ("APPEND", a, "x" * dice.randrange(99)),
            ("DEL", a, b), ("GETSET", a, dice.randrange(9)), ("MSET", a, 1, b, 2),
            ("SET", a, 5, "PX", dice.choice([1, 20, 60000])), ("PERSIST", a), ("GETDEL", a),
            ("RENAME", a, b), ("SETRANGE", a, dice.randrange(200), "yy"), ("COPY", a, b),
            ("EXPIRE", a, 1000), ("SET", a, large, "NX"),
            ("INCRBYFLOAT", a, dice.choice(["0.1", "1e17", "-3.3e-9", "0x1p-3"]))])


def call(node, prefix, command):
    try:
        return node.call(*(word.format(prefix) if isinstance(word, str) else word
                           for word in command))
    except Error as error:
        return str(error)


def state(node, prefix):
    return [node.call("GET", f"{prefix}{i}") for i in range(KEYS)]


def primary(cluster, name):
    return cluster.nodes[view(cluster.nodes[0], name)["primary"] - 1]


def nothing_differs(cluster):
    return not any(node.call("ALARM", "LIST") for node in cluster.nodes)


def test_both_logs_come_to_the_same_state_L3(three):
    for i, command in enumerate(commands(7, 600)):
        node = three.nodes[i % 3]
        rows, words = (call(node, prefix, command) for prefix in ("l:", "s:"))
        assert rows == words, command
        if command[-1] in (1, 20) and "PX" in command:
            for prefix in ("l:", "s:"):
                wait_for(lambda p=prefix: call(node, p, ("EXISTS", command[1])) == 0, "it is due")
    assert state(three.nodes[0], "l:") == state(three.nodes[1], "s:")
    assert nothing_differs(three)


def test_a_read_behind_a_write_of_another_client_is_committed_E3(three):
    one, two = primary(three, "rows").connect(), primary(three, "rows").connect()
    for i in range(200):
        one.send("INCR", "l:n")
        assert int(two.call("GET", "l:n") or 0) in (i, i + 1)
        assert one.read() == i + 1


def test_no_acknowledged_write_is_lost_with_the_primary_L9(three):
    written = {}
    for round_ in range(3):
        for name, prefix in (("rows", "l:"), ("words", "s:")):
            for i in range(50):
                key = f"{prefix}{round_}-{i}"
                assert three.nodes[i % 3].call("SET", key, i) == "OK"
                written[key] = i
        victim = primary(three, "rows")
        victim.kill()
        others = [node for node in three.nodes if node is not victim]
        for prefix in ("l:", "s:"):
            wait_for(lambda p=prefix: call(others[0], p, ("SET", "{}probe", 1)) == "OK",
                     "another primary serves")
        for key, value in written.items():
            assert others[1].call("GET", key) == str(value).encode()
        victim.start()
        wait_for(lambda: view(others[0], "rows")["view"] == "settled", "a view is settled")
        three.wait_ready()
    wait_for(lambda: nothing_differs(three), "nothing is damaged, and nobody differs")
