/* Loading checkpoints: every damaged byte, every foreign file is refused with a sentence that says
 * so (scenarios 47, 103, 106, 108-110). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "checkpoint_harness.h"
#include "node/checkpoint_format.h"

/* --- Damage ---------------------------------------------------------------------------------- */

static uint8_t *read_file(struct world *w, size_t *n)
{
    struct io_file *file;
    char path[128];
    world_path(w, CHECKPOINT_FILE, path);
    assert_int_equal(io_file_open(w->io, path, 0, &file), 0);
    *n = (size_t)io_file_size(file);
    uint8_t *bytes = qr_alloc(*n);
    assert_int_equal(io_file_pread(file, bytes, *n, 0), *n);
    io_file_close(file);
    return bytes;
}

static void write_file(struct world *w, const uint8_t *bytes, size_t n)
{
    char path[128];
    world_path(w, CHECKPOINT_FILE, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    assert_int_equal(close(fd), 0);
}

/* Not one byte may differ; nor may the file end early or go on (scenarios 47, 108). */
static void test_scenario_47_108_every_damaged_byte_is_refused(void **state)
{
    (void)state;
    struct world *w = world_open(4);
    char message[1400];
    world_take(w);
    size_t n;
    uint8_t *bytes = read_file(w, &n);
    assert_in_range(n, 150, 1000);
    for (size_t i = 0; i < n; i++) {
        uint8_t flips[] = { 1, 0x80, 0xff, bytes[i] };
        for (size_t k = 0; k < ARRAY_COUNT(flips); k++) {
            if (flips[k] == 0) {
                continue;
            }
            bytes[i] ^= flips[k];
            write_file(w, bytes, n);
            assert_int_equal(world_try(w, message), CHECKPOINT_DAMAGED);
            assert_non_null(strstr(message, "is damaged at byte"));
            bytes[i] ^= flips[k];
        }
    }
    for (size_t cut = 0; cut < n; cut++) {
        write_file(w, bytes, cut);
        assert_int_equal(world_try(w, message), CHECKPOINT_DAMAGED);
    }
    uint8_t *longer = qr_zalloc(n + 1);
    memcpy(longer, bytes, n);
    write_file(w, longer, n + 1);
    assert_int_equal(world_try(w, message), CHECKPOINT_DAMAGED);
    write_file(w, bytes, n);
    assert_int_equal(world_try(w, message), CHECKPOINT_LOADED);
    free(longer);
    free(bytes);
    world_close(w);
}

/* Blocks of another checkpoint of the very same state, at the same place: a stale sector or a
 * reused inode (scenario 110). */
static void test_scenario_110_blocks_of_another_checkpoint_are_refused(void **state)
{
    (void)state;
    struct world *w = world_open(2000);
    char message[1400];
    size_t n, m;
    world_take(w);
    uint8_t *one = read_file(w, &n);
    world_take(w);
    uint8_t *two = read_file(w, &m);
    assert_int_equal(n, m);
    memcpy(two + CHECKPOINT_HEADER_BYTES_MIN, one + CHECKPOINT_HEADER_BYTES_MIN,
           n - CHECKPOINT_HEADER_BYTES_MIN);
    write_file(w, two, n);
    assert_int_equal(world_try(w, message), CHECKPOINT_DAMAGED);
    write_file(w, one, n);
    assert_int_equal(world_try(w, message), CHECKPOINT_LOADED);
    free(one);
    free(two);
    world_close(w);
}

static void seal_header(uint8_t *bytes)
{
    struct wire_writer w = wire_writer(bytes + CHECKPOINT_HEADER_BYTES_MIN - 4, 4);
    wire_put_u32(&w, crc32c_extend(0, bytes, CHECKPOINT_HEADER_BYTES_MIN - 4));
}

static void test_a_newer_version_is_foreign_not_damaged(void **state)
{
    (void)state;
    struct world *w = world_open(2);
    char message[1400];
    size_t n;
    world_take(w);
    uint8_t *bytes = read_file(w, &n);
    for (size_t at = 8; at <= 10; at += 2) {
        bytes[at] += 3; /* format 2 and level 1, before */
        seal_header(bytes);
        write_file(w, bytes, n);
        assert_int_equal(world_try(w, message), CHECKPOINT_FOREIGN);
        bytes[at] -= 3;
    }
    free(bytes);
    world_close(w);
}

/* Files whose checksums are all right, but which do not hold what they should. */
static void test_a_well_formed_file_with_a_wrong_content(void **state)
{
    (void)state;
    struct world *w = world_open(2);
    char message[1400];
    size_t n;
    world_take(w);
    uint8_t *bytes = read_file(w, &n);
    uint64_t salt = 0;
    memcpy(&salt, bytes + CHECKPOINT_SALT_AT, 8);

    bytes[64]++; /* the header's log time is not the image's */
    seal_header(bytes);
    write_file(w, bytes, n);
    assert_int_equal(world_try(w, message), CHECKPOINT_DAMAGED);
    assert_non_null(strstr(message, "about the time"));
    bytes[64]--;
    seal_header(bytes);

    /* No block at all: header and trailer. */
    uint8_t counts[16];
    struct wire_writer c = wire_writer(counts, sizeof counts);
    wire_put_u64(&c, 0);
    wire_put_u64(&c, CHECKPOINT_HEADER_BYTES_MIN + CHECKPOINT_TRAILER_BYTES);
    struct wire_writer t =
        wire_writer(bytes + CHECKPOINT_HEADER_BYTES_MIN, CHECKPOINT_TRAILER_BYTES);
    wire_put_u32(&t, 0);
    wire_put_u32(&t, checkpoint_block_crc(salt, 0, 0, counts, sizeof counts));
    wire_put_bytes(&t, counts, sizeof counts);
    write_file(w, bytes, CHECKPOINT_HEADER_BYTES_MIN + CHECKPOINT_TRAILER_BYTES);
    assert_int_equal(world_try(w, message), CHECKPOINT_DAMAGED);
    assert_non_null(strstr(message, "the image has no end"));
    free(bytes);
    world_close(w);
}

/* What the version before wrote: the header ends behind the salt. */
static void test_the_format_before_is_read(void **state)
{
    (void)state;
    struct world *w = world_open(2000);
    size_t n;
    world_take(w);
    uint8_t *bytes = read_file(w, &n);
    size_t less = CHECKPOINT_HEADER_BYTES_MIN - CHECKPOINT_HEADER_BYTES_1;
    memmove(bytes + CHECKPOINT_HEADER_BYTES_1, bytes + CHECKPOINT_HEADER_BYTES_MIN,
            n - CHECKPOINT_HEADER_BYTES_MIN);
    n -= less;
    bytes[8] = 1;
    struct wire_writer w1 = wire_writer(bytes + CHECKPOINT_HEADER_BYTES_1 - 4, 4);
    wire_put_u32(&w1, crc32c_extend(0, bytes, CHECKPOINT_HEADER_BYTES_1 - 4));
    uint64_t salt, blocks;
    memcpy(&salt, bytes + CHECKPOINT_SALT_AT, 8);
    uint8_t *trailer = bytes + n - CHECKPOINT_TRAILER_BYTES;
    memcpy(&blocks, trailer + 8, 8);
    struct wire_writer t = wire_writer(trailer + 16, 8);
    wire_put_u64(&t, n);
    t = wire_writer(trailer + 4, 4);
    wire_put_u32(&t, checkpoint_block_crc(salt, blocks, 0, trailer + 8, 16));
    write_file(w, bytes, n);
    assert_loads_as(w, engine_digest(w->engine));
    free(bytes);
    world_close(w);
}

/* What the header says beside the state comes back as it was, and every byte of it is guarded. */
static void test_the_roster_travels_with_the_state(void **state)
{
    (void)state;
    struct world *w = world_open(10);
    struct checkpoint_header header = test_header;
    char message[1400];
    header.installed = true;
    header.roster_slot = 99;
    header.commit_term = 57;
    header.roster_bytes = ROSTER_BYTES_MAX;
    for (size_t i = 0; i < sizeof header.roster; i++) {
        header.roster[i] = (uint8_t)(i * 7);
    }
    world_take_with(w, &header);
    struct checkpoint_header found = test_header;
    struct engine *engine = engine_new(&test_config);
    assert_int_equal(checkpoint_load(w->io, w->dir, engine, &found, message, sizeof message),
                     CHECKPOINT_LOADED);
    engine_free(engine);
    assert_true(found.installed);
    assert_int_equal(found.roster_slot, 99);
    assert_int_equal(found.commit_term, 57);
    assert_int_equal(found.roster_bytes, ROSTER_BYTES_MAX);
    assert_memory_equal(found.roster, header.roster, sizeof found.roster);
    assert_int_equal(found.salt, w->header.salt);
    assert_int_equal(found.bytes, w->header.bytes);
    size_t n;
    uint8_t *bytes = read_file(w, &n);
    assert_int_equal(n, found.bytes);
    for (size_t i = 80; i < CHECKPOINT_HEADER_BYTES_MAX; i++) {
        bytes[i] ^= 0x10;
        write_file(w, bytes, n);
        assert_int_equal(world_try(w, message), CHECKPOINT_DAMAGED);
        bytes[i] ^= 0x10;
    }
    free(bytes);
    world_close(w);
}

/* As a follower reads another node's: in whatever pieces it comes. */
static void test_pieces_of_any_size_make_the_same_state(void **state)
{
    (void)state;
    struct world *w = world_open(3000);
    size_t n;
    world_take(w);
    uint8_t *bytes = read_file(w, &n);
    const size_t sizes[] = { 1, 7, 4096, 131072, n };
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct checkpoint_reader reader = { .engine = engine_new(&test_config) };
        enum checkpoint_reading result = CHECKPOINT_READING_MORE;
        size_t here = 0;
        while (result == CHECKPOINT_READING_MORE && here < n) {
            size_t taken;
            here += min_u64(sizes[i], n - here);
            struct span rest = span_of(bytes + reader.offset, here - reader.offset);
            result = checkpoint_read(&reader, rest, UINT32_MAX, &taken);
        }
        assert_int_equal(result, CHECKPOINT_READING_END);
        assert_int_equal(here, n);
        assert_int_equal(reader.offset, n);
        assert_true(engine_digest(reader.engine) == engine_digest(w->engine));
        engine_free(reader.engine);
    }
    free(bytes);
    world_close(w);
}

