/* The node around node/rollback.c, played but for the map: log, journal, checkpoint. */
#ifndef TESTS_UNIT_NODE_ROLLBACK_WORLD_H
#define TESTS_UNIT_NODE_ROLLBACK_WORLD_H

#include "node/discards.h"
#include "node/replica_internal.h"
#include "node/rollback.h"

#define GROUP 5u
#define KEYSPACE 16u
#define NAMED_MAX 32u

/* What was named, in order. */
struct name {
    struct discard entry;
    char payload[8];
};

struct rollback_world {
    struct node node;
    struct partition partition;
    struct replica replica;
    struct outlook outlook;
    /* The log: entries (base, last] of term 3, each a command with its slot as a text. */
    qr_slot base, last;
    uint64_t position, durable;
    uint32_t truncations, resets;
    qr_slot cut_from;
    uint64_t named_when_cut;
    /* The journal. */
    struct discards_owner owner; /* NULL callbacks: nothing is under way */
    bool begun, busy, late, cannot_open;
    uint32_t room; /* entries that it takes now */
    enum discards_result result;
    struct name named[NAMED_MAX];
    uint32_t named_count, begins;
    /* The checkpoint. */
    bool writes;
    qr_slot checkpoint;
    uint32_t level, forgot, disturbed, held_dropped, digests_forgotten;
    qr_time wake;
};

extern struct rollback_world w;

/* A group that is not cut yet: its log ends at 12, and nothing of it is durable. */
int begin(void **state);
int end(void **state);
/* Its effect. */
void take_back(qr_slot slot, bool anew);
void begin_anew(qr_slot slot, qr_slot given, qr_slot maybe);
void turns(uint32_t n);
bool is_cut(bool *anew);

#endif
