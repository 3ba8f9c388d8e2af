#include "node/repeats.h"

/* FNV-1a: not for strangers to choose, who could at worst keep a line out of a log. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = 14695981039346656037u;
    for (; *text != 0; text++) {
        hash = (hash ^ (uint8_t)*text) * 1099511628211u;
    }
    return hash != 0 ? hash : 1;
}

bool repeats_due(struct repeats *repeats, const char *text, qr_time now, qr_time interval,
                 uint32_t *kept_back)
{
    uint64_t hash = hash_of(text);
    struct repeat *row = &repeats->row[0];
    for (uint32_t i = 0; i < REPEATS_KEPT && row->hash != hash; i++) {
        struct repeat *other = &repeats->row[i];
        if (other->hash == hash || other->seen_at < row->seen_at) {
            row = other;
        }
    }
    bool known = row->hash == hash;
    row->seen_at = now;
    if (known && now < row->told_at + interval) {
        row->kept_back++;
        return false;
    }
    *kept_back = known ? row->kept_back : 0;
    *row = (struct repeat){ .hash = hash, .told_at = now, .seen_at = now };
    return true;
}
