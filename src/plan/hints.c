/* SPDX-License-Identifier: BSD-3-Clause */
/* What would fit: requests near to one that was refused. Each was planned before it is told. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include "plan/draft.h"
#include <distorch2/size.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TRIES 4 /* of a smaller entry: what leaves may make the window larger */

/* -- virtual VRAM -------------------------------------------------------------------------------------------- */

/* The bytes that the compute device gets with that much virtual VRAM; DT2_UNKNOWN when it does not fit. */
static uint64_t fitting_bytes(const struct dt2_asked *asked, struct dt2_capacity *capacity, uint64_t virtual_vram_bytes)
{
    struct dt2_notes notes = { 0 };
    struct dt2_draft draft;
    uint64_t bytes = DT2_UNKNOWN;
    if (dt2_draft_make(asked, virtual_vram_bytes, capacity, &notes, &draft, NULL) == 0) {
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

static bool hint_virtual(const struct dt2_asked *asked, struct dt2_capacity *capacity, bool above, struct dt2_error *err)
{
    uint64_t v;
    char gib[48];
    if (!nearest_virtual(asked, capacity, above, &v) || !print_gib(asked, capacity, v, above, gib, sizeof gib))
        return false;
    dt2_suggest(err, "--virtual-vram-gb %s would fit", gib);
    return true;
}

/* -- other requests -------------------------------------------------------------------------------------------- */

/* Whether another request fits; *shortage is of the budget `which` when it does not. */
static bool fits(const struct dt2_asked *asked, const struct dt2_request *request, size_t which, uint64_t *shortage)
{
    struct dt2_asked other;
    struct dt2_draft draft;
    bool fit = false;
    *shortage = 0;
    if (dt2_asked_make(asked->devices, asked->blocks, asked->count, request, &other, NULL) < 0)
        return false;
    if (dt2_draft_make(&other, other.virtual_vram_bytes, &other.capacity, &other.notes, &draft, NULL) == 0) {
        const struct dt2_room *room = &other.capacity.rooms[which];
        fit = dt2_capacity_short(&other.capacity) == other.capacity.count;
        if (!fit && room->available != DT2_UNKNOWN)
            *shortage = dt2_sub_floor(room->charged, room->available);
        dt2_draft_clear(&draft);
    }
    dt2_asked_clear(&other);
    return fit;
}

static bool charges(const struct dt2_asked *asked, size_t device, size_t budget)
{
    const struct dt2_device *d = &asked->devices->devices[device];
    for (size_t i = 0; i < d->budget_count; i++)
        if (strcmp(d->budgets[i], asked->devices->budgets[budget].name) == 0)
            return true;
    return false;
}

/* The bytes that a device was to get; 0 for one that has no claim. */
static uint64_t placed_on(const struct dt2_draft *draft, size_t device)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < draft->claim_count; i++)
        for (size_t j = 0; draft->claims[i].device == device && j < draft->claims[i].target_count; j++)
            bytes += draft->targets[draft->claims[i].first_target + j].bytes;
    return bytes;
}

/* The expert string with less in entry `index`: by what is short, and again by what is short then. */
static bool hint_smaller(const struct dt2_draft *draft, const struct dt2_capacity *capacity, size_t index, size_t budget,
                         struct dt2_error *err)
{
    const struct dt2_asked *asked = draft->asked;
    const struct dt2_allocation *entry = &asked->entries.items[index];
    const char *string = asked->request->expert_mode_allocations;
    const char *rest = string + entry->amount_at + strcspn(string + entry->amount_at, ";");
    uint64_t available = capacity->rooms[budget].available, shortage = capacity->rooms[budget].charged - available;
    uint64_t bytes = placed_on(draft, asked->entry_devices[index]);
    struct dt2_request request = *asked->request;
    for (int i = 0; i < TRIES && shortage > 0 && bytes > 0; i++) {
        bytes = dt2_sub_floor(bytes, shortage);
        DT2_AUTO char *smaller = dt2_printf("%.*s%" PRIu64 "b%s", (int)entry->amount_at, string, bytes, rest);
        request.expert_mode_allocations = smaller;
        if (!smaller || !fits(asked, &request, budget, &shortage))
            continue;
        dt2_suggest(err, "--expert-mode-allocations '%s' would fit: %" PRIu64 " bytes are available to %s", smaller,
                    available, asked->devices->budgets[budget].name);
        return true;
    }
    return false;
}

