/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one driver for CUDA and for HIP, from the inside: its source is compiled twice, each time with the "vendor.h"
 * of backends/cuda or backends/hip, which says what the shared source calls things. What it needs of the vendors' headers
 * is declared here, so that it is built everywhere; a test compares that with the real ones.
 *
 *     entries.h   every entry point that is looked up
 *     declared.h  how the vendors' constants and types are declared
 *     library.c   finding a vendor's library in the process or on the system
 *     driver.c    the table, opening and closing
 *     handles.c   what lies behind handles, held and checked
 *     device.c    what a device is, opening and closing one
 *     memory.c    buffers, staging memory, registered memory
 *     queue.c     queues and copies
 *     scope.c     the device that an entry works on; streams that capture a graph
 *     peer.c      copies between devices
 *     trial.c     whether they arrive
 *     event.c     events
 *     error.c     codes in words
 *
 * and in the vendor's folder, behind the functions at the end of this header:
 *
 *     vendor.h    names and types
 *     *_decl.h    the vendor's declarations
 *     vendor.c    identity, contexts, whose memory and whose stream something is; HIP's library
 *     binding.c   CUDA: its libraries
 *     over_libcuda.c
 *                 CUDA: the runtime's functions where there is no runtime
 *     ...         free memory without a context
 */
#ifndef DT2_GPU_H
#define DT2_GPU_H

#include <distorch2/backend.h>
#include <errno.h>
#include <pthread.h>

#include "entries.h"
#include "vendor.h"

/* The function pointers have the types that the declarations have: a wrong signature does not compile. */
struct dt2_gpu_runtime {
#define DT2_GPU_MEMBER(member, cuda, hip) __typeof__(&GPU_PICK(cuda, hip)) member;
    DT2_GPU_RUNTIME_ENTRIES(DT2_GPU_MEMBER)
    DT2_GPU_RUNTIME_OPTIONAL_ENTRIES(DT2_GPU_MEMBER) /* NULL where it is missing */
#undef DT2_GPU_MEMBER
};

/* The direct way between two devices, in both directions. */
struct dt2_gpu_pair {
    bool judged;                   /* the verdict is one */
    enum dt2_peer_verdict verdict; /* stays, also when a device is closed */
    bool switched_on;              /* since both devices were opened: a context that ends takes access with it */
};

struct dt2_gpu_driver {
    const struct dt2_backend_services *services;
    struct dt2_gpu_runtime runtime;
    void *library; /* of the runtime; NULL: there is none */
    char about[480]; /* what the driver works with, for people */
    struct dt2_gpu_vendor vendor;
    uint32_t count; /* devices */
    pthread_mutex_t lock; /* guards what follows, and what stands below `lock` in every device */
    unsigned *opens;            /* handles of each device */
    struct dt2_gpu_pair *pairs; /* of two devices: [lower index * count + higher index] */
    pthread_mutex_t peer_lock;  /* one pair is judged at a time; taken before `lock` */
};

/* Host memory that the driver has pinned: staging memory, or the caller's. */
struct dt2_gpu_pinned {
    struct dt2_gpu_pinned *next;
    void *memory;
    bool registered; /* the caller's */
};

struct dt2_gpu_device {
    struct dt2_gpu_driver *driver;
    uint32_t index;
    void *context; /* CUDA: the primary context, held; HIP: NULL */
    uint64_t total_bytes;
    /* -- under driver->lock */
    size_t live; /* buffers, queues, events, pinned memory */
    struct dt2_gpu_pinned *pinned;
};

struct dt2_gpu_buffer {
    struct dt2_gpu_device *device;
    unsigned char *address; /* on the device: not to be touched by the host */
    uint64_t bytes;
    bool adopted;
};

struct dt2_gpu_queue {
    struct dt2_gpu_device *device;
    GPU(Stream_t) stream;
    bool adopted;
    /* -- under driver->lock */
    struct dt2_gpu_event *pool; /* events that are nobody's */
    size_t pool_count;
    size_t events; /* that are somebody's: the last of them frees a queue that is gone */
    bool gone;
};

struct dt2_gpu_event {
    struct dt2_gpu_event *next; /* in the pool */
    struct dt2_gpu_queue *queue; /* where it is recorded, and which stays as long as the event, though it may be gone */
    GPU(Event_t) event;
};

