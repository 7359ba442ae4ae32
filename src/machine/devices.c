/* SPDX-License-Identifier: BSD-3-Clause */
/* The snapshot: how it is built, and how it is read. */
#include "machine/devices.h"
#include "base/alloc.h"
#include "base/error.h"
#include "machine/pool.h"
#include <stdlib.h>
#include <string.h>

int dt2_devices_new(struct dt2_devices **devices, struct dt2_error *err)
{
    struct dt2_devices *made = dt2_alloc(1, sizeof *made);
    if (made)
        made->pool = dt2_pool_create();
    if (!made || !made->pool) {
        dt2_release(made);
        return dt2_fail_nomem(err);
    }
    *devices = made;
    return 0;
}

void dt2_devices_free(struct dt2_devices *devices)
{
    DT2_KEEP_ERRNO;
    if (!devices)
        return;
    dt2_pool_destroy(devices->pool);
    dt2_release(devices->devices);
    dt2_release(devices->budgets);
    dt2_release(devices->unusable);
    dt2_release(devices->steps);
    dt2_release(devices);
}

int dt2_devices_add(struct dt2_devices *devices, const struct dt2_device *device, struct dt2_error *err)
{
    struct dt2_pool *pool = devices->pool;
    struct dt2_device copy = *device;
    copy.aliases = copy.budgets = NULL;
    copy.links = NULL;
    copy.alias_count = copy.budget_count = copy.link_count = 0;
    if (!DT2_GROW(devices->devices, devices->count, devices->capacity) ||
        !dt2_pool_text(pool, device->name, &copy.name) || !dt2_pool_text(pool, device->driver, &copy.driver) ||
        !dt2_pool_text(pool, device->kind, &copy.kind) || !dt2_pool_text(pool, device->vendor, &copy.vendor) ||
        !dt2_pool_text(pool, device->model, &copy.model) || !dt2_pool_text(pool, device->pci, &copy.pci) ||
        !dt2_pool_text(pool, device->uuid, &copy.uuid) || !dt2_pool_text(pool, device->runtime, &copy.runtime))
        return dt2_fail_nomem(err);
    devices->devices[devices->count++] = copy;
    return 0;
}

/* A list of names with one more. Lists are short and made once: the old array stays in the pool. */
static int append_name(struct dt2_pool *pool, const char *const **names, size_t *count, const char *name,
                       struct dt2_error *err)
{
    const char **longer = dt2_pool_alloc(pool, *count + 1, sizeof *longer);
    if (!longer || !dt2_pool_text(pool, name, &longer[*count]))
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < *count; i++)
        longer[i] = (*names)[i];
    *names = longer;
    ++*count;
    return 0;
}

int dt2_devices_add_alias(struct dt2_devices *devices, size_t index, const char *alias, struct dt2_error *err)
{
    struct dt2_device *device = &devices->devices[index];
    return append_name(devices->pool, &device->aliases, &device->alias_count, alias, err);
}

int dt2_devices_charge(struct dt2_devices *devices, size_t index, const char *budget, struct dt2_error *err)
{
    struct dt2_device *device = &devices->devices[index];
    return append_name(devices->pool, &device->budgets, &device->budget_count, budget, err);
}

int dt2_devices_add_link(struct dt2_devices *devices, size_t index, const struct dt2_link *link, struct dt2_error *err)
{
    struct dt2_device *device = &devices->devices[index];
    const struct dt2_link **longer = dt2_pool_alloc(devices->pool, device->link_count + 1, sizeof *longer);
    struct dt2_link *made = dt2_pool_alloc(devices->pool, 1, sizeof *made);
    if (!longer || !made)
        return dt2_fail_nomem(err);
    *made = *link;
    if (!dt2_pool_text(devices->pool, link->to, &made->to) ||
        !dt2_pool_text(devices->pool, link->peer, &made->peer) ||
        !dt2_pool_text(devices->pool, link->shared, &made->shared))
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < device->link_count; i++)
        longer[i] = device->links[i];
    longer[device->link_count] = made;
    device->links = longer;
    device->link_count++;
    return 0;
}

