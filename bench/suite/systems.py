"""How each system is started, all of them with three nodes on loopback and their data side by side.
"""
import os
import subprocess

import primaries
from cluster import Cluster, free_ports, wait_for
from processes import BenchError, Processes, port_answers
from resp import Closed, Connection, Error
from rows import ROWS, Row

START_SECONDS = 60
FIRST_KEYSPACE = 16  # ids below have names of their own


def call(port, *arguments):
    with Connection(port, timeout=10) as connection:
        return connection.call(*arguments)


def try_call(port, *arguments):
    try:
        return call(port, *arguments)
    except (OSError, Closed, Error):
        return None


class Quorate:
    """Our nodes, by the harness of the end-to-end tests."""
    name, protocol, needs, package = "quorate", "resp", (), ""

    def __init__(self, directory, options=()):
        self.directory = os.path.join(directory, "data-" + self.name)
        self.options = options
        self.cluster = None
        self.struck = None

    @classmethod
    def missing(cls):
        return []

    def start(self):
        Processes.make_directory(self)
        self.cluster = Cluster(3, options=self.options, directory=self.directory)
        self.cluster.__enter__()

    def check_running(self):
        for node in self.cluster.nodes:
            if not node.running() and node is not self.struck:
                raise BenchError(f"{self.name}: node {node.number} ended by itself:\n"
                                 + node.log()[-2000:])

    def locate(self):
        return self.cluster.leader().port

    def ports(self):
        return [node.port for node in self.cluster.nodes]

    def pids(self):
        return [node.process.pid for node in self.cluster.nodes]

    def use(self, row):
        for node in self.cluster.nodes if row.read_mode else ():
            node.call("CONFIG", "SET", "read-mode", row.read_mode)

    def victim(self):
        """The first follower."""
        leader = self.cluster.leader()
        return next(node for node in self.cluster.nodes if node is not leader)

    def spared_pids(self):
        victim = self.victim()
        return [node.process.pid for node in self.cluster.nodes if node is not victim]

    def strike(self, fault):
        self.struck = self.victim()
        if fault == "kill":
            self.struck.kill()
        else:
            self.struck.pause()

    def heal(self):
        if self.struck is None:
            return
        if self.struck.paused:
            self.struck.resume()
        else:
            self.struck.start()
        self.struck = None
        self.cluster.wait_ready(START_SECONDS)
        self.cluster.wait_applied(START_SECONDS)

    def close(self):
        if self.cluster is not None:
            self.cluster.__exit__(None, None, None)
            self.cluster = None
        Processes.close(self)

    rows_to_fill, keyspace = Processes.rows_to_fill, Processes.keyspace
    processes = words = ()  # what Processes.close would end


class Primary(Quorate):
    """Our nodes with a keyspace for each row of STRATEGY primary."""
    name = "primary"

    def __init__(self, directory, options=()):
        super().__init__(directory, options)
        self.words = sorted({row.keyspace for row in ROWS if row.keyspace})
        self.used = ()

    def start(self):
        super().start()
        self.cluster.leader(START_SECONDS)
        for words in self.words:
            at = self.id_of(words)
            self.cluster.nodes[0].call("KEYSPACE", "CREATE", f"k{at}", "ID", at, "STRATEGY",
                                       "primary", *words)
            primaries.primary(self.cluster, f"k{at}", seconds=START_SECONDS)

    def id_of(self, words):
        return FIRST_KEYSPACE + self.words.index(words)

    def rows_to_fill(self):
        return [Row("set", "fill", self.name, "", keyspace=words) for words in (*self.words, ())]

    def use(self, row):
        self.used = row.keyspace

    def keyspace(self):
        return self.id_of(self.used) if self.used else 0

    def leads(self):
        if self.used:
            return primaries.primary(self.cluster, f"k{self.keyspace()}", seconds=START_SECONDS)
        return self.cluster.leader()

    def locate(self):
        return self.leads().port

    def ask_follower(self):
        leads = self.leads()
        return (next(node.port for node in self.cluster.nodes if node is not leads),
                ("WITH", 2, "READ", "local"))


