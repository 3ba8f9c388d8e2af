/* The workload: registers, counters, and lists by APPEND, in keyspace 0 and in one of several
 * partitions; lists are read at every level. And an operator, who makes that keyspace, changes how
 * many replicas it has and who leads.
 *
 * What has no answer, or the answer UNCERTAIN, may have happened; every other error says that it
 * did not (docs/errors.md), and is believed: so an error that lies is found by the checkers. Some
 * worlds have writes with ids, which are sent again until they are answered: they must take effect
 * once. Not where wall clocks jump, since an hour later ids are forgotten. */
#include "sim/nodes/want.h"

#include "sim/nodes/rules.h"

#include <stdarg.h>

#define LIST_LENGTH 60u /* about: then clients go on with another key */
#define KEYSPACE "cart"

/* --- Requests ------------------------------------------------------------------------------- */

size_t want_words(char *p, size_t cap, const char *words)
{
    size_t count = 1;
    for (const char *c = words; *c != 0; c++) {
        count += *c == ' ';
    }
    size_t n = (size_t)snprintf(p, cap, "*%zu\r\n", count);
    for (const char *word = words;; word++) {
        size_t length = strcspn(word, " ");
        n += (size_t)snprintf(p + n, cap - n, "$%zu\r\n", length);
        for (size_t i = 0; i < length && n < cap; i++) {
            p[n++] = (char)(word[i] == '~' ? ' ' : word[i]);
        }
        qr_assert(n + 3 <= cap);
        n += (size_t)snprintf(p + n, cap - n, "\r\n");
        word += length;
        if (*word == 0) {
            qr_assert(n < cap);
            return n;
        }
    }
}

static size_t write_request(const struct asker *a, const struct deed *asked,
                            const struct wish *wish, char *p, size_t cap)
{
    const struct run *run = a->run;
    char words[TOKEN_MAX + 400], carried[TOKEN_MAX + 20];
    size_t n = 0;
    char id[40] = "";
    bool in_keyspace = run->orders && wish->in_keyspace;
    if (asked->has_id) {
        (void)snprintf(id, sizeof id, "IDMP p%u i%zu ", (unsigned)asked->session, run->story.n);
    }
    unsigned options = hop_options(a, carried, sizeof carried) + (in_keyspace ? 2u : 0u) +
                       (wish->level[0] != 0 ? 2u : 0u) + (asked->has_id ? 3u : 0u);
    if (options > 0) {
        n = (size_t)snprintf(words, sizeof words, "WITH %u %s%s%s%s%s%s", options, carried, id,
                             in_keyspace ? "KS " KEYSPACE " " : "",
                             wish->level[0] != 0 ? "READ " : "", wish->level,
                             wish->level[0] != 0 ? " " : "");
    }
    (void)snprintf(words + n, sizeof words - n, "%s", wish->words);
    return want_words(p, cap, words);
}

/* Odd keys live in the keyspace that the operator makes. */
static void compose(const struct deed *a, uint32_t key, struct wish *wish)
{
    static const char *const names[] = { "GET", "SET", "DEL", "INCR", "APPEND" };
    wish->in_keyspace = key % 2 == 1;
    (void)snprintf(wish->words, sizeof wish->words, "%s %s%s%s", names[a->kind], a->key,
                   a->argument[0] != 0 ? " " : "", a->argument);
}

/* A level in the words of a request and of a history: there bounds are in its unit of time, and
 * clocks may differ by a tenth. */
static void draw_level(const struct run *run, struct rng *rng, struct deed *asked, char *word,
                       size_t cap)
{
    static const char *const levels[] = { "local", "prefix", "leader", "session", "linearizable" };
    word[0] = 0;
    uint64_t which = rng_below(rng, 2 * ARRAY_COUNT(levels));
    if (which < ARRAY_COUNT(levels)) {
        (void)snprintf(word, cap, "%s", levels[which]);
        (void)snprintf(asked->level, sizeof asked->level, "%s", levels[which]);
    } else if (which == ARRAY_COUNT(levels) && !faults_lie_about_time(run)) {
        unsigned ms = 50 + (unsigned)rng_below(rng, 2000);
        (void)snprintf(word, cap, "bounded:%u", ms);
        (void)snprintf(asked->level, sizeof asked->level, "bounded:%u", ms * 1100);
    }
}

