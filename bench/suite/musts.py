"""The bounds that this bench can decide, and whether they are reached.

A bound holds when both our best pass against the other's best pass and the ratio of the medians
keep it. Ones without another side are absolute.
"""
import dataclasses

from figures import ratios, summarise


@dataclasses.dataclass(frozen=True)
class Must:
    """`ours` and `theirs` are (operation, row); the ratio ours / theirs of the figure in the cell
    is at least `bound`, or at most it for figures of which less is better."""
    group: str
    text: str
    figure: str
    cell: str
    ours: tuple
    theirs: tuple
    bound: float
    aim: float = 0.0
    at_least: bool = True


SET, FLOOR, ETCD = ("set", "quorate"), ("set", "floor"), ("set", "etcd")
WAIT = ("set", "redis always + WAIT 1")
ANY, RECEIVED = ("primary", "ANY 1, logical"), ("primary", "ANY 1 received, logical")
WRITTEN = ("primary", "ANY 1 received everysec, logical")
PRIMARY_EVERYSEC = ("primary", "redis everysec")
PRIMARY_WAIT, PRIMARY_SYNCED = (("primary", f"redis {fsync} + WAIT 1")
                                for fsync in ("everysec", "always"))
LOCAL = ("primary", "LOCAL everysec, logical")
LAG = ("lag", "LOCAL everysec, logical")
LEASE, INDEX = ("get", "quorate lease"), ("get", "quorate readindex")
GET_FLOOR, GET_ETCD, GET_REDIS = ("get", "floor"), ("get", "etcd"), ("get", "redis everysec")
OPS, P50, P99, CPU = "ops_per_s", "p50_us", "p99_us", "server_cpu_s_per_100k"


def at_least(group, text, cell, ours, theirs, bound, aim=0.0):
    return Must(group, text, OPS, cell, ours, theirs, bound, aim)


def at_most(group, text, figure, cell, ours, theirs, bound):
    return Must(group, text, figure, cell, ours, theirs, bound, at_least=False)


