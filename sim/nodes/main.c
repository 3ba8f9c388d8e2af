/* `quorate-sim-nodes`: seeds of the realm. */
#include "sim/nodes/run.h"

#include "base/alloc.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

struct options {
    uint64_t seed, count, dice;
    struct run_choice choice;
    const char *history; /* where it is written to */
    bool twice, verbose, quiet, first, failpoints, shrink;
};

static int usage(void)
{
    fprintf(stderr,
            "usage: quorate-sim-nodes [--seed N] [--count N] [--nodes N] [--twice] [--verbose] "
            "[--history FILE] [--quiet] [--first] [--failpoints] [--dice N] "
            "[--without KIND,KIND] [--only KIND,KIND] [--safety MS] [--shrink] [--primary]\n"
            "--nodes N: so many at the beginning; else as many as the seed says\n"
            "--shrink: with each that fails, what it needs for it, and the options to repeat that\n"
            "--first: the first seed that fails is the last one\n"
            "--primary: a keyspace of those worlds has STRATEGY primary\n"
            "--dice N: the seed is of a version with these dice; this one has %u\n",
            RUN_DICE);
    return 2;
}

static bool is_number(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == 0 && errno == 0;
}

static bool parse_flag(const char *word, struct options *o)
{
    bool *flag = strcmp(word, "--twice") == 0        ? &o->twice
                 : strcmp(word, "--verbose") == 0    ? &o->verbose
                 : strcmp(word, "--quiet") == 0      ? &o->quiet
                 : strcmp(word, "--first") == 0      ? &o->first
                 : strcmp(word, "--failpoints") == 0 ? &o->failpoints
                 : strcmp(word, "--shrink") == 0     ? &o->shrink
                 : strcmp(word, "--primary") == 0    ? &o->choice.primary
                                                     : NULL;
    if (flag != NULL) {
        *flag = true;
    }
    return flag != NULL;
}

static bool refuse(const char *word, const char *what)
{
    fprintf(stderr, "%s: %s\n", word, what);
    return false;
}

static bool parse_kinds(const char *word, const char *value, uint64_t *kinds)
{
    while (*value != 0) {
        size_t n = strcspn(value, ",");
        uint32_t i = 0;
        while (i < FAULTS && (strncmp(fault_name(i), value, n) != 0 || fault_name(i)[n] != 0)) {
            i++;
        }
        if (i == FAULTS) {
            return refuse(word, "no such kind of fault (sim/nodes/faults.def)");
        }
        *kinds |= (uint64_t)1 << i;
        value += n + (value[n] == ',');
    }
    return true;
}

static bool parse_value(const char *word, const char *value, struct options *o)
{
    uint64_t n;
    if (strcmp(word, "--history") == 0) {
        o->history = value;
        return true;
    }
    if (strcmp(word, "--without") == 0) {
        return parse_kinds(word, value, &o->choice.without);
    }
    if (strcmp(word, "--only") == 0) {
        uint64_t kinds = 0;
        bool good = parse_kinds(word, value, &kinds);
        o->choice.without |= ~kinds;
        return good;
    }
    if (!is_number(value, &n)) {
        return refuse(word, "a number is wanted");
    }
    if (strcmp(word, "--seed") == 0) {
        o->seed = n;
    } else if (strcmp(word, "--dice") == 0) {
        o->dice = n;
    } else if (strcmp(word, "--count") == 0) {
        o->count = n;
        return n > 0 || refuse(word, "none at all proves nothing");
    } else if (strcmp(word, "--safety") == 0) {
        o->choice.safety = (qr_time)n * QR_MILLISECOND;
        return (n > 0 && o->choice.safety <= SAFETY_TIME) || refuse(word, "1 to 20000 ms");
    } else {
        o->choice.seats = (uint32_t)n;
        return (n >= 1 && n <= 7) || refuse(word, "1 to 7 nodes");
    }
    return true;
}

