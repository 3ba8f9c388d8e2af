/* One seed: a realm with nodes and clients, faults, and what is judged at the end. */
#include "sim/nodes/run.h"

#include "base/limits.h"
#include "node/control.h"
#include "node/node.h"
#include "sim/nodes/drive.h"
#include "sim/nodes/seat.h"

#include <inttypes.h>

#define HEALING_TIME (30 * QR_SECOND)
#define SPARES_MAX 2u
#define STATE_PAUSE (20 * QR_MILLISECOND)
#define REPAIR_TIME (150 * QR_SECOND) /* what bad drives have cost too, or at 64 KB/s */

/* --- The beginning -------------------------------------------------------------------------- */

/* From a rack to a continent, from a disk with a capacitor to one with a head. */
static void draw_pace(struct run *run)
{
    struct rng *rng = &run->realm->rng;
    struct realm_pace *pace = &run->realm->pace;
    pace->latency = 20 + (qr_time)rng_below(rng, 1u << (4 + rng_below(rng, 10)));
    pace->jitter = (qr_time)rng_below(rng, (uint64_t)pace->latency * 4);
    pace->sync = 20 + (qr_time)rng_below(rng, 1u << (4 + rng_below(rng, 11)));
    pace->sync_jitter = (qr_time)rng_below(rng, (uint64_t)pace->sync * 4);
    pace->short_read_chance = (uint32_t)(rng_chance(rng, 1, 3) ? rng_below(rng, 500) : 0);
    run->pace = *pace;
}

/* Now and then a limit is so small that it is always met, or a wait so short that it is. */
static void draw_limits(struct run *run)
{
    static const struct {
        const char *usual;
        const char *rare[3];
    } all[] = {
        { "checkpoint-bytes 64kb", { "checkpoint-bytes 200kb", "checkpoint-bytes 10mb", NULL } },
        { "", { "log-max-entries 20", "log-max-entries 300", "log-max-age 1" } },
        { "", { "snapshot-bytes-per-second 64kb", NULL, NULL } },
        { "", { "heartbeat-ms 5\nlease-ms 40\nelection-timeout-ms 60", "heartbeat-ms 100", NULL } },
        { "", { "log-sync thread", "log-sync inline", NULL } },
        { "", { "read-mode lease", NULL, NULL } },
        { "", { "leader-wait 100", "request-timeout 300", "request-timeout 250\nleader-wait 10" } },
        { "", { "replace-after 1", "replace-after 5", NULL } },
        { "", { "slow-disk-ms 5", "lag-alarm-ms 100", "leader-priority-delay-ms 50" } },
    };
    struct rng *rng = &run->realm->rng;
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        const char *rare = all[i].rare[rng_below(rng, 3)];
        bool usual = rare == NULL || rng_chance(rng, 3, 4);
        if (i == 0 && run_failpoint_life(run) == FAILPOINT_HOLE) {
            rare = all[i].rare[1]; /* what goes bad in the log is needed */
            usual = false;
        }
        n += (size_t)snprintf(run->limits + n, sizeof run->limits - n, "%s\n",
                              usual ? all[i].usual : rare);
        qr_assert(n < sizeof run->limits);
    }
}

/* Limits that are no settings, or smaller than a setting may be. */
static void draw_inner_limits(struct run *run)
{
    static const size_t segments[] = { 16 * KIB, 32 * KIB, 64 * KIB, 64 * KIB, 64 * KIB };
    static const uint32_t few[] = { 1, 2, 3, 8 };
    struct rng *rng = &run->realm->rng;
    run->segment_bytes = segments[rng_below(rng, ARRAY_COUNT(segments))];
    uint32_t entries = few[rng_below(rng, ARRAY_COUNT(few))];
    uint32_t in_flight = few[rng_below(rng, ARRAY_COUNT(few))];
    uint32_t uncommitted = 1 + (uint32_t)rng_below(rng, 30);
    run->append_entries = rng_chance(rng, 1, 5) ? entries : 0;
    run->in_flight = rng_chance(rng, 1, 5) ? in_flight : 0;
    run->uncommitted_max = rng_chance(rng, 1, 8) ? uncommitted : 0;
}

static uint32_t draw_seats(struct rng *rng)
{
    static const uint32_t seats[] = { 1, 2, 3, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5, 7 };
    return seats[rng_below(rng, ARRAY_COUNT(seats))];
}

