/* SPDX-License-Identifier: BSD-3-Clause */
/* Planning as a whole: draft, charge, refuse or keep. */
#include "plan/plan.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include <distorch2/size.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* -- charges --------------------------------------------------------------------------------------------- */

/* Whether a block on `device` must stream to the compute device: what lies in host memory is used in place by "cpu". */
static bool streams(const struct dt2_asked *asked, size_t device)
{
    const struct dt2_device *compute = &asked->devices->devices[asked->compute];
    bool host_compute = dt2_device_is_host(compute) && dt2_device_host_node(compute) < 0;
    return device != asked->compute && !(host_compute && dt2_device_is_host(&asked->devices->devices[device]));
}

/* Twice the largest block that streams: one computes while the next arrives. */
static uint64_t window_bytes(const struct dt2_draft *draft)
{
    const struct dt2_asked *asked = draft->asked;
    uint64_t largest = 0, twice;
    for (size_t i = 0; i < asked->count; i++)
        if (streams(asked, draft->targets[draft->owner[i]].device))
            largest = dt2_max(largest, dt2_block_cost(&asked->blocks[i], &asked->devices->devices[asked->compute]));
    return dt2_mul_overflows(largest, 2, &twice) ? UINT64_MAX : twice;
}

/* What a target takes of its device: tensors, what the driver takes once, and the window on the compute device. */
static uint64_t target_cost(const struct dt2_draft *draft, const struct dt2_target *target)
{
    const struct dt2_asked *asked = draft->asked;
    uint64_t window = target->device == asked->compute ? draft->window : 0, cost;
    uint64_t fixed = target->bytes || window ? asked->devices->devices[target->device].fixed_bytes : 0;
    if (dt2_add_overflows(target->cost, window, &cost) || dt2_add_overflows(cost, fixed, &cost))
        return UINT64_MAX;
    return cost;
}

static void charge(const struct dt2_draft *draft, struct dt2_capacity *capacity)
{
    const struct dt2_asked *asked = draft->asked;
    bool compute_listed = false;
    dt2_capacity_reset(capacity);
    for (size_t i = 0; i < draft->target_count; i++) {
        compute_listed |= draft->targets[i].device == asked->compute;
        dt2_capacity_charge(capacity, draft->targets[i].device, target_cost(draft, &draft->targets[i]));
    }
    if (!compute_listed && draft->window) {
        struct dt2_target window_only = { .device = asked->compute };
        dt2_capacity_charge(capacity, asked->compute, target_cost(draft, &window_only));
    }
}

/* A tensor above its device's largest allocation cannot be there, whatever is free. */
static int check_allocations(const struct dt2_draft *draft, struct dt2_error *err)
{
    const struct dt2_asked *asked = draft->asked;
    for (size_t i = 0; i < asked->count; i++) {
        const struct dt2_block *block = &asked->blocks[i];
        const struct dt2_device *device = &asked->devices->devices[draft->targets[draft->owner[i]].device];
        for (size_t j = 0; j < block->tensor_count; j++) {
            if (block->tensor_bytes[j] <= device->max_alloc_bytes)
                continue;
            dt2_fail(err, DT2_ENOFIT,
                     "does not fit: a tensor of %" PRIu64 " bytes in block %s is %" PRIu64
                     " bytes above the largest allocation of %s, %" PRIu64,
                     block->tensor_bytes[j], block->name, block->tensor_bytes[j] - device->max_alloc_bytes, device->name,
                     device->max_alloc_bytes);
            dt2_suggest(err, "place block %s on another device with --expert-mode-allocations", block->name);
            return DT2_ENOFIT;
        }
    }
    return 0;
}

/* One draft from claims to charges. Fails with DT2_ENOFIT only for a tensor that no budget could help. */
static int draft_make(const struct dt2_asked *asked, uint64_t virtual_vram_bytes, struct dt2_capacity *capacity,
                      struct dt2_notes *notes, struct dt2_draft *draft, struct dt2_error *err)
{
    *draft = (struct dt2_draft){ .asked = asked, .virtual_vram_bytes = virtual_vram_bytes };
    int rc = dt2_claims_make(draft, capacity, notes, err);
    if (rc == 0)
        rc = dt2_draft_place(draft, err);
    if (rc == 0)
        rc = check_allocations(draft, err);
    if (rc < 0) {
        dt2_draft_clear(draft);
        return rc;
    }
    draft->window = window_bytes(draft);
    charge(draft, capacity);
    return 0;
}

/* -- what would fit --------------------------------------------------------------------------------------- */

