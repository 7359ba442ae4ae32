/* SPDX-License-Identifier: BSD-3-Clause */
#include "opencl.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What cl_icd.h calls CL_PLATFORM_NOT_FOUND_KHR: the loader works and has no driver to load. */
#define PLATFORM_NOT_FOUND (-1001)

#define LOG(driver, level, ...) (driver)->services->log((driver)->services->core, (level), __VA_ARGS__)
enum { WARNING = 1, DEBUG = 3 }; /* of enum dt2_log_level */

/* -- what cannot be used */

#define COMPLAINT_SIZE 400

void dt2_cl_complain(struct dt2_cl_driver *driver, const char *format, ...)
{
    char *text = driver->complaint_count < DT2_CL_COMPLAINTS ? dt2_cl_alloc(driver, COMPLAINT_SIZE) : NULL;
    if (!text)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, COMPLAINT_SIZE, format, args);
    va_end(args);
    driver->complaints[driver->complaint_count++] = text;
}

static int unusable(void *self, uint32_t index, char *text, size_t size, struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    const struct dt2_cl_driver *driver = self;
    if (index >= driver->complaint_count)
        return DT2_CL_INVALID(driver, err, "no %u: there are %u", index, driver->complaint_count);
    snprintf(text, size, "%s", driver->complaints[index]);
    return DT2_BACKEND_OK;
}

/* No device at all, and why, as far as that is known. */
static int fail_no_device(const struct dt2_cl_driver *driver, const char *what, struct dt2_backend_error *err)
{
    char text[512];
    size_t used = (size_t)snprintf(text, sizeof text, "%s", what);
    for (uint32_t i = 0; i < driver->complaint_count && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s %s", i ? ";" : ":", driver->complaints[i]);
    return driver->services->fail(driver->services->core, err, DT2_BACKEND_NO_DEVICE, 0, "", "%s", text);
}

/* -- platforms */

/* Whether a device speaks OpenCL 1.2: an older one lacks functions that we call. */
static bool is_new_enough(const struct dt2_cl_driver *driver, cl_platform_id platform, cl_device_id id)
{
    unsigned major = 0, minor = 0;
    char *version = dt2_cl_text(driver, platform, id, CL_DEVICE_VERSION);
    bool good = version && sscanf(version, "OpenCL %u.%u", &major, &minor) == 2 && major * 100 + minor >= 102;
    if (!good)
        LOG(driver, WARNING, "an OpenCL device is left out: it has version '%s', and 1.2 is needed",
            version ? version : "");
    dt2_cl_release(driver, version);
    return good;
}

static bool is_available(cl_device_id id)
{
    cl_bool available = CL_FALSE;
    return clGetDeviceInfo(id, CL_DEVICE_AVAILABLE, sizeof available, &available, NULL) == CL_SUCCESS && available;
}

/* The platform's name; one that an earlier platform has too gets a number. NULL without memory. */
static char *platform_name(const struct dt2_cl_driver *driver, cl_platform_id platform)
{
    char *name = dt2_cl_text(driver, platform, NULL, CL_PLATFORM_NAME);
    if (!name)
        return NULL;
    unsigned same = 1;
    size_t length = strlen(name);
    cl_platform_id before = NULL;
    for (uint32_t i = 0; i < driver->seen_count; i++) {
        const struct dt2_cl_seen *seen = &driver->seen[i];
        same += seen->platform != before && strncmp(seen->platform_name, name, length) == 0 &&
                (seen->platform_name[length] == '\0' || strncmp(seen->platform_name + length, " #", 2) == 0);
        before = seen->platform;
    }
    if (same == 1)
        return name;
    char *numbered = dt2_cl_alloc(driver, length + 16);
    if (numbered)
        snprintf(numbered, length + 16, "%s #%u", name, same);
    dt2_cl_release(driver, name);
    return numbered;
}

/* Adds the devices of a platform that can be used. */
static int add_devices(struct dt2_cl_driver *driver, cl_platform_id platform, const cl_device_id *ids, cl_uint count)
{
    struct dt2_cl_seen *seen = dt2_cl_alloc(driver, (driver->seen_count + count) * sizeof *seen);
    if (!seen)
        return DT2_BACKEND_NOMEM;
    if (driver->seen_count)
        memcpy(seen, driver->seen, driver->seen_count * sizeof *seen);
    dt2_cl_release(driver, driver->seen);
    driver->seen = seen;

    char *name = platform_name(driver, platform);
    if (!name)
        return DT2_BACKEND_NOMEM;
    uint32_t before = driver->seen_count;
    for (cl_uint i = 0; i < count; i++)
        if (is_available(ids[i]) && is_new_enough(driver, platform, ids[i]))
            driver->seen[driver->seen_count++] = (struct dt2_cl_seen){ platform, ids[i], name };
    if (driver->seen_count == before)
        dt2_cl_release(driver, name);
    return DT2_BACKEND_OK;
}

static void complain_of_platform(struct dt2_cl_driver *driver, cl_platform_id platform, const char *why)
{
    char *name = dt2_cl_text(driver, platform, NULL, CL_PLATFORM_NAME);
    dt2_cl_complain(driver, "the platform '%s' %s", name ? name : "", why);
    dt2_cl_release(driver, name);
}

/* A platform that fails is left out with a warning; what is returned is only our own want of memory. */
static int add_platform(struct dt2_cl_driver *driver, cl_platform_id platform)
{
    cl_uint count = 0;
    uint32_t before = driver->seen_count;
    cl_int code = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &count);
    if (code == CL_DEVICE_NOT_FOUND || (code == CL_SUCCESS && count == 0)) {
        complain_of_platform(driver, platform, "finds no device");
        return DT2_BACKEND_OK;
    }
    cl_device_id *ids = code == CL_SUCCESS ? dt2_cl_alloc(driver, count * sizeof *ids) : NULL;
    if (code == CL_SUCCESS && !ids)
        return DT2_BACKEND_NOMEM;
    if (code == CL_SUCCESS)
        code = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, ids, NULL);
    int status = DT2_BACKEND_OK;
    if (code == CL_SUCCESS) {
        status = add_devices(driver, platform, ids, count);
    } else {
        char *name = dt2_cl_text(driver, platform, NULL, CL_PLATFORM_NAME);
        LOG(driver, WARNING, "the OpenCL platform '%s' is left out: it cannot list its devices (%s, %d)",
            name ? name : "", dt2_cl_name(code), code);
        dt2_cl_release(driver, name);
    }
    if (driver->seen_count == before && status == DT2_BACKEND_OK)
        complain_of_platform(driver, platform,
                             code == CL_SUCCESS ? "has no device that is available and new enough" : "cannot list its devices");
    dt2_cl_release(driver, ids);
    return status;
}

