"""Disks that fail: a full one, and one whose n-th write or sync fails."""
import errno
import os
import shutil
import subprocess
import time

import pytest

from cluster import CALM, UNSURE, Cluster, ask, die_with_parent, pipeline_again, wait_for
from resp import Closed, Error

SHIM = os.environ.get("QUORATE_FAULT_SHIM", "")
MIB = 1 << 20


class SmallDisk:
    """A file system of `size` bytes in a mount namespace of its own, which ends with this process.

    `start(node)` runs a node in it; `path` is how it is seen from outside.
    """

    def __init__(self, directory, size):
        self.directory = directory
        os.makedirs(directory)
        user = [] if os.geteuid() == 0 else ["-r"]
        self.holder = subprocess.Popen(
            ["unshare", *user, "-m", "sh", "-c",
             f"mount -t tmpfs -o size={size} none '{directory}' && echo mounted && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent)
        if self.holder.stdout.readline() != b"mounted\n":
            self.close()
            pytest.skip("kernel: no small file system can be mounted here")
        self.path = f"/proc/{self.holder.pid}/root{directory}"

    def close(self):
        self.holder.stdin.close()
        self.holder.wait()

    def start(self, node, extra=()):
        inside = ["nsenter", "-t", str(self.holder.pid), "-m"]
        if os.geteuid() != 0:
            inside += ["-U", "--preserve-credentials"]
        arguments = node.arguments(extra)
        inner = os.path.relpath(node.directory, self.directory)
        if os.path.exists(os.path.join(self.path, inner, "identity")):
            arguments.remove("--bootstrap")
        with open(node.log_path, "ab") as log:
            node.process = subprocess.Popen(inside + arguments, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, preexec_fn=die_with_parent)
        node.stopped = False

    def free_bytes(self):
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def leave(self, free):
        """Fills the file system with a ballast, so that `free` bytes are left."""
        with open(os.path.join(self.path, "ballast"), "ab", buffering=0) as ballast:
            while self.free_bytes() > free:  # the nodes take some of it meanwhile
                try:
                    ballast.write(b"\1" * (self.free_bytes() - free))
                except OSError as error:
                    assert error.errno == errno.ENOSPC

    def give_back(self):
        os.unlink(os.path.join(self.path, "ballast"))


def write_until_refused(node, most, begin=0):
    """Writes until -NOSPACE; returns the keys that were acknowledged."""
    done = []
    with node.connect(timeout=30) as connection:
        for first in range(begin, most, 16):
            replies = connection.pipeline([("SET", f"fill:{i}", b"x" * 30_000)
                                           for i in range(first, first + 16)])
            done += [f"fill:{first + i}" for i, reply in enumerate(replies) if reply == "OK"]
            refused = {reply.kind() for reply in replies if isinstance(reply, Error)}
            assert refused <= {"NOSPACE", *UNSURE}, refused
            if "NOSPACE" in refused:
                return done
    raise AssertionError("never refused")


def refuses(node, writer, keys, most=4000):
    """Whether it refuses a write because a disk is full. Where it takes one, because what a
    checkpoint or the log gave up has made room, that is written full as well."""
    key = f"more-{len(keys)}"
    before = ask(node, "EXISTS", key)
    try:
        ask(node, "SET", key, b"x" * 1000)
    except Error as error:
        assert error.kind() == "NOSPACE", error
        assert ask(node, "EXISTS", key) == before
        return True
    keys += write_until_refused(writer, most, len(keys) + 100)
    return False


@pytest.mark.parametrize("where", ["leader", "follower"])
def test_scenario_56_full_disk(where):
    """Scenario 56."""
    options = ["--log-segment-bytes", "2mb", "--log-reserve-bytes", "8mb"]
    with Cluster(3, options=options, start=False) as cluster:
        small = cluster.nodes[0]
        mount = os.path.join(cluster.directory, "small")
        disk = SmallDisk(mount, 96 * MIB)
        try:
            small.directory = os.path.join(mount, "node")
            # The leader is decided between two nodes, of which one has no patience.
            slow = ["--election-timeout-ms", "3000"]
            disk.start(small, () if where == "leader" else slow)
            cluster.nodes[1].start(slow if where == "leader" else ())
            cluster.wait_ready()
            cluster.nodes[2].start(slow)
            cluster.wait_ready()
            assert (cluster.leader() is small) == (where == "leader")
            disk.leave(20 * MIB)
            keys = write_until_refused(cluster.nodes[1], 4000)
            assert keys
            assert small.running(), small.log()[-3000:]
            # Reads and deletes go on, and refusals do not wear the reserve down.
            assert ask(cluster.nodes[2], "GET", keys[0]) == b"x" * 30_000
            for node in cluster.nodes:
                wait_for(lambda node=node: refuses(node, cluster.nodes[1], keys), "it refuses")
                key = keys.pop()
                ask(node, "DEL", key)
                assert ask(node, "EXISTS", key) == 0
            assert ask(cluster.nodes[0], "EXISTS", *keys) == len(keys)
            disk.give_back()
            wait_for(lambda: accepts(cluster.nodes[1]), "writes are accepted again", 15)
            # Nothing was lost, and the small node can restart.
            small.kill()
            disk.start(small)
            cluster.wait_ready()
            cluster.wait_applied()
            assert ask(small, "EXISTS", *keys) == len(keys)
        finally:
            if small.running():
                small.kill()
            disk.close()


# --- All nodes on one full disk, and then some --------------------------------------------------

TIGHT = ["--log-segment-bytes", "256kb", "--log-reserve-bytes", "1mb", "--checkpoint-bytes"]


class FullDisk:
    """Nodes whose directories lie on one small disk."""

    def __init__(self, size, options, nodes=3):
        self.cluster = Cluster(nodes, options=options, start=False)
        self.disk = SmallDisk(os.path.join(self.cluster.directory, "small"), size)
        for node in self.cluster.nodes:
            node.directory = os.path.join(self.disk.directory, f"node-{node.number}")

    def __enter__(self):
        self.cluster.__enter__()
        self.start()
        return self

    def start(self):
        for node in self.cluster.nodes:
            self.disk.start(node)
        self.cluster.wait_ready()

    def __exit__(self, *problem):
        self.cluster.__exit__(*problem)
        self.disk.close()


def resident_bytes(node):
    with open(f"/proc/{node.process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_deletes_end_where_the_reserve_does():
    """Scenario 56: past the last of the reserve even deletes are refused, surely not applied;
    memory stays where it is, and space that is given back is found."""
    with FullDisk(32 * MIB, TIGHT + ["100mb", *CALM]) as full:
        cluster, disk = full.cluster, full.disk
        keys = [f"k:{i}" for i in range(6000)]
        with cluster.leader().connect(timeout=30) as connection:
            assert set(pipeline_again(connection, [("SET", key, "v") for key in keys])) == {"OK"}
            before = [resident_bytes(node) for node in cluster.nodes]
            gone = refused = 0
            while refused < 1000:
                disk.leave(0)  # a file that could not be made has left room
                reply = connection.pipeline([("DEL", keys[gone])])[0]
                if reply == 1:
                    gone += 1
                else:
                    assert reply.kind() == "NOSPACE", reply
                    refused += 1
                assert gone < len(keys), "deletes are never refused"
            assert gone > 50, "the reserve held hardly any deletes"
            assert connection.call("EXISTS", *keys) == len(keys) - gone
        for node, bytes_before in zip(cluster.nodes, before):
            assert resident_bytes(node) < bytes_before + 8 * MIB
        disk.give_back()
        wait_for(lambda: accepts(cluster.nodes[1]), "writes are accepted again", 15)
        cluster.kill_all()
        full.start()
        assert ask(cluster.nodes[0], "EXISTS", *keys) == len(keys) - gone


@pytest.mark.parametrize("left", [0, 1])
def test_all_start_on_a_full_disk(left):
    """Scenario 56: on what the reserve holds, or in a smaller segment; else they say why not."""
    with FullDisk(32 * MIB, TIGHT + ["100mb"]) as full:
        cluster, disk = full.cluster, full.disk
        assert cluster.nodes[0].call("SET", "k", "v") == "OK"
        disk.leave(left * MIB)
        for _ in range(3):
            cluster.kill_all()
            for node in cluster.nodes:
                disk.start(node)
            wait_for(lambda: all(node.get("k") == b"v" for node in cluster.nodes),
                     "the nodes serve", 15)
        for _ in range(0 if left else 20):  # every start takes a segment, and an end comes
            cluster.kill_all()
            disk.leave(0)
            for node in cluster.nodes:
                disk.start(node)
            wait_for(lambda: has_ended(cluster) or
                     all(node.get("k") == b"v" for node in cluster.nodes), "a start", 15)
            if has_ended(cluster):
                break
        else:
            assert left, "nobody ever misses a segment"
        disk.give_back()
        for node in cluster.nodes:
            if not node.running():
                assert node.process.returncode == 1
                assert "disk full" in node.log()
                disk.start(node)
        wait_for(lambda: accepts(cluster.nodes[1]), "writes are accepted again", 15)
        assert cluster.nodes[2].call("GET", "k") == b"v"


def test_a_checkpoint_on_a_full_disk_is_tried_again():
    """Scenario 56: it fails in words, is repeated without any help, and takes no memory along."""
    with FullDisk(128 * MIB, TIGHT + ["100mb", *CALM]) as full:
        cluster, disk = full.cluster, full.disk
        with cluster.leader().connect(timeout=30) as connection:
            values = [("SET", f"k:{i}", b"x" * 20_000) for i in range(400)]
            assert set(pipeline_again(connection, values)) == {"OK"}
        disk.leave(2 * MIB)
        before = [resident_bytes(node) for node in cluster.nodes]
        for node in cluster.nodes:
            node.call("CONFIG", "SET", "checkpoint-bytes", "1mb")
        for node in cluster.nodes:
            wait_for(lambda node=node: node.log().count("No space left on device") >= 2,
                     f"node {node.number} says twice that it has no room", 20)
            info = node.info()
            assert info["rdb_last_bgsave_status"] == "err"
            assert info["checkpoints"] == "0"
        for node, bytes_before in zip(cluster.nodes, before):
            assert resident_bytes(node) < bytes_before + 24 * MIB
        disk.give_back()
        for node in cluster.nodes:
            wait_for(lambda node=node: node.info()["checkpoints"] != "0", "a checkpoint", 20)
            assert node.info()["rdb_last_bgsave_status"] == "ok"
        cluster.kill_all()
        full.start()
        assert ask(cluster.nodes[0], "EXISTS", *[f"k:{i}" for i in range(400)]) == 400


def test_a_log_that_could_fill_its_disk_is_let_go_before():
    """Scenario 56: by checkpoint-bytes nothing is due, so only the want of room asks for one."""
    options = ["--log-segment-bytes", "1mb", "--log-reserve-bytes", "12mb",
               "--checkpoint-bytes", "10gb"]
    with FullDisk(64 * MIB, options, nodes=1) as full:
        [node] = full.cluster.nodes
        with node.connect(timeout=30) as connection:
            for _ in range(400):
                values = [("SET", f"k:{i}", b"x" * 20_000) for i in range(25)]
                assert set(connection.pipeline(values)) == {"OK"}  # 190 MiB in all, none refused
        assert int(node.info()["checkpoints"]) >= 3
        full.cluster.kill_all()
        full.start()
        assert ask(node, "EXISTS", *[f"k:{i}" for i in range(25)]) == 25


def test_the_reserve_makes_room_for_a_checkpoint():
    """Scenario 56: else a disk that others have filled stays full of what could be let go."""
    options = ["--log-segment-bytes", "1mb", "--log-reserve-bytes", "12mb",
               "--checkpoint-bytes", "10gb"]
    with FullDisk(64 * MIB, options, nodes=1) as full:
        [node] = full.cluster.nodes
        with node.connect(timeout=30) as connection:
            for _ in range(4):
                values = [("SET", f"k:{i}", b"x" * 20_000) for i in range(100)]
                assert set(connection.pipeline(values)) == {"OK"}
        full.disk.leave(256 << 10)  # the next checkpoint has 2 MB
        wait_for(lambda: node.info()["checkpoints"] != "0", "a checkpoint", 20)
        assert node.info()["rdb_last_bgsave_status"] == "ok"
        assert node.call("DEL", "k:1") == 1


def test_room_for_one_more_checkpoint_is_room_enough():
    """Scenario 56: what has been written of the next one is not to be left free once more."""
    options = ["--log-segment-bytes", "1mb", "--log-reserve-bytes", "4mb",
               "--checkpoint-bytes", "40mb"]
    with FullDisk(310 * MIB, options, nodes=1) as full:
        [node] = full.cluster.nodes
        with node.connect(timeout=30) as connection:
            for first in range(0, 7500, 10):  # 100 MB of state, and then 50 MB of it anew
                values = [("SET", f"k:{i % 5000}", b"x" * 20_000) for i in range(first, first + 10)]
                assert set(connection.pipeline(values)) == {"OK"}
                time.sleep(0.005)
        wait_for(lambda: int(node.info()["checkpoints"]) >= 3, "checkpoints", 20)
        assert "Disk space is short" not in node.log()


def has_ended(cluster):
    return any(not node.running() for node in cluster.nodes)


def accepts(node):
    try:
        return node.call("SET", "more", b"x" * 1000) == "OK"
    except (Error, Closed, OSError):
        return False


# --- The n-th operation fails -------------------------------------------------------------------

WRITES = 10  # per life of a node


class Shimmed:
    """One node whose directory is on a disk that fails at operation n of the process."""

    def __init__(self, cluster, kind):
        self.node = cluster.nodes[0]
        self.counts = os.path.join(cluster.directory, "counts")
        self.pristine = os.path.join(cluster.directory, "pristine")
        self.kind = kind

    def start(self, at):
        with open(self.counts, "wb"):
            pass
        self.node.start(environment={
            "LD_PRELOAD": SHIM, "FAULT_DIR": self.node.directory, "FAULT_AT": str(at),
            "FAULT_KIND": self.kind, "FAULT_COUNTS": self.counts})

    def syncs(self):
        with open(self.counts, "rb") as file:
            return int(file.read().split()[2])

    def reset(self):
        shutil.rmtree(self.node.directory)
        shutil.copytree(self.pristine, self.node.directory)

    def write_until_it_fails(self):
        """Returns {key: value} of what was acknowledged; None when nothing failed."""
        done = {}
        connection = None
        for i in range(200):
            if not self.node.running():
                return done
            try:
                connection = connection or self.node.connect(timeout=5)
                before = self.syncs()
                reply = connection.call("SET", f"k{len(done)}", f"v{i}")
                assert reply == "OK"
                # Alone in its cluster, a node may only say so after a sync of its own.
                assert self.syncs() > before, "the reply left before its sync"
                done[f"k{len(done)}"] = f"v{i}"
            except (Closed, OSError):
                if connection is not None:
                    wait_for(lambda: not self.node.running(), "the node to end", 10)
                    return done
                wait_for(lambda: not self.node.running() or self.node.listens(),
                         "the node to listen or to end", 10)
            except Error as error:  # it has just started, or just failed
                assert error.kind() in ("CLUSTERDOWN", "UNCERTAIN", "LOADING"), error
            if len(done) == WRITES:
                connection.close()
                return None
        raise AssertionError("neither writes nor the failure happened")


@pytest.mark.parametrize("kind", ["EIO", "KILL"])
def test_scenario_102_the_nth_write_or_sync_fails(kind):
    """Scenario 102, at every operation of a short life: start, election, writes."""
    options = ["--log-segment-bytes", "256kb", "--log-reserve-bytes", "0",
               "--election-timeout-ms", "50", "--lease-ms", "20", "--heartbeat-ms", "10"]
    with Cluster(1, options=options) as cluster:
        shimmed = Shimmed(cluster, kind)
        node = shimmed.node
        node.call("SET", "first", "life")
        assert node.terminate() == 0
        shutil.copytree(node.directory, shimmed.pristine)
        for at in range(1, 400):
            shimmed.start(at)
            done = shimmed.write_until_it_fails()
            if done is None:
                break
            code = node.wait()
            assert code == (1 if kind == "EIO" else -9), node.log()[-2000:]
            node.start()
            wait_for(lambda: node.listens(), f"a restart after operation {at} failed", 10)
            with node.connect() as connection:
                wait_for(lambda: connection.pipeline([("SET", "probe", "1")]) == ["OK"], "a leader")
                assert connection.call("GET", "first") == b"life"
                for key, value in done.items():
                    assert connection.call("GET", key) == value.encode(), f"operation {at}: {key}"
            node.kill()
            shimmed.reset()
        else:
            raise AssertionError("the operations of a short life never end")
        print(f"{at} operations")
        assert at > WRITES, f"only {at} operations for {WRITES} writes"
