/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small engine, in an OpenCL context and on a queue of its own: it cuts the model into layers as it runs them, plans,
 * loads, and runs a kernel on every weight, wherever that lies. What it computes is the sum of all bytes, so that it can say
 * whether they were right. Then a second model takes the place of the first, and a load is cancelled.
 *
 *     cc engine.c $(pkg-config --cflags --libs distorch2 OpenCL) -o engine
 *     ./engine MODEL.safetensors OTHER.safetensors opencl:0
 */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <distorch2.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- OpenCL, the engine's own ------------------------------------------------------------------------------ */

#define LANES 256

/* `offset` is needed: on OpenCL a tensor is a part of a buffer, and a buffer has no address. */
static const char program_text[] =
    "__kernel void sum(__global const uchar *weights, ulong offset, ulong bytes, __global ulong *sums)\n"
    "{\n"
    "    size_t lane = get_global_id(0), lanes = get_global_size(0);\n"
    "    ulong sum = 0;\n"
    "    for (ulong i = lane; i < bytes; i += lanes)\n"
    "        sum += weights[offset + i];\n"
    "    sums[lane] += sum;\n"
    "}\n";

struct gpu {
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
    cl_program program;
    cl_kernel kernel;
    cl_mem sums; /* one for each lane */
};

/* Errors of the engine's own look like those of the library. */
static int fail(struct dt2_error *err, const char *what, cl_int code)
{
    err->code = DT2_EFAILED;
    snprintf(err->text, sizeof err->text, "%s (%d)", what, (int)code);
    err->suggestion[0] = '\0';
    return err->code;
}

/* Which OpenCL device "opencl:0" is, the library knows: it counts those of all platforms. No context is made for this. */
static int find_device(const char *name, cl_device_id *id, struct dt2_error *err)
{
    struct dt2_native_device native = DT2_NATIVE_DEVICE_INIT;
    struct dt2_context *context;
    int rc = dt2_context_create(NULL, &context, err);
    if (rc < 0)
        return rc;
    rc = dt2_device_native(context, name, false, &native, err);
    dt2_context_destroy(context);
    if (rc == 0 && !native.id)
        return fail(err, "the device is none of OpenCL's", 0);
    *id = native.id;
    return rc;
}

static int open_gpu(struct gpu *gpu, const char *name, struct dt2_error *err)
{
    const char *text = program_text;
    const cl_ulong zeros[LANES] = { 0 };
    cl_int code;
    int rc = find_device(name, &gpu->id, err);
    if (rc < 0)
        return rc;
    gpu->context = clCreateContext(NULL, 1, &gpu->id, NULL, NULL, &code);
    if (code == CL_SUCCESS)
        gpu->queue = clCreateCommandQueue(gpu->context, gpu->id, 0, &code);
    if (code == CL_SUCCESS)
        gpu->program = clCreateProgramWithSource(gpu->context, 1, &text, NULL, &code);
    if (code == CL_SUCCESS)
        code = clBuildProgram(gpu->program, 1, &gpu->id, "", NULL, NULL);
    if (code == CL_SUCCESS)
        gpu->kernel = clCreateKernel(gpu->program, "sum", &code);
    if (code == CL_SUCCESS)
        gpu->sums = clCreateBuffer(gpu->context, CL_MEM_READ_WRITE, sizeof zeros, NULL, &code);
    return code == CL_SUCCESS ? 0 : fail(err, "OpenCL cannot be set up", code);
}

static void close_gpu(struct gpu *gpu)
{
    if (gpu->sums)
        clReleaseMemObject(gpu->sums);
    if (gpu->kernel)
        clReleaseKernel(gpu->kernel);
    if (gpu->program)
        clReleaseProgram(gpu->program);
    if (gpu->queue)
        clReleaseCommandQueue(gpu->queue);
    if (gpu->context)
        clReleaseContext(gpu->context);
}

/* What stands for a layer's work on one weight: queued, not waited for. */
static int queue_kernel(struct gpu *gpu, const struct dt2_native *native, uint64_t bytes, struct dt2_error *err)
{
    cl_mem weights = native->handle;
    const cl_ulong offset = native->offset, size = bytes;
    const size_t lanes = LANES;
    cl_int code = clSetKernelArg(gpu->kernel, 0, sizeof weights, &weights);
    if (code == CL_SUCCESS)
        code = clSetKernelArg(gpu->kernel, 1, sizeof offset, &offset);
    if (code == CL_SUCCESS)
        code = clSetKernelArg(gpu->kernel, 2, sizeof size, &size);
    if (code == CL_SUCCESS)
        code = clSetKernelArg(gpu->kernel, 3, sizeof gpu->sums, &gpu->sums);
    if (code == CL_SUCCESS)
        code = clEnqueueNDRangeKernel(gpu->queue, gpu->kernel, 1, NULL, &lanes, NULL, 0, NULL, NULL);
    return code == CL_SUCCESS ? 0 : fail(err, "a kernel cannot be queued", code);
}

