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

/* Whether all elements are maps with the names of the first, and no arrays in them. */
static bool is_table(const struct tree *t, uint32_t item)
{
    uint32_t length = tree_length(t, item);
    uint32_t first = item + 1;
    for (uint32_t at = first, i = 0; i < length; i++, at = behind(t, at)) {
        if (!is_map(t, at) || tree_length(t, at) != tree_length(t, first) ||
            tree_length(t, at) / 2 > TABLE_COLUMNS_MAX) {
            return false;
        }
        uint32_t name = at + 1, other = first + 1;
        for (uint32_t k = tree_length(t, at) / 2; k > 0; k--) {
            struct span a = tree_text(t, name), b = tree_text(t, other);
            if (a.n != b.n || memcmp(a.p, b.p, a.n) != 0) {
                return false;
            }
            uint32_t value = behind(t, name);
            if (tree_type(t, value) == '*' || t->items[name].type == '*') {
                return false;
            }
            name = behind(t, value);
            other = behind(t, behind(t, other));
        }
    }
    return length > 0;
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

static void show_table(const struct tree *t, uint32_t item, uint32_t width, FILE *out)
{
    char names[TABLE_COLUMNS_MAX][33];
    const char *titles[TABLE_COLUMNS_MAX];
    struct table table;
    uint32_t columns = tree_length(t, item + 1) / 2;
    uint32_t at = item + 2;
    for (uint32_t c = 0; c < columns; c++, at = behind(t, behind(t, at))) {
        struct span name = tree_text(t, at);
        bool number = tree_type(t, behind(t, at)) == ':';
        (void)snprintf(names[c], sizeof names[c], "%s%.*s", number ? ">" : "",
                       (int)min_u64(name.n, 30), (const char *)name.p);
        titles[c] = names[c];
    }
    table_begin(&table, titles, columns);
    uint32_t row = item + 1;
    for (uint32_t i = tree_length(t, item); i > 0; i--, row = behind(t, row)) {
        uint32_t name = row + 1;
        for (uint32_t c = 0; c < columns; c++) {
            put_value(t, behind(t, name), &table);
            name = behind(t, behind(t, name));
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
        show_table(t, item, width, out);
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