static bool hint_expert(const struct dt2_draft *draft, const struct dt2_capacity *capacity, struct dt2_error *err)
{
    const struct dt2_asked *asked = draft->asked;
    size_t budget = dt2_capacity_short(capacity);
    for (size_t i = 0; i < asked->entries.count; i++)
        if (charges(asked, asked->entry_devices[i], budget) && hint_smaller(draft, capacity, i, budget, err))
            return true;
    return false;
}

/* All donors that there are: those of the request, then the others. "cpu" stands for its nodes. */
static bool hint_donors(const struct dt2_asked *asked, struct dt2_error *err)
{
    const struct dt2_devices *devices = asked->devices;
    struct dt2_text list = { 0 };
    uint64_t shortage;
    for (size_t i = 0; i < asked->donor_count; i++)
        dt2_text_addf(&list, "%s%s", list.length ? "," : "", devices->devices[asked->donors[i]].name);
    size_t asked_for = list.length;
    for (size_t i = 0; i < devices->count; i++) {
        bool listed = i == asked->compute || dt2_device_host_node(&devices->devices[i]) >= 0;
        for (size_t j = 0; j < asked->donor_count; j++)
            listed |= asked->donors[j] == i || (dt2_device_is_host(&devices->devices[i]) &&
                                                dt2_device_is_host(&devices->devices[asked->donors[j]]));
        if (!listed)
            dt2_text_addf(&list, "%s%s", list.length ? "," : "", devices->devices[i].name);
    }
    bool more = list.length > asked_for;
    DT2_AUTO char *donors = dt2_text_take(&list);
    struct dt2_request request = *asked->request;
    request.donor_device = donors;
    if (!donors || !more || !fits(asked, &request, 0, &shortage))
        return false;
    dt2_suggest(err, "--donor-device %s would fit", donors);
    return true;
}

/* What can be done about a budget that no device has by itself. */
static void advise_on_cgroup(const struct dt2_asked *asked, size_t budget, struct dt2_error *err)
{
    const char *name = asked->devices->budgets[budget].name;
    if (strcmp(name, "cgroup") == 0)
        dt2_suggest(err, "cgroup is what the container or service may use of host memory: raise that (docker --memory, "
                         "systemd MemoryMax), or send less to cpu, and more to GPUs");
}

int dt2_draft_refuse(const struct dt2_draft *draft, struct dt2_capacity *capacity, struct dt2_error *err)
{
    const struct dt2_asked *asked = draft->asked;
    const struct dt2_device *compute = &asked->devices->devices[asked->compute];
    size_t shortest = dt2_capacity_short(capacity);
    bool above = strcmp(compute->name, asked->devices->budgets[shortest].name) == 0;
    int rc = dt2_capacity_refuse(capacity, err);
    if (!err || hint_expert(draft, capacity, err))
        return rc;
    if (!draft->virtual_counts) {
        advise_on_cgroup(asked, shortest, err);
        return rc;
    }
    if (!hint_virtual(asked, capacity, above, err) && !hint_virtual(asked, capacity, !above, err) &&
        !hint_donors(asked, err) && draft->virtual_only)
        dt2_suggest(err, "no amount of virtual VRAM would fit");
    if (!err->suggestion[0] || strncmp(err->suggestion, "no amount", 9) == 0)
        advise_on_cgroup(asked, shortest, err);
    return rc;
}
