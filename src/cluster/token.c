#include "cluster/token.h"

#include "base/panic.h"
#include "base/wire.h"

#include <string.h>

#define VERSION 1u
#define FLAG_OPEN 1u
#define HEAD_BYTES (1 + TOKEN_CLUSTER_BYTES)
#define BYTES_MAX (TOKEN_TEXT_MAX / 4 * 3)
#define VARINT_BYTES_MAX 10u
/* Before the places: version, cluster, flags, count. */
#define BEFORE_BYTES_MAX (HEAD_BYTES + 1 + 2)
_Static_assert(TOKEN_PLACES_MAX < 1u << 14, "the count is a varint of two bytes");

/* --- What a session knows ------------------------------------------------------------------- */

/* Where the group stands, or where it would. */
static uint32_t place_of(const struct token *token, uint32_t group)
{
    uint32_t low = 0;
    uint32_t high = token->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (token->places[middle].group < group) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_listed(const struct token *token, uint32_t at, uint32_t group)
{
    return at < token->count && token->places[at].group == group;
}

void token_note(struct token *token, uint32_t group, qr_slot slot)
{
    uint32_t at = place_of(token, group);
    if (is_listed(token, at, group)) {
        token->places[at].slot = max_u64(token->places[at].slot, slot);
    } else if (slot == 0) {
        return;
    } else if (token->count == TOKEN_PLACES_MAX) {
        token->open = true;
    } else {
        memmove(&token->places[at + 1], &token->places[at],
                (token->count - at) * sizeof token->places[0]);
        token->places[at] = (struct token_place){ group, slot };
        token->count++;
    }
}

/* Takes out what an open one does not list: of that it may know more than is listed here. */
static void keep_listed_of(struct token *token, const struct token *open)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < token->count; i++) {
        struct token_place place = token->places[i];
        if (is_listed(open, place_of(open, place.group), place.group)) {
            token->places[kept++] = place;
        }
    }
    token->count = kept;
    token->open = true;
}

void token_merge(struct token *token, const struct token *other)
{
    bool was_open = token->open;
    if (other->open) {
        keep_listed_of(token, other);
    }
    for (uint32_t i = 0; i < other->count; i++) {
        const struct token_place *place = &other->places[i];
        if (!was_open || is_listed(token, place_of(token, place->group), place->group)) {
            token_note(token, place->group, place->slot);
        }
    }
}

bool token_find(const struct token *token, uint32_t group, qr_slot *slot)
{
    uint32_t at = place_of(token, group);
    bool listed = is_listed(token, at, group);
    *slot = listed ? token->places[at].slot : 0;
    return listed || !token->open;
}

/* --- Bytes ---------------------------------------------------------------------------------- */

static size_t put_varint(uint8_t out[VARINT_BYTES_MAX], uint64_t v)
{
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) {
        out[n++] = (uint8_t)(v | 0x80);
    }
    out[n++] = (uint8_t)v;
    return n;
}

/* The shortest form only. */
static uint64_t get_varint(struct wire_reader *r)
{
    uint64_t v = 0;
    for (uint32_t shift = 0; shift < 64; shift += 7) {
        uint8_t byte = wire_get_u8(r);
        uint64_t bits = byte & 0x7fu;
        if (bits << shift >> shift != bits || (byte == 0 && shift > 0)) {
            break;
        }
        v |= bits << shift;
        if (byte < 0x80) {
            return v;
        }
    }
    r->bad = true;
    return 0;
}

static size_t put_place(uint8_t out[2 * VARINT_BYTES_MAX], const struct token *token, uint32_t i)
{
    const struct token_place *place = &token->places[i];
    uint64_t group = i == 0 ? place->group : place->group - token->places[i - 1].group - 1;
    size_t n = put_varint(out, group);
    return n + put_varint(out + n, place->slot);
}

/* How many places there is room for. */
static uint32_t places_that_fit(const struct token *token)
{
    uint8_t place[2 * VARINT_BYTES_MAX];
    size_t room = BYTES_MAX - BEFORE_BYTES_MAX - TOKEN_SEAL_BYTES;
    uint32_t i = 0;
    for (; i < token->count; i++) {
        size_t n = put_place(place, token, i);
        if (n > room) {
            break;
        }
        room -= n;
    }
    return i;
}

static bool read_places(struct wire_reader *r, struct token *out)
{
    uint8_t flags = wire_get_u8(r);
    uint64_t count = get_varint(r);
    if (flags > FLAG_OPEN || count > TOKEN_PLACES_MAX) {
        return false;
    }
    out->open = flags == FLAG_OPEN;
    out->count = (uint32_t)count;
    uint64_t next = 0; /* the lowest group that may come */
    for (uint32_t i = 0; i < out->count; i++) {
        uint64_t skipped = get_varint(r);
        qr_slot slot = get_varint(r);
        if (r->bad || skipped > UINT32_MAX || next + skipped > UINT32_MAX || slot == 0) {
            return false;
        }
        out->places[i] = (struct token_place){ (uint32_t)(next + skipped), slot };
        next += skipped + 1;
    }
    return true;
}

