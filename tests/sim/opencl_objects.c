/* SPDX-License-Identifier: BSD-3-Clause */
/* Contexts, queues, buffers, events: counted references, and a wake for those that were released. */
#include "opencl.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER(value) sim_cl_answer(&(value), sizeof(value), room, out, given)

static const char *const kind_names[] = { "dead", "cl_context", "cl_queue", "cl_mem", "cl_event" };

/* Guards references, and the mappings of buffers. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *object_new(enum sim_cl_kind kind, size_t size)
{
    struct sim_cl_object *object = calloc(1, size);
    if (!object)
        return NULL;
    *object = (struct sim_cl_object){ &sim_cl_dispatch, kind, 1 };
    sim_count_object(kind_names[kind], 1);
    return object;
}

/* Released objects stay for a while, so that whoever uses one is caught and not struck by lightning. */
static void bury(struct sim_cl_object *object)
{
    enum { GRAVES = 256 };
    static struct sim_cl_object *graves[GRAVES];
    static unsigned next;
    sim_count_object(kind_names[object->kind], -1);
    pthread_mutex_lock(&lock);
    object->kind = SIM_CL_DEAD;
    free(graves[next]);
    graves[next] = object;
    next = (next + 1) % GRAVES;
    pthread_mutex_unlock(&lock);
}

bool sim_cl_is(const void *object, enum sim_cl_kind kind)
{
    pthread_mutex_lock(&lock);
    bool is = object && ((const struct sim_cl_object *)object)->kind == kind;
    pthread_mutex_unlock(&lock);
    if (!is)
        sim_violation(SIM_BAD_HANDLE, "%p is no %s, or none any more", object, kind_names[kind]);
    return is;
}

static void hold(struct sim_cl_object *object)
{
    pthread_mutex_lock(&lock);
    object->references++;
    pthread_mutex_unlock(&lock);
}

/* Whether that was the last reference. */
static bool drop(struct sim_cl_object *object)
{
    pthread_mutex_lock(&lock);
    bool last = --object->references == 0;
    pthread_mutex_unlock(&lock);
    return last;
}

/* -- contexts */

cl_context sim_clCreateContext(const cl_context_properties *properties, cl_uint count, const cl_device_id *devices,
                               void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *data,
                               cl_int *code)
{
    FUNCTION(clCreateContext);
    (void)properties, (void)notify, (void)data;
    if (demanded || count != 1 || !devices)
        return sim_cl_created(NULL, demanded ? demanded : CL_INVALID_VALUE, code);
    struct sim_context *made = sim_primary(SIM_OPENCL, devices[0]->device);
    int status = sim_context_retain(made);
    cl_context context = status ? NULL : object_new(SIM_CL_CONTEXT, sizeof *context);
    if (context) {
        context->device = devices[0];
        context->context = made;
    } else if (status == SIM_OK) {
        sim_context_release(made);
    }
    return sim_cl_created(context, status ? sim_cl_code(status) : CL_OUT_OF_HOST_MEMORY, code);
}

static void drop_context(cl_context context)
{
    if (!drop(&context->object))
        return;
    sim_context_release(context->context);
    bury(&context->object);
}

cl_int sim_clRetainContext(cl_context context)
{
    ENTER(clRetainContext);
    if (!sim_cl_is(context, SIM_CL_CONTEXT))
        return CL_INVALID_CONTEXT;
    hold(&context->object);
    return CL_SUCCESS;
}

cl_int sim_clReleaseContext(cl_context context)
{
    FUNCTION(clReleaseContext);
    if (!sim_cl_is(context, SIM_CL_CONTEXT))
        return CL_INVALID_CONTEXT;
    drop_context(context);
    return demanded;
}

cl_int sim_clGetContextInfo(cl_context context, cl_context_info what, size_t room, void *out, size_t *given)
{
    ENTER(clGetContextInfo);
    if (!sim_cl_is(context, SIM_CL_CONTEXT))
        return CL_INVALID_CONTEXT;
    cl_uint one = 1;
    if (what == CL_CONTEXT_DEVICES)
        return ANSWER(context->device);
    return what == CL_CONTEXT_NUM_DEVICES ? ANSWER(one) : CL_INVALID_VALUE;
}

/* -- queues */

