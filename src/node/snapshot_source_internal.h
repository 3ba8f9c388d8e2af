/* Shared by snapshot_source.c (the own file, and who reads it) and snapshot_givers.c (how far
 * members are, and others that give theirs). */
#ifndef NODE_SNAPSHOT_SOURCE_INTERNAL_H
#define NODE_SNAPSHOT_SOURCE_INTERNAL_H

#include "node/checkpoint_format.h"
#include "node/feed.h"
#include "node/snapshot_source.h"

#define PIN_TIME (10 * QR_SECOND) /* without a read */

struct follower {
    bool repairs;        /* it has asked itself: its replica does not run */
    bool ordered;        /* the leader has: it feeds it afterwards */
    qr_slot least, most; /* the file holds the state up to a slot between these */
    qr_time offered;
    qr_time wanted;      /* when that was last said */
    uint64_t next, end;  /* it asks for these bytes of the file */
    uint64_t sent;       /* of the file: up to here, */
    qr_time all_sent;    /* since then */
    qr_time began, read; /* its first and its last read of the file; 0: none */
    uint64_t began_at;   /* offset of the first */
    qr_slot match;       /* once it has installed: where it stands */

    /* Where another member gives it (snapshot_givers.c): what it says of that. */
    node_index giver; /* NODE_NONE: this node gives it */
    uint16_t failed;  /* those that were asked before, in vain */
    qr_time named;    /* when the giver was asked first */
    qr_slot slot;     /* of its file; 0: not heard of */
    uint64_t total;   /* bytes of that */
};

/* The one read under way, of whole blocks of the disk: past the page cache, which would not see
 * these bytes twice. */
struct job {
    struct source *source;
    struct io_file *file;
    uint64_t offset; /* of the bytes that are wanted, */
    size_t n;
    size_t ahead; /* and so many that are read before them */
    int64_t got;
    uint8_t *block; /* SNAPSHOT_READ_BYTES and a block at either end */
};

struct source {
    struct node *node;
    struct partition *partition;
    struct io_file *file;            /* NULL: none is open */
    struct checkpoint_header header; /* of the open file */
    struct follower follower[MEMBERS_MAX];
    uint16_t wanting;        /* those for whom the protocol wants it, and who do not read yet */
    uint16_t served;         /* those of whom `read` or `giver` is said, and perhaps more */
    node_index turn, job_to; /* whose piece was read last; whose is read now */
    bool reading, closing;
    struct job *job; /* its memory; freed with the file */
    uint64_t refused_file;
    uint64_t distrusted; /* the file that was open when this node's state was found to be wrong */
    qr_slot unusable;    /* the checkpoint at this slot could not be opened, or was refused */
    qr_slot told_of;     /* the checkpoint of which that was told last */
    struct demand demand;
    struct source_figures figures;
};

/* --- snapshot_givers.c ------------------------------------------------------------------------ */

/* The protocol wants that member brought up: true when another one is to give its checkpoint. */
bool givers_name(struct source *source, node_index to, qr_time now);
/* It reads this node's file, or nobody's any more. */
void givers_forget(struct follower *follower);
/* Once a turn: how far those are that are brought up, and who has come to nothing. */
void givers_watch(struct source *source, qr_time now);
/* Whether another member gives or is to give its checkpoint. */
bool givers_are_at_it(const struct source *source);

#endif
