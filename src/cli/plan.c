/* SPDX-License-Identifier: BSD-3-Clause */
/* distorch2 plan */
#include "cli/commands.h"
#include "cli/compare.h"
#include "cli/json.h"
#include "cli/model.h"
#include "cli/picture/picture.h"
#include "cli/plan_bars.h"
#include "cli/report.h"
#include "cli/saved.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- making the plan -- */

static int read_machine(const char *path, struct dt2_devices **devices, struct dt2_error *err)
{
    char *text;
    size_t length;
    int rc = cli_read_saved(path, "--machine", "distorch2 devices --json", &text, &length, err);
    if (rc == 0 && dt2_devices_parse(text, length, devices, err))
        rc = cli_prefix_error(err, "%s: ", cli_saved_name(path));
    free(text);
    return rc;
}

/* The machine to plan for: a saved one, or this one. */
static int open_machine(const struct cli_options *options, struct cli_planner *planner, struct dt2_error *err)
{
    *planner = (struct cli_planner){ NULL, NULL };
    return options->machine ? read_machine(options->machine, &planner->saved, err)
                            : cli_context_create(&planner->context, err);
}

static void close_machine(struct cli_planner *planner)
{
    dt2_devices_free(planner->saved);
    dt2_context_destroy(planner->context);
}

int cli_planner_plan(const struct cli_planner *planner, const struct dt2_request *request, const struct dt2_blocks *blocks,
                     struct dt2_plan **plan, struct dt2_error *err)
{
    return planner->saved ? dt2_plan_make(planner->saved, dt2_blocks_array(blocks), dt2_blocks_count(blocks), request, plan, err)
                          : dt2_model_plan(planner->context, blocks, request, plan, err);
}

/* -- for people -- */

static void add_blocks(struct cli_table *table, const struct dt2_share *share, const struct dt2_block *blocks)
{
    cli_table_add(table, "%zu", share->block_count);
    if (share->runs > 1)
        cli_table_add(table, "%zu", share->runs);
    else
        cli_table_text(table, NULL);
    if (share->block_count == 0)
        cli_table_text(table, "none");
    else if (share->block_count == 1)
        cli_table_text(table, blocks[share->blocks[0]].name);
    else
        cli_table_add(table, "%s .. %s", blocks[share->blocks[0]].name,
                      blocks[share->blocks[share->block_count - 1]].name);
}

static void print_shares(const struct dt2_plan *plan, const struct cli_model *model)
{
    static const struct cli_column columns[] = {
        { "DEVICE", false, 0, 0 }, { "SIZE", true, 0, 0 },   { "SHARE", true, 0, 0 },
        { "QUOTA", true, 0, 3 },   { "COST", true, 0, 1 },   { "LOADS IN", true, 0, 2 },
        { "", false, 0, 0 },       { "BLOCKS", true, 0, 3 }, { "RUNS", true, 0, 5 },
        { "FIRST .. LAST", false, 30, 6 },
    };
    const char *compute = dt2_plan_compute_device(plan);
    struct cli_table *table = cli_table_create(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < dt2_plan_share_count(plan); i++) {
        const struct dt2_share *share = dt2_plan_share(plan, i);
        char part[CLI_NUMBER_SIZE];
        cli_table_text(table, share->device);
        cli_table_size(table, share->bytes);
        cli_table_text(table, cli_share(share->bytes, cli_model_bytes(model), part));
        if (share->quota_bytes == DT2_UNKNOWN)
            cli_table_text(table, "*");
        else
            cli_table_size(table, share->quota_bytes);
        cli_table_size(table, share->cost_bytes);
        if (share->bytes > 0 && share->load_seconds >= 0)
            cli_table_text(table, cli_seconds((uint64_t)(share->load_seconds * 1e9), part));
        else
            cli_table_text(table, NULL);
        bool computes = strcmp(share->device, compute) == 0;
        cli_table_add(table, "%s%s%s", computes ? "computes" : "", computes && share->absorbs ? ", " : "",
                      share->absorbs ? "absorbs" : "");
        add_blocks(table, share, dt2_blocks_array(model->blocks));
    }
    cli_table_print(table, 2);
    cli_table_destroy(table);
}

static char *seconds_text(double seconds, char *out)
{
    return cli_seconds((uint64_t)(seconds * 1e9), out);
}

static char *pass_text(const struct dt2_prediction *p)
{
    char size[CLI_NUMBER_SIZE], transfer[CLI_NUMBER_SIZE], compute[CLI_NUMBER_SIZE], stall[CLI_NUMBER_SIZE];
    if (p->streamed_bytes == 0)
        return cli_format("a pass streams nothing");
    char *age = cli_age(p->learnt_at), *learnt = p->learnt_at ? cli_format(" (learnt %s)", age) : NULL;
    char *text = cli_format("a pass streams %s in %s, and waits %s for it beside the %s that it computes%s",
                      dt2_size_format(p->streamed_bytes, size, sizeof size), seconds_text(p->transfer_seconds, transfer),
                      seconds_text(p->stall_seconds, stall), seconds_text(p->compute_seconds, compute),
                      p->compute_estimated ? " (an estimate: --step-ms says it)" : learnt ? learnt : "");
    free(age);
    free(learnt);
    return text;
}

