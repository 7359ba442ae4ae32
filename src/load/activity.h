/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was done when: for how long somebody read, waited and copied in each of at most so many intervals, however long a load
 * takes: when they are full two become one.
 */
#ifndef DT2_LOAD_ACTIVITY_H
#define DT2_LOAD_ACTIVITY_H

#include <stddef.h>
#include <stdint.h>

enum dt2_doing {
    DT2_READING,
    DT2_WAITING, /* for memory: a slot of staging, or pages */
    DT2_COPYING,
    DT2_DOINGS,
};

#define DT2_INTERVALS 128
#define DT2_INTERVAL_NS 1000000 /* at first */

/* All zeros: nothing has begun. */
struct dt2_activity {
    uint64_t begin_ns; /* on the clock of dt2_now_ns() */
    uint64_t interval_ns;
    size_t count; /* of intervals, up to the last one in which anything was done */
    uint64_t done_ns[DT2_DOINGS][DT2_INTERVALS];
};

void dt2_activity_begin(struct dt2_activity *activity, uint64_t now_ns);
/* Something was done from `from_ns` to `to_ns`; what lies before the beginning is left out. */
void dt2_activity_add(struct dt2_activity *activity, enum dt2_doing doing, uint64_t from_ns, uint64_t to_ns);

#endif
