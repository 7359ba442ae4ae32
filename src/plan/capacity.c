/* SPDX-License-Identifier: BSD-3-Clause */
#include "plan/capacity.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include <inttypes.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* The index of a budget by name; the count when there is none. */
static size_t find_budget(const struct dt2_devices *devices, const char *name)
{
    size_t i = 0;
    while (i < devices->budget_count && strcmp(devices->budgets[i].name, name) != 0)
        i++;
    return i;
}

/* A budget named by the user: by its own name, or as a device in any of its spellings. */
static int resolve_budget(const struct dt2_devices *devices, const char *name, size_t *index, struct dt2_error *err)
{
    size_t found = find_budget(devices, name), device;
    if (found == devices->budget_count) {
        int rc = dt2_devices_find(devices, name, &device, err);
        if (rc < 0)
            return rc;
        found = find_budget(devices, devices->devices[device].name);
        if (found == devices->budget_count)
            return dt2_fail(err, DT2_EFAILED, "device %s has no budget of its own name", name);
    }
    *index = found;
    return 0;
}

/* 10 % of the host's memory, or of the cgroup's limit, at most 2 GiB. */
static uint64_t host_reserve(uint64_t total)
{
    return total == DT2_UNKNOWN ? 0 : dt2_min(total / 10, 2 * GIB);
}

static uint64_t default_reserve(const struct dt2_devices *devices, size_t budget, size_t compute)
{
    const struct dt2_budget *b = &devices->budgets[budget];
    for (size_t i = 0; i < devices->count; i++) {
        const struct dt2_device *device = &devices->devices[i];
        if (strcmp(device->name, b->name) != 0)
            continue;
        if (dt2_device_is_host(device))
            return host_reserve(b->total_bytes);
        if (i == compute && device->total_bytes != DT2_UNKNOWN)
            return dt2_max(device->total_bytes / 20, 256 * MIB);
        return 256 * MIB;
    }
    return host_reserve(b->total_bytes); /* a cgroup */
}

static uint64_t add_capped(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return dt2_add_overflows(a, b, &sum) || sum == DT2_UNKNOWN ? DT2_UNKNOWN - 1 : sum;
}

static void settle(struct dt2_room *room)
{
    if (!room->outright)
        room->available = room->free == DT2_UNKNOWN ? DT2_UNKNOWN : dt2_sub_floor(room->free, room->reserve);
}

/* --reserve and --budget. The cgroup keeps the host's reserve, so a reserve of "cpu" is the cgroup's too. */
static int apply_limits(struct dt2_capacity *capacity, const struct dt2_request *request, struct dt2_error *err)
{
    size_t index = 0;
    size_t cgroup = find_budget(capacity->devices, "cgroup");
    for (size_t i = 0; i < request->reserve_count; i++) {
        int rc = resolve_budget(capacity->devices, request->reserves[i].name, &index, err);
        if (rc < 0)
            return rc;
        capacity->rooms[index].reserve = request->reserves[i].bytes;
        capacity->rooms[index].named = true;
        if (cgroup < capacity->count && strcmp(capacity->devices->budgets[index].name, "cpu") == 0)
            capacity->rooms[cgroup].reserve = request->reserves[i].bytes;
    }
    for (size_t i = 0; i < request->budget_count; i++) {
        int rc = resolve_budget(capacity->devices, request->budgets[i].name, &index, err);
        if (rc < 0)
            return rc;
        capacity->rooms[index].available = request->budgets[i].bytes;
        capacity->rooms[index].outright = true;
        capacity->rooms[index].named = true;
    }
    return 0;
}

/* What the program around us knows of a budget is more than its driver does. */
static void ask_program(const struct dt2_request *request, const struct dt2_budget *budget, struct dt2_room *room)
{
    uint64_t told = request->available ? request->available(request->available_data, budget->name, budget->free_bytes)
                                       : DT2_UNKNOWN;
    if (told == DT2_UNKNOWN)
        return;
    room->assumed = false;
    room->free = told;
}

