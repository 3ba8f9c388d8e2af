/* Histories of real clients as text, and `quorate check-history FILE`, which checks one.
 *
 * The format: one line per operation, fields separated by one space, `#` starts a comment line.
 *
 *     process key kind argument result start end
 *
 *     process   a number: who asked
 *     key       any text without spaces
 *     kind      get | set | del | incr | append
 *     argument  the value of set and append, the amount of incr (- means 1); `-` for get and del
 *     result    what the client was told:
 *                   ok            done, nothing more was said (set)
 *                   nil           the key does not exist (get)
 *                   =VALUE        the value (get), the new number (incr), the new length (append),
 *                                 0 or 1 (del)
 *                   unknown       no answer, or one that leaves it open: it may take effect at any
 *                                 time after its start, or never
 *                   fail          surely not done
 *     start end times of one clock, in any unit; the end of an unknown operation is not looked at
 *
 * A value is written with %XX for a space, a percent sign, a line end or any other byte that is not
 * printable, or for a # that begins it; the empty value is `=` as a result and %% as an argument. A
 * value too long to write
 * down is #HASH:LENGTH, with its FNV-1a hash of 64 bits in hexadecimal (=#HASH:LENGTH as a
 * result). */
#include "sim/seed.h"

#include <inttypes.h>

#define FIELDS 7u
#define LINE_MAX_BYTES 65536u

struct history {
    struct history_op *ops;
    size_t n, cap;
    char **keys; /* sorted by hash table order: index = number of the key */
    size_t key_count, key_cap;
    uint32_t *table;
    size_t table_cap;
    size_t *lines; /* line number of each operation */
};

static uint64_t hash_of(const char *text)
{
    return model_value_of(span_of(text, strlen(text))).hash;
}

static void grow_table(struct history *h)
{
    h->table_cap = h->table_cap == 0 ? 1024 : h->table_cap * 2;
    h->table = qr_realloc(h->table, h->table_cap * sizeof *h->table);
    memset(h->table, 0xff, h->table_cap * sizeof *h->table);
    for (size_t k = 0; k < h->key_count; k++) {
        size_t i = hash_of(h->keys[k]) & (h->table_cap - 1);
        while (h->table[i] != UINT32_MAX) {
            i = (i + 1) & (h->table_cap - 1);
        }
        h->table[i] = (uint32_t)k;
    }
}

static uint32_t key_number(struct history *h, const char *key)
{
    if (h->key_count * 2 >= h->table_cap) {
        grow_table(h);
    }
    size_t i = hash_of(key) & (h->table_cap - 1);
    while (h->table[i] != UINT32_MAX) {
        if (strcmp(h->keys[h->table[i]], key) == 0) {
            return h->table[i];
        }
        i = (i + 1) & (h->table_cap - 1);
    }
    if (h->key_count == h->key_cap) {
        h->key_cap = h->key_cap == 0 ? 64 : h->key_cap * 2;
        h->keys = qr_realloc(h->keys, h->key_cap * sizeof *h->keys);
    }
    size_t size = strlen(key) + 1;
    h->keys[h->key_count] = qr_alloc(size);
    memcpy(h->keys[h->key_count], key, size);
    h->table[i] = (uint32_t)h->key_count;
    return (uint32_t)h->key_count++;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* False when the text is not a value. The text is decoded in place. */
static bool parse_value(char *text, struct model_value *out)
{
    if (text[0] == '#') {
        char *end;
        *out = (struct model_value){ .present = true, .hash = strtoull(text + 1, &end, 16) };
        if (*end != ':') {
            return false;
        }
        out->length = (uint32_t)strtoul(end + 1, &end, 10);
        return *end == 0 && out->length > MODEL_SMALL;
    }
    size_t n = 0;
    for (const char *p = text; *p != 0; p++) {
        if (p[0] == '%' && p[1] == '%') {
            p++;
            continue;
        }
        if (p[0] == '%') {
            if (hex_digit(p[1]) < 0 || hex_digit(p[2]) < 0) {
                return false;
            }
            text[n++] = (char)(hex_digit(p[1]) * 16 + hex_digit(p[2]));
            p += 2;
            continue;
        }
        text[n++] = *p;
    }
    *out = model_value_of(span_of(text, n));
    return true;
}

static bool parse_argument(char *text, struct history_op *op)
{
    if (op->kind == OP_GET || op->kind == OP_DEL) {
        return strcmp(text, "-") == 0;
    }
    if (op->kind == OP_INCR && strcmp(text, "-") == 0) {
        op->argument = model_value_of_number(1);
        return true;
    }
    return parse_value(text, &op->argument) &&
           (op->kind != OP_APPEND || op->argument.length <= MODEL_SMALL);
}

static bool parse_result(char *text, struct model_result *out)
{
    static const struct {
        const char *name;
        enum result_kind kind;
    } names[] = { { "ok", RESULT_OK },
                  { "nil", RESULT_NIL },
                  { "unknown", RESULT_UNKNOWN },
                  { "fail", RESULT_FAIL } };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(text, names[i].name) == 0) {
            out->kind = names[i].kind;
            return true;
        }
    }
    out->kind = RESULT_VALUE;
    return text[0] == '=' && parse_value(text + 1, &out->value);
}

