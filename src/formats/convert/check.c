/* SPDX-License-Identifier: BSD-3-Clause */
/* The same conversions from the definitions, an element at a time: slow, and another way to the same bits. */
#include "formats/convert/convert.h"
#include "formats/convert/ggml.h"
#include "formats/convert/halves.h"
#include <fenv.h>
#include <math.h>

/* -- floating-point numbers: sign, exponent, mantissa -- */

/* The number that `bits` stands for. */
static double number_of(uint64_t bits, unsigned exponent_bits, unsigned mantissa_bits)
{
    uint64_t mantissa = bits & (((uint64_t)1 << mantissa_bits) - 1);
    int exponent = (int)(bits >> mantissa_bits & (((uint64_t)1 << exponent_bits) - 1));
    int bias = (1 << (exponent_bits - 1)) - 1;
    double magnitude;
    if (exponent == 2 * bias + 1)
        magnitude = mantissa ? NAN : INFINITY;
    else if (exponent == 0)
        magnitude = ldexp((double)mantissa, 1 - bias - (int)mantissa_bits);
    else
        magnitude = ldexp((double)(mantissa | (uint64_t)1 << mantissa_bits), exponent - bias - (int)mantissa_bits);
    return bits >> (exponent_bits + mantissa_bits) & 1 ? -magnitude : magnitude;
}

/* The nearest number's bits; the even one of two. */
static uint64_t bits_of(double number, unsigned exponent_bits, unsigned mantissa_bits)
{
    int bias = (1 << (exponent_bits - 1)) - 1, exponent;
    uint64_t sign = signbit(number) ? (uint64_t)1 << (exponent_bits + mantissa_bits) : 0;
    uint64_t infinite = (((uint64_t)1 << exponent_bits) - 1) << mantissa_bits;
    if (isinf(number))
        return sign | infinite;
    frexp(number, &exponent); /* in [2^(exponent-1), 2^exponent) */
    if (exponent - 1 < 1 - bias || number == 0)
        exponent = 2 - bias;
    double steps = ldexp(fabs(number), (int)mantissa_bits - (exponent - 1)); /* of the distance between neighbours there */
    double below = floor(steps), over = steps - below;
    uint64_t whole = (uint64_t)below;
    whole += over > 0.5 || (over == 0.5 && whole & 1);
    uint64_t bits = whole + ((uint64_t)(exponent - 2 + bias) << mantissa_bits); /* what is carried goes to the exponent */
    return sign | (bits < infinite ? bits : infinite);
}

/* A NaN's bits, where floats carry them: the dtypes differ in what they keep. */
static uint32_t nan_as_float(uint64_t bits, unsigned exponent_bits, unsigned mantissa_bits)
{
    uint64_t sign = bits >> (exponent_bits + mantissa_bits) & 1, carried = bits & (((uint64_t)1 << mantissa_bits) - 1);
    uint32_t kept = (uint32_t)(mantissa_bits > 23 ? carried >> (mantissa_bits - 23) : carried << (23 - mantissa_bits));
    bool as_it_is = exponent_bits == 8; /* floats and bfloats only change their length */
    return (uint32_t)(sign << 31) | 0x7F800000 | (as_it_is ? 0 : 0x400000) | kept;
}

static uint32_t encoded_nan(const struct dt2_conversion *conversion, uint32_t nan)
{
    switch (conversion->encoder->mantissa_bits) {
    case 10:
        return (nan >> 16 & 0x8000) | 0x7E00 | (nan >> 13 & 0x1FF);
    case 7:
        return conversion->decoder->mantissa_bits >= 23 ? 0xFFFF : 0x7FC0;
    default:
        return nan;
    }
}

/* One element of a block, as the float's bits. */
static uint32_t decoded(const struct dt2_decoder *decoder, const unsigned char *block, unsigned index)
{
    if (decoder->element)
        return dt2_bits_of(decoder->element(block, index));
    uint64_t bits = 0;
    for (unsigned i = 0; i < decoder->bytes; i++)
        bits |= (uint64_t)block[i] << 8 * i;
    double number = number_of(bits, decoder->exponent_bits, decoder->mantissa_bits);
    return isnan(number) ? nan_as_float(bits, decoder->exponent_bits, decoder->mantissa_bits)
                         : (uint32_t)bits_of(number, 8, 23);
}

void dt2_convert_check(const struct dt2_conversion *conversion, const void *from, void *to, size_t blocks)
{
    const struct dt2_decoder *decoder = conversion->decoder;
    const struct dt2_encoder *encoder = conversion->encoder;
    const unsigned char *block = from;
    unsigned char *out = to;
    fenv_t own;
    fegetenv(&own);
    fesetenv(FE_DFL_ENV);
    for (size_t i = 0; i < blocks; i++, block += decoder->bytes)
        for (unsigned j = 0; j < decoder->elements; j++, out += encoder->bytes) {
            uint32_t bits = decoded(decoder, block, j);
            double number = number_of(bits, 8, 23);
            uint64_t coded = isnan(number) ? encoded_nan(conversion, bits)
                                           : bits_of(number, encoder->exponent_bits, encoder->mantissa_bits);
            for (unsigned k = 0; k < encoder->bytes; k++)
                out[k] = (unsigned char)(coded >> 8 * k);
        }
    fesetenv(&own);
}