static int start_sum(struct gpu *gpu, struct dt2_error *err)
{
    const cl_ulong zeros[LANES] = { 0 };
    cl_int code = clEnqueueWriteBuffer(gpu->queue, gpu->sums, CL_TRUE, 0, sizeof zeros, zeros, 0, NULL, NULL);
    return code == CL_SUCCESS ? 0 : fail(err, "the sum cannot be cleared", code);
}

static int finish_sum(struct gpu *gpu, uint64_t *sum, struct dt2_error *err)
{
    cl_ulong sums[LANES];
    cl_int code = clEnqueueReadBuffer(gpu->queue, gpu->sums, CL_TRUE, 0, sizeof sums, sums, 0, NULL, NULL);
    if (code != CL_SUCCESS)
        return fail(err, "the sum cannot be read", code);
    *sum = 0;
    for (size_t i = 0; i < LANES; i++)
        *sum += sums[i];
    return 0;
}

/* -- the model as the engine sees it: layers, in the order in which they run ----------------------------------- */

/* A file, and its blocks. */
struct source {
    struct dt2_file *file;
    struct dt2_blocks *blocks;
};

static size_t layer_length(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? (size_t)(dot - name) : strlen(name);
}

static bool same_layer(const struct dt2_file *file, size_t a, size_t b)
{
    const char *one = dt2_file_tensor(file, a)->name, *other = dt2_file_tensor(file, b)->name;
    size_t length = layer_length(one);
    return length == layer_length(other) && strncmp(one, other, length) == 0;
}

/*
 * Tensors that stand side by side and agree up to the last dot are a layer. An engine that knows its network gives them in
 * the order in which they run. (dt2_blocks_make() does both for networks that it knows.)
 */
static int cut_layers(struct source *source, struct dt2_error *err)
{
    size_t tensors = dt2_file_tensor_count(source->file), layers = 0;
    struct dt2_block *list = calloc(tensors ? tensors : 1, sizeof *list);
    size_t *indices = calloc(tensors ? tensors : 1, sizeof *indices);
    int rc = list && indices ? 0 : fail(err, "no memory for the layers", 0);
    for (size_t i = 0; rc == 0 && i < tensors; i++) {
        indices[i] = i;
        if (i == 0 || !same_layer(source->file, i - 1, i)) {
            list[layers].name = dt2_file_tensor(source->file, i)->name;
            list[layers++].tensors = &indices[i];
        }
        list[layers - 1].tensor_count++;
    }
    if (rc == 0)
        rc = dt2_blocks_from(source->file, list, layers, &source->blocks, err);
    free(indices);
    free(list);
    return rc;
}

static int open_source(const char *path, struct source *source, struct dt2_error *err)
{
    int rc = dt2_file_open(path, &source->file, err);
    if (rc == 0)
        rc = cut_layers(source, err);
    if (rc == 0)
        printf("%s: %zu tensors in %zu layers, %" PRIu64 " bytes\n", path, dt2_file_tensor_count(source->file),
               dt2_blocks_count(source->blocks), dt2_file_total_bytes(source->file));
    return rc;
}

static void close_source(struct source *source)
{
    dt2_blocks_free(source->blocks);
    dt2_file_free(source->file);
}

/* What the kernels are to find. */
static int sum_file(const struct dt2_file *file, uint64_t *sum, struct dt2_error *err)
{
    int rc = 0;
    *sum = 0;
    for (size_t i = 0; rc == 0 && i < dt2_file_tensor_count(file); i++) {
        uint64_t bytes = dt2_file_tensor(file, i)->bytes;
        unsigned char *memory = malloc(bytes ? bytes : 1);
        rc = memory ? dt2_file_read(file, i, memory, bytes, err) : fail(err, "no memory for a tensor", 0);
        for (uint64_t j = 0; rc == 0 && j < bytes; j++)
            *sum += memory[j];
        free(memory);
    }
    return rc;
}

