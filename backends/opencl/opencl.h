/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The OpenCL driver from the inside. OpenCL 1.2 is enough; what came later is asked for only where a device names the
 * extension.
 *
 *     driver.c    the table, platforms, opening and closing devices
 *     loader.c    the ICD loader, found when the driver is opened; entries.h is what is called in it
 *     icds.c      drivers that the loader passes over, and why
 *     handles.c   what lies behind handles, held and checked
 *     identity.c  what a device is
 *     sysfs.c     where a device of AMD's is
 *     memory.c    buffers, mappings, staging memory
 *     queue.c     queues and copies
 *     event.c     events
 *     wait.c      waiting, and how commands ended
 *     error.c     codes in words
 */
#ifndef DT2_OPENCL_H
#define DT2_OPENCL_H

#define CL_TARGET_OPENCL_VERSION 120
#include <distorch2/backend.h>
#include <errno.h>
#include "entries.h"
#include <pthread.h>

/* Finds the ICD loader and what we call in it, once in a process: before anything else. */
int dt2_cl_bind(const struct dt2_backend_services *services, struct dt2_backend_error *err);
/* Whether what was found loads drivers (ICDs), rather than being one. */
bool dt2_cl_loads_icds(void);
/* dlopen for this module alone, with its failure in English whatever the program around us speaks. */
void *dt2_cl_open_library(const char *name, int flags, char *failure, size_t size);

/* A device that a platform shows, open or not. */
struct dt2_cl_seen {
    cl_platform_id platform;
    cl_device_id id;
    char *platform_name; /* one for each platform: a second one of the same name has a number */
};

#define DT2_CL_COMPLAINTS 16

struct dt2_cl_driver {
    const struct dt2_backend_services *services;
    struct dt2_cl_seen *seen;
    uint32_t seen_count;
    char *complaints[DT2_CL_COMPLAINTS]; /* what cannot be used, and why */
    uint32_t complaint_count;
    pthread_mutex_t lock; /* guards what stands below `lock` in every device */
};

/* Host memory that is mapped: a range of a buffer, or staging memory, which is a buffer that stays mapped. */
struct dt2_cl_mapping {
    struct dt2_cl_mapping *next;
    const struct dt2_cl_buffer *buffer; /* NULL: staging memory */
    cl_mem mem;
    void *mapped;  /* as OpenCL gave it */
    void *address; /* as the core knows it */
};

struct dt2_cl_device {
    struct dt2_cl_driver *driver;
    cl_device_id id;
    cl_context context;
    cl_command_queue own; /* for what no queue of the core's is at hand: first touch, staging memory */
    unsigned flags;       /* enum dt2_device_flag */
    uint64_t max_alloc_bytes;
    bool tells_free; /* how much of its memory is free, when it is asked */
    /* -- under driver->lock */
    size_t live; /* buffers, queues, events, staging */
    struct dt2_cl_mapping *mappings;
};

struct dt2_cl_buffer {
    struct dt2_cl_device *device;
    cl_mem mem;
    uint64_t bytes;
};

struct dt2_cl_queue {
    struct dt2_cl_device *device;
    cl_command_queue queue;
    /*
     * The command that was queued last, or NULL. Each command waits for the one before it by name, although the queue
     * is in order: so the failure of one reaches all that follow, and with them the event that the core waits for.
     * In a queue of the caller's they do not: the caller's own commands would not share in it, and run too early.
     */
    cl_event last;
    bool adopted;
};

struct dt2_cl_event {
    struct dt2_cl_device *device;
    cl_event event;
};

/* -- error.c */

/* The name of a code, "CL_OUT_OF_RESOURCES"; "unknown code" for one of a vendor's own. */
const char *dt2_cl_name(cl_int code);
/* A failure of the runtime's, with its name and code; returns the status that the code stands for. */
int dt2_cl_fail(const struct dt2_cl_driver *driver, struct dt2_backend_error *err, cl_int code, const char *format, ...)
    DT2_PRINTF(4, 5);
/* The same while memory is taken, where more codes mean that there is none. */
int dt2_cl_fail_memory(const struct dt2_cl_driver *driver, struct dt2_backend_error *err, cl_int code,
                       const char *format, ...) DT2_PRINTF(4, 5);