static bool parse(int argc, char **argv, struct options *o)
{
    static const char *const valued[] = { "--history", "--seed",    "--count", "--dice",
                                          "--nodes",   "--without", "--only",  "--safety" };
    *o = (struct options){ .seed = 1, .count = 1, .dice = RUN_DICE };
    o->choice.safety = SAFETY_TIME;
    for (int i = 1; i < argc; i++) {
        size_t k = 0;
        while (k < ARRAY_COUNT(valued) && strcmp(argv[i], valued[k]) != 0) {
            k++;
        }
        if (k == ARRAY_COUNT(valued) && !parse_flag(argv[i], o)) {
            return refuse(argv[i], "no such option");
        }
        if (k < ARRAY_COUNT(valued) && i + 1 == argc) {
            return refuse(argv[i], "its value is missing");
        }
        if (k < ARRAY_COUNT(valued) && !parse_value(argv[i], argv[i + 1], o)) {
            return false;
        }
        i += k < ARRAY_COUNT(valued);
    }
    return true;
}

static void add_up(struct run_report *all, const struct run_report *r)
{
    all->simulated += r->simulated;
    all->acknowledged += r->acknowledged;
    all->reads += r->reads;
    all->visits += r->visits;
    all->hops += r->hops;
    all->cores += r->cores;
    all->states += r->states;
    all->found += r->found;
    all->named += r->named;
    all->told += r->told;
    all->shown += r->shown;
    all->orders += r->orders;
    all->compared += r->compared;
    all->covered += r->covered;
    all->refused += r->refused;
    all->unknown += r->unknown;
    all->starts += r->starts;
    all->disk_errors += r->disk_errors;
    for (uint32_t i = 0; i < FAULTS; i++) {
        all->befell[i] += r->befell[i];
    }
    for (uint32_t i = 0; i < FELTS; i++) {
        all->felt[i] += r->felt[i];
    }
    for (uint32_t i = 0; i < MODELS; i++) {
        all->done[i] += r->done[i];
    }
    for (uint32_t i = 0; i < TRACE_POINTS_MAX; i++) {
        all->traced[i] += r->traced[i];
    }
    for (uint32_t i = 0; i < FAIL_COUNT; i++) {
        all->reached[i] += r->reached[i];
        for (uint32_t way = 0; way < FAILPOINT_WAYS; way++) {
            all->struck[i][way] += r->struck[i][way];
        }
    }
}

static void tell(const struct run_report *all, uint64_t count, uint64_t failed, double cpu)
{
    printf("%" PRIu64 " writes, %" PRIu64 " reads, %" PRIu64 " refused, %" PRIu64
           " unknown, %" PRIu64 " replies to visitors\n",
           all->acknowledged, all->reads, all->refused, all->unknown, all->visits);
    printf("models:");
    for (uint32_t i = 0; i < MODELS; i++) {
        printf(" %s %" PRIu64 ",", models[i]->name, all->done[i]);
    }
    printf(" hops %" PRIu64 ", cores %" PRIu64 ", states %" PRIu64 ", orders %" PRIu64
           ", compared %" PRIu64 ", covered %" PRIu64 "\n",
           all->hops, all->cores, all->states, all->orders, all->compared, all->covered);
    if (all->shown > 0) {
        printf("ON applied: %" PRIu64 " reads at a copy show what was written before\n",
               all->shown);
    }
    if (all->found + all->named + all->told > 0) {
        printf("of LOCAL: %" PRIu64 " elements are there, %" PRIu64 " are gone and named, %" PRIu64
               " as nodes said that some may be\n",
               all->found, all->named, all->told);
    }
    printf("faults:");
    for (uint32_t i = 0; i < FAULTS; i++) {
        printf(" %s %" PRIu64 ",", fault_name(i), all->befell[i]);
    }
    printf(" disk errors %" PRIu64 ", starts %" PRIu64 "\n", all->disk_errors, all->starts);
    printf("felt:");
    for (uint32_t i = 0; i < FELTS; i++) {
        printf("%s %s %" PRIu64, i > 0 ? "," : "", felt_name(i), all->felt[i]);
    }
    printf("\n%" PRIu64 " seeds of dice %u, %" PRIu64 " failed, %.0f s simulated in %.1f s\n",
           count, RUN_DICE, failed, (double)all->simulated / 1e6, cpu);
}

