"""A replica that is held behind: it stores and acknowledges what the others write, and applies
nothing of it, until it is let go. Its node goes on answering."""
import contextlib
import os

from cluster import Cluster, wait_for
from failpoints import Table


def prepare(cluster):
    """Before the nodes are started: each gets a table of failpoints."""
    for node in cluster.nodes:
        node.failpoints = Table(os.path.join(cluster.directory, f"failpoints-{node.number}"))
        node.environment.update(node.failpoints.environment())


@contextlib.contextmanager
def cluster(*arguments, **options):
    """A Cluster that runs, each node of which can be held behind."""
    with Cluster(*arguments, start=False, **options) as nodes:
        prepare(nodes)
        nodes.start()
        yield nodes


@contextlib.contextmanager
def held(node):
    """All replicas of that node, one that follows everywhere: a leader that applies nothing answers
    no write."""
    node.failpoints.arm("APPLY_SLICE", action="EAGAIN", lasts=True)
    try:
        yield
    finally:
        node.failpoints.disarm("APPLY_SLICE")


def local(node, *words):
    """What its own replica shows."""
    return node.call("WITH", 2, "READ", "local", *words)


def shows(node, key, value):
    wait_for(lambda: local(node, "GET", key) == value, f"node {node.number} shows {key}={value}")
