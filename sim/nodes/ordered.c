/* CREATE, ALTER and DROP of the keyspaces that nobody but the operator orders, one order at a time.
 * What was answered OK was made, and stays until another order; what was refused never shows; what
 * has no answer, or UNCERTAIN, may be carried out once, at any time. Of a refusal nothing is judged
 * but that: one that says what is there may come from a leader that is none any more. */
#include "sim/nodes/ordered.h"

#include "base/panic.h"
#include "node/keyspace_options.h"

#include <stdio.h>
#include <string.h>

static const char *const names[ORDERED_NAMES] = { "cart", "junk" };

bool ordered_is_one(const char *name)
{
    bool one = false;
    for (uint32_t i = 0; i < ORDERED_NAMES; i++) {
        one = one || strcmp(name, names[i]) == 0;
    }
    return one;
}

void ordered_begin(struct ordered *o, bool primary)
{
    *o = (struct ordered){ .kind = ORDERED_NOTHING };
    for (uint32_t i = 0; i < ORDERED_NAMES; i++) {
        o->of[i].may_lack = true;
        o->of[i].strategy = primary ? STRATEGY_PRIMARY : STRATEGY_RAFT;
    }
}

/* --- What is asked -------------------------------------------------------------------------- */

/* The words of a request; how many, at most ORDERED_WORDS. */
static uint32_t split(struct ordered *o, const char *request, struct span *words)
{
    char *rest = NULL;
    uint32_t n = 0;
    (void)snprintf(o->text, sizeof o->text, "%s", request);
    for (char *w = strtok_r(o->text, "\r\n", &rest); w != NULL && n < ORDERED_WORDS;
         w = strtok_r(NULL, "\r\n", &rest)) {
        if (w[0] != '$' && w[0] != '*') {
            words[n++] = span_of(w, strlen(w));
        }
    }
    return n;
}

static bool is(struct span word, const char *text)
{
    return word.n == strlen(text) && memcmp(word.p, text, word.n) == 0;
}

void ordered_asked(struct ordered *o, const char *request)
{
    struct span words[ORDERED_WORDS];
    uint32_t n = split(o, request, words);
    for (uint32_t i = 0; n >= 3 && i < ORDERED_NAMES; i++) {
        if (is(words[2], names[i])) {
            o->which = &o->of[i];
            o->kind = is(words[1], "CREATE")  ? ORDERED_CREATE
                      : is(words[1], "ALTER") ? ORDERED_ALTER
                      : is(words[1], "DROP")  ? ORDERED_DROP
                                              : ORDERED_NOTHING;
        }
    }
    o->words = n > 3 ? n - 3 : 0;
    memcpy(o->word, words + 3, o->words * sizeof *words);
}

static struct keyspace_options options_of(const struct ordered *o)
{
    char why[300];
    struct text text = text_in(why, sizeof why);
    struct keyspace_options options;
    struct map_keyspace there = { .strategy = o->which->strategy,
                                  .read.level = READ_LEADER, /* which every ACK gives */
                                  .primary = primary_options_default() };
    there.primary.log = PRIMARY_STATEMENT;
    const struct map_keyspace *now = o->kind == ORDERED_CREATE ? NULL : &there;
    bool valid = keyspace_options_read(o->word, o->words, now, &options, &text);
    qr_assert(valid); /* as want.c writes them */
    return options;
}

/* --- What it makes of a keyspace ------------------------------------------------------------- */

static void take_numbers(struct map_keyspace *k, const struct keyspace_options *o, uint32_t given)
{
    k->replicas = (given & GIVEN_REPLICA_COUNT) != 0 ? (uint8_t)o->replicas : k->replicas;
    k->partitions = (given & GIVEN_PARTITION_COUNT) != 0 ? o->partitions : k->partitions;
    k->lease = (given & GIVEN_LEASE) != 0 ? o->lease : k->lease;
    k->maxmemory = (given & GIVEN_MAXMEMORY) != 0 ? o->maxmemory : k->maxmemory;
    k->maxops = (given & GIVEN_MAXOPS) != 0 ? o->maxops : k->maxops;
    k->idmp_seconds = (given & GIVEN_IDMP_SECONDS) != 0 ? o->idmp_seconds : k->idmp_seconds;
    k->idmp_count = (given & GIVEN_IDMP_COUNT) != 0 ? o->idmp_count : k->idmp_count;
    k->idmp_bytes = (given & GIVEN_IDMP_BYTES) != 0 ? o->idmp_bytes : k->idmp_bytes;
    k->history_ms = (given & GIVEN_HISTORY) != 0 ? o->history_ms : k->history_ms;
}

