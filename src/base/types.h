/* The shared vocabulary: numbers with a meaning, and a view of bytes.
 *
 * One word means one thing in every strategy; docs/glossary.md has the list. */
#ifndef BASE_TYPES_H
#define BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int64_t qr_time;  /* monotonic microseconds (CLOCK_BOOTTIME); decisions use only this */
typedef int64_t qr_wall;  /* wall-clock microseconds since 1970; may jump; for stamps only */
typedef uint64_t qr_slot; /* a position in one group's log; the first entry is 1, 0 means none */
typedef uint64_t qr_term; /* a leadership period; 0 means none */
typedef uint64_t
    qr_ticket;           /* a durable write of one protocol instance; grows by one; 0 means none */
typedef uint64_t qr_req; /* a request, numbered by the driver in arrival order; 0 means none */
typedef uint8_t node_index; /* a node is an index into the members table, never an address (P8) */

#define NODE_NONE ((node_index)0xff)
#define QR_NEVER INT64_MAX /* a deadline that never comes */

#define QR_MILLISECOND ((qr_time)1000)
#define QR_SECOND ((qr_time)1000000)

/* A borrowed view of bytes. It owns nothing and is valid only as long as its source says. */
struct span {
    const uint8_t *p;
    size_t n;
};

static inline struct span span_of(const void *p, size_t n)
{
    return (struct span){ .p = p, .n = n };
}

#define SPAN_LITERAL(s) ((struct span){ .p = (const uint8_t *)(s), .n = sizeof(s) - 1 })

/* What the processor fetches at once. Of a struct of which there are thousands, what each write
 * wants stands on few of these. */
#define CACHE_LINE_BYTES 64u
#define BEGINS_LINE(type, field) \
    _Static_assert(offsetof(type, field) % CACHE_LINE_BYTES == 0, #field " begins a cache line")

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
