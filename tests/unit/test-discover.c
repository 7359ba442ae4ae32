/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices of drivers that are not here: a made-up driver says what a real one would. */
#include "base/alloc.h"
#include "base/checked.h"
#include "machine/discover.h"
#include "machine/host.h"
#include "machine/unusable.h"
#include "support/tap.h"
#include "support/scratch.h"

/* -- the made-up driver: `driver` is an array of infos */

static int fake_info(void *driver, uint32_t index, struct dt2_backend_device_info *info, struct dt2_backend_error *err)
{
    const struct dt2_backend_device_info *infos = driver;
    if (strcmp(infos[index].model, "broken") == 0) {
        err->status = DT2_BACKEND_FAILED;
        strcpy(err->text, "the device does not answer");
        return DT2_BACKEND_FAILED;
    }
    *info = infos[index];
    return 0;
}

/* Knows what is free only where a context may be made; the second device never. */
static int fake_free(void *driver, uint32_t index, bool may_open, uint64_t *bytes, struct dt2_backend_error *err)
{
    (void)driver, (void)err;
    *bytes = may_open && index == 0 ? UINT64_MAX - 1 : DT2_UNKNOWN;
    return 0;
}

static const struct dt2_backend fake = { .device_info = fake_info, .device_free_bytes = fake_free };

static struct dt2_backend_device_info cuda_infos[] = {
    { .kind = "gpu",
      .vendor = "NVIDIA",
      .model = "V100",
      .pci = "0000:34:00.0",
      .uuid = "aaaa-1",
      .total_bytes = 1000,
      .alignment_bytes = 256,
      .max_alloc_bytes = DT2_UNKNOWN,
      .fixed_bytes = 7 },
    { .kind = "gpu",
      .vendor = "NVIDIA",
      .model = "V100",
      .pci = "0000:e7:00.0",
      .total_bytes = 2000,
      .alignment_bytes = 256,
      .max_alloc_bytes = DT2_UNKNOWN },
};
static struct dt2_backend_device_info opencl_infos[] = {
    { .kind = "gpu",
      .platform = "N",
      .model = "V100",
      .uuid = "aaaa-1",
      .total_bytes = 1000,
      .alignment_bytes = 512,
      .max_alloc_bytes = 250 },
    { .kind = "cpu",
      .platform = "P",
      .model = "pthread",
      .flags = DT2_DEVICE_SHARES_HOST,
      .total_bytes = 500,
      .alignment_bytes = 128,
      .max_alloc_bytes = 125 },
    { .kind = "cpu", .platform = "P", .model = "broken" },
    { .kind = "gpu",
      .platform = "N",
      .uuid = "bbbb-2",
      .pci = "0000:e7:00.0",
      .total_bytes = 2000,
      .alignment_bytes = 1,
      .max_alloc_bytes = 500 },
};
static struct dt2_driver drivers[] = {
    { "cuda", &fake, cuda_infos, DT2_COUNT(cuda_infos) },
    { "opencl", &fake, opencl_infos, DT2_COUNT(opencl_infos) },
};

static unsigned warnings;

static void count_warnings(void *data, enum dt2_log_level level, const char *line)
{
    (void)data;
    warnings += level == DT2_LOG_WARNING;
    diag("log: %s", line);
}

struct rig {
    struct dt2_topology *topology;
    struct dt2_services *services;
    struct dt2_driver host;
    struct dt2_modules modules;
    struct dt2_view *views;
    struct dt2_log log;
    struct dt2_parts parts;
};

static void set_up_with(struct rig *rig, struct dt2_driver *made_up, size_t driver_count)
{
    struct dt2_error err = { 0 };
    void *self;
    *rig = (struct rig){ .modules = { .drivers = made_up, .count = driver_count }, .log = { count_warnings, NULL } };
    if (dt2_topology_load(true, &rig->topology, &err) < 0 || dt2_services_create(NULL, &rig->services, &err) < 0 ||
        dt2_host_open(dt2_services_table(rig->services), rig->topology, &self, NULL) < 0 ||
        dt2_views_collect(&rig->modules, &rig->log, &rig->views, &rig->parts.view_count, &err) < 0) {
        diag("%s", err.text);
        exit(1);
    }
    dt2_views_identify(rig->views, rig->parts.view_count);
    rig->host = (struct dt2_driver){ "host", dt2_host_backend(), self, 1 };
    rig->parts = (struct dt2_parts){ rig->topology, &rig->host, &rig->modules, rig->views, rig->parts.view_count,
                                     &rig->log,     "" };
}

static void set_up(struct rig *rig, size_t driver_count)
{
    set_up_with(rig, drivers, driver_count);
}

