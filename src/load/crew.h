/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A crew of threads that works off lanes of items. Each lane has a worker of its own from the start, so that a slow device
 * does not hold up the others; who finishes a lane helps with another. The first failure stops all.
 */
#ifndef DT2_LOAD_CREW_H
#define DT2_LOAD_CREW_H

#include <distorch2/error.h>

struct dt2_crew {
    unsigned threads;    /* at least this many, and one for each lane that has items */
    const size_t *items; /* of each lane; taken in order 0, 1, ... */
    size_t lanes;
    /* Does one item; `worker` counts from 0 and is below dt2_crew_size(). */
    int (*work)(void *data, unsigned worker, size_t lane, size_t item, struct dt2_error *err);
    /* Called on the caller's thread about ten times a second; other than 0 cancels. NULL: nothing to call. */
    int (*tick)(void *data);
    void *data;
};

/* How many workers the crew will have. */
unsigned dt2_crew_size(const struct dt2_crew *crew);

/*
 * Does all items and returns 0, or the first failure, or DT2_ECANCELLED when a tick said so. Signals are left to the threads
 * of the caller. When threads cannot be had the crew is smaller; without any, the caller's thread does the work.
 */
int dt2_crew_run(const struct dt2_crew *crew, struct dt2_error *err);

#endif
