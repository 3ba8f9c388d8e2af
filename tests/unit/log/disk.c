#include "disk.h"
#include "disk_names.h"

#include "base/alloc.h"

#include <errno.h>
#include <string.h>

#define SECTOR 512u

/* A write that is not synced yet: one sector of it at most. A truncation has n == 0. */
struct unsynced {
    uint64_t at;
    uint32_t n;
    uint8_t p[SECTOR];
};

struct inode {
    struct bytes now, durable;
    struct unsynced *unsynced;
    size_t unsynced_n, unsynced_cap;
};

struct io_file {
    struct io *disk;
    struct inode *inode;
    bool locks, direct;
};

/* What a disk refuses of a write past the page cache. */
static void check_direct(const struct io_file *file, const void *p, size_t n, uint64_t at)
{
    qr_assert(!file->direct || ((uintptr_t)p % IO_BLOCK_BYTES == 0 && n % IO_BLOCK_BYTES == 0 &&
                                at % IO_BLOCK_BYTES == 0));
}

struct work {
    struct work *next;
    struct io_write *write; /* or */
    void (*run)(void *context);
    void (*done)(void *context);
    void *context;
    int error; /* of the write itself; its sync comes at the end */
};

struct io {
    struct names now;
    struct names *history; /* the directory after each change that is not synced yet */
    size_t history_n, history_cap;
    struct names durable;
    struct inode **inodes;
    size_t inode_n, inode_cap;
    struct io_file *open[512];
    struct work *first, *last;
    uint64_t operations, fail_at, reads_left;
    uint64_t reads, fail_read; /* as of which one, counted from the first */
    int fail_error;
    uint64_t capacity;
    qr_time clock;
    bool locked;
};

/* --- Inodes --------------------------------------------------------------------------------- */

static struct inode *inode_new(struct io *disk)
{
    struct inode *inode = qr_zalloc(sizeof(*inode));
    if (disk->inode_n == disk->inode_cap) {
        disk->inode_cap = disk->inode_cap == 0 ? 16 : disk->inode_cap * 2;
        disk->inodes = qr_realloc(disk->inodes, disk->inode_cap * sizeof(struct inode *));
    }
    disk->inodes[disk->inode_n++] = inode;
    return inode;
}

static void unsynced_push(struct inode *inode, const void *p, size_t n, uint64_t at)
{
    if (inode->unsynced_n == inode->unsynced_cap) {
        inode->unsynced_cap = inode->unsynced_cap == 0 ? 64 : inode->unsynced_cap * 2;
        inode->unsynced =
            qr_realloc(inode->unsynced, inode->unsynced_cap * sizeof(struct unsynced));
    }
    struct unsynced *u = &inode->unsynced[inode->unsynced_n++];
    u->at = at;
    u->n = (uint32_t)n;
    if (n > 0) {
        memcpy(u->p, p, n);
    }
}

static void inode_write(struct inode *inode, const uint8_t *p, size_t n, uint64_t at)
{
    bytes_put(&inode->now, p, n, at);
    while (n > 0) {
        size_t part = SECTOR - at % SECTOR;
        part = part < n ? part : n;
        unsynced_push(inode, p, part, at);
        p += part;
        at += part;
        n -= part;
    }
}

static void inode_sync(struct inode *inode)
{
    inode->durable.n = 0;
    bytes_put(&inode->durable, inode->now.p, inode->now.n, 0);
    inode->unsynced_n = 0;
}

/* What of it reaches the disk: everything, or by chance. */
static void inode_flush(struct inode *inode, struct rng *rng)
{
    uint64_t keep = rng == NULL ? 4 : rng_below(rng, 5); /* 0: nothing, 4: everything */
    for (size_t i = 0; i < inode->unsynced_n; i++) {
        const struct unsynced *u = &inode->unsynced[i];
        if (rng != NULL && !rng_chance(rng, keep, 4)) {
            continue;
        } else if (u->n == 0) {
            bytes_resize(&inode->durable, u->at);
        } else {
            bytes_put(&inode->durable, u->p, u->n, u->at);
        }
    }
    inode->unsynced_n = 0;
}

static void inode_lose(struct inode *inode, struct rng *rng)
{
    inode_flush(inode, rng);
    inode->now.n = 0;
    bytes_put(&inode->now, inode->durable.p, inode->durable.n, 0);
}

