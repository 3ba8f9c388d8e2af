/* Worlds whose operator makes a keyspace with STRATEGY primary (`--primary`): its rule is drawn
 * beside the dice of all worlds, which stay as they are. */
#ifndef SIM_NODES_BACKUP_H
#define SIM_NODES_BACKUP_H

#include "base/rng.h"
#include "base/types.h"
#include "sim/nodes/loss.h"

#define STRATEGY_BYTES 200u

struct map;
struct run;
struct seat;
struct deed;

struct backup {
    bool is;         /* this world has such a keyspace */
    bool local;      /* who takes a write answers it: it may be lost, and is named then */
    uint32_t copies; /* beside the primary's; as many as there are replicas: ALL */
    bool all;
    bool logical;    /* LOG */
    bool lazy;       /* APPENDFSYNC everysec, */
    bool forgets;    /* and machines do not keep their memory */
    bool fallback;   /* FALLBACK async */
    bool applied;    /* ON applied */
    const char *feed, *lagging; /* FEED, and MAXLAG with LAGGING, in words; "": none */
    bool junk_local; /* the keyspace of the visitors has ACK LOCAL */
    struct losses losses;
    /* The partition that nobody leads before an operator gives up what may be lost, and since when
     * in the last phase; 0: none. */
    uint32_t stuck;
    qr_time stuck_since;
    /* Elements at the end: in their lists; gone, and in journals; gone, as nodes said. */
    uint64_t found, named, told;
    uint64_t shown; /* at copies, as they were said to */
    bool made;       /* the operator was told that it is there */
    uint32_t last_orders; /* of the last phase, that were answered */
};

/* What other worlds have and these have not is taken from the run. */
void backup_draw(struct run *run);
/* Which faults come more often. */
void backup_weights(const struct backup *backup, uint32_t *weight);
/* Behind models_draw: where writes may be lost by the rule, registers and lists alone are asked
 * for. */
void backup_models(struct run *run);
/* At least so many replicas it can have. */
uint32_t backup_replicas_min(const struct backup *backup);
/* What stands behind STRATEGY where it is made; blanks within a word as '~'. */
void backup_strategy(const struct backup *b, char *p, size_t cap);
/* What the operator orders of it, now and then; false: nothing, this time. */
bool backup_order(const struct run *run, struct rng *rng, char *p, size_t cap);
/* The level at which reads are asked for, of one that was drawn; "": the strictest. */
const char *backup_level(const struct backup *backup, const char *drawn);
/* The operator's other keyspace: what stands behind its STRATEGY, and what it may be altered to. */
const char *backup_junk(const struct run *run);
const char *backup_junk_change(struct rng *rng);
/* Now and then: whether all is well and some partition waits for FORCE. */
void backup_look(struct run *run);
/* That order, when it has waited for long; false: not so. */
bool backup_gives_up(const struct run *run, char *p, size_t cap);
/* LOG logical: a read at level local may show what is not committed yet, and never will be. */
bool backup_shows_early(const struct backup *backup, const struct deed *asked);
/* ALL ON applied: the term in which each write is shown by the node there before it is answered; 0:
 * that is not certain. It is when it was the same one when the write was asked for. */
qr_term backup_copy(const struct run *run, const struct seat *seat, const struct deed *asked);
/* Whether what was acknowledged there may be gone: it is judged as what is owed (owed.c). */
bool backup_may_lose(const struct backup *backup);
/* When all nodes are equal, by their map: what is owed. Of partitions that may have lost something
 * nothing else is judged. */
void backup_judge(struct run *run, const struct map *map);

#endif
