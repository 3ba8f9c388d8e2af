/* Reading whole replies, for clients that want to look into them. RESP2, as scan.h.
 *
 * The items of a reply lie in one array in the order in which they came: those of an array follow
 * it, and `end` is the index behind the last of them. Incremental: it keeps its place between reads
 * and looks at no byte twice. The caller owns the buffer, which may grow and move until the reply
 * is whole; from then on texts are spans into it. How many bytes one reply may have is the caller's
 * matter; items and nesting are bounded here. */
#ifndef RESP_TREE_H
#define RESP_TREE_H

#include "base/types.h"

#define TREE_DEPTH_MAX 16
#define TREE_ITEMS_MAX (8u << 20)

struct tree_item {
    char type; /* + - : $ * */
    bool null; /* of $ and * */
    uint32_t end;
    int64_t number;   /* of :, and how many elements of * */
    size_t at, bytes; /* of + - $: where the text is in the buffer */
};

struct tree {
    const uint8_t *base;
    struct tree_item *items; /* the first one is the reply itself */
    uint32_t count, cap;
    size_t at; /* how much of the buffer was read */
    /* arrays of which elements are to come */
    struct {
        uint32_t item;
        int64_t left;
    } open[TREE_DEPTH_MAX];
    uint32_t depth;
};

enum tree_result { TREE_WHOLE, TREE_MORE, TREE_BAD };

/* Goes on with n bytes at p; the struct begins as zeroes. Once whole, t->at bytes belong to it. */
enum tree_result tree_read(struct tree *t, const uint8_t *p, size_t n);
/* For the next reply, which begins a buffer. */
void tree_reset(struct tree *t);
void tree_free(struct tree *t);

/* Of a whole reply. An index beyond it, or of an item of another type, gives what is empty. */
struct span tree_text(const struct tree *t, uint32_t item); /* + - $ */
int64_t tree_number(const struct tree *t, uint32_t item);  /* :, or a text that is a number; or 0 */
uint32_t tree_length(const struct tree *t, uint32_t item); /* elements of an array */
/* Element k of an array; UINT32_MAX when there is none. It walks: for long arrays go on by
 * `end`. */
uint32_t tree_element(const struct tree *t, uint32_t item, uint32_t k);
char tree_type(const struct tree *t, uint32_t item); /* 0: beyond */
/* The value behind this name in an array of names and values. */
uint32_t tree_field(const struct tree *t, uint32_t item, const char *name);
bool tree_is(const struct tree *t, uint32_t item, const char *text);

#endif
