/* SPDX-License-Identifier: BSD-3-Clause */
/* distorch2 models */
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/model.h"
#include "cli/report.h"
#include "cli/table.h"
#include "cli/text.h"
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

/* One model of the listing; the last three are looked up for --long only. */
struct listed {
    const struct dt2_catalog_entry *entry;
    struct cli_model model;
    bool failed;
    struct dt2_error err;
};

/* Part of the name, in any case; with one of * ? [ a pattern for the whole name. */
static bool matches(const char *name, const char *pattern)
{
    if (!pattern)
        return true;
    if (strpbrk(pattern, "*?["))
        return fnmatch(pattern, name, FNM_CASEFOLD) == 0;
    return strcasestr(name, pattern) != NULL;
}

static void look_up(struct cli_catalog *catalog, bool details, struct listed *listed)
{
    if (details)
        listed->failed = cli_model_open(catalog, listed->entry->name, &listed->model, &listed->err) != 0;
}

static json_t *model_json(const struct listed *listed, bool details)
{
    json_t *object = json_object();
    cli_json_set(object, "name", cli_json_text(listed->entry->name));
    cli_json_set(object, "path", cli_json_text(listed->entry->path));
    cli_json_set(object, "bytes", cli_json_bytes(dt2_catalog_bytes(listed->entry)));
    cli_json_set(object, "folder", cli_json_text(listed->entry->folder));
    if (!details)
        return object;
    const struct cli_model *model = &listed->model;
    bool known = !listed->failed;
    cli_json_set(object, "format", cli_json_text(known ? dt2_file_format(model->file) : NULL));
    cli_json_set(object, "family", cli_json_text(known ? dt2_blocks_family(model->blocks) : NULL));
    cli_json_set(object, "variant", cli_json_text(known ? dt2_blocks_variant(model->blocks) : NULL));
    cli_json_set(object, "error", known ? json_null() : cli_json_error(&listed->err));
    return object;
}

static void print_json(struct cli_catalog *shown, const struct cli_options *options)
{
    const struct dt2_catalog *catalog = shown->opened;
    json_t *document = json_object(), *folders = json_array(), *models = json_array();
    cli_json_set(document, "folders", folders);
    cli_json_set(document, "models", models);
    for (size_t i = 0; i < dt2_catalog_folder_count(catalog); i++)
        cli_json_append(folders, cli_json_text(dt2_catalog_folder(catalog, i)));
    for (size_t i = 0; i < dt2_catalog_count(catalog); i++) {
        struct listed listed = { .entry = dt2_catalog_get(catalog, i) };
        if (options->argument_count && !matches(listed.entry->name, options->arguments[0]))
            continue;
        look_up(shown, options->details, &listed);
        cli_json_append(models, model_json(&listed, options->details));
        cli_model_clear(&listed.model);
    }
    cli_json_print(document);
}

static void add_row(struct cli_table *table, const struct listed *listed, bool details)
{
    const struct cli_model *model = &listed->model;
    bool known = details && !listed->failed;
    const char *variant = known ? dt2_blocks_variant(model->blocks) : NULL;
    cli_table_text(table, listed->entry->name);
    cli_table_size(table, dt2_catalog_bytes(listed->entry));
    cli_table_text(table, known ? dt2_file_format(model->file) : details ? "unreadable" : NULL);
    cli_table_text(table, known ? dt2_blocks_family(model->blocks) : NULL);
    cli_table_text(table, known && !variant ? "unrecognised" : variant);
    cli_table_text(table, listed->entry->folder);
}

/* Returns how many models matched. */
static size_t print_table(struct cli_catalog *shown, const struct cli_options *options)
{
    static const struct cli_column columns[] = {
        { "NAME", false, 0, 0 },   { "SIZE", true, 0, 0 },      { "FORMAT", false, 0, 2 },
        { "FAMILY", false, 0, 0 }, { "VARIANT", false, 10, 0 }, { "FOLDER", false, 24, 3 },
    };
    const char *pattern = options->argument_count ? options->arguments[0] : NULL;
    struct cli_table *table = cli_table_create(columns, sizeof columns / sizeof *columns);
    const struct dt2_catalog *catalog = shown->opened;
    size_t found = 0;
    for (size_t i = 0; i < dt2_catalog_count(catalog); i++) {
        struct listed listed = { .entry = dt2_catalog_get(catalog, i) };
        if (!matches(listed.entry->name, pattern))
            continue;
        look_up(shown, options->details, &listed);
        add_row(table, &listed, options->details);
        if (listed.failed)
            cli_warn(listed.err.text);
        cli_model_clear(&listed.model);
        found++;
    }
    if (found)
        cli_table_print(table, 0);
    cli_table_destroy(table);
    return found;
}

static void say_nothing_matches(const struct dt2_catalog *catalog, const char *pattern)
{
    struct dt2_error err;
    char *path = NULL;
    cli_note("none of %zu models matches '%s'", dt2_catalog_count(catalog), pattern);
    if (dt2_catalog_resolve(catalog, pattern, &path, &err) != 0 && err.suggestion[0])
        cli_note("hint: %s", err.suggestion);
    dt2_text_free(path);
}

static void say_nothing_found(const struct dt2_catalog *catalog)
{
    size_t count = dt2_catalog_folder_count(catalog);
    cli_note("no models found%s", count ? "; these folders were searched:" : "; there is no folder to search");
    for (size_t i = 0; i < count; i++)
        cli_note("  %s", dt2_catalog_folder(catalog, i));
    cli_note("hint: name ComfyUI's folder with --comfyui DIR or COMFYUI_PATH");
}

int cli_models(const struct cli_options *options, struct dt2_error *err)
{
    struct cli_catalog catalog = { .options = options };
    int rc = cli_catalog_open(&catalog, err);
    if (rc)
        return rc;
    if (options->json)
        print_json(&catalog, options);
    else if (dt2_catalog_count(catalog.opened) == 0)
        say_nothing_found(catalog.opened);
    else if (print_table(&catalog, options) == 0)
        say_nothing_matches(catalog.opened, options->arguments[0]);
    cli_catalog_close(&catalog);
    return 0;
}
