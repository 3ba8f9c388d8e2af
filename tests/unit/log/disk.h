/* A disk in memory for the log's tests: it implements the file half of io.h and the few calls of
 * the loop that the log uses, counts operations, fails the n-th, and loses power (P5).
 *
 * What was written but not synced survives a power loss sector by sector, by chance; directory
 * changes survive up to a random one. A killed process loses nothing that it wrote. Work handed to
 * helper threads waits until the test calls disk_step. */
#ifndef TESTS_UNIT_LOG_DISK_H
#define TESTS_UNIT_LOG_DISK_H

#include "base/rng.h"
#include "io/io.h"

struct io *disk_new(void);
void disk_free(struct io *disk);

/* Completes the oldest piece of work under way; false when there is none. */
bool disk_step(struct io *disk);
void disk_settle(struct io *disk); /* steps until there is none */

/* The process dies: work under way is dropped (its bytes may be written), open files are closed. */
void disk_kill(struct io *disk);
struct log;
void disk_kill_log(struct io *disk, struct log *log); /* with the log that used it (dead_log.c) */
/* The machine loses power: as above, and unsynced bytes and names survive by chance. */
void disk_power_loss(struct io *disk, struct rng *rng);

/* The disk as a power loss at this moment would leave it; this one goes on as if nothing was. */
struct io *disk_after_power_loss(const struct io *disk, struct rng *rng);

/* A copy of what is on the disk now, without anything under way. */
struct io *disk_copy(const struct io *disk);

/* Operation number n from now on (1: the next) fails with `error`; operations are writes, syncs,
 * truncations, creations, renames, removals and directory syncs. 0: none does. */
void disk_fail_at(struct io *disk, uint64_t n, int error);
/* So many reads are carried out, and no other one. */
void disk_end_reads(struct io *disk, uint64_t after);
/* The nth read from now on, of a size too or when a file is opened, fails with -EIO, and no other;
 * 0: none. */
void disk_fail_read(struct io *disk, uint64_t n);
uint64_t disk_operations(const struct io *disk);
void disk_set_capacity(struct io *disk, uint64_t bytes); /* beyond it writes get -ENOSPC */
void disk_advance(struct io *disk, qr_time by);          /* the clock */

/* Direct access for byte flips: file i of disk_files() in order of name. */
size_t disk_files(const struct io *disk);
const char *disk_name(const struct io *disk, size_t i);
uint8_t *disk_bytes(struct io *disk, size_t i, size_t *n);
void disk_cut(struct io *disk, size_t i, size_t n); /* makes it n bytes long */
void disk_remove(struct io *disk, size_t i);

#endif
