/* The file half of io on a real file system. */
#include "base/limits.h"
#include "io/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct place {
    struct io *io;
    char dir[64];
    char a[96], b[96]; /* two paths in it */
};

static int enter(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    place->io = io_new();
    strcpy(place->dir, "/tmp/quorate-file-XXXXXX");
    if (mkdtemp(place->dir) == NULL) {
        return -1;
    }
    snprintf(place->a, sizeof(place->a), "%s/a", place->dir);
    snprintf(place->b, sizeof(place->b), "%s/b", place->dir);
    *state = place;
    return 0;
}

static int leave(void **state)
{
    struct place *place = *state;
    (void)io_unlink(place->io, place->a);
    (void)io_unlink(place->io, place->b);
    io_free(place->io);
    int error = rmdir(place->dir);
    free(place);
    return error;
}

static void transfers_are_whole(void **state)
{
    struct place *place = *state;
    struct io_file *file;
    char p[10] = { 0 };
    assert_int_equal(io_file_open(place->io, place->a, IO_WRITE, &file), -ENOENT);
    assert_int_equal(io_file_open(place->io, place->a, IO_CREATE, &file), 0);
    assert_int_equal(io_file_pwrite(file, "hello", 5, 3), 5);
    assert_int_equal(io_file_size(file), 8);
    assert_int_equal(io_file_pread(file, p, 10, 0), 8); /* fewer only at the end of the file */
    assert_memory_equal(p, "\0\0\0hello", 8);
    assert_int_equal(io_file_pread(file, p, 10, 8), 0);
    assert_int_equal(io_file_truncate(file, 4), 0);
    assert_int_equal(io_file_size(file), 4);
    assert_int_equal(io_file_sync(file), 0);
    io_file_close(file);
    assert_int_equal(io_file_open(place->io, place->a, IO_CREATE, &file), -EEXIST);
    assert_int_equal(io_file_open(place->io, place->a, 0, &file), 0);
    assert_int_equal(io_file_pwrite(file, "x", 1, 0), -EBADF); /* opened for reading */
    io_file_close(file);
}

/* Whether the process has a descriptor of that file that writes past the page cache. */
static bool has_direct(const char *path)
{
    for (int fd = 3; fd < 64; fd++) {
        char link[64];
        char target[PATH_MAX] = { 0 };
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        if (readlink(link, target, sizeof(target) - 1) > 0 && strcmp(target, path) == 0 &&
            (fcntl(fd, F_GETFL) & O_DIRECT) != 0) {
            return true;
        }
    }
    return false;
}

/* What is written past the cache is read through it, in any size; a write that the file system
 * refuses because of its place goes through the cache, and so do those that follow. */
static void direct_writes_fall_back(void **state)
{
    struct place *place = *state;
    struct io_file *file;
    _Alignas(IO_BLOCK_BYTES) static uint8_t block[2 * IO_BLOCK_BYTES];
    memset(block, 'd', sizeof(block));
    assert_int_equal(io_file_open(place->io, place->a, IO_CREATE | IO_WRITE | IO_DIRECT, &file), 0);
    bool direct = has_direct(place->a); /* not on every file system */
    assert_int_equal(io_file_pwrite(file, block, sizeof(block), 0), sizeof(block));
    uint8_t p[5] = { 0 };
    assert_int_equal(io_file_pread(file, p, 3, 4095), 3);
    assert_memory_equal(p, "ddd", 3);
    assert_int_equal(has_direct(place->a), direct);
    assert_int_equal(io_file_pwrite(file, "odd", 3, 4097), 3);
    assert_false(has_direct(place->a));
    assert_int_equal(io_file_pread(file, p, 5, 4096), 5);
    assert_memory_equal(p, "doddd", 5);
    assert_int_equal(io_file_sync(file), 0);
    io_file_close(file);
}

/* Opened for reading: what is aligned goes past the cache, all else through it, and nobody sees a
 * difference. */
