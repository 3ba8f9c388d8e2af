/* A strategy per planted bug: they share every function but init. */
#include "protocol/canary/canary.h"
#include "protocol/canary/state.h"
#include "protocol/quorum.h"

static struct needs canary_needs(const struct protocol_limits *limits)
{
    (void)limits;
    return (struct needs){ .state = sizeof(struct canary), .effects = 128, .scratch = 128 * 64 };
}

static void canary_init(struct canary *c, const struct protocol_limits *limits, node_index me,
                        uint64_t seed, enum bug bug)
{
    c->limits = *limits;
    c->me = me;
    c->rng = rng_from(seed);
    c->leader = c->vote = NODE_NONE;
    c->bug = (uint8_t)bug;
}

static qr_time canary_deadline(const void *self)
{
    const struct canary *c = self;
    if (!c->started) {
        return QR_NEVER;
    }
    return c->role == ROLE_LEADER ? c->heartbeat_due : c->election_due;
}

static void canary_outlook(const void *self, struct outlook *out)
{
    const struct canary *c = self;
    out->role = c->role;
    out->leader = c->leader;
    out->term = c->term;
    out->commit = c->commit;
    out->last = c->last;
    out->first = c->base + 1;
    uint64_t open = c->last - c->commit;
    out->room = open < c->limits.uncommitted_max ? (uint32_t)(c->limits.uncommitted_max - open) : 0;
    out->can_serve = c->role == ROLE_LEADER && canary_term_at(c, c->commit) == c->term;
    out->members = c->members;
}

static void canary_check(const void *self, const void *before)
{
    const struct canary *c = self, *old = before;
    qr_assert(c->applied <= c->commit);
    qr_assert(c->commit <= c->last);
    qr_assert(old == NULL || c->term >= old->term);
    qr_assert(old == NULL || c->commit >= old->commit);
}

static uint64_t canary_digest(const void *self)
{
    const struct canary *c = self;
    const uint64_t facts[] = { c->term, c->vote,   c->role,    c->leader, c->base,
                               c->last, c->commit, c->applied, c->minted, c->rng.state };
    uint64_t digest = 0;
    for (size_t i = 0; i < ARRAY_COUNT(facts); i++) {
        struct rng r = rng_from(digest ^ facts[i]);
        digest = rng_next(&r);
    }
    return digest;
}

static void canary_describe(const void *self, struct text *out)
{
    const struct canary *c = self;
    static const char names[3][10] = { "follower", "candidate", "leader" };
    text_put(out, names[c->role]);
    text_field(out, "term", c->term);
    text_field(out, "commit", c->commit);
    text_field(out, "last", c->last);
}

static void canary_trace(uint16_t point, const uint64_t argument[3], struct text *out)
{
    (void)argument;
    text_field(out, "point", point);
}

static void canary_prefetch(const void *self, node_index from)
{
    (void)self; /* it is small, and nobody waits for it */
    (void)from;
}

#define PROMISE                                                                                  \
    {                                                                                            \
        .consistency = CONSISTENCY_LINEARIZABLE, .reads = READ_BIT(READ_LINEARIZABLE),           \
        .survives_minority_crash = true, .available_in_minority = false,                         \
        .messages_per_replica = 2, .tolerates = quorum_tolerates                                 \
    }

#define BUG(number, NAME, text)                                                                \
    static void init_##number(void *self, const struct protocol_limits *limits, node_index me, \
                              uint64_t seed)                                                   \
    {                                                                                          \
        canary_init(self, limits, me, seed, (enum bug)(number));                               \
    }                                                                                          \
    static const struct protocol protocol_##number = {                                         \
        .name = "canary:" #number,                                                             \
        .promise = PROMISE,                                                                    \
        .codec = &canary_codec,                                                                \
        .needs = canary_needs,                                                                 \
        .init = init_##number,                                                                 \
        .step = canary_step,                                                                   \
        .prefetch = canary_prefetch,                                                           \
        .deadline = canary_deadline,                                                           \
        .outlook = canary_outlook,                                                             \
        .check = canary_check,                                                                 \
        .digest = canary_digest,                                                               \
        .describe = canary_describe,                                                           \
        .trace = canary_trace,                                                                 \
    };
BUG(0, NONE, "none")
#include "protocol/canary/canary_bugs.def"
#undef BUG

const struct protocol *canary_protocol(unsigned number)
{
    switch (number) {
#define BUG(tag, NAME, text) \
    case tag:                \
        return &protocol_##tag;
        BUG(0, NONE, "none")
#include "protocol/canary/canary_bugs.def"
#undef BUG
    default:
        return NULL;
    }
}

const char *canary_bug_text(unsigned number)
{
    switch (number) {
#define BUG(tag, NAME, text) \
    case tag:                \
        return text;
        BUG(0, NONE, "none")
#include "protocol/canary/canary_bugs.def"
#undef BUG
    default:
        return "";
    }
}
