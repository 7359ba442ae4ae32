/* SPDX-License-Identifier: BSD-3-Clause */
#include "load/reads.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include <stdlib.h>

#define CUT ((uint64_t)65536)        /* where large tensors are cut: no two reads touch one page of the file, of any kernel */
#define SLOT_ALIGNMENT ((uint64_t)256) /* of what one copy takes out of a slot */

/* A piece of a tensor before it is cut, and where its first byte lies in a real file. */
struct wanted {
    struct dt2_piece piece;
    uint64_t slab_offset;
    uint64_t order_offset;
    uint32_t order_file;
    uint32_t slab;
};

struct list {
    struct wanted *items;
    size_t count, capacity;
};

static int add_tensor(const struct dt2_file *file, size_t tensor, const struct dt2_place *place, struct list *list,
                      struct dt2_error *err)
{
    size_t count;
    const struct dt2_piece *pieces = dt2_file_pieces(file, tensor, &count);
    uint64_t at = place->offset;
    for (size_t i = 0; i < count; at += pieces[i++].bytes) {
        if (pieces[i].bytes == 0)
            continue;
        if (!DT2_GROW(list->items, list->count, list->capacity))
            return dt2_fail_nomem(err);
        struct wanted *wanted = &list->items[list->count++];
        *wanted = (struct wanted){ .piece = pieces[i], .slab_offset = at, .slab = place->slab };
        dt2_file_where(file, &pieces[i], &wanted->order_file, &wanted->order_offset);
    }
    return 0;
}

static int in_file_order(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    if (x->order_file != y->order_file)
        return x->order_file < y->order_file ? -1 : 1;
    if (x->order_offset != y->order_offset)
        return x->order_offset < y->order_offset ? -1 : 1;
    if (x->piece.file != y->piece.file)
        return x->piece.file < y->piece.file ? -1 : 1;
    return x->piece.offset < y->piece.offset ? -1 : x->piece.offset > y->piece.offset;
}

/* Where a part behind another lies in the slot; *joined: so that one copy takes both. */
static uint64_t staged_behind(const struct dt2_read_part *before, uint32_t slab, uint64_t slab_offset,
                              const struct dt2_reads_rules *rules, bool *joined)
{
    uint64_t end = before->staged + before->bytes, slab_end = before->slab_offset + before->bytes;
    *joined = slab == before->slab && slab_offset >= slab_end &&
              (slab_offset == slab_end || slab_offset - slab_end < rules->alignment);
    return *joined ? end + (slab_offset - slab_end) : (end + SLOT_ALIGNMENT - 1) & ~(SLOT_ALIGNMENT - 1);
}

static uint64_t left_of_page(uint64_t slab_offset, const struct dt2_reads_rules *rules)
{
    return rules->page_bytes ? rules->page_bytes - slab_offset % rules->page_bytes : UINT64_MAX;
}

/* Whether a stretch can go on with this piece: behind what it has, near enough, in the same file, and not at the end of a page. */
static bool follows(const struct dt2_reads *reads, const struct dt2_read *last, const struct dt2_piece *piece,
                    const struct dt2_reads_rules *rules)
{
    const struct dt2_read_part *before = &reads->parts[reads->part_count - 1];
    uint64_t end = last->offset + last->span;
    if (rules->page_bytes && (before->slab_offset + before->bytes) % rules->page_bytes == 0)
        return false;
    return last->part_count > 0 && last->part_count < DT2_PARTS_MOST && last->file == piece->file &&
           piece->offset >= end && piece->offset - end <= ((piece->file & (DT2_IN_VIEW | DT2_CONVERTED)) ? 0 : DT2_GAP_MOST);
}

/* How much of a piece goes into a stretch that can still take `room`: all, or up to the end of a page, or a cut. */
static uint64_t portion(const struct wanted *wanted, uint64_t room, const struct dt2_reads_rules *rules)
{
    const struct dt2_piece *piece = &wanted->piece;
    uint64_t left = left_of_page(wanted->slab_offset, rules);
    if (dt2_min(piece->bytes, left) <= room)
        return dt2_min(piece->bytes, left);
    uint64_t cut = (piece->offset + room) / CUT * CUT;
    return cut > piece->offset ? cut - piece->offset : room;
}

