"""Sessions that hop by token over many partitions, by dice: campaign_hops.py says what happens.
QUORATE_SEED repeats a run; QUORATE_STEPS makes it longer."""
import os
import random

import pytest

from campaign_hops import HopCampaign
from campaign_sessions import LEVELS

SEED = int(os.environ.get("QUORATE_SEED", random.randrange(1 << 30)))
STEPS = int(os.environ.get("QUORATE_STEPS", 5))


@pytest.mark.parametrize("seed", [SEED])
def test_no_session_goes_back_while_keyspaces_come_and_partitions_move(seed):
    with HopCampaign(seed) as campaign:
        campaign.create(campaign.cluster.nodes[0])
        campaign.run(STEPS)
        verdict = campaign.finish()
        print(verdict, len(campaign.fields))
        assert campaign.levels == LEVELS
        assert sum(session.hops for session in campaign.sessions) > 50
