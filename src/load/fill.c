/* SPDX-License-Identifier: BSD-3-Clause */
/* The pipeline from file to final memory. */
#include "load/fill.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "load/workers.h"
#include "machine/host.h"
#include "machine/pages.h"
#include <inttypes.h>

#define MIB ((uint64_t)1 << 20)
#define STRETCH_MOST (2 * MIB) /* of what is read in place: many are under way, and a cancel waits for these */
#define SLOTS_LEAST 4          /* for each device: one being read into, one being copied, two to even things out */
#define SLOTS_MOST 16
#define SLOT_MOST (4 * MIB)
#define SLOT_LEAST ((uint64_t)64 * 1024)
#define SLOT_GOOD MIB /* smaller ones are fewer before they are smaller */
#define BLOCKS (2 * DT2_DIRECT_ALIGNMENT) /* that a direct read takes at its ends */

/* Whether the host writes a share in place. */
static bool in_place(const struct dt2_store *store)
{
    return store->slab_count > 0 && store->slabs[0].address;
}

static bool needs_staging(const struct dt2_store *store)
{
    return store->slab_count > 0 && !in_place(store);
}

/* Slots for one device out of so many bytes: all of them for one alone. */
static void divide(uint64_t bytes, size_t *slots, uint64_t *slot_bytes)
{
    uint64_t slot = dt2_max(bytes / SLOTS_MOST, dt2_min(bytes / SLOTS_LEAST, SLOT_GOOD));
    *slot_bytes = dt2_max(dt2_min(slot, SLOT_MOST), SLOT_LEAST) & ~(uint64_t)4095;
    *slots = dt2_max(dt2_min(bytes / *slot_bytes, SLOTS_MOST), SLOTS_LEAST);
}

/* No more staging than a share has bytes, and a little: pinning what is never filled takes time for nothing. */
static uint64_t worth(const struct dt2_load *load, size_t share, uint64_t bytes)
{
    return dt2_min(bytes, load->layout->shares[share].bytes / 8 + SLOTS_LEAST * MIB);
}

