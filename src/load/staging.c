/* SPDX-License-Identifier: BSD-3-Clause */
#include "load/staging.h"
#include "base/alloc.h"
#include "base/error.h"
#include "load/pins.h"
#include "machine/pages.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define SLOTS_LEAST 2 /* one being filled, one being copied */
#define SLOT_LEAST ((uint64_t)64 * 1024)

/* -- slots */

/*
 * Whole pages of no driver's, near the device where the machine has several nodes; NULL without memory. Huge ones where there are
 * such: direct reads into small pages come in as many pieces, and take several times as long.
 */
static void *map_slot(const struct dt2_staging *staging)
{
    void *memory = dt2_map_huge(staging->slot_bytes);
    if (memory)
        dt2_opened_place_near(staging->opened, memory, staging->slot_bytes);
    return memory;
}

/* Such memory, which the staging's driver has registered. */
static int register_slot(const struct dt2_staging *staging, struct dt2_slot *slot, struct dt2_backend_error *failure)
{
    const struct dt2_opened *o = staging->opened;
    void *memory = map_slot(staging);
    if (!memory)
        return DT2_BACKEND_NOMEM;
    int status = o->backend->host_register(o->driver, o->device, memory, staging->slot_bytes, failure);
    if (status < 0) {
        munmap(memory, staging->slot_bytes);
        return status;
    }
    dt2_keep_from_children(memory, staging->slot_bytes, true);
    *slot = (struct dt2_slot){ .memory = memory, .kind = DT2_SLOT_REGISTERED };
    return 0;
}

/* Where the machine has several nodes, slots lie near their device, which no driver promises of memory that it takes itself. */
static int pin_slot(const struct dt2_staging *staging, struct dt2_slot *slot, struct dt2_backend_error *failure)
{
    const struct dt2_opened *o = staging->opened;
    bool registers = o->backend->host_register && o->backend->host_unregister;
    *failure = (struct dt2_backend_error){ .status = DT2_BACKEND_UNSUPPORTED };
    if (registers && (staging->shared || dt2_opened_has_near(o))) {
        int status = register_slot(staging, slot, failure);
        if (status == 0 || staging->shared)
            return status;
    }
    if (staging->shared)
        return DT2_BACKEND_UNSUPPORTED;
    if (!o->backend->host_alloc || !o->backend->host_free)
        return DT2_BACKEND_UNSUPPORTED;
    slot->kind = DT2_SLOT_DRIVERS;
    return o->backend->host_alloc(o->driver, o->device, staging->slot_bytes, &slot->memory, failure);
}

static void free_slot(const struct dt2_staging *staging, struct dt2_slot *slot)
{
    const struct dt2_opened *o = staging->opened;
    if (slot->event)
        o->backend->event_free(o->driver, slot->event, NULL);
    if (slot->kind == DT2_SLOT_DRIVERS) {
        o->backend->host_free(o->driver, o->device, slot->memory, NULL);
    } else if (slot->kind == DT2_SLOT_REGISTERED) {
        o->backend->host_unregister(o->driver, o->device, slot->memory, NULL);
        munmap(slot->memory, staging->slot_bytes);
    } else if (slot->memory) {
        munmap(slot->memory, staging->slot_bytes);
    }
}

static void free_slots(struct dt2_staging *staging)
{
    if (staging->region) {
        munmap(staging->region, staging->count * staging->slot_bytes);
        staging->count = 0;
    }
    while (staging->count > 0)
        free_slot(staging, &staging->slots[--staging->count]);
}

/* What is no refusal of memory is a failure: a device that is gone will not do with less. */
static bool is_refusal(int status)
{
    return status == DT2_BACKEND_NOMEM || status == DT2_BACKEND_FAILED || status == DT2_BACKEND_UNSUPPORTED;
}

/* As many slots as the driver pins; 0, or why it pinned no more. */
static int pin_slots(struct dt2_staging *staging, size_t slots, struct dt2_backend_error *failure)
{
    int status = 0;
    while (status == 0 && staging->count < slots) {
        status = pin_slot(staging, &staging->slots[staging->count], failure);
        staging->count += status == 0;
    }
    return status;
}

/* Says what was asked for, what there is, and why. */
static void keep_compromise(struct dt2_staging *staging, size_t slots, uint64_t slot_bytes,
                            const struct dt2_backend_error *failure)
{
    uint64_t pinned = staging->count * staging->slot_bytes;
    snprintf(staging->compromise, sizeof staging->compromise,
             "%s: of %" PRIu64 " bytes of pinned memory for staging there are %" PRIu64 "%s: %s", staging->opened->name,
             slots * slot_bytes, pinned, pinned ? "" : ", so that ordinary memory is used, which is slower",
             *failure->text ? failure->text : "there is no memory");
}

