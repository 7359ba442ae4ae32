/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands. Each is one file; main.c lists them. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/options.h"

/*
 * Runs a command. Returns 0; or a negative enum dt2_code with *err filled, which the caller reports; or the exit
 * status, above 0, of a failure that is part of what was printed already.
 */
typedef int cli_run_fn(const struct cli_options *options, struct dt2_error *err);

cli_run_fn cli_devices, cli_models, cli_inspect, cli_plan, cli_load;

#endif