/* Where the operator changes what is read by default, others than lists say what they need: of
 * lists alone it can be told what a weaker read may show. */
static void name_level(const struct asker *a, char *word, size_t cap)
{
    bool others = a->run->orders || hop_demands(a);
    (void)snprintf(word, cap, "%s", others ? "linearizable" : "");
}

/* With a token no less than its session is read, and less may not be named. */
static void draw_list_level(struct asker *a, struct deed *asked, struct wish *wish)
{
    draw_level(a->run, &a->rng, asked, wish->level, sizeof wish->level);
    if (hop_demands(a) && strcmp(asked->level, "linearizable") != 0) {
        bool less = strcmp(wish->level, "local") == 0 || strcmp(wish->level, "prefix") == 0;
        wish->level[0] = less ? 0 : wish->level[0];
        (void)snprintf(asked->level, sizeof asked->level, "session");
    }
}

static void draw_list(struct run *run, struct rng *rng, struct deed *asked)
{
    if (run->elements++ % LIST_LENGTH == 0) {
        run->lists++;
    }
    asked->kind = rng_chance(rng, 1, 2) ? OP_APPEND : OP_GET;
    if (asked->kind == OP_APPEND) {
        (void)snprintf(asked->argument, sizeof asked->argument, "%u,", (unsigned)run->elements);
    }
}

static void draw_register(struct run *run, struct rng *rng, uint32_t key, struct deed *asked)
{
    static const enum op_kind kinds[2][4] = { { OP_GET, OP_SET, OP_SET, OP_DEL },
                                              { OP_GET, OP_INCR, OP_INCR, OP_INCR } };
    unsigned type = key / 2 % 2;
    asked->kind = kinds[type][rng_below(rng, 4)];
    (void)snprintf(asked->key, sizeof asked->key, "%c%u", "rc"[type], (unsigned)key);
    if (asked->kind == OP_SET) {
        (void)snprintf(asked->argument, sizeof asked->argument, "v%zu", run->story.n);
    }
}

static bool is_list(const struct deed *asked)
{
    return asked->model == 0 && asked->key[0] == 'l';
}

/* Who has just come with a session, and others at times, want to see what they wrote before. */
static bool looks_back(struct asker *a, struct deed *asked, struct wish *wish)
{
    struct hop *h = &a->hop;
    bool looks = h->kind != HOP_NEVER && h->list != 0 &&
                 (h->looks_back || rng_chance(&a->rng, 1, 8));
    h->looks_back = false;
    if (looks) {
        asked->kind = OP_GET;
        (void)snprintf(asked->key, sizeof asked->key, "l%u", (unsigned)h->list);
        (void)snprintf(asked->level, sizeof asked->level, "session");
        (void)snprintf(wish->level, sizeof wish->level, "session");
        compose(asked, h->list, wish);
    }
    return looks;
}

static void draw_want(struct asker *a, struct deed *asked, struct wish *wish)
{
    struct run *run = a->run;
    uint32_t key = (uint32_t)rng_below(&a->rng, run->keys);
    if (looks_back(a, asked, wish)) {
        return;
    }
    if ((a->flushes || rng_chance(&a->rng, 1, 3)) && models_ask(a, asked, wish)) {
        return;
    }
    if (rng_chance(&a->rng, 1, 2)) {
        draw_list(run, &a->rng, asked);
        key = run->lists;
        (void)snprintf(asked->key, sizeof asked->key, "l%u", (unsigned)key);
    } else {
        draw_register(run, &a->rng, key, asked);
    }
    wish->may_have_id = true;
    compose(asked, key, wish);
}

/* One that the keyspace gives. */
static void fit_level(const struct run *run, struct deed *asked, struct wish *wish)
{
    if (!run->backup.is || !wish->in_keyspace) {
        return;
    }
    const char *given = backup_level(&run->backup, wish->level);
    bool says = wish->level[0] != 0, said = asked->level[0] != 0;
    (void)snprintf(wish->level, sizeof wish->level, "%s", says ? given : "");
    bool less = run->backup.local && asked->kind == OP_GET; /* also where nothing is said */
    (void)snprintf(asked->level, sizeof asked->level, "%s", said || less ? given : "");
    asked->apart = asked->apart || (less && !is_list(asked)); /* nobody can judge these */
    asked->owed = true;
}

