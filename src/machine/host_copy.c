/* SPDX-License-Identifier: BSD-3-Clause */
/* The host driver's queues, events and copies. */
#include "machine/host_objects.h"
#include <string.h>

/* -- queues and events */

static int publish_marker(void *driver, enum dt2_handle_kind kind, struct dt2_host_device *device, dt2_handle *marker,
                          struct dt2_backend_error *err)
{
    struct dt2_host_marker *made = host_alloc(driver, sizeof *made);
    if (!made)
        return host_no_bookkeeping(driver, err);
    made->device = device;
    dt2_handle handle = host_publish(driver, kind, made);
    if (!handle) {
        host_release(driver, made);
        return host_no_bookkeeping(driver, err);
    }
    atomic_fetch_add(&device->live, 1);
    *marker = handle;
    return DT2_BACKEND_OK;
}

static int take_marker(void *driver, enum dt2_handle_kind kind, dt2_handle marker, const char *what,
                       struct dt2_backend_error *err)
{
    struct dt2_host_marker *taken = host_take(driver, kind, marker);
    if (!taken)
        return FAIL(DT2_BACKEND_INVALID, "not %s, or one that was freed", what);
    atomic_fetch_sub(&taken->device->live, 1);
    host_release(driver, taken);
    return DT2_BACKEND_OK;
}

static struct dt2_host_marker *get_queue(void *driver, dt2_handle handle, struct dt2_backend_error *err)
{
    struct dt2_host_marker *queue = host_get(driver, DT2_HANDLE_QUEUE, handle);
    if (!queue)
        FAIL(DT2_BACKEND_INVALID, "not a queue, or one that was destroyed");
    return queue;
}

int dt2_host_queue_create(void *driver, dt2_handle device, dt2_handle *queue, struct dt2_backend_error *err)
{
    struct dt2_host_device *owner = host_get_device(driver, device, err);
    return owner ? publish_marker(driver, DT2_HANDLE_QUEUE, owner, queue, err) : DT2_BACKEND_INVALID;
}

int dt2_host_queue_adopt(void *driver, dt2_handle device, void *native, dt2_handle *queue,
                         struct dt2_backend_error *err)
{
    (void)device, (void)native, (void)queue;
    return FAIL(DT2_BACKEND_UNSUPPORTED, "host memory has no queues of its own to adopt");
}

int dt2_host_queue_destroy(void *driver, dt2_handle queue, struct dt2_backend_error *err)
{
    return take_marker(driver, DT2_HANDLE_QUEUE, queue, "a queue", err);
}

int dt2_host_queue_wait(void *driver, dt2_handle queue, struct dt2_backend_error *err)
{
    return get_queue(driver, queue, err) ? DT2_BACKEND_OK : DT2_BACKEND_INVALID;
}

int dt2_host_event_record(void *driver, dt2_handle queue, dt2_handle *event, struct dt2_backend_error *err)
{
    struct dt2_host_marker *on = get_queue(driver, queue, err);
    return on ? publish_marker(driver, DT2_HANDLE_EVENT, on->device, event, err) : DT2_BACKEND_INVALID;
}

int dt2_host_event_wait(void *driver, dt2_handle event, struct dt2_backend_error *err)
{
    if (!host_get(driver, DT2_HANDLE_EVENT, event))
        return FAIL(DT2_BACKEND_INVALID, "not an event, or one that was freed");
    return DT2_BACKEND_OK;
}

int dt2_host_event_query(void *driver, dt2_handle event, bool *done, struct dt2_backend_error *err)
{
    int rc = dt2_host_event_wait(driver, event, err);
    if (rc == DT2_BACKEND_OK)
        *done = true;
    return rc;
}

int dt2_host_queue_wait_event(void *driver, dt2_handle queue, dt2_handle event, struct dt2_backend_error *err)
{
    const struct dt2_host_marker *waiting = get_queue(driver, queue, err);
    if (!waiting)
        return DT2_BACKEND_INVALID;
    int rc = dt2_host_event_wait(driver, event, err);
    const struct dt2_host_marker *point = rc == DT2_BACKEND_OK ? host_get(driver, DT2_HANDLE_EVENT, event) : NULL;
    if (point && point->device != waiting->device)
        return FAIL(DT2_BACKEND_INVALID, "the event is of another device");
    return rc;
}

int dt2_host_event_free(void *driver, dt2_handle event, struct dt2_backend_error *err)
{
    return take_marker(driver, DT2_HANDLE_EVENT, event, "an event", err);
}

/* -- copies: done at once, on the calling thread */

