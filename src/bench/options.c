#include "bench/options.h"

#include "bench/value.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT_DEFAULT 6379
#define SECONDS_MAX 1e7 /* 115 days */
#define RATE_MAX 1e8
#define THETA_MAX 20.0
#define TEXT_BYTES_MAX 4000 /* of a password, a path */

struct parsing {
    struct bench_options *options;
    const char *hosts;
    uint64_t port;
    bool reads_given;
    char *message;
    size_t cap;
};

static bool complain(struct parsing *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool complain(struct parsing *p, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(p->message, p->cap, format, arguments);
    va_end(arguments);
    return false;
}

/* --- Values of several kinds ----------------------------------------------------------------- */

/* A whole number up to `end`, where the text goes on behind it. */
static bool whole(const char *text, const char **end, uint64_t *out)
{
    char *stop = NULL;
    errno = 0;
    *out = strtoull(text, &stop, 10);
    *end = stop;
    return text[0] >= '0' && text[0] <= '9' && errno == 0;
}

static bool decimal(const char *text, const char **end, double *out)
{
    char *stop = NULL;
    errno = 0;
    *out = strtod(text, &stop);
    *end = stop;
    size_t n = (size_t)(stop - text);
    return ((text[0] >= '0' && text[0] <= '9') || text[0] == '.') && errno == 0 &&
           strspn(text, "0123456789.") >= n;
}

static bool share(const char *text, const char **end, double *out)
{
    return decimal(text, end, out) && *out >= 0 && *out <= 1;
}

/* --- Options that are more than a number ----------------------------------------------------- */

static bool take_distribution(struct parsing *p, const char *text)
{
    struct pick_distribution *d = &p->options->distribution;
    const char *end = text;
    *d = (struct pick_distribution){ .kind = PICK_UNIFORM };
    if (strcmp(text, "uniform") == 0) {
        return true;
    }
    if (strcmp(text, "zipf") == 0) {
        *d = (struct pick_distribution){ .kind = PICK_ZIPF, .theta = 0.99 };
        return true;
    }
    if (strncmp(text, "zipf:", 5) == 0 && decimal(text + 5, &end, &d->theta) && *end == 0 &&
        d->theta > 0 && d->theta <= THETA_MAX) {
        d->kind = PICK_ZIPF;
        return true;
    }
    if (strncmp(text, "hot:", 4) == 0 && share(text + 4, &end, &d->hot_keys) && *end == ':' &&
        share(end + 1, &end, &d->hot_access) && *end == 0 && d->hot_keys > 0) {
        d->kind = PICK_HOT;
        return true;
    }
    return complain(p,
                    "--distribution wants uniform, zipf, zipf:THETA (above 0, at most 20), or "
                    "hot:SHARE-OF-KEYS:SHARE-OF-REQUESTS (0 to 1 each); not '%s'",
                    text);
}

static bool take_size(struct parsing *p, const char *text)
{
    struct bench_options *o = p->options;
    const char *end = text;
    bool good = whole(text, &end, &o->bytes_min);
    o->bytes_max = o->bytes_min;
    if (good && *end == '-') {
        good = whole(end + 1, &end, &o->bytes_max);
    }
    if (!good || *end != 0 || o->bytes_min < 1 || o->bytes_max < o->bytes_min ||
        o->bytes_max > VALUE_BYTES_MAX) {
        return complain(p, "--size wants bytes, N or A-B, from 1 to %zu; not '%s'", VALUE_BYTES_MAX,
                        text);
    }
    return true;
}

static bool take_operations(struct parsing *p, const char *text)
{
    for (int i = OPERATIONS_MIXED; i <= OPERATIONS_GET; i++) {
        if (strcmp(text, bench_operations_name((enum bench_operations)i)) == 0) {
            p->options->operations = (enum bench_operations)i;
            return true;
        }
    }
    return complain(p, "--operations wants set, get or mixed; not '%s'", text);
}

static bool take_reads(struct parsing *p, const char *text)
{
    const char *end = text;
    p->reads_given = true;
    if (!share(text, &end, &p->options->reads) || *end != 0) {
        return complain(p, "--reads wants a share from 0 to 1; not '%s'", text);
    }
    return true;
}

static bool take_prefix(struct parsing *p, const char *text)
{
    bool good = strlen(text) <= BENCH_PREFIX_BYTES_MAX;
    for (const char *c = text; *c != 0; c++) {
        good = good && *c > ' ' && *c < 127;
    }
    p->options->prefix = text;
    return good || complain(p, "--prefix wants at most %d printable characters without blanks",
                            BENCH_PREFIX_BYTES_MAX);
}

static bool take_requests(struct parsing *p, const char *text)
{
    const char *end = text;
    p->options->limited = true;
    if (!whole(text, &end, &p->options->requests) || *end != 0) {
        return complain(p, "--requests wants a number; not '%s'", text);
    }
    return true;
}

static bool take_seed(struct parsing *p, const char *text)
{
    const char *end = text;
    p->options->seeded = true;
    if (!whole(text, &end, &p->options->seed) || *end != 0) {
        return complain(p, "--seed wants a number; not '%s'", text);
    }
    return true;
}

static bool take_hosts(struct parsing *p, const char *text)
{
    p->hosts = text;
    return true;
}

/* --- The table of options -------------------------------------------------------------------- */

enum kind { KIND_FLAG, KIND_COUNT, KIND_DECIMAL, KIND_TEXT, KIND_OWN };

struct option {
    const char *name;
    const char *letter; /* as redis-benchmark has it; NULL: none */
    enum kind kind;
    size_t offset; /* in struct bench_options */
    double min, max;
    bool (*take)(struct parsing *p, const char *text); /* of KIND_OWN */
};

#define AT(field) offsetof(struct bench_options, field)
static const struct option options_known[] = {
    { "--host", "-h", KIND_OWN, 0, 0, 0, take_hosts },
    { "--port", "-p", KIND_OWN, 0, 0, 0, NULL },
    { "--password", "-a", KIND_TEXT, AT(password), 0, 0, NULL },
    { "--user", NULL, KIND_TEXT, AT(user), 0, 0, NULL },
    { "--db", NULL, KIND_COUNT, AT(db), 0, 1e6, NULL },
    { "--keyspace", NULL, KIND_TEXT, AT(keyspace), 0, 0, NULL },
    { "--cluster", NULL, KIND_FLAG, AT(cluster), 0, 0, NULL },
    { "--connections", "-c", KIND_COUNT, AT(connections), 1, BENCH_CONNECTIONS_MAX, NULL },
    { "--pipeline", "-P", KIND_COUNT, AT(pipeline), 1, BENCH_PIPELINE_MAX, NULL },
    { "--duration", NULL, KIND_DECIMAL, AT(duration_s), 0.001, SECONDS_MAX, NULL },
    { "--requests", "-n", KIND_OWN, 0, 0, 0, take_requests },
    { "--warmup", NULL, KIND_DECIMAL, AT(warmup_s), 0, SECONDS_MAX, NULL },
    { "--keys", "-r", KIND_COUNT, AT(keys), 1, BENCH_KEYS_MAX, NULL },
    { "--prefix", NULL, KIND_OWN, 0, 0, 0, take_prefix },
    { "--distribution", NULL, KIND_OWN, 0, 0, 0, take_distribution },
    { "--size", "-d", KIND_OWN, 0, 0, 0, take_size },
    { "--operations", "-t", KIND_OWN, 0, 0, 0, take_operations },
    { "--reads", NULL, KIND_OWN, 0, 0, 0, take_reads },
    { "--rate", NULL, KIND_DECIMAL, AT(rate), 0.001, RATE_MAX, NULL },
    { "--fill", NULL, KIND_FLAG, AT(fill), 0, 0, NULL },
    { "--seed", NULL, KIND_OWN, 0, 0, 0, take_seed },
    { "--check", NULL, KIND_FLAG, AT(check), 0, 0, NULL },
    { "--reconnect", NULL, KIND_FLAG, AT(reconnect), 0, 0, NULL },
    { "--timeout", NULL, KIND_DECIMAL, AT(timeout_s), 0.001, SECONDS_MAX, NULL },
    { "--give-up", NULL, KIND_DECIMAL, AT(give_up_s), 0.001, SECONDS_MAX, NULL },
    { "--history", NULL, KIND_TEXT, AT(history_path), 0, 0, NULL },
    { "--histogram", NULL, KIND_FLAG, AT(histogram), 0, 0, NULL },
    { "--json", NULL, KIND_TEXT, AT(json_path), 0, 0, NULL },
    { "--progress", NULL, KIND_FLAG, AT(progress), 0, 0, NULL },
    { "--no-progress", NULL, KIND_FLAG, AT(no_progress), 0, 0, NULL },
};
#undef AT

static const struct option *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(options_known); i++) {
        const struct option *o = &options_known[i];
        if (strcmp(o->name, name) == 0 || (o->letter != NULL && strcmp(o->letter, name) == 0)) {
            return o;
        }
    }
    return NULL;
}

