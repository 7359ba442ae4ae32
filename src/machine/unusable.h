/* SPDX-License-Identifier: BSD-3-Clause */
/* GPUs that the machine has and no driver claims: which, why, and what would help. */
#ifndef DT2_MACHINE_UNUSABLE_H
#define DT2_MACHINE_UNUSABLE_H

#include "machine/devices.h"
#include "machine/identity.h"
#include "machine/topology.h"

/*
 * Adds them to the snapshot. `topology` was read with its PCI devices; `root` stands before /dev and /proc, as in
 * meminfo.h.
 */
int dt2_unusable_find(const struct dt2_topology *topology, const struct dt2_modules *modules,
                      const struct dt2_view *views, size_t view_count, const char *root, struct dt2_devices *devices,
                      struct dt2_error *err);

#endif
