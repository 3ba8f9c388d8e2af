/* The file half of io: POSIX files, and durable writes on helper threads.
 *
 * Everything but io_file_write_sync is a plain blocking call that touches no state of the loop, so
 * the work of an io_offload may use it on files that it alone holds. Data is synced by fdatasync:
 * the log's segments are prewritten, so that a sync does not have to commit a new file size.
 *
 * A failed sync is final (R7): kernels mark the pages clean after the failure, so that a second
 * sync would report success for bytes that are gone. Nothing here retries one. */
#include "io/io_internal.h"

#include "base/alloc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct io_file {
    int fd;
    int read_fd; /* the same, or for IO_DIRECT one through the page cache: reads are of any size */
    bool reads_direct; /* through `fd`, those that are aligned */
};

static int open_retrying(const char *path, int mode)
{
    int fd;
    do {
        fd = open(path, mode | O_CLOEXEC, 0640);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

static bool are_of_one_file(int a, int b)
{
    struct stat one;
    struct stat two;
    return fstat(a, &one) == 0 && fstat(b, &two) == 0 && one.st_dev == two.st_dev &&
           one.st_ino == two.st_ino;
}

/* A second descriptor that goes past the page cache; the first one where that is not to be had, or
 * where the name was given to another file meanwhile. */
static int open_direct(const char *path, int fd, bool writes)
{
    int direct = open_retrying(path, (writes ? O_RDWR : O_RDONLY) | O_DIRECT);
    if (direct >= 0 && !are_of_one_file(fd, direct)) {
        close(direct);
        direct = -1;
    }
    return direct < 0 ? fd : direct;
}

/* Some file systems open for direct writes and then refuse them. */
static bool leave_direct(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_DIRECT) != 0 && fcntl(fd, F_SETFL, flags & ~O_DIRECT) == 0;
}

int io_file_open(struct io *io, const char *path, unsigned flags, struct io_file **out)
{
    (void)io;
    int mode = (flags & (IO_WRITE | IO_CREATE)) != 0 ? O_RDWR : O_RDONLY;
    if ((flags & IO_CREATE) != 0) {
        mode |= O_CREAT | O_EXCL;
    }
    int fd = open_retrying(path, mode);
    if (fd < 0) {
        return -errno;
    }
    if ((flags & IO_LOCK) != 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int error = errno == EWOULDBLOCK ? -EAGAIN : -errno;
        close(fd);
        return error;
    }
    struct io_file *file = qr_zalloc(sizeof(*file));
    file->read_fd = fd;
    bool writes = mode != O_RDONLY;
    file->fd = (flags & IO_DIRECT) != 0 ? open_direct(path, fd, writes) : fd;
    file->reads_direct = !writes && file->fd != fd;
    *out = file;
    return 0;
}

void io_file_close(struct io_file *file)
{
    if (file != NULL) {
        close(file->fd);
        if (file->read_fd != file->fd) {
            close(file->read_fd);
        }
        free(file);
    }
}

int64_t io_file_size(struct io_file *file)
{
    struct stat st;
    return fstat(file->fd, &st) == 0 ? (int64_t)st.st_size : -errno;
}

static bool is_aligned(const void *p, size_t n, uint64_t offset)
{
    return ((uintptr_t)p | n | offset) % IO_BLOCK_BYTES == 0;
}

int64_t io_file_pread(struct io_file *file, void *p, size_t n, uint64_t offset)
{
    size_t done = 0;
    while (done < n) {
        char *to = (char *)p + done;
        bool direct = file->reads_direct && is_aligned(to, n - done, offset + done);
        int fd = direct ? file->fd : file->read_fd;
        ssize_t r = pread(fd, to, n - done, (off_t)(offset + done));
        if (r == 0) {
            break;
        }
        if (r < 0 && errno != EINTR && !(errno == EINVAL && leave_direct(fd))) {
            return -errno;
        }
        done += r > 0 ? (size_t)r : 0;
    }
    return (int64_t)done;
}

int64_t io_file_pwrite(struct io_file *file, const void *p, size_t n, uint64_t offset)
{
    size_t done = 0;
    while (done < n) {
        ssize_t r = pwrite(file->fd, (const char *)p + done, n - done, (off_t)(offset + done));
        if (r == 0) {
            return -EIO;
        }
        if (r < 0 && errno != EINTR && !(errno == EINVAL && leave_direct(file->fd))) {
            return -errno;
        }
        done += r > 0 ? (size_t)r : 0;
    }
    return (int64_t)done;
}

int io_file_sync(struct io_file *file)
{
    return fdatasync(file->fd) == 0 ? 0 : -errno;
}

int io_file_truncate(struct io_file *file, uint64_t size)
{
    return ftruncate(file->fd, (off_t)size) == 0 ? 0 : -errno;
}

/* --- Durable writes ------------------------------------------------------------------------- */

/* One io_file_write_sync under way. */
struct write_job {
    uv_work_t work;
    struct io *io;
    struct io_write *write;
    int error;
};

/* Writes all buffers, continuing behind what a short write took. */
static int write_all(int fd, const struct iovec *v, int count, uint64_t offset)
{
    struct iovec part[64];
    size_t skip = 0; /* bytes of v[0] that are written */
    while (count > 0) {
        int n = count < (int)ARRAY_COUNT(part) ? count : (int)ARRAY_COUNT(part);
        memcpy(part, v, (size_t)n * sizeof(*v));
        part[0].iov_base = (char *)part[0].iov_base + skip;
        part[0].iov_len -= skip;
        ssize_t r = pwritev(fd, part, n, (off_t)offset);
        if (r < 0 && (errno == EINTR || (errno == EINVAL && leave_direct(fd)))) {
            continue;
        }
        if (r <= 0) {
            return r < 0 ? -errno : -EIO;
        }
        offset += (uint64_t)r;
        skip += (size_t)r;
        while (count > 0 && skip >= v[0].iov_len) {
            skip -= v[0].iov_len;
            v++;
            count--;
        }
    }
    return 0;
}

/* What a process leaves that dies in the middle of a write: half of it. */
static void write_half(struct io_file *file, const struct iovec *v, int count, uint64_t offset)
{
    size_t left = 0;
    for (int i = 0; i < count; i++) {
        left += v[i].iov_len;
    }
    left /= 2;
    for (int i = 0; i < count && left > 0; i++) {
        size_t n = min_u64(v[i].iov_len, left);
        (void)io_file_pwrite(file, v[i].iov_base, n, offset);
        offset += n;
        left -= n;
    }
}

static bool needs_sync(const struct io_write *w)
{
    int flags = w->sync_later ? fcntl(w->file->fd, F_GETFL) : 0;
    return flags < 0 || (flags & O_DIRECT) == 0;
}

/* Writes, past the first two failpoints of the kind of file. */
static int write_it(struct io *io, const struct io_write *w)
{
    int error = io_failpoint(io, failpoint_at(w->points, FAIL_AT_WRITE));
    if (error != 0) {
        return error;
    }
    if (io_failpoint_kills(io, failpoint_at(w->points, FAIL_AT_TORN))) {
        write_half(w->file, w->v, w->count, w->offset);
    }
    (void)io_failpoint(io, failpoint_at(w->points, FAIL_AT_TORN));
    return write_all(w->cached ? w->file->read_fd : w->file->fd, w->v, w->count, w->offset);
}

/* And syncs, past the other two. */
static int write_and_sync(struct io *io, const struct io_write *w)
{
    int error = w->count > 0 ? write_it(io, w) : 0;
    if (error != 0 || w->cached) {
        return error;
    }
    error = io_failpoint(io, failpoint_at(w->points, FAIL_AT_SYNC));
    error = error == 0 && needs_sync(w) ? io_file_sync(w->file) : error;
    (void)io_failpoint(io, failpoint_at(w->points, FAIL_AT_SYNCED));
    return error;
}

int io_file_write_now(struct io *io, struct io_write *write)
{
    qr_time began = io_now(io);
    int error = write_and_sync(io, write);
    write->took = io_now(io) - began;
    return error;
}

static void write_work(uv_work_t *work)
{
    struct write_job *job = work->data;
    job->error = io_file_write_now(job->io, job->write);
}

static void write_done(uv_work_t *work, int status)
{
    struct write_job *job = work->data;
    struct io_write *w = job->write;
    int error = status != 0 ? status : job->error;
    io_touch(job->io);
    w->impl = NULL;
    if (job->io->spare_write == NULL) {
        job->io->spare_write = job; /* the log writes one batch after the other */
    } else {
        free(job);
    }
    w->done(w, error);
}

void io_file_write_sync(struct io *io, struct io_write *write)
{
    qr_assert(write->file != NULL);
    qr_assert(write->count > 0 || !write->cached);
    struct write_job *job = io->spare_write;
    io->spare_write = NULL;
    if (job == NULL) {
        job = qr_zalloc(sizeof(*job));
    }
    job->work.data = job;
    job->io = io;
    job->write = write;
    write->impl = job;
    int error = uv_queue_work(&io->loop, &job->work, write_work, write_done);
    qr_assert(error == 0); /* it fails only without a work callback */
}

/* --- Directories ---------------------------------------------------------------------------- */

int io_mkdir(struct io *io, const char *path)
{
    (void)io;
    if (mkdir(path, 0750) == 0) {
        return 0;
    }
    int error = errno;
    struct stat st;
    if (error == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return 0;
    }
    return -error;
}

int io_rename(struct io *io, const char *from, const char *to)
{
    (void)io;
    return rename(from, to) == 0 ? 0 : -errno;
}

int io_exchange(struct io *io, const char *a, const char *b)
{
    (void)io;
    return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0 ? 0 : -errno;
}

int io_link(struct io *io, const char *from, const char *to)
{
    (void)io;
    return link(from, to) == 0 ? 0 : -errno;
}

int io_unlink(struct io *io, const char *path)
{
    (void)io;
    return unlink(path) == 0 ? 0 : -errno;
}

int io_sync_dir(struct io *io, const char *path)
{
    (void)io;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int error = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return error;
}

int64_t io_free_bytes(struct io *io, const char *path)
{
    (void)io;
    struct statvfs st;
    if (statvfs(path, &st) != 0) {
        return -errno;
    }
    return (int64_t)(st.f_bavail * st.f_frsize);
}

int io_list(struct io *io, const char *path, void (*each)(void *context, const char *name),
            void *context)
{
    (void)io;
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return -errno;
    }
    struct dirent *entry;
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            each(context, entry->d_name);
        }
    }
    int error = -errno;
    closedir(dir);
    return error;
}
