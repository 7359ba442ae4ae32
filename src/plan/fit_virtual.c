/* SPDX-License-Identifier: BSD-3-Clause */
/* How much virtual VRAM would fit. */
#include "base/checked.h"
#include "plan/fit.h"
#include <distorch2/size.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define GIB ((uint64_t)1 << 30)
#define GRID 100       /* steps in a GiB */
#define GRID_MAX 12800 /* 128 GiB */
/* Blocks that are placed in all while trying: of a larger model the first steps are tried each, then some of them. */
#define WORK_MAX ((uint64_t)40000000)
#define EACH 16

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

static uint64_t add_cost(const struct dt2_input *input, size_t block, uint64_t cost)
{
    return dt2_add_overflows(cost, dt2_block_cost(input, block, input->compute), &cost) ? UINT64_MAX : cost;
}

/* What the compute device's own blocks cost at least with that much: the small ones, and those at the front that its quota holds. */
static uint64_t least_cost(const struct dt2_input *input, uint64_t virtual_vram_bytes)
{
    uint64_t quota = dt2_sub_floor(input->model_bytes, virtual_vram_bytes), bytes = 0, cost = 0;
    bool full = false;
    for (size_t i = 0; i < input->count; i++) {
        bool small = dt2_block_is_small(&input->blocks[i], input->model_bytes);
        bytes += small ? input->blocks[i].bytes : 0;
        cost = small ? add_cost(input, i, cost) : cost;
    }
    for (size_t i = 0; i < input->count && !full; i++) {
        if (dt2_block_is_small(&input->blocks[i], input->model_bytes))
            continue;
        full = input->blocks[i].bytes > dt2_sub_floor(quota, bytes);
        bytes += full ? 0 : input->blocks[i].bytes;
        cost = full ? cost : add_cost(input, i, cost);
    }
    return cost;
}

/*
 * The least step at which that alone goes into the compute device's budgets: it only falls, so nothing before fits. `all` + 1:
 * at no step. 0 where more plays a part than these blocks.
 */
static uint64_t first_step(const struct dt2_draft *draft, uint64_t all)
{
    const struct dt2_input *input = draft->input;
    uint64_t low = 0, high = all + 1, room = DT2_UNKNOWN;
    const struct dt2_device *compute = &input->devices->devices[input->compute];
    for (size_t i = 0; i < input->capacity.count; i++)
        if (strcmp(input->devices->budgets[i].name, compute->name) == 0)
            room = input->capacity.rooms[i].available;
    if (!draft->virtual_only || input->placed || dt2_device_is_host(compute) || room == DT2_UNKNOWN)
        return 0;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (least_cost(input, bytes_of_step(middle)) <= room)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The nearest step of the grid that fits. */
static bool search_grid(const struct dt2_draft *draft, const struct dt2_request *request, bool above,
                        struct dt2_remedy *remedy)
{
    const struct dt2_input *input = draft->input;
    uint64_t from = draft->virtual_vram_bytes;
    uint64_t all = dt2_min(input->model_bytes / (GIB / GRID) + 1, GRID_MAX); /* from here on all leaves that may */
    uint64_t first = first_step(draft, all), step = from / GIB * GRID + from % GIB * GRID / GIB;
    if (above)
        step = dt2_max(step + 1, first);
    else if (bytes_of_step(step) >= from && step-- == 0)
        return false;
    else
        step = dt2_min(step, all);
    uint64_t steps = above ? dt2_sub_floor(all + 1, step) : dt2_sub_floor(step + 1, first);
    uint64_t stride = dt2_max(1, steps / dt2_max(1, WORK_MAX / dt2_max(1, input->count)));
    for (uint64_t i = 0; i < steps; i += i < EACH ? 1 : stride) {
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
    const struct dt2_input *input = draft->input;
    uint64_t sum = 0, from = draft->virtual_vram_bytes, best = 0;
    bool any = false;
    if (input->count > WORK_MAX / dt2_max(1, input->count))
        return false;
    for (size_t i = 0; i < input->count; i++)
        if (dt2_block_is_small(&input->blocks[i], input->model_bytes))
            sum += input->blocks[i].bytes;
    for (size_t i = 0; i <= input->count; i++) {
        uint64_t v = dt2_sub_floor(input->model_bytes, sum) + (above ? 1 : 0);
        if ((above ? v > from && (!any || v < best) : v < from && (!any || v > best)) && fits(draft, request, v)) {
            best = v;
            any = true;
        }
        while (i < input->count && dt2_block_is_small(&input->blocks[i], input->model_bytes))
            i++;
        if (i < input->count)
            sum += input->blocks[i].bytes;
    }
    return any && print_finer(draft, request, best, above, remedy);
}

bool dt2_fit_virtual(const struct dt2_draft *draft, const struct dt2_request *request, bool above, struct dt2_remedy *remedy)
{
    return search_grid(draft, request, above, remedy) || search_sums(draft, request, above, remedy);
}
