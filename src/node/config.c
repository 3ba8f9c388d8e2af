/* The table of config.def: defaults, changing one directive, showing it. See config_file.c for
 * files and command lines. */
#include "node/config_internal.h"

#include "base/alloc.h"
#include "base/size.h"
#include "base/panic.h"
#include "base/word.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FIELD(f) offsetof(struct config, f), sizeof(((struct config *)0)->f)
#define START false
#define ANYTIME true

static const struct directive table[] = {
#define NUMBER(n, f, def, low, high, when, text) \
    { n, DIRECTIVE_NUMBER, FIELD(f), (def), (low), (high), NULL, when, text },
#define SIZE(n, f, def, low, high, when, text) \
    { n, DIRECTIVE_SIZE, FIELD(f), (def), (low), (high), NULL, when, text },
#define SWITCH(n, f, def, when, text) \
    { n, DIRECTIVE_SWITCH, FIELD(f), (def), 0, 1, NULL, when, text },
#define CHOICE(n, f, def, words, when, text) \
    { n, DIRECTIVE_CHOICE, FIELD(f), (def), 0, 0, words, when, text },
#define TEXT(n, f, def, when, text) { n, DIRECTIVE_TEXT, FIELD(f), 0, 0, 0, def, when, text },
#define SECRET(n, f, def, when, text) { n, DIRECTIVE_SECRET, FIELD(f), 0, 0, 0, def, when, text },
#define MEMBERS(n, f, when, text) { n, DIRECTIVE_MEMBERS, FIELD(f), 0, 0, 0, NULL, when, text },
#define CONSTANT(n, value) { n, DIRECTIVE_CONSTANT, 0, 0, 0, 0, 0, value, START, "" },
#define REFUSED(n, value) { n, DIRECTIVE_REFUSED, 0, 0, 0, 0, 0, value, START, "" },
#define NOTED(n, value) { n, DIRECTIVE_NOTED, 0, 0, 0, 0, 0, value, ANYTIME, "" },
#define ALIAS(n, other) { n, DIRECTIVE_ALIAS, 0, 0, 0, 0, 0, other, START, "" },
#include "node/config.def"
#undef NUMBER
#undef SIZE
#undef SWITCH
#undef CHOICE
#undef TEXT
#undef SECRET
#undef MEMBERS
#undef CONSTANT
#undef REFUSED
#undef NOTED
#undef ALIAS
};

/* --- Names ---------------------------------------------------------------------------------- */

static const struct directive *find_text(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        if (strcmp(table[i].name, name) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

static const struct directive *resolve(const struct directive *d)
{
    if (d->kind == DIRECTIVE_ALIAS) {
        d = find_text(d->words);
        qr_assert(d != NULL && d->kind != DIRECTIVE_ALIAS);
    }
    return d;
}

uint32_t config_count(void)
{
    return (uint32_t)ARRAY_COUNT(table);
}

const char *config_name(uint32_t i)
{
    qr_assert(i < ARRAY_COUNT(table));
    return table[i].name;
}

const char *config_help(uint32_t i)
{
    qr_assert(i < ARRAY_COUNT(table));
    return table[i].help;
}

const char *config_target(uint32_t i)
{
    qr_assert(i < ARRAY_COUNT(table));
    return resolve(&table[i])->name;
}

int config_find(struct span name)
{
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        if (word_is(name, table[i].name)) {
            return (int)i;
        }
    }
    return -1;
}

const struct directive *directive_find(struct span name)
{
    int i = config_find(name);
    return i < 0 ? NULL : resolve(&table[i]);
}

/* --- Values --------------------------------------------------------------------------------- */

static uint64_t load(const struct config *config, const struct directive *d)
{
    const uint8_t *p = (const uint8_t *)config + d->offset;
    uint64_t v = 0;
    qr_assert(d->size <= sizeof v);
    memcpy(&v, p, d->size); /* little-endian, as everything here */
    return v;
}

static void save(struct config *config, const struct directive *d, uint64_t v)
{
    qr_assert(d->size <= sizeof v);
    memcpy((uint8_t *)config + d->offset, &v, d->size);
}

/* Which of the NOTED directives d is. */
static size_t noted_index(const struct directive *d)
{
    size_t index = 0;
    for (const struct directive *other = table; other != d; other++) {
        index += other->kind == DIRECTIVE_NOTED;
    }
    qr_assert(index < CONFIG_NOTED);
    return index;
}

void config_defaults(struct config *config)
{
    memset(config, 0, sizeof *config);
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        const struct directive *d = &table[i];
        switch (d->kind) {
        case DIRECTIVE_NUMBER:
        case DIRECTIVE_SIZE:
        case DIRECTIVE_SWITCH:
        case DIRECTIVE_CHOICE:
            save(config, d, d->initial);
            break;
        case DIRECTIVE_TEXT:
        case DIRECTIVE_SECRET:
            qr_assert(strlen(d->words) < d->size);
            memcpy((char *)config + d->offset, d->words, strlen(d->words) + 1);
            break;
        case DIRECTIVE_NOTED:
            qr_assert(strlen(d->words) < CONFIG_NOTED_BYTES);
            memcpy(config->noted[noted_index(d)], d->words, strlen(d->words) + 1);
            break;
        case DIRECTIVE_MEMBERS:
        case DIRECTIVE_CONSTANT:
        case DIRECTIVE_REFUSED:
        case DIRECTIVE_ALIAS:
            break;
        }
    }
}

