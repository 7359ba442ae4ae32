/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands: each runs late, reads its source then, and ends as its event tells. */
#include "opencl.h"
#include <stdlib.h>
#include <string.h>

cl_int sim_clFlush(cl_command_queue queue)
{
    ENTER(clFlush);
    return sim_cl_is(queue, SIM_CL_QUEUE) ? CL_SUCCESS : CL_INVALID_COMMAND_QUEUE;
}

cl_int sim_clFinish(cl_command_queue queue)
{
    FUNCTION(clFinish);
    if (!sim_cl_is(queue, SIM_CL_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    if (sim_stream_query(queue->context->context, queue->stream) == SIM_NOT_READY)
        sim_spin();
    int status = sim_stream_wait(queue->context->context, queue->stream);
    return demanded ? demanded : sim_cl_code(status);
}

/* -- what all commands have in common */

/* What a command waits for, whether the caller waits for it, and the event that it is. */
struct order {
    cl_uint wait_count;
    const cl_event *waits;
    cl_event *event;
    bool blocking;
};

enum { WAITS_MAX = 64 };

/* The engine's numbers of a wait list. */
static cl_int wait_list(const struct order *order, uintptr_t ids[WAITS_MAX])
{
    if ((order->wait_count == 0) != (order->waits == NULL) || order->wait_count > WAITS_MAX)
        return CL_INVALID_EVENT_WAIT_LIST;
    for (cl_uint i = 0; i < order->wait_count; i++) {
        if (!sim_cl_is(order->waits[i], SIM_CL_EVENT))
            return CL_INVALID_EVENT_WAIT_LIST;
        ids[i] = order->waits[i]->event;
    }
    return CL_SUCCESS;
}

/* How a command that the caller waits for has ended. */
static cl_int end_of(cl_event event)
{
    if (sim_event_query(event->context->context, event->event) == SIM_NOT_READY)
        sim_spin();
    return sim_cl_code(sim_event_wait(event->context->context, event->event));
}

/* Queues a command, with an event where one is asked for, or needed to tell the caller how it ended. */
static cl_int enqueue(cl_command_queue queue, struct sim_command *command, const struct order *order)
{
    uintptr_t ids[WAITS_MAX];
    cl_int code = wait_list(order, ids);
    if (code != CL_SUCCESS)
        return code;
    cl_event event = NULL;
    if ((order->event || order->blocking) && !(event = sim_cl_event_new(queue->context)))
        return CL_OUT_OF_HOST_MEMORY;
    command->late = !command->staged;
    command->wait_count = order->wait_count;
    command->waits = ids;
    command->completes = event ? event->event : 0;
    code = sim_cl_code(sim_run(queue->context->context, queue->stream, command));
    if (code == CL_SUCCESS && order->blocking)
        code = end_of(event);
    if (event && (code != CL_SUCCESS || !order->event))
        sim_cl_drop_event(event);
    else if (event)
        *order->event = event;
    return code;
}

static cl_int nothing(cl_command_queue queue, const struct order *order)
{
    if (!sim_cl_is(queue, SIM_CL_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    return enqueue(queue, &(struct sim_command){ .kind = SIM_NOTHING }, order);
}

/* A range of a buffer that a queue can work on; its memory is there then. */
static cl_int check(cl_command_queue queue, cl_mem mem, size_t offset, size_t bytes)
{
    if (!sim_cl_is(queue, SIM_CL_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    if (!sim_cl_is(mem, SIM_CL_MEM))
        return CL_INVALID_MEM_OBJECT;
    if (mem->context != queue->context) {
        sim_violation(SIM_WRONG_DEVICE, "a queue of %s is given a buffer of %s, in another context",
                      queue->context->device->device->id, mem->context->device->device->id);
        return CL_INVALID_CONTEXT;
    }
    if (bytes == 0 || offset > mem->bytes || bytes > mem->bytes - offset) {
        sim_violation(SIM_OUT_OF_RANGE, "%zu bytes from %zu of a buffer of %zu", bytes, offset, mem->bytes);
        return CL_INVALID_VALUE;
    }
    return sim_cl_allocate(mem);
}

static void *at(cl_mem mem, size_t offset)
{
    return (char *)mem->address + offset;
}

/* -- commands with bytes */

cl_int sim_clEnqueueReadBuffer(cl_command_queue queue, cl_mem mem, cl_bool blocking, size_t offset, size_t bytes,
                               void *to, cl_uint wait_count, const cl_event *waits, cl_event *event)
{
    ENTER(clEnqueueReadBuffer);
    cl_int code = check(queue, mem, offset, bytes);
    if (code != CL_SUCCESS)
        return code;
    struct sim_command command = { .kind = SIM_COPY, .to = to, .from = at(mem, offset), .bytes = bytes };
    return enqueue(queue, &command, &(struct order){ wait_count, waits, event, blocking });
}

cl_int sim_clEnqueueWriteBuffer(cl_command_queue queue, cl_mem mem, cl_bool blocking, size_t offset, size_t bytes,
                                const void *from, cl_uint wait_count, const cl_event *waits, cl_event *event)
{
    ENTER(clEnqueueWriteBuffer);
    cl_int code = check(queue, mem, offset, bytes);
    if (code != CL_SUCCESS)
        return code;
    struct sim_command command = { .kind = SIM_COPY, .to = at(mem, offset), .from = from, .bytes = bytes };
    return enqueue(queue, &command, &(struct order){ wait_count, waits, event, blocking });
}

cl_int sim_clEnqueueCopyBuffer(cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset, size_t to_offset,
                               size_t bytes, cl_uint wait_count, const cl_event *waits, cl_event *event)
{
    ENTER(clEnqueueCopyBuffer);
    cl_int code = check(queue, from, from_offset, bytes);
    if (code == CL_SUCCESS)
        code = check(queue, to, to_offset, bytes);
    if (code != CL_SUCCESS)
        return code;
    if (from == to && from_offset < to_offset + bytes && to_offset < from_offset + bytes)
        return CL_MEM_COPY_OVERLAP;
    struct sim_command command = {
        .kind = SIM_COPY, .to = at(to, to_offset), .from = at(from, from_offset), .bytes = bytes
    };
    return enqueue(queue, &command, &(struct order){ wait_count, waits, event, false });
}

cl_int sim_clEnqueueFillBuffer(cl_command_queue queue, cl_mem mem, const void *pattern, size_t pattern_bytes,
                               size_t offset, size_t bytes, cl_uint wait_count, const cl_event *waits, cl_event *event)
{
    ENTER(clEnqueueFillBuffer);
    cl_int code = check(queue, mem, offset, bytes);
    if (code != CL_SUCCESS)
        return code;
    struct sim_command command = { .kind = SIM_FILL, .to = at(mem, offset), .bytes = bytes };
    if (!pattern || pattern_bytes == 0 || pattern_bytes > sizeof command.pattern || offset % pattern_bytes ||
        bytes % pattern_bytes)
        return CL_INVALID_VALUE;
    command.pattern_bytes = (unsigned)pattern_bytes;
    memcpy(command.pattern, pattern, pattern_bytes);
    return enqueue(queue, &command, &(struct order){ wait_count, waits, event, false });
}

/* -- work: what no vendor has, for a test that looks it up in this driver. See SimLaunch in face.h */

#pragma GCC visibility push(default)
cl_int clSimLaunch(cl_command_queue queue, cl_mem weights, size_t offset, size_t bytes, uint64_t sum,
                   uint64_t duration_ns);
#pragma GCC visibility pop

cl_int clSimLaunch(cl_command_queue queue, cl_mem weights, size_t offset, size_t bytes, uint64_t sum,
                   uint64_t duration_ns)
{
    cl_int code = bytes ? check(queue, weights, offset, bytes) : CL_SUCCESS;
    if (code != CL_SUCCESS)
        return code;
    struct sim_command command = { .kind = SIM_KERNEL, .bytes = bytes, .sum = sum, .duration_ns = duration_ns };
    command.from = bytes ? at(weights, offset) : NULL;
    return enqueue(queue, &command, &(struct order){ 0 });
}

/* -- mappings: of memory that is pinned or the host's where it is, else a copy for the host, which goes back when it is unmapped */

static cl_int read_mapping(cl_command_queue queue, cl_mem mem, struct sim_cl_mapping *mapping, cl_map_flags flags,
                           const struct order *order)
{
    bool pinned = mem->flags & SIM_CL_IN_HOST;
    mapping->memory = pinned ? at(mem, mapping->offset) : malloc(mapping->bytes);
    if (!mapping->memory)
        return CL_OUT_OF_HOST_MEMORY;
    struct sim_command command = { .kind = SIM_NOTHING };
    if (!pinned && !(flags & CL_MAP_WRITE_INVALIDATE_REGION))
        command = (struct sim_command){
            .kind = SIM_COPY, .to = mapping->memory, .from = at(mem, mapping->offset), .bytes = mapping->bytes
        };
    cl_int code = enqueue(queue, &command, order);
    if (code != CL_SUCCESS && !pinned)
        free(mapping->memory);
    return code;
}

void *sim_clEnqueueMapBuffer(cl_command_queue queue, cl_mem mem, cl_bool blocking, cl_map_flags flags, size_t offset,
                             size_t bytes, cl_uint wait_count, const cl_event *waits, cl_event *event, cl_int *code_out)
{
    FUNCTION(clEnqueueMapBuffer);
    cl_int code = demanded ? demanded : check(queue, mem, offset, bytes);
    if (code != CL_SUCCESS)
        return sim_cl_created(NULL, code, code_out);
    struct sim_cl_mapping *mapping = malloc(sizeof *mapping);
    if (!mapping)
        return sim_cl_created(NULL, CL_OUT_OF_HOST_MEMORY, code_out);
    *mapping = (struct sim_cl_mapping){ .offset = offset, .bytes = bytes };
    mapping->writes = flags & (CL_MAP_WRITE | CL_MAP_WRITE_INVALIDATE_REGION);
    code = read_mapping(queue, mem, mapping, flags, &(struct order){ wait_count, waits, event, blocking });
    if (code != CL_SUCCESS) {
        free(mapping);
        return sim_cl_created(NULL, code, code_out);
    }
    sim_cl_add_mapping(mem, mapping);
    return sim_cl_created(mapping->memory, CL_SUCCESS, code_out);
}

static void drop_mapping(cl_mem mem, struct sim_cl_mapping *mapping)
{
    if (!(mem->flags & SIM_CL_IN_HOST))
        free(mapping->memory);
    free(mapping);
}

cl_int sim_clEnqueueUnmapMemObject(cl_command_queue queue, cl_mem mem, void *mapped, cl_uint wait_count,
                                   const cl_event *waits, cl_event *event)
{
    FUNCTION(clEnqueueUnmapMemObject);
    cl_int code = check(queue, mem, 0, 1);
    struct sim_cl_mapping *mapping = code == CL_SUCCESS ? sim_cl_take_mapping(mem, mapped) : NULL;
    if (!mapping)
        return code != CL_SUCCESS ? code : CL_INVALID_VALUE;
    struct sim_command command = { .kind = SIM_NOTHING };
    if (mapping->memory != at(mem, mapping->offset) && mapping->writes) {
        /* the host's copy is ours again with this call, so it is read now */
        command = (struct sim_command){ .kind = SIM_COPY,
                                        .to = at(mem, mapping->offset),
                                        .from = mapping->memory,
                                        .bytes = mapping->bytes,
                                        .staged = true };
    }
    code = demanded ? demanded : enqueue(queue, &command, &(struct order){ wait_count, waits, event, false });
    drop_mapping(mem, mapping);
    return code;
}

/* -- commands without */

/* A hint, which this driver does not take. */
cl_int sim_clEnqueueMigrateMemObjects(cl_command_queue queue, cl_uint count, const cl_mem *mems,
                                      cl_mem_migration_flags flags, cl_uint wait_count, const cl_event *waits,
                                      cl_event *event)
{
    ENTER(clEnqueueMigrateMemObjects);
    (void)flags;
    for (cl_uint i = 0; i < count; i++)
        if (!sim_cl_is(mems[i], SIM_CL_MEM))
            return CL_INVALID_MEM_OBJECT;
    return nothing(queue, &(struct order){ wait_count, waits, event, false });
}

cl_int sim_clEnqueueMarkerWithWaitList(cl_command_queue queue, cl_uint wait_count, const cl_event *waits,
                                       cl_event *event)
{
    ENTER(clEnqueueMarkerWithWaitList);
    return nothing(queue, &(struct order){ wait_count, waits, event, false });
}

cl_int sim_clEnqueueBarrierWithWaitList(cl_command_queue queue, cl_uint wait_count, const cl_event *waits,
                                        cl_event *event)
{
    ENTER(clEnqueueBarrierWithWaitList);
    return nothing(queue, &(struct order){ wait_count, waits, event, false });
}
