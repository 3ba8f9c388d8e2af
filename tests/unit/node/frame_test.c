/* Frames and handshakes between nodes: whole, cut, flipped, forged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/number.h"
#include "base/rng.h"
#include "node/frame.h"
#include "node/handshake.h"

#define GROUP 0x01020304u

static struct outbox sample(bool records)
{
    struct outbox o = { 0 };
    frame_append(&o, FRAME_FORWARD, SPAN_LITERAL("head"), SPAN_LITERAL("the tail"), records);
    return o;
}

static struct outbox grouped(void)
{
    struct outbox o = { 0 };
    frame_append_group(&o, GROUP, FRAME_DIGEST, SPAN_LITERAL("head"), SPAN_LITERAL("tail"), false);
    return o;
}

static void test_a_frame_comes_back_whole(void **state)
{
    (void)state;
    struct outbox o = sample(false);
    struct frame f;
    size_t bytes;
    assert_int_equal(frame_read(span_of(o.p, o.n), &f, &bytes), FRAME_COMPLETE);
    assert_int_equal(bytes, o.n);
    assert_int_equal(f.kind, FRAME_FORWARD);
    assert_int_equal(f.group, 0);
    assert_memory_equal(f.head.p, "head", 4);
    assert_int_equal(f.tail.n, 8);
    assert_memory_equal(f.tail.p, "the tail", 8);
    outbox_free(&o);
}

static void test_a_frame_names_its_group(void **state)
{
    (void)state;
    struct outbox o = grouped(), none = { 0 };
    struct frame f;
    size_t bytes;
    assert_int_equal(frame_read(span_of(o.p, o.n), &f, &bytes), FRAME_COMPLETE);
    assert_int_equal(bytes, o.n);
    assert_int_equal(f.group, GROUP);
    assert_int_equal(f.kind, FRAME_DIGEST);
    assert_int_equal(f.head.n, 4);
    assert_memory_equal(f.head.p, "head", 4);
    assert_int_equal(f.tail.n, 4);
    assert_memory_equal(f.tail.p, "tail", 4);
    frame_append_group(&none, 0, FRAME_DIGEST, SPAN_LITERAL("head"), SPAN_LITERAL("tail"), false);
    assert_int_equal(none.n, o.n - FRAME_GROUP_BYTES); /* as older versions write it */
    assert_int_equal(none.p[13], 0);
    outbox_free(&none);
    outbox_free(&o);
}

/* There is one way to say group 0. */
static void test_group_0_is_not_named(void **state)
{
    (void)state;
    struct outbox o = grouped();
    struct frame f;
    size_t bytes;
    memset(o.p + FRAME_HEADER_BYTES, 0, FRAME_GROUP_BYTES);
    uint32_t crc = crc32c_extend(0, o.p, 8);
    crc = crc32c_extend(crc, o.p + 12, o.n - 12);
    wire_store_u32(o.p + 8, crc);
    assert_int_equal(frame_read(span_of(o.p, o.n), &f, &bytes), FRAME_BAD);
    outbox_free(&o);
}

static void test_each_frame_has_its_version(void **state)
{
    (void)state;
    assert_int_equal(frame_wire_version(FRAME_REPLY, 0), 0);
    assert_int_equal(frame_wire_version(FRAME_FORWARD, 2), 4);
    assert_int_equal(frame_wire_version(FRAME_JOIN, 0), 3);
    assert_int_equal(frame_wire_version(FRAME_REPAIR_FETCH, 0), 3);
    assert_int_equal(frame_wire_version(FRAME_BEAT, 0), 4);
}

static void test_every_cut_is_incomplete(void **state)
{
    (void)state;
    struct outbox all[] = { sample(false), grouped() };
    struct frame f;
    size_t bytes;
    for (unsigned i = 0; i < 2; i++) {
        for (size_t n = 0; n < all[i].n; n++) {
            assert_int_equal(frame_read(span_of(all[i].p, n), &f, &bytes), FRAME_INCOMPLETE);
        }
        outbox_free(&all[i]);
    }
}

/* A flipped length may ask for more bytes than there are; nothing flipped is ever taken. */
static void test_no_flipped_byte_is_taken(void **state)
{
    (void)state;
    struct outbox all[] = { sample(false), grouped() };
    struct frame f;
    size_t bytes;
    for (unsigned o = 0; o < 2; o++) {
        for (size_t i = 0; i < all[o].n; i++) {
            for (unsigned bit = 0; bit < 8; bit++) {
                all[o].p[i] ^= (uint8_t)(1u << bit);
                struct span in = span_of(all[o].p, all[o].n);
                assert_int_not_equal(frame_read(in, &f, &bytes), FRAME_COMPLETE);
                all[o].p[i] ^= (uint8_t)(1u << bit);
            }
        }
        outbox_free(&all[o]);
    }
}

