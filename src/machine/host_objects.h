/* SPDX-License-Identifier: BSD-3-Clause */
/* What the two files of the host driver share: its objects, and its way to the core's services. */
#ifndef DT2_MACHINE_HOST_OBJECTS_H
#define DT2_MACHINE_HOST_OBJECTS_H

#include "machine/host.h"
#include <stdatomic.h>

#define DT2_HOST_MAX_BYTES ((uint64_t)1 << 46) /* of one buffer: half of what the smallest address space holds */

struct dt2_host {
    const struct dt2_backend_services *services;
    const struct dt2_topology *topology; /* may be NULL */
    atomic_bool unbound;                 /* memory cannot be bound here, of which it was warned */
    atomic_bool said_wish;               /* it was said that the caller's memory policy is not followed */
};

struct dt2_host_device {
    struct dt2_host *host;
    uint32_t index;       /* 0: all host memory; 1 + i: the topology's node i */
    uint64_t total_bytes; /* DT2_UNKNOWN */
    atomic_size_t live;   /* buffers, queues and events */
};

struct dt2_host_buffer {
    struct dt2_host_device *device;
    char *address;
    uint64_t bytes;
    size_t mapped; /* bytes to unmap; 0: the memory is the caller's */
};

/* Work is done when it is queued, so that a queue, and a point in it, only remember their device. */
struct dt2_host_marker {
    struct dt2_host_device *device;
};

/* `return FAIL(status, "...")` in any function that has `driver` and `err`. */
#define FAIL(status, ...)                                                                                              \
    ((struct dt2_host *)driver)                                                                                        \
        ->services->fail(((struct dt2_host *)driver)->services->core, err, (status), 0, NULL, __VA_ARGS__)

static inline void *host_get(void *driver, enum dt2_handle_kind kind, dt2_handle handle)
{
    const struct dt2_backend_services *services = ((struct dt2_host *)driver)->services;
    return services->handle_get(services->core, kind, handle);
}

static inline void *host_take(void *driver, enum dt2_handle_kind kind, dt2_handle handle)
{
    const struct dt2_backend_services *services = ((struct dt2_host *)driver)->services;
    return services->handle_take(services->core, kind, handle);
}

static inline void *host_alloc(void *driver, size_t bytes)
{
    const struct dt2_backend_services *services = ((struct dt2_host *)driver)->services;
    return services->alloc(services->core, bytes);
}

static inline void host_release(void *driver, void *memory)
{
    const struct dt2_backend_services *services = ((struct dt2_host *)driver)->services;
    services->release(services->core, memory);
}

static inline dt2_handle host_publish(void *driver, enum dt2_handle_kind kind, void *object)
{
    const struct dt2_backend_services *services = ((struct dt2_host *)driver)->services;
    return services->handle_new(services->core, kind, object);
}

static inline int host_no_bookkeeping(void *driver, struct dt2_backend_error *err)
{
    return FAIL(DT2_BACKEND_NOMEM, "no memory for the library's own bookkeeping");
}

static inline struct dt2_host_device *host_get_device(void *driver, dt2_handle handle, struct dt2_backend_error *err)
{
    struct dt2_host_device *device = host_get(driver, DT2_HANDLE_DEVICE, handle);
    if (!device)
        FAIL(DT2_BACKEND_INVALID, "not a device that is open");
    return device;
}

static inline struct dt2_host_buffer *host_get_buffer(void *driver, dt2_handle handle, struct dt2_backend_error *err)
{
    struct dt2_host_buffer *buffer = host_get(driver, DT2_HANDLE_BUFFER, handle);
    if (!buffer)
        FAIL(DT2_BACKEND_INVALID, "not a buffer, or one that was freed");
    return buffer;
}

/* The driver's entries for queues, events and copies, in host_copy.c. */
int dt2_host_queue_create(void *driver, dt2_handle device, dt2_handle *queue, struct dt2_backend_error *err);
int dt2_host_queue_adopt(void *driver, dt2_handle device, void *native, dt2_handle *queue,
                         struct dt2_backend_error *err);
int dt2_host_queue_destroy(void *driver, dt2_handle queue, struct dt2_backend_error *err);
int dt2_host_queue_wait(void *driver, dt2_handle queue, struct dt2_backend_error *err);
int dt2_host_event_record(void *driver, dt2_handle queue, dt2_handle *event, struct dt2_backend_error *err);
int dt2_host_event_wait(void *driver, dt2_handle event, struct dt2_backend_error *err);
int dt2_host_event_query(void *driver, dt2_handle event, bool *done, struct dt2_backend_error *err);
int dt2_host_queue_wait_event(void *driver, dt2_handle queue, dt2_handle event, struct dt2_backend_error *err);
int dt2_host_event_free(void *driver, dt2_handle event, struct dt2_backend_error *err);
int dt2_host_copy_h2d(void *driver, dt2_handle queue, dt2_handle buffer, uint64_t offset, const void *source,
                      uint64_t bytes, struct dt2_backend_error *err);
int dt2_host_copy_d2h(void *driver, dt2_handle queue, dt2_handle buffer, uint64_t offset, void *destination,
                      uint64_t bytes, struct dt2_backend_error *err);
int dt2_host_copy_d2d(void *driver, dt2_handle queue, dt2_handle destination, uint64_t destination_offset,
                      dt2_handle source, uint64_t source_offset, uint64_t bytes, struct dt2_backend_error *err);
int dt2_host_copy_peer(void *driver, dt2_handle queue, dt2_handle destination, uint64_t destination_offset,
                       dt2_handle source, uint64_t source_offset, uint64_t bytes, struct dt2_backend_error *err);
int dt2_host_buffer_map(void *driver, dt2_handle queue, dt2_handle buffer, uint64_t offset, uint64_t bytes,
                        unsigned flags, void **address, struct dt2_backend_error *err);
int dt2_host_buffer_unmap(void *driver, dt2_handle queue, dt2_handle buffer, void *address,
                          struct dt2_backend_error *err);

#endif
