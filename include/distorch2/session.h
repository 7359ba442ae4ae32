/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tier 3, continued: running a loaded model. A session brings the blocks that lie on donors to the compute device in
 * time for the layer that reads them, through a window that never holds more than it was given; blocks that lie on the
 * compute device are used where they are.
 *
 *     dt2_session_open(model, NULL, &session, err);
 *     for each pass, for each block as the network needs it:
 *         dt2_session_acquire(session, block, 0, err);
 *         dt2_session_native(session, tensor, &native, err);   // an address on the compute device
 *         ... compute ...
 *         dt2_session_release(session, block, err);
 *     dt2_session_close(session, err);
 *
 * Blocks are fetched ahead in the order in which they are expected: execution order at first, from then on the order of the
 * last pass, wrapping round to the next one. An order that is broken costs time, never correctness. The model on its
 * donors is only read.
 *
 * Threads: every function may be called from any thread, also at once, but for dt2_session_close(), after which the
 * session is gone. Several sessions may be open on one model, each with a window of its own, which they do not share; only
 * one of them is what the plan charged. A session has one thread, which sleeps while there is nothing to fetch; it runs no
 * code of the caller's, and takes no signals. A program may end with sessions open: from then on the thread calls no driver.
 */
#ifndef DISTORCH2_SESSION_H
#define DISTORCH2_SESSION_H

#include <distorch2/model.h>

DT2_BEGIN_DECLS

struct dt2_session; /* opaque */

/*
 * How the shares in host memory lie while a session streams them to a device. What is pinned stays so until the session is
 * closed, also while it is parked, and all sessions on the model whose devices have one driver share it. Pinned pages are not
 * inherited by child processes (MADV_DONTFORK): a fork() that reads the model's memory there is ended by SIGSEGV.
 */
enum dt2_host_memory {
    /*
     * Pinned piece by piece while the first passes run; what is not pinned yet goes through staging memory. At most half of
     * the memory that the process may have (the machine's, or its control group's), of all models of the context together,
     * since nobody else can have it while it is pinned. Memory that the caller gave to load into is left as it is.
     */
    DT2_HOST_AUTO,
    DT2_HOST_PAGEABLE, /* as they are: each piece is copied to pinned staging memory on its way, by several threads */
    DT2_HOST_PINNED,   /* pinned where they are before the session opens: no copy on the way */
};

/* Options of a session; zero or NULL means the default. */
struct dt2_session_options {
    size_t struct_size;
    /*
     * Of the window on the compute device. 0: what the plan charged, which is twice the largest streamed block. Less is
     * slower, down to the largest block alone; more needs room in the budgets of the plan. While blocks are evicted it is what
     * their largest needs, if that is more.
     */
    uint64_t window_bytes;
    enum dt2_host_memory host_memory;
    uint64_t pinned_bytes;  /* of host shares to pin at most; 0: all that may be. What cannot be pinned is a warning */
    uint64_t staging_bytes; /* host memory for staging at most; 0: 32 MiB. Taken only when some share needs it */
    /*
     * The caller's queue on the compute device (CUstream, hipStream_t, cl_command_queue), on which the readers of
     * the weights run. It must live as long as the session, and, for OpenCL, belong to the context of the model's
     * buffers (clGetMemObjectInfo, CL_MEM_CONTEXT). With has_stream NULL is the default stream of CUDA and HIP.
     */
    bool has_stream;
    void *stream;
};
#define DT2_SESSION_OPTIONS_INIT { sizeof(struct dt2_session_options), 0, DT2_HOST_AUTO, 0, 0, false, NULL }

/*
 * Opens a session on `model`, which it borrows until it is closed: the model is not ejected, and dt2_model_unload() is
 * refused, or waits, as it was asked. Takes the window and the staging memory, and begins to fetch. `options` may be NULL.
 * Errors: DT2_EGONE when the model is not loaded any more; DT2_EUSAGE for options without their
 * struct_size, for a model that was loaded with request.resident, for a window that cannot hold the largest block (the text says how much would), and for a stream
 * where the compute device has none, or that is of another device or context; DT2_ENOFIT for a window above what the plan's budgets leave, for memory that is not
 * there, and for a block above the compute device's largest allocation; DT2_EFAILED from the driver.
 */
