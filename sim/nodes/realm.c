/* Events, hosts' clocks, and processes as coroutines: see realm.h. */
#include "sim/nodes/realm.h"

#include "base/text.h"
#include "sim/nodes/drive.h"

#include <inttypes.h>
#include <stdarg.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

/* --- Events --------------------------------------------------------------------------------- */

static bool is_before(const struct happening *a, const struct happening *b)
{
    return a->at < b->at || (a->at == b->at && a->sequence < b->sequence);
}

void realm_at(struct realm *realm, qr_time at,
              void (*fire)(struct realm *realm, void *what, uint64_t number), void *what,
              uint64_t number)
{
    if (realm->heap_n == realm->heap_cap) {
        struct process *before = memory_for(NULL);
        realm->heap_cap = realm->heap_cap == 0 ? 256 : 2 * realm->heap_cap;
        realm->heap = qr_realloc(realm->heap, realm->heap_cap * sizeof *realm->heap);
        (void)memory_for(before);
    }
    struct happening e = { .at = at < realm->now ? realm->now : at,
                       .sequence = realm->sequence++,
                       .fire = fire,
                       .what = what,
                       .number = number };
    size_t i = realm->heap_n++;
    while (i > 0 && is_before(&e, &realm->heap[(i - 1) / 2])) {
        realm->heap[i] = realm->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    realm->heap[i] = e;
}

static struct happening take_event(struct realm *realm)
{
    struct happening first = realm->heap[0];
    struct happening last = realm->heap[--realm->heap_n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < realm->heap_n &&
            is_before(&realm->heap[child + 1], &realm->heap[child])) {
            child++;
        }
        if (child >= realm->heap_n || !is_before(&realm->heap[child], &last)) {
            break;
        }
        realm->heap[i] = realm->heap[child];
        i = child;
    }
    realm->heap[i] = last;
    return first;
}

void realm_run(struct realm *realm, qr_time until)
{
    while (realm->heap_n > 0 && realm->heap[0].at <= until && realm->failure[0] == 0) {
        struct happening e = take_event(realm);
        qr_assert(e.at >= realm->now);
        realm->now = e.at;
        realm->events++;
        e.fire(realm, e.what, e.number);
    }
    if (realm->failure[0] == 0 && realm->now < until) {
        realm->now = until;
    }
}

/* --- The trace ------------------------------------------------------------------------------ */

void realm_mix(struct realm *realm, uint64_t number)
{
    struct rng mixed = rng_from(realm->digest ^ number);
    realm->digest = rng_next(&mixed);
}

static void note(struct realm *realm, const struct host *host, const char *text)
{
    const struct process *p = process_running();
    qr_time now = p != NULL ? process_time(p) : realm->now;
    realm_mix(realm, (uint64_t)now);
    for (const char *c = text; *c != 0; c++) {
        realm->digest = (realm->digest ^ (uint8_t)*c) * 0x100000001b3u;
    }
    if (realm->trace != NULL) {
        fprintf(realm->trace, "%" PRId64 ".%06" PRId64 " %s %s\n", now / QR_SECOND,
                now % QR_SECOND, host != NULL ? host->name : "-", text);
    }
}

void realm_note(struct realm *realm, const struct host *host, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    note(realm, host, text);
}

void realm_fail(struct realm *realm, const struct host *host, const char *format, ...)
{
    char text[sizeof realm->failure];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    note(realm, host, text);
    if (realm->failure[0] == 0) {
        (void)snprintf(realm->failure, sizeof realm->failure, "%s%s%.480s",
                       host != NULL ? host->name : "", host != NULL ? ": " : "", text);
    }
}

/* --- Hosts ---------------------------------------------------------------------------------- */

struct host *realm_host(struct realm *realm, const char *name)
{
    qr_assert(realm->hosts < HOSTS_MAX);
    struct host *host = &realm->host[realm->hosts];
    host->realm = realm;
    host->number = realm->hosts++;
    (void)snprintf(host->name, sizeof host->name, "%s", name);
    (void)snprintf(host->address, sizeof host->address, "10.0.0.%u", host->number + 1);
    host->drive = drive_new();
    host->drive->felt = realm->felt;
    host->up = true;
    host->next_port = 40000;
    host->boot = QR_SECOND * (qr_time)(1 + rng_below(&realm->rng, 1000000));
    host->wall = REALM_WALL + realm->now;
    host->since = realm->now;
    return host;
}

struct host *realm_host_at(struct realm *realm, const char *address)
{
    for (uint32_t i = 0; i < realm->hosts; i++) {
        if (strcmp(realm->host[i].address, address) == 0) {
            return &realm->host[i];
        }
    }
    return NULL;
}

#define DISTANT (1000000 * QR_SECOND) /* no run lasts as long */

static qr_time passed(const struct host *host, qr_time now)
{
    return (now - host->since) + (now - host->since) * host->drift_ppm / 1000000;
}

qr_time host_boottime(const struct host *host, qr_time now)
{
    return host->boot + passed(host, now);
}

