/* SPDX-License-Identifier: BSD-3-Clause */
#include "opencl.h"

int dt2_cl_mark(struct dt2_cl_queue *queue, struct dt2_backend_error *err)
{
    cl_event marker;
    cl_int code = clEnqueueMarkerWithWaitList(queue->queue, DT2_CL_AFTER_LAST(queue), &marker);
    return dt2_cl_queued(queue, code, marker, "marker", err);
}

int dt2_cl_event_record(void *self, dt2_handle queue_handle, dt2_handle *handle, struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_driver *driver = self;
    struct dt2_cl_queue *queue = dt2_cl_get(driver, DT2_HANDLE_QUEUE, queue_handle, "queue", err);
    if (!queue)
        return DT2_BACKEND_INVALID;
    struct dt2_cl_event *event = dt2_cl_alloc(driver, sizeof *event);
    if (!event)
        return dt2_cl_fail_bookkeeping(driver, err);
    int status = dt2_cl_mark(queue, err);
    cl_int code = status == DT2_BACKEND_OK ? clRetainEvent(queue->last) : CL_SUCCESS;
    if (code != CL_SUCCESS)
        status = dt2_cl_fail(driver, err, code, "cannot hold an event");
    if (status == DT2_BACKEND_OK) {
        *event = (struct dt2_cl_event){ .device = queue->device, .event = queue->last };
        dt2_handle made = driver->services->handle_new(driver->services->core, DT2_HANDLE_EVENT, event);
        if (made) {
            dt2_cl_hold_again(event->device);
            *handle = made;
            return DT2_BACKEND_OK;
        }
        status = dt2_cl_fail_bookkeeping(driver, err);
        clReleaseEvent(event->event);
    }
    dt2_cl_release(driver, event);
    return status;
}

int dt2_cl_event_query(void *self, dt2_handle handle, bool *done, struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_driver *driver = self;
    struct dt2_cl_event *event = dt2_cl_get(driver, DT2_HANDLE_EVENT, handle, "event", err);
    if (!event)
        return DT2_BACKEND_INVALID;
    cl_int state = dt2_cl_state(event->event);
    if (state == CL_COMPLETE)
        state = dt2_cl_settle(event->event);
    if (state < 0)
        return dt2_cl_fail(driver, err, state, "the work before the event failed");
    *done = state == CL_COMPLETE;
    return DT2_BACKEND_OK;
}

int dt2_cl_event_wait(void *self, dt2_handle handle, struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_driver *driver = self;
    struct dt2_cl_event *event = dt2_cl_get(driver, DT2_HANDLE_EVENT, handle, "event", err);
    if (!event)
        return DT2_BACKEND_INVALID;
    cl_int code = dt2_cl_finish(event->event);
    return code == CL_SUCCESS ? DT2_BACKEND_OK : dt2_cl_fail(driver, err, code, "the work before the event failed");
}

int dt2_cl_queue_wait_event(void *self, dt2_handle queue_handle, dt2_handle event_handle, struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_driver *driver = self;
    struct dt2_cl_queue *queue = dt2_cl_get(driver, DT2_HANDLE_QUEUE, queue_handle, "queue", err);
    struct dt2_cl_event *event = queue ? dt2_cl_get(driver, DT2_HANDLE_EVENT, event_handle, "event", err) : NULL;
    if (!event)
        return DT2_BACKEND_INVALID;
    if (event->device != queue->device)
        return DT2_CL_INVALID(driver, err, "the event and the queue belong to different devices");
    cl_event awaited[2] = { event->event, queue->last }, barrier;
    cl_int code = clEnqueueBarrierWithWaitList(queue->queue, DT2_CL_FOLLOWS(queue) ? 2 : 1, awaited, &barrier);
    return dt2_cl_queued(queue, code, barrier, "barrier", err);
}

int dt2_cl_event_free(void *self, dt2_handle handle, struct dt2_backend_error *err)
{
    DT2_CL_KEEP_ERRNO;
    struct dt2_cl_driver *driver = self;
    struct dt2_cl_event *event = dt2_cl_take(driver, DT2_HANDLE_EVENT, handle, "event", err);
    if (!event)
        return DT2_BACKEND_INVALID;
    clReleaseEvent(event->event);
    dt2_cl_drop(event->device);
    dt2_cl_release(driver, event);
    return DT2_BACKEND_OK;
}