static void direct_reads_are_of_any_size(void **state)
{
    struct place *place = *state;
    struct io_file *file;
    _Alignas(IO_BLOCK_BYTES) static uint8_t block[3 * IO_BLOCK_BYTES];
    memset(block, 'r', sizeof(block));
    assert_int_equal(io_file_open(place->io, place->a, IO_CREATE, &file), 0);
    assert_int_equal(io_file_pwrite(file, block, 2 * IO_BLOCK_BYTES + 5, 0),
                     2 * IO_BLOCK_BYTES + 5);
    assert_int_equal(io_file_sync(file), 0);
    io_file_close(file);
    assert_int_equal(io_file_open(place->io, place->a, IO_DIRECT, &file), 0);
    bool direct = has_direct(place->a); /* not on every file system */
    memset(block, 0, sizeof(block));
    assert_int_equal(io_file_pread(file, block, sizeof(block), 0), 2 * IO_BLOCK_BYTES + 5);
    assert_int_equal(block[2 * IO_BLOCK_BYTES + 4], 'r');
    assert_int_equal(io_file_pread(file, block + 1, 4, IO_BLOCK_BYTES - 2), 4);
    assert_int_equal(io_file_pread(file, block, IO_BLOCK_BYTES, 2 * IO_BLOCK_BYTES), 5);
    assert_int_equal(io_file_pread(file, block, IO_BLOCK_BYTES, 3 * IO_BLOCK_BYTES), 0);
    assert_int_equal(has_direct(place->a), direct);
    assert_int_equal(io_file_pwrite(file, block, IO_BLOCK_BYTES, 0), -EBADF);
    io_file_close(file);
}

struct swapping {
    struct place *place;
    atomic_bool over;
};

static void *swap_names(void *context)
{
    struct swapping *s = context;
    while (!atomic_load(&s->over)) {
        (void)io_exchange(s->place->io, s->place->a, s->place->b);
    }
    return NULL;
}

/* Another file may take the name while it is opened, as a new checkpoint takes that of the old one:
 * what is read is of one of the two all the same. */
static void direct_and_other_reads_are_of_one_file(void **state)
{
    struct place *place = *state;
    struct swapping s = { .place = place };
    struct io_file *file;
    _Alignas(IO_BLOCK_BYTES) static uint8_t block[IO_BLOCK_BYTES];
    for (int i = 0; i < 2; i++) {
        memset(block, 'a' + i, sizeof(block));
        assert_int_equal(io_file_open(place->io, i == 0 ? place->a : place->b, IO_CREATE, &file),
                         0);
        assert_int_equal(io_file_pwrite(file, block, sizeof(block), 0), sizeof(block));
        assert_int_equal(io_file_sync(file), 0);
        io_file_close(file);
    }
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, swap_names, &s), 0);
    int torn = 0;
    for (int i = 0; i < 3000; i++) {
        uint8_t byte = 0;
        assert_int_equal(io_file_open(place->io, place->a, IO_DIRECT, &file), 0);
        assert_int_equal(io_file_pread(file, &byte, 1, 1), 1);
        assert_int_equal(io_file_pread(file, block, sizeof(block), 0), sizeof(block));
        torn += byte != block[1];
        io_file_close(file);
    }
    atomic_store(&s.over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(torn, 0);
}

static void a_lock_is_held_until_the_file_is_closed(void **state)
{
    struct place *place = *state;
    struct io_file *one;
    struct io_file *two;
    assert_int_equal(io_file_open(place->io, place->a, IO_CREATE | IO_LOCK, &one), 0);
    assert_int_equal(io_file_open(place->io, place->a, IO_WRITE | IO_LOCK, &two), -EAGAIN);
    io_file_close(one);
    assert_int_equal(io_file_open(place->io, place->a, IO_WRITE | IO_LOCK, &two), 0);
    io_file_close(two);
}

static void note(void *context, const char *name)
{
    strcat(context, name);
}