static void draw_world(struct run *run, const struct run_choice *choice)
{
    struct realm *realm = run->realm;
    struct rng *rng = &realm->rng;
    char name[16];
    uint32_t seats = draw_seats(rng);
    seats = choice->seats > 0            ? choice->seats
            : choice->primary && seats < 3 ? 3
                                           : seats;
    draw_pace(run);
    draw_limits(run);
    draw_inner_limits(run);
    run->founders = seats;
    run->members = seats > 1 && rng_chance(rng, 1, 3) && !choice->primary;
    run->seats = seats + (run->members ? (uint32_t)rng_below(rng, SPARES_MAX + 1) : 0);
    run->seats = run->seats < SEATS_MAX ? run->seats : SEATS_MAX;
    run->askers = 1 + (uint32_t)rng_below(rng, ASKERS_MAX);
    run->keys = 1 + (uint32_t)rng_below(rng, ASKED_KEYS_MAX);
    run->think = (qr_time)rng_below(rng, 100) * QR_MILLISECOND;
    for (uint32_t i = 0; i < run->seats; i++) {
        (void)snprintf(name, sizeof name, "n%u", (unsigned)(i + 1));
        run->seat[i] =
            (struct seat){ .run = run, .host = realm_host(realm, name), .id = i + 1,
                           .joins = i >= seats };
    }
    enum failpoint_life life = run_failpoint_life(run);
    run->orders = run->members || life == FAILPOINT_DROPS || life == FAILPOINT_CARRIES ||
                  rng_chance(rng, 1, 2) || choice->primary;
    bool guest = rng_chance(rng, 1, 2);
    run->askers += run->orders + guest;
    for (uint32_t i = 0; i < run->askers; i++) {
        (void)snprintf(name, sizeof name, "c%u", (unsigned)(i + 1));
        run->asker[i] = (struct asker){ .run = run,
                                        .host = realm_host(realm, name),
                                        .number = i,
                                        .is_operator = run->orders && i + 1 + guest == run->askers,
                                        .is_guest = guest && i + 1 == run->askers,
                                        .rng = rng_from(rng_next(rng)) };
        hop_draw(&run->asker[i]);
    }
    if (choice->primary) {
        backup_draw(run);
    }
    run->visitors = (uint32_t)rng_below(rng, VISITORS_MAX + 1);
    run->visitors = life == FAILPOINT_END ? VISITORS_MAX : run->visitors; /* they end nodes */
    run->large = rng_chance(rng, 1, 2);
    for (uint32_t i = 0; i < run->visitors; i++) {
        (void)snprintf(name, sizeof name, "v%u", (unsigned)(i + 1));
        run->visitor[i] = (struct visitor){ .run = run,
                                            .host = realm_host(realm, name),
                                            .rng = rng_from(rng_next(rng)) };
    }
    for (uint32_t i = 0; i < run->seats; i++) {
        seat_start(&run->seat[i]);
    }
    for (uint32_t i = 0; i < run->askers; i++) {
        (run->asker[i].is_guest ? guest_start : asker_start)(&run->asker[i]);
    }
    for (uint32_t i = 0; i < run->visitors; i++) {
        visitor_start(&run->visitor[i]);
    }
}

static void on_look(struct realm *realm, void *what, uint64_t number)
{
    struct run *run = what;
    for (uint32_t i = 0; i < run->seats; i++) {
        seat_look(&run->seat[i]);
    }
    realm_at(realm, realm->now + QR_SECOND, on_look, what, number);
}

/* The node, if it has a control state to show; else NULL. */
static const struct node *showing(const struct seat *seat)
{
    const struct node *node = node_on(seat);
    bool shows = node != NULL && node->zero->replica != NULL && !node->zero->loading &&
                 control_is_current(node);
    return shows ? node : NULL;
}

/* What nodes show of the control state, a few moments behind each change. */
static void look_at_state(struct run *run, struct seat *seat, const struct node *node)
{
    uint64_t now[2] = { run->starts, map_changes(node->map) };
    if (memcmp(now, seat->charted, sizeof now) == 0) {
        return;
    }
    memcpy(seat->charted, now, sizeof now);
    uint64_t version = control_version(node);
    const char *wrong = charts_see(run->charts, node->map, version, &run->ordered);
    if (wrong != NULL) {
        realm_fail(run->realm, seat->host, "%s (version %" PRIu64 " of the control state)", wrong,
                   version);
    }
}

/* By which prefixes it goes, if by any. */
static void look_at_prefixes(struct run *run, const struct seat *seat, const struct node *node)
{
    const struct coverage *c = &node->contact.coverage;
    qr_time now = host_boottime(seat->host, run->realm->now);
    if (node->removed || run->timeless || !coverage_holds(c, now)) {
        return;
    }
    run->covered += map_has_prefixes(node->map) ? 1 : 0;
    const char *wrong = charts_go_by(run->charts, node->map, &c->frozen);
    if (wrong != NULL) {
        realm_fail(run->realm, seat->host, "%s (at version %" PRIu64 " of the control state)",
                   wrong, control_version(node));
    }
}

static void on_state(struct realm *realm, void *what, uint64_t number)
{
    struct run *run = what;
    for (uint32_t i = 0; i < 2 * run->seats; i++) {
        struct seat *seat = &run->seat[i % run->seats];
        const struct node *node = showing(seat);
        if (node != NULL && i < run->seats) {
            look_at_state(run, seat, node);
        } else if (node != NULL) {
            look_at_prefixes(run, seat, node);
        }
    }
    backup_look(run);
    realm_at(realm, realm->now + STATE_PAUSE, on_state, what, number);
}

