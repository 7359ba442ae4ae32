/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of a loaded model on all its devices: opened, allocated, and given back as one. */
#ifndef DT2_LOAD_STORAGE_H
#define DT2_LOAD_STORAGE_H

#include "load/layout.h"
#include "machine/machine.h"

/* One allocation. */
struct dt2_slab {
    dt2_handle buffer;
    uint64_t bytes;
    void *address;     /* where the host writes in place; NULL: only the device's copies reach it */
    dt2_handle backing; /* of a buffer that wraps host memory: that memory; else 0 */
    bool adopted;       /* memory of the caller's, which it frees */
    bool mapped_only;   /* host memory that is populated when it is filled (load/populate.h) */
};

/* What one share has of its device. An empty share opens nothing. */
struct dt2_store {
    struct dt2_opened *opened;
    struct dt2_opened *host; /* where backings come from; NULL when there are none */
    struct dt2_slab *slabs;
    size_t slab_count;
    bool filled_next; /* host memory is only mapped: a load fills it */
};

struct dt2_storage {
    struct dt2_machine *machine;
    struct dt2_store *stores; /* by share */
    size_t count;
};

/* Opens the devices of all shares that get bytes. On failure nothing stays open. */
int dt2_storage_open(struct dt2_machine *machine, const struct dt2_plan *plan, struct dt2_storage *storage,
                     struct dt2_error *err);
/*
 * Allocates every slab of the layout; host memory is only mapped, and there when it is filled. Errors: DT2_ENOFIT with device and
 * numbers; what was allocated stays for dt2_storage_clear().
 */
int dt2_storage_alloc(struct dt2_storage *storage, const struct dt2_layout *layout, struct dt2_error *err);
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

/* Bytes allocated for a share: without what is the caller's. */
uint64_t dt2_store_bytes(const struct dt2_store *store);

/*
 * Makes the slabs that wrap host memory writable by the host, or gives them to their device again. Between the two, and only
 * then, the host may write at slab->address.
 */
int dt2_store_map(struct dt2_store *store, struct dt2_error *err);
int dt2_store_unmap(struct dt2_store *store, struct dt2_error *err);

#endif
