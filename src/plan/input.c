/* SPDX-License-Identifier: BSD-3-Clause */
/* A request with its names looked up on one machine. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/sized.h"
#include "machine/steps.h"
#include "plan/auto.h"
#include "plan/network.h"
#include "plan/plan.h"
#include <inttypes.h>
#include <string.h>

#define ALIGNMENT_MAX 65536
#define PADDING_MAX (1 << 20)
#define VIRTUAL_VRAM_MAX ((uint64_t)128 << 30)
#define VIRTUAL_VRAM_DEFAULT ((uint64_t)4 << 30) /* the node's */

/* Whether two devices are the same memory: one device, or all host memory and a node of it. */
static bool same_memory(const struct dt2_devices *devices, size_t a, size_t b)
{
    const struct dt2_device *x = &devices->devices[a], *y = &devices->devices[b];
    return a == b || (dt2_device_is_host(x) && dt2_device_is_host(y) &&
                      (dt2_device_host_node(x) < 0) != (dt2_device_host_node(y) < 0));
}

/* Looks a name of a longer string up; a name that does not exist gets a caret under it. */
static int find_in_string(const struct dt2_devices *devices, const char *what, const char *string, const char *name,
                          size_t at, size_t *index, struct dt2_error *err)
{
    struct dt2_error inner;
    int rc = dt2_devices_find(devices, name, index, &inner);
    if (rc == DT2_ENOENT) {
        dt2_fail_caret(err, rc, string, at, "%s: %s", what, inner.text);
        dt2_suggest(err, "%s", inner.suggestion);
    } else if (rc < 0 && err) {
        *err = inner;
    }
    return rc;
}

static int find_entries(struct dt2_input *input, struct dt2_error *err)
{
    static const char what[] = "allocation string";
    const char *string = input->request->expert_mode_allocations;
    input->entry_devices = dt2_alloc(input->entries.count, sizeof *input->entry_devices);
    if (!input->entry_devices)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < input->entries.count; i++) {
        const struct dt2_allocation *entry = &input->entries.items[i];
        size_t device;
        int rc = find_in_string(input->devices, what, string, entry->device, entry->device_at, &device, err);
        if (rc < 0)
            return rc;
        for (size_t j = 0; j < i; j++)
            if (same_memory(input->devices, input->entry_devices[j], device))
                return dt2_fail_caret(err, DT2_EUSAGE, string, entry->device_at,
                                      "%s: %s is the same device as %s, which has an entry already", what,
                                      entry->device, input->entries.items[j].device);
        if (entry->amount == DT2_AMOUNT_FRACTION && input->devices->devices[device].total_bytes == DT2_UNKNOWN)
            return dt2_fail_caret(err, DT2_EUSAGE, string, entry->amount_at,
                                  "%s: the total memory of %s is unknown, so a share of it is too; give bytes or %%", what,
                                  entry->device);
        input->entry_devices[i] = device;
    }
    return 0;
}

/* One name of the donor list, already cut out. The compute device is no donor; a donor named twice is one. */
static int add_donor(struct dt2_input *input, const char *list, const char *name, size_t at, struct dt2_error *err)
{
    size_t device;
    int rc = find_in_string(input->devices, "donor device", list, name, at, &device, err);
    if (rc < 0)
        return rc;
    bool inside_compute = same_memory(input->devices, input->compute, device) &&
                          dt2_device_host_node(&input->devices->devices[input->compute]) < 0;
    if (device == input->compute || inside_compute)
        return 0;
    for (size_t i = 0; i < input->donor_count; i++)
        if (input->donors[i] == device)
            return dt2_warnings_add(&input->warnings, err, "donor %s is named twice; once counts", name);
    input->donors[input->donor_count++] = device;
    return 0;
}

static int find_donors(struct dt2_input *input, struct dt2_error *err)
{
    const char *list = input->request->donor_device ? input->request->donor_device : "cpu";
    size_t commas = 0;
    for (const char *c = list; *c; c++)
        commas += *c == ',';
    input->donors = dt2_alloc(commas + 1, sizeof *input->donors);
    if (!input->donors)
        return dt2_fail_nomem(err);
    for (size_t at = 0;;) {
        at += strspn(list + at, " \t\n\r\f\v");
        size_t length = strcspn(list + at, ","), next = at + length;
        while (length && strchr(" \t\n\r\f\v", list[at + length - 1]))
            length--;
        if (length == 0)
            return dt2_fail_caret(err, DT2_EUSAGE, list, at, "donor device: a name is missing");
        DT2_AUTO char *name = dt2_strndup(list + at, length);
        if (!name)
            return dt2_fail_nomem(err);
        int rc = add_donor(input, list, name, at, err);
        if (rc < 0 || list[next] == '\0')
            return rc;
        at = next + 1;
    }
}

