/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The model of cost: what moving bytes takes on a machine. All that is assumed where nothing was measured stands in cost.c, and
 * nowhere else. Pure.
 *
 *   a way      from a memory to the compute device: one leg, or two where bytes meet in staging memory; each leg takes so long
 *              a byte, and so long whatever its size
 *   a filling  from the model's file to a memory: the file's rate, which all have in common, the memory's own, and that of the
 *              bridge which several may share
 */
#ifndef DT2_PLAN_COST_H
#define DT2_PLAN_COST_H

#include "machine/devices.h"

/* One copy. */
struct dt2_leg {
    double byte_ns; /* a byte */
    double copy_ns; /* a copy, beside its bytes */
};

struct dt2_way {
    struct dt2_leg legs[2];
    unsigned leg_count;
    bool by_host; /* the first leg is a copy by the session's own thread */
    bool assumed; /* some of it was neither measured nor told by the machine */
};

/* The way of streamed bytes, as a session takes it once it has pinned what it pins. */
struct dt2_way dt2_cost_way(const struct dt2_devices *devices, size_t from, size_t compute);

/* The rate of its slowest leg, of copies so large that nothing else counts. */
double dt2_way_gbps(const struct dt2_way *way);

/* What loading bytes into a memory takes. Rates are in bytes a nanosecond, which is GB/s. */
struct dt2_filling {
    double own_gbps;    /* of its own link, or memory */
    double warm_gbps;   /* of a file in the page cache, if this memory had it for itself */
    double cold_gbps;   /* of the disk, likewise */
    double open_ns;
    const char *shared; /* the bridge; NULL: none is known */
    bool assumed;
};
struct dt2_filling dt2_cost_filling(const struct dt2_devices *devices, size_t to);

/* The time in which a device computes with so many bytes of weights, where nobody has said: an estimate. */
double dt2_cost_compute_ns(const struct dt2_devices *devices, size_t compute, uint64_t bytes);

#endif
