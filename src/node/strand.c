#include "node/strand.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/panic.h"

#include <stdlib.h>

static struct strand **place_of(struct strands *strands, uint32_t group)
{
    return &strands->table[group % STRAND_PLACES];
}

static void link_in(struct strands *strands, struct strand *s, uint32_t group)
{
    struct strand **place = place_of(strands, group);
    *s = (struct strand){ .group = group, .unsure = strands->unsure, .next = *place };
    *place = s;
}

/* Unlinks one without open commands from the list, one that has not written if `keep_writers`. */
static struct strand *take_idle(struct strand **link, bool keep_writers)
{
    while (*link != NULL && ((*link)->open > 0 || (keep_writers && (*link)->wrote))) {
        link = &(*link)->next;
    }
    struct strand *idle = *link;
    if (idle != NULL) {
        *link = idle->next;
    }
    return idle;
}

static struct strand *recycle(struct strands *strands, bool keep_writers)
{
    struct strand *idle = NULL;
    for (uint32_t i = 0; idle == NULL && i < STRAND_PLACES; i++) {
        idle = take_idle(&strands->table[strands->hand], keep_writers);
        strands->hand = (strands->hand + 1) % STRAND_PLACES;
    }
    strands->forgot = strands->forgot || (idle != NULL && idle->wrote);
    strands->unsure = strands->unsure || (idle != NULL && (idle->seen != 0 || idle->unsure));
    return idle;
}

/* Room for one more: of one that is not needed any more, once there are many. */
static struct strand *take_room(struct strands *strands)
{
    struct strand *s = NULL;
    if (strands->count >= STRANDS_KEPT) {
        /* Once one that has written is forgotten WAIT asks all: no use to look for another. */
        s = strands->forgot ? NULL : recycle(strands, true);
        s = s != NULL ? s : recycle(strands, false);
    }
    if (s == NULL) { /* at most as many as there are commands without an answer, beside */
        s = qr_alloc(sizeof *s);
        strands->count++;
    }
    return s;
}

struct strand *strand_make(struct strands *strands, uint32_t group)
{
    if (strands->table == NULL) {
        strands->table = qr_zalloc(STRAND_PLACES * sizeof *strands->table);
    }
    struct strand *s = *place_of(strands, group);
    while (s != NULL && s->group != group) {
        s = s->next;
    }
    if (s == NULL) {
        s = take_room(strands);
        link_in(strands, s, group);
    }
    qr_assert(s->reads.done <= s->reads.begun);
    return s;
}

uint32_t strands_written(const struct strands *strands, uint32_t *v, uint32_t cap)
{
    uint32_t n = 0;
    if (strands->first.wrote) {
        if (n < cap) {
            v[n] = strands->first.group;
        }
        n++;
    }
    for (uint32_t i = 0; strands->table != NULL && i < STRAND_PLACES; i++) {
        for (const struct strand *s = strands->table[i]; s != NULL; s = s->next) {
            if (s->wrote && n < cap) {
                v[n] = s->group;
            }
            n += s->wrote ? 1 : 0;
        }
    }
    return n;
}

void strands_free(struct strands *strands)
{
    for (uint32_t i = 0; strands->table != NULL && i < STRAND_PLACES; i++) {
        while (strands->table[i] != NULL) {
            struct strand *s = strands->table[i];
            strands->table[i] = s->next;
            free(s);
        }
    }
    free(strands->table);
    strands->table = NULL;
    strands->count = 0;
}
