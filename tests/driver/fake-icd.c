/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver for the ICD loader whose platforms show what no machine at hand has: GPUs with a place on the bus, an old
 * one, a platform that fails; and work that fails when it runs. It counts what was made and not released.
 */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <CL/cl_icd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Buffers above this come into being, and fail when they are first used. */
#define LAZY_BYTES ((size_t)64 << 20)
/* A write of so many bytes is queued, and fails when it runs. */
#define FAILING_BYTES 666

extern const cl_icd_dispatch fake_dispatch;
EXPORT long fake_icd_live;

struct property {
    cl_uint what;
    size_t size;
    const void *value;
};
#define TEXT(what, text) { what, sizeof(text), text }
#define VALUE(what, type, ...) { what, sizeof(type), &(const type)__VA_ARGS__ }

struct _cl_device_id {
    const cl_icd_dispatch *dispatch;
    const struct property *properties;
};
struct _cl_platform_id {
    const cl_icd_dispatch *dispatch;
    const char *name, *vendor;
    cl_int failure; /* of clGetDeviceIDs */
    struct _cl_device_id devices[4];
};
struct _cl_context {
    const cl_icd_dispatch *dispatch;
};
struct _cl_command_queue {
    const cl_icd_dispatch *dispatch;
};
struct _cl_mem {
    const cl_icd_dispatch *dispatch;
    size_t size;
};
struct _cl_event {
    const cl_icd_dispatch *dispatch;
    cl_int status;
    int references;
};

#define COMMON(name, type)                                                                                             \
    TEXT(CL_DEVICE_NAME, name), VALUE(CL_DEVICE_TYPE, cl_device_type, { type }),                                       \
        VALUE(CL_DEVICE_AVAILABLE, cl_bool, { CL_TRUE }), VALUE(CL_DEVICE_GLOBAL_MEM_SIZE, cl_ulong, { 8ul << 30 })
#define NEW TEXT(CL_DEVICE_VERSION, "OpenCL 1.2 fake")

#define NV_COMMON(name, slot)                                                                                          \
    COMMON(name, CL_DEVICE_TYPE_GPU), NEW, TEXT(CL_DEVICE_VENDOR, "NVIDIA Corporation"),                               \
        VALUE(0x4008, cl_uint, { 0x65 }), VALUE(0x4009, cl_uint, { slot }),                                            \
        VALUE(CL_DEVICE_MEM_BASE_ADDR_ALIGN, cl_uint, { 4096 }),                                                       \
        VALUE(CL_DEVICE_MAX_MEM_ALLOC_SIZE, cl_ulong, { 2ul << 30 })
