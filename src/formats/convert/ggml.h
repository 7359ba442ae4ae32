/* SPDX-License-Identifier: BSD-3-Clause */
/* ggml's quantised blocks as floats: many blocks at once, and one element by itself. */
#ifndef DT2_FORMATS_GGML_H
#define DT2_FORMATS_GGML_H

#include <stddef.h>
#include <stdint.h>

/* name, elements of a block, bytes of a block */
#define DT2_GGML_TYPES(TYPE) \
    TYPE(Q4_0, 32, 18)       \
    TYPE(Q4_1, 32, 20)       \
    TYPE(Q5_0, 32, 22)       \
    TYPE(Q5_1, 32, 24)       \
    TYPE(Q8_0, 32, 34)       \
    TYPE(Q2_K, 256, 84)      \
    TYPE(Q3_K, 256, 110)     \
    TYPE(Q4_K, 256, 144)     \
    TYPE(Q5_K, 256, 176)     \
    TYPE(Q6_K, 256, 210)

#define DT2_GGML_DECLARE(type, elements, bytes)                                             \
    void dt2_ggml_decode_##type(const unsigned char *from, float *to, size_t blocks);       \
    float dt2_ggml_element_##type(const unsigned char *block, unsigned index);
DT2_GGML_TYPES(DT2_GGML_DECLARE)

#endif
