/* SPDX-License-Identifier: BSD-3-Clause */
#include "load/disks.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"

/*
 * A cold file that is as large as this is read past the page cache, where its disk is this machine's: with a deep queue and into huge
 * pages that is as quick as the disk, and costs half of what the cache does in processor time and memory. A smaller one is worth keeping.
 */
#define DIRECT_LEAST ((uint64_t)256 << 20)
#define WORD 8 /* what a tensor lies at least at a multiple of, whatever its dtype */

static bool may_be_direct(enum dt2_io io, bool cold)
{
    return io == DT2_IO_DIRECT || (cold && io == DT2_IO_AUTO);
}

int dt2_disks_open(const struct dt2_file *file, enum dt2_io io, bool cold, struct dt2_disks *disks, struct dt2_error *err)
{
    uint32_t count = dt2_file_source_count(file);
    *disks = (struct dt2_disks){ .disks = dt2_alloc(count, sizeof *disks->disks) };
    if (!disks->disks)
        return dt2_fail_nomem(err);
    uint64_t all = 0;
    bool direct = io == DT2_IO_DIRECT, local = true;
    for (; disks->count < count; disks->count++) {
        struct dt2_disk *disk = &disks->disks[disks->count];
        dt2_disk_open(file, disks->count, may_be_direct(io, cold), disk);
        local &= disk->local && disk->direct >= 0;
        disks->refused |= direct && disk->direct < 0;
        all += disk->size;
    }
    disks->prefers_direct = cold && local && all >= DIRECT_LEAST;
    return 0;
}

void dt2_disks_close(struct dt2_disks *disks)
{
    for (uint32_t i = 0; i < disks->count; i++)
        dt2_disk_close(&disks->disks[i]);
    dt2_release(disks->disks);
    *disks = (struct dt2_disks){ 0 };
}

bool dt2_disks_direct(const struct dt2_disks *disks, enum dt2_io io)
{
    bool any = false;
    for (uint32_t i = 0; i < disks->count; i++)
        any |= disks->disks[i].direct >= 0;
    return any && (io == DT2_IO_DIRECT || disks->prefers_direct);
}

/* What addresses and offsets in the file agree in, for memory that direct reads fill; 0: none are made. */
static uint64_t agreement(const struct dt2_disks *disks, enum dt2_io io)
{
    uint64_t most = 0;
    for (uint32_t i = 0; dt2_disks_direct(disks, io) && i < disks->count; i++)
        most = dt2_max(most, disks->disks[i].direct >= 0 ? disks->disks[i].address_alignment : 0);
    return most;
}

static uint64_t offset_of(const struct dt2_file *file, size_t tensor)
{
    size_t count;
    const struct dt2_piece *pieces = dt2_file_pieces(file, tensor, &count);
    if (count != 1 || pieces->file & (DT2_IN_VIEW | DT2_CONVERTED) || pieces->offset % WORD)
        return DT2_UNKNOWN;
    return pieces->offset;
}

int dt2_offsets_make(const struct dt2_file *file, enum dt2_io io, bool cold, struct dt2_offsets *offsets, struct dt2_error *err)
{
    struct dt2_disks disks;
    size_t count = dt2_file_tensor_count(file);
    struct dt2_offsets made = { 0 };
    *offsets = made;
    if (!may_be_direct(io, cold)) /* what is read through the page cache lies as it likes */
        return 0;
    int rc = dt2_disks_open(file, io, cold, &disks, err);
    if (rc < 0)
        return rc;
    made.block_bytes = agreement(&disks, io);
    dt2_disks_close(&disks);
    if (made.block_bytes) {
        made.by_tensor = dt2_alloc(count, sizeof *made.by_tensor);
        if (!made.by_tensor)
            return dt2_fail_nomem(err);
        for (size_t i = 0; i < count; i++)
            made.by_tensor[i] = offset_of(file, i);
    }
    *offsets = made;
    return 0;
}