/* What came before a bad block stays good, so that it can be gone on with. */
static void test_a_bad_block_does_not_spoil_what_came_before(void **state)
{
    (void)state;
    struct world *w = world_open(3000);
    size_t n, taken;
    world_take(w);
    uint8_t *bytes = read_file(w, &n);
    struct checkpoint_reader reader = { .engine = engine_new(&test_config) };
    bytes[n / 2] ^= 8;
    assert_int_equal(checkpoint_read(&reader, span_of(bytes, n), UINT32_MAX, &taken),
                     CHECKPOINT_READING_BAD);
    assert_int_equal(taken, reader.offset);
    assert_in_range(taken, CHECKPOINT_HEADER_BYTES_MIN, n / 2);
    assert_false(reader.spoiled);
    bytes[n / 2] ^= 8;
    struct span rest = span_of(bytes + reader.offset, n - reader.offset);
    assert_int_equal(checkpoint_read(&reader, rest, UINT32_MAX, &taken), CHECKPOINT_READING_END);
    assert_true(engine_digest(reader.engine) == engine_digest(w->engine));
    engine_free(reader.engine);
    free(bytes);
    world_close(w);
}

static void test_scenario_103_a_disk_that_cannot_be_read(void **state)
{
    (void)state;
    struct world *w = world_open(2);
    char message[1400];
    world_take(w);
    fault_set(CALL_OPEN, 1, -EACCES);
    assert_int_equal(world_try(w, message), CHECKPOINT_UNREADABLE);
    assert_non_null(strstr(message, "Permission denied"));
    fault_set(CALL_OPEN, 1, -EIO); /* it says nothing of what the file holds */
    assert_int_equal(world_try(w, message), CHECKPOINT_UNREADABLE);
    assert_non_null(strstr(message, "Input/output error"));
    for (uint32_t n = 1; n <= 2; n++) { /* the header, what is behind it */
        fault_set(CALL_READ, n, -EIO);
        assert_int_equal(world_try(w, message), CHECKPOINT_UNREADABLE);
        fault_set(CALL_READ, n, -EBADMSG); /* bytes that are wrong: the others have them */
        assert_int_equal(world_try(w, message), CHECKPOINT_DAMAGED);
    }
    static const int bad[] = { -EUCLEAN, -ELOOP, -EISDIR };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        fault_set(CALL_OPEN, 1, bad[i]);
        assert_int_equal(world_try(w, message), CHECKPOINT_DAMAGED);
    }
    fault_set(CALL_SYNC_DIR, 1, -EIO); /* the rename may not be durable: no base to trim from */
    assert_int_equal(world_try(w, message), CHECKPOINT_UNREADABLE);
    assert_int_equal(world_try(w, message), CHECKPOINT_LOADED);
    world_close(w);
}

