#!/usr/bin/python3
"""Commands of the connection itself and broken requests, sent to redis-server and to quorate.
Replies are compared byte for byte, in RESP2 and RESP3.

    local_diff.py QUORATE

Every session is one connection. What may differ is masked (ids, times, versions) or not sent: what
Redis 7.0 lacks (CLIENT SETINFO, NO-TOUCH), what we answer differently on purpose (READONLY without
a cluster is OK here), INFO and HELP, whose words are our own. COMMAND INFO is compared for every
command that both have.

TAP on standard output. Without redis-server the test is skipped and says so.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TOKEN = b"end-of-session"


def encode(words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)


def lines(text):
    """Commands, one per line, words separated by blanks; ~ stands for a blank in a word."""
    out = b""
    for line in text.strip().split("\n"):
        out += encode([word.replace("~", " ").encode() for word in line.split()])
    return out


# --- Sessions: name, bytes, password of the servers -----------------------------------------------

SESSIONS = [
    ("ping and echo", lines("""
        ping
        PING hello
        ping a b
        echo
        echo a~b
        echo a b
        time x"""), None),
    ("select", lines("""
        select 0
        select 15
        select 16
        select -1
        select x
        select 01
        select 2147483648
        select 99999999999
        select 99999999999999999999
        select"""), None),
    ("unknown commands", lines("""
        foo
        Foo a B
        foo %s b c
        %s %s %s c
        foo a%sb c d
        client
        client foo
        CLIENT Foo bar
        client|list
        client|list x
        config
        config foo
        command foo
        memory foo x
        get
        get a b
        client~list""" % ("a" * 200, "b" * 200, "c" * 100, "d" * 100, "e" * 123)), None),
    ("binary names", encode([b"f\r\no", b"a\r\nb", b"\x00\x01", b"\xff"])
     + encode([b"f\x00o", b"a\x00b", b"c"]) + encode([b""]) + encode([b"client", b"a\r\nb"])
     + encode([b"client", b""]), None),
    ("hello", lines("""
        hello
        hello 2
        hello x
        hello 1
        hello 4
        hello 99999999999999999999
        hello 2 setname
        hello 2 setname me
        client getname
        hello 2 setname a~b
        hello 2 auth default
        hello 2 auth default x
        hello 2 auth other x
        hello 2 foo
        hello foo
        hello 3
        hello
        reset
        hello"""), None),
    ("auth without a password", lines("""
        auth
        auth x
        auth default x
        auth other x
        auth a b c
        auth a b c d"""), None),
    ("auth with a password", lines("""
        ping
        get a
        foo
        get
        client id
        command count
        hello
        hello 3
        hello 2 setname x
        hello 2 auth default wrong
        hello 2 auth default wrong setname x
        auth wrong
        auth other secret
        auth default wrong
        reset
        auth secret
        ping
        reset
        ping
        hello 3 auth default secret setname me
        client getname
        ping"""), "secret"),
    ("too much before auth", encode([b"ping"] + [b"x"] * 10), "secret"),
    ("too long before auth", encode([b"ping", b"x" * 16385]), "secret"),
    ("just enough before auth", encode([b"ping"] + [b"x"] * 9) + encode([b"ping", b"x" * 16384])
     + encode([b"quit"]),
     "secret"),
    ("client names", lines("""
        client getname
        client setname
        client setname a
        client getname
        client setname a~b
        client getname
        client setname """ + "x" * 200 + """
        client getname
        reset
        client getname"""), None),
    ("client switches", lines("""
        client no-evict on
        client no-evict off
        client no-evict x
        client no-evict
        client reply x
        client reply on"""), None),
    ("client reply off", lines("""
        client reply off
        ping
        foo
        select 99
        client reply on
        ping"""), None),
    ("client reply skip", lines("""
        client reply skip
        ping
        ping 1
        client reply skip
        foo
        ping 2
        client reply off
        client reply skip
        ping 3
        client reply on
        ping 4"""), None),
    ("client list refusals", lines("""
        client list type foo
        client list type
        client list id
        client list id x
        client list id 0
        client list id -1
        client list foo
        client list foo bar
        client list type master
        client list type replica
        client list type slave
        client list type pubsub
        client list id 99999999
        client info x"""), None),
    ("client kill", lines("""
        client kill
        client kill x
        client kill 1.2.3.4:5
        client kill id x
        client kill id 0
        client kill id -1
        client kill id 99999999
        client kill type foo
        client kill type master
        client kill type pubsub
        client kill user nobody
        client kill foo bar
        client kill id 1 type
        client kill id 99999999 skipme maybe
        client kill id 99999999 skipme no
        client kill addr 1.2.3.4:5 laddr 1.2.3.4:6
        client kill id 99999999 addr"""), None),
    ("command", lines("""
        command count x
        command info nope
        command info get
        command info GET mget
        command info config|set client|id
        command docs nope
        command list foo
        command list filterby
        command list filterby foo bar
        command list filterby aclcat nope
        command list filterby module x
        command list filterby pattern mg*
        command list filterby pattern nope
        command list filterby pattern
        command getkeys
        command getkeys nope x
        command getkeys ping x
        command getkeys get x y
        command getkeys get x
        command getkeys mset a 1 b 2
        command getkeys mset a 1 b
        command getkeys del a b c
        command getkeys copy a b
        command getkeys rename a b
        command getkeys memory usage k
        command getkeys client|list x
        command getkeysandflags set a b
        command getkeysandflags set a b get
        command getkeysandflags rename a b
        command getkeysandflags mget a b c"""), None),
    ("config get", lines("""
        config get
        config get maxmemory
        config get MAXMEMory
        config get nope
        config get nope* databases
        config get save
        config get slave-read-only
        config get hash-max-[z]iplist-value
        config get hz hz h?
        config get maxmemory-polic?"""), None),
    ("config set", lines("""
        config set
        config set a
        config set a b c
        config set foo 1
        config set foo 1 timeout 5
        config set timeout x
        config set timeout -1
        config set timeout 99999999999
        config set tcp-keepalive x timeout 5
        config get timeout
        config set databases 17
        config set protected-mode x
        config set loglevel x
        config set timeout 1 timeout 2
        config set timeout 7 tcp-keepalive 99
        config get timeout
        config set TIMEOUT 0
        config get timeout
        config set save 60~1
        config get save
        config set slowlog-max-len 64
        config get slowlog-max-len
        config resetstat
        config resetstat x
        config rewrite"""), None),
    ("role and the rest", lines("""
        role x
        shutdown foo
        shutdown nosave save
        shutdown abort now
        shutdown abort
        module list
        module list x
        info a"""), None),
    ("quit", lines("""
        quit
        ping"""), None),
    ("quit x", lines("quit x y"), None),
    ("inline", b"PING\r\n\r\n\n   \nset  k\tv \r\nget k\r\nset k \"a b\\x41\\\"\\n\"\nget k\n"
     b"set k 'a \\'b\\' \"c\\n'\r\nget k\r\nset k ab\"c d\"\nget k\ndel k\n", None),
    ("nothing", b"*0\r\n*-1\r\n*-10\r\n" + encode([b"ping"]), None),
    ("mixed", b"*1\r\n$4\r\nPING\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", None),
    ("unbalanced", b"set k \"abc\r\nping\r\n", None),
    ("unbalanced behind a quote", b"set k \"abc\"d\r\n", None),
    ("unbalanced single quotes", b"PING\r\nset k 'abc\r\n", None),
    ("no number of arguments", b"*x\r\n", None),
    ("empty number of arguments", b"*\r\n", None),
    ("leading zero", b"*01\r\n", None),
    ("plus", b"*+1\r\n", None),
    ("2^31 arguments", b"*2147483648\r\n", None),
    ("more than 64 bits of arguments", b"*99999999999999999999\r\n", None),
    ("no bulk", b"*1\r\n:1\r\n", None),
    ("no bulk but a line", b"*1\r\nPING\r\n", None),
    ("no bulk, an empty line", b"*1\r\n\r\n\r\n", None),
    ("negative bulk", b"*1\r\n$-1\r\n", None),
    ("no bulk length", b"*1\r\n$x\r\n", None),
    ("empty bulk length", b"*1\r\n$\r\n", None),
    ("bulk too long", b"*2\r\n$4\r\nECHO\r\n$536870913\r\n", None),
    ("bulk length beyond 64 bits", b"*1\r\n$99999999999999999999\r\n", None),
    ("endless inline", b"a" * 70000, None),
    ("endless count", b"*" + b"1" * 70000, None),
    ("endless bulk count", b"*1\r\n$" + b"1" * 70000, None),
    ("after good ones", encode([b"ping"]) * 3 + b"*1\r\n#\r\n", None),
]

MASKS = [
    (re.compile(rb"\$\d+\r\n7\.\d+\.\d+\r\n"), b"<version>"),  # HELLO
    (re.compile(rb"(\$2\r\nid\r\n):\d+\r\n"), rb"\1:<id>\r\n"),
    (re.compile(rb"otherwise the HELLO <proto> AUTH"), b"otherwise the HELLO AUTH"),  # 7.2's words
]


def mask(data):
    for pattern, replacement in MASKS:
        data = pattern.sub(replacement, data)
    return data


# --- Servers --------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A process that answers writes once it is made."""

    def __init__(self, command, port, directory, password):
        self.port = port
        login = b"AUTH %s\r\n" % password.encode() if password else b""
        log = open(os.path.join(directory, "log-%d" % port), "wb")
        self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory,
                                        stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), 1) as s:
                    s.sendall(login + b"SET k v\r\nQUIT\r\n")
                    if set(s.makefile("rb")) == {b"+OK\r\n"}:
                        return
            except OSError:
                pass
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError("server on port %d did not start" % port)
            time.sleep(0.02)

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def start_redis(directory, password):
    port = free_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--dir", directory]
    return Server(command + (["--requirepass", password] if password else []), port, directory,
                  password)


