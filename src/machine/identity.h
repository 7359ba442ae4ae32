/* SPDX-License-Identifier: BSD-3-Clause */
/* Which of the devices that drivers show are one physical device. */
#ifndef DT2_MACHINE_IDENTITY_H
#define DT2_MACHINE_IDENTITY_H

#include "machine/modules.h"

/* A device as one driver shows it. */
struct dt2_view {
    const struct dt2_driver *driver;
    uint32_t index;
    struct dt2_backend_device_info info;
    size_t group;  /* a number that all views of one device share */
    size_t chosen; /* the view under whose name the device is listed; its own index when it is this one */
};

/* The views of all drivers, in their order; a device that cannot be asked is a warning. Errors: DT2_ENOMEM. */
int dt2_views_collect(const struct dt2_modules *modules, const struct dt2_log *log, struct dt2_view **views,
                      size_t *count, struct dt2_error *err);

/*
 * Fills `group` and `chosen`. Two views are one device when their UUIDs are equal, or when both have one PCI address
 * and each of the two drivers (platforms) shows exactly one device there. Views of one driver and platform are never
 * one device.
 */
void dt2_views_identify(struct dt2_view *views, size_t count);

/* Whether any view has this PCI address. */
bool dt2_views_have_pci(const struct dt2_view *views, size_t count, const char *pci);

#endif
