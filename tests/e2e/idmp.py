"""A client that sends a request again until it has an answer, with one id each time or without."""
import itertools
import time

from cluster import PATIENCE
from resp import Closed, Error
from worker import Worker

# What is sent again: nothing was done, or nobody knows.
AGAIN = ("CLUSTERDOWN", "UNCERTAIN", "TRYAGAIN", "LOADING", "THROTTLED")
SECONDS = 20.0  # without luck


class Requests:
    """One producer: each of its requests has an id of its own, which all tries carry. That is all
    that a client has to do. With `pid` None there are no ids."""

    def __init__(self, cluster, pid, keyspace=None):
        self.cluster, self.pid, self.keyspace = cluster, pid, keyspace
        self.numbers = itertools.count(1)
        self.turn = 0
        self.tries = 0
        self.connection = None

    def words(self, iid, command):
        return command if self.pid is None else ("WITH", 3, "IDMP", self.pid, iid, *command)

    def connect(self):
        nodes = [node for node in self.cluster.nodes if node.process is not None]
        connection = nodes[self.turn % len(nodes)].connect(timeout=3.0)
        if self.keyspace is not None:
            connection.call("SELECT", self.keyspace)
        return connection

    def drop(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None
        self.turn += 1

    def once(self, words):
        self.tries += 1
        self.connection = self.connection or self.connect()
        return self.connection.call(*words)

    def call(self, *command, iid=None):
        words = self.words(iid or next(self.numbers), command)
        deadline = time.monotonic() + SECONDS * PATIENCE
        while True:
            try:
                return self.once(words)
            except (Closed, OSError, Error) as reason:
                if isinstance(reason, Error) and reason.kind() not in AGAIN:
                    raise
                if time.monotonic() > deadline:
                    raise
                self.drop()
                time.sleep(0.01)


class Counter(Worker):
    """Counts up a key until it is told to end, or has done so a number of times."""

    def __init__(self, cluster, pid, key, most=None, keyspace=None):
        super().__init__()
        self.requests = Requests(cluster, pid, keyspace)
        self.key, self.most = key, most
        self.replies = []

    def work(self):
        while not self.ending.is_set() and len(self.replies) != self.most:
            self.replies.append(self.requests.call("INCR", self.key))
