/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/option_table.h"
#include "cli/nearest.h"
#include "cli/report.h"
#include "cli/text.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* getopt's value of the option at cli_option_table[0]: beyond all characters, which are what short options return. */
#define FIRST_VALUE 256

/* -- what getopt refuses -- */

/* Suggests the option of `command` nearest to `wanted`, which has no dashes; without any, where to find them. */
static int suggest_nearest(unsigned command, const char *wanted, struct dt2_error *err)
{
    struct cli_nearest nearest = { .wanted = wanted };
    for (size_t i = 0; i < cli_option_count; i++)
        if (cli_option_table[i].commands & command)
            cli_nearest_offer(&nearest, cli_option_table[i].name);
    return cli_suggest(err, nearest.name ? "did you mean --%s?" : "--help lists the options", nearest.name);
}

/* A long option that is unknown here, or an abbreviation of several. `word` is as it was written. */
static int refuse_long(unsigned command, const char *command_name, const char *word, struct dt2_error *err)
{
    char *name = cli_format("%.*s", (int)strcspn(word + 2, "="), word + 2);
    char candidates[sizeof err->suggestion] = "";
    const struct cli_option *elsewhere = NULL;
    for (size_t i = 0; i < cli_option_count; i++) {
        if (!(cli_option_table[i].commands & command) && strcmp(cli_option_table[i].name, name) == 0)
            elsewhere = &cli_option_table[i];
        if ((cli_option_table[i].commands & command) && strncmp(cli_option_table[i].name, name, strlen(name)) == 0) {
            size_t used = strlen(candidates);
            snprintf(candidates + used, sizeof candidates - used, "%s--%s", used ? ", " : "", cli_option_table[i].name);
        }
    }
    if (candidates[0] && *name) {
        cli_fail(err, DT2_EUSAGE, "option '--%s' is ambiguous", name);
        cli_suggest(err, "it begins %s", candidates);
    } else {
        cli_fail(err, DT2_EUSAGE, "%s has no option '--%s'", command_name, name);
        if (elsewhere)
            cli_suggest(err, "other commands have it; `distorch2 %s --help` lists what this one takes", command_name);
        else
            suggest_nearest(command, name, err);
    }
    free(name);
    return DT2_EUSAGE;
}

static int refuse(int answer, unsigned command, char **argv, struct dt2_error *err)
{
    if (optopt >= FIRST_VALUE) {
        const struct cli_option *option = &cli_option_table[optopt - FIRST_VALUE];
        if (answer != ':')
            return cli_fail(err, DT2_EUSAGE, "option '--%s' takes no value", option->name);
        cli_fail(err, DT2_EUSAGE, "option '--%s' needs a value", option->name);
        return cli_suggest(err, "write --%s=%s", option->name, option->value);
    }
    if (optopt == 0)
        return refuse_long(command, argv[0], argv[optind - 1], err);
    /* Of "-json", getopt has read the "j" only; it goes on to the next word after the last letter. */
    const char *word = argv[optind];
    if (!word || word[0] != '-' || !strchr(word, optopt))
        word = argv[optind - 1];
    cli_fail(err, DT2_EUSAGE, "%s has no option '-%c'", argv[0], optopt);
    return suggest_nearest(command, word + strspn(word, "-"), err);
}

/* -- parsing -- */

/* The options of a command for getopt: the long ones into `list`, the short ones into `letters`. */
static void list_for_getopt(unsigned command, struct option *list, char *letters)
{
    size_t n = 0;
    *letters++ = ':'; /* a value that is missing is told from an option that is unknown */
    for (size_t i = 0; i < cli_option_count; i++) {
        const struct cli_option *option = &cli_option_table[i];
        if (!(option->commands & command))
            continue;
        int takes = cli_option_needs_value(option) ? required_argument
                    : option->value                ? optional_argument
                                                   : no_argument;
        list[n++] = (struct option){ option->name, takes, NULL, FIRST_VALUE + (int)i };
        if (option->letter)
            *letters++ = option->letter;
    }
    *letters = '\0';
    list[n] = (struct option){ 0 };
}

/* The option that getopt answered; NULL when it refused one. */
static const struct cli_option *answered(int answer)
{
    if (answer >= FIRST_VALUE)
        return &cli_option_table[answer - FIRST_VALUE];
    for (size_t i = 0; i < cli_option_count && answer != '?' && answer != ':'; i++)
        if (cli_option_table[i].letter == answer)
            return &cli_option_table[i];
    return NULL;
}

