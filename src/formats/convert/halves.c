/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each loop is written once. Where the processor may have wider vectors than the compiler was told of, it is compiled a second
 * time for those, and chosen at run time.
 */
#include "formats/convert/halves.h"
#include "formats/convert/convert.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>
#define FAST __attribute__((target("avx2,f16c")))

/* Asked once: the instruction that asks costs microseconds in a virtual machine. */
bool dt2_convert_fast(void)
{
    enum { UNKNOWN, NO, YES };
    static _Atomic int known;
    int fast = atomic_load_explicit(&known, memory_order_relaxed);
    if (fast == UNKNOWN) {
        unsigned eax, ebx, ecx = 0, edx;
        bool has = __builtin_cpu_supports("avx2") && __get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & bit_F16C;
        fast = has ? YES : NO;
        atomic_store_explicit(&known, fast, memory_order_relaxed);
    }
    return fast == YES;
}
#else
#define FAST

bool dt2_convert_fast(void)
{
    return false;
}
#endif
#define EVERYWHERE static inline __attribute__((always_inline))

/* -- halves ------------------------------------------------------------------------------------------------------- */

/* To nearest even. A NaN keeps its sign and the upper bits of what it carries, and becomes a quiet one. */
EVERYWHERE uint16_t encode_half(float value)
{
    uint32_t bits = dt2_bits_of(value), rest = bits & 0x7FFFFFFF;
    uint32_t normal = (rest - 0x38000000 + 0xFFF + (rest >> 13 & 1)) >> 13;
    /* Beside a half, a float's last bit is worth what a half's smallest step is: the addition rounds. */
    uint32_t tiny = dt2_bits_of(dt2_float_of(rest) + 0.5f) - 0x3F000000;
    uint32_t huge = rest > 0x7F800000 ? 0x7E00 | (rest >> 13 & 0x1FF) : 0x7C00;
    uint32_t half = rest < 0x38800000 ? tiny : rest < 0x477FF000 ? normal : huge;
    return (uint16_t)((bits >> 16 & 0x8000) | half);
}

EVERYWHERE void store_u16(void *to, size_t index, uint16_t value)
{
    memcpy((char *)to + 2 * index, &value, 2);
}

#if defined(__x86_64__)
FAST static size_t halves_encode_fast(const float *from, void *to, size_t count)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm_storeu_si128((__m128i_u *)((char *)to + 2 * i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
    return i;
}

FAST static size_t halves_decode_fast(const unsigned char *from, float *to, size_t count)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i_u *)(from + 2 * i))));
    return i;
}
#else
static size_t halves_encode_fast(const float *from, void *to, size_t count)
{
    (void)from, (void)to, (void)count;
    return 0;
}

static size_t halves_decode_fast(const unsigned char *from, float *to, size_t count)
{
    (void)from, (void)to, (void)count;
    return 0;
}
#endif

void dt2_halves_encode(const float *from, void *to, size_t count)
{
    for (size_t i = dt2_convert_fast() ? halves_encode_fast(from, to, count) : 0; i < count; i++)
        store_u16(to, i, encode_half(from[i]));
}

void dt2_halves_decode(const unsigned char *from, float *to, size_t count)
{
    for (size_t i = dt2_convert_fast() ? halves_decode_fast(from, to, count) : 0; i < count; i++)
        to[i] = dt2_half_decode(dt2_u16_at(from + 2 * i));
}

/* -- bfloats ------------------------------------------------------------------------------------------------------ */

EVERYWHERE void encode_bfloats(const float *restrict from, void *restrict to, size_t count, uint16_t nan)
{
    const unsigned char *bytes = (const unsigned char *)from;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, bytes + 4 * i, sizeof bits);
        uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
        store_u16(to, i, (uint16_t)((bits & 0x7FFFFFFF) > 0x7F800000 ? nan : rounded));
    }
}

FAST static void bfloats_encode_fast(const float *from, void *to, size_t count, uint16_t nan)
{
    encode_bfloats(from, to, count, nan);
}

static void bfloats_encode(const float *from, void *to, size_t count, uint16_t nan)
{
    if (dt2_convert_fast())
        bfloats_encode_fast(from, to, count, nan);
    else
        encode_bfloats(from, to, count, nan);
}

void dt2_bfloats_encode(const float *from, void *to, size_t count)
{
    bfloats_encode(from, to, count, 0xFFFF);
}

void dt2_bfloats_encode_indirect(const float *from, void *to, size_t count)
{
    bfloats_encode(from, to, count, 0x7FC0);
}

EVERYWHERE void decode_bfloats(const unsigned char *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = dt2_float_of((uint32_t)dt2_u16_at(from + 2 * i) << 16);
}

FAST static void bfloats_decode_fast(const unsigned char *from, float *to, size_t count)
{
    decode_bfloats(from, to, count);
}

void dt2_bfloats_decode(const unsigned char *from, float *to, size_t count)
{
    if (dt2_convert_fast())
        bfloats_decode_fast(from, to, count);
    else
        decode_bfloats(from, to, count);
}

/* -- doubles ------------------------------------------------------------------------------------------------------ */

void dt2_doubles_decode(const unsigned char *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, from + 8 * i, sizeof value);
        to[i] = (float)value;
    }
}
