/* SPDX-License-Identifier: BSD-3-Clause */
/* What would fit: from the request outwards. */
#include "plan/fit.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include <inttypes.h>
#include <string.h>

static uint64_t bytes_moved(const struct dt2_draft *from, const struct dt2_draft *to)
{
    uint64_t moved = 0;
    for (size_t i = 0; i < from->input->count; i++)
        if (from->targets[from->owner[i]].device != to->targets[to->owner[i]].device)
            moved += from->input->blocks[i].bytes;
    return moved;
}

bool dt2_request_fits(const struct dt2_draft *draft, const struct dt2_request *request, uint64_t *moved)
{
    const struct dt2_input *input = draft->input;
    struct dt2_input other;
    struct dt2_draft tried;
    bool fit = false;
    if (dt2_input_make(input->devices, input->blocks, input->count, request, &other, NULL) < 0)
        return false;
    if (dt2_draft_make(&other, other.virtual_vram_bytes, &other.capacity, &other.warnings, &tried, NULL) == 0) {
        fit = dt2_draft_fits(&tried, &other.capacity);
        if (moved)
            *moved = bytes_moved(draft, &tried);
        dt2_draft_clear(&tried);
    }
    dt2_input_clear(&other);
    return fit;
}

/* -- donors -------------------------------------------------------------------------------------------------------- */

/* Whether two devices are the same memory, or one a part of the other. */
static bool overlap(const struct dt2_devices *devices, size_t a, size_t b)
{
    return a == b || (dt2_device_is_host(&devices->devices[a]) && dt2_device_is_host(&devices->devices[b]));
}

/* Adds to a list of devices all others that the machine has; "cpu" stands for its nodes. Returns how many there are then. */
static size_t add_others(const struct dt2_input *input, size_t *list, size_t count)
{
    for (size_t i = 0; i < input->devices->count; i++) {
        bool listed = i == input->compute || dt2_device_host_node(&input->devices->devices[i]) >= 0;
        for (size_t j = 0; j < count && !listed; j++)
            listed = overlap(input->devices, list[j], i);
        if (!listed)
            list[count++] = i;
    }
    return count;
}

/* All donors that there are: those of the request, then the others. NULL: there are no others, or no memory. */
static char *all_donors(const struct dt2_input *input)
{
    struct dt2_text text = { 0 };
    DT2_AUTO size_t *list = dt2_alloc(input->donor_count + input->devices->count, sizeof *list);
    if (!list)
        return NULL;
    memcpy(list, input->donors, input->donor_count * sizeof *list);
    size_t count = add_others(input, list, input->donor_count);
    for (size_t i = 0; i < count && count > input->donor_count; i++)
        dt2_text_addf(&text, "%s%s", text.length ? "," : "", input->devices->devices[list[i]].name);
    return dt2_text_take(&text);
}

/* -- expert strings -------------------------------------------------------------------------------------------------- */

/* Adds a device to a list where neither it nor a part of it stands there. Returns how many there are then. */
static size_t add_one(const struct dt2_input *input, size_t *list, size_t count, size_t device)
{
    for (size_t i = 0; i < count; i++)
        if (overlap(input->devices, list[i], device))
            return count;
    list[count] = device;
    return count + 1;
}

/* `more`: with the compute device and donors that the draft does not use (1), and with all that there are (2). */
static bool find_expert(const struct dt2_draft *draft, unsigned more, struct dt2_remedy *remedy)
{
    const struct dt2_input *input = draft->input;
    size_t count = 0, claims = draft->claim_count;
    DT2_AUTO size_t *list = dt2_alloc(claims + input->donor_count + 1 + input->devices->count, sizeof *list);
    struct dt2_cuts cuts;
    if (!list)
        return false;
    for (size_t i = 0; i < claims; i++)
        if (!draft->claims[i].placed)
            list[count++] = draft->claims[i].device;
    if (more > 0)
        count = add_one(input, list, count, input->compute);
    for (size_t i = 0; more > 0 && i < input->donor_count; i++)
        count = add_one(input, list, count, input->donors[i]);
    if (more > 1)
        count = add_others(input, list, count);
    if (!dt2_cuts_find(draft, list, count, &cuts))
        return false;
    remedy->expert = dt2_cuts_words(draft, &cuts);
    dt2_cuts_clear(&cuts);
    return remedy->expert != NULL;
}

/* -- in order ---------------------------------------------------------------------------------------------------------- */

/* Whether it is the compute device's own budget that is short: then more has to leave it, else less. */
static bool compute_is_short(const struct dt2_input *input)
{
    const struct dt2_capacity *capacity = &input->capacity;
    for (size_t i = 0; i < capacity->count; i++)
        if (strcmp(input->devices->budgets[i].name, input->devices->devices[input->compute].name) == 0)
            return capacity->rooms[i].available != DT2_UNKNOWN && capacity->rooms[i].charged > capacity->rooms[i].available;
    return false;
}

static bool find_virtual(const struct dt2_draft *draft, const struct dt2_request *request, struct dt2_remedy *remedy)
{
    bool above = compute_is_short(draft->input);
    return dt2_fit_virtual(draft, request, above, remedy) || dt2_fit_virtual(draft, request, !above, remedy);
}

