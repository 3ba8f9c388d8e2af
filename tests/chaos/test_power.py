"""What loses its power loses what it has not synced, and nothing else (power_shim.c, seats.py)."""
import os
import subprocess
import sys
import types

import pytest

from cluster import BINARY
from seats import POWER, undo, unsynced

pytestmark = pytest.mark.skipif("asan" in BINARY, reason="a sanitizer is to be loaded first")
EVERYTHING = types.SimpleNamespace(random=lambda: 0.9)
ALL = types.SimpleNamespace(random=lambda: 0.0)
NONE = types.SimpleNamespace(random=lambda: 0.9)
PROGRAM = """
import os
fd = os.open("file", os.O_RDWR | os.O_CREAT)
{}
"""


class Harmed:
    """A directory that a program has written to until it was killed, and what it left unsynced."""

    def __init__(self, tmp_path):
        self.directory, self.lost = str(tmp_path / "node"), str(tmp_path / "lost")
        os.makedirs(self.directory)
        os.makedirs(self.lost)

    def run(self, program):
        environment = dict(os.environ, LD_PRELOAD=os.path.abspath(POWER), POWER_DIR=self.directory,
                           POWER_LOST=self.lost)
        subprocess.run([sys.executable, "-c", PROGRAM.format(program)], cwd=self.directory,
                       env=environment, check=True)

    def records(self):
        found = []
        for name in os.listdir(self.lost):
            with open(os.path.join(self.lost, name), "rb") as file:
                found.append((int(name), file.read()))
        return found

    def lose(self, dice=ALL):
        return sum(undo(data, inode, dice, dice is EVERYTHING) for inode, data in self.records())

    def text(self):
        with open(os.path.join(self.directory, "file"), "rb") as file:
            return file.read()


@pytest.fixture(name="harmed")
def _harmed(tmp_path):
    return Harmed(tmp_path)


@pytest.mark.parametrize("sync", ["fsync", "fdatasync"])
def test_what_was_synced_stays(harmed, sync):
    harmed.run(f"os.pwrite(fd, b'first', 0); os.{sync}(fd)")
    assert harmed.records() == [] and harmed.text() == b"first"


def test_what_was_not_is_as_it_was(harmed):
    harmed.run("os.pwrite(fd, b'first', 0); os.fdatasync(fd); os.pwrite(fd, b'SEC', 1);"
               "os.pwrite(fd, b'third', 3)")
    assert harmed.text() == b"fSEthird"
    assert harmed.lose(NONE) == 0 and harmed.text() == b"fSEthird"
    assert harmed.lose() == 2 and harmed.text() == b"first"


def test_what_never_was_synced_is_empty(harmed):
    harmed.run("os.pwrite(fd, b'first', 0); os.pwrite(fd, b'second', 5)")
    assert harmed.lose(EVERYTHING) == 2 and harmed.text() == b""


def test_each_may_be_lost_alone(harmed):
    harmed.run("os.pwrite(fd, b'1111', 0); os.fdatasync(fd); os.pwrite(fd, b'2', 2);"
               "os.pwrite(fd, b'3', 3)")
    luck = iter([0.9, 0.1, 0.9])  # not all of them; the last one; not the one before
    assert harmed.lose(types.SimpleNamespace(random=lambda: next(luck))) == 1
    assert harmed.text() == b"1121"


def test_another_file_of_that_name_is_left_alone(harmed):
    harmed.run("os.pwrite(fd, b'first', 0); open('other', 'w').write('other');"
               "os.rename('other', 'file')")
    assert harmed.lose() == 0 and harmed.text() == b"other"


def test_half_a_record_is_none(harmed):
    harmed.run("os.pwrite(fd, b'first', 0); os.fdatasync(fd); os.pwrite(fd, b'second', 0)")
    (_, data), = harmed.records()
    path = os.path.join(harmed.directory, "file")
    assert list(unsynced(data)) == [(path, 0, b"first", 5)]
    assert list(unsynced(data * 2)) == 2 * list(unsynced(data))
    for n in range(1, len(data)):
        assert len(list(unsynced(data + data[:n]))) == 1
