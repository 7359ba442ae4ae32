/* SPDX-License-Identifier: BSD-3-Clause */
/* What fill.c, which makes ready and runs, and flight.c, which takes one stretch from the file to its place, share. */
#ifndef DT2_LOAD_FILL_H
#define DT2_LOAD_FILL_H

#include "load/disks.h"
#include "load/load.h"
#include "load/populate.h"
#include "load/reads.h"
#include "load/staging.h"
#include "load/uring.h"
#include <pthread.h>

struct dt2_fill;

/* A stretch on its way. */
struct dt2_flight {
    struct dt2_flight *next; /* of those that are idle */
    size_t lane;
    const struct dt2_read *stretch;
    struct dt2_staging *staging; /* whose slot it has; NULL: read to where it lives */
    struct dt2_slot *slot;
    bool direct;
    uint64_t read_ns; /* when its reading began */
    struct iovec iov[DT2_IOVECS_MOST];
    int iov_count;
};

/* What one worker has. */
struct dt2_flyer {
    struct dt2_uring *ring; /* NULL: it reads itself, one stretch at a time */
    struct dt2_flight *flights, *idle;
    size_t under_way;
    const struct dt2_opened *near; /* the device near which it runs; NULL: where it likes */
    void *before;                  /* where it ran before that */
    char sink[DT2_GAP_MOST];
};

/* What the workers share. */
struct dt2_fill {
    struct dt2_load *load;
    pthread_mutex_t lock; /* guards the load's activities */
    struct dt2_staging *stagings; /* by share */
    struct dt2_staging bounce;    /* for direct reads of what is read in place otherwise */
    struct dt2_reads *reads;      /* by share */
    char ***slabs;                /* by share and slab: addresses of what is written in place */
    size_t *items;                /* stretches of each share */
    _Atomic size_t *left;         /* stretches of each share that have not arrived yet */
    struct dt2_disks disks;
    struct dt2_populating populating;
    struct dt2_flyer *flyers; /* by worker */
    unsigned flyer_count;
    unsigned depth; /* of each */
};

/* Makes the workers' own. Without io_uring each has one flight. Errors: DT2_ENOMEM. */
int dt2_flyers_make(struct dt2_fill *fill, bool rings, struct dt2_error *err);
void dt2_flyers_free(struct dt2_fill *fill);
/* Begins a stretch, and ends others meanwhile. For dt2_workers. */
int dt2_flight_begin(void *fill, unsigned worker, size_t lane, size_t item, struct dt2_error *err);
/* Ends all that a worker has under way; `deliver` false: it is only waited for. For dt2_workers. */
int dt2_flight_finish(void *fill, unsigned worker, bool deliver, struct dt2_error *err);

#endif