static void names_change(void **state)
{
    struct place *place = *state;
    struct io_file *file;
    char names[64] = { 0 };
    assert_int_equal(io_mkdir(place->io, place->dir), 0); /* it is there */
    assert_int_equal(io_file_open(place->io, place->a, IO_CREATE, &file), 0);
    io_file_close(file);
    assert_int_equal(io_mkdir(place->io, place->a), -EEXIST); /* a file is not a directory */
    assert_int_equal(io_rename(place->io, place->a, place->b), 0);
    assert_int_equal(io_sync_dir(place->io, place->dir), 0);
    assert_int_equal(io_list(place->io, place->dir, note, names), 0);
    assert_string_equal(names, "b");
    assert_int_equal(io_unlink(place->io, place->b), 0);
    assert_int_equal(io_unlink(place->io, place->b), -ENOENT);
    assert_int_equal(io_list(place->io, place->a, note, names), -ENOENT);
    assert_true(io_free_bytes(place->io, place->dir) > 0);
}

struct writing {
    struct io *io;
    int left, error;
};

static void written(struct io_write *write, int error)
{
    struct writing *w = write->context;
    w->error = error != 0 ? error : w->error;
    if (--w->left == 0) {
        io_stop(w->io);
    }
}

static void no_turn(void *context)
{
    (void)context;
}

static void durable_writes_take_any_number_of_buffers(void **state)
{
    struct place *place = *state;
    enum { BUFFERS = 150 }; /* more than one call to the kernel takes here */
    static uint8_t bytes[BUFFERS][1000];
    static uint8_t back[sizeof(bytes)];
    struct iovec v[BUFFERS];
    for (int i = 0; i < BUFFERS; i++) {
        memset(bytes[i], i, sizeof(bytes[i]));
        v[i] = (struct iovec){ .iov_base = bytes[i], .iov_len = sizeof(bytes[i]) };
    }
    struct io_file *file;
    assert_int_equal(io_file_open(place->io, place->a, IO_CREATE, &file), 0);
    struct writing w = { .io = place->io, .left = 2 };
    struct io_write one = { .file = file, .v = v, .count = BUFFERS, .done = written };
    struct io_write two = one;
    one.context = two.context = &w;
    two.offset = sizeof(bytes);
    io_file_write_sync(place->io, &one);
    io_file_write_sync(place->io, &two);
    assert_int_equal(w.left, 2); /* callbacks come from io_run only */
    io_run(place->io, no_turn, NULL);
    assert_int_equal(w.error, 0);
    for (uint64_t offset = 0; offset <= sizeof(bytes); offset += sizeof(bytes)) {
        assert_int_equal(io_file_pread(file, back, sizeof(back), offset), sizeof(back));
        assert_memory_equal(back, bytes, sizeof(back));
    }
    io_file_close(file);
}

static void a_failed_durable_write_is_told(void **state)
{
    struct place *place = *state;
    struct io_file *file;
    assert_int_equal(io_file_open(place->io, place->a, IO_CREATE, &file), 0);
    io_file_close(file);
    assert_int_equal(io_file_open(place->io, place->a, 0, &file), 0); /* reading only */
    struct iovec v = { .iov_base = "x", .iov_len = 1 };
    struct writing w = { .io = place->io, .left = 1 };
    struct io_write one = { .file = file, .v = &v, .count = 1, .done = written, .context = &w };
    io_file_write_sync(place->io, &one);
    io_run(place->io, no_turn, NULL);
    assert_int_equal(w.error, -EBADF);
    io_file_close(file);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(transfers_are_whole),
        IN_PLACE(direct_writes_fall_back),
        IN_PLACE(direct_reads_are_of_any_size),
        IN_PLACE(direct_and_other_reads_are_of_one_file),
        IN_PLACE(a_lock_is_held_until_the_file_is_closed),
        IN_PLACE(names_change),
        IN_PLACE(durable_writes_take_any_number_of_buffers),
        IN_PLACE(a_failed_durable_write_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