/* With all donors: the same amount, else another. */
static bool find_donors(const struct dt2_draft *draft, struct dt2_remedy *remedy)
{
    struct dt2_request request = *draft->input->request;
    remedy->donors = all_donors(draft->input);
    request.donor_device = remedy->donors;
    if (remedy->donors && (dt2_request_fits(draft, &request, NULL) || find_virtual(draft, &request, remedy)))
        return true;
    dt2_release(DT2_TAKE(remedy->donors));
    return false;
}

bool dt2_remedy_find(const struct dt2_draft *draft, struct dt2_remedy *remedy)
{
    *remedy = (struct dt2_remedy){ .expert = NULL };
    if (draft->input->entries.count > 0 && (find_expert(draft, 0, remedy) || find_expert(draft, 1, remedy)))
        return true;
    if (draft->virtual_counts && (find_virtual(draft, draft->input->request, remedy) || find_donors(draft, remedy)))
        return true;
    return find_expert(draft, 2, remedy);
}

void dt2_remedy_clear(struct dt2_remedy *remedy)
{
    dt2_release(remedy->donors);
    dt2_release(remedy->expert);
    *remedy = (struct dt2_remedy){ .expert = NULL };
}

struct dt2_request dt2_remedy_apply(const struct dt2_remedy *remedy, const struct dt2_request *request)
{
    struct dt2_request changed = *request;
    if (remedy->gib[0])
        changed.virtual_vram_bytes = remedy->virtual_vram_bytes;
    if (remedy->donors)
        changed.donor_device = remedy->donors;
    if (remedy->expert)
        changed.expert_mode_allocations = remedy->expert;
    return changed;
}

/* -- in words ------------------------------------------------------------------------------------------------------------ */

/* What all devices together hold of tensors; DT2_UNKNOWN: something has no limit. The capacity is charged on the way. */
static uint64_t hold_together(const struct dt2_input *input, struct dt2_capacity *capacity, uint64_t *reserved)
{
    uint64_t sum = 0;
    dt2_capacity_reset(capacity);
    *reserved = 0;
    for (size_t i = 0; i < input->devices->count; i++) {
        uint64_t left = dt2_capacity_left(capacity, i);
        if (left == DT2_UNKNOWN)
            return left;
        dt2_capacity_charge(capacity, i, left);
        sum += dt2_sub_floor(left, input->devices->devices[i].fixed_bytes);
    }
    for (size_t i = 0; i < capacity->count; i++)
        if (!capacity->rooms[i].outright)
            *reserved += dt2_min(capacity->rooms[i].reserve, capacity->rooms[i].free);
    return sum;
}

/* What can be done about a budget that no device has by itself. */
static bool cgroup_is_short(const struct dt2_input *input)
{
    const struct dt2_room *rooms = input->capacity.rooms;
    for (size_t i = 0; i < input->capacity.count; i++)
        if (strcmp(input->devices->budgets[i].name, "cgroup") == 0)
            return rooms[i].available != DT2_UNKNOWN && rooms[i].charged > rooms[i].available;
    return false;
}

static void suggest_nothing(const struct dt2_draft *draft, struct dt2_error *err)
{
    const struct dt2_input *input = draft->input;
    struct dt2_capacity scratch = input->capacity;
    bool cgroup = cgroup_is_short(input);
    DT2_AUTO struct dt2_room *rooms = dt2_alloc(scratch.count, sizeof *rooms);
    if (!rooms)
        return;
    memcpy(rooms, scratch.rooms, scratch.count * sizeof *rooms);
    scratch.rooms = rooms;
    uint64_t reserved, together = hold_together(input, &scratch, &reserved);
    const char *raise = cgroup ? "; raise cgroup, which is what the container or service may use of host memory (docker "
                                 "--memory, systemd MemoryMax)" : "";
    if (together < input->model_bytes)
        dt2_suggest(err, "no placement on this machine fits: the model needs %" PRIu64 " bytes, all budgets together hold %" PRIu64
                    "; a smaller --dtype would help, or lower reserves (--reserve; %" PRIu64 " bytes are reserved)%s",
                    input->model_bytes, together, reserved, raise);
    else
        dt2_suggest(err, "no placement on this machine fits with %s computing: its window for streaming, whole blocks and what "
                    "drivers take do not go into what is left; another --compute-device or a smaller --dtype would help, or lower "
                    "reserves (--reserve)%s", input->devices->devices[input->compute].name, raise);
}

void dt2_remedy_suggest(const struct dt2_remedy *remedy, bool found, const struct dt2_draft *draft, struct dt2_error *err)
{
    struct dt2_text text = { 0 };
    if (!found) {
        suggest_nothing(draft, err);
        return;
    }
    if (remedy->gib[0])
        dt2_text_addf(&text, "--virtual-vram-gb %s", remedy->gib);
    if (remedy->donors)
        dt2_text_addf(&text, "%s--donor-device %s", text.length ? " " : "", remedy->donors);
    if (remedy->expert)
        dt2_text_addf(&text, "%s--expert-mode-allocations '%s'", text.length ? " " : "", remedy->expert);
    dt2_text_addf(&text, " would fit");
    /* half a string is none */
    if (!text.failed && err && text.length < sizeof err->suggestion)
        dt2_suggest(err, "%s", text.data);
    else
        dt2_suggest(err, "--fit would take a request that fits");
    dt2_text_clear(&text);
}