class Floor(Processes):
    """The yardstick; bench/floor.c says what it is, and its modes."""

    def __init__(self, directory, program, log_mib=256, mode="inline"):
        self.name = "floor" if mode == "inline" else f"floor-{mode}"
        super().__init__(directory)
        self.program, self.log_mib, self.mode, self.port = program, log_mib, mode, None

    def start(self):
        self.make_directory()
        self.port = free_ports(1)[0]
        self.spawn(self.program, str(self.port), self.directory, self.mode,
                   str(self.log_mib))
        wait_for(lambda: self.check_running() or port_answers(self.port), "the floor",
                 START_SECONDS)

    def locate(self):
        return self.port

    def pids(self):
        leader = self.processes[0].pid
        with open(f"/proc/{leader}/task/{leader}/children", encoding="ascii") as file:
            return [leader] + [int(pid) for pid in file.read().split()]


class Etcd(Processes):
    """`options` go to every node."""
    name, protocol = "etcd", "etcd"
    needs, package = ("etcd", "etcdctl"), "etcd-server and etcd-client"

    def __init__(self, directory, options=()):
        super().__init__(directory)
        self.options, self.clients = options, []

    def start(self):
        self.make_directory()
        self.clients = free_ports(3)
        peers = free_ports(3)
        cluster = ",".join(f"n{i}=http://127.0.0.1:{peers[i]}" for i in range(3))
        for i in range(3):
            client, peer = f"http://127.0.0.1:{self.clients[i]}", f"http://127.0.0.1:{peers[i]}"
            self.spawn("etcd", "--name", f"n{i}", "--data-dir", f"{self.directory}/{i}",
                       "--listen-client-urls", client, "--advertise-client-urls", client,
                       "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                       "--initial-cluster", cluster, "--initial-cluster-state", "new",
                       "--log-level", "error", "--quota-backend-bytes", "6000000000",
                       "--max-concurrent-streams", "100000",
                       "--auto-compaction-mode", "revision",
                       "--auto-compaction-retention", "200000", *self.options)
        self.locate()

    def status(self):
        """The fields of each node that answers: its address first, the fifth whether it leads."""
        endpoints = ",".join(f"127.0.0.1:{port}" for port in self.clients)
        done = subprocess.run(["etcdctl", "--endpoints", endpoints, "endpoint", "status"],
                              env=dict(os.environ, ETCDCTL_API="3"), stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, check=False)
        return [line.split(", ") for line in done.stdout.splitlines()]

    def find_leader(self):
        for fields in self.status():
            if len(fields) > 4 and fields[4] == "true":
                return int(fields[0].split(":")[1])
        return None

    def all_answer(self):
        return len(self.status()) == len(self.clients)

    def locate(self):
        return wait_for(lambda: self.check_running() or self.find_leader(), "a leader of etcd",
                        START_SECONDS)


class Redis(Processes):
    """A primary with two replicas. `fsync` is appendfsync."""
    needs, package = ("redis-server",), "redis-server"

    def __init__(self, directory, fsync):
        self.name, self.fsync = f"redis-{fsync}", fsync
        super().__init__(directory)
        self.all_ports = []

    def start(self):
        self.make_directory()
        self.all_ports = free_ports(3)
        for port in self.all_ports:
            data = os.path.join(self.directory, str(port))
            os.makedirs(data)
            replica = [] if port == self.all_ports[0] else \
                ["--replicaof", f"127.0.0.1 {self.all_ports[0]}"]
            self.spawn("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", data,
                       "--save", "", "--daemonize", "no", "--loglevel", "warning",
                       "--appendonly", "yes", "--appendfsync", self.fsync,
                       "--auto-aof-rewrite-percentage", "0",
                       "--repl-diskless-sync-delay", "0", *replica)
        wait_for(self.replicas_online, f"the replicas of {self.name}", START_SECONDS)

    def replicas_online(self):
        self.check_running()
        info = try_call(self.all_ports[0], "INFO", "replication")
        return info is not None and info.count(b"state=online") == 2

    def locate(self):
        return self.all_ports[0]

    def ask_follower(self):
        return self.all_ports[1], ()


def make(name, directory, floor, options):
    """`floor` is the floor's program, and the MiB of its logs."""
    if name in ("quorate", "primary"):
        return CLASSES[name](directory, options)
    if name == "floor":
        return Floor(directory, *floor)
    if name == "floor-thread":
        return Floor(directory, *floor, mode="thread")
    if name == "etcd":
        return Etcd(directory)
    if name.startswith("redis-"):
        return Redis(directory, name.removeprefix("redis-"))
    raise BenchError(f"no such system: {name}")


CLASSES = {"quorate": Quorate, "primary": Primary, "floor": Floor,
           "floor-thread": Floor, "etcd": Etcd, "redis-always": Redis, "redis-everysec": Redis}
