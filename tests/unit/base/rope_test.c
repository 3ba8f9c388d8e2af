/* Ropes against plain bytes: whatever is done to one that somebody else holds, he sees the old
 * bytes; and the checksum is that of the bytes, however they came together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/crc32c.h"
#include "base/rng.h"
#include "base/rope.h"

#define MOST (6u * 1024 * 1024)

struct twin {
    struct rope *rope;
    uint8_t *bytes;
};

static void assert_same(const struct twin *t)
{
    struct rope *rope = t->rope;
    assert_int_equal(rope_crc(rope), crc32c_extend(0, t->bytes, rope->n));
    for (size_t at = 0; at < rope->n;) {
        struct span s = rope_slice(rope, at);
        assert_true(s.n > 0 && s.n <= rope->n - at);
        assert_memory_equal(s.p, t->bytes + at, s.n);
        at += s.n;
    }
    assert_int_equal(rope_slice(rope, rope->n).n, 0);
}

static void fill(struct rng *rng, uint8_t *p, size_t n)
{
    uint64_t word = rng_next(rng);
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)(word >> (i % 8 * 8));
    }
}

static void change(struct rng *rng, struct twin *t)
{
    static uint8_t more[2u * 1024 * 1024 + 1];
    struct rope *rope = t->rope;
    size_t n = (size_t)rng_below(rng, rng_chance(rng, 1, 3) ? sizeof more : 3000);
    size_t at = (size_t)rng_below(rng, rope->n + 1);
    fill(rng, more, n);
    switch (rng_below(rng, 4)) {
    case 0: /* APPEND */
        if (rope->n + n <= MOST) {
            memcpy(t->bytes + rope->n, more, n);
            rope_append(rope, span_of(more, n));
        }
        break;
    case 1: /* SETRANGE */
        n = n < rope->n - at ? n : rope->n - at;
        memcpy(t->bytes + at, more, n);
        rope_write(rope, at, span_of(more, n));
        break;
    case 2: /* as beyond the end */
        if (rope->n + n <= MOST) {
            memset(t->bytes + rope->n, 0, n);
            rope_zeros(rope, n);
        }
        break;
    default: { /* the rest goes, and a part of what stays comes again */
        struct rope *cut = rope_new();
        rope_share(cut, rope, 0, at);
        size_t again = (size_t)rng_below(rng, at + 1);
        if (at + at - again <= MOST) {
            memcpy(t->bytes + at, t->bytes + again, at - again);
            rope_share(cut, rope, again, at - again);
        }
        rope_release(rope);
        t->rope = cut;
    }
    }
}

static void test_a_rope_is_its_bytes(void **state)
{
    (void)state;
    struct rng rng = rng_from(7);
    struct twin t = { .rope = rope_new(), .bytes = qr_alloc(MOST) };
    struct twin old = { .bytes = qr_alloc(MOST) };
    for (uint32_t i = 0; i < 600; i++) {
        if (rng_chance(&rng, 1, 6)) {
            rope_release(old.rope);
            old.rope = rope_ref(t.rope);
            memcpy(old.bytes, t.bytes, t.rope->n);
        }
        t.rope = rope_own(t.rope);
        change(&rng, &t);
        if (i % 8 == 0) {
            assert_same(&t);
        }
        if (old.rope != NULL && i % 8 == 4) {
            assert_same(&old);
        }
    }
    rope_release(t.rope);
    rope_release(old.rope);
    free(t.bytes);
    free(old.bytes);
}

/* Filled from a socket, emptied behind while it goes on (a leader and another node's arguments). */
static void test_a_front_that_goes(void **state)
{
    (void)state;
    struct rng rng = rng_from(8);
    struct rope *rope = rope_new();
    size_t taken = 0;
    for (size_t come = 0; come < 20u * 1024 * 1024;) {
        size_t n;
        uint8_t *p = rope_room(rope, 20u * 1024 * 1024 - come, &n);
        n = (size_t)rng_below(&rng, n) + 1;
        for (size_t i = 0; i < n; i += 100) {
            p[i] = (uint8_t)(come + i);
        }
        rope_grow(rope, n);
        for (size_t i = 0; i < n; i += 100) {
            assert_int_equal(rope_slice(rope, come + i).p[0], (uint8_t)(come + i));
        }
        come += n;
        taken += (size_t)rng_below(&rng, come - taken + 1);
        rope_drop_front(rope, taken);
        assert_true(rope->count < 25);
    }
    rope_release(rope);
}

static void test_a_bin_frees_in_slices(void **state)
{
    (void)state;
    struct rope_bin bin = { 0 };
    struct rope *rope = rope_new();
    struct rope *kept = rope_ref(rope);
    rope_discard(&bin, rope);
    assert_null(bin.first); /* not the last reference */
    for (uint32_t i = 0; i < 10; i++) {
        struct rope *more = rope_new();
        rope_zeros(more, ROPE_CHUNK_BYTES);
        rope_share(kept, more, 0, more->n);
        rope_release(more);
    }
    rope_discard(&bin, kept);
    assert_true(rope_bin_empty_slice(&bin, 4));
    assert_true(rope_bin_empty_slice(&bin, 4));
    assert_false(rope_bin_empty_slice(&bin, 4));
    assert_false(rope_bin_empty_slice(&bin, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_rope_is_its_bytes),
        cmocka_unit_test(test_a_front_that_goes),
        cmocka_unit_test(test_a_bin_frees_in_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
