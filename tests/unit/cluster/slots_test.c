/* Slots: known vectors, tags at their edges, and ranges that cover all slots (P3, U45). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/slots.h"

static struct span text(const char *s)
{
    return span_of(s, strlen(s));
}

static uint16_t crc_bit_by_bit(struct span bytes)
{
    uint32_t crc = 0;
    for (size_t i = 0; i < bytes.n; i++) {
        crc ^= (uint32_t)bytes.p[i] << 8;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc & 0x8000) != 0 ? crc << 1 ^ 0x1021 : crc << 1;
        }
    }
    return (uint16_t)crc;
}

static void test_the_checksum_is_xmodem(void **state)
{
    (void)state;
    assert_int_equal(slot_crc16(text("123456789")), 0x31C3);
    assert_int_equal(slot_crc16(text("")), 0);
    for (uint32_t i = 0; i < 65536; i += 7) {
        uint8_t bytes[3] = { (uint8_t)(i >> 8), (uint8_t)i, (uint8_t)(i * 31) };
        assert_int_equal(slot_crc16(span_of(bytes, 3)), crc_bit_by_bit(span_of(bytes, 3)));
    }
}

/* What redis-server answers to CLUSTER KEYSLOT. */
static void test_known_keys_have_known_slots(void **state)
{
    (void)state;
    assert_int_equal(slot_of_key(text("foo")), 12182);
    assert_int_equal(slot_of_key(text("bar")), 5061);
    assert_int_equal(slot_of_key(text("hello")), 866);
    assert_int_equal(slot_of_key(text("somekey")), 11058);
    assert_int_equal(slot_of_key(text("123456789")), 12739);
    assert_int_equal(slot_of_key(text("")), 0);
}

static void assert_same(const char *a, const char *b)
{
    assert_int_equal(slot_of_key(text(a)), slot_of_key(text(b)));
}

static void test_a_tag_decides_alone(void **state)
{
    (void)state;
    assert_same("{user1000}.following", "user1000");
    assert_same("a{user1000}.followers", "user1000");
    assert_same("foo{bar}{zap}", "bar"); /* the first one */
    assert_same("foo{{bar}}zap", "{bar");
    assert_same("{a}", "a");
    assert_same("x{a", "x{a");
    assert_int_equal(slot_tag(text("x{a")).n, 3);
    assert_int_equal(slot_tag(text("{")).n, 1);
    assert_int_equal(slot_tag(text("}a{")).n, 3);
    assert_int_equal(slot_tag(text("}{a}")).n, 1);
    assert_int_equal(slot_tag(text("foo{}{bar}")).n, 10); /* an empty first one: all of it */
    assert_int_equal(slot_of_key(text("foo{}{bar}")), crc_bit_by_bit(text("foo{}{bar}")) % SLOTS);
}

static void test_bytes_of_all_kinds_are_keys(void **state)
{
    (void)state;
    const char key[] = "\0{\0\0}\xff";
    assert_int_equal(slot_tag(span_of(key, 6)).n, 2);
    assert_int_equal(slot_of_key(span_of("\xff\xfe", 2)), crc_bit_by_bit(text("\xff\xfe")) % SLOTS);
}

static void test_partitions_cover_all_slots_evenly(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= SLOTS; count = count < 70 ? count + 1 : count * 3 - 1) {
        assert_int_equal(slots_first(0, count), 0);
        assert_int_equal(slots_first(count, count), SLOTS);
        uint32_t index = 0;
        for (uint32_t slot = 0; slot < SLOTS; slot++) {
            index += slot == slots_first(index + 1, count);
            assert_int_equal(slots_partition(slot, count), index);
        }
        assert_int_equal(index, count - 1);
    }
    for (uint32_t index = 0; index < 1000; index++) {
        uint32_t n = slots_first(index + 1, 1000) - slots_first(index, 1000);
        assert_true(n == 16 || n == 17);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_checksum_is_xmodem),
        cmocka_unit_test(test_known_keys_have_known_slots),
        cmocka_unit_test(test_a_tag_decides_alone),
        cmocka_unit_test(test_bytes_of_all_kinds_are_keys),
        cmocka_unit_test(test_partitions_cover_all_slots_evenly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