#define DT2_GPU_LOG(driver, level, ...) (driver)->services->log((driver)->services->core, (level), __VA_ARGS__)
enum { DT2_GPU_WARNING = 1, DT2_GPU_DEBUG = 3 }; /* of enum dt2_log_level */

/* Runtimes leave all sorts of things in errno. */
static inline void dt2_gpu_restore_errno(const int *saved)
{
    errno = *saved;
}
#define DT2_GPU_KEEP_ERRNO int dt2_gpu_errno __attribute__((cleanup(dt2_gpu_restore_errno), unused)) = errno

/* -- error.c */

/*
 * Every entry that may call the runtime begins with this: errno stays the caller's, and so does the last error that
 * the runtime keeps for the thread. A call that succeeds leaves that alone and one that fails overwrites it ("CUDA
 * Programming Guide", "Error Checking"), and it can be cleared but not set. So where nothing was pending before,
 * nothing is afterwards; and where the program's own was, it is left there, or at worst, when a call of ours has
 * failed, the code of that: the program still learns that something did. (HIP before 7 keeps the code of the last
 * call, also of one that succeeds: there is nothing to keep then.)
 */
struct dt2_gpu_entry {
    const struct dt2_gpu_driver *driver;
    int saved_errno;
    bool pending; /* a last error of the program's */
};
struct dt2_gpu_entry dt2_gpu_entry_begin(const struct dt2_gpu_driver *driver);
void dt2_gpu_entry_end(const struct dt2_gpu_entry *entry);
#define DT2_GPU_ENTRY(driver)                                                                                          \
    struct dt2_gpu_entry dt2_gpu_entry __attribute__((cleanup(dt2_gpu_entry_end), unused)) =                           \
        dt2_gpu_entry_begin(driver)

/* The status of the contract that a vendor's code stands for. */
int dt2_gpu_status(int code);
/* A call of the runtime has failed: its name and code go into *err. What it left in the thread goes with the entry. */
int dt2_gpu_fail(const struct dt2_gpu_driver *driver, struct dt2_backend_error *err, GPU(Error_t) code,
                 const char *format, ...) DT2_PRINTF(4, 5);
/* The same for a code that is no failure of the entry's: it goes with the entry, and nobody is told. */
void dt2_gpu_forget(void);
/* The caller's mistake. */
#define DT2_GPU_INVALID(driver, err, ...)                                                                              \
    (driver)->services->fail((driver)->services->core, (err), DT2_BACKEND_INVALID, 0, NULL, __VA_ARGS__)
/* Nothing to drive here, or nothing that can be. */
#define DT2_GPU_REFUSE(driver, err, status, ...)                                                                       \
    (driver)->services->fail((driver)->services->core, (err), (status), 0, NULL, __VA_ARGS__)
/* No memory for our own bookkeeping. */
int dt2_gpu_fail_bookkeeping(const struct dt2_gpu_driver *driver, struct dt2_backend_error *err);

/* -- library.c */

struct dt2_gpu_symbol {
    const char *name;
    void *slot; /* where the function pointer goes */
};

/* A library to look for. */
struct dt2_gpu_search {
    const char *base;           /* "libcudart": the base name, without version */
    const char *named;          /* the file to take where the process holds none that will do; NULL: none */
    const char *const *sonames; /* to try in this order where none is held or named; NULL ends them */
    const struct dt2_gpu_symbol *symbols; /* all are needed */
    size_t symbol_count;
    const struct dt2_gpu_symbol *optional; /* a slot is NULL where one is missing */
    size_t optional_count;
    /* Whether a library that has the symbols, which are bound, will do; else why not. NULL: it will. */
    bool (*accept)(void *data, char *why, size_t size);
    void *data;
};

/*
 * Binds a library: the copy that the process holds already; else the one that is named, and no other then; else, where
 * the process holds none, the first of the sonames that will do. Gives the handle, and its path in `text`; or NULL, and
 * there why none will do. *present (NULL is fine) tells whether there was one at all.
 */
void *dt2_gpu_find_library(const struct dt2_gpu_search *search, bool *present, char *text, size_t size);
void dt2_gpu_close_library(void *library); /* NULL is fine; what was loaded stays loaded */
/* A symbol into a slot; false, and the slot as it was, when the library lacks it. */
bool dt2_gpu_bind(void *library, const struct dt2_gpu_symbol *symbol);
/*
 * Whether a path names the library `base`, with whatever version: "/x/libcudart.so.12.8",
 * "/x/libcudart-d0da41ae.so.11.0".
 */
