/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands: each is one file, and a row of the table in commands.c. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/options.h"

/*
 * Runs a command. Returns 0; or a negative enum dt2_code with *err filled, which the caller reports; or the exit
 * status, above 0, of a failure that is part of what was printed already.
 */
typedef int cli_run_fn(const struct cli_options *options, struct dt2_error *err);

struct cli_command {
    const char *name;
    enum cli_command_bit bit;
    const char *arguments;
    const char *summary;
    size_t least_arguments, most_arguments;
    bool takes_models; /* completion offers them */
    cli_run_fn *run;
};

extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;

/* NULL: there is none. */
const struct cli_command *cli_command_find(const char *name);
/* "devices, models, ... and load"; to be freed. */
char *cli_command_list(void);

void cli_help_tool(void);
void cli_help_command(const struct cli_command *command);

/*
 * Completion, for the shells: prints what the last of `words` may become, a candidate a line, with a tab and what it is
 * behind it. The words before it are those after the tool's name. A line ":files" or ":folders" asks for paths too.
 */
void cli_complete(int count, char **words);

cli_run_fn cli_bench, cli_devices, cli_models, cli_inspect, cli_plan, cli_load, cli_run, cli_shared, cli_verify;

#endif
