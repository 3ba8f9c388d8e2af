/* A file that is written from its beginning to its end, past the page cache, by helper threads.
 *
 * Bytes are gathered in pages that are written one at a time; what the log syncs on the same disk
 * meanwhile waits for one page at most, and for no journal of the file system. Nothing is durable
 * before the owner has synced the file. Bytes in memory are bounded by the owner. */
#ifndef NODE_PAGE_FILE_H
#define NODE_PAGE_FILE_H

#include "base/limits.h"
#include "io/io.h"

#define PAGE_BYTES (1 * MIB)

struct page;

struct page_file {
    struct io *io;
    struct io_file *file; /* the owner's, who opens and closes it */
    /* The write that was in flight has ended, with 0 or a negative errno. */
    void (*on_written)(struct page_file *pages, int error);
    void *owner;
    enum failpoint points; /* of its writes: struct io_write */

    uint64_t offset;     /* bytes written */
    size_t queued_bytes; /* not written yet, in flight or not */
    bool in_flight;

    struct page *first, *last;
    struct page *spare;
    uint32_t spares;
    struct io_write write;
    struct iovec v;
};

/* Adds bytes to the file's end. */
void page_file_put(struct page_file *pages, const void *p, size_t n);

/* Starts to write the next page, unless a write is in flight or the page is not full. The last one
 * is written as it is, filled up with zeros to a block's end: `ending` says that nothing follows.
 */
void page_file_write(struct page_file *pages, bool ending);

/* Frees all pages; nothing may be in flight. */
void page_file_free(struct page_file *pages);

#endif
