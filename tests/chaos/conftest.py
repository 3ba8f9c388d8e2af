"""Makes the harness beside this file importable, and that of tests/e2e."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "e2e")]

import pytest  # noqa: E402

import namespaces  # noqa: E402


@pytest.fixture(scope="session")
def inside():
    """Namespaces of its own for this process; a machine that cannot do it says what is missing."""
    try:
        namespaces.enter()
    except namespaces.Missing as missing:
        pytest.skip(str(missing))
