/* A node's life: made from its configuration, run until it is told to stop (or must). */
#ifndef NODE_RUN_H
#define NODE_RUN_H

#include "node/config.h"

struct node;

enum node_log_level { NODE_LOG_DEBUG, NODE_LOG_VERBOSE, NODE_LOG_NOTICE, NODE_LOG_WARNING };

/* Opens the data directory, recovers, listens. NULL with one sentence for people in `message`: what
 * is wrong and what to do about it. */
struct node *node_new(const struct config *config, char *message, size_t cap);

/* Runs the loop. Returns the exit code: 0 after node_stop, 1 after node_fail. */
int node_run(struct node *node);

/* An orderly end: no new commands, what is pending is finished or refused, the log is flushed. */
void node_stop(struct node *node);

/* The environment failed (a write, a sync, a damaged entry): the node stops at once, answers
 * nothing more, and says why (R7). */
void node_fail(struct node *node, const char *why);
/* A small file of the data directory could not be written or deleted: `error` is a negative errno.
 * Where there is only no room for it that is told and the node goes on; else it stops. */
void node_disk_failed(struct node *node, const char *what, int error);

void node_free(struct node *node);

/* A setting was changed by CONFIG SET. */
void node_config_changed(struct node *node, const char *name);

void node_log(struct node *node, enum node_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for what goes on for long: a text is written once, and again every minute. */
void node_log_rarely(struct node *node, enum node_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
