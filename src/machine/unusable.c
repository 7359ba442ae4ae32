/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine/unusable.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NVIDIA 0x10de
#define AMD 0x1002
#define INTEL 0x8086

/*
 * Display adapters that show a console and compute nothing: of servers' management processors and of virtual machines.
 */
static const struct {
    unsigned vendor_id;
    unsigned device_id; /* 0: whatever that maker makes */
} consoles[] = {
    { 0x1013, 0 },      /* Cirrus Logic */
    { 0x102b, 0 },      /* Matrox: G200 and kin */
    { 0x1039, 0 },      /* SiS */
    { 0x1050, 0 },      /* Winbond, Nuvoton */
    { 0x126f, 0 },      /* Silicon Motion */
    { 0x1234, 0 },      /* Bochs, QEMU */
    { 0x1414, 0 },      /* Hyper-V */
    { 0x15ad, 0 },      /* VMware */
    { 0x18ca, 0 },      /* XGI */
    { 0x1a03, 0 },      /* ASPEED */
    { 0x1ab8, 0 },      /* Parallels */
    { 0x1af4, 0 },      /* virtio */
    { 0x1b36, 0 },      /* QXL */
    { 0x1d0f, 0x1111 }, /* Amazon EC2 */
    { 0x19e5, 0x1711 }, /* HiSilicon iBMC */
    { 0x5853, 0 },      /* Xen */
    { 0x80ee, 0 },      /* VirtualBox */
    { AMD, 0x4752 },    /* ATI Rage XL, for servers */
    { AMD, 0x5159 },    /* ATI RV100, for servers */
    { AMD, 0x515e },    /* ATI ES1000 */
    { AMD, 0x5969 },    /* ATI ES1000 */
};

static bool is_console(const struct dt2_pci_gpu *gpu)
{
    for (size_t i = 0; i < DT2_COUNT(consoles); i++)
        if (consoles[i].vendor_id == gpu->vendor_id &&
            (consoles[i].device_id == 0 || consoles[i].device_id == gpu->device_id))
            return true;
    return false;
}

/* Makers whose GPUs compute: their own driver beside OpenCL, and what installs each. */
struct maker {
    unsigned vendor_id;
    const char *name;   /* as a driver's vendor text has it, in any case */
    const char *driver; /* the module for its own runtime; NULL: none */
    const char *runtime_help;
    const char *opencl_help;
};
static const struct maker makers[] = {
    { NVIDIA, "NVIDIA", "cuda",
      "install NVIDIA's driver, and a CUDA runtime (libcudart, 11 to 13) that is not newer than it",
      "install NVIDIA's OpenCL driver (on Debian: nvidia-opencl-icd)" },
    { AMD, "Advanced Micro Devices", "hip", "install ROCm's HIP runtime, 5.2 or newer (on Debian: libamdhip64-5)",
      "install an OpenCL driver for AMD GPUs (on Debian: mesa-opencl-icd or rocm-opencl-icd)" },
    { INTEL, "Intel", NULL, NULL, "install Intel's OpenCL driver (on Debian: intel-opencl-icd)" },
};
static const struct maker any_maker = { 0, "", NULL, NULL, "install the maker's OpenCL driver (an ICD)" };

static const struct maker *maker_of(const struct dt2_pci_gpu *gpu)
{
    for (size_t i = 0; i < DT2_COUNT(makers); i++)
        if (makers[i].vendor_id == gpu->vendor_id)
            return &makers[i];
    return &any_maker;
}

/* What is known of one unusable GPU, and the words for it. */
struct finding {
    const struct dt2_modules *modules;
    const struct maker *maker;
    const char *root; /* NULL: the devices of a recorded machine cannot be looked at */
    char reason[1024];
    char help[256];
};

/* Whether a file of /dev or /proc can be used: 0, or a positive errno. */
static int access_of(const char *root, const char *path, int mode)
{
    DT2_AUTO char *whole = dt2_printf("%s%s", root, path);
    if (!whole)
        return 0;
    return access(whole, mode) == 0 ? 0 : errno;
}