int dt2_devices_add_budget(struct dt2_devices *devices, const char *name, uint64_t total_bytes, uint64_t free_bytes,
                           struct dt2_error *err)
{
    struct dt2_budget budget = { .total_bytes = total_bytes, .free_bytes = free_bytes };
    if (!DT2_GROW(devices->budgets, devices->budget_count, devices->budget_capacity) ||
        !dt2_pool_text(devices->pool, name, &budget.name))
        return dt2_fail_nomem(err);
    devices->budgets[devices->budget_count++] = budget;
    return 0;
}

int dt2_devices_add_unusable(struct dt2_devices *devices, const struct dt2_unusable *unusable, struct dt2_error *err)
{
    struct dt2_pool *pool = devices->pool;
    struct dt2_unusable copy;
    if (!DT2_GROW(devices->unusable, devices->unusable_count, devices->unusable_capacity) ||
        !dt2_pool_text(pool, unusable->pci, &copy.pci) || !dt2_pool_text(pool, unusable->model, &copy.model) ||
        !dt2_pool_text(pool, unusable->reason, &copy.reason) || !dt2_pool_text(pool, unusable->help, &copy.help))
        return dt2_fail_nomem(err);
    devices->unusable[devices->unusable_count++] = copy;
    return 0;
}

int dt2_devices_set_distances(struct dt2_devices *devices, const uint64_t *matrix, size_t order, struct dt2_error *err)
{
    uint64_t *copy = dt2_pool_alloc(devices->pool, order * order, sizeof *copy);
    if (!copy)
        return dt2_fail_nomem(err);
    if (matrix)
        memcpy(copy, matrix, order * order * sizeof *copy);
    devices->distances = copy;
    devices->order = order;
    return 0;
}

void dt2_devices_set_speeds(struct dt2_devices *devices, const struct dt2_speeds *speeds)
{
    devices->speeds = *speeds;
    devices->has_speeds = true;
}

const struct dt2_speeds *dt2_devices_speeds(const struct dt2_devices *devices)
{
    return devices->has_speeds ? &devices->speeds : NULL;
}

struct dt2_link dt2_link_to(const char *device)
{
    return (struct dt2_link){ .to = device, .nominal_gbps = -1, .measured_gbps = -1, .read_gbps = -1, .delay_us = -1, .fresh_gbps = -1 };
}

const struct dt2_link *dt2_device_link(const struct dt2_device *device, const char *to)
{
    for (size_t i = 0; i < device->link_count; i++)
        if (strcmp(device->links[i]->to, to) == 0)
            return device->links[i];
    return NULL;
}

struct dt2_budget *dt2_devices_budget_find(const struct dt2_devices *devices, const char *name)
{
    for (size_t i = 0; i < devices->budget_count; i++)
        if (strcmp(devices->budgets[i].name, name) == 0)
            return &devices->budgets[i];
    return NULL;
}

int dt2_device_host_node(const struct dt2_device *device)
{
    if (strncmp(device->name, "cpu:", 4) != 0)
        return -1;
    const char *digits = device->name + 4;
    if (!*digits || digits[strspn(digits, "0123456789")] || strlen(digits) > 9)
        return -1;
    return atoi(digits);
}

bool dt2_device_is_host(const struct dt2_device *device)
{
    return strcmp(device->name, "cpu") == 0 || dt2_device_host_node(device) >= 0;
}

bool dt2_device_shares_host(const struct dt2_device *device)
{
    for (size_t i = 0; i < device->budget_count; i++)
        if (strcmp(device->budgets[i], "cpu") == 0)
            return !dt2_device_is_host(device);
    return false;
}

size_t dt2_devices_count(const struct dt2_devices *devices)
{
    return devices->count;
}

const struct dt2_device *dt2_devices_get(const struct dt2_devices *devices, size_t index)
{
    return index < devices->count ? &devices->devices[index] : NULL;
}

size_t dt2_devices_budget_count(const struct dt2_devices *devices)
{
    return devices->budget_count;
}

const struct dt2_budget *dt2_devices_budget(const struct dt2_devices *devices, size_t index)
{
    return index < devices->budget_count ? &devices->budgets[index] : NULL;
}

size_t dt2_devices_unusable_count(const struct dt2_devices *devices)
{
    return devices->unusable_count;
}

const struct dt2_unusable *dt2_devices_unusable(const struct dt2_devices *devices, size_t index)
{
    return index < devices->unusable_count ? &devices->unusable[index] : NULL;
}

const uint64_t *dt2_devices_distances(const struct dt2_devices *devices, size_t *order)
{
    *order = devices->order;
    return devices->distances;
}
