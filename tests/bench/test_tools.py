"""The bench's programs against servers that work, and against ones that do not: then they say so,
end with another code than 0, and print no figure (bad input of make bench)."""
import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from cluster import Cluster, free_ports, wait_for
from conftest import ROOT
from processes import port_answers

LBENCH = os.environ["QUORATE_LBENCH"]
FLOOR = os.environ["QUORATE_FLOOR"]
BUILD = os.path.dirname(os.path.dirname(LBENCH))
FIGURES = ("ops_per_s", "p50_us", "p99_us", "server_cpu_s_per_100k", "foreign_percent")


def lbench(port, *words, **environment):
    return subprocess.run([LBENCH, "-p", str(port), "-W", "0.05", "-t", "0.3", *words],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60,
                          check=False, env=dict(os.environ, **environment))


def assert_refused(done, text):
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert done.stdout == ""
    texts = text if isinstance(text, tuple) else (text,)
    assert any(one in done.stderr for one in texts), done.stderr


class Server:
    """Takes connections and answers whatever comes with the same bytes; None: with nothing, and
    b"": by closing."""

    def __init__(self, answer, pause=0.0):
        self.answer, self.pause = answer, pause
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            while self.answer is not None and connection.recv(65536):
                time.sleep(self.pause)  # what a slow server is
                if not self.answer:
                    connection.close()
                    return
                connection.sendall(self.answer)
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        for connection in self.open:
            connection.close()


@pytest.fixture(scope="module")
def floor(tmp_path_factory):
    port = free_ports(1)[0]
    process = subprocess.Popen([FLOOR, str(port), str(tmp_path_factory.mktemp("floor")), "inline",
                                "16"])
    try:
        wait_for(lambda: port_answers(port), "the floor", 30)
        assert lbench(port, "-o", "set", "-c", "8", "-d", "16", "-f").returncode == 0
        yield port
    finally:
        process.kill()
        process.wait()


VALUE = b"$100\r\n" + b"v" * 100 + b"\r\n"
REFUSED = [
    ("silent", None, "set", "not answered within"),
    ("an error", b"-ERR no\r\n", "set", "-ERR no"),
    ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n", "set", "HTTP/1.1 400"),
    ("HTTP to GET", b"HTTP/1.1 400 Bad Request\r\n\r\n", "get", "HTTP/1.1 400"),
    ("closes", b"", "set", "closed"),
    ("an integer to SET", b":1\r\n", "set", ":1"),
    ("no such key", b"$-1\r\n", "get", "$-1"),
    ("a shorter value", b"$99\r\n" + b"v" * 99 + b"\r\n", "get", "$99"),
    ("another value", b"$100\r\n" + b"w" * 100 + b"\r\n", "get", "the value that was written"),
    ("two answers", VALUE + VALUE, "get", "nothing was asked"),
    ("too few replicas", b"+OK\r\n:0\r\n", "setwait", ":0"),
    ("an error to WAIT", b"+OK\r\n-ERR WAIT\r\n", "setwait", "-ERR WAIT"),
]


@pytest.mark.parametrize("_, answer, operation, text", REFUSED, ids=[case[0] for case in REFUSED])
def test_a_wrong_server_gets_no_figure(_, answer, operation, text):
    with Server(answer) as server:
        assert_refused(lbench(server.port, "-o", operation, "-T", "0.3"), text)


@pytest.mark.parametrize("answer, text", [
    (None, "not answered within"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "a frame of HTTP/2"),
    (b"-ERR what\r\n", "a frame of HTTP/2"), (b"", ("closed", "Connection reset")),
], ids=["silent", "HTTP/1.1", "RESP", "closes"])
def test_what_is_not_etcd_gets_no_figure(answer, text):
    with Server(answer) as server:
        assert_refused(lbench(server.port, "-P", "etcd", "-o", "get", "-T", "0.3"), text)


def test_a_server_that_is_too_slow_gets_no_figure():
    with Server(b"+OK\r\n", pause=0.05) as server:
        assert_refused(lbench(server.port, "-o", "set"), "too slow")


def test_a_dead_port_gets_no_figure():
    assert_refused(lbench(free_ports(1)[0], "-o", "set"), "Connection refused")


def test_a_server_whose_process_is_gone_gets_no_figure(floor):
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert_refused(lbench(floor, "-o", "set", "-i", str(gone.pid)), "process is gone")


