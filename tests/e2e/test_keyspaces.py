"""Keyspaces by command (issue 5; rows U10, U11, U30, U31, D1): made, altered, told, dropped; every
wrong word is one clear sentence that changes nothing; quotas refuse and say by how much."""
import contextlib
import signal
import threading
import time

import pytest

from cluster import CALM, Cluster, wait_for
from resp import Closed, Error, as_rows, as_row, as_text


@pytest.fixture(scope="module")
def three():
    with Cluster(3, CALM) as cluster:
        yield cluster


def keyspaces(node):
    return {as_text(row["name"]): row for row in as_rows(node.call("KEYSPACE", "LIST"))}


def info(node, name):
    return as_row(node.call("KEYSPACE", "INFO", name))


def stats(node, name):
    return as_row(node.call("KEYSPACE", "STATS", name))


def ordered(node):
    """All that orders change."""
    names = ("id", "role", "address", "priority", "zone", "draining")
    members = as_rows(node.call("MEMBER", "LIST"))
    moves = as_row(node.call("REBALANCE", "STATUS"))
    return ([{key: value for key, value in info(node, name).items() if key != "placement"}
             for name in keyspaces(node)],
            [[member[name] for name in names] for member in members],
            moves["balancing"], moves["rate"],
            as_row(node.call("CLUSTER", "UPGRADE", "STATUS"))["level"])


def refused(node, *words, match):
    """The command is refused, and nothing is otherwise behind it."""
    before = ordered(node)
    with pytest.raises(Error, match=match):
        node.call(*words)
    assert ordered(node) == before


# --- Making and telling -------------------------------------------------------------------------

def test_keyspace_0_is_there_always(three):
    for node in three.nodes:
        row = keyspaces(node)["default"]
        assert (row["id"], row["partitions"], as_text(row["strategy"])) == (0, 1, "raft")
        assert info(node, "0")["placement"] == []
    node = three.followers()[0]
    refused(node, "KEYSPACE", "DROP", "0", match="^ERR keyspace 0 is there always")
    refused(node, "KEYSPACE", "DROP", "default", "FORCE", match="^ERR keyspace 0 is there always")
    for option, value, why in (("REPLICAS", "1", "MEMBER PROMOTE"), ("LEASE", "yes", "read-mode"),
                               ("PREFIX", "a:", "keys without a route")):
        refused(node, "KEYSPACE", "ALTER", "0", option, value,
                match=f"^ERR keyspace 0 has no .*{why}")


def test_what_was_created_is_known_to_all_nodes_at_once(three):
    """OK comes when every connected node has it (O10)."""
    for i, asked in enumerate(three.nodes):
        name = f"known{i}"
        assert asked.call("KEYSPACE", "CREATE", name, "STRATEGY", "raft", "PARTITIONS", "4") == "OK"
        for node in three.nodes:
            row = info(node, name)
            assert (row["partitions"], row["replicas"]) == (4, 3)
            places = [as_row(place) for place in row["placement"]]
            assert [as_text(place["slots"]) for place in places] == \
                ["0-4095", "4096-8191", "8192-12287", "12288-16383"]
            assert {as_text(place["nodes"]) for place in places} == {"1,2,3"}
            assert info(node, str(row["id"])) == row
        assert asked.call("KEYSPACE", "DROP", name) == "OK"
        assert all(name not in keyspaces(node) for node in three.nodes)


def test_leaders_are_spread_and_groups_are_never_used_again(three):
    node = three.nodes[0]
    seen = set()
    for _ in range(3):
        node.call("KEYSPACE", "CREATE", "spread", "STRATEGY", "raft", "PARTITIONS", "6")
        places = [as_row(place) for place in info(node, "spread")["placement"]]
        groups = {place["group"] for place in places}
        assert not groups & seen
        seen |= groups
        assert {place["prefers"] for place in places} == {1, 2, 3}
        assert node.call("KEYSPACE", "DROP", "spread", "FORCE") == "OK"