/* -- loading --------------------------------------------------------------------------------------------- */

static int show_progress(void *data, const struct dt2_progress *progress)
{
    (void)data;
    if (!progress->verifying && progress->done_bytes == progress->total_bytes)
        printf("%s: %" PRIu64 " bytes loaded\n", progress->model, progress->done_bytes);
    return 0; /* go on */
}

static int cancel(void *data, const struct dt2_progress *progress)
{
    (void)data;
    (void)progress;
    return 1;
}

static void print_plan(const struct dt2_plan *plan)
{
    for (size_t i = 0; i < dt2_plan_share_count(plan); i++) {
        const struct dt2_share *share = dt2_plan_share(plan, i);
        printf("  %-9s %2zu layers, %7" PRIu64 " bytes\n", share->device, share->block_count, share->bytes);
    }
    printf("  a window of %" PRIu64 " bytes on %s\n", dt2_plan_window_bytes(plan), dt2_plan_compute_device(plan));
}

/* A plan first, to look at, and then a load that keeps to it. The model comes borrowed: nobody ejects it before it is used. */
static int load(struct dt2_context *context, const struct source *source, const char *device, const char *name,
                dt2_progress_fn *progress, struct dt2_model **model, struct dt2_error *err)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
    struct dt2_plan *plan;
    char allocations[96];
    snprintf(allocations, sizeof allocations, "%s,40000b;cpu,*", device);
    request.compute_device = device;
    request.virtual_vram_bytes = 0;
    request.expert_mode_allocations = allocations;
    request.eject_models = true;
    options.name = name;
    options.progress = progress;
    options.borrow = true;
    int rc = dt2_model_plan(context, source->blocks, &request, &plan, err);
    if (rc < 0)
        return rc;
    rc = dt2_model_load_plan(context, source->file, source->blocks, plan, &options, model, err);
    if (rc == 0)
        print_plan(plan);
    for (size_t i = 0; rc == 0 && i < dt2_model_statistics(*model)->ejected_count; i++)
        printf("  ejected: %s\n", dt2_model_statistics(*model)->ejected[i]);
    dt2_plan_free(plan);
    return rc;
}

/* -- running --------------------------------------------------------------------------------------------- */

/*
 * One layer. From acquire to release its weights are on the device, for kernels that are queued in between. Nothing waits
 * here: release notes where the queue is, and the bytes stay until it has come there.
 */
static int run_layer(struct gpu *gpu, struct dt2_session *session, size_t index, struct dt2_error *err)
{
    struct dt2_model *model = dt2_session_model(session);
    const struct dt2_block *block = dt2_model_block(model, index);
    int rc = dt2_session_acquire(session, index, 0, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < block->tensor_count; i++) {
        struct dt2_native native = DT2_NATIVE_INIT;
        rc = dt2_session_native(session, block->tensors[i], &native, err);
        if (rc == 0 && native.handle) /* a tensor of 0 bytes has none */
            rc = queue_kernel(gpu, &native, dt2_model_tensor(model, block->tensors[i])->bytes, err);
    }
    int released = dt2_session_release(session, index, rc < 0 ? NULL : err);
    return rc < 0 ? rc : released;
}

static int run_pass(struct gpu *gpu, struct dt2_session *session, uint64_t expected, struct dt2_error *err)
{
    struct dt2_session_stats stats = DT2_SESSION_STATS_INIT;
    uint64_t sum = 0;
    int rc = start_sum(gpu, err);
    for (size_t i = 0; rc == 0 && i < dt2_model_block_count(dt2_session_model(session)); i++)
        rc = run_layer(gpu, session, i, err);
    dt2_session_next_pass(session);
    if (rc == 0)
        rc = finish_sum(gpu, &sum, err);
    if (rc == 0)
        rc = dt2_session_statistics(session, DT2_SESSION_LAST_PASS, &stats, err);
    if (rc == 0)
        printf("  a pass: %" PRIu64 " of %zu layers had to be streamed, the sum is %" PRIu64 ", %s\n", stats.acquires,
               dt2_model_block_count(dt2_session_model(session)), sum,
               sum == expected ? "as in the file" : "which is WRONG");
    return rc < 0 ? rc : sum == expected ? 0 : fail(err, "the weights are not those of the file", 0);
}

