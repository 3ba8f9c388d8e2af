#include "node/keyspace_options.h"

#include "base/limits.h"
#include "base/size.h"
#include "base/word.h"
#include "cluster/asked.h"
#include "cluster/level.h"
#include "cluster/slots.h"
#include "cluster/strategy.h"
#include "protocol/raft/raft.h"

static bool refuse(struct text *why, const char *before, struct span quoted, const char *after)
{
    text_put(why, before);
    if (quoted.p != NULL) {
        word_quote(why, quoted);
    }
    text_put(why, after);
    return false;
}

/* --- Names ---------------------------------------------------------------------------------- */

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool keyspace_name_is_valid(struct span name)
{
    if (name.n == 0 || name.n >= KEYSPACE_NAME_BYTES || !is_letter(name.p[0])) {
        return false;
    }
    for (size_t i = 1; i < name.n; i++) {
        uint8_t c = name.p[i];
        if (!is_letter(c) && !(c >= '0' && c <= '9') && c != '_' && c != '.' && c != '-') {
            return false;
        }
    }
    return true;
}

/* --- Values --------------------------------------------------------------------------------- */

/* A number within bounds. */
static bool count_from(struct span value, int64_t least, int64_t most, uint32_t *out)
{
    int64_t n;
    bool valid = number_from(value, &n) && n >= least && n <= most;
    *out = valid ? (uint32_t)n : *out;
    return valid;
}

static bool read_id(struct keyspace_options *out, struct span value, struct text *why)
{
    return count_from(value, KEYSPACE_FIRST_ID, KEYSPACE_ID_MAX, &out->id) ||
           refuse(why, "ERR an ID is a number from 16 to 65535, not ", value,
                  ": 0 to 15 are the databases of keyspace 0, nothing was changed");
}

static bool read_strategy(struct keyspace_options *out, struct span value, struct text *why)
{
    static const char *const later[] = { "2pc",         "3pc",        "paxos",  "chain",
                                         "multileader", "leaderless", "spanner" };
    (void)out; /* it was looked for before all others */
    for (size_t i = 0; i < ARRAY_COUNT(later); i++) {
        if (word_is(value, later[i])) {
            return refuse(why, "ERR strategy ", value,
                          " is not built yet: raft and primary are, nothing was changed");
        }
    }
    return word_is(value, "raft") || word_is(value, "primary") ||
           refuse(why, "ERR unknown strategy ", value,
                  ": raft and primary are built, nothing was changed");
}

static bool read_replicas(struct keyspace_options *out, struct span value, struct text *why)
{
    return count_from(value, 1, MEMBERS_MAX, &out->replicas) ||
           refuse(why, "ERR REPLICAS is a number from 1 to 15, not ", value,
                  ", nothing was changed");
}

static bool read_partitions(struct keyspace_options *out, struct span value, struct text *why)
{
    return count_from(value, 1, SLOTS, &out->partitions) ||
           refuse(why, "ERR PARTITIONS is a number from 1 to 16384, not ", value,
                  ", nothing was changed");
}

static bool read_partitioning(struct keyspace_options *out, struct span value, struct text *why)
{
    (void)out;
    if (word_is(value, "range")) {
        return refuse(why, "ERR PARTITION range is not built yet: hash is, nothing was changed",
                      (struct span){ 0 }, "");
    }
    return word_is(value, "hash") ||
           refuse(why, "ERR PARTITION is hash, not ", value, ", nothing was changed");
}

/* A prefix is printable and has no blanks, so that it can be told and typed; empty: none. */
static bool read_prefix(struct keyspace_options *out, struct span value, struct text *why)
{
    if (value.n > KEYSPACE_PREFIX_BYTES) {
        return refuse(why, "ERR a PREFIX has at most 64 bytes, nothing was changed",
                      (struct span){ 0 }, "");
    }
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] <= ' ' || value.p[i] >= 0x7f || value.p[i] == '{') {
            return refuse(why, "ERR a PREFIX is printable ASCII without blanks and {, not ", value,
                          ", nothing was changed");
        }
    }
    memcpy(out->prefix, value.p, value.n);
    out->prefix_length = (uint8_t)value.n;
    return true;
}

static bool read_lease(struct keyspace_options *out, struct span value, struct text *why)
{
    out->lease = word_is(value, "yes");
    return out->lease || word_is(value, "no") ||
           refuse(why, "ERR LEASE is yes or no, not ", value, ", nothing was changed");
}

static bool read_maxmemory(struct keyspace_options *out, struct span value, struct text *why)
{
    bool valid = size_from(value, &out->maxmemory) && out->maxmemory <= INT64_MAX;
    return valid ||
           refuse(why, "ERR MAXMEMORY is a number of bytes such as 100mb, or 0 for none, not ",
                  value, ", nothing was changed");
}