/* -- quantised blocks: where each part of an element is -- */

static float half(const unsigned char *at)
{
    uint64_t bits = (uint64_t)at[0] | (uint64_t)at[1] << 8;
    double number = number_of(bits, 5, 10);
    return isnan(number) ? dt2_float_of(nan_as_float(bits, 5, 10)) : (float)number;
}

/* `count` bits of memory from bit `first` on; they do not cross a byte. */
static int field(const unsigned char *at, unsigned first, unsigned count)
{
    return at[first / 8] >> first % 8 & ((1 << count) - 1);
}

float dt2_ggml_element_Q4_0(const unsigned char *block, unsigned index)
{
    return half(block) * (float)(field(block + 2, index % 16 * 8 + index / 16 * 4, 4) - 8);
}

float dt2_ggml_element_Q4_1(const unsigned char *block, unsigned index)
{
    float product = half(block) * (float)field(block + 4, index % 16 * 8 + index / 16 * 4, 4);
    return isnan(product) ? product : product + half(block + 2);
}

float dt2_ggml_element_Q5_0(const unsigned char *block, unsigned index)
{
    int value = field(block + 6, index % 16 * 8 + index / 16 * 4, 4) + 16 * field(block + 2, index, 1);
    return half(block) * (float)(value - 16);
}

float dt2_ggml_element_Q5_1(const unsigned char *block, unsigned index)
{
    int value = field(block + 8, index % 16 * 8 + index / 16 * 4, 4) + 16 * field(block + 4, index, 1);
    float product = half(block) * (float)value;
    return isnan(product) ? product : product + half(block + 2);
}

float dt2_ggml_element_Q8_0(const unsigned char *block, unsigned index)
{
    int value = field(block + 2, index * 8, 8);
    return half(block) * (float)(value < 128 ? value : value - 256);
}

float dt2_ggml_element_Q2_K(const unsigned char *block, unsigned index)
{
    unsigned byte = index / 128 * 32 + index % 32;
    float factor = half(block + 80) * (float)field(block, index / 16 * 8, 4);
    float offset = half(block + 82) * (float)field(block, index / 16 * 8 + 4, 4);
    float product = factor * (float)field(block + 16, byte * 8 + index % 128 / 32 * 2, 2);
    return product - offset;
}

float dt2_ggml_element_Q3_K(const unsigned char *block, unsigned index)
{
    unsigned byte = index / 128 * 32 + index % 32, group = index / 16;
    int scale = field(block + 96, group % 8 * 8 + group / 8 * 4, 4) +
                16 * field(block + 104, group % 4 * 8 + group / 4 * 2, 2);
    int value = field(block + 32, byte * 8 + index % 128 / 32 * 2, 2) + 4 * field(block, index % 32 * 8 + index / 32, 1);
    float factor = half(block + 108) * (float)(scale - 32);
    return factor * (float)(value - 4);
}

/* Scale and least value of a group of 32, in Q4_K and Q5_K: 4 bits and 2, far from one another in the later groups. */
static float of_group(const unsigned char *block, unsigned group, unsigned least)
{
    const unsigned char *scales = block + 4;
    int value = group < 4 ? field(scales, (group + 4 * least) * 8, 6)
                          : field(scales, (group + 4) * 8 + 4 * least, 4) +
                                16 * field(scales, (group - 4 + 4 * least) * 8 + 6, 2);
    return half(block + 2 * least) * (float)value;
}

float dt2_ggml_element_Q4_K(const unsigned char *block, unsigned index)
{
    int value = field(block + 16, (index / 64 * 32 + index % 32) * 8 + index % 64 / 32 * 4, 4);
    float product = of_group(block, index / 32, 0) * (float)value;
    return product - of_group(block, index / 32, 1);
}

float dt2_ggml_element_Q5_K(const unsigned char *block, unsigned index)
{
    int value = field(block + 48, (index / 64 * 32 + index % 32) * 8 + index % 64 / 32 * 4, 4) +
                16 * field(block + 16, index % 32 * 8 + index / 32, 1);
    float product = of_group(block, index / 32, 0) * (float)value;
    return product - of_group(block, index / 32, 1);
}

float dt2_ggml_element_Q6_K(const unsigned char *block, unsigned index)
{
    unsigned half_block = index / 128, quarter = index % 128 / 32, column = index % 32;
    int low = field(block, (half_block * 64 + quarter % 2 * 32 + column) * 8 + quarter / 2 * 4, 4);
    int high = field(block + 128, (half_block * 32 + column) * 8 + quarter * 2, 2);
    int scale = field(block + 192, index / 16 * 8, 8);
    float factor = half(block + 208) * (float)(scale < 128 ? scale : scale - 256);
    return factor * (float)(low + 16 * high - 32);
}
