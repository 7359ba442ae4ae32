/* SPDX-License-Identifier: BSD-3-Clause */
/* One driver module. */
#ifndef DT2_MACHINE_MODULE_H
#define DT2_MACHINE_MODULE_H

#include "machine/modules.h"

/* Why a module is not used. */
struct dt2_reason {
    char text[512];
};
/* Cut where it is too long, between characters. */
void dt2_explain(struct dt2_reason *reason, const char *format, ...) DT2_PRINTF(2, 3);

/*
 * Loads the module at `path`, opens the driver `name` in it and counts its devices. Returns 0; DT2_BACKEND_ABSENT,
 * DT2_BACKEND_NO_DEVICE or DT2_BACKEND_FAILED with the reason; DT2_BACKEND_NOMEM when it was memory for bookkeeping that was short.
 */
int dt2_module_open(const char *path, const char *name, struct dt2_services *services, struct dt2_driver *driver,
                    void **library, struct dt2_reason *reason);

#endif
