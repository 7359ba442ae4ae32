/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/network.h"
#include <inttypes.h>
#include <stdio.h>

#define OFFSET 0xCBF29CE484222325u /* FNV-1a */
#define PRIME 0x100000001B3u

void dt2_network_name(const struct dt2_block *blocks, size_t count, char *name)
{
    uint64_t sum = OFFSET;
    for (size_t i = 0; i < count; i++) {
        for (const char *c = blocks[i].name; *c; c++)
            sum = (sum ^ (unsigned char)*c) * PRIME;
        for (unsigned shift = 0; shift < 64; shift += 8)
            sum = (sum ^ (blocks[i].bytes >> shift & 0xFF)) * PRIME;
    }
    snprintf(name, DT2_NETWORK_NAME, "%016" PRIx64, sum);
}
