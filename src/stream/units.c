/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "model/model.h"
#include "stream/stream.h"
#include <inttypes.h>
#include <string.h>

/* How blocks are laid out in the window, and which of them go together. */
struct laying {
    const struct dt2_model *model;
    size_t own; /* dt2_plan_own_share() */
    uint64_t alignment;
    uint64_t most;    /* the largest allocation of the compute device */
    uint64_t largest; /* that a block takes in the window */
};

/* Whether the blocks of a share come through the window: not what the compute device has, nor what "cpu" can read in place. */
static bool share_streams(const struct laying *laying, size_t share)
{
    const struct dt2_model *model = laying->model;
    const struct dt2_opened *opened = model->storage.stores[share].opened;
    if (share == laying->own)
        return false;
    return !(strcmp(dt2_plan_compute_device(model->plan), "cpu") == 0 && opened &&
             (opened->flags & DT2_DEVICE_HOST_ADDRESSABLE));
}

/* The slab that holds a block of the compute device's share, and may be evicted with it; NULL: the block stays there. */
static struct dt2_slab *movable_slab(const struct laying *laying, const struct dt2_block *block, size_t share)
{
    const struct dt2_model *model = laying->model;
    if (share != laying->own)
        return NULL;
    for (size_t i = 0; i < block->tensor_count; i++) {
        struct dt2_slab *slab = &model->storage.stores[share].slabs[model->layout.places[block->tensors[i]].slab];
        if (block->tensor_bytes[i] > 0)
            return slab->movable ? slab : NULL;
    }
    return NULL;
}

/* Lays one tensor behind those of its unit that came before, and prolongs the last stretch where both sides follow on it. */
static int add_tensor(struct dt2_units *made, struct dt2_unit *unit, const struct dt2_place *place, uint64_t alignment,
                      uint64_t padding, uint64_t *offset)
{
    uint64_t end;
    struct dt2_stretch *last = unit->stretch_count ? &made->stretches[made->stretch_count - 1] : NULL;
    if (dt2_round_up_overflows(unit->bytes, alignment, offset) || dt2_add_overflows(*offset, place->bytes, &end))
        return DT2_ENOFIT;
    if (dt2_add_overflows(end, padding, &unit->bytes))
        return DT2_ENOFIT;
    if (last && last->slab == place->slab && place->offset >= last->source &&
        place->offset - last->source == *offset - last->target) {
        last->bytes = end - last->target;
        return 0;
    }
    made->stretches[made->stretch_count++] =
        (struct dt2_stretch){ place->slab, place->offset, *offset, place->bytes };
    unit->stretch_count++;
    return 0;
}

/* What a block takes in the window by itself; UINT64_MAX: more than can be said. */
static uint64_t room_of(const struct laying *laying, const struct dt2_block *block)
{
    uint64_t room = 0;
    for (size_t i = 0; i < block->tensor_count; i++) {
        uint64_t end;
        if (block->tensor_bytes[i] > 0 && (dt2_add_overflows(room, block->tensor_bytes[i], &end) ||
                                           dt2_add_overflows(end, laying->model->plan->padding_bytes, &end) ||
                                           dt2_round_up_overflows(end, laying->alignment, &room)))
            return UINT64_MAX;
    }
    return room;
}

static void measure(struct laying *laying)
{
    const struct dt2_model *model = laying->model;
    for (size_t i = 0; i < model->blocks.count; i++)
        if (share_streams(laying, dt2_plan_block_share(model->plan, i)))
            laying->largest = dt2_max(laying->largest, room_of(laying, &model->blocks.blocks[i]));
}

/* The unit of a block: a new one, or, of a small block, that of the block before it on the same share. */
static struct dt2_unit *unit_for(const struct laying *laying, const struct dt2_block *block, size_t index, size_t share,
                                 struct dt2_slab *movable, struct dt2_units *made)
{
    struct dt2_unit *last = made->count ? &made->units[made->count - 1] : NULL;
    if (last && last->share == share && last->movable == movable &&
        dt2_ahead_joins(laying->largest, room_of(laying, block), last->bytes))
        return last;
    struct dt2_unit *unit = &made->units[made->count++];
    *unit = (struct dt2_unit){ .block = index, .share = (uint32_t)share, .movable = movable,
                               .first_stretch = made->stretch_count };
    return unit;
}

