"""`quorate bench`: its figures are what happened, and where there can be none it says why."""
import collections
import json
import os
import re
import resource
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

from cluster import BINARY, PATIENCE, Cluster, die_with_parent, free_ports, wait_for

SANITIZED = BINARY.endswith("-asan")


def bench(*arguments, seconds=40):
    """Runs it to its end: exit code, standard output, standard error."""
    done = subprocess.run([BINARY, "bench", *[str(word) for word in arguments]], check=False,
                          timeout=seconds * PATIENCE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def figures(*arguments):
    """The document of a run that has to succeed."""
    code, out, err = bench(*arguments, "--json", "-")
    assert code == 0, out + err
    assert err == ""
    return json.loads(out)


def hosts(cluster):
    return ",".join(f"127.0.0.1:{node.port}" for node in cluster.nodes)


def check_history(path):
    done = subprocess.run([BINARY, "check-history", path], check=False, timeout=60 * PATIENCE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.decode()


# --- Servers of our own -------------------------------------------------------------------------


class Server:
    """`talk(read, write, wait)` is run for each connection: read() gives the next command as a
    list, or ends the connection."""

    def __init__(self, talk):
        self.talk = talk
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.over = threading.Event()
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        stream = connection.makefile("rb")

        def read():
            count = int(stream.readline()[1:] or b"0")
            words = []
            for _ in range(count):
                size = int(stream.readline()[1:])
                words.append(stream.read(size + 2)[:-2])
            if not words:
                raise ConnectionError
            return words

        try:
            self.talk(read, connection.sendall, self.over.wait)
        except (OSError, ValueError):
            pass
        finally:
            stream.close()
            connection.close()


def bulk(value):
    return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


def store_that(answer_get, stall=lambda number, wait: None):
    """A store that answers GET as told: answer_get(values, key) with values[key] being all that was
    ever written to it."""
    values = collections.defaultdict(list)
    numbers = iter(range(1 << 60))

    def talk(read, write, wait):
        while True:
            words = read()
            if words[0] == b"PING":
                write(b"+PONG\r\n")
                continue
            stall(next(numbers), wait)
            if words[0] == b"SET":
                values[words[1]].append(words[2])
                write(b"+OK\r\n")
            else:
                write(bulk(answer_get(values, words[1])))
    return talk


def honest(values, key):
    return values[key][-1] if values[key] else None


def greets_then(*sent):
    def talk(read, write, wait):
        read()
        write(b"+PONG\r\n")
        for piece in sent:
            read()
            write(piece)
        if not sent or sent[-1] == b"":
            wait(60)  # says nothing more
    return talk


def says_at_once(data, stays=False):
    def talk(read, write, wait):
        read()
        write(data)
        if stays:
            wait(60)
    return talk


# --- Figures ------------------------------------------------------------------------------------


def test_figures_of_a_mixed_run(three):
    found = figures("-h", hosts(three), "--fill", "-r", 500, "-c", 12, "-P", 4, "-n", 6000,
                    "--warmup", 0, "--reads", 0.7, "--distribution", "zipf", "--prefix", "mix:")
    assert found["status"] == "ok"
    assert found["operations"] == 6000
    reads, writes = found["reads"], found["writes"]
    assert reads["operations"] + writes["operations"] == 6000
    assert 0.65 < reads["operations"] / 6000 < 0.75
    assert found["read_misses"] == 0
    assert found["ops_per_second"] == pytest.approx(6000 / found["seconds"], rel=0.01)
    for kind in (reads, writes):
        steps = [kind["latency_ms"][name] for name in ("p50", "p90", "p99", "p99.9", "max")]
        assert 0 < steps[0] and steps == sorted(steps)
    assert three.nodes[0].call("EXISTS", "mix:000000000000", "mix:000000000499") == 2
    assert three.nodes[0].call("EXISTS", "mix:000000000500") == 0


def test_the_table_and_the_histogram(three):
    code, out, err = bench("-p", three.nodes[0].port, "-n", 500, "--warmup", 0, "--histogram",
                           "-c", 4)
    assert code == 0
    assert re.search(r"^reads +\d+ +\d+( +\d+\.\d{3}){5}$", out, re.M)
    assert re.search(r"^writes +\d+ +\d+( +\d+\.\d{3}){5}$", out, re.M)
    assert out.count("1/(1-Percentile)") == 2
    assert "NaN" not in out and "inf" not in out
    assert err == ""


def test_progress_on_a_terminal(three):
    """A line that is written over each second, and is gone at the end; none in a file."""
    ours, theirs = os.openpty()
    subprocess.run([BINARY, "bench", "-h", hosts(three), "--duration", "1.2", "--warmup", "0", "-c",
                    "2"], stdout=subprocess.DEVNULL, stderr=theirs, check=True)
    said = ""
    while not said.endswith("errors 0\r\x1b[K") and select.select([ours], [], [], 2 * PATIENCE)[0]:
        said += os.read(ours, 4096).decode()  # a terminal hands over piece by piece
    os.close(ours)
    os.close(theirs)
    assert re.match(r"\r\x1b\[K1 s: \d+ replies in the last second, p50 \d", said)
    assert said.endswith("errors 0\r\x1b[K")


def test_fill_alone(three, tmp_path):
    path = str(tmp_path / "json")
    code, out, _ = bench("-h", hosts(three), "--fill", "-n", 0, "-r", 300, "--prefix", "f:",
                         "--json", path)
    assert code == 0 and "filled" in out and "ops/s" not in out
    with open(path, encoding="utf-8") as file:
        assert "operations" not in set(json.load(file))
    node = three.nodes[1]
    assert node.call("EXISTS", *[f"f:{key:012d}" for key in range(300)]) == 300


def test_values_come_back_as_they_were_sent(three):
    """Also such as fit no buffer: 128 requests of 200 kB are under way, and the client may have
    16 MiB of memory. (With --reconnect: so much data may cost a busy machine its leader.)"""
    def little_memory():
        die_with_parent()
        if not SANITIZED:
            resource.setrlimit(resource.RLIMIT_DATA, (16 << 20, 16 << 20))

    done = subprocess.run(
        [BINARY, "bench", "-h", hosts(three), "--check", "--fill", "-r", "30", "-d", "32-400000",
         "-c", "8", "-P", "16", "-n", "300", "--reads", "0.8", "--prefix", "big:", "--warmup", "0",
         "--reconnect", "--json", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
        preexec_fn=little_memory, timeout=40 * PATIENCE)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["values_checked"] >= found["reads"]["operations"] > 0


def commands_sent(seed):
    heard = []

    def talk(read, write, wait):
        del wait
        read()
        write(b"+PONG\r\n")
        while True:
            words = read()
            heard.append(words)
            write(b"+OK\r\n" if words[0] == b"SET" else b"$-1\r\n")
    with Server(talk) as server:
        figures("-p", server.port, "-c", 1, "-n", 300, "--warmup", 0, "--seed", seed, "-d",
                "1-1000", "--distribution", "zipf", "--reads", 0.5)
    return heard


def test_a_seed_gives_the_same_commands():
    assert commands_sent(5) == commands_sent(5)
    assert commands_sent(5) != commands_sent(6)


# --- A fixed rate -------------------------------------------------------------------------------


def test_a_rate_is_kept():
    """Never more than the rate, and every request is accounted for. Nor less: but where the machine
    is busy a run may end late, so of a few one has to keep it."""
    with Server(store_that(honest)) as server:
        for _ in range(5):
            found = figures("-p", server.port, "--rate", 500, "--duration", 2, "--warmup", 0.2,
                            "-c", 32)
            assert abs(found["operations"] + found["unsent"] - 1000) <= 1
            assert 0 < found["ops_per_second"] <= 505
            if found["unsent"] == 0 and found["ops_per_second"] >= 400:
                return
    raise AssertionError(f"it is never kept: {found}")


STALL_S = 0.3


def one_stall(number, wait):
    if number == 200:
        wait(STALL_S)


def test_a_stall_is_seen_by_all_who_would_have_come():
    """One request in a thousand waits for 0.3 s. Without a rate 0.1 % of them know of it; with one
    request each millisecond three hundred were due meanwhile. No coordinated omission."""
    with Server(store_that(honest, one_stall)) as server:
        closed = figures("-p", server.port, "-c", 1, "-n", 1000, "-t", "set", "--warmup", 0)
    with Server(store_that(honest, one_stall)) as server:
        at_rate = figures("-p", server.port, "-c", 1, "-n", 1000, "-t", "set", "--warmup", 0,
                          "--rate", 1000)
    stall_ms = STALL_S * 1000
    assert closed["writes"]["latency_ms"]["max"] >= stall_ms
    assert closed["writes"]["latency_ms"]["p90"] < stall_ms / 4
    assert at_rate["writes"]["latency_ms"]["max"] >= stall_ms
    assert at_rate["writes"]["latency_ms"]["p90"] > stall_ms / 2


def test_a_rate_that_cannot_be_kept_is_confessed():
    """The server answers a request a millisecond at most."""
    with Server(store_that(honest, lambda number, wait: wait(0.001))) as server:
        arguments = ["-p", server.port, "-c", 1, "--duration", 0.4, "--rate", 20000, "-t", "get",
                     "--warmup", 0]
        found = figures(*arguments)
        assert found["unsent"] > 0 and found["overdue_ms"] > 0
        assert found["ops_per_second"] < 2000
        assert "the rate was not reached" in bench(*arguments)[1]


# --- Servers that are dead, slow or wrong -------------------------------------------------------

ERROR = greets_then(b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n")
BAD_SERVERS = {
    "http": (says_at_once(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "does not speak Redis's protocol"),
    "garbage": (says_at_once(b"\x00\x1b[31m\xff\xfe", True), "does not speak Redis's protocol"),
    "array": (says_at_once(b"*1\r\n+PONG\r\n", True), "no answer to it: *1"),
    "closes": (lambda read, write, wait: None, "answers nothing"),
    "silent": (lambda read, write, wait: wait(60), "does not answer PING within 0.5 s"),
    "half a line": (says_at_once(b"+PON", True), "does not answer PING within 0.5 s"),
    "password": (says_at_once(b"-NOAUTH Authentication required.\r\n", True), "NOAUTH"),
    "wrong password": (says_at_once(b"-WRONGPASS no\r\n", True), "WRONGPASS"),
    "loading": (says_at_once(b"-LOADING Redis is loading\r\n", True), "LOADING"),
    "silent later": (greets_then(), "has not answered for 0.5 s"),
    "half a value": (greets_then(b"$100\r\nabc", b""), "has not answered for 0.5 s"),
    "torn": (greets_then(b"$100\r\nabc"), "lost with 1 request open"),
    "error": (ERROR, "answered GET with an error: WRONGTYPE"),
    "no leader": (greets_then(b"-CLUSTERDOWN no leader\r\n"), "CLUSTERDOWN"),
    "number": (greets_then(b":1\r\n"), "no answer to it: :1"),
    "too much": (greets_then(b"$-1\r\n$-1\r\n$-1\r\n$-1\r\n"), "no request at all"),
    "bad line end": (greets_then(b"$3\r\nabcXX"), "does not speak Redis's protocol"),
    "endless value": (greets_then(b"$99999999999\r\nx"), "no answer to it: $99999999999"),
}


@pytest.mark.parametrize("name", BAD_SERVERS)
def test_a_bad_server_is_named_and_no_figure_printed(name):
    talk, words = BAD_SERVERS[name]
    with Server(talk) as server:
        code, out, err = bench("-p", server.port, "-c", 2, "-t", "get", "--timeout", 0.5,
                               "--duration", 20)
        assert (code, out) == (1, "")
        assert words in err and f"127.0.0.1:{server.port}" in err and len(err.splitlines()) == 1
        assert err.isprintable() or err.strip().isprintable()
        code, out, _ = bench("-p", server.port, "-c", 2, "-t", "get", "--timeout", 0.5, "--json",
                             "-", "--duration", 20)
    document = json.loads(out)
    assert (code, document["status"]) == (1, "failed")
    assert words in document["reason"] or name == "too much"
    assert "ops_per_second" not in out and "latency" not in out


def test_password_user_and_database():
    """They are sent as asked for, before anything else."""
    heard = []

    def talk(read, write, wait):
        del wait
        for _ in range(3):
            heard.append(read())
            write(b"+OK\r\n")
        while True:
            heard.append(read())
            write(b"+OK\r\n")
    with Server(talk) as server:
        figures("-h", f"localhost:{server.port}", "--user", "me", "-a", "secret", "--db", 3, "-c",
                1, "-n", 5, "-t", "set", "--warmup", 0)
    assert heard[:3] == [[b"AUTH", b"me", b"secret"], [b"SELECT", b"3"], [b"PING"]]
    assert len(heard) == 8 and all(words[0] == b"SET" for words in heard[3:])


def test_nobody_there():
    port = free_ports(1)[0]
    code, out, err = bench("-p", port)
    assert (code, out) == (1, "") and f"127.0.0.1:{port} cannot be reached" in err
    code, out, err = bench("-p", port, "--reconnect", "--timeout", 0.3)
    assert (code, out) == (1, "") and "none of the servers answers" in err
    code, out, err = bench("-h", "no.such.host.invalid")
    assert (code, out) == (1, "") and "cannot be found" in err


def test_bad_options():
    for arguments in (["--frob"], ["-c"], ["-c", "0"], ["--rate", "fast"], ["-n", "0"]):
        code, out, err = bench(*arguments)
        assert (code, out) == (2, "") and len(err.splitlines()) == 1, arguments
    code, out, err = bench("-n", 1, "--history", "/nonexistent/history")
    assert (code, out) == (1, "") and "/nonexistent/history" in err


WRONG_STORES = {
    "stale": (lambda values, key: values[key][0] if values[key] else None, "stale value"),
    "lossy": (lambda values, key: None, "nothing, although"),
    "mixed up": (lambda values, key: honest(values, min(values)) if values else None,
                 "value of another key"),
    "damaging": (lambda values, key: values[key] and values[key][-1].replace(b".", b",") or None,
                 "nobody has written so"),
    "cutting": (lambda values, key: values[key] and values[key][-1][:-1] or None,
                "nobody has written so"),
}


@pytest.mark.parametrize("name", WRONG_STORES)
def test_a_wrong_value_ends_the_run(name, tmp_path):
    answer_get, words = WRONG_STORES[name]
    history = str(tmp_path / "history")
    with Server(store_that(answer_get)) as server:
        code, out, err = bench("-p", server.port, "-c", 2, "-r", 5, "--reads", 0.5, "--history",
                               history, "--reconnect")
    assert (code, out) == (1, "")
    assert "WRONG VALUE" in err and words in err
    code, out = check_history(history)
    assert code == 1 and "NOT linearizable" in out


def test_a_wrong_value_with_much_behind_it():
    def talk(read, write, wait):
        read()
        write(b"+PONG\r\n")
        for _ in range(100):
            read()
        write(bulk(b"wrong" * 100) * 100)
        wait(60)
    with Server(talk) as server:
        code, out, err = bench("-p", server.port, "-c", 1, "-P", 100, "-t", "get", "--check")
    assert (code, out) == (1, "") and "nobody has written so" in err


def test_an_honest_store_is_found_so(tmp_path):
    history = str(tmp_path / "history")
    with Server(store_that(honest)) as server:
        figures("-p", server.port, "-c", 3, "-P", 2, "-r", 5, "--reads", 0.5, "--history", history,
                "-n", 2000, "--warmup", 0)
    code, out = check_history(history)
    assert code == 0 and "2005 operations on 5 keys" in out


def test_replies_that_come_byte_by_byte():
    def talk(read, write, wait):
        def drip(data):
            for i in range(len(data)):
                write(data[i:i + 1])
        store_that(honest)(read, drip, wait)
    with Server(talk) as server:
        found = figures("-p", server.port, "-c", 1, "-P", 3, "-r", 3, "--check", "--fill", "-n",
                        100, "--warmup", 0, "--reads", 0.6)
    assert found["operations"] == 100 and found["values_checked"] > 30


# --- Faults -------------------------------------------------------------------------------------


class Running:
    """A bench that goes on while the test does something."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([BINARY, "bench", *[str(word) for word in arguments]],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        preexec_fn=die_with_parent)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def finish(self):
        out, err = self.process.communicate(timeout=60 * PATIENCE)
        return self.process.returncode, out.decode(), err.decode()


def commands_of(cluster):
    return sum(int(node.info("stats")["total_commands_processed"]) for node in cluster.alive())


def wait_for_commands(cluster, more):
    goal = commands_of(cluster) + more
    wait_for(lambda: commands_of(cluster) >= goal, f"{more} more commands", 15)


def with_a_wrong_read(path):
    """The history with one read that found the very first value of its key instead of its own."""
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    first, again = {}, {}  # the first acknowledged value of a key, and when a later one was
    for number, line in enumerate(lines):
        if line.startswith("#"):
            continue
        _, key, kind, argument, result, start, end = line.split(" ")
        if kind == "set" and result == "ok":
            if key in first:
                again.setdefault(key, int(end))
            first.setdefault(key, argument)
        elif kind == "get" and number > len(lines) * 0.9 and again.get(key, 1 << 62) < int(start):
            lines[number] = line.replace(f" {result} ", f" ={first[key]} ")
            break
    else:
        raise AssertionError("no such read")
    with open(path + ".wrong", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return path + ".wrong"


def test_a_stopped_leader_under_reconnect():
    """SIGSTOP: nothing is refused, it only does not answer. The connections go elsewhere."""
    with Cluster(3) as cluster, Running(
            "-h", hosts(cluster), "-c", 6, "-r", 50, "--duration", 3, "--warmup", 0, "--reconnect",
            "--check", "--fill", "--timeout", 0.5, "--json", "-") as running:
        wait_for_commands(cluster, 1000)
        cluster.leader().pause()
        code, out, err = running.finish()
    assert code == 0, out + err
    faults = json.loads(out)["faults"]
    assert faults["errors"]["time-out"] >= 2
    assert max(faults["longest_gap_ms_of_connections"]) > 500
    assert faults["longest_gap"]["any"]["ms"] < 3000


def test_a_killed_leader_under_reconnect_check_and_history(tmp_path):
    """The leader dies by kill -9 and comes back: the bench goes on, tells of the gap, and what it
    has seen is linearizable."""
    history = str(tmp_path / "history")
    with Cluster(3) as cluster, Running(
            "-h", hosts(cluster), "-c", 12, "-P", 3, "-r", 300, "--reads", 0.5, "--duration", 4,
            "--warmup", 0, "--reconnect", "--check", "--history", history, "--timeout", 2,
            "--json", "-") as running:
        wait_for_commands(cluster, 2000)
        leader = cluster.leader()
        leader.kill()
        wait_for_commands(cluster, 500)
        leader.start()
        code, out, err = running.finish()
        assert code == 0, out + err
        found = json.loads(out)
        assert found["status"] == "with faults"
        faults = found["faults"]
        assert faults["connections_lost"] >= 2 and faults["errors"]["connection-lost"] >= 2
        assert faults["requests_unanswered"] > 0
        gap = faults["longest_gap"]
        assert 0 < gap["any"]["ms"] <= gap["writes"]["ms"] < 4000
        assert gap["any"]["ms"] <= min(faults["longest_gap_ms_of_connections"])
        assert len(faults["longest_gap_ms_of_connections"]) == 12
        code, said = check_history(history)
        assert code == 0, said
        assert int(re.search(r"(\d+) operations on 300 keys", said)[1]) > 2000
        with open(history, encoding="utf-8") as file:
            assert " unknown " in file.read()
        assert check_history(with_a_wrong_read(history))[0] == 1


def test_the_table_of_a_run_with_faults():
    refusals = iter(range(1 << 60))

    def talk(read, write, wait):
        del wait
        while True:
            if read()[0] == b"PING":
                write(b"+PONG\r\n")
            else:
                write(b"+OK\r\n" if next(refusals) % 10 else b"-CLUSTERDOWN no leader\r\n")
    with Server(talk) as server:
        code, out, _ = bench("-p", server.port, "-c", 2, "-t", "set", "-n", 100, "--warmup", 0,
                             "--reconnect")
    assert code == 0
    assert "WITH FAULTS" in out and "CLUSTERDOWN 10" in out
    assert re.search(r"^writes +90 ", out, re.M)
    assert "longest time without a good reply" in out


def test_an_error_that_no_fault_explains_ends_it_even_so():
    with Server(ERROR) as server:
        code, out, err = bench("-p", server.port, "-t", "get", "--reconnect")
    assert (code, out) == (1, "") and "WRONGTYPE" in err


def test_a_cluster_that_dies_for_good():
    with Cluster(1) as cluster, Running("-h", hosts(cluster), "-n", 10**9, "--reconnect",
                                        "--give-up", 0.5) as running:
        wait_for_commands(cluster, 200)
        cluster.kill_all()
        code, out, err = running.finish()
    assert (code, out) == (1, "") and "for 0.5 s" in err


def test_interrupted_runs_say_so(three):
    for number in (signal.SIGINT, signal.SIGTERM):
        with Running("-h", hosts(three), "--duration", 600, "--warmup", 0) as running:
            wait_for_commands(three, 500)
            began = time.monotonic()
            running.process.send_signal(number)
            code, out, _ = running.finish()
            assert time.monotonic() - began < 5 * PATIENCE
        assert code == 130
        assert "INTERRUPTED" in out and re.search(r"^reads +\d+", out, re.M)


def test_redis_benchmarks_letters(three):
    """-h is a host when something follows, and help when alone."""
    code, out, _ = bench("-h", "127.0.0.1", "-p", three.nodes[0].port, "-n", 50, "-t", "set", "-d",
                         10, "-c", 2, "--warmup", 0)
    assert code == 0 and re.search(r"^writes +50 ", out, re.M)
    code, out, _ = bench("-h")
    assert code == 0 and out.startswith("quorate bench [OPTION...]")
