/* See written.h. */
#include "written.h"

#include "cluster/level.h"
#include "sim/seed.h"

#include <inttypes.h>
#include <stdio.h>

static void write_list_op(const struct list_op *o, FILE *out)
{
    static const char *const results[] = { "=", "", "", "unknown", "fail" };
    (void)fprintf(out, "%u k%u %s ", 100 + o->session, o->key, o->is_append ? "append" : "get");
    if (o->is_append) {
        (void)fprintf(out, "%u, %s", o->element, results[o->result]);
        (void)(o->result == RESULT_OK ? fprintf(out, "%u", o->told) : 0);
    } else {
        (void)fprintf(out, "- %s", o->n > 0 ? "=" : "nil");
    }
    for (uint32_t i = 0; i < o->n; i++) {
        (void)fprintf(out, "%u,", o->list[i]);
    }
    (void)fprintf(out, " %" PRId64 " %" PRId64 " session=%u group=%u", o->start, o->end, o->session,
                  o->group);
    if (!o->is_append) {
        (void)fprintf(out, " level=%s", level_name(o->level));
    }
    if (!o->is_append && o->level == READ_BOUNDED) {
        bool counted = o->behind != NOT_COUNTED;
        (void)fprintf(out, ":%" PRId64 "%s", counted ? (int64_t)o->behind : o->bound,
                      counted ? "ops" : "");
    }
    (void)(o->position != 0 ? fprintf(out, " position=%" PRIu64, o->position) : 0);
    (void)fputc('\n', out);
}

int written_judge(const struct list_op *ops, size_t n, char *said, size_t cap)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    for (size_t i = 0; i < n; i++) {
        write_list_op(&ops[i], out);
    }
    (void)fclose(out);
    FILE *in = fmemopen(text, size, "r");
    out = fmemopen(said, cap, "w");
    int code = history_check(in, "the history", LINEARIZABLE_STEPS_MAX, out);
    (void)fclose(in);
    (void)fclose(out);
    free(text);
    return code;
}
