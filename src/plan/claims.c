/* SPDX-License-Identifier: BSD-3-Clause */
/* The modes: how a request becomes quotas in order, and which of them absorbs. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "plan/draft.h"
#include <inttypes.h>
#include <string.h>

bool dt2_block_is_small(const struct dt2_block *block, uint64_t model_bytes)
{
    return block->bytes < UINT64_MAX / 10000 && block->bytes * 10000 < model_bytes;
}

static uint64_t add_capped(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return dt2_add_overflows(a, b, &sum) ? UINT64_MAX : sum;
}

static int add_claim(struct dt2_draft *draft, size_t device, uint64_t quota, struct dt2_error *err)
{
    if (!DT2_GROW(draft->claims, draft->claim_count, draft->claim_capacity))
        return dt2_fail_nomem(err);
    draft->claims[draft->claim_count++] =
        (struct dt2_claim){ .device = device, .quota = quota, .expected = DT2_UNKNOWN, .limit = DT2_UNKNOWN };
    return 0;
}

/* The claim of a device; DT2_NONE when it has none. */
static size_t claim_of(const struct dt2_draft *draft, size_t device)
{
    for (size_t i = 0; i < draft->claim_count; i++)
        if (draft->claims[i].device == device)
            return i;
    return DT2_NONE;
}

/* What a device's budgets still hold for tensors: quotas were charged, what the driver takes once was not. */
static uint64_t room_of(const struct dt2_draft *draft, const struct dt2_capacity *capacity, size_t device)
{
    const struct dt2_devices *devices = draft->input->devices;
    const struct dt2_device *d = &devices->devices[device];
    uint64_t left = dt2_capacity_left(capacity, device);
    if (dt2_device_is_host(d) && dt2_device_host_node(d) < 0) {
        uint64_t nodes = 0;
        bool several = false;
        for (size_t i = 0; i < devices->count; i++)
            if (dt2_device_host_node(&devices->devices[i]) >= 0) {
                several = true;
                nodes = add_capped(nodes, dt2_capacity_left(capacity, i));
            }
        if (several)
            left = dt2_min(left, nodes);
    }
    return left == DT2_UNKNOWN ? left : dt2_sub_floor(left, d->fixed_bytes);
}

/*
 * Gives `bytes` to the donors in order: each but the last takes what its budgets hold, the last the rest, and who got
 * something last absorbs. With no donor the compute device takes it. `keep_empty` lists also donors that get nothing.
 */
static int give_to_donors(struct dt2_draft *draft, struct dt2_capacity *capacity, uint64_t bytes, bool keep_empty,
                          struct dt2_error *err)
{
    const struct dt2_input *input = draft->input;
    const size_t *donors = input->donor_count ? input->donors : &input->compute;
    size_t count = input->donor_count ? input->donor_count : 1;
    for (size_t i = 0; i < count; i++) {
        bool last = i + 1 == count;
        uint64_t room = room_of(draft, capacity, donors[i]);
        uint64_t part = last ? bytes : dt2_min(bytes, room);
        if (part == 0 && !keep_empty)
            continue;
        size_t claim = claim_of(draft, donors[i]);
        if (claim == DT2_NONE) {
            int rc = add_claim(draft, donors[i], 0, err);
            if (rc < 0)
                return rc;
            claim = draft->claim_count - 1;
        }
        struct dt2_claim *c = &draft->claims[claim];
        if (!last)
            c->limit = add_capped(room, c->quota);
        c->quota = add_capped(c->quota, part);
        dt2_capacity_charge(capacity, donors[i], part);
        draft->absorber = claim;
        bytes -= part;
    }
    return 0;
}

