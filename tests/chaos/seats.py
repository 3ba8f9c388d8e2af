"""Nodes with a network namespace, an address, a disk and a clock of their own."""
import errno
import os
import random
import struct
import subprocess

from campaign_members import Seat
from resp import Connection

PORT, PEER_PORT = 7001, 17001
POWER = os.environ.get("QUORATE_POWER_SHIM", "build/tests/chaos/power_shim.so")
SHIM = os.environ.get("QUORATE_FAULT_SHIM", "build/tests/unit/log/fault_shim.so")
DISK_BYTES = 160 << 20


class Disk:
    """A small file system, in this process's own mount namespace."""

    def __init__(self, directory):
        self.directory = directory
        os.makedirs(directory)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", directory],
                       check=True)
        self.ballast = os.path.join(directory, "ballast")

    def free_bytes(self):
        status = os.statvfs(self.directory)
        return status.f_bavail * status.f_frsize

    def fill(self, leave):
        """Until so many bytes are left."""
        with open(self.ballast, "ab", buffering=0) as ballast:
            while self.free_bytes() > leave:  # the node takes some of it meanwhile
                try:
                    ballast.write(b"\1" * min(1 << 20, self.free_bytes() - leave))
                except OSError as error:
                    assert error.errno == errno.ENOSPC

    def is_full(self):
        return os.path.exists(self.ballast)

    def give_back(self):
        if self.is_full():
            os.unlink(self.ballast)

    def close(self):
        subprocess.run(["umount", "-l", self.directory], check=False)


def unsynced(data):
    """(path, offset, bytes that were there, size of the file then), as power_shim.c has it; of a
    record that was not finished the write had not begun."""
    at = 0
    while at + 32 <= len(data):
        offset, count, size, length = struct.unpack_from("<4Q", data, at)
        path, end = data[at + 32:at + 32 + length], at + 32 + length + count
        if end > len(data):
            return
        yield path.decode(), offset, data[end - count:end], size
        at = end


def undo(data, inode, dice, everything):
    """Takes writes back, the last one first: all, or each with some luck."""
    all_of_them, undone = everything or dice.random() < 0.3, 0
    for path, offset, old, size in reversed(list(unsynced(data))):
        is_there = os.path.exists(path) and os.stat(path).st_ino == inode
        if is_there and (all_of_them or dice.random() < 0.6):
            with open(path, "r+b") as file:
                file.seek(offset)
                file.write(old)
                if all_of_them:
                    file.truncate(size)
            undone += 1
    return undone


class ChaosSeat(Seat):
    """Where it sits it has an address that nobody else has; its disk is small if `disk` is."""

    hurries = False  # a member that is started with --join looks first whether others know it

    def __init__(self, cluster, number, network, has_clock):
        super().__init__(cluster, number, PORT, PEER_PORT, 0)
        self.network, self.space = network, network.space(number)
        self.host, self.dice = network.address(number), random.Random(number)
        self.disk = None
        self.lost = os.path.join(cluster.directory, f"lost-{number}")
        os.makedirs(self.lost, exist_ok=True)
        self.wall = os.path.join(cluster.directory, f"wall-{number}")
        self.slowness = os.path.join(cluster.directory, f"slow-{number}")
        self.slow_down(0)
        self.turn(0)
        if has_clock:
            self.environment = {
                "LD_PRELOAD": ":".join(map(os.path.abspath, [POWER, SHIM])),
                "FAULT_ONLY": "sync", "FAULT_WALL": self.wall,
                "FAULT_SLOW": self.slowness,
                "FAULT_DIR": self.directory, "POWER_DIR": self.directory,
                "POWER_LOST": self.lost}

    def use_disk(self):
        self.disk = Disk(os.path.join(self.cluster.directory, f"disk-{self.number}"))
        self.directory = os.path.join(self.disk.directory, "node")
        if self.environment:
            self.environment["FAULT_DIR"] = self.environment["POWER_DIR"] = self.directory

    def turn(self, seconds):
        """Its wall clock, so far away from ours from this moment on."""
        with open(self.wall, "r+b" if os.path.exists(self.wall) else "wb") as file:
            file.write(struct.pack("<q", seconds))

    def wipe(self):
        super().wipe()
        for name in os.listdir(self.lost):
            os.unlink(os.path.join(self.lost, name))

    def lose_power(self, dice, everything):
        """Of a node that is dead: what it has not synced is lost, or of each file some of it.
        Returns how many writes."""
        count = 0
        for name in sorted(os.listdir(self.lost)):
            with open(os.path.join(self.lost, name), "rb") as file:
                count += undo(file.read(), int(name), dice, everything)
        return count

    def slow_down(self, ms):
        """So long each sync of its disk takes."""
        with open(self.slowness, "w", encoding="ascii") as file:
            file.write(f"{ms}\n")

    def arguments(self, extra=()):
        """In a run each start may read in another way; whoever leads decides."""
        words = super().arguments(extra)
        if "--read-mode" in words:
            words[words.index("--read-mode") + 1] = self.dice.choice(
                ["lease", "lease", "readindex"])
        if "--join" in words and self.is_born() and (self.hurries or self.dice.random() < 0.5):
            at = words.index("--join")
            del words[at:at + 2]
        return words + [
            "--bind", self.host, "127.0.0.1", "--protected-mode", "no", "--cluster-secret", "chaos"]

    def before_exec(self):
        self.space.enter_and_die()

    def connect(self, timeout=10.0):
        """From within, so that it can be asked whatever happens to the network."""
        return self.space.call(Connection, self.port, self.host, timeout)
