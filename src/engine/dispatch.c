/* From an operation to its handler, after the checks that are the same for every command.
 *
 * Ops come from peers and from the log, so nothing is taken for granted that a client's command
 * would have been checked for. A refusal is the same on every replica and changes nothing. */
#include "engine/dispatch.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/status.h"

#include <stdlib.h>

/* A larger array of arguments is given back after the command: few commands need one. */
#define ARGV_KEPT_MAX 256u
#define ARGV_FEW 4u /* most commands have no more: they need no memory of the engine's */

static handler *const handlers[] = {
#define READ(tag, ident, ...) [tag] = engine_cmd_##ident,
#define WRITE(tag, ident, ...) [tag] = engine_cmd_##ident,
#include "command/commands.def"
};

static handler *handler_of(uint16_t tag)
{
    return tag < ARRAY_COUNT(handlers) ? handlers[tag] : NULL;
}

static void refuse(struct call *c)
{
    reply_error(c->reply, status_text(STATUS_BAD_MESSAGE));
}

/* Whether no key is longer than the limit. Positions in the table count the command's name. */
static bool keys_fit(struct call *c)
{
    const struct command_spec *spec = c->spec;
    uint32_t words = command_name_words(spec);
    if (spec->first_key <= 0 || spec->key_step <= 0) {
        return true;
    }
    int64_t last = spec->last_key < 0 ? (int64_t)c->argc + words + spec->last_key : spec->last_key;
    for (int64_t i = spec->first_key; i <= last; i += spec->key_step) {
        if (c->argv[i - words].n > KEY_BYTES_MAX) {
            reply_error(c->reply, "ERR key is too long");
            return false;
        }
    }
    return true;
}

static struct span *room_for_arguments(struct engine *engine, uint32_t argc)
{
    if (argc > engine->argv_capacity) {
        engine->argv = qr_realloc(engine->argv, argc * sizeof *engine->argv);
        engine->argv_capacity = argc;
    }
    return engine->argv;
}

/* Puts blobs in the places of their references: in argv stands the beginning of each, which is
 * longer than any key, name or number. False when one is not there. */
static bool take_blobs(struct call *c, const struct op *op, struct span *argv, struct op_ref *refs)
{
    struct engine *engine = c->engine;
    op_arguments(op, argv, refs);
    engine->ropes = qr_zalloc(op->argc * sizeof(struct rope *));
    c->ropes = engine->ropes;
    for (uint32_t i = 0; i < op->argc; i++) {
        if (op_is_ref(argv[i])) {
            c->ropes[i] = staging_find(engine, *refs++);
            if (c->ropes[i] == NULL) {
                return false;
            }
            argv[i] = rope_slice(c->ropes[i], 0);
        }
    }
    return true;
}

/* A command with references: its blobs are used up, whatever it answers. */
static void dispatch_with_blobs(struct call *c, const struct op *op, struct span *argv,
                                handler *handle)
{
    struct op_ref *refs = qr_alloc(op->refs * sizeof *refs);
    if (!take_blobs(c, op, argv, refs)) {
        refuse(c);
    } else if (keys_fit(c)) {
        handle(c);
    }
    for (uint32_t i = 0; i < op->refs; i++) {
        staging_drop(c->engine, refs[i].blob);
    }
    free(refs);
    free(c->engine->ropes);
    c->engine->ropes = NULL;
}

static void give_back_arguments(struct engine *engine)
{
    if (engine->argv_capacity > ARGV_KEPT_MAX) {
        free(engine->argv);
        engine->argv = NULL;
        engine->argv_capacity = 0;
    }
}

/* The handler of the op, or NULL when it is refused. */
static handler *begin(struct call *c, const struct op *op)
{
    handler *handle = handler_of(op->tag);
    if (handle == NULL || c->spec == NULL || op->db >= DATABASES) {
        if (op->tag == OP_SYSTEM) {
            dispatch_system(c, op);
        } else {
            refuse(c);
        }
        return NULL;
    }
    c->db = op->db;
    c->seed = op->seed;
    if (!command_arity_fits(c->spec, op->argc + command_name_words(c->spec))) {
        reply_arity_error(c);
        return NULL;
    }
    return handle;
}

void dispatch(struct call *c, const struct op *op)
{
    handler *handle = begin(c, op);
    if (handle == NULL) {
        return;
    }
    struct span few[ARGV_FEW];
    struct span *argv = op->argc <= ARGV_FEW ? few : room_for_arguments(c->engine, op->argc);
    op_arguments(op, argv, NULL);
    c->argv = argv;
    c->argc = op->argc;
    if (op->refs > 0) {
        dispatch_with_blobs(c, op, argv, handle);
    } else if (keys_fit(c)) {
        handle(c);
    }
    give_back_arguments(c->engine);
}

void dispatch_arguments(struct call *c, const struct op *op, const struct span *argv)
{
    handler *handle = begin(c, op);
    if (handle == NULL) {
        return;
    }
    c->argv = argv;
    c->argc = op->argc;
    if (keys_fit(c)) {
        handle(c);
    }
}
