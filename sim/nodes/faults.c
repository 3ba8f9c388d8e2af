/* What goes wrong in the first phase of a run, and how all of it is mended for the second. */
#include "sim/nodes/drive.h"
#include "sim/nodes/failpoint.h"
#include "sim/nodes/seat.h"

#include <signal.h>

#define FAULT_PAUSE (4 * QR_SECOND)  /* between two faults, at most, in the slowest of seeds */
#define FAULT_LENGTH (3 * QR_SECOND) /* what lasts does so at most as long */
#define DRIFT_PPM 40000
#define OWN_FAILPOINT_MAX (6 * QR_SECOND) /* then a seed has its own at the latest */
#define ROLLBACK_SEEDS 4u /* every so many comes to a place where something is taken back */

static struct rng *dice(struct run *run)
{
    return &run->fault_dice;
}

static uint64_t *felt(struct run *run)
{
    return run->realm->felt;
}

struct seat *fault_seat(struct run *run)
{
    return &run->seat[rng_below(dice(run), run->seats)];
}

qr_time fault_time(struct run *run)
{
    uint64_t most = 1 + rng_below(dice(run), FAULT_LENGTH);
    return (qr_time)(1 + rng_below(dice(run), most));
}

/* --- Death ---------------------------------------------------------------------------------- */

static bool is_away(const struct run *run, const struct seat *seat)
{
    return (run->away >> (seat - run->seat) & 1) != 0;
}

static void on_restart(struct realm *realm, void *what, uint64_t number)
{
    (void)realm;
    (void)number;
    struct seat *seat = what;
    if (seat->host->process != NULL || is_away(seat->run, seat)) {
        return;
    }
    if (!seat->host->up) {
        host_power_on(seat->host);
    }
    seat_start(seat);
}

static void restart_later(struct run *run, struct seat *seat)
{
    realm_at(run->realm, run->realm->now + fault_time(run), on_restart, seat, 0);
}

void seat_later(struct seat *seat)
{
    restart_later(seat->run, seat);
}

static void kill_it(struct run *run, struct seat *seat, uint32_t what_for)
{
    process_kill(seat->host->process);
    felt(run)[what_for] += seat->host->process == NULL;
    restart_later(run, seat);
}

void fault_kill(struct run *run)
{
    struct seat *seat = fault_seat(run);
    if (seat->host->process != NULL) {
        realm_note(run->realm, seat->host, "is killed");
        kill_it(run, seat, FAULT_kill);
    }
}

/* It may be busy, or stand still: then that takes its time. */
void fault_term(struct run *run)
{
    struct seat *seat = fault_seat(run);
    if (seat->host->process != NULL && seat->node != NULL) {
        realm_note(run->realm, seat->host, "is told to end");
        seat->told_to_end = true;
        process_signal(seat->host->process, SIGTERM);
    }
}

/* Returns how many bytes it has lost. */
static uint64_t lose_power(struct run *run, struct seat *seat)
{
    uint64_t lost = 0;
    if (seat->host->up) {
        realm_note(run->realm, seat->host, "loses power");
        lost = host_lose_power(seat->host);
        restart_later(run, seat);
    }
    return lost;
}

void fault_power(struct run *run)
{
    felt(run)[FAULT_power] += lose_power(run, fault_seat(run));
}

void fault_power_all(struct run *run)
{
    uint64_t lost = 0;
    for (uint32_t i = 0; i < run->seats; i++) {
        lost += lose_power(run, &run->seat[i]);
    }
    for (uint32_t i = 0; i < run->seats; i++) {
        lost = run->seat[i].host->up ? 0 : lost; /* all of them */
    }
    felt(run)[FAULT_power_all] += lost;
}

/* A call or a thousand calls from now. */
void fault_crash(struct run *run)
{
    struct process *process = fault_seat(run)->host->process;
    if (process != NULL && process->calls_left == 0) {
        process->calls_left = 1 + (uint32_t)rng_below(dice(run), 1u << rng_below(dice(run), 12));
        process->takes_power = rng_chance(dice(run), 1, 2);
    }
}

void fault_failpoint(struct run *run)
{
    enum failpoint point = (enum failpoint)(1 + rng_below(dice(run), FAILPOINTS_DRAWN));
    struct seat *seat = fault_seat(run);
    failpoint_arm(seat->host, ARMED_BY_FAULT, point, fault_time(run));
    if (failpoint_life(point) == FAILPOINT_START && seat->host->process != NULL) {
        kill_it(run, seat, FELT_failpoint_start);
    }
}