static int add_platforms(struct dt2_cl_driver *driver, struct dt2_backend_error *err)
{
    cl_uint count = 0;
    cl_int code = clGetPlatformIDs(0, NULL, &count);
    dt2_cl_look_at_icds(driver);
    if (code == PLATFORM_NOT_FOUND || (code == CL_SUCCESS && count == 0))
        return fail_no_device(driver, "no OpenCL platform", err);
    if (code != CL_SUCCESS)
        return dt2_cl_fail(driver, err, code, "cannot list the OpenCL platforms");
    cl_platform_id *platforms = dt2_cl_alloc(driver, count * sizeof *platforms);
    if (!platforms)
        return dt2_cl_fail_bookkeeping(driver, err);
    code = clGetPlatformIDs(count, platforms, NULL);
    int status =
        code == CL_SUCCESS ? DT2_BACKEND_OK : dt2_cl_fail(driver, err, code, "cannot list the OpenCL platforms");
    for (cl_uint i = 0; status == DT2_BACKEND_OK && i < count; i++)
        if (add_platform(driver, platforms[i]) != DT2_BACKEND_OK)
            status = dt2_cl_fail_bookkeeping(driver, err);
    dt2_cl_release(driver, platforms);
    if (status == DT2_BACKEND_OK && driver->seen_count == 0)
        return fail_no_device(driver, "no OpenCL device that can be used", err);
    return status;
}

