/* SPDX-License-Identifier: BSD-3-Clause */
/* The host driver's devices and buffers. */
#include "machine/host.h"
#include "base/checked.h"
#include "base/error.h"
#include "machine/cgroup.h"
#include "machine/host_objects.h"
#include "machine/meminfo.h"
#include "machine/pages.h"
#include "machine/topology.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* -- the driver and its devices */

/* The core opens this driver with dt2_host_open(); whoever opens it as a module gets one device without binding. */
static int host_open(const struct dt2_backend_services *services, void **driver, struct dt2_backend_error *err)
{
    return dt2_host_open(services, NULL, driver, err);
}

int dt2_host_open(const struct dt2_backend_services *services, const struct dt2_topology *topology, void **driver,
                  struct dt2_backend_error *err)
{
    struct dt2_host *host = services->alloc(services->core, sizeof *host);
    if (!host)
        return services->fail(services->core, err, DT2_BACKEND_NOMEM, 0, NULL, "no memory for the host driver");
    host->services = services;
    host->topology = topology;
    *driver = host;
    return DT2_BACKEND_OK;
}

static void host_close(void *driver)
{
    host_release(driver, driver);
}

static int host_device_count(void *driver, uint32_t *count, struct dt2_backend_error *err)
{
    const struct dt2_host *host = driver;
    (void)err;
    *count = host->topology ? 1 + (uint32_t)host->topology->node_count : 1;
    return DT2_BACKEND_OK;
}

static int check_index(void *driver, uint32_t index, struct dt2_backend_error *err)
{
    uint32_t count;
    host_device_count(driver, &count, err);
    if (index >= count)
        return FAIL(DT2_BACKEND_INVALID, "host device %u of %u does not exist", (unsigned)index, (unsigned)count);
    return DT2_BACKEND_OK;
}

/* The memory of one node; free only where the node is of this system. */
static struct dt2_memory node_memory(const struct dt2_topology *topology, size_t node)
{
    struct dt2_memory memory = { topology->nodes[node].total_bytes, DT2_UNKNOWN };
    if (topology->this_system)
        memory.free_bytes = dt2_meminfo_node("", topology->nodes[node].number).free_bytes;
    if (memory.free_bytes != DT2_UNKNOWN && memory.free_bytes > memory.total_bytes)
        memory.free_bytes = memory.total_bytes;
    return memory;
}

/* All host memory: what the kernel says, or, where part of that is not for us, the sum of our nodes. */
static struct dt2_memory whole_memory(const struct dt2_topology *topology)
{
    if (!topology || (topology->this_system && topology->whole))
        return dt2_meminfo_host("");
    struct dt2_memory memory = { topology->total_bytes, topology->this_system ? 0 : DT2_UNKNOWN };
    for (size_t i = 0; i < topology->node_count && memory.free_bytes != DT2_UNKNOWN; i++) {
        uint64_t bytes = node_memory(topology, i).free_bytes;
        memory.free_bytes = bytes == DT2_UNKNOWN ? bytes : memory.free_bytes + bytes;
    }
    return memory;
}

static struct dt2_memory memory_of(const struct dt2_host *host, uint32_t index)
{
    return index ? node_memory(host->topology, index - 1) : whole_memory(host->topology);
}

static int host_device_info(void *driver, uint32_t index, struct dt2_backend_device_info *info,
                            struct dt2_backend_error *err)
{
    DT2_KEEP_ERRNO;
    const struct dt2_host *host = driver;
    int rc = check_index(driver, index, err);
    if (rc < 0)
        return rc;
    *info = (struct dt2_backend_device_info){
        .struct_size = sizeof *info,
        .kind = "host",
        .flags = DT2_DEVICE_SHARES_HOST | DT2_DEVICE_HOST_ADDRESSABLE,
        .total_bytes = memory_of(host, index).total_bytes,
        .alignment_bytes = DT2_HOST_ALIGNMENT,
        .max_alloc_bytes = DT2_UNKNOWN,
    };
    if (host->topology) {
        snprintf(info->vendor, sizeof info->vendor, "%s", host->topology->cpu_vendor);
        snprintf(info->model, sizeof info->model, "%s", host->topology->cpu_model);
    }
    return DT2_BACKEND_OK;
}

static int host_device_free_bytes(void *driver, uint32_t index, bool may_open, uint64_t *free_bytes,
                                  struct dt2_backend_error *err)
{
    DT2_KEEP_ERRNO;
    (void)may_open;
    int rc = check_index(driver, index, err);
    if (rc == DT2_BACKEND_OK)
        *free_bytes = memory_of(driver, index).free_bytes;
    return rc;
}

