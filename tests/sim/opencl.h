/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The simulated OpenCL driver from the inside: an installable client driver that the real loader loads.
 *
 *     opencl.c          what the loader asks for, platforms, devices
 *     opencl_objects.c  contexts, queues, buffers, events
 *     opencl_command.c  commands
 *
 * No function has the name of OpenCL's own, for which the loader's would be called: sim_clX is clX, and the dispatch
 * table lets the compiler compare them. What the driver of this project does not use is not there.
 */
#ifndef DT2_TESTS_SIM_OPENCL_H
#define DT2_TESTS_SIM_OPENCL_H

#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>
#include <CL/cl_ext.h>
#include <CL/cl_icd.h>

#include "sim.h"

#define SIM_CL_IN_HOST (CL_MEM_ALLOC_HOST_PTR | CL_MEM_USE_HOST_PTR) /* buffers that the host can write where they lie */

/* Every object begins with what the loader looks for. */
enum sim_cl_kind { SIM_CL_DEAD, SIM_CL_CONTEXT, SIM_CL_QUEUE, SIM_CL_MEM, SIM_CL_EVENT };
struct sim_cl_object {
    const cl_icd_dispatch *dispatch;
    enum sim_cl_kind kind;
    unsigned references;
};

struct _cl_platform_id {
    const cl_icd_dispatch *dispatch;
    const struct sim_device *first; /* of its devices: the platform's name and vendor are there */
};

struct _cl_device_id {
    const cl_icd_dispatch *dispatch;
    const struct sim_device *device;
    cl_platform_id platform;
};

/* Contexts of one device: more are refused. */
struct _cl_context {
    struct sim_cl_object object;
    cl_device_id device;
    struct sim_context *context;
};

struct _cl_command_queue {
    struct sim_cl_object object;
    cl_context context;
    cl_command_queue_properties properties;
    uintptr_t stream;
};

struct sim_cl_mapping {
    struct sim_cl_mapping *next;
    char *memory;
    size_t offset, bytes;
    bool writes;
};

struct _cl_mem {
    struct sim_cl_object object;
    cl_context context;
    cl_mem_flags flags;
    size_t bytes;
    void *address; /* of the device; of pinned host memory with ALLOC_HOST_PTR; NULL: not yet used, so not yet there */
    struct sim_cl_mapping *mappings;
};

struct _cl_event {
    struct sim_cl_object object;
    cl_context context;
    uintptr_t event;
};

