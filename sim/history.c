/* Histories of real clients as text, and `quorate check-history FILE`, which checks one.
 *
 * The format: one line per operation, fields separated by one space, `#` starts a comment line.
 *
 *     process key kind argument result start end
 *
 *     process   a number: who asked
 *     key       any text without spaces
 *     kind      get | set | del | incr | append | setnx | setxx | getset | getdel | clear
 *     argument  the value of the sets and of append, the amount of incr (- means 1); `-` for all
 *               others. setnx sets where nothing is, setxx where something is; clear is a del that
 *               does not tell what was there
 *     result    what the client was told:
 *                   ok            done, nothing more was said (set, setnx, setxx, clear)
 *                   nil           the key does not exist (get), did not (getset, getdel), and was
 *                                 not set (setnx, setxx)
 *                   =VALUE        the value (get), the one of before (getset, getdel), the new
 *                                 number (incr), the new length (append), 0 or 1 (del)
 *                   unknown       no answer, or one that leaves it open: it may take effect at any
 *                                 time after its start, or never
 *                   fail          surely not done
 *     start end times of one clock, in any unit; the end of an unknown operation is not looked at
 *
 * Behind these seven stand any of
 *
 *     session=N         whose guarantees hold for it; else the process is its own session
 *     level=LEVEL       of a get: linearizable (default), leader, prefix, local, session,
 *                       bounded:TIME, in the unit of the times, bounded:NUMBERops, or snapshot
 *     position=N        what a snapshot was read at, or where a write was told to stand; a number
 *                       that is larger for what is later, within its group
 *     group=TEXT        the partition of the key, on all lines of a key or on none: then one order
 *                       of the writes to all its keys must explain everybody
 *
 * A key that is only appended to and read, and each append of which is a number that no other one
 * has, with a comma behind it, or only read and its group stated, is a *list*: it is judged by what
 * its reads show
 * (checkers/guarantees.h), exactly and quickly, however many appends are of unknown outcome. Any
 * other key is searched for a linear order; levels below linearizable cannot be judged there.
 *
 * A value is written with %XX for a space, a percent sign, a line end or any other byte that is not
 * printable, or for a # that begins it; the empty value is `=` as a result and %% as an argument. A
 * value too long to write
 * down is #HASH:LENGTH, with its FNV-1a hash of 64 bits in hexadecimal (=#HASH:LENGTH as a
 * result). */
#include "sim/history.h"

#include "cluster/level.h"

#include <errno.h>
#include <string.h>

#define FIELDS 7u
#define LINE_MAX_BYTES 65536u

static uint64_t hash_of(const char *text)
{
    return model_value_of(span_of(text, strlen(text))).hash;
}

static void grow_table(struct names *names)
{
    names->table_cap = names->table_cap == 0 ? 1024 : names->table_cap * 2;
    names->table = qr_realloc(names->table, names->table_cap * sizeof *names->table);
    memset(names->table, 0xff, names->table_cap * sizeof *names->table);
    for (size_t k = 0; k < names->n; k++) {
        size_t i = hash_of(names->v[k]) & (names->table_cap - 1);
        while (names->table[i] != UINT32_MAX) {
            i = (i + 1) & (names->table_cap - 1);
        }
        names->table[i] = (uint32_t)k;
    }
}

static uint32_t number_of(struct names *names, const char *name)
{
    if (names->n * 2 >= names->table_cap) {
        grow_table(names);
    }
    size_t i = hash_of(name) & (names->table_cap - 1);
    while (names->table[i] != UINT32_MAX) {
        if (strcmp(names->v[names->table[i]], name) == 0) {
            return names->table[i];
        }
        i = (i + 1) & (names->table_cap - 1);
    }
    if (names->n == names->cap) {
        names->cap = names->cap == 0 ? 64 : names->cap * 2;
        names->v = qr_realloc(names->v, names->cap * sizeof *names->v);
    }
    size_t size = strlen(name) + 1;
    names->v[names->n] = qr_alloc(size);
    memcpy(names->v[names->n], name, size);
    names->table[i] = (uint32_t)names->n;
    return (uint32_t)names->n++;
}

