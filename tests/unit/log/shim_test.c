/* The log on a real disk, in a process of its own under the fault shim: for every n, the n-th write
 * or sync fails, or the process is killed in front of it (R5, R7; scenarios 57, 102).
 *
 * The child appends one entry at a time and tells on its standard output when each is durable. The
 * shim counts, so the child can say how many syncs had been made by then. */
#include "base/limits.h"
#include "log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define ENTRIES 14u
#define SEGMENT (8 * LOG_BLOCK_BYTES)

/* --- The child -----------------------------------------------------------------------------------
 */

struct child {
    struct io *io;
    struct log *log;
    struct log_config config;
    qr_slot appended;
    uint64_t position; /* behind the last entry */
    uint64_t syncs;    /* counted when that entry was appended */
    int failure;
};

static uint64_t syncs_counted(void)
{
    char line[64] = { 0 };
    int fd = open(getenv("FAULT_COUNTS"), O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : pread(fd, line, sizeof(line) - 1, 0);
    if (fd >= 0) {
        close(fd);
    }
    return n < 32 ? 0 : strtoull(line + 22, NULL, 10);
}

static void tell(const char *what, uint64_t a, uint64_t b)
{
    char line[80];
    int n = snprintf(line, sizeof(line), "%s %lu %lu\n", what, a, b);
    if (write(STDOUT_FILENO, line, (size_t)n) != n) {
        exit(9);
    }
}

static void child_durable(void *context, uint64_t position)
{
    struct child *c = context;
    if (position < c->position) {
        return;
    }
    tell("durable", c->appended, syncs_counted() - c->syncs);
    if (c->appended == ENTRIES) {
        io_stop(c->io);
    }
    c->position = UINT64_MAX; /* the turn appends the next one */
}

static void child_failed(void *context, int error, const char *what)
{
    struct child *c = context;
    (void)what;
    c->failure = error;
    tell("failed", (uint64_t)-error, 0);
    io_stop(c->io);
}

static void child_turn(void *context)
{
    struct child *c = context;
    if (c->position != UINT64_MAX || c->appended == ENTRIES || c->failure != 0) {
        return;
    }
    uint8_t p[RECORD_HEADER_BYTES + 100];
    memset(p, 'x', sizeof(p));
    c->appended++;
    record_seal(p, 1, RECORD_COMMAND, c->appended, 1, 100);
    c->syncs = syncs_counted();
    log_append(c->log, span_of(p, sizeof(p)), 1);
    c->position = log_position(c->log);
    log_flush(c->log);
}

static void child_tick(struct io_timer *timer)
{
    struct child *c = timer->context;
    io_timer_start(c->io, timer, io_now(c->io) + QR_MILLISECOND);
}

/* Lives until ENTRIES entries are durable (mode "live"), or only looks (mode "look"). */
static int child_main(const char *mode, const char *dir, bool inline_sync)
{
    struct child c = { .io = io_new(), .position = UINT64_MAX };
    c.config = (struct log_config){
        .dir = dir,
        .segment_bytes = SEGMENT,
        .reserve_bytes = 2 * SEGMENT,
        .sync = inline_sync ? LOG_SYNC_INLINE : LOG_SYNC_THREAD,
        .on_durable = child_durable,
        .on_failure = child_failed,
        .context = &c,
    };
    char message[512];
    enum log_open_result result = log_open(c.io, &c.config, &c.log, message, sizeof(message));
    if (result != LOG_OPEN_OK) {
        tell("refused", result, 0);
        io_free(c.io);
        return 0;
    }
    struct log_group g = { 0 };
    (void)log_group_state(c.log, 1, &g);
    tell("found", g.last_slot, g.damaged);
    c.appended = g.last_slot;
    struct io_timer timer = { .fire = child_tick, .context = &c };
    if (strcmp(mode, "live") == 0 && c.appended < ENTRIES) {
        child_tick(&timer);
        io_run(c.io, child_turn, &c);
        io_timer_free(&timer);
    }
    log_close(c.log);
    io_free(c.io);
    return 0;
}

/* --- The parent ----------------------------------------------------------------------------------
 */

struct life {
    qr_slot found, durable;
    bool refused, failed, damaged, killed;
    uint64_t fewest_syncs; /* made between an append and its report */
};

static const char *self;

static void run_child(const char *mode, const char *root, const char *kind, uint64_t at,
                      const char *sync_mode, struct life *life)
{
    int out[2];
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char dir[300];
        char counts[300];
        char number[32];
        snprintf(dir, sizeof(dir), "%s/log", root);
        snprintf(counts, sizeof(counts), "%s/counts", root);
        snprintf(number, sizeof(number), "%lu", at);
        setenv("FAULT_DIR", dir, 1);
        setenv("FAULT_COUNTS", counts, 1);
        setenv("FAULT_KIND", kind, 1);
        setenv("FAULT_AT", number, 1);
        setenv("LD_PRELOAD", getenv("FAULT_SHIM"), 1);
        setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
        dup2(out[1], STDOUT_FILENO);
        close(out[0]);
        close(out[1]);
        execl(self, self, mode, dir, sync_mode, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    FILE *lines = fdopen(out[0], "r");
    char line[100];
    *life = (struct life){ .fewest_syncs = UINT64_MAX };
    while (fgets(line, sizeof(line), lines) != NULL) {
        char what[20];
        uint64_t a;
        uint64_t b;
        assert_int_equal(sscanf(line, "%19s %lu %lu", what, &a, &b), 3);
        assert_false(life->failed); /* nothing is reported after a failure */
        if (strcmp(what, "durable") == 0) {
            life->durable = a;
            life->fewest_syncs = b < life->fewest_syncs ? b : life->fewest_syncs;
        } else if (strcmp(what, "found") == 0) {
            life->found = a;
            life->damaged = b != 0;
        }
        life->failed |= strcmp(what, "failed") == 0;
        life->refused |= strcmp(what, "refused") == 0;
    }
    fclose(lines);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    life->killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    assert_true(life->killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

static void remove_root(const char *root)
{
    char command[400];
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    assert_int_equal(system(command), 0);
}

/* One life under a fault at operation n, and a look at what it left. False when n was too high to
 * matter. */
static bool one_life(const char *kind, uint64_t n, const char *sync_mode)
{
    /* In memory where that is possible: the order of calls is the point, not the medium. */
    char root[] = "/dev/shm/quorate-log-XXXXXX";
    if (mkdtemp(root) == NULL) {
        strcpy(root, "/tmp/quorate-log-XXXXXX");
        assert_non_null(mkdtemp(root));
    }
    struct life life;
    struct life after;
    run_child("live", root, kind, n, sync_mode, &life);
    if (life.durable > 0) {
        assert_true(life.fewest_syncs >= 1); /* R5: no report before its own sync */
    }
    bool hit = life.failed || life.refused || life.killed;
    assert_true(hit || life.durable == ENTRIES);
    run_child("look", root, "EIO", 0, sync_mode, &after);
    assert_false(after.refused || after.damaged);
    assert_true(after.found >= life.durable);
    run_child("live", root, "EIO", 0, sync_mode, &after); /* and it goes on */
    assert_true(after.found == ENTRIES || after.durable == ENTRIES);
    remove_root(root);
    return hit;
}

static void every_operation(const char *kind, const char *sync_mode)
{
    /* A write and a sync of each batch are among them. A helper thread that the machine has kept
     * waiting may meet its fault when the log is closed already, and nobody is told. */
    uint64_t hits = 0;
    bool hit = true;
    for (uint64_t n = 1; hit || n <= 2 * ENTRIES; n++) {
        hit = one_life(kind, n, sync_mode);
        hits += hit ? 1 : 0;
    }
    assert_true(hits > ENTRIES);
}

static void nothing_is_reported_when_an_operation_fails(void **state)
{
    (void)state;
    every_operation("EIO", "thread");
}

static void nor_with_inline_syncs(void **state)
{
    (void)state;
    every_operation("EIO", "inline");
}

static void a_kill_in_front_of_any_operation_loses_nothing(void **state)
{
    (void)state;
    every_operation("KILL", "thread");
}

int main(int argc, char **argv)
{
    if (argc == 4) {
        return child_main(argv[1], argv[2], strcmp(argv[3], "inline") == 0);
    }
    if (getenv("FAULT_SHIM") == NULL) {
        fprintf(stderr, "FAULT_SHIM must name the shim; the build's test runner sets it\n");
        return 1;
    }
    self = argv[0];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_reported_when_an_operation_fails),
        cmocka_unit_test(nor_with_inline_syncs),
        cmocka_unit_test(a_kill_in_front_of_any_operation_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
