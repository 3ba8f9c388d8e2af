/* Groups of nodes that repair their logs and states, all at once, against protocol/repair.c.
 *
 * What may never happen: an entry is patched with another one than it was; an entry that a majority
 * held is dropped because a majority "never had it"; a checkpoint takes the place of an entry that
 * could be committed behind it. What must happen: damage that does not hit all holders of an entry
 * (a helix) heals without anything being dropped, and what a checkpoint that fits covers is not
 * dropped. */
#ifndef REPAIR_GROUP_H
#define REPAIR_GROUP_H

#include "protocol/repair.h"

#include "base/rng.h"

/* Every pattern; with the address sanitizer, which is slow, every eleventh. */
#ifdef __SANITIZE_ADDRESS__
#define STRIDE 11u
#else
#define STRIDE 1u
#endif

#define NODES 5
#define SLOTS 6

struct node {
    qr_slot base, last;
    qr_term term[SLOTS + 1]; /* as it was; [0] is 0 */
    bool lost[SLOTS + 1];    /* and not filled */
    bool damaged[SLOTS + 1]; /* at the beginning */
    qr_slot checkpoint;      /* of the state; 0: there is none */
    qr_time since;           /* it has that one: who was asked before is asked again soon */
    bool away, forgetful, waits;
    struct repair repair;
    struct { /* a checkpoint on its way */
        qr_slot slot;
        qr_term term;
        qr_time at; /* 0: none */
    } coming;
};

struct group {
    struct node node[NODES];
    struct node as_was[NODES];
    uint32_t n;
    uint32_t patched, dropped, kept, matched, replaced;
    qr_time now;
    struct rng rng;
};

/* Lets them repair for half a minute, and looks that nothing happens that may never. */
void repair_group_run(struct group *g);
/* What must have happened at its end. `helix`: no entry was trimmed anywhere and all logs agree, so
 * whatever anybody has is taken, if it is certain which term it had. (At the beginning of a term
 * that may take an entry behind it, which may be lost in the others' logs in turn.) */
void repair_group_judge(const struct group *g, bool helix);

/* Who was away comes back, after another minute. */
void repair_group_return(struct group *g);
/* What a majority had acknowledged, and one had still, somebody has at the end. That is certain as
 * long as nothing was trimmed. */
void repair_group_judge_kept(const struct group *g);

/* A log of the history `main` up to `last`; bit i of `damage`: slot i + 1 is damaged. */
void repair_node_fill(struct node *node, const qr_term *main, qr_slot last, qr_slot base,
                      uint32_t damage, bool away);
/* A tail of an older leader that nobody else has. */
void repair_node_diverge(struct node *node, const qr_term *main, qr_slot last, uint32_t damage);
/* Trims the log behind the highest slot, up to `most`, that can be committed; its checkpoint is
 * there or, `ahead`, as far on as can be. False: there is no such slot. */
bool repair_node_trim(struct group *g, struct node *node, const qr_term *main, qr_slot most,
                      bool ahead);

#endif
