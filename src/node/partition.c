#include "node/partition.h"

#include "base/alloc.h"
#include "engine/engine.h"
#include "node/births.h"
#include "node/keeper.h"
#include "node/lagging.h"
#include "node/quarantine.h"
#include "node/regain.h"
#include "node/repair.h"
#include "node/reporting.h"
#include "node/replica.h"
#include "node/standing.h"
#include "node/rollback.h"
#include "node/transfers.h"

#include <string.h>

struct partition *partition_new(struct node *node, uint32_t group)
{
    struct partition *p = qr_zalloc_lines(sizeof *p);
    p->node = node;
    p->group = group;
    p->awake = group == 0;
    p->wake = p->due = QR_NEVER;
    p->heap_at = UINT32_MAX;
    leaders_adopt(p);
    return p;
}

void partition_close_replica(struct partition *p)
{
    regain_free(p);
    lagging_forget(p);
    if (p->replica != NULL) {
        replica_free(p->replica);
        p->replica = NULL;
        reporting_note(p);
        standing_forget(p);
        memset(p->told_of, 0, sizeof p->told_of); /* the next one takes all to be away */
        p->told_at = 0;
    }
    repairer_free(p->repairer);
    p->repairer = NULL;
}

void partition_strip(struct partition *p)
{
    quarantine_free(p);
    if (p->keeper != NULL) {
        keeper_free(p->keeper);
        p->keeper = NULL;
    }
    transfers_close(p);
}

void partition_free(struct partition *p)
{
    reporting_forget(p);
    rollback_free(p);
    if (p->engine != NULL) {
        engine_free(p->engine);
    }
    free(p->track.relays);
    free(p);
}

void partition_house(struct partition *p, qr_time now)
{
    partition_wake_at(p, quarantine_turn(p, now));
    repairer_turn(p, now);
    rollback_turn(p, now);
    regain_turn(p, now);
    births_turn(p, now);
}

void partition_tidy(struct partition *p)
{
    p->again = engine_idle(p->engine) || p->again;
}
