"""What a data directory survives, and what is refused in words instead of guessed at."""
import os
import shutil
import signal
import socket
import subprocess

import pytest

from cluster import BINARY, Cluster, PATIENCE, free_ports, pipeline_again, wait_for
from resp import Closed, Connection, Error


def fill(node, prefix, count, size=100):
    with node.connect(timeout=60) as connection:
        for first in range(0, count, 500):
            numbers = range(first, min(first + 500, count))
            replies = pipeline_again(connection, [("SET", f"{prefix}:{i}", f"{i}-" + "v" * size)
                                                  for i in numbers])
            assert replies == ["OK"] * len(numbers)


def check(node, prefix, count, size=100):
    with node.connect(timeout=60) as connection:
        for first in range(0, count, 500):
            numbers = range(first, min(first + 500, count))
            replies = pipeline_again(connection, [("GET", f"{prefix}:{i}") for i in numbers])
            assert replies == [f"{i}-{'v' * size}".encode() for i in numbers]


def fails_to_start(node, extra=(), environment=None):
    """Starts it, expects exit code 1, returns what it said."""
    before = len(node.log())
    node.start(extra, environment)
    assert node.wait() == 1, node.log()[before:]
    return node.log()[before:]


# --- Stopping -----------------------------------------------------------------------------------


def test_a_cluster_keeps_its_data():
    with Cluster(3) as cluster:
        fill(cluster.nodes[0], "kept", 2000)
        cluster.nodes[1].call("SET", "mortal", "x", "PX", "900000")
        assert cluster.terminate_all() == [0, 0, 0]
        cluster.start()
        check(cluster.nodes[2], "kept", 2000)
        assert 0 < cluster.nodes[0].call("PTTL", "mortal") <= 900000
        cluster.kill_all()
        cluster.start()
        check(cluster.nodes[1], "kept", 2000)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "SHUTDOWN", "SHUTDOWN NOSAVE"])
def test_an_orderly_stop_exits_with_0(how):
    with Cluster(1) as cluster:
        node = cluster.nodes[0]
        node.call("SET", "k", "v")
        if how.startswith("SHUTDOWN"):
            with node.connect() as connection:
                connection.send(*how.split())
                assert connection.read_until_closed() == b""
        else:
            os.kill(node.process.pid, getattr(signal, how))
        assert node.wait() == 0
        cluster.start()
        assert node.call("GET", "k") == b"v"


def test_a_leader_that_stops_hands_over_quickly():
    with Cluster(3) as cluster:
        leader = cluster.leader()
        assert leader.terminate() == 0
        cluster.wait_ready()


# --- Checkpoints --------------------------------------------------------------------------------


def test_checkpoints_let_the_log_be_trimmed():
    options = ["--checkpoint-bytes", "1mb", "--log-segment-bytes", "256kb",
               "--log-reserve-bytes", "0"]
    with Cluster(3, options=options) as cluster:
        for i in range(10):
            fill(cluster.nodes[i % 3], "trimmed", 3000, 500)  # 1.5 MB and more
        fill(cluster.nodes[0], "last", 100)
        for node in cluster.nodes:
            wait_for(lambda node=node: int(node.info("raft")["raft_first"]) > 10000,
                     f"node {node.number} trims its log", 20)
            used = tree_bytes(node.directory)
            assert used < 64 << 20, f"{used} bytes in {node.directory}"
        cluster.kill_all()
        cluster.start()
        for node in cluster.nodes:
            check(node, "trimmed", 3000, 500)
            check(node, "last", 100)
        assert cluster.nodes[0].call("DBSIZE") == 3100
        assert cluster.terminate_all() == [0, 0, 0]


def tree_bytes(path):
    """Of what is there; a segment may go while they are counted."""
    used = 0
    for directory, _, names in os.walk(path):
        for name in names:
            try:
                used += os.stat(os.path.join(directory, name)).st_size
            except FileNotFoundError:
                pass
    return used


