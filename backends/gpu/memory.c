/* SPDX-License-Identifier: BSD-3-Clause */
#include "gpu.h"

/* -- buffers */

/* Puts memory behind a handle, which holds the device from now on. */
static int publish(struct dt2_gpu_device *device, void *address, uint64_t bytes, bool adopted, dt2_handle *handle,
                   struct dt2_backend_error *err)
{
    struct dt2_gpu_driver *driver = device->driver;
    struct dt2_gpu_buffer *buffer = dt2_gpu_alloc(driver, sizeof *buffer);
    if (!buffer)
        return dt2_gpu_fail_bookkeeping(driver, err);
    *buffer = (struct dt2_gpu_buffer){ device, address, bytes, adopted };
    dt2_handle made = dt2_gpu_new(driver, DT2_HANDLE_BUFFER, buffer, err);
    if (!made) {
        dt2_gpu_release(driver, buffer);
        return DT2_BACKEND_NOMEM;
    }
    *handle = made;
    return DT2_BACKEND_OK;
}

static int check_size(const struct dt2_gpu_device *device, uint64_t bytes, struct dt2_backend_error *err)
{
    if (bytes >= 1 && bytes <= device->total_bytes)
        return DT2_BACKEND_OK;
    return DT2_GPU_INVALID(device->driver, err, "a buffer of %llu bytes: the device takes 1 to %llu",
                           (unsigned long long)bytes, (unsigned long long)device->total_bytes);
}

static int make_buffer(struct dt2_gpu_device *device, uint64_t bytes, dt2_handle *handle, struct dt2_backend_error *err)
{
    const struct dt2_gpu_runtime *runtime = &device->driver->runtime;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    void *address = NULL;
    int status = check_size(device, bytes, err);
    if (status == DT2_BACKEND_OK)
        status = dt2_gpu_enter(device, &scope, err);
    if (status != DT2_BACKEND_OK)
        return status;
    GPU(Error_t) code = runtime->Malloc(&address, bytes);
    if (code != GPU(Success))
        return dt2_gpu_fail(device->driver, err, code, "cannot allocate a buffer of %llu bytes",
                            (unsigned long long)bytes);
    status = publish(device, address, bytes, false, handle, err);
    if (status != DT2_BACKEND_OK && runtime->Free(address) != GPU(Success))
        dt2_gpu_forget();
    return status;
}

int dt2_gpu_buffer_alloc(void *self, dt2_handle device_handle, uint64_t bytes, dt2_handle *handle,
                         struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_device *device = dt2_gpu_hold(self, device_handle, err);
    if (!device)
        return DT2_BACKEND_INVALID;
    int status = make_buffer(device, bytes, handle, err);
    if (status != DT2_BACKEND_OK)
        dt2_gpu_drop(device);
    return status;
}

static int adopt(struct dt2_gpu_device *device, void *native, uint64_t bytes, dt2_handle *handle,
                 struct dt2_backend_error *err)
{
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    int status = check_size(device, bytes, err);
    if (status == DT2_BACKEND_OK && !native)
        status = DT2_GPU_INVALID(device->driver, err, "there is no memory at address 0");
    if (status == DT2_BACKEND_OK)
        status = dt2_gpu_enter(device, &scope, err);
    if (status == DT2_BACKEND_OK)
        status = dt2_gpu_check_memory(device, native, bytes, err);
    return status == DT2_BACKEND_OK ? publish(device, native, bytes, true, handle, err) : status;
}

int dt2_gpu_buffer_adopt(void *self, dt2_handle device_handle, void *native, uint64_t bytes, dt2_handle *handle,
                         struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_device *device = dt2_gpu_hold(self, device_handle, err);
    if (!device)
        return DT2_BACKEND_INVALID;
    int status = adopt(device, native, bytes, handle, err);
    if (status != DT2_BACKEND_OK)
        dt2_gpu_drop(device);
    return status;
}

static int free_memory(const struct dt2_gpu_buffer *buffer, struct dt2_backend_error *err)
{
    const struct dt2_gpu_driver *driver = buffer->device->driver;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    int status = dt2_gpu_enter_to_free(buffer->device, &scope, err);
    if (status != DT2_BACKEND_OK)
        return status;
    GPU(Error_t) code = driver->runtime.Free(buffer->address);
    return code == GPU(Success) ? DT2_BACKEND_OK
                                : dt2_gpu_fail(driver, err, code, "cannot free a buffer of %llu bytes",
                                               (unsigned long long)buffer->bytes);
}

/* The handle is gone in any case: where the runtime refuses, the memory goes with the context. */
int dt2_gpu_buffer_free(void *self, dt2_handle handle, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_driver *driver = self;
    struct dt2_gpu_buffer *buffer = dt2_gpu_take(driver, DT2_HANDLE_BUFFER, handle, "buffer", err);
    if (!buffer)
        return DT2_BACKEND_INVALID;
    int status = buffer->adopted ? DT2_BACKEND_OK : free_memory(buffer, err);
    dt2_gpu_drop(buffer->device);
    dt2_gpu_release(driver, buffer);
    return status;
}

int dt2_gpu_buffer_native(void *self, dt2_handle handle, struct dt2_backend_native *native,
                          struct dt2_backend_error *err)
{
    const struct dt2_gpu_buffer *buffer = dt2_gpu_get(self, DT2_HANDLE_BUFFER, handle, "buffer", err);
    if (!buffer)
        return DT2_BACKEND_INVALID;
    native->handle = buffer->address;
    native->is_address = true;
    return DT2_BACKEND_OK;
}

