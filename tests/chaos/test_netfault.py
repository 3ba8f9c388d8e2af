"""The relay with real namespaces, devices and sockets: what is ordered happens to real packets."""
import contextlib
import socket
import threading
import time

import pytest

from cluster import PATIENCE, wait_for
from namespaces import Network, datagrams
from resp import Connection

COUNT = 400


@pytest.fixture(name="network", scope="module")
def _network(inside):  # pylint: disable=unused-argument
    with Network(3, seed=7) as made:
        yield made


@pytest.fixture(autouse=True)
def _healed(network):
    yield
    network.clear()
    for space in network.spaces:
        space.filter([])


class Pair:
    """Two sockets for UDP, in two spaces; what is counted is the difference since the beginning."""

    def __init__(self, network, here=1, there=2):
        self.network, self.here, self.there = network, here, there
        self.ends = [datagrams(network.space(n), network.address(n)) for n in (here, there)]
        self.before = self.count()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for end in self.ends:
            end.close()

    def count(self):
        return self.network.counts().get((self.here, self.there), {})

    def happened(self, name):
        return self.count().get(name, 0) - self.before.get(name, 0)

    def send(self, count=COUNT, size=100):
        for number in range(count):
            self.ends[0].sendto(number.to_bytes(4, "big").ljust(size), (
                self.network.address(self.there), 9))

    def came(self):
        """The numbers, in the order in which they came, when nothing is on its way any more."""
        wait_for(lambda: self.happened("offered") >= COUNT and self.count()["queued"] == 0,
                 "the relay is empty", 10)
        self.ends[1].settimeout(0.05)
        numbers = []
        with contextlib.suppress(TimeoutError):
            while True:
                numbers.append(int.from_bytes(self.ends[1].recv(2000)[:4], "big"))
        return numbers


def test_without_faults_everything_comes_in_order(network):
    with Pair(network) as pair:
        pair.send()
        assert pair.came() == list(range(COUNT))
        assert pair.happened("passed") == COUNT


def test_loss_duplicates_and_disorder_are_what_was_counted(network):
    network.set(1, 2, loss_ppm=200_000, duplicate_ppm=100_000, reorder_ppm=200_000, delay_us=2000)
    with Pair(network) as pair:
        pair.send()
        came = pair.came()
        assert len(set(came)) == COUNT - pair.happened("lost")
        assert len(came) == len(set(came)) + pair.happened("duplicated")
        assert 0.1 < pair.happened("lost") / COUNT < 0.3
        assert pair.happened("duplicated") > 5 and pair.happened("reordered") > 20
        assert came != sorted(came)
    with Pair(network, 2, 1) as other:
        other.send()
        assert other.came() == list(range(COUNT))


def test_a_delay_is_a_delay_in_one_direction(network):
    network.set(3, 1, delay_us=80_000)
    with Pair(network, 3, 1) as pair:
        began = time.monotonic()
        pair.send(1)
        pair.ends[1].settimeout(10)
        pair.ends[1].recv(100)
        assert 0.08 <= time.monotonic() - began < 0.08 + 0.5 * PATIENCE
        began = time.monotonic()
        pair.ends[1].sendto(b"back", (network.address(3), 9))
        pair.ends[0].settimeout(10)
        pair.ends[0].recv(100)
        assert time.monotonic() - began < 0.07 * PATIENCE


def test_a_cut_is_one_way_and_heals(network):
    network.set(1, 2, cut=1)
    with Pair(network, 2, 1) as pair:
        pair.send()
        assert len(pair.came()) == COUNT
    with Pair(network) as pair:
        pair.send()
        assert not pair.came()
        assert pair.happened("cut") == COUNT
        network.set(1, 2, cut=0)
        pair.send()
        assert len(pair.came()) == COUNT


def test_a_packet_filter_cuts_too(network):
    network.space(2).filter([f"ip saddr {network.address(1)} drop"])
    with Pair(network) as pair:
        pair.send()
        assert not pair.came()
        network.space(2).filter([])
        pair.send()
        assert len(pair.came()) == COUNT


def serve(listener, received):
    connection, _ = listener.accept()
    with connection:
        while data := connection.recv(1 << 20):
            received.append(len(data))


def push(network, size):
    """A stream from space 1 to space 2; seconds that it took."""
    listener = network.space(2).call(socket.create_server, (network.address(2), 0))
    port, received = listener.getsockname()[1], []
    reader = threading.Thread(target=serve, args=(listener, received), daemon=True)
    reader.start()
    began = time.monotonic()
    with network.space(1).call(Connection, port, host=network.address(2), timeout=60) as stream:
        stream.send_raw(bytes(size))
    reader.join(60)
    listener.close()
    assert sum(received) == size
    return time.monotonic() - began


def test_a_stream_goes_through_at_tens_of_megabytes_a_second(network):
    """So that it is never the relay that a cluster waits for."""
    size = 64 << 20
    rate = max(size / push(network, size) for _ in range(3))
    print(f"figure: {rate / 1e6:.0f} MB/s")
    assert rate > 30e6 / PATIENCE


def test_bandwidth_is_what_was_ordered(network):
    network.set(1, 2, bytes_per_s=2_000_000)
    took = push(network, 2 << 20)
    assert 0.8 < took < 1.6 * PATIENCE, took


def test_a_stream_survives_what_a_bad_network_does_to_it(network):
    network.set("*", "*", loss_ppm=10_000, duplicate_ppm=20_000, reorder_ppm=20_000, delay_us=500,
                jitter_us=500)
    push(network, 1 << 20)