def test_a_kill_in_the_middle_of_checkpoints():
    options = ["--checkpoint-bytes", "256kb", "--log-segment-bytes", "256kb",
               "--log-reserve-bytes", "0"]
    with Cluster(1, options=options) as cluster:
        node = cluster.nodes[0]
        for i in range(8):
            fill(node, "midway", 1500 + i, 300)
            node.kill()
            cluster.start()
            check(node, "midway", 1500 + i, 300)


# --- Directories --------------------------------------------------------------------------------


def test_an_empty_directory_is_refused_without_bootstrap(tmp_path):
    port = free_ports(1)[0]
    done = subprocess.run([BINARY, "server", "--dir", str(tmp_path), "--port", str(port)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=20 * PATIENCE, check=False)
    assert done.returncode == 1
    assert "--bootstrap" in done.stdout


def test_a_cluster_that_was_given_no_id_says_which_it_is(tmp_path):
    port = free_ports(1)[0]
    with subprocess.Popen([BINARY, "server", "--dir", str(tmp_path / "d"), "--port", str(port),
                           "--bootstrap"], stdout=subprocess.DEVNULL) as process:
        def told():
            try:
                with Connection(port) as connection:
                    return connection.call("CONFIG", "GET", "cluster-id")[1]
            except (OSError, Closed, Error):
                return b""  # it has just begun
        try:
            wait_for(lambda: len(told()) == 32, "it says its cluster's id")
            assert int(told(), 16) != 0
        finally:
            process.terminate()


def test_directories_of_others_are_refused():
    """Wrong identity: the directory of another node, or of another cluster."""
    with Cluster(3) as cluster:
        one, two = cluster.nodes[:2]
        cluster.kill_all()
        shutil.rmtree(one.directory)
        shutil.copytree(two.directory, one.directory)
        assert "belongs to node 2" in fails_to_start(one)
        cluster.cluster_id = "0" * 32
        assert "another cluster" in fails_to_start(two)


def test_scenario_53_a_wiped_node_is_not_believed():
    """Scenario 53: peers remember its directory; a new one may not vote as if it remembered."""
    with Cluster(3) as cluster:
        fill(cluster.nodes[0], "before", 100)
        victim = cluster.followers()[0]
        victim.kill()
        shutil.rmtree(victim.directory)
        victim.start()  # --bootstrap makes a new directory with another UUID
        wait_for(lambda: any("directory" in node.log().lower() for node in cluster.nodes
                             if node is not victim), "words about the directory", 10)
        others = [node for node in cluster.nodes if node is not victim]
        assert others[0].call("SET", "goes on", "1") == "OK"
        check(others[1], "before", 100)


def test_a_second_process_on_a_directory_is_refused():
    with Cluster(1) as cluster:
        node = cluster.nodes[0]
        ports = free_ports(2)
        words = node.arguments()
        words[words.index("--port") + 1] = str(ports[0])
        words[words.index("--peer-port") + 1] = str(ports[1])
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=20 * PATIENCE, check=False)
        assert done.returncode == 1
        assert "in use by another process" in done.stdout
        assert node.call("SET", "unharmed", "1") == "OK"


def test_a_port_in_use_is_named():
    with Cluster(3, start=False) as cluster, socket.socket() as squatter:
        node = cluster.nodes[0]
        squatter.bind(("127.0.0.1", node.port))
        squatter.listen(1)
        said = fails_to_start(node)
        assert str(node.port) in said and "in use" in said
    with Cluster(3, start=False) as cluster, socket.socket() as squatter:
        node = cluster.nodes[0]
        squatter.bind(("127.0.0.1", node.peer_port))
        squatter.listen(1)
        said = fails_to_start(node)
        assert str(node.peer_port) in said and "in use" in said


@pytest.mark.parametrize("words,expected", [
    (["--port", "x"], "port"),
    (["--nonsense", "1"], "nonsense"),
    (["--checkpoint-bytes", "-1"], "checkpoint-bytes"),
    (["--read-mode", "wrong"], "read-mode"),
    (["/nonexistent/file.conf"], "file.conf"),
])
def test_bad_settings_are_named(tmp_path, words, expected):
    done = subprocess.run([BINARY, "server", *words], cwd=tmp_path, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=20 * PATIENCE, check=False)
    assert done.returncode == 1
    assert expected in done.stdout
    assert not list(tmp_path.iterdir()), "nothing is made by a start that fails"


