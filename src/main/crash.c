/* Crash reports: see crash.h. The handler calls only what is safe in a signal handler; backtrace()
 * is, once it has been called before. */
#include "main/crash.h"

#include "base/types.h"

#include <execinfo.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define FRAMES_MAX 64

#if defined(__SANITIZE_ADDRESS__)
#define WANTED false
#else
#define WANTED true
#endif

static void put(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored; /* nobody is left to be told */
}

static const char *name_of(int signal_number)
{
    switch (signal_number) {
    case SIGSEGV:
        return "SIGSEGV";
    case SIGBUS:
        return "SIGBUS";
    case SIGFPE:
        return "SIGFPE";
    case SIGILL:
        return "SIGILL";
    default:
        return "SIGABRT";
    }
}

static void on_crash(int signal_number)
{
    void *frames[FRAMES_MAX];
    put("=== quorate " QUORATE_VERSION " crashed by ");
    put(name_of(signal_number));
    put(", stack:\n");
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), STDERR_FILENO);
    put("=== what was acknowledged is on disk; please report the lines above\n");
    raise(signal_number); /* SA_RESETHAND: this time it ends the process */
}

void crash_reports_on(void)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    void *frames[1];
    (void)backtrace(frames, 1);
    struct sigaction action = { .sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND };
    for (size_t i = 0; WANTED && i < ARRAY_COUNT(signals); i++) {
        sigaction(signals[i], &action, NULL);
    }
}
