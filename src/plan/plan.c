/* SPDX-License-Identifier: BSD-3-Clause */
/* Planning as a whole: draft, charge, refuse or keep. */
#include "plan/plan.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include "formats/file.h"
#include "plan/auto.h"
#include "plan/cost.h"
#include "plan/fit.h"
#include "plan/predict.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* -- charges --------------------------------------------------------------------------------------------- */

/* Whether a block on `device` must stream to the compute device: what lies in host memory is used in place by "cpu". */
bool dt2_streams(const struct dt2_input *input, size_t device)
{
    const struct dt2_device *compute = &input->devices->devices[input->compute];
    bool host_compute = dt2_device_is_host(compute) && dt2_device_host_node(compute) < 0;
    return device != input->compute && !(host_compute && dt2_device_is_host(&input->devices->devices[device]));
}

/*
 * What the request has, and else twice the largest block that streams: one computes while the next arrives. Nothing, where the
 * caller computes where blocks lie.
 */
static uint64_t window_bytes(const struct dt2_draft *draft)
{
    const struct dt2_input *input = draft->input;
    uint64_t largest = 0, twice;
    if (input->request->resident)
        return 0;
    for (size_t i = 0; i < input->count; i++)
        if (dt2_streams(input, draft->targets[draft->owner[i]].device))
            largest = dt2_max(largest, dt2_block_cost(input, i, input->compute));
    if (largest == 0 || input->request->window_bytes)
        return largest ? dt2_max(largest, input->request->window_bytes) : 0;
    return dt2_mul_overflows(largest, 2, &twice) ? UINT64_MAX : twice;
}

/* What a target takes of its device: tensors, what the driver takes once, and the window on the compute device. */
static uint64_t target_cost(const struct dt2_draft *draft, const struct dt2_target *target)
{
    const struct dt2_input *input = draft->input;
    uint64_t window = target->device == input->compute ? draft->window : 0, cost;
    uint64_t fixed = target->bytes || window ? input->devices->devices[target->device].fixed_bytes : 0;
    /* what a larger alignment than the device's takes at the beginning of its memory */
    uint64_t begin = target->bytes ? dt2_sub_floor(input->request->alignment_bytes,
                                                   input->devices->devices[target->device].alignment_bytes) : 0;
    if (dt2_add_overflows(target->cost, window, &cost) || dt2_add_overflows(cost, fixed + begin, &cost))
        return UINT64_MAX;
    return cost;
}

static void charge(const struct dt2_draft *draft, struct dt2_capacity *capacity)
{
    const struct dt2_input *input = draft->input;
    bool compute_listed = false;
    dt2_capacity_reset(capacity);
    for (size_t i = 0; i < draft->target_count; i++) {
        compute_listed |= draft->targets[i].device == input->compute;
        dt2_capacity_charge(capacity, draft->targets[i].device, target_cost(draft, &draft->targets[i]));
    }
    if (!compute_listed && draft->window) {
        struct dt2_target window_only = { .device = input->compute };
        dt2_capacity_charge(capacity, input->compute, target_cost(draft, &window_only));
    }
}

/* The first block with a tensor above the largest allocation of where it lies, whatever is free there; the count: none. */
static size_t find_too_large(const struct dt2_draft *draft, uint64_t *bytes)
{
    const struct dt2_input *input = draft->input;
    for (size_t i = 0; i < input->count; i++)
        if (dt2_block_is_too_large(&input->blocks[i], &input->devices->devices[draft->targets[draft->owner[i]].device], bytes))
            return i;
    return input->count;
}

bool dt2_block_is_too_large(const struct dt2_block *block, const struct dt2_device *device, uint64_t *bytes)
{
    for (size_t j = 0; device->max_alloc_bytes != DT2_UNKNOWN && j < dt2_block_tensors(block); j++) {
        *bytes = dt2_block_tensor_bytes(block, j);
        if (*bytes > device->max_alloc_bytes)
            return true;
    }
    return false;
}

void dt2_draft_charge(struct dt2_draft *draft, struct dt2_capacity *capacity)
{
    draft->window = window_bytes(draft);
    charge(draft, capacity);
}

bool dt2_draft_fits(const struct dt2_draft *draft, const struct dt2_capacity *capacity)
{
    uint64_t bytes;
    return dt2_capacity_short(capacity) == capacity->count && find_too_large(draft, &bytes) == draft->input->count;
}

