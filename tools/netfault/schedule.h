/* What a bad network does to packets, as a pure module: whoever calls it says what time it is, and
 * takes the packets that are due. The same seed, packets and times give the same decisions.
 *
 * A link is a direction between two of up to NETFAULT_NODES nodes. Its chances come from a
 * generator of its own, from which every packet draws the same number of times whatever the faults
 * are: what happens to one link, or is changed on it, moves nothing on another.
 *
 * - A packet is lost, or comes once, or twice; each copy leaves when the link's bandwidth has room
 *   for it and arrives a delay and some jitter later, never before one that was sent earlier.
 * - A packet that is reordered is held back for up to LATE_US and twice the jitter more, and holds
 *   nobody up behind it.
 * - A cut loses all that is offered and all that is under way.
 * - A link holds at most QUEUE_BYTES; what comes beyond is lost, as at a router that is clogged.
 * - A change of the faults plans anew what is under way: who has bandwidth again does not wait
 *   any longer. */
#ifndef NETFAULT_SCHEDULE_H
#define NETFAULT_SCHEDULE_H

#include "base/types.h"

#define NETFAULT_NODES 16u
#define QUEUE_BYTES (1u << 20) /* of a link; 256 links hold 256 MiB at most */
#define LATE_US 3000u          /* how far a reordered packet falls behind, at least possibly */
#define MILLION 1000000u

/* All zero: a wire that passes everything on at once. */
struct faults {
    uint64_t delay_us;
    uint64_t jitter_us;
    uint64_t bytes_per_s; /* 0: without bound */
    uint64_t loss_ppm;
    uint64_t duplicate_ppm;
    uint64_t reorder_ppm;
    uint64_t cut; /* 0 or 1 */
};

/* What has happened on a link. offered + duplicated = passed + cut + lost + overflowed + queued. */
struct counts {
    uint64_t offered, passed, bytes;
    uint64_t cut, lost, overflowed;
    uint64_t duplicated, reordered;
    uint64_t queued; /* under way now */
};

struct packet {
    uint64_t due_us;
    uint64_t number;  /* in the order of offering */
    uint64_t more_us; /* jitter that was drawn, and what it falls behind if it is reordered */
    uint32_t from, to;
    uint32_t n;
    bool reordered;
    uint8_t bytes[];
};

struct schedule;

struct schedule *schedule_new(uint64_t seed, uint32_t nodes);
void schedule_free(struct schedule *s);

uint32_t schedule_nodes(const struct schedule *s);
struct faults schedule_faults(const struct schedule *s, uint32_t from, uint32_t to);
struct counts schedule_counts(const struct schedule *s, uint32_t from, uint32_t to);

/* From now on this is how the link is; what is under way on it obeys at once. */
void schedule_set(struct schedule *s, uint64_t now_us, uint32_t from, uint32_t to,
                  struct faults faults);

/* A packet has come from a node, for another one. The bytes are copied. */
void schedule_offer(struct schedule *s, uint64_t now_us, uint32_t from, uint32_t to,
                    const uint8_t *bytes, uint32_t n);

/* When the next packet is due; UINT64_MAX when nothing is under way. */
uint64_t schedule_next_us(const struct schedule *s);

/* The next packet that is due by now, which the caller frees; NULL when there is none. */
struct packet *schedule_take(struct schedule *s, uint64_t now_us);

#endif