static bool explain_device_file(struct finding *finding, const char *path, const char *kernel_driver,
                                const char *groups)
{
    int failure = access_of(finding->root, path, R_OK | W_OK);
    if (failure == ENOENT) {
        snprintf(finding->reason, sizeof finding->reason, "%s does not exist: the kernel driver %s is not loaded", path,
                 kernel_driver);
        snprintf(finding->help, sizeof finding->help,
                 "load it (modprobe %s) or install it; in a container, pass the device file in", kernel_driver);
    } else if (failure) {
        snprintf(finding->reason, sizeof finding->reason, "no permission on %s: %s", path, strerror(failure));
        snprintf(finding->help, sizeof finding->help, "add the user to the groups %s, and log in again", groups);
    }
    return failure != 0;
}

/* What the kernel says, where this is the kernel that has the device. */
static bool explain_kernel(struct finding *finding, unsigned vendor_id)
{
    if (!finding->root)
        return false;
    if (vendor_id == AMD)
        return explain_device_file(finding, "/dev/kfd", "amdgpu", "render and video");
    if (vendor_id == INTEL)
        return explain_device_file(finding, "/dev/dri", "i915", "render and video");
    if (vendor_id != NVIDIA)
        return false;
    if (access_of(finding->root, "/proc/driver/nvidia", F_OK) == ENOENT &&
        access_of(finding->root, "/dev/nvidiactl", F_OK) == ENOENT) {
        snprintf(finding->reason, sizeof finding->reason, "NVIDIA's kernel driver is not loaded");
        snprintf(finding->help, sizeof finding->help,
                 "install NVIDIA's driver (on Debian: nvidia-driver) or load it (modprobe nvidia); nouveau does not "
                 "compute");
        return true;
    }
    return explain_device_file(finding, "/dev/nvidiactl", "nvidia", "video and render");
}

static const struct dt2_driver_missing *missing(const struct dt2_modules *modules, const char *name)
{
    for (size_t i = 0; i < modules->missing_count; i++)
        if (strcmp(modules->missing[i].name, name) == 0)
            return &modules->missing[i];
    return NULL;
}

/* Why one driver does not have the GPU, added to the reason. */
static void explain_driver(struct finding *finding, const char *name)
{
    const struct dt2_driver_missing *absent = missing(finding->modules, name);
    size_t length = strlen(finding->reason);
    char *at = finding->reason + length;
    size_t room = sizeof finding->reason - length;
    const char *between = length ? "; " : "";
    if (absent)
        snprintf(at, room, "%s%s: %s", between, name, absent->reason);
    else if (dt2_modules_have(finding->modules, name))
        snprintf(at, room, "%s%s: works, but shows no device at this address", between, name);
    else
        snprintf(at, room, "%s%s: no driver module dt2-%s.so is installed", between, name, name);
}

static bool has_module(const struct finding *finding, const char *name)
{
    return name && (missing(finding->modules, name) || dt2_modules_have(finding->modules, name));
}

/* Why neither the maker's own driver nor OpenCL has the GPU, and the way to have one of them. */
static void explain_drivers(struct finding *finding)
{
    const struct maker *maker = finding->maker;
    if (maker->driver)
        explain_driver(finding, maker->driver);
    explain_driver(finding, "opencl");
    if (has_module(finding, maker->driver))
        snprintf(finding->help, sizeof finding->help, "%s, or %s", maker->runtime_help, maker->opencl_help);
    else if (has_module(finding, "opencl"))
        snprintf(finding->help, sizeof finding->help, "%s", maker->opencl_help);
    else
        snprintf(finding->help, sizeof finding->help, "install distorch2's OpenCL module, and %s", maker->opencl_help);
}

