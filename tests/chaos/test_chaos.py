"""Chaos for a minute: chaos.py says what happens. QUORATE_SEED repeats a kind of run,
QUORATE_SECONDS makes it longer; make chaos keeps a report as well."""
import os
import random

import pytest

from chaos import Chaos

SEED = int(os.environ.get("QUORATE_SEED", random.randrange(1 << 30)))
SECONDS = float(os.environ.get("QUORATE_SECONDS", 60))


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize("seed", [SEED])
def test_what_is_promised_holds_whatever_happens(seed):
    with Chaos(seed) as chaos:
        chaos.run_for(SECONDS)
        summary = chaos.finish()
    print(f"figure: {summary}")
    assert summary["leaders"] > 1
    alone = summary["acknowledged"] - summary["in_pipelines"]  # without the scribes, who are quick
    assert alone > 5 * SECONDS  # or nothing was tried
