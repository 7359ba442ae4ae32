/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The machine as hwloc sees it, reduced to what placing tensors needs: host memory by NUMA node, the distances
 * between nodes, and where on the PCI tree a GPU hangs. The only file that knows hwloc is topology.c.
 */
#ifndef DT2_MACHINE_TOPOLOGY_H
#define DT2_MACHINE_TOPOLOGY_H

#include <distorch2/error.h>

struct hwloc_topology;

/* A NUMA node with host memory. */
struct dt2_host_node {
    int number; /* the kernel's */
    uint64_t total_bytes;
    int package; /* as hwloc counts; -1: none, or more than one */
};

/* A display or processing device on the PCI bus, whoever made it. */
struct dt2_pci_gpu {
    char pci[16]; /* "dddd:bb:dd.f" */
    unsigned vendor_id;
    unsigned device_id;
    char model[128]; /* empty when no database knows it */
};

/* Filled at load; only read afterwards, so by several threads at once. */
struct dt2_topology {
    struct hwloc_topology *hwloc;
    bool this_system; /* false: a recorded or synthetic machine, whose memory is not here to be bound or measured */
    bool whole; /* the host nodes are all memory that the kernel has: none is a GPU's, none is withheld by a cpuset or by the caller */
    bool io;    /* PCI devices were looked for */
    struct dt2_host_node *nodes; /* that this process may use, and its memory policy where that binds it; ascending by number */
    size_t node_count;
    uint64_t *distances; /* node_count x node_count, in the order of `nodes`; NULL: unknown */
    struct dt2_pci_gpu *gpus;
    size_t gpu_count;
    uint64_t total_bytes; /* of all host nodes; DT2_UNKNOWN */
    const char *wish;     /* the caller's memory policy where that is no more than a wish, such as "interleave"; NULL: none */
    char cpu_vendor[64];  /* may be empty */
    char cpu_model[128];
};

/*
 * Where a device hangs: its nearest host node (-1: unknown, or several are as near), its link (< 0: unknown), and the bridge nearest the
 * processor, whose link it shares with all that hangs there ("": none is known).
 */
struct dt2_locality {
    int numa_node;
    double gbps;
    char bridge[16]; /* "dddd:bb:dd.f" */
};

/*
 * Reads the topology; `io` also looks for PCI devices, which takes several times as long. Starts no GPU driver.
 * Errors: DT2_EFAILED, also when HWLOC_XMLFILE or HWLOC_SYNTHETIC asks for a machine that hwloc cannot make;
 * DT2_ENOMEM.
 */
int dt2_topology_load(bool io, struct dt2_topology **topology, struct dt2_error *err);
void dt2_topology_free(struct dt2_topology *topology); /* NULL is fine */

/* `pci` may be NULL or empty: unknown. A machine of one host node has that node near everything. */
struct dt2_locality dt2_topology_locality(const struct dt2_topology *topology, const char *pci);

/*
 * Wishes that fresh memory lies on the node of that number, where there are several; elsewhere is as good as nothing. Returns 0, or a
 * positive errno: wishes are not heard here.
 */
int dt2_topology_prefer(const struct dt2_topology *topology, int node, void *memory, size_t bytes);
/*
 * Binds memory strictly to the node nodes[index], and moves there what lies elsewhere. Returns 0, or a positive errno; EIO: no
 * room.
 */
int dt2_topology_bind(const struct dt2_topology *topology, size_t index, void *memory, size_t bytes);
/* The index in `nodes` of a node of the kernel's number; node_count: none of those has it. */
size_t dt2_topology_node(const struct dt2_topology *topology, int number);
/* Whether memory may lie on one of several nodes: where a process sees one of them, the kernel may still have others. */
bool dt2_topology_is_several(const struct dt2_topology *topology);
/*
 * Has the calling thread run on those of its processors that the node nodes[index] has, where memory that it is the first to touch
 * lies by itself. Returns where it ran before, for dt2_topology_go_back(); NULL: it stays where it is, as it may not run there.
 */
void *dt2_topology_go_near(const struct dt2_topology *topology, size_t index);
void dt2_topology_go_back(const struct dt2_topology *topology, void *before); /* NULL is fine */

#endif
