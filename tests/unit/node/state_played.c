/* What is beside the state, played for apply_world.h: who compares it, and its checkpoints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apply_world.h"
#include "node/lagging.h"
#include "node/keeper.h"
#include "node/quarantine.h"

void quarantine_start(struct partition *partition)
{
    (void)partition;
}

void quarantine_note_state(struct partition *partition, qr_slot slot)
{
    (void)partition, (void)slot;
}

void quarantine_note_digest(struct partition *partition, qr_slot slot, uint64_t digest)
{
    (void)partition, (void)digest;
    world->noted = slot;
}

void quarantine_differs(struct partition *partition, qr_slot slot)
{
    world->differs = slot;
    replica_freeze(partition->replica, true);
}

qr_slot keeper_slot(const struct keeper *keeper)
{
    (void)keeper;
    return 0;
}

/* Nobody is behind (lagging_test.c). */
void lagging_turn(struct partition *p, qr_slot before, uint64_t bytes)
{
    (void)p;
    (void)before;
    (void)bytes;
}

enum behind lagging_rejects(const struct partition *p)
{
    (void)p;
    return BEHIND_NOT;
}

bool lagging_is_dropped(const struct partition *p, node_index member)
{
    (void)p;
    (void)member;
    return false;
}

bool lagging_refuses(const struct partition *p, qr_time since)
{
    (void)p;
    (void)since;
    return false;
}
