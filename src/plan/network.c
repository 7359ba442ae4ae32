/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/network.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

void dt2_network_name(const struct dt2_block *blocks, size_t count, char *name)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum = XXH3_64bits_withSeed(blocks[i].name, strlen(blocks[i].name), sum);
        sum = XXH3_64bits_withSeed(&blocks[i].bytes, sizeof blocks[i].bytes, sum);
    }
    snprintf(name, DT2_NETWORK_NAME, "%016" PRIx64, sum);
}
