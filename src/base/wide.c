#include "base/wide.h"

#include "base/panic.h"

#include <string.h>
#include <strings.h>

#define EXPONENT_MIN (-16445) /* of the lowest bit */
#define EXPONENT_MAX (16383 - 63)
#define FRACTION_DIGITS 17

/* --- Whole numbers of any size, as far as texts can need ---------------------------------------
 *
 * A text has fewer than 5,120 digits, and a power of ten that is looked at is below 10^10,300: so
 * 2^34,300 is more than any product of the two. */
#define LIMBS 1100u

struct big {
    uint32_t n; /* limbs in use; the highest is not 0 */
    uint32_t limb[LIMBS];
};

static void big_set(struct big *b, uint64_t v)
{
    b->limb[0] = (uint32_t)v;
    b->limb[1] = (uint32_t)(v >> 32);
    b->n = b->limb[1] != 0 ? 2 : b->limb[0] != 0;
}

static void big_multiply_add(struct big *b, uint32_t factor, uint32_t more)
{
    uint64_t carry = more;
    for (uint32_t i = 0; i < b->n; i++) {
        carry += (uint64_t)b->limb[i] * factor;
        b->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry != 0) {
        qr_assert(b->n < LIMBS);
        b->limb[b->n++] = (uint32_t)carry;
    }
}

static void big_times_ten_to(struct big *b, uint32_t power)
{
    for (; power >= 9; power -= 9) {
        big_multiply_add(b, 1000000000, 0);
    }
    for (; power > 0; power--) {
        big_multiply_add(b, 10, 0);
    }
}

static void big_shift(struct big *b, uint32_t bits)
{
    uint32_t limbs = bits / 32;
    big_multiply_add(b, (uint32_t)1 << bits % 32, 0);
    if (b->n > 0 && limbs > 0) {
        qr_assert(b->n + limbs <= LIMBS);
        memmove(b->limb + limbs, b->limb, b->n * sizeof b->limb[0]);
        memset(b->limb, 0, limbs * sizeof b->limb[0]);
        b->n += limbs;
    }
}

static uint32_t big_bits(const struct big *b)
{
    return b->n == 0 ? 0 : 32 * b->n - (uint32_t)__builtin_clz(b->limb[b->n - 1]);
}

static bool big_less(const struct big *a, const struct big *b)
{
    if (a->n != b->n) {
        return a->n < b->n;
    }
    for (uint32_t i = a->n; i-- > 0;) {
        if (a->limb[i] != b->limb[i]) {
            return a->limb[i] < b->limb[i];
        }
    }
    return false;
}

static void big_subtract(struct big *a, const struct big *b)
{
    int64_t borrow = 0;
    for (uint32_t i = 0; i < a->n; i++) {
        borrow += (int64_t)a->limb[i] - (i < b->n ? b->limb[i] : 0);
        a->limb[i] = (uint32_t)borrow;
        borrow >>= 32;
    }
    while (a->n > 0 && a->limb[a->n - 1] == 0) {
        a->n--;
    }
}

