/* SPDX-License-Identifier: BSD-3-Clause */
#include "load/pins.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct dt2_pinning {
    struct dt2_pinning *next;
    struct dt2_pins *pins;
    const struct dt2_store *store;
    struct dt2_opened *device; /* whose registrations they are: open until they are gone */
    size_t users;
    pthread_mutex_t work;    /* held by who registers */
    _Atomic uint64_t *bytes; /* of each slab */
};

void dt2_pins_init(struct dt2_pins *pins, struct dt2_machine *machine, _Atomic uint64_t *all)
{
    *pins = (struct dt2_pins){ .machine = machine, .all = all };
    pthread_mutex_init(&pins->lock, NULL); /* of the default kind: cannot fail */
}

void dt2_pins_destroy(struct dt2_pins *pins)
{
    pthread_mutex_destroy(&pins->lock);
}

void dt2_keep_from_children(const void *memory, uint64_t bytes, bool keep)
{
    DT2_KEEP_ERRNO;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)memory, end = begin + bytes;
    begin -= begin % page;
    end = (end + page - 1) / page * page;
    if (begin < end)
        (void)madvise((void *)begin, end - begin, keep ? MADV_DONTFORK : MADV_DOFORK); /* advice: nothing depends on it */
}

/* -- taking and dropping */

static struct dt2_pinning *find(const struct dt2_pins *pins, const struct dt2_store *store, const void *driver)
{
    struct dt2_pinning *found = pins->first;
    while (found && (found->store != store || found->device->driver != driver))
        found = found->next;
    return found;
}

static int make(struct dt2_pins *pins, const struct dt2_store *store, const struct dt2_opened *device,
                struct dt2_pinning **pinning, struct dt2_error *err)
{
    struct dt2_pinning *made = dt2_alloc(1, sizeof *made);
    _Atomic uint64_t *bytes = dt2_alloc(store->slab_count, sizeof *bytes);
    int rc = made && bytes ? 0 : dt2_fail_nomem(err);
    if (rc == 0)
        rc = dt2_machine_open(pins->machine, device->name, &made->device, err);
    if (rc < 0) {
        dt2_release((void *)(uintptr_t)bytes);
        dt2_release(made);
        return rc;
    }
    made->pins = pins;
    made->store = store;
    made->bytes = bytes;
    pthread_mutex_init(&made->work, NULL);
    made->next = pins->first;
    pins->first = *pinning = made;
    return 0;
}

int dt2_pinning_take(struct dt2_pins *pins, const struct dt2_store *store, const struct dt2_opened *device,
                     struct dt2_pinning **pinning, struct dt2_error *err)
{
    int rc = 0;
    pthread_mutex_lock(&pins->lock);
    struct dt2_pinning *found = find(pins, store, device->driver);
    if (!found)
        rc = make(pins, store, device, &found, err);
    if (rc == 0) {
        found->users++;
        *pinning = found;
    }
    pthread_mutex_unlock(&pins->lock);
    return rc;
}

/* What other drivers have pinned of a slab. */
static uint64_t pinned_by_others(const struct dt2_pins *pins, const struct dt2_pinning *pinning, size_t slab)
{
    uint64_t most = 0;
    for (const struct dt2_pinning *other = pins->first; other; other = other->next)
        if (other != pinning && other->store == pinning->store)
            most = dt2_max(most, atomic_load(&other->bytes[slab]));
    return most;
}

/* Memory of the caller's is for the caller to keep from its children. */
static void keep_from_children(const struct dt2_pinning *pinning, size_t slab, uint64_t at, uint64_t bytes, bool keep)
{
    const struct dt2_slab *s = &pinning->store->slabs[slab];
    if (!s->adopted && !s->segment) /* what is shared is one for parent and child, whoever writes */
        dt2_keep_from_children((const char *)s->address + at, bytes, keep);
}

/* The lock is held: nobody else may begin to need what is let go of here. */
static void unpin(struct dt2_pins *pins, struct dt2_pinning *pinning, size_t slab)
{
    const struct dt2_opened *o = pinning->device;
    char *memory = pinning->store->slabs[slab].address;
    uint64_t bytes = atomic_load(&pinning->bytes[slab]), others = pinned_by_others(pins, pinning, slab);
    for (uint64_t at = 0; at < bytes; at += DT2_PIN_PIECE)
        o->backend->host_unregister(o->driver, o->device, memory + at, NULL);
    if (others < bytes)
        keep_from_children(pinning, slab, others, bytes - others, false);
    atomic_fetch_sub(pins->all, bytes);
}

