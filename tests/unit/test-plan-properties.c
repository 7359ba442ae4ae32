/* SPDX-License-Identifier: BSD-3-Clause */
/* What holds for every plan, on random machines, models and requests. */
#include "support/world.h"

/* -- the properties --------------------------------------------------------------------------------------- */

static bool is_node(const char *device)
{
    return strncmp(device, "cpu:", 4) == 0;
}

/* Every block on exactly one share, and the shares' bytes the model's. */
static const char *check_partition(const struct world *w, const struct dt2_plan *plan)
{
    unsigned seen[BLOCKS_MOST] = { 0 };
    uint64_t sum = 0;
    for (size_t i = 0; i < dt2_plan_share_count(plan); i++) {
        const struct dt2_share *share = dt2_plan_share(plan, i);
        uint64_t bytes = 0;
        size_t runs = 0;
        for (size_t j = 0; j < share->block_count; j++) {
            size_t block = share->blocks[j];
            seen[block]++;
            bytes += w->blocks[block].bytes;
            runs += j == 0 || share->blocks[j - 1] + 1 != block;
            if (j > 0 && share->blocks[j - 1] >= block)
                return "blocks are listed in execution order";
            if (dt2_plan_block_share(plan, block) != i)
                return "a block knows its share";
        }
        if (bytes != share->bytes)
            return "a share's bytes are its blocks'";
        if (runs != share->runs)
            return "runs are counted";
        sum += bytes;
    }
    for (size_t i = 0; i < w->count; i++)
        if (seen[i] != 1)
            return "every block is on exactly one share";
    return sum == w->model ? NULL : "the shares sum to the model";
}

static size_t absorbing(const struct dt2_plan *plan)
{
    for (size_t i = 0; i < dt2_plan_share_count(plan); i++)
        if (dt2_plan_share(plan, i)->absorbs)
            return i;
    return SIZE_MAX;
}

/* In expert strings without packing: one run a share, and, where no budget bounds it, short of its quota by less than a block. */
static const char *check_runs(const struct world *w, const struct dt2_plan *plan)
{
    size_t absorber = absorbing(plan), low = 0, high = w->count;
    if (absorber == SIZE_MAX)
        return "one share absorbs";
    for (size_t i = 0; i < dt2_plan_share_count(plan); i++)
        if (dt2_plan_share(plan, i)->runs > 1)
            return "a share is one run";
    for (size_t i = 0; i < absorber; i++) {
        const struct dt2_share *share = dt2_plan_share(plan, i);
        if (share->block_count && share->blocks[0] != low)
            return "shares before the absorbing one take from the front, in order";
        low += share->block_count;
        if (w->roomy && !is_node(share->device) && low < w->count && share->bytes + w->blocks[low].bytes <= share->quota_bytes)
            return "a share takes blocks while its quota holds";
    }
    for (size_t i = dt2_plan_share_count(plan); i-- > absorber + 1;) {
        const struct dt2_share *share = dt2_plan_share(plan, i);
        if (share->block_count && share->blocks[share->block_count - 1] != high - 1)
            return "shares after it take from the back, the last first";
        high -= share->block_count;
        if (w->roomy && !is_node(share->device) && high > low && share->bytes + w->blocks[high - 1].bytes <= share->quota_bytes)
            return "a share at the back takes blocks while its quota holds";
    }
    return NULL;
}

static const char *check_quotas(const struct dt2_plan *plan)
{
    for (size_t i = 0; i < dt2_plan_share_count(plan); i++) {
        const struct dt2_share *share = dt2_plan_share(plan, i);
        if (!share->absorbs && share->bytes > share->quota_bytes)
            return "a share that does not absorb stays within its quota";
    }
    return NULL;
}

/* Packed: no block of the absorbing share fits what is left of another share's quota. */
static const char *check_packed(const struct world *w, const struct dt2_plan *plan)
{
    size_t absorber = absorbing(plan);
    const struct dt2_share *from = dt2_plan_share(plan, absorber);
    for (size_t i = 0; i < from->block_count; i++)
        for (size_t j = 0; j < dt2_plan_share_count(plan); j++) {
            const struct dt2_share *to = dt2_plan_share(plan, j);
            /* a node, and a donor that its budget bounds, may lack room although the quota does not */
            if (j != absorber && !is_node(to->device) && w->roomy &&
                to->bytes + w->blocks[from->blocks[i]].bytes <= to->quota_bytes)
                return "packed: nothing fits a gap any more";
        }
    return NULL;
}

