/* SPDX-License-Identifier: BSD-3-Clause */
/* How the functions of a runtime's face begin and end; API and VENDOR() are set by cudart.h and hip.h. */
#ifndef DT2_TESTS_SIM_FACE_H
#define DT2_TESTS_SIM_FACE_H

#include "sim.h"

/*
 * What no vendor has: work on a stream, in the current context. It takes so long, and reads `bytes` bytes of device
 * memory when it begins and when it ends, whose sum should be sim_sum()'s. Without bytes it only takes time. It counts
 * as no call.
 */
VENDOR(Error_t)
VENDOR(SimLaunch)(VENDOR(Stream_t) stream, const void *weights, size_t bytes, uint64_t sum, uint64_t duration_ns);

static inline VENDOR(Error_t) leave(int status)
{
    return (VENDOR(Error_t))sim_remember(API, status);
}

/* Counts a call of the function that this stands in, and leaves when it is to fail. */
#define ENTER                                                                                                          \
    static struct sim_function function = { .name = __func__, .api = API };                                            \
    int demanded = sim_enter(&function);                                                                               \
    if (demanded)                                                                                                      \
    return leave(demanded)

/* The same for what works in the current context. */
#define ENTER_CONTEXT(context)                                                                                         \
    ENTER;                                                                                                             \
    struct sim_context *context;                                                                                       \
    int cannot = sim_here(API, &context);                                                                              \
    if (cannot)                                                                                                        \
    return leave(cannot)

/*
 * What gives something back, or waits: it does so even where it is to fail, and where the context has an error that
 * sticks. The vendors' functions, too, report here what went wrong elsewhere.
 */
#define ENTER_REGARDLESS(context)                                                                                      \
    static struct sim_function function = { .name = __func__, .api = API };                                            \
    int demanded = sim_enter(&function);                                                                               \
    struct sim_context *context = NULL;                                                                                \
    int cannot = sim_here(API, &context);                                                                              \
    if (!context)                                                                                                      \
    return leave(demanded ? demanded : cannot)
#define LEAVE_REGARDLESS(call)                                                                                         \
    do {                                                                                                               \
        int status = (call);                                                                                           \
        return leave(demanded ? demanded : status);                                                                    \
    } while (0)

#endif
