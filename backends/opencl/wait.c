/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting for commands without burning a core. */
#include "opencl.h"
#include <sched.h>
#include <time.h>

/*
 * What waits in OpenCL (clWaitForEvents, clFinish, a blocking command) spins with the drivers of NVIDIA and Intel until
 * the work is done. So the state is looked at, with naps between that grow with the time waited: late by a sixteenth of
 * it at most. No callback: some come late or never, and none may come into a module that was unloaded.
 */
#define NAP_MIN_NS 20000u
#define NAP_MAX_NS 1000000u
#define NAP_PART 16
#define AWAKE_NS 30000u /* small copies end within it: others get the core, but no nap is taken */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void nap(uint64_t waited_ns)
{
    uint64_t ns = waited_ns / NAP_PART;
    ns = ns < NAP_MIN_NS ? NAP_MIN_NS : ns > NAP_MAX_NS ? NAP_MAX_NS : ns;
    if (waited_ns < AWAKE_NS)
        sched_yield();
    else
        nanosleep(&(struct timespec){ .tv_nsec = (long)ns }, NULL);
}

cl_int dt2_cl_state(cl_event event)
{
    cl_int state = CL_COMPLETE;
    cl_int code = clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
    return code == CL_SUCCESS ? state : code;
}

cl_int dt2_cl_settle(cl_event event)
{
    /* To have seen the state is no synchronization point (OpenCL 1.2, 5.9); to wait for what is done is, and is quick. */
    cl_int code = clWaitForEvents(1, &event);
    cl_int state = dt2_cl_state(event); /* says more than "an event of the list failed" */
    return state < 0 ? state : code;
}

cl_int dt2_cl_finish(cl_event event)
{
    uint64_t begin = now_ns();
    while (dt2_cl_state(event) > CL_COMPLETE)
        nap(now_ns() - begin);
    return dt2_cl_settle(event);
}

cl_int dt2_cl_submit(cl_command_queue queue, cl_event event)
{
    clFlush(queue); /* what fails here, waiting tells */
    cl_int code = dt2_cl_finish(event);
    clReleaseEvent(event);
    return code;
}
