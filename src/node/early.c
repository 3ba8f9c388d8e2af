#include "node/early.h"

#include "node/checkpoint.h"
#include "node/checkpoint_place.h"
#include "node/node.h"
#include "node/run.h"

#include <errno.h>
#include <string.h>

static void path_of(const struct partition *p, char path[CHECKPOINT_PATH_MAX])
{
    checkpoint_path(path, p->node->config.dir, p->group, EARLY_FILE);
}

enum early early_of(enum ack_stage stage)
{
    return stage == ACK_RECEIVED  ? EARLY_RECEIVED
           : stage == ACK_WRITTEN ? EARLY_WRITTEN
                                  : EARLY_NOT;
}

/* In place: whatever a crash leaves of a name is none. */
static int write_name(struct io *io, struct io_file *file, enum early kind)
{
    char boot[IO_BOOT_BYTES];
    io_boot(io, boot);
    int error = io_file_truncate(file, 0);
    if (error == 0 && kind == EARLY_WRITTEN && boot[0] != 0) {
        int64_t n = io_file_pwrite(file, boot, strlen(boot), 0);
        error = n < 0 ? (int)n : 0;
    }
    return error == 0 ? io_file_sync(file) : error;
}

static int write_note(const struct partition *p, enum early kind)
{
    struct io *io = p->node->io;
    char path[CHECKPOINT_PATH_MAX];
    struct io_file *file = NULL;
    path_of(p, path);
    int error = checkpoint_make_dir(io, p->node->config.dir, p->group);
    error = error < 0 ? error : io_file_open(io, path, IO_WRITE, &file);
    error = error == -ENOENT ? io_file_open(io, path, IO_CREATE | IO_WRITE, &file) : error;
    if (error < 0) {
        return error;
    }
    error = write_name(io, file, kind);
    io_file_close(file);
    return error < 0 ? error : checkpoint_sync_dir(io, p->node->config.dir, p->group);
}

static int remove_note(const struct partition *p)
{
    struct io *io = p->node->io;
    char path[CHECKPOINT_PATH_MAX];
    path_of(p, path);
    int error = io_unlink(io, path);
    error = error == -ENOENT ? 0 : error;
    return error < 0 ? error : checkpoint_sync_dir(io, p->node->config.dir, p->group);
}

static bool set_note(struct partition *p, enum early kind)
{
    int error = kind == EARLY_NOT ? remove_note(p) : write_note(p, kind);
    if (error < 0) { /* that which is there stays true for longer than it need be */
        node_disk_failed(p->node, "the note of early acknowledgements cannot be set", error);
        return false;
    }
    p->early = kind;
    return true;
}

/* Whether it names the run of the machine that goes on still. */
static bool names_this_run(struct io *io, struct io_file *file)
{
    char boot[IO_BOOT_BYTES], named[IO_BOOT_BYTES] = { 0 };
    io_boot(io, boot);
    return io_file_pread(file, named, sizeof named - 1, 0) > 0 && strcmp(boot, named) == 0;
}

bool early_open(struct partition *p)
{
    char path[CHECKPOINT_PATH_MAX];
    struct io_file *file = NULL;
    if (p->early != EARLY_NOT) {
        return false; /* of this life */
    }
    path_of(p, path);
    int error = io_file_open(p->node->io, path, 0, &file);
    bool whole = error == 0 && names_this_run(p->node->io, file);
    io_file_close(file);
    if (error != -ENOENT) { /* also where it cannot be looked at */
        p->early = whole ? EARLY_WRITTEN : EARLY_RECEIVED;
    }
    return p->early == EARLY_RECEIVED;
}

bool early_begins(struct partition *p, enum early kind)
{
    p->early_until = 0;
    return kind <= p->early || set_note(p, kind);
}

void early_ends(struct partition *p, enum early kind)
{
    if (p->early > kind) {
        p->early_until = log_position(p->node->log);
        p->early_next = kind;
        partition_expects(p, p->early_until);
    }
}

void early_turn(struct partition *p)
{
    if (p->early_until != 0 && log_durable(p->node->log) >= p->early_until &&
        set_note(p, p->early_next)) {
        p->early_until = 0;
    }
}

void early_stop(struct node *node)
{
    for (uint32_t i = 0; log_idle(node->log) && i < node->partitions.count; i++) {
        struct partition *p = partitions_at(&node->partitions, i);
        if (p->early != EARLY_NOT && p->replica != NULL && !p->loading) {
            (void)set_note(p, EARLY_NOT);
        }
    }
}

void early_failed(struct node *node)
{
    for (uint32_t i = 0; i < node->partitions.count; i++) {
        struct partition *p = partitions_at(&node->partitions, i);
        if (p->early == EARLY_WRITTEN) {
            (void)write_note(p, EARLY_RECEIVED); /* it need not succeed: this disk has failed */
        }
    }
}
