/* SPDX-License-Identifier: BSD-3-Clause */
/* From what the machine's parts say to one snapshot of devices. */
#ifndef DT2_MACHINE_DISCOVER_H
#define DT2_MACHINE_DISCOVER_H

#include "machine/devices.h"
#include "machine/identity.h"
#include "machine/topology.h"

/* The parts; all are only read. */
struct dt2_parts {
    const struct dt2_topology *topology; /* with PCI devices when they are needed: dt2_discover_needs_io() */
    const struct dt2_driver *host;
    const struct dt2_modules *modules;
    const struct dt2_view *views; /* identified */
    size_t view_count;
    const struct dt2_log *log;
    const char *root; /* before /proc, /sys and /dev: "" but in tests */
};

/* Whether PCI devices matter to the list, beyond a topology without them: they take time to find. */
bool dt2_discover_needs_io(const struct dt2_parts *parts, unsigned flags);

/* The snapshot, without links. `flags` are enum dt2_devices_flag. Errors: DT2_ENOMEM; DT2_EFAILED. */
int dt2_discover(const struct dt2_parts *parts, unsigned flags, struct dt2_devices **devices, struct dt2_error *err);

/*
 * Fills in how fast a device's way to host memory can be, of which PCI link that is, and which bridge it shares, whose name stays in
 * *where; unknown also while PCI devices were not needed.
 */
void dt2_discover_link(const struct dt2_topology *topology, const char *root, const char *pci, struct dt2_locality *where,
                       struct dt2_link *link);

#endif
