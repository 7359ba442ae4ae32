/* SPDX-License-Identifier: BSD-3-Clause */
#include "gpu.h"

/* Puts a stream behind a handle, which holds the device from now on. */
static int publish(struct dt2_gpu_device *device, GPU(Stream_t) stream, bool adopted, dt2_handle *handle,
                   struct dt2_backend_error *err)
{
    struct dt2_gpu_driver *driver = device->driver;
    struct dt2_gpu_queue *queue = dt2_gpu_alloc(driver, sizeof *queue);
    if (!queue)
        return dt2_gpu_fail_bookkeeping(driver, err);
    *queue = (struct dt2_gpu_queue){ .device = device, .stream = stream, .adopted = adopted };
    dt2_handle made = dt2_gpu_new(driver, DT2_HANDLE_QUEUE, queue, err);
    if (!made) {
        dt2_gpu_release(driver, queue);
        return DT2_BACKEND_NOMEM;
    }
    *handle = made;
    return DT2_BACKEND_OK;
}

/* A stream that does not wait for the default one, of which the program around us may make what it likes. */
static int make_queue(struct dt2_gpu_device *device, dt2_handle *handle, struct dt2_backend_error *err)
{
    const struct dt2_gpu_runtime *runtime = &device->driver->runtime;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    GPU(Stream_t) stream = NULL;
    int status = dt2_gpu_enter(device, &scope, err);
    if (status != DT2_BACKEND_OK)
        return status;
    GPU(Error_t) code = runtime->StreamCreateWithFlags(&stream, GPU(StreamNonBlocking));
    if (code != GPU(Success))
        return dt2_gpu_fail(device->driver, err, code, "cannot make a queue");
    status = publish(device, stream, false, handle, err);
    if (status != DT2_BACKEND_OK && runtime->StreamDestroy(stream) != GPU(Success))
        dt2_gpu_forget();
    return status;
}

int dt2_gpu_queue_create(void *self, dt2_handle device_handle, dt2_handle *handle, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_device *device = dt2_gpu_hold(self, device_handle, err);
    if (!device)
        return DT2_BACKEND_INVALID;
    int status = make_queue(device, handle, err);
    if (status != DT2_BACKEND_OK)
        dt2_gpu_drop(device);
    return status;
}

static int adopt(struct dt2_gpu_device *device, GPU(Stream_t) stream, dt2_handle *handle, struct dt2_backend_error *err)
{
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    if (stream == GPU(StreamPerThread))
        return DT2_GPU_INVALID(device->driver, err,
                               "the default stream of each thread is another one in each: give a stream that was made");
    int status = dt2_gpu_enter(device, &scope, err);
    if (status == DT2_BACKEND_OK)
        status = dt2_gpu_check_stream(device, stream, err);
    if (status == DT2_BACKEND_OK)
        status = dt2_gpu_check_capture(&(struct dt2_gpu_queue){ .device = device, .stream = stream, .adopted = true }, err);
    return status == DT2_BACKEND_OK ? publish(device, stream, true, handle, err) : status;
}

/* NULL is the device's default stream. */
int dt2_gpu_queue_adopt(void *self, dt2_handle device_handle, void *native, dt2_handle *handle,
                        struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_device *device = dt2_gpu_hold(self, device_handle, err);
    if (!device)
        return DT2_BACKEND_INVALID;
    int status = adopt(device, native, handle, err);
    if (status != DT2_BACKEND_OK)
        dt2_gpu_drop(device);
    return status;
}

static int wait(const struct dt2_gpu_queue *queue, struct dt2_backend_error *err)
{
    const struct dt2_gpu_driver *driver = queue->device->driver;
    GPU(Error_t) code = driver->runtime.StreamSynchronize(queue->stream);
    return code == GPU(Success) ? DT2_BACKEND_OK : dt2_gpu_fail(driver, err, code, "the work of the queue failed");
}

/* How the work ended is for its events to tell. Returns whether nothing refers to the queue any more. */
static bool end(struct dt2_gpu_queue *queue)
{
    const struct dt2_gpu_driver *driver = queue->device->driver;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    if (dt2_gpu_enter_to_free(queue->device, &scope, NULL) != DT2_BACKEND_OK)
        return dt2_gpu_events_clear(queue, false);
    if (dt2_gpu_check_capture(queue, NULL) == DT2_BACKEND_OK) /* else none of the work that is captured is ours */
        (void)wait(queue, NULL);
    if (!queue->adopted && driver->runtime.StreamDestroy(queue->stream) != GPU(Success))
        dt2_gpu_forget();
    return dt2_gpu_events_clear(queue, true);
}