bool dt2_gpu_is_copy_of(const char *path, const char *base);
/*
 * The same search for the runtime itself, by base, sonames and accept of `how`: its symbols are those of
 * driver->runtime, and it is named by the program or the environment. Sets driver->library, and `text` to its path; or
 * FAILED or ABSENT. Without sonames it is no failure that there is none to use: ABSENT, and `text` has why.
 */
int dt2_gpu_bind_runtime(struct dt2_gpu_driver *driver, const struct dt2_gpu_search *how, char *text, size_t size,
                         struct dt2_backend_error *err);

/* -- handles.c */

void *dt2_gpu_alloc(const struct dt2_gpu_driver *driver, size_t bytes);
void dt2_gpu_release(const struct dt2_gpu_driver *driver, void *memory);
/* The object behind a handle, NULL with *err filled. `what` names the kind in words. */
void *dt2_gpu_get(const struct dt2_gpu_driver *driver, enum dt2_handle_kind kind, dt2_handle handle, const char *what,
                  struct dt2_backend_error *err);
/* The same, and the handle is invalid from now on. */
void *dt2_gpu_take(const struct dt2_gpu_driver *driver, enum dt2_handle_kind kind, dt2_handle handle, const char *what,
                   struct dt2_backend_error *err);
/* A handle for an object, 0 with *err filled. */
dt2_handle dt2_gpu_new(const struct dt2_gpu_driver *driver, enum dt2_handle_kind kind, void *object,
                       struct dt2_backend_error *err);
/* A device, kept from being closed until dt2_gpu_drop(): each object holds its device. */
struct dt2_gpu_device *dt2_gpu_hold(struct dt2_gpu_driver *driver, dt2_handle handle, struct dt2_backend_error *err);
void dt2_gpu_hold_again(struct dt2_gpu_device *device);
void dt2_gpu_drop(struct dt2_gpu_device *device);
int dt2_gpu_check_index(const struct dt2_gpu_driver *driver, uint32_t index, struct dt2_backend_error *err);
/* A buffer, and a range that lies within it; INVALID otherwise. */
int dt2_gpu_check_range(const struct dt2_gpu_driver *driver, dt2_handle handle, uint64_t offset, uint64_t bytes,
                        struct dt2_gpu_buffer **buffer, struct dt2_backend_error *err);
/* The same, and a queue of the buffer's device. */
int dt2_gpu_check_copy(const struct dt2_gpu_driver *driver, dt2_handle queue_handle, dt2_handle buffer_handle,
                       uint64_t offset, uint64_t bytes, struct dt2_gpu_queue **queue, struct dt2_gpu_buffer **buffer,
                       struct dt2_backend_error *err);

/* -- device.c */

/*
 * The texts of a device's identity, in the forms of dt2_backend_device_info. A PCI address that is none, a UUID of
 * zeros: "".
 */
void dt2_gpu_pci_text(const char *vendors, char pci[16]);
void dt2_gpu_uuid_text(const void *bytes16, char uuid[64]);

/* Whether it is one with the host's processor. */
int dt2_gpu_is_integrated(const struct dt2_gpu_driver *driver, uint32_t index, bool *integrated,
                          struct dt2_backend_error *err);

int dt2_gpu_device_info(void *self, uint32_t index, struct dt2_backend_device_info *info,
                        struct dt2_backend_error *err);
int dt2_gpu_device_free_bytes(void *self, uint32_t index, bool may_open, uint64_t *free_bytes,
                              struct dt2_backend_error *err);
int dt2_gpu_device_open(void *self, uint32_t index, void *native_context, dt2_handle *device,
                        struct dt2_backend_error *err);
int dt2_gpu_device_native(void *self, uint32_t index, dt2_handle device, struct dt2_backend_device_native *native,
                          struct dt2_backend_error *err);
int dt2_gpu_device_close(void *self, dt2_handle device, struct dt2_backend_error *err);

/* -- memory.c */

int dt2_gpu_buffer_alloc(void *self, dt2_handle device, uint64_t bytes, dt2_handle *buffer,
                         struct dt2_backend_error *err);
