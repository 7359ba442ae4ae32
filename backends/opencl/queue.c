/* SPDX-License-Identifier: BSD-3-Clause */
#include "opencl.h"

/* Puts a queue behind a handle, and the device's hold with it; `native` is released when that fails. */
static int publish(struct dt2_cl_device *device, cl_command_queue native, bool adopted, dt2_handle *handle,
                   struct dt2_backend_error *err)
{
    struct dt2_cl_driver *driver = device->driver;
    struct dt2_cl_queue *queue = dt2_cl_alloc(driver, sizeof *queue);
    dt2_handle made = 0;
    if (queue) {
        *queue = (struct dt2_cl_queue){ .device = device, .queue = native, .adopted = adopted };
        made = driver->services->handle_new(driver->services->core, DT2_HANDLE_QUEUE, queue);
    }
    if (!made) {
        dt2_cl_release(driver, queue);
        clReleaseCommandQueue(native);
        return dt2_cl_fail_bookkeeping(driver, err);
    }
    *handle = made;
    return DT2_BACKEND_OK;
}

int dt2_cl_queue_create(void *self, dt2_handle device_handle, dt2_handle *handle, struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_driver *driver = self;
    struct dt2_cl_device *device = dt2_cl_hold(driver, device_handle, err);
    if (!device)
        return DT2_BACKEND_INVALID;
    cl_int code;
    cl_command_queue native = clCreateCommandQueue(device->context, device->id, 0, &code);
    int status = code == CL_SUCCESS ? publish(device, native, false, handle, err)
                                    : dt2_cl_fail_memory(driver, err, code, "cannot make a queue");
    if (status != DT2_BACKEND_OK)
        dt2_cl_drop(device);
    return status;
}

/* Takes a reference to the caller's queue, when it is one of the device's context and in order. */
static int adopt(const struct dt2_cl_device *device, cl_command_queue native, struct dt2_backend_error *err)
{
    const struct dt2_cl_driver *driver = device->driver;
    cl_context context = NULL;
    cl_device_id id = NULL;
    cl_command_queue_properties properties = 0;
    cl_int code = native ? clGetCommandQueueInfo(native, CL_QUEUE_CONTEXT, sizeof context, &context, NULL)
                         : CL_INVALID_COMMAND_QUEUE;
    if (code == CL_SUCCESS)
        code = clGetCommandQueueInfo(native, CL_QUEUE_DEVICE, sizeof id, &id, NULL);
    if (code == CL_SUCCESS)
        code = clGetCommandQueueInfo(native, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL);
    if (code != CL_SUCCESS)
        return DT2_CL_INVALID(driver, err, "what was given is no command queue (%s)", dt2_cl_name(code));
    if (context != device->context)
        return DT2_CL_INVALID(driver, err,
                              "the command queue belongs to another context: open the device with that one");
    if (id != device->id)
        return DT2_CL_INVALID(driver, err, "the command queue belongs to another device of the context");
    if (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)
        return DT2_CL_INVALID(driver, err, "the command queue is out of order; one that is in order is needed");
    code = clRetainCommandQueue(native);
    return code == CL_SUCCESS ? DT2_BACKEND_OK : dt2_cl_fail(driver, err, code, "cannot hold the command queue");
}

int dt2_cl_queue_adopt(void *self, dt2_handle device_handle, void *native, dt2_handle *handle,
                       struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_device *device = dt2_cl_hold(self, device_handle, err);
    if (!device)
        return DT2_BACKEND_INVALID;
    int status = adopt(device, native, err);
    if (status == DT2_BACKEND_OK)
        status = publish(device, native, true, handle, err);
    if (status != DT2_BACKEND_OK)
        dt2_cl_drop(device);
    return status;
}

/*
 * Waits for all that is queued, and tells how it ended. A queue of the caller's may hold more than we know of: behind a
 * marker of ours it does not.
 */
static cl_int drain(struct dt2_cl_queue *queue)
{
    if (queue->adopted)
        dt2_cl_mark(queue, NULL);
    cl_int ended = queue->last ? dt2_cl_finish(queue->last) : CL_SUCCESS;
    cl_int code = clFinish(queue->queue);
    if (queue->last)
        clReleaseEvent(queue->last);
    queue->last = NULL; /* told once: what is queued from now on may succeed */
    return code == CL_SUCCESS ? ended : code;
}

