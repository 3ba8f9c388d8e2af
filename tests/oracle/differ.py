#!/usr/bin/python3
"""Random commands, sent to redis-server and to our engine; every reply is compared byte for byte.

    differ.py ENGINE_PIPE [--commands N] [--seed S]

Both get the same seeded sequence in batches. What may differ, and nothing else:
  - the order of KEYS and SCAN, and SCAN's cursors: compared as sets, after a full pass;
  - RANDOMKEY: any key that exists; MEMORY USAGE: any positive number;
  - TTL, PTTL, EXPIRETIME, PEXPIRETIME: 8 seconds of margin, since the clocks are read apart;
  - expiry times beyond the year 294,000: the engine saturates there (it counts microseconds), so
    none between that and Redis's own overflow are sent.
No relative time is sent that could end, or tie with another, while the test runs.

TAP on standard output. Without redis-server the test is skipped and says so.
"""
import argparse
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

MARGIN = {b"TTL": 8, b"EXPIRETIME": 8, b"PTTL": 8000, b"PEXPIRETIME": 8000}
BATCH = 250
PROTO_MAX_BULK_LEN = 1 << 20

# --- Talking -------------------------------------------------------------------------------------


def encode(command):
    parts = [b"*%d\r\n" % len(command)]
    for argument in command:
        parts.append(b"$%d\r\n%s\r\n" % (len(argument), argument))
    return b"".join(parts)


class Incomplete(Exception):
    pass


def reply_end(data, at):
    """Where the reply that starts at `at` ends."""
    line = data.find(b"\r\n", at)
    if line < 0:
        raise Incomplete
    kind, rest, at = data[at:at + 1], data[at + 1:line], line + 2
    if kind in b"$=":
        n = int(rest)
        if n >= 0:
            at += n + 2
            if at > len(data):
                raise Incomplete
    elif kind in b"*~%>":
        for _ in range(max(int(rest), 0) * (2 if kind == b"%" else 1)):
            at = reply_end(data, at)
    elif kind not in b"+-:_,#(":
        raise ValueError("no reply: %r" % data[at - 20:at + 40])
    return at


def parse(data, at=0):
    """The reply as (value, end); only what the comparisons need."""
    line = data.find(b"\r\n", at)
    kind, rest, end = data[at:at + 1], data[at + 1:line], line + 2
    if kind == b"$":
        n = int(rest)
        return (None, end) if n < 0 else (data[end:end + n], end + n + 2)
    if kind == b"*":
        values = []
        for _ in range(int(rest)):
            value, end = parse(data, end)
            values.append(value)
        return values, end
    if kind == b":":
        return int(rest), end
    if kind == b"_":
        return None, end
    return kind + rest, end


class Peer:
    def __init__(self, sock):
        self.sock = sock
        self.data = b""

    def exchange(self, request, count):
        """Sends a batch and returns its raw replies. Reads while it writes: neither side may block
        the other."""
        self.sock.setblocking(False)
        replies, sent = [], 0
        at = 0
        while len(replies) < count:
            writable = [self.sock] if sent < len(request) else []
            ready, free, _ = select.select([self.sock], writable, [], 60)
            if not ready and not free:
                raise TimeoutError("no reply within 60 s")
            if free:
                sent += self.sock.send(request[sent:sent + 65536])
            if ready:
                more = self.sock.recv(1 << 20)
                if not more:
                    raise ConnectionError("the peer closed the connection")
                self.data = self.data[at:] + more
                at = 0
                try:
                    while len(replies) < count:
                        end = reply_end(self.data, at)
                        replies.append(self.data[at:end])
                        at = end
                except Incomplete:
                    pass
        self.data = self.data[at:]
        return replies


# --- Random commands -----------------------------------------------------------------------------

KEYS = [b"a", b"b", b"c", b"key:1", b"key:2", b"Key:1", b"", b"with space", b"\r\n",
        b"\x00\xff\x80", b"[x]", b"a*b", b"back\\slash", b"n1", b"n2", b"f1", b"long" * 20]
INTEGERS = [b"0", b"1", b"-1", b"10", b"-10", b"100", b"9223372036854775807",
            b"-9223372036854775808", b"9223372036854775806", b"-9223372036854775807",
            b"9223372036854775808", b"-9223372036854775809", b"99999999999999999999",
            b"2147483648", b"4294967296", b"123456789012345"]
