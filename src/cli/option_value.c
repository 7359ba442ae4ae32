/* SPDX-License-Identifier: BSD-3-Clause */
/* From the words that were written to the values of options; and the words of the environment. */
#include "cli/option_table.h"
#include "cli/report.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* -- values: `label` is what the user wrote, "--NAME" or the variable's name ------------------------------------- */

static const char *const booleans[] = { "false", "true", "no", "yes", "0", "1" };
#define BOOLEAN_COUNT (sizeof booleans / sizeof *booleans)

/* The place of the word in the list; BOOLEAN_COUNT when it is none of them. */
static size_t find_boolean(const char *word)
{
    size_t i = 0;
    while (i < BOOLEAN_COUNT && strcasecmp(word, booleans[i]) != 0)
        i++;
    return i;
}

bool cli_option_is_bool(const char *word)
{
    return find_boolean(word) < BOOLEAN_COUNT;
}

static int set_bool(bool *member, const char *label, const char *value, struct dt2_error *err)
{
    size_t found = find_boolean(value);
    if (found == BOOLEAN_COUNT) {
        cli_fail(err, DT2_EUSAGE, "%s: '%s' is neither true nor false", label, value);
        return cli_suggest(err, "write %s=true or %s=false", label, label);
    }
    *member = found % 2 == 1;
    return 0;
}

/* `words` are divided by '|'. */
static int set_choice(unsigned *member, const char *label, const char *words, const char *value, struct dt2_error *err)
{
    size_t length = strlen(value);
    unsigned place = 0;
    for (const char *word = words; word; place++) {
        size_t n = strcspn(word, "|");
        if (n == length && strncmp(word, value, n) == 0) {
            *member = place;
            return 0;
        }
        word = word[n] ? word + n + 1 : NULL;
    }
    cli_fail(err, DT2_EUSAGE, "%s: '%s' is none of %s", label, value, words);
    return cli_suggest(err, "write %s=%.*s", label, (int)strcspn(words, "|"), words);
}

#define COUNT_MAX 1000000
#define MS_MAX 3600000

static int set_count(uint64_t *member, const char *label, const char *value, struct dt2_error *err)
{
    size_t digits = strspn(value, "0123456789");
    uint64_t count = digits && !value[digits] && digits < 8 ? strtoull(value, NULL, 10) : 0;
    if (count < 1 || count > COUNT_MAX)
        return cli_fail(err, DT2_EUSAGE, "%s: '%s' is no number from 1 to %d", label, value, COUNT_MAX);
    *member = count;
    return 0;
}

static int set_size(uint64_t *member, const char *label, const char *value, struct dt2_error *err)
{
    uint64_t bytes;
    if (dt2_size_parse(value, &bytes, err))
        return cli_prefix_error(err, "%s: ", label);
    if (bytes == 0)
        return cli_fail(err, DT2_EUSAGE, "%s: '%s' is no size above 0", label, value);
    *member = bytes;
    return 0;
}

/* Digits with a point at most: neither signs nor exponents. */
static int set_ms(uint64_t *member, const char *label, const char *value, struct dt2_error *err)
{
    char *end;
    double ms = value[0] && !value[strspn(value, "0123456789.")] ? strtod(value, &end) : -1;
    if (ms < 0 || ms > MS_MAX || *end)
        return cli_fail(err, DT2_EUSAGE, "%s: '%s' is no number of milliseconds from 0 to %d", label, value, MS_MAX);
    *member = (uint64_t)(ms * 1e6);
    return 0;
}

static void add_text(struct cli_texts *texts, const char *value)
{
    texts->items = cli_grow(texts->items, texts->count + 1, sizeof *texts->items);
    texts->items[texts->count++] = value;
}

/* "DEVICE=SIZE": names of devices may hold ':' and ',', so the last '=' is the one between them. */
static int add_limit(struct cli_limits *limits, const char *label, const char *value, struct dt2_error *err)
{
    const char *equals = strrchr(value, '=');
    if (!equals || equals == value) {
        cli_fail(err, DT2_EUSAGE, "%s: '%s' is not DEVICE=SIZE", label, value);
        return cli_suggest(err, "write a device and a size, such as %s%scpu=2gb", label, *label == '-' ? " " : "=");
    }
    uint64_t bytes;
    if (dt2_size_parse(equals + 1, &bytes, err))
        return cli_prefix_error(err, "%s %s: ", label, value);
    limits->items = cli_grow(limits->items, limits->count + 1, sizeof *limits->items);
    limits->items[limits->count].name = cli_format("%.*s", (int)(equals - value), value);
    limits->items[limits->count++].bytes = bytes;
    return 0;
}