/* --- The end -------------------------------------------------------------------------------- */

/* When all nodes are equal. */
static const struct map *newest_map(const struct run *run)
{
    const struct node *newest = NULL;
    for (uint32_t i = 0; i < run->seats; i++) {
        const struct node *node = run->seat[i].node;
        bool newer = newest == NULL || control_version(node) > control_version(newest);
        newest = newer ? node : newest;
    }
    return newest->map;
}

static bool all_done(const struct run *run)
{
    for (uint32_t i = 0; i < run->askers; i++) {
        if (!run->asker[i].done) {
            return false;
        }
    }
    return true;
}

static void judge(struct run *run)
{
    char verdict[400];
    const struct map *map = newest_map(run);
    const char *wrong = ordered_judge(&run->ordered, map);
    if (wrong != NULL) {
        realm_fail(run->realm, NULL, "%s", wrong);
    }
    backup_judge(run, map);
    if (!story_judge(&run->story, verdict, sizeof verdict)) {
        realm_fail(run->realm, NULL, "%s", verdict);
    }
}

static void play(struct run *run, const struct run_choice *choice)
{
    struct realm *realm = run->realm;
    draw_world(run, choice);
    run->without = choice->without;
    faults_begin(run);
    models_draw(run);
    backup_models(run);
    run->charts = charts_new();
    ordered_begin(&run->ordered, run->backup.is);
    realm_at(realm, realm->now + STATE_PAUSE, on_state, run, 0);
    if (run->members) {
        realm_at(realm, realm->now + QR_SECOND, on_look, run, 0);
    }
    realm_run(realm, realm->now + choice->safety);
    faults_end(run);
    bool long_repair = run->fragile > 0 || run->members ||
                       strstr(run->limits, "snapshot-bytes-per-second 64kb") != NULL;
    qr_time limit = realm->now + (long_repair ? REPAIR_TIME : HEALING_TIME);
    while (realm->failure[0] == 0 && !all_done(run) && realm->now < limit) {
        realm_run(realm, realm->now + 100 * QR_MILLISECOND);
    }
    if (realm->failure[0] == 0 && !all_done(run)) {
        realm_fail(realm, NULL, "%s and clients are not served",
                   run->away != 0 ? "as many nodes are well as can decide" : "all is well again");
    }
    if (realm->failure[0] == 0 && run->away != 0) {
        faults_end_of_all(run);
        limit = realm->now + (long_repair ? REPAIR_TIME : HEALING_TIME);
    }
    while (realm->failure[0] == 0 && !replicas_settled(run) && realm->now < limit) {
        realm_run(realm, realm->now + 100 * QR_MILLISECOND);
    }
    if (realm->failure[0] == 0 && realm->now >= limit) {
        realm_fail(realm, NULL, "all is well again and replicas lag behind: %s", run->lacks);
    }
    if (realm->failure[0] == 0) {
        judge(run);
    } else {
        replicas_tell(run);
    }
}

void run_seed(uint64_t seed, const struct run_choice *choice, FILE *trace, FILE *history,
              struct run_report *out)
{
    struct run *run = qr_zalloc(sizeof *run);
    run->realm = realm_new(seed, trace);
    play(run, choice);
    *out = (struct run_report){ .digest = run->realm->digest,
                                .simulated = run->realm->now,
                                .starts = run->starts,
                                .events = run->realm->events,
                                .acknowledged = run->acknowledged,
                                .reads = run->reads,
                                .visits = run->visits,
                                .hops = run->hops,
                                .cores = run->cores,
                                .refused = run->refused,
                                .unknown = run->unknown,
                                .found = run->backup.found,
                                .named = run->backup.named,
                                .told = run->backup.told,
                                .shown = run->backup.shown };
    memcpy(out->befell, run->befell, sizeof out->befell);
    memcpy(out->felt, run->realm->felt, sizeof out->felt);
    memcpy(out->done, run->models.done, sizeof out->done);
    memcpy(out->reached, run->realm->reached, sizeof out->reached);
    memcpy(out->struck, run->realm->struck, sizeof out->struck);
    memcpy(out->traced, run->realm->traced, sizeof out->traced);
    for (uint32_t i = 0; i < run->seats; i++) {
        out->disk_errors += run->seat[i].host->drive->errors;
    }
    memcpy(out->failure, run->realm->failure, sizeof out->failure);
    for (uint32_t i = 0; i < run->seats; i++) {
        if (run->seat[i].copy != NULL) {
            drive_free(run->seat[i].copy);
        }
    }
    out->states = charts_seen(run->charts);
    out->orders = run->ordered.judged;
    out->compared = run->ordered.compared;
    out->covered = run->covered;
    charts_free(run->charts);
    realm_free(run->realm);
    if (history != NULL) {
        story_write(&run->story, history);
    }
    story_free(&run->story);
    free(run);
}