NO_INTEGERS = [b"", b" 1", b"1 ", b"+1", b"01", b"-0", b"1.0", b"1e3", b"0x10", b"abc", b"-",
               b"--1", b"1\x00", b"\x001", b"9" * 30]
FLOATS = [b"0.1", b"-0.1", b"3.0", b"1e10", b"1e-10", b"-1.5e300", b"1e4000", b"1e5000",
          b"1e-5000", b"inf", b"-inf", b"+inf", b"nan", b"0x1p4", b"0x.8",
          b"1.7976931348623157e308", b".5", b"5.", b"-0.0", b"1e", b"1.2.3",
          b"3.14159265358979323846", b"1e17", b"123456789.987654321", b"infinity", b"1" * 40,
          b"0." + b"3" * 60, b"1" * 5200]
BYTES = [b"", b"x", b"hello world", b"\x00", b"\xff\xfe", b"\r\n", b"*" * 44, b"y" * 45,
         b"z" * 3000]
PATTERNS = [b"*", b"**", b"a*", b"*a", b"?", b"??", b"key:?", b"[kK]ey:*", b"[^k]ey:*", b"[a-c]",
            b"[c-a]", b"[^a-c]", b"\\[x\\]", b"[[]x]", b"a\\*b", b"*\\*", b"", b"[", b"[a", b"[^",
            b"[]", b"[a-", b"[\\", b"\\", b"*\xff*", b"[\x80-\xff]*", b"?\xff?", b"*[x-\xff]*",
            b"back\\\\*", b"*l*o*n*g*", b"long*long?ong", b"*k*y*:*1", b"a*a*a*a*b", b"*\r\n",
            b"[^\\]]", b"[a\\-c]"]
RELATIVE = [b"0", b"-1", b"-100", b"-9223372036854775808", b"9223372036854775807", b"abc", b"",
            b"1.5", b" 1", b"-9223372036854775", b"-9223372036854776", b"9223372036854775808"]
ABSOLUTE = [t for t in RELATIVE if t != b"9223372036854775807"] + [
    b"9223372036854775808", b"1", b"1000", b"1500000000", b"1500000000000"]


