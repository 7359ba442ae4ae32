/* SPDX-License-Identifier: BSD-3-Clause */
/* A snapshot: built, asked, and searched by all the names that a device has. */
#include "base/checked.h"
#include "machine/devices.h"
#include "support/tap.h"

struct sample {
    const char *name, *alias, *kind, *pci, *uuid;
    bool integrated;
};

static struct dt2_devices *make(const struct sample *samples, size_t count)
{
    struct dt2_devices *devices;
    struct dt2_error err;
    if (dt2_devices_new(&devices, &err) < 0)
        exit(1);
    for (size_t i = 0; i < count; i++) {
        char driver[16];
        snprintf(driver, sizeof driver, "%.*s", (int)strcspn(samples[i].name, ":"), samples[i].name);
        struct dt2_device device = { .name = samples[i].name,
                                     .driver = strcmp(driver, "cpu") ? driver : "host",
                                     .kind = samples[i].kind,
                                     .pci = samples[i].pci,
                                     .uuid = samples[i].uuid };
        dt2_devices_add(devices, &device, &err);
        if (samples[i].alias)
            dt2_devices_add_alias(devices, i, samples[i].alias, &err);
        if (samples[i].integrated)
            dt2_devices_charge(devices, i, "cpu", &err);
    }
    return devices;
}

static const struct sample mixed[] = {
    { "cpu", NULL, "host", NULL, NULL, false },
    { "cpu:0", NULL, "host", NULL, NULL, false },
    { "cpu:8", NULL, "host", NULL, NULL, false },
    { "cuda:0", "opencl:1", "gpu", "0000:01:00.0", "GPU-8f6b1a2c-0000-1111-2222-333344445555", false },
    { "hip:0", "opencl:2", "gpu", "0000:c1:00.0", "aabbccdd-0000-1111-2222-333344445555", false },
    { "opencl:0", NULL, "cpu", NULL, NULL, false },
    { "opencl:3", NULL, "gpu", "0000:02:00.0", NULL, false },
    { "opencl:4", NULL, "gpu", "0000:02:00.0", NULL, false },
};
static const struct sample amd_only[] = {
    { "cpu", "cpu:0", "host", NULL, NULL, false },
    { "hip:1", NULL, "gpu", NULL, NULL, false },
    { "hip:0", NULL, "gpu", NULL, NULL, false },
};
static const struct sample opencl_only[] = {
    { "opencl:0", NULL, "cpu", NULL, NULL, false },
    { "cpu", "cpu:0", "host", NULL, NULL, false },
};
static const struct sample opencl_gpu[] = {
    { "cpu", "cpu:0", "host", NULL, NULL, false },
    { "opencl:0", NULL, "accelerator", NULL, NULL, false },
    { "opencl:10", NULL, "gpu", NULL, NULL, false },
    { "opencl:9", NULL, "gpu", NULL, NULL, false },
};
static const struct sample two_kinds[] = {
    { .name = "cpu", .kind = "host" },
    { .name = "hip:0", .kind = "gpu", .integrated = true },
    { .name = "hip:1", .kind = "gpu" },
};
static const struct sample two_makers[] = {
    { .name = "cpu", .kind = "host" },
    { .name = "hip:0", .kind = "gpu", .integrated = true },
    { .name = "opencl:3", .kind = "gpu" },
};
static const struct sample integrated[] = {
    { .name = "cpu", .kind = "host" },
    { .name = "opencl:0", .kind = "cpu", .integrated = true },
    { .name = "opencl:1", .kind = "gpu", .integrated = true },
};

#define MACHINE(samples) samples, DT2_COUNT(samples)