/* A variable has several limits in one, divided by ';'. */
static int add_limits(struct cli_limits *limits, const char *label, const char *value, struct dt2_error *err)
{
    int rc = 0;
    while (rc == 0 && *value) {
        size_t length = strcspn(value, ";");
        char *one = cli_format("%.*s", (int)length, value);
        if (length)
            rc = add_limit(limits, label, one, err);
        free(one);
        value += length + (value[length] != '\0');
    }
    return rc;
}

static int set_member(const struct cli_option *option, void *member, const char *label, const char *value,
                      struct dt2_error *err)
{
    switch (option->kind) {
    case CLI_KIND_FLAG: /* a variable says whether */
    case CLI_KIND_BOOL:
        return set_bool(member, label, value ? value : "true", err);
    case CLI_KIND_WORD:
        if (!value) {
            *(unsigned *)member = 1;
            return 0;
        }
        return set_choice(member, label, option->value, value, err);
    case CLI_KIND_CHOICE:
        return set_choice(member, label, option->value, value, err);
    case CLI_KIND_TEXT:
        *(const char **)member = value;
        return 0;
    case CLI_KIND_TEXTS:
        add_text(member, value);
        return 0;
    case CLI_KIND_GIB:
        return dt2_gib_parse(value, member, err) ? cli_prefix_error(err, "%s: ", label) : 0;
    case CLI_KIND_SIZE:
        return set_size(member, label, value, err);
    case CLI_KIND_COUNT:
        return set_count(member, label, value, err);
    case CLI_KIND_MS:
        return set_ms(member, label, value, err);
    case CLI_KIND_LIMITS:
        return add_limits(member, label, value, err);
    }
    return 0;
}

int cli_option_set(const struct cli_option *option, struct cli_options *options, const char *value, bool environment,
                   struct dt2_error *err)
{
    struct cli_settings *settings = &options->settings;
    char *label = environment ? cli_option_variable(option) : cli_format("--%s", option->name);
    int rc = set_member(option, (char *)options + option->offset, label, value, err);
    free(label);
    settings->items = cli_grow(settings->items, settings->count + 1, sizeof *settings->items);
    settings->items[settings->count++] = (struct cli_setting){ option, value, environment };
    return rc;
}

/* -- the environment ---------------------------------------------------------------------------------------------- */

int cli_options_from_environment(struct cli_options *options, struct dt2_error *err)
{
    for (size_t i = 0; i < cli_option_count; i++) {
        if (!cli_option_is_request(&cli_option_table[i]))
            continue;
        char *variable = cli_option_variable(&cli_option_table[i]);
        const char *value = getenv(variable);
        free(variable);
        if (value && *value && cli_option_set(&cli_option_table[i], options, value, true, err))
            return err->code;
    }
    return 0;
}

static bool is_repeatable(const struct cli_option *option)
{
    return option->kind == CLI_KIND_LIMITS || option->kind == CLI_KIND_TEXTS;
}

/* The last setting of an option; NULL: there is none. */
static const struct cli_setting *last_setting(const struct cli_options *options, const struct cli_option *option)
{
    for (size_t i = options->settings.count; i-- > 0;)
        if (options->settings.items[i].option == option)
            return &options->settings.items[i];
    return NULL;
}

static void explain(const struct cli_option *option, const struct cli_setting *setting)
{
    char *variable = cli_option_variable(option);
    if (!setting)
        cli_note("  %-24s  by default", option->name);
    else
        cli_note("  %-24s  %s  (%s%s)", option->name, setting->value ? setting->value : "true",
                 setting->environment ? "from " : "command line", setting->environment ? variable : "");
    free(variable);
}

void cli_options_explain(const struct cli_options *options)
{
    cli_note("the request:");
    for (size_t i = 0; i < cli_option_count; i++) {
        const struct cli_option *option = &cli_option_table[i];
        if (!cli_option_is_request(option))
            continue;
        const struct cli_setting *last = last_setting(options, option);
        for (size_t j = 0; is_repeatable(option) && j < options->settings.count; j++)
            if (options->settings.items[j].option == option && &options->settings.items[j] != last)
                explain(option, &options->settings.items[j]);
        explain(option, last);
    }
}

int cli_options_blame(const struct cli_options *options, int rc, struct dt2_error *err)
{
    char *list = cli_format("%s", "");
    for (size_t i = 0; i < options->settings.count; i++) {
        const struct cli_setting *setting = &options->settings.items[i];
        bool counts = is_repeatable(setting->option) || last_setting(options, setting->option) == setting;
        if (!setting->environment || !counts)
            continue;
        char *variable = cli_option_variable(setting->option);
        char *longer = cli_format("%s%s%s=%s", list, *list ? ", " : "", variable, setting->value);
        free(variable);
        free(list);
        list = longer;
    }
    if ((rc == DT2_EUSAGE || rc == DT2_ENOENT || rc == DT2_ENOFIT) && *list)
        cli_append_error(err, "(of the request, the environment says %s)", list);
    free(list);
    return rc;
}
