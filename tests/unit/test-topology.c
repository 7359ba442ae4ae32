/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Machines that are not here, from hwloc's files and synthetic strings: nodes, distances, localities, lists of
 * devices.
 */
#include "base/alloc.h"
#include "base/checked.h"
#include "machine/machine.h"
#include "machine/topology.h"
#include "support/tap.h"
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct dt2_module_options no_modules = { .path = "" };

static void use_xml(const char *file)
{
    const char *top = getenv("top_srcdir");
    DT2_AUTO char *path = dt2_printf("%s/tests/data/topologies/%s", top ? top : ".", file);
    unsetenv("HWLOC_SYNTHETIC");
    setenv("HWLOC_XMLFILE", path, 1);
}

static void use_synthetic(const char *text)
{
    unsetenv("HWLOC_XMLFILE");
    setenv("HWLOC_SYNTHETIC", text, 1);
}

static void use_this_machine(void)
{
    unsetenv("HWLOC_XMLFILE");
    unsetenv("HWLOC_SYNTHETIC");
}

static struct dt2_topology *load(bool io, const char *what)
{
    struct dt2_topology *topology = NULL;
    struct dt2_error err = { 0 };
    ok(dt2_topology_load(io, &topology, &err) == 0, "%s: loads %s", what, err.text);
    return topology;
}

#define MAX_NODES 8
static const struct {
    const char *what, *xml, *synthetic;
    size_t count;
    int numbers[MAX_NODES];
    uint64_t bytes[MAX_NODES];
    uint64_t row[MAX_NODES]; /* distances from the first node; a 0 first: unknown */
} machines[] = {
    { "two sockets", "32em64t-2n8c2t-pci-normalio.xml", NULL, 2, { 0, 1 }, { 34330173440, 34359738368 }, { 10, 20 } },
    { "DGX-2", "nvidiaDGX2.xml", NULL, 2, { 0, 1 }, { 810234351616, 811737923584 }, { 10, 21 } },
    { "POWER8", "power8gpudistances.xml", NULL, 2, { 0, 1 }, { 68556816384, 68450713600 }, { 10, 40 } },
    { "a cpuset of five nodes of eight",
      "16amd64-8n2c-cpusets.xml",
      NULL,
      5,
      { 1, 2, 3, 4, 5 },
      { 8589934592, 8589934592, 8589934592, 8589934592, 8589934592 },
      { 10, 20, 20, 20, 20 } },
    { "memory of GPUs, and a node without any",
      "gpu-memory.xml",
      NULL,
      2,
      { 0, 8 },
      { 34359738368, 68719476736 },
      { 10, 40 } },
    { "synthetic",
      NULL,
      "pack:2 numa:2 core:8 pu:1",
      4,
      { 0, 1, 2, 3 },
      { 1073741824, 1073741824, 1073741824, 1073741824 },
      { 0 } },
    { "synthetic, numbered backwards",
      NULL,
      "pack:2 [numa(memory=2147483648 indexes=7,3)] core:1 pu:1",
      2,
      { 3, 7 },
      { 2147483648, 2147483648 },
      { 0 } },
    { "synthetic, one node", NULL, "numa:1 core:2 pu:1", 1, { 0 }, { 1073741824 }, { 0 } },
};

static void test_nodes(void)
{
    for (size_t i = 0; i < DT2_COUNT(machines); i++) {
        const char *what = machines[i].what;
        if (machines[i].xml)
            use_xml(machines[i].xml);
        else
            use_synthetic(machines[i].synthetic);
        struct dt2_topology *t = load(false, what);
        if (!t)
            continue;
        ok(!t->this_system && !t->io, "%s: is another machine", what);
        is_u64(t->node_count, machines[i].count, "%s: nodes", what);
        uint64_t total = 0;
        for (size_t j = 0; j < t->node_count && j < machines[i].count; j++) {
            is_int(t->nodes[j].number, machines[i].numbers[j], "%s: number of node %zu", what, j);
            is_u64(t->nodes[j].total_bytes, machines[i].bytes[j], "%s: bytes of node %zu", what, j);
            total += machines[i].bytes[j];
            if (machines[i].row[0] && t->distances)
                is_u64(t->distances[j], machines[i].row[j], "%s: distance from the first to node %zu", what, j);
        }
        ok(!t->distances == !machines[i].row[0], "%s: distances are known, or not", what);
        is_u64(t->total_bytes, total, "%s: total", what);
        is_u64(t->gpu_count, 0, "%s: GPUs were not looked for", what);
        dt2_topology_free(t);
    }
}

