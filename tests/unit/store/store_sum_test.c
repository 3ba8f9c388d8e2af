/* What all stores of a node come to (store.h: store_config.memory). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/rng.h"
#include "store/store.h"

static struct span number_key(uint32_t i, char buffer[24])
{
    return span_of(buffer, (size_t)snprintf(buffer, 24, "key:%012u", i));
}

/* Each store adds to the sum what it holds, from its first byte to its last, whatever is done to
 * it; one that leaves takes all of it along. */
static void test_stores_share_a_sum_of_their_memory(void **state)
{
    (void)state;
    uint64_t sum = 0;
    const struct store_config shared = { .hash_key = { 7, 1 }, .memory = &sum };
    struct store *a = store_new(&shared);
    struct store *b = store_new(&shared);
    struct rng rng = rng_from(11);
    uint8_t *large = qr_zalloc(MIB);
    char buffer[24];
    for (uint32_t i = 0; i < 20000; i++) {
        struct store *store = rng_below(&rng, 3) == 0 ? a : b;
        uint8_t db = (uint8_t)rng_below(&rng, 2);
        struct span key = number_key((uint32_t)rng_below(&rng, 5000), buffer);
        qr_wall expire = rng_below(&rng, 2) == 0 ? (qr_wall)i + 1 : 0;
        uint64_t what = rng_below(&rng, 100);
        if (what < 60) {
            store_put(store, db, key, span_of(large, rng_below(&rng, 200)), expire);
        } else if (what < 61) {
            store_put(store, db, key, span_of(large, MIB), expire);
        } else if (what < 70) {
            struct store_bytes more = { .span = SPAN_LITERAL("more") };
            store_write(store, db, key, rng_below(&rng, 200), more);
        } else if (what < 80) {
            char other[24];
            (void)store_rename(store, db, key, (uint8_t)(1 - db), number_key(i, other));
        } else if (i % 4000 == 0) {
            store_clear(store, db);
            store_expect(store, db, 10000);
        } else {
            (void)store_delete(store, db, key);
        }
        (void)store_idle(store, 10);
        assert_int_equal(sum, store_memory(a) + store_memory(b));
    }
    store_check(a);
    store_check(b);
    store_leave(b);
    assert_int_equal(sum, store_memory(a));
    store_put(b, 0, number_key(0, buffer), span_of(large, 100), 0);
    store_free(b);
    assert_int_equal(sum, store_memory(a));
    store_free(a);
    assert_int_equal(sum, 0);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stores_share_a_sum_of_their_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
