"""STRATEGY primary: hand-overs by order, orders that cannot be carried out, FALLBACK async, and
ON received after restarts (L9 to L11, R3; docs/primary.md)."""
import time

import pytest

from cluster import CALM, PATIENCE, Cluster, wait_for
from primaries import (attempt, create, discards, find_primary, judge, others, place, primary,
                       try_local, wait_equal, wait_writes, writing)
from resp import Error, as_rows, as_text
from test_leadership import length


def hand_over(cluster, *words):
    return cluster.nodes[0].call("KEYSPACE", "FAILOVER", "cart", *words, timeout=20)


def alarms(node, name):
    return [row for row in as_rows(node.call("ALARM", "LIST")) if as_text(row["alarm"]) == name]


@pytest.mark.parametrize("ack", ["LOCAL", "ANY 1", "ALL"])
def test_a_hand_over_under_load_fails_no_write_and_loses_none(ack):
    """Nor is anything discarded, with LOCAL too; and the pause is short."""
    with Cluster(3, CALM) as cluster:
        create(cluster, ack)
        pauses = []
        with writing(cluster, clients=3) as writers:
            for turn in range(5):
                target = others(cluster)[turn % 2]
                for writer in writers:
                    writer.wait_more(50)
                before = time.monotonic()
                assert hand_over(cluster, "TO", str(target.number), "TIMEOUT", "10000") == "OK"
                wait_for(lambda t=target: find_primary(cluster) is t, f"{target.number} leads")
                for writer in writers:
                    writer.wait_more(50)
                pauses.append(max(length(gap) for writer in writers
                                  for gap in zip(writer.times, writer.times[1:])
                                  if gap[1] > before))
        for writer in writers:
            assert not writer.errors, writer.errors
        judge(cluster, writers)
        assert [discards(node) for node in cluster.nodes] == [[], [], []]
        assert sorted(pauses)[2] < 150 * PATIENCE, pauses


def test_what_stands_in_the_way_of_a_hand_over_is_said_and_nothing_changes():
    with Cluster(3, CALM) as cluster:
        create(cluster, "ANY 1")
        old = primary(cluster)
        one, two = others(cluster)
        term = place(old)["term"]
        refused = [(["TO"], "ERR syntax error"), (["TO", "77"], "not a member of this partition"),
                   (["TO", "nobody"], "ERR syntax error"), (["TIMEOUT", "0"], "ERR syntax error"),
                   (["ABORT"], "No failover in progress"), (["NOW"], "ERR syntax error"),
                   (["ABORT", "FORCE"], "ERR syntax error"),
                   (["PARTITION", "1"], "has partitions 0 to 0, nothing was changed"),
                   (["FORCE"], f"node {old.number} leads: FAILOVER without FORCE hands over")]
        for words, match in refused:
            for node in cluster.nodes:
                with pytest.raises(Error, match=match):
                    node.call("KEYSPACE", "FAILOVER", "cart", *words)
        assert hand_over(cluster, "TO", str(old.number)) == "OK"  # it leads
        with pytest.raises(Error, match="elect their leaders themselves"):
            cluster.nodes[0].call("KEYSPACE", "FAILOVER", "default")
        assert place(old)["term"] == term and find_primary(cluster) is old
        two.kill()

        def says_so():
            reply = attempt(old, "KEYSPACE", "FAILOVER", "cart", "TO", str(two.number), "TIMEOUT",
                            "200")
            return isinstance(reply, Error) and "not connected, nothing was changed" in str(reply)
        wait_for(says_so, "it is away")
        assert old.call("SET", "cart:k", "v") == "OK"
        assert one.call("GET", "cart:k") == b"v"


def test_a_target_that_stands_still_loses_nothing_and_it_can_be_called_off():
    """Under load it lacks something: the primary goes on when the time is over."""
    with Cluster(5, CALM) as cluster:
        create(cluster, "ANY 1", "REPLICAS", "3")
        old, leader = primary(cluster), cluster.leader()
        members = [cluster.nodes[int(n) - 1] for n in place(old)["nodes"].split(",")]
        target = [node for node in members if node not in (old, leader)][0]
        words = ("KEYSPACE", "FAILOVER", "cart", "TO", str(target.number), "TIMEOUT")
        with writing(cluster, nodes=[old]) as writers:
            target.pause()
            for writer in writers:
                writer.wait_more(30)
            with pytest.raises(Error, match=f"timed out and was called off, node {old.number}"):
                old.call(*words, "300", timeout=20)
            for writer in writers:
                writer.wait_more(10)
            with old.connect(timeout=30) as waiting:
                waiting.send(*words, "20000")

                def again():
                    reply = attempt(old, "KEYSPACE", "FAILOVER", "cart", "ABORT")
                    assert reply == "OK" or "No failover in progress" in str(reply), reply
                    return reply == "OK"
                wait_for(again, "it is called off")
                assert isinstance(waiting.read(), Error)
            for writer in writers:
                writer.wait_more(10)
            assert find_primary(cluster) is old and place(old)["term"] == 1
            target.resume()
        for node in cluster.nodes:
            wait_writes(node)
        judge(cluster, writers)


