/* A whole node as a process of the realm: what src/main/server.c is to a real one. */
#include "sim/nodes/seat.h"

#include "node/config.h"
#include "node/facts.h"
#include "node/logline.h"
#include "node/node.h"
#include "node/run.h"
#include "node/workbench.h"
#include "protocol/protocol.h"
#include "sim/nodes/drive.h"

#include <signal.h>

#define SEAT_DIR DRIVE_TOP "/node"

/* --- What a node writes, and what ends it ----------------------------------------------------- */

_Noreturn void __real_qr_panic(const char *file, int line, const char *condition);
_Noreturn void __wrap_qr_panic(const char *file, int line, const char *condition);
void __wrap_logger_line(struct logger *logger, enum logger_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void __wrap_logger_line_v(struct logger *logger, enum logger_level level, const char *format,
                          va_list arguments) __attribute__((format(printf, 3, 0)));

/* A bug of a node is a failure of the seed. */
void __wrap_qr_panic(const char *file, int line, const char *condition)
{
    struct process *p = process_running();
    if (p == NULL) {
        __real_qr_panic(file, line, condition);
    }
    realm_fail(p->realm, p->host, "panic: %s:%d: %s", file, line, condition);
    process_die(p);
}

void __wrap_logger_line_v(struct logger *logger, enum logger_level level, const char *format,
                          va_list arguments)
{
    char text[512];
    struct process *p = process_running();
    if (level >= logger->level && p != NULL) {
        (void)vsnprintf(text, sizeof text, format, arguments);
        realm_note(p->realm, p->host, "%c %s", ".-*#"[level], text);
        struct seat *seat = p->argument;
        loss_heard(&seat->run->backup.losses, text, process_time(p));
    }
}

void __wrap_logger_line(struct logger *logger, enum logger_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    __wrap_logger_line_v(logger, level, format, arguments);
    va_end(arguments);
}

/* --- What a node tells of the machine that it runs on --------------------------------------- */

void __real_facts_memory(const struct node *node, struct memory_facts *out);
void __wrap_facts_memory(const struct node *node, struct memory_facts *out);
void __wrap_facts_cpu(struct cpu_facts *out);
void __wrap_facts_os(char *p, size_t cap);
void __wrap_facts_executable(char *p, size_t cap);
pid_t __wrap_getpid(void);

/* Of the real one nothing may be seen: a seed is the same run everywhere. */
void __wrap_facts_memory(const struct node *node, struct memory_facts *out)
{
    __real_facts_memory(node, out);
    out->resident = out->used;
    out->system = (uint64_t)1 << 32;
}

void __wrap_facts_cpu(struct cpu_facts *out)
{
    *out = (struct cpu_facts){ .user_s = 1 };
}

void __wrap_facts_os(char *p, size_t cap)
{
    (void)snprintf(p, cap, "a realm");
}

void __wrap_facts_executable(char *p, size_t cap)
{
    (void)snprintf(p, cap, DRIVE_TOP "/quorate");
}

pid_t __wrap_getpid(void)
{
    const struct process *p = process_running();
    return p != NULL ? (pid_t)p->life : 1;
}

/* --- Limits that no setting can reach --------------------------------------------------------- */

void __real_workbench_fit(struct workbench *bench, const struct protocol *protocol,
                          struct protocol_limits *limits);
void __wrap_workbench_fit(struct workbench *bench, const struct protocol *protocol,
                          struct protocol_limits *limits);

/* Comes by here before the protocol sees them (replica_new.c). */
void __wrap_workbench_fit(struct workbench *bench, const struct protocol *protocol,
                          struct protocol_limits *limits)
{
    const struct seat *seat = process_running()->argument;
    const struct run *run = seat->run;
    __real_workbench_fit(bench, protocol, limits);
    limits->append_entries = run->append_entries > 0 ? run->append_entries : limits->append_entries;
    limits->appends_in_flight = run->in_flight > 0 ? run->in_flight : limits->appends_in_flight;
    limits->uncommitted_max =
        run->uncommitted_max > 0 ? run->uncommitted_max : limits->uncommitted_max;
}

/* --- The process ---------------------------------------------------------------------------- */

static size_t print_members(const struct run *run, char *text, size_t cap)
{
    size_t n = (size_t)snprintf(text, cap, "cluster-id 0123456789abcdef0123456789abcdef\n");
    for (uint32_t i = 0; i < run->founders; i++) {
        n += (size_t)snprintf(text + n, cap - n, "member %u %s %u\n", run->seat[i].id,
                              run->seat[i].host->address, SEAT_PORT);
    }
    return n;
}

static size_t print_join(const struct seat *seat, char *text, size_t cap)
{
    const struct run *run = seat->run;
    size_t n = (size_t)snprintf(text, cap, "join ");
    for (uint32_t i = 0; i < run->seats; i++) {
        if (&run->seat[i] != seat) {
            n += (size_t)snprintf(text + n, cap - n, "%s%s:%u", n > 5 ? "," : "",
                                  run->seat[i].host->address, SEAT_PORT);
        }
    }
    return n + (size_t)snprintf(text + n, cap - n, "\n");
}

static bool configure(const struct seat *seat, struct config *config, char *message, size_t cap)
{
    char text[2048];
    const struct run *run = seat->run;
    size_t n = (size_t)snprintf(
        text, sizeof text,
        "bind %s\nport %u\nprotected-mode no\ndir %s\nnode-id %u\nloglevel debug\n"
        "cluster-secret simulated\n"
        "log-reserve-bytes 1mb\nlog-max-bytes 64mb\n"
        "cluster-port %u\nsentinel-port %u\nmetrics-port %u\n"
        "metrics-bind %s\n",
        seat->host->address, SEAT_PORT, SEAT_DIR, seat->id, SEAT_CLUSTER_PORT, SEAT_SENTINEL_PORT,
        SEAT_METRICS_PORT, seat->host->address);
    n += (size_t)snprintf(text + n, sizeof text - n, "%s", run->limits);
    n += seat->joins ? print_join(seat, text + n, sizeof text - n)
                     : print_members(run, text + n, sizeof text - n);
    qr_assert(n < sizeof text);
    config_defaults(config);
    config->bootstrap =
        !seat->joins && drive_find(seat->host->drive, SEAT_DIR "/identity") == NULL;
    bool good = config_parse_text(config, span_of(text, n), "the seat", message, cap) &&
                config_check(config, message, cap);
    config->log_segment_bytes = run->segment_bytes;
    return good;
}

/* A node may end where its drive has failed, and nowhere else. Where it says that its directory has
 * to go, somebody sees to that. */
static void has_ended(struct seat *seat, const char *why)
{
    struct realm *realm = seat->run->realm;
    const struct drive *drive = seat->host->drive;
    if (drive->errors > seat->errors || drive->refusals > seat->refusals || drive->harms > 0) {
        realm_note(realm, seat->host, "%s", why);
        seat_died(seat);
    } else {
        realm_fail(realm, seat->host, "%s", why);
    }
    if (drive->harms > 0 && strstr(why, "wipe ") != NULL) {
        (void)seat_wipe(seat);
    }
}

/* Whoever asks to be taken in may hear that an operator has taken it out meanwhile. */
static bool was_taken_out(const struct seat *seat, const char *message)
{
    return seat->joins && seat->run->members && strstr(message, "(MEMBER REMOVE)") != NULL;
}

static void on_stop_signal(void *context, int signal_number)
{
    (void)signal_number;
    node_stop(context);
}

static void live(struct process *process)
{
    struct seat *seat = process->argument;
    char message[1024];
    struct config *config = qr_alloc(sizeof *config);
    process->exit_code = 1;
    if (!configure(seat, config, message, sizeof message)) {
        realm_fail(process->realm, process->host, "%s", message);
        free(config);
        return;
    }
    struct node *node = node_new(config, message, sizeof message);
    free(config);
    if (node == NULL && was_taken_out(seat, message)) {
        realm_note(process->realm, process->host, "%s", message);
        (void)seat_wipe(seat);
        seat_later(seat);
        return;
    }
    if (node == NULL) {
        has_ended(seat, message);
        return;
    }
    seat->node = node;
    (void)io_on_signal(node->io, SIGTERM, on_stop_signal, node);
    process->exit_code = node_run(node);
    seat->node = NULL;
    node_free(node);
    if (process->exit_code == 0 && seat->told_to_end) {
        realm_note(process->realm, process->host, "was told to end");
        seat_later(seat);
        return;
    }
    has_ended(seat, "ended by itself");
}

static void drop_copy(struct seat *seat)
{
    if (seat->copy != NULL) {
        drive_free(seat->copy);
        seat->copy = NULL;
    }
}

uint64_t seat_wipe(struct seat *seat)
{
    struct process *before = memory_for(NULL);
    struct drive *drive = seat->host->drive;
    realm_note(seat->run->realm, seat->host, "is wiped");
    drop_copy(seat);
    uint64_t lost = drive_wipe(drive);
    drive->harms = 0;
    drive->fragile = false;
    seat->mends = seat->joins = true;
    (void)memory_for(before);
    return lost;
}

void seat_copy(struct seat *seat)
{
    struct drive *drive = seat->host->drive;
    drop_copy(seat);
    seat->copy = drive_new();
    drive_restore(seat->copy, drive);
    if (drive_find(seat->copy, SEAT_DIR "/identity") == NULL) {
        drop_copy(seat);
    }
}

/* As docs/repair.md tells. */
uint64_t seat_restore(struct seat *seat)
{
    uint64_t older = drive_differs(seat->host->drive, seat->copy);
    drive_restore(seat->host->drive, seat->copy);
    drive_put_file(seat->host->drive, SEAT_DIR "/forgetful", "an older copy was put back\n");
    seat->mends = true;
    seat->host->drive->fragile = false;
    drop_copy(seat);
    return older;
}

void seat_look(struct seat *seat)
{
    struct host *host = seat->host;
    if (host->process != NULL && seat->node != NULL && seat->node->removed) {
        process_kill(host->process);
        (void)seat_wipe(seat);
        seat_later(seat);
    }
}

void seat_start(struct seat *seat)
{
    seat->run->starts++;
    realm_note(seat->run->realm, seat->host, "starts");
    seat->node = NULL;
    seat->told_to_end = false;
    seat->errors = seat->host->drive->errors;
    seat->refusals = seat->host->drive->refusals;
    seat->host->on_death = seat_died;
    seat->host->owner = seat;
    process_start(seat->host, live, seat);
}