def test_an_id_of_ones_own_and_the_next_free_one(three):
    node = three.nodes[1]
    node.call("KEYSPACE", "CREATE", "mine", "ID", "300", "STRATEGY", "raft")
    node.call("KEYSPACE", "CREATE", "next", "STRATEGY", "raft")
    assert (keyspaces(node)["mine"]["id"], keyspaces(node)["next"]["id"]) == (300, 301)
    refused(node, "KEYSPACE", "CREATE", "other", "ID", "300", "STRATEGY", "raft",
            match="^ERR ID 300 is that of keyspace 'mine'")
    for name in ("mine", "next"):
        assert node.call("KEYSPACE", "DROP", name, "FORCE") == "OK"


def test_explain_tells_what_is_guaranteed(three):
    """The same promise picks the simulator's checkers (D1, U1)."""
    node = three.nodes[2]
    node.call("KEYSPACE", "CREATE", "exact", "STRATEGY", "raft", "REPLICAS", "3", "LEASE", "yes")
    row = {name: as_text(value)
           for name, value in as_row(node.call("KEYSPACE", "EXPLAIN", "exact")).items()}
    assert row["survives-failover"].startswith("yes")
    assert row["linearizable"].startswith("yes")
    assert row["available-in-minority"].startswith("no")
    assert row["failures-tolerated"].startswith("1 ")
    assert row["messages-per-write-and-replica"] == "2"
    assert row["reads"] == "linearizable, leader, session, bounded, prefix, local"
    assert "lease" in row["linearizable"]
    refused(node, "KEYSPACE", "ALTER", "exact", "REPLICAS", "4", match="^ERR 4 replicas need")
    assert node.call("KEYSPACE", "ALTER", "exact", "REPLICAS", "1", "LEASE", "no") == "OK"
    assert "lease" not in as_text(as_row(node.call("KEYSPACE", "EXPLAIN", "exact"))["linearizable"])
    node.call("KEYSPACE", "DROP", "exact", "FORCE")


def lags(node, name):
    """Of each replica that does not lead, by node."""
    (row,) = map(as_row, node.call("KEYSPACE", "LAG", name))
    return {replica["node"]: replica["lag"] for replica in map(as_row, row["replicas"])
            if as_text(replica["role"]) == "voter"}


def is_done(node, name, *words):
    with node.connect() as client:
        client.call("SELECT", name)
        try:
            return client.call(*words) is not None
        except Error:
            return False


def test_lag_is_told_of_the_replica_that_has_it_U53(three):
    leader = three.leader()
    away, other = three.followers()
    leader.call("KEYSPACE", "CREATE", "late", "STRATEGY", "raft", "REPLICAS", "3")
    wait_for(lambda: list(lags(leader, "late").values()) == [0, 0], "it is told")
    away.pause()
    try:
        for i in range(20):
            wait_for(lambda n=i: is_done(leader, "late", "SET", f"k{n}", "v"), "it is written")
        wait_for(lambda: lags(leader, "late").get(away.number, 0) >= 19, "it is behind")
        wait_for(lambda: sorted(lags(leader, "late").values())[0] == 0, "and nobody else")
        assert stats(leader, "late")["worst_node"] == away.number
    finally:
        away.resume()
    wait_for(lambda: list(lags(other, "late").values()) == [0, 0], "it has caught up")
    wait_for(lambda: stats(leader, "late")["keys"] == 20, "its keys are counted")
    leader.call("KEYSPACE", "DROP", "late", "FORCE")


def test_the_rate_is_of_late_and_over_all_partitions(three):
    """What the leaders of the partitions have told; a read counts as a write does."""
    node = three.nodes[0]
    node.call("KEYSPACE", "CREATE", "rated", "STRATEGY", "raft", "PARTITIONS", "3")
    with node.connect() as client:
        client.call("SELECT", "rated")

        def is_told(word):
            client.pipeline([(word, f"k{i}", "v")[:2 + (word == "SET")] for i in range(60)])
            return stats(node, "rated")["ops_per_sec"] > 100
        for word in ("SET", "GET"):
            wait_for(lambda w=word: is_told(w), f"{word} is counted")
            wait_for(lambda: stats(node, "rated")["ops_per_sec"] == 0, "and is over")
    node.call("KEYSPACE", "DROP", "rated", "FORCE")


