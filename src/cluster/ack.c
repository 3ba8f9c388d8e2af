#include "cluster/ack.h"

#include "base/number.h"
#include "base/word.h"

#define WORDS_MAX 6u /* ANY k OF zone ON stage */
#define COUNT_MAX 255

static const char *const kinds[ACK_KINDS] = {
    [ACK_MAJORITY] = "MAJORITY", [ACK_QUORUM] = "QUORUM", [ACK_EACH_ZONE] = "EACH zone",
    [ACK_EACH_DC] = "EACH dc",   [ACK_ALL] = "ALL",       [ACK_ANY] = "ANY",
    [ACK_COUNT] = "w=",          [ACK_LOCAL] = "LOCAL",
};

static const char *const stages[ACK_STAGES] = {
    [ACK_DURABLE] = "durable",
    [ACK_RECEIVED] = "received",
    [ACK_APPLIED] = "applied",
    [ACK_WRITTEN] = "written",
};

/* --- Writing -------------------------------------------------------------------------------- */

static void put_bits(struct text *out, const char *const *names, uint32_t n, uint32_t bits)
{
    const char *between = "";
    for (uint32_t i = 0; i < n; i++) {
        if ((bits & ACK_BIT(i)) != 0) {
            text_put(out, between);
            text_put(out, names[i]);
            between = ", ";
        }
    }
}

void ack_names(struct text *out, const struct promise *promise)
{
    put_bits(out, kinds, ACK_KINDS, promise->acks);
    text_put(out, "; ON ");
    put_bits(out, stages, ACK_STAGES, promise->ack_stages);
}

void ack_put(struct text *out, const struct ack *ack)
{
    qr_assert(ack->kind < ACK_KINDS && ack->stage < ACK_STAGES);
    text_put(out, kinds[ack->kind]);
    if (ack->kind == ACK_ANY) {
        text_char(out, ' ');
    }
    if (ack->kind == ACK_ANY || ack->kind == ACK_COUNT) {
        text_u64(out, ack->n);
    }
    if (ack->zone[0] != 0) {
        text_put(out, " OF ");
        text_put(out, ack->zone);
    }
    text_put(out, " ON ");
    text_put(out, stages[ack->stage]);
}

/* --- Reading -------------------------------------------------------------------------------- */

/* The words that are not read yet. */
struct words {
    struct span v[WORDS_MAX];
    uint32_t n, at;
};

/* False: there are more than make any sense. */
static bool split(struct words *words, struct span spec)
{
    *words = (struct words){ .n = 0 };
    for (size_t i = 0; i < spec.n;) {
        size_t from = i;
        while (i < spec.n && spec.p[i] != ' ') {
            i++;
        }
        if (i > from) {
            if (words->n == WORDS_MAX) {
                return false;
            }
            words->v[words->n++] = span_of(spec.p + from, i - from);
        } else {
            i++;
        }
    }
    return true;
}

/* Takes the next word where it is that one. */
static bool take(struct words *words, const char *word)
{
    bool is = words->at < words->n && word_is(words->v[words->at], word);
    words->at += is ? 1 : 0;
    return is;
}

static bool take_count(struct span s, uint8_t *out)
{
    int64_t n;
    bool valid = number_from(s, &n) && n >= 1 && n <= COUNT_MAX;
    *out = valid ? (uint8_t)n : 0;
    return valid;
}

static bool take_kind(struct words *words, struct ack *ack)
{
    static const enum ack_kind plain[] = { ACK_MAJORITY, ACK_QUORUM, ACK_ALL, ACK_LOCAL };
    for (size_t i = 0; i < ARRAY_COUNT(plain); i++) {
        if (take(words, kinds[plain[i]])) {
            ack->kind = plain[i];
            return true;
        }
    }
    if (take(words, "EACH")) {
        ack->kind = words->at < words->n && word_is(words->v[words->at], "dc") ? ACK_EACH_DC
                                                                               : ACK_EACH_ZONE;
        return take(words, "dc") || take(words, "zone");
    }
    if (take(words, "ANY")) {
        ack->kind = ACK_ANY;
        return words->at < words->n && take_count(words->v[words->at++], &ack->n);
    }
    struct span word = words->at < words->n ? words->v[words->at++] : span_of(NULL, 0);
    ack->kind = ACK_COUNT;
    return word.n > 2 && word_is(span_of(word.p, 2), "w=") &&
           take_count(span_of(word.p + 2, word.n - 2), &ack->n);
}

static bool take_zone(struct words *words, struct ack *ack)
{
    if (!take(words, "OF")) {
        return true;
    }
    struct span zone = words->at < words->n ? words->v[words->at++] : span_of(NULL, 0);
    bool valid = zone.n > 0 && zone.n < sizeof ack->zone;
    for (size_t i = 0; valid && i < zone.n; i++) {
        valid = zone.p[i] > ' ' && zone.p[i] < 0x7f; /* as MEMBER ZONE has it */
        ack->zone[i] = (char)zone.p[i];
    }
    return valid;
}

static bool take_stage(struct words *words, struct ack *ack)
{
    if (!take(words, "ON")) {
        return true;
    }
    for (uint32_t i = 0; i < ACK_STAGES; i++) {
        if (take(words, stages[i])) {
            ack->stage = (enum ack_stage)i;
            return true;
        }
    }
    return false;
}

bool ack_parse(struct ack *out, struct span spec, struct text *why)
{
    struct words words;
    struct ack ack = { .kind = ACK_MAJORITY };
    if (!split(&words, spec) || !take_kind(&words, &ack) || !take_zone(&words, &ack) ||
        !take_stage(&words, &ack) || words.at != words.n) {
        text_put(why, "ERR syntax error: ACK ");
        word_quote(why, spec);
        text_put(why, " is none of LOCAL | ANY k | MAJORITY | QUORUM | ALL | EACH zone | w=n "
                      "[OF zone] [ON received|durable|applied], the command was not applied");
        return false;
    }
    *out = ack;
    return true;
}

/* Of a zone alone may be what counts copies, wherever they are. */
bool ack_is_given(const struct ack *ack, const struct promise *promise)
{
    bool zone = ack->zone[0] == 0 || (promise->acks & ACK_BIT(ACK_ANY)) != 0;
    return (promise->acks & ACK_BIT(ack->kind)) != 0 &&
           (promise->ack_stages & ACK_BIT(ack->stage)) != 0 && zone;
}

void ack_refuse(struct text *why, struct span spec, const char *strategy,
                const struct promise *promise)
{
    text_put(why, "LEVEL strategy ");
    text_put(why, strategy);
    text_put(why, " does not give ACK ");
    word_quote(why, spec);
    text_put(why, ", the command was not applied; it gives ");
    ack_names(why, promise);
}

bool ack_read(struct ack *out, struct span spec, const char *strategy,
              const struct promise *promise, struct text *why)
{
    struct ack ack;
    if (!ack_parse(&ack, spec, why)) {
        return false;
    }
    if (!ack_is_given(&ack, promise)) {
        ack_refuse(why, spec, strategy, promise);
        return false;
    }
    *out = ack;
    return true;
}
