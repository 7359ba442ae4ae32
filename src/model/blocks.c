/* SPDX-License-Identifier: BSD-3-Clause */
/* A model's blocks, kept without the file. */
#include "base/alloc.h"
#include "base/error.h"
#include "model/model.h"
#include <string.h>

int dt2_kept_blocks_copy(const struct dt2_blocks *blocks, size_t tensor_count, struct dt2_kept_blocks *kept,
                         struct dt2_error *err)
{
    const struct dt2_block *from = dt2_blocks_array(blocks);
    size_t count = dt2_blocks_count(blocks), tensors = 0, characters = 0;
    for (size_t i = 0; i < count; i++) {
        tensors += from[i].tensor_count;
        characters += strlen(from[i].name) + 1;
    }
    *kept = (struct dt2_kept_blocks){ .blocks = dt2_alloc(count, sizeof *kept->blocks),
                                      .count = count,
                                      .tensors = dt2_alloc(tensors, sizeof *kept->tensors),
                                      .tensor_bytes = dt2_alloc(tensors, sizeof *kept->tensor_bytes),
                                      .text = dt2_alloc(characters, 1),
                                      .owners = dt2_alloc(tensor_count, sizeof *kept->owners) };
    if (!kept->blocks || !kept->tensors || !kept->tensor_bytes || !kept->text || !kept->owners) {
        dt2_kept_blocks_clear(kept);
        return dt2_fail_nomem(err);
    }
    size_t *tensor = kept->tensors;
    uint64_t *bytes = kept->tensor_bytes;
    char *text = kept->text;
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(from[i].name) + 1;
        kept->blocks[i] = from[i];
        kept->blocks[i].name = memcpy(text, from[i].name, size);
        kept->blocks[i].tensors = tensor;
        kept->blocks[i].tensor_bytes = bytes;
        text += size;
        for (size_t j = 0; j < from[i].tensor_count; j++) {
            *tensor = from[i].tensors[j];
            *bytes++ = from[i].tensor_bytes[j];
            kept->owners[*tensor++] = i;
        }
    }
    return 0;
}

void dt2_kept_blocks_clear(struct dt2_kept_blocks *kept)
{
    dt2_release(kept->blocks);
    dt2_release(kept->tensors);
    dt2_release(kept->tensor_bytes);
    dt2_release(kept->text);
    dt2_release(kept->owners);
    *kept = (struct dt2_kept_blocks){ 0 };
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
    return index < model->table.count ? model->blocks.owners[index] : SIZE_MAX;
}
