#include "resp/tree.h"

#include "base/alloc.h"
#include "base/number.h"
#include "resp/scan.h"

#include <string.h>

#define BULK_BYTES_MAX ((int64_t)512 << 20) /* Redis's own bound */

static struct tree_item *add(struct tree *t)
{
    if (t->count == t->cap) {
        t->cap = t->cap == 0 ? 16 : t->cap * 2;
        t->items = qr_realloc(t->items, t->cap * sizeof *t->items);
    }
    struct tree_item *item = &t->items[t->count++];
    *item = (struct tree_item){ .end = t->count };
    return item;
}

/* An item is complete: so may be the arrays that it was the last one of. */
static void complete(struct tree *t)
{
    while (t->depth > 0 && --t->open[t->depth - 1].left == 0) {
        t->items[t->open[--t->depth].item].end = t->count;
    }
}

/* Takes the line at t->at and the text behind it. False: there is more to come, or it is bad. */
static bool take(struct tree *t, size_t n, bool *bad)
{
    struct reply_line line;
    int64_t took = reply_line_scan(t->base + t->at, n - t->at, &line);
    *bad = took < 0 || t->count == TREE_ITEMS_MAX;
    if (took <= 0 || *bad) {
        return false;
    }
    bool bulk = line.type == '$' && line.number >= 0;
    size_t behind = t->at + (size_t)took;
    if (bulk) {
        *bad = line.number > BULK_BYTES_MAX;
        if (*bad || n - behind < (size_t)line.number + 2) {
            return false;
        }
    }
    struct tree_item *item = add(t);
    item->type = line.type;
    item->number = line.type == ':' || line.type == '*' ? line.number : 0;
    item->null = (line.type == '$' || line.type == '*') && line.number < 0;
    item->at = bulk ? behind : t->at + 1;
    item->bytes = bulk                                     ? (size_t)line.number
                  : (line.type == '+' || line.type == '-') ? line.text.n
                                                           : 0;
    t->at = bulk ? behind + (size_t)line.number + 2 : behind;
    if (line.type == '*' && line.number > 0) {
        *bad = t->depth == TREE_DEPTH_MAX;
        if (!*bad) {
            t->open[t->depth].item = t->count - 1;
            t->open[t->depth++].left = line.number;
        }
        return !*bad;
    }
    item->number = item->null ? 0 : item->number;
    complete(t);
    return true;
}

enum tree_result tree_read(struct tree *t, const uint8_t *p, size_t n)
{
    bool bad = false;
    t->base = p;
    while (t->count == 0 || t->depth > 0) {
        if (!take(t, n, &bad)) {
            return bad ? TREE_BAD : TREE_MORE;
        }
    }
    return TREE_WHOLE;
}

void tree_reset(struct tree *t)
{
    t->count = t->depth = 0;
    t->at = 0;
}

void tree_free(struct tree *t)
{
    free(t->items);
    *t = (struct tree){ 0 };
}

/* --- Looking --------------------------------------------------------------------------------- */

char tree_type(const struct tree *t, uint32_t item)
{
    return item < t->count ? t->items[item].type : 0;
}

struct span tree_text(const struct tree *t, uint32_t item)
{
    if (item >= t->count) {
        return span_of(NULL, 0);
    }
    return span_of(t->base + t->items[item].at, t->items[item].bytes);
}

int64_t tree_number(const struct tree *t, uint32_t item)
{
    int64_t number = 0;
    if (tree_type(t, item) == ':') {
        return t->items[item].number;
    }
    return number_from(tree_text(t, item), &number) ? number : 0;
}

uint32_t tree_length(const struct tree *t, uint32_t item)
{
    return tree_type(t, item) == '*' ? (uint32_t)t->items[item].number : 0;
}

uint32_t tree_element(const struct tree *t, uint32_t item, uint32_t k)
{
    if (k >= tree_length(t, item)) {
        return UINT32_MAX;
    }
    uint32_t at = item + 1;
    while (k-- > 0) {
        at = t->items[at].end;
    }
    return at;
}

bool tree_is(const struct tree *t, uint32_t item, const char *text)
{
    struct span s = tree_text(t, item);
    return s.p != NULL && s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

uint32_t tree_field(const struct tree *t, uint32_t item, const char *name)
{
    uint32_t left = tree_length(t, item) / 2;
    for (uint32_t at = item + 1; left > 0; left--) {
        uint32_t value = t->items[at].end;
        if (tree_is(t, at, name)) {
            return value;
        }
        at = t->items[value].end;
    }
    return UINT32_MAX;
}
