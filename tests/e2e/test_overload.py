"""Overload: memory stays bounded, the others are served, nothing is lost, nobody is elected.

R4, scenarios 101, 112-114. Short; `make bench-overload` runs ten minutes of each."""
import pytest

import floods
import overload
from cluster import PATIENCE, Cluster, wait_for
from floods import Flood, Probe
from loadgen import LoadGenerator
from resp import Closed, encode

# A loaded machine may hold a process back for longer than a leader may be silent.
PATIENT = ["--election-timeout-ms", "1500"]
SCALE = 250
MEMORY = 1 << 30


@pytest.fixture(scope="module")
def crowded():
    with Cluster(3, options=overload.OPTIONS + PATIENT) as cluster:
        yield cluster


def judge(outcome):
    assert outcome.probe.lost == []
    assert outcome.probe.failures == []
    assert outcome.elections == 0
    assert outcome.beyond_limits() == []
    assert outcome.watch.resident_at(outcome.moments[3])[0] < MEMORY
    operations, _, p99, _ = outcome.phase("during")
    assert operations > 1, "the well-behaved client starves"
    assert p99 < 1000 * PATIENCE, f"p99 is {p99:.0f} ms"


@pytest.mark.parametrize("scenario", overload.SCENARIOS[:-2], ids=lambda s: s.name)
def test_a_well_behaved_client_is_served_beside(crowded, scenario):
    """R4, 112, 113."""
    judge(overload.run(crowded, scenario, 0.3, 2.0, 0.3, SCALE))


def test_a_follower_stopped_under_load_R4(crowded):
    """Scenario 25: what it misses is kept on disk, and its return is no stall."""
    scenario = next(s for s in overload.SCENARIOS if s.name == "a follower stopped")
    outcome = overload.run(crowded, scenario, 0.3, 4.0, 0.3, SCALE)
    judge(outcome)
    assert outcome.watch.stall < 1_000_000 * PATIENCE


def test_everything_at_once_and_nothing_lost():
    """R4: histories of other clients are linearizable while all of it goes on."""
    with Cluster(3, options=overload.OPTIONS + PATIENT) as cluster:
        leader = cluster.leader()
        ports = [leader.port] + [node.port for node in cluster.nodes if node is not leader]
        with LoadGenerator(cluster, clients=6, depth=4, rate=1000) as load, \
                Flood(floods.slow_readers, ports, 100), \
                Flood(floods.never_readers, ports, 12), \
                Flood(floods.one_byte_a_second, ports, 50), Flood(floods.storm, ports, 300), \
                Flood(floods.nonsense, ports), Flood(floods.writers, ports[1:]):
            load.wait_for_acknowledged(1000, 60)
            load.finish()
            load.check_history()
        for node in cluster.nodes:
            for name, (_, most, limit) in overload.queues(node.info()).items():
                assert most <= limit, name


# --- What happens at the limits ----------------------------------------------------------------


def test_who_holds_most_is_closed_when_all_hold_too_much():
    """R4: maxmemory-clients."""
    with Cluster(1, options=["--maxmemory-clients", "64mb"]) as cluster:
        node = cluster.nodes[0]
        begun = b"*3\r\n$3\r\nSET\r\n$4\r\nhuge\r\n$33554432\r\n"
        with node.connect() as small:
            small.call("CLIENT", "SETNAME", "small")
            hoarders = [node.connect() for _ in range(8)]
            for i, hoarder in enumerate(hoarders):
                try:
                    hoarder.send_raw(begun + b"x" * ((8 + i) << 20))
                except Closed:
                    pass
            wait_for(lambda: int(node.info()["evicted_clients"]) > 0, "somebody is closed")
            now, most, limit = overload.queues(node.info())["clients_bytes"]
            assert limit == 64 << 20 and now <= limit and most <= limit
            assert small.call("PING") == "PONG"
            for hoarder in hoarders:
                hoarder.close()
            wait_for(lambda: overload.queues(node.info())["clients_bytes"][0] < 1 << 20,
                     "their memory is free again")


def fields_of(node, name):
    for line in node.call("CLIENT", "LIST").decode().splitlines():
        fields = dict(word.split("=", 1) for word in line.split(" "))
        if fields["name"] == name:
            return fields
    return None


def test_client_list_tells_what_a_client_holds():
    with Cluster(1) as cluster:
        node = cluster.nodes[0]
        node.call("SET", "page", b"x" * 1_000_000)
        with node.connect() as glutton, node.connect() as talker:
            glutton.call("CLIENT", "SETNAME", "glutton")
            talker.call("CLIENT", "SETNAME", "talker")
            glutton.send_raw(encode("GET", "page") * 20)
            talker.send_raw(b"*2\r\n$3\r\nGET\r\n$1000\r\n" + b"k" * 500)
            wait_for(lambda: int(fields_of(node, "glutton")["omem"]) > 500_000, "replies wait")
            fields = fields_of(node, "glutton")
            assert fields["oll"] == "1" and "w" in fields["events"]
            assert int(fields["tot-mem"]) > int(fields["omem"])
            wait_for(lambda: int(fields_of(node, "talker")["qbuf"]) > 500, "half a command")
            fields = fields_of(node, "talker")
            assert int(fields["tot-mem"]) > int(fields["qbuf"]) + int(fields["qbuf-free"])
            assert fields["events"] == "r" and fields["omem"] == "0"


def test_the_reason_reaches_a_client_that_sends_on_111():
    """A protocol error's text is not overtaken by a reset."""
    with Cluster(1) as cluster:
        for _ in range(20):
            with cluster.nodes[0].connect() as client:
                client.send_raw(b"*1\r\n$-5\r\n" + b"x" * 3_000_000)
                assert client.read_until_closed() == \
                    b"-ERR Protocol error: invalid bulk length\r\n"
