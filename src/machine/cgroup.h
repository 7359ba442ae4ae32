/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory limit of the control groups that this process is in. */
#ifndef DT2_MACHINE_CGROUP_H
#define DT2_MACHINE_CGROUP_H

#include "machine/meminfo.h"

/*
 * The tightest limit up the tree, of cgroup v2, v1, or both: its bytes, and what of it is free when page cache is given
 * back. False when there is none, or none that can be read. `root` as in meminfo.h.
 */
bool dt2_cgroup_memory(const char *root, struct dt2_memory *limit);

#endif
