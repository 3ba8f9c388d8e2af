/* A naive twin of the store, which tells the truth: an array of cells per database, one for each
 * key that a test uses. */
#ifndef TESTS_UNIT_STORE_TWIN_H
#define TESTS_UNIT_STORE_TWIN_H

#include "base/limits.h"
#include "base/rng.h"
#include "store/store.h"

#define TWIN_KEYS 4000u
#define TWIN_DBS 4u /* of the store's; the others stay empty */

struct cell {
    bool there;
    qr_wall expire;
    uint8_t *value;
    size_t n;
};

struct twin {
    struct cell *cells[TWIN_DBS]; /* TWIN_KEYS each */
};

/* The bytes of a key, and which one it is. Some are empty, long or binary. */
struct span twin_key(uint32_t id, uint8_t buffer[512]);
uint32_t twin_key_id(struct span key);

struct twin *twin_new(void);
void twin_free(struct twin *twin);
struct twin *twin_copy(const struct twin *twin);

void twin_set(struct twin *twin, uint8_t db, uint32_t id, struct span value, qr_wall expire);
void twin_drop(struct twin *twin, uint8_t db, uint32_t id);
void twin_clear(struct twin *twin, uint8_t db);
uint64_t twin_count(const struct twin *twin, uint8_t db);

/* True when the item is what the twin has in that cell. */
bool twin_agrees(const struct twin *twin, uint8_t db, uint32_t id, const struct item *item);

/* A store with the twin's content, filled in an order that the seed picks. */
struct store *twin_store(const struct twin *twin, const struct store_config *config, uint64_t seed);

#endif