/* Puts the file into the place of that group, wherever it is. */
static void move_to(struct world *w, uint32_t group)
{
    char from[128], to[128];
    world_path(w, CHECKPOINT_FILE, from);
    world_group = group;
    world_path(w, CHECKPOINT_FILE, to);
    assert_int_equal(checkpoint_make_dir(w->io, w->dir, 1), 0);
    assert_int_equal(rename(from, to), 0);
}

static void test_another_cluster_directory_or_group_is_refused(void **state)
{
    (void)state;
    struct world *w = world_open(10);
    char message[1400];
    world_take(w);
    for (int i = 0; i < 4; i++) {
        struct checkpoint_header expected = test_header;
        if (i == 0) {
            expected.cluster[3] ^= 1;
        } else if (i == 1) {
            expected.uuid[15] ^= 1;
        } else if (i == 2) {
            move_to(w, 1);
            expected.group = 1;
        }
        struct engine *engine = engine_new(&test_config);
        enum checkpoint_load_result result =
            checkpoint_load(w->io, w->dir, engine, &expected, message, sizeof message);
        assert_int_equal(result, i < 3 ? CHECKPOINT_FOREIGN : CHECKPOINT_LOADED);
        assert_int_equal(strstr(message, "another cluster") != NULL, i < 3);
        engine_free(engine);
        move_to(w, 0);
    }
    world_close(w);
}