static int add_block(const struct laying *laying, size_t index, struct dt2_units *made, struct dt2_error *err)
{
    const struct dt2_model *model = laying->model;
    const struct dt2_block *block = &model->blocks.blocks[index];
    size_t share = dt2_plan_block_share(model->plan, index);
    struct dt2_slab *movable = block->bytes ? movable_slab(laying, block, share) : NULL;
    if (block->bytes == 0 || (!movable && !share_streams(laying, share)))
        return 0;
    struct dt2_unit *unit = unit_for(laying, block, index, share, movable, made);
    unit->payload += block->bytes;
    unit->blocks++;
    for (size_t i = 0; i < block->tensor_count; i++) {
        size_t tensor = block->tensors[i];
        if (block->tensor_bytes[i] == 0)
            continue;
        made->of_tensor[tensor] = made->count - 1;
        if (add_tensor(made, unit, &model->layout.places[tensor], laying->alignment, model->plan->padding_bytes,
                       &made->offsets[tensor]) < 0)
            unit->bytes = UINT64_MAX;
    }
    bool over = dt2_round_up_overflows(unit->bytes, laying->alignment, &unit->bytes) || unit->bytes > laying->most;
    if (over && movable) /* too large for any window: it stays where it is */
        unit->bytes = UINT64_MAX;
    else if (over)
        return dt2_fail(err, DT2_ENOFIT,
                        "block %s of %" PRIu64 " bytes is above the largest allocation of %s, %" PRIu64
                        ", and cannot be streamed there as one",
                        block->name, block->bytes, dt2_plan_compute_device(model->plan), laying->most);
    return 0;
}

void dt2_units_count(struct dt2_units *units)
{
    units->streaming = units->blocks = units->largest = units->pass_bytes = 0;
    for (size_t i = 0; i < units->count; i++) {
        const struct dt2_unit *unit = &units->units[i];
        if (!dt2_unit_streams(unit))
            continue;
        units->streaming++;
        units->blocks += unit->blocks;
        units->largest = dt2_max(units->largest, unit->bytes);
        units->pass_bytes += unit->payload;
    }
}

/* Which units each block needs: its own, and those of other blocks whose tensors it has under another name. */
static void list_needs(const struct dt2_model *model, struct dt2_units *made)
{
    size_t end = 0;
    for (size_t i = 0; i < model->blocks.count; i++) {
        const struct dt2_block *block = &model->blocks.blocks[i];
        made->first[i] = end;
        for (size_t j = 0; j < block->tensor_count; j++) {
            size_t unit = made->of_tensor[model->table.homes[block->tensors[j]].tensor], k = made->first[i];
            while (k < end && made->lists[k] != unit)
                k++;
            if (unit != DT2_NOWHERE && k == end)
                made->lists[end++] = unit;
        }
    }
    made->first[model->blocks.count] = end;
}

int dt2_units_make(const struct dt2_model *model, uint64_t alignment, uint64_t most, struct dt2_units *units,
                   struct dt2_error *err)
{
    size_t blocks = model->blocks.count, tensors = model->table.count;
    struct dt2_units made = { .units = dt2_alloc(blocks, sizeof *made.units),
                              .stretches = dt2_alloc(tensors, sizeof *made.stretches),
                              .first = dt2_alloc(blocks + 1, sizeof *made.first),
                              .lists = dt2_alloc(tensors, sizeof *made.lists),
                              .of_tensor = dt2_alloc(tensors, sizeof *made.of_tensor),
                              .offsets = dt2_alloc(tensors, sizeof *made.offsets) };
    int rc = made.units && made.stretches && made.first && made.lists && made.of_tensor && made.offsets
                 ? 0
                 : dt2_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < tensors; i++)
        made.of_tensor[i] = DT2_NOWHERE;
    struct laying laying = { .model = model, .own = dt2_plan_own_share(model->plan), .alignment = alignment, .most = most };
    measure(&laying);
    for (size_t i = 0; rc == 0 && i < blocks; i++)
        rc = add_block(&laying, i, &made, err);
    if (rc < 0) {
        dt2_units_clear(&made);
        return rc;
    }
    list_needs(model, &made);
    dt2_units_count(&made);
    *units = made;
    return 0;
}

void dt2_units_clear(struct dt2_units *units)
{
    dt2_release(units->units);
    dt2_release(units->stretches);
    dt2_release(units->first);
    dt2_release(units->lists);
    dt2_release(units->of_tensor);
    dt2_release(units->offsets);
    *units = (struct dt2_units){ 0 };
}
