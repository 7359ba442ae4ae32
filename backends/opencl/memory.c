/* SPDX-License-Identifier: BSD-3-Clause */
#include "opencl.h"
#include <unistd.h>

/* Staging memory begins on a page, for direct reads from a file; OpenCL promises less. So does memory that is wrapped. */
static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}
/* What the contract promises of memory that is wrapped. */
#define WRAP_MULTIPLE_BYTES 64u

/* -- buffers */

/* Puts a buffer behind a handle, and the device's hold with it; `mem` is released when that fails. */
static int publish(struct dt2_cl_device *device, cl_mem mem, uint64_t bytes, dt2_handle *handle,
                   struct dt2_backend_error *err)
{
    struct dt2_cl_driver *driver = device->driver;
    struct dt2_cl_buffer *buffer = dt2_cl_alloc(driver, sizeof *buffer);
    dt2_handle made = 0;
    if (buffer) {
        *buffer = (struct dt2_cl_buffer){ .device = device, .mem = mem, .bytes = bytes };
        made = driver->services->handle_new(driver->services->core, DT2_HANDLE_BUFFER, buffer);
    }
    if (!made) {
        dt2_cl_release(driver, buffer);
        clReleaseMemObject(mem);
        return dt2_cl_fail_bookkeeping(driver, err);
    }
    *handle = made;
    return DT2_BACKEND_OK;
}

static int check_size(const struct dt2_cl_device *device, uint64_t bytes, struct dt2_backend_error *err)
{
    if (bytes >= 1 && bytes <= device->max_alloc_bytes)
        return DT2_BACKEND_OK;
    return DT2_CL_INVALID(device->driver, err, "a buffer of %llu bytes: the device takes 1 to %llu",
                          (unsigned long long)bytes, (unsigned long long)device->max_alloc_bytes);
}

/*
 * Runtimes put off allocating until a buffer is used. Some take the migration for a hint, so a byte is written as well:
 * where there is not enough memory, it shows now and not in the middle of a load.
 */
static cl_int touch(const struct dt2_cl_device *device, cl_mem mem)
{
    static const unsigned char zero = 0;
    cl_event events[2] = { NULL, NULL };
    cl_int code = clEnqueueMigrateMemObjects(device->own, 1, &mem, CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED, 0, NULL,
                                             &events[0]);
    if (code == CL_SUCCESS)
        code = clEnqueueFillBuffer(device->own, mem, &zero, sizeof zero, 0, sizeof zero, 1, &events[0], &events[1]);
    for (int i = 0; i < 2 && events[i]; i++) {
        cl_int ended = dt2_cl_submit(device->own, events[i]);
        if (code == CL_SUCCESS)
            code = ended;
    }
    return code;
}

/*
 * Some runtimes take any buffer, and move others' out of the device for it in silence. Where the device tells what is free,
 * what does not fit is refused. What was released just now may be counted still: so it is asked again behind all work.
 */
static int check_free(const struct dt2_cl_device *device, uint64_t bytes, struct dt2_backend_error *err)
{
    const struct dt2_backend_services *services = device->driver->services;
    if (!device->tells_free || (device->flags & DT2_DEVICE_SHARES_HOST))
        return DT2_BACKEND_OK;
    uint64_t free_bytes = dt2_cl_free_bytes(device->id);
    if (free_bytes < bytes) {
        clFinish(device->own);
        free_bytes = dt2_cl_free_bytes(device->id);
    }
    if (free_bytes >= bytes || bytes - free_bytes < 1024) /* it tells whole KiB */
        return DT2_BACKEND_OK;
    return services->fail(services->core, err, DT2_BACKEND_NOMEM, 0, NULL,
                          "cannot allocate a buffer of %llu bytes: the device says that %llu are free",
                          (unsigned long long)bytes, (unsigned long long)free_bytes);
}

