/* SPDX-License-Identifier: BSD-3-Clause */
/* What the mutants of evict do: blocks leave and come home between passes and within, while kernels are still at it. */
#include "mutants/passes.h"

static void evict_all(struct dt2_model *model)
{
    struct dt2_error err;
    complain(dt2_model_evict(model, NULL, UINT64_MAX, NULL, &err), &err);
}

/* The first blocks are resident: read for long, and let go of. */
static void read_for_long(struct dt2_session *session)
{
    struct dt2_error err;
    for (size_t i = 0; i < 4; i++) {
        int rc = dt2_session_acquire(session, i, 0, &err);
        complain(rc, &err);
        if (rc < 0)
            continue;
        read_block(session, i, streams[0], LONG_NS);
        complain(dt2_session_release(session, i, &err), &err);
    }
}

/* A tensor of a block that is held while all else leaves is read where it was before. */
static void evict_around(struct dt2_session *session, size_t index)
{
    struct dt2_model *model = dt2_session_model(session);
    const struct dt2_block *block = dt2_model_block(model, index);
    const struct dt2_tensor *tensor = dt2_model_tensor(model, block->tensors[0]);
    struct dt2_native native = DT2_NATIVE_INIT;
    struct dt2_error err;
    int rc = dt2_session_acquire(session, index, 0, &err);
    complain(rc, &err);
    if (rc < 0)
        return;
    complain(dt2_session_native(session, block->tensors[0], &native, &err), &err);
    evict_all(model);
    runtime_launch(&runtime, streams[0], &native, tensor->bytes, runtime.sum(file.bytes + tensor->offset, tensor->bytes), 0);
    complain(dt2_session_release(session, index, &err), &err);
}

static void run(struct dt2_model *model)
{
    struct dt2_error err;
    struct dt2_session *session = open_session(model, 0, 0);
    for (int i = 0; session && i < 3; i++) {
        complain(dt2_session_use_stream(session, streams[0], &err), &err);
        read_for_long(session);
        evict_all(model);
        pass(session, true);
        complain(dt2_model_restore(model, NULL, &err), &err);
        complain(dt2_session_use_stream(session, streams[0], &err), &err);
        evict_around(session, (size_t)i);
        complain(dt2_model_restore(model, NULL, &err), &err);
    }
    complain(dt2_session_close(session, &err), &err);
}

int main(int argc, char **argv)
{
    return subject_main(argc, argv, run);
}
