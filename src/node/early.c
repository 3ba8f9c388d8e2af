#include "node/early.h"

#include "node/checkpoint.h"
#include "node/checkpoint_place.h"
#include "node/node.h"
#include "node/run.h"

#include <errno.h>

static void path_of(const struct partition *p, char path[CHECKPOINT_PATH_MAX])
{
    checkpoint_path(path, p->node->config.dir, p->group, EARLY_FILE);
}

static int write_note(const struct partition *p)
{
    struct io *io = p->node->io;
    char path[CHECKPOINT_PATH_MAX];
    struct io_file *file = NULL;
    path_of(p, path);
    int error = checkpoint_make_dir(io, p->node->config.dir, p->group);
    error = error < 0 ? error : io_file_open(io, path, IO_CREATE | IO_WRITE, &file);
    if (error < 0 && error != -EEXIST) {
        return error;
    }
    if (error == 0) { /* that it is there says all */
        io_file_close(file);
    }
    return checkpoint_sync_dir(io, p->node->config.dir, p->group);
}

static void remove_note(struct partition *p)
{
    struct io *io = p->node->io;
    char path[CHECKPOINT_PATH_MAX];
    path_of(p, path);
    int error = io_unlink(io, path);
    error = error == -ENOENT ? 0 : error;
    error = error < 0 ? error : checkpoint_sync_dir(io, p->node->config.dir, p->group);
    if (error < 0) { /* it stays true for longer than it need be */
        node_disk_failed(p->node, "the note of early acknowledgements cannot be removed", error);
        return;
    }
    p->early = false;
    p->early_until = 0;
}

bool early_open(struct partition *p)
{
    char path[CHECKPOINT_PATH_MAX];
    struct io_file *file = NULL;
    if (p->early) {
        return false; /* of this life */
    }
    path_of(p, path);
    int error = io_file_open(p->node->io, path, 0, &file);
    if (error == 0) {
        io_file_close(file);
    }
    p->early = error != -ENOENT; /* also where it cannot be looked at */
    return p->early;
}

bool early_begins(struct partition *p)
{
    p->early_until = 0;
    if (p->early) {
        return true;
    }
    int error = write_note(p);
    if (error < 0) {
        node_disk_failed(p->node, "the note of early acknowledgements cannot be written", error);
        return false;
    }
    p->early = true;
    return true;
}

void early_ends(struct partition *p)
{
    if (p->early) {
        p->early_until = log_position(p->node->log);
        partition_expects(p, p->early_until);
    }
}

void early_turn(struct partition *p)
{
    if (p->early_until != 0 && log_durable(p->node->log) >= p->early_until) {
        remove_note(p);
    }
}

void early_stop(struct node *node)
{
    for (uint32_t i = 0; log_idle(node->log) && i < node->partitions.count; i++) {
        struct partition *p = partitions_at(&node->partitions, i);
        if (p->early && p->replica != NULL && !p->loading) {
            remove_note(p);
        }
    }
}
