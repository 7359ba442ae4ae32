/* SPDX-License-Identifier: BSD-3-Clause */
#include "load/storage.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "load/workers.h"
#include "machine/host.h"
#include "machine/pages.h"
#include <inttypes.h>
#include <string.h>

#define WRAP_GRANULE 64 /* of buffer_wrap's size */

/* What the threads that open devices need. */
struct opener {
    struct dt2_storage *storage;
    const struct dt2_plan *plan;
};

static int open_one(void *data, unsigned worker, size_t share, size_t item, struct dt2_error *err)
{
    const struct opener *opener = data;
    (void)worker, (void)item;
    return dt2_machine_open(opener->storage->machine, dt2_plan_share(opener->plan, share)->device,
                            &opener->storage->stores[share].opened, err);
}

/* Each device has a thread of its own: making a context takes a GPU as long as reading a small model. */
int dt2_storage_open(struct dt2_machine *machine, const struct dt2_plan *plan, struct dt2_storage *storage,
                     struct dt2_error *err)
{
    size_t count = dt2_plan_share_count(plan);
    struct dt2_storage made = { .machine = machine, .stores = dt2_alloc(count, sizeof *made.stores), .count = count };
    DT2_AUTO size_t *lanes = dt2_alloc(count, sizeof *lanes);
    if (!made.stores || !lanes) {
        dt2_storage_clear(&made);
        return dt2_fail_nomem(err);
    }
    for (size_t i = 0; i < count; i++)
        lanes[i] = dt2_plan_share(plan, i)->bytes > 0;
    struct opener opener = { &made, plan };
    const struct dt2_workers workers = { .items = lanes, .lanes = count, .work = open_one, .data = &opener };
    int rc = dt2_workers_run(&workers, err);
    if (rc < 0) {
        dt2_storage_clear(&made);
        return rc;
    }
    *storage = made;
    return 0;
}

static int refuse(const struct dt2_store *store, uint64_t bytes, const struct dt2_backend_error *failure,
                  struct dt2_error *err)
{
    int rc = dt2_fail_driver(err, store->opened->name, failure);
    return dt2_fail_prefix(err, rc, "cannot allocate %" PRIu64 " bytes on ", bytes);
}

/* Host memory that a load fills is only mapped here. */
static int alloc_on(const struct dt2_opened *o, const struct dt2_store *store, struct dt2_slab *slab, uint64_t bytes,
                    dt2_handle *buffer, struct dt2_backend_error *failure)
{
    slab->mapped_only = store->filled_next && o->backend == dt2_host_backend();
    return slab->mapped_only ? dt2_host_buffer_map_only(o->driver, o->device, bytes, buffer, failure)
                             : o->backend->buffer_alloc(o->driver, o->device, bytes, buffer, failure);
}

/*
 * A device that shares the host's memory gets a buffer of memory that the core placed: read in place, with huge pages, near
 * the device. UNSUPPORTED: the driver allocates after all.
 */
static int alloc_wrapped(struct dt2_machine *machine, struct dt2_store *store, struct dt2_slab *slab,
                         struct dt2_backend_error *failure, struct dt2_error *err)
{
    const struct dt2_opened *o = store->opened;
    if (!store->host) {
        int rc = dt2_machine_open(machine, "cpu", &store->host, err);
        if (rc < 0)
            return rc;
    }
    const struct dt2_opened *host = store->host;
    struct dt2_backend_native native = { .struct_size = sizeof native };
    uint64_t rounded;
    if (dt2_round_up_overflows(slab->bytes, WRAP_GRANULE, &rounded))
        return dt2_fail(err, DT2_ENOFIT, "%s: %" PRIu64 " bytes cannot be rounded up", o->name, slab->bytes);
    dt2_handle memory = 0;
    if (alloc_on(host, store, slab, rounded, &memory, failure) < 0 ||
        host->backend->buffer_native(host->driver, memory, &native, failure) < 0) {
        if (memory)
            host->backend->buffer_free(host->driver, memory, NULL);
        return refuse(store, slab->bytes, failure, err);
    }
    dt2_opened_place_near(o, native.handle, rounded);
    int status = o->backend->buffer_wrap(o->driver, o->device, native.handle, rounded, &slab->buffer, failure);
    if (status < 0) {
        host->backend->buffer_free(host->driver, memory, NULL);
        return status == DT2_BACKEND_UNSUPPORTED ? 0 : refuse(store, slab->bytes, failure, err);
    }
    slab->backing = memory;
    return 0;
}

