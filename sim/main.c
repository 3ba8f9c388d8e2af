/* quorate sim: runs seeds, or a script, and says what it found. */
#include "sim/cluster.h"
#include "sim/council.h"

#include "cluster/level.h"

#include "protocol/canary/canary.h"
#include "protocol/raft/raft.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: quorate sim [--strategy raft[:LEVEL]|primary[:MODE]|canary[:BUG]|cluster]\n"
    "                   [--level LEVEL] [--seed N] [--count N] [--twice] [--verbose]\n"
    "                   [--no-shrink] [--out FILE] [--tap] [--quiet] [--expect-violation]\n"
    "                   [--dice N]\n"
    "       quorate sim [--rewrite] --script FILE...\n"
    "       quorate sim --suite SEEDS --commit ID [--canary]\n"
    "\n"
    "Runs COUNT seeds from SEED on. A failing seed is told, shrunk to a script and ends the run\n"
    "with exit code 1. --twice runs every seed twice and compares the digests. --dice says of\n"
    "which version the seed is: where others are drawn it is another world, and that is told.\n";

struct arguments {
    const struct protocol *protocol;
    const char *strategy, *out, *suite, *commit, *level;
    uint64_t seed, count, dice;
    bool no_shrink, canary, twice, verbose, quiet, tap, expect_violation, rewrite;
    char **scripts;
    int script_count;
};

uint64_t level_of(const char *name)
{
    const unsigned given = raft_protocol.promise.reads;
    for (uint64_t i = 0; i < READ_LEVELS && strncmp(name, "raft:", 5) == 0; i++) {
        bool can = (given & READ_BIT(i)) != 0 || i == READ_SESSION || i == READ_BOUNDED;
        if (can && strcmp(name + 5, level_name((enum read_level)i)) == 0) {
            return 1 + i;
        }
    }
    return 0;
}

const struct protocol *strategy_of(const char *name)
{
    if (strcmp(name, "raft") == 0 || level_of(name) != 0) {
        return &raft_protocol;
    }
    const struct protocol *primary = council_protocol(name);
    if (primary != NULL) {
        return primary;
    }
    if (strncmp(name, "canary", 6) == 0 && (name[6] == 0 || name[6] == ':')) {
        return canary_protocol(name[6] == ':' ? (unsigned)strtoul(name + 7, NULL, 10) : 0);
    }
    return NULL;
}

/* --- the end of a run ----------------------------------------------------------------------- */

/* What nodes decided about the reads of sessions, and of how many operations each guarantee was
 * asked. */
static void print_sessions(const struct counters *c)
{
    printf("sessions: reads served %" PRIu64 ", with an index first %" PRIu64
           ", sent elsewhere %" PRIu64 "; judged:",
           c->served[SERVE_NOW], c->served[SERVE_ASK], c->served[SERVE_ELSEWHERE]);
    for (unsigned g = 0; g < GUARANTEES; g++) {
        printf(" %s %" PRIu64, guarantee_name((enum guarantee)g), c->judged[g]);
    }
    printf("\nby the whole order: %" PRIu64 " reads, of which %" PRIu64
           " had to show something; answered by who does not lead:",
           c->placed, c->owed);
    for (unsigned i = 0; i < READ_LEVELS; i++) {
        if (c->followers[i] > 0) {
            printf(" %s %" PRIu64, level_name((enum read_level)i), c->followers[i]);
        }
    }
    printf("\nas of a position: as it is now %" PRIu64 ", as it was %" PRIu64
           ", not there then %" PRIu64 ", not kept %" PRIu64 ", too old %" PRIu64
           ", waited for %" PRIu64 ", in vain %" PRIu64 "\n",
           c->as_of[PAST_NOW], c->as_of[PAST_WAS], c->as_of[PAST_NONE], c->as_of[PAST_LOST],
           c->too_old, c->waited, c->not_waited);
}

static const char *const reasons[] = {
#define REASON(name, text) text,
    SUCCESSION_REASONS(REASON)
#undef REASON
};