qr_wall host_wall(const struct host *host, qr_time now)
{
    return host->wall + (host->wall_stands ? 0 : passed(host, now));
}

qr_time host_true_time(const struct host *host, qr_time boottime)
{
    if (boottime <= host->boot) {
        return host->since;
    }
    if (boottime - host->boot > DISTANT || host->drift_ppm <= -1000000) {
        return QR_NEVER;
    }
    qr_time at =
        host->since + (boottime - host->boot) * 1000000 / (1000000 + host->drift_ppm);
    while (host_boottime(host, at) < boottime) {
        at++;
    }
    return at;
}

/* Since it was looked at last its clocks have gone wrong by that much; or the wall clock stood. */
static void count_error(const struct host *host, qr_time by, qr_time since)
{
    uint64_t *felt = host->realm->felt;
    felt[FAULT_freeze] += host->wall_stands ? (uint64_t)since : 0;
    felt[FELT_boottime_stood] += host->drift_ppm == -1000000 ? (uint64_t)since : 0;
    felt[FAULT_drift] += host->frozen ? 0 : (uint64_t)(by < 0 ? -by : by);
}

void host_drift(struct host *host, int64_t ppm)
{
    qr_time now = host->realm->now;
    qr_time by = passed(host, now);
    count_error(host, by - (now - host->since), now - host->since);
    host->boot += by;
    host->wall += host->wall_stands ? 0 : by;
    host->since = now;
    host->drift_ppm = ppm;
    if (host->process != NULL) {
        process_poke(host->process); /* what it waits for comes at another time */
    }
}

void host_freeze(struct host *host, bool frozen, bool boottime)
{
    bool thaws = !frozen && host->drift_ppm == -1000000;
    host_drift(host, boottime ? -1000000 : thaws ? 0 : host->drift_ppm);
    host->frozen = host->wall_stands = frozen;
}

void host_jump(struct host *host, qr_time boottime, qr_time wall)
{
    host->boot += boottime;
    host->wall += wall;
    host_drift(host, host->drift_ppm);
}

/* --- Switching ------------------------------------------------------------------------------ */

static struct process *running; /* malloc, logs and panics have nothing else to ask */

struct process *process_running(void)
{
    return running;
}

static void enter_process(struct realm *realm, struct process *p)
{
    running = p;
    struct process *before = memory_for(p);
#if defined(__SANITIZE_ADDRESS__)
    void *fake = NULL;
    __sanitizer_start_switch_fiber(&fake, p->stack, STACK_BYTES);
#endif
    int failed = swapcontext(&realm->context, &p->context);
    qr_assert(failed == 0);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
    (void)memory_for(before);
    running = NULL;
}

/* For good, when it has ended. */
static void leave_process(struct process *p)
{
    struct realm *realm = p->realm;
#if defined(__SANITIZE_ADDRESS__)
    bool ends = p->state == PROCESS_ENDED || p->state == PROCESS_DIED;
    __sanitizer_start_switch_fiber(ends ? NULL : &p->fake_stack, realm->stack_bottom,
                                   realm->stack_size);
#endif
    int failed = swapcontext(&p->context, &realm->context);
    qr_assert(failed == 0);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(p->fake_stack, &realm->stack_bottom, &realm->stack_size);
#endif
}

static void begin(void)
{
    struct process *p = running;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(NULL, &p->realm->stack_bottom, &p->realm->stack_size);
#endif
    p->body(p);
    p->state = PROCESS_ENDED;
    leave_process(p);
    qr_unreachable();
}

void process_die(struct process *process)
{
    qr_assert(process == running);
    process->state = PROCESS_DIED;
    leave_process(process);
    qr_unreachable();
}

/* --- Life ----------------------------------------------------------------------------------- */

static void clear(struct process *p, bool power)
{
    struct realm *realm = p->realm;
    bool orderly = p->state == PROCESS_ENDED;
    io_forget(p, power);
    files_forget(p);
    size_t left = memory_release(p);
    if (orderly && left > 0) {
        realm_fail(realm, p->host, "it has ended and left %zu blocks of memory", left);
    }
    if (realm->spare_stack == NULL) {
        realm->spare_stack = p->stack;
    } else {
        munmap(p->stack, STACK_BYTES);
    }
    p->host->process = NULL;
    free(p);
}

/* It has ended, or died in the midst of a call. */
static void bury(struct process *p)
{
    struct host *host = p->host;
    bool died = p->state == PROCESS_DIED;
    bool power = died && p->takes_power;
    realm_note(host->realm, host, power ? "loses power" : died ? "has died" : "has ended");
    clear(p, power);
    if (power) {
        (void)host_lose_power(host);
    }
    if (died && host->on_death != NULL) {
        host->on_death(host->owner);
    }
}

