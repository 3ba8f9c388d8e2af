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
#define LEVEL_AT 16u
#define TAG_AT 18u
#define DATABASE_AT 20u
#define FLAGS_AT 21u
#define REFS_AT 22u
#define COUNT_AT 24u
#define LENGTH_BYTES 4u
#define REF_MARK 0x80000000u
#define REF_BYTES 12u

#define HAS_ID 1u /* flags */
#define ID_COUNT_AT 4u
#define ID_BYTES_AT 8u
#define ID_PID_AT 16u
#define ID_IID_AT 17u

/* --- Ids ------------------------------------------------------------------------------------ */

bool op_id_fits(struct span pid, struct span iid)
{
    return pid.n > 0 && pid.n <= OP_NAME_BYTES_MAX && iid.n > 0 && iid.n <= OP_NAME_BYTES_MAX;
}

size_t op_id_write(uint8_t *p, const struct op_id *id)
{
    qr_assert(op_id_fits(id->pid, id->iid));
    wire_store_u32(p, id->seconds);
    wire_store_u32(p + ID_COUNT_AT, id->count);
    wire_store_u64(p + ID_BYTES_AT, id->bytes);
    p[ID_PID_AT] = (uint8_t)id->pid.n;
    p[ID_IID_AT] = (uint8_t)id->iid.n;
    memcpy(p + OP_ID_HEAD_BYTES, id->pid.p, id->pid.n);
    memcpy(p + OP_ID_HEAD_BYTES + id->pid.n, id->iid.p, id->iid.n);
    return OP_ID_HEAD_BYTES + id->pid.n + id->iid.n;
}

void op_id_read(const struct op *op, struct op_id *out)
{
    const uint8_t *p = op->id.p;
    qr_assert(op->id.n >= OP_ID_HEAD_BYTES);
    out->seconds = wire_load_u32(p);
    out->count = wire_load_u32(p + ID_COUNT_AT);
    out->bytes = wire_load_u64(p + ID_BYTES_AT);
    out->pid = span_of(p + OP_ID_HEAD_BYTES, p[ID_PID_AT]);
    out->iid = span_of(p + OP_ID_HEAD_BYTES + out->pid.n, p[ID_IID_AT]);
}

/* Takes the id from the beginning of out->args; false: it is not one that can be. */
static bool take_id(struct op *out)
{
    struct op_id id;
    if (out->args.n < OP_ID_HEAD_BYTES || out->level < SEMANTICS_LEVEL_IDS || out->refs > 0) {
        return false;
    }
    size_t n = OP_ID_HEAD_BYTES + out->args.p[ID_PID_AT] + out->args.p[ID_IID_AT];
    if (out->args.n < n) {
        return false;
    }
    out->id = span_of(out->args.p, n);
    out->args = span_of(out->args.p + n, out->args.n - n);
    op_id_read(out, &id);
    return op_id_fits(id.pid, id.iid) && id.seconds > 0 && id.seconds <= OP_ID_SECONDS_MAX &&
           id.count > 0 && id.bytes > 0;
}

/* --- Ops ------------------------------------------------------------------------------------ */

size_t op_bytes(const struct span *argv, uint32_t argc)
{
    size_t n = OP_HEADER_BYTES;
    for (uint32_t i = 0; i < argc; i++) {
        n += LENGTH_BYTES + (op_is_ref(argv[i]) ? REF_BYTES : argv[i].n);
    }
    return n;
}

void op_write(uint8_t *p, const struct op *head, const struct span *argv, uint32_t argc)
{
    qr_assert(argc <= COMMAND_ARGUMENTS_MAX);
    qr_assert(head->db < DATABASES);
    qr_assert(head->id.n == 0 || head->level >= SEMANTICS_LEVEL_IDS);
    uint8_t *at = p + OP_HEADER_BYTES + head->id.n;
    uint16_t refs = 0;
    if (head->id.n > 0) {
        memcpy(p + OP_HEADER_BYTES, head->id.p, head->id.n);
    }
    for (uint32_t i = 0; i < argc; i++) {
        if (op_is_ref(argv[i])) {
            wire_store_u32(at, REF_MARK);
            wire_store_u64(at + LENGTH_BYTES, refs++);
            wire_store_u32(at + LENGTH_BYTES + 8, (uint32_t)argv[i].n);
            at += LENGTH_BYTES + REF_BYTES;
            continue;
        }
        qr_assert(argv[i].n <= COMMAND_BYTES_MAX);
        wire_store_u32(at, (uint32_t)argv[i].n);
        at += LENGTH_BYTES;
        if (argv[i].n > 0) {
            memcpy(at, argv[i].p, argv[i].n);
            at += argv[i].n;
        }
    }
    op_stamp(p, head->stamp, head->seed);
    wire_store_u16(p + LEVEL_AT, head->level);
    wire_store_u16(p + TAG_AT, head->tag);
    p[DATABASE_AT] = head->db;
    p[FLAGS_AT] = head->id.n > 0 ? HAS_ID : 0;
    wire_store_u16(p + REFS_AT, refs);
    wire_store_u32(p + COUNT_AT, argc);
}

void op_stamp(uint8_t *p, qr_wall stamp, uint64_t seed)
{
    wire_store_u64(p, (uint64_t)stamp);
    wire_store_u64(p + SEED_AT, seed);
}

