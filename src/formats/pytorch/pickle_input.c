/* SPDX-License-Identifier: BSD-3-Clause */
#include "formats/pytorch/pickle_input.h"
#include "base/checked.h"
#include <string.h>

uint64_t dt2_pickle_left(const struct dt2_pickle_input *input)
{
    return input->end - input->at;
}

static int fill(struct dt2_pickle_input *input, struct dt2_error *err)
{
    size_t size = dt2_min(sizeof input->buffer, dt2_pickle_left(input));
    int rc = dt2_source_pread(input->source, input->buffer, size, input->at, err);
    if (rc == 0) {
        input->used = 0;
        input->filled = size;
    }
    return rc;
}

int dt2_pickle_take(struct dt2_pickle_input *input, void *to, size_t size, struct dt2_error *err)
{
    for (size_t part; size > 0; size -= part) {
        if (input->used == input->filled) {
            int rc = fill(input, err);
            if (rc < 0)
                return rc;
        }
        part = dt2_min(size, input->filled - input->used);
        memcpy(to, input->buffer + input->used, part);
        to = (char *)to + part;
        input->used += part;
        input->at += part;
    }
    return 0;
}

void dt2_pickle_pass(struct dt2_pickle_input *input, uint64_t size)
{
    size_t here = dt2_min(size, input->filled - input->used);
    input->used += here;
    if (here < size)
        input->used = input->filled = 0;
    input->at += size;
}
