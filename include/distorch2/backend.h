/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract between the library and a driver module.
 *
 * A driver is a shared object, "dt2-NAME.so", that exports one function, dt2_backend_entry(). It receives the
 * services of the core and returns a table of functions. It includes this header and its vendor's headers,
 * nothing else of the project, and calls nothing of the library but the services: it links with -z defs and
 * loads under RTLD_LOCAL.
 *
 *     driver -> device -> buffer | queue | event
 *
 * All of these are handles: numbers that the core's handle table gives out (services->handle_new), never
 * pointers. A buffer of OpenCL has no address, and a handle that was freed is told from one that lives: using
 * it is an error in words, not undefined behaviour. distorch2-driver(7) walks through a whole driver;
 * docs/drivers shows how to add one.
 *
 * Rules
 *
 * - Every function returns 0, or a negative enum dt2_backend_status with *err filled through services->fail().
 *   It never aborts, exits or prints, never lets an exception out, and leaves the caller's current GPU context,
 *   errno and whatever else the runtime keeps for a thread (its last error) as they were.
 * - Out-parameters are written on success only.
 * - Entries marked [optional] may be NULL: the core then does what is said there. All others must be there.
 * - struct_size comes first in every struct that crosses. New entries are only ever added at the end; whoever
 *   reads a table looks at struct_size before it reads an entry that the first version did not have.
 * - Threads: any function may be called from any thread. Calls on different queues may run at the same time;
 *   the core never calls two functions on one queue, or on one event, at the same time. device_open/close are
 *   not called at the same time for one device.
 * - Copies are asynchronous where the vendor allows it: they start after all that was queued before them on the
 *   same queue, and the host memory that they name stays valid and unchanged until an event recorded after them
 *   is done. A copy of 0 bytes is a success that does nothing.
 * - Ranges are checked by the driver (offset + bytes <= size, without overflow): DT2_BACKEND_INVALID.
 */
#ifndef DISTORCH2_BACKEND_H
#define DISTORCH2_BACKEND_H

#include <distorch2/common.h>

DT2_BEGIN_DECLS

/* Changes only when an existing entry changes its meaning: a module with another number is not used. */
#define DT2_BACKEND_ABI 1u

/* A handle. 0 is never one. */
typedef uint64_t dt2_handle;

enum dt2_backend_status {
    DT2_BACKEND_OK = 0,
    DT2_BACKEND_ABSENT = -1,      /* the vendor's runtime is not installed: a normal machine */
    DT2_BACKEND_FAILED = -2,      /* the vendor's runtime refused; vendor_code and vendor_name say how */
    DT2_BACKEND_NOMEM = -3,       /* the device (or the host, for pinned memory) has no room */
    DT2_BACKEND_INVALID = -4,     /* a handle that is none (any more), a range or size out of bounds */
    DT2_BACKEND_BUSY = -5,        /* a device with live objects cannot be closed */
    DT2_BACKEND_UNSUPPORTED = -6, /* this device cannot do that; the core falls back */
    DT2_BACKEND_LOST = -7,        /* the device is gone; every further call on it fails */
    DT2_BACKEND_CAPTURING = -8,   /* the caller's stream captures a graph: nothing was queued, nothing is disturbed */
    DT2_BACKEND_NO_DEVICE = -9,   /* the runtime is there, and has no device that can be used: open() alone */
};

/* One failure in words; owned by the caller, filled by services->fail(). */
struct dt2_backend_error {
    int status; /* enum dt2_backend_status */
    int64_t vendor_code;
    char vendor_name[64]; /* "CL_OUT_OF_RESOURCES", "cudaErrorMemoryAllocation"; empty when it is not the vendor's */
    char text[512];
};

/* What a handle stands for. */
enum dt2_handle_kind {
    DT2_HANDLE_DEVICE = 1,
    DT2_HANDLE_BUFFER,
    DT2_HANDLE_QUEUE,
    DT2_HANDLE_EVENT,
};

/* The services of the core; valid until the driver's close() has returned. */
struct dt2_backend_services {
    size_t struct_size;
    uint32_t abi;
    void *core; /* first argument of each service */

    /* Says something to whoever listens to the context's log. `level` is enum dt2_log_level (0 error .. 3 debug). */
    void (*log)(void *core, int level, const char *format, ...) DT2_PRINTF(3, 4);

    /* Fills *err (NULL is fine) and returns `status`, so that a driver writes `return services->fail(...)`. */
    int (*fail)(void *core, struct dt2_backend_error *err, int status, int64_t vendor_code, const char *vendor_name,
                const char *format, ...) DT2_PRINTF(6, 7);

