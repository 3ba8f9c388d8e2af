/* See sentence.h. The syntax is read as it is needed: there is no tree of it. */
#include "sim/nodes/sentence.h"

#include "command/command.h"
#include "command/details.h"
#include "sim/nodes/realm.h"

#include <ctype.h>

#define ODD_ONE_IN 40u /* arguments are of any kind */
#define TIMES_MAX 3u   /* of what may come more than once */
#define TAGS 4096u

/* --- Words ---------------------------------------------------------------------------------- */

static void add(struct sentence *s, const void *p, size_t n)
{
    size_t at = s->at[s->count];
    if (s->count < SENTENCE_WORDS_MAX && n <= sizeof s->text - at) {
        memcpy(s->text + at, p, n);
        s->at[++s->count] = at + n;
    }
}

static void add_text(struct sentence *s, const char *text)
{
    add(s, text, strlen(text));
}

static void add_number(struct sentence *s, int64_t number)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", (long long)number);
    add_text(s, text);
}

static void add_bytes(struct sentence *s, size_t most)
{
    char bytes[4096];
    size_t n = rng_below(s->rng, most + 1);
    qr_assert(n <= sizeof bytes);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (char)rng_below(s->rng, 256);
    }
    add(s, bytes, n);
}

/* One of the words that stand between bars. */
static void add_one_of(struct sentence *s, const char *words)
{
    uint64_t count = 1;
    for (const char *c = words; *c != 0; c++) {
        count += *c == '|';
    }
    const char *word = words;
    for (uint64_t skip = rng_below(s->rng, count); skip > 0; skip--) {
        word = strchr(word, '|') + 1;
    }
    add(s, word, strcspn(word, "|"));
}

/* --- Arguments ------------------------------------------------------------------------------ */

static void add_odd(struct sentence *s)
{
    switch (rng_below(s->rng, 4)) {
    case 0:
        add_number(s, (int64_t)rng_next(s->rng));
        return;
    case 1:
        add_number(s, -(int64_t)rng_below(s->rng, 1000));
        return;
    case 2:
        add_one_of(s, "|*|nil|0x10|1e400|-0|inf|9223372036854775808|YES|\r\n");
        return;
    default:
        add_bytes(s, 300);
    }
}

static void add_key(struct sentence *s)
{
    char key[24];
    static const char *const kinds[] = { "q%u", "qp:%u", "q{%u}x" };
    (void)snprintf(key, sizeof key, kinds[rng_below(s->rng, 3)], (unsigned)rng_below(s->rng, 12));
    add_text(s, key);
}

static void add_value(struct sentence *s)
{
    switch (rng_below(s->rng, 4)) {
    case 0:
        add_number(s, (int64_t)rng_below(s->rng, 1000));
        return;
    case 1:
        add_bytes(s, 4000);
        return;
    case 2:
        add_one_of(s, "1.5|-3|hello|");
        return;
    default:
        add_bytes(s, 40);
    }
}

static void add_command(struct sentence *s);

static void add_token(struct sentence *s)
{
    if (s->heard.n > 0) {
        add(s, s->heard.p, s->heard.n);
    } else {
        add_text(s, "no-token");
    }
}

static void add_moment(struct sentence *s)
{
    add_number(s, REALM_WALL / QR_SECOND + (int64_t)rng_below(s->rng, 60) - 10);
}

