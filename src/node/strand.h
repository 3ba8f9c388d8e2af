/* A strand: the commands of one stream that go to one partition, in order.
 *
 * Commands of one stream that go to different partitions take different roads, and finish in any
 * order; so whatever is counted to keep an order (S1 and S2 of stream.h) is counted for each
 * partition apart. Nothing in one strand ever waits for another one.
 *
 * A stream knows a strand while any command of it has no answer, and afterwards as long as there is
 * room: a strand that has written is what WAIT asks about. When one of those had to go,
 * `strands.forgot` says so. */
#ifndef NODE_STRAND_H
#define NODE_STRAND_H

#include "base/types.h"
#include "cluster/map.h"

#define STRAND_PLACES 128u

/* Reads of one client in one partition: how many were taken up here, and how many of those are
 * answered (S2). */
struct read_order {
    uint64_t begun, done;
    uint64_t early; /* as of writes_early */
};

struct strand {
    struct strand *next; /* in its place of the table */
    uint32_t group;
    uint32_t open;            /* commands without an answer */
    uint32_t reads_forwarded; /* without an answer */
    uint32_t reading;         /* reads that were taken up here and have no answer */
    struct read_order reads;
    uint64_t writes_begun, writes_done;
    uint64_t writes_early; /* some before it are answered, and not those before them; 0: none */
    qr_slot last_write;      /* slot of the last write applied for it here; for WAIT */
    qr_term last_write_term; /* and its term */
    qr_time wrote_at; /* when the last write was answered; 0: none was */
    qr_slot seen; /* the newest position of the group that it has been shown, or has made */
    qr_slot told; /* the same of replies that have left: those behind one without are not yet */
    bool unsure;  /* of more than `seen` says: session.h N1 */
    bool wrote;   /* it may have changed something, here or elsewhere */
};

/* All strands of a stream. Zeroed memory is a stream that has used group 0 alone. */
struct strands {
    struct strand first;   /* of the group that most of its commands are for */
    struct strand **table; /* the others: STRAND_PLACES lists, by group; NULL: there are none */
    uint32_t count;        /* of those in the table */
    uint32_t hand;         /* the place that is looked at next for one that may go */
    bool forgot;           /* one that has written is not known any more */
    bool unsure; /* one that has seen something is not known any more: those made are unsure */
};

/* The strand for a group, made where there is none. */
struct strand *strand_make(struct strands *strands, uint32_t group);
static inline struct strand *strand_of(struct strands *strands, uint32_t group)
{
    return strands->first.group == group ? &strands->first : strand_make(strands, group);
}

/* position_join, of that group. */
static inline bool strand_join(const struct map *map, uint32_t group, qr_slot *known, qr_slot more)
{
    bool alike = *known == 0 || more == 0 || position_losses(*known) == position_losses(more);
    if (alike) {
        *known = max_u64(*known, more);
        return true;
    }
    return position_join(map_losses(map, group), known, more);
}

/* It has seen that position too. Where nobody can tell which of two is beyond the other it is
 * unsure: a proof tells. */
static inline void strand_see(struct strand *s, const struct map *map, qr_slot position)
{
    s->unsure = !strand_join(map, s->group, &s->seen, position) || s->unsure;
}

/* The stream has been shown the group's state at that position; no reply to it is on its way. */
static inline void strands_note_seen(struct strands *strands, const struct map *map,
                                     uint32_t group, qr_slot position)
{
    struct strand *s = strand_of(strands, group);
    strand_see(s, map, position);
    s->unsure = s->unsure || position == 0;
    s->told = s->seen;
}

/* The same, of a proven state, or of what it has made; 0: it is not known how far that went. */
static inline void strands_note_proven(struct strands *strands, const struct map *map,
                                       uint32_t group, qr_slot position)
{
    struct strand *s = strand_of(strands, group);
    s->unsure = position == 0 || (s->unsure && s->open > 0);
    strands_note_seen(strands, map, group, position);
}

/* Writes the groups in which the stream has written to v, at most cap of them; returns how many
 * there are. */
uint32_t strands_written(const struct strands *strands, uint32_t *v, uint32_t cap);

static inline size_t strands_memory(const struct strands *strands)
{
    return strands->table == NULL
               ? 0
               : STRAND_PLACES * sizeof *strands->table + strands->count * sizeof(struct strand);
}

void strands_free(struct strands *strands);

#endif
