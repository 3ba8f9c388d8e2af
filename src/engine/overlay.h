/* The overlay: what is executed here and not committed yet (LOG logical; design, section 2).
 *
 * The primary executes a command when it takes it, so its state shows writes that may still be
 * lost. A read that must not show them waits until the last of them that it could see is committed:
 * the overlay knows for each key the slot of the last write of it, and who reads other keys does
 * not wait at all.
 *
 * Y1 Entries come in ascending order of slots, leave from the front as they are committed, and from
 *    the back when they are taken back.
 * Y2 What a read could see is told by its keys: their last writes, and where one of them is due,
 *    the entry by whose log time it is, for that moment may be lost too. A statement may have
 *    changed any key. Who reads no keys but all of them (SCAN, DBSIZE) sees the last entry.
 * Y3 It is bounded by OVERLAY_BYTES_MAX: without room nothing more is executed, the commands wait
 *    outside. One entry may go beyond. All it has is accounted, in a sum that others share.
 * Y4 What cannot be undone stays: an undo that would have to reach behind it changes nothing and
 *    says so, and the state comes back from a checkpoint. Beside statements (W6) these are entries
 *    that are no rows and change the state: parts of blobs. */
#ifndef ENGINE_OVERLAY_H
#define ENGINE_OVERLAY_H

#include "command/command.h"
#include "engine/engine.h"

struct overlay;

/* `hash_key`: so that no client can choose keys that share a bucket; 16 bytes. `memory`: a sum that
 * it is part of, or NULL. */
struct overlay *overlay_new(const uint8_t *hash_key, uint64_t *memory);
void overlay_free(struct overlay *overlay);

/* Whether another op may be executed (Y3). */
bool overlay_has_room(const struct overlay *overlay);
uint64_t overlay_memory(const struct overlay *overlay); /* bytes, as accounted */

/* The entry at that slot is executed: the payload as rows_execute returned it, which is copied.
 * False: it cannot be taken back (Y4). */
bool overlay_add(struct overlay *overlay, qr_slot slot, struct span payload);
/* So is one that is no rows, and which changed what no read shows: Y4. One that changed nothing (a
 * no-op where nothing is staged) need not be told. */
void overlay_add_other(struct overlay *overlay, qr_slot slot, qr_wall log_time);

/* Entries up to that slot are committed. */
void overlay_release(struct overlay *overlay, qr_slot upto);

/* The last entry that is not committed; 0: there is none. */
qr_slot overlay_last(const struct overlay *overlay);
/* Which slot must be committed before the state may answer that read (Y2); 0: none. The arguments
 * as engine_read_arguments takes them; a command that is unknown or has too few sees all. */
qr_slot overlay_awaited(const struct overlay *overlay, const struct engine *engine,
                        const struct command_spec *spec, uint8_t db, const struct span *argv,
                        uint32_t argc);

enum overlay_result {
    OVERLAY_DONE,
    OVERLAY_ONE_WAY,   /* Y4: nothing was changed */
    OVERLAY_DIFFERENT, /* the state is not the one that the entries made: it is worth nothing */
};

/* Takes back all entries behind that slot, the newest first, in the engine that executed them. */
enum overlay_result overlay_undo(struct overlay *overlay, struct engine *engine, qr_slot behind);

/* Panics when an invariant of the inside does not hold; for tests. O(n). */
void overlay_check(const struct overlay *overlay);

#endif
