/* SPDX-License-Identifier: BSD-3-Clause */
/* The pipeline from file to final memory. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "load/chunks.h"
#include "load/load.h"
#include "load/staging.h"
#include "load/workers.h"
#include <time.h>

#define MIB ((uint64_t)1 << 20)
#define IN_PLACE_CHUNK (8 * MIB)
#define SLOTS 4 /* for each device: one being read into, one being copied, two to even things out */
#define SLOT_MOST (8 * MIB)
#define SLOT_LEAST (64 * 1024)

uint64_t dt2_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Whether the host writes a share in place. */
static bool in_place(const struct dt2_store *store)
{
    return store->slab_count > 0 && store->slabs[0].address;
}

static bool needs_ring(const struct dt2_store *store)
{
    return store->slab_count > 0 && !in_place(store);
}

int dt2_stagings_make(struct dt2_load *load, uint64_t staging_bytes, struct dt2_staging **stagings,
                      struct dt2_error *err)
{
    const struct dt2_storage *storage = load->storage;
    size_t needed = 0;
    for (size_t i = 0; i < storage->count; i++)
        needed += needs_ring(&storage->stores[i]);
    struct dt2_staging *made = dt2_alloc(storage->count, sizeof *made);
    if (!made)
        return dt2_fail_nomem(err);
    uint64_t slot = needed ? staging_bytes / (needed * SLOTS) : 0;
    slot = dt2_max(dt2_min(slot, SLOT_MOST), SLOT_LEAST) & ~(uint64_t)4095;
    uint64_t used = 0;
    for (size_t i = 0; i < storage->count; i++) {
        if (!needs_ring(&storage->stores[i]))
            continue;
        int rc = dt2_staging_make(storage->stores[i].opened, SLOTS, slot, false, &made[i], err);
        if (rc == 0 && load->notes && made[i].compromise[0])
            rc = dt2_notes_add(load->notes, err, "%s", made[i].compromise);
        if (rc < 0) {
            dt2_stagings_free(load, made);
            return rc;
        }
        used += dt2_staging_bytes(&made[i]);
    }
    load->staging_used_bytes = dt2_max(load->staging_used_bytes, used);
    *stagings = made;
    return 0;
}

void dt2_stagings_free(struct dt2_load *load, struct dt2_staging *stagings)
{
    for (size_t i = 0; stagings && i < load->storage->count; i++)
        dt2_staging_clear(&stagings[i]);
    dt2_release(stagings);
}

/* What the workers share. */
struct fill {
    struct dt2_load *load;
    struct dt2_staging *stagings;
    struct dt2_chunks *chunks; /* by share */
    size_t *items;             /* chunks of each share */
    _Atomic size_t *left;      /* chunks of each share that are not sent yet */
};

static int fill_one(void *data, unsigned worker, size_t lane, size_t item, struct dt2_error *err)
{
    (void)worker;
    struct fill *fill = data;
    struct dt2_load *load = fill->load;
    const struct dt2_chunks *chunks = &fill->chunks[lane];
    const struct dt2_chunk *chunk = &chunks->chunks[item];
    const struct dt2_slab *slab = &load->storage->stores[lane].slabs[chunk->slab];
    struct dt2_staging *staging = &fill->stagings[lane];
    int rc;
    if (slab->address) {
        rc = dt2_chunk_read(load->file, chunks, chunk, (char *)slab->address + chunk->offset, err);
    } else {
        struct dt2_slot *slot;
        rc = dt2_staging_take(staging, &slot, err);
        if (rc < 0)
            return rc;
        rc = dt2_chunk_read(load->file, chunks, chunk, slot->memory, err);
        if (rc < 0)
            dt2_staging_return(staging, slot);
        else
            rc = dt2_staging_send(staging, slot, slab->buffer, chunk->offset, chunk->span, err);
    }
    if (rc < 0)
        return rc;
    atomic_fetch_add(&load->lanes[lane].done_bytes, chunk->bytes);
    if (atomic_fetch_sub(&fill->left[lane], 1) == 1) {
        rc = slab->address ? 0 : dt2_staging_drain(staging, err);
        atomic_store(&load->lanes[lane].end_ns, dt2_now_ns());
    }
    return rc;
}

static int fill_tick(void *data)
{
    struct fill *fill = data;
    return fill->load->tick ? fill->load->tick(fill->load->tick_data) : 0;
}

static int fill_prepare(struct fill *fill, struct dt2_error *err)
{
    struct dt2_load *load = fill->load;
    size_t count = load->storage->count;
    fill->chunks = dt2_alloc(count, sizeof *fill->chunks);
    fill->items = dt2_alloc(count, sizeof *fill->items);
    fill->left = dt2_alloc(count, sizeof *fill->left);
    if (!fill->chunks || !fill->items || !fill->left)
        return dt2_fail_nomem(err);
    int rc = dt2_stagings_make(load, load->staging_bytes, &fill->stagings, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (load->storage->stores[i].slab_count == 0)
            continue;
        uint64_t limit = in_place(&load->storage->stores[i]) ? IN_PLACE_CHUNK : fill->stagings[i].slot_bytes;
        rc = dt2_chunks_make(load->file, load->layout, i, limit, &fill->chunks[i], err);
        fill->items[i] = fill->chunks[i].count;
        atomic_init(&fill->left[i], fill->chunks[i].count);
    }
    return rc;
}

static void fill_clear(struct fill *fill)
{
    dt2_stagings_free(fill->load, fill->stagings);
    for (size_t i = 0; fill->chunks && i < fill->load->storage->count; i++)
        dt2_chunks_clear(&fill->chunks[i]);
    dt2_release(fill->chunks);
    dt2_release(fill->items);
    dt2_release((void *)(uintptr_t)fill->left);
}

static int map_all(struct dt2_load *load, struct dt2_error *err)
{
    for (size_t i = 0; i < load->storage->count; i++) {
        int rc = dt2_store_map(&load->storage->stores[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Gives every mapped store to its device again, whatever happened before; keeps the first failure. */
static int unmap_all(struct dt2_load *load, int rc, struct dt2_error *err)
{
    for (size_t i = 0; i < load->storage->count; i++) {
        int unmapped = dt2_store_unmap(&load->storage->stores[i], rc < 0 ? NULL : err);
        rc = rc < 0 ? rc : unmapped;
    }
    return rc;
}

int dt2_load_fill(struct dt2_load *load, struct dt2_error *err)
{
    struct fill fill = { .load = load };
    int rc = map_all(load, err);
    if (rc == 0)
        rc = fill_prepare(&fill, err);
    if (rc == 0) {
        const struct dt2_workers workers = { .threads = load->readers,
                                       .items = fill.items,
                                       .lanes = load->storage->count,
                                       .work = fill_one,
                                       .tick = fill_tick,
                                       .data = &fill };
        rc = dt2_workers_run(&workers, err);
    }
    fill_clear(&fill);
    rc = unmap_all(load, rc, err);
    return rc < 0 ? rc : dt2_file_unchanged(load->file, err);
}
