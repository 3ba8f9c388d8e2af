#!/usr/bin/python3
"""The failpoints of a build with a flavor: their list, and the table that a node maps.

    failpoints.py FILE                            shows the hits and what is armed; makes the file
    failpoints.py FILE NAME N kill|stop|EIO|...   at the N-th hit from now

A node that is started with QUORATE_FAILPOINTS=FILE counts and obeys (src/io/failpoint.c).
"""
import collections
import errno
import mmap
import os
import re
import signal
import struct
import sys

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../src/io/failpoints.def")
ROW = re.compile(r'^FAILPOINT\((\w+), (\w+), (true|false), "(.*)"\)$', re.M)

Point = collections.namedtuple("Point", "name life errors text")

with open(SOURCE, encoding="ascii") as _file:
    POINTS = [Point(name, life, errors == "true", text)
              for name, life, errors, text in ROW.findall(_file.read())]
INDEX = {point.name: i for i, point in enumerate(POINTS, 1)}  # 0 is nowhere

SIGNAL, LASTS = 0x1000, 0x2000
WORDS = 2 * (1 + len(POINTS) + 1)


def action_of(word):
    if word in ("kill", "stop"):
        return SIGNAL | (signal.SIGKILL if word == "kill" else signal.SIGSTOP)
    return getattr(errno, word)


class Table:
    """One node's table. It outlives the node's lives."""

    def __init__(self, path):
        self.path = path
        if not os.path.exists(path):
            with open(path, "wb") as file:
                file.write(struct.pack("<Q", len(POINTS) + 1).ljust(8 * WORDS, b"\0"))
        with open(path, "r+b") as file:
            self.words = memoryview(mmap.mmap(file.fileno(), 8 * WORDS)).cast("Q")

    def environment(self):
        return {"QUORATE_FAILPOINTS": self.path}

    def hits(self, name):
        return self.words[2 + 2 * INDEX[name]]

    def arm(self, name, n=1, action="kill", lasts=False):
        word = action_of(action) | (LASTS if lasts else 0)
        self.words[3 + 2 * INDEX[name]] = (self.hits(name) + n) << 16 | word

    def disarm(self, name):
        """Returns the order that stood there: 0 when it has been carried out."""
        order = self.order(name)
        self.words[3 + 2 * INDEX[name]] = 0
        return order

    def disarm_all(self):
        for name in INDEX:
            self.disarm(name)

    def order(self, name):
        return self.words[3 + 2 * INDEX[name]]


def main():
    table = Table(sys.argv[1])
    if len(sys.argv) == 5:
        table.arm(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    for point in POINTS:
        order = table.order(point.name)
        armed = f"  armed at {order >> 16}" if order != 0 else ""
        print(f"{table.hits(point.name):10} {point.name}{armed}")


if __name__ == "__main__":
    main()