static void on_wake(struct realm *realm, void *what, uint64_t life)
{
    struct host *host = what;
    struct process *p = host->process;
    if (p == NULL || p->life != life || p->wakes != realm->now) {
        return; /* that was for another, or put off */
    }
    p->wakes = QR_NEVER;
    if (p->paused) {
        p->missed = true;
        *p->felt += 1;
        return;
    }
    p->state = PROCESS_RUNS;
    p->spent_ns = 0;
    enter_process(realm, p);
    p->busy_until = realm->now + (qr_time)(p->spent_ns / 1000) + 1;
    realm_mix(realm, (uint64_t)p->busy_until ^ life << 48);
    if (p->state != PROCESS_BLOCKED) {
        bury(p);
        return;
    }
    p->wakes = p->until > p->busy_until ? p->until : p->busy_until;
    if (p->wakes != QR_NEVER) {
        realm_at(realm, p->wakes, on_wake, host, life);
    }
}

struct process *process_start(struct host *host, void (*body)(struct process *process),
                              void *argument)
{
    struct realm *realm = host->realm;
    qr_assert(host->process == NULL && host->up);
    struct process *p = qr_zalloc(sizeof *p);
    p->realm = realm;
    p->host = host;
    p->body = body;
    p->argument = argument;
    p->life = ++realm->lives;
    p->random = rng_from(rng_next(&realm->rng));
    p->stack = realm->spare_stack;
    realm->spare_stack = NULL;
    if (p->stack == NULL) {
        p->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        qr_assert(p->stack != MAP_FAILED);
    }
    memory_begin(p);
    int failed = getcontext(&p->context);
    qr_assert(failed == 0);
    p->context.uc_stack.ss_sp = p->stack;
    p->context.uc_stack.ss_size = STACK_BYTES;
    makecontext(&p->context, begin, 0);
    host->process = p;
    p->wakes = realm->now;
    realm_at(realm, p->wakes, on_wake, host, p->life);
    return p;
}

void process_block(struct process *process, qr_time until)
{
    process->until = until;
    process->state = PROCESS_BLOCKED;
    leave_process(process);
}

void process_poke(struct process *process)
{
    struct realm *realm = process->realm;
    if (process->state != PROCESS_BLOCKED) {
        return; /* it runs, and looks before it blocks */
    }
    qr_time at = process->busy_until > realm->now ? process->busy_until : realm->now;
    if (at < process->wakes) {
        process->wakes = at;
        realm_at(realm, at, on_wake, process->host, process->life);
    }
}

qr_time process_time(const struct process *process)
{
    return process->realm->now + (qr_time)(process->spent_ns / 1000);
}

void process_kill(struct process *process)
{
    qr_assert(running == NULL);
    process->state = PROCESS_DIED;
    clear(process, false);
}

uint64_t host_lose_power(struct host *host)
{
    qr_assert(running == NULL);
    host->up = false;
    host->losses += host->realm->keeps_memory ? 0 : 1;
    if (host->process != NULL) {
        host->process->state = PROCESS_DIED;
        clear(host->process, true);
    }
    return host->realm->keeps_memory ? 0 : drive_lose_power(host->drive, &host->realm->rng);
}

void host_power_on(struct host *host)
{
    host->up = true;
    net_look_again(host->realm);
}

void process_pause(struct process *process, bool paused)
{
    process->paused = paused;
    if (!paused && process->missed) {
        process->missed = false;
        process_poke(process);
    }
}

static void on_resume(struct realm *realm, void *what, uint64_t life)
{
    (void)realm;
    const struct host *host = what;
    if (host->process != NULL && host->process->life == life) {
        process_pause(host->process, false);
    }
}

void process_pause_for(struct process *process, qr_time length, uint64_t *felt)
{
    process->felt = felt;
    process_pause(process, true);
    realm_at(process->realm, process_time(process) + length, on_resume, process->host,
             process->life);
    if (process == running) {
        process->missed = true; /* it goes on by itself */
        process_block(process, QR_NEVER);
    }
}

/* --- The realm ------------------------------------------------------------------------------ */

struct realm *realm_new(uint64_t seed, FILE *trace)
{
    struct realm *realm = qr_zalloc(sizeof *realm);
    realm->seed = seed;
    realm->rng = rng_from(seed);
    realm->trace = trace;
    realm->now = QR_SECOND;
    realm->pace = (struct realm_pace){ .latency = 100,
                                       .jitter = 100,
                                       .bytes_per_usec = 1000,
                                       .sync = 500,
                                       .sync_jitter = 500,
                                       .drive_per_usec = 500 };
    return realm;
}

void realm_free(struct realm *realm)
{
    for (uint32_t i = 0; i < realm->hosts; i++) {
        if (realm->host[i].process != NULL) {
            process_kill(realm->host[i].process);
        }
        drive_free(realm->host[i].drive);
    }
    for (struct connection *c = realm->connections; c != NULL;) {
        struct connection *next = c->next;
        chunks_free(&c->pipe[0].under_way);
        chunks_free(&c->pipe[1].under_way);
        free(c);
        c = next;
    }
    if (realm->spare_stack != NULL) {
        munmap(realm->spare_stack, STACK_BYTES);
    }
    free(realm->heap);
    free(realm);
}