cl_command_queue sim_clCreateCommandQueue(cl_context context, cl_device_id device,
                                          cl_command_queue_properties properties, cl_int *code)
{
    FUNCTION(clCreateCommandQueue);
    if (demanded || !sim_cl_is(context, SIM_CL_CONTEXT) || context->device != device)
        return sim_cl_created(NULL, demanded ? demanded : CL_INVALID_DEVICE, code);
    cl_command_queue queue = object_new(SIM_CL_QUEUE, sizeof *queue);
    if (!queue)
        return sim_cl_created(NULL, CL_OUT_OF_HOST_MEMORY, code);
    queue->context = context;
    queue->properties = properties;
    int status = sim_context_make(context->context);
    if (status == SIM_OK)
        status = sim_stream_create(context->context, false, &queue->stream);
    if (status) {
        bury(&queue->object);
        return sim_cl_created(NULL, sim_cl_code(status), code);
    }
    hold(&context->object);
    return sim_cl_created(queue, CL_SUCCESS, code);
}

cl_int sim_clRetainCommandQueue(cl_command_queue queue)
{
    ENTER(clRetainCommandQueue);
    if (!sim_cl_is(queue, SIM_CL_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    hold(&queue->object);
    return CL_SUCCESS;
}

cl_int sim_clReleaseCommandQueue(cl_command_queue queue)
{
    FUNCTION(clReleaseCommandQueue);
    if (!sim_cl_is(queue, SIM_CL_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    if (drop(&queue->object)) {
        sim_stream_destroy(queue->context->context, queue->stream);
        drop_context(queue->context);
        bury(&queue->object);
    }
    return demanded;
}

cl_int sim_clGetCommandQueueInfo(cl_command_queue queue, cl_command_queue_info what, size_t room, void *out,
                                 size_t *given)
{
    ENTER(clGetCommandQueueInfo);
    if (!sim_cl_is(queue, SIM_CL_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    switch (what) {
    case CL_QUEUE_CONTEXT:
        return ANSWER(queue->context);
    case CL_QUEUE_DEVICE:
        return ANSWER(queue->context->device);
    case CL_QUEUE_PROPERTIES:
        return ANSWER(queue->properties);
    }
    return CL_INVALID_VALUE;
}

/* -- buffers: device memory comes with the first use; what creating one promises is nothing */

cl_mem sim_clCreateBuffer(cl_context context, cl_mem_flags flags, size_t bytes, void *host, cl_int *code)
{
    FUNCTION(clCreateBuffer);
    if (demanded || !sim_cl_is(context, SIM_CL_CONTEXT))
        return sim_cl_created(NULL, demanded ? demanded : CL_INVALID_CONTEXT, code);
    bool wraps = (flags & CL_MEM_USE_HOST_PTR) && context->device->device->integrated; /* others have memory of their own */
    if (wraps ? !host : host || (flags & (CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR)))
        return sim_cl_created(NULL, CL_INVALID_HOST_PTR, code);
    if (bytes == 0 || bytes > context->device->device->max_alloc_bytes)
        return sim_cl_created(NULL, CL_INVALID_BUFFER_SIZE, code);
    cl_mem mem = object_new(SIM_CL_MEM, sizeof *mem);
    if (!mem)
        return sim_cl_created(NULL, CL_OUT_OF_HOST_MEMORY, code);
    mem->context = context;
    mem->flags = flags;
    mem->bytes = bytes;
    mem->address = wraps ? host : NULL;
    if (wraps ? sim_host_register(context->context, host, bytes, false)
              : (flags & CL_MEM_ALLOC_HOST_PTR) && sim_host_alloc(context->context, bytes, false, &mem->address)) {
        bury(&mem->object);
        return sim_cl_created(NULL, CL_MEM_OBJECT_ALLOCATION_FAILURE, code);
    }
    hold(&context->object);
    return sim_cl_created(mem, CL_SUCCESS, code);
}

cl_int sim_cl_allocate(cl_mem mem)
{
    return mem->address ? CL_SUCCESS : sim_cl_code(sim_malloc(mem->context->context, mem->bytes, &mem->address));
}

void sim_cl_add_mapping(cl_mem mem, struct sim_cl_mapping *mapping)
{
    pthread_mutex_lock(&lock);
    mapping->next = mem->mappings;
    mem->mappings = mapping;
    pthread_mutex_unlock(&lock);
}

struct sim_cl_mapping *sim_cl_take_mapping(cl_mem mem, const void *mapped)
{
    pthread_mutex_lock(&lock);
    struct sim_cl_mapping **link = &mem->mappings, *found;
    while ((found = *link) && found->memory != mapped)
        link = &found->next;
    if (found)
        *link = found->next;
    pthread_mutex_unlock(&lock);
    return found;
}

cl_int sim_clRetainMemObject(cl_mem mem)
{
    ENTER(clRetainMemObject);
    if (!sim_cl_is(mem, SIM_CL_MEM))
        return CL_INVALID_MEM_OBJECT;
    hold(&mem->object);
    return CL_SUCCESS;
}

/* The memory goes when no command needs it any more, as OpenCL promises. */
static void free_mem(cl_mem mem)
{
    struct sim_context *context = mem->context->context;
    if (mem->address)
        sim_wait_idle(mem->address, mem->bytes);
    if (mem->address && (mem->flags & CL_MEM_ALLOC_HOST_PTR))
        sim_host_free(context, mem->address);
    else if (mem->flags & CL_MEM_USE_HOST_PTR)
        sim_host_unregister(context, mem->address);
    else if (mem->address)
        sim_free(context, mem->address);
    if (mem->mappings)
        sim_violation(SIM_ABANDONED, "a buffer of %zu bytes is released while it is mapped", mem->bytes);
    while (mem->mappings) {
        struct sim_cl_mapping *mapping = mem->mappings;
        mem->mappings = mapping->next;
        if (!(mem->flags & SIM_CL_IN_HOST))
            free(mapping->memory);
        free(mapping);
    }
    drop_context(mem->context);
    bury(&mem->object);
}

cl_int sim_clReleaseMemObject(cl_mem mem)
{
    FUNCTION(clReleaseMemObject);
    if (!sim_cl_is(mem, SIM_CL_MEM))
        return CL_INVALID_MEM_OBJECT;
    if (drop(&mem->object))
        free_mem(mem);
    return demanded;
}

cl_int sim_clGetMemObjectInfo(cl_mem mem, cl_mem_info what, size_t room, void *out, size_t *given)
{
    ENTER(clGetMemObjectInfo);
    if (!sim_cl_is(mem, SIM_CL_MEM))
        return CL_INVALID_MEM_OBJECT;
    cl_mem_object_type type = CL_MEM_OBJECT_BUFFER;
    switch (what) {
    case CL_MEM_TYPE:
        return ANSWER(type);
    case CL_MEM_FLAGS:
        return ANSWER(mem->flags);
    case CL_MEM_SIZE:
        return ANSWER(mem->bytes);
    case CL_MEM_CONTEXT:
        return ANSWER(mem->context);
    }
    return CL_INVALID_VALUE;
}

/* -- events */

cl_event sim_cl_event_new(cl_context context)
{
    cl_event event = object_new(SIM_CL_EVENT, sizeof *event);
    if (!event)
        return NULL;
    event->context = context;
    if (sim_event_create(context->context, &event->event)) {
        bury(&event->object);
        return NULL;
    }
    hold(&context->object);
    return event;
}

void sim_cl_drop_event(cl_event event)
{
    if (!drop(&event->object))
        return;
    sim_event_destroy(event->context->context, event->event);
    drop_context(event->context);
    bury(&event->object);
}

cl_int sim_clRetainEvent(cl_event event)
{
    ENTER(clRetainEvent);
    if (!sim_cl_is(event, SIM_CL_EVENT))
        return CL_INVALID_EVENT;
    hold(&event->object);
    return CL_SUCCESS;
}

cl_int sim_clReleaseEvent(cl_event event)
{
    FUNCTION(clReleaseEvent);
    if (!sim_cl_is(event, SIM_CL_EVENT))
        return CL_INVALID_EVENT;
    sim_cl_drop_event(event);
    return demanded;
}

cl_int sim_clGetEventInfo(cl_event event, cl_event_info what, size_t room, void *out, size_t *given)
{
    ENTER(clGetEventInfo);
    if (!sim_cl_is(event, SIM_CL_EVENT))
        return CL_INVALID_EVENT;
    if (what == CL_EVENT_CONTEXT)
        return ANSWER(event->context);
    if (what != CL_EVENT_COMMAND_EXECUTION_STATUS)
        return CL_INVALID_VALUE;
    int status = sim_event_query(event->context->context, event->event);
    cl_int state = status == SIM_NOT_READY ? CL_SUBMITTED : sim_cl_code(status);
    return ANSWER(state);
}

cl_int sim_clWaitForEvents(cl_uint count, const cl_event *events)
{
    FUNCTION(clWaitForEvents);
    cl_int code = count && events ? CL_SUCCESS : CL_INVALID_VALUE;
    for (cl_uint i = 0; events && i < count; i++)
        if (!sim_cl_is(events[i], SIM_CL_EVENT)) {
            code = CL_INVALID_EVENT;
        } else {
            if (sim_event_query(events[i]->context->context, events[i]->event) == SIM_NOT_READY)
                sim_spin();
            if (sim_event_wait(events[i]->context->context, events[i]->event))
                code = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
        }
    return demanded ? demanded : code;
}