/* Which blocks the request names a device for. A pattern that matches nothing is told, since it was to do something. */
static int find_placed(struct dt2_input *input, struct dt2_error *err)
{
    const char *string = input->request->place;
    struct dt2_overrides *overrides = &input->overrides;
    int rc = dt2_overrides_parse(string, overrides, err);
    if (rc < 0 || overrides->count == 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < overrides->count; i++)
        rc = find_in_string(input->devices, "place", string, overrides->items[i].device, overrides->items[i].device_at,
                            &overrides->items[i].index, err);
    input->placed = rc == 0 ? dt2_alloc(input->count, sizeof *input->placed) : NULL;
    if (rc == 0 && !input->placed)
        rc = dt2_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < input->count; i++) {
        size_t match;
        rc = dt2_overrides_match_block(overrides, &input->blocks[i], &match, err);
        if (rc < 0)
            break;
        input->placed[i] = match < overrides->count ? overrides->items[match].index : DT2_NONE;
        if (match < overrides->count)
            overrides->items[match].used = true;
    }
    for (size_t i = 0; rc == 0 && i < overrides->count; i++)
        if (!overrides->items[i].used)
            rc = dt2_warnings_add(&input->warnings, err, "place: no block or tensor is left for %s=%s",
                               overrides->items[i].pattern, overrides->items[i].device);
    return rc;
}

static int find_compute(struct dt2_input *input, struct dt2_error *err)
{
    const char *name = input->request->compute_device;
    if (!name) {
        input->compute = dt2_devices_default(input->devices);
        return 0;
    }
    int rc = dt2_devices_find(input->devices, name, &input->compute, err);
    return rc < 0 ? dt2_fail_prefix(err, rc, "compute device: ") : 0;
}

/* The tensors that a block lists are all that it has. */
static int check_block(const struct dt2_block *block, size_t index, struct dt2_error *err)
{
    uint64_t sum = 0;
    bool fits = true;
    if (!block->name)
        return dt2_fail(err, DT2_EUSAGE, "block %zu has no name", index);
    if (block->tensor_count && !block->tensor_bytes)
        return dt2_fail(err, DT2_EUSAGE, "block %s has %zu tensors, and no list of their bytes", block->name,
                        block->tensor_count);
    for (size_t i = 0; i < block->tensor_count && fits; i++)
        fits = !dt2_add_overflows(sum, block->tensor_bytes[i], &sum);
    if (block->tensor_count == 0 || (fits && sum == block->bytes))
        return 0;
    return dt2_fail(err, DT2_EUSAGE, "block %s has %" PRIu64 " bytes, but its %zu tensors have %" PRIu64 "%s in all",
                    block->name, block->bytes, block->tensor_count, sum, fits ? "" : " and more");
}

static int sum_blocks(struct dt2_input *input, struct dt2_error *err)
{
    for (size_t i = 0; i < input->count; i++)
        if (check_block(&input->blocks[i], i, err) < 0)
            return DT2_EUSAGE;
    for (size_t i = 0; i < input->count; i++)
        if (dt2_add_overflows(input->model_bytes, input->blocks[i].bytes, &input->model_bytes) ||
            input->model_bytes >> 62)
            return dt2_fail(err, DT2_EUSAGE, "the blocks have 2^62 bytes or more in all");
    return 0;
}

bool dt2_request_has_virtual_vram(const struct dt2_request *request)
{
    return request->virtual_vram_bytes != DT2_UNKNOWN;
}

uint64_t dt2_request_virtual_vram(const struct dt2_request *request)
{
    return dt2_request_has_virtual_vram(request) ? request->virtual_vram_bytes : VIRTUAL_VRAM_DEFAULT;
}

