/* SPDX-License-Identifier: BSD-3-Clause */
#include "gpu.h"

/* Without times, which nobody asks for and which cost; whoever waits sleeps, since others read files meanwhile. */
#define EVENT_FLAGS (GPU(EventDisableTiming) | GPU(EventBlockingSync))

/* Kept for use again, of each queue; a pass of a session has some hundreds at work at most. */
#define POOL_MOST 512

/* -- the pool of a queue: an event in it is no handle's, and does not hold its device
 *
 * An event goes back while its last record may still matter: whoever waits for it on the host holds its handle, and a
 * queue that was made to wait has taken what the event stood for at that time, which a later record does not change
 * ("CUDA Runtime API", cudaEventRecord; HIP does the same). It is recorded on its own queue again, where the later record
 * comes after the earlier, so that nothing depends on a runtime's telling the two apart.
 */

static struct dt2_gpu_event *take_pooled(struct dt2_gpu_queue *queue)
{
    pthread_mutex_lock(&queue->device->driver->lock);
    struct dt2_gpu_event *event = queue->pool;
    if (event) {
        queue->pool = event->next;
        queue->pool_count--;
        queue->events++;
        queue->device->live++;
    }
    pthread_mutex_unlock(&queue->device->driver->lock);
    return event;
}

/* Puts an event back; false: it is to be destroyed, and *last tells that its queue, which is gone, is too. */
static bool put_pooled(struct dt2_gpu_event *event, bool *last)
{
    struct dt2_gpu_queue *queue = event->queue;
    pthread_mutex_lock(&queue->device->driver->lock);
    bool fits = !queue->gone && queue->pool_count < POOL_MOST;
    if (fits) {
        event->next = queue->pool;
        queue->pool = event;
        queue->pool_count++;
        queue->device->live--;
    }
    *last = --queue->events == 0 && queue->gone;
    pthread_mutex_unlock(&queue->device->driver->lock);
    return fits;
}

/* Within a scope, or after one that could not be entered: the runtime's event goes with the context then. */
static void destroy(const struct dt2_gpu_driver *driver, struct dt2_gpu_event *event, bool entered)
{
    if (entered && driver->runtime.EventDestroy(event->event) != GPU(Success))
        dt2_gpu_forget();
    dt2_gpu_release(driver, event);
}

bool dt2_gpu_events_clear(struct dt2_gpu_queue *queue, bool entered)
{
    struct dt2_gpu_driver *driver = queue->device->driver;
    pthread_mutex_lock(&driver->lock);
    struct dt2_gpu_event *pool = queue->pool;
    queue->pool = NULL;
    queue->pool_count = 0;
    queue->gone = true;
    bool last = queue->events == 0;
    pthread_mutex_unlock(&driver->lock);
    for (struct dt2_gpu_event *event; (event = pool);) {
        pool = event->next;
        destroy(driver, event, entered);
    }
    return last;
}

/* -- events that are somebody's: each holds its device */

/* Within a scope. */
static int take(struct dt2_gpu_queue *queue, struct dt2_gpu_event **taken, struct dt2_backend_error *err)
{
    struct dt2_gpu_driver *driver = queue->device->driver;
    struct dt2_gpu_event *event = take_pooled(queue);
    if (!event) {
        event = dt2_gpu_alloc(driver, sizeof *event);
        if (!event)
            return dt2_gpu_fail_bookkeeping(driver, err);
        event->queue = queue;
        GPU(Error_t) code = driver->runtime.EventCreateWithFlags(&event->event, EVENT_FLAGS);
        if (code != GPU(Success)) {
            dt2_gpu_release(driver, event);
            return dt2_gpu_fail(driver, err, code, "cannot make an event");
        }
        pthread_mutex_lock(&driver->lock);
        queue->events++;
        pthread_mutex_unlock(&driver->lock);
        dt2_gpu_hold_again(queue->device);
    }
    *taken = event;
    return DT2_BACKEND_OK;
}

static void give_back(struct dt2_gpu_event *event)
{
    struct dt2_gpu_queue *queue = event->queue;
    struct dt2_gpu_device *device = queue->device;
    bool last = false;
    if (put_pooled(event, &last))
        return;
    DT2_GPU_ENTRY(device->driver);
    {
        struct dt2_gpu_scope scope DT2_GPU_SCOPE;
        destroy(device->driver, event, dt2_gpu_enter_to_free(device, &scope, NULL) == DT2_BACKEND_OK);
    }
    if (last)
        dt2_gpu_release(device->driver, queue);
    dt2_gpu_drop(device);
}

