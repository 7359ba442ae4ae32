/* SPDX-License-Identifier: BSD-3-Clause */
/* Models on a simulated machine, and those who run them: a session whose weights kernels of the simulator read. */
#ifndef DT2_TESTS_USER_H
#define DT2_TESTS_USER_H

#include "base/checked.h"
#include "mixed/runtime.h"
#include "mixed/simulated.h"
#include "mixed/source.h"
#include <pthread.h>

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)

static struct dt2_context *context;
static struct source source;
static unsigned wrong;

#define must(condition, ...)                                                                                           \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            diag("%s:%d: not so: %s", __FILE__, __LINE__, #condition);                                                 \
            diag(__VA_ARGS__);                                                                                         \
            __atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);                                                           \
        }                                                                                                              \
    } while (0)

/* -- models, and those who use them */

static struct dt2_model *load(const char *compute, const char *expert, bool eject)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_model *model = NULL;
    struct dt2_error err;
    const struct dt2_limit reserve = { compute, 0 };
    request.compute_device = compute;
    request.expert_mode_allocations = expert;
    request.eject_models = eject;
    request.reserves = &reserve;
    request.reserve_count = strcmp(compute, "cpu") != 0;
    if (dt2_model_load(context, source.file, source.blocks, &request, NULL, &model, &err))
        layout_die("%s: %s", expert, err.text);
    return model;
}

static void unload(struct dt2_model *model)
{
    struct dt2_error err;
    if (dt2_model_unload(model, DT2_UNLOAD_REFUSE, &err))
        layout_die("%s", err.text);
    dt2_model_unref(model);
}

enum stream_mode { NO_STREAM, OWN_STREAM, DEFAULT_STREAM, TWO_STREAMS, STREAM_MODES };

/* A session with the runtime in which its weights are read. */
struct user {
    struct dt2_model *model;
    struct runtime runtime;
    enum stream_mode mode;
    void *streams[2];
    unsigned turn;
    struct dt2_session *session;
    struct dt2_session_info info;
};

/* The default stream is no OpenCL's, and the host has none. */
__attribute__((unused)) static bool has_mode(const struct runtime *runtime, enum stream_mode mode)
{
    return mode == NO_STREAM || runtime->launch || (runtime->cl_launch && mode != DEFAULT_STREAM);
}

static void user_open(struct user *user, struct dt2_model *model, enum stream_mode mode,
                      const struct dt2_session_options *wanted)
{
    struct dt2_session_options options = *wanted;
    struct dt2_error err;
    *user = (struct user){ .model = model, .mode = mode };
    runtime_open(&user->runtime, model);
    for (int i = 0; i < 2 && mode != DEFAULT_STREAM; i++)
        user->streams[i] = runtime_stream(&user->runtime);
    options.has_stream = mode != NO_STREAM;
    options.stream = user->streams[0];
    if (dt2_session_open(model, &options, &user->session, &err))
        layout_die("a session on %s: %s", user->runtime.driver, err.text);
    user->info.struct_size = sizeof user->info;
    dt2_session_info(user->session, &user->info, NULL);
}

static void user_close(struct user *user)
{
    struct dt2_session_stats stats = DT2_SESSION_STATS_INIT;
    struct dt2_error err;
    dt2_session_statistics(user->session, DT2_SESSION_TOTAL, &stats, NULL);
    must(stats.window_bytes <= user->info.window_bytes, "%" PRIu64 " of %" PRIu64, stats.window_bytes,
         user->info.window_bytes);
    must(stats.hits + stats.stalls == stats.acquires, "%" PRIu64 " and %" PRIu64 " of %" PRIu64, stats.hits,
         stats.stalls, stats.acquires);
    must(dt2_session_close(user->session, &err) == 0, "%s", err.text);
    for (int i = 0; i < 2 && user->mode != DEFAULT_STREAM; i++)
        runtime_stream_free(&user->runtime, user->streams[i]);
}

static void *stream_of(const struct user *user)
{
    return user->streams[user->turn % 2];
}

/* Kernels on the caller's stream for all tensors of a block that is held. */
__attribute__((unused)) static void read_block(struct user *user, size_t block)
{
    const struct dt2_block *b = dt2_model_block(user->model, block);
    for (size_t i = 0; i < b->tensor_count; i++) {
        const struct dt2_tensor *tensor = dt2_model_tensor(user->model, b->tensors[i]);
        struct dt2_native native = DT2_NATIVE_INIT;
        struct dt2_error err;
        if (dt2_session_native(user->session, b->tensors[i], &native, &err)) {
            must(false, "%s: %s", tensor->name, err.text);
            continue;
        }
        bool there = strcmp(native.device, user->info.compute_device) == 0;
        must(there || strcmp(user->info.compute_device, "cpu") == 0, "%s is on %s", tensor->name, native.device);
        uint64_t sum = user->runtime.sum(source.bytes + tensor->offset, tensor->bytes);
        if (tensor->bytes)
            must(runtime_launch(&user->runtime, stream_of(user), &native, tensor->bytes, sum, 0), "%s is wrong",
                 tensor->name);
    }
    if (user->mode == NO_STREAM)
        runtime_wait(&user->runtime, stream_of(user));
}

__attribute__((unused)) static void release(struct user *user, size_t block)
{
    struct dt2_error err;
    must(dt2_session_release(user->session, block, &err) == 0, "%s", err.text);
}

__attribute__((unused)) static void change_stream(struct user *user)
{
    struct dt2_error err;
    if (user->mode != TWO_STREAMS)
        return;
    user->turn++;
    must(dt2_session_use_stream(user->session, stream_of(user), &err) == 0, "%s", err.text);
}

/* Passes in execution order, one block held at a time. */
__attribute__((unused)) static void pass(struct user *user, unsigned times)
{
    struct dt2_error err;
    for (unsigned i = 0; i < times; i++)
        for (size_t block = 0; block < dt2_model_block_count(user->model); block++) {
            if (dt2_session_acquire(user->session, block, block % 7 == 0 ? DT2_ACQUIRE_HOST : 0, &err)) {
                must(false, "pass %u, block %zu: %s", i, block, err.text);
                continue;
            }
            read_block(user, block);
            if (block % 5 == 0)
                change_stream(user);
            release(user, block);
        }
}

#endif
