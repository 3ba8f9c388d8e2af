/* What keys were before an op that is being executed: see rows.h. Private to the engine. */
#ifndef ENGINE_ROWS_CAPTURE_H
#define ENGINE_ROWS_CAPTURE_H

#include "engine/rows_format.h"
#include "store/store.h"

/* A key that the op has changed, as it was. Its bytes lie in `kept`: the key, then the value. */
struct was {
    uint64_t hash;
    size_t at;
    uint32_t key_n;
    struct row_image image;
    uint8_t db;
};

struct capture {
    struct was *v;
    uint32_t count, cap;
    uint8_t *kept;
    size_t n, kept_cap;
    uint32_t *index; /* by hash: a place in v + 1, 0: none; used from CAPTURE_FEW keys on */
    uint32_t index_cap;
    bool whole; /* rows cannot say it: what follows is not looked at */
};

/* Room that is kept from op to op; an op that needed more gives the rest back. */
#define CAPTURE_KEPT_BYTES (64 * KIB)
#define CAPTURE_FEW 8u
/* Keys of one op; it takes milliseconds to bring more in order. */
#define CAPTURE_KEYS_MAX 16384u

void capture_begin(struct capture *c); /* forgets the last op */
void capture_free(struct capture *c);
/* A store_watch's: `context` is the capture. */
void capture_change(void *context, uint8_t db, uint64_t hash, struct span key,
                    const struct item *item);
void capture_whole(void *context);
/* In ascending order of database and key (F1); nothing is to be captured any more. */
void capture_sort(struct capture *c);

static inline struct span capture_key(const struct capture *c, const struct was *w)
{
    return span_of(c->kept + w->at, w->key_n);
}

static inline struct span capture_value(const struct capture *c, const struct was *w)
{
    return span_of(c->kept + w->at + w->key_n, w->image.n);
}

#endif
