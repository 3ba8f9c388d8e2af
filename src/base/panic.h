/* A bug stops the node with its context; it never limps on (R7).
 *
 * Assertions are always on, in release builds too: one condition each. A trailing comment names
 * the rule that the assertion checks, for example qr_assert(after <= minted); with P2 behind it. */
#ifndef BASE_PANIC_H
#define BASE_PANIC_H

/* Prints "panic: file:line: condition" and the formatted context to stderr, then aborts. */
_Noreturn void qr_panic(const char *file, int line, const char *condition);

#define qr_assert(condition)                                                                       \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0)) {                                                   \
            qr_panic(__FILE__, __LINE__, #condition);                                              \
        }                                                                                          \
    } while (0)

#define qr_unreachable() qr_panic(__FILE__, __LINE__, "unreachable")

#endif
