/* The log of a node as an array of entries above a base, and the checkpoints below it (image.c). */
#ifndef SIM_IMAGE_H
#define SIM_IMAGE_H

#include "protocol/protocol.h"
#include "sim/checkers/model.h"

struct entry {
    qr_term term;
    uint64_t chain;            /* hash of everything up to and including this entry */
    struct membership members; /* that it states; empty: none */
    uint32_t attempt;          /* 0: the no-op, or a membership */
    uint32_t epoch;            /* that the membership serves (cluster/follow.h: F5) */
    uint32_t roster;           /* who is behind its indexes: of the world's rosters */
};

static inline bool states_members(const struct entry *e)
{
    return e->members.voters != 0;
}

/* The applied state at a slot, as a file: what it says never changes. */
struct checkpoint {
    uint64_t number; /* of the world; 0: none */
    qr_slot slot;
    qr_term term, commit_term; /* commit_term: in which this was known to be committed */
    uint64_t chain;
    struct membership_at membership;  /* in force at `slot` */
    uint32_t epoch, roster;           /* that it serves; who is behind its indexes */
    const struct model_value *values; /* the world owns them */
};

#define STATE_BYTES_MAX 256u

/* A log with its state record: as the process sees it, or as it lies on the disk. */
struct image {
    qr_slot base; /* entries (base, base + n] */
    qr_term base_term;
    uint64_t base_chain;
    struct entry *v;
    size_t n, cap;
    uint16_t state_kind, older_kind; /* older: the state record before the last */
    size_t state_n, older_n;
    uint8_t state[STATE_BYTES_MAX], older[STATE_BYTES_MAX];
};

qr_slot image_last(const struct image *i);
/* The entry at a slot, or NULL when the image does not hold it. */
const struct entry *image_at(const struct image *i, qr_slot slot);
/* Term and chain at a slot the image holds or ends its base with. */
qr_term image_term(const struct image *i, qr_slot slot);
uint64_t image_chain(const struct image *i, qr_slot slot);
void image_truncate(struct image *i, qr_slot from);
void image_clear(struct image *i); /* nothing was ever written */
#define IMAGE_CHAIN 1              /* hash of the empty log */
void image_append(struct image *i, struct entry e);
/* Nothing is left; the log goes on behind `slot`. */
void image_reset(struct image *i, qr_slot slot, qr_term term, uint64_t chain);
void image_trim(struct image *i, qr_slot upto, qr_term term, uint64_t chain);
void image_copy(struct image *to, const struct image *from);

#endif
