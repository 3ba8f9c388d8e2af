"""What a peer says: another life of it gets no answers of the last, and nonsense harms nobody."""
import contextlib
import os
import random
import select
import struct

import pytest

import peer as wire
from cluster import CALM, Cluster, wait_for
from peer import Peer
from resp import Error, encode


def tag_of(name):
    path = os.path.join(os.path.dirname(__file__), "../../src/command/commands.def")
    with open(path, encoding="utf-8") as table:
        for line in table:
            words = line.replace("(", ",").split(",")
            kinds = ("READ", "WRITE", "WAITING", "ORDER")
            if words[0] in kinds and words[2].strip() == name.upper():
                return int(words[1])
    raise AssertionError(f"no {name} in the table")


@contextlib.contextmanager
def half_a_cluster(options=()):
    """Node 1 of two; the test is node 2."""
    with Cluster(2, options, start=False) as cluster:
        cluster.nodes[0].start(environment={"QUORATE_PRETEND_LEVEL": "1"})  # takes older peers
        wait_for(cluster.nodes[0].try_info, "node 1 runs")
        yield cluster


@pytest.fixture
def half():
    with half_a_cluster() as cluster:
        yield cluster


@pytest.fixture
def calm_half():
    """Node 1 goes on leading when the test is slow to play along."""
    with half_a_cluster(CALM) as cluster:
        yield cluster


def connect(cluster, uuid=b"\7" * 16):
    return Peer(cluster.nodes[0], cluster.cluster_id, uuid)


def leads(cluster):
    info = cluster.nodes[0].try_info("raft")
    return info is not None and info.get("raft_role") == "leader"


def refusal(cluster, **options):
    """What the node says to a greeting that it does not like."""
    lane = wire.Lane(cluster.nodes[0], cluster.cluster_id, b"\7" * 16, wire.CONTROL, **options)
    answer = (wire.REFUSED, lane.refusal.encode(), b"") if lane.refusal else lane.read()
    closed = lane.read(1.0) is None
    lane.close()
    assert answer is not None and answer[0] == wire.REFUSED and closed
    return answer[1].decode()


def test_a_version_too_far_away_is_refused_in_words(half):
    assert "wire version 7..9" in refusal(half, versions=(9, 7))
    assert "wire version 0..0" in refusal(half, versions=(0, 0))
    assert half.nodes[0].call("PING") == "PONG"


def test_a_newer_peer_that_still_speaks_ours_is_taken(half):
    lane = wire.Lane(half.nodes[0], half.cluster_id, b"\7" * 16, wire.CONTROL, versions=(3, 2))
    assert lane.refusal is None
    answer = lane.read(0.3)
    assert answer is None or answer[0] != wire.REFUSED
    lane.close()


def test_another_secret_or_the_wrong_node_is_refused_in_words(half):
    assert "cluster-secret differs" in refusal(half, secret=b"guess")
    assert "looks for node 3, this is node 1" in refusal(half, wanted=3)
    assert half.nodes[0].call("PING") == "PONG"


def test_a_peer_that_comes_back_gets_no_answer_of_its_last_life(half):
    """Its power failed: no connection was closed, and the numbers of its commands begin anew."""
    first = connect(half)
    assert first.live(lambda: leads(half))
    first.acknowledges = False
    before = first.last[3]
    first.forward(1, wire.op(tag_of("set"), b"a", b"1"))
    assert first.live(lambda: first.last[3] > before)  # proposed, and not committed

    second = connect(half)
    second.live(lambda: second.last is not None)  # acknowledges; the write is applied
    second.forward(1, wire.op(tag_of("get"), b"b"))
    assert second.live(lambda: len(second.replies) > 0)
    second.live(lambda: len(second.replies) > 1, 0.3)
    assert second.replies == [(1, 0, b"$-1\r\n")]
    second.close()
    first.close()


def test_a_peer_of_version_2_gets_nothing_in_parts(calm_half):
    """It knows neither the entries of large arguments nor replies in pieces (decision 026)."""
    peer = connect(calm_half)
    assert peer.live(lambda: leads(calm_half))
    with calm_half.nodes[0].connect() as client:
        client.send("SET", "large", b"x" * 300000)
        # Without its peer it would lead no more, and the command would wait for a leader.
        assert peer.live(lambda: select.select([client.socket], [], [], 0)[0])
        with pytest.raises(Error, match="^UPGRADE"):
            raise client.read()
    peer.forward(1, wire.op(tag_of("set"), b"k", b"y" * 5000))  # small: its checksum takes time
    assert peer.live(lambda: len(peer.replies) == 1)
    peer.forward(2, wire.op(tag_of("mget"), *[b"k"] * 300))
    assert peer.live(lambda: len(peer.replies) == 2)
    assert peer.replies[1] == (2, 0, b"*300\r\n" + b"$5000\r\n%s\r\n" % (b"y" * 5000) * 300)
    peer.forward(3, wire.op(tag_of("exists"), b"large"))
    assert peer.live(lambda: len(peer.replies) == 3)
    assert peer.replies[2] == (3, 0, b":0\r\n")
    peer.close()


