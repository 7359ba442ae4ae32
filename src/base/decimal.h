/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Exact decimal numbers, as users write them: digits with a fraction. Quotas come from them without binary floating
 * point. (GMP would do it, but ends the process when memory is short.)
 */
#ifndef DT2_BASE_DECIMAL_H
#define DT2_BASE_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Digits that a number may have in all, leading zeros and trailing zeros of the fraction aside. */
#define DT2_DECIMAL_DIGITS 100
#define DT2_DECIMAL_LIMBS 20 /* of 32 bits: 100 digits, with room for sums of many and for two 64-bit factors */

/* value = limbs / 10^scale, least limb first. */
struct dt2_decimal {
    uint32_t limbs[DT2_DECIMAL_LIMBS];
    unsigned scale;
};

/*
 * Parses digits ['.' digits] | '.' digits at the start of `text`; returns how many characters it took, 0 when there is no
 * number, or when it has too many digits. `1.` takes "1" only.
 */
size_t dt2_decimal_parse(const char *text, struct dt2_decimal *value);
struct dt2_decimal dt2_decimal_of(uint64_t value);
struct dt2_decimal dt2_decimal_add(const struct dt2_decimal *a, const struct dt2_decimal *b);
int dt2_decimal_compare(const struct dt2_decimal *a, const struct dt2_decimal *b);
bool dt2_decimal_is_zero(const struct dt2_decimal *value);
/*
 * floor(value * factor / divisor), or the ceiling; divisor not zero. False when the result is 2^63 or more.
 */
bool dt2_decimal_scale(const struct dt2_decimal *value, uint64_t factor, const struct dt2_decimal *divisor, bool up,
                       uint64_t *result);

#endif