class Generator:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.ttl = 0

    def chance(self, p):
        return self.r.random() < p

    def pick(self, values):
        return values[int(self.r.random() * len(values))]

    def key(self):
        return self.pick(KEYS)

    def integer(self):
        if self.chance(0.1):
            return self.pick(NO_INTEGERS)
        if self.chance(0.3):
            return b"%d" % self.r.randint(-20, 20)
        if self.chance(0.2):
            return b"%d" % self.r.randint(-2**63, 2**63 - 1)
        return self.pick(INTEGERS)

    def number(self):
        if self.chance(0.5):
            return self.integer()
        if self.chance(0.4):
            return repr(self.r.uniform(-1e6, 1e6)).encode()
        if self.chance(0.2):
            return repr(self.r.uniform(-1, 1) * 10.0 ** self.r.randint(-40, 40)).encode()
        return self.pick(FLOATS)

    def value(self):
        x = self.r.random()
        if x < 0.35:
            return self.integer()
        if x < 0.5:
            return self.number()
        if x < 0.9:
            return self.pick(BYTES)
        return self.r.randbytes(self.r.randint(0, 40))

    def seconds(self):
        """A relative time that neither ends nor ties while the test runs."""
        if self.chance(0.25):
            return self.pick(RELATIVE)
        self.ttl += 1
        return b"%d" % (1000 + 10 * (self.ttl * 7919 % 1000003))

    def milliseconds(self):
        time = self.seconds()
        return time + b"000" if re.fullmatch(b"[1-9][0-9]{1,9}", time) else time

    def at_seconds(self):
        if self.chance(0.3):
            return self.pick(ABSOLUTE)
        return b"%d" % self.r.randint(4000000000, 9000000000)

    def at_milliseconds(self):
        if self.chance(0.3):
            return self.pick(ABSOLUTE)
        return b"%d" % self.r.randint(4000000000000, 9000000000000)

    def word(self, text):
        """An option's name in some spelling, now and then a wrong one."""
        x = self.r.random()
        if x < 0.5:
            return text
        if x < 0.9:
            return text.lower()
        if x < 0.94:
            return bytes(c ^ 32 if self.chance(0.5) else c for c in text)
        if x < 0.96:
            return text + b"\x00junk"
        if x < 0.98:
            return text[:-1]
        return self.pick([b"", b"FOO", b"\x00", b"un\nknown", b"%s%n"])

    def expire_option(self):
        name = self.pick([b"EX", b"PX", b"EXAT", b"PXAT"])
        time = {b"EX": self.seconds, b"PX": self.milliseconds, b"EXAT": self.at_seconds,
                b"PXAT": self.at_milliseconds}[name]()
        return [self.word(name), time]

    def options(self, makers, most=3):
        out = []
        while most > 0 and self.chance(0.6):
            out += self.pick(makers)()
            most -= 1
        if out and self.chance(0.03):
            out.pop()
        return out

    def words(self, names, most=2):
        return self.options([lambda name=name: [self.word(name)] for name in names], most)

    def db(self):
        x = self.r.random()
        if x < 0.7:
            return b"%d" % self.r.randint(0, 3)
        return self.pick([b"15", b"16", b"-1", b"abc", b"", b"2147483648", b"-2147483649",
                          b"99999999999999999999", b"01", b" 1"])

    def scan_options(self):
        return self.options([lambda: [self.word(b"MATCH"), self.pick(PATTERNS)],
                             lambda: [self.word(b"TYPE"),
                                      self.pick([b"string", b"STRING", b"list", b"foo", b""])],
                             lambda: [self.word(b"COUNT"),
                                      self.pick([b"1000", b"500", b"0", b"-1", b"abc", b""])]], 4)

    def command(self):
        name = self.pick(NAMES)
        arguments = MAKERS[name](self)
        if self.chance(0.02):
            arguments = arguments[:-1] if self.chance(0.5) else arguments + [self.value()]
        words = name.split(b"|")
        if self.chance(0.2):
            words = [w.lower() for w in words]
        return words + arguments