/* What it will cost, in two or three sentences. */
static void print_prediction(const struct dt2_prediction *p)
{
    char warm[CLI_NUMBER_SIZE], cold[CLI_NUMBER_SIZE], start[CLI_NUMBER_SIZE];
    if (!p)
        return;
    char *load = cli_format("loads in %s, from the disk in %s%s%s%s", seconds_text(p->load_seconds, warm),
                            seconds_text(p->load_cold_seconds, cold), p->start_seconds > 0 ? ", once drivers have started, which takes " : "",
                            p->start_seconds > 0 ? seconds_text(p->start_seconds, start) : "",
                            p->assumed ? " (speeds are assumed: `distorch2 devices --measure`)" : "");
    char *pass = pass_text(p);
    putchar('\n');
    cli_print_paragraph(2, 4, load);
    cli_print_paragraph(2, 4, pass);
    free(load);
    free(pass);
}

/* `devices` NULL: no bars. */
static void print_plan(const struct cli_options *options, const struct cli_planner *planner, const struct dt2_plan *plan,
                       const struct cli_model *model, const struct dt2_devices *devices)
{
    char size[CLI_NUMBER_SIZE], bytes[CLI_NUMBER_SIZE], window[CLI_NUMBER_SIZE];
    cli_warn_of_plan(plan);
    char *title = cli_printable(options->arguments[0], false);
    uint64_t total = cli_model_bytes(model);
    printf("%s%s%s\n  %s (%s bytes) in %zu blocks\n  computing on %s", cli_bold(), title, cli_normal(),
           dt2_size_format(total, size, sizeof size), cli_grouped(total, bytes), dt2_blocks_count(model->blocks),
           dt2_plan_compute_device(plan));
    if (dt2_plan_window_bytes(plan))
        printf(" through a window of %s", dt2_size_format(dt2_plan_window_bytes(plan), window, sizeof window));
    puts("\n");
    print_shares(plan, model);
    print_prediction(dt2_plan_prediction(plan));
    cli_compare_donors(planner, options, model, plan, 2);
    if (devices) {
        cli_plan_bars(plan, devices);
        cli_plan_strip(plan, model->blocks, total);
    }
    free(title);
}

/* -- the picture -- */

static int draw(const struct dt2_devices *devices, const struct dt2_plan *plan, const char *name, const struct cli_model *model,
                struct cli_picture *picture, struct dt2_error *err)
{
    const struct cli_planned planned = {
        name, plan, dt2_blocks_array(model->blocks), dt2_blocks_count(model->blocks), cli_model_bytes(model), devices
    };
    int rc = cli_picture_of_plan(picture, &planned, err);
    return rc == 0 ? cli_picture_keep(picture, err) : rc;
}

/* Before anything else is done: it must be possible to write there. */
static int open_picture(const struct cli_options *options, struct cli_picture *picture, struct dt2_error *err)
{
    if (!options->picture)
        return 0;
    if (options->compare)
        return cli_fail(err, DT2_EUSAGE, "--picture and --compare: a picture is of one plan");
    return cli_picture_open(options->picture, picture, err);
}

/* -- the command -- */

/* Shows a plan, drawn first where that is asked for; with the devices that were planned for where there is something to draw. */
static int show(const struct cli_options *options, const struct cli_planner *planner, const struct dt2_plan *plan,
                const struct cli_model *model, struct cli_picture *picture, struct dt2_error *err)
{
    const char *name = options->arguments[0];
    struct dt2_devices *listed = NULL;
    bool bars = !options->json && cli_output_is_terminal();
    int rc = 0;
    if (!planner->saved && (options->picture || bars))
        rc = dt2_devices_list(planner->context, options->picture ? DT2_DEVICES_UNUSABLE : 0, &listed, err);
    const struct dt2_devices *devices = listed ? listed : planner->saved;
    if (rc == 0 && options->picture)
        rc = draw(devices, plan, name, model, picture, err);
    if (rc == 0)
        cli_warn_of_left_out(name, model);
    if (rc == 0 && options->json)
        cli_json_print(cli_json_parsed(dt2_plan_json(plan, model->file)));
    else if (rc == 0)
        print_plan(options, planner, plan, model, bars ? devices : NULL);
    dt2_devices_free(listed);
    return rc;
}

int cli_plan(const struct cli_options *options, struct dt2_error *err)
{
    const char *name = options->arguments[0];
    struct cli_picture picture = { .file = NULL };
    struct cli_catalog catalog = { .options = options };
    struct cli_model model = { NULL, NULL, NULL };
    struct cli_planner planner = { NULL, NULL };
    struct dt2_plan *plan = NULL;
    int rc = open_picture(options, &picture, err);
    if (rc == 0)
        rc = cli_model_open(&catalog, name, &model, err);
    if (rc == 0)
        rc = cli_model_cut(&model, &options->request, err);
    if (rc == 0 && options->verbose)
        cli_options_explain(options);
    if (rc == 0)
        rc = open_machine(options, &planner, err);
    if (rc == 0 && options->compare)
        rc = cli_compare(&planner, options, &model, err);
    else if (rc == 0)
        rc = cli_planner_plan(&planner, &options->request, model.blocks, &plan, err);
    cli_options_blame(options, rc, err);
    if (rc == 0 && plan)
        rc = show(options, &planner, plan, &model, &picture, err);
    else if (rc == 0)
        cli_warn_of_left_out(name, &model);
    cli_picture_drop(&picture);
    dt2_plan_free(plan);
    close_machine(&planner);
    cli_model_clear(&model);
    cli_catalog_close(&catalog);
    return rc;
}
