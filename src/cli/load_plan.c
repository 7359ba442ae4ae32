/* SPDX-License-Identifier: BSD-3-Clause */
/* load --plan: what a saved plan says of how the model is opened, and the plan itself. */
#include "cli/load_plan.h"
#include "cli/json.h"
#include "cli/option_table.h"
#include "cli/report.h"
#include "cli/saved.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The plan decides: no option of a request stands beside it, but those that say which tensors the model has. */
static int check_words(const struct cli_options *options, struct dt2_error *err)
{
    if (options->argument_count != 1)
        return cli_fail(err, DT2_EUSAGE, "load --plan takes one MODEL, not %zu: a plan is for one", options->argument_count);
    for (size_t i = 0; i < options->settings.count; i++) {
        const struct cli_setting *setting = &options->settings.items[i];
        const char *name = setting->option->name;
        if (setting->environment || !cli_option_is_request(setting->option) || strcmp(name, "key") == 0 ||
            strcmp(name, "all-tensors") == 0 || strcmp(name, "dtype") == 0)
            continue;
        cli_fail(err, DT2_EUSAGE, "--%s and --plan: the plan decides alone", name);
        return cli_suggest(err, "make the plan anew with --%s", name);
    }
    return 0;
}

/* The place in --dtype of what the plan has, where the command line says nothing. */
static unsigned dtype_of(const struct cli_options *options, const json_t *document)
{
    static const char *const dtypes[] = { "keep", "F16", "BF16", "F32" };
    const char *planned = json_string_value(json_object_get(json_object_get(document, "model"), "dtype"));
    for (unsigned i = 0; options->dtype == 0 && planned && i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcasecmp(planned, dtypes[i]) == 0)
            return i;
    return options->dtype;
}

int cli_load_plan_read(const struct cli_options *options, struct cli_load_plan *plan, struct dt2_error *err)
{
    *plan = (struct cli_load_plan){ .options = *options };
    if (!options->plan)
        return 0;
    int rc = check_words(options, err);
    if (rc == 0)
        rc = cli_read_saved(options->plan, "--plan", "distorch2 plan MODEL --json", &plan->text, &plan->length, err);
    if (rc)
        return rc;
    json_t *document = json_loadb(plan->text, plan->length, 0, NULL); /* what is wrong with it the library says */
    const char *place = json_string_value(json_object_get(json_object_get(document, "request"), "place"));
    plan->options.dtype = dtype_of(options, document);
    plan->place = cli_format("%s", place ? place : "");
    plan->options.request.place = *plan->place ? plan->place : NULL;
    json_decref(document);
    return 0;
}

int cli_load_plan_parse(const struct cli_load_plan *plan, const struct dt2_file *file, const struct dt2_blocks *blocks,
                        struct dt2_plan **parsed, struct dt2_error *err)
{
    int rc = dt2_plan_parse(plan->text, plan->length, file, blocks, parsed, err);
    return rc ? cli_prefix_error(err, "%s: ", cli_saved_name(plan->options.plan)) : 0;
}

void cli_load_plan_clear(struct cli_load_plan *plan)
{
    free(plan->text);
    free(plan->place);
}
