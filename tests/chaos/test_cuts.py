"""Cuts that a network makes: nobody hears of them, and connections are not closed (scenario 45, and
what is left of a cut when it is over)."""
import contextlib
import random
import threading
import time

import pytest

from cluster import PATIENCE, Cluster, ask, wait_for
from namespaces import Network
from resp import Closed, Error
from seats import ChaosSeat

CUT_S = 14  # since 12.6 s TCP waits for as long again before it sends once more
DIALS_S = 21  # since 15 to 19 s, as the kernel is, TCP waits for sixteen more before it dials again


class Three(Cluster):
    """Three nodes in namespaces of their own."""

    def __init__(self, network, options=()):
        super().__init__(0, options)
        self.nodes = [ChaosSeat(self, n, network, has_clock=False) for n in (1, 2, 3)]
        for node in self.nodes:
            node.founder = True


@pytest.fixture(name="three", scope="module")
def _three(inside):  # pylint: disable=unused-argument
    with Network(4, random.randrange(1 << 30)) as network, Three(network) as cluster:
        cluster.network = network
        yield cluster


def follows(node):
    info = node.try_info("raft")
    return info is not None and info["raft_role"] == "follower" and info["raft_leader_id"] != "0" \
        and int(info["raft_applied"]) >= int(info["raft_commit"])


def cut(three, node, inwards=1, outwards=1):
    for other in three.nodes:
        if other is not node:
            three.network.set(other.number, node.number, cut=inwards)
            three.network.set(node.number, other.number, cut=outwards)


def heal(three, node, value):
    """And it is soon as if nothing had been."""
    three.network.clear()
    began = time.monotonic()
    wait_for(lambda: follows(node) and node.call(
        "WITH", 2, "READ", "local", "GET", "k") == value, "it follows again", 60)
    took = time.monotonic() - began
    print(f"figure: back after {took:.2f} s")
    assert took < 2.5 * PATIENCE


@pytest.mark.parametrize("inwards, outwards", [(1, 1), (0, 1)])
def test_scenario_45_a_cut_is_over_when_it_is_over_however_long_it_was(three, inwards, outwards):
    node = three.followers()[0]
    cut(three, node, inwards, outwards)
    others = [other for other in three.nodes if other is not node]
    until, number = time.monotonic() + CUT_S, 0
    while time.monotonic() < until:  # so that there is something to be sent, all the time
        number += 1
        ask(others[number % 2], "SET", "k", number)
        time.sleep(0.02)
    heal(three, node, str(number).encode())


def test_who_was_started_during_a_cut_is_met_when_it_is_over(three):
    node = three.followers()[0]
    node.kill()
    cut(three, node)
    node.start()
    ask(three.leader(), "SET", "k", "during")
    time.sleep(DIALS_S)
    heal(three, node, b"during")


def order(node, *words):
    """That nobody answers."""
    with contextlib.suppress(Error, Closed, OSError):
        node.call(*words, timeout=3)


@pytest.mark.parametrize("behind", [0, 40])
def test_scenario_29_nobody_is_sent_away_for_an_entry_that_was_never_committed(three, behind):
    """A leader that is cut off has named the newcomer in an entry that the others never saw. It
    drops that when it is back, for theirs, which names him too: at once, or after some seconds in
    which it knows of neither (scenario 29)."""
    lone = three.leader()
    others = [node for node in three.nodes if node is not lone]
    newcomer = ChaosSeat(three, 4, three.network, has_clock=False)
    newcomer.id = 4
    cut(three, lone)
    adding = threading.Thread(target=order, args=(lone, "MEMBER", "ADD", "4", "10.77.0.4:7001"))
    adding.start()
    wait_for(lambda: any(node.leads() for node in others), "another leader", 20)
    for number in range(behind):
        ask(others[0], "SET", f"large:{number}", b"x" * 100_000)
    try:
        newcomer.start()
        wait_for(lambda: follows(newcomer), "it was taken in", 20)
        wait_for(lambda: "Connected to node 4" in lone.log(), "the lone one has met it", 20)
        adding.join()
        cut(three, lone, 0, 0)
        three.network.set("*", lone.number, bytes_per_s=behind * 20_000)
        wait_for(lambda: follows(lone), "the lone one is back", 30)
        until = time.monotonic() + 4  # it would be sent away two seconds after the drop
        while time.monotonic() < until:
            assert newcomer.info("raft")["raft_removed"] == "0", newcomer.log()[-1500:]
            time.sleep(0.05)
        assert behind or f"Lost node {lone.number}" not in newcomer.log()
    finally:
        three.network.clear()
        wait_for(lambda: ask(three.leader(), "MEMBER", "REMOVE", "4", "FORCE") == "OK", "it goes")
        newcomer.kill()
        newcomer.wipe()
