/* A preloaded shim that counts writes and syncs of files under one directory and makes the n-th of
 * them fail, or kills the process in front of it.
 *
 *   FAULT_DIR     absolute path; only files below it count (required, else the shim does nothing)
 *   FAULT_AT      which operation, from 1; 0 or nothing: none, only count
 *   FAULT_KIND    EIO (default), ENOSPC, or KILL
 *   FAULT_ONLY    "write" or "sync": count and fail only these; nothing: both
 *   FAULT_SLOW    a file that holds how many milliseconds each sync takes; it may change
 *   FAULT_WALL    a file that holds how many seconds the wall clock is off, as a number of 64 bits;
 *                 it may change. Needs no FAULT_DIR
 *   FAULT_COUNTS  a file outside FAULT_DIR that always holds "<operations> <writes> <syncs>\n",
 *                 each padded to 10 digits, as of the operation that began last
 *
 * Counted are write, writev, pwrite, pwritev and their 64-bit names, fsync and fdatasync, made
 * through the C library's functions by any thread. Stdio writes from inside the C library and are
 * not seen. An operation that is made to fail is not carried out, as with a kernel that dropped the
 * page; a second try of it succeeds, so that software which retries a failed sync is found out.
 *
 * The file behind a descriptor is looked up in /proc for every call: slow, but there is no state to
 * get wrong. */
#undef _FILE_OFFSET_BITS /* else the plain names would be defined as the ones with 64 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* One thread counts at a time, or the file could go back to an older count. */
static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;
static unsigned long operations, writes, syncs;
static int counts_fd = -1;

/* Whether the descriptor's file lies below FAULT_DIR. */
static bool concerns(int fd)
{
    const char *dir = getenv("FAULT_DIR");
    if (dir == NULL) {
        return false;
    }
    char link[64];
    char path[4096];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    if (n <= 0) {
        return false;
    }
    path[n] = 0;
    size_t length = strlen(dir);
    return strncmp(path, dir, length) == 0 && path[length] == '/';
}

static void note_counts(void)
{
    const char *path = getenv("FAULT_COUNTS");
    if (path == NULL) {
        return;
    }
    if (counts_fd < 0) {
        counts_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    }
    char line[40];
    int n = snprintf(line, sizeof(line), "%010lu %010lu %010lu\n", operations, writes, syncs);
    (void)syscall(SYS_pwrite64, counts_fd, line, (size_t)n, 0);
}

/* A slow disk: waits for as many milliseconds as the file says now. */
static void wait_for_the_disk(int fd)
{
    const char *path = getenv("FAULT_SLOW");
    int saved = errno;
    if (path == NULL || !concerns(fd)) {
        errno = saved;
        return;
    }
    char text[16] = { 0 };
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0 && read(file, text, sizeof(text) - 1) > 0) {
        long ms = strtol(text, NULL, 10);
        struct timespec span = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
        (void)nanosleep(&span, NULL);
    }
    if (file >= 0) {
        (void)close(file);
    }
    errno = saved;
}

/* Counts an operation on fd; true when it must fail (errno is set). */
static bool fault(int fd, bool is_sync)
{
    int saved = errno;
    const char *only = getenv("FAULT_ONLY");
    bool counted = only == NULL || strcmp(only, is_sync ? "sync" : "write") == 0;
    if (!counted || !concerns(fd)) {
        errno = saved;
        return false;
    }
    (void)pthread_mutex_lock(&counting);
    unsigned long n = ++operations;
    writes += is_sync ? 0 : 1;
    syncs += is_sync ? 1 : 0;
    note_counts();
    (void)pthread_mutex_unlock(&counting);
    errno = saved;
    const char *at = getenv("FAULT_AT");
    if (at == NULL || strtoul(at, NULL, 10) != n) {
        return false;
    }
    const char *kind = getenv("FAULT_KIND");
    if (kind != NULL && strcmp(kind, "KILL") == 0) {
        kill(getpid(), SIGKILL);
        pause();
    }
    errno = kind != NULL && strcmp(kind, "ENOSPC") == 0 ? ENOSPC : EIO;
    return true;
}

ssize_t write(int fd, const void *p, size_t n)
{
    return fault(fd, false) ? -1 : syscall(SYS_write, fd, p, n);
}

ssize_t writev(int fd, const struct iovec *v, int count)
{
    return fault(fd, false) ? -1 : syscall(SYS_writev, fd, v, count);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t offset)
{
    return fault(fd, false) ? -1 : syscall(SYS_pwrite64, fd, p, n, offset);
}

ssize_t pwritev64(int fd, const struct iovec *v, int count, off64_t offset)
{
    /* The kernel takes the offset in two halves; on 64-bit machines the first holds all of it. */
    return fault(fd, false) ? -1 : syscall(SYS_pwritev, fd, v, count, (long)offset, 0L);
}

/* The names without 64, for programs that were built without large-file names. */
ssize_t pwrite(int fd, const void *p, size_t n, off_t offset)
{
    return pwrite64(fd, p, n, offset);
}

ssize_t pwritev(int fd, const struct iovec *v, int count, off_t offset)
{
    return pwritev64(fd, v, count, offset);
}

int fsync(int fd)
{
    wait_for_the_disk(fd);
    return fault(fd, true) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    wait_for_the_disk(fd);
    return fault(fd, true) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

/* --- The wall clock --------------------------------------------------------------------------- */

static const volatile int64_t *wall;

__attribute__((constructor)) static void map_wall(void)
{
    const char *path = getenv("FAULT_WALL");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        void *page = mmap(NULL, sizeof *wall, PROT_READ, MAP_SHARED, fd, 0);
        wall = page == MAP_FAILED ? NULL : page;
        (void)close(fd);
    }
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, t);
    if (failed == 0 && clock == CLOCK_REALTIME && wall != NULL) {
        t->tv_sec += *wall;
    }
    return failed;
}