static void test_find(void)
{
    static const struct {
        const struct sample *samples;
        size_t count;
        const char *name;
        const char *found; /* NULL: no such device */
    } cases[] = {
        { MACHINE(mixed), "cpu", "cpu" },
        { MACHINE(mixed), "cpu:8", "cpu:8" },
        { MACHINE(mixed), "numa:8", "cpu:8" },
        { MACHINE(mixed), "numa:1", NULL },
        { MACHINE(mixed), "cuda:0", "cuda:0" },
        { MACHINE(mixed), "opencl:1", "cuda:0" },
        { MACHINE(mixed), "rocm:0", "hip:0" },
        { MACHINE(mixed), "cuda:1", NULL },
        { MACHINE(mixed), "Cuda:0", NULL },
        { MACHINE(mixed), "cuda:00", NULL },
        { MACHINE(mixed), "cuda", NULL },
        { MACHINE(mixed), "", NULL },
        { MACHINE(mixed), "pci:0000:01:00.0", "cuda:0" },
        { MACHINE(mixed), "pci:0000:C1:00.0", "hip:0" },
        { MACHINE(mixed), "pci:0000:02:00.0", NULL }, /* two devices there */
        { MACHINE(mixed), "pci:0000:03:00.0", NULL },
        { MACHINE(mixed), "pci:", NULL },
        { MACHINE(mixed), "uuid:8F6B1A2C-0000-1111-2222-333344445555", "cuda:0" },
        { MACHINE(mixed), "uuid:GPU-8f6b1a2c-0000-1111-2222-333344445555", "cuda:0" },
        { MACHINE(mixed), "uuid:gpu-AABBCCDD-0000-1111-2222-333344445555", "hip:0" },
        { MACHINE(mixed), "uuid:", NULL },
        { MACHINE(mixed), "GPU-8f6b1a2c-0000-1111-2222-333344445555", "cuda:0" },
        { MACHINE(mixed), "gpu-8f6b1a2c", "cuda:0" },
        { MACHINE(mixed), "uuid:8f6b", "cuda:0" },
        { MACHINE(mixed), "uuid:8f6", NULL }, /* too little */
        { MACHINE(mixed), "GPU-", NULL },
        { MACHINE(mixed), "GPU-8f6b1a2d", NULL },
        { MACHINE(mixed), "8f6b1a2c-0000-1111-2222-333344445555", NULL },
        { MACHINE(mixed), "0000:01:00.0", "cuda:0" },
        { MACHINE(mixed), "01:00.0", "cuda:0" },
        { MACHINE(mixed), "pci:c1:00.0", "hip:0" },
        { MACHINE(mixed), "pci:00000000:C1:00.0", "hip:0" }, /* as nvidia-smi writes it */
        { MACHINE(mixed), "0001:01:00.0", NULL },
        { MACHINE(mixed), "02:00.0", NULL }, /* two devices there */
        { MACHINE(mixed), "01:00", NULL },
        { MACHINE(amd_only), "cuda:0", "hip:0" },
        { MACHINE(amd_only), "cuda:1", "hip:1" },
        { MACHINE(amd_only), "cuda:2", NULL },
        { MACHINE(amd_only), "rocm:1", "hip:1" },
        { MACHINE(amd_only), "cpu:0", "cpu" },
        { MACHINE(amd_only), "numa:0", "cpu" },
        { MACHINE(opencl_only), "cuda:0", NULL },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        struct dt2_devices *devices = make(cases[i].samples, cases[i].count);
        size_t index = 77;
        int rc = dt2_devices_find(devices, cases[i].name, &index, NULL);
        is_int(rc, cases[i].found ? 0 : DT2_ENOENT, "'%s': verdict", cases[i].name);
        is_str(rc == 0 ? dt2_devices_get(devices, index)->name : NULL, cases[i].found, "'%s': the device",
               cases[i].name);
        if (rc < 0)
            is_u64(index, 77, "'%s': nothing written", cases[i].name);
        dt2_devices_free(devices);
    }
}

static void test_find_errors(void)
{
    struct dt2_devices *devices = make(MACHINE(mixed));
    struct dt2_error err;
    size_t index;
    dt2_devices_find(devices, "cuda:7", &index, &err);
    ok(strstr(err.text, "'cuda:7'") && strstr(err.text, "cpu:8") && strstr(err.text, "cuda:0 (also opencl:1)"),
       "the error names the device and lists those that exist: %s", err.text);
    ok(strstr(err.suggestion, "cuda:0"), "the suggestion: %s", err.suggestion);
    dt2_devices_find(devices, "CPU", &index, &err);
    ok(strstr(err.suggestion, "did you mean cpu"), "case matters, and is suggested: %s", err.suggestion);
    dt2_devices_find(devices, "pci:0000:02:00.0", &index, &err);
    ok(strstr(err.text, "opencl:3 and opencl:4"), "an address of two devices names both: %s", err.text);
    dt2_devices_free(devices);
}

