#include "cluster/primary_options.h"

#include "base/panic.h"
#include "base/size.h"
#include "base/word.h"
#include "cluster/map.h"

/* What STRATEGY primary gives, whichever of its protocols carries it out. */
static const struct promise gives = {
    .acks = ACK_BIT(ACK_LOCAL) | ACK_BIT(ACK_ANY) | ACK_BIT(ACK_ALL),
    .ack_stages = ACK_BIT(ACK_DURABLE) | ACK_BIT(ACK_RECEIVED) | ACK_BIT(ACK_APPLIED),
};

static const char *const logs[] = {
    [PRIMARY_LOGICAL] = "logical", [PRIMARY_STATEMENT] = "statement"
};
static const char *const syncs[] = { [PRIMARY_ALWAYS] = "always", [PRIMARY_EVERYSEC] = "everysec" };
static const char *const laggings[] = {
    [PRIMARY_REJECT] = "REJECT", [PRIMARY_STALL] = "STALL", [PRIMARY_DROP] = "DROP"
};
static const char *const feeds[] = {
    [PRIMARY_FEEDS] = "primary", [PRIMARY_FEED_ZONE] = "zone", [PRIMARY_FEED_FOLLOWER] = "follower"
};
static const char *const fallbacks[] = { "fail", "async" };

struct primary_options primary_options_default(void)
{
    return (struct primary_options){ .ack = { .kind = ACK_ANY, .n = 1 } };
}

/* --- Reading ---------------------------------------------------------------------------------- */

static bool refuse(struct text *why, const char *before, struct span value, const char *after)
{
    text_put(why, before);
    word_quote(why, value);
    text_put(why, after);
    text_put(why, ", nothing was changed");
    return false;
}

/* The index of the word among `n`; `n` when it is none of them. */
static uint32_t choice_of(struct span value, const char *const *words, uint32_t n)
{
    uint32_t i = 0;
    while (i < n && !word_is(value, words[i])) {
        i++;
    }
    return i;
}

static bool take_choice(uint8_t *out, struct span value, const char *const *words, uint32_t n)
{
    uint32_t i = choice_of(value, words, n);
    *out = i < n ? (uint8_t)i : *out;
    return i < n;
}

static bool ends_in(struct span s, const char *unit, size_t n, struct span *number)
{
    bool ends = s.n > n && word_is(span_of(s.p + s.n - n, n), unit);
    *number = ends ? span_of(s.p, s.n - n) : s;
    return ends;
}

/* With a unit: what a bare number means would be a guess. 0 is none. */
static bool take_maxlag(struct primary_options *out, struct span value)
{
    struct span number;
    int64_t n;
    uint64_t bytes;
    if (word_is(value, "0")) {
        out->maxlag = 0;
        out->maxlag_unit = MAXLAG_TIME;
        out->lagging_said = false;
        out->lagging = PRIMARY_REJECT;
        return true;
    }
    if (ends_in(value, "ops", 3, &number)) {
        if (!number_from(number, &n) || n < 1) {
            return false;
        }
        out->maxlag = (uint64_t)n;
        out->maxlag_unit = MAXLAG_OPERATIONS;
        return true;
    }
    bool ms = ends_in(value, "ms", 2, &number);
    if (ms || ends_in(value, "s", 1, &number)) {
        int64_t unit = ms ? QR_MILLISECOND : QR_SECOND;
        if (!number_from(number, &n) || n < 1 || n > PRIMARY_MAXLAG_TIME / unit) {
            return false;
        }
        out->maxlag = (uint64_t)(n * unit);
        out->maxlag_unit = MAXLAG_TIME;
        return true;
    }
    bool unit = value.n > 0 && (value.p[value.n - 1] < '0' || value.p[value.n - 1] > '9');
    if (!unit || !size_from(value, &bytes) || bytes == 0 || bytes > INT64_MAX) {
        return false;
    }
    out->maxlag = bytes;
    out->maxlag_unit = MAXLAG_BYTES;
    return true;
}

enum option { ACK = 0, FALLBACK, MAXLAG, LAGGING, LOG, APPENDFSYNC, FEED, OPTIONS };
static const char *const names[OPTIONS] = { "ACK", "FALLBACK",    "MAXLAG", "LAGGING",
                                            "LOG", "APPENDFSYNC", "FEED" };

static bool read_one(struct primary_options *out, uint32_t option, struct span value,
                     struct text *why)
{
    uint8_t fallback = 0;
    switch (option) {
    case ACK:
        return ack_read(&out->ack, value, "primary", &gives, why);
    case FALLBACK:
        if (!take_choice(&fallback, value, fallbacks, ARRAY_COUNT(fallbacks))) {
            return refuse(why, "ERR FALLBACK is fail or async, not ", value, "");
        }
        out->fallback_async = fallback == 1;
        return true;
    case MAXLAG:
        return take_maxlag(out, value) ||
               refuse(why,
                      "ERR MAXLAG is a time such as 500ms or 10s, a number of bytes such as "
                      "64mb or of operations such as 1000ops, or 0 for none, not ",
                      value, "");
    case LAGGING:
        out->lagging_said = true;
        return take_choice(&out->lagging, value, laggings, ARRAY_COUNT(laggings)) ||
               refuse(why, "ERR LAGGING is STALL, DROP or REJECT, not ", value, "");
    case LOG:
        return take_choice(&out->log, value, logs, ARRAY_COUNT(logs)) ||
               refuse(why, "ERR LOG is logical or statement, not ", value, "");
    case FEED:
        return take_choice(&out->feed, value, feeds, ARRAY_COUNT(feeds)) ||
               refuse(why, "ERR FEED is primary, zone or follower, not ", value, "");
    default:
        return take_choice(&out->sync, value, syncs, ARRAY_COUNT(syncs)) ||
               refuse(why, "ERR APPENDFSYNC is always or everysec, not ", value, "");
    }
}

