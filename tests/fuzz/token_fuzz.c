/* Session tokens: as text from outside, which is refused or is read and written as the same text;
 * and as bytes that get the seal they lack, so that what stands behind the seal is reached too. Two
 * that were read are merged: the sum knows what both know, or says that it does not. */
#include "fuzz.h"

#include "base/alloc.h"
#include "cluster/token.h"

#include <string.h>

static void seal(const struct token_sealer *sealer, struct span said, uint8_t out[TOKEN_SEAL_BYTES])
{
    uint32_t sum = sealer->cluster[0];
    for (size_t i = 0; i < said.n; i++) {
        sum = (sum ^ said.p[i]) * 16777619u;
    }
    for (uint32_t i = 0; i < TOKEN_SEAL_BYTES; i++) {
        out[i] = (uint8_t)(sum >> 2 * i);
    }
}

static const struct token_sealer sealer = { .cluster = "fuzzfuzz", .seal = seal };

static void check_order(const struct token *token)
{
    qr_assert(token->count <= TOKEN_PLACES_MAX);
    for (uint32_t i = 0; i < token->count; i++) {
        qr_assert(token->places[i].slot > 0);
        qr_assert(i == 0 || token->places[i - 1].group < token->places[i].group);
    }
}

static void check_text(struct span text, struct token *out)
{
    char again[TOKEN_TEXT_MAX];
    enum token_status status = token_read(text, &sealer, out);
    if (status != TOKEN_OK) {
        qr_assert(token_refusal(status)[0] == 'B');
        return;
    }
    check_order(out);
    size_t n = token_write(out, &sealer, again);
    qr_assert(n == text.n);
    qr_assert(memcmp(again, text.p, n) == 0);
}

/* What the bytes say between head and seal, as text. */
static size_t sealed_text(struct span said, char out[TOKEN_TEXT_MAX])
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t bytes[TOKEN_TEXT_MAX / 4 * 3] = { 1 };
    size_t head = 1 + TOKEN_CLUSTER_BYTES;
    size_t room = sizeof bytes - head - TOKEN_SEAL_BYTES;
    size_t n = head + (said.n < room ? said.n : room);
    memcpy(bytes + 1, sealer.cluster, TOKEN_CLUSTER_BYTES);
    if (n > head) {
        memcpy(bytes + head, said.p, n - head);
    }
    seal(&sealer, span_of(bytes, n), bytes + n);
    n += TOKEN_SEAL_BYTES;
    size_t length = 0;
    for (size_t bit = 0; bit < n * 8; bit += 6) {
        uint32_t two = (uint32_t)bytes[bit / 8] << 8;
        two |= bit / 8 + 1 < n ? bytes[bit / 8 + 1] : 0;
        out[length++] = letters[two >> (10 - bit % 8) & 63u];
    }
    return length;
}

static void check_sum(const struct token *a, const struct token *b)
{
    struct token sum = *a;
    token_merge(&sum, b);
    check_order(&sum);
    qr_assert(sum.open || (!a->open && !b->open));
    for (uint32_t i = 0; i < a->count + b->count; i++) {
        uint32_t group = i < a->count ? a->places[i].group : b->places[i - a->count].group;
        qr_slot of_a;
        qr_slot of_b;
        qr_slot slot;
        bool told = token_find(a, group, &of_a);
        told = token_find(b, group, &of_b) && told;
        if (token_find(&sum, group, &slot)) {
            qr_assert(told);
            qr_assert(slot == max_u64(of_a, of_b));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct token first;
    struct token text = { 0 };
    struct token sealed = { 0 };
    char room[TOKEN_TEXT_MAX];
    check_text(span_of(data, n), &text);
    check_text(span_of(room, sealed_text(span_of(data, n), room)), &sealed);
    first = n % 7 == 0 ? (struct token){ 0 } : first;
    check_sum(&sealed, &text);
    check_sum(&sealed, &first);
    check_sum(&first, &sealed);
    token_merge(&first, &sealed);
    return 0;
}