static int host_device_open(void *driver, uint32_t index, void *native_context, dt2_handle *device,
                            struct dt2_backend_error *err)
{
    int rc = check_index(driver, index, err);
    if (rc < 0)
        return rc;
    if (native_context)
        return FAIL(DT2_BACKEND_INVALID, "host memory has no context to adopt");
    struct dt2_host_device *made = host_alloc(driver, sizeof *made);
    if (!made)
        return host_no_bookkeeping(driver, err);
    made->host = driver;
    made->index = index;
    made->total_bytes = memory_of(driver, index).total_bytes;
    dt2_handle handle = host_publish(driver, DT2_HANDLE_DEVICE, made);
    if (!handle) {
        host_release(driver, made);
        return host_no_bookkeeping(driver, err);
    }
    *device = handle;
    return DT2_BACKEND_OK;
}

/* A NUMA node has the kernel's number; all of host memory has none. */
static int host_device_native(void *driver, uint32_t index, dt2_handle device, struct dt2_backend_device_native *native,
                              struct dt2_backend_error *err)
{
    const struct dt2_host *host = driver;
    int rc = check_index(driver, index, err);
    if (rc < 0)
        return rc;
    const struct dt2_host_device *open = device ? host_get_device(driver, device, err) : NULL;
    if (device && !open)
        return DT2_BACKEND_INVALID;
    if (open && open->index != index)
        return FAIL(DT2_BACKEND_INVALID, "the handle is of device %u, not %u", (unsigned)open->index, (unsigned)index);
    native->id = native->context = NULL;
    native->ordinal = index ? host->topology->nodes[index - 1].number : -1;
    return DT2_BACKEND_OK;
}

static int host_device_close(void *driver, dt2_handle device, struct dt2_backend_error *err)
{
    struct dt2_host_device *closed = host_get(driver, DT2_HANDLE_DEVICE, device);
    if (!closed)
        return FAIL(DT2_BACKEND_INVALID, "not a device that is open");
    size_t live = atomic_load(&closed->live);
    if (live)
        return FAIL(DT2_BACKEND_BUSY, "%zu of the device's buffers, queues and events are still in use", live);
    host_release(driver, host_take(driver, DT2_HANDLE_DEVICE, device));
    return DT2_BACKEND_OK;
}

/* Every node of the host can read every other. */
static int host_peer_query(void *driver, uint32_t index, uint32_t peer, bool *reachable, struct dt2_backend_error *err)
{
    int rc = check_index(driver, index, err);
    if (rc == DT2_BACKEND_OK)
        rc = check_index(driver, peer, err);
    if (rc == DT2_BACKEND_OK)
        *reachable = true;
    return rc;
}

/* -- buffers */

/*
 * Containers often forbid to bind memory (mbind needs a capability): the kernel then places it where it is touched first, which is
 * worth one warning, but where the process sees one node alone.
 */
static int allow_unbound(const struct dt2_host_device *device, int node, int failure)
{
    struct dt2_host *host = device->host;
    if (!atomic_exchange(&host->unbound, true) && device->index > 0)
        host->services->log(host->services->core, 1,
                            "cpu:%d: memory cannot be bound to its node here (%s): it is touched first by threads there, and the "
                            "kernel places it", node, strerror(failure));
    return DT2_BACKEND_OK;
}

static bool is_forbidden(int failure)
{
    return failure == EPERM || failure == ENOSYS;
}

/* All of host memory is one node's where the process sees no other. */
static bool has_node(const struct dt2_host_device *device)
{
    const struct dt2_topology *topology = device->host->topology;
    return topology && (device->index ? topology->this_system : topology->node_count == 1 && dt2_topology_is_several(topology));
}

static size_t node_of(const struct dt2_host_device *device)
{
    return device->index ? device->index - 1 : 0;
}

/* A wish of the caller's is not heard: where memory lies was planned. */
static void say_wish(struct dt2_host *host, int node)
{
    if (host->topology->wish && !atomic_exchange(&host->said_wish, true))
        host->services->log(host->services->core, 1,
                            "cpu:%d: memory lies there as it was planned, and not as the memory policy of this process (%s) has it", node,
                            host->topology->wish);
}

static int fail_to_bind(void *driver, const struct dt2_host_device *device, int failure, uint64_t bytes,
                        struct dt2_backend_error *err)
{
    struct dt2_host *host = driver;
    int node = host->topology->nodes[node_of(device)].number;
    uint64_t left = node_memory(host->topology, node_of(device)).free_bytes;
    if (failure == EIO || failure == ENOMEM)
        return FAIL(DT2_BACKEND_NOMEM, "NUMA node %d has no room for %llu bytes more: %llu are free", node,
                    (unsigned long long)bytes, (unsigned long long)(left == DT2_UNKNOWN ? 0 : left));
    if (!is_forbidden(failure))
        return FAIL(DT2_BACKEND_FAILED, "cannot bind %llu bytes to NUMA node %d: %s", (unsigned long long)bytes, node,
                    strerror(failure));
    return allow_unbound(device, node, failure);
}

