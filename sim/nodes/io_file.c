/* io.h for a process of the realm: files, over drive.c.
 *
 * A durable write of a helper thread happens as a whole when it is due; when the process dies
 * before that, a part of it is written and perhaps synced. */
#include "node/checkpoint.h"
#include "sim/nodes/drive.h"
#include "sim/nodes/io_sim.h"

#include <errno.h>
#include <string.h>

#define SYSTEM_CALL_NS 1500u

struct io_file {
    struct io_file *next; /* of the process */
    struct process *process;
    struct inode *inode;
    bool writes, direct;
};

static void spend(struct process *p, size_t n)
{
    process_spend(p, SYSTEM_CALL_NS + n / 4);
}

static bool fails(const struct io_file *file)
{
    return drive_fails(file->process->host->drive);
}

static qr_time sync_time(const struct process *p, size_t n)
{
    struct realm *realm = p->realm;
    qr_time now = process_time(p);
    qr_time stalled = p->host->drive->stalled;
    stalled = stalled > now ? stalled - now : 0;
    realm->felt[FAULT_disk_stall] += (uint64_t)stalled;
    return realm->pace.sync +
           (qr_time)rng_below(&realm->rng, (uint64_t)realm->pace.sync_jitter + 1) +
           (qr_time)(n / realm->pace.drive_per_usec) + stalled;
}

/* The mark of a state that was found to differ from the others'. No world makes states differ, so
 * it is a fault also where that state, its mark or its node is soon gone. */
static bool is_mark(const char *path)
{
    const char *name = strrchr(path, '/');
    return name != NULL && strcmp(name + 1, QUARANTINED_FILE) == 0;
}

int io_file_open(struct io *io, const char *path, unsigned flags, struct io_file **out)
{
    struct process *p = io->process;
    struct inode *inode = drive_find(p->host->drive, path);
    spend(p, 0);
    if ((flags & IO_CREATE) != 0 ? drive_fails(p->host->drive)
                                 : drive_fails_to_read(p->host->drive)) {
        return -EIO;
    }
    if ((flags & IO_CREATE) != 0) {
        if (is_mark(path)) {
            realm_fail(p->realm, p->host, "a state was found to differ: %s", path);
        }
        int error = drive_make(p->host->drive, path, false, &inode);
        if (error != 0) {
            return error;
        }
    }
    if (inode == NULL) {
        return -ENOENT;
    }
    if (inode->is_directory) {
        return -EISDIR;
    }
    if ((flags & IO_LOCK) != 0 && inode->locked_by != NULL) {
        return -EAGAIN;
    }
    struct process *before = memory_for(NULL);
    struct io_file *file = qr_zalloc(sizeof *file);
    (void)memory_for(before);
    inode_hold(inode);
    *file = (struct io_file){ .next = p->files,
                              .process = p,
                              .inode = inode,
                              .writes = (flags & (IO_WRITE | IO_CREATE)) != 0,
                              .direct = (flags & IO_DIRECT) != 0 };
    inode->locked_by = (flags & IO_LOCK) != 0 ? file : inode->locked_by;
    p->files = file;
    *out = file;
    return 0;
}

void io_file_close(struct io_file *file)
{
    if (file == NULL) {
        return;
    }
    struct io_file **link = &file->process->files;
    while (*link != file) {
        link = &(*link)->next;
    }
    *link = file->next;
    file->inode->locked_by = file->inode->locked_by == file ? NULL : file->inode->locked_by;
    inode_drop(file->inode);
    free(file);
}

void files_forget(struct process *process)
{
    while (process->files != NULL) {
        io_file_close(process->files);
    }
}

int64_t io_file_size(struct io_file *file)
{
    return (int64_t)file->inode->now.n;
}

int64_t io_file_pread(struct io_file *file, void *p, size_t n, uint64_t offset)
{
    const struct bytes *b = &file->inode->now;
    n = offset >= b->n ? 0 : min_u64(n, b->n - offset);
    spend(file->process, n);
    if (drive_fails_to_read(file->process->host->drive)) {
        return -EIO;
    }
    if (n > 0) {
        memcpy(p, b->p + offset, n);
    }
    return (int64_t)n;
}

/* What a drive refuses of a write past the page cache. */
static void check_direct(const struct io_file *file, const void *p, size_t n, uint64_t at)
{
    qr_assert(!file->direct || ((uintptr_t)p | n | at) % IO_BLOCK_BYTES == 0);
}

static bool has_room(const struct io_file *file, size_t n, uint64_t offset)
{
    struct drive *drive = file->process->host->drive;
    bool room = offset + n <= file->inode->now.n ||
                offset + n - file->inode->now.n <= drive_free_bytes(drive);
    drive->refusals += !room;
    drive->felt[FAULT_disk_full] += !room;
    return room;
}

int64_t io_file_pwrite(struct io_file *file, const void *p, size_t n, uint64_t offset)
{
    if (!file->writes) {
        return -EBADF;
    }
    check_direct(file, p, n, offset);
    if (!has_room(file, n, offset)) {
        return -ENOSPC;
    }
    spend(file->process, n);
    if (fails(file)) {
        return -EIO;
    }
    inode_write(file->inode, p, n, offset);
    return (int64_t)n;
}

static int sync_file(struct io_file *file)
{
    if (fails(file)) {
        struct realm *realm = file->process->realm;
        realm->felt[FELT_sync_lost] += inode_sync_failed(file->inode, &realm->rng);
        return -EIO;
    }
    inode_sync(file->inode);
    return 0;
}

int io_file_sync(struct io_file *file)
{
    size_t n = 0;
    for (const struct unsynced *u = file->inode->first; u != NULL; u = u->next) {
        n += u->n;
    }
    process_spend(file->process, 1000 * (uint64_t)sync_time(file->process, n));
    return sync_file(file);
}