int dt2_gpu_queue_destroy(void *self, dt2_handle handle, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_driver *driver = self;
    struct dt2_gpu_queue *queue = dt2_gpu_take(driver, DT2_HANDLE_QUEUE, handle, "queue", err);
    if (!queue)
        return DT2_BACKEND_INVALID;
    struct dt2_gpu_device *device = queue->device;
    if (end(queue))
        dt2_gpu_release(driver, queue);
    dt2_gpu_drop(device);
    return DT2_BACKEND_OK;
}

int dt2_gpu_queue_wait(void *self, dt2_handle handle, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    const struct dt2_gpu_queue *queue = dt2_gpu_get(self, DT2_HANDLE_QUEUE, handle, "queue", err);
    if (!queue)
        return DT2_BACKEND_INVALID;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    int status = dt2_gpu_enter_queue(queue, &scope, err);
    return status == DT2_BACKEND_OK ? wait(queue, err) : status;
}

/* -- copies */

/* Queues a copy of one kind. */
static int copy(const struct dt2_gpu_queue *queue, void *destination, const void *source, uint64_t bytes,
                enum GPU(MemcpyKind) kind, const char *what, struct dt2_backend_error *err)
{
    const struct dt2_gpu_driver *driver = queue->device->driver;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    int status = bytes ? dt2_gpu_enter_queue(queue, &scope, err) : DT2_BACKEND_OK;
    if (status != DT2_BACKEND_OK || bytes == 0)
        return status;
    GPU(Error_t) code = driver->runtime.MemcpyAsync(destination, source, bytes, kind, queue->stream);
    return code == GPU(Success) ? DT2_BACKEND_OK
                                : dt2_gpu_fail(driver, err, code, "cannot queue a copy of %llu bytes %s",
                                               (unsigned long long)bytes, what);
}

int dt2_gpu_copy_h2d(void *self, dt2_handle queue_handle, dt2_handle buffer_handle, uint64_t offset, const void *source,
                     uint64_t bytes, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_queue *queue;
    struct dt2_gpu_buffer *buffer;
    int status = dt2_gpu_check_copy(self, queue_handle, buffer_handle, offset, bytes, &queue, &buffer, err);
    return status == DT2_BACKEND_OK ? copy(queue, buffer->address + offset, source, bytes, GPU(MemcpyHostToDevice),
                                           "to the device", err)
                                    : status;
}

int dt2_gpu_copy_d2h(void *self, dt2_handle queue_handle, dt2_handle buffer_handle, uint64_t offset, void *destination,
                     uint64_t bytes, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_queue *queue;
    struct dt2_gpu_buffer *buffer;
    int status = dt2_gpu_check_copy(self, queue_handle, buffer_handle, offset, bytes, &queue, &buffer, err);
    return status == DT2_BACKEND_OK ? copy(queue, destination, buffer->address + offset, bytes, GPU(MemcpyDeviceToHost),
                                           "from the device", err)
                                    : status;
}

int dt2_gpu_copy_d2d(void *self, dt2_handle queue_handle, dt2_handle destination_handle, uint64_t destination_offset,
                     dt2_handle source_handle, uint64_t source_offset, uint64_t bytes, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_driver *driver = self;
    struct dt2_gpu_queue *queue;
    struct dt2_gpu_buffer *destination, *source;
    int status = dt2_gpu_check_copy(driver, queue_handle, destination_handle, destination_offset, bytes, &queue,
                                    &destination, err);
    if (status == DT2_BACKEND_OK)
        status = dt2_gpu_check_copy(driver, queue_handle, source_handle, source_offset, bytes, &queue, &source, err);
    if (status != DT2_BACKEND_OK)
        return status;
    unsigned char *to = destination->address + destination_offset, *from = source->address + source_offset;
    uint64_t apart = to > from ? (uint64_t)(to - from) : (uint64_t)(from - to);
    if (apart < bytes) /* in one buffer, or in two that were adopted from one */
        return DT2_GPU_INVALID(driver, err, "the two ranges overlap");
    return copy(queue, to, from, bytes, GPU(MemcpyDeviceToDevice), "on the device", err);
}
