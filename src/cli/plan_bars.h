/* SPDX-License-Identifier: BSD-3-Clause */
/* A plan on a terminal. */
#ifndef CLI_PLAN_BARS_H
#define CLI_PLAN_BARS_H

#include <distorch2.h>

/* A bar for each share's device: what is in use, what is planned, what stays free, what is reserved, and where the quota ends. */
void cli_plan_bars(const struct dt2_plan *plan, const struct dt2_devices *devices);
/* Which share holds each part of the model, in execution order, on one line. */
void cli_plan_strip(const struct dt2_plan *plan, const struct dt2_blocks *blocks, uint64_t total);

#endif
