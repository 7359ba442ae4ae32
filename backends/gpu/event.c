/* SPDX-License-Identifier: BSD-3-Clause */
#include "gpu.h"

/* Without times, which nobody asks for and which cost; whoever waits sleeps, since others read files meanwhile. */
#define EVENT_FLAGS (GPU(EventDisableTiming) | GPU(EventBlockingSync))

static void destroy(const struct dt2_gpu_driver *driver, GPU(Event_t) event)
{
    if (driver->runtime.EventDestroy(event) != GPU(Success))
        dt2_gpu_forget();
}

/* A runtime's event after all that is queued. Within a scope. */
static int record(const struct dt2_gpu_queue *queue, GPU(Event_t) *event, struct dt2_backend_error *err)
{
    const struct dt2_gpu_driver *driver = queue->device->driver;
    GPU(Error_t) code = driver->runtime.EventCreateWithFlags(event, EVENT_FLAGS);
    if (code != GPU(Success))
        return dt2_gpu_fail(driver, err, code, "cannot make an event");
    code = driver->runtime.EventRecord(*event, queue->stream);
    if (code == GPU(Success))
        return DT2_BACKEND_OK;
    int status = dt2_gpu_fail(driver, err, code, "cannot record an event");
    destroy(driver, *event);
    return status;
}

int dt2_gpu_event_record(void *self, dt2_handle queue_handle, dt2_handle *handle, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_driver *driver = self;
    const struct dt2_gpu_queue *queue = dt2_gpu_get(driver, DT2_HANDLE_QUEUE, queue_handle, "queue", err);
    if (!queue)
        return DT2_BACKEND_INVALID;
    struct dt2_gpu_event *event = dt2_gpu_alloc(driver, sizeof *event);
    if (!event)
        return dt2_gpu_fail_bookkeeping(driver, err);
    event->device = queue->device;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    int status = dt2_gpu_enter_queue(queue, &scope, err);
    if (status == DT2_BACKEND_OK)
        status = record(queue, &event->event, err);
    if (status == DT2_BACKEND_OK) {
        dt2_handle made = dt2_gpu_new(driver, DT2_HANDLE_EVENT, event, err);
        if (made) {
            dt2_gpu_hold_again(event->device);
            *handle = made;
            return DT2_BACKEND_OK;
        }
        status = DT2_BACKEND_NOMEM;
        destroy(driver, event->event);
    }
    dt2_gpu_release(driver, event);
    return status;
}

int dt2_gpu_event_query(void *self, dt2_handle handle, bool *done, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_driver *driver = self;
    const struct dt2_gpu_event *event = dt2_gpu_get(driver, DT2_HANDLE_EVENT, handle, "event", err);
    if (!event)
        return DT2_BACKEND_INVALID;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    int status = dt2_gpu_enter(event->device, &scope, err);
    if (status != DT2_BACKEND_OK)
        return status;
    GPU(Error_t) code = driver->runtime.EventQuery(event->event);
    if (code != GPU(Success) && code != GPU(ErrorNotReady))
        return dt2_gpu_fail(driver, err, code, "the work before the event failed");
    if (code == GPU(ErrorNotReady))
        dt2_gpu_forget(); /* some runtimes keep it as an error */
    *done = code == GPU(Success);
    return DT2_BACKEND_OK;
}

int dt2_gpu_event_wait(void *self, dt2_handle handle, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_driver *driver = self;
    const struct dt2_gpu_event *event = dt2_gpu_get(driver, DT2_HANDLE_EVENT, handle, "event", err);
    if (!event)
        return DT2_BACKEND_INVALID;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    int status = dt2_gpu_enter(event->device, &scope, err);
    if (status != DT2_BACKEND_OK)
        return status;
    GPU(Error_t) code = driver->runtime.EventSynchronize(event->event);
    return code == GPU(Success) ? DT2_BACKEND_OK
                                : dt2_gpu_fail(driver, err, code, "the work before the event failed");
}

int dt2_gpu_queue_wait_event(void *self, dt2_handle queue_handle, dt2_handle event_handle,
                             struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_driver *driver = self;
    const struct dt2_gpu_queue *queue = dt2_gpu_get(driver, DT2_HANDLE_QUEUE, queue_handle, "queue", err);
    const struct dt2_gpu_event *event =
        queue ? dt2_gpu_get(driver, DT2_HANDLE_EVENT, event_handle, "event", err) : NULL;
    if (!event)
        return DT2_BACKEND_INVALID;
    if (event->device != queue->device)
        return DT2_GPU_INVALID(driver, err, "the event and the queue belong to different devices");
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    int status = dt2_gpu_enter_queue(queue, &scope, err);
    if (status != DT2_BACKEND_OK)
        return status;
    GPU(Error_t) code = driver->runtime.StreamWaitEvent(queue->stream, event->event, 0);
    return code == GPU(Success) ? DT2_BACKEND_OK
                                : dt2_gpu_fail(driver, err, code, "cannot make the queue wait for an event");
}

int dt2_gpu_event_free(void *self, dt2_handle handle, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_driver *driver = self;
    struct dt2_gpu_event *event = dt2_gpu_take(driver, DT2_HANDLE_EVENT, handle, "event", err);
    if (!event)
        return DT2_BACKEND_INVALID;
    {
        struct dt2_gpu_scope scope DT2_GPU_SCOPE;
        if (dt2_gpu_enter_to_free(event->device, &scope, NULL) == DT2_BACKEND_OK)
            destroy(driver, event->event);
    }
    dt2_gpu_drop(event->device);
    dt2_gpu_release(driver, event);
    return DT2_BACKEND_OK;
}