def test_help_and_docs_name_every_subcommand(three):
    node = three.nodes[0]
    lines = " ".join(map(as_text, node.call("KEYSPACE", "HELP")))
    docs = as_row(as_row(node.call("COMMAND", "DOCS", "keyspace"))["keyspace"])
    names = {as_text(name).split("|")[1] for name in as_row(docs["subcommands"])}
    assert names == {"alter", "create", "discards", "drop", "explain", "failover", "help",
                     "info", "lag", "list", "stats"}
    assert all(name.upper() in lines for name in names)


# --- Bad input ----------------------------------------------------------------------------------

@pytest.mark.parametrize("words, match", [
    (("CREATE", "a"), "^ERR wrong number of arguments"),
    (("CREATE", "1", "STRATEGY", "raft"), "^ERR a keyspace's name is a letter"),
    (("CREATE", "a b", "STRATEGY", "raft"), "^ERR a keyspace's name is a letter"),
    (("CREATE", "x" * 64, "STRATEGY", "raft"), "^ERR a keyspace's name is a letter"),
    (("CREATE", "default", "STRATEGY", "raft"), "^ERR keyspace 'default' is there already"),
    (("CREATE", "a", "STRATEGY", "leaderless"), "^ERR strategy 'leaderless' is not built yet"),
    (("CREATE", "a", "STRATEGY", "magic"), "^ERR unknown strategy 'magic'"),
    (("CREATE", "a", "STRATEGY", "raft", "REPLICAS", "4"), "^ERR 4 replicas need"),
    (("CREATE", "a", "STRATEGY", "raft", "REPLICAS", "0"), "^ERR REPLICAS is a number"),
    (("CREATE", "a", "STRATEGY", "raft", "PARTITIONS", "99999"), "^ERR PARTITIONS is a number"),
    (("CREATE", "a", "STRATEGY", "raft", "PARTITION", "range"), "^ERR PARTITION range is not"),
    (("CREATE", "a", "STRATEGY", "raft", "ID", "7"), "^ERR an ID is a number from 16"),
    (("CREATE", "a", "STRATEGY", "raft", "COLOUR", "blue"), "^ERR unknown option 'COLOUR'"),
    (("CREATE", "a", "STRATEGY", "raft", "MAXMEMORY"), "^ERR option 'MAXMEMORY' wants a value"),
    (("CREATE", "a", "STRATEGY", "raft", "PARTITIONS", "8", "MAXMEMORY", "7"),
     "^ERR MAXMEMORY 7 is less than a byte for each of the 8 partitions"),
    (("CREATE", "a", "STRATEGY", "raft", "PARTITIONS", "8", "MAXOPS", "7"),
     "^ERR MAXOPS 7 is less than a command a second for each of the 8 partitions"),
    (("ALTER", "nobody", "LEASE", "yes"), "^ERR there is no keyspace 'nobody'"),
    (("ALTER", "default", "PARTITIONS", "3"), "^ERR 'PARTITIONS' cannot be altered"),
    (("DROP", "nobody"), "^ERR there is no keyspace 'nobody'"),
    (("DROP", "default", "REALLY"), "^ERR syntax error"),
    (("INFO", "nobody"), "^ERR there is no keyspace"),
    (("STATS", "999"), "^ERR there is no keyspace"),
    (("LAG", "-1"), "^ERR there is no keyspace"), (("EXPLAIN", "7"), "^ERR there is no keyspace"),
])
def test_what_makes_no_sense_is_refused_and_changes_nothing(three, words, match):
    refused(three.followers()[0], "KEYSPACE", *words, match=match)