static int make_buffer(struct dt2_cl_device *device, uint64_t bytes, dt2_handle *handle, struct dt2_backend_error *err)
{
    int status = check_size(device, bytes, err);
    if (status == DT2_BACKEND_OK)
        status = check_free(device, bytes, err);
    if (status != DT2_BACKEND_OK)
        return status;
    cl_int code;
    cl_mem mem = clCreateBuffer(device->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
    if (code == CL_SUCCESS && (code = touch(device, mem)) != CL_SUCCESS)
        clReleaseMemObject(mem);
    if (code != CL_SUCCESS)
        return dt2_cl_fail_memory(device->driver, err, code, "cannot allocate a buffer of %llu bytes",
                                  (unsigned long long)bytes);
    return publish(device, mem, bytes, handle, err);
}

int dt2_cl_buffer_alloc(void *self, dt2_handle device_handle, uint64_t bytes, dt2_handle *handle,
                        struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_device *device = dt2_cl_hold(self, device_handle, err);
    if (!device)
        return DT2_BACKEND_INVALID;
    int status = make_buffer(device, bytes, handle, err);
    if (status != DT2_BACKEND_OK)
        dt2_cl_drop(device);
    return status;
}

static int wrap(struct dt2_cl_device *device, void *memory, uint64_t bytes, dt2_handle *handle,
                struct dt2_backend_error *err)
{
    const struct dt2_backend_services *services = device->driver->services;
    if (!(device->flags & DT2_DEVICE_SHARES_HOST))
        return services->fail(services->core, err, DT2_BACKEND_UNSUPPORTED, 0, NULL,
                              "the device does not share the host's memory");
    int status = check_size(device, bytes, err);
    if (status != DT2_BACKEND_OK)
        return status;
    if (!memory || (uintptr_t)memory % page_bytes() || bytes % WRAP_MULTIPLE_BYTES)
        return DT2_CL_INVALID(
            device->driver, err,
            "memory to wrap must begin at a multiple of %zu and have a multiple of %u bytes, not %llu at %p",
            page_bytes(), WRAP_MULTIPLE_BYTES, (unsigned long long)bytes, memory);
    cl_int code;
    cl_mem mem = clCreateBuffer(device->context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, bytes, memory, &code);
    if (code != CL_SUCCESS)
        return dt2_cl_fail_memory(device->driver, err, code, "cannot wrap %llu bytes of host memory",
                                  (unsigned long long)bytes);
    return publish(device, mem, bytes, handle, err);
}

int dt2_cl_buffer_wrap(void *self, dt2_handle device_handle, void *memory, uint64_t bytes, dt2_handle *handle,
                       struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_device *device = dt2_cl_hold(self, device_handle, err);
    if (!device)
        return DT2_BACKEND_INVALID;
    int status = wrap(device, memory, bytes, handle, err);
    if (status != DT2_BACKEND_OK)
        dt2_cl_drop(device);
    return status;
}

/* Takes a reference to the caller's buffer, when it is one of the device's context and as large as said. */
static int adopt(const struct dt2_cl_device *device, cl_mem mem, uint64_t bytes, struct dt2_backend_error *err)
{
    const struct dt2_cl_driver *driver = device->driver;
    cl_context context = NULL;
    cl_mem_object_type type = 0;
    size_t size = 0;
    cl_int code = mem ? clGetMemObjectInfo(mem, CL_MEM_CONTEXT, sizeof context, &context, NULL) : CL_INVALID_MEM_OBJECT;
    if (code == CL_SUCCESS)
        code = clGetMemObjectInfo(mem, CL_MEM_TYPE, sizeof type, &type, NULL);
    if (code == CL_SUCCESS)
        code = clGetMemObjectInfo(mem, CL_MEM_SIZE, sizeof size, &size, NULL);
    if (code != CL_SUCCESS || type != CL_MEM_OBJECT_BUFFER)
        return DT2_CL_INVALID(driver, err, "what was given is no buffer (%s)", dt2_cl_name(code));
    if (context != device->context)
        return DT2_CL_INVALID(driver, err, "the buffer belongs to another context: open the device with that one");
    if (bytes < 1 || bytes > size)
        return DT2_CL_INVALID(driver, err, "the buffer has %zu bytes, not %llu", size, (unsigned long long)bytes);
    code = clRetainMemObject(mem);
    return code == CL_SUCCESS ? DT2_BACKEND_OK : dt2_cl_fail(driver, err, code, "cannot hold the buffer");
}

int dt2_cl_buffer_adopt(void *self, dt2_handle device_handle, void *native, uint64_t bytes, dt2_handle *handle,
                        struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_device *device = dt2_cl_hold(self, device_handle, err);
    if (!device)
        return DT2_BACKEND_INVALID;
    int status = adopt(device, native, bytes, err);
    if (status == DT2_BACKEND_OK)
        status = publish(device, native, bytes, handle, err);
    if (status != DT2_BACKEND_OK)
        dt2_cl_drop(device);
    return status;
}

int dt2_cl_buffer_native(void *self, dt2_handle handle, struct dt2_backend_native *native,
                         struct dt2_backend_error *err)
{
    struct dt2_cl_buffer *buffer = dt2_cl_get(self, DT2_HANDLE_BUFFER, handle, "buffer", err);
    if (!buffer)
        return DT2_BACKEND_INVALID;
    native->handle = buffer->mem;
    native->is_address = false;
    return DT2_BACKEND_OK;
}

/* -- what is mapped */

static void add_mapping(struct dt2_cl_device *device, struct dt2_cl_mapping *mapping)
{
    pthread_mutex_lock(&device->driver->lock);
    mapping->next = device->mappings;
    device->mappings = mapping;
    pthread_mutex_unlock(&device->driver->lock);
}

/* Takes a mapping from the device's list: of a buffer (NULL: staging memory), at an address (NULL: any). */
static struct dt2_cl_mapping *take_mapping(struct dt2_cl_device *device, const struct dt2_cl_buffer *buffer,
                                           const void *address)
{
    pthread_mutex_lock(&device->driver->lock);
    struct dt2_cl_mapping **link = &device->mappings, *found;
    for (; (found = *link); link = &found->next)
        if (found->buffer == buffer && (!address || found->address == address))
            break;
    if (found)
        *link = found->next;
    pthread_mutex_unlock(&device->driver->lock);
    return found;
}

/* Maps a range and waits until it is there. What fails late is given back, as far as the runtime lets us. */
static cl_int map(cl_command_queue queue, cl_mem mem, cl_map_flags how, size_t offset, size_t bytes, cl_event after,
                  void **mapped)
{
    cl_int code;
    cl_event event;
    *mapped = clEnqueueMapBuffer(queue, mem, CL_FALSE, how, offset, bytes, after ? 1 : 0, after ? &after : NULL, &event,
                                 &code);
    if (code != CL_SUCCESS)
        return code;
    code = dt2_cl_submit(queue, event);
    if (code != CL_SUCCESS)
        clEnqueueUnmapMemObject(queue, mem, *mapped, 0, NULL, NULL);
    return code;
}

/* Unmaps by the device's own queue, and waits until it has happened. */
static void unmap_now(struct dt2_cl_device *device, struct dt2_cl_mapping *mapping)
{
    cl_event event;
    cl_int code = CL_INVALID_VALUE;
    for (int i = 0; i < 2 && code != CL_SUCCESS; i++) /* memory that stays mapped would stay for good */
        code = clEnqueueUnmapMemObject(device->own, mapping->mem, mapping->mapped, 0, NULL, &event);
    if (code == CL_SUCCESS)
        dt2_cl_submit(device->own, event);
    dt2_cl_release(device->driver, mapping);
}

int dt2_cl_buffer_free(void *self, dt2_handle handle, struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_driver *driver = self;
    struct dt2_cl_buffer *buffer = dt2_cl_take(driver, DT2_HANDLE_BUFFER, handle, "buffer", err);
    if (!buffer)
        return DT2_BACKEND_INVALID;
    struct dt2_cl_mapping *mapping;
    while ((mapping = take_mapping(buffer->device, buffer, NULL)))
        unmap_now(buffer->device, mapping);
    clReleaseMemObject(buffer->mem);
    dt2_cl_drop(buffer->device);
    dt2_cl_release(driver, buffer);
    return DT2_BACKEND_OK;
}

int dt2_cl_buffer_map(void *self, dt2_handle queue_handle, dt2_handle buffer_handle, uint64_t offset, uint64_t bytes,
                      unsigned flags, void **address, struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_driver *driver = self;
    struct dt2_cl_queue *queue;
    struct dt2_cl_buffer *buffer;
    int status = dt2_cl_check_range(driver, queue_handle, buffer_handle, offset, bytes, &queue, &buffer, err);
    if (status != DT2_BACKEND_OK)
        return status;
    if (bytes == 0 || flags == 0 || (flags & ~(unsigned)(DT2_MAP_READ | DT2_MAP_WRITE)))
        return DT2_CL_INVALID(driver, err, "a mapping of %llu bytes with flags %#x", (unsigned long long)bytes, flags);
    cl_map_flags how = flags == DT2_MAP_WRITE ? CL_MAP_WRITE_INVALIDATE_REGION
                                              : CL_MAP_READ | (flags & DT2_MAP_WRITE ? CL_MAP_WRITE : 0);
    struct dt2_cl_mapping *mapping = dt2_cl_alloc(driver, sizeof *mapping);
    if (!mapping)
        return dt2_cl_fail_bookkeeping(driver, err);
    void *mapped;
    cl_int code = map(queue->queue, buffer->mem, how, offset, bytes, DT2_CL_FOLLOWS(queue) ? queue->last : NULL, &mapped);
    if (code != CL_SUCCESS) {
        dt2_cl_release(driver, mapping);
        return dt2_cl_fail(driver, err, code, "cannot map %llu bytes", (unsigned long long)bytes);
    }
    *mapping = (struct dt2_cl_mapping){ .buffer = buffer, .mem = buffer->mem, .mapped = mapped, .address = mapped };
    add_mapping(queue->device, mapping);
    *address = mapped;
    return DT2_BACKEND_OK;
}

int dt2_cl_buffer_unmap(void *self, dt2_handle queue_handle, dt2_handle buffer_handle, void *address,
                        struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_driver *driver = self;
    struct dt2_cl_queue *queue;
    struct dt2_cl_buffer *buffer;
    int status = dt2_cl_check_range(driver, queue_handle, buffer_handle, 0, 0, &queue, &buffer, err);
    if (status != DT2_BACKEND_OK)
        return status;
    struct dt2_cl_mapping *mapping = address ? take_mapping(queue->device, buffer, address) : NULL;
    if (!mapping)
        return DT2_CL_INVALID(driver, err, "the buffer is not mapped at %p", address);
    cl_event event;
    cl_int code = clEnqueueUnmapMemObject(queue->queue, buffer->mem, mapping->mapped, DT2_CL_AFTER_LAST(queue), &event);
    if (code != CL_SUCCESS)
        add_mapping(queue->device, mapping); /* still there */
    else
        dt2_cl_release(driver, mapping);
    return dt2_cl_queued(queue, code, event, "unmapping", err);
}

/* -- staging memory: a buffer that stays mapped, since that is the only pinned memory that OpenCL knows */

static int map_staging(struct dt2_cl_device *device, uint64_t bytes, struct dt2_cl_mapping *mapping,
                       struct dt2_backend_error *err)
{
    cl_int code;
    size_t page = page_bytes(), whole = bytes + page - 1;
    mapping->mem = clCreateBuffer(device->context, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR, whole, NULL, &code);
    if (code == CL_SUCCESS) {
        code = map(device->own, mapping->mem, CL_MAP_READ | CL_MAP_WRITE, 0, whole, NULL, &mapping->mapped);
        if (code != CL_SUCCESS)
            clReleaseMemObject(mapping->mem);
    }
    if (code != CL_SUCCESS)
        return dt2_cl_fail_memory(device->driver, err, code, "cannot allocate %llu bytes of staging memory",
                                  (unsigned long long)bytes);
    uintptr_t begin = (uintptr_t)mapping->mapped;
    mapping->address = (char *)mapping->mapped + (page - begin % page) % page;
    return DT2_BACKEND_OK;
}

/* The limit of one buffer holds for pinned memory as well: above it the core does with ordinary memory. */
static int check_staging_size(const struct dt2_cl_device *device, uint64_t bytes, struct dt2_backend_error *err)
{
    const struct dt2_backend_services *services = device->driver->services;
    uint64_t page = page_bytes(), most = device->max_alloc_bytes < page ? 0 : device->max_alloc_bytes - (page - 1);
    if (bytes == 0)
        return check_size(device, bytes, err);
    return bytes <= most ? DT2_BACKEND_OK
                         : services->fail(services->core, err, DT2_BACKEND_UNSUPPORTED, 0, NULL,
                                          "%llu bytes of staging memory: the device pins at most %llu at once",
                                          (unsigned long long)bytes, (unsigned long long)most);
}

int dt2_cl_host_alloc(void *self, dt2_handle device_handle, uint64_t bytes, void **memory,
                      struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_driver *driver = self;
    struct dt2_cl_device *device = dt2_cl_hold(driver, device_handle, err);
    if (!device)
        return DT2_BACKEND_INVALID;
    int status = check_staging_size(device, bytes, err);
    struct dt2_cl_mapping *mapping = NULL;
    if (status == DT2_BACKEND_OK && !(mapping = dt2_cl_alloc(driver, sizeof *mapping)))
        status = dt2_cl_fail_bookkeeping(driver, err);
    if (status == DT2_BACKEND_OK)
        status = map_staging(device, bytes, mapping, err);
    if (status != DT2_BACKEND_OK) {
        dt2_cl_release(driver, mapping);
        dt2_cl_drop(device);
        return status;
    }
    add_mapping(device, mapping);
    *memory = mapping->address;
    return DT2_BACKEND_OK;
}

int dt2_cl_host_free(void *self, dt2_handle device_handle, void *memory, struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_driver *driver = self;
    struct dt2_cl_device *device = dt2_cl_hold(driver, device_handle, err);
    if (!device)
        return DT2_BACKEND_INVALID;
    struct dt2_cl_mapping *mapping = memory ? take_mapping(device, NULL, memory) : NULL;
    if (mapping) {
        cl_mem mem = mapping->mem;
        unmap_now(device, mapping);
        clReleaseMemObject(mem);
        dt2_cl_drop(device); /* what host_alloc held */
    }
    dt2_cl_drop(device);
    return mapping ? DT2_BACKEND_OK : DT2_CL_INVALID(driver, err, "there is no staging memory at %p", memory);
}