/* Each seed has one of its own, so that so many seeds in a row come to all of them; where few come
 * to it, whoever is the first. */
static void on_own_failpoint(struct realm *realm, void *what, uint64_t point)
{
    struct run *run = what;
    bool rare = failpoint_is_rare((enum failpoint)point);
    uint32_t from = rare ? 0 : (uint32_t)rng_below(dice(run), run->seats);
    qr_time length = fault_time(run);
    bool comes = !run->ending && (run->without >> FAULT_failpoint & 1) == 0;
    for (uint32_t i = from; i < (rare ? run->seats : from + 1) && comes; i++) {
        failpoint_arm(run->seat[i].host, ARMED_BY_SEED, (enum failpoint)point, length);
    }
    (void)realm;
}

static void on_rollback_failpoint(struct realm *realm, void *what, uint64_t point)
{
    struct run *run = what;
    for (uint32_t i = 0; i < run->seats && (run->without >> FAULT_failpoint & 1) == 0; i++) {
        failpoint_arm(run->seat[i].host, ARMED_BY_BACKUP, (enum failpoint)point, fault_time(run));
        run->seat[i].host->armed[ARMED_BY_BACKUP].left = 1;
    }
    (void)realm;
}

enum failpoint_life run_failpoint_life(const struct run *run)
{
    return failpoint_life((enum failpoint)(1 + run->realm->seed % FAILPOINTS_DRAWN));
}

/* With what leads to it. */
static void own_failpoint(struct run *run)
{
    enum failpoint_life life = run_failpoint_life(run);
    bool of_damage = life == FAILPOINT_HOLE || life == FAILPOINT_DAMAGE;
    bool of_fetch = life == FAILPOINT_FETCH || life == FAILPOINT_SOURCE;
    qr_time at = (qr_time)rng_below(dice(run), OWN_FAILPOINT_MAX);
    at = life == FAILPOINT_BIRTH || life == FAILPOINT_START || of_damage ? 0 : at;
    run->fragile = (of_damage || of_fetch) && run->founders >= 3 ? 1 : run->fragile;
    run->fragile = run->backup.local ? 0 : run->fragile; /* which may lose what one disk had */
    run->weight[FAULT_wipe] += of_fetch ? 8 : 0;
    run->weight[FAULT_rot] += of_damage ? 8 : 0;
    run->weight[FAULT_old_copy] += of_damage ? 4 : 0;
    run->weight[FAULT_disk_full] += life == FAILPOINT_GIVE_UP ? 8 : 0;
    run->weight[FAULT_isolate] += life == FAILPOINT_CONFLICT ? 8 : 0;
    run->weight[FAULT_power] += life == FAILPOINT_START || life == FAILPOINT_CONFLICT ? 4 : 0;
    run->weight[FAULT_term] += life == FAILPOINT_END ? 8 : 0;
    realm_at(run->realm, run->realm->now + at, on_own_failpoint, run,
             1 + run->realm->seed % FAILPOINTS_DRAWN);
    if (run->backup.is && run->realm->seed % ROLLBACK_SEEDS == 2) {
        realm_at(run->realm, run->realm->now, on_rollback_failpoint, run,
                 FAIL_DISCARDS_OPEN + run->realm->seed / ROLLBACK_SEEDS % FAILPOINTS_ROLLBACK);
    }
}

void fault_disk_error(struct run *run)
{
    struct drive *drive = fault_seat(run)->host->drive;
    if (drive->operations_left == 0) {
        drive->operations_left = 1 + (uint32_t)rng_below(dice(run), 1u << rng_below(dice(run), 9));
    }
}

/* --- Drives --------------------------------------------------------------------------------- */

static void on_room(struct realm *realm, void *what, uint64_t number)
{
    (void)number;
    struct seat *seat = what;
    uint64_t before = seat->host->drive->capacity;
    seat->host->drive->capacity = DRIVE_BYTES;
    realm->felt[FELT_room_again] += seat->host->drive->capacity > before;
}

void fault_disk_full(struct run *run)
{
    struct seat *seat = fault_seat(run);
    struct drive *drive = seat->host->drive;
    uint64_t left = rng_below(dice(run), 1u << rng_below(dice(run), 22));
    realm_note(run->realm, seat->host, "has %u bytes of room left", (unsigned)left);
    drive->capacity = drive_used_bytes(drive) + left;
    realm_at(run->realm, run->realm->now + fault_time(run), on_room, seat, 0);
}

