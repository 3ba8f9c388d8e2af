/* See story.h. */
#include "sim/nodes/story.h"

#include "sim/seed.h"

#include <inttypes.h>

size_t story_ask(struct story *story, const struct deed *asked)
{
    if (story->n == story->cap) {
        struct process *before = memory_for(NULL);
        story->cap = story->cap == 0 ? 256 : 2 * story->cap;
        story->v = qr_realloc(story->v, story->cap * sizeof *story->v);
        (void)memory_for(before);
    }
    story->v[story->n] = *asked;
    return story->n++;
}

void story_tell(struct deed *asked, enum result_kind result, struct span value, qr_time now)
{
    asked->result = result;
    asked->end = now;
    if (result == RESULT_VALUE) {
        struct process *before = memory_for(NULL);
        asked->value = qr_zalloc(value.n + 1);
        memcpy(asked->value, value.p, value.n);
        (void)memory_for(before);
    }
}

static void write_line(const struct deed *a, const char *key, FILE *out)
{
    static const char *const results[] = { "ok", "nil", "=", "unknown", "fail" };
    fprintf(out, "%" PRIu32 " %s %s %s %s%s %" PRId64 " %" PRId64 " session=%" PRIu32, a->asker,
            key, op_kind_name(a->kind), a->argument[0] != 0 ? a->argument : "-",
            results[a->result], a->value != NULL ? a->value : "", a->start, a->end, a->session);
    if (a->level[0] != 0) {
        fprintf(out, " level=%s", a->level);
    }
    fputc('\n', out);
}

void story_write(const struct story *story, FILE *out)
{
    for (size_t i = 0; i < story->n; i++) {
        const struct deed *a = &story->v[i];
        if (!a->apart && a->keys == 0) {
            write_line(a, a->key, out);
        }
        for (unsigned k = 0; k < a->keys; k++) {
            char key[sizeof a->key + 4];
            (void)snprintf(key, sizeof key, "%s%u", a->key, k);
            write_line(a, key, out);
        }
    }
}

bool story_judge(const struct story *story, char *verdict, size_t cap)
{
    FILE *lines = tmpfile();
    FILE *out = fmemopen(verdict, cap, "w");
    qr_assert(lines != NULL && out != NULL);
    verdict[0] = 0;
    story_write(story, lines);
    rewind(lines);
    int code = history_check(lines, "the history", LINEARIZABLE_STEPS_MAX, out);
    fclose(lines);
    fclose(out);
    size_t n = strlen(verdict);
    verdict[n > 0 ? n - 1 : 0] = 0; /* what is wrong is the last of its lines */
    const char *last = strrchr(verdict, '\n');
    if (last != NULL) {
        memmove(verdict, last + 1, strlen(last));
    }
    if (code != 0 && verdict[0] == 0) { /* what nobody can judge is not good */
        (void)snprintf(verdict, cap, "the history cannot be judged");
    }
    return code == 0;
}

void story_free(struct story *story)
{
    for (size_t i = 0; i < story->n; i++) {
        free(story->v[i].value);
    }
    free(story->v);
}
