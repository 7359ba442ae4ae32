/* SPDX-License-Identifier: BSD-3-Clause */
/* What the driver keeps behind handles: found, held, and checked before use. */
#include "gpu.h"

void *dt2_gpu_alloc(const struct dt2_gpu_driver *driver, size_t bytes)
{
    return driver->services->alloc(driver->services->core, bytes);
}

void dt2_gpu_release(const struct dt2_gpu_driver *driver, void *memory)
{
    driver->services->release(driver->services->core, memory);
}

void *dt2_gpu_get(const struct dt2_gpu_driver *driver, enum dt2_handle_kind kind, dt2_handle handle, const char *what,
                  struct dt2_backend_error *err)
{
    void *object = driver->services->handle_get(driver->services->core, kind, handle);
    if (!object)
        DT2_GPU_INVALID(driver, err, "%#llx is no %s, or none any more", (unsigned long long)handle, what);
    return object;
}

void *dt2_gpu_take(const struct dt2_gpu_driver *driver, enum dt2_handle_kind kind, dt2_handle handle, const char *what,
                   struct dt2_backend_error *err)
{
    void *object = driver->services->handle_take(driver->services->core, kind, handle);
    if (!object)
        DT2_GPU_INVALID(driver, err, "%#llx is no %s, or none any more", (unsigned long long)handle, what);
    return object;
}

dt2_handle dt2_gpu_new(const struct dt2_gpu_driver *driver, enum dt2_handle_kind kind, void *object,
                       struct dt2_backend_error *err)
{
    dt2_handle handle = driver->services->handle_new(driver->services->core, kind, object);
    if (!handle)
        dt2_gpu_fail_bookkeeping(driver, err);
    return handle;
}

struct dt2_gpu_device *dt2_gpu_hold(struct dt2_gpu_driver *driver, dt2_handle handle, struct dt2_backend_error *err)
{
    pthread_mutex_lock(&driver->lock);
    struct dt2_gpu_device *device = dt2_gpu_get(driver, DT2_HANDLE_DEVICE, handle, "device", err);
    if (device)
        device->live++;
    pthread_mutex_unlock(&driver->lock);
    return device;
}

void dt2_gpu_hold_again(struct dt2_gpu_device *device)
{
    pthread_mutex_lock(&device->driver->lock);
    device->live++;
    pthread_mutex_unlock(&device->driver->lock);
}

void dt2_gpu_drop(struct dt2_gpu_device *device)
{
    pthread_mutex_lock(&device->driver->lock);
    device->live--;
    pthread_mutex_unlock(&device->driver->lock);
}

int dt2_gpu_check_index(const struct dt2_gpu_driver *driver, uint32_t index, struct dt2_backend_error *err)
{
    return index < driver->count ? DT2_BACKEND_OK
                                 : DT2_GPU_INVALID(driver, err, "no device %u: there are %u", index, driver->count);
}

int dt2_gpu_check_range(const struct dt2_gpu_driver *driver, dt2_handle handle, uint64_t offset, uint64_t bytes,
                        struct dt2_gpu_buffer **buffer, struct dt2_backend_error *err)
{
    if (!(*buffer = dt2_gpu_get(driver, DT2_HANDLE_BUFFER, handle, "buffer", err)))
        return DT2_BACKEND_INVALID;
    if (offset > (*buffer)->bytes || bytes > (*buffer)->bytes - offset)
        return DT2_GPU_INVALID(driver, err, "%llu bytes from offset %llu are not within a buffer of %llu bytes",
                               (unsigned long long)bytes, (unsigned long long)offset,
                               (unsigned long long)(*buffer)->bytes);
    return DT2_BACKEND_OK;
}

int dt2_gpu_check_copy(const struct dt2_gpu_driver *driver, dt2_handle queue_handle, dt2_handle buffer_handle,
                       uint64_t offset, uint64_t bytes, struct dt2_gpu_queue **queue, struct dt2_gpu_buffer **buffer,
                       struct dt2_backend_error *err)
{
    if (!(*queue = dt2_gpu_get(driver, DT2_HANDLE_QUEUE, queue_handle, "queue", err)))
        return DT2_BACKEND_INVALID;
    int status = dt2_gpu_check_range(driver, buffer_handle, offset, bytes, buffer, err);
    if (status == DT2_BACKEND_OK && (*queue)->device != (*buffer)->device)
        return DT2_GPU_INVALID(driver, err, "the buffer and the queue belong to different devices");
    return status;
}
