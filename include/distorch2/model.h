/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tier 3: loading, and the models that are loaded. dt2_model is the CONTROL_NET of the node: a handle to tensors that
 * live on several devices. Nothing in it knows that it is a ControlNet.
 */
#ifndef DISTORCH2_MODEL_H
#define DISTORCH2_MODEL_H

#include <distorch2/context.h>
#include <distorch2/file.h>
#include <distorch2/plan.h>

DT2_BEGIN_DECLS

struct dt2_model; /* opaque, counted */

/* -- Loading ------------------------------------------------------------------------------------------ */

/* How far one device's share is. The devices are those of the plan's shares, in its order. */
struct dt2_progress_device {
    const char *device;
    uint64_t done_bytes;
    uint64_t total_bytes;
};

/* How far a load is. The arrays live during the callback. */
struct dt2_progress {
    const char *model; /* its name */
    bool verifying;    /* false: bytes are being loaded; true: read back and compared */
    uint64_t done_bytes;
    uint64_t total_bytes;
    uint64_t elapsed_ns; /* of loading, or of verifying */
    const struct dt2_progress_device *const *devices;
    size_t device_count;
    /* Nothing has begun: the memory would be there but for what other processes promised to take, which are loading; or another one
     * fills what is shared, of which done_bytes are there. */
    bool waiting;
};

/*
 * Called on the thread that called dt2_model_load(), some ten times a second, while it waits, at the beginning of loading and of
 * verifying, and once at the end of each: only then is done_bytes total_bytes. A return value other than 0 cancels the load: everything is given back and the load fails
 * with DT2_ECANCELLED. No lock is held meanwhile: it may call the library.
 */
typedef int dt2_progress_fn(void *data, const struct dt2_progress *progress);

/* Memory on a device: an address (host, CUDA, HIP) or a cl_mem, under the name under which the device is listed. */
struct dt2_memory {
    const char *device;
    void *handle;
    uint64_t bytes;
};

/* How a load reads files. */
enum dt2_io {
    DT2_IO_AUTO,     /* through the page cache, but what a large file on a local disk has not in it past it */
    DT2_IO_BUFFERED, /* through the page cache, which the next load finds filled */
    DT2_IO_DIRECT,   /* past it, where the file system can: it stays as it is, and so the next load reads the disk again */
};

/* Options of a load; zero or NULL means the default. */
struct dt2_load_options {
    size_t struct_size;
    const char *name; /* under which the model is registered, need not be unique; NULL: its path */
    bool verify;      /* read every tensor back from its device and compare its XXH3 with the file's */
    uint64_t staging_bytes; /* host memory for staging, over all devices; 0: 64 MiB. A device gets 256 KiB at least */
    /*
     * That copy, one for each device at least; 0: one for each processor we may use, up to 16, but 8 at least where a tenth of the
     * file or more is not in the page cache, since these wait for the disk.
     */
    unsigned threads;
    dt2_progress_fn *progress; /* may be NULL */
    void *progress_data;
    /*
     * Memory of the caller's, to be used instead of what would be allocated: a share whose device has some here must fit into it
     * as a whole, piece by piece in this order. It counts as free in the device's budgets, is never freed, and must live until
     * the model is unloaded.
     */
    const struct dt2_memory *memory;
    size_t memory_count;
    bool borrow; /* the model is returned borrowed: no other thread can eject or unload it in between */
    /*
     * Reads under way at once, up to 64; 0: as many as threads, but 32 where a tenth of the file or more is not in the page cache
     * and `threads` is 0. Those beyond the threads wait in io_uring where that may be used, else in a thread each.
     */
    size_t queue_depth;
    enum dt2_io io;
};
#define DT2_LOAD_OPTIONS_INIT { sizeof(struct dt2_load_options), NULL, false, 0, 0, NULL, NULL, NULL, 0, false, 0, DT2_IO_AUTO }

/*
 * The plan that dt2_model_load() would apply now: with the context's devices as they are, and with the models
 * that the load would eject counted as free (its warnings name them). `request` may be NULL: the defaults.
 * Nothing is touched, and request->release is not called. While another thread's load decides or allocates,
 * this waits. Free the plan with dt2_plan_free(). Errors as dt2_plan_make(), and those of dt2_devices_list().
 */