/* Whether a command of that kind can answer so at all. The search takes it for granted. */
static bool result_fits(enum op_kind kind, const struct model_result *result)
{
    const struct model_value *v = &result->value;
    switch (result->kind) {
    case RESULT_OK:
        return kind == OP_SET;
    case RESULT_NIL:
        return kind == OP_GET;
    case RESULT_VALUE:
        break;
    case RESULT_UNKNOWN:
    case RESULT_FAIL:
        return true;
    }
    if (kind == OP_DEL) {
        return v->length == 1 && (v->small[0] == '0' || v->small[0] == '1');
    }
    uint32_t sign = kind == OP_INCR && v->length > 1 && v->small[0] == '-' ? 1 : 0;
    bool number = v->length > sign && v->length <= 20;
    for (uint32_t i = sign; number && i < v->length; i++) {
        number = v->small[i] >= '0' && v->small[i] <= '9';
    }
    return kind == OP_GET || (number && kind != OP_SET);
}

static bool parse_number(const char *text, int64_t *out)
{
    char *end;
    *out = strtoll(text, &end, 10);
    return *text != 0 && *end == 0;
}

static bool parse_line(struct history *h, char *line, struct history_op *op)
{
    char *fields[FIELDS];
    for (unsigned i = 0; i < FIELDS; i++) {
        fields[i] = strsep(&line, " ");
        if (fields[i] == NULL) {
            return false;
        }
    }
    int64_t process;
    memset(op, 0, sizeof *op);
    if (line != NULL || !parse_number(fields[0], &process) || !op_kind_of(fields[2], &op->kind) ||
        !parse_argument(fields[3], op) || !parse_result(fields[4], &op->result) ||
        !result_fits(op->kind, &op->result) || !parse_number(fields[5], &op->start) ||
        !parse_number(fields[6], &op->end)) {
        return false;
    }
    op->process = (uint32_t)process;
    op->key = key_number(h, fields[1]);
    return op->end >= op->start || op->result.kind == RESULT_UNKNOWN;
}

static void add(struct history *h, const struct history_op *op, size_t line)
{
    if (h->n == h->cap) {
        h->cap = h->cap == 0 ? 1024 : h->cap * 2;
        h->ops = qr_realloc(h->ops, h->cap * sizeof *h->ops);
        h->lines = qr_realloc(h->lines, h->cap * sizeof *h->lines);
    }
    h->lines[h->n] = line;
    h->ops[h->n++] = *op;
}

static void history_free(struct history *h)
{
    for (size_t i = 0; i < h->key_count; i++) {
        free(h->keys[i]);
    }
    free(h->keys);
    free(h->table);
    free(h->ops);
    free(h->lines);
}

/* 0, or the number of the first line that is malformed. */
static size_t history_read(FILE *in, struct history *h)
{
    char *line = qr_alloc(LINE_MAX_BYTES);
    size_t number = 0, bad = 0;
    while (bad == 0 && fgets(line, LINE_MAX_BYTES, in) != NULL) {
        number++;
        line[strcspn(line, "\n")] = 0;
        struct history_op op;
        if (line[0] == 0 || line[0] == '#') {
            continue;
        }
        if (parse_line(h, line, &op)) {
            add(h, &op, number);
        } else {
            bad = number;
        }
    }
    free(line);
    return bad;
}

static int tell(const struct history *h, const struct linearizable_report *report, FILE *out)
{
    if (report->verdict == VERDICT_LINEARIZABLE) {
        (void)fprintf(out, "linearizable: %zu operations on %zu keys, %" PRIu64 " steps\n", h->n,
                      h->key_count, report->steps);
        return 0;
    }
    (void)fprintf(out, "%s: key %s; no order explains line %zu\n",
                  report->verdict == VERDICT_VIOLATED ? "NOT linearizable"
                                                      : "UNDECIDED, search limit",
                  h->keys[report->key], h->lines[report->stuck_at]);
    return 1;
}

int history_check(FILE *in, const char *name, uint64_t steps_max, FILE *out)
{
    struct history h = { 0 };
    size_t bad = history_read(in, &h);
    int code = 2;
    if (bad != 0) {
        (void)fprintf(stderr, "%s:%zu: not an operation\n", name, bad);
    } else {
        struct linearizable_report report = linearizable_check(h.ops, h.n, steps_max);
        code = tell(&h, &report, out);
    }
    history_free(&h);
    return code;
}

int check_history_main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fputs("usage: quorate check-history FILE\n", stderr);
        return 2;
    }
    FILE *in = fopen(argv[1], "re");
    if (in == NULL) {
        perror(argv[1]);
        return 2;
    }
    int code = history_check(in, argv[1], LINEARIZABLE_STEPS_MAX, stdout);
    (void)fclose(in);
    return code;
}
