/* Scripts of the simulator: any text is carried out or told to be a mistake. A violation of the
 * canary, or of a world that a script has made impossible, ends the world and is no failure here.
 *
 * Numbers that would make a run long are refused before they are carried out. */
#include "fuzz.h"

#include "base/alloc.h"
#include "sim/script.h"

#include <string.h>

#define LINE_BYTES_MAX 400u
#define COMMANDS_MAX 60u
#define ELAPSE_MAX 300000
#define DURATION_MAX 200000u
#define NUMBER_MAX 2000000

/* Whether a word holds a number beyond what a short run may have; seeds may be any. */
static bool too_much(const char *line)
{
    bool elapse = strncmp(line, "elapse", 6) == 0;
    for (const char *p = line; *p != 0; p++) {
        bool starts = *p >= '0' && *p <= '9' && (p == line || p[-1] < '0' || p[-1] > '9');
        if (!starts || (p - line >= 5 && strncmp(p - 5, "seed=", 5) == 0)) {
            continue;
        }
        char *end;
        uint64_t v = strtoull(p, &end, 0);
        uint64_t unit = !elapse ? 1 : *end == 'm' ? 1000 : *end == 's' ? 1000000 : 1;
        if (v > NUMBER_MAX || (elapse && v * unit > ELAPSE_MAX)) {
            return true;
        }
        p = end > p ? end - 1 : p;
    }
    return false;
}

/* Worlds whose clocks tick every few microseconds take for ever. */
static bool too_fast(const struct options *o)
{
    return o->heartbeat < 2000 || o->election < 20000 || o->lease < 2000 || o->nodes > 7;
}

static void run_command(struct script *s, char *line)
{
    bool world = strncmp(line, "cluster", 7) == 0 || strncmp(line, "world", 5) == 0;
    if (s->dead || too_much(line) ||
        (world && strpbrk(line, "hlen") != NULL &&
         (strstr(line, "heartbeat") || strstr(line, "election") || strstr(line, "lease=")))) {
        return;
    }
    s->run.options.duration = min_u64(s->run.options.duration, DURATION_MAX);
    s->run.options.liveness = 0;
    if (strncmp(line, "run", 3) == 0 && s->run.protocol != NULL && too_fast(&s->run.options)) {
        return;
    }
    sigjmp_buf *target = s->world != NULL ? &s->world->on_violation : &s->no_world;
    if (sigsetjmp(*target, 0) == 0) {
        script_command(s, line);
    } else {
        s->dead = true;
    }
}

static void free_output(struct script *s)
{
    for (size_t i = 0; i < s->output.n; i++) {
        free(s->output.v[i]);
    }
    free(s->output.v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct script *s = qr_zalloc(sizeof *s);
    unsigned commands = 0;
    for (size_t at = 0; at < n && commands < COMMANDS_MAX;) {
        size_t length = 0;
        while (at + length < n && data[at + length] != '\n' && data[at + length] != ';') {
            length++;
        }
        char line[LINE_BYTES_MAX];
        size_t skip = 0;
        while (skip < length && data[at + skip] == ' ') {
            skip++;
        }
        if (length - skip < sizeof line && length > skip && data[at + skip] != '#') {
            memcpy(line, data + at + skip, length - skip);
            line[length - skip] = 0;
            run_command(s, line);
            commands++;
        }
        at += length + 1;
    }
    script_end(s);
    free_output(s);
    free(s);
    return 0;
}
