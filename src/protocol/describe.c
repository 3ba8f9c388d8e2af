#include "protocol/describe.h"

#include "base/rng.h"
#include "protocol/quorum.h"

void describe_set(struct text *out, const char *name, uint32_t set)
{
    text_put(out, name);
    for (uint32_t rest = set; rest != 0; rest &= rest - 1) {
        text_put(out, rest == set ? "" : ",");
        text_u64(out, set_first(rest));
    }
}

void describe_point(const char *sentence, const uint64_t argument[3], struct text *out)
{
    for (const char *s = sentence; *s != 0; s++) {
        if (s[0] == '%' && s[1] >= '0' && s[1] <= '2') {
            text_u64(out, argument[*++s - '0']);
        } else if (s[0] == '{' && s[1] >= '0' && s[1] <= '2') {
            describe_set(out, "{", (uint32_t)argument[*++s - '0']);
        } else {
            text_char(out, *s);
        }
    }
}

void describe_mix(uint64_t *digest, uint64_t v)
{
    struct rng rng = rng_from(*digest ^ v);
    *digest = rng_next(&rng);
}

void describe_mix_log(uint64_t *digest, const struct trail *trail, const struct journal *journal)
{
    describe_mix(digest, trail->base_slot);
    describe_mix(digest, trail->base_term);
    describe_mix(digest, trail->last_slot);
    for (uint32_t i = 0; i < trail->count; i++) {
        describe_mix(digest, trail_run(trail, i).slot);
        describe_mix(digest, trail_run(trail, i).term);
    }
    describe_mix(digest, journal->minted);
    describe_mix(digest, journal->durable);
    describe_mix(digest, journal->durable_slot);
    for (uint32_t i = 0; i < journal->count; i++) {
        describe_mix(digest, journal->marks[i].ticket);
        describe_mix(digest, journal->marks[i].slot);
    }
}