int io_file_truncate(struct io_file *file, uint64_t size)
{
    if (!file->writes) {
        return -EINVAL;
    }
    spend(file->process, 0);
    if (fails(file)) {
        return -EIO;
    }
    inode_truncate(file->inode, size);
    return 0;
}

/* --- Durable writes ------------------------------------------------------------------------- */

static size_t length_of(const struct io_write *w)
{
    size_t n = 0;
    for (int i = 0; i < w->count; i++) {
        n += w->v[i].iov_len;
    }
    return n;
}

/* The first n bytes of it, into the page cache. */
static int write_part(const struct io_write *w, size_t n)
{
    uint64_t at = w->offset;
    if (fails(w->file)) {
        return -EIO;
    }
    for (int i = 0; i < w->count && n > 0; i++) {
        size_t part = min_u64(n, w->v[i].iov_len);
        if (!has_room(w->file, part, at)) {
            return -ENOSPC;
        }
        inode_write(w->file->inode, w->v[i].iov_base, part, at);
        at += part;
        n -= part;
    }
    return 0;
}

static bool needs_sync(const struct io_write *w)
{
    return !w->sync_later || !w->file->direct;
}

static void check_write(const struct io_write *w)
{
    uint64_t at = w->offset;
    qr_assert((w->count > 0 || !w->cached) && w->file->writes);
    for (int i = 0; i < w->count && !w->cached; i++) {
        check_direct(w->file, w->v[i].iov_base, w->v[i].iov_len, at);
        at += w->v[i].iov_len;
    }
}

static int write_it(struct io *io, const struct io_write *w)
{
    int error = io_failpoint(io, failpoint_at(w->points, FAIL_AT_WRITE));
    if (error != 0) {
        return error;
    }
    if (io_failpoint_kills(io, failpoint_at(w->points, FAIL_AT_TORN))) {
        (void)write_part(w, length_of(w) / 2);
    }
    (void)io_failpoint(io, failpoint_at(w->points, FAIL_AT_TORN));
    return write_part(w, length_of(w));
}

/* As src/io does, past the four failpoints of the kind of file. `sync` is how it is synced. */
static int write_and_sync(struct io *io, const struct io_write *w,
                          int (*sync)(struct io_file *file))
{
    int error = w->count > 0 ? write_it(io, w) : 0;
    if (error != 0 || w->cached) {
        return error;
    }
    error = io_failpoint(io, failpoint_at(w->points, FAIL_AT_SYNC));
    error = error == 0 && needs_sync(w) ? sync(w->file) : error;
    (void)io_failpoint(io, failpoint_at(w->points, FAIL_AT_SYNCED));
    return error;
}

int io_file_write_now(struct io *io, struct io_write *write)
{
    qr_time began = io_now(io);
    check_write(write);
    spend(io->process, length_of(write));
    int error = write_and_sync(io, write, io_file_sync);
    write->took = io_now(io) - began;
    return error;
}

void io_file_write_sync(struct io *io, struct io_write *write)
{
    struct process *p = io->process;
    check_write(write);
    write->took = write->cached ? 1 : sync_time(p, length_of(write));
    struct job *job = io_job_new(io, process_time(p) + write->took);
    job->write = write;
    write->impl = job;
}

int io_write_done(struct io *io, const struct io_write *write)
{
    return write_and_sync(io, write, sync_file); /* the time has passed already */
}

void io_write_dies(struct io *io, const struct job *job)
{
    struct rng *rng = &io->process->realm->rng;
    size_t n = length_of(job->write);
    bool whole = rng_chance(rng, 1, 2);
    if (write_part(job->write, whole ? n : rng_below(rng, n + 1)) == 0 && whole &&
        rng_chance(rng, 1, 2) && !job->write->cached) {
        inode_sync(job->write->file->inode);
    }
}

/* --- Directories ---------------------------------------------------------------------------- */

static struct drive *drive_of(struct io *io)
{
    spend(io->process, 0);
    return io->process->host->drive;
}

int io_mkdir(struct io *io, const char *path)
{
    struct inode *inode;
    if (drive_fails(drive_of(io))) {
        return -EIO;
    }
    int error = drive_make(io->process->host->drive, path, true, &inode);
    return error == -EEXIST && inode->is_directory ? 0 : error;
}

int io_rename(struct io *io, const char *from, const char *to)
{
    return drive_fails(drive_of(io)) ? -EIO : drive_rename(io->process->host->drive, from, to);
}

int io_exchange(struct io *io, const char *a, const char *b)
{
    return drive_fails(drive_of(io)) ? -EIO : drive_exchange(io->process->host->drive, a, b);
}

int io_link(struct io *io, const char *from, const char *to)
{
    return drive_fails(drive_of(io)) ? -EIO : drive_link(io->process->host->drive, from, to);
}

int io_unlink(struct io *io, const char *path)
{
    return drive_fails(drive_of(io)) ? -EIO : drive_unlink(io->process->host->drive, path);
}

int io_sync_dir(struct io *io, const char *path)
{
    process_spend(io->process, 1000 * (uint64_t)sync_time(io->process, 0));
    return drive_fails(drive_of(io)) ? -EIO : drive_sync_dir(io->process->host->drive, path);
}

int64_t io_free_bytes(struct io *io, const char *path)
{
    (void)path;
    return (int64_t)drive_free_bytes(drive_of(io));
}

int io_list(struct io *io, const char *path, void (*each)(void *context, const char *name),
            void *context)
{
    struct drive *drive = drive_of(io);
    return drive_fails_to_read(drive) ? -EIO : drive_list(drive, path, each, context);
}
