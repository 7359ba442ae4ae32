/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/options.h"
#include "cli/nearest.h"
#include "cli/report.h"
#include "cli/text.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* -- the table -- */

/* What an option's value is, and so the type of the member of struct cli_options that it sets. */
enum kind {
    KIND_FLAG,   /* none; bool */
    KIND_BOOL,   /* optional; bool */
    KIND_TEXT,   /* const char *; the last one wins */
    KIND_TEXTS,  /* struct cli_texts; each is added */
    KIND_GIB,    /* uint64_t */
    KIND_LIMITS, /* struct cli_limits; each is added */
};

struct option_entry {
    const char *name;
    const char *value; /* its name in the help; NULL: none */
    const char *help;
    enum kind kind;
    unsigned commands;
    size_t offset; /* in struct cli_options */
};

#define REQUEST (CLI_PLAN | CLI_LOAD)
#define ALL (CLI_DEVICES | CLI_MODELS | CLI_INSPECT | CLI_PLAN | CLI_LOAD)
#define AT(member) offsetof(struct cli_options, member)

static const struct option_entry table[] = {
    { "free", NULL, "free bytes also where that takes a GPU context", KIND_FLAG, CLI_DEVICES, AT(free) },
    { "measure", NULL, "measure copy speeds (takes a second or so)", KIND_FLAG, CLI_DEVICES, AT(measure) },
    { "long", NULL, "open each file: its format, family and variant", KIND_FLAG, CLI_MODELS, AT(details) },
    { "all", NULL, "every model of the catalogue, a line each", KIND_FLAG, CLI_INSPECT, AT(all) },
    { "tensors", NULL, "list the tensors too", KIND_FLAG, CLI_INSPECT, AT(tensors) },
    { "compute-device", "D", "where the model computes [first GPU, else cpu]", KIND_TEXT, REQUEST,
      AT(request.compute_device) },
    { "virtual-vram-gb", "X", "GiB to keep off that device, 0 to 128 [4]", KIND_GIB, REQUEST,
      AT(request.virtual_vram_bytes) },
    { "donor-device", "D[,D...]", "who lends that memory, in order [cpu]", KIND_TEXT, REQUEST,
      AT(request.donor_device) },
    { "expert-mode-allocations", "S", "exact shares, such as 'cuda:0,50%;cpu,*'", KIND_TEXT, REQUEST,
      AT(request.expert_mode_allocations) },
    { "eject-models", "true|false", "unload what is on that device first [true]", KIND_BOOL, REQUEST,
      AT(request.eject_models) },
    { "reserve", "D=SIZE", "leave SIZE free on D, such as cpu=2gb (repeatable)", KIND_LIMITS, REQUEST, AT(reserves) },
    { "budget", "D=SIZE", "let a load use SIZE of D, free or not (repeatable)", KIND_LIMITS, REQUEST, AT(budgets) },
    { "pack", NULL, "fill gaps in shares from the one that absorbs", KIND_FLAG, REQUEST, AT(request.pack) },
    { "machine", "FILE", "plan for a saved `devices --json`; - is stdin", KIND_TEXT, CLI_PLAN, AT(machine) },
    { "verify", NULL, "read every tensor back, compare it with the file", KIND_FLAG, CLI_LOAD, AT(verify) },
    { "comfyui", "DIR", "ComfyUI's folder [$COMFYUI_PATH, ., ~/ComfyUI]", KIND_TEXT, ALL, AT(comfyui) },
    { "extra-model-paths", "FILE", "one more extra_model_paths.yaml (repeatable)", KIND_TEXTS, ALL,
      AT(extra_model_paths) },
    { "category", "C", "ComfyUI's category of models [controlnet]", KIND_TEXT, ALL, AT(category) },
    { "json", NULL, "print one JSON document", KIND_FLAG, ALL, AT(json) },
    { "verbose", NULL, "say more on standard error", KIND_FLAG, ALL, AT(verbose) },
    { "help", NULL, "show this help", KIND_FLAG, ALL, AT(help) },
    { "version", NULL, "show the version", KIND_FLAG, ALL, AT(version) },
};
#define TABLE_SIZE (sizeof table / sizeof *table)

/* getopt's value of the option at table[0]: beyond all characters, which are what short options return. */
#define FIRST_VALUE 256

/* -- values -- */

static int set_bool(bool *member, const char *name, const char *value, struct dt2_error *err)
{
    static const char *const words[] = { "false", "true", "no", "yes", "0", "1" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(value, words[i]) == 0) {
            *member = i % 2 == 1;
            return 0;
        }
    cli_fail(err, DT2_EUSAGE, "--%s: '%s' is neither true nor false", name, value);
    return cli_suggest(err, "write --%s=true or --%s=false", name, name);
}

static void add_text(struct cli_texts *texts, const char *value)
{
    texts->items = cli_grow(texts->items, texts->count + 1, sizeof *texts->items);
    texts->items[texts->count++] = value;
}

/* "DEVICE=SIZE": names of devices may hold ':' and ',', so the last '=' is the one between them. */
static int add_limit(struct cli_limits *limits, const char *name, const char *value, struct dt2_error *err)
{
    const char *equals = strrchr(value, '=');
    if (!equals || equals == value) {
        cli_fail(err, DT2_EUSAGE, "--%s: '%s' is not DEVICE=SIZE", name, value);
        return cli_suggest(err, "write a device and a size, such as --%s cpu=2gb", name);
    }
    uint64_t bytes;
    if (dt2_size_parse(equals + 1, &bytes, err))
        return cli_prefix_error(err, "--%s %s: ", name, value);
    limits->items = cli_grow(limits->items, limits->count + 1, sizeof *limits->items);
    limits->items[limits->count].name = cli_format("%.*s", (int)(equals - value), value);
    limits->items[limits->count++].bytes = bytes;
    return 0;
}

