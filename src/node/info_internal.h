/* What info.c and info_raft.c share. */
#ifndef NODE_INFO_INTERNAL_H
#define NODE_INFO_INTERNAL_H

#include "node/local_internal.h"

/* Appends a formatted line and "\r\n"; `out` is a growing buffer. */
void info_line(struct reply *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline unsigned info_percent(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : (unsigned)((double)part * 100 / (double)whole);
}

void info_replication(struct node *node, struct reply *out);
void info_keyspaces(struct node *node, struct reply *out);
void info_raft(struct node *node, struct reply *out);
void info_detector(struct node *node, struct reply *out);
void info_quorate(struct node *node, struct reply *out);
/* info_snapshot.c */
void info_sync_lines(const struct node *node, struct reply *out);
void info_snapshot_lines(const struct node *node, struct reply *out);

void info_digest(struct node *node, struct reply *out); /* in builds with failpoints only */

#endif
