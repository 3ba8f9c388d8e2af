/* Checkpoint files: written while writes go on, loaded again; every damaged byte refused; a disk
 * that is full or fails at each of its calls (scenarios 56, 102, 103, 106-110). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/rng.h"
#include "node/checkpoint.h"
#include "node/checkpoint_format.h"

static const struct engine_config config = { .hash_key = { 4 }, .value_bytes_max = 1024 };

static const struct checkpoint_header header = {
    .cluster = "cluster........", .uuid = "uuid...........", .group = 3, .slot = 1234, .term = 56
};

/* --- Faults: io's calls, through the linker's --wrap ----------------------------------------- */

enum call { CALL_OPEN, CALL_WRITE, CALL_RENAME, CALL_SYNC_DIR, CALL_OFFLOAD };

/* The n-th of these calls fails (n from 1; 0 = none). */
static struct {
    enum call call;
    uint32_t n;
    int error;
    uint32_t seen; /* of that call */
    bool withhold; /* durable writes complete only when it is false again */
} fault;

static bool hit(enum call call)
{
    return fault.n > 0 && fault.call == call && ++fault.seen == fault.n;
}

int __real_io_file_open(struct io *io, const char *path, unsigned flags, struct io_file **out);
int __wrap_io_file_open(struct io *io, const char *path, unsigned flags, struct io_file **out);
int __real_io_rename(struct io *io, const char *from, const char *to);
int __wrap_io_rename(struct io *io, const char *from, const char *to);
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

int __wrap_io_rename(struct io *io, const char *from, const char *to)
{
    return hit(CALL_RENAME) ? fault.error : __real_io_rename(io, from, to);
}

