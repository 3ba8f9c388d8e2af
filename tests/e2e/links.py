"""The connections between the nodes of a cluster, through forwarders that can cut them: each node
is told other ports of the others, one for each pair, so that every direction can be cut by itself.
"""
import contextlib
import socket
import threading
import time

from cluster import Node

CHUNK = 1 << 18


class LinkedNode(Node):
    """A node that dials the others through links."""

    links = None

    def arguments(self, extra=()):
        words = super().arguments(extra)
        for at in [i for i, word in enumerate(words) if word == "--member"]:
            number = int(words[at + 1])
            if number != self.number:
                words[at + 4] = str(self.links.port(self.number, number))
        return words


class Links:
    """A cut loses everything that is sent, as a network does, and says nothing; a connection that
    has lost something is closed when the cut heals."""

    def __init__(self, nodes):
        self.targets = {node.number: node.peer_port for node in nodes}
        self.lost, self.ended = set(), False
        self.listeners = {(here, there): socket.create_server(("127.0.0.1", 0))
                          for here in self.targets for there in self.targets if here != there}
        for pair in self.listeners:
            self.start(self.accept, pair)

    @staticmethod
    def start(run, *arguments):
        threading.Thread(target=run, args=arguments, daemon=True).start()

    def port(self, here, there):
        return self.listeners[here, there].getsockname()[1]

    def cut(self, pairs):
        """Nothing goes from the first to the second of each pair any more."""
        self.lost = self.lost | set(pairs)

    def isolate(self, number):
        self.cut([pair for pair in self.listeners if number in pair])

    def heal(self):
        self.lost = set()

    def close(self):
        self.ended = True
        for listener in self.listeners.values():
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def accept(self, pair):
        here, there = pair
        while not self.ended:
            try:
                near, _ = self.listeners[pair].accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.targets[there]), timeout=1)
            except OSError:
                near.close()
                continue
            for end in (near, far):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.start(self.forward, near, far, (here, there))
            self.start(self.forward, far, near, (there, here))

    def forward(self, source, target, pair):
        with contextlib.suppress(OSError):
            data = source.recv(CHUNK)
            while data and pair not in self.lost:
                target.sendall(data)
                data = source.recv(CHUNK)
        while pair in self.lost and not self.ended:
            time.sleep(0.01)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
