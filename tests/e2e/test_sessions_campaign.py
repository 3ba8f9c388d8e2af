"""Sessions that hop between nodes under kills and cuts, by dice: campaign_sessions.py says what
happens. QUORATE_SEED repeats a run; QUORATE_STEPS makes it longer."""
import os
import random

import pytest

from campaign_sessions import LEVELS, SessionCampaign

SEED = int(os.environ.get("QUORATE_SEED", random.randrange(1 << 30)))
STEPS = int(os.environ.get("QUORATE_STEPS", 12))


@pytest.mark.parametrize("seed", [SEED])
def test_scenario_66_70_76_each_level_keeps_its_guarantees_while_clients_hop_and_nodes_die(seed):
    with SessionCampaign(seed) as campaign:
        campaign.run(STEPS)
        verdict = campaign.finish()
        print(verdict, [session.again for session in campaign.sessions])
        assert campaign.levels == LEVELS
        assert sum(session.hops for session in campaign.sessions) > 50