static void put_choice(struct text *out, const char *words, uint64_t index)
{
    while (index > 0) {
        words = strchr(words, '|');
        qr_assert(words != NULL);
        words++;
        index--;
    }
    while (*words != 0 && *words != '|') {
        text_char(out, *words++);
    }
}

static void put_members(struct text *out, const struct config *config)
{
    for (uint32_t i = 0; i < config->member_count; i++) {
        const struct member_config *m = &config->members[i];
        text_put(out, i > 0 ? " " : "");
        text_u64(out, m->id);
        text_char(out, ' ');
        text_put(out, m->address);
        text_char(out, ' ');
        text_u64(out, m->client_port);
        text_char(out, ' ');
        text_u64(out, m->peer_port);
    }
}

bool config_shown(uint32_t i)
{
    qr_assert(i < ARRAY_COUNT(table));
    const struct directive *d = resolve(&table[i]);
    return d->kind != DIRECTIVE_SECRET && (d->kind != DIRECTIVE_REFUSED || d->words != NULL);
}

void config_value(const struct config *config, uint32_t i, struct text *out)
{
    qr_assert(config_shown(i));
    const struct directive *d = resolve(&table[i]);
    switch (d->kind) {
    case DIRECTIVE_NUMBER:
    case DIRECTIVE_SIZE:
        text_u64(out, load(config, d));
        break;
    case DIRECTIVE_SWITCH:
        text_put(out, load(config, d) != 0 ? "yes" : "no");
        break;
    case DIRECTIVE_CHOICE:
        put_choice(out, d->words, load(config, d));
        break;
    case DIRECTIVE_TEXT:
        text_put(out, (const char *)config + d->offset);
        break;
    case DIRECTIVE_MEMBERS:
        put_members(out, config);
        break;
    case DIRECTIVE_CONSTANT:
    case DIRECTIVE_REFUSED:
        text_put(out, d->words);
        break;
    case DIRECTIVE_NOTED:
        text_put(out, config->noted[noted_index(d)]);
        break;
    case DIRECTIVE_SECRET:
    case DIRECTIVE_ALIAS:
        qr_unreachable();
    }
}

/* --- Changing one --------------------------------------------------------------------------- */

static bool in_range(const struct directive *d, bool negative, uint64_t v, struct text *error)
{
    if (!negative && v >= d->least && v <= d->most) {
        return true;
    }
    text_put(error, "argument must be between ");
    text_u64(error, d->least);
    text_put(error, " and ");
    text_u64(error, d->most);
    text_put(error, " inclusive");
    return false;
}

static bool set_number(struct config *config, const struct directive *d, struct span value,
                       struct text *error)
{
    uint64_t v = 0;
    bool negative = false;
    if (d->kind == DIRECTIVE_SIZE) {
        if (!size_from(value, &v)) {
            text_put(error, "argument must be a memory value");
            return false;
        }
    } else {
        int64_t signed_v;
        if (!number_from(value, &signed_v)) {
            text_put(error, "argument couldn't be parsed into an integer");
            return false;
        }
        negative = signed_v < 0;
        v = (uint64_t)signed_v;
    }
    if (!in_range(d, negative, v, error)) {
        return false;
    }
    save(config, d, v);
    return true;
}

static bool set_switch(struct config *config, const struct directive *d, struct span value,
                       struct text *error)
{
    if (!word_is(value, "yes") && !word_is(value, "no")) {
        text_put(error, "argument must be 'yes' or 'no'");
        return false;
    }
    save(config, d, word_is(value, "yes"));
    return true;
}

