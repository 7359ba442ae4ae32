/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine/topology.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include <hwloc.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Components of hwloc that start GPU drivers (contexts, 50 ms and more), and "x86", which moves the calling thread
 * over every processor to ask it for what /sys tells. A component that is not there cannot be left out: no failure.
 */
static void leave_out_components(hwloc_topology_t hwloc)
{
    static const char *const components[] = { "opencl", "cuda", "rsmi", "nvml", "gl", "levelzero", "x86" };
    for (size_t i = 0; i < sizeof components / sizeof *components; i++)
        hwloc_topology_set_components(hwloc, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, components[i]);
}

static void choose_objects(hwloc_topology_t hwloc, bool io)
{
    hwloc_topology_set_cache_types_filter(hwloc, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_icache_types_filter(hwloc, HWLOC_TYPE_FILTER_KEEP_NONE);
    if (io) {
        hwloc_topology_set_type_filter(hwloc, HWLOC_OBJ_PCI_DEVICE, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
        hwloc_topology_set_type_filter(hwloc, HWLOC_OBJ_BRIDGE, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    }
}

/* hwloc falls back to the real machine when it cannot make the one that was asked for; nobody wants that silently. */
static int check_replaced(const struct dt2_topology *topology, struct dt2_error *err)
{
    static const char *const variables[] = { "HWLOC_XMLFILE", "HWLOC_SYNTHETIC" };
    if (!topology->this_system || getenv("HWLOC_THISSYSTEM") || getenv("HWLOC_COMPONENTS"))
        return 0;
    for (size_t i = 0; i < 2; i++) {
        const char *value = getenv(variables[i]);
        if (value && *value) {
            dt2_fail(err, DT2_EFAILED, "%s=%s: hwloc cannot make a machine of this", variables[i], value);
            dt2_suggest(err, "unset %s to use this machine", variables[i]);
            return DT2_EFAILED;
        }
    }
    return 0;
}

/* A GPU whose memory is a NUMA node of the kernel (POWER9, Grace) keeps it for itself. */
static bool is_host_memory(hwloc_obj_t node)
{
    return !node->subtype || strcmp(node->subtype, "GPUMemory") != 0;
}

#define POLICY_NODES 1024 /* no kernel has more */

/* What the caller's memory policy leaves of the nodes, as `numactl --membind` does; what it only wishes is named. */
struct policy {
    bool binds;
    unsigned long nodes[POLICY_NODES / 8 / sizeof(unsigned long)];
};

static struct policy read_policy(struct dt2_topology *topology)
{
    static const char *const wishes[] = { [MPOL_PREFERRED] = "preferred", [MPOL_INTERLEAVE] = "interleave",
                                          [5] = "preferred many", [6] = "weighted interleave" };
    struct policy policy = { .binds = false };
    int mode = MPOL_DEFAULT;
    if (!topology->this_system || syscall(SYS_get_mempolicy, &mode, policy.nodes, POLICY_NODES, NULL, 0) < 0)
        return policy;
    mode &= ~MPOL_MODE_FLAGS;
    policy.binds = mode == MPOL_BIND;
    topology->wish = mode >= 0 && mode < (int)DT2_COUNT(wishes) ? wishes[mode] : NULL;
    return policy;
}

static bool is_left_by(const struct policy *policy, hwloc_obj_t node)
{
    const unsigned bits = 8 * sizeof(unsigned long), number = node->os_index;
    return is_host_memory(node) &&
           (!policy->binds || (number < POLICY_NODES && (policy->nodes[number / bits] >> number % bits & 1)));
}

static int by_number(const void *a, const void *b)
{
    int x = ((const struct dt2_host_node *)a)->number, y = ((const struct dt2_host_node *)b)->number;
    return (x > y) - (x < y);
}

static int package_of(const struct dt2_topology *topology, hwloc_obj_t node)
{
    hwloc_obj_t package = hwloc_get_ancestor_obj_by_type(topology->hwloc, HWLOC_OBJ_PACKAGE, node);
    return package ? (int)package->logical_index : -1;
}

/* Nodes without memory are left out, unless nobody recorded any memory at all, and those that the caller bound itself away from. */
static int read_nodes(struct dt2_topology *topology, struct dt2_error *err)
{
    hwloc_topology_t hwloc = topology->hwloc;
    int count = hwloc_get_nbobjs_by_type(hwloc, HWLOC_OBJ_NUMANODE);
    size_t host = 0;
    uint64_t total = 0;
    const struct policy policy = read_policy(topology);
    topology->nodes = dt2_alloc(count > 0 ? (size_t)count : 1, sizeof *topology->nodes);
    if (!topology->nodes)
        return dt2_fail_nomem(err);
    hwloc_obj_t node = NULL;
    while ((node = hwloc_get_next_obj_by_type(hwloc, HWLOC_OBJ_NUMANODE, node)))
        if (is_left_by(&policy, node))
            total += node->attr->numanode.local_memory;
    while ((node = hwloc_get_next_obj_by_type(hwloc, HWLOC_OBJ_NUMANODE, node))) {
        uint64_t bytes = node->attr->numanode.local_memory;
        if (!is_left_by(&policy, node))
            continue;
        host++;
        if (bytes || !total)
            topology->nodes[topology->node_count++] =
                (struct dt2_host_node){ (int)node->os_index, bytes ? bytes : DT2_UNKNOWN, package_of(topology, node) };
    }
    qsort(topology->nodes, topology->node_count, sizeof *topology->nodes, by_number);
    topology->total_bytes = total ? total : DT2_UNKNOWN;
    topology->whole = hwloc_bitmap_weight(hwloc_topology_get_complete_nodeset(hwloc)) == (int)host;
    return 0;
}

/* Which row of hwloc's matrix is a node's; -1: none. */
static int row_of(const struct hwloc_distances_s *matrix, int number)
{
    for (unsigned i = 0; i < matrix->nbobjs; i++)
        if (matrix->objs[i] && matrix->objs[i]->type == HWLOC_OBJ_NUMANODE && (int)matrix->objs[i]->os_index == number)
            return (int)i;
    return -1;
}

/* Copies hwloc's matrix, which is in its own order of nodes, when it has every node of ours. */
static bool copy_distances(const struct dt2_topology *topology, const struct hwloc_distances_s *matrix, uint64_t *copy)
{
    size_t n = topology->node_count;
    for (size_t i = 0; i < n; i++) {
        int row = row_of(matrix, topology->nodes[i].number);
        for (size_t j = 0; j < n; j++) {
            int column = row_of(matrix, topology->nodes[j].number);
            if (row < 0 || column < 0)
                return false;
            copy[i * n + j] = matrix->values[(size_t)row * matrix->nbobjs + (size_t)column];
        }
    }
    return true;
}

static int read_distances(struct dt2_topology *topology, struct dt2_error *err)
{
    struct hwloc_distances_s *found[8] = { 0 };
    unsigned count = 8;
    size_t n = topology->node_count;
    if (n < 2 || hwloc_distances_get_by_type(topology->hwloc, HWLOC_OBJ_NUMANODE, &count, found,
                                             HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0) < 0)
        return 0;
    if (count > 8)
        count = 8;
    DT2_AUTO uint64_t *copy = dt2_alloc(n * n, sizeof *copy);
    bool done = false;
    for (unsigned i = 0; i < count; i++) {
        if (copy && !done)
            done = copy_distances(topology, found[i], copy);
        hwloc_distances_release(topology->hwloc, found[i]);
    }
    if (!copy)
        return dt2_fail_nomem(err);
    if (done)
        topology->distances = DT2_TAKE(copy);
    return 0;
}

static void read_processor(struct dt2_topology *topology)
{
    hwloc_obj_t package = hwloc_get_obj_by_type(topology->hwloc, HWLOC_OBJ_PACKAGE, 0);
    const char *vendor = package ? hwloc_obj_get_info_by_name(package, "CPUVendor") : NULL;
    const char *model = package ? hwloc_obj_get_info_by_name(package, "CPUModel") : NULL;
    if (!model)
        model = hwloc_obj_get_info_by_name(hwloc_get_root_obj(topology->hwloc), "CPUModel");
    snprintf(topology->cpu_vendor, sizeof topology->cpu_vendor, "%s", vendor ? vendor : "");
    snprintf(topology->cpu_model, sizeof topology->cpu_model, "%s", model ? model : "");
}

static void read_gpu(hwloc_obj_t object, struct dt2_pci_gpu *gpu)
{
    const struct hwloc_pcidev_attr_s *p = &object->attr->pcidev;
    const char *model = hwloc_obj_get_info_by_name(object, "PCIDevice");
    if (!model)
        model = object->name;
    snprintf(gpu->pci, sizeof gpu->pci, "%04x:%02x:%02x.%x", (unsigned)p->domain & 0xFFFFF, p->bus, p->dev, p->func);
    gpu->vendor_id = p->vendor_id;
    gpu->device_id = p->device_id;
    snprintf(gpu->model, sizeof gpu->model, "%s", model ? model : "");
}

/* Display controllers (class 03xx) and processing accelerators (12xx). */
static int read_gpus(struct dt2_topology *topology, struct dt2_error *err)
{
    size_t capacity = 0;
    hwloc_obj_t object = NULL;
    while ((object = hwloc_get_next_pcidev(topology->hwloc, object))) {
        unsigned class = object->attr->pcidev.class_id >> 8;
        if (class != 0x03 && class != 0x12)
            continue;
        if (!DT2_GROW(topology->gpus, topology->gpu_count, capacity))
            return dt2_fail_nomem(err);
        read_gpu(object, &topology->gpus[topology->gpu_count++]);
    }
    return 0;
}

static int read_all(struct dt2_topology *topology, struct dt2_error *err)
{
    topology->this_system = hwloc_topology_is_thissystem(topology->hwloc);
    int rc = check_replaced(topology, err);
    if (rc == 0)
        rc = read_nodes(topology, err);
    if (rc == 0)
        rc = read_distances(topology, err);
    if (rc == 0 && topology->io)
        rc = read_gpus(topology, err);
    read_processor(topology);
    return rc;
}

int dt2_topology_load(bool io, struct dt2_topology **topology, struct dt2_error *err)
{
    struct dt2_topology *made = dt2_alloc(1, sizeof *made);
    if (!made)
        return dt2_fail_nomem(err);
    made->io = io;
    int rc = 0;
    if (hwloc_topology_init(&made->hwloc) < 0) {
        made->hwloc = NULL;
        rc = dt2_fail_nomem(err);
    } else {
        leave_out_components(made->hwloc);
        choose_objects(made->hwloc, io);
        if (hwloc_topology_load(made->hwloc) < 0) {
            const char *xml = getenv("HWLOC_XMLFILE");
            rc = dt2_fail(err, DT2_EFAILED, "hwloc cannot read the topology%s%s", xml ? " of HWLOC_XMLFILE=" : "",
                          xml ? xml : "");
        }
    }
    if (rc == 0)
        rc = read_all(made, err);
    if (rc < 0) {
        dt2_topology_free(made);
        return rc;
    }
    *topology = made;
    return 0;
}

void dt2_topology_free(struct dt2_topology *topology)
{
    if (!topology)
        return;
    if (topology->hwloc)
        hwloc_topology_destroy(topology->hwloc);
    dt2_release(topology->nodes);
    dt2_release(topology->distances);
    dt2_release(topology->gpus);
    dt2_release(topology);
}

static hwloc_obj_t find_pci(hwloc_topology_t hwloc, const char *pci)
{
    unsigned domain, bus, device, function;
    if (!pci || sscanf(pci, "%x:%x:%x.%x", &domain, &bus, &device, &function) != 4)
        return NULL;
    return hwloc_get_pcidev_by_busid(hwloc, domain, bus, device, function);
}

size_t dt2_topology_node(const struct dt2_topology *topology, int number)
{
    size_t index = 0;
    while (index < topology->node_count && topology->nodes[index].number != number)
        index++;
    return index;
}

/* The one host node near an object; -1 when there are several, or none that we may use. */
static int node_near(const struct dt2_topology *topology, hwloc_obj_t object)
{
    int near = -1;
    for (size_t i = 0; i < topology->node_count; i++) {
        if (!object->nodeset || !hwloc_bitmap_isset(object->nodeset, (unsigned)topology->nodes[i].number))
            continue;
        if (near >= 0)
            return -1;
        near = topology->nodes[i].number;
    }
    return near;
}

/* The slowest link between a device and the processor: its own, and those of the switches above it. */
static double slowest_link(hwloc_obj_t object)
{
    float slowest = object->attr->pcidev.linkspeed;
    for (hwloc_obj_t up = object->parent; up && up->type == HWLOC_OBJ_BRIDGE; up = up->parent) {
        float speed =
            up->attr->bridge.upstream_type == HWLOC_OBJ_BRIDGE_PCI ? up->attr->bridge.upstream.pci.linkspeed : 0;
        if (speed > 0 && (slowest <= 0 || speed < slowest))
            slowest = speed;
    }
    /* Three digits: a float's tail of noise would be printed otherwise. */
    return slowest > 0 ? (double)(long)((double)slowest * 1000 + 0.5) / 1000 : -1;
}

/* The last one on the way up that hangs on a bus itself: a root port. */
static void name_bridge(hwloc_obj_t object, char *name, size_t size)
{
    for (hwloc_obj_t up = object->parent; up && up->type == HWLOC_OBJ_BRIDGE; up = up->parent) {
        const struct hwloc_pcidev_attr_s *pci = &up->attr->bridge.upstream.pci;
        if (up->attr->bridge.upstream_type == HWLOC_OBJ_BRIDGE_PCI)
            snprintf(name, size, "%04x:%02x:%02x.%x", (unsigned)pci->domain & 0xFFFFu, pci->bus, pci->dev, pci->func & 0xFu);
    }
}

struct dt2_locality dt2_topology_locality(const struct dt2_topology *topology, const char *pci)
{
    struct dt2_locality locality = { .numa_node = -1, .gbps = -1 };
    if (topology->node_count == 1)
        locality.numa_node = topology->nodes[0].number;
    hwloc_obj_t object = find_pci(topology->hwloc, pci);
    if (!object)
        return locality;
    locality.gbps = slowest_link(object);
    name_bridge(object, locality.bridge, sizeof locality.bridge);
    if (topology->node_count != 1)
        locality.numa_node = node_near(topology, hwloc_get_non_io_ancestor_obj(topology->hwloc, object));
    return locality;
}

/* Strictly, or as a wish. Returns 0, or a positive errno. */
static int bind_area(const struct dt2_topology *topology, int number, void *memory, size_t bytes, int strict)
{
    hwloc_bitmap_t node = hwloc_bitmap_alloc();
    if (!node || hwloc_bitmap_set(node, (unsigned)number) < 0) {
        hwloc_bitmap_free(node);
        return ENOMEM;
    }
    int rc = hwloc_set_area_membind(topology->hwloc, memory, bytes, node, HWLOC_MEMBIND_BIND,
                                    strict | HWLOC_MEMBIND_BYNODESET);
    int failure = rc < 0 ? errno : 0;
    hwloc_bitmap_free(node);
    return failure;
}

bool dt2_topology_is_several(const struct dt2_topology *topology)
{
    return topology->this_system && (topology->node_count > 1 || !topology->whole);
}

int dt2_topology_bind(const struct dt2_topology *topology, size_t index, void *memory, size_t bytes)
{
    return bind_area(topology, topology->nodes[index].number, memory, bytes, HWLOC_MEMBIND_STRICT | HWLOC_MEMBIND_MIGRATE);
}

int dt2_topology_prefer(const struct dt2_topology *topology, int node, void *memory, size_t bytes)
{
    return node >= 0 && dt2_topology_is_several(topology) ? bind_area(topology, node, memory, bytes, 0) : 0;
}

void *dt2_topology_go_near(const struct dt2_topology *topology, size_t index)
{
    hwloc_obj_t node = hwloc_get_numanode_obj_by_os_index(topology->hwloc, (unsigned)topology->nodes[index].number);
    hwloc_bitmap_t before = hwloc_bitmap_alloc(), near = hwloc_bitmap_alloc();
    bool moved = node && before && near && hwloc_get_cpubind(topology->hwloc, before, HWLOC_CPUBIND_THREAD) == 0 &&
                 hwloc_bitmap_and(near, before, node->cpuset) == 0 && !hwloc_bitmap_iszero(near) &&
                 hwloc_set_cpubind(topology->hwloc, near, HWLOC_CPUBIND_THREAD) == 0;
    hwloc_bitmap_free(near);
    if (!moved) {
        hwloc_bitmap_free(before);
        return NULL;
    }
    return before;
}

void dt2_topology_go_back(const struct dt2_topology *topology, void *before)
{
    if (before)
        hwloc_set_cpubind(topology->hwloc, before, HWLOC_CPUBIND_THREAD);
    hwloc_bitmap_free(before);
}