int dt2_cl_queue_destroy(void *self, dt2_handle handle, struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_driver *driver = self;
    struct dt2_cl_queue *queue = dt2_cl_take(driver, DT2_HANDLE_QUEUE, handle, "queue", err);
    if (!queue)
        return DT2_BACKEND_INVALID;
    drain(queue); /* how the work ended is for its events to tell */
    clReleaseCommandQueue(queue->queue);
    dt2_cl_drop(queue->device);
    dt2_cl_release(driver, queue);
    return DT2_BACKEND_OK;
}

int dt2_cl_queue_wait(void *self, dt2_handle handle, struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_driver *driver = self;
    struct dt2_cl_queue *queue = dt2_cl_get(driver, DT2_HANDLE_QUEUE, handle, "queue", err);
    if (!queue)
        return DT2_BACKEND_INVALID;
    cl_int code = drain(queue);
    return code == CL_SUCCESS ? DT2_BACKEND_OK : dt2_cl_fail(driver, err, code, "the work of the queue failed");
}

int dt2_cl_queued(struct dt2_cl_queue *queue, cl_int code, cl_event event, const char *what,
                  struct dt2_backend_error *err)
{
    if (code != CL_SUCCESS)
        return dt2_cl_fail(queue->device->driver, err, code, "cannot queue a %s", what);
    if (queue->last)
        clReleaseEvent(queue->last);
    queue->last = event;
    code = clFlush(queue->queue);
    return code == CL_SUCCESS ? DT2_BACKEND_OK
                              : dt2_cl_fail(queue->device->driver, err, code, "cannot start a %s", what);
}

int dt2_cl_copy_h2d(void *self, dt2_handle queue_handle, dt2_handle buffer_handle, uint64_t offset, const void *source,
                    uint64_t bytes, struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_queue *queue;
    struct dt2_cl_buffer *buffer;
    int status = dt2_cl_check_range(self, queue_handle, buffer_handle, offset, bytes, &queue, &buffer, err);
    if (status != DT2_BACKEND_OK || bytes == 0)
        return status;
    cl_event event;
    cl_int code = clEnqueueWriteBuffer(queue->queue, buffer->mem, CL_FALSE, offset, bytes, source,
                                       DT2_CL_AFTER_LAST(queue), &event);
    return dt2_cl_queued(queue, code, event, "copy to the device", err);
}

int dt2_cl_copy_d2h(void *self, dt2_handle queue_handle, dt2_handle buffer_handle, uint64_t offset, void *destination,
                    uint64_t bytes, struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_queue *queue;
    struct dt2_cl_buffer *buffer;
    int status = dt2_cl_check_range(self, queue_handle, buffer_handle, offset, bytes, &queue, &buffer, err);
    if (status != DT2_BACKEND_OK || bytes == 0)
        return status;
    cl_event event;
    cl_int code = clEnqueueReadBuffer(queue->queue, buffer->mem, CL_FALSE, offset, bytes, destination,
                                      DT2_CL_AFTER_LAST(queue), &event);
    return dt2_cl_queued(queue, code, event, "copy from the device", err);
}

int dt2_cl_copy_d2d(void *self, dt2_handle queue_handle, dt2_handle destination_handle, uint64_t destination_offset,
                    dt2_handle source_handle, uint64_t source_offset, uint64_t bytes, struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_driver *driver = self;
    struct dt2_cl_queue *queue;
    struct dt2_cl_buffer *destination, *source;
    int status = dt2_cl_check_range(driver, queue_handle, destination_handle, destination_offset, bytes, &queue,
                                    &destination, err);
    if (status == DT2_BACKEND_OK)
        status = dt2_cl_check_range(driver, queue_handle, source_handle, source_offset, bytes, &queue, &source, err);
    if (status != DT2_BACKEND_OK || bytes == 0)
        return status;
    if (source == destination && source_offset < destination_offset + bytes &&
        destination_offset < source_offset + bytes)
        return DT2_CL_INVALID(driver, err, "the two ranges of the buffer overlap");
    cl_event event;
    cl_int code = clEnqueueCopyBuffer(queue->queue, source->mem, destination->mem, source_offset, destination_offset,
                                      bytes, DT2_CL_AFTER_LAST(queue), &event);
    return dt2_cl_queued(queue, code, event, "copy on the device", err);
}
