/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks of the caller's own making over a file, and blocks that are cut where a request tells their tensors apart. */
#include "base/alloc.h"
#include "base/error.h"
#include "formats/file.h"
#include "plan/blocks.h"
#include "plan/override.h"
#include <string.h>

/* -- of the caller's making ------------------------------------------------------------------------------------- */

/* Marks the tensors that are listed; each may be once, and must be one of the file's. */
static int mark(const struct dt2_file *file, const struct dt2_block *list, size_t count, bool *listed,
                struct dt2_error *err)
{
    size_t tensors = dt2_file_tensor_count(file);
    for (size_t i = 0; i < count; i++) {
        if (!list[i].name)
            return dt2_fail(err, DT2_EUSAGE, "block %zu has no name", i);
        if (!list[i].tensors || list[i].tensor_count == 0)
            return dt2_fail(err, DT2_EUSAGE, "block %s has no tensors", list[i].name);
        for (size_t j = 0; j < list[i].tensor_count; j++) {
            size_t tensor = list[i].tensors[j];
            if (tensor >= tensors)
                return dt2_fail(err, DT2_EUSAGE, "block %s: %s has %zu tensors; there is no index %zu", list[i].name,
                                dt2_file_path(file), tensors, tensor);
            if (listed[tensor])
                return dt2_fail(err, DT2_EUSAGE, "block %s: tensor %s is in a block already", list[i].name,
                                dt2_file_tensor(file, tensor)->name);
            listed[tensor] = true;
        }
    }
    return 0;
}

/* A tensor that is another name of one, or a member of a gang, has no bytes of its own: both are listed, or neither. */
static int check_names(const struct dt2_file *file, const bool *listed, struct dt2_error *err)
{
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        size_t same = dt2_file_home(file, i, NULL);
        if (listed[i] && !listed[same])
            return dt2_fail(err, DT2_EUSAGE, "the bytes of tensor %s are those of %s, which is in no block",
                            dt2_file_tensor(file, i)->name, dt2_file_tensor(file, same)->name);
    }
    return 0;
}

/* Copies a list whose tensors are the file's. */
static int copy(const struct dt2_file *file, const struct dt2_block *list, size_t count, struct dt2_blocks *blocks,
                struct dt2_error *err)
{
    size_t characters = 0, tensors = 0;
    for (size_t i = 0; i < count; i++) {
        characters += strlen(list[i].name) + 1;
        tensors += list[i].tensor_count;
    }
    int rc = dt2_blocks_alloc(blocks, file, count, characters, tensors, err);
    if (rc < 0)
        return rc;
    char *name = blocks->names;
    size_t at = 0;
    for (size_t i = 0; i < count; at += list[i++].tensor_count) {
        struct dt2_block *block = &blocks->blocks[blocks->count++];
        memcpy(blocks->tensors + at, list[i].tensors, list[i].tensor_count * sizeof *blocks->tensors);
        *block = (struct dt2_block){ .name = name, .tensor_bytes = blocks->tensor_bytes + at,
                                     .tensors = blocks->tensors + at, .tensor_count = list[i].tensor_count,
                                     .tensor_names = blocks->tensor_names + at };
        name = stpcpy(name, list[i].name) + 1;
        for (size_t j = 0; j < block->tensor_count; j++)
            block->bytes += dt2_file_own_bytes(file, block->tensors[j]);
    }
    dt2_blocks_describe(blocks, file, tensors);
    return 0;
}

int dt2_blocks_from(const struct dt2_file *file, const struct dt2_block *list, size_t count, struct dt2_blocks **out,
                    struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    DT2_AUTO bool *listed = dt2_alloc(dt2_file_tensor_count(file), sizeof *listed);
    struct dt2_blocks *blocks = dt2_alloc(1, sizeof *blocks);
    int rc = listed && blocks ? mark(file, list, count, listed, err) : dt2_fail_nomem(err);
    if (rc == 0)
        rc = check_names(file, listed, err);
    if (rc == 0)
        rc = copy(file, list, count, blocks, err);
    if (rc < 0) {
        dt2_blocks_free(blocks);
        return rc;
    }
    blocks->network = dt2_recognise(file);
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        blocks->left_out_count += !listed[i];
        blocks->left_out_bytes += listed[i] ? 0 : dt2_file_own_bytes(file, i);
    }
    *out = blocks;
    return 0;
}

/* -- cut ---------------------------------------------------------------------------------------------------------- */

struct cutting {
    const struct dt2_overrides *overrides;
    struct dt2_block *parts;
    size_t count;
    size_t *tensors; /* what the parts list */
    size_t at;
};

/* The tensors of a block that `match` matches become a part. */
static void cut_part(struct cutting *cutting, const struct dt2_block *block, size_t match, bool keeps_name)
{
    size_t begin = cutting->at, first = 0;
    for (size_t i = 0; i < block->tensor_count; i++) {
        if (dt2_overrides_match(cutting->overrides, block->name, block->tensor_names[i]) != match)
            continue;
        if (cutting->at == begin)
            first = i;
        cutting->tensors[cutting->at++] = block->tensors[i];
    }
    if (cutting->at > begin)
        cutting->parts[cutting->count++] =
            (struct dt2_block){ .name = keeps_name ? block->name : block->tensor_names[first],
                                .tensors = cutting->tensors + begin, .tensor_count = cutting->at - begin };
}

/* A part that a pattern for tensors picks is called after its first tensor, so that the same pattern picks it again. */
static void cut_block(struct cutting *cutting, const struct dt2_block *block)
{
    size_t whole, own = dt2_overrides_match(cutting->overrides, block->name, NULL);
    if (dt2_overrides_match_block(cutting->overrides, block, &whole, NULL) == 0) {
        cut_part(cutting, block, whole, true);
        return;
    }
    for (size_t i = 0; i <= cutting->overrides->count; i++)
        cut_part(cutting, block, i, i == own);
}

int dt2_blocks_cut(const struct dt2_blocks *blocks, const struct dt2_file *file, const char *place,
                   struct dt2_blocks **out, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    struct dt2_overrides overrides = { 0 };
    size_t tensors = 0;
    for (size_t i = 0; i < blocks->count; i++)
        tensors += blocks->blocks[i].tensor_count;
    struct cutting cutting = { .overrides = &overrides };
    int rc = dt2_blocks_check(blocks, file, err);
    if (rc == 0)
        rc = dt2_overrides_parse(place, &overrides, err);
    if (rc == 0) {
        cutting.parts = dt2_alloc(tensors, sizeof *cutting.parts);
        cutting.tensors = dt2_alloc(tensors, sizeof *cutting.tensors);
        rc = cutting.parts && cutting.tensors ? 0 : dt2_fail_nomem(err);
    }
    for (size_t i = 0; rc == 0 && i < blocks->count; i++)
        cut_block(&cutting, &blocks->blocks[i]);
    if (rc == 0)
        rc = dt2_blocks_from(file, cutting.parts, cutting.count, out, err);
    dt2_release(cutting.parts);
    dt2_release(cutting.tensors);
    dt2_overrides_clear(&overrides);
    return rc;
}
