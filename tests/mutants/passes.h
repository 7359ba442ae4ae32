/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What subjects of mutants have in common: passes over a model on all devices, read by kernels on two streams that take turns.
 * How they end is no matter here; the simulator says what was wrong.
 *
 * usage: SUBJECT COMPUTE-DEVICE ALLOCATIONS
 */
#ifndef DT2_TESTS_MUTANTS_PASSES_H
#define DT2_TESTS_MUTANTS_PASSES_H

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

enum { LONG_NS = 60000000 };

/* A kernel for each tensor of a block that is held. */
static void read_block(struct dt2_session *session, size_t index, void *stream, uint64_t duration_ns)
{
    struct dt2_model *model = dt2_session_model(session);
    const struct dt2_block *block = dt2_model_block(model, index);
    for (size_t i = 0; i < block->tensor_count; i++) {
        const struct dt2_tensor *tensor = dt2_model_tensor(model, block->tensors[i]);
        struct dt2_native native = DT2_NATIVE_INIT;
        if (dt2_session_native(session, block->tensors[i], &native, NULL) == 0)
            runtime_launch(&runtime, stream, &native, tensor->bytes,
                           runtime.sum(file.bytes + tensor->offset, tensor->bytes), duration_ns);
    }
}

/* Running ahead of the kernels, or one block after the other. The last one of a pass is at it for long. */
static void pass(struct dt2_session *session, bool ahead)
{
    struct dt2_error err;
    size_t count = dt2_model_block_count(dt2_session_model(session));
    for (size_t i = 0; i < count; i++) {
        int rc = dt2_session_acquire(session, i, ahead ? 0 : DT2_ACQUIRE_HOST, &err);
        complain(rc, &err);
        if (rc < 0)
            continue;
        read_block(session, i, streams[i / 3 % 2], i + 1 == count ? LONG_NS : 0);
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

/* A subject: what it does with its model. */
static int subject_main(int argc, char **argv, void (*run)(struct dt2_model *model))
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

#endif
