/* SPDX-License-Identifier: BSD-3-Clause */
/* Which devices copy to one another directly, and whether what they copy arrives. */
#ifndef DT2_MACHINE_PEERS_H
#define DT2_MACHINE_PEERS_H

#include "machine/machine.h"

/*
 * Adds a link to each other device of its driver, where the driver can tell. Opens them; one that does not open has none.
 * A pair of which nobody can tell is a warning. Errors: DT2_ENOMEM.
 */
int dt2_peers_measure(struct dt2_machine *machine, const struct dt2_log *log, struct dt2_devices *devices,
                      struct dt2_error *err);

#endif