/* --- Names ---------------------------------------------------------------------------------- */

static void names_changed(struct io *disk)
{
    if (disk->history_n == disk->history_cap) {
        disk->history_cap += 8;
        disk->history = qr_realloc(disk->history, disk->history_cap * sizeof(struct names));
        memset(disk->history + disk->history_n, 0, 8 * sizeof(struct names));
    }
    names_copy(&disk->history[disk->history_n++], &disk->now);
}

/* True when this operation is the one that fails. */
static bool fails(struct io *disk)
{
    disk->operations++;
    return disk->fail_at != 0 && disk->operations == disk->fail_at;
}

/* --- The disk for tests --------------------------------------------------------------------- */

struct io *disk_new(void)
{
    struct io *disk = qr_zalloc(sizeof(*disk));
    disk->capacity = disk->reads_left = UINT64_MAX;
    disk->clock = 1;
    return disk;
}

static void drop_process(struct io *disk)
{
    while (disk->first != NULL) {
        struct work *w = disk->first;
        disk->first = w->next;
        free(w);
    }
    disk->last = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(disk->open); i++) {
        free(disk->open[i]);
        disk->open[i] = NULL;
    }
    disk->locked = false;
    disk->fail_at = 0;
}

void disk_free(struct io *disk)
{
    drop_process(disk);
    for (size_t i = 0; i < disk->inode_n; i++) {
        free(disk->inodes[i]->now.p);
        free(disk->inodes[i]->durable.p);
        free(disk->inodes[i]->unsynced);
        free(disk->inodes[i]);
    }
    free(disk->inodes);
    for (size_t i = 0; i < disk->history_cap; i++) {
        free(disk->history[i].v);
    }
    free(disk->history);
    free(disk->now.v);
    free(disk->durable.v);
    free(disk);
}

bool disk_step(struct io *disk)
{
    struct work *w = disk->first;
    if (w == NULL) {
        return false;
    }
    disk->first = w->next;
    disk->last = disk->first == NULL ? NULL : disk->last;
    if (w->write != NULL) {
        struct io_write *write = w->write;
        int error = w->error;
        if (error == 0 && !write->cached) {
            error = io_file_sync(write->file);
        }
        write->done(write, error);
    } else {
        w->run(w->context);
        w->done(w->context);
    }
    free(w);
    return true;
}

void disk_settle(struct io *disk)
{
    while (disk_step(disk)) {
    }
}

void disk_kill(struct io *disk)
{
    drop_process(disk);
}

void disk_power_loss(struct io *disk, struct rng *rng)
{
    drop_process(disk);
    size_t kept = rng_below(rng, disk->history_n + 1);
    names_copy(&disk->now, kept == 0 ? &disk->durable : &disk->history[kept - 1]);
    names_copy(&disk->durable, &disk->now);
    disk->history_n = 0;
    for (size_t i = 0; i < disk->inode_n; i++) {
        inode_lose(disk->inodes[i], rng);
    }
}

struct io *disk_copy(const struct io *disk)
{
    struct io *copy = disk_new();
    for (size_t i = 0; i < disk->now.n; i++) {
        struct inode *inode = inode_new(copy);
        bytes_put(&inode->now, disk->now.v[i].inode->now.p, disk->now.v[i].inode->now.n, 0);
        inode_sync(inode);
        names_put(&copy->now, disk->now.v[i].name, inode);
    }
    names_copy(&copy->durable, &copy->now);
    copy->clock = disk->clock;
    return copy;
}

struct io *disk_after_power_loss(const struct io *disk, struct rng *rng)
{
    struct io *after = disk_new();
    size_t kept = rng_below(rng, disk->history_n + 1);
    const struct names *names = kept == 0 ? &disk->durable : &disk->history[kept - 1];
    for (size_t i = 0; i < names->n; i++) {
        const struct inode *from = names->v[i].inode;
        struct inode *inode = inode_new(after);
        bytes_put(&inode->durable, from->durable.p, from->durable.n, 0);
        for (size_t k = 0; k < from->unsynced_n; k++) {
            unsynced_push(inode, from->unsynced[k].p, from->unsynced[k].n, from->unsynced[k].at);
        }
        inode_lose(inode, rng);
        names_put(&after->now, names->v[i].name, inode);
    }
    names_copy(&after->durable, &after->now);
    after->clock = disk->clock;
    return after;
}