static void tear_down(struct rig *rig)
{
    rig->host.backend->close(rig->host.self);
    dt2_release(rig->views);
    dt2_services_destroy(rig->services);
    dt2_topology_free(rig->topology);
}

static void use_xml(const char *file)
{
    const char *top = getenv("top_srcdir");
    DT2_AUTO char *path = dt2_printf("%s/tests/data/topologies/%s", top ? top : ".", file);
    unsetenv("HWLOC_SYNTHETIC");
    setenv("HWLOC_XMLFILE", path, 1);
}

static struct dt2_devices *discover(struct rig *rig, unsigned flags)
{
    struct dt2_devices *devices = NULL;
    struct dt2_error err = { 0 };
    ok(dt2_discover(&rig->parts, flags, &devices, &err) == 0, "discovered %s", err.text);
    return devices;
}

static const struct dt2_device *named(const struct dt2_devices *devices, const char *name)
{
    size_t index;
    if (!ok(dt2_devices_find(devices, name, &index, NULL) == 0, "%s is there", name))
        exit(1);
    return dt2_devices_get(devices, index);
}

static void test_devices(void)
{
    static const char *const names[] = { "cpu", "cpu:0", "cpu:1", "cuda:0", "cuda:1", "opencl:1" };
    struct rig rig;
    use_xml("nvidiaDGX2.xml");
    set_up(&rig, 2);
    is_u64(warnings, 1, "a device that does not answer is one warning");
    ok(dt2_discover_needs_io(&rig.parts, 0), "addresses on two nodes: where do they hang?");
    struct dt2_devices *devices = discover(&rig, DT2_DEVICES_UNUSABLE);
    is_u64(dt2_devices_count(devices), DT2_COUNT(names), "six devices");
    for (size_t i = 0; i < DT2_COUNT(names) && i < dt2_devices_count(devices); i++)
        is_str(dt2_devices_get(devices, i)->name, names[i], "device %zu", i);
    const struct dt2_device *first = named(devices, "opencl:0"), *second = named(devices, "opencl:3");
    is_str(first->name, "cuda:0", "one GPU by its UUID");
    is_str(first->vendor, "NVIDIA", "its vendor");
    is_u64(first->max_alloc_bytes, DT2_UNKNOWN, "the limits are the chosen driver's");
    is_u64(first->fixed_bytes, 7, "its fixed cost");
    is_u64(first->free_bytes, DT2_UNKNOWN, "free bytes are not asked of a context");
    is_int(first->numa_node, 0, "the first hangs on node 0");
    is_int(second->numa_node, 1, "the second on node 1");
    is_str(second->name, "cuda:1", "one GPU by its address");
    is_str(second->uuid, "bbbb-2", "with the UUID that only the other view knows");
    is_u64(second->budget_count, 1, "a discrete GPU has its own budget only");
    const struct dt2_device *shared = named(devices, "opencl:1");
    is_u64(shared->budget_count, 2, "a device in host memory has two");
    is_str(shared->budgets[0], "opencl:1", "its own");
    is_str(shared->budgets[1], "cpu", "and the host's");
    is_u64(dt2_devices_budget_find(devices, "opencl:1")->total_bytes, 500, "its own is of the driver's total");
    is_u64(dt2_devices_unusable_count(devices), 14, "fourteen of sixteen GPUs are nobody's");
    dt2_devices_free(devices);

    devices = discover(&rig, DT2_DEVICES_FREE);
    is_u64(named(devices, "cuda:0")->free_bytes, 1000, "with a context free bytes are known, at most the total");
    is_u64(dt2_devices_budget_find(devices, "cuda:0")->free_bytes, 1000, "and are the budget's");
    is_u64(named(devices, "cuda:1")->free_bytes, DT2_UNKNOWN, "or stay unknown");
    dt2_devices_free(devices);
    tear_down(&rig);
}