size_t want_next(struct asker *a, struct deed *asked, char *p, size_t cap)
{
    struct run *run = a->run;
    struct wish wish = { 0 };
    draw_want(a, asked, &wish);
    asked->has_id = run->ids && wish.may_have_id && asked->kind != OP_GET &&
                    rng_chance(&a->rng, 2, 3);
    if (asked->kind == OP_GET && wish.level[0] != 0) {
        ; /* it says what it wants */
    } else if (asked->kind == OP_GET && is_list(asked)) {
        draw_list_level(a, asked, &wish);
    } else if (asked->kind == OP_GET) {
        name_level(a, wish.level, sizeof wish.level);
    }
    fit_level(run, asked, &wish);
    if (asked->kind == OP_GET && wish.level[0] == 0 && !hop_demands(a)) {
        rules_read(run, run->orders && wish.in_keyspace, asked);
    }
    return write_request(a, asked, &wish, p, cap);
}

size_t want_shown(struct asker *a, const char *list, struct deed *asked, char *p, size_t cap)
{
    struct wish wish = { .in_keyspace = true, .level = "local" };
    asked->kind = OP_GET;
    asked->owed = true;
    (void)snprintf(asked->key, sizeof asked->key, "%s", list);
    (void)snprintf(asked->level, sizeof asked->level, "local");
    (void)snprintf(wish.words, sizeof wish.words, "GET %s", list);
    return write_request(a, asked, &wish, p, cap);
}

static uint32_t shared_keys(const struct asker *a)
{
    return a->flushes ? 0 : a->run->keys + a->run->lists;
}

uint32_t want_last_count(const struct asker *a)
{
    return shared_keys(a) + models_last_count(a);
}

size_t want_last(struct asker *a, uint32_t i, struct deed *asked, char *p, size_t cap)
{
    const struct run *run = a->run;
    struct wish wish = { 0 };
    asked->kind = OP_GET;
    if (i < shared_keys(a)) {
        uint32_t key = i < run->keys ? i : i - run->keys + 1;
        char type = i < run->keys ? "rc"[i / 2 % 2] : 'l';
        (void)snprintf(asked->key, sizeof asked->key, "%c%u", type, (unsigned)key);
        compose(asked, key, &wish);
    } else {
        models_ask_last(a, i - shared_keys(a), asked, &wish);
    }
    name_level(a, wish.level, sizeof wish.level);
    fit_level(run, asked, &wish);
    return write_request(a, asked, &wish, p, cap);
}

