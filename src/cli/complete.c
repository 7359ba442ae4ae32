/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * distorch2 --complete WORD...: what completion offers for the last word, in every shell; the scripts in
 * docs/completion only ask and show. It follows from the tables of commands and options; devices and models are those that there are.
 */
#include "cli/commands.h"
#include "cli/model.h"
#include "cli/option_table.h"
#include "cli/report.h"
#include "cli/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is to be completed: `lead` stays as it is, and each candidate goes on where `begun` begins. */
struct place {
    const char *lead;
    int lead_length;
    const char *begun;
};

static void offer(const struct place *place, const char *candidate, const char *end, const char *what)
{
    if (strncmp(candidate, place->begun, strlen(place->begun)) != 0)
        return;
    char *line = cli_format("%.*s%s%s", place->lead_length, place->lead, candidate, end);
    char *shown = cli_printable(what ? what : "", false);
    if (!strpbrk(line, "\t\n"))
        printf("%s%s%s\n", line, *shown ? "\t" : "", shown);
    free(shown);
    free(line);
}

/* -- values -- */

static void offer_devices(const struct place *place, const char *end)
{
    struct dt2_context *context = NULL;
    struct dt2_devices *devices = NULL;
    struct dt2_error err;
    if (cli_context_create(&context, &err) == 0 && dt2_devices_list(context, 0, &devices, &err) == 0)
        for (size_t i = 0; i < dt2_devices_count(devices); i++) {
            const struct dt2_device *device = dt2_devices_get(devices, i);
            offer(place, device->name, end, device->model);
        }
    dt2_devices_free(devices);
    dt2_context_destroy(context);
}

/* `words` are divided by '|'. */
static void offer_choices(const struct place *place, const char *words)
{
    for (const char *word = words; word;) {
        size_t length = strcspn(word, "|");
        char *one = cli_format("%.*s", (int)length, word);
        offer(place, one, "", NULL);
        free(one);
        word = word[length] ? word + length + 1 : NULL;
    }
}

static void offer_value(const struct cli_option *option, struct place place)
{
    const char *comma = strrchr(place.begun, ',');
    switch (option->offer) {
    case CLI_OFFER_DEVICES:
        if (comma) {
            place.lead_length += (int)(comma + 1 - place.begun);
            place.begun = comma + 1;
        }
        offer_devices(&place, "");
        return;
    case CLI_OFFER_DEVICE:
        offer_devices(&place, "");
        return;
    case CLI_OFFER_LIMIT:
        offer_devices(&place, "=");
        return;
    case CLI_OFFER_FILE:
        puts(":files");
        return;
    case CLI_OFFER_FOLDER:
        puts(":folders");
        return;
    case CLI_OFFER_NOTHING:
        if (option->kind == CLI_KIND_BOOL || option->kind == CLI_KIND_CHOICE || option->kind == CLI_KIND_WORD)
            offer_choices(&place, option->value);
    }
}

/* -- options and models -- */

static void offer_options(const struct place *place, unsigned command)
{
    for (size_t i = 0; i < cli_option_count; i++) {
        const struct cli_option *option = &cli_option_table[i];
        if (!(option->commands & command))
            continue;
        char *name = cli_format("--%s", option->name);
        offer(place, name, cli_option_needs_value(option) ? "=" : "", option->help);
        free(name);
    }
}

/* The catalogue is that of the options before. */
static void offer_models(const struct place *place, const struct cli_command *command, int count, char **words)
{
    struct cli_options options;
    struct cli_catalog catalog = { .options = &options };
    struct dt2_error err;
    cli_options_parse(command->bit, count - 1, words, &options, &err);
    if (!dt2_catalog_is_path(place->begun) && cli_catalog_open(&catalog, &err) == 0)
        for (size_t i = 0; i < dt2_catalog_count(catalog.opened); i++)
            offer(place, dt2_catalog_get(catalog.opened, i)->name, "", NULL);
    cli_catalog_close(&catalog);
    cli_options_clear(&options);
    if (command->takes_models)
        puts(":files");
}

/* The option of a command that the first `length` letters of `name` are; NULL: none. */
static const struct cli_option *find_option(unsigned command, const char *name, size_t length)
{
    for (size_t i = 0; i < cli_option_count; i++) {
        const struct cli_option *option = &cli_option_table[i];
        if ((option->commands & command) && strlen(option->name) == length && strncmp(option->name, name, length) == 0)
            return option;
    }
    return NULL;
}

static void offer_commands(const struct place *place, bool all)
{
    for (size_t i = 0; i < cli_command_count; i++)
        offer(place, cli_commands[i].name, "", cli_commands[i].summary);
    if (!all)
        return;
    offer(place, "help", "", "The options of a command.");
    offer(place, "--help", "", NULL);
    offer(place, "--version", "", NULL);
}

/* `words` are the command and what follows. */
static void complete_argument(const struct cli_command *command, int count, char **words)
{
    const char *last = words[count - 1], *before = words[count - 2];
    const char *equals = strchr(last, '=');
    const struct cli_option *option = NULL;
    struct place place = { last, 0, last };
    if (strncmp(last, "--", 2) == 0 && equals) {
        option = find_option(command->bit, last + 2, (size_t)(equals - last - 2));
        place.lead_length = (int)(equals + 1 - last);
        place.begun = equals + 1;
    } else if (strncmp(before, "--", 2) == 0) {
        option = find_option(command->bit, before + 2, strlen(before + 2));
        option = option && option->value ? option : NULL;
    }
    if (option)
        offer_value(option, place);
    else if (last[0] == '-')
        offer_options(&place, command->bit);
    else if (command->most_arguments)
        offer_models(&place, command, count, words);
}

void cli_complete(int count, char **words)
{
    cli_report_level(DT2_LOG_ERROR);
    if (count < 1)
        return;
    struct place place = { words[count - 1], 0, words[count - 1] };
    const struct cli_command *command = cli_command_find(words[0]);
    if (count == 1)
        offer_commands(&place, true);
    else if (strcmp(words[0], "help") == 0 && count == 2)
        offer_commands(&place, false);
    else if (command)
        complete_argument(command, count, words);
}