int dt2_stagings_make(struct dt2_load *load, uint64_t staging_bytes, struct dt2_staging **stagings,
                      struct dt2_error *err)
{
    const struct dt2_storage *storage = load->storage;
    size_t needed = 0;
    for (size_t i = 0; i < storage->count; i++)
        needed += needs_staging(&storage->stores[i]);
    struct dt2_staging *made = dt2_alloc(storage->count, sizeof *made);
    if (!made)
        return dt2_fail_nomem(err);
    uint64_t used = 0;
    for (size_t i = 0; i < storage->count; i++) {
        size_t slots;
        uint64_t slot;
        if (!needs_staging(&storage->stores[i]))
            continue;
        divide(worth(load, i, staging_bytes / needed), &slots, &slot);
        int rc = dt2_staging_make(storage->stores[i].opened, slots, slot, false, &made[i], err);
        if (rc == 0 && load->warnings && made[i].compromise[0])
            rc = dt2_warnings_add(load->warnings, err, "%s", made[i].compromise);
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

static int fill_tick(void *data)
{
    struct dt2_fill *fill = data;
    return fill->load->tick ? fill->load->tick(fill->load->tick_data) : 0;
}

/* -- making ready */

/* What the disks are like. Direct reads are made ready for where they are asked for, or may pay. */
static int look_at_disks(struct dt2_fill *fill, struct dt2_error *err)
{
    const struct dt2_load *load = fill->load;
    int rc = dt2_disks_open(load->file, load->io, load->cold, &fill->disks, err);
    if (rc < 0 || !fill->disks.refused || !load->warnings)
        return rc;
    return dt2_warnings_add(load->warnings, err, "%s: its file system has no direct reads: it is read through the page cache",
                         dt2_file_path(load->file));
}

/* How deep the queue is, and who waits in it: io_uring for a few workers, or as many workers as reads. */
static void arrange(struct dt2_fill *fill, bool *rings)
{
    const struct dt2_load *load = fill->load;
    unsigned lanes = 0;
    for (size_t i = 0; i < load->storage->count; i++)
        lanes += load->storage->stores[i].slab_count > 0;
    unsigned workers = load->threads > lanes ? load->threads : lanes;
    struct dt2_uring *trial = load->depth > workers ? dt2_uring_make(1) : NULL;
    *rings = trial;
    dt2_uring_free(trial);
    fill->flyer_count = *rings || load->depth < workers ? workers : load->depth;
    fill->depth = *rings ? (load->depth + workers - 1) / workers : 1;
}

/* Whether anything is written to where it lives. */
static bool writes(const struct dt2_load *load)
{
    bool written = false;
    for (size_t i = 0; i < load->storage->count; i++)
        for (size_t j = 0; j < load->storage->stores[i].slab_count; j++)
            written |= load->storage->stores[i].slabs[j].written;
    return written;
}

/* Memory for direct reads of what is read in place otherwise; none where too little staging is allowed. */
static int make_bounce(struct dt2_fill *fill, uint64_t *staging_bytes, struct dt2_error *err)
{
    const struct dt2_load *load = fill->load;
    bool in_place_any = false, staged_any = false, written = writes(load);
    for (size_t i = 0; i < load->storage->count; i++) {
        in_place_any |= in_place(&load->storage->stores[i]);
        staged_any |= needs_staging(&load->storage->stores[i]);
    }
    if (!in_place_any || (!written && !dt2_disks_direct(&fill->disks, load->io)))
        return 0;
    uint64_t bytes = staged_any ? *staging_bytes / 2 : *staging_bytes;
    size_t slots = (size_t)fill->flyer_count * fill->depth;
    uint64_t slot = dt2_min(bytes / slots & ~(uint64_t)4095, STRETCH_MOST + BLOCKS);
    if (slot < SLOT_LEAST && !written)
        return 0;
    slot = dt2_max(slot, SLOT_LEAST);
    int rc = dt2_staging_make_plain(slots, slot, &fill->bounce, err);
    *staging_bytes -= rc == 0 ? dt2_staging_bytes(&fill->bounce) : 0;
    return rc;
}

/* The addresses of a share's slabs, for what is written in place. */
static int list_slabs(struct dt2_fill *fill, size_t share, struct dt2_error *err)
{
    const struct dt2_store *store = &fill->load->storage->stores[share];
    fill->slabs[share] = dt2_alloc(store->slab_count, sizeof(char *));
    for (size_t i = 0; fill->slabs[share] && i < store->slab_count; i++)
        fill->slabs[share][i] = store->slabs[i].address;
    return fill->slabs[share] ? 0 : dt2_fail_nomem(err);
}

/* What somebody else has filled has arrived before anything is read. */
static void count_there(const struct dt2_load *load, size_t share)
{
    const struct dt2_share_layout *layout = &load->layout->shares[share];
    uint64_t bytes = 0;
    for (size_t i = 0; layout->homes && i < layout->tensor_count; i++) {
        const struct dt2_place *place = &load->layout->places[layout->tensors[i]];
        bytes += dt2_layout_is_there(layout, place->slab) ? place->bytes : 0;
    }
    atomic_store(&load->lanes[share].done_bytes, bytes);
}

static int plan_reads(struct dt2_fill *fill, size_t share, struct dt2_error *err)
{
    const struct dt2_load *load = fill->load;
    const struct dt2_store *store = &load->storage->stores[share];
    if (store->slab_count == 0)
        return 0;
    struct dt2_reads_rules rules = { .limit = STRETCH_MOST, .alignment = store->opened->alignment_bytes };
    if (needs_staging(store))
        rules.limit = fill->stagings[share].slot_bytes - BLOCKS;
    else if (fill->bounce.ready)
        rules.limit = fill->bounce.slot_bytes - BLOCKS;
    else
        rules.page_bytes = dt2_huge_page();
    int rc = dt2_reads_make(load->file, load->layout, share, &rules, &fill->reads[share], err);
    fill->items[share] = fill->reads[share].count;
    count_there(load, share);
    if (fill->reads[share].count == 0)
        atomic_store(&load->lanes[share].end_ns, dt2_now_ns());
    atomic_init(&fill->left[share], fill->reads[share].count);
    return rc == 0 ? list_slabs(fill, share, err) : rc;
}

static int fill_prepare(struct dt2_fill *fill, struct dt2_error *err)
{
    struct dt2_load *load = fill->load;
    size_t count = load->storage->count;
    uint64_t staging_bytes = load->staging_bytes;
    bool rings = false;
    fill->reads = dt2_alloc(count, sizeof *fill->reads);
    fill->slabs = dt2_alloc(count, sizeof(char **));
    fill->items = dt2_alloc(count, sizeof *fill->items);
    fill->left = dt2_alloc(count, sizeof *fill->left);
    if (!fill->reads || !fill->slabs || !fill->items || !fill->left)
        return dt2_fail_nomem(err);
    int rc = dt2_populating_make(load->storage, &fill->populating, err);
    if (rc == 0)
        rc = look_at_disks(fill, err);
    if (rc == 0) {
        arrange(fill, &rings);
        rc = make_bounce(fill, &staging_bytes, err);
    }
    if (rc == 0)
        rc = dt2_stagings_make(load, staging_bytes, &fill->stagings, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = plan_reads(fill, i, err);
    load->staging_used_bytes += dt2_staging_bytes(&fill->bounce);
    return rc == 0 ? dt2_flyers_make(fill, rings, err) : rc;
}

static void fill_clear(struct dt2_fill *fill)
{
    size_t count = fill->load->storage->count;
    dt2_flyers_free(fill);
    dt2_stagings_free(fill->load, fill->stagings);
    dt2_staging_clear(&fill->bounce);
    dt2_populating_clear(&fill->populating);
    for (size_t i = 0; fill->reads && i < count; i++)
        dt2_reads_clear(&fill->reads[i]);
    for (size_t i = 0; fill->slabs && i < count; i++)
        dt2_release(fill->slabs[i]);
    dt2_disks_close(&fill->disks);
    dt2_release(fill->reads);
    dt2_release(fill->slabs);
    dt2_release(fill->items);
    dt2_release((void *)(uintptr_t)fill->left);
}

/* -- running */

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

static int run(struct dt2_fill *fill, struct dt2_error *err)
{
    struct dt2_load *load = fill->load;
    const struct dt2_workers workers = { .threads = fill->flyer_count,
                                         .items = fill->items,
                                         .lanes = load->storage->count,
                                         .work = dt2_flight_begin,
                                         .finish = dt2_flight_finish,
                                         .tick = fill_tick,
                                         .data = fill };
    load->used_depth = fill->flyer_count * fill->depth;
    load->used_uring = fill->flyer_count > 0 && fill->flyers[0].ring;
    for (size_t i = 0; load->activities && i < load->storage->count; i++)
        dt2_activity_begin(&load->activities[i], dt2_now_ns());
    return dt2_workers_run(&workers, err);
}

/* Says what lies on other nodes than it was planned for, where the kernel lets nobody bind memory. */
static int say_where(const struct dt2_load *load, struct dt2_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && load->warnings && i < load->storage->count; i++) {
        const struct dt2_store *store = &load->storage->stores[i];
        uint64_t elsewhere = 0, all = 0;
        for (size_t j = 0; j < store->slab_count && store->opened->backend == dt2_host_backend(); j++) {
            all += store->slabs[j].bytes;
            elsewhere += dt2_host_elsewhere(store->opened->driver, store->opened->device, store->slabs[j].address,
                                            store->slabs[j].bytes);
        }
        if (elsewhere)
            rc = dt2_warnings_add(load->warnings, err, "%s: memory cannot be bound to its node here: of %" PRIu64 " bytes %" PRIu64
                               " lie on other nodes", store->opened->name, all, elsewhere);
    }
    return rc;
}

/* Whether somebody else has filled all: nothing is made ready then. */
static bool is_all_there(const struct dt2_load *load)
{
    for (size_t i = 0; i < load->storage->count; i++)
        for (size_t j = 0; j < load->storage->stores[i].slab_count; j++)
            if (!dt2_layout_is_there(&load->layout->shares[i], j))
                return false;
    return load->segment != NULL;
}

int dt2_load_fill(struct dt2_load *load, struct dt2_error *err)
{
    struct dt2_fill fill = { .load = load, .lock = PTHREAD_MUTEX_INITIALIZER };
    if (is_all_there(load)) {
        for (size_t i = 0; i < load->storage->count; i++) {
            count_there(load, i);
            atomic_store(&load->lanes[i].end_ns, dt2_now_ns());
        }
        return dt2_file_unchanged(load->file, err);
    }
    int rc = map_all(load, err);
    if (rc == 0)
        rc = fill_prepare(&fill, err);
    if (rc == 0)
        rc = run(&fill, err);
    fill_clear(&fill);
    rc = unmap_all(load, rc, err);
    if (rc == 0)
        rc = say_where(load, err);
    return rc < 0 ? rc : dt2_file_unchanged(load->file, err);
}