void dt2_pinning_drop(struct dt2_pins *pins, struct dt2_pinning *pinning)
{
    if (!pinning)
        return;
    pthread_mutex_lock(&pins->lock);
    if (--pinning->users > 0) {
        pthread_mutex_unlock(&pins->lock);
        return;
    }
    struct dt2_pinning **link = &pins->first;
    while (*link != pinning)
        link = &(*link)->next;
    *link = pinning->next;
    for (size_t i = 0; i < pinning->store->slab_count; i++)
        unpin(pins, pinning, i);
    pthread_mutex_unlock(&pins->lock);
    dt2_machine_close(pins->machine, pinning->device);
    pthread_mutex_destroy(&pinning->work);
    dt2_release((void *)(uintptr_t)pinning->bytes);
    dt2_release(pinning);
}

/* -- pinning */

uint64_t dt2_pinning_bytes(const struct dt2_pinning *pinning, size_t slab)
{
    return atomic_load_explicit(&pinning->bytes[slab], memory_order_acquire);
}

/* The next piece: none behind one that ends within itself, as those do that a budget has cut. */
static uint64_t next_piece(uint64_t pinned, uint64_t all, uint64_t most)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), left = all - pinned;
    if (pinned % DT2_PIN_PIECE != 0)
        return 0;
    uint64_t bytes = dt2_min(dt2_min(DT2_PIN_PIECE, left), most);
    return bytes < left ? bytes - bytes % page : bytes; /* the rest of the slab shares the next page */
}

/* What has been registered counts, and stays away from children, from now on. */
static void keep(struct dt2_pinning *pinning, size_t slab, uint64_t pinned, uint64_t bytes)
{
    pthread_mutex_lock(&pinning->pins->lock);
    keep_from_children(pinning, slab, pinned, bytes, true);
    atomic_store_explicit(&pinning->bytes[slab], pinned + bytes, memory_order_release);
    atomic_fetch_add(pinning->pins->all, bytes);
    pthread_mutex_unlock(&pinning->pins->lock);
}

/*
 * Registers memory. A driver cannot pin what may only be read, so shared memory can be written to meanwhile; and of several
 * processes that pin the same pages at once some can fail, so they do it in turns.
 */
static int register_memory(const struct dt2_opened *o, const struct dt2_slab *slab, char *memory, uint64_t bytes,
                           struct dt2_backend_error *failure)
{
    if (!slab->segment)
        return o->backend->host_register(o->driver, o->device, memory, bytes, failure);
    int status = dt2_segment_lock(slab->segment) ? DT2_BACKEND_OK : DT2_BACKEND_BUSY;
    if (status < 0) {
        snprintf(failure->text, sizeof failure->text, "another process, which shares the memory, does not end pinning it");
        return status;
    }
    (void)dt2_segment_writable(memory, bytes, true); /* where that fails, so does the driver */
    status = o->backend->host_register(o->driver, o->device, memory, bytes, failure);
    (void)dt2_segment_writable(memory, bytes, false);
    dt2_segment_unlock(slab->segment);
    return status;
}

int dt2_pinning_add(struct dt2_pinning *pinning, size_t slab, uint64_t most, uint64_t *added, struct dt2_error *err)
{
    const struct dt2_opened *o = pinning->device;
    const struct dt2_slab *s = &pinning->store->slabs[slab];
    struct dt2_backend_error failure = { 0 };
    pthread_mutex_lock(&pinning->work);
    uint64_t pinned = atomic_load(&pinning->bytes[slab]), bytes = next_piece(pinned, s->bytes, most);
    char *memory = (char *)s->address + pinned;
    int status = bytes ? register_memory(o, s, memory, bytes, &failure) : 0;
    if (status == 0 && bytes)
        keep(pinning, slab, pinned, bytes);
    pthread_mutex_unlock(&pinning->work);
    if (status < 0)
        return dt2_fail_driver(err, o->name, &failure);
    *added = bytes;
    return 0;
}
