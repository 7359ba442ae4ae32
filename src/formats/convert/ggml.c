/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The blocks as ggml's ggml-common.h lays them out. Each value is a product, or a product and a sum, of floats, each rounded, in
 * the order in which the gguf package computes them: its results are these to the last bit.
 */
#include "formats/convert/ggml.h"
#include "formats/convert/convert.h"
#include "formats/convert/halves.h"

#if defined(__x86_64__)
#define FAST __attribute__((target("avx2")))
#else
#define FAST
#endif
#define BODY static inline __attribute__((always_inline))

/* A decoder of many blocks from a body that does one, compiled twice. */
#define DECODER(type, elements, bytes)                                                         \
    FAST static void type##_fast(const unsigned char *from, float *to, size_t blocks)          \
    {                                                                                          \
        for (; blocks > 0; blocks--, from += (bytes), to += (elements))                        \
            type##_block(from, to);                                                            \
    }                                                                                          \
    static void type##_plain(const unsigned char *from, float *to, size_t blocks)              \
    {                                                                                          \
        for (; blocks > 0; blocks--, from += (bytes), to += (elements))                        \
            type##_block(from, to);                                                            \
    }                                                                                          \
    void dt2_ggml_decode_##type(const unsigned char *from, float *to, size_t blocks)           \
    {                                                                                          \
        (dt2_convert_fast() ? type##_fast : type##_plain)(from, to, blocks);                   \
    }

BODY float half_at(const unsigned char *at)
{
    return dt2_half_decode(dt2_u16_at(at));
}

/* What is added to products with `scale`. Of two NaNs the product's is kept; compilers may swap the two of a sum. */
BODY float least_at(const unsigned char *at, float scale)
{
    return scale != scale ? 0 : half_at(at);
}

/* -- 32 elements: the lower halves of 16 bytes, then the upper ones -- */

BODY void Q4_0_block(const unsigned char *from, float *to)
{
    float scale = half_at(from);
    for (unsigned i = 0; i < 16; i++) {
        to[i] = scale * (float)((from[2 + i] & 15) - 8);
        to[i + 16] = scale * (float)((from[2 + i] >> 4) - 8);
    }
}

BODY void Q4_1_block(const unsigned char *from, float *to)
{
    float scale = half_at(from), least = least_at(from + 2, scale);
    for (unsigned i = 0; i < 16; i++) {
        to[i] = scale * (float)(from[4 + i] & 15) + least;
        to[i + 16] = scale * (float)(from[4 + i] >> 4) + least;
    }
}

/* The fifth bits of 32 elements stand by themselves. */
BODY void fifth_bits(const unsigned char *high, const unsigned char *low, int *to)
{
    uint32_t bits;
    memcpy(&bits, high, sizeof bits);
    for (unsigned i = 0; i < 16; i++) {
        to[i] = (int)((low[i] & 15) | (bits >> i & 1) << 4);
        to[i + 16] = (int)(low[i] >> 4 | (bits >> (i + 16) & 1) << 4);
    }
}

BODY void Q5_0_block(const unsigned char *from, float *to)
{
    int values[32];
    float scale = half_at(from);
    fifth_bits(from + 2, from + 6, values);
    for (unsigned i = 0; i < 32; i++)
        to[i] = scale * (float)(values[i] - 16);
}

BODY void Q5_1_block(const unsigned char *from, float *to)
{
    int values[32];
    float scale = half_at(from), least = least_at(from + 2, scale);
    fifth_bits(from + 4, from + 8, values);
    for (unsigned i = 0; i < 32; i++)
        to[i] = scale * (float)values[i] + least;
}

BODY void Q8_0_block(const unsigned char *from, float *to)
{
    float scale = half_at(from);
    for (unsigned i = 0; i < 32; i++)
        to[i] = scale * (float)(signed char)from[2 + i];
}

/* -- 256 elements, with scales for groups of 16 or 32 -- */

BODY void Q2_K_block(const unsigned char *from, float *to)
{
    const unsigned char *scales = from, *quants = from + 16;
    float scale = half_at(from + 80), least = half_at(from + 82);
    for (unsigned group = 0; group < 16; group++) { /* two halves of 128; in each, four shifts; in each, two groups */
        const unsigned char *at = quants + group / 8 * 32 + group % 2 * 16;
        unsigned shift = group % 8 / 2 * 2;
        float factor = scale * (float)(scales[group] & 15), offset = least * (float)(scales[group] >> 4);
        for (unsigned i = 0; i < 16; i++)
            to[group * 16 + i] = factor * (float)(at[i] >> shift & 3) - offset;
    }
}

/* Sixteen scales of 6 bits: of the first eight bytes the halves, of the last four a quarter each. */
BODY int six_bit_scale(const unsigned char *scales, unsigned group)
{
    int low = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
    return low | (scales[8 + group % 4] >> group / 4 * 2 & 3) << 4;
}

BODY void Q3_K_block(const unsigned char *from, float *to)
{
    const unsigned char *high = from, *quants = from + 32, *scales = from + 96;
    float scale = half_at(from + 108);
    for (unsigned group = 0; group < 16; group++) {
        const unsigned char *at = quants + group / 8 * 32 + group % 2 * 16, *third = high + group % 2 * 16;
        unsigned shift = group % 8 / 2 * 2, bit = group / 2;
        float factor = scale * (float)(six_bit_scale(scales, group) - 32);
        for (unsigned i = 0; i < 16; i++)
            to[group * 16 + i] = factor * (float)((at[i] >> shift & 3) - (third[i] >> bit & 1 ? 0 : 4));
    }
}

/* Eight pairs of a scale and a least value of 6 bits each, in twelve bytes. */
BODY void six_bit_pair(const unsigned char *scales, unsigned group, int *scale, int *least)
{
    if (group < 4) {
        *scale = scales[group] & 63;
        *least = scales[group + 4] & 63;
        return;
    }
    *scale = (scales[group + 4] & 15) | scales[group - 4] >> 6 << 4;
    *least = scales[group + 4] >> 4 | scales[group] >> 6 << 4;
}

/* Q4_K and Q5_K: eight groups of 32; the lower, then the upper halves of 32 bytes. */
BODY void nibbles_block(const unsigned char *from, const unsigned char *fifth, const unsigned char *quants, float *to)
{
    float scale = half_at(from), least = half_at(from + 2);
    for (unsigned group = 0; group < 8; group++) {
        int of_scale, of_least;
        six_bit_pair(from + 4, group, &of_scale, &of_least);
        float factor = scale * (float)of_scale, offset = least * (float)of_least;
        const unsigned char *at = quants + group / 2 * 32;
        unsigned shift = group % 2 * 4;
        for (unsigned i = 0; i < 32; i++) {
            int value = at[i] >> shift & 15;
            if (fifth)
                value |= (fifth[i] >> group & 1) << 4;
            to[group * 32 + i] = factor * (float)value - offset;
        }
    }
}

BODY void Q4_K_block(const unsigned char *from, float *to)
{
    nibbles_block(from, NULL, from + 16, to);
}

BODY void Q5_K_block(const unsigned char *from, float *to)
{
    nibbles_block(from, from + 16, from + 48, to);
}

BODY void Q6_K_block(const unsigned char *from, float *to)
{
    const unsigned char *low = from, *high = from + 128, *scales = from + 192;
    float scale = half_at(from + 208);
    for (unsigned group = 0; group < 16; group++) {
        unsigned half = group / 8, quarter = group % 8 / 2, side = group % 2 * 16;
        const unsigned char *at = low + half * 64 + quarter % 2 * 32 + side, *upper = high + half * 32 + side;
        unsigned low_shift = quarter / 2 * 4, high_shift = quarter * 2;
        float factor = scale * (float)(signed char)scales[group];
        for (unsigned i = 0; i < 16; i++)
            to[group * 16 + i] =
                factor * (float)(((at[i] >> low_shift & 15) | (upper[i] >> high_shift & 3) << 4) - 32);
    }
}

DT2_GGML_TYPES(DECODER)
