/* A preloaded library that remembers what writes have overwritten since the last sync, so that
 * whoever has killed the process can take its power away as well (tests/chaos/seats.py): kill -9
 * alone loses nothing that the kernel has.
 *
 *   POWER_DIR   only files below it count (absolute; else nothing is done)
 *   POWER_LOST  a directory: a file for each inode that has unsynced bytes, of records
 *
 * A record: the offset, how many bytes were there, the size of the file, the length of its path, as
 * numbers of 64 bits; the path; the bytes. A sync that succeeds removes the file's records; what
 * was written while it ran counts as synced, too. Names, sizes without bytes, and what is written
 * by other ways than pwrite and pwritev are always kept. */
#undef _FILE_OFFSET_BITS /* else the plain names would be defined as the ones with 64 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH_BYTES 4096

/* The path of the descriptor's file below POWER_DIR, and where its records are. */
static bool concerns(int fd, char *path, char *records)
{
    const char *dir = getenv("POWER_DIR");
    const char *lost = getenv("POWER_LOST");
    char link[64];
    struct stat s;
    if (dir == NULL || lost == NULL) {
        return false;
    }
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_BYTES - 1);
    size_t length = strlen(dir);
    if (n <= 0 || fstat(fd, &s) != 0 || !S_ISREG(s.st_mode)) {
        return false;
    }
    path[n] = 0;
    snprintf(records, PATH_BYTES, "%s/%llu", lost, (unsigned long long)s.st_ino);
    return strncmp(path, dir, length) == 0 && path[length] == '/';
}

/* What stands there now, before it is overwritten. */
static void remember(int fd, uint64_t offset, size_t n)
{
    char path[PATH_BYTES];
    char records[PATH_BYTES];
    int saved = errno;
    if (concerns(fd, path, records)) {
        struct stat s;
        int old = open(path, O_RDONLY | O_CLOEXEC);
        int out = open(records, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        char *bytes = malloc(n);
        if (old >= 0 && out >= 0 && bytes != NULL && fstat(old, &s) == 0) {
            ssize_t got = pread64(old, bytes, n, (off64_t)offset);
            uint64_t head[4] = { offset, got > 0 ? (uint64_t)got : 0, (uint64_t)s.st_size,
                                 strlen(path) };
            struct iovec v[3] = { { head, sizeof(head) }, { path, head[3] }, { bytes, head[1] } };
            (void)!writev(out, v, 3);
        }
        free(bytes);
        (void)(old >= 0 && close(old));
        (void)(out >= 0 && close(out));
    }
    errno = saved;
}

static int synced(int fd, int result)
{
    char path[PATH_BYTES];
    char records[PATH_BYTES];
    int saved = errno;
    if (result == 0 && concerns(fd, path, records)) {
        (void)unlink(records);
    }
    errno = saved;
    return result;
}

static size_t bytes_of(const struct iovec *v, int count)
{
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        n += v[i].iov_len;
    }
    return n;
}

#define NEXT(name, ...) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))(__VA_ARGS__)

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t offset)
{
    remember(fd, (uint64_t)offset, n);
    return NEXT(pwrite64, fd, p, n, offset);
}

ssize_t pwritev64(int fd, const struct iovec *v, int count, off64_t offset)
{
    remember(fd, (uint64_t)offset, bytes_of(v, count));
    return NEXT(pwritev64, fd, v, count, offset);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t offset)
{
    remember(fd, (uint64_t)offset, n);
    return NEXT(pwrite, fd, p, n, offset);
}

ssize_t pwritev(int fd, const struct iovec *v, int count, off_t offset)
{
    remember(fd, (uint64_t)offset, bytes_of(v, count));
    return NEXT(pwritev, fd, v, count, offset);
}

int fsync(int fd)
{
    return synced(fd, NEXT(fsync, fd));
}

int fdatasync(int fd)
{
    return synced(fd, NEXT(fdatasync, fd));
}
