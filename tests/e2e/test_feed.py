"""FEED of keyspaces with a primary (L13, U18; decision 058): one node sends the entries on to
others, and the primary takes over where that one is lost."""
import pytest

from cluster import Cluster, ask, wait_for
from primaries import create, judge, place, primary, wait_equal, writing
from resp import Error


def feeds(node):
    """Pairs (who feeds, who is fed)."""
    row = place(node)
    return [tuple(map(int, pair.split(">"))) for pair in row["feeds"].split(",") if pair] \
        if row else []


def wait_fed(leads):
    return wait_for(lambda: feeds(leads), "a node feeds another one")


@pytest.mark.parametrize("ack", ["LOCAL", "ANY 1", "ALL"])
def test_one_follower_feeds_the_other_and_the_primary_takes_over(ack):
    with Cluster(3) as cluster:
        create(cluster, ack, "FEED", "follower")
        leads = primary(cluster)
        (feeder, fed), = wait_fed(leads)
        assert leads.number not in (feeder, fed)
        wait_for(lambda: feeds(cluster.nodes[feeder - 1]) == [(feeder, fed)], "it knows that")
        with writing(cluster) as writers:
            for writer in writers:
                writer.wait_more(200)
        wait_equal(cluster)
        assert not any(writer.refused or writer.uncertain for writer in writers)
        cluster.nodes[feeder - 1].kill()
        wait_for(lambda: feeds(leads) == [], "the primary feeds who is left")
        if ack != "ALL":
            assert ask(leads, "SET", "cart:alone", "x") == "OK"
        wait_for(lambda: cluster.nodes[fed - 1].running(), "the other one")
        cluster.nodes[feeder - 1].start()
        wait_fed(leads)
        assert ask(leads, "SET", "cart:again", "x") == "OK"
        wait_equal(cluster)
        judge(cluster, writers, may_lose=False)


def test_in_a_zone_one_node_feeds_the_rest_of_it():
    with Cluster(5) as cluster:
        node = cluster.nodes[0]
        for number in (1, 2, 3, 4, 5):
            zone = "here" if number <= 2 else "there"
            assert node.call("MEMBER", "SET", number, "ZONE", zone) == "OK"
        create(cluster, "ANY 1", "REPLICAS", 5, "FEED", "zone")
        leads = primary(cluster)
        theirs = {1, 2} if leads.number > 2 else {3, 4, 5}
        pairs = wait_for(lambda: len(feeds(leads)) >= len(theirs) - 1 and feeds(leads),
                         "the other zone feeds itself")
        assert {number for pair in pairs for number in pair} == theirs
        with writing(cluster) as writers:
            for writer in writers:
                writer.wait_more(100)
        wait_equal(cluster)
        assert leads.call("KEYSPACE", "ALTER", "cart", "FEED", "primary") == "OK"
        wait_for(lambda: feeds(leads) == [], "the primary feeds all")


def test_what_feed_cannot_be_is_refused():
    with Cluster(1) as cluster:
        node = cluster.nodes[0]
        with pytest.raises(Error, match="FEED is primary, zone or follower, not 'all'"):
            node.call("KEYSPACE", "CREATE", "cart", "STRATEGY", "primary", "FEED", "all")
        with pytest.raises(Error, match="'FEED' is not part of strategy raft"):
            node.call("KEYSPACE", "CREATE", "cart", "STRATEGY", "raft", "FEED", "zone")
