/* SPDX-License-Identifier: BSD-3-Clause */
#include "load/ring.h"
#include "base/alloc.h"
#include "base/error.h"
#include "load/pins.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define SLOTS_LEAST 2 /* one being filled, one being copied */
#define SLOT_LEAST ((uint64_t)64 * 1024)

/* -- slots */

/* Whole pages of no driver's, near the device where the machine has several nodes; NULL without memory. */
static void *map_slot(const struct dt2_ring *ring)
{
    void *memory = mmap(NULL, ring->slot_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    dt2_opened_place_near(ring->opened, memory, ring->slot_bytes);
    return memory;
}

/* Such memory, which the ring's driver has registered. */
static int register_slot(const struct dt2_ring *ring, struct dt2_slot *slot, struct dt2_backend_error *failure)
{
    const struct dt2_opened *o = ring->opened;
    void *memory = map_slot(ring);
    if (!memory)
        return DT2_BACKEND_NOMEM;
    int status = o->backend->host_register(o->driver, o->device, memory, ring->slot_bytes, failure);
    if (status < 0) {
        munmap(memory, ring->slot_bytes);
        return status;
    }
    dt2_keep_from_children(memory, ring->slot_bytes, true);
    *slot = (struct dt2_slot){ .memory = memory, .kind = DT2_SLOT_REGISTERED };
    return 0;
}

static int pin_slot(const struct dt2_ring *ring, struct dt2_slot *slot, struct dt2_backend_error *failure)
{
    const struct dt2_opened *o = ring->opened;
    *failure = (struct dt2_backend_error){ .status = DT2_BACKEND_UNSUPPORTED };
    if (ring->shared)
        return o->backend->host_register && o->backend->host_unregister ? register_slot(ring, slot, failure)
                                                                        : DT2_BACKEND_UNSUPPORTED;
    if (!o->backend->host_alloc || !o->backend->host_free)
        return DT2_BACKEND_UNSUPPORTED;
    slot->kind = DT2_SLOT_DRIVERS;
    return o->backend->host_alloc(o->driver, o->device, ring->slot_bytes, &slot->memory, failure);
}

static void free_slot(const struct dt2_ring *ring, struct dt2_slot *slot)
{
    const struct dt2_opened *o = ring->opened;
    if (slot->event)
        o->backend->event_free(o->driver, slot->event, NULL);
    if (slot->kind == DT2_SLOT_DRIVERS) {
        o->backend->host_free(o->driver, o->device, slot->memory, NULL);
    } else if (slot->kind == DT2_SLOT_REGISTERED) {
        o->backend->host_unregister(o->driver, o->device, slot->memory, NULL);
        munmap(slot->memory, ring->slot_bytes);
    } else if (slot->memory) {
        munmap(slot->memory, ring->slot_bytes);
    }
}

static void free_slots(struct dt2_ring *ring)
{
    while (ring->count > 0)
        free_slot(ring, &ring->slots[--ring->count]);
}

/* What is no refusal of memory is a failure: a device that is gone will not do with less. */
static bool is_refusal(int status)
{
    return status == DT2_BACKEND_NOMEM || status == DT2_BACKEND_FAILED || status == DT2_BACKEND_UNSUPPORTED;
}

/* As many slots as the driver pins; 0, or why it pinned no more. */
static int pin_slots(struct dt2_ring *ring, size_t slots, struct dt2_backend_error *failure)
{
    int status = 0;
    while (status == 0 && ring->count < slots) {
        status = pin_slot(ring, &ring->slots[ring->count], failure);
        ring->count += status == 0;
    }
    return status;
}

/* Says what was asked for, what there is, and why. */
static void keep_compromise(struct dt2_ring *ring, size_t slots, uint64_t slot_bytes,
                            const struct dt2_backend_error *failure)
{
    uint64_t pinned = ring->count * ring->slot_bytes;
    snprintf(ring->compromise, sizeof ring->compromise,
             "%s: of %" PRIu64 " bytes of pinned memory for staging there are %" PRIu64 "%s: %s", ring->opened->name,
             slots * slot_bytes, pinned, pinned ? "" : ", so that ordinary memory is used, which is slower",
             *failure->text ? failure->text : "there is no memory");
}

/* Pinned slots: all, at least two, or all the smaller. None is left where the driver refuses even those. */
static int add_pinned(struct dt2_ring *ring, size_t slots, struct dt2_error *err)
{
    struct dt2_backend_error failure, first = { 0 };
    uint64_t wanted = ring->slot_bytes;
    int status;
    for (;;) {
        status = pin_slots(ring, slots, &failure);
        if (status < 0 && !first.text[0])
            first = failure;
        if (status == 0 || ring->count >= SLOTS_LEAST || !is_refusal(status))
            break;
        free_slots(ring);
        if (status == DT2_BACKEND_UNSUPPORTED || ring->slot_bytes / 2 < SLOT_LEAST)
            break;
        ring->slot_bytes /= 2;
    }
    if (status < 0 && !is_refusal(status))
        return dt2_fail_driver(err, ring->opened->name, &failure);
    if (ring->count == 0)
        ring->slot_bytes = wanted;
    if (status != DT2_BACKEND_UNSUPPORTED && ring->count * ring->slot_bytes < slots * wanted)
        keep_compromise(ring, slots, wanted, &first);
    return 0;
}

static int add_ordinary(struct dt2_ring *ring, size_t slots, struct dt2_error *err)
{
    for (; ring->count < slots; ring->count++) {
        struct dt2_slot *slot = &ring->slots[ring->count];
        *slot = (struct dt2_slot){ .memory = map_slot(ring) };
        if (!slot->memory)
            return dt2_fail(err, DT2_ENOFIT, "%s: no host memory for a staging slot of %" PRIu64 " bytes",
                            ring->opened->name, ring->slot_bytes);
    }
    return 0;
}

/* -- making */

static int fill(struct dt2_ring *ring, size_t slots, struct dt2_error *err)
{
    const struct dt2_opened *o = ring->opened;
    struct dt2_backend_error failure = { 0 };
    pthread_mutex_init(&ring->lock, NULL);
    pthread_cond_init(&ring->returned, NULL);
    ring->ready = true;
    ring->slots = dt2_alloc(slots, sizeof *ring->slots);
    ring->order = dt2_alloc(slots, sizeof(struct dt2_slot *));
    if (!ring->slots || !ring->order)
        return dt2_fail_nomem(err);
    if (o->backend->queue_create(o->driver, o->device, &ring->queue, &failure) < 0)
        return dt2_fail_driver(err, o->name, &failure);
    int rc = slots ? add_pinned(ring, slots, err) : 0;
    if (rc == 0 && ring->count == 0)
        rc = add_ordinary(ring, slots, err);
    for (size_t i = 0; rc == 0 && i < ring->count; i++)
        ring->order[ring->idle++] = &ring->slots[i];
    return rc;
}

int dt2_ring_make(const struct dt2_opened *opened, size_t slots, uint64_t slot_bytes, bool shared,
                  struct dt2_ring *ring, struct dt2_error *err)
{
    *ring = (struct dt2_ring){ .opened = opened, .slot_bytes = slot_bytes, .shared = shared };
    int rc = fill(ring, slots, err);
    if (rc < 0)
        dt2_ring_clear(ring);
    return rc;
}

uint64_t dt2_ring_bytes(const struct dt2_ring *ring)
{
    return ring->count * ring->slot_bytes;
}

void dt2_ring_clear(struct dt2_ring *ring)
{
    if (!ring->ready)
        return;
    const struct dt2_opened *o = ring->opened;
    if (ring->queue)
        o->backend->queue_destroy(o->driver, ring->queue, NULL); /* waits for the copies that read the slots */
    free_slots(ring);
    dt2_release(ring->slots);
    dt2_release(ring->order);
    pthread_cond_destroy(&ring->returned);
    pthread_mutex_destroy(&ring->lock);
    *ring = (struct dt2_ring){ 0 };
}

/* -- using */

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
