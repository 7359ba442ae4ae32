/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks kept without the file or the list that they came from: what plans and models remember of them. */
#ifndef DT2_PLAN_KEPT_H
#define DT2_PLAN_KEPT_H

#include <distorch2/plan.h>

struct dt2_kept_blocks {
    struct dt2_block *blocks;
    size_t count;
    size_t *tensors; /* these three: the lists of all blocks, one after another */
    uint64_t *tensor_bytes;
    const char **tensor_names;
    char *text; /* names */
};

/* What a block does not tell stays untold: NULL. Errors: DT2_ENOMEM. */
int dt2_kept_blocks_copy(const struct dt2_block *from, size_t count, struct dt2_kept_blocks *kept,
                         struct dt2_error *err);
void dt2_kept_blocks_clear(struct dt2_kept_blocks *kept);

/* Whether two blocks are the same in all that both tell. */
bool dt2_block_equal(const struct dt2_block *a, const struct dt2_block *b);

#endif
