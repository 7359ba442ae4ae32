/* SPDX-License-Identifier: BSD-3-Clause */
/* distorch2: the command line. Finds the command, runs it, reports its failure, and sees to it that output arrived. */
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/nearest.h"
#include "cli/report.h"
#include "cli/term.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct command {
    const char *name;
    enum cli_command_bit bit;
    const char *arguments;
    const char *summary;
    size_t least_arguments, most_arguments;
    cli_run_fn *run;
};

static const struct command commands[] = {
    { "devices", CLI_DEVICES, "", "List every memory of this machine that can hold tensors.", 0, 0, cli_devices },
    { "models", CLI_MODELS, " [PATTERN]", "List the models in ComfyUI's folders.", 0, 1, cli_models },
    { "inspect", CLI_INSPECT, " MODEL...", "Show what a model file is, and its blocks.", 1, SIZE_MAX, cli_inspect },
    { "plan", CLI_PLAN, " MODEL", "Show where each block would go. Touches no device memory.", 1, 1, cli_plan },
    { "load", CLI_LOAD, " MODEL...", "Load models, one after another, over several memories.", 1, SIZE_MAX, cli_load },
};
#define COMMAND_COUNT (sizeof commands / sizeof *commands)

/* -- help -- */

static int print_tool_help(void)
{
    puts("Usage: distorch2 COMMAND [OPTION]... [ARGUMENT]...\n"
         "Load ControlNet models with their tensors spread over the memories of unlike\n"
         "devices: host memory by NUMA node, and GPUs of several vendors.\n"
         "\n"
         "Commands:");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-10s%s\n", commands[i].name, commands[i].summary);
    puts("\n"
         "  distorch2 COMMAND --help    the options of a command\n"
         "  distorch2 --version         the version\n"
         "\n"
         "Exit status: 0 done, 1 failed, 2 usage, 3 does not fit, 4 no such device or\n"
         "model, 130 interrupted. The manual: man distorch2, man distorch2-allocation.");
    return 0;
}

static int print_command_help(const struct command *command)
{
    printf("Usage: distorch2 %s%s [OPTION]...\n%s\n\n", command->name, command->arguments, command->summary);
    cli_options_help(command->bit);
    if (command->least_arguments)
        puts("\nMODEL is a name that `distorch2 models` lists, or a path.");
    return 0;
}

static int print_version(void)
{
    printf("distorch2 %s\n", dt2_version());
    return 0;
}

/* -- commands -- */

static int refuse_word(const char *word, struct dt2_error *err)
{
    struct cli_nearest nearest = { .wanted = word };
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        cli_nearest_offer(&nearest, commands[i].name);
    cli_nearest_offer(&nearest, "--help");
    cli_nearest_offer(&nearest, "--version");
    if (word[0] == '-')
        cli_fail(err, DT2_EUSAGE, "'%s' stands where a command is expected; its options follow it", word);
    else
        cli_fail(err, DT2_EUSAGE, "there is no command '%s'", word);
    if (nearest.name)
        return cli_suggest(err, "did you mean %s?", nearest.name);
    return cli_suggest(err, "the commands are devices, models, inspect, plan and load");
}

static int check_arguments(const struct command *command, const struct cli_options *options, struct dt2_error *err)
{
    if (options->argument_count < command->least_arguments && !options->all)
        cli_fail(err, DT2_EUSAGE, "%s needs a model", command->name);
    else if (options->argument_count > command->most_arguments)
        cli_fail(err, DT2_EUSAGE, "'%s' is one argument too many for %s", options->arguments[command->most_arguments],
                 command->name);
    else
        return 0;
    return cli_suggest(err, "distorch2 %s%s [OPTION]...", command->name, command->arguments);
}

static int run_command(const struct command *command, int argc, char **argv, struct dt2_error *err)
{
    struct cli_options options;
    int rc = cli_options_parse(command->bit, argc, argv, &options, err);
    if (rc == 0 && options.help)
        rc = print_command_help(command);
    else if (rc == 0 && options.version)
        rc = print_version();
    else if (rc == 0) {
        rc = check_arguments(command, &options, err);
        if (rc == 0)
            rc = command->run(&options, err);
    }
    cli_options_clear(&options);
    return rc;
}

static bool abbreviates(const char *word, const char *option)
{
    size_t length = strlen(word);
    return length > 2 && strncmp(word, option, length) == 0;
}

/* As the answer of a cli_run_fn. */
static int dispatch(int argc, char **argv, struct dt2_error *err)
{
    if (argc < 2) {
        cli_fail(err, DT2_EUSAGE, "a command is missing");
        return cli_suggest(err, "distorch2 --help lists the commands");
    }
    if (abbreviates(argv[1], "--help") || strcmp(argv[1], "-h") == 0)
        return print_tool_help();
    if (abbreviates(argv[1], "--version"))
        return print_version();
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return run_command(&commands[i], argc - 1, argv + 1, err);
    return refuse_word(argv[1], err);
}

/* -- the process -- */

/* A standard stream that is closed would be the next file opened; one that fails at once takes its place. */
static void occupy_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            _exit(dt2_exit_status(DT2_EFAILED));
}

static int exit_status(int rc, bool json, const struct dt2_error *err)
{
    if (rc >= 0)
        return rc;
    if (json) {
        json_t *document = json_object();
        cli_json_set(document, "error", cli_json_error(err));
        cli_json_print(document);
    } else {
        cli_report(err);
    }
    return dt2_exit_status(rc);
}

/* Whether all that was printed has arrived. Whoever closed the pipe knows; all else is said. */
static bool output_arrived(void)
{
    bool failed = ferror(stdout);
    errno = 0;
    if (fclose(stdout) == 0 && !failed)
        return true;
    if (errno != EPIPE)
        cli_note("distorch2: cannot write to standard output%s%s", errno ? ": " : "", errno ? strerror(errno) : "");
    return false;
}

int main(int argc, char **argv)
{
    occupy_standard_streams();
    signal(SIGPIPE, SIG_IGN); /* so that a closed pipe is an error like others, and what is loaded is given back */
    cli_term_start();
    struct dt2_error err = { 0 };
    int rc = dispatch(argc, argv, &err);
    int status = exit_status(rc, cli_options_want_json(argc, argv), &err);
    return output_arrived() || status ? status : dt2_exit_status(DT2_EFAILED);
}