static void names_free(struct names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        free(names->v[i]);
    }
    free(names->v);
    free(names->table);
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
    if (op_is_bare(op->kind)) {
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
        return kind == OP_SET || kind == OP_SETNX || kind == OP_SETXX || kind == OP_CLEAR;
    case RESULT_NIL:
        return kind == OP_GET || (kind >= OP_SETNX && kind <= OP_GETDEL);
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
    bool tells_value = kind == OP_GET || kind == OP_GETSET || kind == OP_GETDEL;
    return tells_value || (number && (kind == OP_INCR || kind == OP_APPEND));
}

static bool parse_number(const char *text, int64_t *out)
{
    char *end;
    *out = strtoll(text, &end, 10);
    return *text != 0 && *end == 0;
}

/* --- lists ---------------------------------------------------------------------------------- */

/* "1,17,4,": how many elements; NOWHERE when it is no list. `out` may be NULL. */
static uint32_t read_elements(const char *text, uint32_t *out)
{
    uint32_t n = 0;
    while (*text != 0) {
        uint64_t element = 0;
        const char *from = text;
        for (; *text >= '0' && *text <= '9' && element < NOWHERE; text++) {
            element = element * 10 + (uint64_t)(*text - '0');
        }
        bool short_form = text > from && (*from != '0' || text == from + 1);
        if (!short_form || element >= NOWHERE || *text++ != ',') {
            return NOWHERE;
        }
        if (out != NULL) {
            out[n] = (uint32_t)element;
        }
        n++;
    }
    return n;
}

/* What the line says if its key is a list; before the texts are decoded. */
static void read_list(const char *argument, const char *result, enum op_kind kind,
                      struct history_more *more)
{
    struct list_op *o = &more->op;
    o->is_append = kind == OP_APPEND;
    more->fits = kind == OP_GET || (o->is_append && read_elements(argument, NULL) == 1);
    if (!more->fits) {
        return;
    }
    if (o->is_append) {
        (void)read_elements(argument, &o->element);
        uint64_t told = result[0] == '=' ? strtoull(result + 1, NULL, 10) : 0;
        bool odd = result[0] == '=' && (told == 0 || told >= NOWHERE || result[1] == '0');
        o->told = odd ? NOWHERE : (uint32_t)told;
    } else if (result[0] == '=') {
        uint32_t n = read_elements(result + 1, NULL);
        o->is_garbled = n == NOWHERE || n == 0;
        if (!o->is_garbled) {
            more->list = qr_alloc(n * sizeof *more->list);
            o->n = read_elements(result + 1, more->list);
            o->list = more->list;
        }
    }
}

/* --- what stands behind the seven ----------------------------------------------------------- */

static bool parse_level(char *text, struct list_op *o)
{
    char *colon = strchr(text, ':');
    if (colon != NULL) {
        *colon = 0;
    }
    for (unsigned i = 0; i < READ_LEVELS; i++) {
        if (strcmp(text, level_name((enum read_level)i)) == 0) {
            o->level = (enum read_level)i;
        }
    }
    if (strcmp(text, level_name(o->level)) != 0 || o->level == READ_CAUSAL ||
        o->level == READ_QUORUM || (o->level == READ_BOUNDED) != (colon != NULL)) {
        return false;
    }
    o->behind = NOT_COUNTED;
    if (colon == NULL) {
        return true;
    }
    char *end = NULL;
    o->bound = strtoll(colon + 1, &end, 10);
    if (strcmp(end, "ops") == 0) {
        o->behind = (uint64_t)o->bound;
        *end = 0;
    }
    return colon[1] >= '0' && colon[1] <= '9' && *end == 0;
}

static bool parse_option(struct history *h, char *text, struct history_more *more)
{
    static const char *const options[] = { "session", "level", "position", "group" };
    char *value = strchr(text, '=');
    unsigned which = 0;
    if (value == NULL) {
        return false;
    }
    *value++ = 0;
    while (which < ARRAY_COUNT(options) && strcmp(text, options[which]) != 0) {
        which++;
    }
    bool again = which == ARRAY_COUNT(options) || (more->options >> which & 1) != 0;
    more->options |= 1u << which;
    int64_t number = 0;
    bool good = parse_number(value, &number) && number >= 0 && number < NOWHERE;
    switch (again ? 4 : which) {
    case 0:
        more->op.session = (uint32_t)number;
        return good;
    case 1:
        return !more->op.is_append && parse_level(value, &more->op);
    case 2:
        more->op.position = (uint64_t)number;
        return parse_number(value, &number) && number > 0;
    case 3:
        more->op.group = number_of(&h->groups, value);
        return *value != 0;
    default:
        return false;
    }
}

