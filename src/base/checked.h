/* SPDX-License-Identifier: BSD-3-Clause */
/* Arithmetic on sizes that come from files and users: each returns true when the result does not fit. */
#ifndef DT2_BASE_CHECKED_H
#define DT2_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DT2_COUNT(array) (sizeof(array) / sizeof *(array))

static inline bool dt2_add_overflows(uint64_t a, uint64_t b, uint64_t *sum)
{
    return __builtin_add_overflow(a, b, sum);
}

static inline bool dt2_mul_overflows(uint64_t a, uint64_t b, uint64_t *product)
{
    return __builtin_mul_overflow(a, b, product);
}

/* `value` rounded up to a multiple of `alignment`, a number of 1 or more (not only powers of two). */
static inline bool dt2_round_up_overflows(uint64_t value, uint64_t alignment, uint64_t *rounded)
{
    uint64_t over = value % alignment;
    return dt2_add_overflows(value, over ? alignment - over : 0, rounded);
}

static inline bool dt2_is_power_of_two(uint64_t value)
{
    return value && !(value & (value - 1));
}

static inline uint64_t dt2_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t dt2_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* a - b, or 0 where that would be negative. */
static inline uint64_t dt2_sub_floor(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

#endif
