/* Settings: the file's syntax, command lines, CONFIG SET to the byte, protected mode. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/config.h"

static struct config config;
static char error[2048];

static int fresh(void **state)
{
    (void)state;
    config_defaults(&config);
    error[0] = 0;
    return 0;
}

static bool parse(const char *text)
{
    return config_parse_text(&config, span_of(text, strlen(text)), "q.conf", error, sizeof error);
}

static const char *value(const char *name)
{
    static char text[CONFIG_VALUE_BYTES];
    int i = config_find(span_of(name, strlen(name)));
    assert_true(i >= 0);
    struct text out = text_in(text, sizeof text);
    config_value(&config, (uint32_t)i, &out);
    assert_false(out.cut);
    return text;
}

static bool set(uint32_t count, ...)
{
    struct span pairs[16];
    va_list arguments;
    va_start(arguments, count);
    for (uint32_t i = 0; i < count; i++) {
        const char *s = va_arg(arguments, const char *);
        pairs[i] = span_of(s, strlen(s));
    }
    va_end(arguments);
    error[0] = 0;
    return config_set_runtime(&config, pairs, count, error, sizeof error);
}

static void test_names_are_unique_and_defaults_are_valid(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < config_count(); i++) {
        const char *name = config_name(i);
        assert_int_equal(config_find(span_of(name, strlen(name))), i);
        if (config_shown(i)) {
            (void)value(name);
        }
    }
    assert_true(config_check(&config, error, sizeof error));
    assert_int_equal(config.port, 6379);
    assert_int_equal(config.heartbeat_ms, 25);
    assert_int_equal(config.lease_ms, 80);
    assert_int_equal(config.election_timeout_ms, 300);
    assert_int_equal(config.leader_wait_ms, 2000);
    assert_true(config.protected_mode);
    assert_string_equal(value("save"), "");
    assert_string_equal(value("slave-read-only"), "yes");
    assert_string_equal(value("maxmemory-policy"), "noeviction");
}

static void test_a_file(void **state)
{
    (void)state;
    assert_true(parse("# a comment\r\n\n  \t\n"
                      "PORT 7001\n"
                      "bind 127.0.0.1 -::1\n"
                      "  requirepass \"a b\\x21\" \n"
                      "logfile ''\n"
                      "read-mode lease\n"
                      "log-format json\n"
                      "checkpoint-bytes 1mb\n"
                      "log-segment-bytes 100k\n"
                      "protected-mode no\n"
                      "save 3600 1\n"
                      "member 1 10.0.0.1 7001\n"
                      "member 2 10.0.0.2 7001 9001"));
    assert_int_equal(config.port, 7001);
    assert_string_equal(config.bind, "127.0.0.1 -::1");
    assert_true(config.bind_given);
    assert_string_equal(config.requirepass, "a b!");
    assert_string_equal(config.logfile, "");
    assert_int_equal(config.read_mode, 1);
    assert_true(config.log_json);
    assert_int_equal(config.checkpoint_bytes, MIB);
    assert_int_equal(config.log_segment_bytes, 100000);
    assert_false(config.protected_mode);
    assert_string_equal(value("save"), "3600 1");
    assert_string_equal(config.notes, "save");
    assert_string_equal(value("member"), "1 10.0.0.1 7001 17001 2 10.0.0.2 7001 9001");
    assert_int_equal(config.members[1].peer_port, 9001);
}

static void test_bad_lines_are_blamed(void **state)
{
    (void)state;
    assert_false(parse("port 7001\nfoo bar\n"));
    assert_string_equal(error, "q.conf:2: 'foo bar': Bad directive or wrong number of arguments");
    assert_false(parse("port\n"));
    assert_string_equal(error, "q.conf:1: 'port': wrong number of arguments");
    assert_false(parse("port 1 2\n"));
    assert_string_equal(error, "q.conf:1: 'port 1 2': wrong number of arguments");
    assert_false(parse("port 70000\n"));
    assert_string_equal(error,
                        "q.conf:1: 'port 70000': argument must be between 1 and 65535 inclusive");
    assert_false(parse("port x\n"));
    assert_false(parse("port -1\n"));
    assert_false(parse("dir \"abc\n"));
    assert_string_equal(error, "q.conf:1: 'dir \"abc': Unbalanced quotes in configuration line");
    assert_false(parse("protected-mode maybe\n"));
    assert_false(parse("checkpoint-bytes 1x\n"));
    assert_false(parse("checkpoint-bytes 99999999999gb\n"));
    assert_false(parse("loglevel loud\n"));
    assert_false(parse("member 1 x\n"));
    assert_false(parse("member 1 10.0.0.1 60000\n"));
    assert_false(parse("supervised aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"));
    assert_string_equal(config.supervised, "no");
}

static void test_what_must_not_be_ignored_is_refused(void **state)
{
    (void)state;
    assert_false(parse("user alice on >secret\n"));
    assert_false(parse("rename-command FLUSHALL \"\"\n"));
    assert_false(parse("tls-port 6380\n"));
    assert_true(parse("tls-port 0\nunixsocket ''\n"));
    assert_true(parse("appendonly no\n")); /* harmless, so noted */
    assert_string_equal(config.notes, "appendonly");
}

