/* The harness of the checkpoint tests: see checkpoint_harness.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "checkpoint_harness.h"

const struct engine_config test_config = { .hash_key = { 4 }, .value_bytes_max = 1024 };

const struct checkpoint_header test_header = {
    .cluster = "cluster........", .uuid = "uuid...........", .slot = 1234, .term = 56
};

/* --- Faults: io's calls, through the linker's --wrap ----------------------------------------- */

/* The n-th of these calls fails. */
static struct {
    enum call call;
    uint32_t n;
    int error;
    uint32_t seen;            /* of that call */
    uint32_t crash_at, calls; /* the process ends just before this call of any kind; 0 = never */
    bool withhold;            /* durable writes complete only when it is false again */
    bool named;               /* since a directory was synced */
} fault;

static bool hit(enum call call)
{
    if (fault.crash_at > 0 && ++fault.calls == fault.crash_at) {
        _exit(WORLD_CRASHED);
    }
    return fault.call == call && ++fault.seen == fault.n;
}

int __real_io_file_open(struct io *io, const char *path, unsigned flags, struct io_file **out);
int __wrap_io_file_open(struct io *io, const char *path, unsigned flags, struct io_file **out);
int64_t __real_io_file_pread(struct io_file *file, void *p, size_t n, uint64_t offset);
int64_t __wrap_io_file_pread(struct io_file *file, void *p, size_t n, uint64_t offset);
int __real_io_rename(struct io *io, const char *from, const char *to);
int __wrap_io_rename(struct io *io, const char *from, const char *to);
int __real_io_exchange(struct io *io, const char *a, const char *b);
int __wrap_io_exchange(struct io *io, const char *a, const char *b);
int __real_io_sync_dir(struct io *io, const char *path);
int __wrap_io_sync_dir(struct io *io, const char *path);
void __real_io_file_write_sync(struct io *io, struct io_write *write);
void __wrap_io_file_write_sync(struct io *io, struct io_write *write);
int __real_io_offload(struct io *io, void (*work)(void *context), void (*done)(void *context),
                      void *context);
int __wrap_io_offload(struct io *io, void (*work)(void *context), void (*done)(void *context),
                      void *context);

int __wrap_io_file_open(struct io *io, const char *path, unsigned flags, struct io_file **out)
{
    return hit(CALL_OPEN) ? fault.error : __real_io_file_open(io, path, flags, out);
}

int64_t __wrap_io_file_pread(struct io_file *file, void *p, size_t n, uint64_t offset)
{
    bool fails = fault.call == CALL_READ && hit(CALL_READ);
    return fails ? fault.error : __real_io_file_pread(file, p, n, offset);
}

int __wrap_io_exchange(struct io *io, const char *a, const char *b)
{
    fault.named = true;
    return hit(CALL_RENAME) ? fault.error : __real_io_exchange(io, a, b);
}

int __wrap_io_rename(struct io *io, const char *from, const char *to)
{
    fault.named = true;
    return hit(CALL_RENAME) ? fault.error : __real_io_rename(io, from, to);
}

int __wrap_io_sync_dir(struct io *io, const char *path)
{
    fault.named = false;
    return hit(CALL_SYNC_DIR) ? fault.error : __real_io_sync_dir(io, path);
}

int __wrap_io_offload(struct io *io, void (*work)(void *context), void (*done)(void *context),
                      void *context)
{
    return hit(CALL_OFFLOAD) ? -EAGAIN : __real_io_offload(io, work, done, context);
}

/* A write that fails after half of its bytes; its completion comes from the loop, as always. */
static struct {
    struct io *io;
    struct io_write *write;
} failing;

static void fail_write(void *context)
{
    (void)context;
    const struct iovec *v = failing.write->v;
    (void)io_file_pwrite(failing.write->file, v->iov_base, v->iov_len / 2, failing.write->offset);
}

static void write_failed(void *context)
{
    (void)context;
    failing.write->done(failing.write, fault.error);
}

static struct io_write *withheld;

void __wrap_io_file_write_sync(struct io *io, struct io_write *write)
{
    if (fault.withhold) {
        withheld = write;
    } else if (hit(CALL_WRITE)) {
        failing.io = io;
        failing.write = write;
        assert_int_equal(__real_io_offload(io, fail_write, write_failed, NULL), 0);
    } else {
        __real_io_file_write_sync(io, write);
    }
}

void fault_set(enum call call, uint32_t n, int error)
{
    fault.call = call;
    fault.n = n;
    fault.error = error;
    fault.seen = 0;
}

void fault_crash(uint32_t n)
{
    fault.crash_at = n;
    fault.calls = 0;
}

bool names_may_be_lost(void)
{
    return fault.named;
}

uint32_t fault_seen(void)
{
    return fault.seen;
}

void fault_withhold(void)
{
    fault.withhold = true;
}

void fault_let_go(struct world *w)
{
    struct io_write *write = withheld;
    fault.withhold = false;
    withheld = NULL;
    if (write != NULL) {
        io_file_write_sync(w->io, write);
    }
}

/* --- World ----------------------------------------------------------------------------------- */