/* Virtual VRAM: small blocks stay; at least min(V, what is not small) leaves, when anything may leave. */
static const char *check_virtual(const struct world *w, const struct dt2_plan *plan)
{
    uint64_t small = 0, left = 0;
    for (size_t i = 0; i < w->count; i++) {
        bool is_small = w->blocks[i].bytes * 10000 < w->model;
        const struct dt2_share *share = dt2_plan_share(plan, dt2_plan_block_share(plan, i));
        bool stays = dt2_plan_block_share(plan, i) == 0;
        small += is_small ? w->blocks[i].bytes : 0;
        left += stays ? 0 : w->blocks[i].bytes;
        if (is_small && strcmp(w->compute, "cpu") != 0 && !stays)
            return "small blocks stay on the compute device";
        (void)share;
    }
    if (dt2_plan_share_count(plan) == 1 || strcmp(w->compute, "cpu") == 0)
        return NULL;
    return left >= dt2_min(w->request.virtual_vram_bytes, w->model - small) ? NULL : "at least V leaves the compute device";
}

/* No budget is charged beyond its free bytes: recomputed from the shares' costs. */
static const char *check_budgets(const struct world *w, const struct dt2_plan *plan)
{
    for (size_t i = 0; i < dt2_devices_budget_count(w->devices); i++) {
        const struct dt2_budget *budget = dt2_devices_budget(w->devices, i);
        uint64_t charged = 0;
        for (size_t j = 0; j < dt2_plan_share_count(plan); j++) {
            size_t index;
            dt2_devices_find(w->devices, dt2_plan_share(plan, j)->device, &index, NULL);
            const struct dt2_device *device = dt2_devices_get(w->devices, index);
            for (size_t k = 0; k < device->budget_count; k++)
                if (strcmp(device->budgets[k], budget->name) == 0)
                    charged += dt2_plan_share(plan, j)->cost_bytes;
        }
        if (charged > budget->free_bytes)
            return "no budget is charged beyond what is free";
    }
    return NULL;
}

static const char *check(const struct world *w, const struct dt2_plan *plan)
{
    const char *broken = check_partition(w, plan);
    bool expert = w->expert[0] != '\0';
    if (!broken)
        broken = check_quotas(plan);
    if (!broken)
        broken = check_budgets(w, plan);
    if (!broken && expert && !w->request.pack)
        broken = check_runs(w, plan);
    if (!broken && w->request.pack)
        broken = check_packed(w, plan);
    if (!broken && !expert)
        broken = check_virtual(w, plan);
    return broken;
}

int main(void)
{
    seed_random(20261124);
    static struct world w;
    unsigned rounds = random_rounds(20000);
    unsigned planned = 0, refused = 0, broken_count = 0, other = 0;
    for (unsigned round = 0; round < rounds && broken_count < 5; round++) {
        uint64_t seed = tap_random_state;
        struct dt2_plan *plan = NULL;
        struct dt2_error err;
        w.roomy = random_below(4) > 0;
        make_model(&w);
        make_machine(&w);
        make_request(&w);
        int rc = dt2_plan_make(w.devices, w.blocks, w.count, &w.request, &plan, &err);
        const char *broken = NULL;
        if (rc == 0) {
            planned++;
            broken = check(&w, plan);
        } else if (rc == DT2_ENOFIT && !w.roomy) {
            refused++;
        } else if (rc == DT2_EUSAGE && strstr(err.text, "all ratios are 0")) {
            other++;
        } else {
            broken = err.text;
        }
        if (broken) {
            broken_count++;
            char *json = plan ? dt2_plan_json(plan, NULL) : NULL;
            diag("round %u, seed %" PRIu64 ": %s\ncompute %s, V %" PRIu64 ", donors %s, expert '%s', pack %d, model %" PRIu64 "\n%s\n%s", round, seed,
                 broken, w.compute, w.request.virtual_vram_bytes, w.donors, w.expert, w.request.pack, w.model, w.machine, json ? json : "");
            dt2_text_free(json);
        }
        dt2_plan_free(plan);
        dt2_devices_free(w.devices);
    }
    diag("%u planned, %u refused, %u without any ratio", planned, refused, other);
    ok(broken_count == 0, "every property holds in %u plans", planned);
    ok(planned > rounds / 2, "most requests were planned");
    ok(refused > 10, "and some refused for lack of room");
    return done_testing();
}
