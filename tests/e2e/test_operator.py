"""What an operator hears (row R7): without a leader, when things go wrong half way, when a node is
pointed at the wrong place. Every refusal is one clear sentence and changes nothing."""
import collections
import os
import re
import shutil
import signal
import socket
import struct
import threading
import time

import pytest

from cluster import CALM, PATIENCE, Cluster, free_ports, wait_for
from loadgen import LoadGenerator
from machine import Stalls
from peer import Lane
from resp import Closed, Error, as_rows
from test_members import (GrowingCluster, Joiner, Retrier, as_kind, change, fails_to_start,
                          members, new_node, roles, start_joined, wait_roles)


def try_write(node):
    try:
        return node.call("SET", "still", "here") == "OK"
    except (Error, Closed, OSError):
        return False


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
            with pytest.raises(Error, match="^CLUSTERDOWN no leader, nothing was changed: a m"):
                asked.call("MEMBER", "REMOVE", str(other.number), "FORCE")
        other.start()
        wait_for(lambda: {row["view"] for row in members(asked).values()} == {"leader"}, "a leader")


def test_the_members_are_listed_by_id_and_told_in_the_log_when_they_change():
    with GrowingCluster(3) as cluster:
        first, ninth, second = cluster.nodes
        ninth.id, second.id = 9, 2
        start_joined(ninth)
        start_joined(second)
        wait_roles(first, {1: "voter", 2: "voter", 9: "voter"})
        change(first, "REMOVE", "9")
        wait_for(lambda: 9 not in members(first), "it is gone")
        ninth.kill()
        shutil.rmtree(ninth.directory)
        ninth.id = 7  # at a lower index than 2
        start_joined(ninth)
        assert [row["id"] for row in as_rows(first.call("MEMBER", "LIST"))] == [1, 2, 7]
        for text in ("1 (voter), 9 (learner)", "1 (voter), 9 (voter), 2 (voter)",
                     "1 (voter), 2 (voter)"):
            wait_for(lambda t=text: f"Members now: {t}" in second.log() + first.log(), text)
        for place in ("localhost:7001", "300.1.1.1:7001", "::1:", "127.0.0.1:0", "a b:1"):
            with pytest.raises(Error, match="an address is"):
                first.call("MEMBER", "ADD", "12", place)


def test_a_change_that_loses_its_quorum_says_what_may_have_happened():
    """FORCE does not replace the majority: no word of a write, but how to find out what became of
    the change; and it is carried out as a whole or not at all."""
    with Cluster(3) as cluster:
        leader, others = cluster.leader(), cluster.followers()
        for node in others:
            node.pause()
        with pytest.raises(Error, match="^UNCERTAIN leadership ended,.*change of the members.*FO"
                                        "RCE does not replace.*MEMBER LIST"):
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


# --- Nodes that are not who they were ----------------------------------------------------------

def warnings(node):
    return [line for line in node.log().splitlines() if " # " in line]


def test_scenario_53_a_wiped_founder_under_its_old_command_line_is_refused_with_the_remedy():
    """It may have forgotten what it acknowledged. Both sides say so once, not at every attempt, and
    how to go on; attempts become rare; and the remedy works."""
    with Cluster(3) as cluster:
        wiped = cluster.followers()[0]
        others = [node for node in cluster.nodes if node is not wiped]
        wiped.kill()
        shutil.rmtree(wiped.directory)
        before = [len(warnings(node)) for node in others]
        wiped.start()
        text = "comes with another data directory than before"
        wait_for(lambda: sum(text in line for line in warnings(wiped)) >= 2, "both have refused it")
        refused = int(others[0].info("stats").get("peer_refused", 0))
        time.sleep(3)  # several attempts
        for node, old in zip(others, before):
            lines = warnings(node)[old:]
            assert len(lines) <= 2, lines  # one for either side that dials
            assert all("start it with the old directory, or with an empty one and --join" in line
                       for line in lines if text in line), lines
        assert len(warnings(wiped)) <= 4, warnings(wiped)
        assert int(others[0].info("stats").get("peer_refused", 0)) - refused <= 8
        wiped.kill()
        shutil.rmtree(wiped.directory)
        at = cluster.nodes.index(wiped)
        again = Joiner(cluster, wiped.number, wiped.port, wiped.peer_port, wiped.metrics_port)
        again.asked, again.id = others, wiped.number
        cluster.nodes[at] = again
        start_joined(again)
        wait_roles(others[0], {1: "voter", 2: "voter", 3: "voter"})


