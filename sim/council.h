/* The council stands for group 0 in the worlds of primary/backup (decision 056): it knows what
 * nodes tell it, late or never, holds their leases (cluster/leases.h), writes down views and tells
 * them. It never forgets what it wrote; its leader changes, and is away meanwhile.
 *
 * V1 A view is told to a node in the order in which it was written, some left out, some twice; at
 *    each start of the node the latest that it knew comes again. Nodes learn a view at different
 *    times.
 * V2 What a node tells is of one process. As soon as a later process of it is heard of, in a report
 *    or when it asks for its lease, what the one before told is void.
 * V3 Which view is next, cluster/succession.h says.
 * V4 A node is told to hold its lease when its clock says so and, after the lease was gone or the
 *    node had started, only when it knows all views that were written when the lease was granted.
 *    That it is gone is told before any request that comes after.
 *
 * council.c: views, leases, words and their ways. council_plan.c: when which view is written.
 * Scripts write views by hand (options.council = 0). */
#ifndef SIM_COUNCIL_H
#define SIM_COUNCIL_H

#include "cluster/succession.h"
#include "sim/world.h"

/* What a node tells: once in a while. */
struct standing {
    uint32_t incarnation;
    uint32_t known; /* number of the latest view that it knows */
    enum role role;
    qr_term term; /* promised */
    bool stands, settled, barred, forgetful;
    qr_slot slot; /* of one that stands: its last entry */
    qr_term slot_term;
    node_index handed_to; /* of a primary that has handed over; NODE_NONE: it has not */
    uint16_t near;        /* of a primary: who holds what is committed */
};

struct told {
    struct standing standing;
    qr_time at;     /* 0: nothing of this process */
    qr_time near;   /* when a primary told last that it has what is committed */
    qr_time retold; /* when it was told the latest view last */
};

#define WHOLE_ALL 255u /* options.whole: a set of all but the primary */

struct council {
    struct view *views; /* as written; [0] is not used */
    uint32_t n, cap;
    struct succession record; /* the latest view, and what is owed to those before it */
    struct succession_wish wish;
    enum succession_reason stopped; /* the latest reason not to do anything */
    qr_time opened_at;              /* the present term */
    qr_time grace;                  /* of it (S6 of cluster/succession.h) */
    struct leases leases;
    qr_term term; /* of its leader */
    qr_time ticked, away_until;
    uint16_t cut;      /* nodes that it does not hear, nor they it */
    node_index wanted; /* as primary; NODE_NONE: nobody said so */
    qr_time wanted_until, ordered_at;
    struct told told[MEMBERS_MAX];
    struct ancestry *ancestry; /* checkers/primary.c */
};

/* Worlds of primary/backup have one. */
bool council_is_wanted(const struct protocol *protocol);
void council_begin(struct world *w);
void council_end(struct world *w);
/* Something acknowledged may be lost to a failover: nothing is waited for. */
bool council_is_weak(const struct world *w);
const struct view *council_now(const struct world *w);
/* The view of a term that has a primary; NULL: there is none. The last one written counts. */
const struct view *council_view(const struct world *w, qr_term term);
/* Whether these hold what the view asks for. */
bool council_counts(const struct view *view, uint16_t holders);

/* Whether the council itself does something; else a script writes its views. */
bool council_acts(const struct world *w);
/* The next view, known to the council alone. */
void council_write(struct world *w, const struct view *view);
/* The node learns the latest view. */
void council_tell(struct world *w, struct sim_node *n, uint32_t number);
void council_start(struct world *w, struct sim_node *n);           /* of a node */
void council_lease(struct world *w, struct sim_node *n);           /* V4 */
void council_hold(struct world *w, struct sim_node *n, bool held); /* scripts */
/* An item that is the council's, or a node's word with it. */
void council_hear(struct world *w, const struct item *item);
void council_reach(struct world *w, struct sim_node *n, const struct item *item);
void council_answered(struct world *w, struct sim_node *n, uint32_t order, enum qr_status status);
void council_cut(struct world *w, uint16_t nodes, bool add);
bool council_act(struct world *w, const struct action *action); /* of a plan */
/* council_plan.c */
void council_first(struct world *w);
void council_plan(struct world *w);
bool council_wish(struct world *w, const struct action *action);
/* Whether these alone find a primary and do what the rule asks for, once who is gone is let go. */
bool council_can_go_on(const struct world *w, uint16_t core);
uint16_t council_core(struct world *w); /* 0: nobody can go on, which is as it must be */
void council_heal(struct world *w, uint16_t core);