static void on_readable(struct realm *realm, void *what, uint64_t number)
{
    (void)number;
    struct seat *seat = what;
    uint32_t before = seat->host->drive->reads_fail_each;
    seat->host->drive->reads_fail_each = 0;
    realm->felt[FELT_readable_again] += seat->host->drive->reads_fail_each < before;
}

/* Of one at a time; whoever ends by it tries to start until all can be read again. */
void fault_disk_unreadable(struct run *run)
{
    struct seat *seat = fault_seat(run);
    uint32_t each = 1 + (uint32_t)rng_below(dice(run), 1u << rng_below(dice(run), 9));
    for (uint32_t i = 0; i < run->seats; i++) {
        if (run->seat[i].host->drive->reads_fail_each > 0) {
            return;
        }
    }
    realm_note(run->realm, seat->host, "one of %u reads fails", each);
    seat->host->drive->reads_fail_each = each;
    if (seat->host->process != NULL && rng_chance(dice(run), 1, 2)) {
        kill_it(run, seat, FELT_unreadable_start); /* which reads most */
    }
    realm_at(run->realm, run->realm->now + fault_time(run), on_readable, seat, 0);
}

void fault_disk_stall(struct run *run)
{
    struct seat *seat = fault_seat(run);
    realm_note(run->realm, seat->host, "its drive stands still");
    seat->host->drive->stalled = run->realm->now + fault_time(run);
}

/* So few nodes are damaged, ever, that what they have lost is whole on a majority of others. */
static struct seat *fragile_seat(struct run *run)
{
    if (run->fragile == 0) {
        return NULL;
    }
    struct seat *seat = &run->seat[rng_below(dice(run), run->fragile)];
    return seat->mends || !replicas_have_all(run) ? NULL : seat;
}

static void on_mended(struct realm *realm, void *what, uint64_t number)
{
    struct run *run = what;
    bool sound = replicas_sound(run);
    for (uint32_t i = 0; i < run->fragile && sound; i++) {
        bool mended = run->seat[i].mends;
        run->seat[i].mends = false;
        realm->felt[FELT_sound_again] += mended && !run->seat[i].mends;
        run->seat[i].host->drive->fragile = true;
    }
    realm_at(realm, realm->now + 100 * QR_MILLISECOND, on_mended, what, number);
}

static void harm(struct run *run, bool (*how)(struct drive *, struct rng *, char *, size_t))
{
    struct seat *seat = fragile_seat(run);
    char what[200];
    if (seat != NULL && how(seat->host->drive, dice(run), what, sizeof what)) {
        realm_note(run->realm, seat->host, "bytes go bad: %s", what);
        if (seat->host->process != NULL && rng_chance(dice(run), 1, 2)) {
            kill_it(run, seat, FELT_harm_start); /* which looks at all of them */
        }
    }
}

void fault_rot(struct run *run)
{
    harm(run, drive_rot);
}

void fault_misdirect(struct run *run)
{
    harm(run, drive_misdirect);
}

static void stop(struct seat *seat)
{
    if (seat->host->process != NULL) {
        process_kill(seat->host->process);
    }
}

void fault_wipe(struct run *run)
{
    struct seat *seat = fragile_seat(run);
    if (seat != NULL) {
        realm_note(run->realm, seat->host, "loses all its files");
        stop(seat);
        felt(run)[FAULT_wipe] += seat_wipe(seat);
        restart_later(run, seat);
    }
}

void fault_old_copy(struct run *run)
{
    struct seat *seat = fragile_seat(run);
    if (seat == NULL) {
        return;
    }
    if (seat->copy == NULL) {
        seat_copy(seat);
        return;
    }
    realm_note(run->realm, seat->host, "gets an older copy of its files");
    stop(seat);
    felt(run)[FAULT_old_copy] += seat_restore(seat);
    restart_later(run, seat);
}

void seat_died(void *seat)
{
    restart_later(((struct seat *)seat)->run, seat);
}

/* --- Standing still ------------------------------------------------------------------------- */

void fault_pause(struct run *run)
{
    struct host *host = fault_seat(run)->host;
    if (host->process != NULL) {
        realm_note(run->realm, host, "stands still");
        process_pause_for(host->process, fault_time(run), &felt(run)[FAULT_pause]);
    }
}

/* --- Time ----------------------------------------------------------------------------------- */

void fault_drift(struct run *run)
{
    struct host *host = fault_seat(run)->host;
    int64_t ppm = (int64_t)rng_below(dice(run), 2 * DRIFT_PPM + 1) - DRIFT_PPM;
    realm_note(run->realm, host, "its clocks drift by %d ppm", (int)ppm);
    host_drift(host, ppm);
}

