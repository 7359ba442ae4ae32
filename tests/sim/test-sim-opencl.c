/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated OpenCL driver, through the real ICD loader. */
#define CL_TARGET_OPENCL_VERSION 120
#include "sandbox.h"
#include <CL/cl.h>

#define MiB ((size_t)1 << 20)
#define CARD(id, platform, more)                                                                                       \
    "[gpu " id "]\nname = Card " id "\nvendor = Maker\nplatform = " platform "\ndrivers = opencl\nmemory = 64MiB\n"    \
    "max_alloc = 40MiB\npci = 0000:0" id ":00.0\nuuid = 0000000" id "-1234-4abc-8def-0123456789ab\n" more
#define TWO CARD("1", "First", "") CARD("2", "Second", "identity = amd\n")
#define SLOW CARD("1", "First", "link_gbps = 0.1\n")

struct setup {
    cl_device_id device;
    cl_context context;
    cl_command_queue queue;
};

static char vendors[64];

static cl_device_id device_at(cl_uint index)
{
    cl_platform_id platforms[4];
    cl_device_id device = NULL;
    cl_uint count = 0;
    setenv("OCL_ICD_VENDORS", vendors, 1);
    must(clGetPlatformIDs(4, platforms, &count) == CL_SUCCESS && count > index);
    must(clGetDeviceIDs(platforms[index], CL_DEVICE_TYPE_ALL, 1, &device, NULL) == CL_SUCCESS);
    return device;
}

static struct setup set_up(void)
{
    struct setup s = { .device = device_at(0) };
    cl_int code;
    s.context = clCreateContext(NULL, 1, &s.device, NULL, NULL, &code);
    must(code == CL_SUCCESS);
    s.queue = clCreateCommandQueue(s.context, s.device, 0, &code);
    must(code == CL_SUCCESS);
    return s;
}

static void tear_down(struct setup *s)
{
    must(clReleaseCommandQueue(s->queue) == CL_SUCCESS && clReleaseContext(s->context) == CL_SUCCESS);
}

static cl_mem buffer(const struct setup *s, cl_mem_flags flags, size_t bytes)
{
    cl_int code;
    cl_mem mem = clCreateBuffer(s->context, flags, bytes, NULL, &code);
    must(code == CL_SUCCESS);
    return mem;
}

static cl_int state_of(cl_event event)
{
    cl_int state = 99;
    must(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL) == CL_SUCCESS);
    return state;
}

static void body_listing(void)
{
    cl_device_id first = device_at(0), second = device_at(1);
    unsigned char uuid[16], topology[24];
    cl_uint pci[4];
    char text[64];
    cl_ulong largest;
    size_t kib[2];
    must(clGetDeviceInfo(first, CL_DEVICE_NAME, sizeof text, text, NULL) == CL_SUCCESS && strcmp(text, "Card 1") == 0);
    must(clGetDeviceInfo(first, 0x106A, sizeof uuid, uuid, NULL) == CL_SUCCESS && uuid[3] == 1 && uuid[4] == 0x12);
    must(clGetDeviceInfo(first, 0x410F, sizeof pci, pci, NULL) == CL_SUCCESS && pci[1] == 1);
    must(clGetDeviceInfo(first, 0x4037, sizeof topology, topology, NULL) == CL_INVALID_VALUE);
    must(clGetDeviceInfo(first, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof largest, &largest, NULL) == CL_SUCCESS &&
         largest == 40 * MiB);
    must(clGetDeviceInfo(second, 0x4037, sizeof topology, topology, NULL) == CL_SUCCESS && topology[21] == 2);
    must(clGetDeviceInfo(second, 0x4039, sizeof kib, kib, NULL) == CL_SUCCESS && kib[0] == 64 * 1024);
}