/* Whether the kernel gathers a slab's first huge page, the one that is whole in so many bytes: it can then be filled in place at once. */
static bool gathers(const struct dt2_slab *slab)
{
    return dt2_pages_gather(slab->address, dt2_min(slab->bytes, 2 * dt2_huge_page() - 1)) > 0;
}

/* A slab at its place in the segment. What is to be filled can be written to until dt2_sharing_end(). */
static int alloc_at_home(const struct dt2_store *store, const struct dt2_slab_home *home, struct dt2_slab *slab, struct dt2_error *err)
{
    const struct dt2_opened *o = store->opened;
    struct dt2_backend_error failure = { 0 };
    slab->segment = store->segment;
    slab->address = store->segment->map + home->at.offset;
    slab->mapped_only = !home->at.there;
    if (o->backend->buffer_adopt(o->driver, o->device, slab->address, slab->bytes, &slab->buffer, &failure) < 0)
        return refuse(store, slab->bytes, &failure, err);
    int failed = home->at.there ? 0 : dt2_segment_writable(slab->address, slab->bytes, true);
    if (failed)
        return dt2_fail(err, DT2_EFAILED, "%" PRIu64 " bytes of the segment cannot be written: %s", slab->bytes, strerror(failed));
    if (!home->at.there && home->at.bound)
        dt2_opened_place_near(o, slab->address, slab->bytes);
    slab->written = !home->at.there && !home->at.bound && !gathers(slab);
    return 0;
}

static int alloc_slab(struct dt2_machine *machine, struct dt2_store *store, struct dt2_slab *slab, struct dt2_error *err)
{
    const struct dt2_opened *o = store->opened;
    struct dt2_backend_error failure = { 0 };
    struct dt2_backend_native native = { .struct_size = sizeof native };
    bool addressable = o->flags & DT2_DEVICE_HOST_ADDRESSABLE;
    if ((o->flags & DT2_DEVICE_SHARES_HOST) && !addressable && o->backend->buffer_wrap && o->backend->buffer_map &&
        o->backend->buffer_unmap) {
        int rc = alloc_wrapped(machine, store, slab, &failure, err);
        if (rc < 0 || slab->buffer)
            return rc;
    }
    if (alloc_on(o, store, slab, slab->bytes, &slab->buffer, &failure) < 0)
        return refuse(store, slab->bytes, &failure, err);
    if (!addressable)
        return 0;
    if (o->backend->buffer_native(o->driver, slab->buffer, &native, &failure) < 0)
        return dt2_fail_driver(err, o->name, &failure);
    slab->address = native.handle;
    return 0;
}

static uint64_t sum(const uint64_t *bytes, size_t count)
{
    uint64_t all = 0;
    for (size_t i = 0; i < count; i++)
        all += bytes[i];
    return all;
}

int dt2_store_alloc(struct dt2_machine *machine, struct dt2_store *store, const uint64_t *slab_bytes, size_t count,
                    struct dt2_error *err)
{
    int rc = 0;
    store->slabs = dt2_alloc(count, sizeof *store->slabs);
    if (!store->slabs)
        return dt2_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        store->slabs[i].bytes = slab_bytes[i];
        store->slab_count++;
        bool shared = store->homes && store->homes[i].at.shared;
        rc = shared ? alloc_at_home(store, &store->homes[i], &store->slabs[i], err)
                    : alloc_slab(machine, store, &store->slabs[i], err);
    }
    if (rc < 0 && count > 1)
        return dt2_fail_prefix(err, rc, "%" PRIu64 " bytes in %zu allocations: ", sum(slab_bytes, count), count);
    return rc;
}