DT2_PUBLIC int dt2_session_open(struct dt2_model *model, const struct dt2_session_options *options,
                                struct dt2_session **session, struct dt2_error *err);

/*
 * Waits for copies under way, gives everything back, and frees the session. NULL is fine. Where speeds are kept (DT2_DEVICES_MEASURE), one
 * of three passes or more adds to them what a pass took without what it waited, for later plans of the same blocks on its device.
 * Errors: DT2_EBUSY, changing nothing, while a streamed block is held.
 */
DT2_PUBLIC int dt2_session_close(struct dt2_session *session, struct dt2_error *err);

/* The model that was given; valid as long as the session. */
DT2_PUBLIC struct dt2_model *dt2_session_model(const struct dt2_session *session);

/* -- Blocks: those of dt2_model_block(), by index, in execution order ----------------------------------- */

enum dt2_acquire_flag {
    /* Return only when the bytes are there for the host too. With a stream: when all that was queued on it has run. */
    DT2_ACQUIRE_HOST = 1,
};

/*
 * Makes block `block` usable on the compute device until dt2_session_release(), which is owed once for each success. Of
 * a block that lies there this costs a few nanoseconds.
 *
 * With a stream: what is queued on it from now on runs after the bytes have arrived; the host waits at most until the
 * copies are queued. Without one: the bytes are there on return. `flags` are enum dt2_acquire_flag, or 0.
 *
 * Errors: DT2_EUSAGE for a wrong index or other flags; DT2_EFULL when the blocks that are held leave no room in the window
 * for this one (a window of twice the largest block always has room for one beside the one that is held); DT2_EPARKED when
 * the session is parked; DT2_EBUSY when the stream captures a graph: its kernels would read the window again when something
 * else lies there;
 * DT2_EFAILED from a driver: the session stays usable, and a later acquire tries again. With a stream a copy may also fail
 * after this has returned: the readers have read nothing of worth then, which the next release or acquire of the block says.
 */
DT2_PUBLIC int dt2_session_acquire(struct dt2_session *session, size_t block, unsigned flags, struct dt2_error *err);

/*
 * Gives a block back. With a stream: its bytes stay until all that is queued on the stream by now has run. Without one: the
 * caller has finished reading. Errors: DT2_EUSAGE for a wrong index, or a block that nobody holds; DT2_EBUSY while the stream
 * captures a graph: the block stays held, and is to be released after the capture; DT2_EFAILED from
 * the driver, also when the bytes never arrived: the block has gone back all the same.
 */
DT2_PUBLIC int dt2_session_release(struct dt2_session *session, size_t block, struct dt2_error *err);

/* The same for the block of one tensor: dt2_model_tensor_block(). */
DT2_PUBLIC int dt2_session_acquire_tensor(struct dt2_session *session, size_t tensor, unsigned flags,
                                          struct dt2_error *err);
DT2_PUBLIC int dt2_session_release_tensor(struct dt2_session *session, size_t tensor, struct dt2_error *err);

/*
 * Where a tensor is on the compute device: valid while its block is held, the same until the block is released.
 * native->device is the compute device, or, for compute on "cpu", the host memory in which the tensor lies.
 * Errors: DT2_EUSAGE for a wrong index, or a tensor whose block is not held.
 */
DT2_PUBLIC int dt2_session_native(struct dt2_session *session, size_t tensor, struct dt2_native *native,
                                  struct dt2_error *err);

/*
 * Goes on with another stream of the caller's: releases from now on count on it, after all that was queued on the
 * former one. Only for a session that was opened with a stream. Errors: DT2_EUSAGE; DT2_EBUSY while either captures a graph;
 * DT2_EFAILED from the driver: it goes on with the former one.
 */
DT2_PUBLIC int dt2_session_use_stream(struct dt2_session *session, void *stream, struct dt2_error *err);

/* -- Passes -------------------------------------------------------------------------------------------- */

/*
 * Says that a pass through the network ends here. Without this, a pass is taken to end when its first streamed block is
 * acquired again; the first call turns that guess off for good.
 */
DT2_PUBLIC void dt2_session_next_pass(struct dt2_session *session);