def test_too_few_for_a_choice_stops_until_one_comes_or_force_gives_up():
    """ANY 1 of three: with the primary and one more gone nobody is chosen. An order with FORCE
    takes who is left and says what may be lost, and that is named when the others return."""
    with Cluster(5) as cluster:
        create(cluster, "ANY 1", "REPLICAS", "3")
        old = primary(cluster)
        members = [cluster.nodes[int(n) - 1] for n in place(old)["nodes"].split(",")]
        with writing(cluster) as writers:
            for writer in writers:
                writer.wait_more(100)
            one, left = [node for node in members if node is not old]
            old.kill()
            one.kill()
            wait_for(lambda: any(alarms(node, "NOPRIMARY") for node in cluster.alive()),
                     "the alarm", 30)
            asked = cluster.alive()[0]
            assert place(asked)["primary"] == 0
            told = asked.call("KEYSPACE", "FAILOVER", "cart", "FORCE", timeout=20)
            assert told.startswith(f"OK node {left.number} leads; writes acknowledged after entry")
            assert told.endswith("may be lost")
            wait_for(lambda: place(asked)["primary"] == left.number, "who is left leads")
            for node in (old, one):
                node.start()
            for node in cluster.nodes:
                wait_writes(node)
            for writer in writers:
                writer.wait_more(50)
        judge(cluster, writers, may_lose=True)


@pytest.mark.parametrize("ack", ["ANY 1", "ALL"])
def test_fallback_async_is_visible_and_ends(ack):
    with Cluster(5) as cluster:
        create(cluster, ack, "REPLICAS", "3", "FALLBACK", "async")
        old = primary(cluster)
        gone = [cluster.nodes[int(n) - 1] for n in place(old)["nodes"].split(",")
                if int(n) != old.number]
        words = place(old)["acknowledges"]
        gone = gone if ack == "ANY 1" else gone[:1]
        stays = [node for node in cluster.nodes if node not in gone]
        with writing(cluster, nodes=stays) as writers:
            for writer in writers:
                writer.wait_more(50)
            for node in gone:
                node.kill()
            wait_for(lambda: (place(old) or {}).get("view") == "fallen back", "it falls back", 30)
            assert "LOCAL" in place(old)["acknowledges"]
            for writer in writers:
                writer.wait_more(50)
            for node in gone:
                node.start()
            wait_for(lambda: (place(old) or {}).get("view") == "settled" and
                     place(old)["acknowledges"] == words, "the rule holds again", 30)
            for writer in writers:
                writer.wait_more(50)
        judge(cluster, writers)


def test_on_received_a_power_cut_of_all_stops_until_it_is_forced():
    """What was acknowledged in memory may be gone with all of them: nobody is chosen by itself."""
    with Cluster(3) as cluster:
        create(cluster, "ANY 1 ON received")
        with writing(cluster) as writers:
            for writer in writers:
                writer.wait_more(100)
            cluster.kill_all()
            for writer in writers:
                writer.ending.set()
        for node in cluster.nodes:
            node.start()
        node = cluster.nodes[0]
        wait_for(lambda: any(alarms(n, "NOPRIMARY") for n in cluster.nodes if n.listens()),
                 "the alarm", 30)
        reply = attempt(node, "SET", "cart:k", "v", timeout=20)
        assert isinstance(reply, Error) and reply.kind() == "CLUSTERDOWN", reply
        told = node.call("KEYSPACE", "FAILOVER", "cart", "FORCE", timeout=20)
        assert told.endswith("may be lost"), told
        wait_writes(node)
        wait_equal(cluster)


def wait_all_follow(cluster):
    mark = cluster.nodes[0].call("INCR", "cart:mark")
    for node in cluster.nodes:
        wait_for(lambda n=node: try_local(n, "GET", "cart:mark") == b"%d" % mark,
                 f"node {node.number} follows")


@pytest.mark.parametrize("orderly", [False, True])
def test_on_received_who_restarted_counts_again_when_it_has_caught_up(orderly):
    with Cluster(3) as cluster:
        create(cluster, "ANY 1 ON received")
        with writing(cluster) as writers:
            for node in cluster.nodes * 2:
                for writer in writers:
                    writer.wait_more(50)
                if orderly:
                    assert node.terminate() == 0
                else:
                    node.kill()
                node.start()
                for each in cluster.nodes:
                    wait_writes(each)
                wait_for(lambda: all(row and row["view"] == "settled" for row in
                                     map(place, cluster.nodes)), "it is settled")
                wait_all_follow(cluster)
        judge(cluster, writers)
