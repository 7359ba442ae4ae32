/* SPDX-License-Identifier: BSD-3-Clause */
/* A program that computes in an OpenCL context, a queue and a buffer of its own, by the public interface alone. */
#define CL_TARGET_OPENCL_VERSION 120
#include "support/layout.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <CL/cl.h>
#include <distorch2.h>

#define BYTES 20000

struct own {
    cl_device_id ids[2];
    cl_context contexts[2];
    cl_command_queue queues[2];
    cl_mem memory;
};

static bool make_own(struct own *own)
{
    cl_platform_id platform;
    cl_uint platforms = 0, devices = 0;
    cl_int code = CL_SUCCESS;
    if (clGetPlatformIDs(1, &platform, &platforms) != CL_SUCCESS || platforms == 0 ||
        clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 2, own->ids, &devices) != CL_SUCCESS || devices < 2)
        return false;
    for (int i = 0; i < 2 && code == CL_SUCCESS; i++) {
        own->contexts[i] = clCreateContext(NULL, 1, &own->ids[i], NULL, NULL, &code);
        if (code == CL_SUCCESS)
            own->queues[i] = clCreateCommandQueue(own->contexts[i], own->ids[i], 0, &code);
    }
    if (code == CL_SUCCESS)
        own->memory = clCreateBuffer(own->contexts[0], CL_MEM_READ_WRITE, 4 * BYTES, NULL, &code);
    return code == CL_SUCCESS;
}

static void open_model(struct dt2_file **file, struct dt2_blocks **blocks)
{
    struct layout layout = { 0 };
    struct dt2_error err;
    size_t size;
    layout_add(&layout, (char[]){ "a.weight" }, "U8", "20000");
    layout_add(&layout, (char[]){ "b.weight" }, "U8", "20000");
    char *header = layout_header(&layout, &size);
    header = realloc(header, size + layout.bytes);
    for (size_t i = size; i < size + layout.bytes; i++)
        header[i] = (char)random_u64();
    const char *path = scratch_file("own.safetensors", header, size + layout.bytes, 0);
    if (dt2_file_open(path, file, &err) < 0 || dt2_blocks_make(*file, blocks, &err) < 0)
        layout_die("%s", err.text);
    free(header);
    free(layout.tensors);
}

static cl_context context_of(const struct dt2_native *native)
{
    cl_context found = NULL;
    clGetMemObjectInfo(native->handle, CL_MEM_CONTEXT, sizeof found, &found, NULL);
    return found;
}

/* The tensor's bytes, read by the program's own queue. */
static bool right(const struct own *own, const struct dt2_file *file, size_t tensor, const struct dt2_native *native)
{
    static char there[BYTES], here[BYTES];
    return clEnqueueReadBuffer(own->queues[0], native->handle, CL_TRUE, native->offset, BYTES, there, 0, NULL, NULL) ==
               CL_SUCCESS &&
           dt2_file_read(file, tensor, here, BYTES, NULL) == 0 && memcmp(there, here, BYTES) == 0;
}

/* What a device is in OpenCL's terms, without and with a context. */
static void test_native(struct dt2_context *context, const struct own *own)
{
    struct dt2_native_device closed = DT2_NATIVE_DEVICE_INIT, open = DT2_NATIVE_DEVICE_INIT;
    struct dt2_error err = { 0 };
    is_int(dt2_device_native(context, "opencl:0", false, &closed, &err), 0, "opencl:0 is told%s", err.text);
    ok(closed.id == own->ids[0] && closed.ordinal == -1 && !closed.context, "by its cl_device_id, without a context");
    is_str(closed.driver, "opencl", "in the terms of OpenCL");
    is_int(dt2_device_native(context, "opencl:0", true, &open, &err), 0, "and open");
    ok(open.id == own->ids[0] && open.context == own->contexts[0], "in the context that is ours");
    is_int(dt2_device_native(context, "cpu", true, &open, &err), 0, "host memory");
    ok(!open.id && !open.context && open.ordinal == -1, "has neither");
    is_int(dt2_device_native(context, "opencl:9", false, &open, &err), DT2_ENOENT, "no such device");
    ok(strstr(err.text, "opencl:9") && strstr(err.text, "opencl:0"), "is named: %s", err.text);
    open.struct_size = 0;
    is_int(dt2_device_native(context, "cpu", false, &open, &err), DT2_EUSAGE, "a struct_size that was not set");
}

/* The library's own context is known, and stays, before anything lies on the device. */
static void test_native_first(const struct own *own)
{
    struct dt2_native_device native = DT2_NATIVE_DEVICE_INIT, again = DT2_NATIVE_DEVICE_INIT;
    struct dt2_context *context;
    struct dt2_error err = { 0 };
    cl_int code = CL_INVALID_CONTEXT;
    is_int(dt2_context_create(NULL, &context, &err), 0, "a context without ours");
    is_int(dt2_device_native(context, "opencl:1", true, &native, &err), 0, "it tells its own%s", err.text);
    ok(native.id == own->ids[1] && native.context && native.context != own->contexts[1], "which is not ours");
    cl_command_queue queue = clCreateCommandQueue(native.context, native.id, 0, &code);
    is_int(code, CL_SUCCESS, "and takes a queue of ours");
    dt2_device_native(context, "opencl:1", true, &again, &err);
    ok(again.context == native.context, "it stays the same one");
    cl_uint references = 0;
    clGetContextInfo(native.context, CL_CONTEXT_REFERENCE_COUNT, sizeof references, &references, NULL);
    clRetainContext(native.context);
    clReleaseCommandQueue(queue);
    dt2_context_destroy(context);
    clGetContextInfo(native.context, CL_CONTEXT_REFERENCE_COUNT, sizeof references, &references, NULL);
    is_u64(references, 1, "and goes with the library's");
    clReleaseContext(native.context);
}

