/* What clients asked and were told, as lines that `quorate check-history` reads. */
#ifndef SIM_NODES_STORY_H
#define SIM_NODES_STORY_H

#include "sim/checkers/linearizable.h"
#include "sim/nodes/realm.h"

struct deed {
    uint32_t asker, session;
    char key[24], level[24]; /* level: in the words of a history; "": the default one */
    char argument[24];
    enum op_kind kind;
    enum result_kind result;
    bool has_id; /* it may be sent again */
    bool apart;  /* not in the history: its model judges it */
    bool owed;   /* of the keyspace with a primary (backup.h) */
    uint8_t keys; /* it is about so many, named by `key` and 0, 1, 2 …; 0: about that one */
    uint32_t ms;  /* of its model: a time, or a number */
    uint8_t model, how; /* models.h: which, and one more; and what it makes of that */
    uint8_t rule; /* a read at the default of a keyspace (rules.c): which, and one more */
    uint64_t weakened;
    char *value; /* with RESULT_VALUE; the record's own */
    qr_time start, end;
};

struct story {
    struct deed *v;
    size_t n, cap;
};

/* A new one; its result is unknown until it is told. The index stays, the address does not. */
size_t story_ask(struct story *story, const struct deed *asked);
void story_tell(struct deed *asked, enum result_kind result, struct span value, qr_time now);
/* False, with what the checkers say in `verdict`, if no correct system shows that. */
bool story_judge(const struct story *story, char *verdict, size_t cap);
void story_write(const struct story *story, FILE *out);
void story_free(struct story *story);

#endif