int __wrap_io_sync_dir(struct io *io, const char *path)
{
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

/* --- World ----------------------------------------------------------------------------------- */

struct world {
    struct io *io;
    struct engine *engine;
    char dir[64];
    struct checkpoint *checkpoint;
    struct io_timer timer;
    uint32_t turns;
    void (*between)(struct world *w); /* called in every turn, after the step */

    bool called;
    enum checkpoint_result result;
    struct checkpoint_header header;
    char message[1400];
};

static void put(struct engine *engine, uint32_t i, size_t n, qr_wall expire)
{
    char key[32];
    uint8_t value[1000];
    assert_true(n <= sizeof value);
    memset(value, (int)i, n);
    size_t key_n = (size_t)snprintf(key, sizeof key, "k%u", i);
    store_put(engine_store(engine), (uint8_t)(i % DATABASES), span_of(key, key_n),
              span_of(value, n), expire);
}

static void *world_open(uint32_t keys)
{
    struct world *w = qr_zalloc(sizeof *w);
    memset(&fault, 0, sizeof fault);
    withheld = NULL;
    w->io = io_new();
    w->engine = engine_new(&config);
    strcpy(w->dir, "/tmp/checkpoint-test-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    for (uint32_t i = 0; i < keys; i++) {
        put(w->engine, i, i % 1000, i % 5 == 0 ? 1000000 + i : 0);
    }
    engine_tick(w->engine, 999);
    return w;
}

static void path_of(const struct world *w, const char *name, char path[128])
{
    (void)snprintf(path, 128, "%s/%s", w->dir, name);
}

static bool exists(const struct world *w, const char *name)
{
    char path[128];
    path_of(w, name, path);
    return access(path, F_OK) == 0;
}

static void world_close(struct world *w)
{
    char path[128];
    path_of(w, CHECKPOINT_FILE, path);
    (void)unlink(path);
    path_of(w, CHECKPOINT_NEW_FILE, path);
    (void)unlink(path);
    assert_int_equal(rmdir(w->dir), 0);
    io_timer_free(&w->timer);
    engine_free(w->engine);
    io_free(w->io);
    free(w);
}

static void on_done(void *context, enum checkpoint_result result,
                    const struct checkpoint_header *of, const char *message)
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

/* Writes a checkpoint to its end; the result is in the world. */
static void take(struct world *w)
{
    w->called = false;
    w->timer.fire = on_timer;
    w->checkpoint = checkpoint_start(w->io, w->dir, w->engine, &header, on_done, w);
    assert_false(w->called);
    io_timer_start(w->io, &w->timer, io_now(w->io));
    io_run(w->io, turn, w);
    assert_true(w->called);
}

static enum checkpoint_load_result load(struct world *w, struct engine **out, char *message)
{
    struct checkpoint_header found = header;
    found.slot = 0;
    found.term = 0;
    *out = engine_new(&config);
    enum checkpoint_load_result result =
        checkpoint_load(w->io, w->dir, *out, &found, message, 1400);
    if (result == CHECKPOINT_LOADED) {
        assert_int_equal(found.slot, header.slot);
        assert_int_equal(found.term, header.term);
    }
    return result;
}

static void assert_loads_as(struct world *w, uint64_t digest)
{
    struct engine *engine;
    char message[1400];
    assert_int_equal(load(w, &engine, message), CHECKPOINT_LOADED);
    assert_string_equal(message, "");
    assert_true(engine_digest(engine) == digest);
    engine_free(engine);
}

static enum checkpoint_load_result load_and_drop(struct world *w, char *message)
{
    struct engine *engine;
    enum checkpoint_load_result result = load(w, &engine, message);
    engine_free(engine);
    return result;
}

/* --- Writing and loading --------------------------------------------------------------------- */

static void test_round_trip(void **state)
{
    (void)state;
    struct world *w = world_open(20000);
    char message[1400];
    assert_int_equal(load_and_drop(w, message), CHECKPOINT_NONE);
    take(w);
    assert_int_equal(w->result, CHECKPOINT_DONE);
    assert_int_equal(w->header.slot, header.slot);
    assert_false(exists(w, CHECKPOINT_NEW_FILE));
    assert_loads_as(w, engine_digest(w->engine));
    take(w); /* over the old one */
    assert_int_equal(w->result, CHECKPOINT_DONE);
    assert_loads_as(w, engine_digest(w->engine));
    world_close(w);
}

static void write_on(struct world *w)
{
    put(w->engine, w->turns * 7, 500, 0);
    engine_tick(w->engine, 1000000 + w->turns * 10);
    if (w->turns % 16 == 0) {
        store_swap(engine_store(w->engine), 3, 4);
    }
    if (w->turns == 20) {
        store_clear(engine_store(w->engine), 15);
    }
}

static void test_writes_go_on_meanwhile(void **state)
{
    (void)state;
    struct world *w = world_open(50000);
    uint64_t digest = engine_digest(w->engine);
    w->between = write_on;
    take(w);
    assert_int_equal(w->result, CHECKPOINT_DONE);
    assert_true(w->turns > 20);
    assert_true(engine_digest(w->engine) != digest);
    assert_loads_as(w, digest);
    world_close(w);
}

static void test_a_left_over_is_deleted(void **state)
{
    (void)state;
    struct world *w = world_open(10);
    char path[128], message[1400];
    path_of(w, CHECKPOINT_NEW_FILE, path);
    for (int i = 0; i < 2; i++) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        (void)fputs("half a checkpoint", f);
        (void)fclose(f);
        if (i == 0) {
            take(w);
            assert_int_equal(w->result, CHECKPOINT_DONE);
        } else {
            assert_int_equal(load_and_drop(w, message), CHECKPOINT_LOADED);
        }
        assert_false(exists(w, CHECKPOINT_NEW_FILE));
    }
    assert_loads_as(w, engine_digest(w->engine));
    world_close(w);
}