def start_quorate(binary, directory, password):
    while True:
        port = free_port()
        if port < 55000:
            break
    data = os.path.join(directory, "quorate-%d" % port)
    command = [binary, "server", "--bootstrap", "--port", str(port), "--dir", data]
    return Server(command + (["--requirepass", password] if password else []), port, directory,
                  password)


# --- Comparing ------------------------------------------------------------------------------------


def talk(server, payload, endless):
    """All that a server answers, up to the end token or until it closes."""
    with socket.create_connection(("127.0.0.1", server.port), 5) as s:
        s.settimeout(5)
        data = b""
        try:
            s.sendall(payload if endless else payload + encode([b"ECHO", TOKEN]))
            while not data.endswith(TOKEN + b"\r\n"):
                piece = s.recv(65536)
                if not piece:
                    return data + b"<closed>"
                data += piece
        except ConnectionError:  # it closed with bytes of ours unread
            return data + b"<closed>"
        except socket.timeout:
            return data + b"<silence>"
        return data


def read_reply(f):
    line = f.readline()[:-2]
    kind, rest = line[:1], line[1:]
    if kind in b"$=":
        return None if int(rest) < 0 else f.read(int(rest) + 2)[:-2]
    if kind in b"*~":
        return [read_reply(f) for _ in range(int(rest))]
    if kind == b"%":
        return {read_reply(f): read_reply(f) for _ in range(int(rest))}
    return None if kind == b"_" else line