static bool read_maxops(struct keyspace_options *out, struct span value, struct text *why)
{
    int64_t n;
    bool valid = number_from(value, &n) && n >= 0 && n <= 1000000000;
    out->maxops = valid ? (uint64_t)n : out->maxops;
    return valid || refuse(why,
                           "ERR MAXOPS is a number of commands a second up to 1000000000, or "
                           "0 for no limit, not ",
                           value, ", nothing was changed");
}

static bool read_idmp_seconds(struct keyspace_options *out, struct span value, struct text *why)
{
    return count_from(value, 1, MAP_IDMP_SECONDS_MAX, &out->idmp_seconds) ||
           refuse(why, "ERR IDMP-DURATION is a number of seconds from 1 to 86400, not ", value,
                  ", nothing was changed");
}

static bool read_idmp_count(struct keyspace_options *out, struct span value, struct text *why)
{
    return count_from(value, 1, IDMP_COUNT_MAX, &out->idmp_count) ||
           refuse(why, "ERR IDMP-MAXSIZE is a number of ids from 1 to 1000000, not ", value,
                  ", nothing was changed");
}

static bool read_idmp_bytes(struct keyspace_options *out, struct span value, struct text *why)
{
    bool valid = size_from(value, &out->idmp_bytes) && out->idmp_bytes >= IDMP_BYTES_MIN &&
                 out->idmp_bytes <= INT64_MAX;
    return valid ||
           refuse(why, "ERR IDMP-MAXBYTES is a number of bytes such as 100mb, 4kb at least, not ",
                  value, ", nothing was changed");
}

/* As CONSISTENCY reads them. What STRATEGY primary gives follows from its ACK. */
static bool read_asked(struct asked *out, const struct keyspace_options *o, const char *option,
                       struct span value, struct text *why)
{
    struct span words[] = { span_of(option, strlen(option)), value };
    struct asked_by by = { .strategy = raft_protocol.name, .promise = &raft_protocol.promise };
    if (o->strategy == STRATEGY_PRIMARY) {
        by.strategy = "primary";
        by.promise = &strategy_of_primary(&o->primary)->promise;
    }
    return asked_read(out, words, ARRAY_COUNT(words), &by, why);
}

static bool read_level_of_reads(struct keyspace_options *out, struct span value, struct text *why)
{
    struct asked asked;
    if (!read_asked(&asked, out, "READ", value, why)) {
        return false;
    }
    out->read = asked.read;
    return asked.read.level != READ_SNAPSHOT ||
           refuse(why, "ERR READ ", value,
                  " is one state of one partition, and no level for all requests, nothing was "
                  "changed");
}

static bool read_ack(struct keyspace_options *out, struct span value, struct text *why)
{
    struct asked asked;
    bool valid = read_asked(&asked, out, "ACK", value, why);
    out->ack = valid ? asked.ack : out->ack;
    return valid;
}

static bool read_history(struct keyspace_options *out, struct span value, struct text *why)
{
    bool valid = word_is(value, "0") || duration_read(value, &out->history_ms);
    out->history_ms = valid && !word_is(value, "0") ? out->history_ms : 0;
    return valid ||
           refuse(why, "ERR HISTORY is a time such as 10s up to a day, or 0 for none, not ", value,
                  ", nothing was changed");
}

static bool read_history_bytes(struct keyspace_options *out, struct span value, struct text *why)
{
    bool valid = size_from(value, &out->history_bytes) && out->history_bytes > 0 &&
                 out->history_bytes <= INT64_MAX;
    return valid || refuse(why, "ERR HISTORY-BYTES is a number of bytes such as 64mb, not ", value,
                           ", nothing was changed");
}

/* --- Options -------------------------------------------------------------------------------- */

/* Strategies that have it. */
#define OF_RAFT (1u << STRATEGY_RAFT)
#define OF_PRIMARY (1u << STRATEGY_PRIMARY)
#define OF_ALL (OF_RAFT | OF_PRIMARY)

/* It was read with the others of its strategy. */
static bool read_already(struct keyspace_options *out, struct span value, struct text *why)
{
    (void)out;
    (void)value;
    (void)why;
    return true;
}