/* A crash ends all seeds behind it as well: it says which one it was. */
static char last_words[64];

static bool one(const struct options *o, uint64_t seed, struct run_report *all)
{
    struct run_report r;
    (void)snprintf(last_words, sizeof last_words, "seed %" PRIu64 " FAILED: it crashed\n", seed);
    FILE *history = o->history != NULL ? fopen(o->history, "we") : NULL;
    if (o->history != NULL && history == NULL) {
        printf("seed %" PRIu64 " FAILED: its history cannot be written: %s\n", seed,
               strerror(errno));
        return false;
    }
    run_seed(seed, &o->choice, o->verbose ? stdout : NULL, history, &r);
    if (history != NULL) {
        fclose(history);
    }
    add_up(all, &r);
    if (o->twice && r.failure[0] == 0) {
        struct run_report again;
        run_seed(seed, &o->choice, NULL, NULL, &again);
        if (again.digest != r.digest) {
            (void)snprintf(r.failure, sizeof r.failure, "a second run was another one");
        }
    }
    if (r.failure[0] != 0) {
        printf("seed %" PRIu64 " FAILED: %s\n", seed, r.failure);
        if (o->shrink) {
            shrink(seed, o->choice, &r);
        }
    } else if (!o->quiet) {
        printf("seed %" PRIu64 ": %.1f s, %" PRIu64 " events, %" PRIu64 " writes, %" PRIu64
               " reads, %" PRIu64 " refused, %" PRIu64 " unknown, digest %016" PRIx64 "\n",
               seed, (double)r.simulated / 1e6, r.events, r.acknowledged, r.reads, r.refused,
               r.unknown, r.digest);
    }
    fflush(stdout);
    return r.failure[0] == 0;
}

static void on_crash(int number)
{
    (void)!write(STDOUT_FILENO, last_words, strlen(last_words));
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

__attribute__((unused)) static void catch_crashes(void)
{
    static char stack[16384]; /* that of a process may be what is broken */
    stack_t other = { .ss_sp = stack, .ss_size = sizeof stack };
    struct sigaction action = { .sa_handler = on_crash, .sa_flags = SA_ONSTACK };
    (void)sigaltstack(&other, NULL);
    (void)sigaction(SIGSEGV, &action, NULL);
    (void)sigaction(SIGBUS, &action, NULL);
    (void)sigaction(SIGABRT, &action, NULL);
}

int main(int argc, char **argv)
{
    struct options o;
    if (!parse(argc, argv, &o)) {
        return usage();
    }
#ifndef __SANITIZE_ADDRESS__ /* which tells more */
    catch_crashes();
#endif
    if (o.dice != RUN_DICE) {
        fprintf(stderr,
                "seed %" PRIu64 " is of dice %" PRIu64 " and these are dice %u: it would be "
                "another run, which says nothing about that one\n",
                o.seed, o.dice, RUN_DICE);
        return 3;
    }
    uint64_t failed = 0, count = 0;
    struct run_report all = { .digest = 0 };
    clock_t began = clock();
    while (count < o.count && (failed == 0 || !o.first)) {
        failed += !one(&o, o.seed + count++, &all);
    }
    if (o.failpoints) {
        failpoints_tell(o.choice.primary, all.reached, all.struck);
        traces_tell(all.traced);
    }
    tell(&all, count, failed, (double)(clock() - began) / CLOCKS_PER_SEC);
    return failed > 0;
}