/* A limit on this process is one more budget of all that lies in host memory. */
static void test_cgroup(void)
{
    struct rig rig;
    unsetenv("HWLOC_XMLFILE");
    unsetenv("HWLOC_SYNTHETIC");
    set_up(&rig, 2);
    rig.parts.root = scratch_begin();
    scratch_text("/proc/self/cgroup", "0::/job\n");
    scratch_text("/proc/self/mountinfo", "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    scratch_text("/sys/fs/cgroup/job/memory.max", "1048576\n");
    scratch_text("/sys/fs/cgroup/job/memory.current", "1000000\n");
    struct dt2_devices *devices = discover(&rig, 0);
    const struct dt2_budget *limit = dt2_devices_budget_find(devices, "cgroup");
    is_u64(limit ? limit->total_bytes : 0, 1048576, "the limit");
    is_u64(limit ? limit->free_bytes : 0, 48576, "what is free of it");
    for (size_t i = 0; i < dt2_devices_count(devices); i++) {
        const struct dt2_device *d = dt2_devices_get(devices, i);
        bool host = dt2_device_is_host(d) || strcmp(d->name, "opencl:1") == 0;
        ok((strcmp(d->budgets[d->budget_count - 1], "cgroup") == 0) == host, "%s: %s", d->name,
           host ? "limited" : "free");
    }
    dt2_devices_free(devices);
    scratch_end();
    tear_down(&rig);
}

/* A GPU that lies in host memory, after one that knows nothing of itself and has a view that does. */
static struct dt2_backend_device_info apu_infos[] = {
    { .kind = "gpu",
      .flags = DT2_DEVICE_SHARES_HOST,
      .total_bytes = (uint64_t)1 << 50,
      .alignment_bytes = 256,
      .max_alloc_bytes = DT2_UNKNOWN,
      .fixed_bytes = 9 },
    { .kind = "gpu", .uuid = "cccc-3", .total_bytes = 1000, .alignment_bytes = 256, .max_alloc_bytes = 1000 },
    { .kind = "gpu",
      .flags = DT2_DEVICE_SHARES_HOST,
      .total_bytes = 4096,
      .alignment_bytes = 256,
      .max_alloc_bytes = DT2_UNKNOWN },
};
static struct dt2_backend_device_info other_view[] = {
    { .kind = "gpu", .platform = "A", .uuid = "cccc-3", .total_bytes = 2000, .alignment_bytes = 1, .max_alloc_bytes = 1 },
};

static void test_shared(void)
{
    static struct dt2_driver apu[] = { { "hip", &fake, apu_infos, DT2_COUNT(apu_infos) },
                                       { "opencl", &fake, other_view, 1 } };
    struct rig rig;
    unsetenv("HWLOC_XMLFILE");
    unsetenv("HWLOC_SYNTHETIC");
    set_up_with(&rig, apu, 2);
    for (unsigned flags = 0; flags <= DT2_DEVICES_FREE; flags += DT2_DEVICES_FREE) {
        struct dt2_devices *devices = discover(&rig, flags);
        const struct dt2_device *host = named(devices, "cpu"), *gpu = named(devices, "hip:0");
        is_u64(gpu->total_bytes, host->total_bytes, "what lies in host memory has no more of it than there is");
        is_u64(gpu->free_bytes, host->free_bytes, "and as much free, %s", flags ? "less than it says" : "where it does not say");
        is_u64(dt2_devices_budget_find(devices, "hip:0")->free_bytes, host->free_bytes, "so too its budget");
        is_u64(named(devices, "hip:2")->total_bytes, 4096, "a limit of its own stays");
        is_u64(named(devices, "hip:2")->free_bytes, 4096, "for what is free as well");
        is_u64(named(devices, "opencl:0")->free_bytes, flags ? 1000 : DT2_UNKNOWN, "another view may know what is free");
        is_u64(gpu->fixed_bytes, flags ? 0 : 9, "what opening costs is asked each time");
        apu_infos[0].fixed_bytes = 0;
        dt2_devices_free(devices);
    }
    tear_down(&rig);
}

/* -- why a GPU is unusable */

struct reason_case {
    const char *what;
    unsigned vendor_id, device_id;
    bool here;
    const char *file; /* that exists in the fake root */
    struct dt2_driver_missing missing;
    size_t drivers;
    const char *reason, *help; /* parts; NULL: not listed at all */
};

static const struct reason_case reasons[] = {
    { "NVIDIA without its kernel driver",
      0x10de,
      0x1db8,
      true,
      "/dev/null",
      { .name = "" },
      0,
      "kernel driver is not loaded",
      "nvidia-driver" },
    { "NVIDIA with a CUDA that is too old",
      0x10de,
      0x1db8,
      true,
      "/dev/nvidiactl",
      { "cuda", DT2_BACKEND_FAILED, "driver 11.2 is older than the runtime" },
      0,
      "cuda: driver 11.2 is older than the runtime; opencl: no driver module",
      "install NVIDIA's driver" },
    { "NVIDIA on another machine",
      0x10de,
      0x1db8,
      false,
      NULL,
      { "opencl", DT2_BACKEND_ABSENT, "no platform" },
      0,
      "opencl: no platform",
      "nvidia-opencl-icd" },
    { "AMD without /dev/kfd",
      0x1002,
      0x6798,
      true,
      "/dev/null",
      { .name = "" },
      0,
      "/dev/kfd does not exist",
      "modprobe amdgpu" },
    { "AMD whose HIP library is missing",
      0x1002,
      0x6798,
      true,
      "/dev/kfd",
      { "hip", DT2_BACKEND_ABSENT, "libamdhip64.so: not found" },
      0,
      "hip: libamdhip64.so: not found",
      "libamdhip64" },
    { "Intel",
      0x8086,
      0x56a0,
      false,
      NULL,
      { "opencl", DT2_BACKEND_ABSENT, "no platform" },
      0,
      "opencl: no platform",
      "intel-opencl-icd" },
    { "a maker that nobody knows",
      0x1f0f,
      1,
      false,
      NULL,
      { .name = "" },
      2,
      "opencl: works, but shows no device",
      "ICD" },
    { "no module at all", 0x10de, 1, false, NULL, { .name = "" }, 0, "no driver module dt2-cuda.so", "OpenCL module" },
    { "ASPEED", 0x1a03, 0x2000, false, NULL, { .name = "" }, 0, NULL, NULL },
    { "ES1000", 0x1002, 0x515e, false, NULL, { .name = "" }, 0, NULL, NULL },
    { "QEMU", 0x1234, 0x1111, false, NULL, { .name = "" }, 0, NULL, NULL },
};

static void test_reasons(void)
{
    for (size_t i = 0; i < DT2_COUNT(reasons); i++) {
        const struct reason_case *c = &reasons[i];
        struct dt2_pci_gpu gpu = { "0000:01:00.0", c->vendor_id, c->device_id, "" };
        struct dt2_topology topology = { .this_system = c->here, .gpus = &gpu, .gpu_count = 1 };
        struct dt2_driver_missing missing = c->missing;
        struct dt2_modules modules = { .drivers = drivers, .count = c->drivers, .missing = &missing,
                                       .missing_count = *missing.name != '\0' };
        struct dt2_devices *devices;
        const char *root = scratch_begin();
        if (c->file)
            scratch_text(c->file, "");
        dt2_devices_new(&devices, NULL);
        is_int(dt2_unusable_find(&topology, &modules, NULL, 0, root, devices, NULL), 0, "%s", c->what);
        const struct dt2_unusable *found = dt2_devices_unusable(devices, 0);
        if (!ok(!found == !c->reason, "%s: %s", c->what, c->reason ? "listed" : "a console is not listed") || !found)
            goto next;
        if (!ok(strstr(found->reason, c->reason) && strstr(found->help, c->help), "%s: why and what helps", c->what))
            diag("%s\n%s", found->reason, found->help);
    next:
        dt2_devices_free(devices);
    }
    scratch_end();
}

/* A driver may show a GPU without saying where it is: then one of its maker's is not called unusable. */
static void test_without_address(void)
{
    struct dt2_pci_gpu gpus[] = { { "0000:01:00.0", 0x8086, 1, "" }, { "0000:02:00.0", 0x8086, 1, "" } };
    struct dt2_topology topology = { .gpus = gpus, .gpu_count = 2 };
    struct dt2_modules modules = { .drivers = drivers, .count = 2 };
    struct dt2_view view = { .driver = &drivers[1], .info = { .kind = "gpu", .vendor = "Intel(R) Corporation" } };
    struct dt2_devices *devices;
    dt2_devices_new(&devices, NULL);
    dt2_unusable_find(&topology, &modules, &view, 1, "", devices, NULL);
    is_u64(dt2_devices_unusable_count(devices), 1, "one of two GPUs may be the one without an address");
    dt2_devices_free(devices);
}

/* A driver that finds nothing is listed, one that is not installed is not; nor is anything of one that works. */
static void test_drivers(void)
{
    struct dt2_topology topology = { .gpu_count = 0 };
    struct dt2_driver_missing missing[] = { { "cuda", DT2_BACKEND_ABSENT, "libcuda.so.1: not found" },
                                            { "hip", DT2_BACKEND_NO_DEVICE, "the runtime finds no device" },
                                            { "opencl", DT2_BACKEND_FAILED, "the runtime is too old" } };
    struct dt2_modules modules = { .drivers = drivers, .count = 2, .missing = missing, .missing_count = 3 };
    struct dt2_devices *devices;
    dt2_devices_new(&devices, NULL);
    is_int(dt2_unusable_find(&topology, &modules, NULL, 0, "", devices, NULL), 0, "drivers without devices");
    if (is_u64(dt2_devices_unusable_count(devices), 2, "those that find nothing, and those that are broken")) {
        const struct dt2_unusable *hip = dt2_devices_unusable(devices, 0), *opencl = dt2_devices_unusable(devices, 1);
        is_str(hip->model, "driver hip", "which");
        is_str(hip->reason, "the runtime finds no device", "why");
        ok(!hip->pci && strstr(hip->help, "hidden") && strstr(opencl->help, "DISTORCH2_DRIVERS"), "and what helps");
    }
    dt2_devices_free(devices);
}

int main(void)
{
    test_drivers();
    test_devices();
    test_cgroup();
    test_shared();
    test_reasons();
    test_without_address();
    return done_testing();
}
