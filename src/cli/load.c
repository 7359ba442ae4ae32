/* SPDX-License-Identifier: BSD-3-Clause */
/* distorch2 load */
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/load_plan.h"
#include "cli/model.h"
#include "cli/picture/picture.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/text.h"
#include <stdio.h>
#include <stdlib.h>

/* One run of the command. */
struct run {
    const struct cli_options *options;
    struct cli_load_plan plan;
    struct cli_catalog catalog;
    struct dt2_context *context;
    struct cli_picture picture;
    json_t *loads; /* NULL: for people */
    size_t load_count;
};

/* -- JSON -- */

static json_t *speed_json(json_t *object, uint64_t bytes, uint64_t ns)
{
    cli_json_set(object, "seconds", json_real((double)ns / 1e9));
    cli_json_set(object, "bytes", cli_json_bytes(bytes));
    cli_json_set(object, "gbps", cli_json_number(cli_gbps(bytes, ns)));
    return object;
}

static json_t *load_json(const struct dt2_model *model, const struct dt2_file *file, uint64_t arrived)
{
    const struct dt2_model_stats *stats = dt2_model_statistics(model);
    json_t *object = json_object(), *ejected = json_array(), *devices = json_array();
    for (size_t i = 0; i < stats->ejected_count; i++)
        cli_json_append(ejected, cli_json_text(stats->ejected[i]));
    for (size_t i = 0; i < stats->device_count; i++) {
        const struct dt2_device_stats *device = stats->devices[i];
        json_t *entry = json_object();
        cli_json_set(entry, "device", cli_json_text(device->device));
        cli_json_append(devices, speed_json(entry, device->bytes, device->ns));
    }
    cli_json_set(object, "model", cli_json_text(dt2_model_name(model)));
    cli_json_set(object, "path", cli_json_text(dt2_model_path(model)));
    cli_json_set(object, "plan", cli_json_parsed(dt2_plan_json(dt2_model_applied_plan(model), file)));
    cli_json_set(object, "ejected", ejected);
    speed_json(object, stats->bytes, stats->ns);
    cli_json_set(object, "staging_bytes", cli_json_bytes(stats->staging_bytes));
    cli_json_set(object, "io", cli_json_text(stats->direct_bytes == 0              ? "buffered"
                                             : stats->direct_bytes < stats->bytes ? "both"
                                                                                   : "direct"));
    cli_json_set(object, "direct_bytes", cli_json_bytes(stats->direct_bytes));
    cli_json_set(object, "queue_depth", json_integer(stats->queue_depth));
    cli_json_set(object, "engine", cli_json_text(stats->engine));
    cli_json_set(object, "shared_bytes", cli_json_bytes(stats->shared_bytes));
    cli_json_set(object, "filled_bytes", cli_json_bytes(stats->filled_bytes));
    cli_json_set(object, "share_users", json_integer((json_int_t)stats->share_users));
    cli_json_set(object, "devices", devices);
    cli_json_set(object, "verified_bytes", cli_json_bytes(stats->verified_bytes));
    cli_json_set(object, "window_verified_bytes", cli_json_bytes(arrived));
    return object;
}

/* -- for people -- */

static void add_row(struct cli_table *table, const struct dt2_device_stats *device, uint64_t total, bool verified)
{
    char number[CLI_NUMBER_SIZE];
    cli_table_text(table, device->device);
    cli_table_size(table, device->bytes);
    cli_table_text(table, cli_grouped(device->bytes, number));
    cli_table_text(table, cli_share(device->bytes, total, number));
    cli_table_text(table, device->bytes ? cli_seconds(device->ns, number) : "-");
    cli_table_text(table, cli_rate(cli_gbps(device->bytes, device->ns), number));
    cli_table_text(table, verified ? "every byte" : NULL);
}

