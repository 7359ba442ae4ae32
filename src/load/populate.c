/* SPDX-License-Identifier: BSD-3-Clause */
#include "load/populate.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "machine/host.h"
#include "machine/pages.h"
#include "machine/topology.h"
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define CALLS_PIECE ((uint64_t)16 << 20) /* where a piece costs more calls than one: it is bound to a node, or gathered */
#define LOOK_LEAST ((uint64_t)16 << 20)
#define MARGIN_MOST ((uint64_t)64 << 20)
#define LOOK_MOST ((uint64_t)512 << 20)
#define SLOW_MOST 3 /* that a thread has much to do in the kernel once says nothing */

enum { ABSENT, UNDER_WAY, THERE };

/* -- what is left to be had */

/* Bytes that are still to go to a device of the host's. */
static uint64_t left_on(const struct dt2_populating *populating, const struct dt2_opened *host)
{
    const struct dt2_storage *storage = populating->storage;
    uint64_t left = 0;
    for (size_t i = 0; i < storage->count; i++)
        for (size_t j = 0; populating->regions[i] && j < storage->stores[i].slab_count; j++)
            if (populating->regions[i][j].host && populating->regions[i][j].host->device == host->device)
                left += atomic_load(&populating->regions[i][j].left);
    return left;
}

static int refuse(uint64_t left, uint64_t room, const char *where, struct dt2_error *err)
{
    dt2_fail(err, DT2_ENOFIT,
             "does not fit any more: %" PRIu64 " bytes of the model are still to go to %s, where %" PRIu64
             " are free now: others have taken %" PRIu64 " of what there was",
             left, where, room, dt2_sub_floor(left, room));
    dt2_suggest(err, "end what takes the memory, or load when it has ended");
    return DT2_ENOFIT;
}

/*
 * Fails when less is free than is still to be populated. The next look is due when others could have taken a good part of what is
 * free beside that.
 */
static int look(struct dt2_populating *populating, const struct dt2_opened *host, struct dt2_error *err)
{
    uint64_t left = atomic_load(&populating->left), here = left_on(populating, host);
    uint64_t room = dt2_host_room(host->driver, 0), room_here = dt2_host_room(host->driver, host->device);
    uint64_t margin = populating->shares ? dt2_min(MARGIN_MOST, left / 8) : 0;
    if (room != DT2_UNKNOWN && room < left + margin)
        return refuse(left, room, "host memory", err);
    if (room_here != DT2_UNKNOWN && room_here < here)
        return refuse(here, room_here, host->name, err);
    uint64_t spare = dt2_min(room == DT2_UNKNOWN ? LOOK_MOST : room - left,
                             room_here == DT2_UNKNOWN ? LOOK_MOST : room_here - here);
    uint64_t step = dt2_max(LOOK_LEAST, dt2_min(spare / 4, LOOK_MOST));
    atomic_store(&populating->look_at, dt2_sub_floor(left, step));
    return 0;
}

/* -- pieces */

static int fail_driver(const struct dt2_region *region, const struct dt2_populating *populating,
                       const struct dt2_backend_error *failure, struct dt2_error *err)
{
    int rc = dt2_fail_driver(err, region->host->name, failure);
    return dt2_fail_prefix(err, rc, "%" PRIu64 " bytes of the model have no memory yet: ", atomic_load(&populating->left));
}

/* With huge pages, until these turn out to be slower than small ones. */
static int give_pages(struct dt2_populating *populating, const struct dt2_region *region, char *memory, uint64_t bytes,
                      struct dt2_backend_error *failure)
{
    bool small = atomic_load(&populating->slow) >= SLOW_MOST;
    if (small && !region->shared)
        dt2_pages_small(memory, bytes);
    uint64_t begin = small ? 0 : dt2_thread_ns();
    int rc = dt2_host_populate(region->host->driver, region->host->device, memory, bytes, region->shared && !small, failure);
    if (!small && bytes == region->piece_bytes && dt2_pages_slow(dt2_thread_ns() - begin, bytes, region->shared))
        atomic_fetch_add(&populating->slow, 1);
    return rc;
}

/* Populates a piece that nobody else is at. */
static int populate_piece(struct dt2_populating *populating, struct dt2_region *region, size_t piece, struct dt2_error *err)
{
    struct dt2_backend_error failure = { 0 };
    uint64_t at = dt2_sub_floor(piece * region->piece_bytes, region->before);
    uint64_t bytes = dt2_min((piece + 1) * region->piece_bytes - region->before, region->bytes) - at;
    int rc = atomic_load(&populating->left) <= atomic_load(&populating->look_at) ? look(populating, region->host, err) : 0;
    if (rc == 0 && !region->written && give_pages(populating, region, region->memory + at, bytes, &failure) < 0)
        rc = fail_driver(region, populating, &failure, err);
    if (rc == 0) {
        atomic_fetch_sub(&populating->left, bytes);
        atomic_fetch_sub(&region->left, bytes);
    }
    pthread_mutex_lock(&populating->lock);
    atomic_store(&region->pieces[piece], rc == 0 ? THERE : ABSENT);
    pthread_cond_broadcast(&populating->populated);
    pthread_mutex_unlock(&populating->lock);
    return rc;
}