@pytest.mark.parametrize("words, match", [
    (("REBALANCE", "NOW"), "^ERR syntax error: it is REBALANCE"),
    (("REBALANCE", "RATE"), "^ERR syntax error: it is REBALANCE"),
    (("REBALANCE", "RATE", "fast"), "^ERR a RATE is a number of bytes"),
    (("REBALANCE", "RATE", "-1"), "^ERR a RATE is a number of bytes"),
    (("REBALANCE", "DRYRUN", "DRYRUN"), "^ERR syntax error: it is REBALANCE"),
    (("MEMBER", "DRAIN", "9"), "^ERR there is no member"),
    (("MEMBER", "DRAIN", "x"), "^ERR "),
    (("MEMBER", "DRAIN", "1", "NOW"), "^ERR syntax error: it is MEMBER DRAIN"),
    (("MEMBER", "REMOVE", "9"), "^ERR there is no member"),
    (("MEMBER", "REMOVE", "1", "NOW"), "^ERR syntax error: 'NOW' is unknown here"),
    (("MEMBER", "REMOVE", "1", "FORCE", "FORCE"), "^ERR syntax error: 'FORCE' is unknown here, or"),
    (("MEMBER", "SET", "1", "COLOUR", "x"), "^ERR syntax error: it is MEMBER SET"),
    (("MEMBER", "SET", "1", "ZONE", "z" * 33), "^ERR a zone"),
    (("MEMBER", "SET", "9", "ZONE", "z"), "^ERR there is no member"),
    (("MEMBER", "SET", "1", "PRIORITY", "256"), "^ERR .*priority"),
    (("MEMBER", "ADD", "1", "127.0.0.1:1"), "^ERR there is a member with that id"),
    (("MEMBER", "ADD", "4", "there"), "^ERR an address is host:port"),
    (("CLUSTER", "UPGRADE", "FINALIZE"), "^ERR level 6 is active"),
    (("CLUSTER", "UPGRADE", "NOW"), "^ERR syntax error: it is CLUSTER UPGRADE"),
])
def test_other_orders_that_make_no_sense_change_nothing(three, words, match):
    refused(three.followers()[0], *words, match=match)


def test_of_several_options_all_are_good_or_none_is_taken(three):
    node = three.nodes[1]
    node.call("KEYSPACE", "CREATE", "whole", "STRATEGY", "raft", "MAXOPS", "1000", "PREFIX", "w:")
    for words, match in (
            (("MAXOPS", "5", "LEASE", "maybe"), "^ERR LEASE is yes or no"),
            (("LEASE", "yes", "PREFIX", "x" * 65), "^ERR a PREFIX"),
            (("LEASE", "yes", "MAXMEMORY", "-1"), "^ERR .*MAXMEMORY"),
            (("LEASE", "yes", "MAXOPS", "many"), "^ERR .*MAXOPS"),
            (("LEASE", "yes", "REPLICAS", "16"), "^ERR REPLICAS is a number"),
            (("LEASE", "yes", "VOTERS", "4"), "^ERR 4 replicas need"),
            (("LEASE", "yes", "MAXMEMORY", "1"), "^ERR keyspace 'whole' uses"),
            (("LEASE", "yes", "STRATEGY", "raft"), "^ERR 'STRATEGY' cannot be altered"),
            (("LEASE", "yes", "COLOUR", "blue"), "^ERR unknown option 'COLOUR'"),
            (("LEASE", "yes", "LEASE", "no"), "^ERR "),
            (("LEASE", "yes", "PREFIX"), "^ERR option 'PREFIX' wants a value")):
        refused(node, "KEYSPACE", "ALTER", "whole", *words, match=match)
    refused(node, "KEYSPACE", "CREATE", "half", "STRATEGY", "raft", "PREFIX", "w:",
            match="^ERR PREFIX 'w:' is that of keyspace 'whole'")
    assert node.call("KEYSPACE", "DROP", "whole") == "OK"


def test_names_prefixes_and_ids_are_taken_once(three):
    node = three.nodes[0]
    node.call("KEYSPACE", "CREATE", "cart", "STRATEGY", "raft", "PREFIX", "cart:")
    refused(node, "KEYSPACE", "CREATE", "cart", "STRATEGY", "raft", match="^ERR keyspace 'cart' is")
    refused(node, "KEYSPACE", "CREATE", "b", "STRATEGY", "raft", "PREFIX", "cart:",
            match="^ERR PREFIX 'cart:' is that of keyspace 'cart' already")
    node.call("KEYSPACE", "CREATE", "deep", "STRATEGY", "raft", "PREFIX", "cart:deep:")  # longer
    refused(node, "KEYSPACE", "ALTER", "deep", "PREFIX", "cart:", match="^ERR PREFIX 'cart:' is")
    assert node.call("KEYSPACE", "ALTER", "cart", "PREFIX", "") == "OK"
    assert node.call("KEYSPACE", "ALTER", "deep", "PREFIX", "cart:") == "OK"
    for name in ("cart", "deep"):
        node.call("KEYSPACE", "DROP", name, "FORCE")


