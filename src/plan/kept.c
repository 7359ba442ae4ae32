/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/kept.h"
#include "base/alloc.h"
#include "base/error.h"
#include <string.h>

/* What the copies need in all. */
struct sizes {
    size_t tensors;
    size_t characters;
};

static struct sizes measure(const struct dt2_block *from, size_t count)
{
    struct sizes sizes = { 0 };
    for (size_t i = 0; i < count; i++) {
        sizes.tensors += from[i].tensor_count;
        sizes.characters += strlen(from[i].name) + 1;
        for (size_t j = 0; from[i].tensor_names && j < from[i].tensor_count; j++)
            sizes.characters += strlen(from[i].tensor_names[j]) + 1;
    }
    return sizes;
}

static const char *keep_text(char **end, const char *text)
{
    size_t size = strlen(text) + 1;
    const char *kept = memcpy(*end, text, size);
    *end += size;
    return kept;
}

/* One block, whose lists go to `at` of those of all. */
static void keep_block(struct dt2_kept_blocks *kept, struct dt2_block *block, size_t at, char **end)
{
    size_t count = block->tensor_count;
    block->name = keep_text(end, block->name);
    if (block->tensors && count)
        block->tensors = memcpy(kept->tensors + at, block->tensors, count * sizeof *block->tensors);
    if (block->tensor_bytes && count)
        block->tensor_bytes = memcpy(kept->tensor_bytes + at, block->tensor_bytes, count * sizeof *block->tensor_bytes);
    if (!block->tensor_names)
        return;
    for (size_t i = 0; i < count; i++)
        kept->tensor_names[at + i] = keep_text(end, block->tensor_names[i]);
    block->tensor_names = kept->tensor_names + at;
}

int dt2_kept_blocks_copy(const struct dt2_block *from, size_t count, struct dt2_kept_blocks *kept,
                         struct dt2_error *err)
{
    struct sizes sizes = measure(from, count);
    *kept = (struct dt2_kept_blocks){ .blocks = dt2_alloc(count, sizeof *kept->blocks),
                                      .count = count,
                                      .tensors = dt2_alloc(sizes.tensors, sizeof *kept->tensors),
                                      .tensor_bytes = dt2_alloc(sizes.tensors, sizeof *kept->tensor_bytes),
                                      .tensor_names = dt2_alloc(sizes.tensors, sizeof *kept->tensor_names),
                                      .text = dt2_alloc(sizes.characters, 1) };
    if (!kept->blocks || !kept->tensors || !kept->tensor_bytes || !kept->tensor_names || !kept->text) {
        dt2_kept_blocks_clear(kept);
        return dt2_fail_nomem(err);
    }
    char *end = kept->text;
    size_t at = 0;
    for (size_t i = 0; i < count; at += from[i++].tensor_count) {
        kept->blocks[i] = from[i];
        keep_block(kept, &kept->blocks[i], at, &end);
    }
    return 0;
}

void dt2_kept_blocks_clear(struct dt2_kept_blocks *kept)
{
    dt2_release(kept->blocks);
    dt2_release(kept->tensors);
    dt2_release(kept->tensor_bytes);
    dt2_release(kept->tensor_names);
    dt2_release(kept->text);
    *kept = (struct dt2_kept_blocks){ 0 };
}

bool dt2_block_equal(const struct dt2_block *a, const struct dt2_block *b)
{
    size_t count = a->tensor_count;
    if (strcmp(a->name, b->name) != 0 || a->bytes != b->bytes || count != b->tensor_count)
        return false;
    if (count && a->tensors && b->tensors && memcmp(a->tensors, b->tensors, count * sizeof *a->tensors) != 0)
        return false;
    return !count || !a->tensor_bytes || !b->tensor_bytes ||
           memcmp(a->tensor_bytes, b->tensor_bytes, count * sizeof *a->tensor_bytes) == 0;
}