static bool take_count(struct parsing *p, const struct option *o, const char *text, uint64_t *out)
{
    const char *end = text;
    if (!whole(text, &end, out) || *end != 0 || (double)*out < o->min || (double)*out > o->max) {
        return complain(p, "%s wants a number from %.0f to %.0f; not '%s'", o->name, o->min, o->max,
                        text);
    }
    return true;
}

static bool take_decimal(struct parsing *p, const struct option *o, const char *text, double *out)
{
    const char *end = text;
    if (!decimal(text, &end, out) || *end != 0 || *out < o->min || *out > o->max) {
        return complain(p, "%s wants a number from %g to %.0f; not '%s'", o->name, o->min, o->max,
                        text);
    }
    return true;
}

static bool take(struct parsing *p, const struct option *o, const char *text)
{
    static const struct option port = { .name = "--port", .min = 1, .max = 65535 };
    char *field = (char *)p->options + o->offset;
    switch (o->kind) {
    case KIND_FLAG:
        *(bool *)field = true;
        return true;
    case KIND_COUNT:
        return take_count(p, o, text, (uint64_t *)(void *)field);
    case KIND_DECIMAL:
        return take_decimal(p, o, text, (double *)(void *)field);
    case KIND_TEXT:
        *(const char **)(void *)field = text;
        return (text[0] != 0 && strlen(text) <= TEXT_BYTES_MAX) ||
               complain(p, "%s wants 1 to %d characters", o->name, TEXT_BYTES_MAX);
    case KIND_OWN:
        break;
    }
    return o->take != NULL ? o->take(p, text) : take_count(p, &port, text, &p->port);
}