int dt2_host_populate(void *driver, dt2_handle device, char *memory, uint64_t bytes, bool gather, struct dt2_backend_error *err)
{
    DT2_KEEP_ERRNO;
    struct dt2_host_device *owner = host_get_device(driver, device, err);
    if (!owner)
        return DT2_BACKEND_INVALID;
    const struct dt2_topology *topology = owner->host->topology;
    bool there = has_node(owner) && atomic_load(&owner->host->unbound); /* it has to be touched */
    void *before = there ? dt2_topology_go_near(topology, node_of(owner)) : NULL;
    if (gather)
        (void)dt2_pages_gather(memory, bytes);
    int failure = dt2_pages_populate(memory, bytes);
    if (there)
        dt2_topology_go_back(topology, before);
    if (failure)
        return FAIL(DT2_BACKEND_NOMEM, "the kernel has no %llu bytes: %s", (unsigned long long)bytes, strerror(failure));
    failure = has_node(owner) ? dt2_topology_bind(topology, node_of(owner), memory, bytes) : 0;
    return failure ? fail_to_bind(driver, owner, failure, bytes, err) : DT2_BACKEND_OK;
}

uint64_t dt2_host_elsewhere(void *driver, dt2_handle device, const char *memory, uint64_t bytes)
{
    DT2_KEEP_ERRNO;
    const struct dt2_host_device *owner = host_get_device(driver, device, NULL);
    if (!owner || !has_node(owner) || !atomic_load(&owner->host->unbound))
        return 0;
    return dt2_pages_elsewhere(memory, bytes, owner->host->topology->nodes[node_of(owner)].number);
}

uint64_t dt2_host_room(void *driver, dt2_handle device)
{
    DT2_KEEP_ERRNO;
    const struct dt2_host *host = driver;
    const struct dt2_host_device *of = device ? host_get_device(driver, device, NULL) : NULL;
    struct dt2_memory limit;
    if (host->topology && !host->topology->this_system)
        return DT2_UNKNOWN;
    if (of)
        return memory_of(host, of->index).free_bytes;
    uint64_t room = memory_of(host, 0).free_bytes;
    return dt2_cgroup_memory("", &limit) ? dt2_min(room, limit.free_bytes) : room;
}

static int publish_buffer(void *driver, struct dt2_host_device *device, char *address, uint64_t bytes, size_t mapped,
                          dt2_handle *buffer, struct dt2_backend_error *err)
{
    struct dt2_host_buffer *made = host_alloc(driver, sizeof *made);
    if (!made)
        return host_no_bookkeeping(driver, err);
    *made = (struct dt2_host_buffer){ device, address, bytes, mapped };
    dt2_handle handle = host_publish(driver, DT2_HANDLE_BUFFER, made);
    if (!handle) {
        host_release(driver, made);
        return host_no_bookkeeping(driver, err);
    }
    atomic_fetch_add(&device->live, 1);
    *buffer = handle;
    return DT2_BACKEND_OK;
}

/* Maps memory for a buffer, which the kernel is to give near the device's node. */
static int map_buffer(void *driver, struct dt2_host_device *owner, uint64_t bytes, char **address, size_t *length,
                      struct dt2_backend_error *err)
{
    uint64_t total = owner->total_bytes;
    if (bytes == 0)
        return FAIL(DT2_BACKEND_INVALID, "a buffer of 0 bytes");
    if (bytes > total || bytes > DT2_HOST_MAX_BYTES)
        return FAIL(DT2_BACKEND_NOMEM, "%llu bytes are more than the memory has: %llu", (unsigned long long)bytes,
                    (unsigned long long)(total < DT2_HOST_MAX_BYTES ? total : DT2_HOST_MAX_BYTES));
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *length = ((size_t)bytes + page - 1) / page * page;
    *address = dt2_map_huge(*length);
    if (!*address)
        return FAIL(DT2_BACKEND_NOMEM, "the kernel has no room for %llu bytes: %s", (unsigned long long)bytes,
                    strerror(errno));
    if (!has_node(owner))
        return DT2_BACKEND_OK;
    int node = owner->host->topology->nodes[node_of(owner)].number;
    if (owner->index > 0)
        say_wish(owner->host, node);
    int failure = dt2_topology_prefer(owner->host->topology, node, *address, *length);
    return is_forbidden(failure) ? allow_unbound(owner, node, failure) : DT2_BACKEND_OK;
}

