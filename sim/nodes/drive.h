/* What a host keeps over the deaths of its processes: files and names.
 *
 * A killed process loses nothing that it has written. At a loss of power each unsynced sector is
 * kept or not by chance, as are the unsynced changes of a directory from some point on; what lies
 * in a directory that is lost is lost. */
#ifndef SIM_NODES_DRIVE_H
#define SIM_NODES_DRIVE_H

#include "base/rng.h"
#include "base/types.h"

#define SECTOR_BYTES 512u
#define DRIVE_TOP "/disk" /* the one directory that is always there */
#define DRIVE_BYTES (1u << 30)

struct io_file;

struct bytes {
    uint8_t *p;
    size_t n, cap;
};

struct extent {
    uint64_t at, n;
};

#define LATEST_MAX 4u

struct unsynced {
    struct unsynced *next;
    uint64_t at;
    size_t n; /* 0: the file was cut there, or made as long */
    uint8_t p[];
};

struct inode {
    uint32_t refs; /* names now and durable, changes of names, open files */
    bool is_directory;
    struct bytes now, durable;
    struct unsynced *first, *last;
    /* What came to the drive last. Nobody can tell bytes of the last write before a crash that went
     * bad from a write that was never finished (docs/repair.md), so these are spared. */
    struct extent latest[LATEST_MAX];
    uint32_t writes;
    const struct io_file *locked_by;
};

struct name {
    char *path;
    struct inode *inode;
};

struct names {
    struct name *v;
    size_t n, cap;
};

enum change_kind { CHANGE_LINK, CHANGE_UNLINK, CHANGE_RENAME, CHANGE_EXCHANGE };

struct name_change {
    enum change_kind kind;
    char *from, *to; /* the directory of `from` counts */
    struct inode *inode;
};

struct drive {
    struct names now, durable;
    struct name_change *changes; /* not synced, in order */
    size_t changes_n, changes_cap;
    uint64_t capacity;
    uint32_t refusals;        /* for want of room */
    bool fragile;             /* it may lose what it was trusted with */
    uint32_t harms;           /* bytes that went bad, and the like (harm.c) */
    qr_time stalled;          /* until then nothing is written or synced */
    uint32_t operations_left; /* that many from now on one fails, with -EIO; 0: none does */
    uint32_t reads_fail_each; /* the so manieth read fails, for a while; 0: none does */
    uint32_t reads;           /* since then */
    uint32_t errors;          /* how many have failed */
    uint64_t *felt;           /* the realm's; NULL: a copy, of which nothing is counted */
};

struct drive *drive_new(void);
void drive_free(struct drive *drive);

struct inode *drive_find(const struct drive *drive, const char *path);
/* 0 or a negative errno, as the calls of the system they are named for. */
int drive_make(struct drive *drive, const char *path, bool is_directory, struct inode **out);
int drive_rename(struct drive *drive, const char *from, const char *to);
int drive_exchange(struct drive *drive, const char *a, const char *b);
int drive_link(struct drive *drive, const char *from, const char *to);
int drive_unlink(struct drive *drive, const char *path);
int drive_sync_dir(struct drive *drive, const char *path);
uint64_t drive_free_bytes(const struct drive *drive);
/* Calls `each` with the last part of each name in that directory. */
int drive_list(const struct drive *drive, const char *path,
               void (*each)(void *context, const char *name), void *context);

void inode_hold(struct inode *inode);
void inode_drop(struct inode *inode);
void inode_write(struct inode *inode, const void *p, size_t n, uint64_t at);
void inode_truncate(struct inode *inode, uint64_t n);
void inode_sync(struct inode *inode);
/* What was to be synced may be on the drive or not, and a later sync does not try again. Returns
 * how many bytes are not. */
uint64_t inode_sync_failed(struct inode *inode, struct rng *rng);
/* Whether this operation is the one that fails. */
bool drive_fails(struct drive *drive);
/* The same of one that only reads: what a fragile drive cannot read is as good as gone. */
bool drive_fails_to_read(struct drive *drive);

/* How many bytes of it the copy does not have, or has as others. */
uint64_t drive_differs(const struct drive *drive, const struct drive *copy);
/* Returns how many bytes that were written are gone. */
uint64_t drive_lose_power(struct drive *drive, struct rng *rng);

/* What is on it now is what a loss of power would leave of the other in any case. */
void drive_restore(struct drive *drive, const struct drive *copy);
/* All that is on it is gone: so many bytes. */
uint64_t drive_wipe(struct drive *drive);
uint64_t drive_used_bytes(const struct drive *drive);

/* --- harm.c --------------------------------------------------------------------------------- */

/* Bytes that had long been synced are others now: a bit, a sector, or a block that belongs
 * elsewhere. False: there are none. */
bool drive_rot(struct drive *drive, struct rng *rng, char *what, size_t cap);
/* A write went where another belongs: there it is found, and here what was before. */
bool drive_misdirect(struct drive *drive, struct rng *rng, char *what, size_t cap);
/* A file that an operator writes, synced, with its name. */
void drive_put_file(struct drive *drive, const char *path, const char *text);

#endif
