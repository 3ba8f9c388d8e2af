"""kill -9 at every failpoint, as leader and as follower, and once more while it recovers.

Scenarios 26, 35, 36, 38, 56, 57, 60, 102, 104, 106, 107. The cases come from src/io/failpoints.def:
a point that nothing reaches fails its case, and a place cannot have a point that is not listed
there. Several clusters run side by side; each case waits for its own result.
"""
import concurrent.futures
import os
import random
import threading
import time

import pytest

from campaign import BORN, Campaign, cases, groups_of, run_birth

SEED = int(os.environ.get("QUORATE_SEED", random.randrange(1 << 30)))
CLUSTERS = 3
CASES = list(cases())


class Runs:
    """Campaigns on threads, and a result for every case."""

    def __init__(self, selected):
        self.seconds = {}
        self.results = {case: concurrent.futures.Future() for case in selected}
        self.verdicts = [concurrent.futures.Future() for _ in range(CLUSTERS)]
        self.pool = concurrent.futures.ThreadPoolExecutor(CLUSTERS + 1)
        born = [case for case in selected if case.role == "newborn"]
        others = [case for case in selected if case.role != "newborn"]
        random.Random(SEED).shuffle(others)
        self.pool.submit(self.births, born)
        for i in range(CLUSTERS):
            self.pool.submit(self.campaign, i, others[i::CLUSTERS])

    def births(self, born):
        born.sort(key=lambda case: case.hit)
        for group in groups_of(born, BORN):
            for case, problem in zip(group, [attempt(run_birth, group)] * len(group)):
                settle(self.results[case], problem)

    def campaign(self, number, todo):
        seed, verdict = SEED + number, None
        while todo:
            before = len(todo)
            problem = attempt(self.one_cluster, seed, todo)
            verdict = verdict or problem
            seed += CLUSTERS
            if len(todo) == before:  # not even a first case: this cluster does not start
                settle(self.results[todo.pop(0)], problem)
        settle(self.verdicts[number], verdict)

    def one_cluster(self, seed, todo):
        """Until a case fails: what comes after it needs a cluster that is whole."""
        with Campaign(seed) as campaign:
            while todo:
                case = todo.pop(0)
                began = time.monotonic()
                problem = attempt(campaign.run, case)
                self.seconds[case] = time.monotonic() - began
                if problem is not None:
                    problem = AssertionError(f"{problem}\n{campaign.cluster.logs()}")
                settle(self.results[case], problem)
                if problem is not None:
                    return
            campaign.finish()


def attempt(work, *arguments):
    try:
        work(*arguments)
        return None
    except BaseException as problem:  # pylint: disable=broad-except
        return problem


def settle(future, problem):
    if problem is None:
        future.set_result(None)
    else:
        future.set_exception(problem)


@pytest.fixture(scope="module")
def runs(request):
    print(f"QUORATE_SEED={SEED}")
    chosen = [item.callspec.params["case"] for item in request.session.items
              if "case" in getattr(getattr(item, "callspec", None), "params", {})]
    runs = Runs(chosen)
    yield runs
    runs.pool.shutdown()
    for case, seconds in sorted(runs.seconds.items(), key=lambda pair: -pair[1])[:10]:
        print(f"# {seconds:.1f} s {case}")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_at(case, runs):
    assert threading.current_thread() is threading.main_thread()
    try:
        runs.results[case].result(300)
    except Exception:
        print(f"QUORATE_SEED={SEED}")
        raise


@pytest.mark.parametrize("number", range(CLUSTERS))
def test_nothing_is_lost_and_history_is_linearizable(number, runs):
    runs.verdicts[number].result(300)