static int run(struct gpu *gpu, struct dt2_model *model, uint64_t expected, struct dt2_error *err)
{
    struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    struct dt2_session *session;
    options.has_stream = true;
    options.stream = gpu->queue;
    int rc = dt2_session_open(model, &options, &session, err);
    if (rc < 0)
        return rc;
    for (int pass = 0; rc == 0 && pass < 2; pass++)
        rc = run_pass(gpu, session, expected, err);
    clFinish(gpu->queue);
    int closed = dt2_session_close(session, rc < 0 ? NULL : err);
    return rc < 0 ? rc : closed;
}

/* -- all of it ------------------------------------------------------------------------------------------- */

struct engine {
    struct gpu gpu;
    struct dt2_context *context;
    const char *device;
    struct source sources[2];
    struct dt2_model *models[2];
};

static int open_engine(struct engine *engine, char **paths, struct dt2_error *err)
{
    struct dt2_context_options options = DT2_CONTEXT_OPTIONS_INIT;
    struct dt2_native_context own = { engine->device, NULL };
    int rc = open_gpu(&engine->gpu, engine->device, err);
    own.context = engine->gpu.context;
    options.native_contexts = &own;
    options.native_context_count = 1;
    if (rc == 0)
        rc = dt2_context_create(&options, &engine->context, err);
    for (int i = 0; rc == 0 && i < 2; i++)
        rc = open_source(paths[i], &engine->sources[i], err);
    return rc;
}

/* Models go before the context of the library, and that before the engine's own, in which the buffers were. */
static void close_engine(struct engine *engine)
{
    for (int i = 0; i < 2; i++)
        dt2_model_unref(engine->models[i]);
    dt2_context_destroy(engine->context);
    for (int i = 0; i < 2; i++)
        close_source(&engine->sources[i]);
    close_gpu(&engine->gpu);
}

/* Loads one of the two, runs it, and gives the borrow back: it stays loaded, and may be ejected. */
static int use_model(struct engine *engine, int which, const char *name, struct dt2_error *err)
{
    const struct source *source = &engine->sources[which];
    uint64_t expected;
    int rc = sum_file(source->file, &expected, err);
    if (rc == 0)
        rc = load(engine->context, source, engine->device, name, show_progress, &engine->models[which], err);
    if (rc < 0)
        return rc;
    rc = run(&engine->gpu, engine->models[which], expected, err);
    dt2_model_return(engine->models[which]);
    return rc;
}

/* Whoever keeps a handle of a model that was ejected is told so. */
static int show_gone(const struct engine *engine)
{
    struct dt2_error err;
    int rc = dt2_model_borrow(engine->models[0], &err);
    printf("first: %s: %s\n", dt2_code_name(rc), rc < 0 ? err.text : "still there");
    return rc == DT2_EGONE ? 0 : rc < 0 ? rc : DT2_EFAILED;
}

/* A load that is cancelled leaves nothing behind; but what it ejected is gone. The borrow keeps the second model from that. */
static int show_cancel(struct engine *engine)
{
    struct dt2_model *model = NULL;
    struct dt2_error err;
    int rc = dt2_model_borrow(engine->models[1], &err);
    if (rc < 0)
        return rc;
    rc = load(engine->context, &engine->sources[0], engine->device, "again", cancel, &model, &err);
    printf("again: %s: %s\n", dt2_code_name(rc), rc < 0 ? err.text : "not cancelled");
    printf("%zu model is loaded\n", dt2_context_models(engine->context, NULL, 0));
    dt2_model_return(engine->models[1]);
    dt2_model_unref(model);
    return rc == DT2_ECANCELLED ? 0 : rc < 0 ? rc : DT2_EFAILED;
}

int main(int argc, char **argv)
{
    struct engine engine = { .device = "opencl:0" };
    struct dt2_error err = { .code = 0 };
    if (argc != 4) {
        fprintf(stderr, "usage: %s MODEL OTHER DEVICE\n", argv[0]);
        return dt2_exit_status(DT2_EUSAGE);
    }
    engine.device = argv[3];
    int rc = open_engine(&engine, argv + 1, &err);
    if (rc == 0)
        rc = use_model(&engine, 0, "first", &err);
    if (rc == 0)
        rc = use_model(&engine, 1, "second", &err);
    if (rc < 0)
        fprintf(stderr, "%s%s%s\n", err.text, err.suggestion[0] ? "\nhint: " : "", err.suggestion);
    if (rc == 0)
        rc = show_gone(&engine);
    if (rc == 0)
        rc = show_cancel(&engine);
    close_engine(&engine);
    return dt2_exit_status(rc);
}
