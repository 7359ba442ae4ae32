/* SPDX-License-Identifier: BSD-3-Clause */
#include "load/ring.h"
#include "base/alloc.h"
#include "base/error.h"
#include <inttypes.h>
#include <string.h>

static int alloc_slot(struct dt2_ring *ring, struct dt2_slot *slot, struct dt2_error *err)
{
    const struct dt2_opened *o = ring->opened;
    struct dt2_backend_error failure = { 0 };
    if (ring->pinned) {
        int status = o->backend->host_alloc(o->driver, o->device, ring->slot_bytes, &slot->memory, &failure);
        if (status == 0)
            return 0;
        if (status != DT2_BACKEND_UNSUPPORTED || slot != ring->slots)
            return dt2_fail_driver(err, o->name, &failure);
        ring->pinned = false;
    }
    slot->memory = dt2_alloc(ring->slot_bytes, 1);
    return slot->memory ? 0
                        : dt2_fail(err, DT2_ENOFIT, "%s: no host memory for a staging slot of %" PRIu64 " bytes", o->name,
                                   ring->slot_bytes);
}

static int fill(struct dt2_ring *ring, size_t slots, struct dt2_error *err)
{
    const struct dt2_opened *o = ring->opened;
    struct dt2_backend_error failure = { 0 };
    pthread_mutex_init(&ring->lock, NULL);
    pthread_cond_init(&ring->returned, NULL);
    ring->ready = true;
    ring->pinned = o->backend->host_alloc && o->backend->host_free;
    ring->slots = dt2_alloc(slots, sizeof *ring->slots);
    ring->order = dt2_alloc(slots, sizeof(struct dt2_slot *));
    if (!ring->slots || !ring->order)
        return dt2_fail_nomem(err);
    if (o->backend->queue_create(o->driver, o->device, &ring->queue, &failure) < 0)
        return dt2_fail_driver(err, o->name, &failure);
    for (size_t i = 0; i < slots; i++) {
        int rc = alloc_slot(ring, &ring->slots[i], err);
        if (rc < 0)
            return rc;
        ring->order[ring->idle++] = &ring->slots[i];
        ring->count++;
    }
    return 0;
}

int dt2_ring_make(const struct dt2_opened *opened, size_t slots, uint64_t slot_bytes, struct dt2_ring *ring,
                  struct dt2_error *err)
{
    *ring = (struct dt2_ring){ .opened = opened, .slot_bytes = slot_bytes };
    int rc = fill(ring, slots, err);
    if (rc < 0)
        dt2_ring_clear(ring);
    return rc;
}

void dt2_ring_clear(struct dt2_ring *ring)
{
    if (!ring->ready)
        return;
    const struct dt2_opened *o = ring->opened;
    if (ring->queue)
        o->backend->queue_destroy(o->driver, ring->queue, NULL); /* waits for the copies that read the slots */
    for (size_t i = 0; i < ring->count; i++) {
        if (ring->slots[i].event)
            o->backend->event_free(o->driver, ring->slots[i].event, NULL);
        if (ring->pinned)
            o->backend->host_free(o->driver, o->device, ring->slots[i].memory, NULL);
        else
            dt2_release(ring->slots[i].memory);
    }
    dt2_release(ring->slots);
    dt2_release(ring->order);
    pthread_cond_destroy(&ring->returned);
    pthread_mutex_destroy(&ring->lock);
    *ring = (struct dt2_ring){ 0 };
}

void dt2_ring_return(struct dt2_ring *ring, struct dt2_slot *slot)
{
    pthread_mutex_lock(&ring->lock);
    ring->order[ring->idle++] = slot;
    pthread_cond_signal(&ring->returned);
    pthread_mutex_unlock(&ring->lock);
}

int dt2_ring_take(struct dt2_ring *ring, struct dt2_slot **slot, struct dt2_error *err)
{
    pthread_mutex_lock(&ring->lock);
    while (ring->idle == 0)
        pthread_cond_wait(&ring->returned, &ring->lock);
    struct dt2_slot *taken = ring->order[0];
    memmove(ring->order, ring->order + 1, --ring->idle * sizeof *ring->order);
    pthread_mutex_unlock(&ring->lock);

    if (taken->event) {
        const struct dt2_opened *o = ring->opened;
        struct dt2_backend_error failure = { 0 };
        int status = o->backend->event_wait(o->driver, taken->event, &failure);
        o->backend->event_free(o->driver, taken->event, NULL);
        taken->event = 0;
        if (status < 0) {
            dt2_ring_return(ring, taken);
            return dt2_fail_driver(err, o->name, &failure);
        }
    }
    *slot = taken;
    return 0;
}

int dt2_ring_send(struct dt2_ring *ring, struct dt2_slot *slot, dt2_handle buffer, uint64_t offset, uint64_t bytes,
                  struct dt2_error *err)
{
    const struct dt2_opened *o = ring->opened;
    struct dt2_backend_error failure = { 0 };
    pthread_mutex_lock(&ring->lock);
    int status = o->backend->copy_h2d(o->driver, ring->queue, buffer, offset, slot->memory, bytes, &failure);
    if (status == 0)
        status = o->backend->event_record(o->driver, ring->queue, &slot->event, &failure);
    if (status < 0) /* nothing says when the slot is free: wait here, before anybody takes it */
        o->backend->queue_wait(o->driver, ring->queue, NULL);
    ring->order[ring->idle++] = slot;
    pthread_cond_signal(&ring->returned);
    pthread_mutex_unlock(&ring->lock);
    return status < 0 ? dt2_fail_driver(err, o->name, &failure) : 0;
}

int dt2_ring_fetch(struct dt2_ring *ring, struct dt2_slot *slot, dt2_handle buffer, uint64_t offset, uint64_t bytes,
                   struct dt2_error *err)
{
    const struct dt2_opened *o = ring->opened;
    struct dt2_backend_error failure = { 0 };
    pthread_mutex_lock(&ring->lock);
    int status = o->backend->copy_d2h(o->driver, ring->queue, buffer, offset, slot->memory, bytes, &failure);
    if (status == 0)
        status = o->backend->event_record(o->driver, ring->queue, &slot->event, &failure);
    if (status < 0) /* as above: a copy may be on its way though its driver reports a failure, such as an earlier one's */
        o->backend->queue_wait(o->driver, ring->queue, NULL);
    pthread_mutex_unlock(&ring->lock);
    if (status == 0) {
        status = o->backend->event_wait(o->driver, slot->event, &failure);
        o->backend->event_free(o->driver, slot->event, NULL);
        slot->event = 0;
    }
    return status < 0 ? dt2_fail_driver(err, o->name, &failure) : 0;
}

int dt2_ring_drain(struct dt2_ring *ring, struct dt2_error *err)
{
    const struct dt2_opened *o = ring->opened;
    struct dt2_backend_error failure = { 0 };
    pthread_mutex_lock(&ring->lock);
    int status = o->backend->queue_wait(o->driver, ring->queue, &failure);
    pthread_mutex_unlock(&ring->lock);
    return status < 0 ? dt2_fail_driver(err, o->name, &failure) : 0;
}
