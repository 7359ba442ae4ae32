/* SPDX-License-Identifier: BSD-3-Clause */
/* How the functions of libcuda.so.1's face begin and end. The names are those of the symbols. */
#ifndef DT2_TESTS_SIM_LIBCUDA_H
#define DT2_TESTS_SIM_LIBCUDA_H

#include "cuda_headers.h"
#include "sim.h"

/* What cuda.c has for the rest. */
__attribute__((visibility("hidden"))) bool libcuda_is_initialized(void);
__attribute__((visibility("hidden"))) int libcuda_index_of(const struct sim_device *device); /* -1: none of its own */
/* The current context: unlike a runtime, libcuda makes none. Tells of an error that sticks. */
__attribute__((visibility("hidden"))) int libcuda_here(struct sim_context **context);

/* Counts a call of the function that this stands in; leaves when it is to fail, or when cuInit was not called. */
#define ENTER                                                                                                          \
    static struct sim_function function = { .name = __func__, .api = SIM_CUDA };                                       \
    int demanded = sim_enter(&function);                                                                               \
    if (demanded || !libcuda_is_initialized())                                                                         \
    return (CUresult)(demanded ? demanded : SIM_NOT_INITIALIZED)

/* ENTER for a function of a device. */
#define ENTER_DEVICE(device, handle)                                                                                   \
    ENTER;                                                                                                             \
    const struct sim_device *device = sim_device_at(SIM_CUDA, (unsigned)(handle));                                     \
    if (!device)                                                                                                       \
    return CUDA_ERROR_INVALID_DEVICE

/* ENTER for what works in the current context. */
#define ENTER_CONTEXT(context)                                                                                         \
    ENTER;                                                                                                             \
    struct sim_context *context;                                                                                       \
    int cannot = libcuda_here(&context);                                                                               \
    if (cannot)                                                                                                        \
    return (CUresult)cannot

/* What gives something back, or waits: it does so even where it is to fail, and where an error sticks. */
#define ENTER_REGARDLESS(context)                                                                                      \
    static struct sim_function function = { .name = __func__, .api = SIM_CUDA };                                       \
    int demanded = sim_enter(&function);                                                                               \
    struct sim_context *context = NULL;                                                                                \
    int cannot = libcuda_here(&context);                                                                               \
    if (!context)                                                                                                      \
    return (CUresult)(demanded ? demanded : cannot)
#define LEAVE_REGARDLESS(call)                                                                                         \
    do {                                                                                                               \
        int status = (call);                                                                                           \
        return (CUresult)(demanded ? demanded : status);                                                               \
    } while (0)

#endif
