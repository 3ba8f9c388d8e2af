/* Worlds whose operator makes a keyspace with STRATEGY primary (`--primary`): its rule is drawn
 * beside the dice of all worlds, which stay as they are. */
#ifndef SIM_NODES_BACKUP_H
#define SIM_NODES_BACKUP_H

#include "base/rng.h"
#include "base/types.h"

struct run;

struct backup {
    bool is;         /* this world has such a keyspace */
    bool local;      /* who takes a write answers it: it may be lost, and is named then */
    uint32_t copies; /* beside the primary's; as many as there are replicas: ALL */
    bool all;
    bool logical;    /* LOG */
    bool lazy;       /* APPENDFSYNC everysec; machines keep their memory in these worlds */
    uint64_t found, named; /* elements at the end: in their lists; gone, and in journals */
    bool made;       /* the operator was told that it is there */
    uint32_t last_orders; /* of the last phase, that were answered */
};

/* What other worlds have and these have not is taken from the run. */
void backup_draw(struct run *run);
/* Behind models_draw: where writes may be lost, registers and lists alone are asked for. */
void backup_models(struct run *run);
/* At least so many replicas it can have. */
uint32_t backup_replicas_min(const struct backup *backup);
/* What stands behind STRATEGY where it is made; blanks within a word as '~'. */
void backup_strategy(const struct backup *b, char *p, size_t cap);
/* What the operator orders of it, now and then; false: nothing, this time. */
bool backup_order(const struct run *run, struct rng *rng, char *p, size_t cap);
/* The level at which reads are asked for, of one that was drawn; "": the strictest. */
const char *backup_level(const struct backup *backup, const char *drawn);
/* When all nodes are equal: what LOCAL owes (owed.c). */
void backup_judge(struct run *run);

#endif
