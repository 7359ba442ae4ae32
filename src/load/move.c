/* SPDX-License-Identifier: BSD-3-Clause */
#include "load/move.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include <string.h>

#define BOUNCE_BYTES ((uint64_t)8 << 20)

/* -- from the file ------------------------------------------------------------------------------------------- */

/* The first tensor of the share that ends behind `offset` of the slab. */
static size_t find_first(const struct dt2_layout *layout, struct dt2_slab_name name, uint64_t offset)
{
    const struct dt2_share_layout *share = &layout->shares[name.share];
    size_t low = 0, high = share->tensor_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct dt2_place *place = &layout->places[share->tensors[middle]];
        bool before = place->slab < name.slab || (place->slab == name.slab && place->offset + place->bytes <= offset);
        low = before ? middle + 1 : low;
        high = before ? high : middle;
    }
    return low;
}

/* The part of a tensor from byte `skip` of it on. */
static int read_tensor(const struct dt2_file *file, size_t tensor, uint64_t skip, uint64_t bytes, char *to, struct dt2_error *err)
{
    size_t count;
    const struct dt2_piece *pieces = dt2_file_pieces(file, tensor, &count);
    for (size_t i = 0; bytes > 0 && i < count; i++) {
        if (skip >= pieces[i].bytes) {
            skip -= pieces[i].bytes;
            continue;
        }
        uint64_t part = dt2_min(bytes, pieces[i].bytes - skip);
        const struct iovec iov = { to, part };
        int rc = dt2_file_pread(file, pieces[i].file, &iov, 1, pieces[i].offset + skip, err);
        if (rc < 0)
            return rc;
        skip = 0;
        to += part;
        bytes -= part;
    }
    return 0;
}

int dt2_slab_read(const struct dt2_file *file, const struct dt2_layout *layout, struct dt2_slab_name name, uint64_t offset,
                  uint64_t bytes, void *buffer, struct dt2_error *err)
{
    const struct dt2_share_layout *share = &layout->shares[name.share];
    uint64_t limit = offset + bytes;
    for (size_t i = find_first(layout, name, offset); i < share->tensor_count; i++) {
        const struct dt2_place *place = &layout->places[share->tensors[i]];
        if (place->slab != name.slab || place->offset >= limit)
            break;
        uint64_t begin = dt2_max(place->offset, offset), end = dt2_min(place->offset + place->bytes, limit);
        int rc = read_tensor(file, share->tensors[i], begin - place->offset, end - begin, (char *)buffer + (begin - offset), err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* -- in pieces, through the host ------------------------------------------------------------------------------ */

/* Where a move begins or ends: a slab on a device, with a queue where the host does not reach it by itself. */
struct side {
    const struct dt2_opened *opened;
    const struct dt2_slab *slab;
    dt2_handle queue;
};

static bool reaches(const struct side *side)
{
    return side->opened->flags & DT2_DEVICE_HOST_ADDRESSABLE;
}

static int side_begin(struct side *side, const struct dt2_store *store, const struct dt2_slab *slab, struct dt2_error *err)
{
    struct dt2_backend_error failure = { 0 };
    *side = (struct side){ .opened = store->opened, .slab = slab };
    if (reaches(side))
        return 0;
    const struct dt2_opened *o = side->opened;
    return o->backend->queue_create(o->driver, o->device, &side->queue, &failure) < 0 ? dt2_fail_driver(err, o->name, &failure) : 0;
}

static void side_end(struct side *side)
{
    if (side->queue)
        side->opened->backend->queue_destroy(side->opened->driver, side->queue, NULL);
}

static int finish(const struct side *side, int status, struct dt2_backend_error *failure, struct dt2_error *err)
{
    const struct dt2_opened *o = side->opened;
    if (status == 0)
        status = o->backend->queue_wait(o->driver, side->queue, failure);
    return status < 0 ? dt2_fail_driver(err, o->name, failure) : 0;
}

static int take_out(const struct side *side, uint64_t offset, uint64_t bytes, void *to, struct dt2_error *err)
{
    const struct dt2_opened *o = side->opened;
    struct dt2_backend_error failure = { 0 };
    if (reaches(side)) {
        memcpy(to, (const char *)side->slab->address + offset, bytes);
        return 0;
    }
    int status = o->backend->copy_d2h(o->driver, side->queue, side->slab->buffer, offset, to, bytes, &failure);
    return finish(side, status, &failure, err);
}

static int put_in(const struct side *side, uint64_t offset, uint64_t bytes, const void *from, struct dt2_error *err)
{
    const struct dt2_opened *o = side->opened;
    struct dt2_backend_error failure = { 0 };
    if (reaches(side)) {
        memcpy((char *)side->slab->address + offset, from, bytes);
        return 0;
    }
    int status = o->backend->copy_h2d(o->driver, side->queue, side->slab->buffer, offset, from, bytes, &failure);
    return finish(side, status, &failure, err);
}

/* What reads the bytes of a piece: from a device, or from the file. */
typedef int read_fn(const void *source, uint64_t offset, uint64_t bytes, void *to, struct dt2_error *err);

static int read_side(const void *source, uint64_t offset, uint64_t bytes, void *to, struct dt2_error *err)
{
    return take_out(source, offset, bytes, to, err);
}

struct in_file {
    const struct dt2_file *file;
    const struct dt2_layout *layout;
    struct dt2_slab_name name;
};

static int read_file(const void *source, uint64_t offset, uint64_t bytes, void *to, struct dt2_error *err)
{
    const struct in_file *in = source;
    return dt2_slab_read(in->file, in->layout, in->name, offset, bytes, to, err);
}

/* Into host memory at once, else piece by piece. */
static int pour(read_fn *read, const void *source, const struct side *to, struct dt2_error *err)
{
    uint64_t bytes = to->slab->bytes;
    if (reaches(to))
        return read(source, 0, bytes, to->slab->address, err);
    DT2_AUTO char *bounce = dt2_alloc(dt2_min(bytes, BOUNCE_BYTES), 1);
    int rc = bounce ? 0 : dt2_fail_nomem(err);
    for (uint64_t at = 0; rc == 0 && at < bytes; at += BOUNCE_BYTES) {
        uint64_t part = dt2_min(bytes - at, BOUNCE_BYTES);
        rc = read(source, at, part, bounce, err);
        if (rc == 0)
            rc = put_in(to, at, part, bounce, err);
    }
    return rc;
}

int dt2_slab_load(const struct dt2_file *file, const struct dt2_layout *layout, struct dt2_slab_name name,
                  const struct dt2_store *to, const struct dt2_slab *target, struct dt2_error *err)
{
    const struct in_file source = { file, layout, name };
    struct side end;
    int rc = side_begin(&end, to, target, err);
    if (rc == 0)
        rc = pour(read_file, &source, &end, err);
    side_end(&end);
    return rc;
}

int dt2_slab_copy(const struct dt2_store *from, const struct dt2_slab *source, const struct dt2_store *to,
                  const struct dt2_slab *target, struct dt2_error *err)
{
    struct side begin, end = { 0 };
    int rc = side_begin(&begin, from, source, err);
    if (rc == 0)
        rc = side_begin(&end, to, target, err);
    if (rc == 0)
        rc = pour(read_side, &begin, &end, err);
    side_end(&begin);
    side_end(&end);
    return rc;
}
