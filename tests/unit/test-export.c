/* SPDX-License-Identifier: BSD-3-Clause */
/* Tensors for other programs' arrays (DLPack): of models, of sessions' windows, and of a whole layer at once. */
#include "unit/sessions.h"

/* The beginning of DLManagedTensorVersioned, and of DLManagedTensor, as other programs know them. */
struct exported {
    void *data;
    int32_t type, id, ndim;
    uint8_t code, bits;
    uint16_t lanes;
    int64_t *shape, *strides;
    uint64_t byte_offset;
};
struct unversioned {
    struct exported tensor;
    void *manager;
    void (*deleter)(struct unversioned *);
};
struct versioned {
    uint32_t major, minor;
    void *manager;
    void (*deleter)(struct versioned *);
    uint64_t flags;
    struct exported tensor;
};

static void test_export(const struct source *source)
{
    struct dt2_model *model = load(source, "cpu", "cpu,*");
    size_t index = find(model, "block1.weight");
    const struct dt2_tensor *t = dt2_model_tensor(model, index);
    struct dt2_error err;
    void *managed;
    is_int(dt2_tensor_dlpack(model, NULL, index, DT2_DLPACK_UNVERSIONED, &managed, &err), 0, "a tensor is exported");
    struct unversioned *plain = managed;
    ok(plain->tensor.type == 1 && plain->tensor.ndim == 1 && plain->tensor.code == 1 && plain->tensor.bits == 8 &&
           plain->tensor.lanes == 1 && plain->tensor.strides[0] == 1 && plain->tensor.byte_offset == 0 &&
           (uint64_t)plain->tensor.shape[0] == t->bytes,
       "with its place, dtype and shape");
    ok(memcmp(plain->tensor.data, source->bytes + t->offset, t->bytes) == 0, "and its bytes");
    is_int(dt2_model_unload(model, DT2_UNLOAD_REFUSE, &err), DT2_EBUSY, "it keeps its model loaded");
    is_int(dt2_tensor_dlpack(model, NULL, index, DT2_DLPACK_VERSIONED, &managed, &err), 0, "once more, versioned");
    struct versioned *modern = managed;
    ok(modern->major == 1 && modern->flags == 1 && modern->tensor.data == plain->tensor.data, "read-only, the same bytes");
    plain->deleter(plain);
    modern->deleter(modern);
    is_int(dt2_tensor_dlpack(model, NULL, SIZE_MAX, DT2_DLPACK_VERSIONED, &managed, &err), DT2_EUSAGE, "no such tensor");
    dt2_dlpack_capsule_free(NULL);
    unload(model);
    ok(true, "its end lets the model go");
}

static void test_export_streamed(const struct source *source)
{
    struct dt2_model *model = load(source, "cpu", "opencl:0,*"), *other = load(source, "cpu", "cpu,*");
    struct dt2_session *session = begin(model, 0);
    size_t index = find(model, "block2.weight"), block = dt2_model_tensor_block(model, index);
    struct dt2_dlpack_device device = DT2_DLPACK_DEVICE_INIT;
    struct dt2_error err;
    void *managed;
    is_int(dt2_tensor_dlpack(model, NULL, index, DT2_DLPACK_VERSIONED, &managed, &err), DT2_EUSAGE,
           "an OpenCL buffer is not exported");
    ok(strstr(err.text, "OpenCL buffer") && err.suggestion[0], "and why is said");
    is_int(dt2_tensor_dlpack(model, session, index, DT2_DLPACK_VERSIONED, &managed, &err), DT2_EUSAGE,
           "from a session only what is held is");
    is_int(dt2_tensor_dlpack(other, session, index, DT2_DLPACK_VERSIONED, &managed, &err), DT2_EUSAGE,
           "and what is its model's");
    dt2_session_acquire(session, block, 0, NULL);
    is_int(dt2_tensor_dlpack_device(model, session, index, &device, &err), 0, "a held one has a device");
    is_int(device.type, 1, "which is the processor");
    is_int(dt2_tensor_dlpack(model, session, index, DT2_DLPACK_VERSIONED, &managed, &err), 0, "and is exported");
    dt2_session_release(session, block, NULL);
    is_int(dt2_session_close(session, &err), DT2_EBUSY, "the export holds the block");
    for (size_t i = 0; i < dt2_model_block_count(model); i++)
        if (dt2_session_acquire(session, i, 0, NULL) == 0)
            dt2_session_release(session, i, NULL);
    struct versioned *held = managed;
    const struct dt2_tensor *t = dt2_model_tensor(model, index);
    ok(memcmp(held->tensor.data, source->bytes + t->offset, t->bytes) == 0, "its bytes stay while others stream by");
    held->deleter(held);
    is_int(dt2_session_close(session, &err), 0, "its end gives the block back");
    unload(model);
    unload(other);
}