static void print_council(const struct counters *c)
{
    if (c->views == 0) {
        return;
    }
    printf("views written %" PRIu64 ", told %" PRIu64 ", leases told %" PRIu64 " (regained %" PRIu64
           "), handed over %" PRIu64 ", turns without a choice %" PRIu64
           ", seeds in which nobody could go on %" PRIu64 "\n",
           c->views, c->views_told, c->leases_told, c->leases_regained, c->handed, c->stops,
           c->stopped);
    printf("views by reason:");
    for (unsigned i = 1; i < ARRAY_COUNT(c->successions); i++) {
        printf(" %s%s %" PRIu64, i > 1 ? ", " : "", reasons[i], c->successions[i]);
    }
    printf("\ntaken back %" PRIu64 " times (%" PRIu64 " entries; executed ones %" PRIu64
           " times, anew %" PRIu64 ", cut by a crash %" PRIu64 "); given up %" PRIu64
           ", here again %" PRIu64 "; acknowledged and lost %" PRIu64
           ", of which journals name %" PRIu64 "\n",
           c->takebacks, c->taken, c->takebacks_applied, c->takebacks_anew, c->takebacks_cut,
           c->given, c->given_back, c->lost_acked, c->lost_named);
}

static void print_counters(const struct counters *c, const struct protocol *protocol)
{
    printf("seeds %" PRIu64 ", steps %" PRIu64 ", operations %" PRIu64 " (acked %" PRIu64
           ", reads %" PRIu64 ", refused %" PRIu64 ", unknown %" PRIu64 ", retries %" PRIu64 ")\n",
           c->seeds, c->steps, c->operations, c->acked, c->reads, c->refused, c->unknown,
           c->retried);
    printf("virtual time %" PRIu64 " s, faults %" PRIu64 ", leaders %" PRIu64
           ", seeds with a change of leader %" PRIu64 "\n",
           c->virtual_us / 1000000, c->faults, c->leader_changes, c->seeds_with_change);
    printf("messages %" PRIu64 ": lost %" PRIu64 ", cut off %" PRIu64 ", duplicated %" PRIu64
           ", reordered %" PRIu64 ", with fewer entries than asked %" PRIu64 "\n",
           c->messages, c->lost, c->cut_off, c->duplicated, c->reordered, c->short_appends);
    printf("disks: effects held %" PRIu64 ", writes lost %" PRIu64 ", torn %" PRIu64
           ", checkpoints %" PRIu64 ", trims %" PRIu64 ", crashes between effects %" PRIu64
           ", expired leases %" PRIu64 "\n",
           c->held_effects, c->lost_writes, c->torn_writes, c->checkpoints, c->trims,
           c->crashes_between_effects, c->expired);
    printf("members: orders %" PRIu64 " (done %" PRIu64 ", refused %" PRIu64 ", uncertain %" PRIu64
           "), changes %" PRIu64 ", joined %" PRIu64 ", indexes used again %" PRIu64
           " (words of who was there before %" PRIu64 ", of who is there too soon %" PRIu64 ")\n",
           c->orders, c->orders_done, c->orders_refused, c->orders_uncertain, c->changes, c->joined,
           c->reused, c->late, c->aliens);
    printf("snapshots: offers %" PRIu64 " (taken for one %" PRIu64 "), loaded %" PRIu64
           ", resumed %" PRIu64 ", begun anew %" PRIu64 ", gone %" PRIu64 ", installed %" PRIu64
           ", cut in between %" PRIu64 "\n",
           c->offers, c->taken_for, c->offered, c->resumed, c->restarted, c->gone, c->installs,
           c->installs_cut);
    printf("reads at who does not lead: confirmed %" PRIu64
           ", ahead of what it had applied %" PRIu64 "\n",
           c->asked_reads, c->asked_ahead);
    print_sessions(c);
    printf("leases granted %" PRIu64 ", found gone %" PRIu64 "\n", c->leases_granted,
           c->leases_gone);
    print_council(c);
    printf("lost disks %" PRIu64 ", damaged ones %" PRIu64 ", recovered %" PRIu64 "\n", c->wiped,
           c->damaged, c->recovered);
    printf("logs with holes %" PRIu64 ": patched %" PRIu64 ", covered by a checkpoint %" PRIu64
           "\n",
           c->rotten, c->patched, c->covered);
    printf("faults:");
    for (unsigned i = 0; i < ACTION_COUNT; i++) {
        printf(" %s %" PRIu64, action_name((enum action_kind)i), c->actions[i]);
    }
    printf("\ntrace points of %s:\n", protocol->name);
    for (unsigned i = 0; i < TRACE_POINTS_MAX; i++) {
        if (c->points[i] > 0) {
            printf("  %3u %10" PRIu64 "  e.g. %s\n", i, c->points[i], c->samples[i]);
        }
    }
}

/* --- a failing seed ------------------------------------------------------------------------- */

#define STORY_LINES 60u

struct story {
    char lines[STORY_LINES][256];
    size_t n;
};

static void remember(void *context, const char *line)
{
    struct story *story = context;
    (void)snprintf(story->lines[story->n++ % STORY_LINES], sizeof story->lines[0], "%s", line);
}