static void test_records_are_not_checked_twice(void **state)
{
    (void)state;
    struct outbox o = sample(true);
    struct frame f;
    size_t bytes;
    o.p[o.n - 1] ^= 1; /* a record's own checksum will notice */
    assert_int_equal(frame_read(span_of(o.p, o.n), &f, &bytes), FRAME_COMPLETE);
    outbox_free(&o);
}

static void test_an_enormous_frame_is_bad_at_once(void **state)
{
    (void)state;
    uint8_t header[FRAME_HEADER_BYTES] = { 0xff, 0xff, 0xff, 0xff };
    struct frame f;
    size_t bytes;
    assert_int_equal(frame_read(span_of(header, sizeof header), &f, &bytes), FRAME_BAD);
}

static void test_garbage_is_never_complete(void **state)
{
    (void)state;
    struct rng rng = rng_from(7);
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[64];
        struct frame f;
        size_t n;
        for (size_t i = 0; i < sizeof bytes; i++) {
            bytes[i] = (uint8_t)rng_next(&rng);
        }
        bytes[2] = bytes[3] = bytes[6] = bytes[7] = 0;
        assert_int_not_equal(frame_read(span_of(bytes, sizeof bytes), &f, &n), FRAME_COMPLETE);
    }
}

/* --- Handshake ------------------------------------------------------------------------------ */

static struct greeting greeting(uint32_t from, uint32_t to)
{
    struct greeting g = { .version = 1, .oldest = 1, .from = from, .to = to, .lane = 1 };
    memset(g.cluster, 0xc1, sizeof g.cluster);
    memset(g.uuid, (int)from, sizeof g.uuid);
    memset(g.nonce, (int)(from + 100), sizeof g.nonce);
    return g;
}

static struct claim a_claim(void)
{
    struct claim claim = { .made = true, .index = 4, .slot = 77, .client_port = 7001 };
    claim.peer_port = 17001;
    strcpy(claim.address, "10.0.0.1");
    return claim;
}

/* Scenario 14: what a node says of itself is bound to its proof; nodes of version 2 say nothing. */
static void test_a_claim_comes_with_its_proof(void **state)
{
    (void)state;
    uint8_t hello[HELLO_BYTES];
    uint8_t welcome[WELCOME_BYTES_MAX];
    uint8_t proof[PROOF_BYTES_MAX];
    struct greeting dialer = greeting(3, 1);
    struct greeting acceptor = greeting(1, 3);
    struct claim mine = a_claim();
    struct claim none = { .made = false };
    struct claim claim;
    struct greeting seen;
    bool proven = false;
    hello_write(hello, &dialer);
    struct span said = span_of(hello, sizeof hello);
    size_t n = welcome_write(welcome, &acceptor, &mine, said, "secret");
    assert_true(welcome_read(span_of(welcome, n), &seen, &claim, said, "secret", &proven));
    assert_true(proven && claim.made && claim.index == 4 && claim.slot == 77);
    assert_string_equal(claim.address, "10.0.0.1");
    welcome[61] ^= 1; /* of the slot */
    assert_true(welcome_read(span_of(welcome, n), &seen, &claim, said, "secret", &proven));
    assert_false(proven);
    n = welcome_write(welcome, &acceptor, &none, said, "secret");
    assert_int_equal(n, 60 + PROOF_BYTES); /* what version 2 expects */
    assert_true(welcome_read(span_of(welcome, n), &seen, &claim, said, "secret", &proven));
    assert_true(proven && !claim.made);
    size_t proof_n = proof_write(proof, &mine, said, span_of(welcome, n), "secret");
    assert_true(proof_holds(span_of(proof, proof_n), &claim, said, span_of(welcome, n), "secret"));
    assert_int_equal(claim.peer_port, 17001);
    assert_false(
        proof_holds(span_of(proof, PROOF_BYTES), &claim, said, span_of(welcome, n), "secret"));
    proof[PROOF_BYTES] ^= 1;
    assert_false(proof_holds(span_of(proof, proof_n), &claim, said, span_of(welcome, n), "secret"));
}

