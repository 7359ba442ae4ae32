/* SPDX-License-Identifier: BSD-3-Clause */
/* Capacity: what each budget of a machine can take in one plan, and what the plan charges to it. */
#ifndef DT2_PLAN_CAPACITY_H
#define DT2_PLAN_CAPACITY_H

#include "base/text.h"
#include "machine/devices.h"
#include <distorch2/plan.h>

/* One budget, parallel to the machine's. */
struct dt2_room {
    uint64_t free;      /* with what will be ejected; DT2_UNKNOWN: neither free nor total is known, nothing limits it */
    uint64_t reserve;   /* to be left */
    uint64_t available; /* free - reserve, or what --budget says outright */
    uint64_t charged;   /* by the plan so far */
    bool outright;
    bool named;   /* the request has a reserve or a budget for it */
    bool assumed; /* free is unknown, the total stands for it */
};

struct dt2_capacity {
    const struct dt2_devices *devices;
    struct dt2_room *rooms;
    size_t count;
};

/* Works out the rooms of `devices` for a request that computes on device `compute`. Errors: DT2_ENOENT for a name in --reserve or
 * --budget that is neither device nor budget. */
int dt2_capacity_make(const struct dt2_devices *devices, const struct dt2_request *request, size_t compute,
                      struct dt2_capacity *capacity, struct dt2_error *err);
void dt2_capacity_clear(struct dt2_capacity *capacity);

/* What the device can still take: the least that any of its budgets has left; DT2_UNKNOWN when nothing limits it. */
uint64_t dt2_capacity_left(const struct dt2_capacity *capacity, size_t device);
/* Charges `bytes` to every budget of the device. */
void dt2_capacity_charge(struct dt2_capacity *capacity, size_t device, uint64_t bytes);
/* Counts `bytes` that lie on the device already: free memory is without them, what was allowed outright has them in it. */
void dt2_capacity_hold(struct dt2_capacity *capacity, size_t device, uint64_t bytes);
/* Forgets what was charged. */
void dt2_capacity_reset(struct dt2_capacity *capacity);

/* The first budget that is charged beyond what is available; capacity->count when all hold. */
size_t dt2_capacity_short(const struct dt2_capacity *capacity);
/* Says which budgets are short by how many bytes; nothing when all hold. */
void dt2_capacity_tell(const struct dt2_capacity *capacity, struct dt2_text *text);
/* Fails with that. Returns DT2_ENOFIT. */
int dt2_capacity_refuse(const struct dt2_capacity *capacity, struct dt2_error *err);

#endif
