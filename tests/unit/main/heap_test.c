/* What the heap has grown by comes to lie in huge pages, and goes back when it is freed. */
#include "main/heap.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIECES 100000u
#define ONE_BYTES 400u
#define DEADLINE (20 * QR_SECOND)

static struct io *io;
static struct heap heap;
static qr_time began;

static size_t huge_bytes(void)
{
    char line[256];
    size_t sum = 0;
    bool is_heap = false;
    FILE *file = fopen("/proc/self/smaps", "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        size_t kib;
        if (strchr(line, '-') != NULL && strchr(line, ' ') != NULL && line[0] != 'V') {
            is_heap = strstr(line, "[heap]") != NULL;
        } else if (is_heap && sscanf(line, "AnonHugePages: %zu kB", &kib) == 1) {
            sum += kib * KIB;
        }
    }
    (void)fclose(file);
    return sum;
}

static void stop_when_done(void *context)
{
    (void)context;
    if (heap.done + 4 * MIB > (uintptr_t)sbrk(0) || io_now(io) > began + DEADLINE) {
        io_stop(io);
    }
}

static void turn_until_done(void)
{
    began = io_now(io);
    io_run(io, stop_when_done, NULL);
}

static void fill(uint8_t **piece)
{
    for (uint32_t i = 0; i < PIECES; i++) {
        piece[i] = qr_alloc(ONE_BYTES);
        memset(piece[i], (int)i, ONE_BYTES);
    }
}

static void clear(uint8_t **piece)
{
    for (uint32_t i = 0; i < PIECES; i++) {
        assert_int_equal(piece[i][0], (uint8_t)i);
        assert_int_equal(piece[i][ONE_BYTES - 1], (uint8_t)i);
        free(piece[i]);
    }
}

/* Whether the kernel knows how, and has a page to spare. */
static bool can_collapse(void)
{
    const size_t n = 4 * MIB;
    uint8_t *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    memset(p, 1, n);
    uint8_t *page = (uint8_t *)(((uintptr_t)p + 2 * MIB - 1) / (2 * MIB) * (2 * MIB));
    bool can = madvise(page, 2 * MIB, 25 /* MADV_COLLAPSE */) == 0;
    (void)munmap(p, n);
    return can;
}

static void a_grown_heap_lies_in_huge_pages_and_is_given_back(void **state)
{
    (void)state;
    uint8_t **piece = qr_alloc(PIECES * sizeof *piece);
    io = io_new();
    heap_begin(&heap);
    heap_watch(&heap, io);
    uintptr_t before = (uintptr_t)sbrk(0);
    fill(piece);
    uintptr_t grown = (uintptr_t)sbrk(0) - before;
    bool watched = heap.io != NULL && grown >= PIECES * ONE_BYTES;
    if (watched) {
        turn_until_done();
    }
    size_t huge = huge_bytes();
    heap_close(&heap);
    io_free(io);
    clear(piece);
    free(piece);
    (void)malloc_trim(0); /* a buffer of a file may lie on top and hold the rest */
    size_t left = huge_bytes();
    if (watched && can_collapse()) {                /* a sanitizer's malloc has no such heap */
        assert_true(huge >= (grown - 4 * MIB) / 4); /* the system may be short of some */
        assert_true(left <= 4 * MIB);               /* H1 */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grown_heap_lies_in_huge_pages_and_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
