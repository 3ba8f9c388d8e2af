/* Numbers as x86's 80-bit long double has them, on every machine: 64 bits of mantissa, exponents of
 * 15 bits, rounding to the nearest and to even. What a command makes of such a number is replicated
 * (INCRBYFLOAT), and members may differ in their long double, and in their library's idea of it.
 *
 * Read and written like strtold and "%.17Lf" do, to the bit. */
#ifndef BASE_WIDE_H
#define BASE_WIDE_H

#include "base/types.h"

/* mantissa * 2^exponent; in the one form in which the mantissa is as large as can be. */
struct wide {
    uint64_t mantissa; /* 0: zero */
    int32_t exponent;
    bool negative, infinite;
};

/* Longer texts are no numbers, and none that is written is longer. */
#define WIDE_TEXT_MAX 5120u

/* All of the text, without blanks: decimal, hexadecimal, "inf". False when it is none, or is not
 * zero and too small, or too large. */
bool wide_read(struct span text, struct wide *out);
struct wide wide_add(struct wide a, struct wide b); /* neither is infinite; the sum may be */
/* Rounded to 17 digits behind the point, without zeros at its end; "0" has no sign. Returns the
 * length. */
size_t wide_write(struct wide v, char text[WIDE_TEXT_MAX]);

#endif