static const struct kind {
    const char *names; /* of arguments, with bars around and between them */
    const char *words; /* one of these, or */
    void (*add)(struct sentence *s);
    uint32_t below; /* a number */
} kinds[] = {
    { "|key|source-key|destination-key|new-key|", NULL, add_key, 0 },
    { "|value|message|password|string|arg|", NULL, add_value, 0 },
    { "|command|", NULL, add_command, 0 },
    { "|token|", NULL, add_token, 0 },
    { "|unix-time-seconds|", NULL, add_moment, 0 },
    { "|name|keyspace|", "g1|g2|g1|G2|nobody's", NULL, 0 },
    { "|prefix|", "qp:|qr:", NULL, 0 },
    { "|pattern|", "*|q*|q[0-9]?|*x|\\*|[^q]*|mem*", NULL, 0 },
    { "|level|", "local|prefix|leader|session|linearizable|bounded:100|bounded:20ops|"
                 "snapshot:0-9|no", NULL, 0 },
    { "|spec|", "2|3|MAJORITY|ALL|EACH zone|LOCAL|1 ON durable|2 ON applied|nothing", NULL, 0 },
    { "|section|", "all|everything|default|server|clients|memory|persistence|stats|replication|cpu|"
                   "raft|keyspace|keyspaces|commandstats|latencystats|errorstats|modules|cluster|"
                   "sentinel|snapshot|peers|alarms|none", NULL, 0 },
    { "|parameter|", "*|max*|port|dir|log-*|request-timeout|save|appendonly|loglevel", NULL, 0 },
    { "|command-name|", "get|set|client|client|list|with|keyspace|create|nothing", NULL, 0 },
    { "|duration|time|", "5s|100ms|1m|0|60|x", NULL, 0 },
    { "|type|", "string|hash|list", NULL, 0 },
    { "|category|", "read|write|fast|string|keyspace|nothing", NULL, 0 },
    { "|username|connection-name|client-name|libname|libver|pid|iid|module-name|channel|runid|"
      "node-id|",
      "default|me|a|b|c|1|2|3|__sentinel__:hello|+switch-master", NULL, 0 },
    { "|master-name|", "mymaster|other", NULL, 0 },
    { "|ip|host|", "127.0.0.1|10.0.0.1|nowhere", NULL, 0 },
    { "|ip:port|host:port|", "127.0.0.1:7000|10.0.0.9:1", NULL, 0 },
    { "|protover|", "2|3|3|4", NULL, 0 },
    { "|count|numreplicas|db|destination-db|db2|group|", NULL, NULL, 5 },
    { "|timeout|milliseconds|seconds|", NULL, NULL, 200 },
    { "|bytes|bytes-per-second|commands-per-second|", NULL, NULL, 1u << 30 },
    { "|cursor|", NULL, NULL, 1 },
};

static void add_argument(struct sentence *s, const char *name, size_t n)
{
    char word[64];
    (void)snprintf(word, sizeof word, "|%.*s|", (int)n, name);
    if (rng_chance(s->rng, 1, ODD_ONE_IN)) {
        add_odd(s);
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        const struct kind *k = &kinds[i];
        if (strstr(k->names, word) == NULL) {
            continue;
        }
        if (k->add != NULL) {
            k->add(s);
        } else if (k->words != NULL) {
            add_one_of(s, k->words);
        } else {
            add_number(s, 1 + (int64_t)rng_below(s->rng, k->below) - (k->below == 1));
        }
        return;
    }
    add_number(s, (int64_t)rng_below(s->rng, 100));
}

/* --- The syntax ----------------------------------------------------------------------------- */

/* Where the bracket at p closes. */
static const char *closing(const char *p)
{
    int depth = 0;
    for (;; p++) {
        depth += (*p == '(' || *p == '[') - (*p == ')' || *p == ']');
        if (depth == 0) {
            return p;
        }
    }
}

static const char *behind(const char *p)
{
    return *p == '(' || *p == '[' ? closing(p) + 1 : p + strcspn(p, " .()[]|");
}

/* Where the alternative that begins at p ends. */
static const char *alternative_end(const char *p, const char *end)
{
    while (p < end && *p != '|') {
        p = *p == '(' || *p == '[' ? closing(p) + 1 : p + 1;
    }
    return p;
}

static void draw_sequence(struct sentence *s, const char *p, const char *end);

static void draw_alternative(struct sentence *s, const char *p, const char *end)
{
    uint64_t count = 1;
    for (const char *a = alternative_end(p, end); a < end; a = alternative_end(a + 1, end)) {
        count++;
    }
    for (uint64_t skip = rng_below(s->rng, count); skip > 0; skip--) {
        p = alternative_end(p, end) + 1;
    }
    draw_sequence(s, p, alternative_end(p, end));
}

