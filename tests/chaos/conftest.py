"""Makes the harness beside this file importable, and that of tests/e2e; what is run here has
namespaces of its own from the beginning."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "e2e")]

import pytest  # noqa: E402

import namespaces  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def _inside():
    """A machine that cannot do it says what is missing."""
    try:
        namespaces.enter()
    except namespaces.Missing as missing:
        pytest.skip(str(missing))
