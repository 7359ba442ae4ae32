/* SPDX-License-Identifier: BSD-3-Clause */
#include "gpu.h"
#include <stdio.h>
#include <string.h>

/* Where both vendors' allocators begin a block, and their kernels' widest accesses are at ease. */
#define ALIGNMENT_BYTES 256u

/*
 * What a context takes cannot be asked before there is one. It grows with the device: 107 MiB were seen on small
 * ones, 555 on the largest. A thirty-second of the memory, at most 512 MiB, is near that and rather too much than
 * too little.
 */
#define CONTEXT_SHARE 32u
#define CONTEXT_MAX_BYTES ((uint64_t)512 << 20)

/* -- identity */

void dt2_gpu_pci_text(const char *vendors, char pci[16])
{
    unsigned domain, bus, device, function = 0;
    pci[0] = '\0';
    if (sscanf(vendors, "%x:%x:%x.%x", &domain, &bus, &device, &function) >= 3 && domain <= 0xffffff && bus <= 0xff &&
        device <= 0x1f && function <= 7)
        snprintf(pci, 16, "%04x:%02x:%02x.%x", domain, bus, device, function);
}

void dt2_gpu_uuid_text(const void *bytes16, char uuid[64])
{
    static const unsigned char none[16] = { 0 };
    const unsigned char *bytes = bytes16;
    char *out = uuid;
    *out = '\0';
    for (size_t i = 0; memcmp(bytes, none, sizeof none) != 0 && i < 16; i++)
        out += sprintf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
}

int dt2_gpu_is_integrated(const struct dt2_gpu_driver *driver, uint32_t index, bool *integrated,
                          struct dt2_backend_error *err)
{
    int value = 0;
    GPU(Error_t) code = driver->runtime.DeviceGetAttribute(&value, GPU_Integrated, (int)index);
    if (code != GPU(Success))
        return dt2_gpu_fail(driver, err, code, "cannot tell whether the device has memory of its own");
    *integrated = value != 0;
    return DT2_BACKEND_OK;
}

int dt2_gpu_device_info(void *self, uint32_t index, struct dt2_backend_device_info *info, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    const struct dt2_gpu_driver *driver = self;
    struct dt2_backend_device_info found = {
        .struct_size = info->struct_size,
        .kind = "gpu",
        .vendor = GPU_VENDOR_TEXT,
        .native_platform = true,
        .alignment_bytes = ALIGNMENT_BYTES,
    };
    bool integrated = false;
    int status = dt2_gpu_check_index(driver, index, err);
    if (status == DT2_BACKEND_OK)
        status = dt2_gpu_identify(driver, index, &found, err);
    if (status == DT2_BACKEND_OK)
        status = dt2_gpu_is_integrated(driver, index, &integrated, err);
    if (status != DT2_BACKEND_OK)
        return status;
    if (integrated && !dt2_gpu_has_own_memory(driver, &found))
        found.flags = DT2_DEVICE_SHARES_HOST;
    found.max_alloc_bytes = found.total_bytes;
    if (!dt2_gpu_has_context(self, index))
        found.fixed_bytes = found.total_bytes / CONTEXT_SHARE < CONTEXT_MAX_BYTES ? found.total_bytes / CONTEXT_SHARE
                                                                                  : CONTEXT_MAX_BYTES;
    *info = found;
    return DT2_BACKEND_OK;
}

/* -- free memory */

/* Asks the runtime, which works in a context. */
static int ask_runtime(struct dt2_gpu_driver *driver, uint32_t index, uint64_t *free_bytes,
                       struct dt2_backend_error *err)
{
    struct dt2_gpu_device device = { .driver = driver, .index = index };
    int status = dt2_gpu_context_take(driver, index, &device.context, err);
    if (status != DT2_BACKEND_OK)
        return status;
    {
        struct dt2_gpu_scope scope DT2_GPU_SCOPE;
        status = dt2_gpu_enter(&device, &scope, err);
        size_t free = 0, total = 0;
        GPU(Error_t) code = status == DT2_BACKEND_OK ? driver->runtime.MemGetInfo(&free, &total) : GPU(Success);
        if (code != GPU(Success))
            status = dt2_gpu_fail(driver, err, code, "cannot tell the free memory");
        if (status == DT2_BACKEND_OK)
            *free_bytes = free < total ? free : total;
    }
    dt2_gpu_context_drop(driver, index);
    return status;
}

