/* A crash ends the process by its signal, and not without a word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/panic.h"
#include "main/crash.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void crash_by(int signal_number, int output)
{
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    dup2(output, STDERR_FILENO);
    signal(signal_number, SIG_DFL); /* cmocka has handlers of its own */
    crash_reports_on();
    if (signal_number == SIGABRT) {
        qr_assert(signal_number == 0);
    }
    raise(signal_number);
    _exit(0);
}

static void expect_report(int signal_number, const char *words)
{
    int ends[2];
    char text[16384];
    size_t n = 0;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        crash_by(signal_number, ends[1]);
    }
    close(ends[1]);
    for (ssize_t got; (got = read(ends[0], text + n, sizeof text - 1 - n)) > 0;) {
        n += (size_t)got;
    }
    text[n] = 0;
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
#if !defined(__SANITIZE_ADDRESS__)
    assert_non_null(strstr(text, words));
    assert_non_null(strstr(text, "stack:\n"));
#else
    (void)words;
#endif
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), signal_number);
}

static void test_a_fault_leaves_a_report(void **state)
{
    (void)state;
    expect_report(SIGSEGV, "crashed by SIGSEGV");
    expect_report(SIGBUS, "crashed by SIGBUS");
}

static void test_a_panic_says_what_was_false(void **state)
{
    (void)state;
    expect_report(SIGABRT, "signal_number == 0");
    expect_report(SIGABRT, "crashed by SIGABRT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_fault_leaves_a_report),
        cmocka_unit_test(test_a_panic_says_what_was_false),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
