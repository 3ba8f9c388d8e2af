/* The engine behind a pipe: RESP commands on standard input, replies on standard output. The
 * differential test (differ.py) talks to it as to a server.
 *
 * SELECT and HELLO are carried out here, everything else by an engine that plays the leader. A
 * second engine plays a follower: it applies the same encoded entries with replies that nobody
 * reads, and its digest must stay the leader's. */
#include "base/alloc.h"
#include "base/limits.h"
#include "base/rng.h"
#include "command/command.h"
#include "engine/engine.h"
#include "resp/parse.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES 65536u
#define DIGEST_EVERY 512u

struct session {
    struct engine *leader, *follower;
    struct reply reply, silence;
    struct rng rng;
    uint8_t db;
    uint32_t writes;
    uint8_t *op;
    size_t op_cap;
};

static qr_wall wall_now(void)
{
    struct timespec t;
    int failed = clock_gettime(CLOCK_REALTIME, &t);
    qr_assert(failed == 0);
    return (qr_wall)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void compare_replicas(struct session *s)
{
    qr_assert(engine_digest(s->leader) == engine_digest(s->follower));
}

static struct span encode(struct session *s, const struct op *head, const struct span *argv,
                          uint32_t argc)
{
    size_t n = op_bytes(argv, argc);
    if (n > s->op_cap) {
        s->op = qr_realloc(s->op, n);
        s->op_cap = n;
    }
    op_write(s->op, head, argv, argc);
    return span_of(s->op, n);
}

static void tick(struct session *s, qr_wall stamp)
{
    engine_tick(s->leader, stamp);
    engine_tick(s->follower, stamp);
}

static void run(struct session *s, const struct command_spec *spec, const struct span *argv,
                uint32_t argc)
{
    uint32_t words = command_name_words(spec);
    struct op head = { .stamp = wall_now(),
                       .seed = rng_next(&s->rng),
                       .level = SEMANTICS_LEVEL,
                       .tag = spec->tag,
                       .db = s->db };
    struct op op;
    bool good = op_read(encode(s, &head, argv + words, argc - words), &op);
    qr_assert(good);
    if (spec->place == PLACE_WRITE) {
        engine_apply(s->leader, &op, &s->reply);
        engine_apply(s->follower, &op, &s->silence);
        if (++s->writes % DIGEST_EVERY == 0) {
            compare_replicas(s);
        }
        return;
    }
    while (engine_read(s->leader, &op, &s->reply) == ENGINE_READ_DUE) {
        tick(s, op.stamp);
    }
}

static bool is(struct span s, const char *word)
{
    return s.n == strlen(word) && memcmp(s.p, word, s.n) == 0;
}

/* The driver spells these two in capitals and gives them one digit, or two. */
static void carry_out(struct session *s, const struct span *argv, uint32_t argc)
{
    if (argc == 2 && is(argv[0], "SELECT")) {
        s->db = (uint8_t)(argv[1].n == 1 ? argv[1].p[0] - '0' : 10 + argv[1].p[1] - '0');
        reply_status(&s->reply, "OK");
        return;
    }
    if (argc == 2 && is(argv[0], "HELLO")) {
        s->reply.version = (uint8_t)(argv[1].p[0] - '0');
        reply_status(&s->reply, "OK");
        return;
    }
    const struct command_spec *container = NULL;
    const struct command_spec *spec = command_find(argv, argc, &container);
    if (spec == NULL || (spec->place != PLACE_READ && spec->place != PLACE_WRITE)) {
        reply_error(&s->reply, "ERR not a command of the engine");
    } else if (argc < command_name_words(spec)) {
        reply_error(&s->reply, "ERR no subcommand");
    } else {
        run(s, spec, argv, argc);
    }
}

static void put(const uint8_t *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t done = write(STDOUT_FILENO, p + at, n - at);
        qr_assert(done > 0);
        at += (size_t)done;
    }
}

/* The buffer, with what the reply holds of large values between its bytes. */
static void flush(struct reply *r)
{
    size_t at = 0;
    for (uint32_t i = 0; r->parts != NULL && i < r->parts->count; i++) {
        const struct reply_part *part = &r->parts->v[i];
        put(r->p + at, part->at - at);
        at = part->at;
        uint8_t *bytes = qr_alloc(part->n);
        rope_copy(part->rope, part->from, part->n, bytes);
        put(bytes, part->n);
        free(bytes);
    }
    put(r->p + at, r->n - at);
    reply_reset(r);
}

static void serve(struct session *s)
{
    struct parser parser;
    parser_init(&parser);
    parser.authenticated = true;
    parser.bulk_bytes_max = VALUE_BYTES_MAX;
    parser.command_bytes_max = COMMAND_BYTES_MAX;
    uint8_t *buffer = NULL;
    size_t n = 0, cap = 0;
    for (;;) {
        if (cap - n < READ_BYTES) {
            cap = 2 * cap + READ_BYTES;
            buffer = qr_realloc(buffer, cap);
        }
        ssize_t got = read(STDIN_FILENO, buffer + n, READ_BYTES);
        if (got <= 0) {
            break;
        }
        n += (size_t)got;
        size_t at = 0;
        while (at < n) {
            enum parse_result result = parser_next(&parser, buffer + at, n - at);
            qr_assert(result != PARSE_ERROR);
            if (result == PARSE_INCOMPLETE) {
                break;
            }
            at += parser.consumed;
            carry_out(s, parser.argv, parser.argc);
        }
        memmove(buffer, buffer + at, n - at);
        n -= at;
        flush(&s->reply);
    }
    free(buffer);
    parser_free(&parser);
}

int main(int argc, char **argv)
{
    struct engine_config config = { .value_bytes_max = MIB };
    struct session s = { .rng = rng_from(argc > 1 ? strtoull(argv[1], NULL, 10) : 1) };
    s.leader = engine_new(&config);
    s.follower = engine_new(&config);
    reply_init(&s.reply, 2);
    reply_init(&s.silence, 2);
    s.silence.discard = true;
    serve(&s);
    compare_replicas(&s);
    free(s.op);
    reply_free(&s.reply);
    reply_free(&s.silence);
    engine_free(s.leader);
    engine_free(s.follower);
    return 0;
}
