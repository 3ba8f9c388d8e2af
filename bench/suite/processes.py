"""Systems that are made of processes: started in a directory of their own, ended with us."""
import os
import shutil
import socket
import subprocess

from cluster import die_with_parent
from rows import Row

LOG_SHOWN = 2000  # bytes of a process that did not start


class BenchError(Exception):
    """Why there are no figures. Its text is for the reader."""


def port_answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Processes:
    """What to override: `name`, `start` (returns when the system serves), `locate`."""
    name = ""
    protocol = "resp"  # lbench's word
    needs = ()  # programs that have to be installed
    package = ""  # where they are in Debian

    def __init__(self, directory):
        self.directory = os.path.join(directory, "data-" + self.name)
        self.processes, self.words = [], []

    @classmethod
    def missing(cls):
        return [program for program in cls.needs if shutil.which(program) is None]

    def make_directory(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)

    def log_path(self, number):
        return os.path.join(self.directory, f"{number}.log")

    def spawn(self, *words):
        self.words.append(words)
        self.processes.append(None)
        self.respawn(len(self.words) - 1)

    def respawn(self, number):
        with open(self.log_path(number), "ab") as log:
            self.processes[number] = subprocess.Popen(
                self.words[number], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=die_with_parent)

    def check_running(self):
        for number, process in enumerate(self.processes):
            if process.poll() is not None:
                raise BenchError(f"{self.name}: {self.words[number][0]} ended by itself:\n"
                                 + self.log_end(number))

    def log_end(self, number):
        with open(self.log_path(number), "rb") as file:
            return file.read()[-LOG_SHOWN:].decode("utf-8", "replace")

    def locate(self):
        """The port of the node that takes writes, now."""
        raise NotImplementedError

    def ports(self):
        """Of all nodes that clients may ask."""
        return [self.locate()]

    def pids(self):
        return [process.pid for process in self.processes]

    def rows_to_fill(self):
        """The fill's requests, as rows of a table."""
        return [Row("set", "fill", self.name, "")]

    def use(self, row):
        """The row is measured next; what `locate` finds may depend on it."""

    def keyspace(self):
        """SELECTed before the requests of the row in use; 0: none is."""
        return 0

    def ask_follower(self):
        """(port, words before GET): who shows what a follower has, and how."""
        raise NotImplementedError

    def close(self):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
        self.processes, self.words = [], []
        shutil.rmtree(self.directory, ignore_errors=True)