/* No expert string: the compute device keeps the small blocks and what V leaves, the donors take the rest. */
static int claim_virtual(struct dt2_draft *draft, struct dt2_capacity *capacity, struct dt2_warnings *warnings,
                         struct dt2_error *err)
{
    const struct dt2_input *input = draft->input;
    uint64_t small = 0;
    for (size_t i = 0; i < input->count; i++)
        if (dt2_block_is_small(&input->blocks[i], input->model_bytes))
            small += input->blocks[i].bytes;
    draft->virtual_only = draft->virtual_counts = true;
    draft->absorber = 0;
    uint64_t quota = dt2_max(dt2_sub_floor(input->model_bytes, draft->virtual_vram_bytes), small);
    if (input->donor_count == 0) {
        bool news = dt2_request_has_virtual_vram(input->request) || input->request->donor_device;
        if (draft->virtual_vram_bytes > 0 && news &&
            dt2_warnings_add(warnings, err, "no donor but the compute device itself: all stays on %s",
                          input->devices->devices[input->compute].name) < 0)
            return DT2_ENOMEM;
        return add_claim(draft, input->compute, input->model_bytes, err);
    }
    int rc = add_claim(draft, input->compute, quota, err);
    if (rc < 0)
        return rc;
    dt2_capacity_charge(capacity, input->compute, quota);
    return give_to_donors(draft, capacity, input->model_bytes - quota, true, err);
}

/* An entry's quota in bytes; a wildcard's is not known yet. */
static int entry_quota(const struct dt2_input *input, size_t index, const struct dt2_decimal *ratio_sum, uint64_t *quota,
                       struct dt2_error *err)
{
    const struct dt2_decimal one = dt2_decimal_of(1);
    const struct dt2_allocation *entry = &input->entries.items[index];
    bool fits = true;
    *quota = 0;
    if (entry->amount == DT2_AMOUNT_BYTES)
        *quota = entry->bytes;
    else if (entry->amount == DT2_AMOUNT_PERCENT)
        fits = dt2_decimal_scale(&entry->number, input->model_bytes, ratio_sum, false, quota);
    else if (entry->amount == DT2_AMOUNT_FRACTION)
        fits = dt2_decimal_scale(&entry->number, input->devices->devices[input->entry_devices[index]].total_bytes, &one,
                                 false, quota);
    if (!fits)
        return dt2_fail_caret(err, DT2_EUSAGE, input->request->expert_mode_allocations, entry->amount_at,
                              "allocation string: 2^63 bytes or more");
    return 0;
}

/* Claims for the entries as they stand. *sum is of all their quotas, *wildcard the claim that is one. */
static int claim_entries(struct dt2_draft *draft, struct dt2_capacity *capacity, uint64_t *sum, size_t *wildcard,
                         struct dt2_error *err)
{
    const struct dt2_input *input = draft->input;
    struct dt2_decimal ratio_sum = dt2_decimal_of(100);
    if (dt2_allocations_pure_ratio(&input->entries)) {
        ratio_sum = dt2_decimal_of(0);
        for (size_t i = 0; i < input->entries.count; i++)
            ratio_sum = dt2_decimal_add(&ratio_sum, &input->entries.items[i].number);
    }
    for (size_t i = 0; i < input->entries.count; i++) {
        const struct dt2_allocation *entry = &input->entries.items[i];
        uint64_t quota;
        int rc = entry_quota(input, i, &ratio_sum, &quota, err);
        if (rc == 0)
            rc = add_claim(draft, input->entry_devices[i], quota, err);
        if (rc < 0)
            return rc;
        if (entry->amount == DT2_AMOUNT_WILDCARD) {
            *wildcard = draft->claim_count - 1;
            draft->claims[*wildcard].wildcard = true;
            draft->claims[*wildcard].expected = entry->bytes;
        }
        dt2_capacity_charge(capacity, input->entry_devices[i], quota);
        *sum = add_capped(*sum, quota);
    }
    return 0;
}

/* Whether the string names the compute device: then, or with a wildcard or ratios alone, it decides everything. */
static bool names_compute(const struct dt2_input *input)
{
    const struct dt2_device *compute = &input->devices->devices[input->compute];
    for (size_t i = 0; i < input->entries.count; i++) {
        const struct dt2_device *device = &input->devices->devices[input->entry_devices[i]];
        bool node_of_compute = dt2_device_is_host(compute) && dt2_device_host_node(compute) < 0 &&
                               dt2_device_host_node(device) >= 0;
        if (input->entry_devices[i] == input->compute || node_of_compute)
            return true;
    }
    return false;
}

static size_t last_with_quota(const struct dt2_draft *draft)
{
    for (size_t i = draft->claim_count; i-- > 0;)
        if (draft->claims[i].quota > 0)
            return i;
    return draft->claim_count - 1;
}

