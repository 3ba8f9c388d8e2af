#include "main/heap.h"

#include "base/limits.h"
#include "base/panic.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE /* Linux 6.1, later than some headers */
#define MADV_COLLAPSE 25
#endif

#define HUGE_BYTES ((uintptr_t)(2 * MIB))
#define STEP_BYTES (8 * HUGE_BYTES) /* at a time */
#define LOOK_INTERVAL (500 * QR_MILLISECOND)
#define STEP_INTERVAL (20 * QR_MILLISECOND)

static uintptr_t heap_end(void)
{
    return (uintptr_t)sbrk(0) / HUGE_BYTES * HUGE_BYTES;
}

/* MADV_COLLAPSE does not ask what the administrator has chosen. */
static bool is_allowed(void)
{
    char line[128] = "";
    FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
    bool known = file != NULL && fgets(line, sizeof line, file) != NULL;
    if (file != NULL) {
        (void)fclose(file);
    }
    return known && strstr(line, "[never]") == NULL;
}

static void look(struct io_timer *timer);

static void look_after(struct heap *heap, qr_time pause)
{
    io_timer_start(heap->io, &heap->timer, io_now(heap->io) + pause);
}

/* On the helper thread. The heap may shrink meanwhile, and an older kernel knows only the first
 * wish, which it follows by and by: whatever they answer, the heap is as good as before (H3). */
static void collapse(void *context)
{
    const struct heap *heap = context;
    for (uintptr_t at = heap->done; at < heap->until; at += HUGE_BYTES) {
        if (madvise((void *)at, HUGE_BYTES, MADV_HUGEPAGE) == 0) {
            (void)madvise((void *)at, HUGE_BYTES, MADV_COLLAPSE);
        }
    }
}

static void collapsed(void *context)
{
    struct heap *heap = context;
    if (heap->io == NULL) {
        return;
    }
    io_plain(heap->io);
    heap->done = heap->until;
    look_after(heap, heap->done < heap_end() ? STEP_INTERVAL : LOOK_INTERVAL);
}

static void look(struct io_timer *timer)
{
    struct heap *heap = timer->context;
    uintptr_t end = heap_end();
    io_plain(heap->io);
    qr_assert(heap->done % HUGE_BYTES == 0);
    if (end < heap->done) { /* when it grows again, then by small pages */
        heap->done = end > heap->begin ? end : heap->begin;
    }
    heap->until = heap->done + STEP_BYTES < end ? heap->done + STEP_BYTES : end;
    if (heap->until <= heap->done ||
        io_offload(heap->io, collapse, collapsed, heap) != 0) { /* later, then */
        look_after(heap, LOOK_INTERVAL);
    }
}

void heap_begin(struct heap *heap)
{
    uintptr_t first = heap_end() + HUGE_BYTES;
    *heap = (struct heap){ .begin = first, .done = first };
}

void heap_watch(struct heap *heap, struct io *io)
{
    if (is_allowed()) {
        heap->io = io;
        heap->timer = (struct io_timer){ .fire = look, .context = heap };
        look_after(heap, STEP_INTERVAL);
    }
}

void heap_close(struct heap *heap)
{
    if (heap->io != NULL) {
        io_timer_free(&heap->timer);
        heap->io = NULL;
    }
}
