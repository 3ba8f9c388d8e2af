/* Hash slots: which part of a keyspace a key belongs to, as Redis Cluster counts it, so that its
 * clients find by themselves the partition that holds a key.
 *
 * A key's slot is its CRC16 (XMODEM) modulo 16384. When the key holds a '{' with a '}' behind it
 * and something in between, only what stands between the first '{' and the first '}' behind it
 * counts: keys with the same tag are in one partition. */
#ifndef CLUSTER_SLOTS_H
#define CLUSTER_SLOTS_H

#include "base/types.h"

#define SLOTS 16384u

uint16_t slot_of_key(struct span key);

/* The part of the key that decides: its tag, or all of it. */
struct span slot_tag(struct span key);

uint16_t slot_crc16(struct span bytes);

/* Partition `index` of `count` has the slots from slots_first(index, count) to
 * slots_first(index + 1, count) - 1: as even as it goes. */
static inline uint32_t slots_first(uint32_t index, uint32_t count)
{
    return (uint32_t)((uint64_t)index * SLOTS / count);
}

/* The partition of `count` that has that slot. */
static inline uint32_t slots_partition(uint32_t slot, uint32_t count)
{
    return (uint32_t)(((uint64_t)(slot + 1) * count - 1) / SLOTS);
}

#endif
