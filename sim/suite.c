/* What `make test` runs: the seeds that once failed, a fixed range, a range that the commit id
 * picks (equal for equal commits, new for every commit), and the canary's bugs, each of which must
 * be found. Prints TAP. */
#include "sim/cluster.h"
#include "sim/council.h"

#include "protocol/canary/canary.h"

#include <inttypes.h>

#define FIXED_SEEDS 150u
#define TWICE_SEEDS 25u
#define COMMIT_SEEDS 300u
#define LEVEL_SEEDS 40u
#define LEVEL_TWICE 4u
#define PRIMARY_SEEDS 40u
#define PRIMARY_TWICE 5u
#define CANARY_FIRST 10001u
#define CANARY_SEEDS 1000u
#define CLUSTER_FIXED 150u
#define CLUSTER_TWICE 20u
#define CLUSTER_COMMIT 250u

struct suite {
    unsigned tests, failed;
    struct counters counters;
    struct cluster_counters cluster;
};

static void tap(struct suite *s, bool ok, const char *text)
{
    s->tests++;
    s->failed += ok ? 0 : 1;
    printf("%s %u - %s\n", ok ? "ok" : "not ok", s->tests, text);
    (void)fflush(stdout);
}

static struct seed_result one(struct suite *s, const struct protocol *protocol,
                              const char *strategy, uint64_t seed, bool deep)
{
    struct seed_run run = { .protocol = protocol,
                            .level = level_of(strategy),
                            .mode = council_mode(strategy),
                            .seed = seed,
                            .counters = &s->counters,
                            .deep_digest = deep };
    seed_draw(&run);
    struct seed_result result = seed_execute(&run);
    plan_free(&run.plan);
    return result;
}

/* True when all pass; the first that fails is told with the command that repeats it. */
static bool all_pass(struct suite *s, const char *strategy, uint64_t from, uint64_t count,
                     bool twice)
{
    const struct protocol *protocol = strategy_of(strategy);
    for (uint64_t seed = from; seed < from + count; seed++) {
        struct seed_result result = one(s, protocol, strategy, seed, twice);
        if (result.violation == VIOLATION_NONE && twice &&
            one(s, protocol, strategy, seed, true).digest != result.digest) {
            result.violation = VIOLATION_DIGEST;
        }
        if (result.violation != VIOLATION_NONE) {
            printf("# %s: %s\n# repeat: quorate sim --strategy %s --count 1%s --seed %" PRIu64
                   " --dice %u\n",
                   violation_name(result.violation), result.text, strategy, twice ? " --twice" : "",
                   seed, SIM_DICE);
            return false;
        }
    }
    return true;
}

static bool clusters_pass(struct suite *s, uint64_t from, uint64_t count, bool twice)
{
    for (uint64_t seed = from; seed < from + count; seed++) {
        struct seed_result result = cluster_execute(seed, &s->cluster, NULL, NULL);
        if (result.violation == VIOLATION_NONE && twice &&
            cluster_execute(seed, &s->cluster, NULL, NULL).digest != result.digest) {
            result.violation = VIOLATION_DIGEST;
        }
        if (result.violation != VIOLATION_NONE) {
            printf("# %s: %s\n# repeat: quorate sim --strategy cluster --count 1%s --seed %" PRIu64
                   " --dice %u\n",
                   violation_name(result.violation), result.text, twice ? " --twice" : "", seed,
                   SIM_DICE);
            return false;
        }
    }
    return true;
}

/* Every ingredient of a plan has had its effect, in no few seeds. */
static bool clusters_acted(const struct cluster_counters *k)
{
    bool all = k->zero_crashes > k->seeds / 5;
    for (unsigned i = 1; i < ACTS; i++) {
        if (k->acts[i] <= k->seeds / 5) {
            printf("# act %u of cluster.h: %" PRIu64 " times in %" PRIu64 " seeds\n", i, k->acts[i],
                   k->seeds);
            all = false;
        }
    }
    return all;
}

/* What a run of clusters must have met, or it proves little. */
static bool clusters_met(const struct cluster_counters *k)
{
    bool followed = true;
    for (unsigned i = FOLLOW_FOUND; i <= FOLLOW_HAND_OVER; i++) {
        followed = followed && k->follows[i] > k->seeds;
    }
    return followed && k->settled > 2 * k->seeds && k->conflicts > k->seeds &&
           k->joined_again > k->seeds && k->undone > 0 && k->renewed > 0 && k->stale > 0 &&
           k->drops > 0 && k->damaged > 0 && k->lost > 0 && k->shaken > 0 &&
           k->session_reads > 5 * k->seeds && k->session_judged > 5 * k->seeds;
}

bool seed_line_read(const char *line, char strategy[32], uint64_t *seed)
{
    int end = 0;
    strategy[0] = 0;
    if (line[0] == '#' || line[strspn(line, " \t\r\n")] == 0) {
        return true;
    }
    return sscanf(line, "%31s %" SCNu64 "%n", strategy, seed, &end) == 2 &&
           strchr(" \n", line[end]) != NULL &&
           (strategy_of(strategy) != NULL || strcmp(strategy, "cluster") == 0);
}