/* The string decides alone. */
static int claim_complete(struct dt2_draft *draft, struct dt2_capacity *capacity, struct dt2_warnings *warnings,
                          struct dt2_error *err)
{
    const struct dt2_input *input = draft->input;
    uint64_t sum = 0;
    size_t wildcard = DT2_NONE;
    int rc = claim_entries(draft, capacity, &sum, &wildcard, err);
    if (rc < 0)
        return rc;
    if (draft->virtual_vram_bytes > 0 && dt2_request_has_virtual_vram(input->request) &&
        dt2_warnings_add(warnings, err, "virtual VRAM is not used: the expert string decides alone") < 0)
        return DT2_ENOMEM;
    uint64_t remainder = dt2_sub_floor(input->model_bytes, sum);
    if (wildcard != DT2_NONE) {
        draft->absorber = wildcard;
        draft->claims[wildcard].quota = remainder;
        return 0;
    }
    draft->absorber = last_with_quota(draft);
    if (remainder == 0 || dt2_allocations_pure_ratio(&input->entries))
        return 0;
    return give_to_donors(draft, capacity, remainder, false, err);
}

/* The string says what others get, virtual VRAM how much leaves the compute device in all. */
static int claim_mixed(struct dt2_draft *draft, struct dt2_capacity *capacity, struct dt2_error *err)
{
    const struct dt2_input *input = draft->input;
    uint64_t sum = 0;
    size_t wildcard = DT2_NONE;
    draft->virtual_counts = true;
    int rc = add_claim(draft, input->compute, 0, err);
    if (rc == 0)
        rc = claim_entries(draft, capacity, &sum, &wildcard, err);
    if (rc < 0)
        return rc;
    draft->absorber = 0;
    draft->claims[0].quota = dt2_sub_floor(input->model_bytes, dt2_max(draft->virtual_vram_bytes, sum));
    dt2_capacity_charge(capacity, input->compute, draft->claims[0].quota);
    if (draft->virtual_vram_bytes <= sum)
        return 0;
    return give_to_donors(draft, capacity, draft->virtual_vram_bytes - sum, false, err);
}

/* A device that the request places blocks on has a claim: of these alone, when it would have none. */
static int claim_placed(struct dt2_draft *draft, struct dt2_error *err)
{
    const struct dt2_input *input = draft->input;
    for (size_t i = 0; i < input->count; i++) {
        size_t device = dt2_placed(input, i);
        if (device == DT2_NONE)
            continue;
        bool node = dt2_device_host_node(&input->devices->devices[device]) >= 0, known = false;
        for (size_t j = 0; j < draft->claim_count && !known; j++) {
            const struct dt2_device *its = &input->devices->devices[draft->claims[j].device];
            known = draft->claims[j].device == device || (node && strcmp(its->name, "cpu") == 0);
        }
        int rc = known ? 0 : add_claim(draft, device, 0, err);
        if (rc < 0)
            return rc;
        if (!known)
            draft->claims[draft->claim_count - 1].placed = true;
    }
    for (size_t i = 0; i < input->count; i++)
        for (size_t j = 0; j < draft->claim_count; j++)
            if (draft->claims[j].placed && draft->claims[j].device == dt2_placed(input, i))
                draft->claims[j].quota = add_capped(draft->claims[j].quota, input->blocks[i].bytes);
    return 0;
}

static int claim_by_mode(struct dt2_draft *draft, struct dt2_capacity *capacity, struct dt2_warnings *warnings,
                         struct dt2_error *err)
{
    const struct dt2_allocations *entries = &draft->input->entries;
    if (entries->count == 0)
        return claim_virtual(draft, capacity, warnings, err);
    bool wildcard = false;
    for (size_t i = 0; i < entries->count; i++)
        wildcard |= entries->items[i].amount == DT2_AMOUNT_WILDCARD;
    if (wildcard || dt2_allocations_pure_ratio(entries) || names_compute(draft->input))
        return claim_complete(draft, capacity, warnings, err);
    return claim_mixed(draft, capacity, err);
}

int dt2_claims_make(struct dt2_draft *draft, struct dt2_capacity *capacity, struct dt2_warnings *warnings,
                    struct dt2_error *err)
{
    dt2_capacity_reset(capacity);
    int rc = claim_by_mode(draft, capacity, warnings, err);
    return rc < 0 ? rc : claim_placed(draft, err);
}
