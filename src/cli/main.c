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

static int print_version(void)
{
    printf("distorch2 %s\n", dt2_version());
    return 0;
}

/* -- commands -- */

static int refuse_word(const char *word, struct dt2_error *err)
{
    struct cli_nearest nearest = { .wanted = word };
    for (size_t i = 0; i < cli_command_count; i++)
        cli_nearest_offer(&nearest, cli_commands[i].name);
    cli_nearest_offer(&nearest, "--help");
    cli_nearest_offer(&nearest, "--version");
    if (word[0] == '-')
        cli_fail(err, DT2_EUSAGE, "'%s' stands where a command is expected; its options follow it", word);
    else
        cli_fail(err, DT2_EUSAGE, "there is no command '%s'", word);
    if (nearest.name)
        return cli_suggest(err, "did you mean %s?", nearest.name);
    char *list = cli_command_list();
    cli_suggest(err, "the commands are %s", list);
    free(list);
    return err->code;
}

static int check_arguments(const struct cli_command *command, const struct cli_options *options, struct dt2_error *err)
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

static int run_command(const struct cli_command *command, int argc, char **argv, struct dt2_error *err)
{
    struct cli_options options;
    int rc = cli_options_parse(command->bit, argc, argv, &options, err);
    cli_report_level((enum dt2_log_level)options.log_level);
    if (rc == 0 && options.help)
        cli_help_command(command);
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

/* "distorch2 help", and of a command that is named. */
static int run_help(int argc, char **argv, struct dt2_error *err)
{
    const struct cli_command *command = argc > 1 ? cli_command_find(argv[1]) : NULL;
    if (argc > 2) {
        cli_fail(err, DT2_EUSAGE, "'%s' is one argument too many for help", argv[2]);
        return cli_suggest(err, "distorch2 help COMMAND");
    }
    if (argc > 1 && !command)
        return refuse_word(argv[1], err);
    if (command)
        cli_help_command(command);
    else
        cli_help_tool();
    return 0;
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
        return run_help(1, argv, err);
    if (abbreviates(argv[1], "--version") || strcmp(argv[1], "-V") == 0)
        return print_version();
    if (strcmp(argv[1], "help") == 0)
        return run_help(argc - 1, argv + 1, err);
    if (strcmp(argv[1], "--complete") == 0) {
        cli_complete(argc - 2, argv + 2);
        return 0;
    }
    const struct cli_command *command = cli_command_find(argv[1]);
    return command ? run_command(command, argc - 1, argv + 1, err) : refuse_word(argv[1], err);
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
    if (failed) { /* long ago, perhaps: what failed then fails again, and says why */
        clearerr(stdout);
        putchar('\n');
    }
    if (fclose(stdout) == 0 && !failed)
        return true;
    int code = errno;
    struct dt2_error err;
    cli_fail(&err, DT2_EFAILED, "cannot write to standard output%s%s", code ? ": " : "", code ? strerror(code) : "");
    if (code != EPIPE)
        cli_report(&err);
    return false;
}

int main(int argc, char **argv)
{
    occupy_standard_streams();
    signal(SIGPIPE, SIG_IGN); /* so that a closed pipe is an error like others, and what is loaded is given back */
    setenv("HWLOC_HIDE_ERRORS", "2", 0); /* what hwloc misses, as in a sandbox without /sys, is nothing to print */
    cli_term_start();
    struct dt2_error err = { 0 };
    int rc = dispatch(argc, argv, &err);
    int status = exit_status(rc, cli_options_want_json(argc, argv), &err);
    return output_arrived() || status ? status : dt2_exit_status(DT2_EFAILED);
}