FLAGS = [b"NX", b"XX", b"GT", b"LT"]
WEIGHTED = {
    # name: (weight, how its arguments are made)
    b"GET": (4, lambda g: [g.key()]),
    b"SET": (12, lambda g: [g.key(), g.value()] + g.options(
        [g.expire_option, lambda: [g.word(b"NX")], lambda: [g.word(b"XX")],
         lambda: [g.word(b"GET")], lambda: [g.word(b"KEEPTTL")], lambda: [g.word(b"PERSIST")]])),
    b"SETNX": (2, lambda g: [g.key(), g.value()]),
    b"SETEX": (2, lambda g: [g.key(), g.seconds(), g.value()]),
    b"PSETEX": (2, lambda g: [g.key(), g.milliseconds(), g.value()]),
    b"GETSET": (2, lambda g: [g.key(), g.value()]),
    b"GETDEL": (1, lambda g: [g.key()]),
    b"GETEX": (4, lambda g: [g.key()] + g.options(
        [g.expire_option, lambda: [g.word(b"PERSIST")], lambda: [g.word(b"KEEPTTL")],
         lambda: [g.word(b"NX")]], 2)),
    b"MGET": (2, lambda g: [g.key() for _ in range(g.r.randint(1, 4))]),
    b"MSET": (2, lambda g: [x for _ in range(g.r.randint(1, 3)) for x in (g.key(), g.value())]),
    b"MSETNX": (2, lambda g: [x for _ in range(g.r.randint(1, 3)) for x in (g.key(), g.value())]),
    b"APPEND": (3, lambda g: [g.key(), g.value()]),
    b"STRLEN": (2, lambda g: [g.key()]),
    b"GETRANGE": (4, lambda g: [g.key(), g.integer(), g.integer()]),
    b"SUBSTR": (1, lambda g: [g.key(), g.integer(), g.integer()]),
    b"SETRANGE": (4, lambda g: [g.key(), g.pick([b"0", b"1", b"5", b"100", b"1048575", b"1048576",
                                                 b"1048577", g.integer()]), g.value()]),
    b"INCR": (4, lambda g: [g.key()]),
    b"DECR": (3, lambda g: [g.key()]),
    b"INCRBY": (4, lambda g: [g.key(), g.integer()]),
    b"DECRBY": (4, lambda g: [g.key(), g.integer()]),
    b"INCRBYFLOAT": (8, lambda g: [g.key(), g.number()]),
    b"DEL": (2, lambda g: [g.key() for _ in range(g.r.randint(1, 3))]),
    b"UNLINK": (1, lambda g: [g.key() for _ in range(g.r.randint(1, 3))]),
    b"EXISTS": (2, lambda g: [g.key() for _ in range(g.r.randint(1, 4))]),
    b"TOUCH": (1, lambda g: [g.key() for _ in range(g.r.randint(1, 4))]),
    b"TYPE": (1, lambda g: [g.key()]),
    b"EXPIRE": (3, lambda g: [g.key(), g.seconds()] + g.words(FLAGS)),
    b"PEXPIRE": (3, lambda g: [g.key(), g.milliseconds()] + g.words(FLAGS)),
    b"EXPIREAT": (3, lambda g: [g.key(), g.at_seconds()] + g.words(FLAGS)),
    b"PEXPIREAT": (3, lambda g: [g.key(), g.at_milliseconds()] + g.words(FLAGS)),
    b"TTL": (3, lambda g: [g.key()]),
    b"PTTL": (3, lambda g: [g.key()]),
    b"EXPIRETIME": (3, lambda g: [g.key()]),
    b"PEXPIRETIME": (3, lambda g: [g.key()]),
    b"PERSIST": (2, lambda g: [g.key()]),
    b"RENAME": (2, lambda g: [g.key(), g.key()]),
    b"RENAMENX": (2, lambda g: [g.key(), g.key()]),
    b"COPY": (4, lambda g: [g.key(), g.key()] + g.options(
        [lambda: [g.word(b"REPLACE")], lambda: [g.word(b"DB"), g.db()]])),
    b"MOVE": (2, lambda g: [g.key(), g.db()]),
    b"SWAPDB": (0.4, lambda g: [g.db(), g.db()]),
    b"KEYS": (4, lambda g: [g.pick(PATTERNS)]),
    b"SCAN": (4, lambda g: [g.pick([b"0", b"", b"00", b"+0", b"-0", b"0", b"0", b"abc", b" 0",
                                    b"0x", b"99999999999999999999999", b"0\x00"])]
              + g.scan_options() + ([b"COUNT", b"1000"] if g.chance(0.9) else [])),
    b"DBSIZE": (2, lambda g: []),
    b"RANDOMKEY": (2, lambda g: []),
    b"FLUSHDB": (0.2, lambda g: g.words([b"ASYNC", b"SYNC"])),
    b"FLUSHALL": (0.1, lambda g: g.words([b"ASYNC", b"SYNC"])),
    b"MEMORY|USAGE": (1, lambda g: [g.key()] + g.options(
        [lambda: [g.word(b"SAMPLES"), g.pick([b"0", b"5", b"-1", b"abc", b""])]], 2)),
}
MAKERS = {name: maker for name, (_, maker) in WEIGHTED.items()}
NAMES = [name for name, (weight, _) in WEIGHTED.items() for _ in range(int(weight * 10))]

# --- Comparing -----------------------------------------------------------------------------------


def equal(command, ours, theirs, keys):
    """Whether two replies may stand for each other. `keys` is what KEYS * said just before."""
    if ours == theirs:
        return True
    if ours[:1] == b"-" or theirs[:1] == b"-":
        return False
    name = command[0].upper()
    a, b = parse(ours)[0], parse(theirs)[0]
    if name in MARGIN:
        return a >= 0 and b >= 0 and abs(a - b) <= MARGIN[name]
    if name == b"KEYS":
        return len(a) == len(b) and sorted(a) == sorted(b)
    if name == b"SCAN":
        # One call with a large COUNT is a full pass; a small one only has to be well formed.
        if a[0] == b[0] == b"0":
            return sorted(a[1]) == sorted(b[1])
        return a[0].isdigit() and len(a) == 2 and isinstance(a[1], list)
    if name == b"RANDOMKEY":
        return a in keys and b in keys
    if name == b"MEMORY":
        return isinstance(a, int) and isinstance(b, int) and a > 0
    return False


