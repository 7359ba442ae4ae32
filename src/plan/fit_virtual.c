/* SPDX-License-Identifier: BSD-3-Clause */
/* How much virtual VRAM would fit. */
#include "base/checked.h"
#include "plan/fit.h"
#include <distorch2/size.h>
#include <inttypes.h>
#include <stdio.h>

#define GIB ((uint64_t)1 << 30)
#define GRID 100       /* steps in a GiB */
#define GRID_MAX 12800 /* 128 GiB */
/* Blocks that are placed in all while trying: what is larger is searched on a coarser grid, from its nearest step on. */
#define WORK_MAX ((uint64_t)200000000)

static uint64_t bytes_of_step(uint64_t step)
{
    return step / GRID * GIB + (step % GRID * GIB + GRID - 1) / GRID; /* up, as dt2_gib_parse() has it */
}

static bool fits(const struct dt2_draft *draft, const struct dt2_request *request, uint64_t bytes)
{
    struct dt2_request tried = *request;
    tried.virtual_vram_bytes = bytes;
    return dt2_request_fits(draft, &tried, NULL);
}

static bool found(struct dt2_remedy *remedy, uint64_t bytes)
{
    remedy->virtual_vram_bytes = bytes;
    return true;
}

/* The nearest step of the grid that fits, or several steps at a time where the model is too large to try each. */
static bool search_grid(const struct dt2_draft *draft, const struct dt2_request *request, bool above,
                        struct dt2_remedy *remedy)
{
    const struct dt2_asked *asked = draft->asked;
    uint64_t from = draft->virtual_vram_bytes, model = asked->model_bytes;
    uint64_t all = dt2_min(model / (GIB / GRID) + 1, GRID_MAX); /* from here on all leaves that may */
    uint64_t step = from / GIB * GRID + from % GIB * GRID / GIB;
    uint64_t last = above ? all : 0;
    if (above)
        step++;
    else if (bytes_of_step(step) >= from && step-- == 0)
        return false;
    if (!above)
        step = dt2_min(step, all);
    uint64_t steps = above ? dt2_sub_floor(last + 1, step) : step + 1;
    uint64_t stride = dt2_max(1, steps / dt2_max(1, WORK_MAX / dt2_max(1, asked->count)));
    for (uint64_t i = 0; i < steps; i += stride) {
        uint64_t at = above ? step + i : step - i;
        if (!fits(draft, request, bytes_of_step(at)))
            continue;
        snprintf(remedy->gib, sizeof remedy->gib, "%" PRIu64 ".%02" PRIu64, at / GRID, at % GRID);
        return found(remedy, bytes_of_step(at));
    }
    return false;
}

/* -- between two steps ------------------------------------------------------------------------------------------- */

/* Writes an amount with as few digits as still fit, from three on. */
static bool print_finer(const struct dt2_draft *draft, const struct dt2_request *request, uint64_t bytes, bool above,
                        struct dt2_remedy *remedy)
{
    uint64_t scale = 1000;
    for (int digits = 3; digits <= 10; digits++, scale *= 10) {
        uint64_t whole = bytes / GIB, fraction =
            (uint64_t)(((__uint128_t)(bytes % GIB) * scale + (above ? GIB - 1 : 0)) / GIB);
        whole += fraction / scale;
        snprintf(remedy->gib, sizeof remedy->gib, "%" PRIu64 ".%0*" PRIu64, whole, digits, fraction % scale);
        uint64_t again;
        if (dt2_gib_parse(remedy->gib, &again, NULL) == 0 && fits(draft, request, again))
            return found(remedy, again);
    }
    remedy->gib[0] = '\0';
    return false;
}

/*
 * Placement changes only where the compute device's quota reaches another sum of blocks: the quota that just holds the first
 * blocks is the largest amount for them; one byte above it is the smallest for one fewer.
 */
static bool search_sums(const struct dt2_draft *draft, const struct dt2_request *request, bool above,
                        struct dt2_remedy *remedy)
{
    const struct dt2_asked *asked = draft->asked;
    uint64_t sum = 0, from = draft->virtual_vram_bytes, best = 0;
    bool any = false;
    if (asked->count > WORK_MAX / dt2_max(1, asked->count))
        return false;
    for (size_t i = 0; i < asked->count; i++)
        if (dt2_block_is_small(&asked->blocks[i], asked->model_bytes))
            sum += asked->blocks[i].bytes;
    for (size_t i = 0; i <= asked->count; i++) {
        uint64_t v = dt2_sub_floor(asked->model_bytes, sum) + (above ? 1 : 0);
        if ((above ? v > from && (!any || v < best) : v < from && (!any || v > best)) && fits(draft, request, v)) {
            best = v;
            any = true;
        }
        while (i < asked->count && dt2_block_is_small(&asked->blocks[i], asked->model_bytes))
            i++;
        if (i < asked->count)
            sum += asked->blocks[i].bytes;
    }
    return any && print_finer(draft, request, best, above, remedy);
}

bool dt2_fit_virtual(const struct dt2_draft *draft, const struct dt2_request *request, bool above, struct dt2_remedy *remedy)
{
    return search_grid(draft, request, above, remedy) || search_sums(draft, request, above, remedy);
}