/* The bytes of a history hang together with whether there is one: they are not looked at. */
static void take(struct map_keyspace *k, const struct keyspace_options *o, uint32_t given)
{
    take_numbers(k, o, given);
    if ((given & GIVEN_PREFIX) != 0) {
        memcpy(k->prefix, o->prefix, o->prefix_length);
        k->prefix_length = o->prefix_length;
    }
    k->read = (given & GIVEN_READ) != 0 ? o->read : k->read;
    k->ack_kind = (given & GIVEN_ACK) != 0 ? (uint8_t)o->ack.kind : k->ack_kind;
    k->primary.ack = (given & GIVEN_COPIES) != 0 ? o->primary.ack : k->primary.ack;
    k->primary.feed = (given & GIVEN_FEED) != 0 ? o->primary.feed : k->primary.feed;
    if ((given & GIVEN_FALLBACK) != 0) {
        k->primary.fallback_async = o->primary.fallback_async;
    }
    if ((given & GIVEN_MAXLAG) != 0) { /* LAGGING is said beside it */
        k->primary.maxlag = o->primary.maxlag;
        k->primary.maxlag_unit = o->primary.maxlag_unit;
        k->primary.lagging = o->primary.lagging;
    }
}

/* What nothing else explains tells that one without an answer was carried out: it is not again. */
static void let_one_come(const struct ordered *o, struct ordered_keyspace *k)
{
    if (o->kind == ORDERED_CREATE && !k->may_lack && k->drops > 0) {
        k->drops--;
        k->may_lack = true;
    } else if (o->kind != ORDERED_CREATE && !k->may_be && k->makes > 0) {
        k->makes--;
        k->made++;
        k->may_be = true;
    }
}

/* Those that have no answer may be carried out now. */
static void let_late_ones_come(struct ordered_keyspace *k)
{
    k->may_be = k->may_be || k->makes > 0;
    k->may_lack = k->may_lack || k->drops > 0;
}

/* --- What it was told ------------------------------------------------------------------------ */

void ordered_lost(struct ordered *o)
{
    if (o->kind == ORDERED_CREATE) {
        o->which->makes++;
    } else if (o->kind == ORDERED_DROP) {
        o->which->drops++;
    } else if (o->kind == ORDERED_ALTER) {
        o->which->touched |= options_of(o).given;
    }
    o->kind = ORDERED_NOTHING;
}

static const char *made_ok(struct ordered *o, struct ordered_keyspace *k)
{
    struct keyspace_options options = options_of(o);
    if (!k->may_lack) {
        return "a keyspace was made that was there";
    }
    k->made++;
    k->known = true;
    take(&k->is, &options, UINT32_MAX);
    k->may_be = true;
    k->may_lack = false;
    return NULL;
}

static const char *altered_ok(struct ordered *o, struct ordered_keyspace *k)
{
    struct keyspace_options options = options_of(o);
    take(&k->is, &options, options.given);
    k->may_lack = false;
    return k->may_be ? NULL : "a keyspace was altered that was not there";
}

static const char *dropped_ok(struct ordered_keyspace *k)
{
    const char *wrong = k->may_be ? NULL : "a keyspace was dropped that was not there";
    k->may_be = k->known = false;
    k->may_lack = true;
    return wrong;
}

const char *ordered_answered(struct ordered *o, char type, struct span text)
{
    const char *wrong = NULL;
    bool uncertain = text.n >= 10 && memcmp(text.p, "UNCERTAIN ", 10) == 0;
    if (o->kind != ORDERED_NOTHING && type == '-' && uncertain) {
        ordered_lost(o);
    } else if (o->kind != ORDERED_NOTHING && type == '+') {
        struct ordered_keyspace *k = o->which;
        o->judged++;
        let_one_come(o, k);
        wrong = o->kind == ORDERED_CREATE  ? made_ok(o, k)
                : o->kind == ORDERED_ALTER ? altered_ok(o, k)
                                           : dropped_ok(k);
    }
    o->kind = ORDERED_NOTHING;
    return wrong;
}

