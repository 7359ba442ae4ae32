/* SPDX-License-Identifier: BSD-3-Clause */
#include "load/chunks.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"

#define PARTS_A_READ 64 /* parts that one call reads; IOV_MAX allows more, but a chunk seldom has them */

/* Adds a part to the last chunk, or to a new one when it would grow beyond the limit or is in another slab. */
static int add_part(struct dt2_chunks *chunks, uint32_t slab, const struct dt2_part *part, uint64_t limit,
                    struct dt2_error *err)
{
    struct dt2_chunk *last = chunks->count ? &chunks->chunks[chunks->count - 1] : NULL;
    uint64_t end = part->slab_offset + part->bytes;
    if (!last || last->slab != slab || end - last->offset > limit) {
        if (!DT2_GROW(chunks->chunks, chunks->count, chunks->capacity))
            return dt2_fail_nomem(err);
        last = &chunks->chunks[chunks->count++];
        *last = (struct dt2_chunk){ .offset = part->slab_offset, .first_part = chunks->part_count, .slab = slab };
    }
    if (!DT2_GROW(chunks->parts, chunks->part_count, chunks->part_capacity))
        return dt2_fail_nomem(err);
    chunks->parts[chunks->part_count++] = *part;
    last->part_count++;
    last->span = end - last->offset;
    last->bytes += part->bytes;
    return 0;
}

/* How much of `bytes` bytes at `offset` still fits into the last chunk. */
static uint64_t room_in_last(const struct dt2_chunks *chunks, uint32_t slab, uint64_t offset, uint64_t limit)
{
    const struct dt2_chunk *last = chunks->count ? &chunks->chunks[chunks->count - 1] : NULL;
    if (!last || last->slab != slab || offset - last->offset >= limit)
        return limit;
    return limit - (offset - last->offset);
}

static int add_tensor(const struct dt2_file *file, size_t tensor, const struct dt2_place *place, uint64_t limit,
                      struct dt2_chunks *chunks, struct dt2_error *err)
{
    size_t count;
    const struct dt2_piece *pieces = dt2_file_pieces(file, tensor, &count);
    uint64_t at = place->offset;
    for (size_t i = 0; i < count; i++)
        for (uint64_t done = 0; done < pieces[i].bytes;) {
            uint64_t room = room_in_last(chunks, place->slab, at, limit);
            struct dt2_part part = { pieces[i].offset + done, at, dt2_min(pieces[i].bytes - done, room), pieces[i].file };
            int rc = add_part(chunks, place->slab, &part, limit, err);
            if (rc < 0)
                return rc;
            done += part.bytes;
            at += part.bytes;
        }
    return 0;
}

int dt2_chunks_make(const struct dt2_file *file, const struct dt2_layout *layout, size_t index, uint64_t limit,
                    struct dt2_chunks *chunks, struct dt2_error *err)
{
    const struct dt2_share_layout *share = &layout->shares[index];
    struct dt2_chunks made = { 0 };
    for (size_t i = 0; i < share->tensor_count; i++) {
        size_t tensor = share->tensors[i];
        int rc = add_tensor(file, tensor, &layout->places[tensor], limit, &made, err);
        if (rc < 0) {
            dt2_chunks_clear(&made);
            return rc;
        }
    }
    *chunks = made;
    return 0;
}

void dt2_chunks_clear(struct dt2_chunks *chunks)
{
    dt2_release(chunks->chunks);
    dt2_release(chunks->parts);
    *chunks = (struct dt2_chunks){ 0 };
}

int dt2_chunk_read(const struct dt2_file *file, const struct dt2_chunks *chunks, const struct dt2_chunk *chunk, void *base,
                   struct dt2_error *err)
{
    const struct dt2_part *part = &chunks->parts[chunk->first_part], *end = part + chunk->part_count;
    while (part < end) {
        struct iovec iov[PARTS_A_READ];
        int count = 0;
        const struct dt2_part *first = part;
        uint64_t next = part->file_offset;
        for (; part < end && count < PARTS_A_READ && part->file == first->file && part->file_offset == next; part++) {
            iov[count].iov_base = (char *)base + (part->slab_offset - chunk->offset);
            iov[count++].iov_len = part->bytes;
            next += part->bytes;
        }
        int rc = dt2_file_pread(file, first->file, iov, count, first->file_offset, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}