# --- Under load ----------------------------------------------------------------------------------

def test_nodes_added_replaced_and_removed_under_load_cost_a_retrying_client_nothing():
    """One node becomes three, each is replaced in turn, the leader among them, by another directory
    under its id, and two leave. What clients meet is counted by kind: a removed node says so, and
    whoever is stopped refuses connections. No write is uncertain, nothing waits for a leader, and
    what all of them saw is linearizable."""
    with GrowingCluster(4, CALM) as cluster, Stalls(cluster.directory) as stalls:
        clients = [Retrier(cluster, f"retry{n}") for n in range(3)]
        for client in clients:
            client.start()
        with LoadGenerator(cluster, rate=1000) as load:
            load.wait_for_acknowledged(200)
            nodes = cluster.nodes
            for node in nodes[1:]:
                start_joined(node)
            wait_roles(nodes[3], {n: "voter" for n in (1, 2, 3, 4)})
            for client in clients:
                assert set(client.errors) <= {"refused"}, client.errors  # it does not listen yet
            remove(nodes[0], 4)
            for number, node in enumerate(nodes[:3], 1):
                asked = nodes[number % 3]
                remove(asked, number)
                wait_for(lambda n=node: n.try_info("raft")["raft_removed"] == "1", "it knows")
                for client in clients:
                    client.wait_for_more(20)
                assert node.terminate() == 0
                shutil.rmtree(node.directory)
                nodes[number - 1] = again = as_kind(Joiner, node)
                again.asked, again.id = [n for n in nodes[:3] if n is not again], number
                start_joined(again)
                wait_roles(asked, {n: "voter" for n in (1, 2, 3)})
            for number in (1, 2):
                remove(nodes[2], number)
            for client in clients:
                client.wait_for_more(20)
                client.finish(nodes[2])
            load.finish()
            for word in ("uncertain_reads", "unexpected"):
                assert load.word(word) == 0, word
            # A leader that hands over has 100 ms to answer what others have sent it.
            hurried = stalls.longest() > 0.1
            assert load.word("uncertain") == 0 or hurried
            load.check_history()
        met = sum((client.errors for client in clients), collections.Counter())
        assert set(met) <= {"REMOVED", "refused", "closed"} | ({"UNCERTAIN"} if hurried else set())
        for began, ended, reasons in sum((client.slow for client in clients), []):
            stood = stalls.within(began, ended)
            assert ended - began - stood < 1.0 * PATIENCE, (ended - began, stood, reasons)
        assert roles(nodes[2]) == {3: "voter"}


class PaperJoiner:
    """Asks to be taken in, one question at a time."""

    TAKEN, ELSEWHERE, LATER, REFUSED = range(1, 5)
    LEVEL = 6  # of the cluster, which it knows

    def __init__(self, node):
        self.node, self.uuid = node, os.urandom(16)
        self.port = free_ports(1)[0]

    def ask(self, number=0):
        lane = Lane(self.node, "00" * 16, self.uuid, 0, versions=(4, 2), wanted=0)
        address = b"127.0.0.1"
        lane.send(9, struct.pack("<BI", 0, number) + self.uuid +
                  struct.pack("<HHB", self.port, self.port + 1, len(address)) + address +
                  struct.pack("<H", self.LEVEL))
        kind, head, _ = lane.read()
        lane.close()
        assert kind == 10
        text = head[4:].decode() if head[0] != self.TAKEN else ""
        return head[0], text


