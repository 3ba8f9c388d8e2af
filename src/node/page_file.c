#include "node/page_file.h"

#include "base/alloc.h"

#include <string.h>

#define SPARE_MAX (CHECKPOINT_QUEUED_BYTES_MAX / PAGE_BYTES)

/* Pages are used again, for their memory is already there: the kernel has to clear what it gives
 * out. All but the last are full when they are written. */
struct page {
    struct page *next;
    size_t n;
    uint8_t *bytes; /* PAGE_BYTES, on a block's border */
};

static struct page *new_page(struct page_file *pages)
{
    struct page *page = pages->spare;
    if (page != NULL) {
        pages->spare = page->next;
        pages->spares--;
    } else {
        page = qr_alloc(sizeof *page);
        page->bytes = aligned_alloc(IO_BLOCK_BYTES, PAGE_BYTES);
        qr_assert(page->bytes != NULL);
    }
    page->n = 0;
    page->next = NULL;
    return page;
}

static void free_page(struct page *page)
{
    free(page->bytes);
    free(page);
}

void page_file_put(struct page_file *pages, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    pages->queued_bytes += n;
    while (n > 0) {
        if (pages->last == NULL || pages->last->n == PAGE_BYTES) {
            struct page *page = new_page(pages);
            *(pages->last == NULL ? &pages->first : &pages->last->next) = page;
            pages->last = page;
        }
        size_t part = (size_t)min_u64(n, PAGE_BYTES - pages->last->n);
        memcpy(pages->last->bytes + pages->last->n, p, part);
        pages->last->n += part;
        p += part;
        n -= part;
    }
}

static void drop_page(struct page_file *pages)
{
    struct page *page = pages->first;
    pages->first = page->next;
    pages->last = pages->first == NULL ? NULL : pages->last;
    pages->queued_bytes -= page->n;
    if (pages->spares < SPARE_MAX) {
        page->next = pages->spare;
        pages->spare = page;
        pages->spares++;
    } else {
        free_page(page);
    }
}

void page_file_free(struct page_file *pages)
{
    qr_assert(!pages->in_flight);
    while (pages->first != NULL) {
        drop_page(pages);
    }
    while (pages->spare != NULL) {
        struct page *page = pages->spare;
        pages->spare = page->next;
        free_page(page);
    }
    pages->spares = 0;
}

static void written(struct io_write *write, int error)
{
    struct page_file *pages = write->context;
    pages->in_flight = false;
    if (error == 0) {
        pages->offset += pages->first->n;
        drop_page(pages);
    }
    pages->on_written(pages, error);
}

void page_file_write(struct page_file *pages, bool ending)
{
    struct page *page = pages->first;
    if (pages->in_flight || page == NULL || (!ending && page->n < PAGE_BYTES)) {
        return;
    }
    qr_assert(page->n == PAGE_BYTES || page == pages->last);
    size_t n = (page->n + IO_BLOCK_BYTES - 1) / IO_BLOCK_BYTES * IO_BLOCK_BYTES;
    memset(page->bytes + page->n, 0, n - page->n); /* cut off again when the file is closed */
    pages->v = (struct iovec){ .iov_base = page->bytes, .iov_len = n };
    pages->write = (struct io_write){ .file = pages->file,
                                      .v = &pages->v,
                                      .count = 1,
                                      .offset = pages->offset,
                                      .done = written,
                                      .context = pages,
                                      .points = pages->points,
                                      .sync_later = true };
    pages->in_flight = true;
    io_file_write_sync(pages->io, &pages->write);
}