DT2_PUBLIC int dt2_model_plan(struct dt2_context *context, const struct dt2_blocks *blocks,
                              const struct dt2_request *request, struct dt2_plan **plan, struct dt2_error *err);

/*
 * Loads `file`, whose blocks are `blocks`, as `request` asks. Blocks that were made of a file with another table of
 * tensors are DT2_EUSAGE: also those that were kept while the file was replaced on disk and opened again. In this order: everything that can be refused is
 * refused; then, with eject_models, every model with bytes on the compute device and without borrowers is
 * unloaded, whole, in the order in which they were loaded; then all memory is allocated; then bytes are read,
 * straight to where they live, all devices at once. A failure or a cancel gives back all that was taken; models
 * that were ejected stay ejected.
 *
 * `file` and `blocks` may be freed afterwards; the model keeps the file open while it is loaded, for what dt2_model_evict() may
 * leave to it. `request` and `options` may be NULL: the defaults. *model has
 * one reference, which is the caller's; the context holds another until the model is unloaded. Two threads may
 * load into one context at once: one at a time decides, ejects and allocates, then both read.
 *
 * Errors: as dt2_model_plan(); DT2_EUSAGE for options or a request that do not begin with their struct_size; DT2_EBUSY when
 * a model was borrowed while it was to be ejected; DT2_ENOFIT also when an allocation fails although the plan
 * fitted; DT2_EFAILED when reading or copying fails, the file changes meanwhile, or verification finds a
 * difference; DT2_ECANCELLED.
 */
DT2_PUBLIC int dt2_model_load(struct dt2_context *context, const struct dt2_file *file, const struct dt2_blocks *blocks,
                              const struct dt2_request *request, const struct dt2_load_options *options,
                              struct dt2_model **model, struct dt2_error *err);

/*
 * Loads `file` as a plan has it that was made before for these blocks, by dt2_model_plan() or dt2_plan_make(): the same shares,
 * budgeted afresh with the devices as they are now, and with the request's reserves, budgets and eject_models.
 * Errors: as dt2_model_load(); DT2_EUSAGE for a plan of other blocks; DT2_ENOENT for a device of the plan that is not there.
 */
DT2_PUBLIC int dt2_model_load_plan(struct dt2_context *context, const struct dt2_file *file,
                                   const struct dt2_blocks *blocks, const struct dt2_plan *plan,
                                   const struct dt2_load_options *options, struct dt2_model **model,
                                   struct dt2_error *err);

/* -- Memory on request ---------------------------------------------------------------------------------- */

/*
 * Makes room on the compute device: resident blocks become streamed ones until `bytes` bytes are free that were not, or none is left
 * that may go, those that the network needs last before the others. They lie with a donor of the plan that has room for them then,
 * else in host memory, else in the model's file alone, from where each pass reads them. Sessions stay open, and passes go on
 * meanwhile; an address that was given for a resident tensor holds while its block is held, or its DLPack export lives: these
 * blocks stay. (A graph that was captured has such addresses, and holds nothing: hold the blocks as long as it is replayed.) Blocks go some at a time, about a sixteenth of the device's share; what a session's window must grow for them
 * counts against them. Waits for what is queued on the sessions' streams.
 *
 * `device` is the compute device, or NULL, which means it. *freed_bytes (NULL is fine) is what dt2_model_held() says less than before: fewer
 * than `bytes` when nothing more may go. From any thread, also one that holds blocks.
 *
 * Errors: DT2_EGONE when the model is not loaded; DT2_EUSAGE for another device; DT2_EBUSY, with nothing changed, while somebody
 * else than sessions borrows the model, or a session's stream captures a graph; DT2_EFAILED from a driver or the file, with nothing
 * changed. When a session cannot have the window that it needs then, it is parked, which is said; dt2_session_unpark() tries again.
 */
DT2_PUBLIC int dt2_model_evict(struct dt2_model *model, const char *device, uint64_t bytes, uint64_t *freed_bytes,
                               struct dt2_error *err);
/*
 * Brings back what was evicted, what the network needs first before the rest. *restored_bytes (NULL is fine) is how much came back
 * now. Errors: DT2_ENOFIT, or what the driver says, when the device has no room for all; DT2_EBUSY when some of it is held: what could come is back, and the
 * text says how much is not; else as dt2_model_evict().
 */