int dt2_gpu_buffer_adopt(void *self, dt2_handle device, void *native, uint64_t bytes, dt2_handle *buffer,
                         struct dt2_backend_error *err);
int dt2_gpu_buffer_free(void *self, dt2_handle buffer, struct dt2_backend_error *err);
int dt2_gpu_buffer_native(void *self, dt2_handle buffer, struct dt2_backend_native *native,
                          struct dt2_backend_error *err);
int dt2_gpu_host_alloc(void *self, dt2_handle device, uint64_t bytes, void **memory, struct dt2_backend_error *err);
int dt2_gpu_host_free(void *self, dt2_handle device, void *memory, struct dt2_backend_error *err);
int dt2_gpu_host_register(void *self, dt2_handle device, void *memory, uint64_t bytes, struct dt2_backend_error *err);
int dt2_gpu_host_unregister(void *self, dt2_handle device, void *memory, struct dt2_backend_error *err);

/* -- queue.c */

int dt2_gpu_queue_create(void *self, dt2_handle device, dt2_handle *queue, struct dt2_backend_error *err);
int dt2_gpu_queue_adopt(void *self, dt2_handle device, void *native, dt2_handle *queue, struct dt2_backend_error *err);
int dt2_gpu_queue_destroy(void *self, dt2_handle queue, struct dt2_backend_error *err);
int dt2_gpu_queue_wait(void *self, dt2_handle queue, struct dt2_backend_error *err);
int dt2_gpu_copy_h2d(void *self, dt2_handle queue, dt2_handle buffer, uint64_t offset, const void *source,
                     uint64_t bytes, struct dt2_backend_error *err);
int dt2_gpu_copy_d2h(void *self, dt2_handle queue, dt2_handle buffer, uint64_t offset, void *destination,
                     uint64_t bytes, struct dt2_backend_error *err);
int dt2_gpu_copy_d2d(void *self, dt2_handle queue, dt2_handle destination, uint64_t destination_offset,
                     dt2_handle source, uint64_t source_offset, uint64_t bytes, struct dt2_backend_error *err);

/* -- peer.c */

int dt2_gpu_copy_peer(void *self, dt2_handle queue, dt2_handle destination, uint64_t destination_offset,
                      dt2_handle source, uint64_t source_offset, uint64_t bytes, struct dt2_backend_error *err);
int dt2_gpu_peer_query(void *self, uint32_t index, uint32_t peer, bool *reachable, struct dt2_backend_error *err);
int dt2_gpu_peer_check(void *self, dt2_handle destination, dt2_handle source, enum dt2_peer_verdict *verdict,
                       struct dt2_backend_error *err);
/* Switches on what direct access there is between two devices. It is never switched off: others may count on it. */
int dt2_gpu_peer_switch_on(const struct dt2_gpu_device *one, const struct dt2_gpu_device *other,
                           struct dt2_backend_error *err);
/* The last handle of a device goes, and maybe its context. */
void dt2_gpu_peers_forget(struct dt2_gpu_driver *driver, uint32_t index);

/* -- trial.c */

/* Switches direct access on, and sends a pattern each way; *arrives tells whether it was there, and right. */
int dt2_gpu_peer_trial(const struct dt2_gpu_device *one, const struct dt2_gpu_device *other, bool *arrives,
                       struct dt2_backend_error *err);

/* -- event.c */

int dt2_gpu_event_record(void *self, dt2_handle queue, dt2_handle *event, struct dt2_backend_error *err);
int dt2_gpu_event_query(void *self, dt2_handle event, bool *done, struct dt2_backend_error *err);
int dt2_gpu_event_wait(void *self, dt2_handle event, struct dt2_backend_error *err);
int dt2_gpu_queue_wait_event(void *self, dt2_handle queue, dt2_handle event, struct dt2_backend_error *err);
int dt2_gpu_queue_follow(void *self, dt2_handle queue, dt2_handle event, bool *done, struct dt2_backend_error *err);
int dt2_gpu_event_free(void *self, dt2_handle event, struct dt2_backend_error *err);
/* When a queue goes: events that are nobody's go with it. Returns whether none is left that refers to it. */
bool dt2_gpu_events_clear(struct dt2_gpu_queue *queue, bool entered);

/* -- vendor.c, one in each vendor's folder */

