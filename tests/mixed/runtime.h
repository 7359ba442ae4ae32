/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A simulated runtime as the program around the library uses it: streams on the compute device, and kernels that read
 * weights late (tests/sim/face.h). Problems end the program.
 */
#ifndef DT2_TESTS_RUNTIME_H
#define DT2_TESTS_RUNTIME_H

#include "support/layout.h"
#include <distorch2.h>
#include <dlfcn.h>

struct runtime {
    char driver[16]; /* "cuda", "hip", "opencl"; "cpu": kernels run at once */
    int index;
    void *context, *id; /* of OpenCL */
    uint64_t (*sum)(const void *memory, uint64_t bytes);
    int (*set_device)(int);
    int (*stream_make)(void **, unsigned);
    int (*stream_wait)(void *);
    int (*stream_free)(void *);
    int (*launch)(void *, const void *, size_t, uint64_t, uint64_t);
    void *(*cl_stream_make)(void *, void *, uint64_t, int *);
    int (*cl_launch)(void *, void *, size_t, size_t, uint64_t, uint64_t);
};

/* A runtime that the driver holds; else the program's own, which comes after the driver has done without. */
static void *runtime_library(const char *library)
{
    const char *folder = getenv("DISTORCH2_SIM_LIB");
    void *held = dlopen(library, RTLD_NOW | RTLD_NOLOAD);
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder ? folder : "", library);
    return held || !strstr(library, "cudart") ? held : dlopen(path, RTLD_NOW | RTLD_NODELETE);
}

static void runtime_bind(const char *library, const char *name, void *function, size_t size)
{
    void *opened = runtime_library(library), *address = opened ? dlsym(opened, name) : NULL;
    if (!address)
        layout_die("%s has no %s, or is not loaded", library, name);
    memcpy(function, &address, size);
    dlclose(opened); /* the library that loaded it keeps it */
}
#define RUNTIME_BIND(library, name, member) runtime_bind(library, name, &(member), sizeof(member))

static void runtime_must(int code, const char *what)
{
    if (code)
        layout_die("%s: the runtime says %d", what, code);
}

/* Makes the device current to the calling thread, where there is such a thing: before streams and kernels. */
static void runtime_enter(const struct runtime *runtime)
{
    if (runtime->set_device)
        runtime_must(runtime->set_device(runtime->index), "the device");
}

/* The context and the device behind a buffer of the model, as a program finds them. */
static void runtime_find_context(struct runtime *runtime, struct dt2_model *model, const char *device)
{
    enum { MEM_CONTEXT = 0x1106, CONTEXT_DEVICES = 0x1081 };
    int (*mem_info)(void *, unsigned, size_t, void *, size_t *);
    int (*context_info)(void *, unsigned, size_t, void *, size_t *);
    struct dt2_native native = DT2_NATIVE_INIT;
    RUNTIME_BIND("libOpenCL.so.1", "clGetMemObjectInfo", mem_info);
    RUNTIME_BIND("libOpenCL.so.1", "clGetContextInfo", context_info);
    for (size_t i = 0; i < dt2_model_tensor_count(model) && !native.handle; i++)
        if (strcmp(dt2_model_device(model, i), device) == 0)
            dt2_model_native(model, i, &native, NULL);
    if (!native.handle || mem_info(native.handle, MEM_CONTEXT, sizeof(void *), &runtime->context, NULL) ||
        context_info(runtime->context, CONTEXT_DEVICES, sizeof(void *), &runtime->id, NULL))
        layout_die("the model has no buffer on %s that tells its context", device);
}

/* The runtime of the device where a model computes; the calling thread enters it. Some of the model must lie there. */
static void runtime_open(struct runtime *runtime, struct dt2_model *model)
{
    const char *device = dt2_plan_compute_device(dt2_model_applied_plan(model)), *number = strchr(device, ':');
    *runtime = (struct runtime){ .index = number ? atoi(number + 1) : 0 };
    memcpy(runtime->driver, device, strcspn(device, ":"));
    RUNTIME_BIND("libdt2sim.so", "sim_sum", runtime->sum);
    if (strcmp(runtime->driver, "opencl") == 0) {
        RUNTIME_BIND("libOpenCL.so.1", "clCreateCommandQueue", runtime->cl_stream_make);
        RUNTIME_BIND("libOpenCL.so.1", "clFinish", runtime->stream_wait);
        RUNTIME_BIND("libOpenCL.so.1", "clReleaseCommandQueue", runtime->stream_free);
        RUNTIME_BIND("libdt2sim-opencl.so", "clSimLaunch", runtime->cl_launch);
        runtime_find_context(runtime, model, device);
    } else if (number) {
        bool hip = strcmp(runtime->driver, "hip") == 0;
        const char *library = hip ? "libamdhip64.so.5" : "libcudart.so.13";
        RUNTIME_BIND(library, hip ? "hipSetDevice" : "cudaSetDevice", runtime->set_device);
        RUNTIME_BIND(library, hip ? "hipStreamCreateWithFlags" : "cudaStreamCreateWithFlags", runtime->stream_make);
        RUNTIME_BIND(library, hip ? "hipStreamSynchronize" : "cudaStreamSynchronize", runtime->stream_wait);
        RUNTIME_BIND(library, hip ? "hipStreamDestroy" : "cudaStreamDestroy", runtime->stream_free);
        RUNTIME_BIND(library, hip ? "hipSimLaunch" : "cudaSimLaunch", runtime->launch);
    }
    runtime_enter(runtime);
}

/* One that waits for no other. NULL on the host. */
__attribute__((unused)) static void *runtime_stream(const struct runtime *runtime)
{
    enum { NON_BLOCKING = 1 };
    void *stream = NULL;
    int code = 0;
    if (runtime->cl_stream_make)
        stream = runtime->cl_stream_make(runtime->context, runtime->id, 0, &code);
    else if (runtime->stream_make)
        code = runtime->stream_make(&stream, NON_BLOCKING);
    runtime_must(code, "a stream");
    return stream;
}

/* NULL is the default stream. */
static void runtime_wait(const struct runtime *runtime, void *stream)
{
    if (runtime->stream_wait)
        runtime_must(runtime->stream_wait(stream), "waiting for a stream");
}

__attribute__((unused)) static void runtime_stream_free(const struct runtime *runtime, void *stream)
{
    runtime_wait(runtime, stream);
    if (stream)
        runtime_must(runtime->stream_free(stream), "giving a stream back");
}

/* A kernel that should find bytes of a sum; false when it ran at once and did not. Without bytes it only takes time. */
static bool runtime_launch(const struct runtime *runtime, void *stream, const struct dt2_native *native, uint64_t bytes,
                           uint64_t sum, uint64_t ns)
{
    void *handle = bytes ? native->handle : NULL;
    if (runtime->cl_launch)
        runtime_must(runtime->cl_launch(stream, handle, bytes ? native->offset : 0, bytes, sum, ns), "a kernel");
    else if (runtime->launch)
        runtime_must(runtime->launch(stream, handle, bytes, sum, ns), "a kernel");
    else
        return bytes == 0 || runtime->sum(handle, bytes) == sum;
    return true;
}

#endif