/* Pinned slots: all, at least two, or all the smaller. None is left where the driver refuses even those. */
static int add_pinned(struct dt2_staging *staging, size_t slots, struct dt2_error *err)
{
    struct dt2_backend_error failure, first = { 0 };
    uint64_t wanted = staging->slot_bytes;
    int status;
    for (;;) {
        status = pin_slots(staging, slots, &failure);
        if (status < 0 && !first.text[0])
            first = failure;
        if (status == 0 || staging->count >= SLOTS_LEAST || !is_refusal(status))
            break;
        free_slots(staging);
        if (status == DT2_BACKEND_UNSUPPORTED || staging->slot_bytes / 2 < SLOT_LEAST)
            break;
        staging->slot_bytes /= 2;
    }
    if (status < 0 && !is_refusal(status))
        return dt2_fail_driver(err, staging->opened->name, &failure);
    if (staging->count == 0)
        staging->slot_bytes = wanted;
    if (status != DT2_BACKEND_UNSUPPORTED && staging->count * staging->slot_bytes < slots * wanted)
        keep_compromise(staging, slots, wanted, &first);
    return 0;
}

static int add_ordinary(struct dt2_staging *staging, size_t slots, struct dt2_error *err)
{
    for (; staging->count < slots; staging->count++) {
        struct dt2_slot *slot = &staging->slots[staging->count];
        *slot = (struct dt2_slot){ .memory = map_slot(staging) };
        if (!slot->memory)
            return dt2_fail(err, DT2_ENOFIT, "%s: no host memory for a staging slot of %" PRIu64 " bytes",
                            staging->opened->name, staging->slot_bytes);
    }
    return 0;
}

/* -- making */

static void init(struct dt2_staging *staging)
{
    pthread_mutex_init(&staging->lock, NULL);
    pthread_cond_init(&staging->returned, NULL);
    staging->ready = true;
}

static int fill(struct dt2_staging *staging, size_t slots, struct dt2_error *err)
{
    const struct dt2_opened *o = staging->opened;
    struct dt2_backend_error failure = { 0 };
    init(staging);
    staging->slots = dt2_alloc(slots, sizeof *staging->slots);
    staging->order = dt2_alloc(slots, sizeof(struct dt2_slot *));
    if (!staging->slots || !staging->order)
        return dt2_fail_nomem(err);
    if (o->backend->queue_create(o->driver, o->device, &staging->queue, &failure) < 0)
        return dt2_fail_driver(err, o->name, &failure);
    int rc = slots ? add_pinned(staging, slots, err) : 0;
    if (rc == 0 && staging->count == 0)
        rc = add_ordinary(staging, slots, err);
    for (size_t i = 0; rc == 0 && i < staging->count; i++)
        staging->order[staging->idle++] = &staging->slots[i];
    return rc;
}

int dt2_staging_make(const struct dt2_opened *opened, size_t slots, uint64_t slot_bytes, bool shared,
                     struct dt2_staging *staging, struct dt2_error *err)
{
    *staging = (struct dt2_staging){ .opened = opened, .slot_bytes = slot_bytes, .shared = shared };
    int rc = fill(staging, slots, err);
    if (rc < 0)
        dt2_staging_clear(staging);
    return rc;
}

/* Slots side by side, which begin on a huge page where there are such. */
static int fill_plain(struct dt2_staging *staging, size_t slots, struct dt2_error *err)
{
    staging->slots = dt2_alloc(slots, sizeof *staging->slots);
    staging->order = dt2_alloc(slots, sizeof(struct dt2_slot *));
    if (!staging->slots || !staging->order)
        return dt2_fail_nomem(err);
    staging->region = dt2_map_huge(slots * staging->slot_bytes);
    if (!staging->region)
        return dt2_fail(err, DT2_ENOFIT, "no host memory for %zu staging slots of %" PRIu64 " bytes", slots,
                        staging->slot_bytes);
    for (; staging->count < slots; staging->count++) {
        staging->slots[staging->count].memory = staging->region + staging->count * staging->slot_bytes;
        staging->order[staging->idle++] = &staging->slots[staging->count];
    }
    return 0;
}

int dt2_staging_make_plain(size_t slots, uint64_t slot_bytes, struct dt2_staging *staging, struct dt2_error *err)
{
    *staging = (struct dt2_staging){ .slot_bytes = slot_bytes };
    init(staging);
    int rc = fill_plain(staging, slots, err);
    if (rc < 0)
        dt2_staging_clear(staging);
    return rc;
}

uint64_t dt2_staging_bytes(const struct dt2_staging *staging)
{
    return staging->count * staging->slot_bytes;
}

