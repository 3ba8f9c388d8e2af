/* Failpoints: named places where a test may end this process by kill -9, stop it, or make the disk
 * report an error. failpoints.def lists them.
 *
 * Only test and sanitizer builds have them (QUORATE_FAILPOINTS). In a release build the calls below
 * are constants and leave nothing behind; tools/failpoints.sh proves it.
 *
 * A file that the environment variable QUORATE_FAILPOINTS names is mapped at start, if there is
 * one; it arms the points and counts how often each was reached, also while the process runs and
 * over its deaths. So the table belongs to the test, and there is no state here. */
#ifndef IO_FAILPOINT_H
#define IO_FAILPOINT_H

#include "base/types.h"

struct io;
struct failpoints; /* the table, mapped */

enum failpoint {
    FAIL_NOWHERE,
#define FAILPOINT(name, life, errors, text) FAIL_##name,
#include "io/failpoints.def"
#undef FAILPOINT
    FAIL_COUNT
};

/* A kind of file that is written by io_file_write_sync has its points in this order. */
enum { FAIL_AT_WRITE, FAIL_AT_TORN, FAIL_AT_SYNC, FAIL_AT_SYNCED };

static inline enum failpoint failpoint_at(enum failpoint first, unsigned step)
{
    return first == FAIL_NOWHERE ? first : (enum failpoint)(first + step);
}

#ifdef QUORATE_FAILPOINTS

/* The process has come to this point; any thread may call it. Returns 0, or the negative errno that
 * the test wants the disk to have. Without a table it does nothing. */
int io_failpoint(struct io *io, enum failpoint point);

/* Whether reaching the point once more would be the death of the process: then the place may leave
 * half of its work behind. */
bool io_failpoint_kills(struct io *io, enum failpoint point);

/* Maps the table, or returns NULL; a table that does not fit the list ends the process. */
struct failpoints *failpoints_map(void);
void failpoints_unmap(struct failpoints *failpoints);

#else

static inline struct failpoints *failpoints_map(void)
{
    return NULL;
}

static inline void failpoints_unmap(struct failpoints *failpoints)
{
    (void)failpoints;
}

static inline int io_failpoint(struct io *io, enum failpoint point)
{
    (void)io;
    (void)point;
    return 0;
}

static inline bool io_failpoint_kills(struct io *io, enum failpoint point)
{
    (void)io;
    (void)point;
    return false;
}

#endif
#endif