/* takeback.c: ROLLBACK.
 *
 * R1 What is taken back is in the journal before the log forgets it: a crash in between leaves it
 *    in both.
 * R2 The journal names an entry, a slot and a term, once.
 * R3 What is in the log again, because a primary has it or because the crash came in between, is
 *    not lost: the journal names it no more.
 * R4 What was proposed here and is taken back is uncertain: another node may hold it still. */
void takeback(struct world *w, struct sim_node *n, const struct effect *x);
/* No checkpoint holds what came after it before its journal is durable. */
bool takeback_is_under_way(const struct sim_node *n);
void takeback_landed(struct sim_node *n, const struct disk_write *write);
/* R5 The replica of a node that is no member is dropped; what only it may have is named. */
void takeback_dropped(struct world *w, struct sim_node *n);
/* After each step: what was given up may be here again. */
void takeback_again(struct world *w, struct sim_node *n);
void takeback_cut(struct world *w, struct sim_node *n); /* the process dies before its sync */

/* shares.c: ON applied */
void shares_applied(struct world *w, struct sim_node *n); /* it has executed something */
void shares_told(struct world *w, struct sim_node *n);
void shares_after_step(struct world *w, struct sim_node *n);

/* draw_council.c */
void council_draw_options(uint64_t seed, unsigned mode, struct options *out);
void council_draw_plan(uint64_t seed, const struct options *o, struct plan *out);
/* 1 + the mode of "primary:any" and its kin; 0: none */
unsigned council_mode(const char *strategy);
/* By such a name, or its own; NULL: none. */
const struct protocol *council_protocol(const char *strategy);

/* council_losses.c: false when the rest could not go on without it. */
bool council_wipe(struct world *w, node_index node);
bool council_damage(struct world *w, node_index node, uint64_t entries, int64_t state);
void council_note(struct world *w, const struct packet *packet); /* it leaves */
void council_crashing(struct world *w, struct sim_node *n);      /* before its disk is looked at, */
void council_crashed(struct world *w, struct sim_node *n, bool power); /* and behind that */

/* checkers/primary.c */
struct ancestry *primary_ancestry(void);
void primary_ancestry_free(struct ancestry *a);
/* The entry at `slot` of the log that has `chain` at slot `at`; false: that is not known. */
bool primary_entry(const struct world *w, uint64_t chain, qr_slot at, qr_slot slot,
                   struct entry *out);
void primary_appended(struct world *w, const struct entry *e, qr_slot slot, uint64_t before);
/* Whether this node is the primary of the term and nothing of it has left it: what it had written
 * before a crash is nobody's. */
bool primary_was_silent(const struct world *w, const struct sim_node *n, qr_term term);
void primary_leads(struct world *w, struct sim_node *n, qr_term term);
void primary_quorum(struct world *w, struct sim_node *n, qr_slot slot, uint64_t chain,
                    const struct outlook *now, const struct outlook *before);
void primary_committed(struct world *w, struct sim_node *n, const struct outlook *o);
void primary_taken(struct world *w, struct sim_node *n, const struct effect *x);
void primary_checked(struct world *w, struct sim_node *n, const struct outlook *o);
/* NULL when all of the core is where it is to be. */
const char *primary_unsettled(struct world *w, uint16_t core, qr_slot target);
void primary_judge(struct world *w);

#endif