def ask(server, words):
    with socket.create_connection(("127.0.0.1", server.port), 5) as s:
        s.sendall(encode([b"HELLO", b"3"]) + encode(words))
        f = s.makefile("rb")
        read_reply(f)
        return read_reply(f)


def comparable(row):
    """COMMAND INFO's row without what is ours (notes) and without subcommands."""
    row = list(row)
    for i in (2, 6, 7):
        row[i] = sorted(row[i])
    for keys in row[8]:
        keys.pop(b"notes", None)
    return row[:9]


NEWER = {b"client|setinfo", b"client|no-touch", b"waitaof"}  # than 7.0.15
# Redis has none of these.
OWN = {b"alarm", b"consistency", b"keyspace", b"member", b"rebalance", b"session", b"with"}
OWN_WORDS = {b"cluster|upgrade"}
CHANGED = {b"command|getkeys", b"command|getkeysandflags"}  # their arity, in 7.2


def compare_tables(redis, ours):
    problems = []
    names = [n for n in ask(ours, [b"COMMAND", b"LIST"])
             if n not in NEWER | CHANGED | OWN_WORDS and n.split(b"|")[0] not in OWN]
    want = ask(redis, [b"COMMAND", b"INFO"] + names)
    got = ask(ours, [b"COMMAND", b"INFO"] + names)
    for name, a, b in zip(names, want, got):
        if a is None or b is None or comparable(a) != comparable(b):
            problems.append("%s: %r != %r" % (name.decode(), a, b))
    return problems, len(names)


def missing_settings(redis, ours):
    """Names that CONFIG GET of redis-server has and ours has not."""
    want, got = (ask(server, [b"CONFIG", b"GET", b"*"]) for server in (redis, ours))
    return sorted(name.decode() for name in set(want) - set(got))


def main():
    if shutil.which("redis-server") is None:
        print("1..0 # SKIP there is no redis-server to compare with")
        return 0
    directory = tempfile.mkdtemp(prefix="local_diff_")
    servers = {}
    failures = number = 0
    try:
        for password in (None, "secret"):
            servers[password] = (start_redis(directory, password),
                                 start_quorate(os.path.abspath(sys.argv[1]), directory, password))
        print("1..%d" % (2 * len(SESSIONS) + 2))
        for protocol in (2, 3):
            for name, payload, password in SESSIONS:
                number += 1
                start = lines("hello 3") if protocol == 3 else b""
                want, got = (mask(talk(server, start + payload, name.startswith("endless")))
                             for server in servers[password])
                failures += want != got
                verdict = "ok" if want == got else "not ok"
                print("%s %d - %s, RESP%d" % (verdict, number, name, protocol))
                if want != got:
                    at = len(os.path.commonprefix([want, got]))
                    print("# redis:   ... %r" % want[max(at - 60, 0):at + 200])
                    print("# quorate: ... %r" % got[max(at - 60, 0):at + 200])
        problems, count = compare_tables(*servers[None])
        failures += len(problems)
        print("%s %d - COMMAND INFO of %d commands" % ("not ok" if problems else "ok", number + 1,
                                                       count))
        for problem in problems:
            print("# " + problem)
        missing = missing_settings(*servers[None])
        failures += len(missing)
        verdict = "not ok" if missing else "ok"
        print("%s %d - every setting of Redis has a name here" % (verdict, number + 2))
        for name in missing:
            print("# missing: " + name)
    finally:
        for pair in servers.values():
            for server in pair:
                server.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