/* O2: a FALLBACK async that stood there before. */
static bool is_weakened(const struct primary_options *before, const struct primary_options *after,
                        uint32_t said)
{
    const struct ack *a = &before->ack, *b = &after->ack;
    bool same =
        a->kind == b->kind && a->n == b->n && a->stage == b->stage && strcmp(a->zone, b->zone) == 0;
    return (said & 1u << ACK) != 0 && (said & 1u << FALLBACK) == 0 && !same &&
           after->fallback_async;
}

bool primary_options_read(struct primary_options *options, const struct span *words, uint32_t count,
                          struct text *why)
{
    struct primary_options read = *options;
    uint32_t said = 0;
    for (uint32_t i = 0; i < count; i += 2) {
        uint32_t option = choice_of(words[i], names, OPTIONS);
        if (option == OPTIONS) {
            return refuse(why, "ERR strategy primary has no option ", words[i],
                          ": ACK, FALLBACK, MAXLAG, LAGGING, LOG, APPENDFSYNC and FEED");
        }
        if (i + 1 == count) {
            return refuse(why, "ERR option ", words[i], " has no value");
        }
        if ((said >> option & 1) != 0) {
            return refuse(why, "ERR option ", words[i], " is given twice");
        }
        said |= 1u << option;
        if (!read_one(&read, option, words[i + 1], why)) {
            return false;
        }
    }
    if (is_weakened(options, &read, said)) {
        text_put(why, "ERR FALLBACK async was said beside another ACK and would weaken this one: "
                      "say FALLBACK fail or FALLBACK async again, nothing was changed");
        return false;
    }
    *options = read;
    return true;
}

/* --- Checking --------------------------------------------------------------------------------- */

static bool contradicts(struct text *why, const struct ack *ack, const char *what)
{
    text_put(why, "ERR ACK ");
    ack_put(why, ack);
    text_put(why, what);
    text_put(why, ", nothing was changed");
    return false;
}

static bool too_many(struct text *why, const struct ack *ack, const char *of, uint32_t there)
{
    text_put(why, "ERR ACK ");
    ack_put(why, ack);
    text_put(why, " needs ");
    text_u64(why, ack->kind == ACK_ANY ? ack->n : 1);
    text_put(why, " beside the primary, ");
    text_put(why, of);
    text_u64(why, there);
    text_put(why, ", nothing was changed");
    return false;
}

static bool check_copies(const struct ack *ack, uint32_t replicas, uint32_t in_zone,
                         struct text *why)
{
    uint32_t wanted = ack->kind == ACK_ANY ? ack->n : 1;
    if (ack->kind == ACK_LOCAL && ack->stage == ACK_APPLIED) {
        return contradicts(why, ack, " is about others, and LOCAL waits for no other node");
    }
    if (ack->kind == ACK_LOCAL) {
        return ack->zone[0] == 0 ||
               contradicts(why, ack, " names a zone, and LOCAL waits for no other node");
    }
    if (wanted >= replicas) {
        return too_many(why, ack, "REPLICAS leaves ", replicas - 1);
    }
    if (ack->zone[0] != 0 && in_zone == 0) {
        return contradicts(why, ack, " names a zone that no node is in");
    }
    if (ack->zone[0] != 0 && ack->kind == ACK_ANY && wanted >= in_zone) {
        /* The primary may be one of them. */
        return too_many(why, ack, "where one of the zone leads it has ", in_zone - 1);
    }
    return true;
}