def test_a_joiner_that_was_removed_before_it_heard_that_it_was_taken_in_is_told():
    """Scenario 29: it does not come back as another node, also when the leader is another one or
    was restarted meanwhile; an empty directory may join."""
    with Cluster(3) as cluster:
        leader = cluster.leader()
        joiner = PaperJoiner(leader)
        assert joiner.ask(4) == (joiner.LATER, "node 4 is being taken in")
        wait_for(lambda: 4 in roles(leader), "it is taken in")
        change(leader, "REMOVE", "4")
        result, text = joiner.ask(4)
        assert result == joiner.REFUSED and "removed" in text and "wipe its directory" in text
        leader.kill()
        leader.start()
        cluster.wait_ready()
        joiner.node = cluster.leader()
        assert joiner.ask() == (joiner.REFUSED, text)
        assert sorted(roles(leader)) == [1, 2, 3]
        other = PaperJoiner(cluster.leader())
        assert other.ask(4)[0] == other.LATER


def remove(node, number):
    """The same on a machine so busy that the leader may change, or not have heard of the others."""
    asked = []

    def is_gone():
        try:
            return node.call("MEMBER", "REMOVE", str(number)) == "OK"
        except Error as reason:
            if asked and str(reason).startswith("ERR there is no member with that id"):
                return True  # it was UNCERTAIN
            if not str(reason).startswith(("TRYAGAIN", "UNCERTAIN", "UNSAFE")):
                raise
            asked.append(reason)
            return False
    wait_for(is_gone, f"node {number} is removed", 20)


def test_scenario_29_an_id_is_used_again_right_after_its_removal():
    """Another directory comes under the id at once, under the same index, while the removed node
    runs: they are not taken for each other, nothing is lost, the old one knows that it is out."""
    with Cluster(3) as cluster, LoadGenerator(cluster, rate=2000) as load:
        load.wait_for_acknowledged(500)
        old = cluster.followers()[0]
        alive = [node for node in cluster.nodes if node is not old]
        fresh = new_node(cluster)
        fresh.asked, fresh.id = alive, old.number
        index = members(alive[0])[old.number]["index"]
        remove(alive[0], old.number)
        start_joined(fresh)
        wait_roles(alive[1], {1: "voter", 2: "voter", 3: "voter"})
        row = members(alive[0])[old.number]
        assert row["index"] == index  # and even the index is the same
        assert row["address"] == f"127.0.0.1:{fresh.port}@{fresh.peer_port}"
        wait_for(lambda: (old.try_info("raft") or {}).get("raft_removed") == "1", "it is told")
        with pytest.raises(Error, match="^REMOVED"):
            old.call("GET", "x")
        uuid = row["uuid"]
        old.kill()
        old.start()  # with its old directory, under the id that now is another's
        wait_for(lambda: (old.try_info("raft") or {}).get("raft_removed") == "1", "it remembers")
        assert members(alive[0])[old.number]["uuid"] == uuid
        time.sleep(1.5)
        for node in alive:  # it was told once, and does not come again
            assert node.log().count(f"Sent node {old.number} away") <= 1
        assert old.terminate() == 0
        alive[0].kill()  # the new one is needed for the majority
        wait_for(lambda: try_write(fresh), "two of three serve")
        alive[0].start()
        cluster.wait_ready()
        load.finish()
        load.check_history()


def test_room_under_the_id_of_a_removed_node_that_still_runs_is_for_another_29():
    """MEMBER ADD right after MEMBER REMOVE, with the same id and address, while the removed node is
    still connected: it is not taken back in, by nobody's word, and knows that it is out."""
    with Cluster(3) as cluster:
        old = cluster.followers()[0]
        alive = [node for node in cluster.nodes if node is not old]
        place = f"127.0.0.1:{old.port}@{old.peer_port}"
        remove(alive[0], old.number)
        change(alive[0], "ADD", str(old.number), place)
        time.sleep(3.5)  # longer than a removed node stays connected
        row = members(alive[0])[old.number]
        assert set(row["uuid"]) <= {"0"} and row["role"] == "learner" and row["state"] == "away"
        assert (old.try_info("raft") or {}).get("raft_removed") == "1"
        assert try_write(alive[0])