static bool set_choice(struct config *config, const struct directive *d, struct span value,
                       struct text *error)
{
    uint64_t index = 0;
    for (const char *word = d->words; word != NULL; index++) {
        const char *end = strchr(word, '|');
        size_t n = end != NULL ? (size_t)(end - word) : strlen(word);
        if (n == value.n && strncasecmp(word, (const char *)value.p, n) == 0) {
            save(config, d, index);
            return true;
        }
        word = end != NULL ? end + 1 : NULL;
    }
    text_put(error, "argument(s) must be one of the following: ");
    for (const char *c = d->words; *c != 0; c++) {
        if (*c == '|') {
            text_put(error, ", ");
        } else {
            text_char(error, *c);
        }
    }
    return false;
}

static bool set_text(char *field, size_t size, const struct span *words, uint32_t n,
                     struct text *error)
{
    char joined[CONFIG_VALUE_BYTES];
    struct text value = text_in(joined, size < sizeof joined ? size : sizeof joined);
    for (uint32_t i = 0; i < n; i++) {
        text_put(&value, i > 0 ? " " : "");
        for (size_t j = 0; j < words[i].n; j++) {
            if (words[i].p[j] == 0) {
                text_put(error, "argument must not hold a zero byte");
                return false;
            }
            text_char(&value, (char)words[i].p[j]);
        }
    }
    if (value.cut) {
        text_put(error, "argument is too long");
        return false;
    }
    memcpy(field, joined, value.n + 1);
    return true;
}

static bool set_member(struct config *config, const struct span *words, uint32_t n,
                       struct text *error)
{
    int64_t id, port, peer_port;
    if (n < 3 || n > 4 || !number_from(words[0], &id) || id < 1 || id > UINT16_MAX ||
        words[1].n == 0 || !number_from(words[2], &port) || port < 1 || port > 65535) {
        text_put(error, "a member is its id, address, client port and, if unusual, peer port");
        return false;
    }
    if (n == 3) {
        peer_port = port + 10000;
    } else if (!number_from(words[3], &peer_port)) {
        peer_port = 0;
    }
    if (peer_port < 1 || peer_port > 65535) {
        text_put(error, "the member's peer port must be between 1 and 65535 (the client port plus "
                        "10000 unless given)");
        return false;
    }
    if (config->member_count == MEMBERS_MAX) {
        text_put(error, "too many members");
        return false;
    }
    struct member_config *m = &config->members[config->member_count];
    *m = (struct member_config){ .id = (uint32_t)id, .client_port = (uint16_t)port };
    m->peer_port = (uint16_t)peer_port;
    if (!set_text(m->address, sizeof m->address, &words[1], 1, error)) {
        return false;
    }
    if (strspn(m->address, "0123456789abcdefABCDEF:.%") != strlen(m->address)) {
        text_put(error, "the member's address must be numeric");
        return false;
    }
    config->member_count++;
    return true;
}

static bool same_value(const char *value, const struct span *words, uint32_t n)
{
    return value != NULL && n == 1 && word_is(words[0], value);
}

static void add_note(struct config *config, const char *name)
{
    struct text notes = { .p = config->notes,
                          .n = strlen(config->notes),
                          .cap = sizeof config->notes };
    text_put(&notes, notes.n > 0 ? ", " : "");
    text_put(&notes, name);
}

static bool are_percentiles(const char *text, struct text *error)
{
    double values[PERCENTILES_MAX];
    if (config_percentiles(text, values) < 0) {
        text_put(error, "argument must be a list of at most 16 numbers from 0 to 100");
        return false;
    }
    return true;
}

/* What clients are told must not break the replies that it stands in. */
static bool is_told_to_clients(const struct directive *d)
{
    static const size_t told[] = {
        offsetof(struct config, cluster_keyspace),
        offsetof(struct config, cluster_announce_ip),
        offsetof(struct config, cluster_announce_hostname),
        offsetof(struct config, replica_announce_ip),
        offsetof(struct config, sentinel_master_name),
    };
    bool is = false;
    for (size_t i = 0; i < ARRAY_COUNT(told); i++) {
        is = is || d->offset == told[i];
    }
    return is;
}

static bool is_word(const char *text, struct text *error)
{
    size_t n = strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:_%-");
    if (text[n] != 0) {
        text_put(error, "argument must be made of letters, digits and .:_%-");
    }
    return text[n] == 0;
}

static bool set_checked_text(struct config *config, const struct directive *d,
                             const struct span *words, uint32_t n, struct text *error)
{
    char *field = (char *)config + d->offset;
    config->bind_given = config->bind_given || d->offset == offsetof(struct config, bind);
    if (!set_text(field, d->size, words, n, error)) {
        return false;
    }
    if (d->offset == offsetof(struct config, latency_percentiles)) {
        return are_percentiles(config->latency_percentiles, error);
    }
    return !is_told_to_clients(d) || is_word(field, error);
}