/* The bytes that the compute device gets with that much virtual VRAM; DT2_UNKNOWN when it does not fit. */
static uint64_t fitting_bytes(const struct dt2_asked *asked, struct dt2_capacity *capacity, uint64_t virtual_vram_bytes)
{
    struct dt2_notes notes = { 0 };
    struct dt2_draft draft;
    uint64_t bytes = DT2_UNKNOWN;
    if (draft_make(asked, virtual_vram_bytes, capacity, &notes, &draft, NULL) == 0) {
        if (dt2_capacity_short(capacity) == capacity->count)
            bytes = draft.targets[0].bytes;
        dt2_draft_clear(&draft);
    }
    dt2_notes_clear(&notes);
    return bytes;
}

/*
 * The amount of virtual VRAM nearest to the request that fits: above it when the compute device is short, below it when a
 * donor is. Placement changes only where the compute device's quota reaches another sum of blocks, so those are the candidates.
 */
static bool nearest_virtual(const struct dt2_asked *asked, struct dt2_capacity *capacity, bool above, uint64_t *found)
{
    uint64_t sum = 0, asked_for = asked->virtual_vram_bytes, best = 0;
    bool any = false;
    for (size_t i = 0; i < asked->count; i++)
        if (dt2_block_is_small(&asked->blocks[i], asked->model_bytes))
            sum += asked->blocks[i].bytes;
    /* The quota that just holds the first blocks is the largest V for them; one byte above it is the smallest V for one fewer. */
    for (size_t i = 0; i <= asked->count; i++) {
        uint64_t v = dt2_sub_floor(asked->model_bytes, sum) + (above ? 1 : 0);
        if ((above ? v > asked_for && (!any || v < best) : v < asked_for && (!any || v > best)) &&
            fitting_bytes(asked, capacity, v) != DT2_UNKNOWN) {
            best = v;
            any = true;
        }
        while (i < asked->count && dt2_block_is_small(&asked->blocks[i], asked->model_bytes))
            i++;
        if (i < asked->count)
            sum += asked->blocks[i].bytes;
    }
    *found = best;
    return any;
}

/* Bytes as GiB with as few digits as still mean the same plan, from three on. */
static bool print_gib(const struct dt2_asked *asked, struct dt2_capacity *capacity, uint64_t bytes, bool above, char *out,
                      size_t size)
{
    const uint64_t gib = (uint64_t)1 << 30;
    uint64_t scale = 1000;
    for (int digits = 3; digits <= 9; digits++, scale *= 10) {
        uint64_t whole = bytes / gib, rest = bytes % gib;
        __uint128_t scaled = (__uint128_t)rest * scale + (above ? gib - 1 : 0);
        uint64_t fraction = (uint64_t)(scaled / gib);
        if (fraction == scale) {
            whole++;
            fraction = 0;
        }
        snprintf(out, size, "%" PRIu64 ".%0*" PRIu64, whole, digits, fraction);
        uint64_t again;
        if (dt2_gib_parse(out, &again, NULL) == 0 &&
            fitting_bytes(asked, capacity, again) == fitting_bytes(asked, capacity, bytes))
            return true;
    }
    return false;
}

static int refuse(const struct dt2_draft *draft, struct dt2_capacity *capacity, struct dt2_error *err)
{
    const struct dt2_asked *asked = draft->asked;
    const struct dt2_device *compute = &asked->devices->devices[asked->compute];
    size_t shortest = dt2_capacity_short(capacity);
    const char *budget = asked->devices->budgets[shortest].name;
    uint64_t available = capacity->rooms[shortest].available;
    int rc = dt2_capacity_refuse(capacity, err);
    if (!draft->virtual_only) {
        dt2_suggest(err, "give %s less: %" PRIu64 " bytes are available there", budget, available);
        return rc;
    }
    bool above = strcmp(compute->name, budget) == 0;
    uint64_t v;
    char gib[48];
    if (nearest_virtual(asked, capacity, above, &v) && print_gib(asked, capacity, v, above, gib, sizeof gib))
        dt2_suggest(err, "--virtual-vram-gb %s would fit", gib);
    else
        dt2_suggest(err, "no amount of virtual VRAM would fit; name more donors, or free memory");
    return rc;
}

/* -- notes ------------------------------------------------------------------------------------------------ */