# --- Damage -------------------------------------------------------------------------------------


def log_files(node):
    found = []
    for root, _, names in os.walk(node.directory):
        found += [os.path.join(root, name) for name in names
                  if name.endswith((".log", ".seg", ".segment")) or "log" in root]
    return sorted(path for path in found if os.path.getsize(path) > 0)


def last_data_byte(path):
    with open(path, "rb") as file:
        return len(file.read().rstrip(b"\0"))


def newest_log_file(node):
    """The file that holds the end of the log: it has data, and was written last."""
    files = [path for path in log_files(node) if last_data_byte(path) > 0]
    return max(files, key=os.path.getmtime)


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0x55]))


def test_damage_in_the_log_of_a_lone_node_is_refused():
    """Scenarios 62, 105: what was synced and is now unreadable is never cut off in silence."""
    with Cluster(1) as cluster:
        node = cluster.nodes[0]
        fill(node, "precious", 2000)
        assert node.terminate() == 0
        path = newest_log_file(node)
        end = last_data_byte(path)
        with open(path, "rb") as file:
            at = file.read(end).find(b"precious:700")
        assert at > 0
        flip(path, at)
        for _ in range(2):
            said = fails_to_start(node)
            assert "damaged" in said and "restore the directory from a backup" in said
        flip(path, at)
        cluster.start()
        check(node, "precious", 2000)


def test_a_lost_log_of_a_lone_node_is_refused():
    """Scenario 53: a node that has forgotten everything needs others that have not."""
    with Cluster(1) as cluster:
        node = cluster.nodes[0]
        fill(node, "before", 10)
        node.kill()
        shutil.rmtree(os.path.join(node.directory, "log"))
        assert "No other member could repair this node" in fails_to_start(node)


def test_scenario_104_a_torn_tail_is_cut():
    """Scenario 104: the last batch was being written when the power went."""
    with Cluster(1) as cluster:
        node = cluster.nodes[0]
        fill(node, "whole", 500)
        node.kill()
        path = newest_log_file(node)
        end = last_data_byte(path)
        with open(path, "r+b") as file:  # the next block, half written
            file.seek((end + 4095) // 4096 * 4096)
            file.write(os.urandom(3000))
        cluster.start()
        check(node, "whole", 500)
        fill(node, "after", 100)
        node.kill()
        cluster.start()
        check(node, "whole", 500)
        check(node, "after", 100)


def test_a_damaged_identity_is_refused():
    with Cluster(1) as cluster:
        node = cluster.nodes[0]
        assert node.terminate() == 0
        flip(os.path.join(node.directory, "identity"), 20)
        assert "identity is damaged" in fails_to_start(node)


def test_a_damaged_checkpoint_is_refused():
    options = ["--checkpoint-bytes", "128kb", "--log-segment-bytes", "128kb",
               "--log-reserve-bytes", "0"]
    with Cluster(1, options=options) as cluster:
        node = cluster.nodes[0]
        fill(node, "c", 3000, 300)
        wait_for(lambda: int(node.info("raft")["raft_first"]) > 1000, "the log is trimmed", 20)
        assert node.terminate() == 0
        found = [path for path in all_files(node.directory)
                 if "checkpoint" in path and os.path.getsize(path) > 0]
        assert found
        for path in found:
            flip(path, os.path.getsize(path) // 2)
        said = fails_to_start(node)
        assert "damage" in said.lower() and "checkpoint" in said.lower()


def all_files(directory):
    return [os.path.join(root, name) for root, _, names in os.walk(directory) for name in names]


def test_connections_end_when_the_node_does():
    with Cluster(1) as cluster:
        node = cluster.nodes[0]
        with node.connect() as connection:
            connection.call("PING")
            node.terminate()
            with pytest.raises((Closed, OSError)):
                connection.call("PING")
