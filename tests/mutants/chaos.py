"""Bugs in the relay of tests/chaos, and those that only a real network shows: (name, judge, file,
what stands there, what to put in its place), as in driver.py.
"""

RELAY = [
    ("relay: links have the same luck", "unit/netfault/netfault", "schedule.c",
     "struct rng mix = rng_from(seed ^ (((uint64_t)i + 1) << 32));",
     "struct rng mix = rng_from(seed);"),
    ("relay: jitter reorders", "unit/netfault/netfault", "schedule.c",
     "p->due_us = max_of(p->due_us, link->last_us);", ""),
    ("relay: what is reordered holds the others up", "unit/netfault/netfault", "schedule.c",
     "if (!p->reordered) {", "if (true) {"),
    ("relay: a cut spares what is under way", "unit/netfault/netfault", "schedule.c",
     "if (here && faults.cut != 0) {", "if (here && false) {"),
    ("relay: who has bandwidth again still waits", "unit/netfault/netfault", "schedule.c",
     "if (here) { plan(link, now_us, p); }", "(void)now_us;"),
    ("relay: bandwidth that was not used is saved up", "unit/netfault/netfault", "schedule.c",
     "sent = max_of(now_us, link->free_us) +", "sent = link->free_us +"),
    ("relay: a queue without bound", "unit/netfault/netfault", "schedule.c",
     "link->queued_bytes += p->n;", ""),
    ("relay: chances depend on what else is wrong", "unit/netfault/netfault", "schedule.c",
     "uint64_t again_us = rng_below(&link->rng, faults->jitter_us + 1);",
     "uint64_t again_us = duplicated ? rng_below(&link->rng, faults->jitter_us + 1) : 0;"),
    ("relay: half of an order is carried out", "unit/netfault/netfault", "command.c",
     'return "no such fault, or not a number that it can have";',
     "schedule_set(s, now_us, from, to, (struct faults){ .cut = 1 }); "
     'return "no such fault, or not a number that it can have";'),
]

NODE = [
    ("link: TCP goes on trying at intervals that double",
     "chaos/cuts::test_scenario_45_a_cut_is_over_when_it_is_over_however_long_it_was", "link.c",
     "io_stream_unheard_max(link->stream, UNHEARD_MS);", ""),
    ("link: TCP goes on dialing at intervals that double",
     "chaos/cuts::test_who_was_started_during_a_cut_is_met_when_it_is_over", "link.c",
     "if (link->state != LINK_UP && link->since < since) {",
     "if (link->state != LINK_UP && link->state != LINK_DIALING && link->since < since) {"),
    ("link: an entry that was dropped sends a newcomer away",
     "chaos/cuts::test_scenario_29_nobody_is_sent_away_for_an_entry_that_was_never_committed",
     "members.c", "peers_stay(node->peers, i);", ""),
    ("link: a log that is behind is a witness",
     "chaos/cuts::test_scenario_29_nobody_is_sent_away_for_an_entry_that_was_never_committed",
     "members.c", "return !claim->made || slot > claim->slot;", "return claim->made || slot > 0;"),
]