/* The kernel's numbers are not hwloc's order: rows and columns must be in ours. */
static void test_matrix(void)
{
    use_xml("16amd64-8n2c-cpusets.xml");
    struct dt2_topology *t = load(false, "matrix");
    if (!t || !t->distances)
        return;
    bool symmetric = true, diagonal = true;
    for (size_t i = 0; i < t->node_count; i++)
        for (size_t j = 0; j < t->node_count; j++) {
            symmetric &= t->distances[i * t->node_count + j] == t->distances[j * t->node_count + i];
            diagonal &= (t->distances[i * t->node_count + j] == 10) == (i == j);
        }
    ok(symmetric, "distances are the same both ways");
    ok(diagonal, "and 10 from a node to itself only");
    ok(!t->whole, "a cpuset keeps some memory from us");
    dt2_topology_free(t);
}

static void test_pci(void)
{
    static const struct {
        const char *xml, *pci;
        int node;
        double gbps; /* -1: unknown */
        const char *bridge;
    } cases[] = {
        { "nvidiaDGX2.xml", "0000:34:00.0", 0, 15.754, "0000:2b:00.0" },
        { "nvidiaDGX2.xml", "0000:39:00.0", 0, 15.754, "0000:2b:00.0" }, /* behind another switch, but the same port */
        { "nvidiaDGX2.xml", "0000:e7:00.0", 1, 15.754, "0000:d7:00.0" },
        { "nvidiaDGX2.xml", "0000:e8:00.0", -1, -1, "" },
        { "power8gpudistances.xml", "0002:01:00.0", 0, 7.877, "0002:00:00.0" }, /* slower above than at the card */
        { "power8gpudistances.xml", "000b:01:00.0", 1, 7.877, "000b:00:00.0" },
        { "32em64t-2n8c2t-pci-normalio.xml", "0000:84:00.1", 1, -1, "0000:80:03.0" },
        { "32em64t-2n8c2t-pci-normalio.xml", "", -1, -1, "" },
        { "32em64t-2n8c2t-pci-normalio.xml", "nonsense", -1, -1, "" },
        { "32em64t-2n8c2t-pci-normalio.xml", NULL, -1, -1, "" },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        use_xml(cases[i].xml);
        struct dt2_topology *t = load(true, cases[i].xml);
        if (!t)
            continue;
        struct dt2_locality at = dt2_topology_locality(t, cases[i].pci);
        is_int(at.numa_node, cases[i].node, "%s %s: node", cases[i].xml, cases[i].pci);
        if (!ok(at.gbps > cases[i].gbps - 0.01 && at.gbps < cases[i].gbps + 0.01, "%s %s: %.3f GB/s", cases[i].xml,
                cases[i].pci, cases[i].gbps))
            diag("got %.3f", at.gbps);
        is_str(at.bridge, cases[i].bridge, "%s %s: the bridge that it shares", cases[i].xml, cases[i].pci);
        dt2_topology_free(t);
    }
    use_xml("nvidiaDGX2.xml");
    struct dt2_topology *t = load(true, "DGX-2");
    is_u64(t ? t->gpu_count : 0, 16, "a DGX-2 has sixteen GPUs");
    dt2_topology_free(t);
    use_synthetic("numa:1 core:2 pu:1");
    t = load(false, "one node");
    is_int(t ? dt2_topology_locality(t, NULL).numa_node : -1, 0, "on a machine of one node everything is near it");
    dt2_topology_free(t);
}

static void test_not_there(void)
{
    static const char *const synthetic[] = { "bad", "pack:2 numa:x" };
    struct dt2_topology *topology = NULL;
    struct dt2_error err;
    use_xml("no-such-file.xml");
    is_int(dt2_topology_load(false, &topology, &err), DT2_EFAILED, "a file that is not there is not this machine");
    ok(strstr(err.text, "no-such-file.xml"), "and is named: %s", err.text);
    use_xml("README");
    is_int(dt2_topology_load(false, &topology, &err), DT2_EFAILED, "a file that is no topology: %s", err.text);
    for (size_t i = 0; i < DT2_COUNT(synthetic); i++) {
        use_synthetic(synthetic[i]);
        is_int(dt2_topology_load(false, &topology, &err), DT2_EFAILED, "'%s' is no machine", synthetic[i]);
        ok(strstr(err.text, synthetic[i]), "and is named: %s", err.text);
    }
    ok(!topology, "nothing was given");
}