@pytest.mark.parametrize("words", [
    ["-c", "0"], ["-c", "many"], ["-d", "4096"], ["-t", "-1"], ["-P", "http"], ["-o", "incr"],
    ["-i", ","], ["-P", "etcd", "-o", "setwait"], ["-P", "etcd", "-s", "1"], ["-s", "0"],
    ["more"],
])
def test_arguments_that_make_no_sense_are_refused(words):
    done = lbench(1, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "lbench.c" in done.stderr


def test_a_keyspace_is_selected_first():
    with Cluster(1) as cluster:
        node = cluster.leader()
        node.call("KEYSPACE", "CREATE", "other", "ID", 20, "STRATEGY", "raft")
        wait_for(lambda: writes(node.port, "-s", "20").returncode == 0, "the keyspace serves", 20)
        assert node.call("GET", "key:%012d" % 1) is None
        with node.connect() as connection:
            connection.call("SELECT", 20)
            assert connection.call("GET", "key:%012d" % 1) == b"v" * 100
        assert_refused(lbench(node.port, "-o", "set", "-s", "21"), "expected +OK")


def writes(port, *words):
    return lbench(port, "-o", "set", "-c", "8", "-d", "16", "-f", *words)


def test_a_server_that_answers_as_it_should_is_measured(floor):
    for operation in ("set", "get"):
        done = lbench(floor, "-o", operation, "-c", "4", "-d", "4", "-i", str(os.getpid()))
        assert done.returncode == 0, done.stderr
        line = json.loads(done.stdout)
        assert (line["operation"], line["connections"], line["depth"]) == (operation, 4, 4)
        assert all(isinstance(line[name], (int, float)) for name in FIGURES)
        assert line["answers"] >= 100
        assert line["ops_per_s"] == pytest.approx(line["answers"] / line["seconds"], rel=0.01)
        assert 0 < line["p50_us"] <= line["p99_us"] <= line["max_us"]


def bench(program, *words):
    return subprocess.run([sys.executable, os.path.join(ROOT, "bench", program), *words],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=150,
                          check=False)


def bench_run(*words):
    """Nothing is repeated because the machine is busy."""
    return bench("run", "--build", BUILD, "--passes", "1", "--seconds", "0.3", "--warm", "0.1",
                 "--noise", "1000", "--cells", "c64", "--floor-log-mib", "16", *words)


def test_a_short_run_measures_ours_and_the_floor(tmp_path):
    page, data = tmp_path / "page.md", tmp_path / "result.json"
    done = bench_run("--only", "quorate,floor", "--directory", str(tmp_path), "--json", str(data),
                     "--markdown", str(page), "--", "--election-timeout-ms", "2000")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(data.read_text(encoding="utf-8"))
    assert len(result["runs"]) == 2 + 5 + 3  # SET, GET, and SET while a follower fails
    speed = {(run["operation"], run["row"]): run["ops_per_s"] for run in result["runs"]}
    bound = next(b for b in result["bounds"] if b["text"] == "SET, 64 connections / floor")
    assert bound["best"] == pytest.approx(speed["set", "quorate"] / speed["set", "floor"])
    assert bound["verdict"] in ("reached", "NOT reached")
    assert "| quorate |" in page.read_text(encoding="utf-8")
    assert sorted(os.listdir(tmp_path)) == ["page.md", "result.json"]


def test_a_short_run_measures_keyspaces_with_a_primary_and_the_lag(tmp_path):
    data = tmp_path / "result.json"
    done = bench_run("--tables", "primary,lag", "--only", "primary", "--seconds", "1",
                     "--directory", str(tmp_path), "--json", str(data))
    assert done.returncode == 0, done.stdout + done.stderr
    runs = json.loads(data.read_text(encoding="utf-8"))["runs"]
    wanted = {"LOCAL everysec, statement", "ANY 1 received, logical", "raft"}
    assert wanted <= {run["row"] for run in runs}
    lag = next(run for run in runs if run["operation"] == "lag")
    assert 0 < lag["p50_us"] <= lag["p99_us"] <= lag["max_us"] < 5e6


def test_a_run_with_a_server_that_cannot_serve_prints_no_figures(tmp_path):
    done = bench_run("--only", "quorate", "--directory", str(tmp_path), "--", "--maxclients", "10")
    assert done.returncode == 1
    assert "no figures" in done.stderr and "max number of clients" in done.stderr
    assert "Bounds" not in done.stdout
    assert os.listdir(tmp_path) == []


def test_a_short_run_measures_a_fail_over(tmp_path):
    data = tmp_path / "gaps.json"
    done = bench("failover", "--only", "quorate", "--runs", "1", "--how", "kill",
                 "--directory", str(tmp_path), "--json", str(data))
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(data.read_text(encoding="utf-8"))
    assert [(r["system"], r["how"], len(r["gaps"])) for r in result] == [("quorate", "kill", 1)]
    assert 0 < result[0]["gaps"][0] < 30_000
    assert "killed (kill -9)" in done.stdout and "≤ 150 ms, worst" in done.stdout


def test_a_hand_over_is_measured_to_the_first_write_after_its_answer(tmp_path):
    data = tmp_path / "gaps.json"
    done = bench("failover", "--only", "primary", "--runs", "1", "--how", "planned",
                 "--directory", str(tmp_path), "--json", str(data))
    assert done.returncode == 0, done.stdout + done.stderr
    for result in json.loads(data.read_text(encoding="utf-8")):
        assert result["system"] == "primary" and 0 < result["gaps"][0] < 30_000


def test_values_that_the_cluster_lost_are_noticed():
    with Cluster(1) as cluster:
        port = cluster.nodes[0].port
        cluster.nodes[0].call("SET", "key:%012d" % 1, "v" * 100)
        assert_refused(lbench(port, "-o", "get"), "$-1")
