/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DT2_PLAN_NETWORK_H
#define DT2_PLAN_NETWORK_H

#include <distorch2/plan.h>

#define DT2_NETWORK_NAME 17

/* What tells networks apart that take another time: the names and sizes of the blocks, in their order, as sixteen digits. */
void dt2_network_name(const struct dt2_block *blocks, size_t count, char *name);

#endif