/* -- what becomes of them as devices, without any driver */

static struct dt2_devices *list(const char *what, unsigned flags)
{
    struct dt2_machine *machine = NULL;
    struct dt2_devices *devices = NULL;
    struct dt2_error err = { 0 };
    if (!ok(dt2_machine_create(NULL, &no_modules, &machine, &err) == 0 &&
                dt2_machine_list(machine, flags, NULL, &devices, &err) == 0,
            "%s: listed %s", what, err.text))
        devices = NULL;
    dt2_machine_destroy(machine);
    return devices;
}

static void test_list(void)
{
    static const char *const names[] = { "cpu", "cpu:0", "cpu:8" };
    use_xml("gpu-memory.xml");
    struct dt2_devices *devices = list("several nodes", 0);
    if (!devices)
        return;
    is_u64(dt2_devices_count(devices), 3, "cpu and its nodes");
    is_u64(dt2_devices_budget_count(devices), 3, "a budget each, no cgroup of a machine that is not here");
    for (size_t i = 0; i < 3; i++) {
        const struct dt2_device *d = dt2_devices_get(devices, i);
        is_str(d->name, names[i], "name %zu", i);
        is_str(d->kind, "host", "%s: kind", d->name);
        is_str(d->driver, "host", "%s: driver", d->name);
        is_u64(d->free_bytes, DT2_UNKNOWN, "%s: free memory is not here to be counted", d->name);
        is_u64(d->alignment_bytes, 64, "%s: alignment", d->name);
        is_u64(d->alias_count, 0, "%s: no alias", d->name);
        is_u64(d->budget_count, i ? 2 : 1, "%s: budgets", d->name);
        is_str(d->budgets[0], d->name, "%s: its own budget first", d->name);
        is_str(d->budgets[d->budget_count - 1], "cpu", "%s: and the host's", d->name);
        is_int(d->numa_node, i == 0 ? -1 : i == 1 ? 0 : 8, "%s: node", d->name);
        is_u64(d->link_count, 0, "%s: no link that nobody measured", d->name);
    }
    is_u64(dt2_devices_get(devices, 0)->total_bytes, 103079215104, "cpu is the sum");
    size_t order = 0;
    const uint64_t *distances = dt2_devices_distances(devices, &order);
    ok(order == 2 && distances[0] == 10 && distances[1] == 40 && distances[2] == 40, "distances");
    dt2_devices_free(devices);

    use_synthetic("numa:1(indexes=0) core:2 pu:1");
    devices = list("one node", 0);
    if (!devices)
        return;
    is_u64(dt2_devices_count(devices), 1, "one node: cpu alone");
    const struct dt2_device *cpu = dt2_devices_get(devices, 0);
    is_str(cpu->alias_count ? cpu->aliases[0] : NULL, "cpu:0", "whose alias is its node");
    is_int(cpu->numa_node, 0, "which it names");
    ok(!dt2_devices_distances(devices, &order), "no distances");
    dt2_devices_free(devices);
}

/* A list with unusable GPUs is as long as the machine's GPUs that compute: consoles are left out. */
static void test_unusable(void)
{
    static const struct {
        const char *xml;
        size_t count;
    } cases[] = { { "nvidiaDGX2.xml", 16 }, { "power8gpudistances.xml", 4 }, { "32em64t-2n8c2t-pci-normalio.xml", 4 } };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        use_xml(cases[i].xml);
        struct dt2_devices *devices = list(cases[i].xml, DT2_DEVICES_UNUSABLE);
        if (!devices)
            continue;
        is_u64(dt2_devices_unusable_count(devices), cases[i].count, "%s: unusable GPUs", cases[i].xml);
        bool complete = true;
        for (size_t j = 0; j < dt2_devices_unusable_count(devices); j++) {
            const struct dt2_unusable *u = dt2_devices_unusable(devices, j);
            complete &= u->pci && u->model && *u->model && u->reason && *u->reason && u->help && *u->help;
        }
        ok(complete, "%s: each with model, reason and help", cases[i].xml);
        dt2_devices_free(devices);
        devices = list(cases[i].xml, 0);
        is_u64(devices ? dt2_devices_unusable_count(devices) : 1, 0, "%s: none when nobody asks", cases[i].xml);
        dt2_devices_free(devices);
    }
}

