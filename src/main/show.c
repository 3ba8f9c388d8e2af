#include "main/show.h"

#include "main/table.h"

#include <inttypes.h>
#include <string.h>

#define NAME_WIDTH 16

static uint32_t behind(const struct tree *t, uint32_t item)
{
    return t->items[item].end;
}

/* Names and values in turn, no name twice in a row. */
static bool is_map(const struct tree *t, uint32_t item)
{
    uint32_t length = tree_length(t, item);
    if (length == 0 || length % 2 != 0) {
        return false;
    }
    uint32_t at = item + 1;
    for (uint32_t i = 0; i < length; i++, at = behind(t, at)) {
        struct span name = tree_text(t, at);
        char type = tree_type(t, at);
        if (i % 2 == 0 &&
            ((type != '$' && type != '+') || name.n == 0 || name.p[0] < 'a' || name.p[0] > 'z')) {
            return false;
        }
    }
    return true;
}

/* Whether two maps have the same names in the same order. */
static bool same_names(const struct tree *t, uint32_t one, uint32_t other)
{
    uint32_t length = tree_length(t, one);
    if (!is_map(t, one) || !is_map(t, other) || tree_length(t, other) != length) {
        return false;
    }
    uint32_t name = one + 1, like = other + 1;
    for (uint32_t k = length / 2; k > 0; k--) {
        struct span a = tree_text(t, name), b = tree_text(t, like);
        if (a.n != b.n || memcmp(a.p, b.p, a.n) != 0) {
            return false;
        }
        name = behind(t, behind(t, name));
        like = behind(t, behind(t, like));
    }
    return true;
}

/* How many values of a map stand before the first that is an array. */
static uint32_t plain_values(const struct tree *t, uint32_t item)
{
    uint32_t value = behind(t, item + 1), n = 0;
    while (n < tree_length(t, item) / 2 && tree_type(t, value) != '*') {
        value = behind(t, behind(t, value));
        n++;
    }
    return n;
}

/* Whether all elements are maps with the names of the first, and arrays only from that value on. */
static bool is_rows(const struct tree *t, uint32_t item, uint32_t plain)
{
    uint32_t at = item + 1;
    for (uint32_t i = 0; i < tree_length(t, item); i++, at = behind(t, at)) {
        if (!same_names(t, at, item + 1) || plain_values(t, at) != plain) {
            return false;
        }
    }
    return tree_length(t, item) > 0 && plain <= TABLE_COLUMNS_MAX;
}

/* Whether it can be a table: nothing in it but rows of values. */
static bool is_table(const struct tree *t, uint32_t item)
{
    return tree_length(t, item) > 0 && is_rows(t, item, tree_length(t, item + 1) / 2);
}

/* The value of the last name. */
static uint32_t last_value(const struct tree *t, uint32_t item)
{
    uint32_t value = behind(t, item + 1);
    for (uint32_t k = tree_length(t, item) / 2; k > 1; k--) {
        value = behind(t, behind(t, value));
    }
    return value;
}

/* Rows whose last value is a table, or empty, of the same names in all of them: one table can hold
 * both. Its first row is where an inner one begins; 0: it is something else. */
static uint32_t inner_row(const struct tree *t, uint32_t item)
{
    uint32_t plain = tree_length(t, item) > 0 ? tree_length(t, item + 1) / 2 : 0;
    uint32_t first = 0, at = item + 1;
    if (plain < 2 || !is_rows(t, item, plain - 1)) {
        return 0;
    }
    for (uint32_t i = tree_length(t, item); i > 0; i--, at = behind(t, at)) {
        uint32_t inner = last_value(t, at);
        bool empty = tree_length(t, inner) == 0;
        first = first == 0 && !empty ? inner + 1 : first;
        if (!empty && (!is_table(t, inner) || !same_names(t, inner + 1, first))) {
            return 0;
        }
    }
    return first != 0 && plain + tree_length(t, first) / 2 <= TABLE_COLUMNS_MAX ? first : 0;
}

static void put_value(const struct tree *t, uint32_t item, struct table *table)
{
    if (tree_type(t, item) == ':') {
        table_put(table, "%" PRId64, tree_number(t, item));
    } else {
        table_put_span(table, tree_text(t, item));
    }
}

/* What is too wide for a table: a paragraph per row. */
static void print_records(const struct table *table, FILE *out)
{
    for (uint32_t i = 0; i < table->count; i++) {
        uint32_t c = i % table->columns;
        (void)fprintf(out, "%s%-*s%s\n", i > 0 && c == 0 ? "\n" : "", NAME_WIDTH, table->title[c],
                      table->cells[i]);
    }
}

struct titles {
    char text[TABLE_COLUMNS_MAX][33];
    const char *all[TABLE_COLUMNS_MAX];
    uint32_t count;
};

/* The names of the first `count` values of a row are titles. */
static void add_titles(const struct tree *t, uint32_t row, uint32_t count, struct titles *out)
{
    uint32_t at = row + 1;
    for (; count > 0; count--, at = behind(t, behind(t, at))) {
        struct span name = tree_text(t, at);
        bool number = tree_type(t, behind(t, at)) == ':';
        (void)snprintf(out->text[out->count], sizeof out->text[0], "%s%.*s", number ? ">" : "",
                       (int)min_u64(name.n, 30), (const char *)name.p);
        out->all[out->count] = out->text[out->count];
        out->count++;
    }
}

