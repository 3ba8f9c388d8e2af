"""Makes the harness beside this file importable, and says what the tests share."""
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))

import pytest  # noqa: E402

from cluster import CALM, Cluster, running_clusters  # noqa: E402


@pytest.fixture(scope="module")
def three():
    """Three nodes that nobody harms, shared by the tests of a file."""
    with Cluster(3, CALM) as cluster:
        yield cluster


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    """A failure is shown with the logs of the nodes that were running then."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for cluster in running_clusters:
            report.sections.append(("cluster", cluster.logs()))
