/* SPDX-License-Identifier: BSD-3-Clause */
/* Quotas become placements: each claim takes one run of blocks from the front or the back, one takes what is between. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "plan/draft.h"
#include <stdlib.h>
#include <string.h>

size_t dt2_block_tensors(const struct dt2_block *block)
{
    return block->tensor_count ? block->tensor_count : block->bytes > 0;
}

uint64_t dt2_block_tensor_bytes(const struct dt2_block *block, size_t index)
{
    return block->tensor_count ? block->tensor_bytes[index] : block->bytes;
}

uint64_t dt2_block_cost(const struct dt2_input *input, size_t index, size_t device)
{
    const struct dt2_block *block = &input->blocks[index];
    uint64_t alignment = dt2_max(input->devices->devices[device].alignment_bytes, input->request->alignment_bytes);
    uint64_t padding = input->request->padding_bytes, cost = 0, rounded;
    if (alignment <= 1 && padding == 0)
        return block->bytes;
    for (size_t i = 0; i < dt2_block_tensors(block); i++)
        if (dt2_block_tensor_bytes(block, i) > 0 &&
            (dt2_add_overflows(dt2_block_tensor_bytes(block, i), padding, &rounded) ||
             dt2_round_up_overflows(rounded, alignment, &rounded) || dt2_add_overflows(cost, rounded, &cost)))
            return UINT64_MAX; /* fits nowhere */
    return cost;
}

/* -- targets -------------------------------------------------------------------------------------------- */

/* The distance of a node from the compute device, by the machine's matrix; 0 when nothing is known. */
static uint64_t distance(const struct dt2_input *input, size_t node_device)
{
    const struct dt2_devices *devices = input->devices;
    const struct dt2_device *compute = &devices->devices[input->compute];
    int from = dt2_device_host_node(compute) >= 0 ? dt2_device_host_node(compute)
               : dt2_device_is_host(compute)      ? -1
                                                  : compute->numa_node;
    int to = dt2_device_host_node(&devices->devices[node_device]);
    if (from < 0)
        return 0;
    size_t row = DT2_NONE, column = DT2_NONE, n = 0;
    for (size_t i = 0; i < devices->count; i++) {
        int node = dt2_device_host_node(&devices->devices[i]);
        if (node < 0)
            continue;
        if (node == from)
            row = n;
        if (node == to)
            column = n;
        n++;
    }
    if (devices->distances && devices->order == n && row != DT2_NONE && column != DT2_NONE)
        return devices->distances[row * n + column];
    return from != to; /* no matrix: its own node is nearest all the same */
}

/* The nodes that stand for "cpu": nearest first, then by number; those with a claim of their own are left to it. */
static size_t host_nodes(const struct dt2_draft *draft, size_t *nodes)
{
    const struct dt2_devices *devices = draft->input->devices;
    size_t count = 0;
    for (size_t i = 0; i < devices->count; i++) {
        bool claimed = false;
        for (size_t j = 0; j < draft->claim_count; j++)
            claimed |= draft->claims[j].device == i;
        if (dt2_device_host_node(&devices->devices[i]) < 0 || claimed)
            continue;
        size_t at = count++;
        uint64_t away = distance(draft->input, i);
        int number = dt2_device_host_node(&devices->devices[i]);
        for (; at > 0; at--) {
            uint64_t before = distance(draft->input, nodes[at - 1]);
            if (before < away || (before == away && dt2_device_host_node(&devices->devices[nodes[at - 1]]) < number))
                break;
            nodes[at] = nodes[at - 1];
        }
        nodes[at] = i;
    }
    return count;
}

/* What a node holds of its own budget; the host's and the cgroup's are checked for the plan as a whole. */
static uint64_t node_limit(const struct dt2_draft *draft, size_t device)
{
    const struct dt2_input *input = draft->input;
    const struct dt2_devices *devices = input->devices;
    for (size_t i = 0; i < devices->budget_count; i++) {
        if (strcmp(devices->budgets[i].name, devices->devices[device].name) != 0)
            continue;
        uint64_t available = input->capacity.rooms[i].available;
        return device == input->compute && available != DT2_UNKNOWN ? dt2_sub_floor(available, draft->beside) : available;
    }
    return DT2_UNKNOWN;
}