/* Counts a call of clX, in sim_clX; `demanded` is the code with which it is to fail. */
#define FUNCTION(cl_name)                                                                                              \
    static struct sim_function function = { .name = #cl_name, .api = SIM_OPENCL };                                     \
    cl_int demanded = sim_cl_code(sim_enter(&function))
#define ENTER(cl_name)                                                                                                 \
    FUNCTION(cl_name);                                                                                                 \
    if (demanded)                                                                                                      \
    return demanded

extern const cl_icd_dispatch sim_cl_dispatch;

/* OpenCL's code for one of the engine's; those below 0 are OpenCL's already. */
cl_int sim_cl_code(int status);
/* One answer to a query. */
cl_int sim_cl_answer(const void *value, size_t size, size_t room, void *out, size_t *given);
/* Whether an object is what it is taken for; what was released is a violation. */
bool sim_cl_is(const void *object, enum sim_cl_kind kind);
/* What a function that creates something returns. */
static inline void *sim_cl_created(void *object, cl_int code, cl_int *code_out)
{
    if (code_out)
        *code_out = object ? CL_SUCCESS : code;
    return object;
}

/* -- opencl_objects.c */

cl_context sim_clCreateContext(const cl_context_properties *properties, cl_uint count, const cl_device_id *devices,
                               void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *data,
                               cl_int *code);
cl_int sim_clRetainContext(cl_context context);
cl_int sim_clReleaseContext(cl_context context);
cl_int sim_clGetContextInfo(cl_context context, cl_context_info what, size_t room, void *out, size_t *given);
cl_command_queue sim_clCreateCommandQueue(cl_context context, cl_device_id device,
                                          cl_command_queue_properties properties, cl_int *code);
cl_int sim_clRetainCommandQueue(cl_command_queue queue);
cl_int sim_clReleaseCommandQueue(cl_command_queue queue);
cl_int sim_clGetCommandQueueInfo(cl_command_queue queue, cl_command_queue_info what, size_t room, void *out,
                                 size_t *given);
cl_mem sim_clCreateBuffer(cl_context context, cl_mem_flags flags, size_t bytes, void *host, cl_int *code);
cl_int sim_clRetainMemObject(cl_mem mem);
cl_int sim_clReleaseMemObject(cl_mem mem);
cl_int sim_clGetMemObjectInfo(cl_mem mem, cl_mem_info what, size_t room, void *out, size_t *given);
cl_int sim_clRetainEvent(cl_event event);
cl_int sim_clReleaseEvent(cl_event event);
cl_int sim_clGetEventInfo(cl_event event, cl_event_info what, size_t room, void *out, size_t *given);
cl_int sim_clWaitForEvents(cl_uint count, const cl_event *events);
/* An event that no command completes yet; NULL without memory. */
cl_event sim_cl_event_new(cl_context context);
void sim_cl_drop_event(cl_event event);
/* The buffer's memory is there from now on. */
cl_int sim_cl_allocate(cl_mem mem);

void sim_cl_add_mapping(cl_mem mem, struct sim_cl_mapping *mapping);
/* Out of the list; NULL: the buffer is not mapped there. */
struct sim_cl_mapping *sim_cl_take_mapping(cl_mem mem, const void *mapped);

/* -- opencl_command.c */

cl_int sim_clFlush(cl_command_queue queue);
cl_int sim_clFinish(cl_command_queue queue);
cl_int sim_clEnqueueReadBuffer(cl_command_queue queue, cl_mem mem, cl_bool blocking, size_t offset, size_t bytes,
                               void *to, cl_uint wait_count, const cl_event *waits, cl_event *event);
cl_int sim_clEnqueueWriteBuffer(cl_command_queue queue, cl_mem mem, cl_bool blocking, size_t offset, size_t bytes,
                                const void *from, cl_uint wait_count, const cl_event *waits, cl_event *event);
cl_int sim_clEnqueueCopyBuffer(cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset, size_t to_offset,
                               size_t bytes, cl_uint wait_count, const cl_event *waits, cl_event *event);
cl_int sim_clEnqueueFillBuffer(cl_command_queue queue, cl_mem mem, const void *pattern, size_t pattern_bytes,
                               size_t offset, size_t bytes, cl_uint wait_count, const cl_event *waits, cl_event *event);
void *sim_clEnqueueMapBuffer(cl_command_queue queue, cl_mem mem, cl_bool blocking, cl_map_flags flags, size_t offset,
                             size_t bytes, cl_uint wait_count, const cl_event *waits, cl_event *event, cl_int *code);
cl_int sim_clEnqueueUnmapMemObject(cl_command_queue queue, cl_mem mem, void *mapped, cl_uint wait_count,
                                   const cl_event *waits, cl_event *event);
cl_int sim_clEnqueueMigrateMemObjects(cl_command_queue queue, cl_uint count, const cl_mem *mems,
                                      cl_mem_migration_flags flags, cl_uint wait_count, const cl_event *waits,
                                      cl_event *event);
cl_int sim_clEnqueueMarkerWithWaitList(cl_command_queue queue, cl_uint wait_count, const cl_event *waits,
                                       cl_event *event);
cl_int sim_clEnqueueBarrierWithWaitList(cl_command_queue queue, cl_uint wait_count, const cl_event *waits,
                                        cl_event *event);

#endif
