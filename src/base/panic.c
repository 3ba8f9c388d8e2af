#include "base/panic.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void qr_panic(const char *file, int line, const char *condition)
{
    (void)fprintf(stderr, "panic: %s:%d: %s\n", file, line, condition);
    (void)fflush(stderr);
    abort();
}
