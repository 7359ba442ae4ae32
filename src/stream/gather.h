/* SPDX-License-Identifier: BSD-3-Clause */
/* Copying host memory with several threads: one alone moves less than a fast link does. */
#ifndef DT2_STREAM_GATHER_H
#define DT2_STREAM_GATHER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DT2_GATHERERS_MOST 4 /* the caller among them */

struct dt2_gatherers {
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    pthread_t threads[DT2_GATHERERS_MOST - 1];
    size_t count; /* of threads, besides the caller's */
    bool ready;
    bool stop;
    /* the copy at hand */
    char *to;
    const char *from;
    uint64_t bytes;
    uint64_t next; /* where the next part begins */
    size_t at_work;
};

/* Starts as many threads as there are processors for, at most; without any, copies are the caller's alone. */
void dt2_gatherers_start(struct dt2_gatherers *gatherers);
void dt2_gatherers_stop(struct dt2_gatherers *gatherers); /* fine on a zeroed one */
/* memcpy() by all of them. One caller at a time. */
void dt2_gather(struct dt2_gatherers *gatherers, void *to, const void *from, uint64_t bytes);

#endif