static bool old_seeds(struct suite *s, const char *path)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        perror(path);
        return false;
    }
    bool ok = true;
    char line[512], strategy[32];
    uint64_t seed;
    while (fgets(line, sizeof line, f) != NULL) {
        if (!seed_line_read(line, strategy, &seed)) {
            printf("# %s: no seed: %s", path, line);
            ok = false;
        } else if (strcmp(strategy, "cluster") == 0) {
            ok = clusters_pass(s, seed, 1, false) && ok;
        } else if (strategy[0] != 0) {
            ok = all_pass(s, strategy, seed, 1, false) && ok;
        }
    }
    (void)fclose(f);
    return ok;
}

static void canary(struct suite *s, unsigned bug)
{
    enum violation found = VIOLATION_NONE;
    uint64_t seed = CANARY_FIRST;
    struct counters counters = s->counters;
    found = one(s, canary_protocol(bug), "canary", seed, false).violation;
    while (found == VIOLATION_NONE && seed - CANARY_FIRST < CANARY_SEEDS) {
        found = one(s, canary_protocol(bug), "canary", ++seed, false).violation;
    }
    s->counters = counters; /* what buggy code does says nothing about coverage */
    char text[200];
    (void)snprintf(text, sizeof text, "canary %u, %s: seed %" PRIu64 ": %s", bug,
                   canary_bug_text(bug), seed, violation_name(found));
    tap(s, found != VIOLATION_NONE, text);
}

/* The commit id as a number: any text will do. */
static uint64_t seed_of(const char *commit)
{
    return model_value_of(span_of(commit, strlen(commit))).hash & 0xffffffffffff;
}

/* Each level: what it guarantees was asked of many reads, and many were answered by who does not
 * lead, or by nobody else than who leads. */
static void levels(struct suite *s, uint64_t by_commit)
{
    static const struct {
        const char *strategy;
        enum read_level level;
        enum guarantee guarantee;
    } all[] = {
        { "raft:linearizable", READ_LINEARIZABLE, GUARANTEE_LINEARIZABLE },
        { "raft:leader", READ_LEADER, GUARANTEE_PREFIX },
        { "raft:prefix", READ_PREFIX, GUARANTEE_PREFIX },
        { "raft:local", READ_LOCAL, GUARANTEE_PREFIX },
        { "raft:session", READ_SESSION, GUARANTEE_MONOTONIC_READS },
        { "raft:bounded", READ_BOUNDED, GUARANTEE_BOUNDED },
        { "raft:snapshot", READ_SNAPSHOT, GUARANTEE_SNAPSHOT },
    };
    struct counters *c = &s->counters;
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        char text[160];
        enum read_level level = all[i].level;
        uint64_t before = c->judged[all[i].guarantee], followers = c->followers[level];
        bool good = all_pass(s, all[i].strategy, 1, LEVEL_SEEDS, false) &&
                    all_pass(s, all[i].strategy, 1, LEVEL_TWICE, true) &&
                    all_pass(s, all[i].strategy, by_commit, LEVEL_SEEDS, false);
        (void)snprintf(text, sizeof text, "%s: fixed seeds and some by commit: %s", all[i].strategy,
                       guarantee_name(all[i].guarantee));
        tap(s, good && c->judged[all[i].guarantee] > before + 20 * LEVEL_SEEDS, text);
        uint64_t answered = c->followers[level] - followers;
        (void)snprintf(text, sizeof text, "%s: %" PRIu64 " reads answered by who does not lead",
                       all[i].strategy, answered);
        tap(s, level == READ_LEADER ? c->followers[level] == 0 : answered > 5 * LEVEL_SEEDS, text);
    }
}

/* What reads at levels must have met, or they prove little. */
static void levels_met(struct suite *s)
{
    const struct counters *c = &s->counters;
    tap(s, c->placed > 100 * LEVEL_SEEDS && c->owed > 50 * LEVEL_SEEDS,
        "levels: reads are judged by the whole order");
    tap(s, c->followers_behind > LEVEL_SEEDS,
        "raft:bounded: who does not lead answers within a bound of operations");
    tap(s, c->as_of[PAST_WAS] > 5 * LEVEL_SEEDS && c->as_of[PAST_NONE] > LEVEL_SEEDS,
        "raft:snapshot: keys are shown as they are no more, and before they were there");
    tap(s, c->waited > LEVEL_SEEDS && c->too_old > LEVEL_SEEDS && c->as_of[PAST_LOST] > 0,
        "raft:snapshot: some wait for their position, some is too old, some is not kept");
}