int dt2_draft_check(const struct dt2_draft *draft, const struct dt2_capacity *capacity, struct dt2_error *err)
{
    const struct dt2_input *input = draft->input;
    struct dt2_text text = { 0 };
    uint64_t bytes;
    size_t large = find_too_large(draft, &bytes);
    dt2_capacity_tell(capacity, &text);
    if (large < input->count) {
        const struct dt2_device *device = &input->devices->devices[draft->targets[draft->owner[large]].device];
        dt2_text_addf(&text, "%sa tensor of %" PRIu64 " bytes in block %s is %" PRIu64
                      " bytes above the largest allocation of %s, %" PRIu64, text.length ? "; " : "", bytes,
                      input->blocks[large].name, bytes - device->max_alloc_bytes, device->name, device->max_alloc_bytes);
    }
    if (text.length == 0 && !text.failed)
        return 0;
    DT2_AUTO char *words = dt2_text_take(&text);
    return words ? dt2_fail(err, DT2_ENOFIT, "does not fit: %s", words) : dt2_fail_nomem(err);
}

/*
 * A node that computes holds the window too, and how large that is shows when all is placed: then all is placed again, with room
 * left for it. What is left only grows, and not beyond the largest block's window.
 */
static int place(struct dt2_draft *draft, struct dt2_error *err)
{
    const struct dt2_input *input = draft->input;
    const struct dt2_device *compute = &input->devices->devices[input->compute];
    for (;;) {
        int rc = dt2_draft_place(draft, err);
        if (rc < 0 || dt2_device_host_node(compute) < 0)
            return rc;
        draft->window = window_bytes(draft);
        struct dt2_target beside = { .device = input->compute, .bytes = 1 };
        uint64_t needed = target_cost(draft, &beside);
        if (draft->window == 0 || needed <= draft->beside)
            return 0;
        draft->beside = needed;
    }
}

int dt2_draft_make(const struct dt2_input *input, uint64_t virtual_vram_bytes, struct dt2_capacity *capacity,
                   struct dt2_warnings *warnings, struct dt2_draft *draft, struct dt2_error *err)
{
    *draft = (struct dt2_draft){ .input = input, .virtual_vram_bytes = virtual_vram_bytes };
    int rc = dt2_claims_make(draft, capacity, warnings, err);
    if (rc == 0)
        rc = place(draft, err);
    if (rc < 0)
        dt2_draft_clear(draft);
    else
        dt2_draft_charge(draft, capacity);
    return rc;
}

/* -- warnings ------------------------------------------------------------------------------------------------ */

static int warn_shares(const struct dt2_draft *draft, struct dt2_warnings *warnings, struct dt2_error *err)
{
    const struct dt2_input *input = draft->input;
    /* Who keeps all on the compute device, and names no donor, is not told that there was nothing for the donor. */
    bool no_donor_asked = draft->virtual_only && draft->virtual_vram_bytes == 0 && !input->request->donor_device;
    int rc = 0;
    uint64_t absorbed = 0;
    for (size_t i = 0; i < draft->claim_count && rc == 0; i++) {
        const struct dt2_claim *claim = &draft->claims[i];
        const char *name = input->devices->devices[claim->device].name;
        uint64_t bytes = 0;
        for (size_t j = 0; j < claim->target_count; j++)
            bytes += draft->targets[claim->first_target + j].bytes;
        if (i == draft->absorber)
            absorbed = bytes;
        if (i == draft->absorber && bytes == 0 && input->model_bytes > 0 && !no_donor_asked)
            rc = dt2_warnings_add(warnings, err, "%s gets nothing: the other shares take the whole model", name);
        else if (claim->expected != DT2_UNKNOWN && bytes > claim->expected)
            rc = dt2_warnings_add(warnings, err, "%s takes the rest, %" PRIu64 " bytes: more than the %" PRIu64 " expected",
                               name, bytes, claim->expected);
    }
    /* With nothing left for who absorbs, a share below its quota lacked blocks, not room. */
    for (size_t i = 0; i < draft->target_count && rc == 0 && absorbed == 0; i++) {
        const struct dt2_target *target = &draft->targets[i];
        if (!target->absorbs && target->bytes < target->quota)
            rc = dt2_warnings_add(warnings, err, "%s gets %" PRIu64 " of its %" PRIu64 " bytes: no block is left",
                               input->devices->devices[target->device].name, target->bytes, target->quota);
    }
    return rc;
}

