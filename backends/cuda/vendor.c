/* SPDX-License-Identifier: BSD-3-Clause */
#include "binding.h"
#include "nvml.h"
#include <stdio.h>
#include <string.h>

/* -- identity */

int dt2_gpu_identify(const struct dt2_gpu_driver *driver, uint32_t index, struct dt2_backend_device_info *info,
                     struct dt2_backend_error *err)
{
    const struct dt2_cuda_driver_entries *cu = &driver->vendor.cu;
    CUdevice device;
    CUuuid uuid;
    char name[sizeof info->model] = "", pci[32] = "";
    size_t total = 0;
    CUresult code = cu->cuDeviceGet(&device, (int)index);
    if (code == CUDA_SUCCESS)
        code = cu->cuDeviceGetName(name, sizeof name - 1, device);
    if (code == CUDA_SUCCESS)
        code = cu->cuDeviceTotalMem_v2(&total, device);
    if (code == CUDA_SUCCESS)
        code = cu->cuDeviceGetUuid(&uuid, device);
    if (code == CUDA_SUCCESS)
        code = cu->cuDeviceGetPCIBusId(pci, sizeof pci - 1, device);
    if (code != CUDA_SUCCESS)
        return dt2_cuda_fail(driver, err, code, "the device does not say what it is");
    snprintf(info->model, sizeof info->model, "%s", name);
    info->total_bytes = total;
    dt2_gpu_uuid_text(&uuid, info->uuid);
    dt2_gpu_pci_text(pci, info->pci);
    return DT2_BACKEND_OK;
}

/* How many devices have a PCI address: several are slices of one GPU. */
static uint32_t count_at(const struct dt2_gpu_driver *driver, const char *pci)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < driver->count; i++) {
        struct dt2_backend_device_info info = { .struct_size = sizeof info };
        count += dt2_gpu_identify(driver, i, &info, NULL) == DT2_BACKEND_OK && strcmp(info.pci, pci) == 0;
    }
    return count;
}

uint64_t dt2_gpu_free_bytes(struct dt2_gpu_driver *driver, uint32_t index)
{
    struct dt2_backend_device_info info = { .struct_size = sizeof info };
    uint64_t free_bytes;
    char why[128] = "";
    if (dt2_gpu_identify(driver, index, &info, NULL) != DT2_BACKEND_OK)
        return DT2_UNKNOWN;
    const char *pci = *info.pci && count_at(driver, info.pci) == 1 ? info.pci : "";
    if (dt2_nvml_free_bytes(&driver->vendor.nvml, info.uuid, pci, &free_bytes, why, sizeof why))
        return free_bytes;
    DT2_GPU_LOG(driver, DT2_GPU_DEBUG, "cuda:%u: NVML does not tell the free memory: %s", index, why);
    return DT2_UNKNOWN;
}

/*
 * On a device that is integrated cudaMemGetInfo leaves out what the kernel would give back, the page cache above all, and is
 * near 0 after a model was read (CUDA for Tegra, memory management): what is free is the host's business there.
 */
bool dt2_gpu_runtime_tells(struct dt2_gpu_driver *driver, uint32_t index, bool may_open)
{
    bool integrated = false;
    return (may_open || dt2_gpu_has_context(driver, index)) &&
           dt2_gpu_is_integrated(driver, index, &integrated, NULL) == DT2_BACKEND_OK && !integrated;
}

bool dt2_gpu_has_own_memory(const struct dt2_gpu_driver *driver, const struct dt2_backend_device_info *info)
{
    (void)driver, (void)info;
    return false; /* integrated ones have none */
}

/* -- contexts */

bool dt2_gpu_has_context(struct dt2_gpu_driver *driver, uint32_t index)
{
    const struct dt2_cuda_driver_entries *cu = &driver->vendor.cu;
    CUdevice device;
    unsigned flags;
    int active = 0;
    return cu->cuDeviceGet(&device, (int)index) == CUDA_SUCCESS &&
           cu->cuDevicePrimaryCtxGetState(device, &flags, &active) == CUDA_SUCCESS && active;
}

int dt2_gpu_context_take(const struct dt2_gpu_driver *driver, uint32_t index, void **context,
                         struct dt2_backend_error *err)
{
    const struct dt2_cuda_driver_entries *cu = &driver->vendor.cu;
    CUdevice device;
    CUcontext taken = NULL;
    CUresult code = cu->cuDeviceGet(&device, (int)index);
    if (code == CUDA_SUCCESS)
        code = cu->cuDevicePrimaryCtxRetain(&taken, device);
    if (code != CUDA_SUCCESS)
        return dt2_cuda_fail(driver, err, code, "cannot make a context");
    *context = taken;
    return DT2_BACKEND_OK;
}