int dt2_gpu_device_free_bytes(void *self, uint32_t index, bool may_open, uint64_t *free_bytes,
                              struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_driver *driver = self;
    int status = dt2_gpu_check_index(driver, index, err);
    if (status != DT2_BACKEND_OK)
        return status;
    uint64_t found = dt2_gpu_free_bytes(driver, index);
    if (found == DT2_UNKNOWN && dt2_gpu_runtime_tells(driver, index, may_open))
        return ask_runtime(driver, index, free_bytes, err);
    *free_bytes = found;
    return DT2_BACKEND_OK;
}

/* -- opening and closing */

/* Has the runtime begin its work on the device now, where it can be told, and not in the middle of a load. */
static int start(const struct dt2_gpu_device *device, struct dt2_backend_error *err)
{
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    int status = dt2_gpu_enter(device, &scope, err);
    if (status != DT2_BACKEND_OK)
        return status;
    GPU(Error_t) code = device->driver->runtime.Free(NULL);
    return code == GPU(Success) ? DT2_BACKEND_OK
                                : dt2_gpu_fail(device->driver, err, code, "the device cannot be opened");
}

static int publish(struct dt2_gpu_device *device, dt2_handle *handle, struct dt2_backend_error *err)
{
    struct dt2_gpu_driver *driver = device->driver;
    struct dt2_backend_device_info info = { .struct_size = sizeof info };
    int status = start(device, err);
    if (status == DT2_BACKEND_OK)
        status = dt2_gpu_identify(driver, device->index, &info, err);
    if (status != DT2_BACKEND_OK)
        return status;
    device->total_bytes = info.total_bytes;
    dt2_handle made = dt2_gpu_new(driver, DT2_HANDLE_DEVICE, device, err);
    if (!made)
        return DT2_BACKEND_NOMEM;
    pthread_mutex_lock(&driver->lock);
    driver->opens[device->index]++;
    pthread_mutex_unlock(&driver->lock);
    *handle = made;
    return DT2_BACKEND_OK;
}

int dt2_gpu_device_open(void *self, uint32_t index, void *native_context, dt2_handle *handle,
                        struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_driver *driver = self;
    int status = dt2_gpu_check_index(driver, index, err);
    if (status != DT2_BACKEND_OK)
        return status;
    if (native_context)
        return DT2_GPU_INVALID(driver, err, "a context cannot be brought along: the device's primary one is used");
    struct dt2_gpu_device *device = dt2_gpu_alloc(driver, sizeof *device);
    if (!device)
        return dt2_gpu_fail_bookkeeping(driver, err);
    *device = (struct dt2_gpu_device){ .driver = driver, .index = index };
    status = dt2_gpu_context_take(driver, index, &device->context, err);
    if (status == DT2_BACKEND_OK && (status = publish(device, handle, err)) != DT2_BACKEND_OK)
        dt2_gpu_context_drop(driver, index);
    if (status != DT2_BACKEND_OK)
        dt2_gpu_release(driver, device);
    return status;
}

int dt2_gpu_device_native(void *self, uint32_t index, dt2_handle handle, struct dt2_backend_device_native *native,
                          struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    const struct dt2_gpu_driver *driver = self;
    const struct dt2_gpu_device *device = NULL;
    int status = dt2_gpu_check_index(driver, index, err);
    if (status != DT2_BACKEND_OK)
        return status;
    if (handle && !(device = dt2_gpu_get(driver, DT2_HANDLE_DEVICE, handle, "device", err)))
        return DT2_BACKEND_INVALID;
    if (device && device->index != index)
        return DT2_GPU_INVALID(driver, err, "the handle is of device %u, not %u", device->index, index);
    native->id = NULL;
    native->context = device ? device->context : NULL;
    native->ordinal = index;
    return DT2_BACKEND_OK;
}

int dt2_gpu_device_close(void *self, dt2_handle handle, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_driver *driver = self;
    pthread_mutex_lock(&driver->lock);
    struct dt2_gpu_device *device = dt2_gpu_get(driver, DT2_HANDLE_DEVICE, handle, "device", err);
    size_t live = device ? device->live : 0;
    if (device && live == 0)
        device = dt2_gpu_take(driver, DT2_HANDLE_DEVICE, handle, "device", err);
    bool last = device && live == 0 && --driver->opens[device->index] == 0;
    pthread_mutex_unlock(&driver->lock);
    if (!device)
        return DT2_BACKEND_INVALID;
    if (live)
        return DT2_GPU_REFUSE(driver, err, DT2_BACKEND_BUSY,
                              "%zu buffers, queues, events or pinned areas of the device are still there", live);
    if (last)
        dt2_gpu_peers_forget(driver, device->index);
    dt2_gpu_context_drop(driver, device->index);
    dt2_gpu_release(driver, device);
    return DT2_BACKEND_OK;
}