void fault_wall(struct run *run)
{
    struct host *host = fault_seat(run)->host;
    qr_time by = (qr_time)rng_below(dice(run), 7200 * QR_SECOND) - 3600 * QR_SECOND;
    realm_note(run->realm, host, "its wall clock jumps by %d s", (int)(by / QR_SECOND));
    qr_wall before = host_wall(host, run->realm->now);
    host->wall += by;
    felt(run)[FAULT_wall] += host_wall(host, run->realm->now) != before;
}

static void on_thaw(struct realm *realm, void *what, uint64_t since)
{
    struct host *host = what;
    qr_time stood = realm->now - (qr_time)since;
    bool jumps = rng_chance(&realm->rng, 1, 2);
    if (host->frozen) {
        realm_note(realm, host, "its clocks go on%s", jumps ? ", and jump" : "");
        bool boottime = host->drift_ppm == -1000000;
        host_freeze(host, false, false);
        qr_wall before = host_wall(host, realm->now);
        host_jump(host, jumps && boottime ? stood : 0, jumps ? stood : 0);
        realm->felt[FELT_thaw_jump] += (uint64_t)(host_wall(host, realm->now) - before);
    }
}

/* Clocks that are wrong by more than leases allow for (protocol.h, drift_percent) break what hangs
 * on leases; so only in worlds where nothing does, and the wall clock alone in all. */
void fault_freeze(struct run *run)
{
    struct host *host = fault_seat(run)->host;
    if (!host->frozen) {
        realm_note(run->realm, host, "its %s still",
                   run->timeless ? "clocks stand" : "wall clock stands");
        host_freeze(host, true, run->timeless);
        realm_at(run->realm, run->realm->now + fault_time(run), on_thaw, host,
                 (uint64_t)run->realm->now);
    }
}

void fault_resume(struct run *run)
{
    struct host *host = fault_seat(run)->host;
    qr_time by = fault_time(run);
    if (run->timeless) {
        realm_note(run->realm, host, "was suspended for %d ms", (int)(by / QR_MILLISECOND));
        qr_time before = host_boottime(host, run->realm->now);
        host_jump(host, by, by);
        felt(run)[FAULT_resume] += (uint64_t)(host_boottime(host, run->realm->now) - before);
    } else if (host->process != NULL) {
        process_pause_for(host->process, by, &felt(run)[FELT_resume_stood]);
    }
}

static void on_quick(struct realm *realm, void *what, uint64_t number)
{
    (void)number;
    const struct run *run = what;
    qr_time before = realm->pace.latency;
    realm->pace = run->pace;
    realm->felt[FELT_quick_again] += realm->pace.latency < before;
}

void fault_slow(struct run *run)
{
    struct realm_pace *pace = &run->realm->pace;
    *pace = run->pace;
    pace->latency *= 1 + (qr_time)rng_below(dice(run), 50);
    pace->jitter *= 1 + (qr_time)rng_below(dice(run), 200);
    pace->sync *= 1 + (qr_time)rng_below(dice(run), 50);
    pace->sync_jitter *= 1 + (qr_time)rng_below(dice(run), 100);
    felt(run)[FAULT_slow] += (uint64_t)(pace->latency - run->pace.latency);
    felt(run)[FELT_slow_sync] += (uint64_t)(pace->sync - run->pace.sync);
    realm_at(run->realm, run->realm->now + fault_time(run), on_quick, run, 0);
}

/* --- Which, and when ------------------------------------------------------------------------ */

static void (*const faults[])(struct run *run) = {
#define FAULT(name, weight, text) fault_##name,
#include "sim/nodes/faults.def"
#undef FAULT
};

static const uint32_t weights[] = {
#define FAULT(name, weight, text) weight,
#include "sim/nodes/faults.def"
#undef FAULT
};

const char *fault_name(uint32_t i)
{
    static const char *const names[FAULTS] = {
#define FAULT(name, weight, text) #name,
#include "sim/nodes/faults.def"
#undef FAULT
    };
    return names[i];
}

const char *felt_name(uint32_t i)
{
    static const char *const names[FELTS - FAULTS] = {
#define FELT(name, text) #name,
#include "sim/nodes/felt.def"
#undef FELT
    };
    return i < FAULTS ? fault_name(i) : names[i - FAULTS];
}