/* The last two columns, of the row of all: what is shared with how many processes. */
static void add_sharing(struct cli_table *table, const struct dt2_model_stats *stats, bool all)
{
    char number[CLI_NUMBER_SIZE];
    if (stats->shared_bytes == 0)
        return;
    cli_table_text(table, all ? cli_share(stats->shared_bytes, stats->bytes, number) : NULL);
    snprintf(number, sizeof number, "%zu", stats->share_users);
    cli_table_text(table, all ? number : NULL);
}

static void print_load(const struct dt2_model *model, uint64_t arrived)
{
    static const struct cli_column columns[] = {
        { "DEVICE", false, 0, 0 }, { "SIZE", true, 0, 2 }, { "BYTES", true, 0, 0 },     { "SHARE", true, 0, 3 },
        { "TIME", true, 0, 0 },    { "RATE", true, 0, 1 }, { "VERIFIED", false, 0, 0 },
        { "SHARED", true, 0, 0 },  { "USERS", true, 0, 0 },
    };
    const struct dt2_model_stats *stats = dt2_model_statistics(model);
    struct cli_table *table = cli_table_create(columns, sizeof columns / sizeof *columns - (stats->shared_bytes ? 0 : 2));
    bool verified = stats->verified_bytes != DT2_UNKNOWN && stats->verified_bytes == stats->bytes;
    char number[CLI_NUMBER_SIZE];
    const struct dt2_plan *plan = dt2_model_applied_plan(model);
    cli_warn_of_plan(plan);
    char *title = cli_printable(dt2_model_name(model), false);
    printf("%s%s%s\n", cli_bold(), title, cli_normal());
    free(title);
    for (size_t i = 0; i < stats->device_count; i++) {
        add_row(table, stats->devices[i], stats->bytes, verified);
        add_sharing(table, stats, false);
    }
    const struct dt2_device_stats total = { .device = "total", .bytes = stats->bytes, .ns = stats->ns };
    add_row(table, &total, stats->bytes, verified);
    add_sharing(table, stats, true);
    cli_table_print(table, 2);
    cli_table_destroy(table);
    if (arrived != DT2_UNKNOWN && arrived > 0)
        printf("  every byte of the %s that stream to %s arrives there\n",
               dt2_size_format(arrived, number, sizeof number), dt2_plan_compute_device(plan));
    for (size_t i = 0; i < stats->ejected_count; i++) {
        char *ejected = cli_printable(stats->ejected[i], false);
        printf("  ejected  %s\n", ejected);
        free(ejected);
    }
    fflush(stdout);
}

/* -- loading -- */

/* One pass through a session, compared where the bytes arrive; *arrived is how many. */
static int verify_window(struct dt2_model *model, const struct dt2_file *file, struct cli_progress *progress,
                         uint64_t *arrived, struct dt2_error *err)
{
    struct dt2_session *session = NULL;
    int rc = dt2_session_open(model, NULL, &session, err);
    if (rc == 0)
        rc = dt2_session_verify(session, file, cli_progress, progress, arrived, err);
    for (size_t i = 0; session && i < dt2_session_warning_count(session); i++)
        cli_warn(dt2_session_warning(session, i));
    int closed = dt2_session_close(session, rc ? NULL : err);
    return rc ? rc : closed;
}

static int draw(struct run *run, const struct dt2_model *model, struct dt2_error *err)
{
    int rc = cli_picture_of_load(&run->picture, dt2_model_name(model), dt2_model_statistics(model), err);
    return rc == 0 ? cli_picture_keep(&run->picture, err) : rc;
}

/* Before anything is loaded: it must be possible to write there. */
static int open_picture(const struct cli_options *options, struct cli_picture *picture, struct dt2_error *err)
{
    if (!options->picture)
        return 0;
    if (options->argument_count != 1)
        return cli_fail(err, DT2_EUSAGE, "load --picture takes one MODEL, not %zu: a picture is of one", options->argument_count);
    return cli_picture_open(options->picture, picture, err);
}

