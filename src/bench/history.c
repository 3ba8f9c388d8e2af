#include "bench/history.h"

#include "base/alloc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define BUFFER_BYTES ((size_t)1 << 18)

struct history {
    FILE *file;
    char *buffer;
};

struct history *history_open(const char *path)
{
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return NULL;
    }
    struct history *h = qr_zalloc(sizeof *h);
    h->file = file;
    h->buffer = qr_alloc(BUFFER_BYTES);
    (void)setvbuf(file, h->buffer, _IOFBF, BUFFER_BYTES);
    (void)fputs("# by quorate bench " QUORATE_VERSION "; quorate check-history judges it\n"
                "# process key kind argument result start end\n",
                file);
    return h;
}

void history_write(struct history *h, const struct history_line *l)
{
    char result[32] = "unknown";
    if (l->outcome == HISTORY_FAIL) {
        (void)snprintf(result, sizeof result, "fail");
    } else if (l->outcome == HISTORY_OK && l->write) {
        (void)snprintf(result, sizeof result, "ok");
    } else if (l->outcome == HISTORY_OK && l->nil) {
        (void)snprintf(result, sizeof result, "nil");
    } else if (l->outcome == HISTORY_OK) {
        (void)snprintf(result, sizeof result, "=%s%" PRIx64, l->wrong ? "wrong" : "v", l->sequence);
    }
    char argument[32] = "-";
    if (l->write) {
        (void)snprintf(argument, sizeof argument, "v%" PRIx64, l->sequence);
    }
    (void)fprintf(h->file, "%" PRIu32 " %s %s %s %s %" PRId64 " %" PRId64 "\n", l->process, l->key,
                  l->write ? "set" : "get", argument, result, l->start, l->end);
}

bool history_close(struct history *h)
{
    bool good = ferror(h->file) == 0;
    int error = good ? 0 : EIO;
    if (fclose(h->file) != 0) {
        good = false;
        error = errno;
    }
    free(h->buffer);
    free(h);
    errno = error;
    return good;
}