int dt2_store_adopt(struct dt2_store *store, void *native, uint64_t bytes, struct dt2_error *err)
{
    const struct dt2_opened *o = store->opened;
    struct dt2_backend_error failure = { 0 };
    struct dt2_backend_native found = { .struct_size = sizeof found };
    struct dt2_slab *longer = dt2_realloc(store->slabs, store->slab_count + 1, sizeof *longer);
    if (!longer)
        return dt2_fail_nomem(err);
    store->slabs = longer;
    struct dt2_slab *slab = &longer[store->slab_count];
    *slab = (struct dt2_slab){ .bytes = bytes, .adopted = true };
    int status = o->backend->buffer_adopt(o->driver, o->device, native, bytes, &slab->buffer, &failure);
    if (status < 0) {
        int rc = dt2_fail_prefix(err, dt2_fail_driver(err, o->name, &failure), "memory that was given cannot be used: ");
        return status == DT2_BACKEND_INVALID ? dt2_fail_as(err, DT2_EUSAGE) : rc;
    }
    store->slab_count++;
    if (!(o->flags & DT2_DEVICE_HOST_ADDRESSABLE))
        return 0;
    if (o->backend->buffer_native(o->driver, slab->buffer, &found, &failure) < 0)
        return dt2_fail_driver(err, o->name, &failure);
    slab->address = found.handle;
    return 0;
}

int dt2_storage_alloc(struct dt2_storage *storage, const struct dt2_layout *layout, struct dt2_segment *segment,
                      struct dt2_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < storage->count; i++) {
        const struct dt2_share_layout *share = &layout->shares[i];
        struct dt2_store *store = &storage->stores[i];
        if (store->opened && !store->slabs) {
            store->filled_next = true;
            store->homes = share->homes;
            store->segment = segment;
            rc = dt2_store_alloc(storage->machine, store, share->slab_bytes, share->slab_count, err);
            store->filled_next = false; /* what comes later is there at once */
            store->homes = NULL;
        }
        for (size_t j = 0; j < store->slab_count; j++)
            store->slabs[j].at = (uint32_t)i;
    }
    return rc;
}

int dt2_slab_alloc(struct dt2_machine *machine, struct dt2_store *store, struct dt2_slab *slab, struct dt2_error *err)
{
    int rc = alloc_slab(machine, store, slab, err);
    if (rc < 0)
        dt2_slab_free(store, slab);
    return rc;
}

void dt2_slab_free(struct dt2_store *store, struct dt2_slab *slab)
{
    if (slab->buffer)
        store->opened->backend->buffer_free(store->opened->driver, slab->buffer, NULL);
    if (slab->backing)
        store->host->backend->buffer_free(store->host->driver, slab->backing, NULL);
    slab->buffer = slab->backing = 0;
    slab->address = NULL;
}

void dt2_store_clear(struct dt2_machine *machine, struct dt2_store *store)
{
    for (size_t i = 0; i < store->slab_count; i++)
        dt2_slab_free(store, &store->slabs[i]);
    dt2_release(store->slabs);
    dt2_machine_close(machine, store->host);
    dt2_machine_close(machine, store->opened);
    *store = (struct dt2_store){ 0 };
}

/* What was evicted is given back where it lies, while that device is open. */
static void free_evicted(struct dt2_storage *storage, size_t share)
{
    struct dt2_store *store = &storage->stores[share];
    for (size_t i = 0; i < store->slab_count; i++) {
        struct dt2_store *at = dt2_storage_at(storage, store->slabs[i].at);
        if (at && at != store)
            dt2_slab_free(at, &store->slabs[i]);
    }
}

