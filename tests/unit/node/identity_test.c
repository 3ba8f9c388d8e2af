/* The data directory: made once, recognised, locked, never guessed at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "cluster/map.h"
#include "node/identity.h"

struct fixture {
    struct io *io;
    char dir[64];
    struct config config;
    char message[512];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/identity-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->io = io_new();
    (void)snprintf(f->config.dir, sizeof f->config.dir, "%s/data", f->dir);
    (void)snprintf(f->config.cluster_id, sizeof f->config.cluster_id,
                   "00112233445566778899aabbccddeeff");
    f->config.port = 7001;
    f->config.node_id = 2;
    f->config.member_count = 3;
    for (uint32_t i = 0; i < 3; i++) {
        struct member_config *m = &f->config.members[2 - i]; /* given in the wrong order */
        m->id = i + 1;
        m->client_port = (uint16_t)(7001 + i);
        (void)snprintf(m->address, sizeof m->address, "127.0.0.1");
    }
    f->config.bootstrap = true;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    static const char *const files[] = { "data/identity",
                                         "data/identity.new",
                                         "data/lock",
                                         "data/joining",
                                         "data/joining.new",
                                         "data",
                                         "" };
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        char path[200];
        (void)snprintf(path, sizeof path, "%s/%s", f->dir, files[i]);
        (void)remove(path);
    }
    io_free(f->io);
    (void)unsetenv("QUORATE_PRETEND_LEVEL");
    free(f);
    return 0;
}

static bool open_it(struct fixture *f, struct identity *identity)
{
    f->message[0] = 0;
    return identity_open(f->io, &f->config, identity, f->message, sizeof f->message);
}

static void test_made_once_and_found_again(void **state)
{
    struct fixture *f = *state;
    struct identity first;
    struct identity again;
    assert_true(open_it(f, &first));
    assert_int_equal(identity_me(&first), 1);
    assert_int_equal(first.members[2].peer_port, 17003);
    identity_close(&first);
    f->config.bootstrap = false;
    assert_true(open_it(f, &again));
    assert_memory_equal(first.uuid, again.uuid, 16);
    assert_memory_equal(first.cluster, again.cluster, 16);
    assert_int_equal(again.members[2].id, 3);
    assert_int_equal(again.members[3].id, 0);
    identity_close(&again);
}

/* R9: made with the level that new clusters have, whatever more the version knows; and a level that
 * was seen is found again, and not gone back behind. */
static void test_a_level_is_noted_down_for_good(void **state)
{
    struct fixture *f = *state;
    struct identity identity;
    assert_int_equal(setenv("QUORATE_PRETEND_LEVEL", "7", 1), 0);
    assert_true(open_it(f, &identity));
    assert_int_equal(identity.level, MAP_LEVEL_NEWEST);
    assert_int_equal(identity_level(f->io, &identity, 7), 0);
    assert_int_equal(identity_level(f->io, &identity, 6), 0); /* no way back */
    assert_int_equal(identity.level, 7);
    identity_close(&identity);
    f->config.bootstrap = false;
    assert_true(open_it(f, &identity));
    assert_int_equal(identity.level, 7);
    identity_close(&identity);
    assert_int_equal(setenv("QUORATE_PRETEND_LEVEL", "6", 1), 0);
    assert_false(open_it(f, &identity));
    assert_non_null(strstr(f->message, "level is 7 by now, and this version knows levels up to 6"));
}

static void test_an_empty_directory_needs_bootstrap(void **state)
{
    struct fixture *f = *state;
    struct identity identity;
    f->config.bootstrap = false;
    assert_false(open_it(f, &identity)); /* nor is there any */
    assert_non_null(strstr(f->message, "--bootstrap"));
    (void)io_mkdir(f->io, f->config.dir);
    assert_false(open_it(f, &identity));
    assert_non_null(strstr(f->message, "--bootstrap"));
}

static void test_one_process_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct identity first;
    struct identity second;
    assert_true(open_it(f, &first));
    assert_false(open_it(f, &second));
    assert_non_null(strstr(f->message, "in use"));
    identity_close(&first);
    assert_true(open_it(f, &second));
    identity_close(&second);
}

static void test_another_node_or_cluster_is_refused(void **state)
{
    struct fixture *f = *state;
    struct identity identity;
    assert_true(open_it(f, &identity));
    identity_close(&identity);
    f->config.node_id = 3;
    assert_false(open_it(f, &identity));
    assert_non_null(strstr(f->message, "belongs to node 2"));
    f->config.node_id = 2;
    f->config.cluster_id[0] = 'f';
    assert_false(open_it(f, &identity));
    assert_non_null(strstr(f->message, "another cluster"));
}

static void test_a_member_may_move(void **state)
{
    struct fixture *f = *state;
    struct identity identity;
    assert_true(open_it(f, &identity));
    identity_close(&identity);
    f->config.members[0].client_port = 9003;
    assert_true(open_it(f, &identity));
    assert_int_equal(identity.members[2].client_port, 9003);
    assert_int_equal(identity.members[2].peer_port, 19003);
    identity_close(&identity);
    f->config.members[0].id = 9; /* it may have come since: the log will tell */
    assert_true(open_it(f, &identity));
    assert_int_equal(identity.members[2].id, 3);
    identity_close(&identity);
}

