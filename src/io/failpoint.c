/* The table of failpoints, shared with a test through a mapped file (failpoint.h).
 *
 * Layout, in little-endian words of 64 bits: the number of points, 0, then two words for each point
 * in the order of failpoints.def and one more pair in front that stands for nowhere:
 *
 *   hits     how often it was reached; counted here
 *   order    what happens: 0 nothing, else (at << 16 | action), set by the test. It is carried out
 *            at hit `at` (48 bits), or at the next one if that is past, and erased. An action below
 *            4096 is an errno, 0x1000 + n is signal n; 0x2000 in addition keeps the order. */
#include "io/failpoint.h"

#include "base/panic.h"
#include "io/io_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACTION_SIGNAL 0x1000u
#define ACTION_LASTS 0x2000u

struct point {
    _Atomic uint64_t hits, order;
};

struct failpoints {
    uint64_t count, unused;
    struct point point[FAIL_COUNT];
};

static const char *const names[] = {
    "NOWHERE",
#define FAILPOINT(name, life, errors, text) #name,
#include "io/failpoints.def"
#undef FAILPOINT
};

struct failpoints *failpoints_map(void)
{
    const char *path = getenv("QUORATE_FAILPOINTS");
    if (path == NULL) {
        return NULL;
    }
    struct failpoints *f = MAP_FAILED;
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size == (off_t)sizeof *f) {
        f = mmap(NULL, sizeof *f, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    if (fd >= 0) {
        close(fd);
    }
    if (f == MAP_FAILED || f->count != FAIL_COUNT) {
        (void)fprintf(stderr, "%s is no table of the failpoints of this build\n", path);
        exit(1);
    }
    return f;
}

void failpoints_unmap(struct failpoints *failpoints)
{
    if (failpoints != NULL) {
        (void)munmap(failpoints, sizeof *failpoints);
    }
}

static void strike(enum failpoint point, uint64_t hit, int number)
{
    (void)dprintf(STDERR_FILENO, "failpoint %s, hit %llu: signal %d\n", names[point],
                  (unsigned long long)hit, number);
    (void)kill(getpid(), number);
    while (number == SIGKILL) {
        (void)pause(); /* another thread may be the one that the kernel ends first */
    }
}

int io_failpoint(struct io *io, enum failpoint point)
{
    struct failpoints *f = io->failpoints;
    if (f == NULL) {
        return 0;
    }
    uint64_t hit = atomic_fetch_add(&f->point[point].hits, 1) + 1;
    uint64_t order = atomic_load(&f->point[point].order);
    uint64_t at = order >> 16;
    if (at == 0 || hit < at) {
        return 0;
    }
    if ((order & ACTION_LASTS) == 0 &&
        !atomic_compare_exchange_strong(&f->point[point].order, &order, 0)) {
        return 0; /* another thread carries it out, or the test has thought better of it */
    }
    int number = (int)(order & 0xfff);
    if ((order & ACTION_SIGNAL) != 0) {
        strike(point, hit, number);
        return 0;
    }
    return -number;
}

bool io_failpoint_kills(struct io *io, enum failpoint point)
{
    const struct failpoints *f = io->failpoints;
    if (f == NULL) {
        return false;
    }
    uint64_t order = atomic_load(&f->point[point].order);
    return (order & 0xffff) == (ACTION_SIGNAL | SIGKILL) &&
           order >> 16 <= atomic_load(&f->point[point].hits) + 1;
}
