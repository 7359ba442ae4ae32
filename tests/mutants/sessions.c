/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the mutants of sessions do: passes over a model on all devices, read by kernels on two streams that take turns;
 * parked and closed while the last kernels are still at it. How they end is no matter here; the simulator says what was
 * wrong.
 *
 * usage: sessions COMPUTE-DEVICE ALLOCATIONS
 */
#include "failing/work.h"
#include "mixed/runtime.h"
#include "support/tap.h"

static struct work_file file;
static struct runtime runtime;
static void *streams[2];

static void complain(int rc, const struct dt2_error *err)
{
    if (rc < 0)
        diag("%s", err->text);
}

/* The last one of a pass is at it for long, also when the session is parked or closed. */
static void read_block(struct dt2_session *session, size_t index, void *stream)
{
    enum { LONG_NS = 60000000 };
    struct dt2_model *model = dt2_session_model(session);
    const struct dt2_block *block = dt2_model_block(model, index);
    uint64_t duration_ns = index + 1 == dt2_model_block_count(model) ? LONG_NS : 0;
    for (size_t i = 0; i < block->tensor_count; i++) {
        const struct dt2_tensor *tensor = dt2_model_tensor(model, block->tensors[i]);
        struct dt2_native native = DT2_NATIVE_INIT;
        if (dt2_session_native(session, block->tensors[i], &native, NULL) == 0)
            runtime_launch(&runtime, stream, &native, tensor->bytes,
                           runtime.sum(file.bytes + tensor->offset, tensor->bytes), duration_ns);
    }
}

/* Running ahead of the kernels, or one block after the other. */
static void pass(struct dt2_session *session, bool ahead)
{
    struct dt2_error err;
    for (size_t i = 0; i < dt2_model_block_count(dt2_session_model(session)); i++) {
        int rc = dt2_session_acquire(session, i, ahead ? 0 : DT2_ACQUIRE_HOST, &err);
        complain(rc, &err);
        if (rc < 0)
            continue;
        read_block(session, i, streams[i / 3 % 2]);
        if (!ahead)
            runtime_wait(&runtime, streams[i / 3 % 2]);
        complain(dt2_session_use_stream(session, streams[(i + 1) / 3 % 2], &err), &err);
        complain(dt2_session_release(session, i, &err), &err);
    }
}

static struct dt2_session *open_session(struct dt2_model *model, uint64_t window_bytes, uint64_t pinned_bytes)
{
    struct dt2_session_options options = DT2_SESSION_OPTIONS_INIT;
    struct dt2_session *session = NULL;
    struct dt2_error err;
    options.window_bytes = window_bytes;
    options.has_stream = true;
    options.stream = streams[0];
    options.host_memory = pinned_bytes ? DT2_HOST_PINNED : DT2_HOST_PAGEABLE;
    options.pinned_bytes = pinned_bytes;
    options.staging_bytes = 1; /* the least: every slot is used several times */
    complain(dt2_session_open(model, &options, &session, &err), &err);
    return session;
}

static void run(struct dt2_model *model)
{
    enum { ROOM_FOR_ALL = 16 << 20, PINNED_PARTS = 12 };
    struct dt2_session_info info = DT2_SESSION_INFO_INIT;
    struct dt2_error err;
    struct dt2_session *session = open_session(model, 0, 0);
    for (int i = 0; session && i < 4; i++)
        pass(session, i < 2);
    if (session) {
        dt2_session_info(session, &info, NULL);
        complain(dt2_session_park(session, &err), &err);
        complain(dt2_session_unpark(session, &err), &err);
        pass(session, true);
    }
    complain(dt2_session_close(session, &err), &err);
    session = open_session(model, ROOM_FOR_ALL, 0); /* no copy waits for the last readers */
    if (session)
        pass(session, true);
    complain(dt2_session_close(session, &err), &err);
    for (uint64_t share = 1; share < PINNED_PARTS; share++) { /* blocks that are pinned in part, in windows of all sizes */
        uint64_t bytes = dt2_model_statistics(model)->bytes;
        session = open_session(model, share % 3 ? info.window_bytes * share / PINNED_PARTS + info.largest_bytes : 0,
                               bytes * share / PINNED_PARTS / 4);
        for (int i = 0; session && i < 2; i++)
            pass(session, true);
        complain(dt2_session_close(session, &err), &err);
    }
}

int main(int argc, char **argv)
{
    struct dt2_context *context;
    struct dt2_model *model;
    struct dt2_error err = { 0 };
    if (argc != 3)
        return 2;
    struct work_places places = { argv[1], argv[2], false };
    seed_random(20260706);
    work_file_make(&file, "model.safetensors");
    if (dt2_context_create(NULL, &context, &err) < 0)
        return 2;
    int rc = work_load(context, &file, &places, &model, &err);
    complain(rc, &err);
    if (rc == 0) {
        runtime_open(&runtime, model);
        for (int i = 0; i < 2; i++)
            streams[i] = runtime_stream(&runtime);
        run(model);
        for (int i = 0; i < 2; i++)
            runtime_stream_free(&runtime, streams[i]);
    }
    work_unload(model);
    dt2_context_destroy(context);
    work_file_clear(&file);
    return 0;
}
