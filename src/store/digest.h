/* The rolling digest: a sum over all items of a database, changed with each of them, so that asking
 * for it costs nothing (T14, U27).
 *
 * An item counts by its key (the keyed 64-bit hash that orders the table), type, expiry, length and
 * the CRC-32C of its value: an error of the processor, of memory or of execution changes one of
 * them. It is no proof against somebody who builds values; those do not make replicas differ.
 * Layout and history do not matter: a state from a snapshot and one from the log are equal. */
#ifndef STORE_DIGEST_H
#define STORE_DIGEST_H

#include "base/crc32c.h"
#include "store/item.h"

/* Both halves of the product: each bit of the result depends on all of both factors. */
static inline uint64_t digest_mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* `hash`: of its key. */
static inline uint64_t digest_item(uint64_t hash, const struct item *item)
{
    size_t n = item_length(item);
    uint64_t crc = item_is_large(item)
                       ? rope_crc(item_rope(item))
                       : crc32c_extend(0, (const uint8_t *)item + item_head_bytes(item), n);
    uint64_t value = crc << 32 | (uint32_t)n;
    uint64_t time = (uint64_t)item_due(item) << 4 | (item->head & ITEM_TYPE);
    return digest_mix(hash ^ 0x9e3779b97f4a7c15u,
                      digest_mix(value ^ 0xbf58476d1ce4e5b9u, time ^ 0x94d049bb133111ebu));
}

#endif
