"""`quorate bench --cluster`: each key goes to whoever has its slot, wherever that moves (U13, U46).

The servers here are ours, a fake that moves slots whenever it likes, and Redis where it is
installed.
"""
import collections
import shutil
import subprocess
import threading

import pytest

from cluster import PATIENCE, Cluster, die_with_parent, free_ports, wait_for
from resp import Closed, Connection, Error
from test_bench import Server, bench, bulk, check_history, figures


def slot_of(key):
    crc = 0
    for byte in key:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc % 16384


class FakeCluster:
    """Servers that share one store; slots move from one to the next every `moves` operations, some
    of them by way of ASK."""

    def __init__(self, size, moves):
        self.lock = threading.Lock()
        self.values = {}
        self.moves, self.operations = moves, 0
        self.shift = 0
        self.redirected = collections.Counter()
        self.wrong = []  # operations that went to a server without having been sent there
        self.servers = [Server(self.talk(number)) for number in range(size)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.__exit__()

    def owner(self, slot):
        return (slot * len(self.servers) // 16384 + self.shift) % len(self.servers)

    def slots(self):
        count = len(self.servers)
        firsts = [-(-i * 16384 // count) for i in range(count + 1)]  # rounded up, as `owner` does
        ranges = [(first, after - 1) for first, after in zip(firsts, firsts[1:])]
        parts = [b"*%d\r\n" % len(ranges)]
        for first, last in ranges:
            port = self.servers[self.owner(first)].port
            parts.append(b"*3\r\n:%d\r\n:%d\r\n*3\r\n$-1\r\n:%d\r\n$2\r\nid\r\n"
                         % (first, last, port))
        return b"".join(parts)

    def answer(self, number, words, asking):
        key = words[1]
        self.operations += 1
        if self.operations % self.moves == 0:
            self.shift += 1
        slot = slot_of(key)
        owner = self.owner(slot)
        if owner != number and not asking:
            asks = self.shift > 0 and self.operations % 3 == 0  # of slots that move
            kind = b"ASK" if asks else b"MOVED"
            self.redirected[kind] += 1
            return b"-%s %d :%d\r\n" % (kind, slot, self.servers[owner].port)
        if words[0] == b"SET":
            self.values[key] = words[2]
            return b"+OK\r\n"
        return bulk(self.values.get(key))

    def talk(self, number):
        def serve(read, write, wait):
            del wait
            asking = False
            while True:
                words = read()
                if words[0] == b"PING":
                    write(b"+PONG\r\n")
                elif words[0] == b"ASKING":
                    asking = True
                    write(b"+OK\r\n")
                elif words[0] == b"CLUSTER":
                    write(self.slots())
                else:
                    with self.lock:
                        reply = self.answer(number, words, asking)
                    asking = False
                    write(reply)
        return serve


@pytest.mark.parametrize("pipeline", [1, 8])
def test_moved_and_ask_are_followed_and_nothing_is_lost(pipeline, tmp_path):
    history = str(tmp_path / "history")
    with FakeCluster(3, moves=400) as fake:
        found = figures("--cluster", "-h", f"127.0.0.1:{fake.servers[1].port}", "-c", 4, "-P",
                        pipeline, "-r", 50, "-n", 4000, "--warmup", 0, "--history", history)
    assert found["status"] == "ok" and found["operations"] == 4000
    assert fake.redirected[b"MOVED"] > 3 and fake.redirected[b"ASK"] > 3
    assert found["cluster"]["redirected"] == sum(fake.redirected.values())
    assert found["cluster"]["maps"] > 1
    code, out = check_history(history)
    assert code == 0, out


def test_each_key_goes_to_its_server_at_once():
    with FakeCluster(3, moves=1 << 60) as fake:
        found = figures("--cluster", "-h", f"127.0.0.1:{fake.servers[0].port}", "-c", 4, "-n", 1000,
                        "--warmup", 0, "--rate", 5000)
    assert sum(fake.redirected.values()) == found["cluster"]["redirected"] == 0
    assert found["operations"] == 1000


def test_a_slot_that_nobody_has_is_named():
    def talk(read, write, wait):
        read()
        write(b"*1\r\n*3\r\n:0\r\n:99\r\n*2\r\n$0\r\n\r\n:%d\r\n" % server.port)
        wait(60)
    with Server(talk) as server:
        code, out, err = bench("--cluster", "-p", server.port, "--timeout", 0.3)
    assert (code, out) == (1, "") and "no server has slot 100" in err


def test_circles_are_left():
    def talk(read, write, wait):
        del wait
        while True:
            words = read()
            if words[0] == b"CLUSTER":
                write(b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:%d\r\n" % server.port)
            else:
                write(b"+PONG\r\n" if words[0] == b"PING" else
                      b"-MOVED %d 127.0.0.1:%d\r\n" % (slot_of(words[1]), server.port))
    with Server(talk) as server:
        code, out, err = bench("--cluster", "-p", server.port, "-c", 1)
    assert (code, out) == (1, "") and "MOVED" in err


def test_a_server_without_slots_is_told_of():
    def talk(read, write, wait):
        del wait
        read()
        write(b"-ERR This instance has cluster support disabled\r\n")
    with Server(talk) as server:
        code, out, err = bench("--cluster", "-p", server.port)
    assert (code, out) == (1, "") and "cluster support disabled" in err
    code, out, err = bench("--cluster", "-p", free_ports(1)[0])
    assert (code, out) == (1, "") and "Connection refused" in err


def test_a_server_that_is_slow_once_is_asked_again_and_a_silent_one_is_told_of():
    def talk(read, write, wait):
        words = read()
        if words[0] == b"CLUSTER":
            asked.append(words)
            if len(asked) == 1:
                wait(60)
            write(b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:%d\r\n" % server.port)
        while True:
            write(b"+PONG\r\n" if words[0] == b"PING" else b"+OK\r\n")
            words = read()
    asked = []
    with Server(talk) as server:
        found = figures("--cluster", "-p", server.port, "-c", 1, "-n", 10, "--warmup", 0, "-t",
                        "set", "--timeout", 60)
    assert found["operations"] == 10 and len(asked) > 1
    asked.clear()
    with Server(lambda read, write, wait: asked.append(read()) or wait(60)) as server:
        code, out, err = bench("--cluster", "-p", server.port, "--timeout", 0.6)
    assert (code, out) == (1, "") and "who has which slot: no answer" in err and len(asked) > 1


def test_without_cluster_moved_is_an_error_that_names_the_option():
    with FakeCluster(3, moves=1 << 60) as fake:
        code, _, err = bench("-h", f"127.0.0.1:{fake.servers[0].port}", "-c", 1)
    assert code == 1 and "MOVED" in err and "--cluster follows it" in err


def test_ours_while_the_leader_is_killed(tmp_path):
    """U13: a client of the cluster port follows by itself, and what is acknowledged stays."""
    history = str(tmp_path / "history")
    with Cluster(3, cluster_ports=True) as cluster:
        hosts = ",".join(f"127.0.0.1:{node.cluster_port}" for node in cluster.nodes)
        timer = threading.Timer(1.0, lambda: cluster.leader().kill())
        timer.start()
        found = figures("--cluster", "-h", hosts, "-c", 8, "-r", 200, "--duration", 3,
                        "--reconnect", "--rate", 400, "--history", history)
        timer.join()
    assert found["status"] == "with faults"
    assert found["faults"]["longest_gap"]["writes"]["ms"] < 5000
    code, out = check_history(history)
    assert code == 0, out


@pytest.fixture(name="redis")
def redis_cluster(tmp_path):
    """Three primaries of Redis Cluster; their ports."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    ports = free_ports(3, also=[10000])
    processes = []
    try:
        for port in ports:
            directory = tmp_path / str(port)
            directory.mkdir()
            processes.append(subprocess.Popen(
                ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir",
                 str(directory), "--cluster-enabled", "yes", "--save", "", "--appendonly", "no",
                 "--daemonize", "no", "--loglevel", "warning"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent))
        wait_for(lambda: all(try_call(port, "PING") for port in ports), "Redis answers", 20)
        for number, port in enumerate(ports):
            try_call(port, "CLUSTER", "ADDSLOTSRANGE", number * 16384 // 3,
                     (number + 1) * 16384 // 3 - 1)
            try_call(port, "CLUSTER", "MEET", "127.0.0.1", ports[0])
        wait_for(lambda: all(b"cluster_state:ok" in (try_call(port, "CLUSTER", "INFO") or b"")
                             for port in ports), "Redis Cluster is one", 30)
        yield ports
    finally:
        for process in processes:
            process.kill()
            process.wait()


def try_call(port, *arguments):
    try:
        with Connection(port, timeout=5 * PATIENCE) as connection:
            return connection.call(*arguments)
    except (OSError, Closed, Error):
        return None


def test_redis_while_slots_move(redis, tmp_path):
    """Slots with keys in them go from one server to the next, as redis-cli --cluster reshard does:
    MIGRATING and IMPORTING, MIGRATE, NODE."""
    history = str(tmp_path / "history")
    ids = [try_call(port, "CLUSTER", "MYID") for port in redis]
    found = {}
    load = threading.Thread(target=lambda: found.update(figures(
        "--cluster", "-h", f"127.0.0.1:{redis[0]}", "-c", 8, "-r", 1000, "--rate", 3000,
        "--duration", 3, "--warmup", 0, "--history", history)))
    load.start()
    wait_for(lambda: (try_call(redis[0], "DBSIZE") or 0) > 300, "the keys are filled")
    for slot in range(100):
        try_call(redis[1], "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        try_call(redis[0], "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        while True:
            keys = try_call(redis[0], "CLUSTER", "GETKEYSINSLOT", slot, 10)
            if not keys:
                break
            try_call(redis[0], "MIGRATE", "127.0.0.1", redis[1], "", 0, 5000, "KEYS", *keys)
        for port in (redis[1], redis[0], redis[2]):
            try_call(port, "CLUSTER", "SETSLOT", slot, "NODE", ids[1])
    load.join()
    assert found["status"] == "ok" and found["cluster"]["redirected"] > 0
    code, out = check_history(history)
    assert code == 0, out
