#include "main/table.h"

#include "base/alloc.h"

#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#define GAP 2u          /* blanks between columns */
#define WIDTH_MIN 40u   /* of a terminal that says nonsense */
#define COLUMN_LEAST 8u /* a column is not cut further than this */

/* What a terminal might obey. */
static void tame(char *text)
{
    for (; *text != 0; text++) {
        *text = *text >= ' ' && *text < 127 ? *text : '?';
    }
}

void table_begin(struct table *t, const char *const *titles, uint32_t count)
{
    *t = (struct table){ .columns = count };
    qr_assert(count > 0 && count <= TABLE_COLUMNS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        t->right[i] = titles[i][0] == '>';
        (void)snprintf(t->title[i], sizeof t->title[i], "%s", titles[i] + (t->right[i] ? 1 : 0));
        tame(t->title[i]);
    }
}

void table_free(struct table *t)
{
    free(t->cells);
    *t = (struct table){ 0 };
}

static char *next_cell(struct table *t)
{
    if (t->count == t->cap) {
        t->cap = t->cap == 0 ? 64 : t->cap * 2;
        t->cells = qr_realloc(t->cells, (size_t)t->cap * sizeof *t->cells);
    }
    return t->cells[t->count++];
}

void table_put(struct table *t, const char *format, ...)
{
    char *cell = next_cell(t);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(cell, TABLE_CELL_BYTES, format, arguments);
    va_end(arguments);
    tame(cell);
}

void table_put_span(struct table *t, struct span text)
{
    table_put(t, "%.*s", (int)min_u64(text.n, TABLE_CELL_BYTES),
              text.p != NULL ? (const char *)text.p : "");
}

/* --- Printing -------------------------------------------------------------------------------- */

struct widths {
    uint32_t of[TABLE_COLUMNS_MAX]; /* 0: left out */
};

static struct widths natural(const struct table *t)
{
    struct widths w = { 0 };
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t n = (uint32_t)strlen(t->cells[i]), c = i % t->columns;
        w.of[c] = n > w.of[c] ? n : w.of[c];
    }
    for (uint32_t c = 0; c < t->columns; c++) {
        uint32_t n = (uint32_t)strlen(t->title[c]);
        w.of[c] = w.of[c] > 0 && n > w.of[c] ? n : w.of[c];
    }
    return w;
}

static uint32_t total(const struct widths *w, uint32_t columns)
{
    uint32_t sum = 0;
    for (uint32_t c = 0; c < columns; c++) {
        sum += w->of[c] > 0 ? w->of[c] + GAP : 0;
    }
    return sum > GAP ? sum - GAP : 0;
}

/* Takes from the widest column of texts what is too much, then from the next. */
static void fit(const struct table *t, struct widths *w, uint32_t width)
{
    for (;;) {
        uint32_t sum = total(w, t->columns), widest = TABLE_COLUMNS_MAX;
        for (uint32_t c = 0; c < t->columns; c++) {
            if (!t->right[c] && w->of[c] > COLUMN_LEAST &&
                (widest == TABLE_COLUMNS_MAX || w->of[c] > w->of[widest])) {
                widest = c;
            }
        }
        if (sum <= width || widest == TABLE_COLUMNS_MAX) {
            return;
        }
        uint32_t take = sum - width, most = w->of[widest] - COLUMN_LEAST;
        w->of[widest] -= take < most ? take : most;
    }
}

typedef const char *cell_text(const struct table *t, uint32_t row, uint32_t column);

static void print_line(const struct table *t, const struct widths *w, cell_text *cell, uint32_t row,
                       uint32_t width, FILE *out)
{
    char line[TABLE_COLUMNS_MAX * (TABLE_CELL_BYTES + GAP) + 1];
    size_t n = 0;
    for (uint32_t c = 0; c < t->columns; c++) {
        if (w->of[c] == 0) {
            continue;
        }
        const char *text = cell(t, row, c);
        bool cut = strlen(text) > w->of[c];
        int show = (int)(cut ? w->of[c] - 1 : strlen(text));
        int pad = (int)(w->of[c] - strlen(text)) * (cut ? 0 : 1);
        n += (size_t)snprintf(line + n, sizeof line - n, "%*s",
                              (n > 0 ? (int)GAP : 0) + (t->right[c] ? pad : 0), "");
        n += (size_t)snprintf(line + n, sizeof line - n, "%.*s%s%*s", show, text, cut ? "~" : "",
                              t->right[c] ? 0 : pad, "");
    }
    n = n > width ? width : n;
    while (n > 0 && line[n - 1] == ' ') {
        n--;
    }
    (void)fprintf(out, "%.*s\n", (int)n, line);
}

static const char *title_of(const struct table *t, uint32_t row, uint32_t c)
{
    (void)row;
    return t->title[c];
}

static const char *cell_of(const struct table *t, uint32_t row, uint32_t c)
{
    return t->cells[row * t->columns + c];
}

void table_print(const struct table *t, uint32_t width, FILE *out)
{
    struct widths w = natural(t);
    qr_assert(t->count % t->columns == 0);
    fit(t, &w, width);
    print_line(t, &w, title_of, 0, width, out);
    for (uint32_t row = 0; row < t->count / t->columns; row++) {
        print_line(t, &w, cell_of, row, width, out);
    }
}

bool table_fits(const struct table *t, uint32_t width)
{
    struct widths w = natural(t);
    return total(&w, t->columns) <= width;
}

/* --- Numbers --------------------------------------------------------------------------------- */

void table_count_text(uint64_t n, char out[32])
{
    char digits[24];
    int have = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    int at = 0;
    for (int i = 0; i < have; i++) {
        if (i > 0 && (have - i) % 3 == 0) {
            out[at++] = ',';
        }
        out[at++] = digits[i];
    }
    out[at] = 0;
}

void table_bytes_text(uint64_t n, char out[32])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    double v = (double)n;
    size_t unit = 0;
    while (v >= 999.5 && unit + 1 < ARRAY_COUNT(units)) {
        v /= 1024;
        unit++;
    }
    (void)snprintf(out, 32, "%.*f %s", unit > 0 && v < 9.95 ? 1 : 0, v, units[unit]);
}

uint32_t table_width(FILE *out)
{
    struct winsize size;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col >= WIDTH_MIN) {
        return size.ws_col;
    }
    return 80;
}

uint32_t table_rows(FILE *out)
{
    struct winsize size;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_row > 0) {
        return size.ws_row;
    }
    return UINT32_MAX;
}
