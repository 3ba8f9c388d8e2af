/* The keys of one database that expire, the earliest first: a 4-ary heap in (expire, key) order
 * whose items know their position, so that a key leaves it without a search. The order in which
 * keys leave is a total order of content, whatever the heap's layout. */
#ifndef STORE_DUE_H
#define STORE_DUE_H

#include "store/item.h"

struct due {
    struct due_entry *entries;
    uint32_t count, cap;
};

struct due_entry {
    qr_wall expire; /* a copy: most comparisons need not touch the item */
    struct item *item;
};

void due_add(struct due *due, struct item *item);
void due_remove(struct due *due, struct item *item);
/* The item has moved in memory; key and expiry are the same. */
void due_moved(struct due *due, struct item *item);
struct item *due_first(const struct due *due); /* NULL when empty */
size_t due_memory(const struct due *due);
void due_free(struct due *due);

#endif