/* The caller's mistake. */
#define DT2_CL_INVALID(driver, err, ...)                                                                               \
    (driver)->services->fail((driver)->services->core, (err), DT2_BACKEND_INVALID, 0, NULL, __VA_ARGS__)
/* No memory for our own bookkeeping. */
int dt2_cl_fail_bookkeeping(const struct dt2_cl_driver *driver, struct dt2_backend_error *err);
/* Every entry begins with this: runtimes leave all sorts of things in errno. */
static inline void dt2_cl_restore_errno(const int *saved)
{
    errno = *saved;
}
#define DT2_CL_KEEP_ERRNO int dt2_cl_errno __attribute__((cleanup(dt2_cl_restore_errno), unused)) = errno

/* -- wait.c */

/* CL_COMPLETE, a larger number while it is not, or the code with which the command failed. */
cl_int dt2_cl_state(cl_event event);
/* Of a command that is done: what it wrote is there for all that come after it. Tells how it ended, as the next. */
cl_int dt2_cl_settle(cl_event event);
/* Waits for a command of a queue that was flushed, and tells how it ended: CL_SUCCESS, or the code with which it failed. */
cl_int dt2_cl_finish(cl_event event);
/* The same of a command that was queued just now: flushes the queue, waits, releases the event. */
cl_int dt2_cl_submit(cl_command_queue queue, cl_event event);

/* -- handles.c */

void *dt2_cl_alloc(const struct dt2_cl_driver *driver, size_t bytes);
void dt2_cl_release(const struct dt2_cl_driver *driver, void *memory);
/* The object behind a handle, NULL with *err filled. `what` names the kind in words. */
void *dt2_cl_get(const struct dt2_cl_driver *driver, enum dt2_handle_kind kind, dt2_handle handle, const char *what,
                 struct dt2_backend_error *err);
/* The same, and the handle is invalid from now on. */
void *dt2_cl_take(const struct dt2_cl_driver *driver, enum dt2_handle_kind kind, dt2_handle handle, const char *what,
                  struct dt2_backend_error *err);
/* A device, kept from being closed until dt2_cl_drop(): each object holds its device. */
struct dt2_cl_device *dt2_cl_hold(struct dt2_cl_driver *driver, dt2_handle handle, struct dt2_backend_error *err);
void dt2_cl_hold_again(struct dt2_cl_device *device);
void dt2_cl_drop(struct dt2_cl_device *device);
/* A queue and a buffer of one device, and a range that lies within the buffer; INVALID otherwise. */
int dt2_cl_check_range(const struct dt2_cl_driver *driver, dt2_handle queue_handle, dt2_handle buffer_handle,
                       uint64_t offset, uint64_t bytes, struct dt2_cl_queue **queue, struct dt2_cl_buffer **buffer,
                       struct dt2_backend_error *err);

/* -- icds.c */

/* Complains of every driver that the ICD loader has passed over. */
void dt2_cl_look_at_icds(struct dt2_cl_driver *driver);

/* -- driver.c */

/* Adds to what the driver says of what cannot be used; what there is no room for is not said. */
void dt2_cl_complain(struct dt2_cl_driver *driver, const char *format, ...) DT2_PRINTF(2, 3);

/* -- identity.c */

int dt2_cl_device_info(void *self, uint32_t index, struct dt2_backend_device_info *info, struct dt2_backend_error *err);
int dt2_cl_device_free_bytes(void *self, uint32_t index, bool may_open, uint64_t *free_bytes,
                             struct dt2_backend_error *err);
unsigned dt2_cl_flags(cl_device_id id);
/* Whether a device tells how much of its memory is free. */
bool dt2_cl_tells_free(const struct dt2_cl_driver *driver, const struct dt2_cl_seen *seen);
/* What such a device tells; DT2_UNKNOWN when it fails. */
uint64_t dt2_cl_free_bytes(cl_device_id id);
uint64_t dt2_cl_max_alloc_bytes(cl_device_id id);
/* A text of a platform (device NULL) or a device; "" when it tells none. To be released; NULL without memory. */
char *dt2_cl_text(const struct dt2_cl_driver *driver, cl_platform_id platform, cl_device_id device, cl_uint what);

