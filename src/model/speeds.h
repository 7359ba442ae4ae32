/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was measured of this machine, kept in the user's cache: a list of devices as JSON, a file for each host. Of each device the
 * speeds count again as long as it is the same: name, address, UUID, model, its runtime and its PCI link. What is wrong with the
 * file, or with where it is to lie, is a line in the log and no more.
 */
#ifndef DT2_MODEL_SPEEDS_H
#define DT2_MODEL_SPEEDS_H

#include "base/log.h"
#include "machine/devices.h"

/* Measures what the machine itself reaches, with a file of its own where a temporary one can be. `start_ns`: what the
 * first list took, without starting drivers. */
void dt2_speeds_measure(const struct dt2_log *log, uint64_t start_ns, struct dt2_devices *devices);
/* Keeps what was measured. `devices` gets what others have learnt meanwhile. */
void dt2_speeds_keep(const struct dt2_log *log, struct dt2_devices *devices);
/* What was kept; NULL: nothing that can be used. */
struct dt2_devices *dt2_speeds_read(const struct dt2_log *log);
/* Takes over what was kept of the same devices: what sessions learnt, and `speeds` too. Errors: DT2_ENOMEM. */
int dt2_speeds_recall(const struct dt2_devices *kept, bool speeds, struct dt2_devices *devices, struct dt2_error *err);
/* Adds to what is kept how long a pass computes. False: nothing is kept. */
bool dt2_speeds_learn(const struct dt2_log *log, const char *device, const char *network, uint64_t step_ns);

#endif
