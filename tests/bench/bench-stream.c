/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How close sessions come to the limits: of this machine's own copies between OpenCL devices, and, on a simulated
 * machine, of links with a computation that takes as long as they do. Medians of interleaved rounds in one run; ratios count.
 *
 *   bench-stream MODEL [ROUNDS]                                 streaming to opencl:0, and resident blocks
 *   tests/sim/run MACHINE bench-stream MODEL [ROUNDS [DONOR]]   stalls on cuda:0 of a machine with links
 */
#include "mixed/runtime.h"
#include <time.h>
#ifdef DT2_BENCH_OPENCL
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#endif

#define ROUNDS_MOST 99
#define PIECE ((size_t)16 << 20)

static struct dt2_context *context;
static struct dt2_file *file;
static struct dt2_blocks *blocks;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *figures, unsigned count)
{
    qsort(figures, count, sizeof *figures, ascending);
    return figures[count / 2];
}

/* -- a model and a session ---------------------------------------------------------------------------------- */

static struct dt2_model *load(const char *compute, const char *expert)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_model *model;
    struct dt2_error err;
    request.compute_device = compute;
    request.expert_mode_allocations = expert;
    if (dt2_model_load(context, file, blocks, &request, NULL, &model, &err) < 0)
        layout_die("%s: %s", expert, err.text);
    return model;
}

static void unload(struct dt2_model *model)
{
    dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
    dt2_model_unref(model);
}

static struct dt2_session *open_session(struct dt2_model *model, const struct dt2_session_options *options)
{
    struct dt2_session *session;
    struct dt2_error err;
    if (dt2_session_open(model, options, &session, &err) < 0)
        layout_die("%s", err.text);
    return session;
}

static void acquire(struct dt2_session *session, size_t block, unsigned flags)
{
    struct dt2_error err;
    if (dt2_session_acquire(session, block, flags, &err) < 0)
        layout_die("%s", err.text);
}

static void release(struct dt2_session *session, size_t block)
{
    struct dt2_error err;
    if (dt2_session_release(session, block, &err) < 0)
        layout_die("%s", err.text);
}

/* -- blocks that lie on the compute device ------------------------------------------------------------------ */

static void bench_resident(void)
{
    enum { TIMES = 1000000 };
    struct dt2_model *model = load("cpu", "cpu,*");
    struct dt2_session *session = open_session(model, NULL);
    double begin = now();
    for (int i = 0; i < TIMES; i++)
        acquire(session, 0, 0);
    double ns = (now() - begin) * 1e9 / TIMES;
    for (int i = 0; i < TIMES; i++)
        release(session, 0);
    printf("%-46s %8.1f ns (below 200 wanted)\n", "acquire of a resident block", ns);
    dt2_session_close(session, NULL);
    unload(model);
}

/* -- this machine's copies ---------------------------------------------------------------------------------- */

#ifdef DT2_BENCH_OPENCL
enum { SLOTS = 4 };

/* A device's own context and queue, as two programs would have them. */
struct side {
    cl_context context;
    cl_command_queue queue;
    cl_mem buffer;
    size_t bytes;
};

static void must_cl(cl_int code, const char *what)
{
    if (code != CL_SUCCESS)
        layout_die("%s: OpenCL says %d", what, code);
}

/* The OpenCL device of an index, counted as the driver counts: platform by platform. */
static cl_device_id device_at(unsigned index)
{
    cl_platform_id platforms[16];
    cl_uint platform_count = 0;
    clGetPlatformIDs(16, platforms, &platform_count);
    for (cl_uint i = 0; i < platform_count && i < 16; i++) {
        cl_device_id devices[64];
        cl_uint count = 0;
        if (clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, 64, devices, &count) != CL_SUCCESS)
            continue;
        if (index < count)
            return devices[index];
        index -= count;
    }
    return NULL;
}