int dt2_gpu_event_record(void *self, dt2_handle queue_handle, dt2_handle *handle, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_driver *driver = self;
    struct dt2_gpu_event *event = NULL;
    struct dt2_gpu_queue *queue = dt2_gpu_get(driver, DT2_HANDLE_QUEUE, queue_handle, "queue", err);
    if (!queue)
        return DT2_BACKEND_INVALID;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    int status = dt2_gpu_enter_queue(queue, &scope, err);
    if (status == DT2_BACKEND_OK)
        status = take(queue, &event, err);
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

/* Within a scope. */
static int query(const struct dt2_gpu_event *event, bool *done, struct dt2_backend_error *err)
{
    const struct dt2_gpu_driver *driver = event->queue->device->driver;
    GPU(Error_t) code = driver->runtime.EventQuery(event->event);
    if (code != GPU(Success) && code != GPU(ErrorNotReady))
        return dt2_gpu_fail(driver, err, code, "the work before the event failed");
    if (code == GPU(ErrorNotReady))
        dt2_gpu_forget(); /* some runtimes keep it as an error */
    *done = code == GPU(Success);
    return DT2_BACKEND_OK;
}

int dt2_gpu_event_query(void *self, dt2_handle handle, bool *done, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    const struct dt2_gpu_event *event = dt2_gpu_get(self, DT2_HANDLE_EVENT, handle, "event", err);
    if (!event)
        return DT2_BACKEND_INVALID;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    int status = dt2_gpu_enter(event->queue->device, &scope, err);
    return status == DT2_BACKEND_OK ? query(event, done, err) : status;
}

int dt2_gpu_event_wait(void *self, dt2_handle handle, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    struct dt2_gpu_driver *driver = self;
    const struct dt2_gpu_event *event = dt2_gpu_get(driver, DT2_HANDLE_EVENT, handle, "event", err);
    if (!event)
        return DT2_BACKEND_INVALID;
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    int status = dt2_gpu_enter(event->queue->device, &scope, err);
    if (status != DT2_BACKEND_OK)
        return status;
    GPU(Error_t) code = driver->runtime.EventSynchronize(event->event);
    return code == GPU(Success) ? DT2_BACKEND_OK
                                : dt2_gpu_fail(driver, err, code, "the work before the event failed");
}

/* `done`: NULL where nobody asks. A wait behind an event that has failed would say nothing of it. */
static int follow(struct dt2_gpu_driver *driver, dt2_handle queue_handle, dt2_handle event_handle, bool *done,
                  struct dt2_backend_error *err)
{
    const struct dt2_gpu_queue *queue = dt2_gpu_get(driver, DT2_HANDLE_QUEUE, queue_handle, "queue", err);
    const struct dt2_gpu_event *event =
        queue ? dt2_gpu_get(driver, DT2_HANDLE_EVENT, event_handle, "event", err) : NULL;
    if (!event)
        return DT2_BACKEND_INVALID;
    if (event->queue->device != queue->device)
        return DT2_GPU_INVALID(driver, err, "the event and the queue belong to different devices");
    struct dt2_gpu_scope scope DT2_GPU_SCOPE;
    int status = dt2_gpu_enter_queue(queue, &scope, err);
    if (status == DT2_BACKEND_OK && done)
        status = query(event, done, err);
    if (status != DT2_BACKEND_OK)
        return status;
    GPU(Error_t) code = driver->runtime.StreamWaitEvent(queue->stream, event->event, 0);
    return code == GPU(Success) ? DT2_BACKEND_OK
                                : dt2_gpu_fail(driver, err, code, "cannot make the queue wait for an event");
}

int dt2_gpu_queue_wait_event(void *self, dt2_handle queue, dt2_handle event, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    return follow(self, queue, event, NULL, err);
}

int dt2_gpu_queue_follow(void *self, dt2_handle queue, dt2_handle event, bool *done, struct dt2_backend_error *err)
{
    DT2_GPU_ENTRY(self);
    return follow(self, queue, event, done, err);
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
