"""`quorate up`: the cluster that a stranger starts with one command."""
import os
import re
import signal
import subprocess
import threading

import pytest

import prometheus
from cluster import BINARY, PATIENCE, die_with_parent, free_ports, wait_for
from resp import Closed, Connection, Error


class Up:
    """A running `quorate up`; `said()` is what it has printed so far."""

    def __init__(self, directory, base_port, *extra):
        self.base_port = base_port
        self.process = subprocess.Popen(
            [BINARY, "up", "--nodes", "3", "--data", os.path.join(directory, "data"),
             "--base-port", str(base_port), *extra], cwd=directory, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
        self.lines = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.decode("utf-8", "replace"))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        pids = self.pids()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if kind is not None:
            print(self.said()[-8000:])

    def said(self):
        return "".join(self.lines)

    def pids(self):
        """The latest process id of each node, as printed."""
        return list(dict(re.findall(r"node (\d+): pid (\d+)", self.said())).values()) and \
            [int(pid) for _, pid in sorted(dict(
                re.findall(r"node (\d+): pid (\d+)", self.said())).items())]

    def call(self, node, *arguments):
        with Connection(self.base_port + node - 1, timeout=5 * PATIENCE) as connection:
            return connection.call(*arguments)

    def answers(self, node):
        try:
            return self.call(node, "SET", "up", "1") == "OK"
        except (OSError, Closed, Error):
            return False

    def wait_ready(self):
        for node in (1, 2, 3):
            wait_for(lambda node=node: self.answers(node), f"node {node} answers", 20)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(name="base_port")
def fixture_base_port():
    return free_ports(3, also=(100, 200, 300, 10000))[0]


def test_up_keeps_data_between_runs(tmp_path, base_port):
    with Up(tmp_path, base_port) as up:
        up.wait_ready()
        assert up.call(1, "SET", "kept", "value") == "OK"
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(20 * PATIENCE) == 0
        assert not any(alive(pid) for pid in up.pids())
    with Up(tmp_path, base_port) as up:
        up.wait_ready()
        assert up.call(3, "GET", "kept") == b"value"
        for url in re.findall(r"http://127\.0\.0\.1:(\d+)/metrics", up.said()):
            assert prometheus.scrape(int(url))["redis_up"].total() == 1
        assert f"http://127.0.0.1:{base_port + 302}/metrics" in up.said()
        up.process.terminate()
        assert up.process.wait(20 * PATIENCE) == 0


def test_up_restarts_a_dead_node(tmp_path, base_port):
    with Up(tmp_path, base_port) as up:
        up.wait_ready()
        for node in (1, 2, 3):
            old = up.pids()[node - 1]
            os.kill(old, signal.SIGKILL)
            wait_for(lambda node=node, old=old: up.pids()[node - 1] != old, "a new process", 10)
            wait_for(lambda node=node: up.answers(node), f"node {node} serves again", 15)
        assert up.said().count("was killed by SIGKILL; restarting it") == 3


def test_up_without_restart(tmp_path, base_port):
    with Up(tmp_path, base_port, "--no-restart") as up:
        up.wait_ready()
        os.kill(up.pids()[0], signal.SIGKILL)
        wait_for(lambda: "it stays down" in up.said(), "words about it", 10)
        wait_for(lambda: up.answers(2) and up.answers(3), "the others go on", 10)
        assert not up.answers(1)


def test_no_node_outlives_its_up(tmp_path, base_port):
    with Up(tmp_path, base_port) as up:
        up.wait_ready()
        pids = up.pids()
        up.process.kill()
        wait_for(lambda: not any(alive(pid) for pid in pids), "the nodes end", 15)


def test_up_says_what_is_wrong(tmp_path, base_port):
    with Up(tmp_path, base_port) as up:
        up.wait_ready()
        with Up(tmp_path, base_port) as second:
            assert second.process.wait(20 * PATIENCE) == 1
            wait_for(lambda: "in use by another quorate up" in second.said(), "words", 5)
        other = tmp_path / "other"
        other.mkdir()
        with Up(other, base_port) as third:
            assert third.process.wait(20 * PATIENCE) == 1
            wait_for(lambda: str(base_port) in third.said(), "the port's name", 5)
        assert up.answers(1)