static int note_shares(const struct dt2_draft *draft, struct dt2_notes *notes, struct dt2_error *err)
{
    const struct dt2_asked *asked = draft->asked;
    int rc = 0;
    uint64_t absorbed = 0;
    for (size_t i = 0; i < draft->claim_count && rc == 0; i++) {
        const struct dt2_claim *claim = &draft->claims[i];
        const char *name = asked->devices->devices[claim->device].name;
        uint64_t bytes = 0;
        for (size_t j = 0; j < claim->target_count; j++)
            bytes += draft->targets[claim->first_target + j].bytes;
        if (i == draft->absorber)
            absorbed = bytes;
        if (i == draft->absorber && bytes == 0 && asked->model_bytes > 0)
            rc = dt2_notes_add(notes, err, "%s gets nothing: the other shares take the whole model", name);
        else if (claim->expected != DT2_UNKNOWN && bytes > claim->expected)
            rc = dt2_notes_add(notes, err, "%s takes the rest, %" PRIu64 " bytes: more than the %" PRIu64 " expected",
                               name, bytes, claim->expected);
    }
    /* With nothing left for who absorbs, a share below its quota lacked blocks, not room. */
    for (size_t i = 0; i < draft->target_count && rc == 0 && absorbed == 0; i++) {
        const struct dt2_target *target = &draft->targets[i];
        if (!target->absorbs && target->bytes < target->quota)
            rc = dt2_notes_add(notes, err, "%s gets %" PRIu64 " of its %" PRIu64 " bytes: no block is left",
                               asked->devices->devices[target->device].name, target->bytes, target->quota);
    }
    return rc;
}

