/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program that brings its own OpenCL context, queues and buffers, on whatever devices there are (PoCL gives two). No
 * user events here: PoCL 3.1 aborts when one fails that others wait for, and its "basic" device locks up when one
 * completes. test-opencl-fake has work that fails.
 */
#define CL_TARGET_OPENCL_VERSION 120
#include "subject.h"
#include <CL/cl.h>

enum { DEVICES = 2, BYTES = 5000 };

struct program { /* what is the program's own, before the library comes to know of it */
    cl_device_id ids[DEVICES];
    cl_context contexts[DEVICES];
    cl_command_queue queues[DEVICES];
    cl_mem buffers[DEVICES];
};

/* The first two devices of the first platform that has any; false when there are fewer. */
static bool make_program(struct program *p)
{
    cl_platform_id platform;
    cl_uint platforms = 0, devices = 0;
    cl_int code = CL_SUCCESS;
    if (clGetPlatformIDs(1, &platform, &platforms) != CL_SUCCESS || platforms == 0 ||
        clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, DEVICES, p->ids, &devices) != CL_SUCCESS || devices < DEVICES)
        return false;
    for (int i = 0; i < DEVICES && code == CL_SUCCESS; i++) {
        p->contexts[i] = clCreateContext(NULL, 1, &p->ids[i], NULL, NULL, &code);
        if (code == CL_SUCCESS)
            p->queues[i] = clCreateCommandQueue(p->contexts[i], p->ids[i], 0, &code);
        if (code == CL_SUCCESS)
            p->buffers[i] = clCreateBuffer(p->contexts[i], CL_MEM_READ_WRITE, BYTES, NULL, &code);
    }
    return code == CL_SUCCESS;
}

static cl_uint references(const struct program *p)
{
    cl_uint context = 0, queue = 0, mem = 0;
    clGetContextInfo(p->contexts[0], CL_CONTEXT_REFERENCE_COUNT, sizeof context, &context, NULL);
    clGetCommandQueueInfo(p->queues[0], CL_QUEUE_REFERENCE_COUNT, sizeof queue, &queue, NULL);
    clGetMemObjectInfo(p->buffers[0], CL_MEM_REFERENCE_COUNT, sizeof mem, &mem, NULL);
    return context * 10000 + queue * 100 + mem;
}

static void test_foreign(struct subject *s, const struct program *p)
{
    dt2_handle handle = UNTOUCHED;
    cl_int code;
    refused(s, DT2_BACKEND_INVALID, CALL(s, device_open, 0, p->contexts[1], &handle), "a context of another device");
    refused(s, DT2_BACKEND_INVALID, CALL(s, queue_adopt, s->device, p->queues[1], &handle),
            "a queue of another context");
    ok(strstr(s->err.text, "another context"), "which it says");
    refused(s, DT2_BACKEND_INVALID, CALL(s, queue_adopt, s->device, NULL, &handle), "no queue");
    refused(s, DT2_BACKEND_INVALID, CALL(s, buffer_adopt, s->device, p->buffers[1], BYTES, &handle),
            "a buffer of another context");
    ok(strstr(s->err.text, "another context"), "which it says");
    refused(s, DT2_BACKEND_INVALID, CALL(s, buffer_adopt, s->device, p->buffers[0], BYTES + 1, &handle),
            "a buffer said to be larger than it is");
    cl_command_queue unordered =
        clCreateCommandQueue(p->contexts[0], p->ids[0], CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &code);
    if (code == CL_SUCCESS) {
        refused(s, DT2_BACKEND_INVALID, CALL(s, queue_adopt, s->device, unordered, &handle), "a queue out of order");
        clReleaseCommandQueue(unordered);
    } else {
        skip(1, "no queue out of order here");
    }
    const cl_image_format format = { CL_RGBA, CL_UNSIGNED_INT8 };
    const cl_image_desc desc = { .image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 64, .image_height = 64 };
    cl_mem image = clCreateImage(p->contexts[0], CL_MEM_READ_WRITE, &format, &desc, NULL, &code);
    if (code == CL_SUCCESS) {
        refused(s, DT2_BACKEND_INVALID, CALL(s, buffer_adopt, s->device, image, 100, &handle), "an image as a buffer");
        clReleaseMemObject(image);
    } else {
        skip(1, "no images here");
    }
    is_u64(handle, UNTOUCHED, "no handle is written");
}