static void test_a_handshake_between_friends(void **state)
{
    (void)state;
    uint8_t hello[HELLO_BYTES];
    uint8_t welcome[WELCOME_BYTES_MAX];
    uint8_t proof[PROOF_BYTES_MAX];
    struct greeting dialer = greeting(3, 1);
    struct greeting acceptor = greeting(1, 3);
    struct greeting seen;
    struct claim mine = a_claim();
    struct claim claim;
    bool proven = false;
    hello_write(hello, &dialer);
    assert_true(hello_read(span_of(hello, sizeof hello), &seen));
    assert_int_equal(seen.from, 3);
    assert_int_equal(seen.lane, 1);
    size_t welcome_n =
        welcome_write(welcome, &acceptor, &mine, span_of(hello, sizeof hello), "secret");
    assert_true(welcome_read(span_of(welcome, welcome_n), &seen, &claim,
                             span_of(hello, sizeof hello), "secret", &proven));
    assert_true(proven);
    assert_int_equal(seen.from, 1);
    size_t proof_n = proof_write(proof, &mine, span_of(hello, sizeof hello),
                                 span_of(welcome, welcome_n), "secret");
    assert_true(proof_holds(span_of(proof, proof_n), &claim, span_of(hello, sizeof hello),
                            span_of(welcome, welcome_n), "secret"));
}

static void test_another_secret_or_a_replay_proves_nothing(void **state)
{
    (void)state;
    uint8_t hello[HELLO_BYTES];
    uint8_t other_hello[HELLO_BYTES];
    uint8_t welcome[WELCOME_BYTES_MAX];
    uint8_t proof[PROOF_BYTES_MAX];
    struct greeting dialer = greeting(3, 1);
    struct greeting acceptor = greeting(1, 3);
    struct greeting seen;
    struct claim mine = a_claim();
    struct claim claim;
    bool proven = true;
    hello_write(hello, &dialer);
    dialer.nonce[0] ^= 1;
    hello_write(other_hello, &dialer);
    size_t welcome_n =
        welcome_write(welcome, &acceptor, &mine, span_of(hello, sizeof hello), "secret");
    assert_true(welcome_read(span_of(welcome, welcome_n), &seen, &claim,
                             span_of(hello, sizeof hello), "another", &proven));
    assert_false(proven);
    proven = true;
    assert_true(welcome_read(span_of(welcome, welcome_n), &seen, &claim,
                             span_of(other_hello, sizeof other_hello), "secret", &proven));
    assert_false(proven);
    size_t proof_n = proof_write(proof, &mine, span_of(hello, sizeof hello),
                                 span_of(welcome, welcome_n), "secret");
    assert_false(proof_holds(span_of(proof, proof_n), &claim,
                             span_of(other_hello, sizeof other_hello), span_of(welcome, welcome_n),
                             "secret"));
    /* A welcome's proof is no dialer's proof: the purposes differ. */
    assert_false(proof_holds(span_of(welcome + welcome_n - PROOF_BYTES, PROOF_BYTES), &claim,
                             span_of(hello, sizeof hello), span_of(welcome, welcome_n), "secret"));
}

static void test_cut_greetings_are_refused(void **state)
{
    (void)state;
    uint8_t hello[HELLO_BYTES];
    struct greeting g = greeting(3, 1);
    struct greeting seen;
    hello_write(hello, &g);
    for (size_t n = 0; n < sizeof hello; n++) {
        assert_false(hello_read(span_of(hello, n), &seen));
    }
}

static void test_numbers_as_redis_reads_them(void **state)
{
    (void)state;
    int64_t v;
    static const char *const good[] = { "0", "1", "-1", "9223372036854775807",
                                        "-9223372036854775808" };
    static const char *const bad[] = { "",
                                       "-",
                                       "+1",
                                       "01",
                                       "-0",
                                       " 1",
                                       "1 ",
                                       "1a",
                                       "0x1",
                                       "9223372036854775808",
                                       "-9223372036854775809",
                                       "99999999999999999999" };
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        assert_true(number_from(span_of(good[i], strlen(good[i])), &v));
    }
    assert_true(v == INT64_MIN);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_false(number_from(span_of(bad[i], strlen(bad[i])), &v));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_frame_comes_back_whole),
        cmocka_unit_test(test_a_frame_names_its_group),
        cmocka_unit_test(test_group_0_is_not_named),
        cmocka_unit_test(test_each_frame_has_its_version),
        cmocka_unit_test(test_every_cut_is_incomplete),
        cmocka_unit_test(test_no_flipped_byte_is_taken),
        cmocka_unit_test(test_records_are_not_checked_twice),
        cmocka_unit_test(test_an_enormous_frame_is_bad_at_once),
        cmocka_unit_test(test_garbage_is_never_complete),
        cmocka_unit_test(test_a_handshake_between_friends),
        cmocka_unit_test(test_a_claim_comes_with_its_proof),
        cmocka_unit_test(test_another_secret_or_a_replay_proves_nothing),
        cmocka_unit_test(test_cut_greetings_are_refused),
        cmocka_unit_test(test_numbers_as_redis_reads_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