# --- In use -------------------------------------------------------------------------------------

def test_a_keyspace_in_use_is_dropped_by_force_only(three):
    node = three.nodes[0]
    node.call("KEYSPACE", "CREATE", "used", "STRATEGY", "raft", "PARTITIONS", "2")
    with three.nodes[1].connect() as client:
        assert client.call("SELECT", "used") == "OK"
        refused(node, "KEYSPACE", "DROP", "used",
                match="^UNSAFE keyspace 'used' is in use: it has 0 keys and 1 connected clients")
        client.call("SET", "k", "v")
    wait_for(lambda: stats(node, "used")["clients"] == 0, "that client is gone")
    refused(node, "KEYSPACE", "DROP", "used",
            match="^UNSAFE keyspace 'used' is in use: it has 1 keys and 0 connected")
    with node.connect() as client:
        client.call("SELECT", "used")
        client.call("DEL", "k")
    wait_for(lambda: stats(node, "used")["clients"] == 0, "nobody is left")
    assert node.call("KEYSPACE", "DROP", "used") == "OK"


def test_what_is_not_known_is_not_taken_for_unused():
    """A partition without a leader may hold anything: no quota below that, no DROP but by FORCE."""
    with Cluster(3, CALM) as cluster:
        node, dead = cluster.leader(), cluster.followers()[0]
        node.call("KEYSPACE", "CREATE", "one", "STRATEGY", "raft", "REPLICAS", "1", "PARTITIONS",
                  "3", "MAXMEMORY", "30mb")
        refused(node, "KEYSPACE", "ALTER", "one", "REPLICAS", "4", match="^ERR 4 replicas need")
        refused(node, "KEYSPACE", "ALTER", "one", "MAXMEMORY", "2",
                match="^ERR MAXMEMORY 2 is less than a byte for each of the 3 partitions")
        dead.kill()
        wait_for(lambda: stats(node, "one")["led"] == 2, "it is missed")
        refused(node, "KEYSPACE", "ALTER", "one", "MAXMEMORY", "20mb",
                match="^UNSAFE how much keyspace 'one' uses is not known, for 1 of its 3 part")
        assert node.call("KEYSPACE", "ALTER", "one", "MAXMEMORY", "40mb") == "OK"
        refused(node, "KEYSPACE", "DROP", "one",
                match="^UNSAFE whether keyspace 'one' is in use is not known, for 1 of its 3 part")
        assert node.call("KEYSPACE", "DROP", "one", "FORCE") == "OK"


# --- Quotas -------------------------------------------------------------------------------------

def test_maxmemory_refuses_what_grows_and_nothing_else(three):
    """U30: the refusal says which quota, the figure, and that the write did not happen."""
    node = three.followers()[0]
    assert node.call("KEYSPACE", "ALTER", "0", "MAXMEMORY", "256kb") == "OK"
    for i in range(100):
        try:
            node.call("SET", f"quota{i}", "x" * 16384)
        except Error as error:
            assert str(error).startswith("QUOTA MAXMEMORY of keyspace 'default' is 262144: ")
            assert str(error).endswith("the command was not applied")
            break
    else:
        pytest.fail("never refused")
    assert 5 < i < 17 and node.call("GET", f"quota{i}") is None
    assert node.call("GET", "quota0") == b"x" * 16384
    refused(node, "KEYSPACE", "ALTER", "0", "MAXMEMORY", "100kb",
            match="^ERR keyspace 'default' uses .* and MAXMEMORY 102400 .* is below that")
    assert node.call("DEL", *(f"quota{k}" for k in range(i))) == i
    assert node.call("SET", "quota0", "x" * 16384) == "OK"
    assert sum(int(n.info("keyspaces")["quota_refused"]) for n in three.nodes) >= 1
    node.call("KEYSPACE", "ALTER", "0", "MAXMEMORY", "0")
    node.call("DEL", "quota0")


