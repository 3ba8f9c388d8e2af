/* Sessions of clients that read lists at a level, and hop between the nodes with their position. */
#ifndef SIM_SESSIONS_H
#define SIM_SESSIONS_H

#include "sim/checkers/guarantees.h"
#include "sim/world.h"

#define SESSIONS_MAX 8u

struct session {
    bool busy;     /* it does one thing after the other */
    qr_slot seen;  /* its position: what it has read, or written and knows of */
    qr_slot asked; /* the position that it asked for last */
    node_index at; /* where it was last */
    uint64_t pin;  /* 0: it is not pinned */
};

/* How a value of a list came about. */
struct written {
    uint64_t hash, before;
    uint32_t element;
};

struct sessions {
    struct session v[SESSIONS_MAX];
    struct written *written;
    size_t written_count, written_cap;
};

/* Options and a plan with sessions for a seed whose other options are drawn. */
void sessions_draw_options(uint64_t seed, enum read_level level, struct options *o);
void sessions_draw_plan(uint64_t seed, const struct options *o, struct plan *plan);
bool sessions_make_sense(const struct options *o);

void sessions_begin(struct world *w); /* if the options want them */
void sessions_end(struct world *w);

/* Clients. */
bool sessions_act(struct world *w, const struct action *x);
node_index sessions_place(struct world *w, uint32_t operation, node_index other);
void sessions_hear(struct world *w, uint32_t attempt);
void sessions_finish(struct world *w, struct operation *o);

/* Nodes: what they may answer themselves is taken from what waits, or refused. */
void sessions_take(struct world *w, struct sim_node *n);
void sessions_ask(struct world *w, struct sim_node *n, struct pending *p);
bool sessions_serve(struct world *w, struct sim_node *n, struct pending *p);
void sessions_after_step(struct world *w, struct sim_node *n);
void sessions_wrote(struct world *w, const struct model_value *before,
                    const struct model_value *after, uint32_t operation);

/* Of a read, by the state as it is at that node now, or as it was. */
void sessions_answer(struct world *w, struct sim_node *n, uint32_t attempt);

/* The bound of time, as long as the slowest clock makes it. */
static inline int64_t sessions_bound(const struct world *w)
{
    return (int64_t)(w->options.bound + w->options.bound / 10 + 1);
}

/* The verdict on the lists; `is_judged` says of which operations. */
bool sessions_is_list(const struct world *w, const struct operation *o);
void sessions_judge(struct world *w);

/* What clients saw of the lists. */
struct list_history {
    struct list_op *ops;
    uint32_t *from; /* the operation of each */
    uint32_t *room; /* that their lists are in */
    size_t n;
};

struct list_history sessions_history(struct world *w);
void list_history_free(struct list_history *h);

#endif
