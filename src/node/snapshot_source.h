/* Giving this node's checkpoint to members that need it (decision 022; rows L5, L7, U15-U22).
 *
 * A follower pulls, so all that is known of it here is how far it asks. One file is open for all of
 * them. While it is read it stays, whatever newer checkpoints take its name, and the log behind its
 * slot stays; ten seconds without a read end that. Who repairs himself needs nothing more when all
 * of the file went out and little came behind it: that ends it at once when it is small, else a
 * second later, for others wait. Any
 * node that has the file answers, leader or not. Pieces go out as the follower asks, as its
 * connection takes them, and no faster than snapshot-bytes-per-second, which is for all groups
 * together. */
#ifndef NODE_SNAPSHOT_SOURCE_H
#define NODE_SNAPSHOT_SOURCE_H

#include "node/snapshot.h"
#include "node/snapshot_figures.h"

struct partition;
struct source;

struct source *source_new(struct partition *partition);
/* What a helper thread still holds is freed when it is done: before io_free. */
void source_free(struct source *source);

/* The protocol wants `to` brought up by a checkpoint that holds the state up to `least` (again and
 * again while it does). */
void source_wanted(struct source *source, node_index to, qr_slot least);
/* The leader has this node give its checkpoint to that member, if it holds the state up to a slot
 * from `least` to `most`. */
void source_ordered(struct source *source, node_index to, qr_slot least, qr_slot most);
/* A member says how far it is with the checkpoint of another one. */
void source_on_progress(struct source *source, node_index from,
                        const struct snapshot_progress *progress);
/* A member that repairs itself asks for one, best up to `least` or later: it is offered the newest
 * that can be had. */
void source_asked(struct source *source, node_index to, qr_slot least);
/* This node's state is wrong, so its file may be: whoever has begun with it is not to finish. */
void source_distrust(struct source *source);

/* False: it asks for what cannot be. */
bool source_on_read(struct source *source, node_index from, const struct snapshot_piece *piece);
/* The follower has found that file unusable: it gets another one. */
void source_on_refused(struct source *source, node_index from, uint64_t file);
void source_peer_down(struct source *source, node_index peer);

/* Nothing is wanted or given; and: nobody reads what was offered before that time. */
bool source_is_idle(const struct source *source);
bool source_is_unused(const struct source *source, qr_time before);

/* Once a turn. */
void source_turn(struct source *source, qr_time now);

/* The following do with NULL: there is none.
 *
 * A member waits for a checkpoint that holds the state up to the returned slot; 0: none does. */
qr_slot source_wants(const struct source *source);
/* A new checkpoint is in its place. */
void source_checkpointed(struct source *source);

/* Entries behind this slot are still needed by members that are being brought up; 0: no member is.
 */
qr_slot source_pin(const struct source *source);

/* The open file is not the checkpoint in force any more: its blocks must not be written over. */
bool source_holds_old_file(const struct source *source, uint64_t in_force);

/* How far a member is, for INFO. */
struct source_progress {
    bool active;
    uint32_t giver;       /* id of the node that gives it; 0: this one */
    uint64_t sent, total; /* bytes of the file */
    uint64_t bytes_per_second;
};
struct source_progress source_progress_of(const struct source *source, node_index member);

const struct source_figures *source_figures(const struct source *source);

#endif
