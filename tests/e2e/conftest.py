"""Makes the harness beside this file importable, and says what the tests share."""
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))

import pytest  # noqa: E402

from cluster import Cluster  # noqa: E402


@pytest.fixture(scope="module")
def three():
    """Three nodes that nobody harms, shared by the tests of a file."""
    with Cluster(3) as cluster:
        yield cluster