static void test_this_machine(void)
{
    use_this_machine();
    struct dt2_devices *devices = list("this machine", DT2_DEVICES_MEASURE);
    if (!devices)
        return;
    const struct dt2_device *cpu = dt2_devices_get(devices, 0);
    is_str(cpu->name, "cpu", "cpu comes first");
    ok(cpu->total_bytes != DT2_UNKNOWN && cpu->free_bytes <= cpu->total_bytes, "its memory is known");
    ok(cpu->link_count == 1 && cpu->links[0]->measured_gbps > 0, "its copies were measured");
    dt2_devices_free(devices);
}

static void test_open(void)
{
    struct dt2_machine *machine;
    struct dt2_opened *first = NULL, *second = NULL;
    struct dt2_error err = { 0 };
    use_this_machine();
    if (dt2_machine_create(NULL, &no_modules, &machine, &err) < 0)
        exit(1);
    is_int(dt2_machine_open(machine, "cpu", &first, &err), 0, "cpu opens");
    is_int(dt2_machine_open(machine, "cpu", &second, &err), 0, "twice");
    ok(first == second, "and is shared");
    is_str(first->name, "cpu", "its name");
    is_u64(first->alignment_bytes, 64, "its alignment");
    dt2_handle buffer = 0;
    struct dt2_backend_error failure;
    dt2_machine_close(machine, first);
    is_int(second->backend->buffer_alloc(second->driver, second->device, 10, &buffer, &failure), 0,
           "the second still works after the first was closed");
    second->backend->buffer_free(second->driver, buffer, &failure);
    dt2_machine_close(machine, second);
    is_int(dt2_machine_open(machine, "cpu", &first, &err), 0, "and opens again after the last");
    dt2_machine_close(machine, first);
    dt2_machine_close(machine, NULL);
    is_int(dt2_machine_open(machine, "cuda:0", &first, &err), DT2_ENOENT, "a device that is not there");
    ok(strstr(err.text, "cuda:0"), "is named: %s", err.text);
    is_int(dt2_machine_open(machine, "cpu:99", &first, &err), DT2_ENOENT, "a node that is not there");
    dt2_machine_destroy(machine);
    dt2_machine_destroy(NULL);
}

/* What the kernel has been told of a page: the node that is preferred; -1: nothing; -2: it does not say. */
static int preferred_node(void *page)
{
    int mode = 0;
    unsigned long nodes[16] = { 0 };
    if (syscall(SYS_get_mempolicy, &mode, nodes, sizeof nodes * 8, page, 2 /* MPOL_F_ADDR */) < 0)
        return -2;
    for (int i = 0; (mode == 1 || mode == 5) && i < (int)sizeof nodes * 8; i++) /* MPOL_PREFERRED, MPOL_PREFERRED_MANY */
        if (nodes[i / 64] >> i % 64 & 1)
            return i;
    return -1;
}

/* Staging memory lies near its device: a wish, of a machine with several nodes, that is this one. */
static void test_prefer(void)
{
    struct dt2_topology *topology;
    struct dt2_error err;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    use_this_machine();
    if (pages == MAP_FAILED || dt2_topology_load(false, &topology, &err) < 0)
        exit(1);
    size_t nodes = topology->node_count;
    int node = topology->nodes[0].number;
    topology->node_count = nodes > 1 ? nodes : 2; /* as if there were another */
    dt2_topology_prefer(topology, node, pages, page);
    if (preferred_node(pages) == -2) {
        skip(2, "the kernel does not tell where memory is to lie");
    } else {
        is_int(preferred_node(pages), node, "a node is preferred");
        is_int(preferred_node(pages + 2 * page), -1, "for these pages alone");
    }
    dt2_topology_prefer(topology, -1, pages + 2 * page, page);
    topology->this_system = false;
    dt2_topology_prefer(topology, node, pages + 2 * page, page);
    topology->this_system = true;
    topology->node_count = 1;
    dt2_topology_prefer(topology, node, pages + 2 * page, page);
    ok(preferred_node(pages + 2 * page) < 0, "nothing is wished for an unknown node, another machine, the only node");
    topology->node_count = nodes;
    dt2_topology_free(topology);
    munmap(pages, 4 * page);
}

int main(void)
{
    test_nodes();
    test_matrix();
    test_pci();
    test_not_there();
    test_list();
    test_unusable();
    test_this_machine();
    test_open();
    test_prefer();
    return done_testing();
}
