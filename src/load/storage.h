/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of a loaded model on all its devices: opened, allocated, and given back as one. */
#ifndef DT2_LOAD_STORAGE_H
#define DT2_LOAD_STORAGE_H

#include "load/layout.h"
#include "machine/machine.h"
#include "share/segment.h"
#include <stdatomic.h>

/* One allocation. */
struct dt2_slab {
    dt2_handle buffer;
    uint64_t bytes;
    void *address;     /* where the host writes in place; NULL: only the device's copies reach it */
    dt2_handle backing; /* of a buffer that wraps host memory: that memory; else 0 */
    bool adopted;       /* memory of the caller's, which it frees */
    struct dt2_segment *segment; /* that it lies in with other processes; NULL: it is memory of the model's own */
    bool written; /* it is filled by write(), which need not zero a page before, nor map it: faster where pages are small */
    bool mapped_only;   /* host memory that is populated when it is filled (load/populate.h) */
    uint32_t at;        /* whose device holds it, for dt2_storage_at(): its own store's, unless it was evicted */
    bool movable;       /* it may be evicted: the blocks in it lie nowhere else */
    /* Twice the number of those who use it where it lies; and 1 while a movable one lies with its own store. See dt2_slab_use(). */
    _Atomic uint32_t uses;
};

/* What one share has of its device. An empty share opens nothing. */
struct dt2_store {
    struct dt2_opened *opened;
    struct dt2_opened *host; /* where backings come from; NULL when there are none */
    struct dt2_slab *slabs;
    size_t slab_count;
    bool filled_next; /* host memory is only mapped: a load fills it */
    /* Where the slabs to be allocated lie that are shared; NULL: none is. */
    const struct dt2_slab_home *homes;
    struct dt2_segment *segment;
};

struct dt2_storage {
    struct dt2_machine *machine;
    struct dt2_store *stores; /* by share */
    size_t count;
    struct dt2_store refuge; /* the host, where what is evicted finds room when no share's device has it; it has no slabs of its own */
};

/* The store of `at`; NULL: what lies there lies in the model's file alone. */
static inline struct dt2_store *dt2_storage_at(struct dt2_storage *storage, size_t at)
{
    return at < storage->count ? &storage->stores[at] : at == storage->count ? &storage->refuge : NULL;
}
static inline uint32_t dt2_storage_refuge(const struct dt2_storage *storage)
{
    return (uint32_t)storage->count;
}
static inline uint32_t dt2_storage_file(const struct dt2_storage *storage)
{
    return (uint32_t)storage->count + 1;
}

/* Opens the devices of all shares that get bytes. On failure nothing stays open. */
int dt2_storage_open(struct dt2_machine *machine, const struct dt2_plan *plan, struct dt2_storage *storage,
                     struct dt2_error *err);
/*
 * Allocates every slab of the layout; host memory is only mapped, and there when it is filled. What is shared lies in `segment` (NULL:
 * nothing is), which must be there until the storage is cleared. Errors: DT2_ENOFIT with device and numbers; what was allocated stays
 * for dt2_storage_clear().
 */
int dt2_storage_alloc(struct dt2_storage *storage, const struct dt2_layout *layout, struct dt2_segment *segment,
                      struct dt2_error *err);
/* Gives all memory back and closes the devices. Fine on zeroed storage. */
void dt2_storage_clear(struct dt2_storage *storage);

/*
 * Allocates the slabs of one store whose device is open. Errors: as above; what was allocated stays for dt2_store_clear(). Stores
 * outside of a storage (a window on the compute device) are made of these two.
 */
int dt2_store_alloc(struct dt2_machine *machine, struct dt2_store *store, const uint64_t *slab_bytes, size_t count,
                    struct dt2_error *err);
/* Gives memory back and closes the device. Fine on a zeroed store. */
void dt2_store_clear(struct dt2_machine *machine, struct dt2_store *store);

/* Takes memory of the caller's as the next slab of a store whose device is open. Errors: what the driver says of it. */
int dt2_store_adopt(struct dt2_store *store, void *native, uint64_t bytes, struct dt2_error *err);

/* Bytes that the device of `at` holds of all shares: without what is the caller's. */
uint64_t dt2_storage_bytes(const struct dt2_storage *storage, size_t at);

/* The same without what is shared with other processes. */
uint64_t dt2_storage_own_bytes(const struct dt2_storage *storage, size_t at);

/* Bytes of slabs that lie elsewhere than on their own device. */
uint64_t dt2_storage_evicted(const struct dt2_storage *storage);

/* One slab of a store whose device is open: bytes are set. On failure nothing stays. */
int dt2_slab_alloc(struct dt2_machine *machine, struct dt2_store *store, struct dt2_slab *slab, struct dt2_error *err);
void dt2_slab_free(struct dt2_store *store, struct dt2_slab *slab);

/*
 * Uses a movable slab where it lies, on its own device: it stays there until dt2_slab_let_go(). False: it does not lie there.
 * Costs no lock: who moves a slab makes `uses` 0 first, which it can only where nobody uses it.
 */
static inline bool dt2_slab_use(struct dt2_slab *slab)
{
    if (!(atomic_load_explicit(&slab->uses, memory_order_relaxed) & 1))
        return false;
    if (atomic_fetch_add(&slab->uses, 2) & 1)
        return true;
    atomic_fetch_sub(&slab->uses, 2);
    return false;
}
/* Uses a slab wherever it lies by then: it stays there. */
static inline void dt2_slab_hold(struct dt2_slab *slab)
{
    atomic_fetch_add(&slab->uses, 2);
}
static inline void dt2_slab_let_go(struct dt2_slab *slab)
{
    atomic_fetch_sub(&slab->uses, 2);
}
/* Whether a movable slab lies on its own device. */
static inline bool dt2_slab_is_home(const struct dt2_slab *slab)
{
    return atomic_load(&slab->uses) & 1;
}

/*
 * Makes the slabs that wrap host memory writable by the host, or gives them to their device again. Between the two, and only
 * then, the host may write at slab->address.
 */
int dt2_store_map(struct dt2_store *store, struct dt2_error *err);
int dt2_store_unmap(struct dt2_store *store, struct dt2_error *err);

#endif