void dt2_staging_clear(struct dt2_staging *staging)
{
    if (!staging->ready)
        return;
    const struct dt2_opened *o = staging->opened; /* NULL: plain */
    if (staging->queue)
        o->backend->queue_destroy(o->driver, staging->queue, NULL); /* waits for the copies that read the slots */
    free_slots(staging);
    dt2_release(staging->slots);
    dt2_release(staging->order);
    pthread_cond_destroy(&staging->returned);
    pthread_mutex_destroy(&staging->lock);
    *staging = (struct dt2_staging){ 0 };
}

/* -- using */

void dt2_staging_return(struct dt2_staging *staging, struct dt2_slot *slot)
{
    pthread_mutex_lock(&staging->lock);
    staging->order[staging->idle++] = slot;
    pthread_cond_signal(&staging->returned);
    pthread_mutex_unlock(&staging->lock);
}

/* The slot that was given back first; NULL when there is none, and `wait` is false. */
static struct dt2_slot *first_idle(struct dt2_staging *staging, bool wait)
{
    pthread_mutex_lock(&staging->lock);
    while (staging->idle == 0 && wait)
        pthread_cond_wait(&staging->returned, &staging->lock);
    struct dt2_slot *taken = staging->idle ? staging->order[0] : NULL;
    if (taken)
        memmove(staging->order, staging->order + 1, --staging->idle * sizeof *staging->order);
    pthread_mutex_unlock(&staging->lock);
    return taken;
}

static int take(struct dt2_staging *staging, bool wait, struct dt2_slot **slot, struct dt2_error *err)
{
    struct dt2_slot *taken = first_idle(staging, wait);
    if (taken && taken->event) {
        const struct dt2_opened *o = staging->opened;
        struct dt2_backend_error failure = { 0 };
        int status = o->backend->event_wait(o->driver, taken->event, &failure);
        o->backend->event_free(o->driver, taken->event, NULL);
        taken->event = 0;
        if (status < 0) {
            dt2_staging_return(staging, taken);
            return dt2_fail_driver(err, o->name, &failure);
        }
    }
    *slot = taken;
    return 0;
}

int dt2_staging_take(struct dt2_staging *staging, struct dt2_slot **slot, struct dt2_error *err)
{
    return take(staging, true, slot, err);
}

int dt2_staging_try(struct dt2_staging *staging, struct dt2_slot **slot, struct dt2_error *err)
{
    return take(staging, false, slot, err);
}

int dt2_staging_send(struct dt2_staging *staging, struct dt2_slot *slot, const struct dt2_copy *copies, size_t count,
                     struct dt2_error *err)
{
    const struct dt2_opened *o = staging->opened;
    struct dt2_backend_error failure = { 0 };
    int status = 0;
    pthread_mutex_lock(&staging->lock);
    for (size_t i = 0; status == 0 && i < count; i++)
        status = o->backend->copy_h2d(o->driver, staging->queue, copies[i].buffer, copies[i].offset,
                                      (const char *)slot->memory + copies[i].from, copies[i].bytes, &failure);
    if (status == 0)
        status = o->backend->event_record(o->driver, staging->queue, &slot->event, &failure);
    if (status < 0) /* nothing says when the slot is free: wait here, before anybody takes it */
        o->backend->queue_wait(o->driver, staging->queue, NULL);
    staging->order[staging->idle++] = slot;
    pthread_cond_signal(&staging->returned);
    pthread_mutex_unlock(&staging->lock);
    return status < 0 ? dt2_fail_driver(err, o->name, &failure) : 0;
}

int dt2_staging_fetch(struct dt2_staging *staging, struct dt2_slot *slot, dt2_handle buffer, uint64_t offset,
                      uint64_t bytes, struct dt2_error *err)
{
    const struct dt2_opened *o = staging->opened;
    struct dt2_backend_error failure = { 0 };
    pthread_mutex_lock(&staging->lock);
    int status = o->backend->copy_d2h(o->driver, staging->queue, buffer, offset, slot->memory, bytes, &failure);
    if (status == 0)
        status = o->backend->event_record(o->driver, staging->queue, &slot->event, &failure);
    if (status < 0) /* as above: a copy may be on its way though its driver reports a failure, such as an earlier one's */
        o->backend->queue_wait(o->driver, staging->queue, NULL);
    pthread_mutex_unlock(&staging->lock);
    if (status == 0) {
        status = o->backend->event_wait(o->driver, slot->event, &failure);
        o->backend->event_free(o->driver, slot->event, NULL);
        slot->event = 0;
    }
    return status < 0 ? dt2_fail_driver(err, o->name, &failure) : 0;
}

int dt2_staging_drain(struct dt2_staging *staging, struct dt2_error *err)
{
    const struct dt2_opened *o = staging->opened;
    struct dt2_backend_error failure = { 0 };
    pthread_mutex_lock(&staging->lock);
    int status = o->backend->queue_wait(o->driver, staging->queue, &failure);
    pthread_mutex_unlock(&staging->lock);
    return status < 0 ? dt2_fail_driver(err, o->name, &failure) : 0;
}