static int warn_budgets(const struct dt2_capacity *capacity, struct dt2_warnings *warnings, struct dt2_error *err)
{
    for (size_t i = 0; i < capacity->count; i++) {
        const struct dt2_room *room = &capacity->rooms[i];
        const char *name = capacity->devices->budgets[i].name;
        if (!room->charged && room->named &&
            dt2_warnings_add(warnings, err, "nothing is placed on %s: its reserve or budget plays no part", name) < 0)
            return DT2_ENOMEM;
        if (!room->charged || !room->assumed || room->outright)
            continue;
        int rc = room->free == DT2_UNKNOWN
                     ? dt2_warnings_add(warnings, err, "neither total nor free memory of %s is known: nothing limits it", name)
                     : dt2_warnings_add(warnings, err, "free memory of %s is unknown: its total, %" PRIu64 " bytes, is assumed",
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
    for (size_t i = 0; i < plan->kept.count; i++) {
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

static bool same_or_null(const char *copy, const char *text)
{
    return copy || !text;
}

/* What the devices of a draft are: those of its targets, and the one that computes. */
static bool identify(const struct dt2_draft *draft, struct dt2_plan *plan)
{
    const struct dt2_input *input = draft->input;
    plan->identities = dt2_alloc(draft->target_count + 1, sizeof *plan->identities);
    for (size_t i = 0; plan->identities && i <= draft->target_count; i++) {
        size_t index = i < draft->target_count ? draft->targets[i].device : input->compute;
        const struct dt2_device *device = &input->devices->devices[index];
        bool listed = false;
        for (size_t j = 0; j < plan->identity_count && !listed; j++)
            listed = strcmp(plan->identities[j].name, device->name) == 0;
        if (listed)
            continue;
        struct dt2_identified *made = &plan->identities[plan->identity_count++];
        *made = (struct dt2_identified){ dt2_strdup(device->name), dt2_strdup(device->model), dt2_strdup(device->pci),
                                         dt2_strdup(device->uuid), device->total_bytes };
        if (!made->name || !same_or_null(made->model, device->model) || !same_or_null(made->pci, device->pci) ||
            !same_or_null(made->uuid, device->uuid))
            return false;
    }
    return plan->identities;
}

/* Of the budget that has the device's own name, which each names first. */
static uint64_t reserve_of(const struct dt2_capacity *capacity, size_t device)
{
    for (size_t i = 0; i < capacity->count; i++)
        if (strcmp(capacity->devices->budgets[i].name, capacity->devices->devices[device].name) == 0)
            return capacity->rooms[i].reserve;
    return 0;
}

static int plan_fill(const struct dt2_draft *draft, const struct dt2_capacity *capacity, struct dt2_plan *plan,
                     struct dt2_error *err)
{
    const struct dt2_input *input = draft->input;
    plan->share_count = draft->target_count;
    plan->model_bytes = input->model_bytes;
    plan->window_bytes = draft->window;
    plan->alignment_bytes = input->request->alignment_bytes;
    plan->padding_bytes = input->request->padding_bytes;
    plan->resident = input->request->resident;
    plan->compute_left_bytes = dt2_capacity_left(capacity, input->compute);
    plan->shares = dt2_alloc(draft->target_count, sizeof *plan->shares);
    plan->blocks = dt2_alloc(input->count, sizeof *plan->blocks);
    plan->owner = dt2_alloc(input->count, sizeof *plan->owner);
    plan->compute_device = dt2_strdup(input->devices->devices[input->compute].name);
    plan->request_json = dt2_request_json(input->request);
    bool good = plan->shares && plan->blocks && plan->owner && plan->compute_device && plan->request_json &&
                copy_charges(capacity, plan) && identify(draft, plan) &&
                dt2_kept_blocks_copy(input->blocks, input->count, &plan->kept, err) == 0;
    for (size_t i = 0; good && i < draft->target_count; i++) {
        const struct dt2_target *target = &draft->targets[i];
        plan->shares[i] = (struct dt2_share){
            .device = dt2_strdup(input->devices->devices[target->device].name),
            .quota_bytes = target->wildcard ? DT2_UNKNOWN : target->quota,
            .bytes = target->bytes,
            .cost_bytes = target_cost(draft, target),
            .absorbs = target->absorbs,
            .reserve_bytes = reserve_of(capacity, target->device),
        };
        good = plan->shares[i].device != NULL;
    }
    if (!good)
        return dt2_fail_nomem(err);
    list_blocks(draft, plan);
    return dt2_plan_keep_request(plan, input->request, err);
}

/* Below 0: what lies there does not stream. */
static double stream_gbps(const struct dt2_draft *draft, size_t target)
{
    const struct dt2_input *input = draft->input;
    size_t device = draft->targets[target].device;
    if (draft->window == 0 || draft->targets[target].bytes == 0 || !dt2_streams(input, device))
        return -1;
    const struct dt2_way way = dt2_cost_way(input->devices, device, input->compute);
    return dt2_way_gbps(&way);
}

static int predict(const struct dt2_draft *draft, struct dt2_plan *plan, struct dt2_error *err)
{
    DT2_AUTO double *warm = dt2_alloc(plan->share_count, sizeof *warm);
    DT2_AUTO double *cold = dt2_alloc(plan->share_count, sizeof *cold);
    if (!warm || !cold)
        return dt2_fail_nomem(err);
    int rc = dt2_predict(draft, &plan->prediction, warm, cold, err);
    for (size_t i = 0; rc == 0 && i < plan->share_count; i++) {
        plan->shares[i].load_seconds = warm[i];
        plan->shares[i].load_cold_seconds = cold[i];
        plan->shares[i].stream_gbps = stream_gbps(draft, i);
    }
    plan->predicted = rc == 0;
    return rc;
}

int dt2_plan_finish(const struct dt2_draft *draft, struct dt2_input *input, struct dt2_plan **plan, struct dt2_error *err)
{
    struct dt2_plan *made = dt2_alloc(1, sizeof *made);
    if (!made)
        return dt2_fail_nomem(err);
    int rc = plan_fill(draft, &input->capacity, made, err);
    if (rc == 0)
        rc = predict(draft, made, err);
    if (rc < 0) {
        dt2_plan_free(made);
        return rc;
    }
    made->warnings = input->warnings;
    input->warnings = (struct dt2_warnings){ 0 };
    *plan = made;
    return 0;
}

static int finish_with_notes(const struct dt2_draft *draft, struct dt2_input *input, struct dt2_plan **plan,
                             struct dt2_error *err)
{
    int rc = warn_shares(draft, &input->warnings, err);
    if (rc == 0)
        rc = warn_budgets(&input->capacity, &input->warnings, err);
    return rc == 0 ? dt2_plan_finish(draft, input, plan, err) : rc;
}

void dt2_shortage_of(const struct dt2_capacity *capacity, struct dt2_shortage *shortage)
{
    size_t index = dt2_capacity_short(capacity);
    if (index == capacity->count)
        return;
    snprintf(shortage->name, sizeof shortage->name, "%s", capacity->devices->budgets[index].name);
    shortage->bytes = capacity->rooms[index].charged - capacity->rooms[index].available;
}

/* What was refused, with the request changed so that it fits; the plan says what was changed. */
static int fit(const struct dt2_draft *draft, const struct dt2_remedy *remedy, struct dt2_plan **plan, struct dt2_error *err)
{
    const struct dt2_input *input = draft->input;
    struct dt2_shortage none;
    struct dt2_request changed = dt2_remedy_apply(remedy, input->request);
    struct dt2_plan *made = NULL;
    struct dt2_error refused;
    changed.flags &= ~(uint64_t)DT2_REQUEST_FIT;
    dt2_draft_check(draft, &input->capacity, &refused);
    int rc = dt2_plan_decide(input->devices, input->blocks, input->count, &changed, &made, &none, err);
    if (rc == 0)
        rc = dt2_plan_tell_fitted(made, remedy, input->request, refused.text, err);
    if (rc == 0)
        *plan = DT2_TAKE(made);
    dt2_plan_free(made);
    return rc;
}

/* A draft that does not fit: another is taken, where the request says so, or suggested. */
static int mend(const struct dt2_draft *draft, struct dt2_plan **plan, struct dt2_shortage *shortage, struct dt2_error *err)
{
    const struct dt2_input *input = draft->input;
    struct dt2_remedy remedy = { .expert = NULL };
    bool wanted = input->request->flags & DT2_REQUEST_FIT, found = (wanted || err) && dt2_remedy_find(draft, &remedy);
    int rc;
    if (wanted && found) {
        *shortage = (struct dt2_shortage){ .bytes = 0 };
        rc = fit(draft, &remedy, plan, err);
    } else {
        rc = dt2_draft_check(draft, &input->capacity, err);
        dt2_remedy_suggest(&remedy, found, draft, err);
    }
    dt2_remedy_clear(&remedy);
    return rc;
}

int dt2_plan_decide(const struct dt2_devices *devices, const struct dt2_block *blocks, size_t count,
                    const struct dt2_request *request, struct dt2_plan **plan, struct dt2_shortage *shortage,
                    struct dt2_error *err)
{
    struct dt2_request read;
    struct dt2_input input;
    struct dt2_draft draft;
    *shortage = (struct dt2_shortage){ .bytes = 0 };
    int rc = dt2_request_read(request, &read, err);
    if (rc == 0)
        rc = dt2_input_make(devices, blocks, count, &read, &input, err);
    if (rc < 0)
        return rc;
    bool chosen = read.flags & DT2_REQUEST_AUTO;
    rc = chosen ? dt2_auto_begin(&input, &draft, err)
                : dt2_draft_make(&input, input.virtual_vram_bytes, &input.capacity, &input.warnings, &draft, err);
    if (rc == 0 && chosen)
        rc = dt2_auto_improve(&input, &draft, err);
    if (rc == 0) {
        dt2_shortage_of(&input.capacity, shortage);
        rc = dt2_draft_fits(&draft, &input.capacity) ? finish_with_notes(&draft, &input, plan, err)
                                                     : mend(&draft, plan, shortage, err);
        dt2_draft_clear(&draft);
    }
    dt2_input_clear(&input);
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
    for (size_t i = 0; i < plan->charge_count; i++)
        dt2_release(plan->charges[i].budget);
    dt2_release(plan->shares);
    dt2_release(plan->blocks);
    dt2_release(plan->owner);
    dt2_kept_blocks_clear(&plan->kept);
    dt2_release(plan->charges);
    dt2_release(plan->compute_device);
    dt2_release(plan->request_json);
    dt2_release(plan->fitted_json);
    for (size_t i = 0; i < plan->identity_count; i++) {
        dt2_release(plan->identities[i].name);
        dt2_release(plan->identities[i].model);
        dt2_release(plan->identities[i].pci);
        dt2_release(plan->identities[i].uuid);
    }
    dt2_release(plan->identities);
    dt2_plan_forget_request(plan);
    dt2_warnings_clear(&plan->warnings);
    dt2_release(plan);
}

/* Whether a block could be one of the file's: its tensors are there, with the bytes and names that it tells. */
static bool is_of_file(const struct dt2_block *block, const struct dt2_file *file)
{
    for (size_t i = 0; block->tensors && i < block->tensor_count; i++) {
        const struct dt2_tensor *tensor = dt2_file_tensor(file, block->tensors[i]);
        if (!tensor || (block->tensor_names && strcmp(tensor->name, block->tensor_names[i]) != 0) ||
            dt2_file_own_bytes(file, block->tensors[i]) != block->tensor_bytes[i])
            return false;
    }
    return true;
}

int dt2_plan_check(const struct dt2_plan *plan, const struct dt2_file *file, struct dt2_error *err)
{
    bool lists = false;
    for (size_t i = 0; i < plan->kept.count; i++) {
        lists |= plan->kept.blocks[i].tensors != NULL;
        if (!is_of_file(&plan->kept.blocks[i], file))
            return dt2_fail(err, DT2_EUSAGE, "the plan is not for %s: block %s has other tensors there",
                            dt2_file_path(file), plan->kept.blocks[i].name);
    }
    if (lists || plan->model_bytes == dt2_file_total_bytes(file))
        return 0;
    return dt2_fail(err, DT2_EUSAGE, "the plan is not for %s: it places %" PRIu64 " bytes, the file has %" PRIu64,
                    dt2_file_path(file), plan->model_bytes, dt2_file_total_bytes(file));
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

size_t dt2_plan_own_share(const struct dt2_plan *plan)
{
    for (size_t i = 0; i < plan->share_count; i++)
        if (strcmp(plan->shares[i].device, plan->compute_device) == 0)
            return i;
    return SIZE_MAX;
}

uint64_t dt2_plan_window_bytes(const struct dt2_plan *plan)
{
    return plan->window_bytes;
}

const struct dt2_prediction *dt2_plan_prediction(const struct dt2_plan *plan)
{
    return plan->predicted ? &plan->prediction : NULL;
}

size_t dt2_plan_block_share(const struct dt2_plan *plan, size_t block)
{
    return block < plan->kept.count ? plan->owner[block] : SIZE_MAX;
}

size_t dt2_plan_warning_count(const struct dt2_plan *plan)
{
    return plan->warnings.count;
}

const char *dt2_plan_warning(const struct dt2_plan *plan, size_t index)
{
    return index < plan->warnings.count ? plan->warnings.items[index] : NULL;
}