static void print_line(void *context, const char *line)
{
    (void)context;
    printf("%s\n", line);
}

static void tell_story(struct seed_run *run, FILE *out)
{
    struct story *story = qr_zalloc(sizeof *story);
    run->show = SHOW_EFFECTS | SHOW_SENDS | SHOW_EVENTS;
    run->tell = remember;
    run->tell_context = story;
    (void)seed_execute(run);
    run->show = 0;
    run->tell = NULL;
    size_t first = story->n > STORY_LINES ? story->n - STORY_LINES : 0;
    for (size_t i = first; i < story->n; i++) {
        (void)fprintf(out, "#   %s\n", story->lines[i % STORY_LINES]);
    }
    free(story);
}

static void report(const struct arguments *a, struct seed_run *run,
                   const struct seed_result *result)
{
    printf("# seed %" PRIu64 " FAILED: %s: %s\n", run->seed, violation_name(result->violation),
           result->text);
    printf("# repeat: quorate sim --strategy %s --seed %" PRIu64 " --count 1 --verbose --dice %u\n",
           a->strategy, run->seed, SIM_DICE);
    if (result->violation == VIOLATION_DIGEST) {
        return;
    }
    struct counters *counters = run->counters, scratch = { 0 };
    run->counters = &scratch;
    size_t before = run->plan.n;
    if (!a->no_shrink) {
        seed_shrink(run, result->violation, 600);
    }
    printf("# shrunk from %zu to %zu actions; the end of the shorter run:\n", before, run->plan.n);
    tell_story(run, stdout);
    FILE *out = a->out != NULL ? fopen(a->out, "we") : NULL;
    if (a->out != NULL && out == NULL) {
        perror(a->out);
    }
    printf("# as a script%s%s\n", out != NULL ? ", written to " : ":", out != NULL ? a->out : "");
    seed_write_script(run, result, out != NULL ? out : stdout);
    if (out != NULL) {
        (void)fclose(out);
    }
    run->counters = counters;
}

/* --- seeds ---------------------------------------------------------------------------------- */

static struct seed_result one_seed(const struct arguments *a, struct seed_run *run)
{
    if (a->verbose) {
        run->show = SHOW_EFFECTS | SHOW_SENDS | SHOW_EVENTS;
        run->tell = print_line;
    }
    struct seed_result result = seed_execute(run);
    run->show = 0;
    run->tell = NULL;
    if (a->twice && result.violation == VIOLATION_NONE) {
        struct counters scratch = { 0 }, *counters = run->counters;
        run->counters = &scratch;
        struct seed_result again = seed_execute(run);
        run->counters = counters;
        if (again.digest != result.digest || again.steps != result.steps) {
            result.violation = VIOLATION_DIGEST;
            (void)snprintf(result.text, sizeof result.text, "%016" PRIx64 " and %016" PRIx64,
                           result.digest, again.digest);
        }
    }
    return result;
}

static void progress(const struct arguments *a, uint64_t done, time_t *last)
{
    time_t now = time(NULL);
    if (a->quiet || now == *last || isatty(2) == 0) {
        return;
    }
    *last = now;
    (void)fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " seeds ", done, a->count);
    if (done == a->count) {
        (void)fprintf(stderr, "\n");
    }
}

static void print_tap(const struct arguments *a, bool ok, uint64_t done)
{
    if (a->tap) {
        printf("%s 1 - %s: %" PRIu64 " seeds from %" PRIu64 "%s\n1..1\n", ok ? "ok" : "not ok",
               a->strategy, done, a->seed,
               a->expect_violation ? ", the planted bug must be found" : "");
    }
}

static int run_seeds(const struct arguments *a)
{
    struct counters *counters = qr_zalloc(sizeof *counters);
    uint64_t done = 0;
    bool failed = false;
    time_t last = time(NULL);
    for (; done < a->count && !failed; done++) {
        struct seed_run run = { .protocol = a->protocol,
                                .seed = a->seed + done,
                                .level = level_of(a->strategy),
                                .mode = council_mode(a->strategy),
                                .counters = counters,
                                .deep_digest = a->twice };
        seed_draw(&run);
        struct seed_result result = one_seed(a, &run);
        failed = result.violation != VIOLATION_NONE;
        if (failed && a->expect_violation) {
            printf("# %s found at seed %" PRIu64 ": %s: %s\n", a->strategy, run.seed,
                   violation_name(result.violation), result.text);
        } else if (failed) {
            report(a, &run, &result);
        }
        plan_free(&run.plan);
        progress(a, done + 1, &last);
    }
    if (!a->quiet && !a->expect_violation) {
        print_counters(counters, a->protocol);
    }
    free(counters);
    bool ok = failed == a->expect_violation;
    print_tap(a, ok, done);
    if (!a->tap) {
        printf("%s: %" PRIu64 " seeds, %s\n", a->strategy, done,
               failed ? "a violation" : "no violation");
    }
    return ok ? 0 : 1;
}

