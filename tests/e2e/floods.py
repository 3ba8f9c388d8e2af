"""Kinds of overload, each a process of its own, and the well-behaved client that must not notice.

A flood is a function that runs until it is stopped; it only talks RESP to the ports it is given.
The probe asks one thing at a time, checks every answer and keeps how long each took.
"""
import array
import errno
import multiprocessing
import select
import signal
import socket
import time

from cluster import PATIENCE, die_with_parent
from resp import Closed, Connection, Error, encode

PAGE = b"p" * 100_000
BUSY = (errno.EINPROGRESS, errno.EAGAIN)
_fork = multiprocessing.get_context("fork")


class Flood:
    """`with Flood(function, arguments...)`: the function runs meanwhile, in a process."""

    def __init__(self, function, *arguments):
        self.started, self.stop = _fork.Event(), _fork.Event()
        self.process = _fork.Process(target=self._run, args=(function, arguments), daemon=True)

    def _run(self, function, arguments):
        die_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        function(self.started, self.stop, *arguments)

    def __enter__(self):
        self.process.start()
        if not self.started.wait(30 * PATIENCE):
            raise AssertionError("the flood did not begin")
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def dial(port, receive_buffer=None):
    """A connected socket that does not block."""
    s = socket.socket()
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    s.settimeout(10)
    s.connect(("127.0.0.1", port))
    s.setblocking(False)
    return s


def send_some(s, data):
    """What the socket takes; -1: it is gone."""
    try:
        return s.send(data)
    except BlockingIOError:
        return 0
    except OSError:
        return -1


def receive_some(s, count):
    try:
        data = s.recv(count)
        return len(data) if data else -1
    except BlockingIOError:
        return 0
    except OSError:
        return -1


# --- Clients that do not take what they asked for ----------------------------------------------


def slow_readers(started, stop, ports, count):
    """Each asks for pages and reads a few bytes now and then."""
    with Connection(ports[0]) as c:
        c.call("SET", "page", PAGE)
    readers = [dial(ports[i % len(ports)], 4096) for i in range(count)]
    for s in readers:
        send_some(s, encode("GET", "page") * 20)
    started.set()
    while not stop.wait(0.05):
        for i, s in enumerate(readers):
            if receive_some(s, 64) < 0 or (i % 50 == 0 and send_some(s, encode("GET", "page")) < 0):
                s.close()
                readers[i] = dial(ports[i % len(ports)], 4096)
                send_some(readers[i], encode("GET", "page") * 20)


def never_readers(started, stop, ports, count, key="small"):
    """Each sends commands as fast as it can and reads nothing."""
    with Connection(ports[0]) as c:
        c.call("SET", "small", b"s" * 100)
    request = encode("GET", key) * 500 + encode("SET", "written", b"w" * 100) * 20
    senders = [[dial(ports[i % len(ports)]), 0] for i in range(count)]
    started.set()
    while not stop.wait(0.01):
        for sender in senders:
            sent = send_some(sender[0], request[sender[1]:])
            if sent < 0:
                sender[0].close()
                sender[:] = [dial(ports[0]), 0]
            else:
                sender[1] = (sender[1] + sent) % len(request)


# --- Clients that do not come to the point -----------------------------------------------------


def one_byte_a_second(started, stop, ports, count, partial=0):
    """Each takes its time; with `partial`, after so much of a huge value."""
    request = encode("SET", "slow", b"v" * 1000) * 100
    clients = [dial(ports[i % len(ports)]) for i in range(count)]
    begun = b"*3\r\n$3\r\nSET\r\n$4\r\nhuge\r\n$33554432\r\n" + b"h" * partial
    left = [begun if partial else b"" for _ in clients]
    started.set()
    at = 0
    while not stop.wait(0.02 if any(left) else 1):
        for i, s in enumerate(clients):
            data = left[i] or request[at % len(request):at % len(request) + 1]
            sent = send_some(s, data)
            left[i] = left[i][max(sent, 0):]
        at += 1


def idle(started, stop, ports, count):
    clients = []
    for i in range(count):
        clients.append(dial(ports[i % len(ports)]))
        send_some(clients[-1], encode("PING"))
    started.set()
    stop.wait()


def storm(started, stop, ports, count):
    """So many new connections at once, again and again."""
    started.set()
    while not stop.is_set():
        crowd = []
        for _ in range(count):
            s = socket.socket()
            s.setblocking(False)
            if s.connect_ex(("127.0.0.1", ports[0])) not in (0,) + BUSY:
                s.close()
                continue
            crowd.append(s)
        deadline = time.monotonic() + 3
        asked, poll = {}, select.epoll()
        for s in crowd:
            poll.register(s, select.EPOLLOUT)
            asked[s.fileno()] = s
        waiting = len(crowd)
        while waiting and time.monotonic() < deadline and not stop.is_set():
            for fd, event in poll.poll(0.1):
                if event & select.EPOLLOUT:
                    send_some(asked[fd], encode("PING"))
                    poll.modify(fd, select.EPOLLIN)
                else:
                    receive_some(asked[fd], 100)
                    poll.unregister(fd)
                    waiting -= 1
        poll.close()
        for s in crowd:
            s.close()


