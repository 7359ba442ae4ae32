/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The options of all commands: one table, from which they are parsed, abbreviated, suggested, explained, completed and
 * looked up in the environment.
 */
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
    CLI_VERIFY = 32,
    CLI_RUN = 64,
    CLI_BENCH = 128,
    CLI_SHARED = 256,
};

struct cli_texts {
    const char **items;
    size_t count;
};

struct cli_limits {
    struct dt2_limit *items; /* names are owned */
    size_t count;
};

/* One value that was given, by the command line or by a variable of the environment. */
struct cli_setting {
    const struct cli_option *option;
    const char *value; /* NULL: none was written */
    bool environment;
};

struct cli_settings {
    struct cli_setting *items;
    size_t count;
};

/* How a load, or whatever takes long, shows how far it is; in the order of --progress. */
enum cli_progress_mode {
    CLI_PROGRESS_AUTO, /* bars on a terminal, else a line every few seconds */
    CLI_PROGRESS_BAR,
    CLI_PROGRESS_LINES,
    CLI_PROGRESS_JSON,
    CLI_PROGRESS_NONE,
};

struct cli_options {
    bool help, version, json, verbose, quiet;
    unsigned log_level; /* enum dt2_log_level */
    unsigned progress;  /* enum cli_progress_mode */
    /* the catalogue */
    const char *comfyui;
    struct cli_texts extra_model_paths;
    const char *category;
    /* the request, apart from its two lists of limits */
    struct dt2_request request;
    struct cli_limits reserves, budgets;
    struct cli_texts places;
    unsigned share; /* enum dt2_share_mode */
    unsigned dtype; /* in the order of --dtype; 0: keep */
    char *place; /* all of them, as the request has them */
    /* of single commands */
    bool fit, choose;    /* all that plan */
    bool free, measure;  /* devices */
    bool details;        /* models */
    const char *key;     /* inspect, verify, and all that plan */
    bool all_tensors;    /* inspect, and all that plan */
    bool all, tensors;   /* inspect */
    bool sha256, checksums;
    const char *machine; /* plan */
    const char *picture; /* plan, load */
    bool compare;
    const char *plan;    /* load */
    bool verify;         /* load */
    unsigned io;         /* load: enum dt2_io */
    const char *device;  /* bench */
    const char *against; /* verify */
    uint64_t passes;     /* run */
    /* what is no option */
    char *const *arguments;
    size_t argument_count;
    struct cli_settings settings; /* where all of this came from, in order: the environment's first */
};

/*
 * Parses the words after a command: argv[0] is the command itself. Options may follow arguments, and be abbreviated as
 * far as they stay unique. What the command line does not say of a request, the environment may: the options of a
 * request have variables of their names. Errors: DT2_EUSAGE, with the nearest options, or the name of the variable.
 * *options is to be cleared in any case.
 */
int cli_options_parse(enum cli_command_bit command, int argc, char **argv, struct cli_options *options,
                      struct dt2_error *err);
void cli_options_clear(struct cli_options *options);

/* Whether --json stands before "--": a command line that cannot be parsed is answered in JSON too. */
bool cli_options_want_json(int argc, char *const *argv);

/* Prints one line for each option of a command. */
void cli_options_help(enum cli_command_bit command);

/* Says on standard error what each option of the request is, and where that came from. */
void cli_options_explain(const struct cli_options *options);
/* Adds to an error which variables of the environment had a part in the request. Returns `rc`. */
int cli_options_blame(const struct cli_options *options, int rc, struct dt2_error *err);

#endif