static void test_include(void **state)
{
    (void)state;
    char directory[] = "/tmp/config_test_XXXXXX";
    assert_non_null(mkdtemp(directory));
    char path[128], text[256];
    (void)snprintf(path, sizeof path, "%s/inner.conf", directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("port 7009\nnonsense\n", file);
    (void)fclose(file);
    (void)snprintf(text, sizeof text, "include %s\n", path);
    assert_false(parse(text));
    assert_int_equal(config.port, 7009);
    (void)snprintf(text, sizeof text,
                   "%s:2: 'nonsense': Bad directive or wrong number of arguments", path);
    assert_string_equal(error, text);

    file = fopen(path, "w");
    assert_non_null(file);
    (void)fprintf(file, "include %s\n", path);
    (void)fclose(file);
    (void)snprintf(text, sizeof text, "include %s\n", path);
    assert_false(parse(text)); /* for ever, else */
    (void)unlink(path);
    assert_false(parse(text));
    (void)rmdir(directory);
}

static bool arguments(int argc, char *const *argv)
{
    error[0] = 0;
    return config_parse_arguments(argc, argv, &config, error, sizeof error);
}

static void test_command_lines(void **state)
{
    (void)state;
    char *const good[] = { "--port",    "7001",        "--bind",        "127.0.0.1",
                           "-::1",      "--bootstrap", "--member",      "1",
                           "127.0.0.1", "7001",        "--requirepass", "" };
    assert_true(arguments((int)ARRAY_COUNT(good), good));
    assert_int_equal(config.port, 7001);
    assert_string_equal(config.bind, "127.0.0.1 -::1");
    assert_true(config.bootstrap);
    assert_int_equal(config.member_count, 1);

    char *const unknown[] = { "--prot", "7001" };
    assert_false(arguments(2, unknown));
    assert_string_equal(error, "--prot: Bad directive or wrong number of arguments");
    char *const missing[] = { "/nonexistent/q.conf" };
    assert_false(arguments(1, missing));
    assert_string_equal(error,
                        "Can't open config file '/nonexistent/q.conf': No such file or directory");
}

static void test_the_whole_is_checked(void **state)
{
    (void)state;
    assert_true(parse("member 1 a 7001\nmember 2 b 7001\nnode-id 3\n"));
    assert_false(config_check(&config, error, sizeof error));
    assert_true(parse("node-id 2\nbootstrap yes\n"));
    assert_false(config_check(&config, error, sizeof error)); /* no cluster id */
    assert_true(parse("cluster-id 00112233445566778899aabbccddeefg\n"));
    assert_false(config_check(&config, error, sizeof error));
    assert_true(parse("cluster-id 00112233445566778899aabbccddeeff\n"));
    assert_true(config_check(&config, error, sizeof error));
    assert_true(parse("lease-ms 300\n"));
    assert_false(config_check(&config, error, sizeof error));
    assert_true(parse("lease-ms 80\nnode-timeout-ms 50\n"));
    assert_false(config_check(&config, error, sizeof error)); /* as long as two heartbeats */
    assert_string_equal(error, "node-timeout-ms: must be above twice heartbeat-ms, or 0");
    assert_true(parse("node-timeout-ms 51\n"));
    assert_true(config_check(&config, error, sizeof error));
    assert_true(parse("node-timeout-ms 0\nmember 2 c 7001\n"));
    assert_false(config_check(&config, error, sizeof error)); /* twice the same id */
}

static void test_config_set(void **state)
{
    (void)state;
    assert_true(set(4, "MaxClients", "50", "timeout", "7"));
    assert_int_equal(config.maxclients, 50);
    assert_int_equal(config.timeout_s, 7);
    assert_true(set(2, "save", "60 1"));
    assert_string_equal(value("save"), "60 1");
    assert_string_equal(config.notes, "");
    assert_true(set(2, "slave-priority", "5")); /* an alias */
    assert_string_equal(value("replica-priority"), "5");
    assert_true(set(2, "databases", "16"));

    assert_false(set(2, "foo", "1"));
    assert_string_equal(error, "ERR Unknown option or number of arguments for CONFIG SET - 'foo'");
    assert_false(set(2, "maxclients", "x"));
    assert_string_equal(error, "ERR CONFIG SET failed (possibly related to argument 'maxclients') "
                               "- argument couldn't be parsed into an integer");
    assert_false(set(2, "timeout", "-1"));
    assert_string_equal(error, "ERR CONFIG SET failed (possibly related to argument 'timeout') - "
                               "argument must be between 0 and 2147483647 inclusive");
    assert_false(set(2, "databases", "17"));
    assert_string_equal(error, "ERR CONFIG SET failed (possibly related to argument 'databases') "
                               "- can't set immutable config");
    assert_false(set(2, "port", "7002"));
    assert_string_equal(error, "ERR CONFIG SET failed (possibly related to argument 'port') - "
                               "can't set immutable config");
    assert_false(set(2, "protected-mode", "x"));
    assert_string_equal(error, "ERR CONFIG SET failed (possibly related to argument "
                               "'protected-mode') - argument must be 'yes' or 'no'");
    assert_false(set(2, "loglevel", "x"));
    assert_string_equal(error, "ERR CONFIG SET failed (possibly related to argument 'loglevel') - "
                               "argument(s) must be one of the following: debug, verbose, notice, "
                               "warning");
    assert_false(set(4, "timeout", "1", "timeout", "2"));
    assert_string_equal(error, "ERR CONFIG SET failed (possibly related to argument 'timeout') - "
                               "duplicate parameter");
}

static void test_config_set_is_all_or_nothing(void **state)
{
    (void)state;
    assert_false(set(4, "maxclients", "50", "timeout", "x"));
    assert_int_equal(config.maxclients, CLIENTS_MAX);
    assert_false(set(4, "maxclients", "50", "foo", "x"));
    assert_int_equal(config.maxclients, CLIENTS_MAX);
}

static void test_secrets_stay_secret(void **state)
{
    (void)state;
    assert_false(config_shown((uint32_t)config_find(SPAN_LITERAL("cluster-secret"))));
    assert_false(config_shown((uint32_t)config_find(SPAN_LITERAL("user"))));
}

static void test_bind_addresses(void **state)
{
    (void)state;
    char address[64];
    bool optional;
    assert_true(parse("bind * -::* 10.0.0.1\n"));
    assert_true(config_address(config.bind, 0, address, &optional));
    assert_string_equal(address, "0.0.0.0");
    assert_false(optional);
    assert_true(config_address(config.bind, 1, address, &optional));
    assert_string_equal(address, "::");
    assert_true(optional);
    assert_true(config_address(config.bind, 2, address, &optional));
    assert_string_equal(address, "10.0.0.1");
    assert_false(config_address(config.bind, 3, address, &optional));
    assert_true(parse("bind 127.0.0.1 -\n"));
    assert_false(config_check(&config, error, sizeof error)); /* a '-' in front of nothing */
    assert_non_null(strstr(error, "bind"));
}

static void test_protected_mode(void **state)
{
    (void)state;
    assert_false(config_denies_remote(&config, "127.0.0.1:50000"));
    assert_false(config_denies_remote(&config, "::1:50000"));
    assert_false(config_denies_remote(&config, "[::1]:50000"));
    assert_true(config_denies_remote(&config, "10.0.0.1:50000"));
    assert_true(config_denies_remote(&config, "::1234:50000"));
    assert_true(config_denies_remote(&config, "[fe80::1]:50000"));
    assert_true(set(2, "requirepass", "x"));
    assert_false(config_denies_remote(&config, "10.0.0.1:50000"));
    assert_true(set(4, "requirepass", "", "protected-mode", "no"));
    assert_false(config_denies_remote(&config, "10.0.0.1:50000"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_names_are_unique_and_defaults_are_valid, fresh),
        cmocka_unit_test_setup(test_a_file, fresh),
        cmocka_unit_test_setup(test_bad_lines_are_blamed, fresh),
        cmocka_unit_test_setup(test_what_must_not_be_ignored_is_refused, fresh),
        cmocka_unit_test_setup(test_include, fresh),
        cmocka_unit_test_setup(test_command_lines, fresh),
        cmocka_unit_test_setup(test_the_whole_is_checked, fresh),
        cmocka_unit_test_setup(test_config_set, fresh),
        cmocka_unit_test_setup(test_config_set_is_all_or_nothing, fresh),
        cmocka_unit_test_setup(test_secrets_stay_secret, fresh),
        cmocka_unit_test_setup(test_bind_addresses, fresh),
        cmocka_unit_test_setup(test_protected_mode, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
