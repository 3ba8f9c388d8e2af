"""Requests that are sent again under all that can happen, by dice: campaign_idmp.py says what.
QUORATE_SEED repeats a run; QUORATE_STEPS makes it longer."""
import os
import random

import pytest

from campaign_idmp import IdmpCampaign

SEED = int(os.environ.get("QUORATE_SEED", random.randrange(1 << 30)))
STEPS = int(os.environ.get("QUORATE_STEPS", 8))


@pytest.mark.parametrize("seed", [SEED])
def test_each_request_is_counted_once_while_nodes_die_and_partitions_move(seed):
    with IdmpCampaign(seed) as campaign:
        campaign.run(STEPS)
        campaign.finish()
        producers = campaign.producers
        print(f"{campaign.count()} requests, "
              f"{sum(p.tries for p in producers)} tries, {sum(p.twice for p in producers)} twice "
              f"at once, {sum(p.again for p in producers)} old ones, "
              f"{sum(p.misused for p in producers)} misused")
        assert campaign.count() > 40 * STEPS
        assert all(sum(getattr(p, what) for p in producers) > 0
                   for what in ("twice", "again", "misused"))
