/* The heap in huge pages.
 *
 * What one write touches lies scattered: the structs of its partition, its items. With many
 * partitions nearly each of these accesses misses the TLB when pages have 4 KiB. So what the heap
 * has grown by is put into huge pages a moment later.
 *
 * H1 Only whole huge pages below the break, that is, what malloc has handed out or keeps. What is
 *    given back to the system is given back as before.
 * H2 The work is a helper thread's, a few pages at a time: the loop meets the kernel's lock for no
 *    longer than one page takes to be copied.
 * H3 Nothing depends on it. Where the system forbids or cannot do it, the heap stays as it is. */
#ifndef MAIN_HEAP_H
#define MAIN_HEAP_H

#include "io/io.h"

struct heap {
    struct io *io; /* while it is looked after */
    struct io_timer timer;
    uintptr_t begin;
    uintptr_t done;  /* up to here it has been asked for */
    uintptr_t until; /* the helper thread is asking up to here */
};

/* Early: what malloc takes from here on is the heap that is looked after. */
void heap_begin(struct heap *heap);
/* Looks after it from the loop; not at all where the system allows no huge pages. */
void heap_watch(struct heap *heap, struct io *io);
void heap_close(struct heap *heap);

#endif
