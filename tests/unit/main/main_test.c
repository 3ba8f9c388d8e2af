/* What surrounds a node: log lines and the word to the supervisor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "main/notify.h"
#include "node/config.h"
#include "node/logline.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* --- Log lines ------------------------------------------------------------------------------ */

static void assert_matches(const char *text, const char *pattern)
{
    regex_t regex;
    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    int mismatch = regexec(&regex, text, 0, NULL, 0);
    regfree(&regex);
    if (mismatch != 0) {
        fail_msg("'%s' does not match '%s'", text, pattern);
    }
}

/* Logs to a file in a directory of its own and gives back what the file holds then. */
static void log_and_read(struct logger *logger, enum logger_level level, const char *message,
                         char *text, size_t cap)
{
    char directory[] = "/tmp/quorate-XXXXXX";
    assert_non_null(mkdtemp(directory));
    snprintf(logger->path, sizeof logger->path, "%s/log", directory);
    logger_line(logger, level, "%s", message);
    memset(text, 0, cap);
    FILE *file = fopen(logger->path, "r");
    if (file != NULL) {
        (void)!fread(text, 1, cap - 1, file);
        fclose(file);
    }
    unlink(logger->path);
    rmdir(directory);
}

static void test_a_line_has_the_shape_that_redis_gave_it(void **state)
{
    (void)state;
    char text[8192];
    struct logger logger = { .level = LOGGER_NOTICE, .role = 'M' };
    log_and_read(&logger, LOGGER_NOTICE, "Ready", text, sizeof text);
    assert_matches(text, "^[0-9]+:M [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}"
                         "\\.[0-9]{3} \\* Ready\n$");
    logger.role = 'S';
    log_and_read(&logger, LOGGER_WARNING, "Careful", text, sizeof text);
    assert_matches(text, ":S .* # Careful\n$");
    log_and_read(&logger, LOGGER_VERBOSE, "Chatter", text, sizeof text);
    assert_string_equal(text, "");
}

static void test_a_line_as_json(void **state)
{
    (void)state;
    char text[8192];
    struct logger logger = { .role = 'M', .json = true };
    log_and_read(&logger, LOGGER_WARNING, "a \"b\" \\c", text, sizeof text);
    assert_matches(text, "^\\{\"time\":\"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
                         "\\.[0-9]{3}Z\",\"pid\":[0-9]+,\"role\":\"M\",\"level\":\"warning\","
                         "\"message\":\"a \\\\\"b\\\\\" \\\\\\\\c\"\\}\n$");
}

/* A name that a client has chosen must not forge a line. */
static void test_a_message_stays_one_line(void **state)
{
    (void)state;
    char text[8192];
    struct logger logger = { .role = 'M' };
    log_and_read(&logger, LOGGER_NOTICE, "one\n1:M forged\r\x1b", text, sizeof text);
    assert_matches(text, " \\* one 1:M forged  \n$");
    char longest[2 * LOG_LINE_BYTES_MAX];
    memset(longest, '\\', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    logger.json = true;
    log_and_read(&logger, LOGGER_NOTICE, longest, text, sizeof text);
    assert_matches(text, "\\\\\\\\\"\\}\n$");
}

static void test_a_log_that_cannot_be_written_is_counted(void **state)
{
    (void)state;
    struct logger logger = { .role = 'M', .path = "/nonexistent/quorate/log" };
    assert_int_equal(logger_test(&logger), -ENOENT);
    logger_line(&logger, LOGGER_WARNING, "lost");
    assert_int_equal(logger.lost, 1);
}

/* --- The supervisor ------------------------------------------------------------------------- */

static void test_the_supervisor_hears_what_it_is_told(void **state)
{
    (void)state;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char name[64];
    int n = snprintf(name, sizeof name, "@quorate-test-%d", (int)getpid());
    memcpy(address.sun_path, name, (size_t)n);
    address.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    socklen_t size = (socklen_t)offsetof(struct sockaddr_un, sun_path) + (socklen_t)n;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    assert_int_equal(notify_supervisor("READY=1\nSTATUS=fine"), 0);
    char text[64] = "";
    assert_int_equal(recv(fd, text, sizeof text - 1, MSG_DONTWAIT), 19);
    assert_string_equal(text, "READY=1\nSTATUS=fine");
    close(fd);
    assert_int_equal(notify_supervisor("READY=1"), -ECONNREFUSED);
    setenv("NOTIFY_SOCKET", "relative", 1);
    assert_int_equal(notify_supervisor("READY=1"), -EINVAL);
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(notify_supervisor("READY=1"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_has_the_shape_that_redis_gave_it),
        cmocka_unit_test(test_a_line_as_json),
        cmocka_unit_test(test_a_message_stays_one_line),
        cmocka_unit_test(test_a_log_that_cannot_be_written_is_counted),
        cmocka_unit_test(test_the_supervisor_hears_what_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
