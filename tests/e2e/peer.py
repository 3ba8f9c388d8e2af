"""A peer of paper: speaks the handshake and the frames of nodes (docs/wire-format.md), as member 2
of a cluster of two whose member 1 is a real node. It dials, since it has the higher index."""
import hashlib
import hmac
import os
import select
import socket
import struct
import time

from cluster import PATIENCE

HELLO, WELCOME, PROOF, REFUSED, PROTOCOL, FORWARD, REPLY, SPACE = range(1, 9)
PREVOTE, PREVOTE_REPLY, VOTE, VOTE_REPLY, APPEND, APPEND_ACK, _, HEARTBEAT, HEARTBEAT_ACK = \
    range(1, 10)
CONTROL, DATA = 0, 1


def _table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


_CRC = _table()


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def frame(kind, head=b"", tail=b"", records=False):
    start = struct.pack("<II", len(head), len(tail))
    end = struct.pack("<BBH", kind, records, 0)
    covered = start + end + head + (b"" if records else tail)
    return start + struct.pack("<I", crc32c(covered)) + end + head + tail


def op(tag, *arguments):
    body = b"".join(struct.pack("<I", len(a)) + a for a in arguments)
    return struct.pack("<qQHHBBHI", 0, 0, 1, tag, 0, 0, 0, len(arguments)) + body


class Lane:
    """One connection, its handshake done."""

    def __init__(self, node, cluster_id, uuid, lane, secret=b"", versions=(2, 2), wanted=1):
        self.lane, self.received, self.refusal = lane, b"", None
        self.socket = socket.create_connection(("127.0.0.1", node.peer_port), 5 * PATIENCE)
        cluster = bytes.fromhex(cluster_id)
        hello = struct.pack("<HH", *versions) + cluster + struct.pack("<II", 2, wanted) + uuid + \
            os.urandom(16) + bytes([lane])
        self.socket.sendall(frame(HELLO, hello))
        kind, welcome, _ = self.read()
        if kind == REFUSED:
            self.refusal = welcome.decode()
            return
        assert kind == WELCOME, welcome
        proof = hmac.new(secret, b"proof   " + hello + welcome, hashlib.sha256).digest()
        self.socket.sendall(frame(PROOF, proof))

    def send(self, *arguments, **options):
        self.socket.sendall(frame(*arguments, **options))

    def _whole(self):
        if len(self.received) < 16:
            return None
        head, tail, _, kind = struct.unpack_from("<IIIB", self.received)
        if len(self.received) < 16 + head + tail:
            return None
        body, self.received = self.received[16:16 + head + tail], self.received[16 + head + tail:]
        return kind, body[:head], body[head:]

    def read(self, seconds=5.0):
        """The next frame; None when none comes in time or the connection is closed."""
        end = time.monotonic() + seconds
        while True:
            found = self._whole()
            if found:
                return found
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                return None
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                return None
            if not data:
                return None
            self.received += data

    def close(self):
        self.socket.close()


class Peer:
    """Both connections, and just enough of Raft to make the node a leader."""

    def __init__(self, node, cluster_id, uuid):
        self.lanes = [Lane(node, cluster_id, uuid, CONTROL), Lane(node, cluster_id, uuid, DATA)]
        self.acknowledges = True
        self.last = None    # the latest APPEND: term, round, sent, and where its entries end
        self.replies = []   # (id, status, bytes)

    def close(self):
        for lane in self.lanes:
            lane.close()

    def message(self, kind, body, lo=0, hi=0, term=0, records=b""):
        lane = DATA if kind in (APPEND, APPEND_ACK) else CONTROL
        head = struct.pack("<IHQQQ", 0, kind, lo, hi, term) + body
        self.lanes[lane].send(PROTOCOL, head, records, records=True)

    def forward(self, number, command, epoch=1):
        self.lanes[DATA].send(FORWARD, struct.pack("<QIBIB", number, epoch, 2, 1, 1), command)

    def acknowledge(self):
        term, round_, sent, match = self.last
        self.message(APPEND_ACK, struct.pack("<QQQqq", term, match, round_, sent, 0))

    def on_protocol(self, head):
        _, kind, lo, hi, _ = struct.unpack_from("<IHQQQ", head)
        body = head[30:]
        if kind == PREVOTE:
            self.message(PREVOTE_REPLY, body[:8] + b"\1")
        elif kind == VOTE:
            self.message(VOTE_REPLY, body[:8] + b"\1")
        elif kind == HEARTBEAT:
            term, _, _, round_, sent, _, wall = struct.unpack("<QQQQqqq", body)
            self.message(HEARTBEAT_ACK, struct.pack("<QBQqqq", term, 1, round_, sent, 0, wall))
        elif kind == APPEND:
            term, prev, _, _, _, round_, sent, _ = struct.unpack("<QQQQQQqq", body)
            self.last = (term, round_, sent, max(hi - 1, prev) if hi > lo else prev)
            if self.acknowledges:
                self.acknowledge()

    def live(self, until, seconds=10.0):
        """Plays along until the condition holds; false when it does not in time."""
        end = time.monotonic() + seconds * PATIENCE
        while not until():
            if time.monotonic() > end:
                return False
            for lane in self.lanes:
                found = lane.read(0.005)
                while found:
                    kind, head, tail = found
                    if kind == PROTOCOL:
                        self.on_protocol(head)
                    elif kind == REPLY:
                        self.replies.append(struct.unpack("<QB", head) + (tail,))
                    found = lane.read(0)
        return True
