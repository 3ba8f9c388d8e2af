/* The engine: any commands, on two engines of which only one does its deferred work. They must give
 * the same replies, well formed, and end with the same digest; images taken meanwhile hold the
 * state of the moment they were begun, and load into the same.
 *
 * The input is text, a command per line, its words as in an inline command; and for the test
 *     @3         the commands that follow are of database 3
 *     id p i 5   they have that id, and p may have 5 records; without words: they have none
 *     +1000      that many milliseconds pass
 *     tick       due keys go
 *     idle       deferred work is done, by one of them
 *     walk 5     an image is begun, or goes on by that many keys */
#include "fuzz.h"
#include "resp_value.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "command/command.h"
#include "engine/engine.h"
#include "resp/parse.h"

#include <string.h>

#define START_MS INT64_C(1700000000000)
#define WORDS_MAX 32u
#define LINE_BYTES_MAX 2048u
#define ENGINES 2u

struct chunks {
    struct span *v;
    size_t n;
};

struct world {
    struct engine *engine[ENGINES];
    struct reply reply[ENGINES];
    qr_wall stamp;
    uint64_t seed;
    uint8_t db;
    uint8_t id[OP_ID_BYTES_MAX]; /* of the commands that come */
    size_t id_n;
    bool walking;
    uint64_t image_digest; /* when the image that is being written was begun */
    struct chunks chunks[ENGINES];
};

static struct engine *new_engine(void)
{
    struct engine_config config = { .value_bytes_max = 16 * KIB, .hash_key = { 7 } };
    return engine_new(&config);
}

/* --- Images --------------------------------------------------------------------------------- */

static void keep_chunk(void *context, struct span chunk)
{
    struct chunks *chunks = context;
    qr_assert(chunk.n > 0 && chunk.n <= IMAGE_CHUNK_BYTES);
    uint8_t *copy = qr_alloc(chunk.n);
    memcpy(copy, chunk.p, chunk.n);
    chunks->v = qr_realloc(chunks->v, (chunks->n + 1) * sizeof *chunks->v);
    chunks->v[chunks->n++] = span_of(copy, chunk.n);
}

static void free_chunks(struct chunks *chunks)
{
    for (size_t i = 0; i < chunks->n; i++) {
        free((void *)(uintptr_t)chunks->v[i].p);
    }
    free(chunks->v);
    *chunks = (struct chunks){ 0 };
}

static void load(const struct chunks *chunks, uint64_t digest)
{
    struct engine *engine = new_engine();
    for (size_t i = 0; i < chunks->n; i++) {
        qr_assert(!engine_image_complete(engine));
        qr_assert(engine_image_load(engine, chunks->v[i]));
    }
    qr_assert(engine_image_complete(engine));
    qr_assert(engine_digest(engine) == digest);
    engine_free(engine);
}

static void walk(struct world *w, uint32_t items)
{
    if (!w->walking) {
        w->walking = true;
        w->image_digest = engine_digest(w->engine[0]);
        for (unsigned i = 0; i < ENGINES; i++) {
            engine_image_begin(w->engine[i], keep_chunk, &w->chunks[i]);
        }
    }
    bool more[ENGINES];
    for (unsigned i = 0; i < ENGINES; i++) {
        more[i] = engine_image_next(w->engine[i], items);
    }
    for (unsigned i = 0; i < ENGINES && (!more[0] || !more[1]); i++) {
        while (more[i] && engine_image_next(w->engine[i], 1000)) {
        }
        load(&w->chunks[i], w->image_digest);
        free_chunks(&w->chunks[i]);
        w->walking = false;
    }
}

/* --- Commands ------------------------------------------------------------------------------- */

static void check_replies(struct world *w)
{
    const struct reply *a = &w->reply[0], *b = &w->reply[1];
    qr_assert(a->n == b->n && memcmp(a->p, b->p, a->n) == 0 && a->is_error == b->is_error);
    qr_assert(resp_value_read(span_of(a->p, a->n)) == a->n);
    qr_assert(a->is_error == (a->p[0] == '-'));
}

static void read_on_both(struct world *w, const struct op *op)
{
    for (unsigned round = 0; round < 2; round++) {
        enum engine_read_result result[ENGINES];
        for (unsigned i = 0; i < ENGINES; i++) {
            uint64_t before = engine_digest(w->engine[i]);
            reply_reset(&w->reply[i]);
            result[i] = engine_read(w->engine[i], op, &w->reply[i]);
            qr_assert(engine_digest(w->engine[i]) == before);
        }
        qr_assert(result[0] == result[1]);
        if (result[0] == ENGINE_READ_DONE) {
            check_replies(w);
            return;
        }
        qr_assert(round == 0 && w->reply[0].n == 0);
        while (engine_next_due(w->engine[0]) <= op->stamp) {
            engine_tick(w->engine[0], op->stamp);
            engine_tick(w->engine[1], op->stamp);
        }
    }
}