# --- Much work ---------------------------------------------------------------------------------


def forever(started, stop, ports, commands, seconds=60):
    """One client that sends these commands as one pipeline and reads all replies, again and
    again; a new connection where one was lost."""
    data = b"".join(encode(*command) for command in commands)
    connection = None
    started.set()
    turn = 0
    while not stop.is_set():
        try:
            connection = connection or Connection(ports[turn % len(ports)], timeout=seconds)
            connection.send_raw(data)
            for _ in commands:
                connection.read()
        except (OSError, Closed):
            connection = None
            turn += 1
            time.sleep(0.05)


def writers(started, stop, ports, size=1000, depth=200):
    forever(started, stop, ports,
            [("SET", f"bulk-{i}", b"x" * size) for i in range(depth)])


def huge_values(started, stop, ports, name, size=32 << 20):
    forever(started, stop, ports, [("SET", f"huge-{name}", b"z" * size), ("GET", f"huge-{name}"),
                                   ("DEL", f"huge-{name}")])


def heavy_commands(started, stop, ports, keys):
    names = [f"many-{i}" for i in range(keys)]
    forever(started, stop, ports,
            [("KEYS", "*nothing*"), ["MGET"] + names[:10_000], ("KEYS", "many-1*")] * 10)


def many_arguments(started, stop, ports, name, keys):
    """As much as one command may be."""
    forever(started, stop, ports, [["MSET"] + [word for i in range(keys) for word in
                                               (f"wide-{name}-{i}", b"w" * 100)]])


def mass_delete(started, stop, ports, keys):
    names = [f"mass-{i}" for i in range(keys)]
    pairs = [word for name in names for word in (name, "v")]
    forever(started, stop, ports, [["MSET"] + pairs, ["DEL"] + names])


def nonsense(started, stop, ports):
    forever(started, stop, ports, [("SUBSCRIBE", "a"), ("PSUBSCRIBE", "*"), ("MONITOR",),
                                   ("SYNC",), ("NOSUCH", b"\xff" * 1000), ("GET",),
                                   ("EVAL", "return 1", 0), ("PING",)] * 50)


def fill(node, keys, prefix):
    with node.connect(60) as connection:
        for at in range(0, keys, 1000):
            pairs = [w for i in range(at, min(at + 1000, keys))
                     for w in (f"{prefix}-{i}", "v" * 20)]
            connection.call("MSET", *pairs)


# --- The client that minds its own business ------------------------------------------------------


def _probe(started, stop, ports, pause, results):
    """SET and GET of a key that nobody else writes, one at a time."""
    times, latencies, failures, lost = array.array("d"), array.array("d"), [], []
    connection, written, maybe, number, turn = None, None, set(), 0, 0
    key = f"probe-{ports[0]}"
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    started.set()
    while not stop.wait(pause):
        number += 1
        begun = time.monotonic()
        sent = None
        try:
            if connection is None:
                connection = Connection(ports[turn % len(ports)], timeout=15 * PATIENCE)
            if number % 2:
                sent = b"%d" % number
                connection.call("SET", key, sent)
                written, maybe = sent, set()
            else:
                got = connection.call("GET", key)
                if got != written and got not in maybe:
                    lost.append(f"GET gave {got}, written was {written}, perhaps {maybe}")
                elif got != written:
                    written, maybe = got, set()
        except (OSError, Closed, Error) as error:
            failures.append((begun, str(error)))
            if sent is not None and not (isinstance(error, Error) and error.kind() != "UNCERTAIN"):
                maybe.add(sent)
            if not isinstance(error, Error):
                connection = None
                turn += 1
        times.append(begun)
        latencies.append(time.monotonic() - begun)
    results.send((times, latencies, failures, lost))


class Probe(Flood):
    """Its latencies, by moments of time.monotonic()."""

    def __init__(self, ports, pause=0.002):
        self.here, there = _fork.Pipe(False)
        super().__init__(_probe, ports, pause, there)
        self.times, self.latencies, self.failures, self.lost = [], [], [], []

    def __exit__(self, *_):
        self.finish()

    def finish(self):
        if self.process.is_alive():
            self.stop.set()
            if self.here.poll(20 * PATIENCE):
                self.times, self.latencies, self.failures, self.lost = self.here.recv()
        super().__exit__()

    def between(self, begin, end):
        """(operations a second, p50, p99, maximum) in milliseconds of what began in between."""
        some = sorted(latency for at, latency in zip(self.times, self.latencies)
                      if begin <= at < end)
        if not some:
            return 0.0, float("inf"), float("inf"), float("inf")
        pick = [some[min(len(some) - 1, int(len(some) * share))] * 1000 for share in (0.5, 0.99)]
        return len(some) / (end - begin), pick[0], pick[1], some[-1] * 1000