/* Every way for bytes to go, each with the event of the one before. */
static void body_copies(void)
{
    enum { BYTES = 100000 };
    struct setup s = set_up();
    cl_mem a = buffer(&s, CL_MEM_READ_WRITE, BYTES), b = buffer(&s, CL_MEM_READ_WRITE, BYTES);
    cl_event events[3];
    cl_int code;
    char from[BYTES], back[BYTES];
    for (int i = 0; i < BYTES; i++)
        from[i] = (char)(i * 7);
    must(clEnqueueWriteBuffer(s.queue, a, CL_FALSE, 0, BYTES, from, 0, NULL, &events[0]) == CL_SUCCESS);
    must(clEnqueueCopyBuffer(s.queue, a, b, 0, 0, BYTES, 1, &events[0], &events[1]) == CL_SUCCESS);
    must(clEnqueueReadBuffer(s.queue, b, CL_FALSE, 0, BYTES, back, 1, &events[1], &events[2]) == CL_SUCCESS);
    must(clWaitForEvents(3, events) == CL_SUCCESS && memcmp(from, back, BYTES) == 0);
    for (int i = 0; i < 3; i++)
        must(state_of(events[i]) == CL_COMPLETE && clReleaseEvent(events[i]) == CL_SUCCESS);
    char *mapped = clEnqueueMapBuffer(s.queue, a, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 100, 50, 0, NULL, NULL, &code);
    must(code == CL_SUCCESS && memcmp(mapped, from + 100, 50) == 0);
    memset(mapped, 'x', 50);
    must(clEnqueueUnmapMemObject(s.queue, a, mapped, 0, NULL, NULL) == CL_SUCCESS);
    must(clEnqueueFillBuffer(s.queue, a, "yz", 2, 110, 4, 0, NULL, NULL) == CL_SUCCESS);
    must(clEnqueueReadBuffer(s.queue, a, CL_TRUE, 99, 52, back, 0, NULL, NULL) == CL_SUCCESS);
    must(back[0] == from[99] && back[51] == from[150] && memcmp(back + 1, "xxxxxxxxxxyzyzxx", 16) == 0);
    must(clReleaseMemObject(a) == CL_SUCCESS && clReleaseMemObject(b) == CL_SUCCESS);
    tear_down(&s);
}

static void body_limits(void)
{
    struct setup s = set_up();
    cl_int code;
    cl_event event;
    const char zero = 0;
    must(!clCreateBuffer(s.context, 0, 40 * MiB + 1, NULL, &code) && code == CL_INVALID_BUFFER_SIZE);
    must(!clCreateBuffer(s.context, 0, 0, NULL, &code) && code == CL_INVALID_BUFFER_SIZE);
    cl_mem first = buffer(&s, 0, 40 * MiB),
           second = buffer(&s, 0, 40 * MiB); /* nobody says yet that there is no room */
    must(clEnqueueMigrateMemObjects(s.queue, 1, &second, CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED, 0, NULL, &event) ==
         CL_SUCCESS);
    must(clWaitForEvents(1, &event) == CL_SUCCESS && clReleaseEvent(event) == CL_SUCCESS);
    must(clEnqueueFillBuffer(s.queue, first, &zero, 1, 0, 1, 0, NULL, NULL) == CL_SUCCESS);
    must(clEnqueueFillBuffer(s.queue, second, &zero, 1, 0, 1, 0, NULL, NULL) == CL_MEM_OBJECT_ALLOCATION_FAILURE);
    must(clReleaseMemObject(first) == CL_SUCCESS);
    must(clEnqueueFillBuffer(s.queue, second, &zero, 1, 0, 1, 0, NULL, NULL) == CL_SUCCESS);
    must(clReleaseMemObject(second) == CL_SUCCESS);
    tear_down(&s);
}