static const struct property nv_first[] = {
    NV_COMMON("  NVIDIA   GeForce\tRTX 4090 ", 0x10),
    TEXT(CL_DEVICE_EXTENSIONS, "cl_khr_icd cl_nv_device_attribute_query cl_khr_device_uuid"),
    VALUE(0x400A, cl_uint, { 0x10001 }),
    { 0x106A, 16, "\x01\x23\x45\x67\x89\xab\xcd\xef\xFE\xDC\xBA\x98\x76\x54\x32\x10" },
    { 0, 0, NULL },
};
static const struct property nv_second[] = { /* no domain; a UUID of zeros */
    NV_COMMON("NVIDIA GeForce RTX 3060", 0x1F),
    TEXT(CL_DEVICE_EXTENSIONS, "cl_khr_device_uuid cl_nv_device_attribute_query"),
    { 0x106A, 16, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" },
    { 0, 0, NULL },
};
static const struct property nv_quiet[] = { /* the numbers are there, the extension is not */
    NV_COMMON("NVIDIA Unnamed", 0),
    TEXT(CL_DEVICE_EXTENSIONS, "cl_khr_icd xcl_nv_device_attribute_query cl_nv_device_attribute_query_2"),
    { 0, 0, NULL },
};

static const struct property amd_discrete[] = {
    COMMON("gfx1100", CL_DEVICE_TYPE_GPU), NEW,
    TEXT(CL_DEVICE_VENDOR, "Advanced Micro Devices, Inc."),
    TEXT(CL_DEVICE_EXTENSIONS, "cl_amd_device_attribute_query"),
    { 0x4037, 24, "\x01\0\0\0" "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" "\xC3\x00\x01" },
    TEXT(0x4038, "AMD Radeon RX 7900 XTX"),
    VALUE(0x4039, size_t, { 1000 }),
    VALUE(CL_DEVICE_MEM_BASE_ADDR_ALIGN, cl_uint, { 1100 }), /* 137 bytes: no power of two */
    { 0, 0, NULL },
};
static const struct property amd_integrated[] = {
    COMMON("gfx1036", CL_DEVICE_TYPE_GPU), NEW,
    TEXT(CL_DEVICE_VENDOR, "Advanced Micro Devices, Inc."),
    TEXT(CL_DEVICE_EXTENSIONS, "cl_amd_device_attribute_query"),
    { 0x4037, 24, "\0\0\0\0" "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" "\xC3\x00\x01" }, /* no PCIe */
    TEXT(0x4038, ""),
    VALUE(CL_DEVICE_HOST_UNIFIED_MEMORY, cl_bool, { CL_TRUE }),
    { 0, 0, NULL },
};

static const struct property mesa[] = {
    /* a name that is too long, with euro signs, so that a cut hits the middle of one */
    COMMON("a\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC"
           "0123456789012345678901234567890123456789012345678901234567890123456789"
           "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
           "0123456789012345678901234567890123456789012345678901234567890123456"
           "\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC", CL_DEVICE_TYPE_ACCELERATOR), NEW,
    TEXT(CL_DEVICE_VENDOR, "AMD"),
    TEXT(CL_DEVICE_EXTENSIONS, "cl_khr_pci_bus_info"),
    { 0x410F, 16, "\x02\0\0\0\xC3\0\0\0\x1F\0\0\0\x07\0\0\0" },
    { 0, 0, NULL },
};
static const struct property ancient[] = {
    COMMON("Ancient", CL_DEVICE_TYPE_GPU), TEXT(CL_DEVICE_VERSION, "OpenCL 1.1 fake"), { 0, 0, NULL },
};
static const struct property away[] = {
    TEXT(CL_DEVICE_NAME, "Away"), NEW, VALUE(CL_DEVICE_AVAILABLE, cl_bool, { CL_FALSE }), { 0, 0, NULL },
};

#define DEVICE(properties) { &fake_dispatch, properties }
static struct _cl_platform_id platforms[] = {
    { &fake_dispatch, "NVIDIA CUDA", "NVIDIA Corporation", CL_SUCCESS,
      { DEVICE(nv_first), DEVICE(nv_second), DEVICE(nv_quiet) } },
    { &fake_dispatch, "AMD APP", "Advanced Micro Devices, Inc.", CL_SUCCESS,
      { DEVICE(amd_discrete), DEVICE(amd_integrated), DEVICE(away) } },
    { &fake_dispatch, "twin", "Mesa/X.org", CL_SUCCESS, { DEVICE(mesa) } },
    { &fake_dispatch, "twin", "Mesa/X.org", CL_SUCCESS, { DEVICE(mesa) } },
    { &fake_dispatch, "Museum", "Ancient", CL_SUCCESS, { DEVICE(ancient) } },
    { &fake_dispatch, "Broken", "Ancient", CL_OUT_OF_HOST_MEMORY, { DEVICE(ancient) } },
    { &fake_dispatch, "Empty", "Nobody", CL_DEVICE_NOT_FOUND, { { NULL, NULL } } },
};

/* -- what is asked */

static cl_int answer(const void *value, size_t size, size_t room, void *out, size_t *given)
{
    if (out && room < size)
        return CL_INVALID_VALUE;
    if (out)
        memcpy(out, value, size);
    if (given)
        *given = size;
    return CL_SUCCESS;
}

static cl_int fake_platform_info(cl_platform_id platform, cl_platform_info what, size_t room, void *out, size_t *given)
{
    const char *text = what == CL_PLATFORM_NAME                ? platform->name
                       : what == CL_PLATFORM_VENDOR            ? platform->vendor
                       : what == CL_PLATFORM_VERSION           ? "OpenCL 1.2 fake"
                       : what == CL_PLATFORM_PROFILE           ? "FULL_PROFILE"
                       : what == CL_PLATFORM_EXTENSIONS        ? "cl_khr_icd"
                       : what == CL_PLATFORM_ICD_SUFFIX_KHR    ? "FAKE"
                                                               : NULL;
    return text ? answer(text, strlen(text) + 1, room, out, given) : CL_INVALID_VALUE;
}

static cl_int fake_device_ids(cl_platform_id platform, cl_device_type type, cl_uint room, cl_device_id *ids,
                              cl_uint *given)
{
    cl_uint count = 0;
    (void)type;
    if (platform->failure != CL_SUCCESS)
        return platform->failure;
    while (count < COUNT(platform->devices) && platform->devices[count].dispatch)
        count++;
    for (cl_uint i = 0; ids && i < room && i < count; i++)
        ids[i] = &platform->devices[i];
    if (given)
        *given = count;
    return CL_SUCCESS;
}

static cl_int fake_device_info(cl_device_id device, cl_device_info what, size_t room, void *out, size_t *given)
{
    for (const struct property *p = device->properties; p->value; p++)
        if (p->what == what)
            return answer(p->value, p->size, room, out, given);
    return CL_INVALID_VALUE;
}

/* -- what is made */

static void *make(size_t size)
{
    void *made = calloc(1, size);
    *(const cl_icd_dispatch **)made = &fake_dispatch;
    __atomic_add_fetch(&fake_icd_live, 1, __ATOMIC_RELAXED);
    return made;
}

static cl_int release(void *object)
{
    free(object);
    __atomic_sub_fetch(&fake_icd_live, 1, __ATOMIC_RELAXED);
    return CL_SUCCESS;
}

static cl_context fake_create_context(const cl_context_properties *properties, cl_uint count, const cl_device_id *ids,
                                      void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *data,
                                      cl_int *code)
{
    (void)properties, (void)count, (void)notify, (void)data;
    *code = ids[0]->properties == mesa ? CL_OUT_OF_RESOURCES : CL_SUCCESS;
    return *code == CL_SUCCESS ? make(sizeof(struct _cl_context)) : NULL;
}

static cl_int fake_release_context(cl_context context)
{
    return release(context);
}

static cl_command_queue fake_create_queue(cl_context context, cl_device_id id, cl_command_queue_properties properties,
                                          cl_int *code)
{
    (void)context, (void)properties;
    *code = id->properties == amd_integrated ? CL_DEVICE_NOT_AVAILABLE : CL_SUCCESS;
    return *code == CL_SUCCESS ? make(sizeof(struct _cl_command_queue)) : NULL;
}

static cl_int fake_release_queue(cl_command_queue queue)
{
    return release(queue);
}

static cl_mem fake_create_buffer(cl_context context, cl_mem_flags flags, size_t size, void *memory, cl_int *code)
{
    (void)context, (void)flags, (void)memory;
    *code = CL_SUCCESS;
    cl_mem mem = make(sizeof *mem);
    mem->size = size;
    return mem;
}

static cl_int fake_release_mem(cl_mem mem)
{
    return release(mem);
}

/* A command that has run: with `status`, or failed because one that it waited for had. */
static cl_int ran(cl_int status, cl_uint count, const cl_event *list, cl_event *event)
{
    for (cl_uint i = 0; i < count; i++)
        if (list[i]->status < 0)
            status = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
    if (!event)
        return CL_SUCCESS;
    *event = make(sizeof **event);
    (*event)->status = status;
    (*event)->references = 1;
    return CL_SUCCESS;
}

static cl_int fake_migrate(cl_command_queue queue, cl_uint mem_count, const cl_mem *mems, cl_mem_migration_flags flags,
                           cl_uint count, const cl_event *list, cl_event *event)
{
    (void)queue, (void)mem_count, (void)mems, (void)flags; /* a hint, as some take it */
    return ran(CL_COMPLETE, count, list, event);
}

static cl_int fake_fill(cl_command_queue queue, cl_mem mem, const void *pattern, size_t pattern_size, size_t offset,
                        size_t size, cl_uint count, const cl_event *list, cl_event *event)
{
    (void)queue, (void)pattern, (void)pattern_size, (void)offset, (void)size;
    return ran(mem->size > LAZY_BYTES ? CL_MEM_OBJECT_ALLOCATION_FAILURE : CL_COMPLETE, count, list, event);
}

static cl_int fake_write(cl_command_queue queue, cl_mem mem, cl_bool blocking, size_t offset, size_t size,
                         const void *source, cl_uint count, const cl_event *list, cl_event *event)
{
    (void)queue, (void)mem, (void)blocking, (void)offset, (void)source;
    return ran(size == FAILING_BYTES ? CL_OUT_OF_RESOURCES : CL_COMPLETE, count, list, event);
}

static cl_int fake_marker(cl_command_queue queue, cl_uint count, const cl_event *list, cl_event *event)
{
    (void)queue;
    return ran(CL_COMPLETE, count, list, event);
}

static cl_int fake_finish(cl_command_queue queue)
{
    (void)queue;
    return CL_SUCCESS;
}

static cl_int fake_wait(cl_uint count, const cl_event *list)
{
    for (cl_uint i = 0; i < count; i++)
        if (list[i]->status < 0)
            return CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
    return CL_SUCCESS;
}

static cl_int fake_event_info(cl_event event, cl_event_info what, size_t room, void *out, size_t *given)
{
    return what == CL_EVENT_COMMAND_EXECUTION_STATUS ? answer(&event->status, sizeof event->status, room, out, given)
                                                     : CL_INVALID_VALUE;
}

static cl_int fake_retain_event(cl_event event)
{
    event->references++;
    return CL_SUCCESS;
}

static cl_int fake_release_event(cl_event event)
{
    return --event->references ? CL_SUCCESS : release(event);
}

const cl_icd_dispatch fake_dispatch = {
    .clGetPlatformInfo = fake_platform_info,
    .clGetDeviceIDs = fake_device_ids,
    .clGetDeviceInfo = fake_device_info,
    .clCreateContext = fake_create_context,
    .clReleaseContext = fake_release_context,
    .clCreateCommandQueue = fake_create_queue,
    .clReleaseCommandQueue = fake_release_queue,
    .clCreateBuffer = fake_create_buffer,
    .clReleaseMemObject = fake_release_mem,
    .clEnqueueMigrateMemObjects = fake_migrate,
    .clEnqueueFillBuffer = fake_fill,
    .clEnqueueWriteBuffer = fake_write,
    .clEnqueueMarkerWithWaitList = fake_marker,
    .clEnqueueBarrierWithWaitList = fake_marker,
    .clFlush = fake_finish,
    .clFinish = fake_finish,
    .clWaitForEvents = fake_wait,
    .clGetEventInfo = fake_event_info,
    .clRetainEvent = fake_retain_event,
    .clReleaseEvent = fake_release_event,
};

/* -- what the loader looks for */

static cl_int fake_platform_ids(cl_uint room, cl_platform_id *ids, cl_uint *given)
{
    for (cl_uint i = 0; ids && i < room && i < COUNT(platforms); i++)
        ids[i] = &platforms[i];
    if (given)
        *given = COUNT(platforms);
    return CL_SUCCESS;
}

EXPORT CL_API_ENTRY void *CL_API_CALL clGetExtensionFunctionAddress(const char *name)
{
    return strcmp(name, "clIcdGetPlatformIDsKHR") == 0 ? __extension__(void *)fake_platform_ids : NULL;
}

EXPORT CL_API_ENTRY cl_int CL_API_CALL clGetPlatformInfo(cl_platform_id platform, cl_platform_info what, size_t room,
                                                         void *out, size_t *given)
{
    return fake_platform_info(platform, what, room, out, given);
}
