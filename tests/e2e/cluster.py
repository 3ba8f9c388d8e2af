"""A cluster of real processes for the end-to-end tests.

Every cluster has a directory and ports of its own. Nothing here sleeps to let something happen:
`wait_for` asks again until a deadline. When a test fails, the logs of its nodes are printed; when
this process ends, by whatever means, so do its nodes.
"""
import ctypes
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from resp import Closed, Connection, Error

BINARY = os.environ.get("QUORATE_BINARY", "build/quorate")
LOAD = os.environ.get("QUORATE_LOAD", "build/tests/e2e/load")
# A sanitizer build is several times slower; so is a machine that runs other tests at once.
PATIENCE = float(os.environ.get("QUORATE_PATIENCE", "1"))
# Nobody stands for election only because the machine is busy for some tenths of a second.
CALM = ["--election-timeout-ms", "1500"]
LOG_SHOWN = 60  # lines of each node's log when a test failed

_given_ports = {}  # each with what keeps it from other processes
running_clusters = []  # conftest.py shows their logs when a test fails
_libc = ctypes.CDLL(None)
# Some tests hold a thousand connections.
_files = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, _files[1]), _files[1]))


def die_with_parent():
    """In the child, before exec: SIGKILL when this process dies, even by kill -9."""
    _libc.prctl(1, signal.SIGKILL, 0, 0, 0)


def port_is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
            return True
        except OSError:
            return False


def claim_port(port):
    """Until this process ends no other one that asks here gets the port, not even while the node
    that has it is dead. None if another one has it."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0quorate-test-port-{port}")
        return claim
    except OSError:
        claim.close()
        return None


def claim_ports(ports):
    claims = {}
    for port in ports:
        claims[port] = claim_port(port) if port not in _given_ports else None
        if claims[port] is None or not port_is_free(port):
            for claim in filter(None, claims.values()):
                claim.close()
            return False
    _given_ports.update(claims)
    return True


def free_ports(count, also=()):
    """`count` ports in a row (and those `also` higher), below those that the kernel hands out."""
    for _ in range(1000):
        first = random.randrange(10100, 22000 - count)
        ports = list(range(first, first + count))
        if claim_ports(ports + [port + more for port in ports for more in also]):
            return ports
    raise RuntimeError("no free ports")


def wait_for(condition, what, seconds=10.0, pause=0.01):
    """Asks until the condition holds, and returns what it returned."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"in vain for {seconds * PATIENCE:.0f} s: {what}")
        time.sleep(pause)


def parse_info(data):
    fields = {}
    for line in data.decode().splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition(":")
            fields[name] = value
    return fields


class Node:
    """One `quorate server`, running or not."""

    host = "127.0.0.1"

    def __init__(self, cluster, number, port, peer_port, metrics_port):
        self.cluster, self.number = cluster, number
        self.port, self.peer_port, self.metrics_port = port, peer_port, metrics_port
        self.directory = os.path.join(cluster.directory, f"node-{number}")
        self.log_path = os.path.join(cluster.directory, f"node-{number}.log")
        self.wrapper = []  # words in front of the command line, such as a profiler's
        self.environment = {}
        # For cluster-aware clients, and for those that ask a sentinel, where the cluster has such.
        self.cluster_port = self.sentinel_port = 0
        self.process = None
        self.paused = False
        self.stopped = False  # by the test, so that its end surprises nobody

    def arguments(self, extra=()):
        cluster = self.cluster
        words = [*self.wrapper, BINARY, "server", "--dir", self.directory, "--port", str(self.port),
                 "--peer-port", str(self.peer_port), "--node-id", str(self.number),
                 "--metrics-port", str(self.metrics_port),
                 "--cluster-id", cluster.cluster_id]
        for node in cluster.nodes:
            words += ["--member", str(node.number), node.host, str(node.port),
                      str(node.peer_port)]
        if self.cluster_port:
            words += ["--cluster-port", str(self.cluster_port),
                      "--sentinel-port", str(self.sentinel_port)]
        if not os.path.exists(os.path.join(self.directory, "identity")):
            words.append("--bootstrap")
        return words + list(cluster.options) + list(extra)

    def start(self, extra=(), environment=None):
        assert not self.running()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.arguments(extra), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(os.environ, **self.environment, **(environment or {})),
                preexec_fn=self.before_exec)
        self.paused = self.stopped = False

    @staticmethod
    def before_exec():
        """In the child that becomes the node."""
        die_with_parent()

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """kill -9."""
        self.stopped = True
        self.process.kill()
        self.process.wait()
        self.paused = False

    def pause(self):
        os.kill(self.process.pid, signal.SIGSTOP)
        self.paused = True

    def resume(self):
        os.kill(self.process.pid, signal.SIGCONT)
        self.paused = False

    def terminate(self, seconds=15.0):
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.wait(seconds)

    def wait(self, seconds=15.0):
        self.stopped = True
        return self.process.wait(seconds * PATIENCE)

    def connect(self, timeout=10.0):
        return Connection(self.port, timeout=timeout * PATIENCE)

    def call(self, *arguments, timeout=10.0):
        with self.connect(timeout) as connection:
            return connection.call(*arguments)

    def listens(self):
        try:
            self.connect().close()
            return True
        except OSError:
            return False

    def get(self, key):
        """None while it does not answer, too."""
        try:
            return self.call("GET", key)
        except (Error, Closed, OSError):
            return None

    def info(self, section="everything"):
        return parse_info(self.call("INFO", section, timeout=3.0))

    def try_info(self, section="everything"):
        try:
            return self.info(section) if self.running() and not self.paused else None
        except (OSError, Closed, Error):
            return None

    def leads(self):
        info = self.try_info("raft")
        return info is not None and info.get("raft_role") == "leader"

    def log(self):
        try:
            with open(self.log_path, "rb") as file:
                return file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""


