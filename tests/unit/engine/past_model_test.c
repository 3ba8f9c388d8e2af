/* Reads as of a slot against whole states: for every slot there is an engine that has applied the
 * entries up to it and nothing more, and a read as of the slot must answer what that one does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/rng.h"
#include "base/text.h"
#include "command/command.h"
#include "engine/engine.h"

#define SLOTS_EACH 60
#define ROUNDS 150
#define KEYS 6
#define WORDS_MAX 12

struct model {
    struct rng rng;
    struct engine *at[SLOTS_EACH + 1]; /* as of each slot */
    struct engine *past;               /* the one that is tested */
    struct past_limits limits;
    qr_wall stamp;
    uint32_t reads, too_old, lost;
};

static struct engine *new_engine(void)
{
    struct engine_config config = { .value_bytes_max = 2 * MIB };
    memcpy(config.hash_key, "0123456789abcdef", sizeof config.hash_key);
    return engine_new(&config);
}

static uint64_t below(struct model *m, uint64_t n)
{
    return rng_below(&m->rng, n);
}

/* An op of words in its encoding; the caller frees it. */
static uint8_t *encode(const char *text, qr_wall stamp, uint8_t db, struct op *op)
{
    char words[512];
    struct span argv[WORDS_MAX];
    uint32_t argc = 0;
    char *rest = NULL;
    const struct command_spec *container = NULL;
    (void)snprintf(words, sizeof words, "%s", text);
    for (char *w = strtok_r(words, " ", &rest); w != NULL; w = strtok_r(NULL, " ", &rest)) {
        argv[argc++] = span_of(w, strlen(w));
    }
    const struct command_spec *spec = command_find(argv, argc, &container);
    assert_non_null(spec);
    uint32_t skip = command_name_words(spec);
    struct op head = { .stamp = stamp, .level = SEMANTICS_LEVEL, .tag = spec->tag, .db = db };
    size_t n = op_bytes(argv + skip, argc - skip);
    uint8_t *bytes = malloc(n);
    assert_non_null(bytes);
    op_write(bytes, &head, argv + skip, argc - skip);
    assert_true(op_read(span_of(bytes, n), op));
    return bytes;
}

static void apply(struct engine *engine, const struct op *op)
{
    struct reply reply;
    reply_init(&reply, 2);
    engine_apply(engine, op, &reply);
    reply_free(&reply);
}

/* A write; $ in a form is a key, # a small number, % a length. */
static void write_text(struct model *m, char *out, size_t cap)
{
    static const char *const forms[] = {
        "SET $ #",
        "SET $ # PX #",
        "SET $ # KEEPTTL",
        "SETEX $ 1 #",
        "DEL $ $",
        "APPEND $ #",
        "SETRANGE $ % #",
        "MSET $ # $ # $ #",
        "MSETNX $ # $ #",
        "RENAME $ $",
        "RENAMENX $ $",
        "COPY $ $",
        "COPY $ $ REPLACE",
        "COPY $ $ DB 1",
        "MOVE $ 1",
        "PEXPIRE $ #",
        "PERSIST $",
        "INCR $",
        "INCRBYFLOAT $ #",
        "GETDEL $",
        "GETEX $ PX #",
        "GETSET $ #",
        "SETNX $ #",
        "EXPIREAT $ #",
        "SET $ #",
        "SETRANGE $ % #",
        "SETRANGE $ 300000 #",
        "SET $ #",
        "DEL $",
        "PEXPIRE $ #",
    };
    static const char *const rare[] = { "FLUSHALL", "FLUSHDB", "SWAPDB 0 1" };
    const char *form =
        below(m, 60) == 0 ? rare[below(m, ARRAY_COUNT(rare))] : forms[below(m, ARRAY_COUNT(forms))];
    struct text t = text_in(out, cap);
    for (; *form != 0; form++) {
        if (*form == '$') {
            text_put(&t, "key:");
            text_u64(&t, below(m, KEYS));
        } else if (*form == '#') {
            text_u64(&t, 1 + below(m, 300));
        } else if (*form == '%') {
            text_u64(&t, below(m, below(m, 10) == 0 ? 20000 : 60));
        } else {
            text_char(&t, *form);
        }
    }
}

/* Carries out the entry at that slot, on the one that is tested and on the states from it on. */
static void one_entry(struct model *m, uint32_t slot)
{
    char text[512];
    m->stamp += (qr_wall)below(m, 3) * (qr_wall)below(m, 80) * QR_MILLISECOND;
    engine_enter(m->past, slot);
    if (below(m, 6) == 0) {
        engine_tick(m->past, m->stamp);
        for (uint32_t i = slot; i <= SLOTS_EACH; i++) {
            engine_tick(m->at[i], m->stamp);
        }
        return;
    }
    struct op op;
    write_text(m, text, sizeof text);
    uint8_t *bytes = encode(text, m->stamp, below(m, 4) == 0, &op);
    apply(m->past, &op);
    for (uint32_t i = slot; i <= SLOTS_EACH; i++) {
        apply(m->at[i], &op);
    }
    free(bytes);
}

static void read_text(struct model *m, char *out, size_t cap)
{
    static const char *const forms[] = {
        "GET",        "MGET",        "STRLEN", "EXISTS",       "TTL",   "PTTL",
        "EXPIRETIME", "PEXPIRETIME", "TYPE",   "MEMORY USAGE", "TOUCH",
    };
    const char *form = forms[below(m, ARRAY_COUNT(forms))];
    bool several = strcmp(form, "MGET") == 0 || strcmp(form, "EXISTS") == 0;
    int n = snprintf(out, cap, "%s key:%d", form, (int)below(m, KEYS));
    if (several) {
        (void)snprintf(out + n, cap - (size_t)n, " key:%d key:%d", (int)below(m, KEYS),
                       (int)below(m, KEYS));
    }
}

