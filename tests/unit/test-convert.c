/* SPDX-License-Identifier: BSD-3-Clause */
/* Conversions: the fast way, the plain one and the one from the definitions agree; known values; nothing outside is touched. */
#include "base/checked.h"
#include "formats/convert/convert.h"
#include "support/tap.h"
#include <fenv.h>
#include <stdlib.h>
#include <string.h>

static const char *const sources[] = { "F32",  "F16",  "BF16", "F64",  "Q4_0", "Q4_1", "Q5_0",
                                       "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K" };
static const char *const targets[] = { "F16", "BF16", "F32" };

/* Both ways, at any alignment, with guards on either side. */
static bool agree(const struct dt2_conversion *conversion, const unsigned char *from, size_t blocks)
{
    size_t bytes = blocks * conversion->block_elements * conversion->element_bytes, skew = random_below(8);
    unsigned char *fast = malloc(bytes + 32), *slow = malloc(bytes + 32);
    memset(fast, 0xA5, bytes + 32);
    memset(slow, 0xA5, bytes + 32);
    dt2_convert(conversion, from, fast + 8 + skew, blocks);
    dt2_convert_check(conversion, from, slow + 8 + skew, blocks);
    bool same = memcmp(fast, slow, bytes + 32) == 0;
    for (size_t i = 0; !same && i < bytes + 32; i++)
        if (fast[i] != slow[i]) {
            diag("byte %zu of %zu: %02x, by the definition %02x", i - 8 - skew, bytes, fast[i], slow[i]);
            break;
        }
    free(fast);
    free(slow);
    return same;
}

static void test_random(void)
{
    for (size_t i = 0; i < DT2_COUNT(sources); i++)
        for (size_t j = 0; j < DT2_COUNT(targets); j++) {
            struct dt2_conversion conversion;
            if (!dt2_conversion_find(sources[i], targets[j], &conversion)) {
                ok(false, "%s to %s", sources[i], targets[j]);
                continue;
            }
            bool good = true;
            for (int round = 0; good && round < 40; round++) {
                size_t blocks = 1 + random_below(round % 4 ? 70 : 3000), bytes = blocks * conversion.block_bytes;
                unsigned char *from = malloc(bytes + 1) ;
                size_t skew = random_below(2);
                for (size_t k = 0; k < bytes; k++)
                    from[skew + k] = (unsigned char)random_below(256);
                good = agree(&conversion, from + skew, blocks);
                free(from);
            }
            ok(good, "%s to %s agrees with its definition", sources[i], targets[j]);
        }
}

static void test_all_halves(void)
{
    static uint16_t halves[65536];
    for (unsigned i = 0; i < 65536; i++)
        halves[i] = (uint16_t)i;
    for (size_t i = 1; i < 3; i++)
        for (size_t j = 0; j < DT2_COUNT(targets); j++) {
            struct dt2_conversion conversion;
            dt2_conversion_find(sources[i], targets[j], &conversion);
            ok(agree(&conversion, (const unsigned char *)halves, 65536), "all 2^16 of %s to %s", sources[i], targets[j]);
        }
}

struct known {
    uint32_t from;
    uint16_t half, bfloat;
};

/* Bits of floats, and what PyTorch makes of them. */
static const struct known known[] = {
    { 0x00000000, 0x0000, 0x0000 }, { 0x80000000, 0x8000, 0x8000 }, { 0x3F800000, 0x3C00, 0x3F80 },
    { 0x477FEFFF, 0x7BFF, 0x4780 }, /* the largest that stays finite as a half */
    { 0x477FF000, 0x7C00, 0x4780 }, { 0xC77FF000, 0xFC00, 0xC780 }, { 0x33000000, 0x0000, 0x3300 },
    { 0x33000001, 0x0001, 0x3300 }, { 0x38801000, 0x0400, 0x3880 }, { 0x38803000, 0x0402, 0x3880 },
    { 0x387FE000, 0x0400, 0x3880 }, { 0x7F7FFFFF, 0x7C00, 0x7F80 }, { 0x7F800000, 0x7C00, 0x7F80 },
    { 0xFF800000, 0xFC00, 0xFF80 }, { 0x00000001, 0x0000, 0x0000 }, { 0x007FFFFF, 0x0000, 0x0080 },
    { 0x3F808000, 0x3C04, 0x3F80 }, { 0x3F818000, 0x3C0C, 0x3F82 }, { 0x7F800001, 0x7E00, 0xFFFF },
    { 0x7FFFFFFF, 0x7FFF, 0xFFFF }, { 0xFF800001, 0xFE00, 0xFFFF }, { 0x7FA12345, 0x7F09, 0xFFFF },
};

static void test_known(void)
{
    struct dt2_conversion to_half, to_bfloat;
    dt2_conversion_find("F32", "F16", &to_half);
    dt2_conversion_find("F32", "BF16", &to_bfloat);
    size_t right = 0;
    for (size_t i = 0; i < DT2_COUNT(known); i++) {
        uint16_t half, bfloat;
        dt2_convert(&to_half, &known[i].from, &half, 1);
        dt2_convert(&to_bfloat, &known[i].from, &bfloat, 1);
        if (half == known[i].half && bfloat == known[i].bfloat)
            right++;
        else
            diag("%08x: %04x %04x, wanted %04x %04x", known[i].from, half, bfloat, known[i].half, known[i].bfloat);
    }
    is_int((long long)right, (long long)DT2_COUNT(known), "floats with known results");
}

/* A thread's own rounding, and what it wants to hear of, are not ours to use or to change. */
static void test_environment(void)
{
    uint32_t from[] = { 0x3F801001, 0x7F800001, 0x00000001 };
    uint16_t to[3];
    struct dt2_conversion conversion;
    dt2_conversion_find("F32", "F16", &conversion);
    feclearexcept(FE_ALL_EXCEPT);
    fesetround(FE_DOWNWARD);
    dt2_convert(&conversion, from, to, 3);
    int rounding = fegetround(), raised = fetestexcept(FE_ALL_EXCEPT);
    fesetround(FE_TONEAREST);
    is_int(to[0], 0x3C01, "rounded to nearest where the thread rounds down");
    is_int(rounding, FE_DOWNWARD, "the thread rounds down as before");
    is_int(raised, 0, "no floating-point exception is left");
}

static void test_names(void)
{
    struct dt2_conversion conversion;
    is_str(dt2_conversion_target("bf16"), "BF16", "a target in small letters");
    is_str(dt2_conversion_target("F32"), "F32", "a target in capitals");
    ok(!dt2_conversion_target("f64") && !dt2_conversion_target("") && !dt2_conversion_target("keep"), "no other targets");
    ok(!dt2_conversion_find("F8_E4M3", "F16", &conversion) && !dt2_conversion_find("I32", "F16", &conversion) &&
           !dt2_conversion_find("IQ2_XS", "F16", &conversion),
       "8 bits, integers and what is unknown have no way");
}

int main(void)
{
    seed_random(20261129);
    test_names();
    test_known();
    test_all_halves();
    test_random();
    test_environment();
    return done_testing();
}
