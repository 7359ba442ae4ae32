/* SPDX-License-Identifier: BSD-3-Clause */
/* What holds for every plan, on random machines, models and requests. */
#include "base/checked.h"
#include "support/tap.h"
#include <distorch2.h>

#define DEVICES_MOST 8
#define BLOCKS_MOST 60
#define TEXT 8192

struct world {
    char machine[TEXT];
    struct dt2_devices *devices;
    struct dt2_block blocks[BLOCKS_MOST];
    char names[BLOCKS_MOST][8];
    uint64_t tensors[BLOCKS_MOST][3];
    size_t count;
    uint64_t model;
    bool roomy; /* every budget is far above the model */
    char compute[16], donors[64], expert[512];
    struct dt2_request request;
};

static const char *const gpu_names[] = { "cuda:0", "cuda:1", "hip:0", "opencl:0", "opencl:1" };

static void add_device(struct world *w, char **budgets, const char *name, const char *driver, uint64_t total, unsigned align)
{
    size_t used = strlen(w->machine);
    bool host = strcmp(driver, "host") == 0, node = host && strlen(name) > 3;
    char numa[16] = "null";
    if (node)
        snprintf(numa, sizeof numa, "%s", name + 4);
    else if (!host && random_below(2))
        snprintf(numa, sizeof numa, "%d", (int)random_below(3));
    snprintf(w->machine + used, TEXT - used,
             "%s{\"name\":\"%s\",\"aliases\":[],\"driver\":\"%s\",\"kind\":\"%s\",\"vendor\":null,\"model\":null,\"pci\":null,"
             "\"uuid\":null,\"numa_node\":%s,\"total_bytes\":%" PRIu64 ",\"free_bytes\":%" PRIu64
             ",\"alignment_bytes\":%u,\"budgets\":[\"%s\"%s],\"links\":[]}",
             used > 12 ? "," : "", name, driver, host ? "host" : "gpu", numa, total, total, align, name, node ? ",\"cpu\"" : "");
    *budgets += sprintf(*budgets, "%s{\"name\":\"%s\",\"total_bytes\":%" PRIu64 ",\"free_bytes\":%" PRIu64 "}",
                        **budgets == '\0' && (*budgets)[-1] == '[' ? "" : ",", name, total, total);
}

static void make_machine(struct world *w)
{
    char budgets[TEXT] = "[", *end = budgets + 1;
    /* without room: what the reserve leaves is of the model's size */
    uint64_t unit = w->roomy ? 1ull << 50 : (272ull << 20) + w->model / (1 + random_below(6));
    strcpy(w->machine, "{\"devices\":[");
    size_t gpus = random_below(DT2_COUNT(gpu_names) + 1), nodes = random_below(3) ? 0 : 2 + random_below(2);
    add_device(w, &end, "cpu", "host", unit * 4, 64);
    for (size_t i = 0; i < nodes; i++) {
        char name[24];
        snprintf(name, sizeof name, "cpu:%zu", i);
        add_device(w, &end, name, "host", unit * 4 / nodes, 64);
    }
    for (size_t i = 0; i < gpus; i++) {
        char driver[16];
        snprintf(driver, sizeof driver, "%.*s", (int)strcspn(gpu_names[i], ":"), gpu_names[i]);
        add_device(w, &end, gpu_names[i], driver, unit, random_below(2) ? 256 : 1);
    }
    size_t used = strlen(w->machine);
    snprintf(w->machine + used, TEXT - used, "],\"budgets\":%s],\"unusable\":[]}", budgets);
    struct dt2_error err;
    if (dt2_devices_parse(w->machine, strlen(w->machine), &w->devices, &err) < 0) {
        diag("%s\n%s", err.text, w->machine);
        exit(1);
    }
}

static void make_model(struct world *w)
{
    w->count = 1 + random_below(BLOCKS_MOST);
    w->model = 0;
    unsigned spread = 4 + (unsigned)random_below(24); /* sizes of like or of very unlike blocks */
    for (size_t i = 0; i < w->count; i++) {
        struct dt2_block *block = &w->blocks[i];
        snprintf(w->names[i], sizeof w->names[i], "b%zu", i);
        *block = (struct dt2_block){ .name = w->names[i], .tensor_bytes = w->tensors[i], .tensor_count = 1 + random_below(3) };
        for (size_t j = 0; j < block->tensor_count; j++) {
            w->tensors[i][j] = 1 + random_below((uint64_t)1 << random_below(spread));
            block->bytes += w->tensors[i][j];
        }
        w->model += block->bytes;
    }
}

static const char *random_device(const struct world *w, bool nodes)
{
    for (;;) {
        const struct dt2_device *d = dt2_devices_get(w->devices, random_below(dt2_devices_count(w->devices)));
        if (nodes || strncmp(d->name, "cpu:", 4) != 0)
            return d->name;
    }
}

static void add_entry(struct world *w, const char *device, bool *wildcard, unsigned kind)
{
    char entry[96];
    switch (kind) {
    case 0:
        snprintf(entry, sizeof entry, "%s,%" PRIu64 "b", device, random_below(w->model + 1));
        break;
    case 1:
        snprintf(entry, sizeof entry, "%s,%d.%d%%", device, (int)random_below(34), (int)random_below(100));
        break;
    case 2:
        snprintf(entry, sizeof entry, "%s,%" PRIu64 "k", device, random_below(w->model / 1024 + 2));
        break;
    default:
        snprintf(entry, sizeof entry, "%s,%s", device, *wildcard ? "1b" : "*");
        *wildcard = true;
    }
    if (w->expert[0])
        strcat(w->expert, ";");
    strcat(w->expert, entry);
}

static void make_request(struct world *w)
{
    w->request = (struct dt2_request)DT2_REQUEST_INIT;
    snprintf(w->compute, sizeof w->compute, "%s", random_device(w, false));
    snprintf(w->donors, sizeof w->donors, "%s", random_device(w, false));
    if (random_below(2))
        snprintf(w->donors + strlen(w->donors), sizeof w->donors - strlen(w->donors), ",%s", random_device(w, false));
    w->request.compute_device = w->compute;
    w->request.donor_device = w->donors;
    w->request.virtual_vram_bytes = random_below(4) ? random_below(w->model * 2) : 0;
    w->request.pack = random_below(3) == 0;
    w->expert[0] = '\0';
    if (random_below(3) > 0) {
        const char *seen[DEVICES_MOST];
        size_t entries = 1 + random_below(4), used = 0;
        bool wildcard = false;
        unsigned kind = (unsigned)random_below(5); /* 4: mixed kinds */
        for (size_t i = 0; i < entries; i++) {
            const char *device = random_device(w, false);
            bool twice = false;
            for (size_t j = 0; j < used; j++)
                twice |= strcmp(seen[j], device) == 0;
            if (twice)
                continue;
            seen[used++] = device;
            add_entry(w, device, &wildcard, kind == 4 ? (unsigned)random_below(4) : kind);
        }
        w->request.expert_mode_allocations = w->expert;
    }
}

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
