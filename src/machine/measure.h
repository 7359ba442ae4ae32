/* SPDX-License-Identifier: BSD-3-Clause */
/* How fast bytes reach a device, and come from it. */
#ifndef DT2_MACHINE_MEASURE_H
#define DT2_MACHINE_MEASURE_H

#include "machine/machine.h"

enum dt2_direction { DT2_WRITE, DT2_READ };

/*
 * The speed of copies between host memory and an open device, in GB/s: through memory that the driver pinned, or through
 * ordinary memory. Below 0: pinned memory cannot be had. Memory for it is taken and given back. Errors: what the driver says.
 */
int dt2_measure(const struct dt2_opened *opened, enum dt2_direction direction, bool pinned, double *gbps,
                struct dt2_error *err);
/* All of a link: copies to the device and from it, through staging memory as it likes that, and what a copy takes at least. */
int dt2_measure_link(const struct dt2_opened *opened, struct dt2_link *link, struct dt2_error *err);
/* The speed of copies from one open device straight to another of its driver, in GB/s; below 0: they cannot be made. */
double dt2_measure_peer(const struct dt2_opened *to, const struct dt2_opened *from);

#endif
