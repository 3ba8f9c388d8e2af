"""`quorate status` and `quorate admin`: what an operator sees and does, on real clusters."""
import fcntl
import json
import os
import re
import select
import struct
import subprocess
import termios
import time

import pytest

from cluster import BINARY, PATIENCE, Cluster, die_with_parent, free_ports, wait_for
from test_bench import Server


def run(*words, seconds=40):
    """Exit code, standard output, standard error."""
    done = subprocess.run([BINARY, *[str(word) for word in words]], check=False,
                          timeout=seconds * PATIENCE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def status(node):
    code, out, err = run("status", "-p", node.port, "--json")
    assert (code, err) == (0, ""), out + err
    return json.loads(out)


def admin(node, *words):
    return run("admin", "-p", node.port, *words)


@pytest.fixture(scope="module", name="three")
def three_nodes():
    with Cluster(3) as cluster:
        yield cluster


# --- status -------------------------------------------------------------------------------------


def test_the_screen_shows_every_node_and_who_leads(three):
    for node in three.nodes:
        code, out, err = run("status", "-p", node.port)
        assert (code, err) == (0, "")
        assert max(map(len, out.splitlines())) <= 80
        assert f"as node {node.number} sees it" in out
        assert f"node {three.leader().number} leads in term" in out
        for other in three.nodes:
            star = r"\*" if other is three.leader() else ""
            assert re.search(rf"^ *{other.number}{star} +127.0.0.1:{other.port} +up\b", out,
                             re.M), out
        assert "alarms: none" in out and " %" in out  # of the processor, between two looks


def test_the_document_has_the_same_and_more(three):
    found = status(three.nodes[0])
    assert found["asked"] == 1 and found["leader"] == three.leader().number
    assert found["cluster"] == three.cluster_id and found["leader_serves"] is True
    assert [node["id"] for node in found["nodes"]] == [1, 2, 3]
    for node in found["nodes"]:
        assert node["answered"] and node["memory_bytes"] > 1 << 20
        assert node["disk_free_bytes"] > 0 and not node["disk_low"]
        assert node["leads_group_0"] == (node["id"] == found["leader"])
        assert node["lease_held"] and not node["draining"]
    assert found["moves"]["under_way"] == found["moves"]["left"] == 0


def test_keyspaces_and_their_partitions(three):
    node = three.nodes[2]
    code, out, err = admin(three.nodes[0], "keyspace", "create", "users", "PARTITIONS", 6, "PREFIX",
                           "u:", "MAXOPS", 5000)
    assert (code, out.strip(), err) == (0, "OK", "")
    found = wait_for(lambda: (lambda s: s["partitions"]["without_leader"] == 0 and s)(status(node)),
                     "all partitions are led")
    keyspaces = {keyspace["name"]: keyspace for keyspace in found["keyspaces"]}
    assert keyspaces["users"]["partitions"] == 6 and keyspaces["users"]["maxops"] == 5000
    assert keyspaces["default"]["partitions"] == 1
    assert found["partitions"]["count"] == 7 and found["level"] >= 2
    assert sum(node["leaders"] for node in found["nodes"]) == 7
    assert all(node["partitions"] == 7 for node in found["nodes"])
    for number in range(30):
        assert three.nodes[1].call("SET", f"u:{number}", "x") == "OK"
    wait_for(lambda: {k["name"]: k for k in status(node)["keyspaces"]}["users"].get("keys") == 30,
             "the figures have come")
    code, out, _ = run("status", "-p", node.port)
    assert code == 0 and max(map(len, out.splitlines())) <= 80
    assert re.search(r"^16 +users +3 +6 +30 .* 5,000/s +u:", out, re.M), out
    assert "partitions: all 7 healthy" in out
    code, out, _ = admin(node, "keyspace", "list")
    assert code == 0 and "users" in out and "default" in out
    wait_for(lambda: admin(node, "rebalance", "dryrun")[:2] == (0, "none\n"), "nothing is to move")


def test_a_partition_without_a_majority_is_named():
    with Cluster(3) as cluster:
        assert admin(cluster.nodes[0], "keyspace", "create", "k", "PARTITIONS", 3)[0] == 0
        left = cluster.leader()
        wait_for(lambda: status(left)["partitions"]["without_leader"] == 0, "all are led")
        for node in cluster.nodes:
            if node is not left:
                node.kill()
        found = wait_for(
            lambda: (lambda s: s["partitions"]["without_leader"] == 4 and s)(status(left)),
            "it knows that nobody leads", 20)
        assert found["partitions"]["with_replica_away"] == 4
        assert all(row["why"].startswith("no leader") for row in found["partitions"]["listed"])


def test_a_node_without_quorum_still_tells():
    with Cluster(3) as cluster:
        leader = cluster.leader()
        for node in cluster.nodes:
            if node is not leader:
                node.kill()
        found = wait_for(lambda: (lambda s: s["leader"] == 0 and s)(status(leader)),
                         "it knows that it does not lead")
        assert sorted(n["state"] for n in found["nodes"]) == ["away", "away", "up"]
        code, out, _ = run("status", "-p", leader.port)
        assert code == 0 and "NO LEADER of group 0" in out


def test_who_does_not_answer_is_named():
    port = free_ports(1)[0]
    code, out, err = run("status", "-p", port)
    assert (code, out) == (3, "") and f"127.0.0.1:{port}: Connection refused" in err
    code, out, err = run("status", "-p", port, "--json")
    assert code == 3 and "refused" in json.loads(out)["error"]

    def redis(read, write, wait):
        read()
        write(b"$17\r\nredis_version:7\r\n\r\n")
        wait(60)
    with Server(redis) as server:
        code, _, err = run("status", "-p", server.port)
    assert code == 3 and "no Quorate" in err

    def silent(_read, _write, wait):
        wait(60)
    with Server(silent) as server:
        code, _, err = run("status", "-p", server.port, "--timeout", 1)
    assert code == 3 and "no answer within 1 s" in err

    def odd(read, write, wait):
        read()
        write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        wait(60)
    with Server(odd) as server:
        code, _, err = run("status", "-p", server.port)
    assert code == 3 and "does not speak" in err


def test_watch_draws_over_itself(three):
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 8, 60, 0, 0))
    process = subprocess.Popen([BINARY, "status", "-p", str(three.nodes[0].port), "--watch"],
                               stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                               preexec_fn=die_with_parent)
    said, began = "", time.monotonic()
    try:
        while said.count("\x1b[H") < 3:
            assert select.select([ours], [], [], 10 * PATIENCE)[0], said
            said += os.read(ours, 65536).decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)
    assert time.monotonic() - began > 1.9  # each second
    screen = said.split("\x1b[H")[2]
    assert "\x1b[J" in screen
    assert " %" in screen  # the second look knows how busy the nodes are
    lines = [line.replace("\x1b[K", "").replace("\x1b[J", "") for line in screen.split("\r\n")]
    assert max(map(len, lines)) <= 60 and len(lines) == 8  # it never scrolls