/* Divides, and returns the remainder. */
static uint32_t big_divide(struct big *b, uint32_t divisor)
{
    uint64_t rest = 0;
    for (uint32_t i = b->n; i-- > 0;) {
        rest = rest << 32 | b->limb[i];
        b->limb[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    while (b->n > 0 && b->limb[b->n - 1] == 0) {
        b->n--;
    }
    return (uint32_t)rest;
}

/* --- Rounding --------------------------------------------------------------------------------- */

typedef unsigned wide_bits __attribute__((mode(TI))); /* 128 bits */

static uint32_t bits_of(wide_bits v)
{
    uint64_t high = (uint64_t)(v >> 64), low = (uint64_t)v;
    return high != 0  ? 128 - (uint32_t)__builtin_clzll(high)
           : low != 0 ? 64 - (uint32_t)__builtin_clzll(low)
                      : 0;
}

/* v / 2^shift to the nearest, and to even; `more`: the value is a little above v. */
static wide_bits shift_nearest(wide_bits v, uint32_t shift, bool more)
{
    if (shift == 0 || shift > 128) {
        return shift == 0 ? v : 0;
    }
    wide_bits whole = shift == 128 ? 0 : v >> shift;
    wide_bits half = (wide_bits)1 << (shift - 1);
    wide_bits rest = v & (half | (half - 1));
    bool up = rest > half || (rest == half && (more || (whole & 1) != 0));
    return whole + up;
}

/* v * 2^exponent and, if `more`, a little: v has 66 bits then, or more. */
static struct wide rounded(bool negative, wide_bits v, int32_t exponent, bool more)
{
    struct wide out = { .negative = negative };
    if (v == 0) {
        return out;
    }
    int32_t shift = (int32_t)bits_of(v) - 64;
    shift = exponent + shift < EXPONENT_MIN ? EXPONENT_MIN - exponent : shift;
    v = shift > 0 ? shift_nearest(v, (uint32_t)shift, more) : v << -shift;
    exponent += shift;
    if (v >> 64 != 0) {
        v >>= 1;
        exponent++;
    }
    if (exponent > EXPONENT_MAX) {
        out.infinite = true;
        return out;
    }
    out.mantissa = (uint64_t)v;
    out.exponent = exponent;
    return out;
}

/* The highest 128 bits of it. */
static struct wide rounded_big(bool negative, struct big *b, int32_t exponent, bool more)
{
    uint32_t bits = big_bits(b);
    wide_bits v = 0;
    uint32_t low = b->n > 4 ? b->n - 4 : 0;
    for (uint32_t i = b->n; i-- > low;) {
        v = v << 32 | b->limb[i];
    }
    for (uint32_t i = 0; i < low; i++) {
        more = more || b->limb[i] != 0;
    }
    qr_assert(bits <= 32 * LIMBS);
    return rounded(negative, v, exponent + 32 * (int32_t)low, more);
}

/* --- Reading ---------------------------------------------------------------------------------- */

struct cursor {
    const uint8_t *p, *end;
};

static int digit_of(const struct cursor *c, int base)
{
    if (c->p == c->end) {
        return -1;
    }
    int letter = *c->p | 0x20;
    int v = *c->p >= '0' && *c->p <= '9'     ? *c->p - '0'
            : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10
                                             : 16;
    return v < base ? v : -1;
}

/* One of the two. */
static bool take(struct cursor *c, char a, char b)
{
    if (c->p == c->end || (*c->p != (uint8_t)a && *c->p != (uint8_t)b)) {
        return false;
    }
    c->p++;
    return true;
}

static bool take_sign(struct cursor *c)
{
    bool negative = take(c, '-', '-');
    return negative || !take(c, '+', '+') ? negative : false;
}

static bool is_word(const struct cursor *c, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(c->end - c->p) == n && strncasecmp((const char *)c->p, word, n) == 0;
}

/* The digits into b; *point is how many of them stand behind the point. False: there are none. */
static bool read_digits(struct cursor *c, int base, struct big *b, int32_t *point)
{
    bool any = false, behind = false;
    uint32_t some = 0, factor = 1; /* digits that b has not got yet */
    *point = 0;
    big_set(b, 0);
    for (;; c->p++) {
        int digit = digit_of(c, base);
        if (digit < 0 && (behind || c->p == c->end || *c->p != '.')) {
            break;
        }
        if (digit < 0) {
            behind = true;
            continue;
        }
        any = true;
        *point += behind;
        some = some * (uint32_t)base + (uint32_t)digit;
        factor *= (uint32_t)base;
        if (factor >= 100000000) {
            big_multiply_add(b, factor, some);
            some = 0;
            factor = 1;
        }
    }
    big_multiply_add(b, factor, some);
    return any;
}

/* An exponent, if there is one; beyond a million it is as good as that. */
static bool read_exponent(struct cursor *c, bool hex, int32_t *out)
{
    *out = 0;
    if (!take(c, hex ? 'p' : 'e', hex ? 'P' : 'E')) {
        return true;
    }
    bool negative = take_sign(c);
    if (digit_of(c, 10) < 0) {
        return false;
    }
    for (int digit; (digit = digit_of(c, 10)) >= 0; c->p++) {
        *out = *out < 1000000 ? *out * 10 + digit : *out;
    }
    *out = negative ? -*out : *out;
    return true;
}

/* digits * 10^power, of a b that is not 0. */
static struct wide from_decimal(bool negative, struct big *b, int32_t power)
{
    struct big ten;
    if (power >= 0) {
        if (power > 5000) {
            return (struct wide){ .negative = negative, .infinite = true };
        }
        big_times_ten_to(b, (uint32_t)power);
        return rounded_big(negative, b, 0, false);
    }
    if (power < -10200) {
        return (struct wide){ .negative = negative };
    }
    big_set(&ten, 1);
    big_times_ten_to(&ten, (uint32_t)-power);
    int32_t shift = (int32_t)big_bits(&ten) - (int32_t)big_bits(b); /* so that one divides once */
    big_shift(shift > 0 ? b : &ten, (uint32_t)(shift > 0 ? shift : -shift));
    wide_bits quotient = 0;
    for (unsigned i = 0; i < 68; i++) { /* a bit a time, of 1 or a little less */
        bool fits = !big_less(b, &ten);
        if (fits) {
            big_subtract(b, &ten);
        }
        quotient = quotient << 1 | fits;
        big_shift(b, 1);
    }
    return rounded(negative, quotient, -shift - 67, b->n > 0);
}

bool wide_read(struct span text, struct wide *out)
{
    struct cursor c = { text.p, text.p + text.n };
    struct big digits;
    int32_t point, power;
    if (text.n >= WIDE_TEXT_MAX) {
        return false;
    }
    bool negative = take_sign(&c);
    if (is_word(&c, "inf") || is_word(&c, "infinity")) {
        *out = (struct wide){ .negative = negative, .infinite = true };
        return true;
    }
    bool hex = c.end - c.p > 2 && c.p[0] == '0' && (c.p[1] | 0x20) == 'x';
    c.p += hex ? 2 : 0;
    if (!read_digits(&c, hex ? 16 : 10, &digits, &point) || !read_exponent(&c, hex, &power) ||
        c.p != c.end) {
        return false;
    }
    if (digits.n == 0) {
        *out = (struct wide){ .negative = negative };
        return true;
    }
    *out = hex ? rounded_big(negative, &digits, power - 4 * point, false)
               : from_decimal(negative, &digits, power - point);
    return !out->infinite && out->mantissa != 0;
}

/* --- Adding ----------------------------------------------------------------------------------- */

struct wide wide_add(struct wide a, struct wide b)
{
    qr_assert(!a.infinite && !b.infinite);
    if (a.mantissa == 0 || b.mantissa == 0) {
        return a.mantissa != 0 ? a : b;
    }
    /* Mantissas that are not full have the least exponent, so this is the order of size. */
    if (a.exponent < b.exponent || (a.exponent == b.exponent && a.mantissa < b.mantissa)) {
        struct wide swap = a;
        a = b;
        b = swap;
    }
    wide_bits large = (wide_bits)a.mantissa << 63, small = (wide_bits)b.mantissa << 63;
    uint32_t apart = (uint32_t)(a.exponent - b.exponent);
    bool lost = apart > 127 || (small & (((wide_bits)1 << apart) - 1)) != 0;
    small = apart > 127 ? 0 : small >> apart;
    if (a.negative == b.negative) {
        return rounded(a.negative, large + small, a.exponent - 63, lost);
    }
    return rounded(a.negative, large - small - lost, a.exponent - 63, lost);
}

/* --- Writing ---------------------------------------------------------------------------------- */

/* |v| * 10^17 to the nearest whole number, and to even. */
static void scaled(struct wide v, struct big *out)
{
    wide_bits scaled = (wide_bits)v.mantissa * 100000000000000000u;
    bool fraction = v.exponent < 0;
    scaled = fraction ? shift_nearest(scaled, (uint32_t)-v.exponent, false) : scaled;
    out->n = 0;
    for (; scaled != 0; scaled >>= 32) {
        out->limb[out->n++] = (uint32_t)scaled;
    }
    if (!fraction) {
        big_shift(out, (uint32_t)v.exponent);
    }
}

size_t wide_write(struct wide v, char text[WIDE_TEXT_MAX])
{
    struct big b;
    char backwards[WIDE_TEXT_MAX];
    size_t digits = 0, n = 0;
    qr_assert(!v.infinite);
    scaled(v, &b);
    bool zero = b.n == 0;
    while (b.n > 0 || digits <= FRACTION_DIGITS) {
        uint32_t nine = big_divide(&b, 1000000000);
        for (unsigned i = 0; i < 9; i++, nine /= 10) {
            backwards[digits++] = (char)('0' + nine % 10);
        }
    }
    while (digits > FRACTION_DIGITS + 1 && backwards[digits - 1] == '0') {
        digits--;
    }
    if (v.negative && !zero) {
        text[n++] = '-';
    }
    size_t least = 0;
    while (least < FRACTION_DIGITS && backwards[least] == '0') {
        least++;
    }
    for (size_t i = digits; i-- > least;) {
        text[n++] = backwards[i];
        if (i == FRACTION_DIGITS && least < FRACTION_DIGITS) {
            text[n++] = '.';
        }
    }
    return n;
}