    /* Host memory for the driver's own bookkeeping: zeroed, NULL when there is none. release(NULL) is fine. */
    void *(*alloc)(void *core, size_t bytes);
    void (*release)(void *core, void *memory);

    /*
     * The handle table. handle_new() returns 0 when there is no memory. handle_get() returns the object, or
     * NULL for a handle of another kind or one that has been taken. handle_take() does the same and makes the
     * handle invalid, so of two threads that free one handle exactly one gets the object. Thread-safe.
     */
    dt2_handle (*handle_new)(void *core, enum dt2_handle_kind kind, void *object);
    void *(*handle_get)(void *core, enum dt2_handle_kind kind, dt2_handle handle);
    void *(*handle_take)(void *core, enum dt2_handle_kind kind, dt2_handle handle);

    /* -- since the second version: where struct_size has it */

    /*
     * What the program has said of a driver when it made its context: "cuda_runtime", "hip_runtime" are those of
     * dt2_context_options. NULL: nothing, so that the environment counts. Valid as long as the services.
     */
    const char *(*option)(void *core, const char *name);
};

enum dt2_device_flag {
    /* The device's memory is the host's (an integrated GPU, OpenCL on a CPU): it draws on the host's capacity, and
     * buffer_wrap makes a buffer of host memory that the core has placed. */
    DT2_DEVICE_SHARES_HOST = 1,
    /* native() is an address that the host can read and write directly at any time. */
    DT2_DEVICE_HOST_ADDRESSABLE = 2,
};

/*
 * What a device is, always the same but for fixed_bytes, and filled without making a context; struct_size stays the caller's.
 * Text is UTF-8 and ends within its array; empty text and DT2_UNKNOWN: not known.
 */
struct dt2_backend_device_info {
    size_t struct_size;
    char kind[16];     /* "cpu", "gpu", "accelerator" */
    char vendor[128];
    char model[256];
    char platform[128]; /* what groups devices that are never views of one another: the OpenCL platform; else empty */
    bool native_platform; /* the platform is the device maker's own: preferred among several views of one device */
    char pci[16];       /* "dddd:bb:dd.f", lower-case hexadecimal */
    char uuid[64];      /* lower-case, with hyphens and without a prefix */
    unsigned flags;     /* enum dt2_device_flag */
    uint64_t total_bytes;     /* more than 0 */
    uint64_t alignment_bytes; /* of a tensor inside a buffer; a power of two, at least 1 */
    uint64_t max_alloc_bytes; /* of one buffer: 1 .. total_bytes, or DT2_UNKNOWN: no limit but memory */
    uint64_t fixed_bytes;     /* what opening the device takes of its memory, 0 when nothing is known */
};

/* How a host mapping will be used; or-ed together. */
enum dt2_map_flag {
    DT2_MAP_READ = 1,
    DT2_MAP_WRITE = 2, /* without READ: the previous content of the range may be lost */
};

/* What becomes of bytes that one device fetches from another. */
enum dt2_peer_verdict {
    DT2_PEER_NONE,   /* neither reaches the other: copy_peer goes through the host, and is right */
    DT2_PEER_OK,     /* directly, and they arrive */
    DT2_PEER_BROKEN, /* the runtime says directly, and they do not arrive: copy_peer is refused */
};

/* A native address of a buffer: host, CUDA, HIP: a pointer; OpenCL: the cl_mem. */
struct dt2_backend_native {
    size_t struct_size;
    void *handle;
    bool is_address; /* handle + offset is the address of a byte; false: the offset is passed beside the handle */
};

/* What a device is in the vendor's own terms. */
struct dt2_backend_device_native {
    size_t struct_size;
    void *id;        /* cl_device_id; NULL where the runtime counts devices instead */
    void *context;   /* of an open device: cl_context, CUcontext; NULL where there is none, and while none was asked for */
    int64_t ordinal; /* by which the runtime counts it (CUDA, HIP); -1: it does not */
};

/* A driver. `driver` is what open() returned. Unless marked [optional], all entries are there. */
struct dt2_backend {
    size_t struct_size;
    uint32_t abi;        /* DT2_BACKEND_ABI */
    const char *name;    /* "opencl": devices are called "opencl:0", ... */
    const char *version; /* of the module, for people */

    /*
     * Finds the vendor's runtime and counts devices; makes no context. With the reason in words: DT2_BACKEND_ABSENT when there
     * is no runtime, DT2_BACKEND_NO_DEVICE when it has nothing to use. Any other failure means broken: it becomes one warning.
     */
    int (*open)(const struct dt2_backend_services *services, void **driver, struct dt2_backend_error *err);
    void (*close)(void *driver);