void dt2_gpu_context_drop(const struct dt2_gpu_driver *driver, uint32_t index)
{
    const struct dt2_cuda_driver_entries *cu = &driver->vendor.cu;
    CUdevice device;
    CUresult code = cu->cuDeviceGet(&device, (int)index);
    if (code != CUDA_SUCCESS) /* it may tell of earlier work: that must not keep the context */
        code = cu->cuDeviceGet(&device, (int)index);
    if (code == CUDA_SUCCESS)
        (void)cu->cuDevicePrimaryCtxRelease_v2(device);
}

/*
 * The primary context goes on top of the thread's stack, where the runtime finds it. cudaSetDevice would change the
 * device that the thread has chosen for later, and taking that back would make a context on the device that it had
 * chosen.
 */
int dt2_gpu_context_enter(const struct dt2_gpu_device *device, struct dt2_gpu_scope *scope,
                          struct dt2_backend_error *err)
{
    const struct dt2_gpu_driver *driver = device->driver;
    CUresult code = driver->vendor.cu.cuCtxPushCurrent_v2(device->context);
    if (code != CUDA_SUCCESS)
        return dt2_cuda_fail(driver, err, code, "the device's context cannot be entered");
    scope->driver = driver;
    return DT2_BACKEND_OK;
}

void dt2_gpu_context_leave(struct dt2_gpu_scope *scope)
{
    CUcontext left;
    if (scope->driver)
        (void)scope->driver->vendor.cu.cuCtxPopCurrent_v2(&left);
}

/* -- what belongs to whom */

int dt2_gpu_check_memory(const struct dt2_gpu_device *device, void *address, uint64_t bytes,
                         struct dt2_backend_error *err)
{
    const struct dt2_gpu_driver *driver = device->driver;
    const struct dt2_cuda_driver_entries *cu = &driver->vendor.cu;
    CUdeviceptr begin = (CUdeviceptr)(uintptr_t)address;
    CUmemorytype type = (CUmemorytype)0;
    CUcontext context = NULL;
    int ordinal = -1;
    if (cu->cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, begin) != CUDA_SUCCESS ||
        type != CU_MEMORYTYPE_DEVICE ||
        cu->cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, begin) != CUDA_SUCCESS)
        return DT2_GPU_INVALID(driver, err, "there is no device memory at %p", address);
    if (ordinal != (int)device->index)
        return DT2_GPU_INVALID(driver, err, "the memory at %p belongs to device %d", address, ordinal);
    /* memory of a pool, or mapped by hand, is no context's */
    if (cu->cuPointerGetAttribute(&context, CU_POINTER_ATTRIBUTE_CONTEXT, begin) == CUDA_SUCCESS && context &&
        context != device->context)
        return DT2_GPU_INVALID(driver, err, "the memory at %p belongs to another context than the device's primary one",
                               address);
    /* memory mapped by hand may be several mappings, one after the other */
    for (uint64_t covered = 0; covered < bytes;) {
        CUdeviceptr base = 0;
        size_t size = 0;
        if (cu->cuMemGetAddressRange_v2(&base, &size, begin + covered) != CUDA_SUCCESS || base > begin + covered ||
            base + size <= begin + covered)
            return DT2_GPU_INVALID(driver, err, "there are %llu bytes of memory at %p, not %llu",
                                   (unsigned long long)covered, address, (unsigned long long)bytes);
        covered = base + size - begin;
    }
    return DT2_BACKEND_OK;
}

int dt2_gpu_check_stream(const struct dt2_gpu_device *device, cudaStream_t stream, struct dt2_backend_error *err)
{
    const struct dt2_gpu_driver *driver = device->driver;
    CUcontext context = NULL;
    CUresult code = driver->vendor.cu.cuStreamGetCtx(stream, &context);
    if (code != CUDA_SUCCESS)
        return DT2_GPU_INVALID(driver, err, "what was given is no stream (code %d)", (int)code);
    if (context != device->context)
        return DT2_GPU_INVALID(driver, err, "the stream belongs to another device or context");
    return DT2_BACKEND_OK;
}
