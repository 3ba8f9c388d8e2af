"""Writers that ask the survivors of a fail-over until one accepts a write.

All systems get the same ones: on each survivor one write is always under way. What is refused is
sent again a little later; when nothing was answered for a while, one more connection is opened for
another attempt, and the older ones go on waiting, so that neither a server that holds requests back
nor one that forgets them is put at a disadvantage.
"""
import heapq
import json
import selectors
import socket
import time

from resp import encode

MORE_AFTER = 0.05  # seconds without an answer from a survivor
AGAIN_AFTER = 0.002  # seconds after a refusal
ATTEMPTS_MAX = 1000  # on one survivor
LIMIT = 30.0  # seconds in which no write was accepted: it never is


class Resp:
    """A SET in Redis's protocol."""
    request = encode("SET", "failover:key", "x" * 100)

    @staticmethod
    def answer(data):
        """None: not whole yet; else whether the write was accepted, and its length."""
        end = data.find(b"\r\n")
        return None if end < 0 else (data.startswith(b"+OK"), end + 2)


class EtcdHttp:
    """A put through etcd's JSON gateway."""
    body = json.dumps({"key": "ZmFpbG92ZXI=", "value": "eHg="}).encode()
    request = (b"POST /v3/kv/put HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
               % len(body)) + body

    @staticmethod
    def answer(data):
        head = data.find(b"\r\n\r\n")
        if head < 0:
            return None
        fields = dict(line.lower().split(b": ", 1) for line in data[:head].split(b"\r\n")[1:])
        if b"content-length" in fields:
            end = head + 4 + int(fields[b"content-length"])
        else:  # chunked
            last = data.find(b"0\r\n\r\n", head + 4)
            end = last + 5 if last >= 0 else len(data) + 1
        return None if len(data) < end else (b" 200 " in data[:20], end)


class Attempt:
    """A connection with at most one write under way."""

    def __init__(self, port, protocol):
        self.port, self.protocol = port, protocol
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=1)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        self.sent = None
        self.ended = False

    def send(self):
        self.sent = time.monotonic()
        self.socket.sendall(self.protocol.request)

    def receive(self):
        """Whether the write was accepted, None while nobody knows; raises OSError at the end."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed")
        self.data += data
        answer = self.protocol.answer(self.data)
        if answer is None:
            return None
        accepted, length = answer
        self.data = self.data[length:]
        return accepted


class Writers:
    """`gap` strikes and returns the milliseconds until a write that was sent later is accepted;
    `pause` the longest time without one."""

    def __init__(self, ports, protocol):
        self.ports, self.protocol = ports, protocol
        self.selector = selectors.DefaultSelector()
        self.attempts = {port: 0 for port in ports}
        self.heard = {port: time.monotonic() for port in ports}  # or began to ask
        self.later = []  # (when, number, attempt): refused ones, to be sent again
        self.number = 0
        self.struck = None
        self.refused = 0

    def begin(self, port):
        self.heard[port] = time.monotonic()
        if self.attempts[port] >= ATTEMPTS_MAX:
            return
        try:
            attempt = Attempt(port, self.protocol)
            attempt.send()
        except OSError:
            return  # asked again when MORE_AFTER has passed
        self.attempts[port] += 1
        self.selector.register(attempt.socket, selectors.EVENT_READ, attempt)

    def end(self, attempt):
        self.selector.unregister(attempt.socket)
        attempt.socket.close()
        attempt.ended = True
        self.attempts[attempt.port] -= 1

    def send_again(self, now):
        while self.later and self.later[0][0] <= now:
            attempt = heapq.heappop(self.later)[2]
            if attempt.ended:
                continue
            try:
                attempt.send()
            except OSError:
                self.end(attempt)

    def on_readable(self, attempt, now):
        """Returns the gap if this ends it."""
        try:
            accepted = attempt.receive()
        except OSError:
            self.end(attempt)
            return None
        if accepted is None:
            return None
        self.heard[attempt.port] = now
        self.refused += not accepted
        self.number += 1
        heapq.heappush(self.later, (now + AGAIN_AFTER, self.number, attempt))
        if accepted and self.struck is not None and attempt.sent >= self.struck:
            return (now - self.struck) * 1000
        return None

    def turn(self):
        now = time.monotonic()
        self.send_again(now)
        for port in self.ports:
            if now - self.heard[port] > MORE_AFTER:
                self.begin(port)
        for key, _ in self.selector.select(0.001):
            gap = self.on_readable(key.data, time.monotonic())
            if gap is not None:
                return gap
        return None

    def strike(self, how, under_way=0.3):
        began = time.monotonic()
        for port in self.ports:
            self.begin(port)
        while time.monotonic() - began < under_way:
            self.turn()
        how()
        self.struck = time.monotonic()

    def gap(self, how):
        self.strike(how)
        while time.monotonic() - self.struck < LIMIT:
            gap = self.turn()
            if gap is not None:
                return gap
        return float("inf")

    def pause(self, how, is_over):
        """Of writes accepted since then, the longest time between two, until one after the end."""
        self.strike(how)
        last = longest = 0
        while time.monotonic() - self.struck < LIMIT:
            over = is_over()
            gap = self.turn()
            if gap is not None:
                longest, last = max(longest, gap - last), gap
                if over:
                    return longest
        return float("inf")

    def close(self):
        for key in list(self.selector.get_map().values()):
            key.data.socket.close()
        self.selector.close()