static void test_adopted(struct subject *s, const struct program *p)
{
    struct dt2_backend_native native = { .struct_size = sizeof native };
    static unsigned char bytes[BYTES], back[BYTES];
    dt2_handle buffer, own;
    if (!good(s, CALL(s, queue_adopt, s->device, p->queues[0], &s->queue), "the program's queue is adopted") ||
        !good(s, CALL(s, buffer_adopt, s->device, p->buffers[0], BYTES, &buffer), "its buffer too"))
        return;
    ok(CALL(s, buffer_native, buffer, &native) == 0 && native.handle == p->buffers[0] && !native.is_address,
       "it is the program's");
    fill_pattern(bytes, BYTES, 1);
    good(s, CALL(s, copy_h2d, s->queue, buffer, 0, bytes, BYTES), "a copy by the library");
    ok(clEnqueueReadBuffer(p->queues[0], p->buffers[0], CL_TRUE, 0, BYTES, back, 0, NULL, NULL) == CL_SUCCESS &&
           is_pattern(back, BYTES, 1),
       "is read by the program, after it in its queue");
    own = new_buffer(s, BYTES);
    ok(CALL(s, copy_d2d, s->queue, own, 0, buffer, 0, BYTES) == 0 && get(s, own, 0, back, BYTES) &&
           is_pattern(back, BYTES, 1),
       "a buffer of the library's in the program's context");
    free_buffer(s, own);
    refused(s, DT2_BACKEND_BUSY, CALL(s, device_close, s->device), "closing with adopted things");
    good(s, CALL(s, buffer_free, buffer), "the buffer is given back");
    good(s, CALL(s, queue_destroy, s->queue), "the queue is given back");
}

static void test_device(struct subject *s, const struct program *p)
{
    static unsigned char bytes[BYTES], back[BYTES];
    /* once used, since a runtime may keep the last command of a queue */
    clEnqueueWriteBuffer(p->queues[0], p->buffers[0], CL_TRUE, 0, BYTES, bytes, 0, NULL, NULL);
    cl_uint before = references(p);
    for (s->index = 0; s->index < s->device_count; s->index++) /* the driver may count in another order */
        if (CALL(s, device_open, s->index, p->contexts[0], &s->device) == 0)
            break;
    if (!ok(s->index < s->device_count, "a device opens with the program's context"))
        return;
    test_foreign(s, p);
    test_adopted(s, p);
    good(s, CALL(s, device_close, s->device), "the device closes");
    is_u64(references(p), before, "nobody but the program holds what is the program's");
    fill_pattern(bytes, BYTES, 2);
    cl_int code;
    cl_command_queue queue = clCreateCommandQueue(p->contexts[0], p->ids[0], 0, &code);
    ok(code == CL_SUCCESS &&
           clEnqueueWriteBuffer(queue, p->buffers[0], CL_TRUE, 0, BYTES, bytes, 0, NULL, NULL) == CL_SUCCESS &&
           clEnqueueReadBuffer(queue, p->buffers[0], CL_TRUE, 0, BYTES, back, 0, NULL, NULL) == CL_SUCCESS &&
           is_pattern(back, BYTES, 2),
       "and it works on");
    clReleaseCommandQueue(queue);
}

int main(void)
{
    struct program program = { .ids = { NULL } };
    struct dt2_modules modules;
    setenv("POCL_DEVICES", "pthread basic", 0);
    if (!make_program(&program))
        return skip_all("there is no OpenCL platform with two devices");
    if (dt2_modules_open(NULL, NULL, &modules, NULL) != 0 || modules.count == 0)
        return skip_all("the OpenCL driver is not found");
    const struct dt2_driver *driver = &modules.drivers[modules.count - 1];
    struct subject s = { .backend = driver->backend, .driver = driver->self, .services = modules.services,
                         .device_count = driver->device_count, .name = "opencl" };
    test_device(&s, &program);
    is_u64(dt2_services_live(s.services), 0, "no handle is left");
    ok(!disturbed_errno, "errno comes back from each entry");
    dt2_modules_close(&modules);
    for (int i = 0; i < DEVICES; i++) {
        clReleaseMemObject(program.buffers[i]);
        clReleaseCommandQueue(program.queues[i]);
        clReleaseContext(program.contexts[i]);
    }
    return done_testing();
}