static struct dt2_read *begin_stretch(struct dt2_reads *reads, const struct dt2_piece *piece)
{
    if (!DT2_GROW(reads->stretches, reads->count, reads->capacity))
        return NULL;
    struct dt2_read *made = &reads->stretches[reads->count++];
    *made = (struct dt2_read){ .offset = piece->offset, .first_part = reads->part_count, .file = piece->file };
    return made;
}

/* Adds as much of a piece as fits to the last stretch, or to a new one, and takes it off the piece. */
static int add_part(struct dt2_reads *reads, struct wanted *wanted, const struct dt2_reads_rules *rules,
                    struct dt2_error *err)
{
    struct dt2_piece *piece = &wanted->piece;
    struct dt2_read *last = reads->count ? &reads->stretches[reads->count - 1] : NULL;
    struct dt2_read_part part = { piece->offset, wanted->slab_offset, 0, 0, piece->file, wanted->slab, false };
    if (last && follows(reads, last, piece, rules)) {
        part.staged = staged_behind(&reads->parts[reads->part_count - 1], part.slab, part.slab_offset, rules, &part.joined);
        uint64_t used = dt2_max(part.staged, piece->offset - last->offset);
        part.bytes = used < rules->limit ? portion(wanted, rules->limit - used, rules) : 0;
        if (part.bytes < piece->bytes && part.bytes < CUT)
            part.bytes = 0; /* not worth a piece of its own */
    }
    if (part.bytes == 0) {
        last = begin_stretch(reads, piece);
        part.staged = 0;
        part.joined = false;
        part.bytes = portion(wanted, rules->limit, rules);
    }
    if (!last || !DT2_GROW(reads->parts, reads->part_count, reads->part_capacity))
        return dt2_fail_nomem(err);
    reads->parts[reads->part_count++] = part;
    last->part_count++;
    last->span = piece->offset + part.bytes - last->offset;
    last->bytes += part.bytes;
    piece->offset += part.bytes;
    piece->bytes -= part.bytes;
    wanted->slab_offset += part.bytes;
    return 0;
}

int dt2_reads_make(const struct dt2_file *file, const struct dt2_layout *layout, size_t index,
                   const struct dt2_reads_rules *rules, struct dt2_reads *reads, struct dt2_error *err)
{
    const struct dt2_share_layout *share = &layout->shares[index];
    struct dt2_reads made = { 0 };
    struct list list = { 0 };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < share->tensor_count; i++)
        if (!dt2_layout_is_there(share, layout->places[share->tensors[i]].slab))
            rc = add_tensor(file, share->tensors[i], &layout->places[share->tensors[i]], &list, err);
    if (list.count > 0)
        qsort(list.items, list.count, sizeof *list.items, in_file_order);
    for (size_t i = 0; rc == 0 && i < list.count; i++)
        while (rc == 0 && list.items[i].piece.bytes > 0)
            rc = add_part(&made, &list.items[i], rules, err);
    dt2_release(list.items);
    if (rc < 0)
        dt2_reads_clear(&made);
    else
        *reads = made;
    return rc;
}

void dt2_reads_clear(struct dt2_reads *reads)
{
    dt2_release(reads->stretches);
    dt2_release(reads->parts);
    *reads = (struct dt2_reads){ 0 };
}

int dt2_read_scatter(const struct dt2_reads *reads, const struct dt2_read *stretch,
                     const struct dt2_destination *destination, char *sink, struct iovec iov[DT2_IOVECS_MOST])
{
    const struct dt2_read_part *parts = &reads->parts[stretch->first_part];
    uint64_t at = stretch->offset;
    int count = 0;
    for (size_t i = 0; i < stretch->part_count; i++) {
        const struct dt2_read_part *part = &parts[i];
        char *to = destination->slot ? destination->slot + part->staged : destination->slabs[part->slab] + part->slab_offset;
        if (part->file_offset > at)
            iov[count++] = (struct iovec){ sink, part->file_offset - at };
        at = part->file_offset + part->bytes;
        bool runs_on = count > 0 && (char *)iov[count - 1].iov_base + iov[count - 1].iov_len == to;
        if (runs_on)
            iov[count - 1].iov_len += part->bytes;
        else
            iov[count++] = (struct iovec){ to, part->bytes };
    }
    return count;
}