/* A command that fails takes with it those that wait for it by name, and no others. */
static void body_failed(void)
{
    struct setup s = set_up();
    cl_mem mem = buffer(&s, 0, 1000);
    char bytes[1000] = { 0 };
    cl_event events[3];
    sim_fail("execute", 1, false, CL_OUT_OF_RESOURCES);
    must(clEnqueueWriteBuffer(s.queue, mem, CL_FALSE, 0, 1000, bytes, 0, NULL, &events[0]) == CL_SUCCESS);
    must(clEnqueueMarkerWithWaitList(s.queue, 1, &events[0], &events[1]) == CL_SUCCESS);
    must(clEnqueueWriteBuffer(s.queue, mem, CL_FALSE, 0, 1000, bytes, 0, NULL, &events[2]) == CL_SUCCESS);
    must(clFinish(s.queue) == CL_SUCCESS);
    must(state_of(events[0]) == CL_OUT_OF_RESOURCES);
    must(state_of(events[1]) == CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST && state_of(events[2]) == CL_COMPLETE);
    must(clWaitForEvents(1, &events[1]) == CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
    for (int i = 0; i < 3; i++)
        must(clReleaseEvent(events[i]) == CL_SUCCESS);
    must(clReleaseMemObject(mem) == CL_SUCCESS);
    tear_down(&s);
}

static void body_nth(void)
{
    struct setup s = set_up();
    cl_int code;
    cl_mem mem = buffer(&s, 0, 10);
    must(!clCreateBuffer(s.context, 0, 10, NULL, &code) && code == CL_MEM_OBJECT_ALLOCATION_FAILURE);
    must(clReleaseMemObject(mem) == CL_OUT_OF_RESOURCES); /* what fails on demand gives back all the same */
    tear_down(&s);
}

static void body_lost(void)
{
    struct setup s = set_up();
    cl_mem mem = buffer(&s, 0, 10);
    const char zero = 0;
    cl_int code = CL_SUCCESS;
    for (int i = 0; i < 20 && code == CL_SUCCESS; i++)
        code = clEnqueueFillBuffer(s.queue, mem, &zero, 1, 0, 1, 0, NULL, NULL);
    must(code == CL_DEVICE_NOT_AVAILABLE && clFinish(s.queue) == CL_DEVICE_NOT_AVAILABLE);
    must(clReleaseMemObject(mem) == CL_SUCCESS);
    tear_down(&s);
}

/* Pageable memory is read late as well: OpenCL promises nothing else. */
static void body_overwritten(void)
{
    enum { BYTES = 1 << 20 };
    struct setup s = set_up();
    cl_mem mem = buffer(&s, 0, BYTES);
    char *bytes = calloc(1, BYTES);
    must(clEnqueueWriteBuffer(s.queue, mem, CL_FALSE, 0, BYTES, bytes, 0, NULL, NULL) == CL_SUCCESS);
    bytes[77] = 1;
    must(clReleaseMemObject(mem) == CL_SUCCESS); /* waits for what uses it */
    free(bytes);
    tear_down(&s);
}

static void body_leaks(void)
{
    static struct setup s; /* static, so that only the simulator finds leaks here */
    static cl_mem mem;
    static cl_event event;
    s = set_up();
    mem = buffer(&s, CL_MEM_ALLOC_HOST_PTR, 100);
    must(clEnqueueMarkerWithWaitList(s.queue, 0, NULL, &event) == CL_SUCCESS);
    must(clReleaseContext(s.context) == CL_SUCCESS && mem);
}

static void body_released(void)
{
    struct setup s = set_up();
    cl_mem mem = buffer(&s, 0, 100);
    must(clReleaseMemObject(mem) == CL_SUCCESS && clReleaseMemObject(mem) == CL_INVALID_MEM_OBJECT);
    tear_down(&s);
}

/* One that is integrated has its buffers in the host's memory, where that is asked for. */
static void body_integrated(void)
{
    enum { BYTES = 8192 };
    struct setup s = set_up();
    cl_bool unified = CL_FALSE;
    cl_int code;
    must(clGetDeviceInfo(s.device, CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof unified, &unified, NULL) == CL_SUCCESS && unified);
    char *host = calloc(1, BYTES), back[3] = "";
    clCreateBuffer(s.context, CL_MEM_USE_HOST_PTR, BYTES, NULL, &code);
    must(host && code == CL_INVALID_HOST_PTR);
    cl_mem mem = clCreateBuffer(s.context, CL_MEM_USE_HOST_PTR, BYTES, host, &code);
    must(code == CL_SUCCESS);
    char *mapped = clEnqueueMapBuffer(s.queue, mem, CL_TRUE, CL_MAP_WRITE, 100, 50, 0, NULL, NULL, &code);
    must(code == CL_SUCCESS && mapped == host + 100);
    memcpy(mapped, "it", 3);
    must(clEnqueueUnmapMemObject(s.queue, mem, mapped, 0, NULL, NULL) == CL_SUCCESS);
    must(clEnqueueReadBuffer(s.queue, mem, CL_TRUE, 100, 3, back, 0, NULL, NULL) == CL_SUCCESS && strcmp(back, "it") == 0);
    must(clReleaseMemObject(mem) == CL_SUCCESS);
    free(host);
    tear_down(&s);
}

/* Queues that do not wait for one another end in any order. */
static void body_out_of_order(void)
{
    enum { ROUNDS = 60, PIECE = 1000 };
    struct setup s = set_up();
    cl_int code;
    cl_command_queue other = clCreateCommandQueue(s.context, s.device, 0, &code);
    cl_mem first = buffer(&s, 0, PIECE), second = buffer(&s, 0, PIECE);
    cl_event events[2];
    const char zero = 0;
    int inverted = 0;
    for (int i = 0; i < ROUNDS; i++) {
        must(clEnqueueFillBuffer(s.queue, first, &zero, 1, 0, PIECE, 0, NULL, &events[0]) == CL_SUCCESS);
        must(clEnqueueFillBuffer(other, second, &zero, 1, 0, PIECE, 0, NULL, &events[1]) == CL_SUCCESS);
        must(clWaitForEvents(1, &events[1]) == CL_SUCCESS);
        inverted += state_of(events[0]) != CL_COMPLETE;
        must(clFinish(s.queue) == CL_SUCCESS && clReleaseEvent(events[0]) == CL_SUCCESS &&
             clReleaseEvent(events[1]) == CL_SUCCESS);
    }
    must(inverted > 0 && inverted < ROUNDS);
    must(clReleaseMemObject(first) == CL_SUCCESS && clReleaseMemObject(second) == CL_SUCCESS);
    must(clReleaseCommandQueue(other) == CL_SUCCESS);
    tear_down(&s);
}

int main(void)
{
    static const struct sim_case cases[] = {
        { "devices tell what they are", TWO, body_listing, "contexts", 0 },
        { "bytes go every way", TWO, body_copies, NULL, 0 },
        { "limits, and memory that comes late", TWO, body_limits, NULL, 0 },
        { "in the host's memory", CARD("1", "First", "integrated = yes\n"), body_integrated, NULL, 0 },
        { "a command fails", TWO, body_failed, NULL, 0 },
        { "the nth call fails", "fail = clCreateBuffer 2 nomem\nfail = clReleaseMemObject 1 -5\n" TWO, body_nth, NULL,
          0 },
        { "a device that is gone", CARD("1", "First", "lost = 6\n"), body_lost, NULL, 0 },
        { "a source that is overwritten", SLOW, body_overwritten, "overwritten_source", 1 },
        { "leaks: buffers", TWO, body_leaks, "unfreed_cl_mem", 1 },
        { "leaks: events", TWO, body_leaks, "unfreed_cl_event", 1 },
        { "leaks: queues", TWO, body_leaks, "unfreed_cl_queue", 1 },
        { "leaks: contexts, for those hold them", TWO, body_leaks, "unfreed_cl_context", 1 },
        { "what was released is none any more", TWO, body_released, "bad_handle", 1 },
        { "queues end in any order", "delay_us = 1000\n" TWO, body_out_of_order, NULL, 0 },
    };
    const char *build = getenv("top_builddir");
    char path[512], icd[80];
    snprintf(path, sizeof path, "%s/tests/sim/lib/.libs/libdt2sim-opencl.so\n", build ? build : ".");
    snprintf(vendors, sizeof vendors, "/tmp/dt2-icd-XXXXXX");
    if (!mkdtemp(vendors))
        return 1;
    snprintf(icd, sizeof icd, "%s/simulated.icd", vendors);
    write_file(icd, path);
    RUN_CASES(cases);
    unlink(icd);
    rmdir(vendors);
    return done_testing();
}