void dt2_storage_clear(struct dt2_storage *storage)
{
    for (size_t i = 0; storage->stores && i < storage->count; i++)
        free_evicted(storage, i);
    for (size_t i = 0; storage->stores && i < storage->count; i++)
        dt2_store_clear(storage->machine, &storage->stores[i]);
    dt2_store_clear(storage->machine, &storage->refuge);
    dt2_release(storage->stores);
    *storage = (struct dt2_storage){ 0 };
}

uint64_t dt2_storage_bytes(const struct dt2_storage *storage, size_t at)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < storage->count; i++)
        for (size_t j = 0; j < storage->stores[i].slab_count; j++) {
            const struct dt2_slab *slab = &storage->stores[i].slabs[j];
            bytes += slab->at == at && !slab->adopted ? slab->bytes : 0;
        }
    return bytes;
}

uint64_t dt2_storage_own_bytes(const struct dt2_storage *storage, size_t at)
{
    uint64_t bytes = dt2_storage_bytes(storage, at);
    for (size_t i = 0; i < storage->count; i++)
        for (size_t j = 0; j < storage->stores[i].slab_count; j++)
            bytes -= storage->stores[i].slabs[j].at == at && storage->stores[i].slabs[j].segment ? storage->stores[i].slabs[j].bytes : 0;
    return bytes;
}

uint64_t dt2_storage_evicted(const struct dt2_storage *storage)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < storage->count; i++)
        for (size_t j = 0; j < storage->stores[i].slab_count; j++)
            bytes += storage->stores[i].slabs[j].at != i ? storage->stores[i].slabs[j].bytes : 0;
    return bytes;
}

/* Runs one mapping step on a queue of its own. */
static int with_queue(struct dt2_store *store, int (*step)(struct dt2_store *, dt2_handle, struct dt2_backend_error *),
                      struct dt2_error *err)
{
    const struct dt2_opened *o = store->opened;
    struct dt2_backend_error failure = { 0 };
    dt2_handle queue;
    if (o->backend->queue_create(o->driver, o->device, &queue, &failure) < 0)
        return dt2_fail_driver(err, o->name, &failure);
    int status = step(store, queue, &failure);
    if (status == 0)
        status = o->backend->queue_wait(o->driver, queue, &failure);
    o->backend->queue_destroy(o->driver, queue, NULL);
    return status < 0 ? dt2_fail_driver(err, o->name, &failure) : 0;
}

static int unmap_slabs(struct dt2_store *store, dt2_handle queue, struct dt2_backend_error *failure)
{
    int status = 0;
    for (size_t i = 0; i < store->slab_count; i++) {
        struct dt2_slab *slab = &store->slabs[i];
        if (!slab->backing || !slab->address)
            continue;
        int rc = store->opened->backend->buffer_unmap(store->opened->driver, queue, slab->buffer, slab->address,
                                                      status < 0 ? NULL : failure);
        slab->address = NULL;
        status = status < 0 ? status : rc;
    }
    return status;
}

static int map_slabs(struct dt2_store *store, dt2_handle queue, struct dt2_backend_error *failure)
{
    for (size_t i = 0; i < store->slab_count; i++) {
        struct dt2_slab *slab = &store->slabs[i];
        if (!slab->backing)
            continue;
        int status = store->opened->backend->buffer_map(store->opened->driver, queue, slab->buffer, 0, slab->bytes,
                                                        DT2_MAP_WRITE, &slab->address, failure);
        if (status < 0) {
            unmap_slabs(store, queue, NULL);
            return status;
        }
    }
    return 0;
}

int dt2_store_map(struct dt2_store *store, struct dt2_error *err)
{
    return store->host ? with_queue(store, map_slabs, err) : 0;
}

int dt2_store_unmap(struct dt2_store *store, struct dt2_error *err)
{
    return store->host ? with_queue(store, unmap_slabs, err) : 0;
}