/* -- pinned memory: each area is in its device's list, and holds the device */

static void add_pinned(struct dt2_gpu_device *device, struct dt2_gpu_pinned *pinned)
{
    pthread_mutex_lock(&device->driver->lock);
    pinned->next = device->pinned;
    device->pinned = pinned;
    pthread_mutex_unlock(&device->driver->lock);
}

static struct dt2_gpu_pinned *take_pinned(struct dt2_gpu_device *device, const void *memory, bool registered)
{
    pthread_mutex_lock(&device->driver->lock);
    struct dt2_gpu_pinned **link = &device->pinned, *found;
    for (; (found = *link); link = &found->next)
        if (found->memory == memory && found->registered == registered)
            break;
    if (found)
        *link = found->next;
    pthread_mutex_unlock(&device->driver->lock);
    return found;
}

/* Allocates, or registers what *memory is; reachable by every device, since the ring of one may feed another. */
static int pin(const struct dt2_gpu_device *device, void **memory, uint64_t bytes, bool registered,
               struct dt2_backend_error *err)
{
    const struct dt2_gpu_runtime *runtime = &device->driver->runtime;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    int status = dt2_gpu_enter(device, &scope, err);
    if (status != DT2_BACKEND_OK)
        return status;
    GPU(Error_t) code = registered ? runtime->HostRegister(*memory, bytes, GPU(HostRegisterPortable))
                                   : runtime->HostAlloc(memory, bytes, GPU_HostAllocPortable);
    return code == GPU(Success) ? DT2_BACKEND_OK
                                : dt2_gpu_fail(device->driver, err, code, "cannot %s %llu bytes of host memory",
                                               registered ? "pin" : "allocate", (unsigned long long)bytes);
}

static int add(struct dt2_gpu_driver *driver, dt2_handle handle, void **memory, uint64_t bytes, bool registered,
               struct dt2_backend_error *err)
{
    struct dt2_gpu_device *device = dt2_gpu_hold(driver, handle, err);
    if (!device)
        return DT2_BACKEND_INVALID;
    struct dt2_gpu_pinned *pinned = dt2_gpu_alloc(driver, sizeof *pinned);
    int status = pinned ? pin(device, memory, bytes, registered, err) : dt2_gpu_fail_bookkeeping(driver, err);
    if (status != DT2_BACKEND_OK) {
        dt2_gpu_release(driver, pinned);
        dt2_gpu_drop(device);
        return status;
    }
    *pinned = (struct dt2_gpu_pinned){ .memory = *memory, .registered = registered };
    add_pinned(device, pinned);
    return DT2_BACKEND_OK;
}

static int unpin(const struct dt2_gpu_device *device, const struct dt2_gpu_pinned *pinned,
                 struct dt2_backend_error *err)
{
    const struct dt2_gpu_runtime *runtime = &device->driver->runtime;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    int status = dt2_gpu_enter_to_free(device, &scope, err);
    if (status != DT2_BACKEND_OK)
        return status;
    GPU(Error_t) code = pinned->registered ? runtime->HostUnregister(pinned->memory)
                                           : runtime->FreeHost(pinned->memory);
    return code == GPU(Success) ? DT2_BACKEND_OK
                                : dt2_gpu_fail(device->driver, err, code, "cannot %s host memory",
                                               pinned->registered ? "unpin" : "free");
}

static int take(struct dt2_gpu_driver *driver, dt2_handle handle, void *memory, bool registered,
                struct dt2_backend_error *err)
{
    struct dt2_gpu_device *device = dt2_gpu_hold(driver, handle, err);
    if (!device)
        return DT2_BACKEND_INVALID;
    struct dt2_gpu_pinned *pinned = memory ? take_pinned(device, memory, registered) : NULL;
    int status = pinned ? unpin(device, pinned, err)
                        : DT2_GPU_INVALID(driver, err, "there is no %s memory of the device at %p",
                                          registered ? "registered" : "staging", memory);
    if (pinned)
        dt2_gpu_drop(device); /* what add() held */
    dt2_gpu_release(driver, pinned);
    dt2_gpu_drop(device);
    return status;
}

int dt2_gpu_host_alloc(void *self, dt2_handle device, uint64_t bytes, void **memory, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    void *made = NULL;
    if (bytes == 0 || bytes > SIZE_MAX / 2)
        return DT2_GPU_INVALID((struct dt2_gpu_driver *)self, err, "staging memory of %llu bytes",
                               (unsigned long long)bytes);
    int status = add(self, device, &made, bytes, false, err);
    if (status == DT2_BACKEND_OK)
        *memory = made;
    return status;
}

int dt2_gpu_host_free(void *self, dt2_handle device, void *memory, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    return take(self, device, memory, false, err);
}

int dt2_gpu_host_register(void *self, dt2_handle device, void *memory, uint64_t bytes, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    if (!memory || bytes == 0 || bytes > UINTPTR_MAX - (uintptr_t)memory)
        return DT2_GPU_INVALID((struct dt2_gpu_driver *)self, err, "%llu bytes at %p cannot be pinned",
                               (unsigned long long)bytes, memory);
    return add(self, device, &memory, bytes, true, err);
}

int dt2_gpu_host_unregister(void *self, dt2_handle device, void *memory, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    return take(self, device, memory, true, err);
}