SNAPSHOT = OFFER, READ, DATA, GONE = range(11, 15)


def random_frame(dice):
    """Well-formed outside, so that the checksum hides nothing behind it."""
    kind = dice.choice([wire.PROTOCOL] * 4 + [wire.FORWARD] * 3 + [wire.REPLY, wire.SPACE,
                       wire.HELLO, wire.WELCOME, wire.PROOF, 0, 9, 255, *SNAPSHOT, *SNAPSHOT])
    def number():
        return dice.choice([0, 1, 2, 3, dice.getrandbits(8), dice.getrandbits(64), 2**64 - 1])
    if kind == wire.PROTOCOL:
        lo = number()
        hi = dice.choice([lo, lo, min(lo + dice.randrange(3), 2**64 - 1), number()])
        body = b"".join(struct.pack("<Q", number()) for _ in range(dice.choice([1, 3, 5, 7, 8])))
        body += dice.choice([b"", b"\0", b"\1"])
        head = struct.pack("<IHQQQ", dice.choice([0, 0, 0, 1]), dice.randrange(35), lo, hi,
                           number()) + body
        payload = dice.randbytes(dice.choice([0, 8, 40]))
        rest = struct.pack("<IQQII", len(payload), lo, number(), 0,
                           dice.choice([1, 2, 3, 16])) + payload
        records = struct.pack("<I", wire.crc32c(rest)) + rest if dice.random() < 0.5 else b""
        return wire.frame(kind, head, records, records=True)
    if kind == wire.FORWARD:
        command = wire.op(dice.randrange(120), *[dice.randbytes(dice.randrange(9))
                                                for _ in range(dice.randrange(5))])
        if dice.random() < 0.3:
            command = command[:dice.randrange(len(command))] + dice.randbytes(4)
        return wire.frame(kind, struct.pack("<QIB", number(), dice.getrandbits(32),
                                            dice.choice([2, 3, 2, 3, 0])), command)
    if kind == wire.REPLY:
        return wire.frame(kind, struct.pack("<QB", number(), dice.getrandbits(8)),
                          dice.randbytes(5))
    if kind in SNAPSHOT:
        size = dice.choice([1, 1000, 1 << 17, number() % (1 << 32)])
        file = dice.choice([7, 7, number()])
        total = dice.choice([9000, number()])
        head = {OFFER: struct.pack("<QQQQ", file, number(), number(), total),
                READ: struct.pack("<QQIB", file, number(), size, 0),
                DATA: struct.pack("<QQIB", file, dice.choice([0, number()]), size, 1),
                GONE: struct.pack("<Q", file)}[kind]
        tail = dice.randbytes(min(size, 1 << 17)) if kind == DATA else b""
        return wire.frame(kind, head, tail)
    return wire.frame(kind, dice.randbytes(dice.choice([0, 1, 2, 61, 92])), dice.randbytes(3))


def damaged(dice, data):
    data = bytearray(data)
    for _ in range(dice.randrange(1, 4)):
        data[dice.randrange(len(data))] = dice.getrandbits(8)
    return bytes(data)


def test_nonsense_from_a_proven_peer_stops_nobody(half):
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    dice = random.Random(seed)
    node = half.nodes[0]
    for life in range(60):
        peer = connect(half)
        try:
            if life % 3 == 0:
                peer.live(lambda: leads(half), 1.0)  # to a leader, or to a node without one
            for _ in range(40):
                data = random_frame(dice)
                data = damaged(dice, data) if dice.random() < 0.05 else data
                dice.choice(peer.lanes).socket.sendall(data)
                if dice.random() < 0.2:
                    peer.live(lambda: True)
            peer.live(lambda: False, 0.02)
        except OSError:
            pass  # it has closed the connection: so it should
        peer.close()
        assert node.running(), node.log()[-2000:]
    assert node.call("PING") == "PONG"
    assert node.terminate() == 0


def test_an_endless_wait_ends_with_its_client(three):
    """WAIT 9 can never be satisfied; a client that gives up leaves nothing behind anywhere."""
    follower, leader = three.followers()[0], three.leader()

    def pending():
        return [int(node.info()["pending_commands"]) for node in (leader, follower)]
    with follower.connect() as far, follower.connect() as patient, leader.connect() as near:
        far.send_raw(encode("WAIT", "9", "0"))
        patient.send_raw(encode("WAIT", "9", "86400000"))
        near.send_raw(encode("WAIT", "9", "0"))
        wait_for(lambda: pending() == [3, 2], "all wait")
    wait_for(lambda: pending() == [0, 0], "nobody waits", 20)
    assert follower.call("WAIT", "2", "0") == 2