static int add(const struct dt2_pci_gpu *gpu, struct finding *finding, struct dt2_devices *devices,
               struct dt2_error *err)
{
    char model[192];
    const char *name = finding->maker->name;
    if (gpu->model[0])
        snprintf(model, sizeof model, "%s", gpu->model);
    else
        snprintf(model, sizeof model, "%s%s%04x:%04x", name, *name ? " " : "", gpu->vendor_id, gpu->device_id);
    if (!explain_kernel(finding, gpu->vendor_id))
        explain_drivers(finding);
    struct dt2_unusable unusable = {
        .pci = gpu->pci, .model = model, .reason = finding->reason, .help = finding->help
    };
    return dt2_devices_add_unusable(devices, &unusable, err);
}

/* GPUs of a maker that a driver shows without saying where they are: as many of the maker's may be those. */
static size_t without_address(const struct maker *maker, const struct dt2_view *views, size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += views[i].chosen == i && !views[i].info.pci[0] && strcmp(views[i].info.kind, "cpu") != 0 &&
                 *maker->name && strcasestr(views[i].info.vendor, maker->name);
    return found;
}

/* What would help a driver that is broken, or that finds no device. */
static const char *help_driver(const char *name, bool broken)
{
    if (broken)
        return "DISTORCH2_DRIVERS names the drivers to use; leave it out there";
    for (size_t i = 0; i < DT2_COUNT(makers); i++)
        if (makers[i].driver && strcmp(makers[i].driver, name) == 0)
            return "without a GPU of that maker nothing is wrong; one that is there is hidden from this process: by a variable, "
                   "or by a container that does not pass its device files in";
    return strcmp(name, "opencl") == 0 ? "install the maker's OpenCL driver (an ICD), or remove one that is left over" : "";
}

static int add_driver(const char *name, const char *reason, bool broken, struct dt2_devices *devices, struct dt2_error *err)
{
    char model[64];
    snprintf(model, sizeof model, "driver %s", name);
    const struct dt2_unusable unusable = { .model = model, .reason = reason, .help = help_driver(name, broken) };
    return dt2_devices_add_unusable(devices, &unusable, err);
}

/* Drivers that are broken, or find nothing, and what those that work cannot use: whatever it would have shown. */
static int add_drivers(const struct dt2_modules *modules, struct dt2_devices *devices, struct dt2_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < modules->missing_count; i++) {
        const struct dt2_driver_missing *missing = &modules->missing[i];
        if (missing->status != DT2_BACKEND_ABSENT)
            rc = add_driver(missing->name, missing->reason, missing->status != DT2_BACKEND_NO_DEVICE, devices, err);
    }
    for (size_t i = 0; i < modules->count; i++) {
        char reason[512];
        for (uint32_t j = 0; rc == 0 && dt2_driver_unusable(&modules->drivers[i], j, reason, sizeof reason); j++)
            rc = add_driver(modules->drivers[i].name, reason, false, devices, err);
    }
    return rc;
}

int dt2_unusable_find(const struct dt2_topology *topology, const struct dt2_modules *modules,
                      const struct dt2_view *views, size_t view_count, const char *root, struct dt2_devices *devices,
                      struct dt2_error *err)
{
    size_t excused[DT2_COUNT(makers) + 1] = { 0 };
    for (size_t i = 0; i < DT2_COUNT(makers); i++)
        excused[i] = without_address(&makers[i], views, view_count);
    for (size_t i = 0; i < topology->gpu_count; i++) {
        const struct dt2_pci_gpu *gpu = &topology->gpus[i];
        struct finding finding = { .modules = modules, .maker = maker_of(gpu) };
        size_t *excuses = &excused[finding.maker == &any_maker ? DT2_COUNT(makers) : (size_t)(finding.maker - makers)];
        if (is_console(gpu) || dt2_views_have_pci(views, view_count, gpu->pci))
            continue;
        if (*excuses > 0) {
            --*excuses;
            continue;
        }
        finding.root = topology->this_system ? root : NULL;
        int rc = add(gpu, &finding, devices, err);
        if (rc < 0)
            return rc;
    }
    return add_drivers(modules, devices, err);
}
