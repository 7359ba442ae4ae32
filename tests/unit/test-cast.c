/* SPDX-License-Identifier: BSD-3-Clause */
/* Casts in memory: by one thread and by several, small and past the caches, at any alignment, as the definitions have it. */
#include "base/checked.h"
#include "formats/convert/convert.h"
#include "support/tap.h"
#include <distorch2/cast.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GUARD 64

static const struct {
    const char *from, *to;
    size_t from_bytes, to_bytes;
} ways[] = { { "F16", "F32", 2, 4 }, { "BF16", "F32", 2, 4 }, { "F32", "F32", 4, 4 },  { "F64", "F32", 8, 4 },
             { "F32", "F16", 4, 2 }, { "F32", "BF16", 4, 2 }, { "F16", "BF16", 2, 2 }, { "F64", "F16", 8, 2 } };

/* One cast beside the definition; nothing beside it is touched. */
static bool agrees(size_t way, size_t count, unsigned threads, size_t from_skew, size_t to_skew)
{
    size_t in = count * ways[way].from_bytes, out = count * ways[way].to_bytes;
    unsigned char *from = malloc(in + GUARD), *cast = malloc(out + 2 * GUARD), *expected = malloc(out + 2 * GUARD);
    struct dt2_conversion how;
    struct dt2_error err;
    for (size_t i = 0; i < in; i += 8) {
        uint64_t bits = random_u64();
        memcpy(from + from_skew + i, &bits, in - i < 8 ? in - i : 8);
    }
    memset(cast, 0x5A, out + 2 * GUARD);
    memset(expected, 0x5A, out + 2 * GUARD);
    bool good = dt2_cast(ways[way].from, from + from_skew, ways[way].to, cast + GUARD + to_skew, count, threads, &err) == 0 &&
                dt2_conversion_find(ways[way].from, ways[way].to, &how);
    if (good)
        dt2_convert_check(&how, from + from_skew, expected + GUARD + to_skew, count);
    good = good && memcmp(cast, expected, out + 2 * GUARD) == 0;
    if (!good)
        diag("%zu elements, %u threads, at %zu and %zu", count, threads, from_skew, to_skew);
    free(from);
    free(cast);
    free(expected);
    return good;
}

static void test_ways(void)
{
    for (size_t way = 0; way < DT2_COUNT(ways); way++) {
        bool good = true;
        for (unsigned round = 0; good && round < random_rounds(30); round++)
            good = agrees(way, random_below(5000), random_below(4), random_below(8), random_below(36));
        for (unsigned round = 0; good && round < random_rounds(4); round++)
            good = agrees(way, 1000000 + random_below(4000000), 1 + (unsigned)random_below(5), random_below(8),
                          round % 2 ? 4 * random_below(9) : random_below(36));
        ok(good, "%s to %s, few and many", ways[way].from, ways[way].to);
    }
}

static void test_refusals(void)
{
    static const struct {
        const char *from, *to;
        uint64_t count;
        const char *says;
    } refused[] = {
        { "I32", "F32", 1, "I32 is not cast to F32" },
        { "F16", "F8_E4M3", 1, "F16 is not cast to F8_E4M3" },
        { "Q8_0", "F32", 32, "Q8_0 is not cast to F32" },
        { "F16", "F32", UINT64_MAX / 2, "9223372036854775807 elements" },
    };
    for (size_t i = 0; i < DT2_COUNT(refused); i++) {
        struct dt2_error err;
        unsigned char from[16] = { 0 }, to[16] = { 0 };
        errno = EBADF;
        int rc = dt2_cast(refused[i].from, from, refused[i].to, to, refused[i].count, 2, &err);
        ok(rc == DT2_EUSAGE && strstr(err.text, refused[i].says) && errno == EBADF, "refused: %s", refused[i].says);
    }
}

int main(void)
{
    seed_random(20261130);
    test_ways();
    test_refusals();
    return done_testing();
}
