/* The inside of a keeper, for keeper.c (one group) and keepers.c (all of them). */
#ifndef NODE_KEEPER_INTERNAL_H
#define NODE_KEEPER_INTERNAL_H

#include "node/keeper.h"

struct checkpoint;
struct node;

struct keeper {
    struct node *node;
    struct partition *partition;
    struct checkpoint *writing;
    qr_slot slot;      /* of the last checkpoint in place; 0 = none */
    uint64_t salt;     /* of its file */
    uint64_t begun_at; /* log position of what it does not hold */
    uint64_t before;   /* begun_at of the one before, in case this one is abandoned */
    qr_time began;
    qr_time not_before; /* the next one */
    qr_time remind_at;
    qr_slot release; /* the log's bounds let entries up to here go, whoever needs them */
    qr_time ended;   /* the last one */
    uint64_t bytes;  /* of the last one that was written or loaded; 0: there is none, */
    uint64_t memory; /* and of the state in memory, then or since: the least that was seen */
    uint64_t memory_begun; /* the same of the one being written */
    bool many_terms; /* are behind the last one */
    bool busy;
    bool found_damage; /* in the file, when it was loaded */
    bool cancelled;    /* the one being written */
};

/* A slow member may have caught up since the last checkpoint, or the log may have outgrown its
 * bounds: more of it can go. Once a second at most. */
void keeper_remind(struct keeper *keeper, qr_time now);
/* Whether the group's log holds so many terms behind that slot that a checkpoint is due. */
bool keeper_many_terms(const struct node *node, uint32_t group, qr_slot slot);
/* Begins a checkpoint if one is due, the log having grown by `grown` since it would have been in
 * order. True: it is due, and has begun or waits for what is applied to be durable. */
bool keeper_consider(struct keeper *keeper, qr_time now, uint64_t grown);
/* Goes on with it; true: it could go on at once. */
bool keeper_go_on(struct keeper *keeper, qr_time now);

#endif
