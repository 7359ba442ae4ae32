/* SPDX-License-Identifier: BSD-3-Clause */
#include "gpu.h"
#include <stdio.h>

static int count_devices(struct dt2_gpu_driver *driver, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(driver);
    int count = 0;
    GPU(Error_t) code = driver->runtime.GetDeviceCount(&count);
    if (code == GPU(ErrorNoDevice) || (code == GPU(Success) && count <= 0)) {
        dt2_gpu_forget();
        return DT2_GPU_REFUSE(driver, err, DT2_BACKEND_NO_DEVICE,
                              "the runtime finds no device that it can use, or %s_VISIBLE_DEVICES hides them all",
                              GPU_VARIABLE);
    }
    if (code != GPU(Success))
        return dt2_gpu_fail(driver, err, code, "cannot count the devices");
    driver->count = (uint32_t)count;
    driver->opens = dt2_gpu_alloc(driver, driver->count * sizeof *driver->opens);
    driver->pairs = dt2_gpu_alloc(driver, (size_t)driver->count * driver->count * sizeof *driver->pairs);
    return driver->opens && driver->pairs ? DT2_BACKEND_OK : dt2_gpu_fail_bookkeeping(driver, err);
}

static void driver_close(void *self)
{
    DT2_GPU_KEEP_ERRNO;
    struct dt2_gpu_driver *driver = self;
    dt2_gpu_vendor_close(driver);
    dt2_gpu_close_library(driver->library);
    pthread_mutex_destroy(&driver->peer_lock);
    pthread_mutex_destroy(&driver->lock);
    dt2_gpu_release(driver, driver->pairs);
    dt2_gpu_release(driver, driver->opens);
    dt2_gpu_release(driver, driver);
}

static int driver_open(const struct dt2_backend_services *services, void **self, struct dt2_backend_error *err)
{
    DT2_GPU_KEEP_ERRNO;
    struct dt2_gpu_driver *driver = services->alloc(services->core, sizeof *driver);
    if (!driver)
        return services->fail(services->core, err, DT2_BACKEND_NOMEM, 0, NULL, "out of host memory for bookkeeping");
    driver->services = services;
    pthread_mutex_init(&driver->lock, NULL); /* of the default kind: cannot fail */
    pthread_mutex_init(&driver->peer_lock, NULL);
    int status = dt2_gpu_vendor_open(driver, err);
    if (status == DT2_BACKEND_OK)
        status = count_devices(driver, err);
    if (status != DT2_BACKEND_OK) {
        driver_close(driver);
        return status;
    }
    *self = driver;
    return DT2_BACKEND_OK;
}

static int device_count(void *self, uint32_t *count, struct dt2_backend_error *err)
{
    (void)err;
    *count = ((struct dt2_gpu_driver *)self)->count;
    return DT2_BACKEND_OK;
}

static int describe(void *self, char *text, size_t size, struct dt2_backend_error *err)
{
    (void)err;
    snprintf(text, size, "%s", ((struct dt2_gpu_driver *)self)->about);
    return DT2_BACKEND_OK;
}

const struct dt2_backend *dt2_backend_entry(uint32_t abi)
{
    static const struct dt2_backend backend = {
        .struct_size = sizeof backend,
        .abi = DT2_BACKEND_ABI,
        .name = GPU_DRIVER_NAME,
        .version = PACKAGE_VERSION,
        .open = driver_open,
        .close = driver_close,
        .device_count = device_count,
        .device_info = dt2_gpu_device_info,
        .device_free_bytes = dt2_gpu_device_free_bytes,
        .device_open = dt2_gpu_device_open,
        .device_close = dt2_gpu_device_close,
        .buffer_alloc = dt2_gpu_buffer_alloc,
        .buffer_adopt = dt2_gpu_buffer_adopt,
        .buffer_free = dt2_gpu_buffer_free,
        .buffer_native = dt2_gpu_buffer_native,
        .host_alloc = dt2_gpu_host_alloc,
        .host_free = dt2_gpu_host_free,
        .host_register = dt2_gpu_host_register,
        .host_unregister = dt2_gpu_host_unregister,
        .queue_create = dt2_gpu_queue_create,
        .queue_adopt = dt2_gpu_queue_adopt,
        .queue_destroy = dt2_gpu_queue_destroy,
        .queue_wait = dt2_gpu_queue_wait,
        .copy_h2d = dt2_gpu_copy_h2d,
        .copy_d2h = dt2_gpu_copy_d2h,
        .copy_d2d = dt2_gpu_copy_d2d,
        .copy_peer = dt2_gpu_copy_peer,
        .peer_query = dt2_gpu_peer_query,
        .event_record = dt2_gpu_event_record,
        .event_query = dt2_gpu_event_query,
        .event_wait = dt2_gpu_event_wait,
        .queue_wait_event = dt2_gpu_queue_wait_event,
        .event_free = dt2_gpu_event_free,
        .queue_follow = dt2_gpu_queue_follow,
        .peer_check = dt2_gpu_peer_check,
        .describe = describe,
        .device_native = dt2_gpu_device_native,
    };
    return abi == DT2_BACKEND_ABI ? &backend : NULL;
}
