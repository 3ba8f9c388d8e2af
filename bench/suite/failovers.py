"""Systems whose leader is struck again and again. `run` gives a gap and leaves a healthy system."""
import os
import select
import signal

import primaries
from cluster import free_ports, wait_for
from processes import BenchError, Processes
from systems import START_SECONDS, Etcd, Quorate, Redis, try_call
from writers import EtcdHttp, Resp, Writers

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def measure_gap(ports, protocol, strike):
    writers = Writers(ports, protocol)
    try:
        return writers.gap(strike)
    finally:
        writers.close()


def readable(connection):
    return bool(select.select([connection.socket], [], [], 0)[0])


def measure_hand_over(node, ports, *order):
    """The order is answered when another node leads; no write may be refused meanwhile."""
    writers = Writers(ports, Resp)
    try:
        with node.connect() as connection:
            gap = writers.pause(lambda: connection.send(*order), lambda: readable(connection))
            answer = connection.read()
        if answer != "OK" or writers.refused > 0:
            raise BenchError(f"{' '.join(order)}: {answer}, {writers.refused} writes refused")
        return gap
    finally:
        writers.close()


class OurFailover:
    """Heartbeats of 25 ms, election time-outs of 300 to 600 ms, unless OPTIONs say otherwise."""
    name, settings = "quorate", "election-timeout-ms 300"
    order = ("FAILOVER",)

    def __init__(self, directory, options):
        self.system = Quorate(directory, options)
        self.missing = []

    def start(self):
        self.system.start()

    def run(self, how):
        cluster = self.system.cluster
        cluster.wait_ready(START_SECONDS)
        leader = self.leads()
        if how == "planned":
            return measure_hand_over(leader, [node.port for node in cluster.nodes], *self.order)
        ports = [node.port for node in cluster.nodes if node is not leader]
        try:
            return measure_gap(ports, Resp, leader.kill if how == "kill" else leader.pause)
        finally:
            self.system.struck = leader
            self.system.heal()

    def leads(self):
        return self.system.cluster.leader()

    def close(self):
        self.system.close()


class PrimaryFailover(OurFailover):
    """A keyspace with a primary, which the writers' key belongs to. The node that is struck may
    also lead group 0. The next run begins when all nodes count again."""
    keyspace = "failover"
    order = ("KEYSPACE", "FAILOVER", keyspace)

    def __init__(self, directory, options, ack):
        super().__init__(directory, options)
        self.ack, self.settings = ack, f"ACK {ack}"
        self.name = "primary"

    def start(self):
        super().start()
        primaries.create(self.system.cluster, self.ack, name=self.keyspace)

    def leads(self):
        return wait_for(self.settled, "a primary, with all others behind it", START_SECONDS)

    def settled(self):
        """The primary, where all members agree on a view that nothing is about to change."""
        cluster = self.system.cluster
        told = [primaries.place(node, self.keyspace) for node in cluster.nodes]
        whole = all(row == told[0] and row["view"] == "settled" and not row["learners"]
                    and row["prefers"] == row["primary"] for row in told if row)
        return cluster.nodes[told[0]["primary"] - 1] if all(told) and whole else None


class EtcdFailover:
    """The same protocol. Its election time-outs are random between one and two times the setting,
    as ours are."""

    def __init__(self, directory, heartbeat_ms, election_ms):
        self.name = "etcd"
        self.settings = f"heartbeat-interval {heartbeat_ms}, election-timeout {election_ms}"
        self.missing = Etcd.missing()
        self.system = Etcd(directory, ("--heartbeat-interval", str(heartbeat_ms),
                                       "--election-timeout", str(election_ms)))

    def start(self):
        self.system.start()

    def run(self, how):
        system = self.system
        leader_port = system.locate()
        leader = system.clients.index(leader_port)
        process = system.processes[leader]
        ports = [port for port in system.clients if port != leader_port]
        try:
            return measure_gap(ports, EtcdHttp, lambda: os.kill(process.pid, SIGNALS[how]))
        finally:
            if how == "kill":
                process.wait()
                system.respawn(leader)
            else:
                process.send_signal(signal.SIGCONT)
            wait_for(self.all_healthy, "etcd to be healthy again", START_SECONDS)

    def all_healthy(self):
        return self.system.find_leader() and self.system.all_answer()

    def close(self):
        self.system.close()


class SentinelFailover:
    """Redis with two replicas and three Sentinels, a new set for each run: a primary that comes
    back is made a replica only after many seconds. Writes that the old primary took and the new one
    does not have are lost, which no gap shows."""

    def __init__(self, directory, down_after_ms):
        self.name, self.down_after_ms = "redis sentinel", down_after_ms
        self.settings = f"down-after-milliseconds {down_after_ms}, appendfsync everysec"
        self.missing = Redis.missing()
        self.directory = directory
        self.redis = self.sentinels = None

    def start(self):
        """Each run starts its own."""

    def start_all(self):
        self.redis = Redis(self.directory, "everysec")
        self.redis.start()
        self.sentinels = Sentinels(self.directory, self.redis.locate(), self.down_after_ms)
        self.sentinels.start()

    def run(self, how):
        self.start_all()
        try:
            primary = self.redis.processes[0]
            return measure_gap(self.redis.all_ports[1:], Resp,
                               lambda: os.kill(primary.pid, SIGNALS[how]))
        finally:
            self.close()

    def close(self):
        for system in (self.sentinels, self.redis):
            if system is not None:
                system.close()
        self.redis = self.sentinels = None


class Sentinels(Processes):
    """Three that watch one primary; two have to agree."""
    name = "sentinels"

    def __init__(self, directory, primary, down_after_ms):
        super().__init__(directory)
        self.primary, self.down_after_ms, self.ports_of_all = primary, down_after_ms, []

    def start(self):
        self.make_directory()
        self.ports_of_all = free_ports(3)
        for port in self.ports_of_all:
            path = os.path.join(self.directory, f"{port}.conf")
            with open(path, "w", encoding="ascii") as file:
                file.write(f"port {port}\nbind 127.0.0.1\ndir {self.directory}\n"
                           f"sentinel monitor m 127.0.0.1 {self.primary} 2\n"
                           f"sentinel down-after-milliseconds m {self.down_after_ms}\n"
                           "sentinel failover-timeout m 10000\n")
            self.spawn("redis-server", path, "--sentinel")
        wait_for(self.know_each_other, "the sentinels to know each other", START_SECONDS)

    def know_each_other(self):
        self.check_running()
        for port in self.ports_of_all:
            for what, count in (("REPLICAS", 2), ("SENTINELS", 2)):
                known = try_call(port, "SENTINEL", what, "m")
                if known is None or len(known) != count:
                    return False
        return True