def full_scan(peer, options):
    cursor, keys = b"0", []
    while True:
        reply = parse(peer.exchange(encode([b"SCAN", cursor] + options), 1)[0])[0]
        keys += reply[1]
        cursor = reply[0]
        if cursor == b"0":
            return set(keys)


def batch_of(generator):
    commands = []
    while len(commands) < BATCH:
        command = generator.command()
        if command[0].upper() == b"RANDOMKEY":
            commands.append([b"KEYS", b"*"])  # equal() picks from it
        if command[0].upper() in (b"DBSIZE", b"MEMORY"):
            # Redis drops what has expired when it is touched; these two would still see it.
            commands.append([b"TOUCH"] + KEYS)
        commands.append(command)
        if generator.chance(0.01):
            commands.append([b"SELECT", b"%d" % generator.r.randint(0, 3)])
    return commands


def compare_batch(commands, ours, theirs):
    """The first difference, as text, or None."""
    keys = []
    for i, command in enumerate(commands):
        if not equal(command, ours[i], theirs[i], keys):
            return "\n".join(["command %r" % (command,), "redis   %r" % theirs[i][:300],
                              "engine  %r" % ours[i][:300],
                              "after   %r" % (commands[max(0, i - 3):i],)])
        if command == [b"KEYS", b"*"]:
            keys = parse(ours[i])[0]
    return None


def run(engine, redis, seed, count):
    generator = Generator(seed)
    done = 0
    while done < count:
        version = b"%d" % generator.r.randint(2, 3)
        for peer in (engine, redis):
            peer.exchange(encode([b"HELLO", version]), 1)
        for _ in range(8):
            commands = batch_of(generator)
            request = b"".join(map(encode, commands))
            theirs = redis.exchange(request, len(commands))
            ours = engine.exchange(request, len(commands))
            difference = compare_batch(commands, ours, theirs)
            if difference is not None:
                return done, difference
            done += len(commands)
        options = [b"COUNT", b"%d" % generator.r.randint(1, 4)]
        if generator.chance(0.3):
            options += [b"MATCH", generator.pick(PATTERNS)]
        if full_scan(engine, options) != full_scan(redis, options):
            return done, "a full SCAN with %r" % options
    return done, None


# --- Starting and ending -------------------------------------------------------------------------


def start_redis(directory):
    path = os.path.join(directory, "redis.sock")
    process = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no",
         "--dir", directory, "--proto-max-bulk-len", str(PROTO_MAX_BULK_LEN)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sock = socket.socket(socket.AF_UNIX)
    deadline = time.monotonic() + 20
    while True:
        try:
            sock.connect(path)
            return process, Peer(sock)
        except OSError:
            if time.monotonic() > deadline or process.poll() is not None:
                process.kill()
                raise
            time.sleep(0.01)


def start_engine(binary, seed):
    ours, its = socket.socketpair()
    process = subprocess.Popen([binary, str(seed)], stdin=its, stdout=its)
    its.close()
    return process, Peer(ours)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("engine_pipe")
    options.add_argument("--commands", type=int, default=20000)
    options.add_argument("--seed", type=int, default=1)
    args = options.parse_args()
    if shutil.which("redis-server") is None:
        print("1..0 # SKIP redis-server is not installed: nothing to compare with")
        return 0
    print("1..2", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        server, redis = start_redis(directory)
        try:
            child, engine = start_engine(args.engine_pipe, args.seed)
            done, difference = run(engine, redis, args.seed, args.commands)
            engine.sock.shutdown(socket.SHUT_WR)
            status = child.wait(60)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
    if difference is not None:
        print("# seed %d, after %d commands" % (args.seed, done))
        print("\n".join("# " + line for line in difference.split("\n")))
    print("%s 1 - %d replies as redis-server gives them" % ("not ok" if difference else "ok", done))
    print("%s 2 - the follower's digest stayed the leader's" % ("ok" if status == 0 else "not ok"))
    return 1 if difference or status else 0


if __name__ == "__main__":
    sys.exit(main())