void world_put(struct engine *engine, uint32_t i, size_t n, qr_wall expire)
{
    char key[32];
    uint8_t value[1000];
    assert_true(n <= sizeof value);
    memset(value, (int)i, n);
    size_t key_n = (size_t)snprintf(key, sizeof key, "k%u", i);
    store_put(engine_store(engine), (uint8_t)(i % DATABASES), span_of(key, key_n),
              span_of(value, n), expire);
}

struct world *world_open(uint32_t keys)
{
    struct world *w = qr_zalloc(sizeof *w);
    memset(&fault, 0, sizeof fault);
    withheld = NULL;
    w->io = io_new();
    w->engine = engine_new(&test_config);
    strcpy(w->dir, "/tmp/checkpoint-test-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    for (uint32_t i = 0; i < keys; i++) {
        world_put(w->engine, i, i % 1000, i % 5 == 0 ? 1000000 + i : 0);
    }
    engine_tick(w->engine, 999);
    return w;
}

uint32_t world_group;

void world_path(const struct world *w, const char *name, char path[128])
{
    char full[CHECKPOINT_PATH_MAX];
    checkpoint_path(full, w->dir, world_group, name);
    assert_true(strlen(full) < 128);
    memcpy(path, full, strlen(full) + 1);
}

bool world_has(const struct world *w, const char *name)
{
    char path[128];
    world_path(w, name, path);
    return access(path, F_OK) == 0;
}

/* The spare is written over: it must never be the file that is in force, whatever came between. */
static void check_spare(const struct world *w)
{
    char path[128];
    struct stat spare;
    struct stat in_force;
    world_path(w, CHECKPOINT_SPARE_FILE, path);
    bool has = stat(path, &spare) == 0;
    world_path(w, CHECKPOINT_FILE, path);
    assert_true(!has || stat(path, &in_force) != 0 || spare.st_ino != in_force.st_ino);
}

void world_close(struct world *w)
{
    char path[128];
    check_spare(w);
    world_path(w, CHECKPOINT_FILE, path);
    (void)unlink(path);
    world_path(w, CHECKPOINT_NEW_FILE, path);
    (void)unlink(path);
    world_path(w, CHECKPOINT_SPARE_FILE, path);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/" CHECKPOINT_GROUPS_DIR, w->dir);
    (void)rmdir(path);
    assert_int_equal(rmdir(w->dir), 0);
    io_timer_free(&w->timer);
    engine_free(w->engine);
    io_free(w->io);
    free(w);
}

static void on_done(void *context, enum checkpoint_result result,
                    const struct checkpoint_header *of, const char message[1400])
{
    struct world *w = context;
    assert_false(w->called);
    w->called = true;
    w->result = result;
    w->header = *of;
    (void)snprintf(w->message, sizeof w->message, "%s", message);
    w->checkpoint = NULL;
    io_stop(w->io);
}

static void on_timer(struct io_timer *timer)
{
    (void)timer;
}

static void turn(void *context)
{
    struct world *w = context;
    w->turns++;
    bool more = w->checkpoint != NULL && checkpoint_step(w->checkpoint, 50);
    if (w->between != NULL) {
        w->between(w);
    }
    if (more || w->between != NULL) {
        io_timer_start(w->io, &w->timer, io_now(w->io));
    }
}

static void start_with(struct world *w, const struct checkpoint_header *header)
{
    w->called = false;
    w->timer.fire = on_timer;
    struct checkpoint_header of = *header;
    of.group = world_group;
    w->checkpoint = checkpoint_start(w->io, w->dir, w->engine, &of, on_done, w);
    assert_false(w->called);
}

void world_start(struct world *w)
{
    start_with(w, &test_header);
}

void world_run(struct world *w)
{
    io_timer_start(w->io, &w->timer, io_now(w->io));
    io_run(w->io, turn, w);
}

void world_take_with(struct world *w, const struct checkpoint_header *header)
{
    start_with(w, header);
    world_run(w);
    assert_true(w->called);
}

void world_take(struct world *w)
{
    world_take_with(w, &test_header);
}

enum checkpoint_load_result world_load(struct world *w, struct engine **out, char message[1400])
{
    struct checkpoint_header found = test_header;
    found.group = world_group;
    found.slot = 0;
    found.term = 0;
    *out = engine_new(&test_config);
    enum checkpoint_load_result result =
        checkpoint_load(w->io, w->dir, *out, &found, message, 1400);
    if (result == CHECKPOINT_LOADED) {
        assert_int_equal(found.slot, test_header.slot);
        assert_int_equal(found.term, test_header.term);
    }
    return result;
}

void assert_loads_as(struct world *w, uint64_t digest)
{
    struct engine *engine;
    char message[1400];
    assert_int_equal(world_load(w, &engine, message), CHECKPOINT_LOADED);
    assert_string_equal(message, "");
    assert_true(engine_digest(engine) == digest);
    engine_free(engine);
}

enum checkpoint_load_result world_try(struct world *w, char message[1400])
{
    struct engine *engine;
    enum checkpoint_load_result result = world_load(w, &engine, message);
    engine_free(engine);
    return result;
}
