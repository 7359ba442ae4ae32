/* SPDX-License-Identifier: BSD-3-Clause */
/* The context: the machine's drivers, and the models loaded through them. */
#ifndef DISTORCH2_CONTEXT_H
#define DISTORCH2_CONTEXT_H

#include <distorch2/error.h>

DT2_BEGIN_DECLS

enum dt2_log_level { DT2_LOG_ERROR, DT2_LOG_WARNING, DT2_LOG_INFO, DT2_LOG_DEBUG };

/*
 * Receives one line of log, without a newline; `line` lives during the call. It may be called from any
 * thread that is inside the library or works for it, also from several at once, and must not call back
 * into the library. `data` is the log_data that was given with it.
 */
typedef void dt2_log_fn(void *data, enum dt2_log_level level, const char *line);

struct dt2_context; /* opaque */

/* A context of a device's own runtime (cl_context). */
struct dt2_native_context {
    const char *device;
    void *context;
};

/* Options of a context; zero or NULL means the default. Set struct_size with DT2_CONTEXT_OPTIONS_INIT. */
struct dt2_context_options {
    size_t struct_size;
    dt2_log_fn *log; /* NULL: nobody listens, and nothing is printed. Used until the context is destroyed */
    void *log_data;
    /*
     * Folders in which driver modules ("dt2-NAME.so") are looked for, separated by ':'. Of two modules of one name
     * the first counts; a folder that is not named from the root is a warning, and passed over. NULL: the environment's
     * DISTORCH2_BACKEND_PATH (ignored in set-user-ID programs); else the folder "distorch2" beside the library,
     * the library's own folder, and the folder of the installation. "" loads no module.
     */
    const char *backend_path;
    /*
     * The files of the runtimes that the drivers for CUDA (libcudart) and HIP (libamdhip64) use where the process holds
     * none yet, named from the root: those that the rest of the program will load later, so that there is one of each.
     * One that cannot be used is a failure of the driver, and no other is tried; after a '?' it is a warning, and as if
     * none had been named. NULL: the environment's DISTORCH2_CUDART and DISTORCH2_AMDHIP64 (ignored in set-user-ID
     * programs); "": none. Where none is named CUDA does without a runtime, by NVIDIA's driver alone, and HIP takes
     * what the system's linker finds.
     */
    const char *cuda_runtime;
    const char *hip_runtime;
    /*
     * The drivers that may be opened, separated by ',': "cuda,opencl"; "": none. Host memory is always there. NULL: the
     * environment's DISTORCH2_DRIVERS (ignored in set-user-ID programs); else all that are found. A name that no module
     * has is a warning.
     */
    const char *drivers;
    /*
     * Open each driver in a child process first, which is given 20 seconds: a vendor's runtime that aborts or hangs is then
     * named, and the driver not used. The child is a fork without exec, so ask for this only where the process has one
     * thread when a driver is needed first. Without it the library never forks.
     */
    bool probe_isolated;
    /*
     * The caller's own contexts, in which devices are opened instead of ones of the library's: buffers of models lie in them,
     * and streams of sessions may be queues of them. They must live as long as the context. Devices are named in any spelling
     * that dt2_devices_find() knows. Their drivers are opened when the context is made, which fails with DT2_ENOENT for a name
     * that is no device, and with DT2_EUSAGE for a driver that knows no such thing (CUDA, HIP), and a device that is not in it.
     */
    const struct dt2_native_context *native_contexts;
    size_t native_context_count;
};
#define DT2_CONTEXT_OPTIONS_INIT                                                                                      \
    {                                                                                                                 \
        sizeof(struct dt2_context_options), NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, 0                        \
    }

/*
 * Makes a context. `options` may be NULL. Nothing is probed yet, unless native_contexts name a device: the topology is read, and a driver opened, when a
 * function first needs it. dt2_devices_list() needs all drivers; a plan or a load those of the devices that its request
 * names, and all where it leaves the compute device open. A process may have several contexts; each knows only of
 * its own models. Free it with dt2_context_destroy().
 * Errors: DT2_EUSAGE for a struct_size below that of the first version, which ended with backend_path; those that
 * native_contexts bring; DT2_ENOMEM.
 */
DT2_PUBLIC int dt2_context_create(const struct dt2_context_options *options, struct dt2_context **context,
                                  struct dt2_error *err);

/*
 * Unloads every model and driver, and frees the context (NULL is fine). No other thread may be inside a
 * call with this context; a model that is borrowed is waited for, so the caller must have no borrow of its
 * own. Models that the caller still holds by reference stay valid as handles: their tensors are gone, and
 * dt2_model_unref() is still owed. When it has to wait for longer than a second, the log says for which model.
 *
 * A context, with its models and sessions, belongs to the process that made it. In a forked child every use of them
 * is DT2_EUSAGE, and ending them there does nothing: threads, locks and devices are not copied by fork().
 */
DT2_PUBLIC void dt2_context_destroy(struct dt2_context *context);

DT2_END_DECLS
#endif
