/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way to a device whose memory the host cannot write: a few slots of staging memory, pinned where the driver can, and one
 * queue. Several readers fill slots at the same time; copies run while others read.
 *
 * Pinned memory is refused in more than one place (a limit on locked memory, WSL2, a driver's own), and is no reason to fail: then
 * there are fewer slots, then smaller ones, then ordinary memory, and `compromise` says so.
 */
#ifndef DT2_LOAD_STAGING_H
#define DT2_LOAD_STAGING_H

#include "machine/machine.h"
#include <pthread.h>

/* Whose a slot's memory is. */
enum dt2_slot_kind {
    DT2_SLOT_ORDINARY,   /* ours, and pageable */
    DT2_SLOT_DRIVERS,    /* pinned: the driver's own */
    DT2_SLOT_REGISTERED, /* pinned: anonymous memory that the driver has registered */
};

struct dt2_slot {
    void *memory;
    dt2_handle event; /* of the copy that reads the slot; 0: none */
    enum dt2_slot_kind kind;
};

struct dt2_staging {
    const struct dt2_opened *opened;
    dt2_handle queue;
    struct dt2_slot *slots;
    size_t count;
    uint64_t slot_bytes;
    char *region; /* of plain staging: all slots' memory */
    bool shared;             /* slots are memory of no driver's, which several may register */
    char compromise[1024];   /* what pinned memory was refused, in words; "": none */
    pthread_mutex_t lock;    /* guards the queue and the order of slots */
    pthread_cond_t returned; /* a slot came back */
    struct dt2_slot **order; /* slots that nobody holds; the one whose copy was queued first is taken first */
    size_t idle;
    bool ready; /* lock and condition are there */
};

/*
 * Makes staging of at most `slots` slots of at most `slot_bytes` bytes each, pages whole. `shared`: drivers of other
 * makers will register them too, so that they are memory of no driver's own. Errors: what the driver says; DT2_ENOFIT.
 */
int dt2_staging_make(const struct dt2_opened *opened, size_t slots, uint64_t slot_bytes, bool shared,
                     struct dt2_staging *staging, struct dt2_error *err);
/*
 * The same without a device: ordinary memory of huge pages, from which the host copies itself. Its slots are taken and returned,
 * and no more. Errors: DT2_ENOFIT.
 */
int dt2_staging_make_plain(size_t slots, uint64_t slot_bytes, struct dt2_staging *staging, struct dt2_error *err);
/* Bytes of all slots. */
uint64_t dt2_staging_bytes(const struct dt2_staging *staging);
/* Waits for copies under way and frees everything; fine on a zeroed staging. */
void dt2_staging_clear(struct dt2_staging *staging);

/*
 * Takes a slot whose last copy is done; blocks until there is one. It goes back by dt2_staging_send() or
 * dt2_staging_return().
 */
int dt2_staging_take(struct dt2_staging *staging, struct dt2_slot **slot, struct dt2_error *err);
/* The same for who must not wait for others: *slot is NULL when they have all. */
int dt2_staging_try(struct dt2_staging *staging, struct dt2_slot **slot, struct dt2_error *err);
void dt2_staging_return(struct dt2_staging *staging, struct dt2_slot *slot);
/* One range of a slot, and where it goes. */
struct dt2_copy {
    uint64_t from; /* in the slot */
    dt2_handle buffer;
    uint64_t offset; /* in the buffer */
    uint64_t bytes;
};
/* Queues copies out of the slot, and gives it back. */
int dt2_staging_send(struct dt2_staging *staging, struct dt2_slot *slot, const struct dt2_copy *copies, size_t count,
                     struct dt2_error *err);
/* Copies `bytes` bytes of the buffer into the slot and waits for them. */
int dt2_staging_fetch(struct dt2_staging *staging, struct dt2_slot *slot, dt2_handle buffer, uint64_t offset,
                      uint64_t bytes, struct dt2_error *err);
/* Waits until all that was sent has arrived. */
int dt2_staging_drain(struct dt2_staging *staging, struct dt2_error *err);

#endif
