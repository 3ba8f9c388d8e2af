"""Disks that fail: a full one, and one whose n-th write or sync fails."""
import os
import shutil
import subprocess

import pytest

from cluster import Cluster, die_with_parent, wait_for
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
        if os.path.exists(os.path.join(self.path, "node", "identity")):
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
        with open(os.path.join(self.path, "ballast"), "ab") as ballast:
            left = self.free_bytes() - free
            assert left > 0
            ballast.write(b"\1" * left)

    def give_back(self):
        os.unlink(os.path.join(self.path, "ballast"))


def write_until_refused(node, most):
    """Writes until -NOSPACE; returns the keys that were acknowledged."""
    done = []
    with node.connect(timeout=30) as connection:
        for first in range(0, most, 16):
            replies = connection.pipeline([("SET", f"fill:{i}", b"x" * 30_000)
                                           for i in range(first, first + 16)])
            done += [f"fill:{first + i}" for i, reply in enumerate(replies) if reply == "OK"]
            refused = [reply for reply in replies if isinstance(reply, Error)]
            if refused:
                assert {reply.kind() for reply in refused} == {"NOSPACE"}, refused
                return done
    raise AssertionError("never refused")


@pytest.mark.parametrize("where", ["leader", "follower"])
def test_full_disk(where):
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
            assert cluster.nodes[2].call("GET", keys[0]) == b"x" * 30_000
            for node in cluster.nodes:
                with pytest.raises(Error, match="NOSPACE"):
                    node.call("SET", "more", b"x" * 1000)
                assert node.call("DEL", keys.pop()) == 1
            assert cluster.nodes[0].call("EXISTS", *keys) == len(keys)
            disk.give_back()
            wait_for(lambda: accepts(cluster.nodes[1]), "writes are accepted again", 15)
            # Nothing was lost, and the small node can restart.
            small.kill()
            disk.start(small)
            cluster.wait_ready()
            cluster.wait_applied()
            assert small.call("EXISTS", *keys) == len(keys)
        finally:
            if small.running():
                small.kill()
            disk.close()


def accepts(node):
    try:
        return node.call("SET", "more", b"x" * 1000) == "OK"
    except Error:
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
                wait_for(lambda: not self.node.running() or listens(self.node),
                         "the node to listen or to end", 10)
            except Error as error:  # it has just started, or just failed
                assert error.kind() in ("CLUSTERDOWN", "UNCERTAIN", "LOADING"), error
            if len(done) == WRITES:
                connection.close()
                return None
        raise AssertionError("neither writes nor the failure happened")


def listens(node):
    try:
        node.connect().close()
        return True
    except OSError:
        return False


@pytest.mark.parametrize("kind", ["EIO", "KILL"])
def test_the_nth_write_or_sync_fails(kind):
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
            wait_for(lambda: listens(node), f"a restart after operation {at} failed", 10)
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