static void print(char *p, size_t cap, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void print(char *p, size_t cap, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(p, cap, format, arguments);
    va_end(arguments);
}

/* What a fragile node loses is on a majority without it; so whoever counts goes on counting. */
static void print_member_order(const struct run *run, struct rng *rng, char *p, size_t cap)
{
    unsigned some = 1 + (unsigned)rng_below(rng, run->seats);
    switch (rng_below(rng, run->fragile > 0 ? 4 : 7)) {
    case 0:
        print(p, cap, "MEMBER SET %u ZONE z%u", some, (unsigned)rng_below(rng, 3));
        break;
    case 1:
        print(p, cap, "MEMBER SET %u PRIORITY %u", some, (unsigned)rng_below(rng, 256));
        break;
    case 2:
        print(p, cap, "MEMBER PROMOTE %u", some);
        break;
    case 3:
        print(p, cap, "MEMBER ADD %u %s:%u", some, run->seat[some - 1].host->address, SEAT_PORT);
        break;
    case 4:
        print(p, cap, "MEMBER DEMOTE %u", some);
        break;
    default:
        print(p, cap, "MEMBER REMOVE %u", some);
    }
}

/* For the keyspace of the visitors. */
static void print_junk(const struct run *run, struct rng *rng, char *p, size_t cap)
{
    static const char *const changes[] = { "PREFIX j:",
                                           "READ local",
                                           "READ session",
                                           "READ linearizable",
                                           "HISTORY 3s",
                                           "HISTORY 0 HISTORY-BYTES 1mb",
                                           "MAXMEMORY 2mb",
                                           "MAXMEMORY 0 MAXOPS 50",
                                           "MAXOPS 0",
                                           "LEASE YES",
                                           "LEASE NO",
                                           "IDMP-DURATION 2 IDMP-MAXSIZE 10",
                                           "IDMP-MAXBYTES 64kb",
                                           "ACK majority",
                                           "REPLICAS 3",
                                           "REPLICAS 1" };
    size_t n = ARRAY_COUNT(changes) - (run->fragile > 0 ? 1 : 0);
    if (rng_chance(rng, 1, 12)) {
        print(p, cap, "KEYSPACE DROP junk");
    } else if (rng_chance(rng, 1, 2)) {
        print(p, cap,
              "KEYSPACE CREATE junk STRATEGY %s REPLICAS %u PARTITIONS %u PREFIX j:%s",
              backup_junk(run), run->fragile > 0 ? 3 : 1 + (unsigned)rng_below(rng, 3),
              1 + (unsigned)rng_below(rng, 4), run->backup.is ? "" : " HISTORY 5s");
    } else if (run->backup.is) {
        print(p, cap, "KEYSPACE ALTER junk %s", backup_junk_change(rng));
    } else {
        print(p, cap, "KEYSPACE ALTER junk %s", changes[rng_below(rng, n)]);
    }
}

static void print_order(const struct run *run, struct rng *rng, char *p, size_t cap)
{
    unsigned some = 1 + (unsigned)rng_below(rng, run->seats);
    unsigned replicas = run->fragile > 0 && some < 3 ? 3 : some;
    unsigned least = backup_replicas_min(&run->backup);
    char strategy[STRATEGY_BYTES];
    backup_strategy(&run->backup, strategy, sizeof strategy);
    switch (rng_below(rng, run->visitors > 0 ? 8 : 6)) {
    case 6:
    case 7:
        print_junk(run, rng, p, cap);
        break;
    case 0:
        print(p, cap, "KEYSPACE CREATE " KEYSPACE " STRATEGY %s REPLICAS %u PARTITIONS %u",
              strategy, replicas < least ? least : replicas, 1 + (unsigned)rng_below(rng, 6));
        break;
    case 1:
        print(p, cap, "KEYSPACE ALTER " KEYSPACE " REPLICAS %u", replicas);
        break;
    case 2:
        print(p, cap, "FAILOVER");
        break;
    case 3:
        print(p, cap, "MEMBER DRAIN %u%s", some, rng_chance(rng, 2, 3) ? " CANCEL" : "");
        break;
    case 4:
        print(p, cap, "REBALANCE");
        break;
    default:
        print(p, cap, "CONFIG SET read-mode %s", rng_chance(rng, 1, 2) ? "lease" : "readindex");
    }
}

/* At the end the keyspace has to be there, which takes nodes that do not drain: no rule of copies
 * can do without any of them. */
static void print_last_order(const struct run *run, struct rng *rng, char *p, size_t cap)
{
    if (backup_gives_up(run, p, cap)) {
        return;
    }
    unsigned drained = 1 + run->backup.last_orders % (run->seats + 1);
    if (run->backup.is ? drained <= run->seats : rng_chance(rng, 1, 2)) {
        drained = run->backup.is ? drained : 1 + (unsigned)rng_below(rng, run->seats);
        print(p, cap, "MEMBER DRAIN %u CANCEL", drained);
    } else {
        char strategy[STRATEGY_BYTES];
        backup_strategy(&run->backup, strategy, sizeof strategy);
        print(p, cap, "KEYSPACE CREATE " KEYSPACE " STRATEGY %s REPLICAS %u", strategy,
              (unsigned)backup_replicas_min(&run->backup));
    }
}

size_t want_order(const struct run *run, struct rng *rng, char *p, size_t cap)
{
    char words[300];
    if (run->ending) {
        print_last_order(run, rng, words, sizeof words);
    } else if (backup_order(run, rng, words, sizeof words)) {
        ; /* of that keyspace */
    } else if (rng_chance(rng, 1, 3)) {
        print(words, sizeof words, "KEYSPACE ALTER %s READ %s",
              rng_chance(rng, 1, 2) ? KEYSPACE : "default",
              rng_chance(rng, 1, 3) ? "local" : "linearizable");
    } else if (run->members && rng_chance(rng, 1, 3)) {
        print_member_order(run, rng, words, sizeof words);
    } else {
        print_order(run, rng, words, sizeof words);
    }
    return want_words(p, cap, words);
}

/* --- Answers -------------------------------------------------------------------------------- */

static bool begins(struct span text, const char *word)
{
    size_t n = strlen(word);
    return text.n >= n && memcmp(text.p, word, n) == 0;
}

/* So few drives lose what they had synced that nothing which anybody has seen is lost. */
static const char *told_session_lost(struct asker *a)
{
    hop_lost(a);
    return "a session is lost where nothing was";
}

static const char *told_error(struct asker *a, struct deed *asked, struct span text, qr_time now)
{
    struct run *run = a->run;
    static const struct {
        const char *code;
        bool of_reads, of_writes;
    } expected[] = {
        { "CLUSTERDOWN ", true, true }, { "TRYAGAIN ", true, true },  { "LOADING ", true, true },
        { "STALE ", true, false },      { "NOSPACE ", false, true }, { "IDMPFULL ", false, true },
    };
    bool reads = asked->kind == OP_GET;
    const struct model *model = model_of(asked);
    story_tell(asked, RESULT_FAIL, text, now);
    run->refused++;
    if (model != NULL && model->refused != NULL) {
        model->refused(a, asked);
    }
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
        bool may_be = reads ? expected[i].of_reads : expected[i].of_writes;
        if (may_be && begins(text, expected[i].code)) {
            return NULL;
        }
    }
    if (reads && begins(text, "SESSIONLOST ")) {
        return told_session_lost(a);
    }
    /* Of a keyspace that is not there yet. */
    bool no_keyspace = run->orders && begins(text, "ERR KS names no keyspace");
    bool too_few = run->backup.is && !reads &&
                   (begins(text, "NOREPLICAS ") || begins(text, "THROTTLED "));
    bool removed = run->members && begins(text, "REMOVED ");
    return no_keyspace || too_few || removed ? NULL : "an error that was not expected";
}

