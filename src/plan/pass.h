/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pass of the network, gone through block by block before there is a session: the rule of src/ahead says what is fetched when
 * and to where, and here are clocks instead of copies. Pure.
 */
#ifndef DT2_PLAN_PASS_H
#define DT2_PLAN_PASS_H

#include "ahead/ahead.h"
#include "plan/cost.h"

/* Bytes that stream as one. */
struct dt2_pass_unit {
    uint64_t bytes; /* in the window */
    uint64_t payload;
    size_t way;
    unsigned blocks;
};

/* One block, or several that nobody waits for. */
struct dt2_pass_step {
    size_t unit; /* DT2_NOWHERE: it is used where it lies */
    double compute_ns;
};

/* A network and the machine that it runs on. */
struct dt2_pass {
    const struct dt2_pass_unit *units; /* in the order of their first steps */
    size_t unit_count;
    const struct dt2_pass_step *steps;
    size_t step_count;
    const struct dt2_way *ways;
    uint64_t window_bytes;
    uint64_t most; /* of one allocation on the compute device */
    uint64_t alignment;
    uint64_t largest; /* of the units */
};

/* Of a pass as they become, once the window is full. */
struct dt2_pass_times {
    double pass_ns;
    double transfer_ns; /* the way was busy */
    double bytes;       /* that were copied: less than what streams where the window holds on to some */
};

/* Errors: DT2_ENOMEM. */
int dt2_pass_foresee(const struct dt2_pass *pass, struct dt2_pass_times *times, struct dt2_error *err);

#endif