static int load_open(struct run *run, const char *name, const struct cli_model *source, struct dt2_error *err)
{
    struct cli_progress progress;
    cli_progress_start(&progress, run->options);
    struct dt2_load_options how = DT2_LOAD_OPTIONS_INIT;
    how.name = name;
    how.verify = run->options->verify;
    how.io = (enum dt2_io)run->options->io;
    how.progress = cli_progress;
    how.progress_data = &progress;
    struct dt2_model *model = NULL;
    uint64_t arrived = DT2_UNKNOWN;
    struct dt2_plan *plan = NULL;
    int rc = run->plan.text ? cli_load_plan_parse(&run->plan, source->file, source->blocks, &plan, err) : 0;
    if (rc == 0)
        rc = plan ? dt2_model_load_plan(run->context, source->file, source->blocks, plan, &how, &model, err)
                  : dt2_model_load(run->context, source->file, source->blocks, &run->options->request, &how, &model, err);
    dt2_plan_free(plan);
    rc = cli_options_blame(run->options, rc, err);
    if (rc == 0 && how.verify)
        rc = verify_window(model, source->file, &progress, &arrived, err);
    cli_status_hide();
    if (rc == 0 && run->loads)
        cli_json_append(run->loads, load_json(model, source->file, arrived));
    else if (rc == 0)
        print_load(model, arrived);
    if (rc == 0 && run->options->picture)
        rc = draw(run, model, err);
    dt2_model_unref(model); /* it stays loaded: the context holds it */
    if (rc)
        return rc;
    run->load_count++;
    return 0;
}

static int load_one(struct run *run, const char *name, struct dt2_error *err)
{
    if (cli_interrupted())
        return cli_fail(err, DT2_ECANCELLED, "interrupted before %s was loaded", name);
    struct cli_model source;
    int rc = cli_model_open(&run->catalog, name, &source, err);
    if (rc == 0)
        rc = cli_model_cut(&source, &run->options->request, err);
    if (rc == 0) {
        if (!run->loads && run->load_count)
            putchar('\n');
        cli_warn_of_left_out(name, &source);
        rc = load_open(run, name, &source, err);
    }
    cli_model_clear(&source);
    return rc;
}

/* The names of the models that are loaded now, in the order in which they were loaded. */
static json_t *loaded_json(struct dt2_context *context)
{
    json_t *names = json_array();
    size_t count = dt2_context_models(context, NULL, 0);
    struct dt2_model **models = cli_alloc(count, sizeof *models);
    dt2_context_models(context, models, count);
    for (size_t i = 0; i < count; i++) {
        cli_json_append(names, cli_json_text(dt2_model_name(models[i])));
        dt2_model_unref(models[i]);
    }
    free(models);
    return names;
}

/* Prints the document of what was loaded, and of the failure that ended it. Returns the exit status. */
static int print_json(struct run *run, int rc, const struct dt2_error *err)
{
    json_t *document = json_object();
    cli_json_set(document, "loads", run->loads);
    cli_json_set(document, "loaded", loaded_json(run->context));
    if (rc)
        cli_json_set(document, "error", cli_json_error(err));
    cli_json_print(document);
    return dt2_exit_status(rc);
}

int cli_load(const struct cli_options *options, struct dt2_error *err)
{
    struct run run = { .options = &run.plan.options, .catalog = { .options = &run.plan.options } };
    int rc = cli_load_plan_read(options, &run.plan, err);
    if (rc == 0)
        rc = open_picture(options, &run.picture, err);
    if (rc == 0)
        rc = cli_context_create(&run.context, err);
    if (rc == 0) {
        cli_interrupt_start();
        run.loads = options->json ? json_array() : NULL;
        for (size_t i = 0; rc == 0 && i < options->argument_count; i++)
            rc = load_one(&run, options->arguments[i], err);
        if (run.loads)
            rc = print_json(&run, rc, err);
    }
    cli_picture_drop(&run.picture);
    if (cli_loaded)
        cli_loaded();
    dt2_context_destroy(run.context);
    cli_catalog_close(&run.catalog);
    cli_load_plan_clear(&run.plan);
    return rc;
}
