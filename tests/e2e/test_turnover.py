"""Turnover of members under load, by dice: campaign_members.py says what happens (rows R7, L5-L8;
scenarios 12-34, 45-63). QUORATE_SEED repeats a run; QUORATE_STEPS makes it longer."""
import os
import random

import pytest

from campaign_members import MemberCampaign

SEED = int(os.environ.get("QUORATE_SEED", random.randrange(1 << 30)))
STEPS = int(os.environ.get("QUORATE_STEPS", 20))


@pytest.mark.parametrize("seed", [SEED])
def test_scenario_12_20_members_come_go_die_and_forget_under_load(seed):
    with MemberCampaign(seed) as campaign:
        campaign.run(STEPS)
        campaign.finish()
