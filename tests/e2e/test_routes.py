"""Routes by prefixes while they change: what was answered holds for all nodes (route.h K6; O10)."""
import pytest

from cluster import Cluster, wait_for
from resp import Error, as_row, as_text, encode


@pytest.fixture(scope="module")
def three():
    with Cluster(3) as cluster:
        yield cluster


def create(cluster, name, *options):
    assert cluster.nodes[0].call("KEYSPACE", "CREATE", name, "STRATEGY", "raft", *options,
                                 timeout=20) == "OK"


def answers(node, *words):
    try:
        return node.call(*words) is not None
    except Error as error:
        assert str(error).startswith("TRYAGAIN")
        return False


def held_by(cluster, name):
    place = as_row(as_row(cluster.nodes[0].call("KEYSPACE", "INFO", name))["placement"][0])
    number = int(as_text(place["nodes"]))
    return next(node for node in cluster.nodes if node.number == number)


def make_held_by_a_follower(cluster, word):
    """A keyspace whose only replica is at a node that does not lead group 0, and its prefix."""
    for i in range(6):  # they are spread
        name, prefix = f"{word}{i}", f"{word}{i}:"
        create(cluster, name, "REPLICAS", 1, "PREFIX", prefix)
        holder = held_by(cluster, name)
        if holder is not cluster.leader():
            wait_for(lambda: answers(holder, "SET", f"{prefix}k", "old"), "it is written")
            return name, prefix, holder
    raise AssertionError("all went to one node")


def move(cluster, how, name):
    """The prefix leads elsewhere."""
    node = cluster.leader()
    words = ("ALTER", name, "PREFIX", "") if how == "altered" else ("DROP", name, "FORCE")
    assert node.call("KEYSPACE", *words, timeout=20) == "OK"


@pytest.mark.parametrize("how", ["altered", "dropped"])
def test_a_node_that_was_stopped_does_not_write_by_an_old_prefix_K6(three, how):
    """It leads where the prefix led, has no need of anybody to write there, and finds the commands
    when it goes on: were they carried out, nobody would find what is acknowledged."""
    name, prefix, holder = make_held_by_a_follower(three, how)
    other = three.leader()
    with holder.connect(timeout=20) as client:
        assert client.call("GET", f"{prefix}k") == b"old"
        holder.pause()
        try:
            move(three, how, name)
            client.send_raw(encode("SET", f"{prefix}k", "new") + encode("GET", f"{prefix}k"))
        finally:
            holder.resume()
        wrote, read = client.read(), client.read()
    wait_for(lambda: answers(holder, "EXISTS", f"{prefix}k"), "it knows the way again")
    found = other.call("GET", f"{prefix}k")
    assert read != b"old"
    assert wrote == "OK" or str(wrote).startswith("TRYAGAIN"), wrote
    assert found == (b"new" if wrote == "OK" else None), (wrote, read)
    assert holder.call("GET", f"{prefix}k") == found