static const struct option {
    const char *name;
    enum keyspace_option bit;
    uint8_t of;
    bool alterable;
    bool (*read)(struct keyspace_options *out, struct span value, struct text *why);
} options[] = {
    { "ID", GIVEN_ID, OF_ALL, false, read_id },
    { "STRATEGY", GIVEN_STRATEGY, OF_ALL, false, read_strategy },
    { "REPLICAS", GIVEN_REPLICA_COUNT, OF_ALL, true, read_replicas },
    { "VOTERS", GIVEN_REPLICA_COUNT, OF_ALL, true, read_replicas },
    { "PARTITIONS", GIVEN_PARTITION_COUNT, OF_ALL, false, read_partitions },
    { "PARTITION", GIVEN_PARTITIONING, OF_ALL, false, read_partitioning },
    { "PREFIX", GIVEN_PREFIX, OF_ALL, true, read_prefix },
    { "LEASE", GIVEN_LEASE, OF_RAFT, true, read_lease },
    { "MAXMEMORY", GIVEN_MAXMEMORY, OF_ALL, true, read_maxmemory },
    { "MAXOPS", GIVEN_MAXOPS, OF_ALL, true, read_maxops },
    { "IDMP-DURATION", GIVEN_IDMP_SECONDS, OF_ALL, true, read_idmp_seconds },
    { "IDMP-MAXSIZE", GIVEN_IDMP_COUNT, OF_ALL, true, read_idmp_count },
    { "IDMP-MAXBYTES", GIVEN_IDMP_BYTES, OF_ALL, true, read_idmp_bytes },
    { "READ", GIVEN_READ, OF_ALL, true, read_level_of_reads },
    { "ACK", GIVEN_ACK, OF_RAFT, true, read_ack },
    { "HISTORY", GIVEN_HISTORY, OF_RAFT, true, read_history },
    { "HISTORY-BYTES", GIVEN_HISTORY_BYTES, OF_RAFT, true, read_history_bytes },
    { "ACK", GIVEN_COPIES, OF_PRIMARY, true, read_already },
    { "FALLBACK", GIVEN_FALLBACK, OF_PRIMARY, true, read_already },
    { "MAXLAG", GIVEN_MAXLAG, OF_PRIMARY, true, read_already },
    { "LAGGING", GIVEN_LAGGING, OF_PRIMARY, true, read_already },
    { "LOG", GIVEN_LOG, OF_PRIMARY, false, read_already },
    { "APPENDFSYNC", GIVEN_SYNC, OF_PRIMARY, true, read_already },
    { "FEED", GIVEN_FEED, OF_PRIMARY, true, read_already },
};

/* Those of strategies to come, and of raft to come. */
static const char *const later_options[] = {
    "N",     "R",        "W",       "SLOPPY",      "CONFLICT", "ISOLATION",    "LENGTH",
    "READS", "TOPOLOGY", "MAXDISK", "GETCONFLICT", "COMMIT",   "SEMANTICLOCK",
};

/* One of the strategy rather than one of another; NULL: there is none. */
static const struct option *option_find(struct span name, uint8_t strategy)
{
    const struct option *found = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(options); i++) {
        if (word_is(name, options[i].name) && (found == NULL || (options[i].of >> strategy & 1))) {
            found = &options[i];
        }
    }
    return found;
}

static void put_names(struct text *why, uint8_t strategy, bool fresh)
{
    const char *between = "";
    for (size_t i = 0; i < ARRAY_COUNT(options); i++) {
        if ((options[i].of >> strategy & 1) != 0 && (fresh || options[i].alterable)) {
            text_put(why, between);
            text_put(why, options[i].name);
            between = ", ";
        }
    }
}

static bool refuse_unknown(struct span name, uint8_t strategy, bool fresh, struct text *why)
{
    for (size_t i = 0; i < ARRAY_COUNT(later_options); i++) {
        if (word_is(name, later_options[i])) {
            refuse(why, "ERR option ", name, " is not built yet, and not part of strategy ");
            text_put(why, strategy == STRATEGY_PRIMARY ? "primary" : "raft");
            text_put(why, " as it is now, nothing was changed");
            return false;
        }
    }
    refuse(why, "ERR unknown option ", name, ": ");
    put_names(why, strategy, fresh);
    text_put(why,
             fresh ? " are there, nothing was changed" : " can be altered, nothing was changed");
    return false;
}

static bool refuse_other(struct span name, const struct option *o, uint8_t strategy,
                         struct text *why)
{
    bool primary = strategy == STRATEGY_PRIMARY;
    refuse(why, "ERR option ", name, " is not part of strategy ");
    text_put(why, primary ? "primary" : "raft");
    text_put(why, o->bit == GIVEN_LEASE ? ": a primary reads by its lease of group 0 always"
                  : primary             ? ": raft has it"
                                        : ": primary has it");
    text_put(why, ", nothing was changed");
    return false;
}

static bool read_option(struct keyspace_options *out, const struct span *argv, uint32_t left,
                        bool fresh, struct text *why)
{
    const struct option *o = option_find(argv[0], out->strategy);
    if (o == NULL) {
        return refuse_unknown(argv[0], out->strategy, fresh, why);
    }
    if ((o->of >> out->strategy & 1) == 0) {
        return refuse_other(argv[0], o, out->strategy, why);
    }
    if (!fresh && !o->alterable) {
        return refuse(why, "ERR ", argv[0],
                      " cannot be altered: make another keyspace, nothing was changed");
    }
    if (left < 2) {
        return refuse(why, "ERR option ", argv[0], " wants a value, nothing was changed");
    }
    if ((out->given & o->bit) != 0) {
        return refuse(why, "ERR option ", argv[0], " stands there twice, nothing was changed");
    }
    out->given |= o->bit;
    return o->read(out, argv[1], why);
}

