/* `quorate up`, a cluster on one machine: what its files share.
 *
 * up.c        arguments and the loop that watches over the nodes
 * up_data.c   the data directory, its configuration files, the ports
 * up_child.c  one node: a process, its output, its signs of life */
#ifndef MAIN_UP_H
#define MAIN_UP_H

#include "base/limits.h"
#include "base/types.h"

#include <sys/types.h>

#define UP_PATH_MAX 1024
#define UP_LINE_MAX 4096 /* of a node's output; a longer line is broken */
/* From a node's port to the one for cluster-aware clients, the one for clients that ask a sentinel,
 * and that of its figures. */
#define UP_CLUSTER_OFFSET 100
#define UP_SENTINEL_OFFSET 200
#define UP_METRICS_OFFSET 300
#define UP_OPTIONS_MAX 64 /* arguments passed on to every server; more are refused */

struct up_options {
    uint32_t nodes;     /* 0: as the data directory says, or 3 */
    uint32_t base_port; /* 0: as the data directory says, or 7001 */
    char data[UP_PATH_MAX];
    bool restart;
    char *server_options[UP_OPTIONS_MAX]; /* borrowed from argv */
    int server_option_count;
};

struct up_child {
    uint32_t id; /* of the node, 1.. */
    uint16_t port;
    char config_path[UP_PATH_MAX], new_path[UP_PATH_MAX], identity_path[UP_PATH_MAX];
    char notify_name[64]; /* NOTIFY_SOCKET of the node */
    int notify_fd;        /* where it reports */
    int output_fd;        /* what it prints; -1 when nothing can come any more */
    pid_t pid;            /* 0: not running */
    bool ready;           /* has reported READY=1 since it was started */
    bool was_ready;       /* ... since we were */
    qr_time restart_at;   /* when a dead one is started again */
    char line[UP_LINE_MAX];
    size_t line_n;
};

/* --- up_data.c: all print what is wrong to standard error and return false ------------------ */

/* Makes the data directory, or checks that the options agree with the one that is there; fills in
 * nodes, base_port and the absolute path. Holds a lock on it until the process ends. */
bool up_data_open(struct up_options *options, char *cluster_id, size_t cap);
/* The paths of one node below it. */
void up_data_paths(const struct up_options *options, struct up_child *child);
/* Whether this node's directory has yet to be made: only ever true until its first start. A
 * directory that vanished later is not made again, since an empty one would forget promises. */
bool up_data_is_new(const struct up_child *child);
/* Notes that the node's directory has been made. */
void up_data_is_made(const struct up_child *child);
/* Whether all ports are free. */
bool up_ports_free(const struct up_options *options);

/* --- up_child.c ----------------------------------------------------------------------------- */

bool up_child_init(struct up_child *child);
/* Starts the process; it dies with us, however we end. */
bool up_child_start(struct up_child *child, const struct up_options *options);
/* Passes on what the node printed, line by line, each with the node's number before it. */
void up_child_output(struct up_child *child);
/* Reads what the node reports; true when it has just become ready. */
bool up_child_report(struct up_child *child);
void up_child_signal(const struct up_child *child, int signal_number);

#endif