/* -- sysfs.c */

/*
 * The PCI domain of a device of AMD's, which its driver does not tell: that in which the kernel has one of AMD's there; 0
 * where it has none to show. False when several domains do: then nobody knows which it is.
 */
bool dt2_cl_amd_domain(unsigned bus, unsigned device, unsigned function, unsigned *domain);

/* -- memory.c */

int dt2_cl_buffer_alloc(void *self, dt2_handle device, uint64_t bytes, dt2_handle *buffer,
                        struct dt2_backend_error *err);
int dt2_cl_buffer_wrap(void *self, dt2_handle device, void *memory, uint64_t bytes, dt2_handle *buffer,
                       struct dt2_backend_error *err);
int dt2_cl_buffer_adopt(void *self, dt2_handle device, void *native, uint64_t bytes, dt2_handle *buffer,
                        struct dt2_backend_error *err);
int dt2_cl_buffer_free(void *self, dt2_handle buffer, struct dt2_backend_error *err);
int dt2_cl_buffer_native(void *self, dt2_handle buffer, struct dt2_backend_native *native,
                         struct dt2_backend_error *err);
int dt2_cl_buffer_map(void *self, dt2_handle queue, dt2_handle buffer, uint64_t offset, uint64_t bytes, unsigned flags,
                      void **address, struct dt2_backend_error *err);
int dt2_cl_buffer_unmap(void *self, dt2_handle queue, dt2_handle buffer, void *address, struct dt2_backend_error *err);
int dt2_cl_host_alloc(void *self, dt2_handle device, uint64_t bytes, void **memory, struct dt2_backend_error *err);
int dt2_cl_host_free(void *self, dt2_handle device, void *memory, struct dt2_backend_error *err);

/* -- queue.c */

int dt2_cl_queue_create(void *self, dt2_handle device, dt2_handle *queue, struct dt2_backend_error *err);
int dt2_cl_queue_adopt(void *self, dt2_handle device, void *native, dt2_handle *queue, struct dt2_backend_error *err);
int dt2_cl_queue_destroy(void *self, dt2_handle queue, struct dt2_backend_error *err);
int dt2_cl_queue_wait(void *self, dt2_handle queue, struct dt2_backend_error *err);
int dt2_cl_copy_h2d(void *self, dt2_handle queue, dt2_handle buffer, uint64_t offset, const void *source,
                    uint64_t bytes, struct dt2_backend_error *err);
int dt2_cl_copy_d2h(void *self, dt2_handle queue, dt2_handle buffer, uint64_t offset, void *destination, uint64_t bytes,
                    struct dt2_backend_error *err);
int dt2_cl_copy_d2d(void *self, dt2_handle queue, dt2_handle destination, uint64_t destination_offset,
                    dt2_handle source, uint64_t source_offset, uint64_t bytes, struct dt2_backend_error *err);
/* The wait list of a command: the one before it. */
#define DT2_CL_FOLLOWS(queue) ((queue)->last && !(queue)->adopted)
#define DT2_CL_AFTER_LAST(queue) DT2_CL_FOLLOWS(queue) ? 1 : 0, DT2_CL_FOLLOWS(queue) ? &(queue)->last : NULL
/* After a command was queued with `code`: it becomes the last of its queue, and the work starts. */
int dt2_cl_queued(struct dt2_cl_queue *queue, cl_int code, cl_event event, const char *what,
                  struct dt2_backend_error *err);

/* -- event.c */

/* A marker after all that is queued, which then is the last command. */
int dt2_cl_mark(struct dt2_cl_queue *queue, struct dt2_backend_error *err);
int dt2_cl_event_record(void *self, dt2_handle queue, dt2_handle *event, struct dt2_backend_error *err);
int dt2_cl_event_query(void *self, dt2_handle event, bool *done, struct dt2_backend_error *err);
int dt2_cl_event_wait(void *self, dt2_handle event, struct dt2_backend_error *err);
int dt2_cl_queue_wait_event(void *self, dt2_handle queue, dt2_handle event, struct dt2_backend_error *err);
int dt2_cl_event_free(void *self, dt2_handle event, struct dt2_backend_error *err);

#endif
