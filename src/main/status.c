/* `quorate status`: the cluster on one screen, once or again each second. */
#include "main/main.h"

#include "base/alloc.h"
#include "main/status.h"
#include "main/table.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 2000
#define BETWEEN_MS 250 /* two looks, between which the processor's share is seen */
#define WATCH_MS 1000

static void pause_ms(int ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
    (void)nanosleep(&t, NULL);
}

static int print_once(const struct asking *asking, struct status *s, struct status *before)
{
    bool good = status_gather(before, NULL, asking);
    if (good && !asking->json) {
        pause_ms(BETWEEN_MS);
    }
    if (good) {
        good = status_gather(s, before, asking);
    } else {
        memcpy(s->error, before->error, sizeof s->error);
    }
    if (asking->json) {
        status_json(s, stdout);
    } else if (good) {
        status_print(s, asking->name, table_width(stdout), stdout);
    } else {
        fprintf(stderr, "quorate status: %s: %s\n", asking->name, s->error);
    }
    status_free(before);
    return !asking_written("status") ? EXIT_UNWRITTEN : good ? 0 : EXIT_UNREACHED;
}

/* Writes the screen over the last one, line by line, so that nothing flickers; what does not fit
 * the terminal is left out, or it would scroll. */
static void redraw(const char *text)
{
    size_t width = table_width(stdout);
    uint32_t rows = table_rows(stdout);
    fputs("\033[H", stdout);
    for (const char *line = text; *line != 0 && rows > 1; rows--) {
        size_t n = strcspn(line, "\n");
        printf("%.*s\033[K\n", (int)(n < width ? n : width), line);
        line += n + (line[n] == '\n' ? 1 : 0);
    }
    fputs("\033[J", stdout);
}

/* What was found, over what stands on the screen. */
static bool draw(const struct asking *asking, const struct status *s, bool good)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (out == NULL) {
        return false;
    }
    if (good) {
        status_print(s, asking->name, table_width(stdout), out);
    } else {
        (void)fprintf(out, "%s: %s\n", asking->name, s->error);
    }
    (void)fclose(out);
    redraw(text);
    free(text);
    return true;
}

/* Until Ctrl-C, or until nobody reads it. */
static int watch(const struct asking *asking, struct status *s, struct status *before)
{
    fputs(asking->json ? "" : "\033[2J", stdout);
    for (;;) {
        bool good = status_gather(s, before, asking);
        if (asking->json) {
            status_json(s, stdout); /* a line, also when nothing is known but why */
        } else if (!draw(asking, s, good)) {
            return EXIT_UNREACHED;
        }
        if (!asking_written("status")) {
            return EXIT_UNWRITTEN;
        }
        status_free(before);
        *before = *s;
        *s = (struct status){ 0 };
        pause_ms(WATCH_MS);
    }
}

int status_main(int argc, char **argv)
{
    struct asking asking;
    int first = asking_parse(&asking, "status", PATIENCE_MS, argc, argv);
    if (first < 0) {
        return EXIT_USAGE;
    }
    if (first < argc) {
        fprintf(stderr, "quorate status: it takes no '%s'; see quorate status --help\n",
                argv[first]);
        return EXIT_USAGE;
    }
    struct status *both = qr_zalloc(2 * sizeof *both);
    int code =
        asking.watch ? watch(&asking, &both[0], &both[1]) : print_once(&asking, &both[0], &both[1]);
    status_free(&both[0]);
    status_free(&both[1]);
    free(both);
    return code;
}