void disk_fail_at(struct io *disk, uint64_t n, int error)
{
    disk->fail_at = n == 0 ? 0 : disk->operations + n;
    disk->fail_error = error;
}

void disk_fail_read(struct io *disk, uint64_t n)
{
    disk->fail_read = n == 0 ? 0 : disk->reads + n;
}

void disk_end_reads(struct io *disk, uint64_t after)
{
    disk->reads_left = after;
}

uint64_t disk_operations(const struct io *disk)
{
    return disk->operations;
}

void disk_set_capacity(struct io *disk, uint64_t bytes)
{
    disk->capacity = bytes;
}

void disk_advance(struct io *disk, qr_time by)
{
    disk->clock += by;
}

size_t disk_files(const struct io *disk)
{
    return disk->now.n;
}

const char *disk_name(const struct io *disk, size_t i)
{
    return disk->now.v[i].name;
}

uint8_t *disk_bytes(struct io *disk, size_t i, size_t *n)
{
    *n = disk->now.v[i].inode->now.n;
    return disk->now.v[i].inode->now.p;
}

void disk_cut(struct io *disk, size_t i, size_t n)
{
    bytes_resize(&disk->now.v[i].inode->now, n);
    inode_sync(disk->now.v[i].inode);
}

void disk_remove(struct io *disk, size_t i)
{
    names_drop(&disk->now, disk->now.v[i].name);
    names_copy(&disk->durable, &disk->now);
}

/* --- io.h: loop ----------------------------------------------------------------------------- */

qr_time io_now(struct io *disk)
{
    return disk->clock;
}

static struct work *work_push(struct io *disk)
{
    struct work *w = qr_zalloc(sizeof(*w));
    if (disk->last != NULL) {
        disk->last->next = w;
    } else {
        disk->first = w;
    }
    disk->last = w;
    return w;
}

int io_offload(struct io *disk, void (*run)(void *context), void (*done)(void *context),
               void *context)
{
    struct work *w = work_push(disk);
    w->run = run;
    w->done = done;
    w->context = context;
    return 0;
}

void io_file_write_sync(struct io *disk, struct io_write *write)
{
    struct work *w = work_push(disk);
    uint64_t at = write->offset;
    w->write = write;
    if (write->count > 0 && fails(disk)) {
        w->error = disk->fail_error;
        return;
    }
    for (int i = 0; i < write->count; i++) {
        if (!write->cached) {
            check_direct(write->file, write->v[i].iov_base, write->v[i].iov_len, at);
        }
        inode_write(write->file->inode, write->v[i].iov_base, write->v[i].iov_len, at);
        at += write->v[i].iov_len;
    }
}

/* --- io.h: files ---------------------------------------------------------------------------- */

static bool fails_to_read(struct io *disk)
{
    return ++disk->reads == disk->fail_read;
}

int io_file_open(struct io *disk, const char *path, unsigned flags, struct io_file **out)
{
    struct entry *e = names_find(&disk->now, path);
    if ((flags & IO_CREATE) != 0) {
        if (e != NULL) {
            return -EEXIST;
        }
        if (fails(disk)) {
            return disk->fail_error;
        }
        names_put(&disk->now, path, inode_new(disk));
        names_changed(disk);
        e = names_find(&disk->now, path);
    }
    if ((flags & IO_CREATE) == 0 && fails_to_read(disk)) {
        return -EIO;
    }
    if (e == NULL) {
        return -ENOENT;
    }
    if ((flags & IO_LOCK) != 0 && disk->locked) {
        return -EAGAIN;
    }
    struct io_file *file = qr_zalloc(sizeof(*file));
    file->disk = disk;
    file->inode = e->inode;
    file->locks = (flags & IO_LOCK) != 0;
    file->direct = (flags & IO_DIRECT) != 0;
    disk->locked |= file->locks;
    for (size_t i = 0; i < ARRAY_COUNT(disk->open); i++) {
        if (disk->open[i] == NULL) {
            disk->open[i] = file;
            *out = file;
            return 0;
        }
    }
    qr_unreachable();
}

void io_file_close(struct io_file *file)
{
    if (file == NULL) {
        return;
    }
    struct io *disk = file->disk;
    for (size_t i = 0; i < ARRAY_COUNT(disk->open); i++) {
        if (disk->open[i] == file) {
            disk->open[i] = NULL;
        }
    }
    disk->locked &= !file->locks;
    free(file);
}