DT2_PUBLIC int dt2_model_restore(struct dt2_model *model, uint64_t *restored_bytes, struct dt2_error *err);
/*
 * Bytes that the model holds on a device by now: its tensors, and its sessions' windows. "cpu" is all host memory, NULL are all
 * devices; 0 of one that is not loaded. Memory that the caller gave does not count, nor staging memory.
 */
DT2_PUBLIC uint64_t dt2_model_held(const struct dt2_model *model, const char *device);

/* -- A loaded model ----------------------------------------------------------------------------------- */

/*
 * Takes one more reference to the handle; returns `model`. A reference keeps the handle, not the bytes:
 * dt2_model_borrow().
 */
DT2_PUBLIC struct dt2_model *dt2_model_ref(struct dt2_model *model);
/*
 * Gives a reference back (NULL is fine). The model stays loaded: the context's registry holds it until it is
 * unloaded.
 */
DT2_PUBLIC void dt2_model_unref(struct dt2_model *model);

/*
 * Borrows the model's bytes: until dt2_model_return() it is not ejected and not unloaded, and native addresses stay
 * valid. Borrows are counted. A session borrows by itself; another borrow keeps dt2_model_evict() from moving anything.
 * Errors: DT2_EGONE when it is unloaded already, or is just being unloaded.
 */
DT2_PUBLIC int dt2_model_borrow(struct dt2_model *model, struct dt2_error *err);
/* Gives one borrow back. Owed once for each dt2_model_borrow() that succeeded, by any thread. */
DT2_PUBLIC void dt2_model_return(struct dt2_model *model);

enum dt2_unload_mode {
    DT2_UNLOAD_REFUSE, /* with borrowers: fail with DT2_EBUSY */
    DT2_UNLOAD_WAIT,   /* with borrowers: wait until the last one returns; new ones are refused meanwhile */
};

/*
 * Gives all of the model's memory back, on every device. The handle stays valid until its last reference; its
 * tensors have no address any more. Unloading what is unloaded already is no error; an unload that another
 * thread has begun is waited for. A thread that borrows the model itself must not wait.
 * Errors: DT2_EBUSY, as the mode says; DT2_EUSAGE for another mode.
 */
DT2_PUBLIC int dt2_model_unload(struct dt2_model *model, enum dt2_unload_mode mode, struct dt2_error *err);

/* The name under which it was registered, and the path of its file; valid as long as the handle. */
DT2_PUBLIC const char *dt2_model_name(const struct dt2_model *model);
DT2_PUBLIC const char *dt2_model_path(const struct dt2_model *model);
/* Whether its bytes are on the devices; no more than a hint unless the model is borrowed. */
DT2_PUBLIC bool dt2_model_loaded(const struct dt2_model *model);
/* The plan that was applied; valid as long as the handle, also when the model is unloaded. */
DT2_PUBLIC const struct dt2_plan *dt2_model_applied_plan(const struct dt2_model *model);

/* Where a tensor lives, in the terms of the device's own runtime. */
struct dt2_native {
    size_t struct_size;
    const char *device;
    /* Host, CUDA, HIP: the address of the tensor's first byte; offset is 0. OpenCL: the cl_mem; the tensor begins at
     * `offset` bytes in it. NULL for a tensor of 0 bytes. It belongs to the model: never free or release it. */
    void *handle;
    uint64_t offset;
};
#define DT2_NATIVE_INIT { sizeof(struct dt2_native), NULL, NULL, 0 }

/* One piece of memory that holds tensors of a model: an address or a cl_mem, from its first byte on. */
struct dt2_buffer {
    size_t struct_size;
    const char *device;
    void *handle;
    uint64_t bytes;
};
#define DT2_BUFFER_INIT { sizeof(struct dt2_buffer), NULL, NULL, 0 }

/* The buffers of a loaded model, share by share; none of one that is unloaded. */
DT2_PUBLIC size_t dt2_model_buffer_count(const struct dt2_model *model);
/* Hold a borrow while it is used. Errors: as dt2_model_native(). */
DT2_PUBLIC int dt2_model_buffer(const struct dt2_model *model, size_t index, struct dt2_buffer *buffer,
                                struct dt2_error *err);