static void test_another_cluster_directory_or_group_is_refused(void **state)
{
    (void)state;
    struct world *w = world_open(10);
    char message[1400];
    take(w);
    for (int i = 0; i < 4; i++) {
        struct checkpoint_header expected = header;
        if (i == 0) {
            expected.cluster[3] ^= 1;
        } else if (i == 1) {
            expected.uuid[15] ^= 1;
        } else if (i == 2) {
            expected.group++;
        }
        struct engine *engine = engine_new(&config);
        enum checkpoint_load_result result =
            checkpoint_load(w->io, w->dir, engine, &expected, message, sizeof message);
        assert_int_equal(result, i < 3 ? CHECKPOINT_FOREIGN : CHECKPOINT_LOADED);
        assert_int_equal(strstr(message, "another cluster") != NULL, i < 3);
        engine_free(engine);
    }
    world_close(w);
}

/* --- Damage ---------------------------------------------------------------------------------- */

static uint8_t *read_file(struct world *w, size_t *n)
{
    struct io_file *file;
    char path[128];
    path_of(w, CHECKPOINT_FILE, path);
    assert_int_equal(io_file_open(w->io, path, 0, &file), 0);
    *n = (size_t)io_file_size(file);
    uint8_t *bytes = qr_alloc(*n);
    assert_int_equal(io_file_pread(file, bytes, *n, 0), *n);
    io_file_close(file);
    return bytes;
}

