/* A history of real clients, read (history.c), and what is judged of it (history_judge.c). */
#ifndef SIM_HISTORY_H
#define SIM_HISTORY_H

#include "sim/checkers/guarantees.h"
#include "sim/checkers/linearizable.h"
#include "sim/seed.h"

struct names {
    char **v; /* index = number */
    size_t n, cap;
    uint32_t *table;
    size_t table_cap;
};

/* What a line says beside its operation, and as an operation on a list. */
struct history_more {
    struct list_op op;
    uint32_t *list; /* owned; of op */
    bool fits;      /* op says something */
    unsigned options;
    size_t line;
};

#define OPTION_GROUP 8u /* of `options`: it was stated */

struct history {
    struct history_op *ops;
    struct history_more *more; /* of each operation */
    size_t n, cap;
    struct names keys, groups;
};

/* What history_check returns, of a history whose lines are good. */
int history_judge(const struct history *h, const char *name, uint64_t steps_max, FILE *out);

#endif