static void driver_close(void *self)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_driver *driver = self;
    char *released = NULL; /* the devices of a platform share its name, one after the other */
    for (uint32_t i = 0; i < driver->seen_count; i++) {
        if (driver->seen[i].platform_name != released)
            dt2_cl_release(driver, driver->seen[i].platform_name);
        released = driver->seen[i].platform_name;
    }
    dt2_cl_release(driver, driver->seen);
    for (uint32_t i = 0; i < driver->complaint_count; i++)
        dt2_cl_release(driver, driver->complaints[i]);
    pthread_mutex_destroy(&driver->lock);
    dt2_cl_release(driver, driver);
}

static int driver_open(const struct dt2_backend_services *services, void **self, struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    int status = dt2_cl_bind(services, err);
    if (status != DT2_BACKEND_OK)
        return status;
    struct dt2_cl_driver *driver = services->alloc(services->core, sizeof *driver);
    if (!driver)
        return services->fail(services->core, err, DT2_BACKEND_NOMEM, 0, NULL, "out of host memory for bookkeeping");
    driver->services = services;
    pthread_mutex_init(&driver->lock, NULL);
    status = add_platforms(driver, err);
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
    *count = ((struct dt2_cl_driver *)self)->seen_count;
    return DT2_BACKEND_OK;
}

/* -- devices */

/* Whether a context of the caller's serves a device. */
static bool context_has(const struct dt2_cl_driver *driver, cl_context context, cl_device_id id)
{
    size_t size = 0;
    if (clGetContextInfo(context, CL_CONTEXT_DEVICES, 0, NULL, &size) != CL_SUCCESS)
        return false;
    cl_device_id *ids = dt2_cl_alloc(driver, size);
    bool has = false;
    if (ids && clGetContextInfo(context, CL_CONTEXT_DEVICES, size, ids, NULL) == CL_SUCCESS)
        for (size_t i = 0; i < size / sizeof *ids; i++)
            has |= ids[i] == id;
    dt2_cl_release(driver, ids);
    return has;
}

/* A context of our own, or one more reference to the caller's. */
static int take_context(struct dt2_cl_device *device, const struct dt2_cl_seen *seen, cl_context adopted,
                        struct dt2_backend_error *err)
{
    struct dt2_cl_driver *driver = device->driver;
    cl_int code = CL_SUCCESS;
    if (adopted) {
        if (!context_has(driver, adopted, seen->id))
            return DT2_CL_INVALID(driver, err, "the context given was not made for this device");
        code = clRetainContext(adopted);
        device->context = code == CL_SUCCESS ? adopted : NULL;
    } else {
        cl_context_properties properties[] = { CL_CONTEXT_PLATFORM, (cl_context_properties)seen->platform, 0 };
        device->context = clCreateContext(properties, 1, &seen->id, NULL, NULL, &code);
    }
    if (code != CL_SUCCESS)
        return dt2_cl_fail_memory(driver, err, code, "cannot make a context");
    device->own = clCreateCommandQueue(device->context, seen->id, 0, &code);
    return code == CL_SUCCESS ? DT2_BACKEND_OK : dt2_cl_fail_memory(driver, err, code, "cannot make a queue");
}

static void free_device(struct dt2_cl_device *device)
{
    if (device->own)
        clReleaseCommandQueue(device->own);
    if (device->context)
        clReleaseContext(device->context);
    dt2_cl_release(device->driver, device);
}

static int device_open(void *self, uint32_t index, void *native_context, dt2_handle *handle,
                       struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_driver *driver = self;
    if (index >= driver->seen_count)
        return DT2_CL_INVALID(driver, err, "no device %u: there are %u", index, driver->seen_count);
    struct dt2_cl_device *device = dt2_cl_alloc(driver, sizeof *device);
    if (!device)
        return dt2_cl_fail_bookkeeping(driver, err);
    const struct dt2_cl_seen *seen = &driver->seen[index];
    device->driver = driver;
    device->id = seen->id;
    device->flags = dt2_cl_flags(seen->id);
    device->max_alloc_bytes = dt2_cl_max_alloc_bytes(seen->id);
    device->tells_free = dt2_cl_tells_free(driver, seen);
    int status = take_context(device, seen, native_context, err);
    dt2_handle made = 0;
    if (status == DT2_BACKEND_OK &&
        !(made = driver->services->handle_new(driver->services->core, DT2_HANDLE_DEVICE, device)))
        status = dt2_cl_fail_bookkeeping(driver, err);
    if (status != DT2_BACKEND_OK) {
        free_device(device);
        return status;
    }
    *handle = made;
    return DT2_BACKEND_OK;
}