static void side_open(struct side *side, unsigned index, size_t bytes)
{
    cl_device_id id = device_at(index);
    cl_int code;
    side->bytes = bytes;
    side->context = clCreateContext(NULL, 1, &id, NULL, NULL, &code);
    must_cl(code, "a context");
    side->queue = clCreateCommandQueue(side->context, id, 0, &code);
    must_cl(code, "a queue");
    side->buffer = clCreateBuffer(side->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
    must_cl(code, "a buffer");
    char zero = 1;
    must_cl(clEnqueueFillBuffer(side->queue, side->buffer, &zero, 1, 0, bytes, 0, NULL, NULL), "touching");
    must_cl(clFinish(side->queue), "touching");
}

static void side_close(struct side *side)
{
    clReleaseMemObject(side->buffer);
    clReleaseCommandQueue(side->queue);
    clReleaseContext(side->context);
}

/* What is left of a round of `bytes` bytes at `at`: whole pieces but for the last. */
static size_t piece_at(size_t at, size_t bytes)
{
    return bytes - at < PIECE ? bytes - at : PIECE;
}

static void finish_event(cl_event *event)
{
    if (!*event)
        return;
    must_cl(clWaitForEvents(1, event), "a copy");
    clReleaseEvent(*event);
    *event = NULL;
}

/* Reads pieces from one device and writes them to the other, both at the same time. */
static double raw_relay(struct side *from, struct side *to, char *slots[SLOTS])
{
    cl_event reads[SLOTS] = { NULL }, writes[SLOTS] = { NULL };
    size_t count = (from->bytes + PIECE - 1) / PIECE;
    double begin = now();
    for (size_t i = 0; i < count + 1; i++) {
        if (i < count) {
            finish_event(&writes[i % SLOTS]);
            size_t at = i * PIECE;
            must_cl(clEnqueueReadBuffer(from->queue, from->buffer, CL_FALSE, at, piece_at(at, from->bytes),
                                        slots[i % SLOTS], 0, NULL, &reads[i % SLOTS]),
                    "a read");
            clFlush(from->queue);
        }
        if (i > 0) {
            size_t j = i - 1, at = j * PIECE % (to->bytes / PIECE * PIECE);
            finish_event(&reads[j % SLOTS]);
            must_cl(clEnqueueWriteBuffer(to->queue, to->buffer, CL_FALSE, at, piece_at(j * PIECE, from->bytes),
                                         slots[j % SLOTS], 0, NULL, &writes[j % SLOTS]),
                    "a write");
            clFlush(to->queue);
        }
    }
    for (int i = 0; i < SLOTS; i++)
        finish_event(&writes[i]);
    return (double)from->bytes * 1e-9 / (now() - begin);
}

static double raw_write(const char *memory, size_t bytes, struct side *to)
{
    double begin = now();
    for (size_t at = 0; at < bytes; at += PIECE)
        must_cl(clEnqueueWriteBuffer(to->queue, to->buffer, CL_FALSE, at % (to->bytes / PIECE * PIECE),
                                     piece_at(at, bytes), memory + at, 0, NULL, NULL),
                "a write");
    must_cl(clFinish(to->queue), "writes");
    return (double)bytes * 1e-9 / (now() - begin);
}

/* A pass without any computation. */
static double stream(struct dt2_session *session, size_t count)
{
    struct dt2_session_stats before = DT2_SESSION_STATS_INIT, after = DT2_SESSION_STATS_INIT;
    dt2_session_statistics(session, DT2_SESSION_TOTAL, &before, NULL);
    double begin = now();
    for (size_t i = 0; i < count; i++) {
        acquire(session, i, DT2_ACQUIRE_HOST);
        release(session, i);
    }
    double seconds = now() - begin;
    dt2_session_statistics(session, DT2_SESSION_TOTAL, &after, NULL);
    return (double)(after.bytes - before.bytes) * 1e-9 / seconds;
}

static void bench_copies(const char *donor, unsigned rounds)
{
    static double ours[ROUNDS_MOST], raw[ROUNDS_MOST];
    char expert[64], *slots[SLOTS];
    snprintf(expert, sizeof expert, "%s,*", donor);
    struct dt2_model *model = load("opencl:0", expert);
    struct dt2_session *session = open_session(model, NULL);
    struct dt2_session_info info = DT2_SESSION_INFO_INIT;
    struct side from = { 0 }, to;
    dt2_session_info(session, &info, NULL);
    size_t bytes = info.pass_bytes, count = dt2_model_block_count(model);
    bool host = strcmp(donor, "cpu") == 0;
    side_open(&to, 0, info.window_bytes + PIECE);
    char *memory = host ? layout_memory(bytes) : NULL;
    if (host)
        memset(memory, 1, bytes);
    else
        side_open(&from, (unsigned)atoi(donor + strlen("opencl:")), bytes);
    for (int i = 0; i < SLOTS; i++)
        memset(slots[i] = layout_memory(PIECE), 1, PIECE);
    stream(session, count);
    for (unsigned i = 0; i < rounds; i++) {
        raw[i] = host ? raw_write(memory, bytes, &to) : raw_relay(&from, &to, slots);
        ours[i] = stream(session, count);
    }
    double a = median(ours, rounds), b = median(raw, rounds);
    printf("stream from %-8s to opencl:0 %6.2f GB/s (%.2f..%.2f)  raw copy %6.2f GB/s (%.2f..%.2f)  ratio %.2f"
           " (0.9 wanted)\n",
           donor, a, ours[0], ours[rounds - 1], b, raw[0], raw[rounds - 1], a / b);
    for (int i = 0; i < SLOTS; i++)
        free(slots[i]);
    free(memory);
    if (!host)
        side_close(&from);
    side_close(&to);
    dt2_session_close(session, NULL);
    unload(model);
}
#endif

/* -- simulated links ---------------------------------------------------------------------------------------- */

/* How long a byte takes through this session when nothing is computed. */
static double seconds_per_byte(struct dt2_session *session, const struct runtime *runtime, void *stream)
{
    struct dt2_session_stats before = DT2_SESSION_STATS_INIT, after = DT2_SESSION_STATS_INIT;
    dt2_session_statistics(session, DT2_SESSION_TOTAL, &before, NULL);
    double begin = now();
    for (size_t i = 0; i < dt2_model_block_count(dt2_session_model(session)); i++) {
        acquire(session, i, 0);
        release(session, i);
    }
    runtime_wait(runtime, stream);
    dt2_session_statistics(session, DT2_SESSION_TOTAL, &after, NULL);
    return (now() - begin) / (double)(after.bytes - before.bytes);
}

/* Seconds of a pass in which each block computes as long as its bytes take; without a session, of the computation alone. */
static double compute(struct dt2_model *model, struct dt2_session *session, const struct runtime *runtime, void *stream,
                      double per_byte)
{
    if (session)
        acquire(session, 0, DT2_ACQUIRE_HOST); /* what counts is what comes after the first block */
    double begin = now();
    for (size_t i = 0; i < dt2_model_block_count(model); i++) {
        if (session && i > 0)
            acquire(session, i, 0);
        double seconds = (double)dt2_model_block(model, i)->bytes * per_byte;
        runtime_launch(runtime, stream, NULL, 0, 0, (uint64_t)(seconds * 1e9));
        if (session)
            release(session, i);
    }
    runtime_wait(runtime, stream);
    return now() - begin;
}

/* Which part of the time of a pass nothing is computed, where it could be. */
static double stall_of(struct dt2_session *session, const struct runtime *runtime, void *stream, double per_byte)
{
    struct dt2_model *model = dt2_session_model(session);
    double alone = compute(model, NULL, runtime, stream, per_byte);
    compute(model, session, runtime, stream, per_byte); /* in which the session comes into step */
    double whole = compute(model, session, runtime, stream, per_byte);
    return (whole - alone) / whole;
}

static void bench_links(const char *donor, enum dt2_host_memory host_memory, unsigned rounds)
{
    static double stalls[ROUNDS_MOST];
    char expert[64];
    snprintf(expert, sizeof expert, "cuda:0,1%%;%s,*", donor);
    struct dt2_model *model = load("cuda:0", expert);
    struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    struct runtime runtime;
    runtime_open(&runtime, model);
    void *stream = runtime_stream(&runtime);
    options.has_stream = true;
    options.stream = stream;
    options.host_memory = host_memory;
    struct dt2_session *session = open_session(model, &options);
    double per_byte = seconds_per_byte(session, &runtime, stream);
    for (unsigned i = 0; i < rounds; i++)
        stalls[i] = stall_of(session, &runtime, stream, per_byte) * 100;
    double middle = median(stalls, rounds);
    printf("stream from %-6s %-9s %6.2f GB/s  stalls %5.1f %% of a pass (%.1f..%.1f; below 5 wanted)\n", donor,
           strcmp(donor, "cpu") ? "" : host_memory == DT2_HOST_PINNED ? "pinned" : "pageable", 1e-9 / per_byte,
           middle, stalls[0], stalls[rounds - 1]);
    fflush(stdout);
    dt2_session_close(session, NULL);
    runtime_stream_free(&runtime, stream);
    unload(model);
}

/* -- the table ---------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    bool simulated = getenv("DISTORCH2_SIM");
    struct dt2_error err;
    if (argc < 2 || rounds > ROUNDS_MOST)
        layout_die("usage: bench-stream MODEL [ROUNDS]");
    if (dt2_context_create(NULL, &context, &err) < 0 || dt2_file_open(argv[1], &file, &err) < 0 ||
        dt2_blocks_make(file, &blocks, &err) < 0)
        layout_die("%s: %s", argv[1], err.text);
    if (simulated) {
        rounds = rounds ? rounds : 1;
        bench_links("cpu", DT2_HOST_PINNED, rounds);
        if (argc > 3)
            bench_links(argv[3], DT2_HOST_PAGEABLE, rounds);
    } else {
        rounds = rounds ? rounds : 7;
        bench_resident();
#ifdef DT2_BENCH_OPENCL
        bench_copies("opencl:1", rounds);
        bench_copies("cpu", rounds);
#endif
    }
    dt2_blocks_free(blocks);
    dt2_file_free(file);
    dt2_context_destroy(context);
    return 0;
}
