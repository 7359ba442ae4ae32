/* SPDX-License-Identifier: BSD-3-Clause */
#include "load/layout.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include <inttypes.h>

#define STRAIGHT_LEAST ((uint64_t)64 * 1024) /* smaller tensors lie as their file has them only where they do anyhow */

/* Where a tensor lies that is to lie as in its file, when the one before it ends at `after`; else as it would lie without. */
static uint64_t as_in_file(const struct dt2_layout_rules *rules, size_t tensor, uint64_t bytes, uint64_t after, uint64_t aligned)
{
    uint64_t at = rules->file_offsets && !rules->fixed ? rules->file_offsets[tensor] : DT2_UNKNOWN;
    if (at == DT2_UNKNOWN || ((aligned - at) & (rules->block_bytes - 1)) == 0)
        return aligned;
    uint64_t gap = (at - after) & (rules->block_bytes - 1);
    return gap == 0 || bytes >= STRAIGHT_LEAST ? after + gap : aligned;
}

/* Where a tensor would lie in the last slab; false: it has no room there. */
static bool fits_last(const struct dt2_share_layout *share, const struct dt2_layout_rules *rules, size_t tensor,
                      uint64_t bytes, uint64_t *offset, uint64_t *end)
{
    if (share->slab_count == 0)
        return false;
    uint64_t begin = rules->given ? rules->given[share->slab_count - 1].begin : 0;
    uint64_t limit = rules->given ? rules->given[share->slab_count - 1].end : rules->max_alloc_bytes;
    uint64_t after = share->slab_bytes[share->slab_count - 1] - begin;
    if (dt2_round_up_overflows(after, rules->alignment_bytes, offset))
        return false;
    *offset = as_in_file(rules, tensor, bytes, after, *offset);
    return !dt2_add_overflows(*offset, begin, offset) && !dt2_add_overflows(*offset, bytes, end) &&
           !dt2_add_overflows(*end, rules->padding_bytes, end) && *end <= limit;
}

/* Opens the next slab. */
static int open_slab(struct dt2_share_layout *share, const struct dt2_layout_rules *rules, uint64_t bytes,
                     struct dt2_error *err)
{
    if (rules->given && share->slab_count == rules->given_count)
        return dt2_fail(err, DT2_ENOFIT,
                        "a tensor of %" PRIu64 " bytes has no room left in the memory that was given, of %zu pieces", bytes,
                        rules->given_count);
    if (!rules->given && (bytes > rules->max_alloc_bytes || rules->padding_bytes > rules->max_alloc_bytes - bytes))
        return dt2_fail(err, DT2_ENOFIT,
                        "a tensor of %" PRIu64 " bytes is above the device's largest allocation of %" PRIu64, bytes,
                        rules->max_alloc_bytes);
    if (!DT2_GROW(share->slab_bytes, share->slab_count, share->slab_capacity))
        return dt2_fail_nomem(err);
    if (rules->fixed && !DT2_GROW(share->homes, share->slab_count, share->home_capacity))
        return dt2_fail_nomem(err);
    if (rules->fixed)
        share->homes[share->slab_count] = (struct dt2_slab_home){ .last_block = SIZE_MAX };
    share->slab_bytes[share->slab_count] = rules->given ? rules->given[share->slab_count].begin : 0;
    share->slab_count++;
    return 0;
}

/* Puts one tensor behind those before it, in a new slab when the last has no room. */
static int append(struct dt2_layout *layout, size_t share_index, const struct dt2_layout_rules *rules, size_t tensor,
                  uint64_t bytes, struct dt2_error *err)
{
    struct dt2_share_layout *share = &layout->shares[share_index];
    uint64_t offset = 0, end = 0;
    while (!fits_last(share, rules, tensor, bytes, &offset, &end)) {
        int rc = open_slab(share, rules, bytes, err);
        if (rc < 0)
            return rc;
    }
    share->slab_bytes[share->slab_count - 1] = end;
    layout->places[tensor] = (struct dt2_place){ (uint32_t)share_index, (uint32_t)(share->slab_count - 1), offset, bytes };
    share->tensors[share->tensor_count++] = tensor;
    share->bytes += bytes;
    return 0;
}

/* Whether a slab ends before a block, so that slabs hold whole blocks and can go each by itself. */
static bool ends_slab(const struct dt2_share_layout *share, const struct dt2_layout_rules *rules,
                      const struct dt2_block *block)
{
    uint64_t end;
    if (rules->slab_bytes == 0 || rules->given || share->slab_count == 0 || block->bytes == 0)
        return false;
    return dt2_add_overflows(share->slab_bytes[share->slab_count - 1], block->bytes, &end) || end > rules->slab_bytes;
}

