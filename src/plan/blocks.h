/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks from the inside. */
#ifndef DT2_PLAN_BLOCKS_H
#define DT2_PLAN_BLOCKS_H

#include "plan/recognise.h"
#include <distorch2/plan.h>

struct dt2_blocks {
    struct dt2_network network;
    struct dt2_block *blocks;
    size_t count;
    char *names; /* these four are what the blocks point into */
    uint64_t *tensor_bytes;
    size_t *tensors;
    const char **tensor_names;
    char *tensor_text; /* what tensor_names point into */
    char *path;        /* of the file, for words */
    char fingerprint[33];
    size_t file_tensor_count;
    size_t left_out_count; /* tensors of the file that are in no block, and their bytes */
    uint64_t left_out_bytes;
};

/* Room for `count` blocks with names of `name_bytes` characters, and `tensors` tensors in all; and whose they are. */
int dt2_blocks_alloc(struct dt2_blocks *blocks, const struct dt2_file *file, size_t count, size_t name_bytes,
                     size_t tensors, struct dt2_error *err);
/* What the file says of the `count` tensors that are listed. */
void dt2_blocks_describe(struct dt2_blocks *blocks, const struct dt2_file *file, size_t count);
/* Whether the blocks are of `file`, or of one with the same table. Errors: DT2_EUSAGE naming both. */
int dt2_blocks_check(const struct dt2_blocks *blocks, const struct dt2_file *file, struct dt2_error *err);

#endif