/* --- Addresses ------------------------------------------------------------------------------- */

void bench_address_set(struct bench_address *a, const char *host, uint16_t port)
{
    bool six = strchr(host, ':') != NULL;
    memcpy(a->host, host, strlen(host) + 1);
    a->port = port;
    snprintf(a->name, sizeof a->name, "%s%.*s%s:%u", six ? "[" : "", BENCH_HOST_BYTES_MAX - 1, host,
             six ? "]" : "", a->port);
}

static bool add_address(struct parsing *p, const char *text, size_t n)
{
    struct bench_options *o = p->options;
    if (o->address_count == BENCH_ADDRESSES_MAX) {
        return complain(p, "--host takes at most %d addresses", BENCH_ADDRESSES_MAX);
    }
    struct bench_address *a = &o->addresses[o->address_count];
    char item[BENCH_HOST_BYTES_MAX + 16];
    uint64_t port = p->port;
    const char *end = "";
    snprintf(item, sizeof item, "%.*s", (int)n, text);
    char *host = item;
    char *colon = strrchr(item, ':');
    bool bracketed = item[0] == '[';
    if (bracketed) { /* [::1]:6379 */
        char *close = strchr(item, ']');
        host = item + 1;
        colon = close != NULL && close[1] == ':' ? close + 1 : NULL;
        if (close == NULL || (close[1] != 0 && close[1] != ':')) {
            return complain(p, "--host wants HOST[:PORT],...; not '%s'", item);
        }
        *close = 0;
    } else if (colon != strchr(item, ':')) {
        colon = NULL; /* an IPv6 address without a port */
    }
    if (colon != NULL) {
        *colon = 0;
        if (!whole(colon + 1, &end, &port) || *end != 0 || port < 1 || port > 65535) {
            return complain(p, "--host: '%s' is no port", colon + 1);
        }
    }
    if (n >= sizeof item || host[0] == 0 || strlen(host) >= sizeof a->host) {
        return complain(p, "--host wants HOST[:PORT],...; not '%s'", p->hosts);
    }
    bench_address_set(a, host, (uint16_t)port);
    o->address_count++;
    return true;
}

