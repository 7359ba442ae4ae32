/* SPDX-License-Identifier: BSD-3-Clause */
#include "gpu.h"

/* Without times, which nobody asks for and which cost; whoever waits sleeps, since others read files meanwhile. */
#define EVENT_FLAGS (GPU(EventDisableTiming) | GPU(EventBlockingSync))

/* Kept for use again, of each device; a pass of a session has some hundreds at work at most. */
#define POOL_MOST 1024

/* -- the pool: an event in it is no handle's, and does not hold its device
 *
 * An event goes back while its last record may still matter: whoever waits for it on the host holds its handle, and a
 * queue that was made to wait has taken what the event stood for at that time, which a later record does not change
 * ("CUDA Runtime API", cudaEventRecord; HIP does the same).
 */

static struct dt2_gpu_event *take_pooled(struct dt2_gpu_device *device)
{
    pthread_mutex_lock(&device->driver->lock);
    struct dt2_gpu_event *event = device->pool;
    if (event) {
        device->pool = event->next;
        device->pool_count--;
        device->live++;
    }
    pthread_mutex_unlock(&device->driver->lock);
    return event;
}

static bool put_pooled(struct dt2_gpu_event *event)
{
    struct dt2_gpu_device *device = event->device;
    pthread_mutex_lock(&device->driver->lock);
    bool fits = device->pool_count < POOL_MOST;
    if (fits) {
        event->next = device->pool;
        device->pool = event;
        device->pool_count++;
        device->live--;
    }
    pthread_mutex_unlock(&device->driver->lock);
    return fits;
}

/* Within a scope. */
static void destroy(struct dt2_gpu_event *event)
{
    const struct dt2_gpu_driver *driver = event->device->driver;
    if (driver->runtime.EventDestroy(event->event) != GPU(Success))
        dt2_gpu_forget();
    dt2_gpu_release(driver, event);
}

void dt2_gpu_events_clear(struct dt2_gpu_device *device)
{
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    bool entered = device->pool && dt2_gpu_enter_to_free(device, &scope, NULL) == DT2_BACKEND_OK;
    for (struct dt2_gpu_event *event; (event = device->pool);) {
        device->pool = event->next;
        if (entered)
            destroy(event);
        else
            dt2_gpu_release(device->driver, event); /* the runtime's goes with the context */
    }
    device->pool_count = 0;
}

/* -- events that are somebody's: each holds its device */

/* Within a scope. */
static int take(struct dt2_gpu_device *device, struct dt2_gpu_event **taken, struct dt2_backend_error *err)
{
    struct dt2_gpu_driver *driver = device->driver;
    struct dt2_gpu_event *event = take_pooled(device);
    if (!event) {
        event = dt2_gpu_alloc(driver, sizeof *event);
        if (!event)
            return dt2_gpu_fail_bookkeeping(driver, err);
        event->device = device;
        GPU(Error_t) code = driver->runtime.EventCreateWithFlags(&event->event, EVENT_FLAGS);
        if (code != GPU(Success)) {
            dt2_gpu_release(driver, event);
            return dt2_gpu_fail(driver, err, code, "cannot make an event");
        }
        dt2_gpu_hold_again(device);
    }
    *taken = event;
    return DT2_BACKEND_OK;
}

static void give_back(struct dt2_gpu_event *event)
{
    struct dt2_gpu_device *device = event->device;
    if (put_pooled(event))
        return;
    DT2_GPU_ENTRY(device->driver);
    {
        struct dt2_gpu_scope scope DT2_GPU_SCOPE;
        if (dt2_gpu_enter_to_free(device, &scope, NULL) == DT2_BACKEND_OK)
            destroy(event);
        else
            dt2_gpu_release(device->driver, event);
    }
    dt2_gpu_drop(device);
}

int dt2_gpu_event_record(void *self, dt2_handle queue_handle, dt2_handle *handle, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_driver *driver = self;
    struct dt2_gpu_event *event = NULL;
    const struct dt2_gpu_queue *queue = dt2_gpu_get(driver, DT2_HANDLE_QUEUE, queue_handle, "queue", err);
    if (!queue)
        return DT2_BACKEND_INVALID;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    int status = dt2_gpu_enter_queue(queue, &scope, err);
    if (status == DT2_BACKEND_OK)
        status = take(queue->device, &event, err);
    if (status != DT2_BACKEND_OK)
        return status;
    GPU(Error_t) code = driver->runtime.EventRecord(event->event, queue->stream);
    dt2_handle made = 0;
    if (code != GPU(Success))
        status = dt2_gpu_fail(driver, err, code, "cannot record an event");
    else if (!(made = dt2_gpu_new(driver, DT2_HANDLE_EVENT, event, err)))
        status = DT2_BACKEND_NOMEM;
    if (made)
        *handle = made;
    else
        give_back(event);
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
    struct dt2_gpu_driver *driver = self;
    struct dt2_gpu_event *event = dt2_gpu_take(driver, DT2_HANDLE_EVENT, handle, "event", err);
    if (!event)
        return DT2_BACKEND_INVALID;
    give_back(event);
    return DT2_BACKEND_OK;
}