static bool parse_options(struct history *h, char *line, const struct history_op *op,
                          struct history_more *more)
{
    more->op.session = op->process;
    more->op.behind = NOT_COUNTED;
    for (char *option = strsep(&line, " "); option != NULL; option = strsep(&line, " ")) {
        if (!parse_option(h, option, more)) {
            return false;
        }
    }
    return op->kind == OP_GET || (more->options & 2) == 0;
}

static bool parse_line(struct history *h, char *line, struct history_op *op,
                       struct history_more *more)
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
    if (!parse_number(fields[0], &process) || !op_kind_of(fields[2], &op->kind)) {
        return false;
    }
    read_list(fields[3], fields[4], op->kind, more);
    if (!parse_argument(fields[3], op) || !parse_result(fields[4], &op->result) ||
        !result_fits(op->kind, &op->result) || !parse_number(fields[5], &op->start) ||
        !parse_number(fields[6], &op->end)) {
        return false;
    }
    op->process = (uint32_t)process;
    op->key = number_of(&h->keys, fields[1]);
    return parse_options(h, line, op, more) &&
           (op->end >= op->start || op->result.kind == RESULT_UNKNOWN);
}

static void add(struct history *h, const struct history_op *op, const struct history_more *more,
                size_t line)
{
    if (h->n == h->cap) {
        h->cap = h->cap == 0 ? 1024 : h->cap * 2;
        h->ops = qr_realloc(h->ops, h->cap * sizeof *h->ops);
        h->more = qr_realloc(h->more, h->cap * sizeof *h->more);
    }
    struct history_more *m = &h->more[h->n];
    *m = *more;
    m->line = line;
    m->op.key = op->key;
    m->op.result = op->result.kind == RESULT_VALUE || op->result.kind == RESULT_NIL
                       ? RESULT_OK
                       : op->result.kind;
    m->op.start = op->start;
    m->op.end = op->end;
    h->ops[h->n++] = *op;
}

static void history_free(struct history *h)
{
    for (size_t i = 0; i < h->n; i++) {
        free(h->more[i].list);
    }
    names_free(&h->keys);
    names_free(&h->groups);
    free(h->ops);
    free(h->more);
}

/* 0, or the number of the first line that is malformed: one without an end, too, which may have
 * been cut anywhere. */
static size_t history_read(FILE *in, struct history *h)
{
    char *line = qr_alloc(LINE_MAX_BYTES);
    size_t number = 0, bad = 0;
    while (bad == 0 && fgets(line, LINE_MAX_BYTES, in) != NULL) {
        number++;
        size_t length = strcspn(line, "\n");
        bool whole = line[length] == '\n';
        line[length] = 0;
        struct history_op op;
        struct history_more more = { 0 };
        if (whole && (line[0] == 0 || line[0] == '#')) {
            continue;
        }
        if (whole && parse_line(h, line, &op, &more)) {
            add(h, &op, &more, number);
        } else {
            free(more.list);
            bad = number;
        }
    }
    free(line);
    return bad;
}

int history_check(FILE *in, const char *name, uint64_t steps_max, FILE *out)
{
    struct history h = { 0 };
    size_t bad = history_read(in, &h);
    int code = 2;
    if (bad != 0) {
        (void)fprintf(stderr, "%s:%zu: not an operation\n", name, bad);
    } else if (ferror(in)) {
        (void)fprintf(stderr, "%s: it cannot be read: %s\n", name, strerror(errno));
    } else if (h.n == 0) {
        (void)fprintf(stderr, "%s: no operation at all, which proves nothing\n", name);
    } else {
        code = history_judge(&h, name, steps_max, out);
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