static void refuse(const struct dt2_native_context *given, size_t count, int code, const char *word, const char *what)
{
    struct dt2_context_options options = DT2_CONTEXT_OPTIONS_INIT;
    struct dt2_context *context = NULL;
    struct dt2_error err = { 0 };
    options.native_contexts = given;
    options.native_context_count = count;
    is_int(dt2_context_create(&options, &context, &err), code, "%s is refused", what);
    ok(!context && strstr(err.text, word), "by its name: %s", err.text);
}

static void test_refusals(const struct own *own)
{
    const struct dt2_native_context twice[] = { { "opencl:0", own->contexts[0] }, { "opencl:0", own->contexts[0] } };
    refuse(&(struct dt2_native_context){ "opencl:7", own->contexts[0] }, 1, DT2_ENOENT, "opencl:7", "a device that is none");
    refuse(&(struct dt2_native_context){ "opncl:0", own->contexts[0] }, 1, DT2_ENOENT, "opncl:0", "a driver that is none");
    refuse(&(struct dt2_native_context){ "opencl:1", own->contexts[0] }, 1, DT2_EUSAGE, "opencl:1", "another device's context");
    refuse(&(struct dt2_native_context){ "cpu", own->contexts[0] }, 1, DT2_EUSAGE, "cpu", "a context for host memory");
    refuse(twice, 2, DT2_EUSAGE, "native context 1", "one device named twice");
    refuse(&(struct dt2_native_context){ "opencl:0", NULL }, 1, DT2_EUSAGE, "native context 0", "a context that is NULL");
    refuse(&(struct dt2_native_context){ NULL, own->contexts[0] }, 1, DT2_EUSAGE, "native context 0", "a name that is NULL");
}

static void test_session(struct dt2_model *model, const struct own *own, const struct dt2_file *file)
{
    struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    struct dt2_session *session = NULL;
    struct dt2_native native = DT2_NATIVE_INIT;
    struct dt2_error err = { 0 };
    options.has_stream = true;
    options.stream = own->queues[1];
    is_int(dt2_session_open(model, &options, &session, &err), DT2_EUSAGE, "a queue of another context is refused");
    ok(strstr(err.text, "context"), "in words: %s", err.text);
    options.stream = own->queues[0];
    is_int(dt2_session_open(model, &options, &session, &err), 0, "a queue of ours is not%s", session ? "" : err.text);
    if (!session)
        return;
    for (size_t i = 0; i < 2; i++) {
        is_int(dt2_session_acquire(session, i, 0, &err), 0, "block %zu", i);
        dt2_session_native(session, i, &native, &err);
        ok(context_of(&native) == own->contexts[0], "is in our context");
        ok(right(own, file, i, &native), "with its bytes");
        dt2_session_release(session, i, NULL);
    }
    clFinish(own->queues[0]);
    dt2_session_close(session, NULL);
}

int main(void)
{
    struct own own;
    struct dt2_file *file;
    struct dt2_blocks *blocks;
    struct dt2_context *context;
    struct dt2_model *model = NULL;
    struct dt2_error err = { 0 };
    setenv("POCL_DEVICES", "pthread basic", 0); /* two devices wherever PoCL is installed */
    if (!make_own(&own))
        return skip_all("there are no two OpenCL devices");
    seed_random(1);
    open_model(&file, &blocks);
    const struct dt2_native_context native = { "opencl:0", own.contexts[0] };
    struct dt2_context_options options = DT2_CONTEXT_OPTIONS_INIT;
    options.native_contexts = &native;
    options.native_context_count = 1;
    is_int(dt2_context_create(&options, &context, &err), 0, "a context that is given ours%s", err.text);
    test_native(context, &own);
    struct dt2_request request = DT2_REQUEST_INIT;
    request.compute_device = "opencl:0";
    request.expert_mode_allocations = "opencl:0,20000b;cpu,*";
    const struct dt2_memory memory = { "opencl:0", own.memory, 4 * BYTES };
    struct dt2_load_options how = DT2_LOAD_OPTIONS_INIT;
    how.memory = &memory;
    how.memory_count = 1;
    how.verify = true;
    is_int(dt2_model_load(context, file, blocks, &request, &how, &model, &err), 0, "a load into a buffer of ours%s", err.text);
    if (model) {
        struct dt2_native where = DT2_NATIVE_INIT;
        dt2_model_native(model, 0, &where, NULL);
        ok(where.handle == own.memory && right(&own, file, 0, &where), "which holds the tensor");
        test_session(model, &own, file);
        dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
        dt2_model_unref(model);
    }
    dt2_context_destroy(context);
    cl_uint references = 0;
    clGetMemObjectInfo(own.memory, CL_MEM_REFERENCE_COUNT, sizeof references, &references, NULL);
    is_u64(references, 1, "our buffer is ours alone at the end");
    clReleaseMemObject(own.memory);
    test_refusals(&own);
    test_native_first(&own);
    for (int i = 0; i < 2; i++) {
        clReleaseCommandQueue(own.queues[i]);
        clReleaseContext(own.contexts[i]);
    }
    dt2_blocks_free(blocks);
    dt2_file_free(file);
    return done_testing();
}
