"""What the machine takes for itself. A bound in seconds is kept by nodes that run and by disks that
sync; a processor that others have, or a sync of half a second, is not their doing.

A thread syncs a small file again and again, as nodes do. How long it had to wait beyond what is
usual is what the machine stood still for it, and may be taken off a time that a test has measured.
On a machine that has nothing else to do that is nothing, and bounds hold as they are written.
"""
import os
import threading
import time

USUAL_S = 0.05  # a turn of the thread on a machine that goes on: a nap, a sync
NAP_S = 0.02


class Stalls(threading.Thread):
    """`with Stalls(directory) as stalls:`; the directory is on the disk of the nodes."""

    def __init__(self, directory):
        super().__init__(daemon=True)
        self.path = os.path.join(directory, "stalls")
        self.turns = []  # that took longer than is usual: when they began, and ended
        self.ending = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.join()

    def run(self):
        with open(self.path, "wb", buffering=0) as file:
            while not self.ending.is_set():
                began = time.monotonic()
                os.pwrite(file.fileno(), b"x" * 4096, 0)
                os.fdatasync(file.fileno())
                time.sleep(NAP_S)
                ended = time.monotonic()
                if ended - began > USUAL_S:
                    self.turns.append((began + USUAL_S, ended))

    def longest(self):
        return max((end - begin for begin, end in self.turns), default=0.0)

    def within(self, began, ended):
        """Seconds between these two for which the machine stood still."""
        return sum(max(0.0, min(end, ended) - max(begin, began)) for begin, end in self.turns)