/* --- STRATEGY primary ------------------------------------------------------------------------- */

#define OF_PRIMARY_ALONE 7u /* options: they are read together, before those that go by them */

static bool is_of_primary_alone(struct span name)
{
    const struct option *o = option_find(name, STRATEGY_PRIMARY);
    return o != NULL && o->of == OF_PRIMARY;
}

/* What is said twice or has no value is refused behind it. */
static bool read_primary(const struct span *argv, uint32_t argc, struct keyspace_options *out,
                         struct text *why)
{
    struct span words[2 * OF_PRIMARY_ALONE];
    uint32_t n = 0;
    for (uint32_t i = 0; i + 1 < argc && n < ARRAY_COUNT(words); i += 2) {
        if (is_of_primary_alone(argv[i])) {
            words[n++] = argv[i];
            words[n++] = argv[i + 1];
        }
    }
    return primary_options_read(&out->primary, words, n, why);
}

/* What requests get that say nothing must be given, also under another ACK. */
static bool gives_default(const struct keyspace_options *o, const struct level_asked *read,
                          struct text *why)
{
    const struct promise *promise = &strategy_of_primary(&o->primary)->promise;
    if ((promise->reads & READ_BIT(read->level)) != 0) {
        return true;
    }
    text_put(why, "ERR with ACK ");
    ack_put(why, &o->primary.ack);
    text_put(why, " there are no reads at level ");
    text_put(why, level_name((enum read_level)read->level));
    text_put(why, ", which requests get that say nothing: say READ with one of ");
    level_names(why, promise);
    text_put(why, ", nothing was changed");
    return false;
}

/* --- All of them ------------------------------------------------------------------------------ */

static uint8_t strategy_asked(const struct span *argv, uint32_t argc)
{
    uint8_t strategy = STRATEGY_RAFT;
    for (uint32_t i = 0; i + 1 < argc; i += 2) {
        bool primary = word_is(argv[i], "STRATEGY") && word_is(argv[i + 1], "primary");
        strategy = primary ? STRATEGY_PRIMARY : strategy;
    }
    return strategy;
}

/* With what stands where nothing is said. */
static struct keyspace_options options_before(const struct span *argv, uint32_t argc,
                                              const struct map_keyspace *now)
{
    struct keyspace_options o = { .replicas = KEYSPACE_REPLICAS, .partitions = 1 };
    o.strategy = now != NULL ? now->strategy : strategy_asked(argv, argc);
    o.primary = now != NULL ? now->primary : primary_options_default();
    return o;
}

bool keyspace_options_read(const struct span *argv, uint32_t argc, const struct map_keyspace *now,
                           struct keyspace_options *out, struct text *why)
{
    bool fresh = now == NULL;
    *out = options_before(argv, argc, now);
    bool primary = out->strategy == STRATEGY_PRIMARY;
    if (primary && !read_primary(argv, argc, out, why)) {
        return false;
    }
    for (uint32_t i = 0; i < argc; i += 2) {
        if (!read_option(out, argv + i, argc - i, fresh, why)) {
            return false;
        }
    }
    if (fresh && (out->given & GIVEN_STRATEGY) == 0) {
        return refuse(why, "ERR STRATEGY is missing: KEYSPACE CREATE name STRATEGY raft|primary",
                      (struct span){ 0 }, ", nothing was changed");
    }
    if (!fresh && out->given == 0) {
        text_put(why, "ERR nothing to alter was given: ");
        put_names(why, out->strategy, fresh);
        return false;
    }
    bool said = (out->given & GIVEN_READ) != 0;
    if (primary && fresh && !said && out->primary.ack.kind == ACK_LOCAL) {
        out->read.level = READ_LEADER; /* the strongest that there is */
    }
    return !primary || gives_default(out, fresh || said ? &out->read : &now->read, why);
}

const struct map_keyspace *keyspace_find(const struct map *map, struct span name)
{
    int64_t id;
    if (number_from(name, &id)) {
        return id >= 0 && id <= KEYSPACE_ID_MAX ? map_keyspace(map, (uint32_t)id) : NULL;
    }
    return map_keyspace_named(map, name);
}

void keyspace_unknown(struct text *out, struct span name)
{
    text_put(out, "ERR there is no keyspace ");
    word_quote(out, name);
    text_put(out, ": KEYSPACE LIST shows which there are");
}