    /* How many there are; the number stays. An index is 0 .. count - 1, else INVALID. */
    int (*device_count)(void *driver, uint32_t *count, struct dt2_backend_error *err);
    int (*device_info)(void *driver, uint32_t index, struct dt2_backend_device_info *info,
                       struct dt2_backend_error *err);
    /* Free bytes now, not above total_bytes. may_open: a context may be made for it. DT2_UNKNOWN when nobody can tell. */
    int (*device_free_bytes)(void *driver, uint32_t index, bool may_open, uint64_t *free_bytes,
                             struct dt2_backend_error *err);
    /* native_context: NULL for the driver's own; else the caller's (cl_context), which is adopted, never destroyed. */
    int (*device_open)(void *driver, uint32_t index, void *native_context, dt2_handle *device,
                       struct dt2_backend_error *err);
    /* Refused with DT2_BACKEND_BUSY, changing nothing, while buffers, queues, events or staging memory of it live. */
    int (*device_close)(void *driver, dt2_handle device, struct dt2_backend_error *err);

    /*
     * -- memory. On return the memory is really there, not promised, as far as the runtime lets a driver see to it. NOMEM
     * where the device tells that less is free. A runtime that tells nothing may take 13 GB on a card of 8 and move them
     * out of it in silence: so what is free is asked of whoever knows it, before. Sizes: 1 .. max_alloc_bytes, else INVALID.
     */
    int (*buffer_alloc)(void *driver, dt2_handle device, uint64_t bytes, dt2_handle *buffer,
                        struct dt2_backend_error *err);
    /*
     * [optional: only devices that share the host's memory] A buffer of `bytes` at `memory`, which the caller
     * owns, keeps until the buffer is freed, and touches only between map and unmap. It begins on a page of the
     * system's, and has a multiple of 64 bytes.
     */
    int (*buffer_wrap)(void *driver, dt2_handle device, void *memory, uint64_t bytes, dt2_handle *buffer,
                       struct dt2_backend_error *err);
    /*
     * A buffer of the caller's (cl_mem, device pointer). Refused when it belongs to another context. Never
     * destroyed.
     */
    int (*buffer_adopt)(void *driver, dt2_handle device, void *native, uint64_t bytes, dt2_handle *buffer,
                        struct dt2_backend_error *err);
    int (*buffer_free)(void *driver, dt2_handle buffer, struct dt2_backend_error *err);
    int (*buffer_native)(void *driver, dt2_handle buffer, struct dt2_backend_native *native,
                         struct dt2_backend_error *err);
    /* [optional: the core copies instead] Makes a range of a buffer touchable by the host, blocking until it is. */
    int (*buffer_map)(void *driver, dt2_handle queue, dt2_handle buffer, uint64_t offset, uint64_t bytes,
                      unsigned flags, void **address, struct dt2_backend_error *err);
    int (*buffer_unmap)(void *driver, dt2_handle queue, dt2_handle buffer, void *address,
                        struct dt2_backend_error *err);

    /* -- staging memory on the host. [optional: the core uses ordinary memory] Pinned, reachable by the device. */
    int (*host_alloc)(void *driver, dt2_handle device, uint64_t bytes, void **memory, struct dt2_backend_error *err);
    int (*host_free)(void *driver, dt2_handle device, void *memory, struct dt2_backend_error *err);
    /* [optional: stays pageable] Pins memory of the caller's where it is. */
    int (*host_register)(void *driver, dt2_handle device, void *memory, uint64_t bytes, struct dt2_backend_error *err);
    int (*host_unregister)(void *driver, dt2_handle device, void *memory, struct dt2_backend_error *err);

    /* -- queues: in-order streams of work */
    int (*queue_create)(void *driver, dt2_handle device, dt2_handle *queue, struct dt2_backend_error *err);
    /*
     * A queue of the caller's (cl_command_queue, stream). Refused when it belongs to another context. Never
     * destroyed.
     */
    int (*queue_adopt)(void *driver, dt2_handle device, void *native, dt2_handle *queue, struct dt2_backend_error *err);
    /* Waits for what is queued, then destroys it. */
    int (*queue_destroy)(void *driver, dt2_handle queue, struct dt2_backend_error *err);
    /* Blocks until all that is queued has run. */
    int (*queue_wait)(void *driver, dt2_handle queue, struct dt2_backend_error *err);

