/* The keys of one hash slot, for clients that move slots about or look into them (CLUSTER
 * COUNTKEYSINSLOT and GETKEYSINSLOT). There is no index of slots: all keys are looked at, as KEYS
 * does. */
#include "cluster/slots.h"
#include "base/alloc.h"
#include "base/limits.h"
#include "engine/call.h"

#include <stdlib.h>

struct search {
    qr_wall now;
    uint16_t slot;
    uint64_t count, limit; /* of keys found; of those to keep */
    struct span *keys;     /* NULL: they are only counted */
};

static void look_at(void *context, struct item *item)
{
    struct search *s = context;
    qr_wall expire = item_expire(item);
    bool is_due = expire != 0 && expire <= s->now;
    if (is_due || s->count == s->limit || slot_of_key(item_key(item)) != s->slot) {
        return;
    }
    if (s->keys != NULL) {
        s->keys[s->count] = item_key(item);
    }
    s->count++;
}

static bool read_slot(struct call *c, uint16_t *slot)
{
    int64_t number;
    if (!arg_integer(c, c->argv[0], &number)) {
        return false;
    }
    if (number < 0 || number >= SLOTS) {
        reply_error(c->reply, "ERR Invalid slot");
        return false;
    }
    *slot = (uint16_t)number;
    return true;
}

void engine_cmd_CLUSTER_COUNTKEYSINSLOT(struct call *c)
{
    struct search s = { .now = c->now, .limit = UINT64_MAX };
    if (!read_slot(c, &s.slot) || must_wait_for_tick(c)) {
        return;
    }
    (void)store_scan(c->engine->store, c->db, 0, UINT64_MAX, look_at, &s);
    reply_integer(c->reply, (int64_t)s.count);
}

void engine_cmd_CLUSTER_GETKEYSINSLOT(struct call *c)
{
    struct search s = { .now = c->now };
    int64_t limit;
    if (!read_slot(c, &s.slot) || !arg_integer(c, c->argv[1], &limit)) {
        return;
    }
    if (limit < 0) {
        reply_error(c->reply, "ERR Invalid slot or number of keys");
        return;
    }
    if (must_wait_for_tick(c)) {
        return;
    }
    s.limit = min_u64((uint64_t)limit, SLOT_KEYS_MAX);
    s.keys = qr_alloc((s.limit + 1) * sizeof *s.keys);
    (void)store_scan(c->engine->store, c->db, 0, UINT64_MAX, look_at, &s);
    reply_array(c->reply, s.count);
    for (uint64_t i = 0; i < s.count; i++) {
        reply_bulk(c->reply, s.keys[i]);
    }
    free(s.keys);
}
