/* A roster as an entry of the log states it: any bytes are refused, or written again they are the
 * same bytes, and what they say is sound. */
#include "fuzz.h"

#include "base/alloc.h"
#include "node/roster.h"

#include <string.h>

static void check(const struct roster *roster)
{
    const struct membership *m = &roster->members;
    uint16_t all = membership_all(m);
    qr_assert(all < 1u << MEMBERS_MAX);
    qr_assert((m->voters & m->learners) == 0 && (m->voters & m->observers) == 0);
    qr_assert(m->voters != 0 || all == 0);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        const struct roster_node *node = &roster->node[i];
        qr_assert((node->id != 0) == (roster->epoch == 0 && (all >> i & 1) != 0));
        node_index found = roster_find(roster, node->id);
        bool stays = ((m->voters | m->learners | m->observers) >> i & 1) != 0;
        qr_assert(node->id == 0 ? found == NODE_NONE : roster->node[found].id == node->id);
        qr_assert(!stays || roster->epoch != 0 || found == i);
        qr_assert(memchr(node->address, 0, sizeof node->address) != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t again[ROSTER_BYTES_MAX];
    uint8_t *copy = qr_alloc(n); /* of exactly that size, so that an overrun is seen */
    struct roster roster;
    if (n > 0) {
        memcpy(copy, data, n);
    }
    if (roster_read(span_of(copy, n), &roster)) {
        check(&roster);
        qr_assert(roster_write(&roster, again) == n);
        qr_assert(memcmp(again, data, n) == 0);
    }
    free(copy);
    return 0;
}