static int device_native(void *self, uint32_t index, dt2_handle handle, struct dt2_backend_device_native *native,
                         struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    const struct dt2_cl_driver *driver = self;
    const struct dt2_cl_device *device = NULL;
    if (index >= driver->seen_count)
        return DT2_CL_INVALID(driver, err, "no device %u: there are %u", index, driver->seen_count);
    if (handle && !(device = dt2_cl_get(driver, DT2_HANDLE_DEVICE, handle, "device", err)))
        return DT2_BACKEND_INVALID;
    if (device && device->id != driver->seen[index].id)
        return DT2_CL_INVALID(driver, err, "the handle is of another device than %u", index);
    native->id = driver->seen[index].id;
    native->context = device ? device->context : NULL;
    native->ordinal = -1;
    return DT2_BACKEND_OK;
}

static int device_close(void *self, dt2_handle handle, struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_driver *driver = self;
    const struct dt2_backend_services *services = driver->services;
    pthread_mutex_lock(&driver->lock);
    struct dt2_cl_device *device = dt2_cl_get(driver, DT2_HANDLE_DEVICE, handle, "device", err);
    size_t live = device ? device->live : 0;
    if (device && live == 0)
        device = dt2_cl_take(driver, DT2_HANDLE_DEVICE, handle, "device", err);
    pthread_mutex_unlock(&driver->lock);
    if (!device)
        return DT2_BACKEND_INVALID;
    if (live)
        return services->fail(services->core, err, DT2_BACKEND_BUSY, 0, NULL,
                              "%zu buffers, queues, events or staging areas of the device are still there", live);
    free_device(device);
    return DT2_BACKEND_OK;
}

const struct dt2_backend *dt2_backend_entry(uint32_t abi)
{
    static const struct dt2_backend backend = {
        .struct_size = sizeof backend,
        .abi = DT2_BACKEND_ABI,
        .name = "opencl",
        .version = PACKAGE_VERSION,
        .open = driver_open,
        .close = driver_close,
        .device_count = device_count,
        .device_info = dt2_cl_device_info,
        .device_free_bytes = dt2_cl_device_free_bytes,
        .device_open = device_open,
        .device_close = device_close,
        .buffer_alloc = dt2_cl_buffer_alloc,
        .buffer_wrap = dt2_cl_buffer_wrap,
        .buffer_adopt = dt2_cl_buffer_adopt,
        .buffer_free = dt2_cl_buffer_free,
        .buffer_native = dt2_cl_buffer_native,
        .buffer_map = dt2_cl_buffer_map,
        .buffer_unmap = dt2_cl_buffer_unmap,
        .host_alloc = dt2_cl_host_alloc,
        .host_free = dt2_cl_host_free,
        .queue_create = dt2_cl_queue_create,
        .queue_adopt = dt2_cl_queue_adopt,
        .queue_destroy = dt2_cl_queue_destroy,
        .queue_wait = dt2_cl_queue_wait,
        .copy_h2d = dt2_cl_copy_h2d,
        .copy_d2h = dt2_cl_copy_d2h,
        .copy_d2d = dt2_cl_copy_d2d,
        .event_record = dt2_cl_event_record,
        .event_query = dt2_cl_event_query,
        .event_wait = dt2_cl_event_wait,
        .queue_wait_event = dt2_cl_queue_wait_event,
        .event_free = dt2_cl_event_free,
        .device_native = device_native,
        .unusable = unusable,
    };
    return abi == DT2_BACKEND_ABI ? &backend : NULL;
}
