/* SPDX-License-Identifier: BSD-3-Clause */
/* What sessions have learnt: how long a pass of a network computes on a device. It comes with the list of devices, as speeds do. */
#ifndef DT2_MACHINE_STEPS_H
#define DT2_MACHINE_STEPS_H

#include "machine/devices.h"

#define DT2_STEPS_MOST 256 /* the oldest makes room */

/* NULL: nobody knows. */
const struct dt2_step *dt2_steps_find(const struct dt2_devices *devices, const char *device, const char *network);
/* Keeps a copy, in place of what was known of the same two. Errors: DT2_ENOMEM. */
int dt2_steps_put(struct dt2_devices *devices, const struct dt2_step *step, struct dt2_error *err);

#endif
