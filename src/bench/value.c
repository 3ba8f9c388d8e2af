#include "bench/value.h"

#include "base/panic.h"
#include "base/rng.h"

#include <string.h>

#define RUN_DIGITS 6u
#define KEY_DIGITS 10u
#define SEQUENCE_DIGITS 12u
#define END '.'

_Static_assert(RUN_DIGITS + KEY_DIGITS + SEQUENCE_DIGITS + 3 == VALUE_HEAD_BYTES, "two dashes, :");
_Static_assert(RUN_DIGITS * 4 == VALUE_RUN_BITS, "a digit is four bits");
_Static_assert(SEQUENCE_DIGITS * 4 == VALUE_SEQUENCE_BITS, "a digit is four bits");

void value_form_init(struct value_form *form, bool checked, uint32_t run, uint64_t seed,
                     uint32_t bytes_min, uint32_t bytes_max)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct rng rng = rng_from(1); /* the same pattern in every run */
    *form = (struct value_form){
        .checked = checked, .run = run, .seed = seed, .bytes_min = bytes_min, .bytes_max = bytes_max
    };
    for (uint32_t i = 0; i < VALUE_PATTERN_BYTES; i++) {
        form->pattern[i] = letters[rng_below(&rng, 64)];
        form->pattern[VALUE_PATTERN_BYTES + i] = form->pattern[i];
    }
}

uint32_t value_bytes(const struct value_form *form, uint64_t sequence)
{
    if (form->bytes_min == form->bytes_max) {
        return form->bytes_min;
    }
    struct rng rng = rng_from(sequence ^ form->seed << VALUE_SEQUENCE_BITS);
    return form->bytes_min + (uint32_t)rng_below(&rng, form->bytes_max - form->bytes_min + 1);
}

/* Where in the pattern the byte at `offset` of a value is found. */
static uint32_t place(uint64_t sequence, uint64_t offset)
{
    return (uint32_t)((sequence * 61 + offset) % VALUE_PATTERN_BYTES);
}

static void put_hex(char *out, uint64_t v, uint32_t digits)
{
    for (uint32_t i = digits; i > 0; i--) {
        out[i - 1] = "0123456789abcdef"[v & 15];
        v >>= 4;
    }
}

static void put_head(char head[VALUE_HEAD_BYTES], uint32_t run, uint64_t key, uint64_t sequence)
{
    put_hex(head, run, RUN_DIGITS);
    head[RUN_DIGITS] = '-';
    put_hex(head + RUN_DIGITS + 1, key, KEY_DIGITS);
    head[RUN_DIGITS + 1 + KEY_DIGITS] = '-';
    put_hex(head + RUN_DIGITS + KEY_DIGITS + 2, sequence, SEQUENCE_DIGITS);
    head[VALUE_HEAD_BYTES - 1] = ':';
}

void value_write(const struct value_form *form, uint64_t key, uint64_t sequence, uint32_t bytes,
                 uint32_t offset, uint32_t n, char *out)
{
    qr_assert(offset + n <= bytes);
    for (uint32_t done = 0; done < n;) {
        uint32_t part = n - done < VALUE_PATTERN_BYTES ? n - done : VALUE_PATTERN_BYTES;
        memcpy(out + done, form->pattern + place(sequence, offset + done), part);
        done += part;
    }
    if (!form->checked) {
        return;
    }
    if (offset < VALUE_HEAD_BYTES) {
        char head[VALUE_HEAD_BYTES];
        uint32_t left = VALUE_HEAD_BYTES - offset;
        put_head(head, form->run, key, sequence);
        memcpy(out, head + offset, n < left ? n : left);
    }
    if (n > 0 && offset + n == bytes) {
        out[n - 1] = END;
    }
}

/* --- Reading --------------------------------------------------------------------------------- */

static bool get_hex(const char *p, uint32_t digits, char behind, uint64_t *out)
{
    uint64_t v = 0;
    for (uint32_t i = 0; i < digits; i++) {
        char c = p[i];
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
            return false;
        }
        v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *out = v;
    return p[digits] == behind;
}

static bool get_head(struct value_reader *r)
{
    uint64_t run = 0;
    bool sound = get_hex(r->head, RUN_DIGITS, '-', &run) &&
                 get_hex(r->head + RUN_DIGITS + 1, KEY_DIGITS, '-', &r->key) &&
                 get_hex(r->head + RUN_DIGITS + KEY_DIGITS + 2, SEQUENCE_DIGITS, ':', &r->sequence);
    r->run = (uint32_t)run;
    return sound;
}

void value_reader_begin(struct value_reader *r, uint64_t bytes)
{
    *r = (struct value_reader){ .bytes = bytes, .sound = bytes >= VALUE_CHECKED_BYTES_MIN };
}

static bool body_is_sound(const struct value_reader *r, const struct value_form *form,
                          const uint8_t *p, size_t n)
{
    for (size_t done = 0; done < n;) {
        size_t part = n - done < VALUE_PATTERN_BYTES ? n - done : VALUE_PATTERN_BYTES;
        if (memcmp(p + done, form->pattern + place(r->sequence, r->at + done), part) != 0) {
            return false;
        }
        done += part;
    }
    return true;
}

void value_reader_feed(struct value_reader *r, const struct value_form *form, const uint8_t *p,
                       size_t n)
{
    qr_assert(r->at + n <= r->bytes);
    if (n > 0 && r->at < VALUE_HEAD_BYTES) {
        size_t left = (size_t)(VALUE_HEAD_BYTES - r->at);
        size_t part = n < left ? n : left;
        memcpy(r->head + r->at, p, part);
        r->at += part;
        p += part;
        n -= part;
        if (r->at == VALUE_HEAD_BYTES) {
            r->sound = r->sound && get_head(r);
        }
    }
    if (n == 0 || !r->sound) {
        r->at += n;
        return;
    }
    bool last = r->at + n == r->bytes;
    r->sound = body_is_sound(r, form, p, n - (last ? 1 : 0)) && (!last || p[n - 1] == END);
    r->at += n;
}
