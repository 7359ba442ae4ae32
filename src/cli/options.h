/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of all commands: one table, from which they are parsed, abbreviated, suggested and explained. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <distorch2.h>

/* The commands, as bits: which option belongs to which. */
enum cli_command_bit {
    CLI_DEVICES = 1,
    CLI_MODELS = 2,
    CLI_INSPECT = 4,
    CLI_PLAN = 8,
    CLI_LOAD = 16,
};

struct cli_texts {
    const char **items;
    size_t count;
};

struct cli_limits {
    struct dt2_limit *items; /* names are owned */
    size_t count;
};

struct cli_options {
    bool help, version, json, verbose;
    /* the catalogue */
    const char *comfyui;
    struct cli_texts extra_model_paths;
    const char *category;
    /* the request, apart from its two lists of limits */
    struct dt2_request request;
    struct cli_limits reserves, budgets;
    /* of single commands */
    bool free, measure;  /* devices */
    bool details;        /* models */
    bool all, tensors;   /* inspect */
    const char *machine; /* plan */
    bool verify;         /* load */
    /* what is no option */
    char *const *arguments;
    size_t argument_count;
};

/*
 * Parses the words after a command: argv[0] is the command itself. Options may follow arguments, and be abbreviated as
 * far as they stay unique. Errors: DT2_EUSAGE, with the nearest options. *options is to be cleared in any case.
 */
int cli_options_parse(enum cli_command_bit command, int argc, char **argv, struct cli_options *options,
                      struct dt2_error *err);
void cli_options_clear(struct cli_options *options);

/* Whether --json stands before "--": a command line that cannot be parsed is answered in JSON too. */
bool cli_options_want_json(int argc, char *const *argv);

/* Prints one line for each option of a command. */
void cli_options_help(enum cli_command_bit command);

#endif
