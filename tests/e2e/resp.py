"""A bare client of Redis's protocol: what is sent and what comes back, nothing in between.

The tests use it where redis-py would hide what they are about: pipelines, malformed bytes, closed
connections, exact error texts.
"""
import socket


class Error(Exception):
    """An error reply; str() is its text without the leading '-'."""

    def kind(self):
        return str(self).split(" ", 1)[0]


class Closed(Exception):
    """The server closed the connection, so the fate of what has no reply yet is unknown."""


def encode(*arguments):
    parts = [b"*%d\r\n" % len(arguments)]
    for argument in arguments:
        if not isinstance(argument, bytes):
            argument = str(argument).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(argument), argument))
    return b"".join(parts)


class Connection:
    """One connection. Error replies are returned by read() and raised by call()."""

    def __init__(self, port, host="127.0.0.1", timeout=10.0):
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.at = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send_raw(self, data):
        try:
            self.socket.sendall(data)
        except (ConnectionError, BrokenPipeError) as error:
            raise Closed(str(error)) from error

    def send(self, *arguments):
        self.send_raw(encode(*arguments))

    def _fill(self):
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionError as error:
            raise Closed(str(error)) from error
        if not data:
            raise Closed("end of stream")
        if self.at > 1 << 20:
            del self.buffer[:self.at]
            self.at = 0
        self.buffer += data

    def _line(self):
        while True:
            end = self.buffer.find(b"\r\n", self.at)
            if end >= 0:
                line = bytes(self.buffer[self.at:end])
                self.at = end + 2
                return line
            self._fill()

    def _bytes(self, count):
        while len(self.buffer) - self.at < count + 2:
            self._fill()
        data = bytes(self.buffer[self.at:self.at + count])
        assert self.buffer[self.at + count:self.at + count + 2] == b"\r\n", "out of sync"
        self.at += count + 2
        return data

    def read(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return Error(rest.decode("utf-8", "replace"))
        if kind == b":":
            return int(rest)
        if kind in b"$=":
            return None if rest == b"-1" else self._bytes(int(rest))
        if kind in b"*~>":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        if kind == b"%":
            return {as_text(self.read()): self.read() for _ in range(int(rest))}
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == b"t"
        if kind == b",":
            return float(rest)
        raise AssertionError(f"not a reply: {line!r}")

    def call(self, *arguments):
        self.send(*arguments)
        reply = self.read()
        if isinstance(reply, Error):
            raise reply
        return reply

    def each_of(self, commands):
        """Sends all, then gives one reply after the other; errors are returned."""
        self.send_raw(b"".join(encode(*command) for command in commands))
        for _ in commands:
            yield self.read()

    def pipeline(self, commands):
        return list(self.each_of(commands))

    def read_until_closed(self):
        """Everything that the server still says; it has to close the connection."""
        try:
            while True:
                self._fill()
        except Closed:
            return bytes(self.buffer[self.at:])


def as_text(value):
    return value.decode() if isinstance(value, bytes) else value


def as_rows(reply):
    """A reply of maps, which RESP2 has as flat arrays."""
    return [{as_text(row[i]): as_text(row[i + 1]) for i in range(0, len(row), 2)} for row in reply]


def as_row(reply):
    return as_rows([reply])[0]
