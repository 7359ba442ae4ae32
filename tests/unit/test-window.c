/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How well places are chosen: networks in their real sizes, through a window of twice the largest block, over a link
 * that takes as long as computing does. Time is counted here, so that no machine's mood is in it.
 */
#include "base/checked.h"
#include "ahead/window.h"
#include "support/layout.h"
#include "support/scratch.h"
#include "support/tap.h"

enum { BLOCKS_MOST = 4096, ALIGNMENT = 256, PASSES = 4 };

static uint64_t blocks[BLOCKS_MOST];
static size_t block_count;

/* A block for each module of a layout, in the order of the file. */
static void read_blocks(const char *name)
{
    char *text, path[64];
    snprintf(path, sizeof path, "layouts/%s.tsv", name);
    struct layout layout = layout_read(data_path(path), &text);
    size_t length = 0;
    block_count = 0;
    for (size_t i = 0; i < layout.count; i++) {
        const struct layout_tensor *tensor = &layout.tensors[i];
        size_t module = (size_t)(strrchr(tensor->name, '.') - tensor->name);
        if (i == 0 || module != length || strncmp(tensor->name, layout.tensors[i - 1].name, module) != 0)
            blocks[block_count++] = 0;
        length = module;
        blocks[block_count - 1] += (tensor->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    free(layout.tensors);
    free(text);
}

static bool keep_none(void *data, size_t unit)
{
    (void)data, (void)unit;
    return false;
}

/* What lies in the window in truth: until when each is read. */
static uint64_t read_at[BLOCKS_MOST];

/* When a block is there that is copied from `free` on, each part when what it covers has been read, the first first. */
static uint64_t copy(const struct dt2_window *window, uint64_t offset, uint64_t bytes, uint64_t link)
{
    size_t first, count = dt2_window_overlapped(window, offset, bytes, &first);
    const struct dt2_tenant *tenants = window->tenants + first;
    uint64_t rest = bytes, end = link, last = 0;
    for (size_t i = 0; i < count; i++)
        rest -= dt2_min(offset + bytes, tenants[i].offset + tenants[i].bytes) - dt2_max(offset, tenants[i].offset);
    end += rest; /* what covers nothing */
    for (size_t done = 0; done < count;) {
        uint64_t next = UINT64_MAX;
        for (size_t i = 0; i < count; i++)
            if (read_at[tenants[i].unit] >= last)
                next = dt2_min(next, read_at[tenants[i].unit]);
        for (size_t i = 0; i < count; i++)
            if (read_at[tenants[i].unit] == next) {
                end = dt2_max(end, next) + dt2_min(offset + bytes, tenants[i].offset + tenants[i].bytes) -
                      dt2_max(offset, tenants[i].offset);
                done++;
            }
        last = next + 1;
    }
    return end;
}

/* Thousandths of the last pass in which nothing is computed. */
static unsigned stall(unsigned halves)
{
    static struct dt2_tenant tenants[BLOCKS_MOST];
    uint64_t largest = 0, link = 0, compute = 0, begin = 0, all = 0;
    for (size_t i = 0; i < block_count; i++) {
        largest = dt2_max(largest, blocks[i]);
        all += blocks[i];
    }
    struct dt2_window window = { .largest = largest, .alignment = ALIGNMENT, .by_parts = true, .tenants = tenants };
    dt2_window_cut(&window, largest * halves / 2 / ALIGNMENT * ALIGNMENT, UINT64_MAX);
    for (size_t i = 0; i < PASSES * block_count; i++) {
        size_t unit = i % block_count;
        uint64_t offset;
        if (unit == 0)
            begin = compute;
        dt2_window_drop(&window, unit);
        if (!dt2_window_find(&window, blocks[unit], keep_none, NULL, &offset))
            return 1000;
        link = copy(&window, offset, blocks[unit], link);
        dt2_window_put(&window, unit, offset, blocks[unit]);
        compute = dt2_max(compute, link) + blocks[unit];
        read_at[unit] = compute;
    }
    return (unsigned)((compute - begin - all) * 1000 / (compute - begin));
}

int main(void)
{
    static const struct {
        const char *layout;
        unsigned halves, most; /* of the largest block; thousandths */
    } cases[] = {
        { "sdxl_controlnet_cldm_fp16", 4, 50 },
        { "diffusers_sdxl_canny_fp16", 4, 50 },
        { "control_v11p_sd15_canny_fp16", 4, 80 }, /* many of the largest with small ones in between */
        { "control_v11p_sd15_canny_fp16", 5, 20 },
        { "sdxl_controlnet_cldm_fp16", 6, 5 },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        read_blocks(cases[i].layout);
        unsigned found = stall(cases[i].halves);
        ok(found <= cases[i].most, "%s, %zu blocks, a window of %u halves of the largest: %u.%u %% of a pass are waited for",
           cases[i].layout, block_count, cases[i].halves, found / 10, found % 10);
    }
    return done_testing();
}
