/* What reads at each level and sessions guarantee, judged from values alone.
 *
 * Clients append elements, each of them once, to lists, and read whole lists (the idea is Elle's,
 * Kingsbury and Alvaro 2020). A list then is the order of the writes of its key, and whatever was
 * read tells which of them it shows. No position that a server tells is believed, but for what is
 * said about positions themselves.
 *
 * What is looked at, in this order:
 *   - lists.c: everything that was read of a key is the beginning of one order, of writes that had
 *     begun and had not failed (consistent prefix);
 *   - guarantees.c: per key, that nothing is missing from a read, or too early in the order, that a
 *     guarantee demands to be before it; exact, and names two operations;
 *   - causes.c: the same for the keys of a group (a partition) together: there must be one order of
 *     all its writes, and in it a place for every read, that explains everybody. This finds the
 *     long fork, which no key shows.
 *
 * Operations whose outcome is unknown may take effect late, once at most, or never. Operations that
 * touch in time count as concurrent. The verdict does not depend on the order of the operations. */
#ifndef SIM_CHECKERS_GUARANTEES_H
#define SIM_CHECKERS_GUARANTEES_H

#include "base/alloc.h"
#include "protocol/protocol.h"
#include "sim/checkers/model.h"

enum guarantee {
#define GUARANTEE(name, text) GUARANTEE_##name,
#include "sim/checkers/guarantees.def"
#undef GUARANTEE
    GUARANTEES
};

const char *guarantee_name(enum guarantee g);

#define NOT_COUNTED UINT64_MAX

struct list_op {
    uint32_t session;
    uint32_t key, group; /* numbers that the caller chose; a key is of one group */
    bool is_append;
    enum result_kind result; /* of an append OK, UNKNOWN or FAIL; a read has its list */
    uint32_t element;        /* appended: of its key it is appended by nobody else */
    uint32_t told;           /* the length in bytes that the append was answered with; 0: none. It
                              * is looked at once somebody has read the element. */
    const uint32_t *list;    /* read */
    uint32_t n;
    bool is_garbled; /* what was read is no list */
    enum read_level level;
    int64_t bound;     /* of READ_BOUNDED, in the unit of the times */
    uint64_t behind;   /* or by so many operations; NOT_COUNTED: by time */
    uint64_t position; /* of READ_SNAPSHOT, and where an append was told to stand; 0: none */
    int64_t start, end;
};

struct guarantees_report {
    bool is_broken;
    enum guarantee broken;
    size_t op, other;            /* indexes: what shows it, and what it contradicts */
    uint64_t judged[GUARANTEES]; /* how many operations each guarantee was asked of */
};

struct guarantees_report guarantees_check(const struct list_op *ops, size_t n);

/* --- What the three files share ------------------------------------------------------------- */

#define NOWHERE UINT32_MAX

struct lists {
    const struct list_op *ops;
    size_t n;
    uint32_t *place;   /* of an append in the order of its key; NOWHERE: in no list that was read */
    uint32_t *longest; /* of each operation: that which read the longest list of its key */
    uint32_t *writer;  /* at first[longest] + i: who appended the element at i of that list */
    size_t *first;
};

/* A rule: what `gives` shows must be in, or stand before, what `must`. */
struct rule {
    enum guarantee name;
    bool in_session;
    bool (*gives)(const struct list_op *op);
    bool (*must)(const struct list_op *op);
    bool is_shifted; /* back by the bound of the read */
};

extern const struct rule guarantee_rules[];
extern const size_t guarantee_rule_count;

/* Operations of one rule and scope: the givers by end, the obliged by start, and how many givers
 * had ended before each of the obliged began. */
struct meeting {
    const uint32_t *givers, *obliged;
    size_t giver_count, obliged_count;
    const size_t *ended;
};

/* False, with the report filled, when the lists of some key have no one order. */
bool lists_order(struct lists *l, struct guarantees_report *report);
void lists_free(struct lists *l);
/* How many elements of its key's order an operation shows, or has before and with itself; NOWHERE
 * for an append that nobody has read: it comes behind all that was. */
uint32_t lists_shown(const struct lists *l, uint32_t op);

/* Calls back for every scope of a rule: the same key, or the same group; and, if the rule says so,
 * the same session. */
void guarantees_meet(const struct lists *l, const struct rule *rule, bool by_key,
                     void (*meet)(void *context, const struct rule *rule,
                                  const struct meeting *meeting),
                     void *context);

/* One order of all writes of a group explains everybody. */
bool causes_explain(const struct lists *l, struct guarantees_report *report);

#endif