/* Primary/backup under each rule. */
static void primaries(struct suite *s, uint64_t by_commit)
{
    static const char *const all[] = { "primary:async",
                                       "primary:any",
                                       "primary:all",
                                       "primary:set",
                                       "primary:async-received",
                                       "primary:any-received",
                                       "primary:async-everysec",
                                       "primary:any-everysec",
                                       "primary:any-applied",
                                       "primary:set-applied",
                                       "primary:async-fed",
                                       "primary:any-fed",
                                       "primary:set-fed" };
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        char text[160];
        bool good = all_pass(s, all[i], 1, PRIMARY_SEEDS, false) &&
                    all_pass(s, all[i], 1, PRIMARY_TWICE, true) &&
                    all_pass(s, all[i], by_commit, PRIMARY_SEEDS, false);
        (void)snprintf(text, sizeof text, "%s: fixed seeds, and some by commit", all[i]);
        tap(s, good, text);
    }
}

/* What worlds of primary/backup must have met, or they prove little. */
static void primaries_met(struct suite *s)
{
    const struct counters *c = &s->counters;
    const uint64_t *why = c->successions;
    tap(s, why[SUCCESSION_LEASE_OVER] > PRIMARY_SEEDS && why[SUCCESSION_RESTARTED] > PRIMARY_SEEDS,
        "primary: leases end and primaries restart, and others are chosen");
    tap(s,
        why[SUCCESSION_MEMBERS] > PRIMARY_SEEDS && why[SUCCESSION_RULE] > PRIMARY_SEEDS &&
            why[SUCCESSION_REPLACED] > 0,
        "primary: members and rules change, lost members of a set are replaced");
    tap(s, c->handed > PRIMARY_SEEDS / 2 && why[SUCCESSION_HANDED_OVER] > PRIMARY_SEEDS / 2,
        "primary: some hand over");
    tap(s, c->leases_regained > PRIMARY_SEEDS, "primary: leases are lost, and come back");
    tap(s, c->takebacks > PRIMARY_SEEDS && c->takebacks_applied > 0 && c->takebacks_anew > 0,
        "primary: what was executed is taken back, from the log and anew");
    tap(s, c->lost_acked > PRIMARY_SEEDS && c->lost_named > PRIMARY_SEEDS,
        "primary:async: acknowledged writes are lost, and named");
    tap(s, c->given > PRIMARY_SEEDS / 2 && c->given_back > PRIMARY_SEEDS / 2,
        "primary:async: what all held is given up, and is here again");
    tap(s, c->shared > 50 * PRIMARY_SEEDS, "primary:any-applied: others have executed it");
    tap(s, c->recovered > PRIMARY_SEEDS, "primary: who has forgotten remembers");
    tap(s, c->stopped < 2 * PRIMARY_SEEDS, "primary: in most seeds somebody can go on");
}

int suite_run(const char *seeds, const char *commit, bool with_canary)
{
    qr_assert(commit != NULL); /* which also spares sanitizer builds a false warning */
    struct suite *s = qr_zalloc(sizeof *s);
    char text[160];
    tap(s, old_seeds(s, seeds), "seeds that failed once");
    tap(s, all_pass(s, "raft", 1, FIXED_SEEDS, false), "raft: fixed seeds");
    tap(s, all_pass(s, "raft", 1, TWICE_SEEDS, true), "raft: twice the same run, the same digest");
    (void)snprintf(text, sizeof text, "raft: %u seeds from %" PRIu64 ", by commit %.12s",
                   COMMIT_SEEDS, seed_of(commit), commit);
    tap(s, all_pass(s, "raft", seed_of(commit), COMMIT_SEEDS, false), text);
    tap(s, s->counters.seeds_with_change * 2 > s->counters.seeds,
        "raft: most seeds see a change of leader");
    tap(s, s->counters.faults > 5 * s->counters.seeds, "raft: a seed has more than five faults");
    tap(s, s->counters.late > 0, "raft: who has lost its index is heard after that");
    tap(s, s->counters.asked_reads > s->counters.seeds && s->counters.asked_ahead > 0,
        "raft: reads are served at followers, some of which wait for entries");
    levels(s, seed_of(commit));
    levels_met(s);
    primaries(s, seed_of(commit));
    primaries_met(s);
    tap(s, clusters_pass(s, 1, CLUSTER_FIXED, false), "cluster: fixed seeds");
    tap(s, clusters_pass(s, 1, CLUSTER_TWICE, true),
        "cluster: twice the same run, the same digest");
    (void)snprintf(text, sizeof text, "cluster: %u seeds from %" PRIu64 ", by commit %.12s",
                   CLUSTER_COMMIT, seed_of(commit), commit);
    tap(s, clusters_pass(s, seed_of(commit), CLUSTER_COMMIT, false), text);
    tap(s, clusters_met(&s->cluster), "cluster: replicas are made, moved, deleted, and made again");
    tap(s, clusters_acted(&s->cluster),
        "cluster: members are crashed, group 0's leader too; moves, drops and drains are ordered");
    tap(s, all_pass(s, "canary", 1, FIXED_SEEDS, false), "canary: no violation without a bug");
    for (unsigned bug = 1; bug <= CANARY_BUGS && with_canary; bug++) {
        canary(s, bug);
    }
    printf("1..%u\n", s->tests);
    int code = s->failed > 0 ? 1 : 0;
    free(s);
    return code;
}
