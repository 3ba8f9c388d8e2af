/* Items: see item.h. */
#include "store/item.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/panic.h"

#include <string.h>

_Static_assert(sizeof(struct item) == 24, "the wide form is the whole struct");

static size_t head_bytes_for(size_t key_n, size_t n, qr_wall expire)
{
    if (key_n > UINT8_MAX || n > UINT16_MAX) {
        return 24;
    }
    return expire != 0 ? 16 : 4;
}

/* Writes the header of the form that fits; the heap position is the due heap's to set. */
static void write_head(struct item *item, uint8_t type, size_t key_n, size_t n, qr_wall expire)
{
    size_t head = head_bytes_for(key_n, n, expire);
    item->head = (uint8_t)(type | (expire != 0 ? ITEM_TIMED : 0) | (head == 24 ? ITEM_WIDE : 0));
    if (head == 24) {
        item->key_n = 0;
        item->value_n = 0;
        item->value_n32 = (uint32_t)n;
        item->key_n32 = (uint32_t)key_n;
    } else {
        item->key_n = (uint8_t)key_n;
        item->value_n = (uint16_t)n;
    }
    if (head > 4) {
        item->expire = expire;
    }
}

struct item *item_new(struct span key, enum value_type type, size_t n, qr_wall expire)
{
    qr_assert(n <= LARGE_BYTES && key.n <= KEY_BYTES_MAX);
    size_t head = head_bytes_for(key.n, n, expire);
    struct item *item = qr_alloc(head + n + key.n);
    write_head(item, (uint8_t)type, key.n, n, expire);
    if (key.n > 0) {
        memcpy((uint8_t *)item + head + n, key.p, key.n);
    }
    return item;
}

struct item *item_new_large(struct span key, enum value_type type, struct rope *rope,
                            qr_wall expire)
{
    qr_assert(rope->n > LARGE_BYTES && rope->n <= UINT32_MAX && key.n <= KEY_BYTES_MAX);
    struct item *item = qr_alloc(sizeof *item + sizeof rope + key.n);
    write_head(item, (uint8_t)type | ITEM_LARGE, key.n, rope->n, expire);
    item_set_rope(item, rope);
    if (key.n > 0) {
        memcpy((uint8_t *)(item + 1) + sizeof rope, key.p, key.n);
    }
    return item;
}

void item_set_rope(struct item *item, struct rope *rope)
{
    qr_assert(item_is_large(item));
    memcpy(item + 1, &rope, sizeof rope);
    item->value_n32 = (uint32_t)rope->n;
}

struct rope *item_rope(const struct item *item)
{
    struct rope *rope = NULL;
    if (item_is_large(item)) {
        memcpy(&rope, item + 1, sizeof rope);
    }
    return rope;
}

void item_free(struct item *item, struct rope_bin *bin)
{
    if (item_is_large(item)) {
        rope_discard(bin, item_rope(item));
    }
    free(item);
}

/* The header changes its size: the value has to move, at most 64 KiB of it unless the value itself
 * crosses that border. */
static struct item *rebuild(struct item *item, struct span key, size_t n, qr_wall expire)
{
    qr_assert(!item_is_large(item));
    size_t keep = (size_t)min_u64(n, item_value_n(item));
    struct item *fresh = item_new(key, item_type(item), n, expire);
    uint8_t *value = item_value_bytes(fresh);
    memcpy(value, item_value_bytes(item), keep);
    memset(value + keep, 0, n - keep);
    free(item);
    return fresh;
}

struct item *item_reshape(struct item *item, struct span key, size_t n, qr_wall expire)
{
    qr_assert(key.n <= KEY_BYTES_MAX);
    qr_assert(item_is_large(item) ? n == item_value_n(item) : n <= LARGE_BYTES);
    size_t value_n = n;
    size_t head = item_head_bytes(item);
    if (head != head_bytes_for(key.n, n, expire)) {
        return rebuild(item, key, n, expire);
    }
    size_t old = item_inner_n(item);
    n = item_is_large(item) ? old : n;
    struct span own = item_key(item);
    bool same_key = key.p == own.p && key.n == own.n;
    size_t size = head + n + key.n;
    size_t old_size = head + old + own.n;
    if (same_key && n < old) {
        memmove((uint8_t *)item + head + n, own.p, own.n);
    }
    if (size != old_size) {
        item = qr_realloc(item, size);
    }
    uint8_t *value = (uint8_t *)item + head;
    if (same_key && n > old) {
        memmove(value + n, value + old, key.n);
    } else if (!same_key && key.n > 0) {
        memcpy(value + n, key.p, key.n);
    }
    if (n > old) {
        memset(value + old, 0, n - old);
    }
    write_head(item, item->head & (ITEM_TYPE | ITEM_LARGE), key.n, value_n, expire);
    return item;
}

bool item_has_key(const struct item *item, struct span key)
{
    struct span own = item_key(item);
    return own.n == key.n && (key.n == 0 || memcmp(own.p, key.p, key.n) == 0);
}

struct span item_key(const struct item *item)
{
    const uint8_t *p = (const uint8_t *)item + item_head_bytes(item);
    return span_of(p + item_inner_n(item), item_key_n(item));
}

size_t item_value_n(const struct item *item)
{
    return item_length(item);
}

struct span item_value(const struct item *item)
{
    qr_assert(!item_is_large(item));
    return span_of((const uint8_t *)item + item_head_bytes(item), item_value_n(item));
}

enum value_type item_type(const struct item *item)
{
    return (enum value_type)(item->head & ITEM_TYPE);
}

qr_wall item_expire(const struct item *item)
{
    return item_due(item);
}

size_t item_memory(const struct item *item)
{
    uint64_t rope = item_is_large(item) ? rope_cost(item_value_n(item)) : 0;
    return block_cost(item_head_bytes(item) + item_inner_n(item) + item_key_n(item)) + rope;
}
