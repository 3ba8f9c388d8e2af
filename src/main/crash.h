/* The last words of a process that dies by a fault or a panic. */
#ifndef MAIN_CRASH_H
#define MAIN_CRASH_H

/* From now on SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT print the signal, the version and a stack
 * of addresses (for addr2line) to standard error, and then end the process as they would have. Does
 * nothing in sanitizer builds, whose own reports are better. */
void crash_reports_on(void);

#endif