DT2_PUBLIC size_t dt2_model_tensor_count(const struct dt2_model *model);
/* Name, dtype, shape, bytes, and the file it came from; valid as long as the handle. NULL for a wrong index. */
DT2_PUBLIC const struct dt2_tensor *dt2_model_tensor(const struct dt2_model *model, size_t index);
/* Finds a tensor by its name. Errors: DT2_ENOENT with the nearest names. */
DT2_PUBLIC int dt2_model_find(const struct dt2_model *model, const char *name, size_t *index, struct dt2_error *err);
/* The device where a tensor lies by now, or "file" (dt2_model_evict()); NULL for a wrong index, and for a tensor that is in no
 * block, so not loaded. */
DT2_PUBLIC const char *dt2_model_device(const struct dt2_model *model, size_t index);

/*
 * Blocks in execution order, as they were planned; their `tensors` are indices of this model. Valid as long as the handle.
 * NULL for a wrong index.
 */
DT2_PUBLIC size_t dt2_model_block_count(const struct dt2_model *model);
DT2_PUBLIC const struct dt2_block *dt2_model_block(const struct dt2_model *model, size_t index);
/* The block of a tensor; SIZE_MAX for a wrong index, and for a tensor that is in none. */
DT2_PUBLIC size_t dt2_model_tensor_block(const struct dt2_model *model, size_t index);

/*
 * The native address. Hold a borrow while it is used. What is shared with other processes (the request's `share`) can only be read.
 * Errors: DT2_EUSAGE for a wrong index or a tensor that is in no block, DT2_EGONE when unloaded, or evicted to its file, DT2_EFAILED from the
 * driver.
 */
DT2_PUBLIC int dt2_model_native(const struct dt2_model *model, size_t index, struct dt2_native *native,
                                struct dt2_error *err);
/*
 * Copies a tensor from its device into `destination`, host memory of exactly its size (`size` bytes). It
 * borrows the model meanwhile, and may be called from several threads at once.
 * Errors: DT2_EUSAGE for a wrong index or size, DT2_EGONE when unloaded, DT2_EFAILED from the driver.
 */
DT2_PUBLIC int dt2_model_read(struct dt2_model *model, size_t index, void *destination, uint64_t size,
                              struct dt2_error *err);

/* One device's part of a load. Time runs from when reading began to this device's last byte; 0 of an empty share. */
struct dt2_device_stats {
    const char *device;
    uint64_t bytes;
    uint64_t ns;
    /*
     * What was done for it in each of interval_count intervals, of interval_ns each, from when the first read began: nanoseconds of
     * reading, of waiting for memory (staging from which the device still copies, or pages that the kernel makes), and of copying by the
     * host, or queueing copies. Each is summed over all that were at it at once, so it may be more than the interval. Reads that wait in io_uring are reading.
     */
    uint64_t interval_ns;
    size_t interval_count;
    const uint64_t *reading_ns;
    const uint64_t *waiting_ns;
    const uint64_t *copying_ns;
};

/* What the load did. */
struct dt2_model_stats {
    uint64_t bytes;
    uint64_t ns;             /* from the request to the last byte, allocation included, verification not */
    uint64_t staging_bytes;  /* host memory that was taken for staging */
    uint64_t verified_bytes; /* DT2_UNKNOWN: not verified */
    const struct dt2_device_stats *const *devices; /* one for each share, in the plan's order */
    size_t device_count;
    const char *const *ejected; /* names of the models that this load ejected, in order */
    size_t ejected_count;
    uint64_t direct_bytes; /* of `bytes`, those that were read past the page cache */
    unsigned queue_depth;  /* reads that were under way at once, at most */
    const char *engine;    /* who waited for them: "threads" or "io_uring" */
    /* Of a request with `share`: bytes that lie in memory of all the user's processes, those that this load filled there (0: others
     * had filled all), and the processes that used it then, this one too. All 0: nothing is shared. */
    uint64_t shared_bytes;
    uint64_t filled_bytes;
    size_t share_users;
};
/* Valid as long as the handle. */
DT2_PUBLIC const struct dt2_model_stats *dt2_model_statistics(const struct dt2_model *model);

/* -- The registry ------------------------------------------------------------------------------------- */

/*
 * The models loaded in a context now, in the order in which they were admitted; those that are still being
 * loaded are not among them. Writes at most `capacity` handles, each with a reference for the caller, and
 * returns how many there are, which may be more. `models` may be NULL when capacity is 0.
 */
DT2_PUBLIC size_t dt2_context_models(struct dt2_context *context, struct dt2_model **models, size_t capacity);

DT2_END_DECLS
#endif