# --- Pointed at the wrong place ------------------------------------------------------------------

class Talker(threading.Thread):
    """Listens and answers whatever comes with the same bytes; None: it says nothing."""

    def __init__(self, answer):
        super().__init__(daemon=True)
        self.answer, self.socket = answer, socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        open_ones = []
        while True:
            try:
                connection = self.socket.accept()[0]
            except OSError:
                return
            open_ones.append(connection)
            if self.answer is not None:
                connection.recv(100)
                connection.sendall(self.answer)


def join_at(node, *targets):
    class Asked:
        def __init__(self, port):
            self.port, self.peer_port = 1, port
    node.asked = [Asked(port) for port in targets]


def dead_port():
    return free_ports(1)[0]


@pytest.mark.parametrize("answer", [b"-ERR unknown command\r\n",
                                    b"HTTP/1.0 400 Bad request\r\n\r\n"])
def test_a_joiner_at_a_port_of_something_else_says_so(answer):
    with GrowingCluster(2) as cluster:
        first, node = cluster.nodes
        talker = Talker(answer)
        join_at(node, talker.port)
        log = fails_to_start(node)
        assert f"127.0.0.1:{talker.port} is no node's port for peers, it answers '" in log
        assert "10000 is added, or host:port@peer-port" in log
        assert not os.path.exists(os.path.join(node.directory, "identity"))
        # One of two is right: that one counts.
        join_at(node, talker.port, first.peer_port)
        start_joined(node)
        assert "is no node's port for peers" in node.log()
        wait_roles(first, {1: "voter", 2: "learner"})


def test_a_joiner_at_the_port_for_clients_says_so():
    """A node's own port for clients, as the one for peers: it may be silent or answer an error."""
    with GrowingCluster(2) as cluster:
        first, node = cluster.nodes
        join_at(node, first.port)
        node.start()
        wait_for(lambda: re.search("is no node's port for peers|says nothing: a node that hangs, "
                                   "or no node's port|without a word: is that a node's port",
                                   node.log()), "it says what it sees")
        if node.running():
            node.kill()
        assert roles(first) == {1: "voter"}


def test_a_joiner_at_a_silent_port_at_a_dead_one_and_at_itself():
    with GrowingCluster(2) as cluster:
        first, node = cluster.nodes
        node.asked, node.options = [], ["--join", "localhost:7001"]
        assert "names are not looked up" in fails_to_start(node)
        node.options = []
        join_at(node, node.peer_port)
        assert "--join names nobody but this node itself" in fails_to_start(node)
        silent, dead = Talker(None), dead_port()
        join_at(node, dead, silent.port)
        node.start()
        text = f"127.0.0.1:{silent.port} takes connections and says nothing"
        wait_for(lambda: text in node.log(), "it says what it waits for", 20)
        assert f"No answer from 127.0.0.1:{dead} yet (Connection refused); trying on" in node.log()
        time.sleep(1)
        assert len(node.log().splitlines()) < 20  # it goes on trying, and says so now and then
        assert node.terminate() == -signal.SIGTERM  # nothing has begun that would have to end
        assert not os.path.exists(os.path.join(node.directory, "identity"))
        join_at(node, dead, node.peer_port, first.peer_port)  # the first is dead, one is itself
        start_joined(node)
        wait_roles(first, {1: "voter", 2: "learner"})


def test_a_joiner_under_the_secret_of_another_cluster_and_the_logs_of_both_sides():
    with GrowingCluster(2, options=["--cluster-secret", "right"]) as cluster:
        first, node = cluster.nodes
        node.options = ["--cluster-secret", "wrong"]
        assert "give this node the cluster's" in fails_to_start(node)
        assert members(first).keys() == {1}
