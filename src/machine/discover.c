/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine/discover.h"
#include "base/checked.h"
#include "base/error.h"
#include "machine/cgroup.h"
#include "machine/pcilink.h"
#include "machine/unusable.h"
#include <stdio.h>
#include <string.h>

#define CGROUP "cgroup"

/* A snapshot while it is made. */
struct making {
    const struct dt2_parts *parts;
    unsigned flags;
    bool limited; /* by a cgroup */
    struct dt2_devices *devices;
    struct dt2_error *err;
};

bool dt2_discover_needs_io(const struct dt2_parts *parts, unsigned flags)
{
    if (flags & DT2_DEVICES_UNUSABLE)
        return true;
    for (size_t i = 0; i < parts->view_count && parts->topology->node_count > 1; i++)
        if (parts->views[i].info.pci[0])
            return true;
    return false;
}

#define RUNTIME_SIZE 512 /* of what a driver says that it works with */

static const char *known(const char *text)
{
    return *text ? text : NULL;
}

static uint64_t free_bytes(const struct making *making, const struct dt2_driver *driver, uint32_t index,
                           uint64_t total_bytes)
{
    struct dt2_backend_error failure = { 0 };
    uint64_t bytes = DT2_UNKNOWN;
    bool may_open = making->flags & DT2_DEVICES_FREE;
    if (driver->backend->device_free_bytes(driver->self, index, may_open, &bytes, &failure) < 0) {
        dt2_log_line(making->parts->log, may_open ? DT2_LOG_WARNING : DT2_LOG_DEBUG,
                     "%s:%u: free memory is unknown: %s", driver->name, (unsigned)index, failure.text);
        return DT2_UNKNOWN;
    }
    return bytes != DT2_UNKNOWN && bytes > total_bytes ? total_bytes : bytes;
}

static struct dt2_device describe(const struct making *making, const struct dt2_driver *driver, uint32_t index,
                                  const struct dt2_backend_device_info *info, const char *name)
{
    return (struct dt2_device){
        .name = name,
        .driver = driver->name,
        .kind = info->kind,
        .vendor = known(info->vendor),
        .model = known(info->model),
        .pci = known(info->pci),
        .uuid = known(info->uuid),
        .numa_node = -1,
        .total_bytes = info->total_bytes,
        .free_bytes = free_bytes(making, driver, index, info->total_bytes),
        .alignment_bytes = info->alignment_bytes,
        .max_alloc_bytes = info->max_alloc_bytes,
        .fixed_bytes = info->fixed_bytes,
        .open_ms = -1,
        .start_ms = -1,
        .package = -1,
    };
}

/* The package that has a node. */
static int package_of(const struct dt2_topology *topology, int node)
{
    size_t index = dt2_topology_node(topology, node);
    return index < topology->node_count ? topology->nodes[index].package : -1;
}

/* Lists a device, with the budget of its own name, and charges it to the host's when it lies in host memory. */
static int list(const struct making *making, const struct dt2_device *device, bool in_host_memory)
{
    struct dt2_devices *devices = making->devices;
    size_t index = devices->count;
    int rc = dt2_devices_add(devices, device, making->err);
    if (rc == 0)
        rc = dt2_devices_add_budget(devices, device->name, device->total_bytes, device->free_bytes, making->err);
    if (rc == 0)
        rc = dt2_devices_charge(devices, index, device->name, making->err);
    if (rc == 0 && in_host_memory && strcmp(device->name, "cpu") != 0)
        rc = dt2_devices_charge(devices, index, "cpu", making->err);
    if (rc == 0 && in_host_memory && making->limited)
        rc = dt2_devices_charge(devices, index, CGROUP, making->err);
    return rc;
}

/* The host driver's device: "cpu" at 0, then the nodes; a machine of one node lists that node as "cpu". */
static int list_host_device(const struct making *making, uint32_t index)
{
    const struct dt2_topology *topology = making->parts->topology;
    const struct dt2_driver *host = making->parts->host;
    struct dt2_backend_device_info info = { .struct_size = sizeof info };
    struct dt2_backend_error failure = { 0 };
    char name[32] = "cpu";
    if (index > 0)
        snprintf(name, sizeof name, "cpu:%d", topology->nodes[index - 1].number);
    if (host->backend->device_info(host->self, index, &info, &failure) < 0)
        return dt2_fail_driver(making->err, name, &failure);
    struct dt2_device device = describe(making, host, index, &info, name);
    bool only = index == 0 && topology->node_count == 1;
    if (index > 0 || only)
        device.numa_node = topology->nodes[only ? 0 : index - 1].number;
    device.package = package_of(topology, device.numa_node);
    int rc = list(making, &device, true);
    if (rc == 0 && only) {
        snprintf(name, sizeof name, "cpu:%d", device.numa_node);
        rc = dt2_devices_add_alias(making->devices, making->devices->count - 1, name, making->err);
    }
    return rc;
}

static int list_host(const struct making *making)
{
    const struct dt2_topology *topology = making->parts->topology;
    size_t nodes = topology->node_count > 1 ? topology->node_count : 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i <= nodes; i++)
        rc = list_host_device(making, (uint32_t)i);
    if (rc == 0 && topology->distances)
        rc = dt2_devices_set_distances(making->devices, topology->distances, topology->node_count, making->err);
    return rc;
}

