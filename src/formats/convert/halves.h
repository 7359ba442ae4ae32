/* SPDX-License-Identifier: BSD-3-Clause */
/* Halves, bfloats and doubles, beside floats: many at once. */
#ifndef DT2_FORMATS_HALVES_H
#define DT2_FORMATS_HALVES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

void dt2_halves_decode(const unsigned char *from, float *to, size_t count);
void dt2_halves_encode(const float *from, void *to, size_t count);
void dt2_bfloats_decode(const unsigned char *from, float *to, size_t count);
/* Of what was a float or a double, and of what was shorter: NaNs differ, as in PyTorch. */
void dt2_bfloats_encode(const float *from, void *to, size_t count);
void dt2_bfloats_encode_indirect(const float *from, void *to, size_t count);
void dt2_doubles_decode(const unsigned char *from, float *to, size_t count);

static inline uint32_t dt2_bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float dt2_float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint16_t dt2_u16_at(const unsigned char *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* A half as a float: exactly, and a NaN as a quiet one. */
static inline float dt2_half_decode(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7FFF;
    if (rest >= 0x7C00)
        return dt2_float_of(sign | 0x7F800000 | (rest > 0x7C00 ? 0x400000 : 0) | (rest & 0x3FF) << 13);
    if (rest >= 0x400)
        return dt2_float_of(sign | ((rest << 13) + 0x38000000));
    float tiny = (float)rest * 0x1p-24f;
    return dt2_float_of(sign | dt2_bits_of(tiny));
}

#endif