static void write_file(struct world *w, const uint8_t *bytes, size_t n)
{
    char path[128];
    path_of(w, CHECKPOINT_FILE, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    assert_int_equal(close(fd), 0);
}

/* Not one byte may differ; nor may the file end early or go on (scenarios 47, 108). */
static void test_every_damaged_byte_is_refused(void **state)
{
    (void)state;
    struct world *w = world_open(4);
    char message[1400];
    take(w);
    size_t n;
    uint8_t *bytes = read_file(w, &n);
    assert_in_range(n, 150, 1000);
    for (size_t i = 0; i < n; i++) {
        uint8_t flips[] = { 1, 0x80, 0xff, bytes[i] };
        for (size_t k = 0; k < ARRAY_COUNT(flips); k++) {
            if (flips[k] == 0) {
                continue;
            }
            bytes[i] ^= flips[k];
            write_file(w, bytes, n);
            assert_int_equal(load_and_drop(w, message), CHECKPOINT_DAMAGED);
            assert_non_null(strstr(message, "is damaged at byte"));
            bytes[i] ^= flips[k];
        }
    }
    for (size_t cut = 0; cut < n; cut++) {
        write_file(w, bytes, cut);
        assert_int_equal(load_and_drop(w, message), CHECKPOINT_DAMAGED);
    }
    uint8_t *longer = qr_zalloc(n + 1);
    memcpy(longer, bytes, n);
    write_file(w, longer, n + 1);
    assert_int_equal(load_and_drop(w, message), CHECKPOINT_DAMAGED);
    write_file(w, bytes, n);
    assert_int_equal(load_and_drop(w, message), CHECKPOINT_LOADED);
    free(longer);
    free(bytes);
    world_close(w);
}

/* Blocks of another checkpoint of the very same state, at the same place: a stale sector or a
 * reused inode (scenario 110). */
static void test_blocks_of_another_checkpoint_are_refused(void **state)
{
    (void)state;
    struct world *w = world_open(2000);
    char message[1400];
    size_t n, m;
    take(w);
    uint8_t *one = read_file(w, &n);
    take(w);
    uint8_t *two = read_file(w, &m);
    assert_int_equal(n, m);
    memcpy(two + CHECKPOINT_HEADER_BYTES, one + CHECKPOINT_HEADER_BYTES,
           n - CHECKPOINT_HEADER_BYTES);
    write_file(w, two, n);
    assert_int_equal(load_and_drop(w, message), CHECKPOINT_DAMAGED);
    write_file(w, one, n);
    assert_int_equal(load_and_drop(w, message), CHECKPOINT_LOADED);
    free(one);
    free(two);
    world_close(w);
}

static void test_a_newer_version_is_foreign_not_damaged(void **state)
{
    (void)state;
    struct world *w = world_open(2);
    char message[1400];
    size_t n;
    take(w);
    uint8_t *bytes = read_file(w, &n);
    for (size_t at = 8; at <= 10; at += 2) {
        bytes[at]++;
        uint32_t crc = crc32c_extend(0, bytes, CHECKPOINT_HEADER_BYTES - 4);
        struct wire_writer writer = wire_writer(bytes + CHECKPOINT_HEADER_BYTES - 4, 4);
        wire_put_u32(&writer, crc);
        write_file(w, bytes, n);
        assert_int_equal(load_and_drop(w, message), CHECKPOINT_FOREIGN);
        bytes[at]--;
    }
    free(bytes);
    world_close(w);
}

static void test_a_disk_that_cannot_be_read(void **state)
{
    (void)state;
    struct world *w = world_open(2);
    char message[1400];
    take(w);
    fault.call = CALL_OPEN;
    fault.n = 1;
    fault.error = -EIO;
    assert_int_equal(load_and_drop(w, message), CHECKPOINT_UNREADABLE);
    assert_non_null(strstr(message, "Input/output error"));
    fault.call = CALL_SYNC_DIR; /* the rename may not be durable: not a base to trim from */
    fault.seen = 0;
    assert_int_equal(load_and_drop(w, message), CHECKPOINT_UNREADABLE);
    assert_int_equal(load_and_drop(w, message), CHECKPOINT_LOADED);
    world_close(w);
}

/* --- Faults while writing -------------------------------------------------------------------- */

/* Fails each call of a kind in turn until none fails. The old checkpoint must stay, nothing may be
 * left behind, and the next one succeeds. Returns how many were failed. */
static uint32_t sweep(enum call call, int error, enum checkpoint_result expected)
{
    struct world *w = world_open(0);
    take(w);
    uint64_t old = engine_digest(w->engine);
    uint32_t failed = 0;
    for (uint32_t n = 1;; n++) {
        for (uint32_t i = 0; i < 30000; i++) {
            put(w->engine, i, 300, (qr_wall)(n + 1) * 1000);
        }
        fault.call = call;
        fault.n = n;
        fault.error = error;
        fault.seen = 0;
        take(w);
        bool reached = fault.seen >= n;
        fault.n = 0;
        if (!reached) {
            assert_int_equal(w->result, CHECKPOINT_DONE);
            break;
        }
        failed++;
        assert_int_equal(w->result, expected);
        assert_false(exists(w, CHECKPOINT_NEW_FILE));
        if (call != CALL_SYNC_DIR) {
            assert_non_null(strstr(w->message, strerror(-error)));
            assert_loads_as(w, old);
        }
    }
    assert_loads_as(w, engine_digest(w->engine));
    world_close(w);
    return failed;
}

static void test_a_full_disk_is_survived(void **state)
{
    (void)state;
    assert_int_equal(sweep(CALL_OPEN, -ENOSPC, CHECKPOINT_ABANDONED), 1);
    assert_in_range(sweep(CALL_WRITE, -ENOSPC, CHECKPOINT_ABANDONED), 3, 20);
    assert_int_equal(sweep(CALL_RENAME, -ENOSPC, CHECKPOINT_ABANDONED), 1);
    assert_in_range(sweep(CALL_WRITE, -EDQUOT, CHECKPOINT_ABANDONED), 3, 20);
}

static void test_a_failing_disk_is_told(void **state)
{
    (void)state;
    assert_int_equal(sweep(CALL_OPEN, -EIO, CHECKPOINT_FAILED), 1);
    assert_in_range(sweep(CALL_WRITE, -EIO, CHECKPOINT_FAILED), 3, 20);
    assert_int_equal(sweep(CALL_RENAME, -EIO, CHECKPOINT_FAILED), 1);
    assert_int_equal(sweep(CALL_SYNC_DIR, -EIO, CHECKPOINT_FAILED), 1);
    assert_int_equal(sweep(CALL_SYNC_DIR, -ENOSPC, CHECKPOINT_FAILED), 1);
}

static void test_without_a_helper_thread(void **state)
{
    (void)state;
    struct world *w = world_open(100);
    fault.call = CALL_OFFLOAD;
    fault.n = 1;
    take(w);
    assert_int_equal(fault.seen, 1);
    assert_int_equal(w->result, CHECKPOINT_DONE);
    assert_loads_as(w, engine_digest(w->engine));
    world_close(w);
}

/* Every key is overwritten while the disk stands still: the walk's backlog is bounded. */
static void overwrite(struct world *w)
{
    static uint8_t value[512 * 1024];
    if (w->turns > 600) {
        if (withheld != NULL) {
            fault.withhold = false;
            struct io_write *write = withheld;
            withheld = NULL;
            io_file_write_sync(w->io, write);
        }
        return;
    }
    uint32_t i = w->turns;
    store_put(engine_store(w->engine), 0, span_of(&i, sizeof i), span_of(value, 1), 0);
}

static void test_a_backlog_is_bounded(void **state)
{
    (void)state;
    struct world *w = world_open(0);
    uint8_t *value = qr_zalloc(512 * 1024);
    for (uint32_t i = 0; i < 700; i++) {
        store_put(engine_store(w->engine), 0, span_of(&i, sizeof i), span_of(value, 512 * 1024), 0);
    }
    free(value);
    fault.withhold = true;
    w->between = overwrite;
    take(w);
    assert_int_equal(w->result, CHECKPOINT_ABANDONED);
    assert_non_null(strstr(w->message, "slow disk"));
    assert_false(exists(w, CHECKPOINT_NEW_FILE));
    w->between = NULL;
    take(w);
    assert_int_equal(w->result, CHECKPOINT_DONE);
    assert_loads_as(w, engine_digest(w->engine));
    world_close(w);
}

/* --- Giving up ------------------------------------------------------------------------------- */

static void abort_in_turn(struct world *w)
{
    if (w->checkpoint != NULL && w->turns >= 3) {
        checkpoint_abort(w->checkpoint);
        w->checkpoint = NULL;
    } else if (w->turns > 3 && !exists(w, CHECKPOINT_NEW_FILE)) {
        io_stop(w->io);
    }
}

static void test_abort_leaves_nothing(void **state)
{
    (void)state;
    struct world *w = world_open(50000);
    w->timer.fire = on_timer;
    w->between = abort_in_turn;
    w->checkpoint = checkpoint_start(w->io, w->dir, w->engine, &header, on_done, w);
    io_timer_start(w->io, &w->timer, io_now(w->io));
    io_run(w->io, turn, w);
    assert_false(w->called);
    assert_false(exists(w, CHECKPOINT_NEW_FILE));
    assert_false(exists(w, CHECKPOINT_FILE));
    w->between = NULL;
    take(w); /* the engine can begin again at once */
    assert_int_equal(w->result, CHECKPOINT_DONE);
    assert_loads_as(w, engine_digest(w->engine));
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_writes_go_on_meanwhile),
        cmocka_unit_test(test_a_left_over_is_deleted),
        cmocka_unit_test(test_another_cluster_directory_or_group_is_refused),
        cmocka_unit_test(test_every_damaged_byte_is_refused),
        cmocka_unit_test(test_blocks_of_another_checkpoint_are_refused),
        cmocka_unit_test(test_a_newer_version_is_foreign_not_damaged),
        cmocka_unit_test(test_a_disk_that_cannot_be_read),
        cmocka_unit_test(test_a_full_disk_is_survived),
        cmocka_unit_test(test_a_failing_disk_is_told),
        cmocka_unit_test(test_without_a_helper_thread),
        cmocka_unit_test(test_a_backlog_is_bounded),
        cmocka_unit_test(test_abort_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
