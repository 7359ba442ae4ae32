/* SPDX-License-Identifier: BSD-3-Clause */
/* distorch2 inspect */
#include "cli/inspect.h"
#include "cli/commands.h"
#include "cli/report.h"
#include "cli/table.h"
#include "cli/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The models that are asked for, one at a time: only one is open, however many there are. */
struct tour {
    const struct cli_options *options;
    struct cli_catalog *catalog;
    struct cli_table *table; /* a line for each model; NULL: a page, or JSON */
    size_t count, recognised, unreadable;
    int status; /* of the first failure */
    struct dt2_error *err;
};

static const char *name_of(const struct tour *tour, size_t index)
{
    return tour->options->all ? dt2_catalog_get(tour->catalog->opened, index)->name : tour->options->arguments[index];
}

/* -- one model of several -- */

static json_t *failure_json(const char *name, const struct cli_model *model, const struct dt2_error *err)
{
    json_t *object = json_object();
    const char *path = model->path ? model->path : name;
    cli_json_set(object, "path", cli_json_text(path));
    cli_json_set(object, "error", cli_json_error(err));
    return object;
}

/* "F16, F32", the one with the most bytes first. */
static void add_dtypes(struct cli_table *table, const struct dt2_file *file)
{
    struct cli_dtype dtypes[CLI_DTYPES_MAX];
    size_t count = cli_count_dtypes(file, dtypes);
    char *list = cli_format("%s", "");
    for (size_t i = 0; i < count; i++) {
        size_t most = i;
        for (size_t j = i + 1; j < count; j++)
            if (dtypes[j].bytes > dtypes[most].bytes)
                most = j;
        const char *name = dtypes[most].name;
        dtypes[most] = dtypes[i];
        char *longer = cli_format("%s%s%s", list, i ? ", " : "", name);
        free(list);
        list = longer;
    }
    cli_table_text(table, list);
    free(list);
}

static void add_row(struct cli_table *table, const char *name, const struct cli_model *model, bool failed)
{
    cli_table_text(table, name);
    if (failed) {
        cli_table_text(table, "unreadable");
        for (int i = 0; i < 6; i++)
            cli_table_text(table, NULL);
        return;
    }
    const char *variant = dt2_blocks_variant(model->blocks);
    cli_table_text(table, dt2_file_format(model->file));
    cli_table_text(table, dt2_blocks_family(model->blocks));
    cli_table_text(table, variant ? variant : "unrecognised");
    cli_table_size(table, cli_model_bytes(model));
    cli_table_add(table, "%zu", dt2_file_tensor_count(model->file) - dt2_blocks_left_out(model->blocks, NULL));
    cli_table_add(table, "%zu", dt2_blocks_count(model->blocks));
    add_dtypes(table, model->file);
}

static void show(struct tour *tour, const char *name, const struct cli_model *model, const struct cli_sums *sums,
                 bool first)
{
    bool failed = !sums;
    if (tour->options->json) {
        fputs(first ? "" : ",\n", stdout);
        cli_json_print_part(failed ? failure_json(name, model, tour->err) : cli_model_json(name, model, sums));
        return;
    }
    if (failed)
        cli_report(tour->err);
    if (tour->table)
        add_row(tour->table, name, model, failed);
    else if (!failed) {
        fputs(first ? "" : "\n", stdout);
        cli_print_page(name, model, sums, tour->options->tensors);
    }
}

/* A bad model does not keep the others from being shown. */
static void visit(struct tour *tour, size_t index)
{
    struct cli_model model;
    const char *name = name_of(tour, index);
    struct cli_sums sums = { NULL, NULL };
    int rc = cli_model_open(tour->catalog, name, &model, tour->err);
    if (rc == 0)
        rc = cli_sums_take(tour->options, name, model.file, &sums, tour->err);
    if (rc && !tour->status)
        tour->status = dt2_exit_status(rc);
    tour->unreadable += rc != 0;
    tour->recognised += !rc && dt2_blocks_variant(model.blocks);
    show(tour, name, &model, rc ? NULL : &sums, index == 0);
    cli_sums_clear(&sums);
    cli_model_clear(&model);
}

/* -- all of them -- */

static void print_counts(const struct tour *tour)
{
    size_t unrecognised = tour->count - tour->recognised - tour->unreadable;
    if (tour->options->json)
        printf("], \"counts\": {\"models\": %zu, \"recognised\": %zu, \"unrecognised\": %zu, "
               "\"unreadable\": %zu}}\n",
               tour->count, tour->recognised, unrecognised, tour->unreadable);
    else if (tour->options->all)
        printf("%s%zu model%s: %zu recognised, %zu unrecognised, %zu unreadable\n", tour->count ? "\n" : "",
               tour->count, tour->count == 1 ? "" : "s", tour->recognised, unrecognised, tour->unreadable);
}

static int inspect_several(const struct cli_options *options, struct cli_catalog *catalog, struct dt2_error *err)
{
    static const struct cli_column columns[] = {
        { "MODEL", false, 0, 0 },  { "FORMAT", false, 0, 2 }, { "FAMILY", false, 0, 0 }, { "VARIANT", false, 10, 0 },
        { "SIZE", true, 0, 0 },    { "TENSORS", true, 0, 3 }, { "BLOCKS", true, 0, 4 },  { "DTYPES", false, 8, 1 },
    };
    struct tour tour = { .options = options, .catalog = catalog, .err = err };
    tour.count = options->all ? dt2_catalog_count(catalog->opened) : options->argument_count;
    bool pages = options->tensors || options->sha256 || options->checksums;
    if (options->all && !options->json && !pages)
        tour.table = cli_table_create(columns, sizeof columns / sizeof *columns);
    if (options->json)
        puts("{\"files\": [");
    for (size_t i = 0; i < tour.count; i++)
        visit(&tour, i);
    if (tour.table && tour.count)
        cli_table_print(tour.table, 0);
    print_counts(&tour);
    if (tour.table)
        cli_table_destroy(tour.table);
    return tour.status;
}

static int inspect_one(const struct cli_options *options, struct cli_catalog *catalog, struct dt2_error *err)
{
    struct cli_model model;
    struct cli_sums sums = { NULL, NULL };
    const char *name = options->arguments[0];
    int rc = cli_model_open(catalog, name, &model, err);
    if (rc == 0)
        rc = cli_sums_take(options, name, model.file, &sums, err);
    if (rc == 0 && options->json)
        cli_json_print(cli_model_json(name, &model, &sums));
    else if (rc == 0)
        cli_print_page(name, &model, &sums, options->tensors);
    cli_sums_clear(&sums);
    cli_model_clear(&model);
    return rc;
}

int cli_inspect(const struct cli_options *options, struct dt2_error *err)
{
    if (options->all && options->argument_count)
        return cli_fail(err, DT2_EUSAGE, "--all shows every model of the catalogue: '%s' is too much",
                        options->arguments[0]);
    struct cli_catalog catalog = { .options = options };
    int rc = options->all ? cli_catalog_open(&catalog, err) : 0;
    bool one = !options->all && options->argument_count == 1;
    if (rc == 0)
        rc = one ? inspect_one(options, &catalog, err) : inspect_several(options, &catalog, err);
    cli_catalog_close(&catalog);
    return rc;
}
