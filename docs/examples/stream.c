/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a model whose blocks lie on several devices: three passes through all of its blocks, in which the processor reads every
 * weight, as a network would. What lies elsewhere comes through a window, while the block before is being read.
 *
 *     cc stream.c $(pkg-config --cflags --libs distorch2) -o stream
 *     ./stream MODEL.safetensors 'cpu,30%;opencl:0,35%;opencl:1,*'
 */
#include <distorch2.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Loads the model with "cpu" as the device that computes. */
static int load(struct dt2_context *context, const char *path, const char *allocations, struct dt2_model **model,
                struct dt2_error *err)
{
    struct dt2_file *file;
    struct dt2_blocks *blocks = NULL;
    struct dt2_request request = DT2_REQUEST_INIT;
    request.compute_device = "cpu";
    request.virtual_vram_bytes = 0;
    request.expert_mode_allocations = allocations;
    int rc = dt2_file_open(path, &file, err);
    if (rc < 0)
        return rc;
    rc = dt2_blocks_make(file, &blocks, err);
    if (rc == 0)
        rc = dt2_model_load(context, file, blocks, &request, NULL, model, err);
    dt2_blocks_free(blocks);
    dt2_file_free(file);
    return rc;
}

/* What stands for a layer: it reads every byte of its weights. */
static uint64_t compute(uint64_t sum, const unsigned char *bytes, uint64_t count)
{
    for (uint64_t i = 0; i + sizeof sum <= count; i += sizeof sum) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof word);
        sum = (sum ^ word) * 0x100000001b3u;
    }
    return sum;
}

/* One block: its tensors have addresses here from acquire to release. */
static int run_block(struct dt2_session *session, size_t index, uint64_t *sum, struct dt2_error *err)
{
    struct dt2_model *model = dt2_session_model(session);
    const struct dt2_block *block = dt2_model_block(model, index);
    int rc = dt2_session_acquire(session, index, 0, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < block->tensor_count; i++) {
        struct dt2_native native = DT2_NATIVE_INIT;
        rc = dt2_session_native(session, block->tensors[i], &native, err);
        if (rc == 0)
            *sum = compute(*sum, native.handle, dt2_model_tensor(model, block->tensors[i])->bytes);
    }
    int released = dt2_session_release(session, index, rc < 0 ? NULL : err);
    return rc < 0 ? rc : released;
}

static int run_pass(struct dt2_session *session, unsigned number, struct dt2_error *err)
{
    uint64_t sum = 0xcbf29ce484222325u;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < dt2_model_block_count(dt2_session_model(session)); i++)
        rc = run_block(session, i, &sum, err);
    if (rc < 0)
        return rc;
    dt2_session_next_pass(session);
    struct dt2_session_stats stats = DT2_SESSION_STATS_INIT;
    dt2_session_statistics(session, DT2_SESSION_LAST_PASS, &stats, NULL);
    printf("pass %u: %016" PRIx64 ", %" PRIu64 " bytes streamed, %" PRIu64 " of %" PRIu64
           " blocks there in time, %.1f ms waited\n",
           number, sum, stats.bytes, stats.hits, stats.acquires, (double)stats.stall_ns / 1e6);
    return 0;
}

static int run(struct dt2_model *model, struct dt2_error *err)
{
    struct dt2_session *session;
    struct dt2_session_info info = DT2_SESSION_INFO_INIT;
    int rc = dt2_session_open(model, NULL, &session, err); /* borrows the model */
    if (rc < 0)
        return rc;
    dt2_session_info(session, &info, NULL);
    printf("%zu of %zu blocks stream to %s, through a window of %" PRIu64 " bytes\n", info.streamed_blocks,
           dt2_model_block_count(model), info.compute_device, info.window_bytes);
    for (unsigned i = 1; rc == 0 && i <= 3; i++)
        rc = run_pass(session, i, err);
    int closed = dt2_session_close(session, rc < 0 ? NULL : err);
    return rc < 0 ? rc : closed;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL ALLOCATIONS\n", argv[0]);
        return dt2_exit_status(DT2_EUSAGE);
    }
    struct dt2_error err;
    struct dt2_context *context = NULL;
    struct dt2_model *model = NULL;
    int rc = dt2_context_create(NULL, &context, &err);
    if (rc == 0)
        rc = load(context, argv[1], argv[2], &model, &err);
    if (rc == 0)
        rc = run(model, &err);
    if (rc < 0)
        fprintf(stderr, "%s%s%s\n", err.text, err.suggestion[0] ? "\nhint: " : "", err.suggestion);
    dt2_model_unref(model);
    dt2_context_destroy(context);
    return dt2_exit_status(rc);
}
