/* SPDX-License-Identifier: BSD-3-Clause */
/* A model's blocks. */
#include "base/alloc.h"
#include "base/error.h"
#include "model/model.h"

int dt2_model_keep_blocks(struct dt2_model *model, const struct dt2_blocks *blocks, struct dt2_error *err)
{
    int rc = dt2_kept_blocks_copy(dt2_blocks_array(blocks), dt2_blocks_count(blocks), &model->blocks, err);
    if (rc < 0)
        return rc;
    model->owners = dt2_alloc(model->table.count, sizeof *model->owners);
    if (!model->owners)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < model->table.count; i++)
        model->owners[i] = SIZE_MAX;
    for (size_t i = 0; i < model->blocks.count; i++)
        for (size_t j = 0; j < model->blocks.blocks[i].tensor_count; j++)
            model->owners[model->blocks.blocks[i].tensors[j]] = i;
    return 0;
}

size_t dt2_model_block_count(const struct dt2_model *model)
{
    return model->blocks.count;
}

const struct dt2_block *dt2_model_block(const struct dt2_model *model, size_t index)
{
    return index < model->blocks.count ? &model->blocks.blocks[index] : NULL;
}

size_t dt2_model_tensor_block(const struct dt2_model *model, size_t index)
{
    return index < model->table.count ? model->owners[index] : SIZE_MAX;
}