/* What a session did. Resident blocks are not counted. */
struct dt2_session_stats {
    size_t struct_size;
    uint64_t passes;       /* that have ended */
    uint64_t bytes;        /* of blocks copied to the compute device */
    uint64_t acquires;     /* of streamed blocks */
    uint64_t hits;         /* of these, those whose bytes were there already */
    uint64_t stalls;       /* those whose bytes were not */
    uint64_t stall_ns;     /* that the host waited in acquires */
    uint64_t window_bytes; /* of the window in use at the most */
};
#define DT2_SESSION_STATS_INIT { sizeof(struct dt2_session_stats), 0, 0, 0, 0, 0, 0, 0 }
enum dt2_session_span { DT2_SESSION_TOTAL, DT2_SESSION_THIS_PASS, DT2_SESSION_LAST_PASS };
/* Errors: DT2_EUSAGE for another span, or a struct_size that was not set. */
DT2_PUBLIC int dt2_session_statistics(struct dt2_session *session, enum dt2_session_span span,
                                      struct dt2_session_stats *stats, struct dt2_error *err);

/* What a session has, and will do. */
struct dt2_session_info {
    size_t struct_size;
    const char *compute_device; /* valid as long as the session */
    uint64_t pass_bytes;     /* that lie on donors: what a pass streams, unless the window can hold on to some */
    uint64_t largest_bytes;  /* the largest of these blocks as it lies in the window: the least window */
    uint64_t window_bytes;   /* 0: nothing streams, or it is parked */
    uint64_t staging_bytes;  /* host memory taken for staging */
    uint64_t pinned_bytes;   /* of host shares, pinned where they are */
    size_t streamed_blocks;
    bool parked;
};
#define DT2_SESSION_INFO_INIT { sizeof(struct dt2_session_info), NULL, 0, 0, 0, 0, 0, 0, false }
/* Errors: DT2_EUSAGE for a struct_size that was not set. */
DT2_PUBLIC int dt2_session_info(struct dt2_session *session, struct dt2_session_info *info, struct dt2_error *err);
/* Its warnings, a sentence each: a memory that could not be pinned. NULL for a wrong index. */
DT2_PUBLIC size_t dt2_session_warning_count(const struct dt2_session *session);
DT2_PUBLIC const char *dt2_session_warning(const struct dt2_session *session, size_t index);
/* Whether acquiring the block may copy; false for a wrong index. */
DT2_PUBLIC bool dt2_session_streams(const struct dt2_session *session, size_t block);

/*
 * Verifies the way that bytes take, beyond what dt2_load_options.verify does where they lie: one pass through the blocks that
 * stream, in which every tensor is read back from the window on the compute device and its XXH3 compared with that of `file`,
 * which the model was loaded from. The caller holds no block meanwhile that would leave no room; the pass counts in the
 * statistics like any other. `progress` (NULL: none) is called with `data` as for a load, with `verifying` set and the compute
 * device as its only device; a value other than 0 cancels. *verified_bytes (NULL is fine) is of the blocks that stream: 0 when
 * none does. Errors: as dt2_session_acquire(); DT2_EUSAGE for a file with other tensors; DT2_EFAILED naming tensor, donor and
 * compute device where other bytes arrived; DT2_ECANCELLED.
 */
DT2_PUBLIC int dt2_session_verify(struct dt2_session *session, const struct dt2_file *file, dt2_progress_fn *progress,
                                  void *data, uint64_t *verified_bytes, struct dt2_error *err);

/* -- Parking ------------------------------------------------------------------------------------------- */

/*
 * Gives window and staging memory back while the network is not needed, such as a ControlNet whose range of steps is
 * over. The model stays borrowed. Parking what is parked is no error. Errors: DT2_EBUSY while a streamed block is held.
 */
DT2_PUBLIC int dt2_session_park(struct dt2_session *session, struct dt2_error *err);
/* Takes all of it back, and begins to fetch. Errors: DT2_ENOFIT, DT2_EFAILED: it stays parked. */
DT2_PUBLIC int dt2_session_unpark(struct dt2_session *session, struct dt2_error *err);

DT2_END_DECLS
#endif