/* All that a layer reads, in one call each way: all of it, or none. */
static void test_export_layer(const struct source *source)
{
    struct dt2_model *model = load(source, "cpu", "cpu,30%;opencl:0,*");
    struct dt2_session *session = begin(model, 0);
    size_t count = dt2_model_block_count(model), tensors[3];
    struct dt2_error err;
    void *managed[3];
    tensors[0] = dt2_model_block(model, 0)->tensors[0];
    tensors[1] = tensors[2] = dt2_model_block(model, count - 1)->tensors[0];
    ok(!dt2_session_streams(session, 0) && dt2_session_streams(session, count - 1), "a layer of which some streams");
    is_int(dt2_session_acquire_dlpack(session, tensors, 3, 0, DT2_DLPACK_VERSIONED, managed, &err), 0, "is exported by one call");
    bool same = true;
    for (size_t i = 0; i < 3; i++) {
        const struct versioned *held = managed[i];
        const struct dt2_tensor *t = dt2_model_tensor(model, tensors[i]);
        same = same && memcmp(held->tensor.data, source->bytes + t->offset, t->bytes) == 0;
    }
    ok(same, "with its bytes");
    struct dt2_session_stats stats = DT2_SESSION_STATS_INIT;
    dt2_session_statistics(session, DT2_SESSION_TOTAL, &stats, NULL);
    is_int((int)stats.acquires, 1, "a block is acquired once for its tensors");
    ((struct versioned *)managed[2])->deleter(managed[2]);
    is_int(dt2_session_release_tensors(session, tensors, 3, &err), 0, "given back by one");
    is_int(dt2_session_close(session, &err), DT2_EBUSY, "what is exported holds its blocks on");
    for (size_t i = 0; i < 2; i++)
        ((struct versioned *)managed[i])->deleter(managed[i]);
    is_int(dt2_session_release_tensors(session, tensors, 1, &err), DT2_EUSAGE, "nothing is held any more");
    tensors[2] = SIZE_MAX;
    is_int(dt2_session_acquire_dlpack(session, tensors, 3, 0, DT2_DLPACK_UNVERSIONED, managed, &err), DT2_EUSAGE,
           "where one of them is not there");
    ok(strstr(err.text, "there is no index"), "that is said: %s", err.text);
    is_int(dt2_session_release_tensors(session, tensors, 2, &err), DT2_EUSAGE, "and none is held");
    tensors[2] = tensors[1];
    is_int(dt2_session_acquire_dlpack(session, tensors, 3, 0, (enum dt2_dlpack_kind)3, managed, &err), DT2_EUSAGE, "an unknown kind");
    is_int(dt2_session_acquire_dlpack(session, tensors, 3, 8, DT2_DLPACK_VERSIONED, managed, &err), DT2_EUSAGE, "unknown flags");
    is_int(dt2_session_acquire_dlpack(session, tensors, 0, 0, DT2_DLPACK_VERSIONED, managed, &err), 0, "of no tensors nothing");
    is_int(dt2_session_close(session, &err), 0, "it closes: nothing was kept");
    unload(model);
}

int main(void)
{
    seed_random(20261129);
    open_context();
    struct source source;
    source_make(&source, "export.safetensors", 40, 200000);
    test_export(&source);
    if (has_opencl) {
        test_export_streamed(&source);
        test_export_layer(&source);
    }
    source_free(&source);
    dt2_context_destroy(context);
    return done_testing();
}