/* All bytes of a reply, those of ropes in their places. */
static bool same_reply(const struct reply *a, const struct reply *b)
{
    if (a->n != b->n || a->is_error != b->is_error || memcmp(a->p, b->p, a->n) != 0) {
        return false;
    }
    return reply_bytes_behind(a, 0) == reply_bytes_behind(b, 0);
}

static void one_read(struct model *m, uint32_t applied)
{
    char text[512];
    struct reply got, wanted;
    struct op op;
    qr_slot floor;
    uint32_t slot = (uint32_t)below(m, applied + 1);
    read_text(m, text, sizeof text);
    uint8_t *bytes = encode(text, 0, below(m, 4) == 0, &op);
    reply_init(&got, 2);
    reply_init(&wanted, 2);
    enum engine_as_of result = engine_read_as_of(m->past, &op, slot, &got);
    assert_int_equal(engine_read(m->at[slot], &op, &wanted), ENGINE_READ_DONE);
    assert_true(engine_past_floor(m->past, &floor));
    assert_true((result == ENGINE_AS_OF_TOO_OLD) == (slot < floor));
    if (result == ENGINE_AS_OF_DONE && !same_reply(&got, &wanted)) {
        print_error("%s as of %u of %u: %.*s, not %.*s\n", text, slot, applied, (int)got.n,
                    (const char *)got.p, (int)wanted.n, (const char *)wanted.p);
        fail();
    }
    m->reads++;
    m->too_old += result == ENGINE_AS_OF_TOO_OLD;
    m->lost += result == ENGINE_AS_OF_LOST;
    reply_free(&got);
    reply_free(&wanted);
    free(bytes);
}

static void one_round(struct model *m, uint64_t seed)
{
    static const uint64_t bytes[] = { 2000, 20000, 64 * MIB, 64 * MIB };
    m->rng = rng_from(seed);
    m->stamp = 1700000000 * QR_SECOND;
    m->limits.age = below(m, 2) == 0 ? QR_SECOND / 2 : 3600 * QR_SECOND;
    m->limits.bytes = bytes[below(m, ARRAY_COUNT(bytes))];
    m->past = new_engine();
    for (uint32_t i = 0; i <= SLOTS_EACH; i++) {
        m->at[i] = new_engine();
    }
    engine_keep_past(m->past, &m->limits, 0, 1);
    for (uint32_t slot = 1; slot <= SLOTS_EACH; slot++) {
        one_entry(m, slot);
        store_check(engine_store(m->past));
        for (int i = 0; i < 12; i++) {
            one_read(m, slot);
        }
        assert_true(engine_rolling_digest(m->past) == engine_rolling_digest(m->at[slot]));
        if (below(m, 8) == 0) {
            (void)engine_idle(m->past);
        }
    }
    assert_true(engine_digest(m->past) == engine_digest(m->at[SLOTS_EACH]));
    engine_free(m->past);
    for (uint32_t i = 0; i <= SLOTS_EACH; i++) {
        engine_free(m->at[i]);
    }
}

static void test_as_of_is_the_state_of_then(void **state)
{
    struct model m = { 0 };
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        one_round(&m, seed);
    }
    assert_true(m.reads > 50000); /* and none of the three ways it can go is left out */
    assert_true(m.too_old > m.reads / 20 && m.too_old < m.reads * 2 / 3);
    assert_true(m.lost > 50 && m.lost < m.reads / 5);
}

/* Many keys: the index grows and shrinks under way, and what it finds is what it found before. */
static void test_many_keys(void **state)
{
    struct rng rng = rng_from(1);
    struct engine *engine = new_engine();
    struct past_limits limits = { .age = 2 * QR_SECOND, .bytes = 64 * MIB };
    static uint32_t first[8001]; /* the slot that made each key */
    char text[64];
    struct op op;
    (void)state;
    engine_keep_past(engine, &limits, 0, 1);
    for (uint32_t slot = 1; slot <= 30000; slot++) {
        /* Now many keys, now few: what few keys leave lets the index shrink. */
        uint32_t id = 1 + (uint32_t)rng_below(&rng, slot / 4000 % 2 == 0 ? 8000 : 3);
        (void)snprintf(text, sizeof text, "SETNX key:%u %u", id, slot);
        first[id] = first[id] == 0 ? slot : first[id];
        engine_enter(engine, slot);
        uint8_t *bytes = encode(text, (qr_wall)slot * QR_MILLISECOND, 0, &op);
        apply(engine, &op);
        free(bytes);
        qr_slot floor;
        assert_true(engine_past_floor(engine, &floor));
        assert_int_equal(floor, slot > 2000 ? slot - 2000 : 0);
        uint32_t ask = 1 + (uint32_t)rng_below(&rng, 8000);
        qr_slot as_of = floor + rng_below(&rng, slot - floor + 1);
        (void)snprintf(text, sizeof text, "EXISTS key:%u", ask);
        bytes = encode(text, 0, 0, &op);
        struct reply reply;
        reply_init(&reply, 2);
        assert_int_equal(engine_read_as_of(engine, &op, as_of, &reply), ENGINE_AS_OF_DONE);
        assert_int_equal(reply.p[1], first[ask] != 0 && first[ask] <= as_of ? '1' : '0');
        reply_free(&reply);
        free(bytes);
        if (slot % 1000 == 0) {
            store_check(engine_store(engine));
        }
    }
    engine_free(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_of_is_the_state_of_then),
        cmocka_unit_test(test_many_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