static bool is_argument(const char *p, const char *end)
{
    while (p < end && !islower((unsigned char)*p)) {
        p++;
    }
    return p < end;
}

static void draw_element(struct sentence *s, const char *p, const char *end)
{
    if (*p == '(' || *p == '[') {
        if (*p == '(' || rng_chance(s->rng, 1, 2)) {
            draw_alternative(s, p + 1, end - 1);
        }
    } else if (end - p == 5 && memcmp(p, "words", 5) == 0) {
        s->words_at = s->count;
        add_text(s, "0");
    } else if (is_argument(p, end)) {
        add_argument(s, p, (size_t)(end - p));
    } else {
        add(s, p, (size_t)(end - p));
    }
}

static void draw_sequence(struct sentence *s, const char *p, const char *end)
{
    while (p < end) {
        const char *next = behind(p);
        bool repeats = next + 3 <= end && memcmp(next, "...", 3) == 0;
        uint64_t times = repeats ? 1 + rng_below(s->rng, TIMES_MAX) : 1;
        while (times-- > 0) {
            draw_element(s, p, next);
        }
        p = next + (repeats ? 3 : 0);
        p += p < end && *p == ' ';
    }
}

/* --- Commands ------------------------------------------------------------------------------- */

/* What all in this world depend on, or nobody comes back from. */
static bool is_forbidden(const struct command_spec *spec)
{
    static const char names[] = " flushall flushdb shutdown swapdb member|add member|remove "
                                "member|demote member|promote member|set member|drain config|set ";
    char name[64];
    (void)snprintf(name, sizeof name, " %s ", spec->name);
    return strstr(names, name) != NULL;
}

/* Which may have no answer of its own, or several. */
static bool is_loose(const struct command_spec *spec)
{
    return (spec->flags & CF_PUBSUB) != 0 || strcmp(spec->name, "client|reply") == 0 ||
           strcmp(spec->name, "client|kill") == 0 || strcmp(spec->name, "quit") == 0;
}

static const struct command_spec *draw_command(struct rng *rng)
{
    for (;;) {
        const struct command_spec *spec = command_by_tag((uint16_t)rng_below(rng, TAGS));
        if (spec != NULL && !is_forbidden(spec)) {
            return spec;
        }
    }
}

static void count_options(struct sentence *s, uint32_t words_at)
{
    char digits[3];
    uint32_t options = s->count - words_at - 1;
    if (s->text[s->at[words_at]] == '0' && options < 10) {
        (void)snprintf(digits, sizeof digits, "%u", (unsigned)options);
        s->text[s->at[words_at]] = digits[0];
    }
}

static void add_command(struct sentence *s)
{
    if (s->words_at > 0) {
        count_options(s, s->words_at);
        s->words_at = 0;
    }
    const struct command_spec *spec = draw_command(s->rng);
    if (++s->depth > 3) {
        return;
    }
    s->loose = s->loose || is_loose(spec);
    for (const char *word = spec->name; *word != 0;) {
        size_t n = strcspn(word, "|");
        add(s, word, n);
        word += n + (word[n] != 0);
    }
    const char *syntax = command_syntax_of(spec);
    draw_sequence(s, syntax, syntax + strlen(syntax));
}

void sentence_draw(struct sentence *s, struct rng *rng, struct span heard)
{
    *s = (struct sentence){ .rng = rng, .heard = heard };
    add_command(s);
    if (rng_chance(rng, 1, 3 * ODD_ONE_IN)) {
        add_odd(s); /* one too many */
    }
}

size_t sentence_write(const struct sentence *s, char *p, size_t cap)
{
    size_t n = (size_t)snprintf(p, cap, "*%u\r\n", (unsigned)s->count);
    for (uint32_t i = 0; i < s->count; i++) {
        size_t bytes = s->at[i + 1] - s->at[i];
        n += (size_t)snprintf(p + n, cap - n, "$%zu\r\n", bytes);
        qr_assert(n + bytes + 2 < cap);
        memcpy(p + n, s->text + s->at[i], bytes);
        memcpy(p + n + bytes, "\r\n", 2);
        n += bytes + 2;
    }
    return n;
}
