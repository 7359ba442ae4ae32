/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of options, for the sources that work on it. */
#ifndef CLI_OPTION_TABLE_H
#define CLI_OPTION_TABLE_H

#include "cli/options.h"

/* What an option's value is, and so the type of the member of struct cli_options that it sets. */
enum cli_kind {
    CLI_KIND_FLAG,   /* none; bool */
    CLI_KIND_BOOL,   /* optional; bool */
    CLI_KIND_CHOICE, /* one of the words of `value`, which '|' divides; unsigned, its place */
    CLI_KIND_WORD,   /* optional, one of such words; unsigned, its place; without a value the second */
    CLI_KIND_TEXT,   /* const char *; the last one wins */
    CLI_KIND_TEXTS,  /* struct cli_texts; each is added */
    CLI_KIND_GIB,    /* uint64_t */
    CLI_KIND_SIZE,   /* uint64_t, with a unit; more than 0 */
    CLI_KIND_COUNT,  /* uint64_t, 1 or more */
    CLI_KIND_MS,     /* uint64_t, nanoseconds of so many milliseconds */
    CLI_KIND_LIMITS, /* struct cli_limits; each is added */
};

/* What completion offers for a value. (Choices need none: they are in the table.) */
enum cli_offer {
    CLI_OFFER_NOTHING,
    CLI_OFFER_DEVICE,
    CLI_OFFER_DEVICES, /* several, divided by ',' */
    CLI_OFFER_LIMIT,   /* a device, and '=' */
    CLI_OFFER_FILE,
    CLI_OFFER_FOLDER,
};

struct cli_option {
    const char *name;
    char letter;       /* its short form; 0: none */
    const char *value; /* its name in the help; NULL: none */
    const char *help;  /* NULL: the help does not list it, since another line names it */
    enum cli_kind kind;
    unsigned commands;
    size_t offset; /* in struct cli_options */
    enum cli_offer offer;
};

extern const struct cli_option cli_option_table[];
extern const size_t cli_option_count;
#define CLI_OPTIONS_MAX 64 /* more than there are */

/* The commands that plan. What all of them have is the request's, and has a variable: "DISTORCH2_", name in capitals. */
#define CLI_REQUEST (CLI_PLAN | CLI_LOAD | CLI_RUN)
bool cli_option_is_request(const struct cli_option *option);
/* The variable's name; to be freed. */
char *cli_option_variable(const struct cli_option *option);

/* Whether the option takes a value that has to be there. */
bool cli_option_needs_value(const struct cli_option *option);

/*
 * Sets an option. `value` stays the caller's, and lives as long as `options`. NULL is no value. `environment`: it is
 * from the option's variable, whose name an error then has.
 */
int cli_option_set(const struct cli_option *option, struct cli_options *options, const char *value, bool environment,
                   struct dt2_error *err);
/* Whether a word is a value of an option with CLI_KIND_BOOL. */
bool cli_option_is_bool(const char *word);
/* Sets what the environment says of the request. */
int cli_options_from_environment(struct cli_options *options, struct dt2_error *err);

#endif