/* --- Text ----------------------------------------------------------------------------------- */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t to_text(struct span bytes, char *out)
{
    size_t n = 0;
    uint32_t bits = 0;
    uint32_t held = 0;
    for (size_t i = 0; i < bytes.n; i++) {
        bits = bits << 8 | bytes.p[i];
        for (held += 8; held >= 6; held -= 6) {
            out[n++] = letters[bits >> (held - 6) & 63u];
        }
    }
    if (held > 0) {
        out[n++] = letters[bits << (6 - held) & 63u];
    }
    return n;
}

/* 64: not one of them */
static uint32_t value_of(uint8_t letter)
{
    const char *at = strchr(letters, letter); /* a zero is found behind them: 64 as well */
    return at == NULL ? 64 : (uint32_t)(at - letters);
}

/* The bytes, 0 of them where the text is not one that to_text makes. */
static size_t from_text(struct span text, uint8_t out[BYTES_MAX])
{
    size_t n = 0;
    uint32_t bits = 0;
    uint32_t held = 0;
    if (text.n > TOKEN_TEXT_MAX || text.n % 4 == 1) {
        return 0;
    }
    for (size_t i = 0; i < text.n; i++) {
        uint32_t value = value_of(text.p[i]);
        if (value == 64) {
            return 0;
        }
        bits = bits << 6 | value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[n++] = (uint8_t)(bits >> held);
        }
    }
    return (bits & ((1u << held) - 1)) == 0 ? n : 0;
}

/* --- Tokens --------------------------------------------------------------------------------- */

size_t token_write(const struct token *token, const struct token_sealer *sealer,
                   char out[TOKEN_TEXT_MAX])
{
    uint8_t bytes[BYTES_MAX];
    uint8_t varints[2 * VARINT_BYTES_MAX];
    struct wire_writer w = wire_writer(bytes, sizeof bytes);
    uint32_t count = places_that_fit(token);
    wire_put_u8(&w, VERSION);
    wire_put_bytes(&w, sealer->cluster, TOKEN_CLUSTER_BYTES);
    wire_put_u8(&w, token->open || count < token->count ? FLAG_OPEN : 0);
    wire_put_bytes(&w, varints, put_varint(varints, count));
    for (uint32_t i = 0; i < count; i++) {
        wire_put_bytes(&w, varints, put_place(varints, token, i));
    }
    uint8_t seal[TOKEN_SEAL_BYTES];
    sealer->seal(sealer, span_of(bytes, w.n), seal);
    wire_put_bytes(&w, seal, sizeof seal);
    qr_assert(!w.bad);
    return to_text(span_of(bytes, w.n), out);
}

/* In a time that says nothing of where they differ. */
static bool is_same_seal(const uint8_t *a, const uint8_t *b)
{
    uint8_t differs = 0;
    for (uint32_t i = 0; i < TOKEN_SEAL_BYTES; i++) {
        differs |= a[i] ^ b[i];
    }
    return differs == 0;
}

enum token_status token_read(struct span text, const struct token_sealer *sealer, struct token *out)
{
    uint8_t bytes[BYTES_MAX];
    size_t n = from_text(text, bytes);
    if (n < HEAD_BYTES + TOKEN_SEAL_BYTES || bytes[0] == 0) {
        return TOKEN_MALFORMED;
    }
    if (memcmp(bytes + 1, sealer->cluster, TOKEN_CLUSTER_BYTES) != 0) {
        return TOKEN_FOREIGN;
    }
    if (bytes[0] > VERSION) {
        return TOKEN_NEWER;
    }
    struct token token = { 0 };
    struct wire_reader r = wire_reader(span_of(bytes, n - TOKEN_SEAL_BYTES));
    (void)wire_get_bytes(&r, HEAD_BYTES);
    if (!read_places(&r, &token) || !wire_finished(&r)) {
        return TOKEN_MALFORMED;
    }
    uint8_t seal[TOKEN_SEAL_BYTES];
    sealer->seal(sealer, span_of(bytes, n - TOKEN_SEAL_BYTES), seal);
    if (!is_same_seal(seal, bytes + n - TOKEN_SEAL_BYTES)) {
        return TOKEN_FORGED;
    }
    *out = token;
    return TOKEN_OK;
}

const char *token_refusal(enum token_status status)
{
    switch (status) {
    case TOKEN_MALFORMED:
        return "BADTOKEN this is no session token, or only a part of one";
    case TOKEN_FORGED:
        return "BADTOKEN the session token was not made by this cluster, or was changed since";
    case TOKEN_FOREIGN:
        return "BADTOKEN the session token is of another cluster";
    case TOKEN_NEWER:
        return "BADTOKEN the session token was made by a newer version";
    case TOKEN_OK:
        break;
    }
    qr_unreachable();
}