def test_documents_come_each_second_also_when_nobody_answers():
    with Cluster(1) as cluster:
        node = cluster.nodes[0]
        process = subprocess.Popen([BINARY, "status", "-p", str(node.port), "--watch", "--json"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   preexec_fn=die_with_parent)
        try:
            for _ in range(2):
                assert json.loads(process.stdout.readline())["asked"] == 1
            node.kill()
            wait_for(lambda: "refused" in json.loads(process.stdout.readline()).get("error", ""),
                     "it says that nobody answers")
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def test_watch_says_who_does_not_answer_and_goes_on():
    with Cluster(1) as cluster:
        node = cluster.nodes[0]
        process = subprocess.Popen([BINARY, "status", "-p", str(node.port), "--watch"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   preexec_fn=die_with_parent)

        def screen():
            said = b""
            while not said.endswith(b"\x1b[J"):
                part = os.read(process.stdout.fileno(), 65536)
                assert part, "it ended"
                said += part
            return said.decode()
        try:
            assert "as node 1 sees it" in screen()
            node.kill()
            wait_for(lambda: f"127.0.0.1:{node.port}: Connection refused\x1b[K" in screen(),
                     "it says that nobody answers")
            node.start()
            wait_for(lambda: "as node 1 sees it" in screen(), "it goes on", 15)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


@pytest.mark.parametrize("words", [("status",), ("status", "--json"), ("status", "--watch"),
                                   ("status", "--watch", "--json"), ("admin", "member", "list")])
def test_what_cannot_be_written_is_no_success(three, words):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BINARY, words[0], "-p", str(three.nodes[0].port), *words[1:]],
                              check=False, timeout=20 * PATIENCE, stdin=subprocess.DEVNULL,
                              stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 4
    assert done.stderr.decode() == (f"quorate {words[0]}: standard output cannot be written: "
                                    "No space left on device\n")


# --- admin --------------------------------------------------------------------------------------


def test_members_as_a_table_and_as_a_document(three):
    code, out, err = admin(three.nodes[1], "member", "list")
    assert (code, err) == (0, "")
    for node in three.nodes:
        assert f"127.0.0.1:{node.port}" in out
    code, out, _ = admin(three.nodes[1], "MEMBER", "LIST")
    assert code == 0
    code, out, _ = run("admin", "-p", three.nodes[1].port, "--json", "member", "list")
    assert code == 0 and [member["id"] for member in json.loads(out)] == [1, 2, 3]


def test_an_order_is_carried_out():
    with Cluster(3) as cluster:
        follower = cluster.followers()[0]
        code, out, err = admin(follower, "failover", "to", "127.0.0.1", follower.port)
        assert (code, out.strip(), err) == (0, "OK", "")
        wait_for(lambda: cluster.find_leader() is follower, "the follower leads")


def test_what_the_server_refuses_it_says_itself(three):
    code, out, err = admin(three.nodes[0], "member", "remove", 99)
    assert (code, out) == (1, "")
    assert err.startswith("ERR ") and len(err.splitlines()) == 1
    code, out, err = admin(three.nodes[0], "alarm", "ack", "nonsense")
    assert (code, out) == (1, "") and "2-17" in err


def test_bad_usage():
    for words in ([], ["frob"], ["member"], ["member", "frob"], ["keyspace", "drop"],
                  ["--frob", "1", "member", "list"], ["-p", "0", "member", "list"], ["-p"]):
        code, out, err = run("admin", *words)
        assert (code, out) == (2, "") and "quorate admin" in err, words
    code, out, err = run("status", "what")
    assert (code, out) == (2, "") and "'what'" in err
    code, out, err = run("admin", "-p", free_ports(1)[0], "member", "list")
    assert (code, out) == (3, "") and "Connection refused" in err
    for name in ("status", "admin"):
        code, out, _ = run(name, "--help")
        assert code == 0 and max(map(len, out.splitlines())) <= 100


def test_a_password(tmp_path):
    del tmp_path
    with Cluster(1, options=["--requirepass", "secret"], start=False) as cluster:
        node = cluster.nodes[0]
        node.start()
        wait_for(node.listens, "it listens")
        code, _, err = run("status", "-p", node.port)
        assert code == 3 and "NOAUTH" in err
        code, out, _ = run("status", "-p", node.port, "-a", "secret")
        assert code == 0 and "as node 1 sees it" in out
        code, _, err = run("status", "-p", node.port, "-a", "wrong")
        assert code == 3 and "WRONGPASS" in err
        code, out, _ = run("admin", "-p", node.port, "-a", "secret", "alarm", "list")
        assert code == 0
