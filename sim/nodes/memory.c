/* Whose memory it is: every allocation of the code under simulation is linked into a ring of the
 * process that made it, so that a process that dies gives back everything, without destructors.
 *
 * The linker puts these in the place of malloc and its kin for all that is linked into the program
 * (--wrap); shared libraries keep their own. The one static here is what malloc cannot be given as
 * an argument. */
#include "sim/nodes/realm.h"

#include <stdarg.h>

void *__real_malloc(size_t n);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *old, size_t n);
void *__wrap_aligned_alloc(size_t alignment, size_t n);
void __wrap_free(void *p);
int __wrap_vasprintf(char **out, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static struct process *owner;

struct process *memory_for(struct process *process)
{
    struct process *before = owner;
    owner = process;
    return before;
}

static void *enter(void *raw, uint8_t *p, size_t n)
{
    struct block *block = (struct block *)p - 1;
    *block = (struct block){ .next = block, .previous = block, .raw = raw, .n = n };
    if (owner != NULL) {
        struct block *ring = &owner->memory;
        block->next = ring;
        block->previous = ring->previous;
        ring->previous->next = block;
        ring->previous = block;
    }
    return p;
}

static void leave(struct block *block)
{
    block->previous->next = block->next;
    block->next->previous = block->previous;
}

void *__wrap_malloc(size_t n)
{
    uint8_t *raw = __real_malloc(sizeof(struct block) + n);
    return raw == NULL ? NULL : enter(raw, raw + sizeof(struct block), n);
}

void *__wrap_calloc(size_t count, size_t n)
{
    qr_assert(n == 0 || count <= SIZE_MAX / 2 / n);
    void *p = __wrap_malloc(count * n);
    return p == NULL ? NULL : memset(p, 0, count * n);
}

void *__wrap_aligned_alloc(size_t alignment, size_t n)
{
    uint8_t *raw = __real_malloc(sizeof(struct block) + alignment + n);
    if (raw == NULL) {
        return NULL;
    }
    uintptr_t at = (uintptr_t)raw + sizeof(struct block) + alignment - 1;
    return enter(raw, raw + (at - at % alignment - (uintptr_t)raw), n);
}

void __wrap_free(void *p)
{
    if (p != NULL) {
        struct block *block = (struct block *)p - 1;
        leave(block);
        __real_free(block->raw);
    }
}

/* The block stays its owner's, whoever makes it larger. */
void *__wrap_realloc(void *old, size_t n)
{
    if (old == NULL) {
        return __wrap_malloc(n);
    }
    struct block *block = (struct block *)old - 1;
    if (block->raw != block) {
        void *p = __wrap_malloc(n);
        if (p != NULL) {
            memcpy(p, old, min_u64(n, block->n));
            __wrap_free(old);
        }
        return p;
    }
    struct block *moved = __real_realloc(block, sizeof *block + n);
    if (moved == NULL) {
        return NULL;
    }
    if (moved->next == block) { /* in no ring */
        moved->next = moved->previous = moved;
    } else {
        moved->next->previous = moved->previous->next = moved;
    }
    moved->raw = moved;
    moved->n = n;
    return moved + 1;
}

/* The C library's own would come from its malloc. */
int __wrap_vasprintf(char **out, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    *out = n >= 0 ? __wrap_malloc((size_t)n + 1) : NULL;
    return *out != NULL ? vsnprintf(*out, (size_t)n + 1, format, arguments) : -1;
}

void memory_begin(struct process *process)
{
    process->memory.next = process->memory.previous = &process->memory;
}

size_t memory_release(struct process *process)
{
    size_t n = 0;
    struct block *ring = &process->memory;
    for (; ring->next != ring; n++) {
        __wrap_free(ring->next + 1);
    }
    return n;
}