class Cluster:
    """`with Cluster(3) as cluster:` gives a running cluster with a leader. With `cluster_ports` the
    nodes have listeners for cluster-aware clients and for those that ask a sentinel, too."""

    def __init__(self, size=3, options=(), start=True, directory=None, cluster_ports=False):
        self.own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="quorate-e2e-")
        self.cluster_id = "%032x" % random.getrandbits(128)
        self.options = list(options)
        ports = free_ports(3 * size)
        self.nodes = [Node(self, i + 1, ports[i], ports[size + i], ports[2 * size + i])
                      for i in range(size)]
        for node in self.nodes if cluster_ports else []:
            node.cluster_port, node.sentinel_port = free_ports(2)
        self.start_now = start

    def __enter__(self):
        running_clusters.append(self)
        if self.start_now:
            try:
                self.start()
            except BaseException:
                self.__exit__(AssertionError, None, None)
                raise
        return self

    def __exit__(self, kind, _value, _trace):
        running_clusters.remove(self)
        for node in self.nodes:
            if node.running():
                node.kill()
        if kind is not None and not issubclass(kind, SkipType):
            print(self.logs())
        if self.own_directory:
            if kind is not None and os.environ.get("QUORATE_KEEP"):
                print(f"kept: {self.directory}")
            else:
                shutil.rmtree(self.directory, ignore_errors=True)

    def logs(self):
        """The end of each node's log."""
        parts = []
        for node in self.nodes:
            state = "runs" if node.running() else \
                f"ended with {node.process.returncode}" if node.process else "never started"
            parts.append(f"--- log of node {node.number} (port {node.port}; {state})")
            parts += node.log().splitlines()[-LOG_SHOWN:]
        return "\n".join(parts)

    def start(self):
        for node in self.nodes:
            if not node.running():
                node.start()
        self.wait_ready()

    def kill_all(self):
        for node in self.nodes:  # all of them before any is waited for
            if node.running():
                node.process.kill()
        for node in self.nodes:
            if node.process is not None:
                node.wait()

    def terminate_all(self):
        for node in self.nodes:
            if node.running():
                node.process.terminate()
        return [node.wait() for node in self.nodes]

    def alive(self):
        return [node for node in self.nodes if node.running() and not node.paused]

    def find_leader(self):
        """The node that leads, in the highest term if several believe it."""
        best, best_term = None, -1
        for node in self.alive():
            info = node.try_info("raft")
            if info and info.get("raft_role") == "leader" and int(info["raft_term"]) > best_term:
                best, best_term = node, int(info["raft_term"])
        return best

    def leader(self, seconds=10.0):
        return wait_for(self.find_leader, "a leader", seconds)

    def followers(self):
        leader = self.leader()
        return [node for node in self.alive() if node is not leader]

    def wait_ready(self, seconds=20.0):
        """Every node that runs answers a write, so it knows the leader and the leader commits."""
        for node in self.nodes:
            if node.process is None or node.paused or node.stopped:
                continue
            wait_for(lambda node=node: answers_writes(node), f"node {node.number} serves", seconds)
        return self.leader()

    def wait_applied(self, seconds=20.0):
        """All running nodes have applied what is committed now."""
        goal = int(self.leader().info("raft")["raft_commit"])
        for node in self.alive():
            wait_for(lambda node=node: applied(node) >= goal,
                     f"node {node.number} applies up to {goal}", seconds)


def answers_writes(node):
    if not node.running():
        raise AssertionError(f"node {node.number} has ended:\n{node.log()[-2000:]}")
    try:
        return node.call("DEL", "not a key of any test", timeout=5.0) == 0
    except (OSError, Closed, Error):
        return False


# No answer for the moment, as between two leaders: a busy machine may be there at any time.
UNSURE = ("CLUSTERDOWN", "UNCERTAIN", "TRYAGAIN")


def pipeline_again(connection, commands, seconds=20.0):
    """The replies to commands that may be given twice: those are that have no answer for now."""
    replies = connection.pipeline(commands)

    def is_answered():
        again = [i for i, reply in enumerate(replies)
                 if isinstance(reply, Error) and reply.kind() in UNSURE]
        for i, reply in zip(again, connection.pipeline([commands[i] for i in again])):
            replies[i] = reply
        return not again
    wait_for(is_answered, "answers", seconds)
    return replies


def ask(node, *words, timeout=10.0):
    """The answer to what may be asked twice."""
    with node.connect(timeout=timeout) as connection:
        reply, = pipeline_again(connection, [words])
    if isinstance(reply, Error):
        raise reply
    return reply


def undisturbed(cluster, act, tries=3):
    """Runs `act`, during which nobody may stand for election: once more where somebody did, because
    a busy machine can have caused that. What `act` itself causes it causes each time."""
    problem = None
    for _ in range(tries):
        term = cluster.leader().info("raft")["raft_term"]
        problem = None
        try:
            act()
        except (AssertionError, Error, Closed, OSError) as error:
            problem = error
        if cluster.leader().info("raft")["raft_term"] == term:
            if problem is not None:
                raise problem
            return
    raise AssertionError(f"{tries} times in a row somebody stood for election") from problem


def applied(node):
    info = node.try_info("raft")
    return int(info["raft_applied"]) if info else -1


try:
    from _pytest.outcomes import Skipped as SkipType
except ImportError:
    class SkipType(BaseException):
        """Nothing skips without pytest."""
