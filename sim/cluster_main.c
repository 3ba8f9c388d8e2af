/* `quorate sim --strategy cluster`: runs seeds of whole clusters and says what it found. */
#include "sim/cluster.h"

#include <inttypes.h>

static void print_line(void *context, const char *line)
{
    (void)context;
    printf("%s\n", line);
}

static void print_counters(const struct cluster_counters *k)
{
    printf("seeds %" PRIu64 ", steps %" PRIu64 ", operations %" PRIu64 ", messages %" PRIu64
           ", leaders %" PRIu64 ", virtual time %" PRIu64 " s\n",
           k->seeds, k->steps, k->operations, k->messages, k->leaders, k->virtual_us / 1000000);
    printf("control state: changes %" PRIu64 ", refused as composed for another version %" PRIu64
           ", keyspaces asked for %" PRIu64 ", partitions dropped %" PRIu64 ", wishes %" PRIu64
           ", settled %" PRIu64 "\n",
           k->changes, k->conflicts, k->keyspaces, k->drops, k->moves, k->settled);
    printf("replicas: founded %" PRIu64 ", joined %" PRIu64 " (founders %" PRIu64
           "), deleted %" PRIu64 " (undone by a crash %" PRIu64 "), recovered %" PRIu64
           ", orders %" PRIu64 ", reports %" PRIu64 ", hand-overs %" PRIu64
           ", older maps than logs %" PRIu64 ", power lost at a deed %" PRIu64
           ", damaged machines %" PRIu64 " (replicas lost %" PRIu64 "), renewed ones %" PRIu64 "\n",
           k->follows[FOLLOW_FOUND], k->follows[FOLLOW_JOIN], k->joined_again,
           k->follows[FOLLOW_DELETE], k->undone, k->recovered, k->follows[FOLLOW_CHANGE_MEMBERS],
           k->follows[FOLLOW_REPORT_SETTLED], k->follows[FOLLOW_HAND_OVER], k->stale, k->shaken,
           k->damaged, k->lost, k->renewed);
    printf("sessions: reads that replicas answered %" PRIu64 ", judged as monotonic %" PRIu64 "\n",
           k->session_reads, k->session_judged);
}

static struct seed_result one_seed(uint64_t seed, bool twice, bool verbose,
                                   struct cluster_counters *counters)
{
    struct seed_result result = cluster_execute(seed, counters, verbose ? print_line : NULL, NULL);
    if (twice && result.violation == VIOLATION_NONE) {
        struct cluster_counters scratch = { .seeds = 0 };
        struct seed_result again = cluster_execute(seed, &scratch, NULL, NULL);
        if (again.digest != result.digest || again.steps != result.steps) {
            result.violation = VIOLATION_DIGEST;
        }
    }
    return result;
}

int cluster_main(uint64_t seed, uint64_t count, bool twice, bool verbose, bool quiet, bool tap,
                 bool expect_violation)
{
    struct cluster_counters counters = { .seeds = 0 };
    uint64_t done = 0;
    bool failed = false;
    for (; done < count && !failed; done++) {
        struct seed_result result = one_seed(seed + done, twice, verbose, &counters);
        failed = result.violation != VIOLATION_NONE;
        if (failed) {
            printf("# seed %" PRIu64 " FAILED: %s: %s\n", seed + done,
                   violation_name(result.violation), result.text);
            printf("# repeat: quorate sim --strategy cluster --seed %" PRIu64
                   " --count 1 --verbose --dice %u\n",
                   seed + done, SIM_DICE);
        }
    }
    if (!quiet && !expect_violation) {
        print_counters(&counters);
    }
    bool ok = failed == expect_violation;
    if (tap) {
        printf("%s 1 - cluster: %" PRIu64 " seeds from %" PRIu64 "\n1..1\n", ok ? "ok" : "not ok",
               done, seed);
    } else {
        printf("cluster: %" PRIu64 " seeds, %s\n", done, failed ? "a violation" : "no violation");
    }
    return ok ? 0 : 1;
}