/* Populates a piece, or waits for who is at it, unless it is only `ahead`; when that fails, this one's try tells why. */
static int settle_piece(struct dt2_populating *populating, struct dt2_region *region, size_t piece, bool ahead,
                        struct dt2_error *err)
{
    for (;;) {
        unsigned char state = ABSENT;
        if (atomic_compare_exchange_strong(&region->pieces[piece], &state, UNDER_WAY))
            return populate_piece(populating, region, piece, err);
        if (ahead)
            return 0;
        pthread_mutex_lock(&populating->lock);
        while (atomic_load(&region->pieces[piece]) == UNDER_WAY)
            pthread_cond_wait(&populating->populated, &populating->lock);
        pthread_mutex_unlock(&populating->lock);
        if (atomic_load(&region->pieces[piece]) == THERE)
            return 0;
    }
}

int dt2_populate(struct dt2_populating *populating, size_t share, size_t slab, uint64_t offset, uint64_t bytes, bool ahead,
                 struct dt2_error *err)
{
    struct dt2_region *region = &populating->regions[share][slab];
    int rc = 0;
    if (!region->host || bytes == 0)
        return 0;
    offset += region->before;
    size_t last = (size_t)((offset + bytes - 1) / region->piece_bytes);
    for (size_t piece = (size_t)(offset / region->piece_bytes); rc == 0 && piece <= last; piece++)
        if (atomic_load(&region->pieces[piece]) != THERE)
            rc = settle_piece(populating, region, piece, ahead, err);
    return rc;
}

/* -- making */

/* A slab of which the memory was mapped only: the host's own, or one that a device shares. */
static int add_region(struct dt2_populating *populating, const struct dt2_store *store, const struct dt2_slab *slab,
                      struct dt2_region *region, struct dt2_error *err)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (slab->adopted || !slab->mapped_only || !slab->address)
        return 0;
    *region = (struct dt2_region){ .host = slab->backing ? store->host : store->opened,
                                   .memory = slab->address,
                                   .written = slab->written,
                                   .shared = slab->segment != NULL,
                                   .bytes = (slab->bytes + page - 1) / page * page };
    region->piece_bytes = dt2_max(dt2_pages_piece((size_t)region->bytes), region->shared ? CALLS_PIECE : populating->piece_least);
    region->before = region->shared ? (uintptr_t)region->memory % region->piece_bytes : 0;
    region->pieces = dt2_alloc((size_t)((region->before + region->bytes) / region->piece_bytes + 1), sizeof *region->pieces);
    if (!region->pieces)
        return dt2_fail_nomem(err);
    populating->shares |= region->shared;
    atomic_init(&region->left, region->bytes);
    atomic_fetch_add(&populating->left, region->bytes);
    return 0;
}

static int add_regions(struct dt2_populating *populating, size_t share, struct dt2_error *err)
{
    const struct dt2_store *store = &populating->storage->stores[share];
    struct dt2_region *regions = populating->regions[share] = dt2_alloc(store->slab_count, sizeof *regions);
    int rc = regions ? 0 : dt2_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < store->slab_count; i++)
        rc = add_region(populating, store, &store->slabs[i], &regions[i], err);
    return rc;
}

int dt2_populating_make(const struct dt2_storage *storage, struct dt2_populating *populating, struct dt2_error *err)
{
    *populating = (struct dt2_populating){ .storage = storage };
    for (size_t i = 0; i < storage->count; i++) {
        const struct dt2_opened *o = storage->stores[i].opened;
        if (o && o->topology && dt2_topology_is_several(o->topology))
            populating->piece_least = CALLS_PIECE;
    }
    pthread_mutex_init(&populating->lock, NULL);
    pthread_cond_init(&populating->populated, NULL);
    populating->ready = true;
    populating->regions = dt2_alloc(storage->count, sizeof(struct dt2_region *));
    int rc = populating->regions ? 0 : dt2_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < storage->count; i++)
        rc = add_regions(populating, i, err);
    for (size_t i = 0; rc == 0 && i < storage->count; i++)
        if (storage->stores[i].slab_count > 0 && populating->regions[i][0].host)
            rc = look(populating, populating->regions[i][0].host, err);
    return rc;
}

void dt2_populating_clear(struct dt2_populating *populating)
{
    if (!populating->ready)
        return;
    for (size_t i = 0; populating->regions && i < populating->storage->count; i++) {
        struct dt2_region *regions = populating->regions[i];
        for (size_t j = 0; regions && j < populating->storage->stores[i].slab_count; j++)
            dt2_release((void *)(uintptr_t)regions[j].pieces);
        dt2_release(regions);
    }
    dt2_release(populating->regions);
    pthread_cond_destroy(&populating->populated);
    pthread_mutex_destroy(&populating->lock);
    *populating = (struct dt2_populating){ 0 };
}