/* --- Other groups ---------------------------------------------------------------------------- */

static bool is_odd(void *context, uint32_t group)
{
    (*(uint32_t *)context)++;
    return group % 2 == 1;
}

static void put_file(const struct world *w, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/" CHECKPOINT_GROUPS_DIR "/%s", w->dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fclose(f);
}

static bool take_file(const struct world *w, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/" CHECKPOINT_GROUPS_DIR "/%s", w->dir, name);
    return unlink(path) == 0;
}

/* There is room for so many transfers only. */
static bool is_three(void *context, uint32_t group)
{
    (void)context;
    return group == 3;
}

/* Files of groups that the log does not know are what a crash has left; nothing else is touched. */
static void test_what_groups_have_left_is_cleaned(void **state)
{
    (void)state;
    struct world *w = world_open(10);
    uint32_t asked = 0;
    struct checkpoint_keeping keeping = { .is_known = is_odd,
                                          .is_gone_on_with = is_three,
                                          .context = &asked };
    assert_int_equal(checkpoint_clean(w->io, w->dir, &keeping), 0); /* none yet */
    assert_int_equal(checkpoint_make_dir(w->io, w->dir, 2), 0);
    static const char *const go[] = { "2.checkpoint",          "2.checkpoint.spare",
                                      "4000000000.checkpoint", "9.checkpoint.received",
                                      "6.checkpoint.received", "8.quarantined",
                                      "10.checkpoint.new" };
    static const char *const stay[] = { "3.checkpoint",          "5.checkpoint.spare",
                                        "3.checkpoint.received", "02.checkpoint",
                                        "2.checkpoint.old",      "checkpoint",
                                        "2x.checkpoint",         "4294967298.checkpoint" };
    for (size_t i = 0; i < ARRAY_COUNT(go); i++) {
        put_file(w, go[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(stay); i++) {
        put_file(w, stay[i]);
    }
    assert_int_equal(checkpoint_clean(w->io, w->dir, &keeping), 0);
    assert_true(asked > 0);
    assert_int_equal(checkpoint_remove(w->io, w->dir, 5), 0);
    assert_int_equal(checkpoint_remove(w->io, w->dir, 5), 0); /* nothing is there any more */
    for (size_t i = 0; i < ARRAY_COUNT(go); i++) {
        assert_false(take_file(w, go[i]));
    }
    for (size_t i = 0; i < ARRAY_COUNT(stay); i++) {
        assert_int_equal(take_file(w, stay[i]), i != 1);
    }
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_cluster_directory_or_group_is_refused),
        cmocka_unit_test(test_what_groups_have_left_is_cleaned),
        cmocka_unit_test(test_scenario_47_108_every_damaged_byte_is_refused),
        cmocka_unit_test(test_scenario_110_blocks_of_another_checkpoint_are_refused),
        cmocka_unit_test(test_a_newer_version_is_foreign_not_damaged),
        cmocka_unit_test(test_a_well_formed_file_with_a_wrong_content),
        cmocka_unit_test(test_the_format_before_is_read),
        cmocka_unit_test(test_the_roster_travels_with_the_state),
        cmocka_unit_test(test_pieces_of_any_size_make_the_same_state),
        cmocka_unit_test(test_a_bad_block_does_not_spoil_what_came_before),
        cmocka_unit_test(test_scenario_103_a_disk_that_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
