/* SPDX-License-Identifier: BSD-3-Clause */
/* How fast bytes reach a device. */
#ifndef DT2_MACHINE_MEASURE_H
#define DT2_MACHINE_MEASURE_H

#include "machine/machine.h"

/*
 * The speed of copies from host memory to an open device, through staging memory as the device likes it, in GB/s.
 * Memory for it is taken and given back. Errors: what the driver says.
 */
int dt2_measure(const struct dt2_opened *opened, double *gbps, struct dt2_error *err);

#endif
