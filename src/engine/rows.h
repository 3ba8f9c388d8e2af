/* The logical log: what an operation changes, as rows (L3).
 *
 * A row is a key with what it was before and what it is afterwards. The primary of a keyspace with
 * LOG logical executes a command when it takes it, and the log holds its rows: a follower needs not
 * execute anything, what the primary decided (by chance, by a clock, by the arithmetic of its
 * machine) is decided for all, and what was executed can be taken back.
 *
 * W1 Rows say all that the op has changed and nothing else, whatever the op was: they come from the
 *    store's changes, not from a knowledge of commands. The records of requests (IDS_DB) are among
 *    them; their counts follow from the records.
 * W2 Rows are bounded: keys and values before, and all that is written, by ROWS_BYTES_MAX each, and
 *    their number by CAPTURE_KEYS_MAX. An op that changes more goes as a statement, the op itself.
 * W3 So does an op that clears a database or exchanges two, that has to do with a value of more
 *    than LARGE_BYTES, before or after, or with blobs, and one of the node's own records
 *    (OP_SYSTEM). All commands there are can be repeated from their stamp and the state. A tick
 *    goes as rows, or as a tick.
 * W4 An entry is applied where the state is the one that it was made for: log time and every key
 *    that it names are looked at first. Where they differ nothing is changed and it is said: a
 *    replica that has become another one does not go on in silence.
 * W5 Rows may be applied again to the state that they have made, also to one that has some of them
 *    (they state what is, not what to do). A statement or a tick may not.
 * W6 Rows are undone by their images before, the newest entry first. Statements and ticks are not,
 *    but for SWAPDB, which undoes itself; what is behind them comes back from a checkpoint.
 * W7 What is executed or applied is the same state as if the op had been executed: both digests
 *    agree at every position. Undoing brings both back to what they were.
 * W8 A past (store/past.h) does not go back: undoing gives it up, and the node begins another one.
 *
 * An image of the state that is being written while something is undone is of no use: the caller
 * gives it up. */
#ifndef ENGINE_ROWS_H
#define ENGINE_ROWS_H

#include "engine/engine.h"
#include "engine/rows_format.h"

struct rows;

/* Room for one entry at a time, kept between ops; of one thread. */
struct rows *rows_new(void);
void rows_free(struct rows *rows);

/* Executes an op that op_read or op_peek has accepted, as engine_apply does. Returns the payload
 * of its entry, borrowed until the next one. Also what changed nothing has an entry: its stamp
 * moves log time, and its reply may show what is not committed. */
struct span rows_execute(struct rows *rows, struct engine *engine, struct span op,
                         struct reply *reply);
/* The same, but the entry is the op itself, whatever it changes: who has no room for images. */
struct span rows_statement(struct rows *rows, struct engine *engine, struct span op,
                           struct reply *reply);
/* The same with a tick. */
struct span rows_tick(struct rows *rows, struct engine *engine, qr_wall stamp);

enum rows_result {
    ROWS_DONE,
    ROWS_DIFFERENT, /* W4: the state is not the one that the entry was made for */
    ROWS_ONE_WAY,   /* W6: it cannot be undone */
};

/* Applies an entry that rows_read has accepted: on a follower, when it is committed. A statement's
 * reply goes nowhere. */
enum rows_result rows_apply(struct engine *engine, const struct rows_entry *entry);
/* Takes back the entry that was executed or applied last. */
enum rows_result rows_undo(struct engine *engine, const struct rows_entry *entry);
bool rows_can_undo(const struct rows_entry *entry);

/* Whether a statement log may hold the command itself: whether what it does follows from state,
 * arguments and stamp on every machine. All that there are can: INCRBYFLOAT brings its arithmetic
 * along (base/wide.h). One that could not would have to go as rows there, too, executed where it is
 * taken, with all before it applied. False for tags that are unknown. */
bool rows_is_pinned(uint16_t tag);

#endif
