/* Whatever a peer or a damaged log may hold: an op that op_read accepts never harms the engine, and
 * every replica answers it alike (sanitizers watch the memory). */
#include "harness.h"

#include "base/limits.h"
#include "base/rng.h"
#include "command/command.h"

#define ROUNDS 60000
#define ARGUMENTS_MAX 7

static const char *const words[] = {
    "",
    "k",
    "k2",
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "10",
    "1e9",
    "inf",
    "nan",
    "*",
    "[",
    "[^a-",
    "\\",
    "EX",
    "PX",
    "EXAT",
    "PXAT",
    "NX",
    "XX",
    "GT",
    "LT",
    "GET",
    "DB",
    "15",
    "MATCH",
    "COUNT",
    "TYPE",
    "KEEPTTL",
    "PERSIST",
    "SYNC",
    "16",
    "%n",
    "ASYNC",
    "REPLACE",
    "65535",
    "1700000001",
    "4294967296",
};

static struct span any_argument(struct rng *rng, uint8_t *noise, size_t cap)
{
    if (rng_chance(rng, 4, 5)) {
        const char *word = words[rng_below(rng, ARRAY_COUNT(words))];
        return span_of(word, strlen(word));
    }
    size_t n = rng_below(rng, cap + 1);
    for (size_t i = 0; i < n; i++) {
        noise[i] = (uint8_t)rng_next(rng);
    }
    return span_of(noise, n);
}

static uint16_t any_tag(struct rng *rng)
{
    return rng_chance(rng, 1, 20) ? (uint16_t)rng_next(rng)
                                  : command_at(rng_below(rng, command_count()))->tag;
}

static void run_on_both(struct harness *h, struct span bytes)
{
    struct op op;
    if (!op_read(bytes, &op)) {
        return;
    }
    reply_reset(&h->reply);
    engine_apply(h->engine, &op, &h->reply);
    assert_true(h->reply.n > 0); /* every op has an answer */
    engine_apply(h->follower, &op, &h->silence);
    reply_reset(&h->reply);
    if (engine_read(h->engine, &op, &h->reply) == ENGINE_READ_DUE) {
        assert_int_equal(h->reply.n, 0);
    } else {
        assert_true(h->reply.n > 0);
    }
}

static void test_any_op_is_harmless(void **state)
{
    struct harness *h = *state;
    struct rng rng = rng_from(9);
    for (int i = 0; i < ROUNDS; i++) {
        struct span argv[ARGUMENTS_MAX];
        uint8_t noise[ARGUMENTS_MAX][64];
        uint32_t argc = (uint32_t)rng_below(&rng, ARGUMENTS_MAX + 1);
        for (uint32_t j = 0; j < argc; j++) {
            argv[j] = any_argument(&rng, noise[j], sizeof noise[j]);
        }
        h->stamp += (qr_wall)rng_below(&rng, 1000000);
        struct op head = { .stamp = rng_chance(&rng, 1, 10000) ? INT64_MAX : h->stamp,
                           .seed = rng_next(&rng),
                           .level = (uint16_t)rng_below(&rng, 3),
                           .tag = any_tag(&rng),
                           .db = (uint8_t)rng_below(&rng, DATABASES) };
        if (i < ROUNDS / 2 && head.stamp == INT64_MAX) {
            head.stamp = 0; /* the end of time comes late, and then stays */
        }
        size_t n = op_bytes(argv, argc);
        uint8_t *bytes = malloc(n);
        assert_non_null(bytes);
        op_write(bytes, &head, argv, argc);
        if (rng_chance(&rng, 1, 4)) {
            bytes[rng_below(&rng, n)] ^= (uint8_t)(1u << rng_below(&rng, 8));
            bytes[7] = 0; /* but no stamp that would end all times */
        }
        run_on_both(h, span_of(bytes, n));
        free(bytes);
        if (i % 1000 == 0) {
            tick(h);
            assert_true(engine_digest(h->engine) == engine_digest(h->follower));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_any_op_is_harmless, harness_setup, harness_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