/* The address of a range of a buffer, or NULL with *err. `queue` NULL: of any device. */
static char *range(void *driver, const struct dt2_host_marker *queue, dt2_handle buffer, uint64_t offset,
                   uint64_t bytes, struct dt2_backend_error *err)
{
    const struct dt2_host_buffer *found = host_get_buffer(driver, buffer, err);
    if (!found)
        return NULL;
    if (queue && found->device != queue->device) {
        FAIL(DT2_BACKEND_INVALID, "the buffer is of another device than the queue");
        return NULL;
    }
    if (offset > found->bytes || bytes > found->bytes - offset) {
        FAIL(DT2_BACKEND_INVALID, "%llu bytes at offset %llu are not within a buffer of %llu",
             (unsigned long long)bytes, (unsigned long long)offset, (unsigned long long)found->bytes);
        return NULL;
    }
    return found->address + offset;
}

static char *queued_range(void *driver, dt2_handle queue, dt2_handle buffer, uint64_t offset, uint64_t bytes,
                          struct dt2_backend_error *err)
{
    const struct dt2_host_marker *on = get_queue(driver, queue, err);
    return on ? range(driver, on, buffer, offset, bytes, err) : NULL;
}

int dt2_host_copy_h2d(void *driver, dt2_handle queue, dt2_handle buffer, uint64_t offset, const void *source,
                      uint64_t bytes, struct dt2_backend_error *err)
{
    char *to = queued_range(driver, queue, buffer, offset, bytes, err);
    if (!to)
        return DT2_BACKEND_INVALID;
    if (bytes)
        memcpy(to, source, bytes);
    return DT2_BACKEND_OK;
}

int dt2_host_copy_d2h(void *driver, dt2_handle queue, dt2_handle buffer, uint64_t offset, void *destination,
                      uint64_t bytes, struct dt2_backend_error *err)
{
    const char *from = queued_range(driver, queue, buffer, offset, bytes, err);
    if (!from)
        return DT2_BACKEND_INVALID;
    if (bytes)
        memcpy(destination, from, bytes);
    return DT2_BACKEND_OK;
}

static int copy_between(void *driver, char *to, const char *from, uint64_t bytes, struct dt2_backend_error *err)
{
    if (!to || !from)
        return DT2_BACKEND_INVALID;
    if (to < from + bytes && from < to + bytes)
        return FAIL(DT2_BACKEND_INVALID, "the two ranges of %llu bytes overlap", (unsigned long long)bytes);
    if (bytes)
        memcpy(to, from, bytes);
    return DT2_BACKEND_OK;
}

int dt2_host_copy_d2d(void *driver, dt2_handle queue, dt2_handle destination, uint64_t destination_offset,
                      dt2_handle source, uint64_t source_offset, uint64_t bytes, struct dt2_backend_error *err)
{
    char *to = queued_range(driver, queue, destination, destination_offset, bytes, err);
    const char *from = to ? queued_range(driver, queue, source, source_offset, bytes, err) : NULL;
    return copy_between(driver, to, from, bytes, err);
}

int dt2_host_copy_peer(void *driver, dt2_handle queue, dt2_handle destination, uint64_t destination_offset,
                       dt2_handle source, uint64_t source_offset, uint64_t bytes, struct dt2_backend_error *err)
{
    char *to = queued_range(driver, queue, destination, destination_offset, bytes, err);
    const char *from = to ? range(driver, NULL, source, source_offset, bytes, err) : NULL;
    return copy_between(driver, to, from, bytes, err);
}

int dt2_host_buffer_map(void *driver, dt2_handle queue, dt2_handle buffer, uint64_t offset, uint64_t bytes,
                        unsigned flags, void **address, struct dt2_backend_error *err)
{
    (void)flags;
    char *found = queued_range(driver, queue, buffer, offset, bytes, err);
    if (!found)
        return DT2_BACKEND_INVALID;
    *address = found;
    return DT2_BACKEND_OK;
}

int dt2_host_buffer_unmap(void *driver, dt2_handle queue, dt2_handle buffer, void *address,
                          struct dt2_backend_error *err)
{
    const char *begin = queued_range(driver, queue, buffer, 0, 0, err);
    if (!begin)
        return DT2_BACKEND_INVALID;
    uint64_t offset = (uint64_t)((uintptr_t)address - (uintptr_t)begin); /* wraps, and fails, for what lies before */
    return queued_range(driver, queue, buffer, offset, 0, err) ? DT2_BACKEND_OK : DT2_BACKEND_INVALID;
}