/* --- What shows ------------------------------------------------------------------------------ */

const char *ordered_saw(struct ordered *o, const char *name)
{
    for (uint32_t i = 0; i < ORDERED_NAMES; i++) {
        struct ordered_keyspace *k = &o->of[i];
        uint32_t now = o->kind == ORDERED_CREATE && o->which == k ? 1 : 0;
        if (strcmp(name, names[i]) == 0 && ++k->seen > k->made + k->makes + now) {
            return "a keyspace was made that was refused, or one twice";
        }
    }
    return NULL;
}

/* Options that it must have and has not, by bit. */
static uint32_t differing(const struct map_keyspace *a, const struct map_keyspace *b)
{
    bool prefix =
        a->prefix_length != b->prefix_length || memcmp(a->prefix, b->prefix, a->prefix_length) != 0;
    bool read = a->read.level != b->read.level || a->read.bound != b->read.bound ||
                a->read.by_ops != b->read.by_ops;
    bool copies = b->strategy == STRATEGY_PRIMARY &&
                  (a->primary.ack.kind != b->primary.ack.kind ||
                   a->primary.ack.n != b->primary.ack.n ||
                   a->primary.ack.stage != b->primary.ack.stage);
    bool lag = a->primary.maxlag != b->primary.maxlag ||
               a->primary.maxlag_unit != b->primary.maxlag_unit ||
               a->primary.lagging != b->primary.lagging;
    bool fallback = a->primary.fallback_async != b->primary.fallback_async;
    return (a->replicas != b->replicas ? GIVEN_REPLICA_COUNT : 0u) |
           (a->partitions != b->partitions ? GIVEN_PARTITION_COUNT : 0u) |
           (a->lease != b->lease ? GIVEN_LEASE : 0u) |
           (a->maxmemory != b->maxmemory ? GIVEN_MAXMEMORY : 0u) |
           (a->maxops != b->maxops ? GIVEN_MAXOPS : 0u) |
           (a->idmp_seconds != b->idmp_seconds ? GIVEN_IDMP_SECONDS : 0u) |
           (a->idmp_count != b->idmp_count ? GIVEN_IDMP_COUNT : 0u) |
           (a->idmp_bytes != b->idmp_bytes ? GIVEN_IDMP_BYTES : 0u) |
           (a->history_ms != b->history_ms ? GIVEN_HISTORY : 0u) | (prefix ? GIVEN_PREFIX : 0u) |
           (lag ? GIVEN_MAXLAG : 0u) | (fallback ? GIVEN_FALLBACK : 0u) |
           (a->primary.feed != b->primary.feed ? GIVEN_FEED : 0u) |
           (copies ? GIVEN_COPIES : 0u) | (read ? GIVEN_READ : 0u) |
           (a->ack_kind != b->ack_kind ? GIVEN_ACK : 0u);
}

static const char *judge_one(struct ordered *o, struct ordered_keyspace *k,
                             const struct map_keyspace *there)
{
    let_late_ones_come(k);
    if (there == NULL) {
        return k->may_lack ? NULL : "a keyspace that was made is not there";
    }
    if (!k->may_be) {
        return "a keyspace is there that was never made, or was dropped";
    }
    if (!k->known || (k->makes > 0 && k->drops > 0)) {
        return NULL;
    }
    o->compared++;
    return (differing(&k->is, there) & ~k->touched) == 0
               ? NULL
               : "a keyspace is not as it was made and altered";
}

const char *ordered_judge(struct ordered *o, const struct map *map)
{
    const char *wrong = NULL;
    if (o->kind != ORDERED_NOTHING) {
        ordered_lost(o); /* it has no answer */
    }
    for (uint32_t i = 0; i < ORDERED_NAMES && wrong == NULL; i++) {
        struct span name = span_of(names[i], strlen(names[i]));
        wrong = judge_one(o, &o->of[i], map_keyspace_named(map, name));
    }
    return wrong;
}
