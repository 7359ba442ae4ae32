/* SPDX-License-Identifier: BSD-3-Clause */
/* A plan that was made, applied later: the same shares, budgeted afresh. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include "plan/plan.h"
#include <inttypes.h>
#include <string.h>

/* -- the request that it came from -------------------------------------------------------------------------------- */

static int keep_limits(const struct dt2_limit *from, size_t count, struct dt2_limit **kept, size_t *kept_count)
{
    struct dt2_limit *made = *kept = dt2_alloc(count, sizeof *made);
    if (!made)
        return DT2_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        made[i] = (struct dt2_limit){ dt2_strdup(from[i].name), from[i].bytes };
        if (!made[i].name)
            return DT2_ENOMEM;
        ++*kept_count;
    }
    return 0;
}

int dt2_plan_keep_request(struct dt2_plan *plan, const struct dt2_request *request, struct dt2_error *err)
{
    plan->eject_models = request->eject_models;
    plan->share = request->share;
    if (keep_limits(request->reserves, request->reserve_count, &plan->reserves, &plan->reserve_count) < 0 ||
        keep_limits(request->budgets, request->budget_count, &plan->budgets, &plan->budget_count) < 0)
        return dt2_fail_nomem(err);
    return 0;
}

void dt2_plan_forget_request(struct dt2_plan *plan)
{
    for (size_t i = 0; i < plan->reserve_count; i++)
        dt2_release((void *)(uintptr_t)plan->reserves[i].name);
    for (size_t i = 0; i < plan->budget_count; i++)
        dt2_release((void *)(uintptr_t)plan->budgets[i].name);
    dt2_release(plan->reserves);
    dt2_release(plan->budgets);
}

struct dt2_request dt2_plan_request(const struct dt2_plan *plan)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    request.compute_device = plan->compute_device;
    request.eject_models = plan->eject_models;
    request.share = plan->share;
    request.reserves = plan->reserves;
    request.reserve_count = plan->reserve_count;
    request.budgets = plan->budgets;
    request.budget_count = plan->budget_count;
    request.alignment_bytes = plan->alignment_bytes;
    request.padding_bytes = plan->padding_bytes;
    request.resident = plan->resident;
    return request;
}

/* -- the same shares ------------------------------------------------------------------------------------------------ */

static int check_blocks(const struct dt2_plan *plan, const struct dt2_block *blocks, size_t count, struct dt2_error *err)
{
    size_t i = 0;
    while (i < count && i < plan->kept.count && dt2_block_equal(&blocks[i], &plan->kept.blocks[i]))
        i++;
    if (i == count && i == plan->kept.count)
        return 0;
    return dt2_fail(err, DT2_EUSAGE,
                    "the plan was made for other blocks: of its %zu the one at %zu is %s, of the %zu given it is %s",
                    plan->kept.count, i, i < plan->kept.count ? plan->kept.blocks[i].name : "none", count,
                    i < count ? blocks[i].name : "none");
}

static void differ(struct dt2_text *words, const char *name, const char *what, const char *planned, const char *found)
{
    if (planned && found && strcmp(planned, found) != 0)
        dt2_text_addf(words, "%s%s has %s %s instead of %s", words->length ? "; " : "", name, what, found, planned);
}

/* A plan that was carried here is for its devices alone: all in which others are there now is named. What a system has of host
 * memory changes a little with its kernel: that its budget holds the plan is enough. */
