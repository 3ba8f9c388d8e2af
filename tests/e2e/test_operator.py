"""What an operator hears (row R7): without a leader, when things go wrong half way, when a node is
pointed at the wrong place. Every refusal is one clear sentence and changes nothing."""
import collections
import http.server
import os
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

from cluster import PATIENCE, Cluster, free_ports, wait_for
from resp import Connection, Error
from test_members import (First, GrowingCluster, Joiner, Retrier, change, fails_to_start, grow,
                          members, new_node, roles, start_joined, wait_roles)


def views(node):
    return {(row["view"], row["leader"], row["decided"]) for row in members(node).values()}


# --- Who the members are ------------------------------------------------------------------------

def test_without_a_leader_the_members_are_told_at_once_and_marked():
    """It may be out of date, and says so; what only a leader knows is not made up."""
    with Cluster(3) as cluster:
        leader = cluster.leader()
        asked, other = cluster.followers()
        rows = members(asked)
        assert {row["view"] for row in rows.values()} == {"leader"}
        assert [number for number, row in rows.items() if row["leader"]] == [leader.number]
        leader.kill()
        other.kill()
        wait_for(lambda: asked.info("raft")["raft_leader_id"] in ("0", "-1", ""), "no leader")
        with asked.connect() as waiting:
            waiting.send("SET", "k", "v")  # what waits for a leader does not hold it up
            began = time.monotonic()
            rows = members(asked)
            assert time.monotonic() - began < 0.5 * PATIENCE
            assert sorted(rows) == [1, 2, 3] and views(asked) == {("local", 0, 1)}
            assert {n: row["state"] for n, row in rows.items()} == \
                {n: "self" if n == asked.number else "away" for n in rows}
            assert rows[leader.number]["lag"] == rows[leader.number]["match"] == -1
            assert rows[asked.number]["match"] > 0
            with pytest.raises(Error, match="^CLUSTERDOWN"):
                raise waiting.read()
        other.start()
        wait_for(lambda: {row["view"] for row in members(asked).values()} == {"leader"}, "a leader")


def test_a_change_that_loses_its_quorum_says_what_may_have_happened():
    """FORCE does not replace the majority: no word of a write, but how to find out what became of
    the change; and it is carried out as a whole or not at all."""
    with Cluster(3) as cluster:
        leader, others = cluster.leader(), cluster.followers()
        for node in others:
            node.pause()
        with pytest.raises(Error, match="^UNCERTAIN leadership ended .*change of the members.*FORCE "
                                        "does not replace.*MEMBER LIST"):
            leader.call("MEMBER", "REMOVE", str(others[0].number), "FORCE")
        assert views(leader) == {("local", 0, 0)}  # in its log, and not decided
        for node in others:
            node.resume()
        wait_for(lambda: views(leader) & {("leader", 1, 1)}, "it is decided", 20)
        assert roles(leader) in ({1: "voter", 2: "voter", 3: "voter"},
                                 {n: "voter" for n in (1, 2, 3) if n != others[0].number})


# --- FAILOVER and WAIT --------------------------------------------------------------------------

def test_failover_to_a_node_is_not_ok_when_another_one_leads():
    with Cluster(5) as cluster:
        leader, target = cluster.leader(), cluster.followers()[0]
        target.pause()
        with leader.connect(timeout=30) as order:
            order.send("FAILOVER", "TO", str(target.number), "TIMEOUT", "60000")
            wait_for(lambda: leader.info("replication")["master_failover_state"] ==
                     "waiting-for-sync", "it waits for its target")
            leader.pause()
            now = wait_for(cluster.find_leader, "another leader")
            leader.resume()
            answer = order.read()
        assert isinstance(answer, Error), answer
        assert str(answer) == "ERR FAILOVER went to another node than asked for, " \
                              f"node {now.number} leads now"
        target.resume()


def test_a_wait_under_way_is_answered_by_the_next_leader():
    """U1: a WAIT outlives its leader; it never counts a replica that lacks what was written."""
    with Cluster(3) as cluster:
        leader, (target, away) = cluster.leader(), cluster.followers()
        away.kill()
        with leader.connect(timeout=30) as first, target.connect(timeout=30) as second:
            for number, connection in enumerate((first, second)):
                assert connection.call("SET", f"k{number}", "v") == "OK"
                assert connection.call("WAIT", "2", "50") == 1
                connection.send("WAIT", "2", "60000")
            wait_for(lambda: leader.info("clients")["blocked_clients"] == "2", "both wait")
            assert leader.call("FAILOVER", "TO", str(target.number)) == "OK"
            for connection in (first, second):
                connection.send("WAIT", "2", "50000")  # behind the other; the new leader counts too
            away.start()
            assert first.read() == second.read() == 2
            assert first.read() == second.read() == 2
        # A client that wrote under the old leader asks the new one, with the replica gone again.
        away.kill()
        assert target.call("SET", "k2", "v") == "OK"
        with leader.connect(timeout=30) as client:
            assert client.call("SET", "k3", "v") == "OK"
            assert target.call("FAILOVER", "TO", str(leader.number)) == "OK"
            assert client.call("WAIT", "2", "100") == 1
