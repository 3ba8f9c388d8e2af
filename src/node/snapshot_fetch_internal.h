/* Shared by snapshot_fetch.c (what is asked for and what comes) and snapshot_file.c (what becomes
 * of it). */
#ifndef NODE_SNAPSHOT_FETCH_INTERNAL_H
#define NODE_SNAPSHOT_FETCH_INTERNAL_H

#include "node/checkpoint_format.h"
#include "node/checkpoint_place.h"
#include "node/page_file.h"
#include "node/snapshot_fetch.h"

enum phase { IDLE, REREADING, PULLING, SYNCING, WHOLE, DROPPING };

struct fetch {
    struct node *node;
    struct partition *partition;
    enum phase phase;
    node_index source;
    struct snapshot_offer offer;
    struct checkpoint_reader reader; /* of the new engine */
    struct roster roster;            /* from its header */
    struct page_file pages;

    uint8_t *in; /* what has come from reader.offset on: in[in_at .. in_n) */
    size_t in_at, in_n;
    bool busy;        /* the source has clients to serve */
    qr_time load_due; /* so nothing is loaded before then */
    qr_time told_at;  /* when the leader was told how far it is, while another one gives */
    uint64_t asked;   /* the source sends up to here */
    qr_time began, heard, asked_at;
    uint64_t resumed_at;
    bool installing, installed; /* in the step of the offer */
    bool keep_file;             /* dropped, but what is there may be gone on with */
    int sync_error;
    bool working; /* a helper thread is at the file */
    bool closing;

    bool left; /* an earlier life has left a file of this slot, and it was not gone on with */
    qr_slot left_slot; /* 0: not known */
    uint64_t refused_file;
    qr_time not_before;
    char path[CHECKPOINT_PATH_MAX];
    struct fetch_figures figures;
};

/* Whether the header is of this cluster and group. */
bool fetch_is_ours(const struct fetch *f, const struct checkpoint_header *h);

/* --- snapshot_file.c ------------------------------------------------------------------------ */

/* Gives up what there is; the file goes too, unless keep_file. IDLE once the disk is done. */
void fetch_drop(struct fetch *f);
/* Looks whether an earlier life has left one; gives that up. */
void fetch_look_for_left(struct fetch *f);
void fetch_drop_left(struct fetch *f);

/* Opens what is there, beside a new engine; false when it is no beginning of the file offered. */
bool fetch_open_beginning(struct fetch *f);
/* A new engine and an empty file; false when that fails, which is told. */
bool fetch_start_afresh(struct fetch *f);
/* Pages go on behind what the reader has read; false when the file cannot be read. */
bool fetch_rewind_to_block(struct fetch *f);
/* All of it is loaded: the rest is written, and synced. */
void fetch_begin_syncing(struct fetch *f);

#endif