/* Begins a block of a share of which some are shared: at its place in the segment, behind its neighbour where that lies here too. */
static int begin_fixed(struct dt2_share_layout *share, const struct dt2_layout_rules *rules, size_t block, struct dt2_error *err)
{
    const struct dt2_fixed *fixed = &rules->fixed[block];
    struct dt2_slab_home *last = share->slab_count ? &share->homes[share->slab_count - 1] : NULL;
    bool goes_on = last && last->at.shared == fixed->shared &&
                   (!fixed->shared || (last->at.there == fixed->there && last->last_block + 1 == block));
    int rc = goes_on ? 0 : open_slab(share, rules, 0, err);
    if (rc < 0 || !fixed->shared)
        return rc;
    last = &share->homes[share->slab_count - 1];
    if (!goes_on)
        last->at = *fixed;
    last->last_block = block;
    share->slab_bytes[share->slab_count - 1] = fixed->offset - last->at.offset;
    return 0;
}

bool dt2_layout_is_shared(const struct dt2_share_layout *share, size_t slab)
{
    return share->homes && share->homes[slab].at.shared;
}

bool dt2_layout_is_there(const struct dt2_share_layout *share, size_t slab)
{
    return dt2_layout_is_shared(share, slab) && share->homes[slab].at.there;
}

int dt2_layout_span(const struct dt2_block *block, const struct dt2_layout_rules *rules, uint64_t page, uint64_t *bytes,
                    struct dt2_error *err)
{
    uint64_t end = 0;
    bool over = false;
    for (size_t i = 0; i < block->tensor_count; i++)
        if (block->tensor_bytes[i] > 0)
            over |= dt2_round_up_overflows(end, rules->alignment_bytes, &end) ||
                    dt2_add_overflows(end, block->tensor_bytes[i], &end) || dt2_add_overflows(end, rules->padding_bytes, &end);
    over |= dt2_round_up_overflows(end, dt2_max(page, rules->alignment_bytes), bytes);
    return over ? dt2_fail(err, DT2_EFAILED, "block %s has too many bytes", block->name) : 0;
}

static int lay_share(struct dt2_layout *layout, const struct dt2_share *share, size_t index,
                     const struct dt2_block *blocks, const struct dt2_layout_rules *rules, struct dt2_error *err)
{
    size_t tensors = 0;
    for (size_t i = 0; i < share->block_count; i++)
        tensors += blocks[share->blocks[i]].tensor_count;
    layout->shares[index].tensors = dt2_alloc(tensors, sizeof *layout->shares[index].tensors);
    if (!layout->shares[index].tensors)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < share->block_count; i++) {
        const struct dt2_block *block = &blocks[share->blocks[i]];
        bool fixed = rules->fixed && block->bytes > 0;
        if (fixed && begin_fixed(&layout->shares[index], rules, share->blocks[i], err) < 0)
            return DT2_ENOMEM;
        if (!fixed && ends_slab(&layout->shares[index], rules, block) && open_slab(&layout->shares[index], rules, 0, err) < 0)
            return DT2_ENOMEM;
        for (size_t j = 0; j < block->tensor_count; j++) {
            int rc = 0;
            layout->places[block->tensors[j]] = (struct dt2_place){ .share = (uint32_t)index };
            if (block->tensor_bytes[j] > 0)
                rc = append(layout, index, rules, block->tensors[j], block->tensor_bytes[j], err);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

int dt2_layout_make(const struct dt2_plan *plan, const struct dt2_block *blocks, size_t tensor_count,
                    const struct dt2_layout_rules *rules, struct dt2_layout *layout, struct dt2_error *err)
{
    size_t shares = dt2_plan_share_count(plan);
    struct dt2_layout made = { .places = dt2_alloc(tensor_count, sizeof *made.places),
                               .tensor_count = tensor_count,
                               .shares = dt2_alloc(shares, sizeof *made.shares),
                               .share_count = shares };
    int rc = made.places && made.shares ? 0 : dt2_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < shares; i++)
        rc = lay_share(&made, dt2_plan_share(plan, i), i, blocks, &rules[i], err);
    if (rc < 0) {
        dt2_layout_clear(&made);
        return rc;
    }
    *layout = made;
    return 0;
}

/* Both are in blocks, or neither. */
static void place_in_home(struct dt2_layout *layout, const struct dt2_file *file, size_t tensor)
{
    uint64_t offset;
    size_t home = dt2_file_home(file, tensor, &offset);
    if (home == tensor)
        return;
    layout->places[tensor] = layout->places[home];
    layout->places[tensor].offset += offset;
    layout->places[tensor].bytes = dt2_file_tensor(file, tensor)->bytes;
}

void dt2_layout_join(struct dt2_layout *layout, const struct dt2_file *file)
{
    for (size_t i = 0; i < layout->tensor_count; i++)
        place_in_home(layout, file, i);
}

void dt2_layout_clear(struct dt2_layout *layout)
{
    for (size_t i = 0; layout->shares && i < layout->share_count; i++) {
        dt2_release(layout->shares[i].slab_bytes);
        dt2_release(layout->shares[i].homes);
        dt2_release(layout->shares[i].tensors);
    }
    dt2_release(layout->shares);
    dt2_release(layout->places);
    *layout = (struct dt2_layout){ 0 };
}
