"""The load generator (tests/e2e/load) as an object: started, watched, steered, judged."""
import contextlib
import mmap
import os
import struct
import subprocess

from cluster import BINARY, LOAD, PATIENCE, die_with_parent, wait_for

WORDS = ("acknowledged", "reads", "uncertain", "lost", "refused", "writes_in_flight", "rate",
         "unexpected", "uncertain_reads", "connections")


class LoadGenerator:
    """Many pipelining clients against the nodes of a cluster."""

    def __init__(self, cluster, clients=18, depth=16, rate=12000, seed=1, patience_ms=8000,
                 keyspace=None):
        self.progress_path = os.path.join(cluster.directory, "progress")
        self.history_path = os.path.join(cluster.directory, "history")
        with open(self.progress_path, "wb") as file:
            file.truncate(4096)
        with open(self.progress_path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 4096)
        ports = ",".join(str(node.port) for node in cluster.nodes)
        self.process = subprocess.Popen(
            [LOAD, "--ports", ports, "--clients", str(clients), "--depth", str(depth), "--rate",
             str(rate), "--progress", self.progress_path, "--history", self.history_path,
             "--seed", str(seed), "--patience-ms", str(int(patience_ms * PATIENCE)),
             *(["--keyspace", keyspace] if keyspace else [])],
            stdout=subprocess.PIPE, preexec_fn=die_with_parent)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def word(self, name):
        return struct.unpack_from("<Q", self.page, 8 * WORDS.index(name))[0]

    def wait_for_acknowledged(self, more, seconds=15.0):
        goal = self.word("acknowledged") + more
        wait_for(lambda: self.word("acknowledged") >= goal, f"{more} more writes", seconds, 0.002)

    def wait_for_flight(self, writes):
        """Until so many writes are without a reply; they come and go within a millisecond."""
        wait_for(lambda: self.word("writes_in_flight") >= writes, "writes in flight", 5, 0)

    def finish(self, seconds=60.0):
        """Stops sending, reads everything once more. Returns the summary; fails when the
        generator found something wrong."""
        self.process.terminate()
        output, _ = self.process.communicate(timeout=seconds * PATIENCE)
        text = output.decode()
        assert self.process.returncode == 0, f"the load generator complains:\n{text}"
        lines = [line.split() for line in text.splitlines()]
        return {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdigit()}

    def check_history(self, seconds=120.0):
        """Is what the clients saw linearizable?"""
        done = subprocess.run([BINARY, "check-history", self.history_path], text=True,
                              timeout=seconds * PATIENCE, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, f"check-history: {done.stdout[-4000:]}"
        return done.stdout


class UnderLoad:
    """What has a cluster, and a load that `begin` returns once the cluster is started."""

    cluster = load = ends = None

    def begin(self):
        raise NotImplementedError

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.cluster)
            self.load = stack.enter_context(self.begin())
            self.ends = stack.pop_all()
        return self

    def __exit__(self, *problem):
        self.ends.__exit__(*problem)