bool want_is_uncertain(const struct tree *reply)
{
    return begins(tree_text(reply, 0), "UNCERTAIN ");
}

bool want_is_made(const struct tree *reply)
{
    struct span text = tree_text(reply, 0);
    static const char there[] = "is there already";
    return tree_type(reply, 0) != '-' || memmem(text.p, text.n, there, sizeof there - 1) != NULL;
}

static const char *told_value(struct deed *asked, const struct answer *answer)
{
    char type = tree_type(answer->tree, answer->at);
    char number[24];
    bool reads = asked->kind == OP_GET;
    if (type == ':' && (asked->kind == OP_INCR || asked->kind == OP_APPEND ||
                        asked->kind == OP_DEL)) {
        int n = snprintf(number, sizeof number, "%lld",
                         (long long)tree_number(answer->tree, answer->at));
        story_tell(asked, RESULT_VALUE, span_of(number, (size_t)n), answer->now);
    } else if (!(type == '$' && reads) && !(type == '+' && asked->kind == OP_SET)) {
        return "a reply of the wrong type";
    } else {
        (void)models_tell(asked, answer);
    }
    return NULL;
}

const char *want_told(struct asker *a, struct deed *asked, const struct tree *reply, qr_time now)
{
    struct run *run = a->run;
    const struct model *model = model_of(asked);
    struct answer answer = { reply, 0, now };
    models_look_at_clocks(run);
    if (tree_type(reply, 0) == '-') {
        return told_error(a, asked, tree_text(reply, 0), now);
    }
    answer.at = hop_told(a, reply);
    if (answer.at == UINT32_MAX) {
        return "a reply of the wrong type";
    }
    const char *wrong =
        model != NULL ? model->told(a, asked, &answer) : told_value(asked, &answer);
    if (asked->kind == OP_APPEND) {
        a->hop.list = (uint32_t)strtoul(asked->key + 1, NULL, 10);
    }
    if (wrong == NULL && model != NULL) {
        run->models.done[asked->model - 1]++;
    }
    *(asked->kind == OP_GET ? &run->reads : &run->acknowledged) += wrong == NULL;
    return wrong;
}