static bool take_addresses(struct parsing *p)
{
    const char *at = p->hosts;
    for (;;) {
        size_t n = strcspn(at, ",");
        if (!add_address(p, at, n)) {
            return false;
        }
        if (at[n] == 0) {
            return true;
        }
        at += n + 1;
    }
}

/* --- Together -------------------------------------------------------------------------------- */

static bool agree(struct parsing *p)
{
    struct bench_options *o = p->options;
    if (o->history_path != NULL) {
        o->check = o->fill = true;
    }
    if (o->password != NULL && strlen(o->password) > TEXT_BYTES_MAX) {
        return complain(p, "the password in REDISCLI_AUTH is too long");
    }
    if (o->user != NULL && o->password == NULL) {
        return complain(p, "--user wants a --password too");
    }
    if (o->keyspace != NULL && o->db != 0) {
        return complain(p, "--db and --keyspace contradict each other");
    }
    if (p->reads_given && o->operations != OPERATIONS_MIXED) {
        return complain(p, "--reads and --operations %s contradict each other",
                        bench_operations_name(o->operations));
    }
    if (o->limited && o->requests == 0 && !o->fill) {
        return complain(p, "--requests 0 is of use only with --fill");
    }
    if (o->check && o->bytes_min < VALUE_CHECKED_BYTES_MIN) {
        return complain(p, "--check and --history want values of at least %u bytes",
                        VALUE_CHECKED_BYTES_MIN);
    }
    if (o->check && o->keys > BENCH_CHECKED_KEYS_MAX) {
        return complain(p, "--check and --history want at most %d keys", BENCH_CHECKED_KEYS_MAX);
    }
    if (o->connections * o->pipeline > BENCH_IN_FLIGHT_MAX) {
        return complain(p, "--connections times --pipeline may be at most %d", BENCH_IN_FLIGHT_MAX);
    }
    if (o->json_path != NULL && strcmp(o->json_path, "-") == 0 && o->histogram) {
        return complain(p, "--json - leaves no room for --histogram: give --json a file");
    }
    if (o->duration_s == 0 && !o->limited) {
        o->duration_s = 10;
    }
    return true;
}

bool bench_options_parse(struct bench_options *options, int argc, char **argv, char *message,
                         size_t cap)
{
    struct parsing p = { .options = options,
                         .hosts = "127.0.0.1",
                         .port = PORT_DEFAULT,
                         .message = message,
                         .cap = cap };
    *options = (struct bench_options){ .connections = 50,
                                       .pipeline = 1,
                                       .warmup_s = 0.5,
                                       .keys = 100000,
                                       .prefix = "key:",
                                       .bytes_min = 100,
                                       .bytes_max = 100,
                                       .reads = 0.9,
                                       .timeout_s = 5,
                                       .give_up_s = 60,
                                       .password = getenv("REDISCLI_AUTH") };
    for (int i = 1; i < argc; i++) {
        const struct option *o = find(argv[i]);
        if (o == NULL) {
            return complain(&p, "unknown option '%s'; see quorate bench --help", argv[i]);
        }
        if (o->kind != KIND_FLAG && i + 1 == argc) {
            return complain(&p, "%s wants a value; see quorate bench --help", argv[i]);
        }
        if (!take(&p, o, o->kind == KIND_FLAG ? "" : argv[++i])) {
            return false;
        }
    }
    return take_addresses(&p) && agree(&p);
}

/* --- Names ----------------------------------------------------------------------------------- */

const char *bench_operations_name(enum bench_operations operations)
{
    static const char *const names[] = {
        [OPERATIONS_MIXED] = "mixed", [OPERATIONS_SET] = "set", [OPERATIONS_GET] = "get"
    };
    return names[operations];
}

void bench_distribution_name(const struct pick_distribution *d, char *out, size_t cap)
{
    switch (d->kind) {
    case PICK_UNIFORM:
        (void)snprintf(out, cap, "uniform");
        break;
    case PICK_ZIPF:
        (void)snprintf(out, cap, "zipf:%g", d->theta);
        break;
    case PICK_HOT:
        (void)snprintf(out, cap, "hot:%g:%g", d->hot_keys, d->hot_access);
        break;
    }
}