static int set_value(const struct option_entry *entry, struct cli_options *options, const char *value,
                     struct dt2_error *err)
{
    void *member = (char *)options + entry->offset;
    switch (entry->kind) {
    case KIND_FLAG:
        *(bool *)member = true;
        return 0;
    case KIND_BOOL:
        return set_bool(member, entry->name, value ? value : "true", err);
    case KIND_TEXT:
        *(const char **)member = value;
        return 0;
    case KIND_TEXTS:
        add_text(member, value);
        return 0;
    case KIND_GIB:
        return dt2_gib_parse(value, member, err) ? cli_prefix_error(err, "--%s: ", entry->name) : 0;
    case KIND_LIMITS:
        return add_limit(member, entry->name, value, err);
    }
    return 0;
}

/* -- what getopt refuses -- */

/* Suggests the option of `command` nearest to `wanted`, which has no dashes; without any, where to find them. */
static int suggest_nearest(unsigned command, const char *wanted, struct dt2_error *err)
{
    struct cli_nearest nearest = { .wanted = wanted };
    for (size_t i = 0; i < TABLE_SIZE; i++)
        if (table[i].commands & command)
            cli_nearest_offer(&nearest, table[i].name);
    return cli_suggest(err, nearest.name ? "did you mean --%s?" : "--help lists the options", nearest.name);
}

/* A long option that is unknown here, or an abbreviation of several. `word` is as it was written. */
static int refuse_long(unsigned command, const char *command_name, const char *word, struct dt2_error *err)
{
    char *name = cli_format("%.*s", (int)strcspn(word + 2, "="), word + 2);
    char candidates[sizeof err->suggestion] = "";
    const struct option_entry *elsewhere = NULL;
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        if (!(table[i].commands & command) && strcmp(table[i].name, name) == 0)
            elsewhere = &table[i];
        if ((table[i].commands & command) && strncmp(table[i].name, name, strlen(name)) == 0) {
            size_t used = strlen(candidates);
            snprintf(candidates + used, sizeof candidates - used, "%s--%s", used ? ", " : "", table[i].name);
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
        const struct option_entry *entry = &table[optopt - FIRST_VALUE];
        if (answer != ':')
            return cli_fail(err, DT2_EUSAGE, "option '--%s' takes no value", entry->name);
        cli_fail(err, DT2_EUSAGE, "option '--%s' needs a value", entry->name);
        return cli_suggest(err, "write --%s=%s", entry->name, entry->value);
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

static size_t list_for_getopt(unsigned command, struct option *list)
{
    static const int takes[] = { [KIND_FLAG] = no_argument,       [KIND_BOOL] = optional_argument,
                                 [KIND_TEXT] = required_argument, [KIND_TEXTS] = required_argument,
                                 [KIND_GIB] = required_argument,  [KIND_LIMITS] = required_argument };
    size_t n = 0;
    for (size_t i = 0; i < TABLE_SIZE; i++)
        if (table[i].commands & command)
            list[n++] = (struct option){ table[i].name, takes[table[i].kind], NULL, FIRST_VALUE + (int)i };
    return n;
}

/* The value of --eject-models may also be the next word, when that is nothing but such a value. */
static const char *value_of(const struct option_entry *entry, int argc, char **argv)
{
    bool ignored;
    struct dt2_error unused;
    if (entry->kind == KIND_BOOL && !optarg && optind < argc && set_bool(&ignored, "", argv[optind], &unused) == 0)
        return argv[optind++];
    return optarg;
}

int cli_options_parse(enum cli_command_bit command, int argc, char **argv, struct cli_options *options,
                      struct dt2_error *err)
{
    *options = (struct cli_options){ .request = DT2_REQUEST_INIT };
    struct option list[TABLE_SIZE + 1] = { 0 };
    list_for_getopt(command, list);
    opterr = 0;
    optind = 1;
    for (int answer; (answer = getopt_long(argc, argv, ":h", list, NULL)) != -1;) {
        if (answer == 'h') {
            options->help = true;
            continue;
        }
        if (answer < FIRST_VALUE)
            return refuse(answer, command, argv, err);
        const struct option_entry *entry = &table[answer - FIRST_VALUE];
        if (set_value(entry, options, value_of(entry, argc, argv), err))
            return err->code;
    }
    options->arguments = argv + optind;
    options->argument_count = (size_t)(argc - optind);
    options->request.reserves = options->reserves.items;
    options->request.reserve_count = options->reserves.count;
    options->request.budgets = options->budgets.items;
    options->request.budget_count = options->budgets.count;
    return 0;
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
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        const struct option_entry *entry = &table[i];
        if (!(entry->commands & command))
            continue;
        bool optional = entry->kind == KIND_BOOL;
        char *name = cli_format("--%s%s%s%s%s", entry->name, optional ? "[" : "", entry->value ? "=" : "",
                                entry->value ? entry->value : "", optional ? "]" : "");
        printf("  %-27s %s\n", name, entry->help);
        free(name);
    }
}
