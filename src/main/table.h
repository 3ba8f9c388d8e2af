/* Tables on a terminal: columns as wide as they have to be, within the width that there is. */
#ifndef MAIN_TABLE_H
#define MAIN_TABLE_H

#include "base/types.h"

#include <stdio.h>

#define TABLE_COLUMNS_MAX 24
#define TABLE_CELL_BYTES 256

struct table {
    uint32_t columns;
    char title[TABLE_COLUMNS_MAX][32];
    bool right[TABLE_COLUMNS_MAX]; /* numbers */
    char (*cells)[TABLE_CELL_BYTES];
    uint32_t count, cap; /* of cells, in rows one after the other */
};

/* Titles; one that begins with '>' is that of numbers. */
void table_begin(struct table *table, const char *const *titles, uint32_t count);
void table_free(struct table *table);
/* The next cell; what a terminal might obey becomes '?'. */
void table_put(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_put_span(struct table *table, struct span text);
/* Where the width does not suffice the widest column of texts is cut, with a '~' at its end, and at
 * last the line. A column without anything in it is left out. */
void table_print(const struct table *table, uint32_t width, FILE *out);

/* Whether it can be printed so without cutting anything. */
bool table_fits(const struct table *table, uint32_t width);

/* 1234567 -> "1,234,567"; for bytes "1.2 MiB". */
void table_count_text(uint64_t n, char out[32]);
void table_bytes_text(uint64_t n, char out[32]);

/* Columns and rows of the terminal; 80, and as many as one likes, where it is none. */
uint32_t table_width(FILE *out);
uint32_t table_rows(FILE *out);

#endif