static void test_default(void)
{
    static const struct {
        const struct sample *samples;
        size_t count;
        const char *name;
    } cases[] = {
        { MACHINE(mixed), "cuda:0" },
        { MACHINE(amd_only), "hip:0" },
        { MACHINE(opencl_only), "cpu" },
        { MACHINE(opencl_gpu), "opencl:9" },
        { MACHINE(two_kinds), "hip:1" },
        { MACHINE(two_makers), "opencl:3" },
        { MACHINE(integrated), "opencl:1" },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        struct dt2_devices *devices = make(cases[i].samples, cases[i].count);
        is_str(dt2_devices_get(devices, dt2_devices_default(devices))->name, cases[i].name, "default of machine %zu",
               i);
        dt2_devices_free(devices);
    }
}

static void test_host_names(void)
{
    static const struct {
        const char *name;
        bool host;
        int node;
    } cases[] = {
        { "cpu", true, -1 },     { "cpu:0", true, 0 },      { "cpu:16", true, 16 },
        { "cpu:", false, -1 },   { "cpux", false, -1 },     { "cpu:1x", false, -1 },
        { "cpu:-1", false, -1 }, { "opencl:0", false, -1 }, { "cpu:99999999999", false, -1 },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        struct dt2_device device = { .name = cases[i].name };
        ok(dt2_device_is_host(&device) == cases[i].host, "%s: host or not", cases[i].name);
        is_int(dt2_device_host_node(&device), cases[i].node, "%s: node", cases[i].name);
    }
}

/* What is added is copied, and outlives what it was copied from. */
static void test_builder(void)
{
    struct dt2_devices *devices = make(MACHINE(amd_only));
    char name[32] = "cpu";
    dt2_devices_charge(devices, 0, name, NULL);
    dt2_devices_charge(devices, 0, "cgroup", NULL);
    dt2_devices_add_budget(devices, name, 100, DT2_UNKNOWN, NULL);
    dt2_devices_add_link(devices, 1, &(struct dt2_link){ .to = name, .nominal_gbps = 31.5, .measured_gbps = -1 }, NULL);
    dt2_devices_add_unusable(devices, &(struct dt2_unusable){ "0000:01:00.0", NULL, "r", "h" }, NULL);
    strcpy(name, "xxx");
    const struct dt2_device *cpu = dt2_devices_get(devices, 0), *gpu = dt2_devices_get(devices, 1);
    is_u64(cpu->budget_count, 2, "two budgets");
    is_str(cpu->budgets[0], "cpu", "the first");
    is_str(cpu->budgets[1], "cgroup", "the second");
    is_str(gpu->links[0]->to, "cpu", "a link");
    is_str(dt2_devices_budget(devices, 0)->name, "cpu", "a budget");
    ok(dt2_devices_budget_find(devices, "cpu") == dt2_devices_budget(devices, 0), "found by name");
    ok(!dt2_devices_budget_find(devices, "cuda:0"), "one that is not there");
    is_u64(dt2_devices_unusable_count(devices), 1, "one unusable GPU");
    is_str(dt2_devices_unusable(devices, 0)->reason, "r", "its reason");
    ok(!dt2_devices_get(devices, 3) && !dt2_devices_budget(devices, 1) && !dt2_devices_unusable(devices, 1),
       "past the end there is nothing");
    size_t order = 7;
    ok(!dt2_devices_distances(devices, &order) && order == 0, "no distances");
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "opencl:%d", i);
        dt2_devices_add_alias(devices, 2, name, NULL);
    }
    is_str(dt2_devices_get(devices, 2)->aliases[999], "opencl:999", "a thousand aliases");
    dt2_devices_free(devices);
    dt2_devices_free(NULL);
}

int main(void)
{
    test_find();
    test_find_errors();
    test_default();
    test_host_names();
    test_builder();
    return done_testing();
}
