/* Getting another node's checkpoint, because the log that this node lacks is there no more
 * (decision 022; rows L5-L8, U15-U22; scenarios 27, 28, 41, 56, 58, 63).
 *
 *   IDLE -> REREADING   what an earlier life or connection has left of the same file is read back
 *        -> PULLING     bytes come; whole blocks are checked, loaded into a new engine and written
 *        -> SYNCING     a helper thread makes the file durable
 *        -> WHOLE       once no checkpoint is being written the protocol is asked; it installs the
 *                       snapshot, or the file goes
 *
 * The state in force serves meanwhile and is not touched. Nothing of a file counts before its last
 * byte was right: what is damaged, foreign or no longer there is dropped, told, and never
 * installed. A full disk ends the attempt; it is made again later. */
#ifndef NODE_SNAPSHOT_FETCH_H
#define NODE_SNAPSHOT_FETCH_H

#include "node/snapshot.h"
#include "node/snapshot_figures.h"

struct engine;
struct partition;
struct fetch;
struct checkpoint_header;

struct fetch *fetch_new(struct partition *partition);
void fetch_free(struct fetch *fetch);

void fetch_on_offer(struct fetch *fetch, node_index from, const struct snapshot_offer *offer);
void fetch_on_data(struct fetch *fetch, node_index from, const struct snapshot_piece *piece,
                   struct span bytes);
void fetch_on_gone(struct fetch *fetch, node_index from, uint64_t file);
void fetch_peer(struct fetch *fetch, node_index peer, bool up);

/* Once a turn; true: it wants another one at once. */
bool fetch_turn(struct fetch *fetch, qr_time now);

/* There is nothing to do nor to wait for, nor was anything left by an earlier life. */
bool fetch_is_idle(const struct fetch *fetch, qr_time now);

/* It has nothing but what an earlier life has left. */
bool fetch_waits(const struct fetch *fetch);

/* Something is being fetched, and its source gives it. NULL: nothing is; so for the next. */
bool fetch_has_hope(const struct fetch *fetch, qr_time now);

/* No checkpoint may begin: one that was received is about to take its place. */
bool fetch_is_whole(const struct fetch *fetch);

/* The protocol has decided, in the step of EVENT_OFFER: the received file becomes the checkpoint,
 * durably, and the engine is the caller's. *out says what was installed. 0 or a negative errno. */
int fetch_install(struct fetch *fetch, struct engine **engine,
                  const struct checkpoint_header **out);

/* For INFO and metrics. */
void fetch_figures(const struct fetch *fetch, struct fetch_figures *out);
size_t fetch_memory(const struct fetch *fetch); /* that waits to be loaded or written */

#endif
