/* SPDX-License-Identifier: BSD-3-Clause */
/* Two files of one table: how many tensors have other bytes in the second. */
#ifndef DT2_TESTS_COMPARED_H
#define DT2_TESTS_COMPARED_H

#include <distorch2/file.h>
#include <stdlib.h>
#include <string.h>

static inline size_t compared_differences(const struct dt2_file *a, const struct dt2_file *b)
{
    size_t count = 0;
    for (size_t i = 0; i < dt2_file_tensor_count(a); i++) {
        uint64_t bytes = dt2_file_tensor(a, i)->bytes;
        char *x = calloc(2, bytes + 1), *y = x + bytes + 1;
        count += !x || dt2_file_read(a, i, x, bytes, NULL) || dt2_file_read(b, i, y, bytes, NULL) || memcmp(x, y, bytes) != 0;
        free(x);
    }
    return count;
}

#endif