def test_a_large_value_is_refused_by_the_quota_that_it_exceeds(three):
    """It counts with all of its bytes, also in what the client is told."""
    for node in (three.leader(), three.followers()[0]):
        assert node.call("KEYSPACE", "ALTER", "0", "MAXMEMORY", "1mb") == "OK"
        with pytest.raises(Error, match="^QUOTA MAXMEMORY of keyspace 'default' is 1048576: "
                                        "[0-9]+ bytes are in use and 2097[0-9]+ more were to "
                                        "come, the command was not applied"):
            node.call("SET", "large", "x" * (2 << 20))
        assert node.call("EXISTS", "large") == 0
        assert node.call("KEYSPACE", "ALTER", "0", "MAXMEMORY", "0") == "OK"


def test_quotas_hold_after_a_failover_and_a_restart_of_all_nodes():
    with Cluster(3) as cluster:
        leader = cluster.leader()
        leader.call("SET", "held", "x" * 100000)
        for name in ("0", "q"):
            if name == "q":
                leader.call("KEYSPACE", "CREATE", name, "STRATEGY", "raft", "PREFIX", "q:")
            assert leader.call("KEYSPACE", "ALTER", name, "MAXMEMORY", "120kb",
                               "MAXOPS", "100000") == "OK"
        leader.call("SET", "q:held", "x" * 100000)

        def is_kept(node, key):
            try:
                node.call("SET", key, "x" * 50000)
                return False
            except Error as error:
                return str(error).startswith("QUOTA MAXMEMORY of keyspace")

        def is_the_same(node, *keys):
            with contextlib.suppress(Error):
                values = [node.call("GET", key) for key in keys]
                return values[0] is not None and values[0] == values[1]

        def assert_kept():
            for node in (node for node in cluster.nodes if node.process.poll() is None):
                wait_for(lambda n=node: is_the_same(n, "held", "q:held"), "both have leaders again")
                for key in ("more", "q:more"):
                    wait_for(lambda n=node, k=key: is_kept(n, k) and n.call("EXISTS", k) == 0,
                             "it is refused")
                for name in ("0", "q"):
                    row = info(node, name)
                    assert (row["maxmemory"], row["maxops"]) == (120 << 10, 100000)
        assert_kept()
        leader.kill()
        wait_for(lambda: is_kept(cluster.followers()[0], "q:more"), "another leads")
        for node in cluster.nodes:
            if node is not leader:
                node.kill()
        for node in cluster.nodes:
            node.start()
        cluster.wait_ready()
        cluster.wait_applied()
        assert_kept()


def test_maxops_is_a_second_of_commands_at_once_and_then_a_pace(three):
    node = three.leader()
    assert node.call("KEYSPACE", "ALTER", "0", "MAXOPS", "200") == "OK"
    with node.connect() as client:
        began = time.monotonic()
        replies = client.pipeline([("SET", "paced", "v")] * 600)
        took = time.monotonic() - began
        done = sum(reply == "OK" for reply in replies)
        assert 200 <= done <= 200 + 200 * took + 1
        whys = {str(reply).split(" is ")[0] for reply in replies if isinstance(reply, Error)}
        assert whys == {"QUOTA MAXOPS of keyspace 'default'"}
        wait_for(lambda: client.pipeline([("GET", "paced")])[0] == b"v", "the bucket fills again")
    assert node.call("KEYSPACE", "ALTER", "0", "MAXOPS", "0") == "OK"
    with node.connect() as client:
        assert set(client.pipeline([("SET", "paced", "v")] * 600)) == {"OK"}


# --- INFO ---------------------------------------------------------------------------------------