int dt2_capacity_make(const struct dt2_devices *devices, const struct dt2_request *request, size_t compute,
                      struct dt2_capacity *capacity, struct dt2_error *err)
{
    struct dt2_capacity made = { devices, dt2_alloc(devices->budget_count, sizeof *made.rooms), devices->budget_count };
    if (!made.rooms)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < made.count; i++) {
        const struct dt2_budget *budget = &devices->budgets[i];
        struct dt2_room *room = &made.rooms[i];
        room->assumed = budget->free_bytes == DT2_UNKNOWN;
        room->free = room->assumed ? budget->total_bytes : budget->free_bytes;
        ask_program(request, budget, room);
        room->reserve = default_reserve(devices, i, compute);
    }
    for (size_t i = 0; i < request->credit_count; i++) {
        size_t index = find_budget(devices, request->credits[i].name);
        if (index < made.count && made.rooms[index].free != DT2_UNKNOWN)
            made.rooms[index].free = add_capped(made.rooms[index].free, request->credits[i].bytes);
    }
    int rc = apply_limits(&made, request, err);
    if (rc < 0) {
        dt2_capacity_clear(&made);
        return rc;
    }
    for (size_t i = 0; i < made.count; i++)
        settle(&made.rooms[i]);
    *capacity = made;
    return 0;
}

void dt2_capacity_clear(struct dt2_capacity *capacity)
{
    dt2_release(capacity->rooms);
    *capacity = (struct dt2_capacity){ 0 };
}

uint64_t dt2_capacity_left(const struct dt2_capacity *capacity, size_t device)
{
    const struct dt2_device *d = &capacity->devices->devices[device];
    uint64_t left = DT2_UNKNOWN;
    for (size_t i = 0; i < d->budget_count; i++) {
        const struct dt2_room *room = &capacity->rooms[find_budget(capacity->devices, d->budgets[i])];
        if (room->available != DT2_UNKNOWN)
            left = dt2_min(left, dt2_sub_floor(room->available, room->charged));
    }
    return left;
}

static void charge(struct dt2_capacity *capacity, size_t device, uint64_t bytes, bool outright_alone)
{
    const struct dt2_device *d = &capacity->devices->devices[device];
    for (size_t i = 0; i < d->budget_count; i++) {
        struct dt2_room *room = &capacity->rooms[find_budget(capacity->devices, d->budgets[i])];
        if (room->outright || !outright_alone)
            room->charged = add_capped(room->charged, bytes);
    }
}

void dt2_capacity_charge(struct dt2_capacity *capacity, size_t device, uint64_t bytes)
{
    charge(capacity, device, bytes, false);
}

void dt2_capacity_hold(struct dt2_capacity *capacity, size_t device, uint64_t bytes)
{
    charge(capacity, device, bytes, true);
}

void dt2_capacity_reset(struct dt2_capacity *capacity)
{
    for (size_t i = 0; i < capacity->count; i++)
        capacity->rooms[i].charged = 0;
}

static bool is_short(const struct dt2_room *room)
{
    return room->available != DT2_UNKNOWN && room->charged > room->available;
}

size_t dt2_capacity_short(const struct dt2_capacity *capacity)
{
    size_t i = 0;
    while (i < capacity->count && !is_short(&capacity->rooms[i]))
        i++;
    return i;
}

void dt2_capacity_tell(const struct dt2_capacity *capacity, struct dt2_text *text)
{
    for (size_t i = 0; i < capacity->count; i++) {
        const struct dt2_room *room = &capacity->rooms[i];
        if (!is_short(room))
            continue;
        dt2_text_addf(text, "%sbudget %s is short by %" PRIu64 " bytes: the plan needs %" PRIu64 ", ",
                      text->length ? "; " : "", capacity->devices->budgets[i].name, room->charged - room->available,
                      room->charged);
        if (room->outright)
            dt2_text_addf(text, "and %" PRIu64 " were allowed", room->available);
        else
            dt2_text_addf(text, "%" PRIu64 " are available (%s %" PRIu64 ", reserve %" PRIu64 ")", room->available,
                          room->assumed ? "free unknown, total" : "free", room->free, room->reserve);
    }
}

int dt2_capacity_refuse(const struct dt2_capacity *capacity, struct dt2_error *err)
{
    struct dt2_text text = { 0 };
    dt2_capacity_tell(capacity, &text);
    DT2_AUTO char *words = dt2_text_take(&text);
    return words ? dt2_fail(err, DT2_ENOFIT, "does not fit: %s", words) : dt2_fail_nomem(err);
}
