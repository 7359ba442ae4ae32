/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads that work off lanes of items. Each lane has a worker of its own from the start, so that a slow device
 * does not hold up the others; who finishes a lane helps with another. The first failure stops all.
 */
#ifndef DT2_LOAD_WORKERS_H
#define DT2_LOAD_WORKERS_H

#include <distorch2/error.h>

struct dt2_workers {
    unsigned threads;    /* at least this many, and one for each lane that has items */
    const size_t *items; /* of each lane; taken in order 0, 1, ... */
    size_t lanes;
    /* Does one item; `worker` counts from 0 and is below dt2_workers_count(). */
    int (*work)(void *data, unsigned worker, size_t lane, size_t item, struct dt2_error *err);
    /*
     * Called once by each worker, when there are no more items for it: ends what its items have begun. `wanted` false: something
     * failed, or the program ends; no driver is called any more. NULL: items end themselves.
     */
    int (*finish)(void *data, unsigned worker, bool wanted, struct dt2_error *err);
    /* Called on the caller's thread about ten times a second; other than 0 cancels. NULL: nothing to call. */
    int (*tick)(void *data);
    void *data;
};

/* How many workers there will be. */
unsigned dt2_workers_count(const struct dt2_workers *workers);

/*
 * Does all items and returns 0, or the first failure, or DT2_ECANCELLED when a tick said so. Signals are left to the threads
 * of the caller. When threads cannot be had there are fewer workers; without any, the caller's thread does the work.
 */
int dt2_workers_run(const struct dt2_workers *workers, struct dt2_error *err);

#endif
