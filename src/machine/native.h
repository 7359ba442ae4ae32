/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices in the terms of their own runtimes: what they are there, and contexts that the caller has made of them. */
#ifndef DT2_MACHINE_NATIVE_H
#define DT2_MACHINE_NATIVE_H

#include "machine/machine.h"

/*
 * Gives the machine contexts of the caller's, by the names of devices in any spelling; their drivers are opened for it, and
 * each device once, so that its driver sees the context. Errors: DT2_ENOENT for a device that is not there; DT2_EUSAGE for two
 * of one device, and for one that its driver refuses.
 */
int dt2_native_give(struct dt2_machine *machine, const struct dt2_native_context *contexts, size_t count,
                    struct dt2_error *err);

/* As dt2_device_native(), whose out-parameter this fills. */
int dt2_native_tell(struct dt2_machine *machine, const char *name, bool open, struct dt2_native_device *native,
                    struct dt2_error *err);

#endif
