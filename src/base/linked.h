/* Doubly linked lists whose links stand in the items: an item leaves without a search, and may be
 * in several lists at a time.
 *
 * `first` and `last` are the list, both NULL when it is empty; `back` and `forth` name the item's
 * two pointers of this list. All arguments but these are evaluated more than once. */
#ifndef BASE_LINKED_H
#define BASE_LINKED_H

#include <stddef.h>

#define LINKED_APPEND(first, last, item, back, forth) \
    do {                                              \
        (item)->forth = NULL;                         \
        (item)->back = (last);                        \
        if ((last) != NULL) {                         \
            (last)->forth = (item);                   \
        } else {                                      \
            (first) = (item);                         \
        }                                             \
        (last) = (item);                              \
    } while (0)

/* The item keeps its pointers, so that whoever walks the list can go on from it. */
#define LINKED_REMOVE(first, last, item, back, forth) \
    do {                                              \
        if ((item)->back != NULL) {                   \
            (item)->back->forth = (item)->forth;      \
        } else {                                      \
            (first) = (item)->forth;                  \
        }                                             \
        if ((item)->forth != NULL) {                  \
            (item)->forth->back = (item)->back;       \
        } else {                                      \
            (last) = (item)->back;                    \
        }                                             \
    } while (0)

#endif