static void on_fault(struct realm *realm, void *what, uint64_t number)
{
    struct run *run = what;
    uint64_t all = 0;
    for (uint32_t i = 0; i < FAULTS; i++) {
        all += run->weight[i];
    }
    if (run->ending || all == 0) {
        return;
    }
    uint64_t at = rng_below(&run->schedule, all);
    qr_time pause = 1 + (qr_time)rng_below(&run->schedule, (uint64_t)run->fault_pause);
    run->fault_dice = rng_from(rng_next(&run->schedule));
    uint32_t i = 0;
    while (at >= run->weight[i]) {
        at -= run->weight[i++];
    }
    if ((run->without >> i & 1) == 0) {
        run->befell[i]++;
        faults[i](run);
    }
    realm_at(realm, realm->now + pause, on_fault, what, number);
}

bool faults_move_clocks(const struct run *run)
{
    return run->weight[FAULT_wall] + run->weight[FAULT_freeze] + run->weight[FAULT_resume] > 0;
}

bool faults_lie_about_time(const struct run *run)
{
    return run->timeless && run->weight[FAULT_freeze] + run->weight[FAULT_resume] > 0;
}

void faults_begin(struct run *run)
{
    run->schedule = rng_from(rng_next(&run->realm->rng));
    run->fault_dice = rng_from(rng_next(&run->realm->rng));
    for (uint32_t i = 0; i < FAULTS; i++) {
        uint64_t share = rng_below(dice(run), 3); /* half of the kinds, so that others come often */
        run->weight[i] = share == 0 ? 0 : weights[i] * (uint32_t)(share * share);
        run->weight[i] = rng_chance(dice(run), 1, 2) ? run->weight[i] : 0;
    }
    run->fragile = run->founders >= 3 && rng_chance(dice(run), 1, 2) ? 1 : 0;
    own_failpoint(run);
    backup_weights(&run->backup, run->weight);
    for (uint32_t i = 0; i < run->fragile; i++) {
        run->seat[i].host->drive->fragile = true;
    }
    if (run->fragile > 0) {
        realm_at(run->realm, run->realm->now + QR_SECOND, on_mended, run, 0);
    }
    run->timeless = !run->orders && strstr(run->limits, "read-mode lease") == NULL;
    run->ids = !faults_move_clocks(run) && rng_chance(dice(run), 2, 3);
    run->fault_pause = 1 + (qr_time)rng_below(dice(run), FAULT_PAUSE);
    realm_at(run->realm, run->realm->now + QR_SECOND, on_fault, run, 0);
}

/* It waits for a drive that was slow when it asked, and will do so for long. */
static bool hangs(const struct host *host)
{
    return host->process != NULL && host->process->busy_until > host->realm->now + QR_SECOND;
}

/* Where all nodes count for all keys, as few as can decide are well again at first: these have to
 * do, and the others stay dead. */
static void draw_core(struct run *run)
{
    uint32_t left = run->fragile == 0 && !run->orders ? (run->founders - 1) / 2 : 0;
    run->cores += left > 0;
    while (left > 0) {
        uint64_t i = rng_below(dice(run), run->founders);
        left -= (run->away >> i & 1) == 0;
        run->away |= 1u << i;
    }
}

void faults_end_of_all(struct run *run)
{
    run->away = 0;
    realm_note(run->realm, NULL, "those come back that were dead");
    for (uint32_t i = 0; i < run->seats; i++) {
        if (run->seat[i].host->process == NULL) {
            seat_start(&run->seat[i]);
        }
    }
}

void faults_end(struct run *run)
{
    struct realm *realm = run->realm;
    realm_note(realm, NULL, "all is well again");
    run->ending = true;
    draw_core(run);
    realm->pace = run->pace;
    net_mend(realm);
    for (uint32_t i = 0; i < run->seats; i++) {
        struct host *host = run->seat[i].host;
        host_freeze(host, false, false);
        host_drift(host, 0);
        host->wall = REALM_WALL + realm->now;
        host->drive->operations_left = 0;
        host->drive->reads_fail_each = 0;
        failpoints_disarm(host);
        host->drive->capacity = DRIVE_BYTES;
        host->drive->stalled = 0;
        if (!host->up) {
            host_power_on(host);
        }
        bool away = is_away(run, &run->seat[i]);
        if ((i < run->fragile && host->drive->harms > 0) || hangs(host) || away) {
            stop(&run->seat[i]); /* a start finds what is bad */
        }
        if (away) {
            continue;
        }
        if (host->process == NULL) {
            seat_start(&run->seat[i]);
        } else {
            host->process->calls_left = 0;
            process_pause(host->process, false);
        }
    }
    net_look_again(realm);
}