static int check_identities(const struct dt2_plan *plan, const struct dt2_devices *devices, struct dt2_error *err)
{
    struct dt2_text words = { 0 };
    for (size_t i = 0; plan->carried && i < plan->identity_count; i++) {
        const struct dt2_identified *planned = &plan->identities[i];
        size_t index;
        if (dt2_devices_find(devices, planned->name, &index, NULL) < 0) {
            dt2_text_addf(&words, "%s%s is not there", words.length ? "; " : "", planned->name);
            continue;
        }
        const struct dt2_device *device = &devices->devices[index];
        differ(&words, planned->name, "the UUID", planned->uuid, device->uuid);
        differ(&words, planned->name, "the address", planned->pci, device->pci);
        if (dt2_device_is_host(device))
            continue;
        differ(&words, planned->name, "the model", planned->model, device->model);
        if (planned->total_bytes != DT2_UNKNOWN && device->total_bytes != DT2_UNKNOWN &&
            planned->total_bytes != device->total_bytes)
            dt2_text_addf(&words, "%s%s has %" PRIu64 " bytes instead of %" PRIu64, words.length ? "; " : "", planned->name,
                          device->total_bytes, planned->total_bytes);
    }
    if (words.length == 0 && !words.failed)
        return 0;
    DT2_AUTO char *list = dt2_text_take(&words);
    return list ? dt2_fail(err, DT2_EUSAGE, "the plan was made for other devices: %s", list) : dt2_fail_nomem(err);
}

/* Targets and owners as the plan has its shares. */
static int draw(const struct dt2_plan *plan, struct dt2_draft *draft, struct dt2_error *err)
{
    const struct dt2_input *input = draft->input;
    draft->targets = dt2_alloc(plan->share_count, sizeof *draft->targets);
    draft->owner = dt2_alloc(input->count, sizeof *draft->owner);
    if (!draft->targets || !draft->owner)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < plan->share_count; i++) {
        const struct dt2_share *share = &plan->shares[i];
        struct dt2_target *target = &draft->targets[draft->target_count++];
        *target = (struct dt2_target){ .quota = share->quota_bytes, .limit = DT2_UNKNOWN, .absorbs = share->absorbs };
        target->wildcard = share->quota_bytes == DT2_UNKNOWN;
        int rc = dt2_devices_find(input->devices, share->device, &target->device, err);
        if (rc < 0)
            return dt2_fail_prefix(err, rc, "the plan cannot be applied: ");
        for (size_t j = 0; j < share->block_count; j++) {
            const struct dt2_block *block = &input->blocks[share->blocks[j]];
            draft->owner[share->blocks[j]] = i;
            target->bytes += block->bytes;
            if (dt2_add_overflows(target->cost, dt2_block_cost(input, share->blocks[j], target->device),
                                  &target->cost))
                target->cost = UINT64_MAX;
            target->blocks++;
        }
    }
    return 0;
}

/* But whom it would eject is decided anew. */
static int copy_warnings(const struct dt2_warnings *from, struct dt2_warnings *to, struct dt2_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < from->count; i++)
        if (strncmp(from->items[i], DT2_WARNING_EJECTED, strlen(DT2_WARNING_EJECTED)) != 0)
            rc = dt2_warnings_add(to, err, "%s", from->items[i]);
    return rc;
}

int dt2_plan_again(const struct dt2_devices *devices, const struct dt2_block *blocks, size_t count,
                   const struct dt2_plan *plan, const struct dt2_request *request, struct dt2_plan **again,
                   struct dt2_shortage *shortage, struct dt2_error *err)
{
    struct dt2_input input;
    *shortage = (struct dt2_shortage){ .bytes = 0 };
    int rc = check_blocks(plan, blocks, count, err);
    if (rc == 0)
        rc = check_identities(plan, devices, err);
    if (rc == 0)
        rc = dt2_input_make(devices, blocks, count, request, &input, err);
    if (rc < 0)
        return rc;
    struct dt2_draft draft = { .input = &input };
    rc = draw(plan, &draft, err);
    if (rc == 0) {
        dt2_draft_charge(&draft, &input.capacity);
        dt2_shortage_of(&input.capacity, shortage);
        rc = dt2_draft_check(&draft, &input.capacity, err);
    }
    dt2_warnings_clear(&input.warnings);
    if (rc == 0)
        rc = copy_warnings(&plan->warnings, &input.warnings, err);
    if (rc == 0)
        rc = dt2_plan_finish(&draft, &input, again, err);
    dt2_draft_clear(&draft);
    dt2_input_clear(&input);
    return rc;
}
