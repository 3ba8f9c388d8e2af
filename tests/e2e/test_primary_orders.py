"""Keyspaces with STRATEGY primary by command (issue 8; rows R2 to R4): made, altered while they are
written to, told and dropped; what cannot be given is refused in one sentence, nothing is changed,
and nothing is given for less than was asked (U3)."""
import pytest

from cluster import CALM, Cluster, wait_for
from resp import Error, as_row, as_text
from test_keyspaces import info, keyspaces, refused


@pytest.fixture(scope="module")
def three():
    with Cluster(3, CALM) as cluster:
        yield cluster


def view(node, name):
    """Of its first partition."""
    row = as_row(info(node, name)["placement"][0])
    return {key: as_text(value) if isinstance(value, bytes) else value
            for key, value in row.items()}


def holds(node, name, rule):
    row = view(node, name)
    return (row["view"], row["acknowledges"]) == ("settled", rule)


def create(node, name, ack, *options):
    assert node.call("KEYSPACE", "CREATE", name, "STRATEGY", "primary", "ACK", ack,
                     *options) == "OK"


@pytest.mark.parametrize("ack, fallback", [("LOCAL", "fail"), ("ANY 1", "fail"), ("ANY 2", "async"),
                                           ("ANY 1 ON received", "fail"), ("ALL", "async")])
def test_what_is_written_by_one_node_is_read_by_the_others_R2_R3_R4(three, ack, fallback):
    name = "rw-" + ack.replace(" ", "-").lower()
    create(three.nodes[0], name, ack, "FALLBACK", fallback, "PREFIX", f"{name}:")
    words = ack if " ON " in ack else f"{ack} ON durable"
    assert as_text(info(three.nodes[1], name)["ack"]) == words
    for i, node in enumerate(three.nodes):
        assert node.call("SET", f"{name}:{i}", i) == "OK"
        for other in three.nodes:
            assert other.call("GET", f"{name}:{i}") == str(i).encode()
        assert as_text(keyspaces(node)[name]["strategy"]) == "primary"
    wait_for(lambda: holds(three.nodes[2], name, words), "its first view is settled")
    assert view(three.nodes[2], name)["primary"] == view(three.nodes[0], name)["leader"]
    assert three.nodes[1].call("KEYSPACE", "DROP", name, "FORCE") == "OK"
    assert name not in keyspaces(three.nodes[1])


@pytest.mark.parametrize("words, match", [
    (("ACK", "ANY 3"), "^ERR 4 replicas need as many nodes that are up and do not drain"),
    (("ACK", "ANY 2", "REPLICAS", "2"), "^ERR ACK ANY 2 ON durable needs 2 beside the primary, "),
    (("ACK", "ALL", "REPLICAS", "1"), "^ERR ACK ALL ON durable needs 1 beside the primary, "),
    (("ACK", "ALL OF mars"), "^ERR ACK ALL OF mars ON durable names a zone that no node is in"),
    (("ACK", "LOCAL OF mars"), "^ERR ACK LOCAL .*names a zone, and LOCAL waits for no other"),
    (("ACK", "LOCAL", "FALLBACK", "async"), "^ERR ACK LOCAL .*there is nothing to fall back from"),
    (("ACK", "LOCAL", "READ", "linearizable"), "^LEVEL strategy primary does not give reads at"),
    (("ACK", "LOCAL ON applied"), "^ERR ACK LOCAL ON applied is about others, and LOCAL waits for"),
    (("ACK", "MAJORITY"), "^LEVEL strategy primary does not give ACK 'MAJORITY'"),
    (("LOG", "lines"), "^ERR LOG is logical or statement, not 'lines'"),
    (("LEASE", "yes"), "^ERR option 'LEASE' is not part of strategy primary"),
    (("HISTORY", "1s"), "^ERR option 'HISTORY' is not part of strategy primary"),
])
def test_what_cannot_be_is_refused_and_nothing_is_made(three, words, match):
    refused(three.nodes[1], "KEYSPACE", "CREATE", "never", "STRATEGY", "primary", *words,
            match=match)


def test_options_of_primary_are_none_of_raft(three):
    for words in (("FALLBACK", "async"), ("LOG", "statement"), ("MAXLAG", "1s")):
        refused(three.nodes[0], "KEYSPACE", "CREATE", "never", "STRATEGY", "raft", *words,
                match="is not part of strategy raft: primary has it, nothing was changed")
    refused(three.nodes[0], "KEYSPACE", "ALTER", "default", "FALLBACK", "async",
            match="is not part of strategy raft")