static int make_targets(struct dt2_draft *draft, struct dt2_error *err)
{
    const struct dt2_devices *devices = draft->input->devices;
    DT2_AUTO size_t *nodes = dt2_alloc(devices->count, sizeof *nodes);
    draft->targets = dt2_alloc(draft->claim_count + devices->count, sizeof *draft->targets);
    if (!nodes || !draft->targets)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < draft->claim_count; i++) {
        struct dt2_claim *claim = &draft->claims[i];
        const struct dt2_device *device = &devices->devices[claim->device];
        size_t count = 0;
        if (dt2_device_is_host(device) && dt2_device_host_node(device) < 0)
            count = host_nodes(draft, nodes);
        claim->first_target = draft->target_count;
        claim->target_count = count ? count : 1;
        for (size_t j = 0; j < claim->target_count; j++)
            draft->targets[draft->target_count++] = (struct dt2_target){
                .device = count ? nodes[j] : claim->device,
                .limit = count ? node_limit(draft, nodes[j]) : claim->limit,
            };
        if (i == draft->absorber) {
            struct dt2_target *last = &draft->targets[draft->target_count - 1];
            last->absorbs = true;
            last->wildcard = claim->wildcard;
            last->limit = DT2_UNKNOWN;
        }
    }
    return 0;
}

/* -- runs ------------------------------------------------------------------------------------------------ */

/* Blocks that are still to be placed, in execution order: sequence[low .. high). */
struct rest {
    size_t *sequence;
    size_t low, high;
};

static bool has_room(const struct dt2_draft *draft, const struct dt2_target *target, size_t block)
{
    uint64_t cost;
    return target->limit == DT2_UNKNOWN ||
           (!dt2_add_overflows(target->cost, dt2_block_cost(draft->input, block, target->device),
                               &cost) &&
            cost <= target->limit);
}

void dt2_draft_assign(struct dt2_draft *draft, size_t target_index, size_t block)
{
    struct dt2_target *target = &draft->targets[target_index];
    uint64_t cost = dt2_block_cost(draft->input, block, target->device);
    draft->owner[block] = target_index;
    target->bytes += draft->input->blocks[block].bytes;
    if (dt2_add_overflows(target->cost, cost, &target->cost))
        target->cost = UINT64_MAX;
    target->blocks++;
}

void dt2_draft_take_back(struct dt2_draft *draft, size_t block)
{
    struct dt2_target *target = &draft->targets[draft->owner[block]];
    target->bytes -= draft->input->blocks[block].bytes;
    target->cost -= dt2_block_cost(draft->input, block, target->device);
    target->blocks--;
}

static uint64_t claim_bytes(const struct dt2_draft *draft, const struct dt2_claim *claim)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < claim->target_count; i++)
        bytes += draft->targets[claim->first_target + i].bytes;
    return bytes;
}

/* Cuts the run sequence[low .. high) among a claim's targets, from its front; returns how many blocks found a place. */
static size_t cut(struct dt2_draft *draft, const struct dt2_claim *claim, const size_t *sequence, size_t low, size_t high)
{
    size_t target = claim->first_target, end = target + claim->target_count, at = low;
    while (at < high) {
        while (target < end && !has_room(draft, &draft->targets[target], sequence[at]))
            target++;
        if (target == end)
            break;
        dt2_draft_assign(draft, target, sequence[at++]);
    }
    return at - low;
}

static void take_from_front(struct dt2_draft *draft, const struct dt2_claim *claim, struct rest *rest)
{
    uint64_t bytes = claim_bytes(draft, claim);
    size_t end = rest->low;
    while (end < rest->high && draft->input->blocks[rest->sequence[end]].bytes <= dt2_sub_floor(claim->quota, bytes))
        bytes += draft->input->blocks[rest->sequence[end++]].bytes;
    rest->low += cut(draft, claim, rest->sequence, rest->low, end);
}

/* The longest run at the back that the quota allows and that the claim's targets hold, cut from its front. */
static void take_from_back(struct dt2_draft *draft, const struct dt2_claim *claim, struct rest *rest)
{
    uint64_t bytes = claim_bytes(draft, claim);
    size_t begin = rest->high, placed;
    while (begin > rest->low &&
           draft->input->blocks[rest->sequence[begin - 1]].bytes <= dt2_sub_floor(claim->quota, bytes))
        bytes += draft->input->blocks[rest->sequence[--begin]].bytes;
    while ((placed = cut(draft, claim, rest->sequence, begin, rest->high)) < rest->high - begin) {
        for (size_t i = 0; i < placed; i++)
            dt2_draft_take_back(draft, rest->sequence[begin + i]);
        begin++;
    }
    rest->high = begin;
}

/* The quota of each target, for the record and for packing: of nodes, what they hold; of what is left of the claim's quota,
 * unless the claim absorbs and has no bound. */
static void settle_quotas(struct dt2_draft *draft)
{
    for (size_t i = 0; i < draft->claim_count; i++) {
        const struct dt2_claim *claim = &draft->claims[i];
        uint64_t left = claim->quota;
        for (size_t j = 0; j < claim->target_count; j++) {
            struct dt2_target *target = &draft->targets[claim->first_target + j];
            bool bounded = i != draft->absorber || target->absorbs;
            target->quota = dt2_min(bounded ? left : DT2_UNKNOWN, claim->target_count > 1 ? target->limit : DT2_UNKNOWN);
            left = dt2_sub_floor(left, target->bytes);
        }
    }
}

