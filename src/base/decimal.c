/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/decimal.h"
#include <string.h>

/* Wide enough for a decimal times the power of ten of another one times 64 bits, and then times 64 bits again. */
#define WIDE (2 * DT2_DECIMAL_LIMBS + 8)

struct wide {
    uint32_t limbs[WIDE];
};

static void mul_add(uint32_t *limbs, size_t count, uint32_t factor, uint32_t add)
{
    uint64_t carry = add;
    for (size_t i = 0; i < count; i++) {
        carry += (uint64_t)limbs[i] * factor;
        limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

static int compare(const uint32_t *a, const uint32_t *b, size_t count)
{
    for (size_t i = count; i-- > 0;)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

static struct wide widen(const struct dt2_decimal *value, unsigned powers_of_ten)
{
    struct wide wide = { { 0 } };
    memcpy(wide.limbs, value->limbs, sizeof value->limbs);
    while (powers_of_ten-- > 0)
        mul_add(wide.limbs, WIDE, 10, 0);
    return wide;
}

static struct wide mul_u64(const struct wide *value, uint64_t factor)
{
    struct wide low = *value, high = { { 0 } };
    memcpy(high.limbs + 1, value->limbs, sizeof high.limbs - sizeof *high.limbs);
    mul_add(low.limbs, WIDE, (uint32_t)factor, 0);
    mul_add(high.limbs, WIDE, (uint32_t)(factor >> 32), 0);
    uint64_t carry = 0;
    for (size_t i = 0; i < WIDE; i++) {
        carry += (uint64_t)low.limbs[i] + high.limbs[i];
        low.limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    return low;
}

/* Two decimals as integers over the same power of ten. */
static void align(const struct dt2_decimal *a, const struct dt2_decimal *b, struct wide *x, struct wide *y)
{
    *x = widen(a, b->scale > a->scale ? b->scale - a->scale : 0);
    *y = widen(b, a->scale > b->scale ? a->scale - b->scale : 0);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

size_t dt2_decimal_parse(const char *text, struct dt2_decimal *value)
{
    struct dt2_decimal parsed = { { 0 }, 0 };
    size_t whole = 0, end;
    while (is_digit(text[whole]))
        whole++;
    end = whole;
    if (text[whole] == '.' && is_digit(text[whole + 1]))
        for (end = whole + 1; is_digit(text[end]);)
            end++;
    if (end == 0)
        return 0;

    size_t last = end; /* zeros at the end of a fraction say nothing */
    while (last > whole && (text[last - 1] == '0' || text[last - 1] == '.'))
        last--;
    size_t digits = 0;
    for (size_t i = 0; i < last; i++) {
        if (text[i] == '.')
            continue;
        digits += digits > 0 || text[i] != '0';
        parsed.scale += i > whole;
        if (digits > DT2_DECIMAL_DIGITS || parsed.scale > DT2_DECIMAL_DIGITS)
            return 0;
        mul_add(parsed.limbs, DT2_DECIMAL_LIMBS, 10, (uint32_t)(text[i] - '0'));
    }
    *value = parsed;
    return end;
}

struct dt2_decimal dt2_decimal_of(uint64_t value)
{
    return (struct dt2_decimal){ { (uint32_t)value, (uint32_t)(value >> 32) }, 0 };
}

struct dt2_decimal dt2_decimal_add(const struct dt2_decimal *a, const struct dt2_decimal *b)
{
    struct wide x, y;
    align(a, b, &x, &y);
    struct dt2_decimal sum = { { 0 }, a->scale > b->scale ? a->scale : b->scale };
    uint64_t carry = 0;
    for (size_t i = 0; i < DT2_DECIMAL_LIMBS; i++) {
        carry += (uint64_t)x.limbs[i] + y.limbs[i];
        sum.limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    return sum;
}

int dt2_decimal_compare(const struct dt2_decimal *a, const struct dt2_decimal *b)
{
    struct wide x, y;
    align(a, b, &x, &y);
    return compare(x.limbs, y.limbs, WIDE);
}

bool dt2_decimal_is_zero(const struct dt2_decimal *value)
{
    static const uint32_t zero[DT2_DECIMAL_LIMBS];
    return compare(value->limbs, zero, DT2_DECIMAL_LIMBS) == 0;
}

bool dt2_decimal_scale(const struct dt2_decimal *value, uint64_t factor, const struct dt2_decimal *divisor, bool up,
                       uint64_t *result)
{
    struct wide x, y;
    align(value, divisor, &x, &y);
    x = mul_u64(&x, factor);

    /* The largest q with q * divisor <= value * factor, bit by bit. */
    uint64_t q = 0;
    for (int bit = 63; bit >= 0; bit--) {
        uint64_t candidate = q | (uint64_t)1 << bit;
        struct wide product = mul_u64(&y, candidate);
        if (compare(product.limbs, x.limbs, WIDE) <= 0)
            q = candidate;
    }
    struct wide product = mul_u64(&y, q);
    if (up && q != UINT64_MAX && compare(product.limbs, x.limbs, WIDE) < 0)
        q++;
    if (q >> 63)
        return false;
    *result = q;
    return true;
}