def test_another_rule_holds_when_it_is_settled_and_no_write_is_missed_L11(three):
    node = three.nodes[0]
    create(node, "rules", "ANY 1", "PREFIX", "rules:")
    written = 0
    for ack, read in (("ALL", "linearizable"), ("LOCAL", "leader"), ("ANY 2", "linearizable"),
                      ("ANY 1 ON received", "prefix")):
        assert node.call("KEYSPACE", "ALTER", "rules", "ACK", ack, "READ", read) == "OK"
        words = ack if " ON " in ack else f"{ack} ON durable"

        def another_is_counted(words=words):
            nonlocal written
            written += 1
            assert node.call("INCR", "rules:n") == written
            return holds(node, "rules", words)
        wait_for(another_is_counted, words)
    assert int(three.nodes[2].call("WITH", "2", "READ", "linearizable", "GET",
                                   "rules:n")) == written
    refused(node, "KEYSPACE", "ALTER", "rules", "ACK", "LOCAL", "READ", "linearizable",
            match="^LEVEL strategy primary does not give reads")
    refused(node, "KEYSPACE", "ALTER", "rules", "REPLICAS", "1",
            match="^ERR ACK ANY 1 ON received needs 1 beside the primary, REPLICAS leaves 0")
    refused(node, "KEYSPACE", "ALTER", "rules", "LOG", "statement",
            match="^ERR 'LOG' cannot be altered")


def test_a_fallback_said_once_weakens_no_other_ack_U3(three):
    node = three.nodes[2]
    create(node, "falls", "ANY 1", "FALLBACK", "async")
    refused(node, "KEYSPACE", "ALTER", "falls", "ACK", "ALL",
            match="^ERR FALLBACK async was said beside another ACK and would weaken this one")
    assert node.call("KEYSPACE", "ALTER", "falls", "ACK", "ALL", "FALLBACK", "fail") == "OK"


def test_more_than_it_gives_is_refused_and_nothing_is_written_U3(three):
    node = three.nodes[1]
    create(node, "gives", "LOCAL", "PREFIX", "gives:")
    assert node.call("SET", "gives:a", "1") == "OK"
    for words in (("WITH", "2", "ACK", "MAJORITY", "SET", "gives:a", "2"),
                  ("WITH", "4", "KS", "gives", "ACK", "EACH zone", "SET", "gives:a", "2"),
                  ("WITH", "2", "READ", "linearizable", "GET", "gives:a")):
        with pytest.raises(Error, match="^LEVEL keyspace 'gives' of strategy primary gives .*, the "
                                        "command was not applied$"):
            node.call(*words)
    with node.connect() as client:
        assert client.call("CONSISTENCY", "ACK", "MAJORITY") == "OK"
        with pytest.raises(Error, match="^LEVEL keyspace 'gives'"):
            client.call("SET", "gives:a", "2")
        with pytest.raises(Error, match="^LEVEL keyspace 'gives'"):
            client.call("SET", "gives:a", "2" * 300000)
        assert client.call("SET", "elsewhere", "2") == "OK"
    assert node.call("GET", "gives:a") == b"1"


def test_a_zone_is_where_it_says(three):
    node = three.nodes[0]
    for i, zone in enumerate(("a", "a", "b")):
        assert node.call("MEMBER", "SET", str(i + 1), "ZONE", zone) == "OK"
    create(node, "zoned", "ALL OF a", "PREFIX", "zoned:")
    assert node.call("SET", "zoned:k", "1") == "OK"
    wait_for(lambda: holds(node, "zoned", "ALL ON durable"), "it is settled")
    nodes = {1, 2, view(node, "zoned")["primary"]}
    assert {int(i) for i in view(node, "zoned")["set"].split(",")} == nodes
    refused(node, "KEYSPACE", "CREATE", "never", "STRATEGY", "primary", "ACK", "ANY 1 OF b",
            match="^ERR ACK ANY 1 OF b ON durable needs 1 beside the primary")


def test_acknowledged_writes_are_there_when_all_nodes_were_killed():
    with Cluster(3, CALM) as cluster:
        create(cluster.nodes[0], "kept", "ANY 1", "PREFIX", "kept:", "PARTITIONS", "4")
        for i in range(200):
            assert cluster.nodes[i % 3].call("SET", f"kept:{i}", i) == "OK"
        cluster.kill_all()
        cluster.start()
        for i in range(200):
            assert int(cluster.nodes[i % 3].call("GET", f"kept:{i}")) == i
        assert view(cluster.nodes[0], "kept")["term"] > 1


def test_it_needs_level_4_of_the_cluster_R9_U29():
    with Cluster(3, CALM, start=False) as cluster:
        for node in cluster.nodes:
            node.environment["QUORATE_PRETEND_LEVEL"] = "3"
        cluster.start()
        refused(cluster.nodes[1], "KEYSPACE", "CREATE", "late", "STRATEGY", "primary",
                match="^UPGRADE strategy primary needs level 4 of the cluster, and level 3 is")
        cluster.terminate_all()
        for node in cluster.nodes:
            del node.environment["QUORATE_PRETEND_LEVEL"]
        cluster.start()
        node = cluster.nodes[1]
        refused(node, "KEYSPACE", "CREATE", "late", "STRATEGY", "primary",
                match="^UPGRADE strategy primary needs level 4 of the cluster, and level 3 is")
        wait_for(lambda: as_text(as_row(node.call("CLUSTER", "UPGRADE", "STATUS"))["can_finalize"])
                 == "yes", "all know it")
        assert node.call("CLUSTER", "UPGRADE", "FINALIZE") == "OK"
        create(node, "late", "ANY 1")
