/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Elements of one dtype as those of another: floating-point numbers, and ggml's quantised blocks, become halves, bfloats or
 * floats. What comes out is, bit for bit, what PyTorch's Tensor.to() (on a processor with AVX2) and the gguf package's
 * dequantize() make: round to nearest even; what is too large becomes infinite; a NaN stays one. Pure.
 */
#ifndef DT2_FORMATS_CONVERT_H
#define DT2_FORMATS_CONVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dt2_decoder;
struct dt2_encoder;

/* How a dtype becomes another: `block_elements` neighbours, which take `block_bytes` bytes, become as many of `element_bytes`. */
struct dt2_conversion {
    const struct dt2_decoder *decoder;
    const struct dt2_encoder *encoder;
    uint16_t block_elements;
    uint16_t block_bytes;
    uint8_t element_bytes;
};

/* "F16", "BF16" or "F32", spelt in any case; NULL for any other. */
const char *dt2_conversion_target(const char *dtype);
/* Finds the way from one dtype to another, spelt as in a table of tensors. False: there is none. */
bool dt2_conversion_find(const char *from, const char *to, struct dt2_conversion *conversion);

/* Converts `blocks` blocks. `from` and `to` need no alignment, and do not overlap. */
void dt2_convert(const struct dt2_conversion *conversion, const void *from, void *to, size_t blocks);
/* The same by another way, one element after the other and by the definition of each dtype: what checks the first. */
void dt2_convert_check(const struct dt2_conversion *conversion, const void *from, void *to, size_t blocks);

/* -- between the sources of this room -- */

/* Whether this processor has instructions that are used where they are there: AVX2 and F16C. */
bool dt2_convert_fast(void);

struct dt2_decoder {
    const char *dtype;
    uint16_t elements, bytes; /* of a block */
    void (*decode)(const unsigned char *from, float *to, size_t blocks);
    float (*element)(const unsigned char *block, unsigned index); /* NULL: it is a number of so many bits: */
    uint8_t exponent_bits, mantissa_bits; /* of a floating-point number */
};

struct dt2_encoder {
    const char *dtype;
    uint8_t bytes;
    void (*encode)(const float *from, void *to, size_t count); /* NULL: floats are what is wanted */
    uint8_t exponent_bits, mantissa_bits;
};

#endif