bool directive_set(struct config *config, const struct directive *d, const struct span *words,
                   uint32_t n, bool running, struct text *error)
{
    bool one = d->kind != DIRECTIVE_TEXT && d->kind != DIRECTIVE_SECRET &&
               d->kind != DIRECTIVE_NOTED && d->kind != DIRECTIVE_MEMBERS &&
               d->kind != DIRECTIVE_REFUSED && d->kind != DIRECTIVE_CONSTANT;
    if (n == 0 || (one && n != 1)) {
        text_put(error, "wrong number of arguments");
        return false;
    }
    switch (d->kind) {
    case DIRECTIVE_NUMBER:
    case DIRECTIVE_SIZE:
        return set_number(config, d, words[0], error);
    case DIRECTIVE_SWITCH:
        return set_switch(config, d, words[0], error);
    case DIRECTIVE_CHOICE:
        return set_choice(config, d, words[0], error);
    case DIRECTIVE_TEXT:
    case DIRECTIVE_SECRET:
        return set_checked_text(config, d, words, n, error);
    case DIRECTIVE_MEMBERS:
        return set_member(config, words, n, error);
    case DIRECTIVE_NOTED:
        if (!running) {
            add_note(config, d->name);
        }
        return set_text(config->noted[noted_index(d)], CONFIG_NOTED_BYTES, words, n, error);
    case DIRECTIVE_CONSTANT:
        if (!same_value(d->words, words, n)) {
            add_note(config, d->name); /* running nodes do not come here: it is immutable */
        }
        return true;
    case DIRECTIVE_REFUSED:
        if (!same_value(d->words, words, n)) {
            text_put(error, "this server does not have it yet, and to ignore it would not be safe; "
                            "remove it");
            return false;
        }
        return true;
    case DIRECTIVE_ALIAS:
        break;
    }
    qr_unreachable();
}

/* --- CONFIG SET ----------------------------------------------------------------------------- */

/* One pair of a CONFIG SET; `why` gets the reason when it is refused. */
static bool set_pair(struct config *config, const struct directive *d, struct span value,
                     struct text *why)
{
    bool fixed = d->kind == DIRECTIVE_CONSTANT || d->kind == DIRECTIVE_REFUSED;
    if (fixed && d->words != NULL && same_value(d->words, &value, 1)) {
        return true;
    }
    if (fixed || !d->anytime) {
        text_put(why, "can't set immutable config");
        return false;
    }
    return directive_set(config, d, &value, 1, true, why);
}

static bool set_all(struct config *config, const struct span *pairs, uint32_t count,
                    struct text *error)
{
    const struct directive *seen[CONFIG_SET_PAIRS_MAX];
    for (uint32_t i = 0; i < count; i += 2) {
        const struct directive *d = directive_find(pairs[i]);
        seen[i / 2] = d;
        char why_text[256];
        struct text why = text_in(why_text, sizeof why_text);
        bool duplicate = false;
        for (uint32_t j = 0; j < i / 2; j++) {
            duplicate = duplicate || seen[j] == d;
        }
        if (duplicate) {
            text_put(&why, "duplicate parameter");
        } else if (set_pair(config, d, pairs[i + 1], &why)) {
            continue;
        }
        text_put(error, "ERR CONFIG SET failed (possibly related to argument '");
        for (size_t j = 0; j < pairs[i].n; j++) {
            text_char(error, (char)pairs[i].p[j]);
        }
        text_put(error, "') - ");
        text_put(error, why_text);
        return false;
    }
    return true;
}

bool config_set_runtime(struct config *config, const struct span *pairs, uint32_t count,
                        char *error, size_t cap)
{
    struct text out = text_in(error, cap);
    if (count % 2 != 0 || count / 2 > CONFIG_SET_PAIRS_MAX) {
        text_put(&out, "ERR syntax error");
        return false;
    }
    for (uint32_t i = 0; i < count; i += 2) {
        const struct directive *d = directive_find(pairs[i]);
        if (d == NULL || (d->kind == DIRECTIVE_REFUSED && d->words == NULL)) {
            (void)snprintf(error, cap,
                           "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
                           (int)(pairs[i].n < 128 ? pairs[i].n : 128), (const char *)pairs[i].p);
            return false;
        }
    }
    struct config *changed = qr_alloc(sizeof *changed);
    *changed = *config;
    bool ok = set_all(changed, pairs, count, &out);
    if (ok) {
        *config = *changed;
    }
    free(changed);
    return ok;
}
