/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pinned memory of a loaded model: its shares on the host, registered where they are, so that a device copies from them without
 * a copy on the way. Pinning is slow (gigabytes a second), so what is pinned stays so while anybody uses it, and is used by all
 * sessions on the model, also while they are parked.
 */
#ifndef DT2_LOAD_PINS_H
#define DT2_LOAD_PINS_H

#include "load/storage.h"
#include <pthread.h>
#include <stdatomic.h>

/* Memory is registered in pieces of so many bytes, from a slab's beginning on. No copy goes across two of them. */
#define DT2_PIN_PIECE ((uint64_t)64 << 20)

struct dt2_pinning; /* what of one store is pinned for one driver */

/* Those of a model. */
struct dt2_pins {
    struct dt2_machine *machine;
    pthread_mutex_t lock; /* guards the list, and who uses what; the machine's is taken under it */
    struct dt2_pinning *first;
    _Atomic uint64_t *all; /* bytes pinned of all models */
};
/* `all` counts what is pinned of all models that were given it. */
void dt2_pins_init(struct dt2_pins *pins, struct dt2_machine *machine, _Atomic uint64_t *all);
void dt2_pins_destroy(struct dt2_pins *pins); /* all were dropped */

/*
 * The pinning of a store, whose slabs have addresses, for the driver of `device`, which can register memory. Each take is owed a
 * drop; the last one unpins. Errors: DT2_ENOMEM, and of opening the device.
 */
int dt2_pinning_take(struct dt2_pins *pins, const struct dt2_store *store, const struct dt2_opened *device,
                     struct dt2_pinning **pinning, struct dt2_error *err);
void dt2_pinning_drop(struct dt2_pins *pins, struct dt2_pinning *pinning); /* NULL is fine */

/* How much of a slab is pinned, from its beginning on. It only grows. From any thread. */
uint64_t dt2_pinning_bytes(const struct dt2_pinning *pinning, size_t slab);
/*
 * Pins the next piece of a slab, or as many whole pages of it as `most` bytes have. *added is 0 when nothing is left to pin
 * within them. Several threads may be at it. Errors: what the driver says.
 */
int dt2_pinning_add(struct dt2_pinning *pinning, size_t slab, uint64_t most, uint64_t *added, struct dt2_error *err);

/*
 * Keeps all pages that a range touches out of child processes, or lets them in again: a child that writes to a page first would
 * leave the parent with another one than the device knows. Nothing of anybody else's lies on these pages.
 */
void dt2_keep_from_children(const void *memory, uint64_t bytes, bool keep);

#endif