static void name_of(const struct dt2_view *view, char *name, size_t size)
{
    snprintf(name, size, "%s:%u", view->driver->name, (unsigned)view->index);
}

/* What opening a device costs is asked each time: once somebody has its context, that is paid for. */
static uint64_t fixed_bytes(const struct dt2_view *view)
{
    struct dt2_backend_device_info info = { .struct_size = sizeof info };
    const struct dt2_driver *driver = view->driver;
    bool answers = driver->backend->device_info(driver->self, view->index, &info, NULL) == 0;
    return answers ? info.fixed_bytes : view->info.fixed_bytes;
}

/*
 * What lies in host memory has no more of it than there is, and no more free than the host has. What the driver says may
 * leave out the page cache, or be a limit of its own. "cpu" stands first in the list.
 */
static void limit_to_host(const struct dt2_devices *devices, struct dt2_device *device)
{
    const struct dt2_device *host = &devices->devices[0];
    device->total_bytes = dt2_min(device->total_bytes, host->total_bytes);
    device->free_bytes = dt2_min(dt2_min(device->free_bytes, host->free_bytes), device->total_bytes);
}

/* What the chosen view does not know, another may. */
static void fill_in(const struct making *making, const struct dt2_view *view, struct dt2_device *device)
{
    if (device->free_bytes == DT2_UNKNOWN)
        device->free_bytes = free_bytes(making, view->driver, view->index, device->total_bytes);
    if (!device->pci)
        device->pci = known(view->info.pci);
    if (!device->uuid)
        device->uuid = known(view->info.uuid);
    if (!device->vendor)
        device->vendor = known(view->info.vendor);
    if (!device->model)
        device->model = known(view->info.model);
    if (device->total_bytes == DT2_UNKNOWN)
        device->total_bytes = view->info.total_bytes;
}

static int list_view(const struct making *making, size_t chosen)
{
    const struct dt2_parts *parts = making->parts;
    const struct dt2_view *view = &parts->views[chosen];
    char name[64];
    name_of(view, name, sizeof name);
    struct dt2_device device = describe(making, view->driver, view->index, &view->info, name);
    char runtime[RUNTIME_SIZE];
    dt2_driver_describe(view->driver, runtime, sizeof runtime);
    device.runtime = known(runtime);
    for (size_t i = 0; i < parts->view_count; i++)
        if (parts->views[i].chosen == chosen && i != chosen)
            fill_in(making, &parts->views[i], &device);
    device.fixed_bytes = fixed_bytes(view);
    if (view->info.flags & DT2_DEVICE_SHARES_HOST)
        limit_to_host(making->devices, &device);
    device.numa_node = dt2_topology_locality(parts->topology, device.pci).numa_node;
    device.package = package_of(parts->topology, device.numa_node);
    int rc = list(making, &device, view->info.flags & DT2_DEVICE_SHARES_HOST);
    for (size_t i = 0; rc == 0 && i < parts->view_count; i++) {
        if (i == chosen || parts->views[i].chosen != chosen)
            continue;
        name_of(&parts->views[i], name, sizeof name);
        rc = dt2_devices_add_alias(making->devices, making->devices->count - 1, name, making->err);
    }
    return rc;
}

static int list_all(struct making *making)
{
    const struct dt2_parts *parts = making->parts;
    struct dt2_memory limit = { 0 };
    making->limited = parts->topology->this_system && dt2_cgroup_memory(parts->root, &limit);
    int rc = list_host(making);
    for (size_t i = 0; rc == 0 && i < parts->view_count; i++)
        if (parts->views[i].chosen == i)
            rc = list_view(making, i);
    if (rc == 0 && making->limited)
        rc = dt2_devices_add_budget(making->devices, CGROUP, limit.total_bytes, limit.free_bytes, making->err);
    if (rc == 0 && making->flags & DT2_DEVICES_UNUSABLE)
        rc = dt2_unusable_find(parts->topology, parts->modules, parts->views, parts->view_count, parts->root,
                               making->devices, making->err);
    return rc;
}

int dt2_discover(const struct dt2_parts *parts, unsigned flags, struct dt2_devices **devices, struct dt2_error *err)
{
    struct making making = { .parts = parts, .flags = flags, .err = err };
    int rc = dt2_devices_new(&making.devices, err);
    if (rc == 0)
        rc = list_all(&making);
    if (rc < 0) {
        dt2_devices_free(making.devices);
        return rc;
    }
    *devices = making.devices;
    return 0;
}

/* hwloc tells the speed of the moment, and an idle GPU's links are slow; the kernel tells what they can do. */
void dt2_discover_link(const struct dt2_topology *topology, const char *root, const char *pci, struct dt2_locality *where,
                       struct dt2_link *link)
{
    struct dt2_pcilink slowest = { 0, 0 };
    double most = -1;
    *where = dt2_topology_locality(topology, pci);
    if (topology->this_system && topology->io)
        most = dt2_pcilink_gbps(root, pci, &slowest);
    link->nominal_gbps = most > where->gbps ? most : where->gbps;
    link->shared = *where->bridge ? where->bridge : NULL;
    link->pcie_generation = slowest.generation;
    link->pcie_lanes = slowest.lanes;
}