static void command(struct world *w, const struct span *argv, uint32_t argc)
{
    const struct command_spec *container;
    const struct command_spec *spec = command_find(argv, argc, &container);
    uint32_t words = spec != NULL ? command_name_words(spec) : 1;
    words = words < argc ? words : argc;
    struct op head = { .stamp = w->stamp,
                       .seed = ++w->seed,
                       .level = w->id_n > 0 ? SEMANTICS_LEVEL_IDS : SEMANTICS_LEVEL,
                       .id = { w->id, w->id_n },
                       .tag = spec != NULL ? spec->tag : (uint16_t)argv[0].n,
                       .db = w->db };
    size_t n = op_bytes(argv + words, argc - words) + head.id.n;
    uint8_t *bytes = qr_alloc(n);
    struct op op;
    op_write(bytes, &head, argv + words, argc - words);
    qr_assert(op_read(span_of(bytes, n), &op));
    if (spec != NULL && spec->place == PLACE_READ) {
        read_on_both(w, &op);
    } else {
        for (unsigned i = 0; i < ENGINES; i++) {
            reply_reset(&w->reply[i]);
            engine_apply(w->engine[i], &op, &w->reply[i]);
        }
        check_replies(w);
        qr_assert(engine_replayed(w->engine[0]) == engine_replayed(w->engine[1]));
    }
    free(bytes);
}

/* --- Lines ---------------------------------------------------------------------------------- */

static uint32_t number(struct span s)
{
    uint32_t v = 0;
    for (size_t i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9' && v < 100000000; i++) {
        v = v * 10 + (uint32_t)(s.p[i] - '0');
    }
    return v;
}

static bool is(struct span word, const char *name)
{
    return word.n == strlen(name) && memcmp(word.p, name, word.n) == 0;
}

static void set_id(struct world *w, const struct span *words, uint32_t n)
{
    w->id_n = 0;
    if (n == 4 && op_id_fits(words[1], words[2])) {
        struct op_id id = { .pid = words[1],
                            .iid = words[2],
                            .seconds = 3,
                            .count = 1 + number(words[3]),
                            .bytes = 2000 };
        w->id_n = op_id_write(w->id, &id);
    }
}

static void carry_out(struct world *w, const struct span *words, uint32_t n)
{
    struct span rest = span_of(words[0].p + 1, words[0].n - 1);
    if (words[0].n > 0 && words[0].p[0] == '@') {
        w->db = (uint8_t)(number(rest) % DATABASES);
    } else if (words[0].n > 0 && words[0].p[0] == '+') {
        w->stamp += (qr_wall)number(rest) * 1000;
    } else if (is(words[0], "walk")) {
        walk(w, n > 1 ? number(words[1]) % 100 : 1);
    } else if (is(words[0], "id")) {
        set_id(w, words, n);
    } else if (is(words[0], "idle")) {
        (void)engine_idle(w->engine[0]);
    } else if (is(words[0], "tick")) {
        engine_tick(w->engine[0], w->stamp);
        engine_tick(w->engine[1], w->stamp);
    } else {
        command(w, words, n);
    }
}

static void run_line(struct world *w, struct span line)
{
    uint8_t room[LINE_BYTES_MAX];
    struct span words[WORDS_MAX];
    uint32_t n = 0;
    size_t used = 0;
    if (line.n > sizeof room) {
        return;
    }
    for (size_t i = 0; i < line.n && n < WORDS_MAX;) {
        size_t bytes;
        size_t took = resp_next_word(line.p + i, line.n - i, room + used, &bytes);
        if (took > 0) {
            words[n++] = span_of(room + used, bytes);
            used += bytes;
        }
        i += took > 0 ? took : 1;
        while (i < line.n && line.p[i] == ' ') {
            i++;
        }
    }
    if (n > 0) {
        carry_out(w, words, n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct world w = { .stamp = START_MS * 1000 };
    for (unsigned i = 0; i < ENGINES; i++) {
        w.engine[i] = new_engine();
        reply_init(&w.reply[i], n % 2 == 0 ? 2 : 3);
    }
    for (size_t at = 0; at < n;) {
        const uint8_t *end = memchr(data + at, '\n', n - at);
        size_t length = end != NULL ? (size_t)(end - data) - at : n - at;
        run_line(&w, span_of(data + at, length));
        at += length + 1;
    }
    if (w.walking) {
        walk(&w, 1000);
    }
    walk(&w, 1000); /* and the state of the end */
    qr_assert(engine_digest(w.engine[0]) == engine_digest(w.engine[1]));
    for (unsigned i = 0; i < ENGINES; i++) {
        engine_free(w.engine[i]);
        reply_free(&w.reply[i]);
        free_chunks(&w.chunks[i]);
    }
    return 0;
}
