"""A full disk: growing commands are refused, deletes work, and with space it goes on."""
import os
import subprocess

import pytest

from cluster import Cluster, die_with_parent, wait_for
from resp import Error

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

    def start(self, node):
        inside = ["nsenter", "-t", str(self.holder.pid), "-m"]
        if os.geteuid() != 0:
            inside += ["-U", "--preserve-credentials"]
        arguments = node.arguments()
        if os.path.exists(os.path.join(self.path, "node", "identity")):
            arguments.remove("--bootstrap")
        with open(node.log_path, "ab") as log:
            node.process = subprocess.Popen(inside + arguments, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, preexec_fn=die_with_parent)

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
            for node in cluster.nodes[1:]:
                node.start()
            disk.start(small)
            cluster.wait_ready()
            move_leader(cluster, small, where == "leader", disk)
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


def move_leader(cluster, small, wanted, disk):
    """Until the small node leads, or does not, as wanted: whoever leads wrongly is stopped a while."""
    for _ in range(20):
        leader = cluster.leader()
        if (leader is small) == wanted:
            return
        leader.kill()
        wait_for(lambda old=leader: cluster.find_leader() not in (None, old), "another leader", 10)
        if leader is small:
            disk.start(small)
        else:
            leader.start()
        cluster.wait_ready()
    raise AssertionError("the leader did not move")
