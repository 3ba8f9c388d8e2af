/* Scripts: a story told in commands, with what it causes below each `----` (docs/testing.md lists
 * the commands). One language for all strategies. A block is a paragraph of commands, the line
 * `----`, and the output up to the next empty line; --rewrite puts what came out in its place.
 *
 * This file reads and compares; script_commands.c carries the commands out. */
#include "sim/script.h"

#include <signal.h>

static void append_line(struct lines *out, const char *line)
{
    if (out->n == out->cap) {
        out->cap = out->cap == 0 ? 64 : out->cap * 2;
        out->v = qr_realloc(out->v, out->cap * sizeof *out->v);
    }
    char *copy = qr_alloc(strlen(line) + 1);
    memcpy(copy, line, strlen(line) + 1);
    out->v[out->n++] = copy;
}

static void clear_lines(struct lines *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->v[i]);
    }
    l->n = 0;
}

static void free_lines(struct lines *l)
{
    clear_lines(l);
    free(l->v);
}

void script_say(struct script *s, const char *line)
{
    append_line(&s->output, line);
}

void script_tell(void *context, const char *line)
{
    script_say(context, line);
}

static bool read_file(const char *path, struct lines *out)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return false;
    }
    char line[1024];
    while (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = 0;
        append_line(out, line);
    }
    (void)fclose(f);
    return true;
}

static sigjmp_buf *volatile abort_target;

static void on_abort(int number)
{
    (void)number;
    if (abort_target != NULL) {
        siglongjmp(*abort_target, 2);
    }
}

/* A violation or a panic ends the block, and the world with it. */
static void run_line(struct script *s, char *line)
{
    if (s->dead) {
        script_say(s, "the world has ended");
        return;
    }
    struct sigaction old, action = { .sa_handler = on_abort, .sa_flags = SA_NODEFER };
    (void)sigaction(SIGABRT, &action, &old);
    sigjmp_buf *target = s->world != NULL ? &s->world->on_violation : &s->no_world;
    abort_target = target;
    int how = sigsetjmp(*target, 1);
    if (how == 0) {
        script_command(s, line);
    } else {
        s->dead = true;
    }
    if (how == 2) {
        script_say(s, "PANIC");
    }
    abort_target = NULL;
    (void)sigaction(SIGABRT, &old, NULL);
}

static void run_commands(struct script *s, const char *line)
{
    char copy[1024];
    (void)snprintf(copy, sizeof copy, "%s", line);
    char *rest = copy, *part;
    while ((part = strsep(&rest, ";")) != NULL) {
        part += strspn(part, " ");
        if (*part != 0) {
            run_line(s, part);
        }
    }
}

static bool is_command(const char *line)
{
    return *line != 0 && *line != '#';
}

/* Prints the first line that differs. */
static bool same(const char *path, size_t at, const struct lines *expected, const struct lines *got)
{
    for (size_t i = 0; i < expected->n || i < got->n; i++) {
        const char *want = i < expected->n ? expected->v[i] : "(nothing)";
        const char *have = i < got->n ? got->v[i] : "(nothing)";
        if (strcmp(want, have) != 0) {
            printf("# %s:%zu\n#   expected: %s\n#   got:      %s\n", path, at + i + 1, want, have);
            return false;
        }
    }
    return true;
}

static bool write_back(const char *path, const struct lines *lines)
{
    FILE *f = fopen(path, "we");
    if (f == NULL) {
        perror(path);
        return false;
    }
    for (size_t i = 0; i < lines->n; i++) {
        (void)fprintf(f, "%s\n", lines->v[i]);
    }
    return fclose(f) == 0;
}

static void trim_empty(struct lines *l)
{
    while (l->n > 0 && l->v[l->n - 1][0] == 0) {
        free(l->v[--l->n]);
    }
}

/* Runs all blocks; `after` receives the file as it should read. */
static bool run_blocks(const char *path, struct script *s, const struct lines *file,
                       struct lines *after)
{
    bool ok = true;
    for (size_t i = 0; i < file->n; i++) {
        append_line(after, file->v[i]);
        if (strcmp(file->v[i], "----") != 0) {
            if (is_command(file->v[i])) {
                run_commands(s, file->v[i]);
            }
            continue;
        }
        size_t at = i + 1;
        struct lines expected = { 0 };
        while (i + 1 < file->n && file->v[i + 1][0] != 0) {
            append_line(&expected, file->v[++i]);
        }
        ok = same(path, at, &expected, &s->output) && ok;
        for (size_t k = 0; k < s->output.n; k++) {
            append_line(after, s->output.v[k]);
        }
        free_lines(&expected);
        clear_lines(&s->output);
    }
    if (s->output.n > 0) {
        printf("# %s: the last block has no ----\n", path);
        ok = false;
    }
    trim_empty(after);
    return ok;
}

int script_run(const char *path, bool rewrite, bool quiet)
{
    struct lines file = { 0 }, after = { 0 };
    if (!read_file(path, &file)) {
        perror(path);
        return 1;
    }
    struct script s = { 0 };
    bool ok = run_blocks(path, &s, &file, &after);
    if (rewrite && !ok) {
        ok = write_back(path, &after);
        if (!quiet) {
            printf("# rewritten: %s\n", path);
        }
    }
    script_end(&s);
    free_lines(&s.output);
    free_lines(&file);
    free_lines(&after);
    return ok ? 0 : 1;
}