static int make_buffer(void *driver, dt2_handle device, uint64_t bytes, bool populated, dt2_handle *buffer,
                       struct dt2_backend_error *err)
{
    DT2_KEEP_ERRNO;
    struct dt2_host_device *owner = host_get_device(driver, device, err);
    char *address = NULL;
    size_t length = 0;
    int rc = owner ? map_buffer(driver, owner, bytes, &address, &length, err) : DT2_BACKEND_INVALID;
    if (rc < 0)
        return rc;
    if (populated)
        rc = dt2_host_populate(driver, device, address, length, false, err);
    if (rc == DT2_BACKEND_OK)
        rc = publish_buffer(driver, owner, address, bytes, length, buffer, err);
    if (rc < 0)
        munmap(address, length);
    return rc;
}

static int host_buffer_alloc(void *driver, dt2_handle device, uint64_t bytes, dt2_handle *buffer,
                             struct dt2_backend_error *err)
{
    return make_buffer(driver, device, bytes, true, buffer, err);
}

int dt2_host_buffer_map_only(void *driver, dt2_handle device, uint64_t bytes, dt2_handle *buffer,
                             struct dt2_backend_error *err)
{
    return make_buffer(driver, device, bytes, false, buffer, err);
}

static int host_buffer_adopt(void *driver, dt2_handle device, void *native, uint64_t bytes, dt2_handle *buffer,
                             struct dt2_backend_error *err)
{
    struct dt2_host_device *owner = host_get_device(driver, device, err);
    if (!owner)
        return DT2_BACKEND_INVALID;
    if (!native || bytes == 0 || bytes > DT2_HOST_MAX_BYTES)
        return FAIL(DT2_BACKEND_INVALID, "not memory to adopt: %llu bytes at %p", (unsigned long long)bytes, native);
    return publish_buffer(driver, owner, native, bytes, 0, buffer, err);
}

static int host_buffer_wrap(void *driver, dt2_handle device, void *memory, uint64_t bytes, dt2_handle *buffer,
                            struct dt2_backend_error *err)
{
    if ((uintptr_t)memory % (uintptr_t)sysconf(_SC_PAGESIZE) || bytes % 64)
        return FAIL(DT2_BACKEND_INVALID,
                    "memory to wrap begins on a page and fills lines of 64 bytes, unlike %llu bytes at %p",
                    (unsigned long long)bytes, memory);
    return host_buffer_adopt(driver, device, memory, bytes, buffer, err);
}

static int host_buffer_free(void *driver, dt2_handle buffer, struct dt2_backend_error *err)
{
    DT2_KEEP_ERRNO;
    struct dt2_host_buffer *freed = host_take(driver, DT2_HANDLE_BUFFER, buffer);
    if (!freed)
        return FAIL(DT2_BACKEND_INVALID, "not a buffer, or one that was freed");
    if (freed->mapped)
        munmap(freed->address, freed->mapped);
    atomic_fetch_sub(&freed->device->live, 1);
    host_release(driver, freed);
    return DT2_BACKEND_OK;
}

static int host_buffer_native(void *driver, dt2_handle buffer, struct dt2_backend_native *native,
                              struct dt2_backend_error *err)
{
    const struct dt2_host_buffer *found = host_get_buffer(driver, buffer, err);
    if (!found)
        return DT2_BACKEND_INVALID;
    *native = (struct dt2_backend_native){ sizeof *native, found->address, true };
    return DT2_BACKEND_OK;
}

const struct dt2_backend *dt2_host_backend(void)
{
    static const struct dt2_backend backend = {
        .struct_size = sizeof backend,
        .abi = DT2_BACKEND_ABI,
        .name = "host",
        .version = PACKAGE_VERSION,
        .open = host_open,
        .close = host_close,
        .device_count = host_device_count,
        .device_info = host_device_info,
        .device_free_bytes = host_device_free_bytes,
        .device_open = host_device_open,
        .device_close = host_device_close,
        .buffer_alloc = host_buffer_alloc,
        .buffer_wrap = host_buffer_wrap,
        .buffer_adopt = host_buffer_adopt,
        .buffer_free = host_buffer_free,
        .buffer_native = host_buffer_native,
        .buffer_map = dt2_host_buffer_map,
        .buffer_unmap = dt2_host_buffer_unmap,
        .queue_create = dt2_host_queue_create,
        .queue_adopt = dt2_host_queue_adopt,
        .queue_destroy = dt2_host_queue_destroy,
        .queue_wait = dt2_host_queue_wait,
        .copy_h2d = dt2_host_copy_h2d,
        .copy_d2h = dt2_host_copy_d2h,
        .copy_d2d = dt2_host_copy_d2d,
        .copy_peer = dt2_host_copy_peer,
        .peer_query = host_peer_query,
        .event_record = dt2_host_event_record,
        .event_query = dt2_host_event_query,
        .event_wait = dt2_host_event_wait,
        .queue_wait_event = dt2_host_queue_wait_event,
        .event_free = dt2_host_event_free,
        .device_native = host_device_native,
    };
    return &backend;
}