bool primary_options_check(const struct primary_options *options, uint32_t replicas,
                           uint32_t in_zone, struct text *why)
{
    const struct ack *ack = &options->ack;
    qr_assert(replicas > 0);
    if (!check_copies(ack, replicas, in_zone, why)) {
        return false;
    }
    if (options->fallback_async && ack->kind == ACK_LOCAL) {
        return contradicts(why, ack,
                           " waits for no other node, so there is nothing to fall back "
                           "from: leave FALLBACK async out");
    }
    if (options->sync == PRIMARY_EVERYSEC && ack->stage != ACK_RECEIVED) {
        return contradicts(why, ack,
                           " contradicts APPENDFSYNC everysec, which would hold each "
                           "write for up to a second: say ON received, or always");
    }
    bool alone = ack->kind == ACK_LOCAL || options->fallback_async;
    if (alone && ack->stage == ACK_RECEIVED && options->sync != PRIMARY_EVERYSEC) {
        return contradicts(why, ack,
                           " where nobody else may have the write: a restart of the primary would "
                           "lose it without a name; say APPENDFSYNC everysec, or ON durable");
    }
    if (options->lagging_said && options->maxlag == 0) {
        text_put(why, "ERR LAGGING says what happens beyond MAXLAG, and there is none, nothing "
                      "was changed");
        return false;
    }
    if (options->lagging == PRIMARY_DROP && ack->kind == ACK_ALL) {
        return contradicts(why, ack, " needs every copy, and LAGGING DROP would leave one out");
    }
    if (primary_options_reject(options) && options->maxlag_unit == MAXLAG_BYTES) {
        text_put(why,
                 "ERR LAGGING REJECT wants MAXLAG as a time or in operations: a follower cannot "
                 "tell the bytes of what it does not have, nothing was changed");
        return false;
    }
    return true;
}

static bool is_sound_ack(const struct ack *ack)
{
    return ack->kind < ACK_KINDS && ack->stage < ACK_STAGES && ack_is_given(ack, &gives) &&
           (ack->kind == ACK_ANY ? ack->n > 0 && ack->n < MEMBERS_MAX : ack->n == 0);
}

bool primary_options_are_sound(const struct primary_options *o)
{
    bool lagging = o->lagging <= PRIMARY_DROP && (o->lagging == PRIMARY_REJECT || o->lagging_said);
    bool time =
        o->maxlag <= (uint64_t)PRIMARY_MAXLAG_TIME && o->maxlag % (uint64_t)QR_MILLISECOND == 0;
    bool maxlag = o->maxlag_unit == MAXLAG_TIME ? time : o->maxlag > 0 && o->maxlag <= INT64_MAX;
    char why[256];
    struct text text = text_in(why, sizeof why);
    return is_sound_ack(&o->ack) && lagging && maxlag && o->maxlag_unit <= MAXLAG_OPERATIONS &&
           o->feed <= PRIMARY_FEED_FOLLOWER &&
           primary_options_check(o, MEMBERS_MAX, MEMBERS_MAX, &text);
}

/* MAXLAG in time and bytes level 4 reads, and REJECT level 5, and no more. */
uint32_t primary_options_level(const struct primary_options *o)
{
    bool copies = o->ack.stage == ACK_APPLIED || o->sync == PRIMARY_EVERYSEC || o->maxlag > 0 ||
                  o->feed != PRIMARY_FEEDS;
    bool followers = o->maxlag_unit == MAXLAG_OPERATIONS || primary_options_reject(o);
    return followers ? MAP_LEVEL_FOLLOWERS : copies ? MAP_LEVEL_COPIES : MAP_LEVEL_PRIMARY;
}

/* --- Writing ---------------------------------------------------------------------------------- */

static void put_maxlag(struct text *out, const struct primary_options *o)
{
    bool ms = o->maxlag % (uint64_t)QR_SECOND != 0;
    text_put(out, " MAXLAG ");
    if (o->maxlag_unit != MAXLAG_TIME) {
        text_u64(out, o->maxlag);
        text_put(out, o->maxlag_unit == MAXLAG_BYTES ? "b" : "ops");
    } else {
        text_u64(out, o->maxlag / (uint64_t)(ms ? QR_MILLISECOND : QR_SECOND));
        text_put(out, ms ? "ms" : "s");
    }
    if (o->lagging_said) {
        text_put(out, " LAGGING ");
        text_put(out, laggings[o->lagging]);
    }
}

void primary_options_put(struct text *out, const struct primary_options *o)
{
    text_put(out, "ACK \"");
    ack_put(out, &o->ack);
    text_put(out, "\" FALLBACK ");
    text_put(out, fallbacks[o->fallback_async]);
    if (o->maxlag > 0) {
        put_maxlag(out, o);
    }
    text_put(out, " LOG ");
    text_put(out, logs[o->log]);
    text_put(out, " APPENDFSYNC ");
    text_put(out, syncs[o->sync]);
    if (o->feed != PRIMARY_FEEDS) {
        text_put(out, " FEED ");
        text_put(out, feeds[o->feed]);
    }
}

/* --- For succession --------------------------------------------------------------------------- */

struct succession_wish primary_options_wish(const struct primary_options *options, uint16_t members,
                                            uint16_t in_zone)
{
    const struct ack *ack = &options->ack;
    bool zone = ack->zone[0] != 0, any = ack->kind == ACK_ANY;
    struct succession_wish wish = { .members = members,
                                    .stage = (uint8_t)ack->stage,
                                    .fallback = options->fallback_async };
    if (options->sync == PRIMARY_EVERYSEC) {
        wish.stage = ACK_WRITTEN;
    }
    if (ack->kind == ACK_ALL || (any && zone)) {
        wish.set_of = !zone ? members : in_zone != 0 ? in_zone : (uint16_t)(1u << MEMBERS_MAX);
        wish.set_count = any ? ack->n : 0;
    } else if (any) {
        wish.copies = ack->n;
    }
    return wish;
}
