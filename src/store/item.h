/* One key with its value in one block of memory.
 *
 *   compact  4 bytes   head, key length, value length        value | key
 *   timed   16 bytes   the same, heap position, expiry       value | key
 *   wide    24 bytes   the same and 32-bit lengths           value | key
 *   large   24 bytes   a wide one whose value is a rope      pointer | key
 *
 * The form follows from the content alone (lengths, whether it expires), so the memory of a
 * database does too. The value comes first, so that neither a rename nor an append copies it: the
 * block is resized and only the key moves. A wide item always has room for an expiry, for the same
 * reason. */
#ifndef STORE_ITEM_H
#define STORE_ITEM_H

#include "base/limits.h"
#include "base/rope.h"
#include "store/store.h"

struct item {
    uint8_t head;       /* ITEM_ bits and the type */
    uint8_t key_n;      /* not of a wide item */
    uint16_t value_n;   /* not of a wide item */
    uint32_t heap_at;   /* timed and wide: position in the due heap */
    qr_wall expire;     /* timed and wide */
    uint32_t value_n32; /* wide */
    uint32_t key_n32;   /* wide */
};

#define ITEM_TYPE 0x0fu
#define ITEM_TIMED 0x10u
#define ITEM_WIDE 0x20u
#define ITEM_LARGE 0x40u

static inline bool item_is_wide(const struct item *item)
{
    return (item->head & ITEM_WIDE) != 0;
}

static inline size_t item_head_bytes(const struct item *item)
{
    if (item_is_wide(item)) {
        return 24;
    }
    return (item->head & ITEM_TIMED) != 0 ? 16 : 4;
}

static inline bool item_is_large(const struct item *item)
{
    return (item->head & ITEM_LARGE) != 0;
}

/* Bytes between the head and the key. */
static inline size_t item_inner_n(const struct item *item)
{
    if (item_is_large(item)) {
        return sizeof(struct rope *);
    }
    return item_is_wide(item) ? item->value_n32 : item->value_n;
}

static inline size_t item_key_n(const struct item *item)
{
    return item_is_wide(item) ? item->key_n32 : item->key_n;
}

/* item_value_n and item_expire (store.h) for those who ask with every change. */
static inline size_t item_length(const struct item *item)
{
    return item_is_wide(item) ? item->value_n32 : item->value_n;
}

static inline qr_wall item_due(const struct item *item)
{
    return (item->head & ITEM_TIMED) != 0 ? item->expire : 0;
}

static inline uint8_t *item_value_bytes(struct item *item)
{
    return (uint8_t *)item + item_head_bytes(item);
}

/* What a block of n bytes costs in the allocator: glibc's rule of 8 bytes more, in steps of 16. */
static inline size_t block_cost(size_t n)
{
    size_t cost = (n + 8 + 15) & ~(size_t)15;
    return cost < 32 ? 32 : cost;
}

/* A new item with that key, n <= LARGE_BYTES bytes of value that the caller fills, and an expiry
 * (0 = never). */
struct item *item_new(struct span key, enum value_type type, size_t n, qr_wall expire);
/* One with more, which are the rope's; the reference to it is the item's from now on. */
struct item *item_new_large(struct span key, enum value_type type, struct rope *rope,
                            qr_wall expire);
/* Another rope in the place of a large item's, which is the caller's then. */
void item_set_rope(struct item *item, struct rope *rope);
/* Frees an item; the rope of a large one goes to the bin. */
void item_free(struct item *item, struct rope_bin *bin);

/* Changes key, value length and expiry, each copying no more than it must; bytes of the value that
 * are both old and new stay, further ones are zero. A large item keeps its length, and no other
 * becomes large. `key` must not lie in the item unless it is the
 * item's own key, unchanged. Returns the item's new address. */
struct item *item_reshape(struct item *item, struct span key, size_t n, qr_wall expire);

bool item_has_key(const struct item *item, struct span key);

#endif
