/* The state of the search of one key: linearizable.c runs it, search.c prepares it. */
#ifndef SIM_CHECKERS_SEARCH_H
#define SIM_CHECKERS_SEARCH_H

#include "base/alloc.h"
#include "sim/checkers/linearizable.h"

#define NO_EVENT UINT32_MAX

struct event_node {
    int64_t time;
    uint32_t op; /* index into search.ops */
    bool is_return;
    uint32_t previous, next; /* events; index 0 is the head of the list */
};

struct taken {
    uint32_t op;
    bool unknown;
    bool free;               /* it changed nothing: there is no choice to take back */
    uint32_t resume_unknown; /* where the scan of the unknown ones goes on */
    int64_t before;          /* the first return's time when it was taken */
    uint32_t current;
    struct model_value state;
};

struct seen {
    uint64_t a, b; /* both 0: empty */
};

struct search {
    uint32_t current;              /* family of the set that the state comes from, or NO_EVENT */
    const struct history_op **ops; /* of one key: the known ones, then the unknown, by start */
    uint32_t known, unknown;
    struct event_node *events; /* [0] is the head */
    uint32_t *call_of, *return_of;
    uint32_t *twin;   /* of unknown i: an equal, earlier one, or NO_EVENT */
    bool *used;       /* placed */
    uint32_t *family; /* index of the first set of the same value; reads: of the value they saw */
    uint32_t *reads_left, *sets_left, *family_sets; /* by family */
    uint32_t *unseen;                               /* scratch */
    bool registers;                                 /* only get, set, del */
    bool list;                                      /* only get, append */
    uint32_t *dels, del_count;
    uint32_t *nils, nil_count; /* gets that found nothing */
    struct taken *stack;
    uint32_t depth, deepest;
    uint32_t stuck; /* op whose return could not be passed at the deepest point */
    struct model_value state;
    uint64_t chosen_a, chosen_b; /* sums that name the set of placed operations */
    struct seen *table;
    size_t table_cap, table_n;
    uint64_t steps, steps_max;
};

/* Links the events and finds out which operations are alike. The arrays are there, the counts are
 * zero. */
void search_prepare(struct search *s);

#endif
