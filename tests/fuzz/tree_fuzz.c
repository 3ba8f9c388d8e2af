/* Replies to quorate status and quorate admin: any bytes. However they are split, the same items
 * come of them or the same refusal; what is whole is consistent, can be looked into by any index,
 * and is shown within the width. The first byte seeds the splits. */
#include "fuzz.h"

#include "base/alloc.h"
#include "main/show.h"
#include "main/table.h"
#include "resp/tree.h"

#include <string.h>

#define WIDTH 60u

/* Reads the bytes in pieces, each in a block that is exactly as long as what is there. */
static enum tree_result read_split(struct tree *t, const uint8_t *data, size_t n, uint64_t seed,
                                   uint8_t **block)
{
    enum tree_result result = TREE_MORE;
    size_t have = 0;
    *block = NULL;
    while (result == TREE_MORE && have < n) {
        have += 1 + seed % 7;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        seed = seed >> 33 | seed << 31;
        have = have < n ? have : n;
        uint8_t *next = qr_alloc(have);
        memcpy(next, data, have);
        free(*block);
        *block = next;
        result = tree_read(t, next, have);
    }
    return result;
}

static void check(const struct tree *t, size_t n)
{
    qr_assert(t->at <= n && t->count > 0 && t->items[0].end == t->count);
    for (uint32_t i = 0; i < t->count; i++) {
        const struct tree_item *item = &t->items[i];
        qr_assert(item->end > i && item->end <= t->count);
        qr_assert(item->at + item->bytes <= n || item->bytes == 0);
        uint32_t length = tree_length(t, i), at = i + 1;
        qr_assert(item->type == '*' || item->end == i + 1);
        for (uint32_t k = 0; k < length; k++, at = t->items[at].end) {
            qr_assert(at < item->end);
        }
        qr_assert(at == item->end);
        (void)tree_number(t, i);
        (void)tree_field(t, i, "id");
    }
}

static void show(const struct tree *t)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    qr_assert(out != NULL);
    show_reply(t, 0, WIDTH, out);
    (void)fflush(out);
    for (size_t i = 0; i < bytes; i++) {
        qr_assert(text[i] == '\n' ||
                  ((unsigned char)text[i] >= ' ' && (unsigned char)text[i] < 127));
    }
    show_json(t, 0, out);
    (void)fclose(out);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2) {
        return 0;
    }
    struct tree whole = { 0 }, split = { 0 };
    uint8_t *block = NULL;
    enum tree_result one = tree_read(&whole, data + 1, n - 1);
    enum tree_result other = read_split(&split, data + 1, n - 1, data[0], &block);
    qr_assert(one == other);
    if (one == TREE_WHOLE) {
        qr_assert(whole.count == split.count && whole.at == split.at);
        for (uint32_t i = 0; i < whole.count; i++) {
            const struct tree_item *a = &whole.items[i], *b = &split.items[i];
            qr_assert(a->type == b->type && a->null == b->null && a->end == b->end &&
                      a->number == b->number && a->at == b->at && a->bytes == b->bytes);
        }
        check(&whole, n - 1);
        check(&split, n - 1);
        show(&split);
    }
    tree_free(&whole);
    tree_free(&split);
    free(block);
    return 0;
}
