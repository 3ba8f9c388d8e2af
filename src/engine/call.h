/* One command being executed: what every handler of this directory gets, and the steps that they
 * share. Private to the engine. */
#ifndef ENGINE_CALL_H
#define ENGINE_CALL_H

#include "command/command.h"
#include "engine/engine_internal.h"

struct call {
    struct engine *engine;
    struct reply *reply;
    const struct command_spec *spec;
    const struct span *argv; /* the command's name is left out: argv[0] is the first argument */
    uint32_t argc;
    struct rope **ropes; /* of arguments that came as blobs; NULL: none did */
    uint64_t seed;
    qr_wall now; /* log time; for a read the leader's clock when that is later */
    uint8_t db;
    bool due; /* a read met a key that is due at `now` but not yet by log time */
    /* A read as of a slot: `now` is the log time of then. */
    bool is_as_of;
    bool lost; /* it met a key of which nobody knows what it was */
    qr_slot as_of;
};

typedef void handler(struct call *c);

/* The handlers are declared by the table of commands itself. */
#define READ(tag, ident, ...) void engine_cmd_##ident(struct call *c);
#define WRITE(tag, ident, ...) void engine_cmd_##ident(struct call *c);
#include "command/commands.def"

/* --- Keys (lookup.c) ------------------------------------------------------------------------ */

/* The live item, for looking at: a due key is absent, and stays where it is. Counts hits and
 * misses. Sets c->due when the answer depends on a tick that has not been applied. */
struct item *find_for_read(struct call *c, uint8_t db, struct span key);

/* The live item, for a command that may change it: a due key is removed first. Only in writes. */
struct item *find_for_write(struct call *c, uint8_t db, struct span key);

/* Whether a command that looks at a whole database has to wait for a tick; sets c->due. */
bool must_wait_for_tick(struct call *c);

/* --- Arguments (args.c): false when an error was replied ------------------------------------ */

/* Whether the argument is this word, in any case, as far as C strings go: Redis compares so. */
bool arg_is(struct span s, const char *word);

/* A decimal integer as Redis takes it (base/number.h). */
bool arg_integer(struct call *c, struct span s, int64_t *out);

/* As arg_integer, within int; `text` replaces both errors when it is not NULL. */
bool arg_int(struct call *c, struct span s, int *out, const char *text);

/* A number of a database. */
bool arg_db(struct call *c, struct span s, uint8_t *out);

/* All bytes of an argument, also of one that came as a blob: of such a one argv has the beginning.
 */
struct store_bytes arg_bytes(const struct call *c, uint32_t i);

/* Whether a string of n bytes may be stored. */
bool value_fits(struct call *c, uint64_t n);

/* Whether n bytes more, of which the reply only has a reference if they are `shared`, may follow in
 * a reply that began at `start`. If not, what was written since goes, and an error takes its place.
 */
bool reply_has_room(struct call *c, size_t start, size_t n, bool shared);

/* The error text that an argument is quoted in ends at its first zero byte, as Redis's does. */
void reply_quoting(struct call *c, const char *before, struct span s, const char *after);

void reply_syntax_error(struct call *c);
void reply_arity_error(struct call *c);
void reply_expire_error(struct call *c);
void reply_ok(struct call *c);

/* --- Expiry (expire.c): Redis counts milliseconds, the store microseconds ------------------- */

/* The store's form of a time in milliseconds above 0. Beyond the year 294,000 it saturates. */
qr_wall expire_from_ms(int64_t ms);

/* Reads an expiry option's value. `seconds`: in seconds; `relative`: counted from now. Refuses
 * what is not above zero or overflows. */
bool arg_expire_ms(struct call *c, struct span s, bool seconds, bool relative, int64_t *ms);

/* --- Patterns (glob.c) ---------------------------------------------------------------------- */

bool glob_match(struct span pattern, struct span s);

#endif
