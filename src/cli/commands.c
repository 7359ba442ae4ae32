/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of commands, and what can be told from it alone. */
#include "cli/commands.h"
#include "cli/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct cli_command cli_commands[] = {
    { "devices", CLI_DEVICES, "", "List every memory of this machine that can hold tensors.", 0, 0, false,
      cli_devices },
    { "models", CLI_MODELS, " [PATTERN]", "List the models in ComfyUI's folders.", 0, 1, false, cli_models },
    { "inspect", CLI_INSPECT, " MODEL...", "Show what a model file is, and its blocks.", 1, SIZE_MAX, true,
      cli_inspect },
    { "plan", CLI_PLAN, " MODEL", "Show where each block would go. Touches no device memory.", 1, 1, true, cli_plan },
    { "load", CLI_LOAD, " MODEL...", "Load models, one after another, over several memories.", 1, SIZE_MAX, true,
      cli_load },
    { "run", CLI_RUN, " MODEL", "Load a model, and measure what passes through it cost.", 1, 1, true, cli_run },
    { "verify", CLI_VERIFY, " MODEL --against FILE", "Compare a model with checksums that were taken of it.", 1, 1,
      true, cli_verify },
    { "bench", CLI_BENCH, " [MODEL]", "This machine's limits, and how close a load comes to each.", 0, 1, true, cli_bench },
    { "shared", CLI_SHARED, "", "List what processes of this user share (load --share).", 0, 0, false, cli_shared },
};
const size_t cli_command_count = sizeof cli_commands / sizeof *cli_commands;

const struct cli_command *cli_command_find(const char *name)
{
    for (size_t i = 0; i < cli_command_count; i++)
        if (strcmp(name, cli_commands[i].name) == 0)
            return &cli_commands[i];
    return NULL;
}

char *cli_command_list(void)
{
    char *list = cli_format("%s", cli_commands[0].name);
    for (size_t i = 1; i < cli_command_count; i++) {
        char *longer = cli_format("%s%s%s", list, i + 1 < cli_command_count ? ", " : " and ", cli_commands[i].name);
        free(list);
        list = longer;
    }
    return list;
}

void cli_help_tool(void)
{
    puts("Usage: distorch2 COMMAND [OPTION]... [ARGUMENT]...\n"
         "Load ControlNet models with their tensors spread over the memories of unlike\n"
         "devices: host memory by NUMA node, and GPUs of several vendors.\n"
         "\n"
         "Commands:");
    for (size_t i = 0; i < cli_command_count; i++)
        printf("  %-10s%s\n", cli_commands[i].name, cli_commands[i].summary);
    puts("\n"
         "  distorch2 help COMMAND      the options of a command; or COMMAND --help\n"
         "  distorch2 --version         the version; or -V\n"
         "\n"
         "Exit status: 0 done, 1 failed, 2 usage, 3 does not fit, 4 no such device or\n"
         "model, 130 interrupted. The manual: man distorch2, man distorch2-allocation.");
}

void cli_help_command(const struct cli_command *command)
{
    printf("Usage: distorch2 %s%s [OPTION]...\n%s\n\n", command->name, command->arguments, command->summary);
    cli_options_help(command->bit);
    if (command->least_arguments)
        puts("\nMODEL is a name that `distorch2 models` lists, or a path.");
}