    /* -- copies, queued */
    int (*copy_h2d)(void *driver, dt2_handle queue, dt2_handle buffer, uint64_t offset, const void *source,
                    uint64_t bytes, struct dt2_backend_error *err);
    int (*copy_d2h)(void *driver, dt2_handle queue, dt2_handle buffer, uint64_t offset, void *destination,
                    uint64_t bytes, struct dt2_backend_error *err);
    /*
     * Between buffers of one device, which may be one buffer. INVALID: ranges of it that overlap (they may touch), and a buffer
     * of another device than the queue's.
     */
    int (*copy_d2d)(void *driver, dt2_handle queue, dt2_handle destination, uint64_t destination_offset,
                    dt2_handle source, uint64_t source_offset, uint64_t bytes, struct dt2_backend_error *err);
    /*
     * [optional: through the host] Between buffers of two devices of this driver; `queue` is the destination's.
     * UNSUPPORTED where peer_check says BROKEN. Where nobody has asked for the verdict yet it asks itself.
     */
    int (*copy_peer)(void *driver, dt2_handle queue, dt2_handle destination, uint64_t destination_offset,
                     dt2_handle source, uint64_t source_offset, uint64_t bytes, struct dt2_backend_error *err);
    /* [optional: no] Whether a device can reach another's memory directly. */
    int (*peer_query)(void *driver, uint32_t index, uint32_t peer, bool *reachable, struct dt2_backend_error *err);

    /* -- events: a point in a queue */
    /* A new event that is done when all that was queued before it has run. */
    int (*event_record)(void *driver, dt2_handle queue, dt2_handle *event, struct dt2_backend_error *err);
    int (*event_query)(void *driver, dt2_handle event, bool *done, struct dt2_backend_error *err);
    /* Blocks. A failure of the work before the event is reported here. */
    int (*event_wait)(void *driver, dt2_handle event, struct dt2_backend_error *err);
    /* What is queued on `queue` from now on runs after the event, which may be of another queue of the same device. */
    int (*queue_wait_event)(void *driver, dt2_handle queue, dt2_handle event, struct dt2_backend_error *err);
    int (*event_free)(void *driver, dt2_handle event, struct dt2_backend_error *err);

    /* -- what the first version of this table did not have: see DT2_BACKEND_HAS */
    /*
     * [optional: copy_peer is right wherever it succeeds] Whether bytes arrive that go directly between two open
     * devices of this driver. The first time a pattern is sent each way, and read back without the peer; from then on
     * the verdict is known. Also switches direct access on, which is left on: somebody else may count on it. A failure
     * is no verdict, and the next call asks again.
     */
    int (*peer_check)(void *driver, dt2_handle destination, dt2_handle source, enum dt2_peer_verdict *verdict,
                      struct dt2_backend_error *err);
    /*
     * [optional: nobody is told] What of the vendor's the driver works with, for people: "libcudart 12.4 (PATH)". Cut
     * where `size` bytes are too few; a path is as the file system has it.
     */
    int (*describe)(void *driver, char *text, size_t size, struct dt2_backend_error *err);
    /*
     * [optional: event_query, then queue_wait_event] Both in one call, and so in one visit to the device: *done says whether the
     * event had come already. A failure of the work before it is reported here; the queue does not wait then.
     */
    int (*queue_follow)(void *driver, dt2_handle queue, dt2_handle event, bool *done, struct dt2_backend_error *err);
    /*
     * [optional: nobody is told] What device `index` is in the vendor's own terms. `device` is 0, and no context is made or
     * told; or a handle of that device, whose context is told: it stays as long as the handle. All of it remains the driver's.
     */
    int (*device_native)(void *driver, uint32_t index, dt2_handle device, struct dt2_backend_device_native *native,
                         struct dt2_backend_error *err);
    /*
     * [optional: nothing] What of the vendor's is installed and cannot be used, and why, for people, one after the other: from
     * index 0 on, which always is the same; INVALID beyond the last. Cut where `size` bytes are too few.
     */
    int (*unusable)(void *driver, uint32_t index, char *text, size_t size, struct dt2_backend_error *err);
};

/* Whether a table, which may be older than this header, has an entry that its first version did not have. */
#define DT2_BACKEND_HAS(backend, entry)                                                                                \
    ((backend)->struct_size >= offsetof(struct dt2_backend, entry) + sizeof (backend)->entry && (backend)->entry)

/*
 * The one function that a module exports. `abi` is the core's DT2_BACKEND_ABI. Returns the driver's table,
 * which has static storage, or NULL when the module cannot serve that number.
 */
typedef const struct dt2_backend *dt2_backend_entry_fn(uint32_t abi);
DT2_PUBLIC const struct dt2_backend *dt2_backend_entry(uint32_t abi);

DT2_END_DECLS
#endif