/*
 * Binds the vendor's libraries, driver->runtime among them; ABSENT or FAILED with the reason. What was bound stays
 * for close.
 */
int dt2_gpu_vendor_open(struct dt2_gpu_driver *driver, struct dt2_backend_error *err);
void dt2_gpu_vendor_close(struct dt2_gpu_driver *driver);
/* Name, UUID, PCI address and memory of a device; makes no context. */
int dt2_gpu_identify(const struct dt2_gpu_driver *driver, uint32_t index, struct dt2_backend_device_info *info,
                     struct dt2_backend_error *err);
/* Free bytes of a device, by whatever tells without a context; DT2_UNKNOWN when nothing does. */
uint64_t dt2_gpu_free_bytes(struct dt2_gpu_driver *driver, uint32_t index);
/* Whether the runtime may be asked for them then, and what it says is right; `may_open`: also where that makes a context. */
bool dt2_gpu_runtime_tells(struct dt2_gpu_driver *driver, uint32_t index, bool may_open);
/* Whether an integrated device, which has been identified, computes in memory that the host's total leaves out. */
bool dt2_gpu_has_own_memory(const struct dt2_gpu_driver *driver, const struct dt2_backend_device_info *info);
/* Whether the process has a context on a device, whoever made it. */
bool dt2_gpu_has_context(struct dt2_gpu_driver *driver, uint32_t index);
/* The context in which the runtime works on a device: it is there until it is dropped as often as it was taken. */
int dt2_gpu_context_take(const struct dt2_gpu_driver *driver, uint32_t index, void **context,
                         struct dt2_backend_error *err);
void dt2_gpu_context_drop(const struct dt2_gpu_driver *driver, uint32_t index);
/* INVALID unless `bytes` from `address` are the device's own memory, of its context. Within a scope. */
int dt2_gpu_check_memory(const struct dt2_gpu_device *device, void *address, uint64_t bytes,
                         struct dt2_backend_error *err);
/* INVALID unless a stream is the device's own, of its context. Within a scope. */
int dt2_gpu_check_stream(const struct dt2_gpu_device *device, GPU(Stream_t) stream, struct dt2_backend_error *err);

/*
 * A scope in which a device is the thread's current one. On leaving it the thread's context, or choice of a device,
 * is what it was; on no other device one is made meanwhile.
 *
 *     struct dt2_gpu_scope scope DT2_GPU_SCOPE;
 *     int status = dt2_gpu_enter(device, &scope, err);
 */
struct dt2_gpu_scope {
    const struct dt2_gpu_driver *driver; /* whose context is to be left; NULL: none */
    int previous;                        /* HIP: the device that was the thread's choice */
    const struct dt2_gpu_runtime *runtime; /* whose capture mode is to be put back; NULL: none */
    enum GPU(StreamCaptureMode) mode;
};
#define DT2_GPU_SCOPE __attribute__((cleanup(dt2_gpu_leave))) = { 0 }
int dt2_gpu_enter(const struct dt2_gpu_device *device, struct dt2_gpu_scope *scope, struct dt2_backend_error *err);
void dt2_gpu_leave(struct dt2_gpu_scope *scope);
/* The same for work in a queue: refused, with nothing changed, while it is the program's and captures a graph. */
int dt2_gpu_enter_queue(const struct dt2_gpu_queue *queue, struct dt2_gpu_scope *scope, struct dt2_backend_error *err);
/* Within a scope. */
int dt2_gpu_check_capture(const struct dt2_gpu_queue *queue, struct dt2_backend_error *err);
/* The vendor's part of a scope. */
int dt2_gpu_context_enter(const struct dt2_gpu_device *device, struct dt2_gpu_scope *scope,
                          struct dt2_backend_error *err);
void dt2_gpu_context_leave(struct dt2_gpu_scope *scope);
/*
 * The same as dt2_gpu_enter(), to give something back: a code that tells of earlier work must not keep it, so it is
 * tried twice.
 */
static inline int dt2_gpu_enter_to_free(const struct dt2_gpu_device *device, struct dt2_gpu_scope *scope,
                                        struct dt2_backend_error *err)
{
    int status = dt2_gpu_enter(device, scope, NULL);
    return status == DT2_BACKEND_OK ? status : dt2_gpu_enter(device, scope, err);
}

#endif