static int run_scripts(const struct arguments *a)
{
    int failed = 0;
    for (int i = 0; i < a->script_count; i++) {
        int result = script_run(a->scripts[i], a->rewrite, a->quiet);
        failed += result;
        if (a->tap) {
            printf("%s %d - %s\n", result == 0 ? "ok" : "not ok", i + 1, a->scripts[i]);
        }
    }
    if (a->tap) {
        printf("1..%d\n", a->script_count);
    } else if (!a->quiet) {
        printf("%d scripts, %d differ\n", a->script_count, failed);
    }
    return failed > 0 ? 1 : 0;
}

/* --- arguments ------------------------------------------------------------------------------ */

static bool take_flag(struct arguments *a, const char *name)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {
        { "--no-shrink", &a->no_shrink }, { "--canary", &a->canary },
        { "--twice", &a->twice },         { "--verbose", &a->verbose },
        { "--quiet", &a->quiet },         { "--tap", &a->tap },
        { "--rewrite", &a->rewrite },     { "--expect-violation", &a->expect_violation },
    };
    for (size_t i = 0; i < ARRAY_COUNT(flags); i++) {
        if (strcmp(name, flags[i].name) == 0) {
            *flags[i].flag = true;
            return true;
        }
    }
    return false;
}

static bool take_number(const char *name, const char *value, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(value, &end, 0);
    bool good = value[0] >= '0' && value[0] <= '9' && *end == 0 && errno == 0;
    if (!good) {
        (void)fprintf(stderr, "sim: %s: a number is wanted, not %s\n", name, value);
    }
    return good;
}

static bool take_value(struct arguments *a, const char *name, const char *value)
{
    if (strcmp(name, "--strategy") == 0) {
        a->strategy = value;
    } else if (strcmp(name, "--level") == 0) {
        a->level = value;
    } else if (strcmp(name, "--seed") == 0) {
        return take_number(name, value, &a->seed);
    } else if (strcmp(name, "--count") == 0) {
        return take_number(name, value, &a->count) && a->count > 0;
    } else if (strcmp(name, "--dice") == 0) {
        return take_number(name, value, &a->dice);
    } else if (strcmp(name, "--out") == 0) {
        a->out = value;
    } else if (strcmp(name, "--suite") == 0) {
        a->suite = value;
    } else if (strcmp(name, "--commit") == 0) {
        a->commit = value;
    } else {
        return false;
    }
    return true;
}

static bool parse(struct arguments *a, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (take_flag(a, argv[i])) {
            continue;
        }
        if (strcmp(argv[i], "--script") == 0 && i + 1 < argc) {
            a->scripts = argv + i + 1;
            a->script_count = argc - i - 1;
            return true;
        }
        if (i + 1 >= argc || !take_value(a, argv[i], argv[i + 1])) {
            return false;
        }
        i++;
    }
    return true;
}

int sim_main(int argc, char **argv)
{
    struct arguments a = { .strategy = "raft", .seed = 1, .count = 100, .dice = SIM_DICE };
    if (!parse(&a, argc, argv)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    if (a.dice != SIM_DICE) {
        (void)fprintf(stderr, OTHER_DICE "\n", a.dice, SIM_DICE);
        return 3;
    }
    if (a.script_count > 0) {
        return run_scripts(&a);
    }
    if (a.suite != NULL) {
        return suite_run(a.suite, a.commit != NULL ? a.commit : "none", a.canary);
    }
    if (strcmp(a.strategy, "cluster") == 0) {
        return cluster_main(a.seed, a.count, a.twice, a.verbose, a.quiet, a.tap,
                            a.expect_violation);
    }
    char strategy[64];
    if (a.level != NULL) {
        (void)snprintf(strategy, sizeof strategy, "%s:%s", a.strategy, a.level);
        a.strategy = strategy;
    }
    a.protocol = strategy_of(a.strategy);
    if (a.protocol == NULL) {
        (void)fprintf(stderr, "sim: unknown strategy: %s\n", a.strategy);
        return 2;
    }
    return run_seeds(&a);
}