int64_t io_file_size(struct io_file *file)
{
    return fails_to_read(file->disk) ? -EIO : (int64_t)file->inode->now.n;
}

int64_t io_file_pread(struct io_file *file, void *p, size_t n, uint64_t at)
{
    const struct bytes *b = &file->inode->now;
    if (fails_to_read(file->disk) || file->disk->reads_left == 0) {
        return -EIO;
    }
    file->disk->reads_left--;
    if (at >= b->n) {
        return 0;
    }
    n = n < b->n - at ? n : b->n - at;
    memcpy(p, b->p + at, n);
    return (int64_t)n;
}

int64_t io_file_pwrite(struct io_file *file, const void *p, size_t n, uint64_t at)
{
    struct io *disk = file->disk;
    if (fails(disk)) {
        return disk->fail_error;
    }
    if (at + n > file->inode->now.n &&
        at + n - file->inode->now.n > (uint64_t)io_free_bytes(disk, "")) {
        return -ENOSPC;
    }
    check_direct(file, p, n, at);
    inode_write(file->inode, p, n, at);
    return (int64_t)n;
}

int io_file_write_now(struct io *disk, struct io_write *write)
{
    (void)disk;
    uint64_t at = write->offset;
    for (int i = 0; i < write->count; i++) {
        int64_t r = io_file_pwrite(write->file, write->v[i].iov_base, write->v[i].iov_len, at);
        if (r < 0) {
            return (int)r;
        }
        at += write->v[i].iov_len;
    }
    return write->cached ? 0 : io_file_sync(write->file);
}

int io_file_sync(struct io_file *file)
{
    if (fails(file->disk)) {
        file->inode->unsynced_n = 0; /* it stays in the cache, and counts as clean */
        return file->disk->fail_error;
    }
    inode_flush(file->inode, NULL);
    return 0;
}

int io_file_truncate(struct io_file *file, uint64_t size)
{
    if (fails(file->disk)) {
        return file->disk->fail_error;
    }
    bytes_resize(&file->inode->now, size);
    unsynced_push(file->inode, NULL, 0, size);
    return 0;
}

int io_mkdir(struct io *disk, const char *path)
{
    (void)disk, (void)path;
    return 0;
}

int io_rename(struct io *disk, const char *from, const char *to)
{
    struct entry *e = names_find(&disk->now, from);
    if (e == NULL) {
        return -ENOENT;
    }
    if (fails(disk)) {
        return disk->fail_error;
    }
    struct inode *inode = e->inode;
    names_drop(&disk->now, from);
    names_put(&disk->now, to, inode);
    names_changed(disk);
    return 0;
}

int io_unlink(struct io *disk, const char *path)
{
    if (names_find(&disk->now, path) == NULL) {
        return -ENOENT;
    }
    if (fails(disk)) {
        return disk->fail_error;
    }
    names_drop(&disk->now, path);
    names_changed(disk);
    return 0;
}

int io_sync_dir(struct io *disk, const char *path)
{
    (void)path;
    if (fails(disk)) {
        return disk->fail_error;
    }
    names_copy(&disk->durable, &disk->now);
    disk->history_n = 0;
    return 0;
}

int64_t io_free_bytes(struct io *disk, const char *path)
{
    (void)path;
    uint64_t used = 0;
    for (size_t i = 0; i < disk->now.n; i++) {
        used += disk->now.v[i].inode->now.n;
    }
    uint64_t left = used < disk->capacity ? disk->capacity - used : 0;
    return (int64_t)min_u64(left, INT64_MAX);
}

int io_list(struct io *disk, const char *path, void (*each)(void *context, const char *name),
            void *context)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < disk->now.n; i++) {
        if (strncmp(disk->now.v[i].name, path, n) == 0 && disk->now.v[i].name[n] == '/') {
            each(context, disk->now.v[i].name + n + 1);
        }
    }
    return 0;
}

#ifdef QUORATE_FAILPOINTS
int io_failpoint(struct io *io, enum failpoint point)
{
    (void)io;
    (void)point;
    return 0;
}

bool io_failpoint_kills(struct io *io, enum failpoint point)
{
    (void)io;
    (void)point;
    return false;
}
#endif