/*
 * The target for a block that the request puts on a device by name. "cpu" is the first of its nodes that has room, or the last.
 */
static size_t target_of(const struct dt2_draft *draft, size_t device, size_t block)
{
    for (size_t i = 0; i < draft->target_count; i++)
        if (draft->targets[i].device == device)
            return i;
    size_t claim = 0;
    while (draft->claims[claim].device != device)
        claim++;
    size_t at = draft->claims[claim].first_target, last = at + draft->claims[claim].target_count - 1;
    while (at < last && !has_room(draft, &draft->targets[at], block))
        at++;
    return at;
}

static int rest_make(struct dt2_draft *draft, struct rest *rest, struct dt2_error *err)
{
    const struct dt2_input *input = draft->input;
    rest->sequence = dt2_alloc(input->count, sizeof *rest->sequence);
    draft->owner = dt2_alloc(input->count, sizeof *draft->owner);
    if (!rest->sequence || !draft->owner)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < input->count; i++) {
        if (dt2_placed(input, i) != DT2_NONE)
            dt2_draft_assign(draft, target_of(draft, dt2_placed(input, i), i), i);
        else if (draft->virtual_only && dt2_block_is_small(&input->blocks[i], input->model_bytes))
            dt2_draft_assign(draft, 0, i); /* the compute device's claim comes first in this mode */
        else
            rest->sequence[rest->high++] = i;
    }
    return 0;
}

/* -- packing --------------------------------------------------------------------------------------------- */

static int larger_first(const void *a, const void *b, void *data)
{
    const struct dt2_block *blocks = data;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    if (blocks[x].bytes != blocks[y].bytes)
        return blocks[x].bytes > blocks[y].bytes ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* The first target whose quota still holds the block, the absorbing one aside; DT2_NONE when there is none. */
static size_t gap_for(const struct dt2_draft *draft, size_t absorbing, size_t block)
{
    uint64_t bytes = draft->input->blocks[block].bytes;
    for (size_t i = 0; i < draft->target_count; i++) {
        const struct dt2_target *target = &draft->targets[i];
        if (i != absorbing && bytes <= dt2_sub_floor(target->quota, target->bytes) && has_room(draft, target, block))
            return i;
    }
    return DT2_NONE;
}

/*
 * While a block of the absorbing share fits what is left of another quota, the largest such block moves to the first such
 * share. Gaps only shrink, so a block that fits nowhere now never will: one pass from the largest down is enough.
 */
static int pack(struct dt2_draft *draft, struct dt2_error *err)
{
    const struct dt2_input *input = draft->input;
    const struct dt2_claim *claim = &draft->claims[draft->absorber];
    size_t absorbing = claim->first_target + claim->target_count - 1, count = 0;
    DT2_AUTO size_t *mine = dt2_alloc(input->count, sizeof *mine);
    if (!mine)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < input->count; i++)
        if (draft->owner[i] == absorbing && dt2_placed(input, i) == DT2_NONE)
            mine[count++] = i;
    qsort_r(mine, count, sizeof *mine, larger_first, (void *)(uintptr_t)input->blocks);
    for (size_t i = 0; i < count; i++) {
        size_t to = gap_for(draft, absorbing, mine[i]);
        if (to == DT2_NONE)
            continue;
        dt2_draft_take_back(draft, mine[i]);
        dt2_draft_assign(draft, to, mine[i]);
    }
    return 0;
}

static void unplace(struct dt2_draft *draft)
{
    dt2_release(DT2_TAKE(draft->targets));
    dt2_release(DT2_TAKE(draft->owner));
    draft->target_count = 0;
}

int dt2_draft_place(struct dt2_draft *draft, struct dt2_error *err)
{
    unplace(draft);
    struct rest rest = { 0 };
    int rc = make_targets(draft, err);
    if (rc == 0)
        rc = rest_make(draft, &rest, err);
    if (rc == 0) {
        for (size_t i = 0; i < draft->absorber; i++)
            take_from_front(draft, &draft->claims[i], &rest);
        for (size_t i = draft->claim_count; i-- > draft->absorber + 1;)
            take_from_back(draft, &draft->claims[i], &rest);
        cut(draft, &draft->claims[draft->absorber], rest.sequence, rest.low, rest.high);
        settle_quotas(draft);
        if (draft->input->request->pack)
            rc = pack(draft, err);
    }
    dt2_release(rest.sequence);
    return rc;
}

void dt2_draft_clear(struct dt2_draft *draft)
{
    dt2_release(draft->claims);
    dt2_release(draft->targets);
    dt2_release(draft->owner);
    *draft = (struct dt2_draft){ 0 };
}
