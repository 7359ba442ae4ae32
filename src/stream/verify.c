/* SPDX-License-Identifier: BSD-3-Clause */
/* One pass that compares what arrives in the window with what the file holds. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "load/hash.h"
#include "model/model.h"
#include "stream/stream.h"
#include <inttypes.h>
#include <string.h>

#define BUFFER_BYTES ((uint64_t)1 << 20) /* for the file, and of the slot for the device */

struct verification {
    struct dt2_session *session;
    const struct dt2_file *file;
    struct dt2_staging staging; /* from the window to the host; nothing where the host reads the window itself */
    void *buffer;
    dt2_progress_fn *progress;
    void *progress_data;
    struct dt2_progress_device done; /* of the pass */
    uint64_t begin_ns, told_ns;
    bool told_end;
};

/* Whether the file has the tensors that the model was loaded from. */
static int check_file(const struct dt2_session *session, const struct dt2_file *file, struct dt2_error *err)
{
    const struct dt2_table *table = &session->model->table;
    size_t count = dt2_file_tensor_count(file);
    for (size_t i = 0; i < count && i < table->count; i++) {
        const struct dt2_tensor *its = dt2_file_tensor(file, i), *ours = &table->tensors[i];
        if (strcmp(its->name, ours->name) != 0 || its->bytes != ours->bytes)
            return dt2_fail(err, DT2_EUSAGE, "%s is not the file of model %s: tensor %s is %s there",
                            dt2_file_path(file), session->model->name, ours->name, its->name);
    }
    if (count == table->count)
        return 0;
    return dt2_fail(err, DT2_EUSAGE, "%s is not the file of model %s: it has %zu tensors, the model %zu",
                    dt2_file_path(file), session->model->name, count, table->count);
}

/* The tensor of a unit whose block is held. */
static int hash_arrived(struct verification *v, size_t tensor, uint64_t bytes, uint64_t *hash, struct dt2_error *err)
{
    const struct dt2_session *session = v->session;
    const struct dt2_unit *unit = &session->units.units[session->units.of_tensor[tensor]];
    uint64_t place = unit->offset + session->units.offsets[tensor], slab = session->places.slab_bytes;
    const struct dt2_slab *window = &session->prefetch.window.slabs[place / slab];
    if (v->staging.ready)
        return dt2_hash_buffer(&v->staging, window->buffer, place % slab, bytes, hash, err);
    *hash = dt2_hash_memory((const char *)window->address + place % slab, bytes);
    return 0;
}

static int verify_tensor(struct verification *v, size_t tensor, struct dt2_error *err)
{
    const struct dt2_session *session = v->session;
    const struct dt2_tensor *t = &session->model->table.tensors[tensor];
    size_t unit = session->units.of_tensor[tensor];
    uint64_t wanted, found;
    if (unit == DT2_NOWHERE || t->bytes == 0 || !dt2_unit_streams(&session->units.units[unit]))
        return 0;
    int rc = dt2_hash_file(v->file, tensor, v->buffer, BUFFER_BYTES, &wanted, err);
    if (rc == 0)
        rc = hash_arrived(v, tensor, t->bytes, &found, err);
    if (rc < 0 || found == wanted)
        return rc;
    return dt2_fail(err, DT2_EFAILED,
                    "%s: tensor %s of %" PRIu64 " bytes lies on %s and arrived on %s as other bytes: XXH3 %016" PRIx64
                    ", the file has %016" PRIx64,
                    dt2_file_path(v->file), t->name, t->bytes, dt2_model_device(session->model, tensor),
                    session->compute->name, found, wanted);
}

static int verify_block(struct verification *v, size_t index, struct dt2_error *err)
{
    struct dt2_session *session = v->session;
    const struct dt2_block *block = &session->model->blocks.blocks[index];
    int rc = dt2_session_acquire(session, index, DT2_ACQUIRE_HOST, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < block->tensor_count; i++) {
        if (session->model->table.homes[block->tensors[i]].tensor == block->tensors[i]) /* each once, by its first name */
            rc = verify_tensor(v, block->tensors[i], err);
    }
    int released = dt2_session_release(session, index, rc < 0 ? NULL : err);
    if (rc == 0 && released == 0)
        v->done.done_bytes += block->bytes;
    return rc < 0 ? rc : released;
}

/* At the beginning, at the end, and about ten times a second between. */
static int tell(struct verification *v, struct dt2_error *err)
{
    uint64_t now = dt2_now_ns();
    bool end = v->done.done_bytes == v->done.total_bytes;
    if (!v->progress || v->told_end || (v->told_ns && !end && now - v->told_ns < 100000000u))
        return 0;
    v->told_end = end;
    v->told_ns = now;
    const struct dt2_progress_device *const devices[] = { &v->done };
    const struct dt2_progress progress = { .model = v->session->model->name,
                                           .verifying = true,
                                           .done_bytes = v->done.done_bytes,
                                           .total_bytes = v->done.total_bytes,
                                           .elapsed_ns = now - v->begin_ns,
                                           .devices = devices,
                                           .device_count = 1 };
    if (v->progress(v->progress_data, &progress) == 0)
        return 0;
    return dt2_fail(err, DT2_ECANCELLED, "verifying what streams of %s was cancelled", v->session->model->name);
}

static int verify_all(struct verification *v, struct dt2_error *err)
{
    size_t count = v->session->model->blocks.count;
    int rc = tell(v, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (!dt2_session_streams(v->session, i))
            continue;
        rc = verify_block(v, i, err);
        if (rc == 0)
            rc = tell(v, err);
    }
    return rc;
}

static uint64_t streamed_bytes(const struct dt2_session *session)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < session->model->blocks.count; i++)
        bytes += dt2_session_streams(session, i) ? session->model->blocks.blocks[i].bytes : 0;
    return bytes;
}

int dt2_session_verify(struct dt2_session *session, const struct dt2_file *file, dt2_progress_fn *progress, void *data,
                       uint64_t *verified_bytes, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    const struct dt2_opened *o = session->compute;
    struct verification v = { .session = session, .file = file, .progress = progress, .progress_data = data,
                              .done = { o->name, 0, streamed_bytes(session) }, .begin_ns = dt2_now_ns() };
    int rc = dt2_fork_check(session->model->generation, "session", err);
    if (rc == 0)
        rc = check_file(session, file, err);
    if (rc < 0)
        return rc;
    v.buffer = dt2_alloc(BUFFER_BYTES, 1);
    if (!v.buffer)
        return dt2_fail_nomem(err);
    if (!(o->flags & DT2_DEVICE_HOST_ADDRESSABLE))
        rc = dt2_staging_make(o, 1, BUFFER_BYTES, false, &v.staging, err);
    if (rc == 0)
        rc = verify_all(&v, err);
    dt2_staging_clear(&v.staging);
    dt2_release(v.buffer);
    if (rc == 0 && verified_bytes)
        *verified_bytes = v.done.done_bytes;
    return rc;
}
