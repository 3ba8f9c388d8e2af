/* The discard journal of a keyspace on this node (R8; docs/discards.md): what its strategy has
 * taken back or thrown away, with the reason, on disk, for people to read.
 *
 *   J1 An entry is on disk before anybody forgets it: `ended` is called with DISCARDS_DONE only
 *      when all that was added since discards_begin is durable. A log is cut after that, not
 *      before.
 *   J2 A ring of segments, bounded in bytes. What makes room is counted, durably, before it goes.
 *      What cannot be read any more is counted, what is longer than may be kept is cut and says so.
 *      At all times
 *          numbers given = kept + regained + overflowed + damaged.
 *   J3 The same slot and term of a group is one entry, however often it is added: a rollback that a
 *      crash or a full disk has ended begins again from its beginning.
 *   J4 It is true: an entry that a log holds again after all (the crash came between the journal
 *      and the cut; or it came back from a member that had it) is *regained*, and is not shown as
 *      discarded. The owner says so (discards_regain), at a start for all that the log holds.
 *      What was *given up* (DISCARD_GIVEN_UP) is one entry for each term that it was given up to,
 *      apart from J3, and regained when its replica has it again (discards_again).
 *   J5 A full disk ends what was begun (DISCARDS_NO_ROOM), of which a part may be durable; the
 *      owner cuts nothing and tries again later. Any other error of a write is final for the node
 *      (R7), as it is in the log.
 *   J6 A file is written from its beginning to its end in one life, and never again. A tail that
 *      was not durable when the power went is cut off; damage below what was durable is said.
 *
 * Each segment of a journal is a file DIR/discards/KEYSPACE/NUMBER, as discards_format.h says. The
 * journal of a keyspace stays when its partitions leave the node. Memory: two chunks, and runs of
 * slots (`struct discards_run`), bounded by DISCARDS_RUNS for each segment. */
#ifndef NODE_DISCARDS_H
#define NODE_DISCARDS_H

#include "io/io.h"
#include "node/discards_format.h"

#define DISCARDS_DIR "discards"

struct discards;

enum discards_result {
    DISCARDS_DONE = 0,
    DISCARDS_NO_ROOM, /* J5: begin again later */
    DISCARDS_FAILED,  /* the disk lies: the node stops */
    DISCARDS_LATER,   /* what was added is on its way */
};

struct discards_owner {
    /* There is room again for what was not taken. */
    void (*wake)(void *context);
    /* What discards_begin began has ended, and discards_end has been called; another one may begin.
     * Both are called by the loop, never from within a call of this module. */
    void (*ended)(void *context, enum discards_result result, int error);
    void *context;
};

/* What opening found that people should hear of. */
struct discards_found {
    uint32_t torn_bytes;   /* of the last segment, never durable: cut off */
    uint32_t unread_files; /* whose beginning is damaged: how many entries were in the last of them
                             * nobody knows */
    uint64_t damaged;      /* entries that cannot be read any more */
};

/* Opens the journal of that keyspace in that data directory, whether there is one or not; nothing
 * is made before the first entry. It holds about bytes_max bytes (DISCARDS_BYTES). NULL with a
 * sentence in `message`: it cannot be read, or a later version wrote it; nothing may be discarded
 * then. Blocks on the disk: for starts. */
struct discards *discards_open(struct io *io, const char *dir, uint32_t keyspace,
                               uint64_t bytes_max, struct discards_found *found, char *message,
                               size_t cap);
/* What is under way ends by itself, and its owner hears nothing more of it. */
void discards_close(struct discards *discards);
/* Calls `each` for every keyspace with a journal in that data directory. 0 or a negative errno. */
int discards_list(struct io *io, const char *dir, void (*each)(void *context, uint32_t keyspace),
                  void *context);

/* --- Writing -------------------------------------------------------------------------------- */

/* Whether something is under way: nothing else may begin then. */
bool discards_busy(const struct discards *discards);
/* The owner's struct must live until `ended`. */
void discards_begin(struct discards *discards, const struct discards_owner *owner);
/* Adds an entry; number, and how much of the payload is kept, are the journal's to set. False: no
 * room now, ask again when `wake` was called. J3: what it has already is taken, and nothing done.
 */
bool discards_add(struct discards *discards, const struct discard *entry);
/* Slots lo to hi of that group and term are in its log again, or still (J4). True also where none
 * of them is in the journal; false: no room now, as above. Only after discards_begin. */
bool discards_regain(struct discards *discards, uint32_t group, qr_slot lo, qr_slot hi,
                     qr_term term, qr_wall at);
/* Whether discards_regain would do anything: cheap, for what is appended to a log. */
bool discards_has(const struct discards *discards, uint32_t group, qr_slot lo, qr_slot hi,
                  qr_term term);
/* Behind that slot it names nothing of that group that was not regained. */
qr_slot discards_last_slot(const struct discards *discards, uint32_t group);
/* The latest term that something of that group was given up to, and not regained; 0: none. */
qr_term discards_gave_up(const struct discards *discards, uint32_t group);
/* What was given up to a term behind that one is here again: as discards_regain. */
bool discards_again(struct discards *discards, uint32_t group, qr_term since, qr_wall at);
/* Nothing more is added. DISCARDS_LATER: `ended` follows. Any other is the end itself, with its
 * error in *error. */
enum discards_result discards_end(struct discards *discards, int *error);

/* --- Reading -------------------------------------------------------------------------------- */

struct discards_stats {
    uint64_t total;      /* ever discarded; never falls: the number of the last entry */
    uint64_t kept;       /* of them can be read */
    uint64_t regained;   /* were not discarded after all */
    uint64_t overflowed; /* have made room */
    uint64_t damaged;    /* cannot be read any more */
    uint64_t bytes_total, overflowed_bytes; /* payloads, as far as they were kept */
    uint64_t blind; /* slots ever of which nothing is known but that they were discarded */
    uint64_t disk_bytes;
    uint64_t oldest; /* number of the oldest entry that can be read; 0: there is none */
    uint32_t segments;
    uint32_t unread_files;
};
/* Of what is durable. */
void discards_stats(const struct discards *discards, struct discards_stats *out);

/* What a scan finds: an entry, whether it was regained; or, `unread`, that so many from
 * entry.number on cannot be read. */
struct discards_item {
    struct discard entry;
    bool regained;
    uint64_t unread;
};

#define DISCARDS_BEGINNING 0u

/* Calls `each` for up to `count` items that are durable, oldest first, until their payloads have
 * DISCARDS_READ_BYTES. It begins with entry number `cursor`, or the oldest that is there; *next is
 * the cursor to go on with, 0 at the end. What has made room meanwhile is passed over: the numbers
 * show it. Returns 0, or the error of a read, and then `each` may have been called. What turns out
 * to be damaged is counted (J2) and given as `unread`. Blocks on the disk for a few reads. */
int discards_scan(struct discards *discards, uint64_t cursor, uint32_t count,
                  void (*each)(void *context, const struct discards_item *item), void *context,
                  uint64_t *next);

#endif