static int note_budgets(const struct dt2_capacity *capacity, struct dt2_notes *notes, struct dt2_error *err)
{
    for (size_t i = 0; i < capacity->count; i++) {
        const struct dt2_room *room = &capacity->rooms[i];
        const char *name = capacity->devices->budgets[i].name;
        if (!room->charged || !room->assumed || room->outright)
            continue;
        int rc = room->free == DT2_UNKNOWN
                     ? dt2_notes_add(notes, err, "neither total nor free memory of %s is known: nothing limits it", name)
                     : dt2_notes_add(notes, err, "free memory of %s is unknown: its total, %" PRIu64 " bytes, is assumed",
                                     name, room->free);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* -- the plan --------------------------------------------------------------------------------------------- */

/* The block lists of all shares: counted first, then filled in execution order. */
static void list_blocks(const struct dt2_draft *draft, struct dt2_plan *plan)
{
    size_t at = 0;
    for (size_t i = 0; i < plan->share_count; i++) {
        plan->shares[i].blocks = plan->blocks + at;
        at += draft->targets[i].blocks;
    }
    for (size_t i = 0; i < plan->block_count; i++) {
        struct dt2_share *share = &plan->shares[draft->owner[i]];
        plan->blocks[(size_t)(share->blocks - plan->blocks) + share->block_count++] = i;
        share->runs += i == 0 || draft->owner[i - 1] != draft->owner[i];
        plan->owner[i] = draft->owner[i];
    }
}

static bool copy_charges(const struct dt2_capacity *capacity, struct dt2_plan *plan)
{
    plan->charges = dt2_alloc(capacity->count, sizeof *plan->charges);
    if (!plan->charges)
        return false;
    for (size_t i = 0; i < capacity->count; i++) {
        if (!capacity->rooms[i].charged)
            continue;
        struct dt2_charge *made = &plan->charges[plan->charge_count++];
        made->bytes = capacity->rooms[i].charged;
        made->budget = dt2_strdup(capacity->devices->budgets[i].name);
        if (!made->budget)
            return false;
    }
    return true;
}

static int plan_fill(const struct dt2_draft *draft, const struct dt2_capacity *capacity, struct dt2_plan *plan,
                     struct dt2_error *err)
{
    const struct dt2_asked *asked = draft->asked;
    plan->share_count = draft->target_count;
    plan->model_bytes = asked->model_bytes;
    plan->window_bytes = draft->window;
    plan->compute_left_bytes = dt2_capacity_left(capacity, asked->compute);
    plan->shares = dt2_alloc(draft->target_count, sizeof *plan->shares);
    plan->blocks = dt2_alloc(asked->count, sizeof *plan->blocks);
    plan->owner = dt2_alloc(asked->count, sizeof *plan->owner);
    plan->block_names = dt2_alloc(asked->count, sizeof *plan->block_names);
    plan->compute_device = dt2_strdup(asked->devices->devices[asked->compute].name);
    plan->request_json = dt2_request_json(asked->request);
    bool good = plan->shares && plan->blocks && plan->owner && plan->block_names && plan->compute_device &&
                plan->request_json && copy_charges(capacity, plan);
    for (size_t i = 0; good && i < asked->count; i++) {
        plan->block_names[i] = dt2_strdup(asked->blocks[i].name);
        good = plan->block_names[i] != NULL;
        plan->block_count++;
    }
    for (size_t i = 0; good && i < draft->target_count; i++) {
        const struct dt2_target *target = &draft->targets[i];
        plan->shares[i] = (struct dt2_share){
            .device = dt2_strdup(asked->devices->devices[target->device].name),
            .quota_bytes = target->wildcard ? DT2_UNKNOWN : target->quota,
            .bytes = target->bytes,
            .cost_bytes = target_cost(draft, target),
            .absorbs = target->absorbs,
        };
        good = plan->shares[i].device != NULL;
    }
    if (!good)
        return dt2_fail_nomem(err);
    list_blocks(draft, plan);
    return 0;
}

static int plan_finish(struct dt2_draft *draft, struct dt2_asked *asked, struct dt2_plan **plan, struct dt2_error *err)
{
    int rc = note_shares(draft, &asked->notes, err);
    if (rc == 0)
        rc = note_budgets(&asked->capacity, &asked->notes, err);
    if (rc < 0)
        return rc;
    struct dt2_plan *made = dt2_alloc(1, sizeof *made);
    if (!made)
        return dt2_fail_nomem(err);
    rc = plan_fill(draft, &asked->capacity, made, err);
    if (rc < 0) {
        dt2_plan_free(made);
        return rc;
    }
    made->notes = asked->notes;
    asked->notes = (struct dt2_notes){ 0 };
    *plan = made;
    return 0;
}

static void measure_shortage(const struct dt2_capacity *capacity, struct dt2_shortage *shortage)
{
    size_t index = dt2_capacity_short(capacity);
    if (index == capacity->count)
        return;
    snprintf(shortage->name, sizeof shortage->name, "%s", capacity->devices->budgets[index].name);
    shortage->bytes = capacity->rooms[index].charged - capacity->rooms[index].available;
}

int dt2_plan_decide(const struct dt2_devices *devices, const struct dt2_block *blocks, size_t count,
                    const struct dt2_request *request, struct dt2_plan **plan, struct dt2_shortage *shortage,
                    struct dt2_error *err)
{
    static const struct dt2_request defaults = DT2_REQUEST_INIT;
    struct dt2_asked asked;
    struct dt2_draft draft;
    *shortage = (struct dt2_shortage){ .bytes = 0 };
    int rc = dt2_asked_make(devices, blocks, count, request ? request : &defaults, &asked, err);
    if (rc < 0)
        return rc;
    rc = draft_make(&asked, asked.virtual_vram_bytes, &asked.capacity, &asked.notes, &draft, err);
    if (rc == 0) {
        measure_shortage(&asked.capacity, shortage);
        rc = shortage->bytes ? refuse(&draft, &asked.capacity, err) : plan_finish(&draft, &asked, plan, err);
        dt2_draft_clear(&draft);
    }
    dt2_asked_clear(&asked);
    return rc;
}

int dt2_plan_make(const struct dt2_devices *devices, const struct dt2_block *blocks, size_t count,
                  const struct dt2_request *request, struct dt2_plan **plan, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    struct dt2_shortage shortage = { .bytes = 0 };
    return dt2_plan_decide(devices, blocks, count, request, plan, &shortage, err);
}

void dt2_plan_free(struct dt2_plan *plan)
{
    DT2_KEEP_ERRNO;
    if (!plan)
        return;
    for (size_t i = 0; plan->shares && i < plan->share_count; i++)
        dt2_release((void *)(uintptr_t)plan->shares[i].device);
    for (size_t i = 0; i < plan->block_count; i++)
        dt2_release(plan->block_names[i]);
    for (size_t i = 0; i < plan->charge_count; i++)
        dt2_release(plan->charges[i].budget);
    dt2_release(plan->shares);
    dt2_release(plan->blocks);
    dt2_release(plan->owner);
    dt2_release(plan->block_names);
    dt2_release(plan->charges);
    dt2_release(plan->compute_device);
    dt2_release(plan->request_json);
    dt2_notes_clear(&plan->notes);
    dt2_release(plan);
}

size_t dt2_plan_share_count(const struct dt2_plan *plan)
{
    return plan->share_count;
}

const struct dt2_share *dt2_plan_share(const struct dt2_plan *plan, size_t index)
{
    return index < plan->share_count ? &plan->shares[index] : NULL;
}

const char *dt2_plan_compute_device(const struct dt2_plan *plan)
{
    return plan->compute_device;
}

uint64_t dt2_plan_window_bytes(const struct dt2_plan *plan)
{
    return plan->window_bytes;
}

size_t dt2_plan_block_share(const struct dt2_plan *plan, size_t block)
{
    return block < plan->block_count ? plan->owner[block] : SIZE_MAX;
}

size_t dt2_plan_warning_count(const struct dt2_plan *plan)
{
    return plan->notes.count;
}

const char *dt2_plan_warning(const struct dt2_plan *plan, size_t index)
{
    return index < plan->notes.count ? plan->notes.items[index] : NULL;
}
