/* Encoding and checking operations: see op.h for the layout.
 *
 * Ops come from peers and from disk, so op_read trusts no byte: every length is compared with what
 * is left before it is used, and the arguments must fill the rest exactly. Whatever it accepts can
 * be executed by the engine without further checks of the encoding. */
#include "command/op.h"

#include "base/limits.h"
#include "base/panic.h"
#include "base/wire.h"

#define SEED_AT 8u
#define DATABASE_AT 20u
#define LENGTH_BYTES 4u

size_t op_bytes(const struct span *argv, uint32_t argc)
{
    size_t n = OP_HEADER_BYTES;
    for (uint32_t i = 0; i < argc; i++) {
        n += LENGTH_BYTES + argv[i].n;
    }
    return n;
}

void op_write(uint8_t *p, const struct op *head, const struct span *argv, uint32_t argc)
{
    qr_assert(argc <= COMMAND_ARGUMENTS_MAX);
    qr_assert(head->db < DATABASES);
    struct wire_writer w = wire_writer(p, op_bytes(argv, argc));
    wire_put_u64(&w, (uint64_t)head->stamp);
    wire_put_u64(&w, head->seed);
    wire_put_u16(&w, head->level);
    wire_put_u16(&w, head->tag);
    wire_put_u8(&w, head->db);
    wire_put_u8(&w, 0);
    wire_put_u16(&w, 0);
    wire_put_u32(&w, argc);
    for (uint32_t i = 0; i < argc; i++) {
        qr_assert(argv[i].n <= COMMAND_BYTES_MAX);
        wire_put_u32(&w, (uint32_t)argv[i].n);
        wire_put_bytes(&w, argv[i].p, argv[i].n);
    }
    qr_assert(!w.bad && w.n == w.cap);
}

void op_stamp(uint8_t *p, qr_wall stamp, uint64_t seed)
{
    wire_store_u64(p, (uint64_t)stamp);
    wire_store_u64(p + SEED_AT, seed);
}

/* Whether exactly argc arguments fill `args`. With their lengths they stay within the command's
 * bound, so that an op from a peer always fits a record of the log. */
static bool arguments_fit(struct span args, uint32_t argc)
{
    if (argc > COMMAND_ARGUMENTS_MAX || args.n > COMMAND_BYTES_MAX) {
        return false;
    }
    struct wire_reader r = wire_reader(args);
    for (uint32_t i = 0; i < argc && !r.bad; i++) {
        (void)wire_get_bytes(&r, wire_get_u32(&r));
    }
    return wire_finished(&r);
}

bool op_read(struct span in, struct op *out)
{
    struct wire_reader r = wire_reader(in);
    out->stamp = (qr_wall)wire_get_u64(&r);
    out->seed = wire_get_u64(&r);
    out->level = wire_get_u16(&r);
    out->tag = wire_get_u16(&r);
    out->db = wire_get_u8(&r);
    uint32_t zeros = wire_get_u8(&r);
    zeros |= wire_get_u16(&r);
    out->argc = wire_get_u32(&r);
    if (r.bad || zeros != 0 || out->stamp < 0 || out->db >= DATABASES) {
        return false;
    }
    out->args = wire_get_bytes(&r, in.n - r.at);
    return arguments_fit(out->args, out->argc);
}

void op_arguments(const struct op *op, struct span *argv)
{
    struct wire_reader r = wire_reader(op->args);
    for (uint32_t i = 0; i < op->argc; i++) {
        argv[i] = wire_get_bytes(&r, wire_get_u32(&r));
    }
    qr_assert(wire_finished(&r)); /* op_read has checked it */
}

bool op_first_argument(struct span in, struct span *argument, uint8_t *db)
{
    if (in.n <= OP_HEADER_BYTES) {
        return false;
    }
    *db = in.p[DATABASE_AT];
    struct wire_reader r = wire_reader(span_of(in.p + OP_HEADER_BYTES, in.n - OP_HEADER_BYTES));
    *argument = wire_get_bytes(&r, wire_get_u32(&r));
    return !r.bad && *db < DATABASES;
}

void op_tick_write(uint8_t *p, qr_wall stamp, uint64_t seed)
{
    struct wire_writer w = wire_writer(p, OP_TICK_BYTES);
    wire_put_u64(&w, (uint64_t)stamp);
    wire_put_u64(&w, seed);
    wire_put_u16(&w, SEMANTICS_LEVEL);
    qr_assert(!w.bad && w.n == OP_TICK_BYTES);
}

bool op_tick_read(struct span in, qr_wall *stamp)
{
    struct wire_reader r = wire_reader(in);
    *stamp = (qr_wall)wire_get_u64(&r);
    (void)wire_get_u64(&r); /* the seed: nothing in a tick is chosen at random */
    (void)wire_get_u16(&r);
    return wire_finished(&r) && *stamp >= 0;
}
