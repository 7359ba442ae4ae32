/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a pass of a session costs in calls of the vendor's runtime, on a simulated machine that counts them:
 *
 *   tests/sim/run MACHINE bench-calls MODEL [DEVICE...]
 */
#include "mixed/runtime.h"

static const char *const counted[][2] = {
    { "copies", "MemcpyAsync" },          { "events made", "EventCreateWithFlags" },
    { "destroyed", "EventDestroy" },      { "recorded", "EventRecord" },
    { "queried", "EventQuery" },          { "waited for", "StreamWaitEvent" },
    { "by the host", "EventSynchronize" },
};
enum { COUNTED = sizeof counted / sizeof *counted };

static uint64_t (*says)(const char *);

static void count(const char *driver, uint64_t counts[COUNTED + 2])
{
    char key[64];
    for (int i = 0; i < COUNTED; i++) {
        snprintf(key, sizeof key, "calls.%s%s", driver, counted[i][1]);
        counts[i] = says(key);
    }
    counts[COUNTED] = says("calls.cuCtxPushCurrent_v2") + says("calls.hipSetDevice");
    counts[COUNTED + 1] = says("calls");
}

static void pass(struct dt2_session *session, const struct runtime *runtime, void *stream)
{
    struct dt2_error err;
    for (size_t i = 0; i < dt2_model_block_count(dt2_session_model(session)); i++) {
        if (dt2_session_acquire(session, i, 0, &err) < 0)
            layout_die("%s", err.text);
        runtime_launch(runtime, stream, NULL, 0, 0, 50000);
        if (dt2_session_release(session, i, &err) < 0)
            layout_die("%s", err.text);
    }
    runtime_wait(runtime, stream);
}

static void bench(struct dt2_model *model, const char *device)
{
    struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    struct dt2_session_info info = DT2_SESSION_INFO_INIT;
    struct dt2_session *session;
    struct runtime runtime;
    struct dt2_error err;
    uint64_t before[COUNTED + 2], after[COUNTED + 2];
    runtime_open(&runtime, model);
    options.has_stream = true;
    options.stream = runtime_stream(&runtime);
    options.host_memory = DT2_HOST_PINNED;
    if (dt2_session_open(model, &options, &session, &err) < 0)
        layout_die("%s", err.text);
    pass(session, &runtime, options.stream);
    pass(session, &runtime, options.stream);
    count(runtime.driver, before);
    pass(session, &runtime, options.stream);
    count(runtime.driver, after);
    dt2_session_info(session, &info, NULL);
    printf("a pass of %zu blocks to %s:", info.streamed_blocks, device);
    for (int i = 0; i < COUNTED; i++)
        printf(" %" PRIu64 " %s,", after[i] - before[i], counted[i][0]);
    printf(" %" PRIu64 " contexts entered; %" PRIu64 " calls\n", after[COUNTED] - before[COUNTED],
           after[COUNTED + 1] - before[COUNTED + 1]);
    dt2_session_close(session, NULL);
    runtime_stream_free(&runtime, options.stream);
}

int main(int argc, char **argv)
{
    struct dt2_context *context;
    struct dt2_file *file;
    struct dt2_blocks *blocks;
    struct dt2_error err;
    if (argc < 3)
        layout_die("usage: bench-calls MODEL DEVICE...");
    if (dt2_context_create(NULL, &context, &err) < 0 || dt2_file_open(argv[1], &file, &err) < 0 ||
        dt2_blocks_make(file, &blocks, &err) < 0)
        layout_die("%s: %s", argv[1], err.text);
    for (int i = 2; i < argc; i++) {
        struct dt2_request request = DT2_REQUEST_INIT;
        struct dt2_model *model;
        request.compute_device = argv[i];
        request.expert_mode_allocations = "cpu,*";
        if (dt2_model_load(context, file, blocks, &request, NULL, &model, &err) < 0)
            layout_die("%s: %s", argv[i], err.text);
        RUNTIME_BIND("libdt2sim.so", "sim_value", says);
        bench(model, argv[i]);
        dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
        dt2_model_unref(model);
    }
    dt2_blocks_free(blocks);
    dt2_file_free(file);
    dt2_context_destroy(context);
    return 0;
}