def test_info_counts_what_all_partitions_hold(three):
    """Memory, reads and waits of a node are those of all its partitions, not keyspace 0's alone."""
    def held(node):
        return int(node.info("memory")["used_memory_dataset"])

    def partitions_bytes():
        return stats(three.leader(), "filled")["bytes"]

    node = three.followers()[0]
    before = {n.number: held(n) for n in three.nodes}
    node.call("KEYSPACE", "CREATE", "filled", "STRATEGY", "raft", "PARTITIONS", "8",
              "REPLICAS", "3", timeout=20)
    for n in three.nodes:
        n.call("CONFIG", "RESETSTAT")
    with node.connect(timeout=20) as client:
        assert client.call("SELECT", "filled") == "OK"
        wait_for(lambda: all(reply == "OK" for reply in client.pipeline(
            [("SET", f"k{i}", "v" * 10000) for i in range(400)])), "it is filled", 20)
        for i in range(50):
            assert client.call("GET", f"k{i}") == b"v" * 10000
            assert client.call("GET", f"none{i}") is None
        assert client.call("SET", "brief", "v", "PX", "1") == "OK"
        counted = [n.info("stats") for n in three.nodes]
        assert sum(int(c["keyspace_hits"]) for c in counted) == 50
        assert sum(int(c["keyspace_misses"]) for c in counted) == 50
        for n in three.nodes:
            wait_for(lambda n=n: int(n.info("stats")["expired_keys"]) == 1, "it went, everywhere")
    for n in three.nodes:
        # Every node has a replica of each; what is reported comes a moment later than what is.
        wait_for(lambda n=n: held(n) > 4000000 and
                 abs(held(n) - before[n.number] - partitions_bytes()) < 20000, "they agree", 10)
        assert int(n.info("memory")["used_memory"]) >= held(n)
    with node.connect(timeout=20) as waiting:
        waiting.call("SELECT", "filled")
        waiting.call("SET", "k0", "v")
        waiting.send("WAIT", "7", "2000")
        wait_for(lambda: sum(int(n.info("clients")["blocked_clients"]) for n in three.nodes) == 1,
                 "a WAIT waits")
        assert waiting.read() == 2
    assert sum(int(n.info("clients")["blocked_clients"]) for n in three.nodes) == 0
    node.call("KEYSPACE", "DROP", "filled", "FORCE", timeout=20)
    for n in three.nodes:
        wait_for(lambda n=n: held(n) < before[n.number] + 20000, "what is dropped is gone", 10)


# --- Leaders that go ----------------------------------------------------------------------------

def test_a_keyspace_is_made_or_not_while_group_0s_leader_is_killed():
    """Scenario 33 for the control state: OK stays, a refusal changed nothing, -UNCERTAIN says where
    to look, and all nodes agree in the end."""
    with Cluster(3) as cluster:
        made, refusals, uncertain = set(), set(), set()
        over = threading.Event()

        def order(node, number):
            i = 0
            while not over.is_set():
                name = f"n{number}i{i}"
                i += 1
                try:
                    if node.call("KEYSPACE", "CREATE", name, "STRATEGY", "raft") == "OK":
                        made.add(name)
                except Error as error:
                    text = str(error)
                    (uncertain if text.startswith("UNCERTAIN") else refusals).add(name)
                    assert not text.startswith("UNCERTAIN") or "KEYSPACE LIST" in text
                except (Closed, OSError):
                    uncertain.add(name)
                    time.sleep(0.02)

        threads = [threading.Thread(target=order, args=(node, node.number))
                   for node in cluster.nodes]
        for thread in threads:
            thread.start()
        for _ in range(3):
            before = len(made)
            wait_for(lambda: len(made) > before + 1, "some were made")
            leader = cluster.leader()
            leader.kill()
            leader.start()
            wait_for(lambda: leader.listens(), "it is back")
        over.set()
        for thread in threads:
            thread.join()
        cluster.wait_ready()
        cluster.wait_applied()
        lists = [set(keyspaces(node)) for node in cluster.nodes]
        assert lists[0] == lists[1] == lists[2]
        assert made <= lists[0] and not refusals & lists[0]
        assert lists[0] - {"default"} <= made | uncertain
        ids = [row["id"] for row in keyspaces(cluster.nodes[0]).values()]
        assert len(ids) == len(set(ids))