static void test_any_flipped_byte_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct identity identity;
    char path[1100];
    uint8_t bytes[4096];
    assert_true(open_it(f, &identity));
    identity_close(&identity);
    (void)snprintf(path, sizeof path, "%s/identity", f->config.dir);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    size_t n = fread(bytes, 1, sizeof bytes, file);
    for (size_t i = 0; i + 1 < n; i++) { /* the last byte is the line end behind the checksum */
        for (unsigned pass = 0; pass < 2; pass++) {
            uint8_t byte = (uint8_t)(bytes[i] ^ (pass == 0 ? 1 : 0));
            assert_int_equal(fseek(file, (long)i, SEEK_SET), 0);
            assert_int_equal(fwrite(&byte, 1, 1, file), 1);
            assert_int_equal(fflush(file), 0);
            if (pass == 0) {
                assert_false(open_it(f, &identity));
            }
        }
    }
    (void)fclose(file);
    assert_true(open_it(f, &identity));
    identity_close(&identity);
}

/* A right checksum over what this node would never write: members out of order or without itself,
 * ports that are none, two lines in one. */
static void test_a_file_of_another_hand_is_refused(void **state)
{
#define ZEROS "00000000000000000000000000000000"
    struct fixture *f = *state;
    struct identity identity;
    static const struct {
        const char *members;
        unsigned node;
        bool good;
    } files[] = {
        { "member 1 a 1 2 " ZEROS "\nmember 2 b 3 4 " ZEROS "\n", 2, true },
        { "member 1 a 1 2 " ZEROS "\nmember 2 b 3 4 " ZEROS "\n", 3, false },
        { "member 2 a 1 2 " ZEROS "\nmember 1 b 3 4 " ZEROS "\n", 2, false },
        { "member 2 a 1 2 " ZEROS "\nmember 2 b 3 4 " ZEROS "\n", 2, false },
        { "member 1 a 1 2 " ZEROS "\nmember 2 b 65539 4 " ZEROS "\n", 2, false },
        { "member 1 a 1 2 " ZEROS "\nmember 2 b\n3 4 " ZEROS "\n", 2, false },
    };
    assert_true(open_it(f, &identity));
    identity_close(&identity);
    struct config plain = { .port = 7001 };
    memcpy(plain.dir, f->config.dir, sizeof plain.dir);
    f->config = plain;
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        char text[1000], path[1100];
        int n = snprintf(text, sizeof text,
                         "quorate-data 1\ncluster " ZEROS "\nnode %u\nuuid " ZEROS "\nlog 0\n%s",
                         files[i].node, files[i].members);
        n += snprintf(text + n, sizeof text - (size_t)n, "crc32c %08x\n",
                      crc32c_extend(0, text, (size_t)n));
        (void)snprintf(path, sizeof path, "%s/identity", f->config.dir);
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(text, 1, (size_t)n, file), n);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(open_it(f, &identity), files[i].good);
        if (files[i].good) {
            identity_close(&identity);
        }
    }
#undef ZEROS
}

/* Scenario 53: a directory that is to join has no identity until a cluster has taken it in, and the
 * same UUID at every try. */
static void test_joining_may_be_cut_short_anywhere(void **state)
{
    struct fixture *f = *state;
    struct identity identity;
    uint8_t uuid[16];
    f->config.bootstrap = false;
    f->config.member_count = 0;
    f->config.node_id = 0;
    strcpy(f->config.join, "127.0.0.1:7001");
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(open_it(f, &identity));
        assert_int_equal(identity.node_id, 0);
        assert_int_equal(identity_join_uuid(f->io, &identity), 0);
        if (i > 0) {
            assert_memory_equal(identity.uuid, uuid, 16);
        }
        memcpy(uuid, identity.uuid, 16);
        if (i < 2) {
            identity_close(&identity);
        }
    }
    identity.node_id = 9;
    identity.me = 1;
    identity.joined = 44;
    identity.joined_term = 7;
    memset(identity.cluster, 0xab, 16);
    identity.members[1] = (struct roster_node){ .id = 9, .client_port = 7, .peer_port = 8 };
    identity.members[4] = (struct roster_node){ .id = 2, .client_port = 5, .peer_port = 6 };
    strcpy(identity.members[1].address, "10.0.0.9");
    strcpy(identity.members[4].address, "10.0.0.2");
    assert_int_equal(identity_join(f->io, &identity), 0);
    identity_close(&identity);
    f->config.cluster_id[0] = 0;
    assert_true(open_it(f, &identity));
    assert_int_equal(identity.node_id, 9);
    assert_int_equal(identity_me(&identity), 1);
    assert_int_equal(identity.joined, 44);
    assert_int_equal(identity.joined_term, 7);
    assert_int_equal(identity.members[4].id, 2); /* ids need not be in order */
    assert_false(identity.removed);
    struct roster made_with;
    identity_roster(&identity, &made_with);
    assert_int_equal(membership_all(&made_with.members),
                     0); /* the log tells who was there before */
    assert_int_equal(identity_removed(f->io, &identity), 0);
    identity_close(&identity);
    assert_true(open_it(f, &identity));
    assert_true(identity.removed);
    identity_close(&identity);
}

/* Scenario 53: a wiped node comes back under its old id. */
static void test_a_peer_with_another_directory_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct identity identity;
    uint8_t uuid[16] = { 1 };
    uint8_t other[16] = { 2 };
    int error = 0;
    assert_true(open_it(f, &identity));
    assert_int_equal(identity_meet(f->io, &identity, 0, uuid, &error), IDENTITY_PEER_KNOWN);
    assert_int_equal(identity_meet(f->io, &identity, 0, uuid, &error), IDENTITY_PEER_KNOWN);
    identity_close(&identity);
    assert_true(open_it(f, &identity)); /* remembered over a restart */
    assert_int_equal(identity_meet(f->io, &identity, 0, other, &error),
                     IDENTITY_PEER_OTHER_DIRECTORY);
    identity_close(&identity);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_made_once_and_found_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_level_is_noted_down_for_good, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_empty_directory_needs_bootstrap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_process_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_node_or_cluster_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_member_may_move, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_flipped_byte_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_of_another_hand_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_joining_may_be_cut_short_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_peer_with_another_directory_is_noticed, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