/* The next argument: a span, or a length without bytes and *ref. */
static struct span next_argument(struct wire_reader *r, struct op_ref *ref)
{
    uint32_t n = wire_get_u32(r);
    if (n != REF_MARK) {
        return wire_get_bytes(r, n);
    }
    ref->blob = wire_get_u64(r);
    ref->n = wire_get_u32(r);
    return (struct span){ .n = ref->n };
}

/* The arguments of an op that has no references, as nearly all have none; argv may be NULL. Whether
 * exactly argc of them fill `args`. */
static bool plain_arguments(struct span args, uint32_t argc, struct span *argv)
{
    const uint8_t *at = args.p;
    size_t left = args.n;
    for (uint32_t i = 0; i < argc; i++) {
        if (left < LENGTH_BYTES) {
            return false;
        }
        size_t n = wire_load_u32(at);
        left -= LENGTH_BYTES;
        if (n > left) {
            return false;
        }
        if (argv != NULL) {
            argv[i] = span_of(at + LENGTH_BYTES, n);
        }
        at += LENGTH_BYTES + n;
        left -= n;
    }
    return left == 0;
}

/* Whether exactly argc arguments fill `args`. */
static bool arguments_fit(struct span args, uint32_t argc, uint32_t refs)
{
    if (argc > COMMAND_ARGUMENTS_MAX) {
        return false;
    }
    if (refs == 0) {
        return plain_arguments(args, argc, NULL);
    }
    struct wire_reader r = wire_reader(args);
    struct op_ref ref = { 0 };
    for (uint32_t i = 0; i < argc && !r.bad; i++) {
        if (op_is_ref(next_argument(&r, &ref))) {
            bool fits = refs-- > 0 && ref.n <= VALUE_BYTES_MAX;
            r.bad = r.bad || !fits;
        }
    }
    return wire_finished(&r) && refs == 0;
}

bool op_peek(struct span in, struct op *out)
{
    if (in.n < OP_HEADER_BYTES) {
        return false;
    }
    out->stamp = (qr_wall)wire_load_u64(in.p);
    out->seed = wire_load_u64(in.p + SEED_AT);
    out->level = wire_load_u16(in.p + LEVEL_AT);
    out->tag = wire_load_u16(in.p + TAG_AT);
    out->db = in.p[DATABASE_AT];
    out->refs = wire_load_u16(in.p + REFS_AT);
    out->argc = wire_load_u32(in.p + COUNT_AT);
    out->args = span_of(in.p + OP_HEADER_BYTES, in.n - OP_HEADER_BYTES);
    out->id = (struct span){ 0 };
    bool known = in.p[FLAGS_AT] == 0 || (in.p[FLAGS_AT] == HAS_ID && take_id(out));
    return known && out->stamp >= 0 && out->db < DATABASES;
}

/* Id and arguments with their lengths stay within the command's bound, so that an op from a peer
 * always fits a record of the log. */
bool op_read(struct span in, struct op *out)
{
    return op_peek(in, out) && out->id.n + out->args.n <= COMMAND_BYTES_MAX &&
           arguments_fit(out->args, out->argc, out->refs);
}

void op_arguments(const struct op *op, struct span *argv, struct op_ref *refs)
{
    if (op->refs == 0) {
        bool fit = plain_arguments(op->args, op->argc, argv);
        qr_assert(fit); /* op_read has checked it */
        return;
    }
    struct wire_reader r = wire_reader(op->args);
    struct op_ref ref;
    uint32_t found = 0;
    for (uint32_t i = 0; i < op->argc; i++) {
        argv[i] = next_argument(&r, &ref);
        if (refs != NULL && op_is_ref(argv[i])) {
            qr_assert(found < op->refs);
            refs[found++] = ref;
        }
    }
    qr_assert(wire_finished(&r)); /* op_read has checked it */
}

void op_number_refs(uint8_t *p, size_t n, uint64_t first)
{
    struct op op;
    bool valid = op_read(span_of(p, n), &op);
    qr_assert(valid);
    struct wire_reader r = wire_reader(op.args);
    struct op_ref ref = { 0 };
    for (uint32_t i = 0; i < op.argc; i++) {
        if (op_is_ref(next_argument(&r, &ref))) {
            wire_store_u64(p + OP_HEADER_BYTES + r.at - REF_BYTES, first + ref.blob);
        }
    }
}

uint64_t op_ref_bytes(const struct op *op)
{
    struct wire_reader r = wire_reader(op->args);
    struct op_ref ref = { 0 };
    uint64_t n = 0;
    for (uint32_t i = 0; i < op->argc; i++) {
        n += op_is_ref(next_argument(&r, &ref)) ? ref.n : 0;
    }
    return n;
}

static bool first_of(struct span args, uint8_t db, struct span *argument, uint8_t *out)
{
    struct wire_reader r = wire_reader(args);
    *argument = wire_get_bytes(&r, wire_get_u32(&r));
    *out = db;
    return !r.bad && db < DATABASES;
}

/* Behind an id; few have one. */
static __attribute__((noinline)) bool first_behind_id(struct span in, struct span *argument,
                                                      uint8_t *db)
{
    struct op op;
    return op_peek(in, &op) && first_of(op.args, in.p[DATABASE_AT], argument, db);
}

bool op_first_argument(struct span in, struct span *argument, uint8_t *db)
{
    if (in.n <= OP_HEADER_BYTES) {
        return false;
    }
    if (in.p[FLAGS_AT] != 0) {
        return first_behind_id(in, argument, db);
    }
    struct span args = span_of(in.p + OP_HEADER_BYTES, in.n - OP_HEADER_BYTES);
    return first_of(args, in.p[DATABASE_AT], argument, db);
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