static void put_row(const struct tree *t, uint32_t row, uint32_t count, struct table *table)
{
    uint32_t name = row + 1;
    for (; count > 0; count--, name = behind(t, behind(t, name))) {
        put_value(t, behind(t, name), table);
    }
}

/* A row for each inner row, and one where there is none. */
static void put_joined(const struct tree *t, uint32_t row, uint32_t plain, uint32_t more,
                       struct table *table)
{
    uint32_t inner = last_value(t, row), at = inner + 1;
    for (uint32_t i = 0; i < tree_length(t, inner); i++, at = behind(t, at)) {
        put_row(t, row, plain, table);
        put_row(t, at, more, table);
    }
    if (tree_length(t, inner) == 0) {
        put_row(t, row, plain, table);
        for (uint32_t i = 0; i < more; i++) {
            table_put(table, "%s", "");
        }
    }
}

/* `inner`: a row of the tables that stand last in each row; 0: none does. */
static void show_table(const struct tree *t, uint32_t item, uint32_t inner, uint32_t width,
                       FILE *out)
{
    struct titles titles = { .count = 0 };
    struct table table;
    uint32_t plain = tree_length(t, item + 1) / 2 - (inner != 0);
    uint32_t more = inner != 0 ? tree_length(t, inner) / 2 : 0;
    add_titles(t, item + 1, plain, &titles);
    if (inner != 0) {
        add_titles(t, inner, more, &titles);
    }
    table_begin(&table, titles.all, titles.count);
    uint32_t row = item + 1;
    for (uint32_t i = tree_length(t, item); i > 0; i--, row = behind(t, row)) {
        if (inner != 0) {
            put_joined(t, row, plain, more, &table);
        } else {
            put_row(t, row, plain, &table);
        }
    }
    if (table_fits(&table, width)) {
        table_print(&table, width, out);
    } else {
        print_records(&table, out);
    }
    table_free(&table);
}

static void show_scalar(const struct tree *t, uint32_t item, FILE *out)
{
    struct span s = tree_text(t, item);
    if (tree_type(t, item) == ':') {
        (void)fprintf(out, "%" PRId64, tree_number(t, item));
        return;
    }
    for (size_t i = 0; i < s.n; i++) {
        bool plain = (s.p[i] >= ' ' && s.p[i] < 127) || s.p[i] == '\n';
        if (s.p[i] != '\r') {
            (void)fputc(plain ? s.p[i] : '?', out);
        }
    }
}

/* Values stand below each other, behind the longest name. */
static size_t names_width(const struct tree *t, uint32_t item)
{
    size_t most = NAME_WIDTH;
    uint32_t name = item + 1;
    for (uint32_t left = tree_length(t, item) / 2; left > 0; left--) {
        most = max_u64(most, tree_text(t, name).n + 2);
        name = behind(t, behind(t, name));
    }
    return most;
}

static void show_map(const struct tree *t, uint32_t item, uint32_t width, FILE *out)
{
    size_t names = names_width(t, item);
    uint32_t name = item + 1;
    for (uint32_t left = tree_length(t, item) / 2; left > 0; left--) {
        uint32_t value = behind(t, name);
        struct span text = tree_text(t, name);
        show_scalar(t, name, out);
        if (tree_length(t, value) > 0) {
            (void)fputs("\n", out);
        } else {
            (void)fprintf(out, "%*s", (int)(names - text.n), "");
        }
        show_reply(t, value, width, out);
        name = behind(t, value);
    }
}

void show_reply(const struct tree *t, uint32_t item, uint32_t width, FILE *out)
{
    if (tree_type(t, item) != '*') {
        show_scalar(t, item, out);
        (void)fputs("\n", out);
    } else if (tree_length(t, item) == 0) {
        (void)fputs("none\n", out);
    } else if (is_table(t, item)) {
        show_table(t, item, 0, width, out);
    } else if (inner_row(t, item) != 0) {
        show_table(t, item, inner_row(t, item), width, out);
    } else if (is_map(t, item)) {
        show_map(t, item, width, out);
    } else {
        uint32_t at = item + 1;
        for (uint32_t left = tree_length(t, item); left > 0; left--, at = behind(t, at)) {
            show_reply(t, at, width, out);
            (void)fputs(left > 1 && is_map(t, at) ? "\n" : "", out);
        }
    }
}

/* --- JSON ------------------------------------------------------------------------------------ */

void show_json_text(struct span text, FILE *out)
{
    (void)fputc('"', out);
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '"' || c == '\\') {
            (void)fprintf(out, "\\%c", c);
        } else if (c < ' ' || c >= 127) {
            (void)fprintf(out, "\\u%04x", c); /* bytes that are no text */
        } else {
            (void)fputc(c, out);
        }
    }
    (void)fputc('"', out);
}

void show_json(const struct tree *t, uint32_t item, FILE *out)
{
    bool map = is_map(t, item);
    if (tree_type(t, item) == ':') {
        (void)fprintf(out, "%" PRId64, tree_number(t, item));
    } else if (tree_type(t, item) == 0 || t->items[item].null) {
        (void)fputs("null", out);
    } else if (tree_type(t, item) != '*') {
        show_json_text(tree_text(t, item), out);
    } else {
        uint32_t at = item + 1;
        (void)fputc(map ? '{' : '[', out);
        for (uint32_t i = 0; i < tree_length(t, item); i++, at = behind(t, at)) {
            (void)fputs(i == 0 ? "" : map && i % 2 == 1 ? ": " : ", ", out);
            show_json(t, at, out);
        }
        (void)fputc(map ? '}' : ']', out);
    }
}