/* The value of --eject-models may also be the next word, when that is nothing but such a value. */
static const char *value_of(const struct cli_option *option, int argc, char **argv)
{
    if (option->kind == CLI_KIND_BOOL && !optarg && optind < argc && cli_option_is_bool(argv[optind]))
        return argv[optind++];
    return optarg;
}

static int parse_words(unsigned command, int argc, char **argv, struct cli_options *options, struct dt2_error *err)
{
    struct option list[CLI_OPTIONS_MAX + 1];
    char letters[CLI_OPTIONS_MAX + 2];
    list_for_getopt(command, list, letters);
    opterr = 0;
    optind = 0; /* from the beginning, also the second time */
    for (int answer; (answer = getopt_long(argc, argv, letters, list, NULL)) != -1;) {
        const struct cli_option *option = answered(answer);
        if (!option)
            return refuse(answer, command, argv, err);
        if (cli_option_set(option, options, value_of(option, argc, argv), false, err))
            return err->code;
    }
    options->arguments = argv + optind;
    options->argument_count = (size_t)(argc - optind);
    return 0;
}

/* Adds what the command line, or the environment, says of places. The first that matches counts, so that is first. */
static void join_places(struct cli_options *options, bool environment)
{
    for (size_t i = 0; i < options->settings.count; i++) {
        const struct cli_setting *setting = &options->settings.items[i];
        if (setting->option->offset != offsetof(struct cli_options, places) || setting->environment != environment)
            continue;
        const char *before = options->place ? options->place : "";
        char *joined = cli_format("%s%s%s", before, *before ? ";" : "", setting->value);
        free(options->place);
        options->place = joined;
    }
}

/* --verbose and --quiet are short for a level; of two that differ the one that says more counts. */
static void settle(struct cli_options *options)
{
    if (options->quiet)
        options->log_level = DT2_LOG_ERROR;
    if (options->quiet && options->progress == CLI_PROGRESS_AUTO)
        options->progress = CLI_PROGRESS_NONE;
    if (options->verbose)
        options->log_level = DT2_LOG_DEBUG;
    options->request.reserves = options->reserves.items;
    options->request.reserve_count = options->reserves.count;
    options->request.budgets = options->budgets.items;
    options->request.budget_count = options->budgets.count;
    join_places(options, false);
    join_places(options, true);
    options->request.place = options->place;
    options->request.share = (enum dt2_share_mode)options->share;
    options->request.flags = (options->fit ? DT2_REQUEST_FIT : 0) | (options->choose ? DT2_REQUEST_AUTO : 0);
}

int cli_options_parse(enum cli_command_bit command, int argc, char **argv, struct cli_options *options,
                      struct dt2_error *err)
{
    *options = (struct cli_options){ .request = DT2_REQUEST_INIT, .log_level = DT2_LOG_WARNING, .passes = 3 };
    int rc = command & CLI_REQUEST ? cli_options_from_environment(options, err) : 0;
    int words = parse_words(command, argc, argv, options, rc ? &(struct dt2_error){ 0 } : err);
    settle(options);
    /* Help is shown whatever the environment holds. */
    return rc && !options->help && !options->version ? rc : words;
}

static void clear_limits(struct cli_limits *limits)
{
    for (size_t i = 0; i < limits->count; i++)
        free((void *)(uintptr_t)limits->items[i].name);
    free(limits->items);
}

void cli_options_clear(struct cli_options *options)
{
    free(options->extra_model_paths.items);
    clear_limits(&options->reserves);
    clear_limits(&options->budgets);
    free(options->places.items);
    free(options->place);
    free(options->settings.items);
}

bool cli_options_want_json(int argc, char *const *argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        size_t length = strlen(argv[i]);
        if (length > 2 && strncmp("--json", argv[i], length) == 0)
            return true;
    }
    return false;
}

void cli_options_help(enum cli_command_bit command)
{
    for (size_t i = 0; i < cli_option_count; i++) {
        const struct cli_option *option = &cli_option_table[i];
        if (!(option->commands & command) || !option->help)
            continue;
        bool optional = !cli_option_needs_value(option) && option->value, choice = option->kind == CLI_KIND_CHOICE;
        char *name = cli_format("--%s%s%s%s%s", option->name, optional ? "[" : "", option->value ? "=" : "",
                                choice ? "WORD" : option->value ? option->value : "", optional ? "]" : "");
        printf("  %-27s %s%s%s\n", name, choice ? option->value : "", choice ? ": " : "", option->help);
        free(name);
    }
}
