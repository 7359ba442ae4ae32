/* SPDX-License-Identifier: BSD-3-Clause */
#include "gpu.h"
#include "sysfs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The runtimes that the shared source was written for. */
#define OLDEST_RUNTIME 50200000
#define MAJOR(version) ((version) / 10000000)
#define MINOR(version) ((version) / 100000 % 100)

/* -- the library */

/* Whether a runtime is one that we know; binds what only HIP has. */
static bool accept_runtime(void *data, char *why, size_t size)
{
    struct dt2_gpu_driver *driver = data;
    DT2_GPU_ENTRY(driver);
    int *version = &driver->vendor.version;
    if (driver->runtime.RuntimeGetVersion(version) != hipSuccess) {
        dt2_gpu_forget();
        snprintf(why, size, "it does not tell its version");
        return false;
    }
    if (*version < OLDEST_RUNTIME)
        snprintf(why, size, "ROCm 5.2 or newer is needed, and it is %d.%d", MAJOR(*version), MINOR(*version));
    return *version >= OLDEST_RUNTIME;
}

static int bind_rest(struct dt2_gpu_driver *driver, const char *name, struct dt2_backend_error *err)
{
    struct dt2_hip_entries *hip = &driver->vendor.hip;
    const struct dt2_gpu_symbol symbols[] = {
#define SYMBOL(symbol) { #symbol, &hip->symbol },
        DT2_HIP_ENTRIES(SYMBOL)
#undef SYMBOL
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        if (!dt2_gpu_bind(driver->library, &symbols[i]))
            return DT2_GPU_REFUSE(driver, err, DT2_BACKEND_FAILED, "the HIP runtime cannot be used: %s lacks %s", name,
                                  symbols[i].name);
    return DT2_BACKEND_OK;
}

/* HIP has no layer below its runtime that could do alone: what the process neither holds nor names is looked for. */
int dt2_gpu_vendor_open(struct dt2_gpu_driver *driver, struct dt2_backend_error *err)
{
    static const char *const sonames[] = { "libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5", "libamdhip64.so",
                                           NULL };
    const struct dt2_gpu_search search = { .base = "libamdhip64", .sonames = sonames, .accept = accept_runtime,
                                           .data = driver };
    char text[400];
    int status = dt2_gpu_bind_runtime(driver, &search, text, sizeof text, err);
    if (status != DT2_BACKEND_OK)
        return status;
    snprintf(driver->about, sizeof driver->about, "libamdhip64 %d.%d (%s)", MAJOR(driver->vendor.version),
             MINOR(driver->vendor.version), text);
    DT2_GPU_LOG(driver, DT2_GPU_DEBUG, "HIP: %s", driver->about);
    return bind_rest(driver, text, err);
}

void dt2_gpu_vendor_close(struct dt2_gpu_driver *driver)
{
    (void)driver;
}

/* -- identity */

int dt2_gpu_identify(const struct dt2_gpu_driver *driver, uint32_t index, struct dt2_backend_device_info *info,
                     struct dt2_backend_error *err)
{
    const struct dt2_hip_entries *hip = &driver->vendor.hip;
    hipDevice_t device;
    hipUUID uuid = { { 0 } };
    char name[sizeof info->model] = "", pci[32] = "";
    size_t total = 0;
    hipError_t code = hip->hipDeviceGet(&device, (int)index);
    if (code == hipSuccess)
        code = hip->hipDeviceGetName(name, sizeof name - 1, device);
    if (code == hipSuccess)
        code = hip->hipDeviceTotalMem(&total, device);
    if (code == hipSuccess)
        code = hip->hipDeviceGetPCIBusId(pci, sizeof pci - 1, (int)index);
    if (code != hipSuccess)
        return dt2_gpu_fail(driver, err, code, "the device does not say what it is");
    if (hip->hipDeviceGetUuid(&uuid, device) != hipSuccess)
        dt2_gpu_forget(); /* older GPUs have none */
    snprintf(info->model, sizeof info->model, "%s", name);
    info->total_bytes = total;
    dt2_gpu_uuid_text(&uuid, info->uuid);
    dt2_gpu_pci_text(pci, info->pci);
    return DT2_BACKEND_OK;
}

static uint64_t ask_kernel(const struct dt2_backend_device_info *info)
{
    const char *root = secure_getenv("DISTORCH2_SYSFS"); /* for tests: a /sys of their own */
    return *info->pci ? dt2_sysfs_free_bytes(root ? root : "/sys", info->pci, info->total_bytes) : DT2_UNKNOWN;
}

/* The kernel counts the memory of a whole card: of partitions of one it tells nothing. */
uint64_t dt2_gpu_free_bytes(struct dt2_gpu_driver *driver, uint32_t index)
{
    struct dt2_backend_device_info info = { .struct_size = sizeof info };
    if (dt2_gpu_identify(driver, index, &info, NULL) != DT2_BACKEND_OK)
        return DT2_UNKNOWN;
    for (uint32_t i = 0; i < driver->count; i++) {
        struct dt2_backend_device_info other = { .struct_size = sizeof other };
        if (i != index && dt2_gpu_identify(driver, i, &other, NULL) == DT2_BACKEND_OK &&
            strcmp(other.pci, info.pci) == 0)
            return DT2_UNKNOWN;
    }
    return ask_kernel(&info);
}

/*
 * Of partitions, of APUs, and where there is no such kernel (WSL), hipMemGetInfo tells: HIP has no context that it would have to
 * make, and a guess would be worse.
 */
bool dt2_gpu_runtime_tells(struct dt2_gpu_driver *driver, uint32_t index, bool may_open)
{
    (void)driver, (void)index, (void)may_open;
    return true;
}

/*
 * An APU computes in the host's memory (the kernel's GTT), or in a part of it that the firmware has carved out, which is no
 * memory of the host's any more: it is that part where the runtime's total is the kernel's of it.
 */
bool dt2_gpu_has_own_memory(const struct dt2_gpu_driver *driver, const struct dt2_backend_device_info *info)
{
    (void)driver;
    return ask_kernel(info) != DT2_UNKNOWN;
}

/* -- contexts: HIP has none that could be held; what it makes for a device is there when the device is first used */

bool dt2_gpu_has_context(struct dt2_gpu_driver *driver, uint32_t index)
{
    pthread_mutex_lock(&driver->lock);
    bool open = driver->opens[index] > 0;
    pthread_mutex_unlock(&driver->lock);
    return open;
}

int dt2_gpu_context_take(const struct dt2_gpu_driver *driver, uint32_t index, void **context,
                         struct dt2_backend_error *err)
{
    (void)driver;
    (void)index;
    (void)err;
    *context = NULL;
    return DT2_BACKEND_OK;
}

void dt2_gpu_context_drop(const struct dt2_gpu_driver *driver, uint32_t index)
{
    (void)driver;
    (void)index;
}

int dt2_gpu_context_enter(const struct dt2_gpu_device *device, struct dt2_gpu_scope *scope,
                          struct dt2_backend_error *err)
{
    const struct dt2_gpu_driver *driver = device->driver;
    int previous = (int)device->index;
    hipError_t code = driver->vendor.hip.hipGetDevice(&previous);
    if (code == hipSuccess && previous != (int)device->index)
        code = driver->vendor.hip.hipSetDevice((int)device->index);
    if (code != hipSuccess)
        return dt2_gpu_fail(driver, err, code, "the device cannot be chosen");
    if (previous != (int)device->index)
        *scope = (struct dt2_gpu_scope){ .driver = driver, .previous = previous };
    return DT2_BACKEND_OK;
}

void dt2_gpu_context_leave(struct dt2_gpu_scope *scope)
{
    for (int i = 0; i < 2 && scope->driver; i++) { /* the code may tell of earlier work */
        if (scope->driver->vendor.hip.hipSetDevice(scope->previous) == hipSuccess)
            return;
        dt2_gpu_forget();
    }
}

/* -- what belongs to whom */

int dt2_gpu_check_memory(const struct dt2_gpu_device *device, void *address, uint64_t bytes,
                         struct dt2_backend_error *err)
{
    const struct dt2_gpu_driver *driver = device->driver;
    const struct dt2_hip_entries *hip = &driver->vendor.hip;
    /* hipMemoryTypeDevice: ROCm 6 numbered the kinds of memory anew */
    unsigned expected = MAJOR(driver->vendor.version) < 6 ? 1 : 2, type = 0;
    int ordinal = -1;
    hipDeviceptr_t base = NULL;
    size_t size = 0;
    if (hip->hipPointerGetAttribute(&type, HIP_POINTER_ATTRIBUTE_MEMORY_TYPE, address) != hipSuccess ||
        type != expected ||
        hip->hipPointerGetAttribute(&ordinal, HIP_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address) != hipSuccess ||
        hip->hipMemGetAddressRange(&base, &size, address) != hipSuccess) {
        dt2_gpu_forget();
        return DT2_GPU_INVALID(driver, err, "there is no device memory at %p", address);
    }
    if (ordinal != (int)device->index)
        return DT2_GPU_INVALID(driver, err, "the memory at %p belongs to device %d", address, ordinal);
    uint64_t offset = (uint64_t)((uintptr_t)address - (uintptr_t)base);
    if (offset > size || bytes > size - offset)
        return DT2_GPU_INVALID(driver, err, "there are %llu bytes of memory at %p, not %llu",
                               (unsigned long long)(size - (offset > size ? size : offset)), address,
                               (unsigned long long)bytes);
    return DT2_BACKEND_OK;
}

int dt2_gpu_check_stream(const struct dt2_gpu_device *device, hipStream_t stream, struct dt2_backend_error *err)
{
    const struct dt2_gpu_driver *driver = device->driver;
    int ordinal = stream ? driver->vendor.hip.hipGetStreamDeviceId(stream) : (int)device->index;
    if (ordinal < 0)
        return DT2_GPU_INVALID(driver, err, "what was given is no stream");
    return ordinal == (int)device->index ? DT2_BACKEND_OK
                                         : DT2_GPU_INVALID(driver, err, "the stream belongs to device %d", ordinal);
}
