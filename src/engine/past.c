/* Reads as of an earlier slot. See engine.h, and store/past.h for what they look at. */
#include "engine/dispatch.h"

#include "base/panic.h"
#include "base/status.h"

void engine_keep_past(struct engine *engine, const struct past_limits *limits, qr_slot slot,
                      uint32_t epoch)
{
    store_keep_past(engine->store, limits, slot, engine->log_time);
    engine->past_epoch = epoch;
}

uint32_t engine_past_epoch(const struct engine *engine)
{
    return engine->past_epoch;
}

void engine_enter(struct engine *engine, qr_slot slot)
{
    store_enter(engine->store, slot);
}

bool engine_past_floor(const struct engine *engine, qr_slot *floor)
{
    const struct past *past = store_past(engine->store);
    *floor = past != NULL ? past_floor(past) : 0;
    return past != NULL;
}

uint64_t engine_past_memory(const struct engine *engine)
{
    return store_past_memory(engine->store);
}

static bool is_of_keys(const struct command_spec *spec)
{
    return spec != NULL && spec->place == PLACE_READ && spec->first_key > 0;
}

enum engine_as_of engine_read_as_of(struct engine *engine, const struct op *op, qr_slot slot,
                                    struct reply *reply)
{
    struct call c = { .engine = engine, .reply = reply, .spec = command_by_tag(op->tag) };
    const struct past *past = store_past(engine->store);
    if (past == NULL || slot < past_floor(past)) {
        return ENGINE_AS_OF_TOO_OLD;
    }
    if (!is_of_keys(c.spec)) {
        reply_error(reply, status_text(STATUS_BAD_MESSAGE)); /* refused where it came in */
        return ENGINE_AS_OF_DONE;
    }
    size_t before = reply->n;
    bool error_before = reply->is_error;
    c.now = past_time_at(past, slot);
    c.is_as_of = true;
    c.as_of = slot;
    dispatch(&c, op);
    qr_assert(!c.due); /* what was due is known */
    if (c.lost) {
        reply_cut(reply, before);
        reply->is_error = error_before;
        return ENGINE_AS_OF_LOST;
    }
    return ENGINE_AS_OF_DONE;
}