int dt2_request_read(const struct dt2_request *given, struct dt2_request *request, struct dt2_error *err)
{
    static const struct dt2_sized sized =
        DT2_SIZED(struct dt2_request, credit_count, "the request's", "DT2_REQUEST_INIT");
    *request = (struct dt2_request)DT2_REQUEST_INIT;
    return dt2_options_read(&sized, given, request, err);
}

/* What is chosen leaves nothing to a string; donors that nobody named are all that there are. */
static int prepare_choice(struct dt2_input *input, struct dt2_error *err)
{
    if (input->entries.count > 0)
        return dt2_fail(err, DT2_EUSAGE, "a placement is either chosen or given by an allocation string: '%s'",
                        input->request->expert_mode_allocations);
    return input->request->donor_device ? 0 : dt2_auto_donors(input, err);
}

/* What is known of this network on this device; not looked for where the request says it. */
static void find_learnt(struct dt2_input *input)
{
    char network[DT2_NETWORK_NAME];
    if (input->request->step_ns != DT2_UNKNOWN || input->devices->step_count == 0)
        return;
    dt2_network_name(input->blocks, input->count, network);
    input->learnt = dt2_steps_find(input->devices, input->devices->devices[input->compute].name, network);
}

int dt2_input_make(const struct dt2_devices *devices, const struct dt2_block *blocks, size_t count,
                   const struct dt2_request *request, struct dt2_input *input, struct dt2_error *err)
{
    *input = (struct dt2_input){ .devices = devices, .blocks = blocks, .count = count, .request = request };
    input->virtual_vram_bytes = dt2_request_virtual_vram(request);
    int rc;
    if (input->virtual_vram_bytes > VIRTUAL_VRAM_MAX)
        rc = dt2_fail(err, DT2_EUSAGE, "virtual VRAM of %.3f GiB is outside 0.0 to 128.0",
                      (double)input->virtual_vram_bytes / ((uint64_t)1 << 30));
    else if (request->alignment_bytes > ALIGNMENT_MAX ||
             (request->alignment_bytes && !dt2_is_power_of_two(request->alignment_bytes)))
        rc = dt2_fail(err, DT2_EUSAGE, "an alignment of %" PRIu64 " bytes: expected a power of two, at most %d",
                      request->alignment_bytes, ALIGNMENT_MAX);
    else if (request->padding_bytes > PADDING_MAX)
        rc = dt2_fail(err, DT2_EUSAGE, "a padding of %" PRIu64 " bytes: expected at most %d", request->padding_bytes,
                      PADDING_MAX);
    else if ((unsigned)request->share > DT2_SHARE_ONLY)
        rc = dt2_fail(err, DT2_EUSAGE, "the request's share is %d, which is none of enum dt2_share_mode", (int)request->share);
    else if (request->flags & ~(uint64_t)(DT2_REQUEST_FIT | DT2_REQUEST_AUTO))
        rc = dt2_fail(err, DT2_EUSAGE, "request flags 0x%" PRIx64 ": this library does not know all of them", request->flags);
    else if (devices->count == 0)
        rc = dt2_fail(err, DT2_EUSAGE, "the machine has no devices");
    else
        rc = sum_blocks(input, err);
    if (rc == 0)
        rc = dt2_allocations_parse(request->expert_mode_allocations, &input->entries, err);
    if (rc == 0)
        rc = find_compute(input, err);
    if (rc == 0)
        find_learnt(input);
    if (rc == 0)
        rc = find_donors(input, err);
    if (rc == 0)
        rc = find_entries(input, err);
    if (rc == 0 && (request->flags & DT2_REQUEST_AUTO))
        rc = prepare_choice(input, err);
    if (rc == 0)
        rc = find_placed(input, err);
    if (rc == 0)
        rc = dt2_capacity_make(devices, request, input->compute, &input->capacity, err);
    if (rc < 0)
        dt2_input_clear(input);
    return rc;
}

void dt2_input_clear(struct dt2_input *input)
{
    dt2_allocations_clear(&input->entries);
    dt2_release(input->entry_devices);
    dt2_overrides_clear(&input->overrides);
    dt2_release(input->placed);
    dt2_release(input->donors);
    dt2_capacity_clear(&input->capacity);
    dt2_warnings_clear(&input->warnings);
    *input = (struct dt2_input){ 0 };
}