MUSTS = (
    at_least("must", "SET, 64 connections / floor", "c64", SET, FLOOR, 0.55, 0.80),
    at_least("must", "SET, 64 connections / etcd", "c64", SET, ETCD, 4.0),
    at_least("must", "SET, pipelined / floor", "p16", SET, FLOOR, 0.43, 0.70),
    at_least("must", "SET, pipelined / etcd", "p16", SET, ETCD, 10.0),
    at_most("must", "SET, 1 connection: p50 / floor", P50, "c1", SET, FLOOR, 1.5),
    at_most("must", "SET, 64 connections: p99 / etcd", P99, "c64", SET, ETCD, 0.2),
    at_most("must", "SET, 64 connections: CPU / floor", CPU, "c64", SET, FLOOR, 2.1),
    at_most("must", "SET, pipelined: CPU / floor", CPU, "p16", SET, FLOOR, 3.0),
    at_least("must", "GET by lease, 64 connections / redis", "c64", LEASE, GET_REDIS, 0.85),
    at_least("must", "GET by lease, pipelined / floor", "p16", LEASE, GET_FLOOR, 0.45),
    at_least("must", "GET by read index, 64 connections / floor", "c64", INDEX, GET_FLOOR, 0.35),
    at_least("must", "GET by read index, pipelined / floor", "p16", INDEX, GET_FLOOR, 0.35),
    at_most("must", "SET, a follower killed: p99 / healthy", P99, "c64",
            ("fault", "a follower killed"), ("fault", "healthy"), 3.0),
    at_most("must", "SET, a follower stopped: p99 / healthy", P99, "c64",
            ("fault", "a follower stopped"), ("fault", "healthy"), 3.0),
    at_least("G1", "SET, 64 connections / redis always + WAIT 1", "c64", SET, WAIT, 1.6),
    at_least("G2", "SET, pipelined / redis always + WAIT 1", "p16", SET, WAIT, 2.0),
    at_least("G3", "SET, 1 connection / etcd", "c1", SET, ETCD, 1.6, 2.1),
    at_most("G3", "SET, 1 connection: p50 in microseconds", P50, "c1", SET, None, 330.0),
    at_most("G4", "SET, 64 connections: CPU / etcd", CPU, "c64", SET, ETCD, 1 / 7),
    at_most("G4", "SET, pipelined: CPU / etcd", CPU, "p16", SET, ETCD, 1 / 15),
    at_least("G8", "GET by lease, 64 connections / etcd", "c64", LEASE, GET_ETCD, 11.0),
    at_least("G8", "GET by lease, pipelined / etcd", "p16", LEASE, GET_ETCD, 50.0),
    at_least("G9", "GET by read index, 64 connections / etcd", "c64", INDEX, GET_ETCD, 6.0),
    at_least("G6", "LOCAL everysec, 16 connections / redis everysec", "c16", LOCAL,
             PRIMARY_EVERYSEC, 1.0, 1.2),
    at_least("G6", "LOCAL everysec, 64 connections / redis everysec", "c64", LOCAL,
             PRIMARY_EVERYSEC, 1.0, 1.2),
    at_least("G6", "LOCAL everysec, pipelined / redis everysec", "p16", LOCAL, PRIMARY_EVERYSEC,
             1.0, 1.2),
    at_most("G6", "LOCAL everysec, 16 connections: CPU / redis everysec", CPU, "c16", LOCAL,
            PRIMARY_EVERYSEC, 1.0),
    at_most("G6", "LOCAL everysec, 64 connections: CPU / redis everysec", CPU, "c64", LOCAL,
            PRIMARY_EVERYSEC, 1.0),
    at_most("G6", "LOCAL everysec, pipelined: CPU / redis everysec", CPU, "p16", LOCAL,
            PRIMARY_EVERYSEC, 1.0),
    at_least("must", "ANY 1, 64 connections / redis always + WAIT 1", "c64", ANY, PRIMARY_SYNCED,
             1.6),
    at_least("must", "ANY 1, pipelined / redis always + WAIT 1", "p16", ANY, PRIMARY_SYNCED, 2.0),
    at_least("G7", "ANY 1 received everysec, 64 connections / redis everysec + WAIT 1", "c64",
             WRITTEN, PRIMARY_WAIT, 1.2, 1.5),
    at_least("G7", "ANY 1 received everysec, pipelined / redis everysec + WAIT 1", "p16", WRITTEN,
             PRIMARY_WAIT, 1.3, 1.5),
    at_least("must", "ANY 1 received, 64 connections / redis everysec + WAIT 1", "c64", RECEIVED,
             PRIMARY_WAIT, 1.2),
    at_least("must", "ANY 1 received, pipelined / redis everysec + WAIT 1", "p16", RECEIVED,
             PRIMARY_WAIT, 1.2),
    at_most("must", "lag of a follower, 64 connections: p99 in microseconds", P99, "c64", LAG, None,
            10000.0),
    at_most("must", "lag of a follower, pipelined: p99 in microseconds", P99, "p16", LAG, None,
            10000.0),
)


def keeps(must, value):
    return value >= must.bound if must.at_least else value <= must.bound


def verdict_of(must, median, best):
    if median is None or best is None:
        return "not decided"
    if keeps(must, median) and keeps(must, best):
        return "reached"
    return "NOT reached"


def judge(must, runs):
    """A dictionary for the report: both ratios and the verdict."""
    ours = summarise(runs, *must.ours, must.cell)
    theirs = summarise(runs, *must.theirs, must.cell) if must.theirs else None
    median = best = None
    if ours and must.theirs is None:
        median, best = ours[must.figure], ours["best_" + must.figure]
    elif ours and theirs:
        median, best = ratios(ours, theirs, must.figure)
    return {"group": must.group, "text": must.text, "at_least": must.at_least,
            "bound": must.bound, "aim": must.aim, "median": median, "best": best,
            "verdict": verdict_of(must, median, best),
            "noisy": best is not None and any(side["noisy"] for side in (ours, theirs) if side)}


def judge_all(runs):
    """Of the tables that were measured."""
    measured = {run["operation"] for run in runs}
    return [judge(must, runs) for must in MUSTS if must.ours[0] in measured]
