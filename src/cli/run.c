/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * distorch2 run: what a step costs on a placement. Passes go through a session as a network's would: each block is
 * acquired, "computed" for its part of --step-ms, and released. There is no kernel: the thread lets the time go by.
 */
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/model.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct pass {
    struct dt2_session_stats stats;
    uint64_t ns;
};

struct run {
    const struct cli_options *options;
    struct dt2_model *model;
    struct dt2_session *session;
    struct dt2_session_info info;
    uint64_t step_ns;    /* that a pass computes */
    struct pass *passes; /* as many as the options ask for */
};

/* -- passes -- */

#define SLEEP_LEAST_NS 2000000u /* what is shorter is spent awake: a sleep ends late */

static void compute(uint64_t ns)
{
    uint64_t end = cli_now_ns() + ns;
    if (ns >= SLEEP_LEAST_NS) {
        uint64_t nap = ns - SLEEP_LEAST_NS / 2;
        nanosleep(&(struct timespec){ (time_t)(nap / 1000000000u), (long)(nap % 1000000000u) }, NULL);
    }
    while (cli_now_ns() < end && !cli_interrupted())
        ;
}

/* A block's part of a step is as large as its part of the model. */
static uint64_t step_of(const struct run *run, const struct dt2_block *block, uint64_t model_bytes)
{
    return model_bytes ? (uint64_t)((double)run->step_ns * (double)block->bytes / (double)model_bytes) : 0;
}

static int run_pass(const struct run *run, struct pass *pass, struct dt2_error *err)
{
    uint64_t started = cli_now_ns(), model_bytes = dt2_model_statistics(run->model)->bytes;
    for (size_t i = 0; i < dt2_model_block_count(run->model); i++) {
        if (cli_interrupted())
            return cli_fail(err, DT2_ECANCELLED, "%s: interrupted", dt2_model_name(run->model));
        int rc = dt2_session_acquire(run->session, i, 0, err);
        if (rc)
            return rc;
        compute(step_of(run, dt2_model_block(run->model, i), model_bytes));
        rc = dt2_session_release(run->session, i, err);
        if (rc)
            return rc;
    }
    dt2_session_next_pass(run->session);
    pass->ns = cli_now_ns() - started;
    pass->stats = (struct dt2_session_stats)DT2_SESSION_STATS_INIT;
    return dt2_session_statistics(run->session, DT2_SESSION_LAST_PASS, &pass->stats, err);
}

static int run_passes(struct run *run, struct dt2_error *err)
{
    run->info = (struct dt2_session_info)DT2_SESSION_INFO_INIT;
    int rc = dt2_session_open(run->model, NULL, &run->session, err);
    if (rc == 0)
        rc = dt2_session_info(run->session, &run->info, err);
    for (uint64_t i = 0; rc == 0 && i < run->options->passes; i++)
        rc = run_pass(run, &run->passes[i], err);
    return rc;
}

/* -- JSON -- */

static json_t *pass_json(const struct pass *pass, uint64_t number)
{
    json_t *object = json_object();
    cli_json_set(object, "pass", json_integer((json_int_t)number));
    cli_json_set(object, "seconds", json_real((double)pass->ns / 1e9));
    cli_json_set(object, "bytes", cli_json_bytes(pass->stats.bytes));
    cli_json_set(object, "acquires", cli_json_bytes(pass->stats.acquires));
    cli_json_set(object, "hits", cli_json_bytes(pass->stats.hits));
    cli_json_set(object, "stalls", cli_json_bytes(pass->stats.stalls));
    cli_json_set(object, "stall_seconds", json_real((double)pass->stats.stall_ns / 1e9));
    cli_json_set(object, "window_bytes", cli_json_bytes(pass->stats.window_bytes));
    return object;
}

static void print_json(const struct run *run, const struct dt2_file *file)
{
    json_t *document = json_object(), *passes = json_array(), *warnings = json_array();
    for (uint64_t i = 0; i < run->options->passes; i++)
        cli_json_append(passes, pass_json(&run->passes[i], i + 1));
    for (size_t i = 0; i < dt2_session_warning_count(run->session); i++)
        cli_json_append(warnings, cli_json_text(dt2_session_warning(run->session, i)));
    cli_json_set(document, "model", cli_json_text(dt2_model_name(run->model)));
    cli_json_set(document, "path", cli_json_text(dt2_model_path(run->model)));
    cli_json_set(document, "plan", cli_json_parsed(dt2_plan_json(dt2_model_applied_plan(run->model), file)));
    cli_json_set(document, "compute_device", cli_json_text(run->info.compute_device));
    cli_json_set(document, "step_seconds", json_real((double)run->step_ns / 1e9));
    cli_json_set(document, "streamed_blocks", json_integer((json_int_t)run->info.streamed_blocks));
    cli_json_set(document, "pass_bytes", cli_json_bytes(run->info.pass_bytes));
    cli_json_set(document, "window_bytes", cli_json_bytes(run->info.window_bytes));
    cli_json_set(document, "staging_bytes", cli_json_bytes(run->info.staging_bytes));
    cli_json_set(document, "pinned_bytes", cli_json_bytes(run->info.pinned_bytes));
    cli_json_set(document, "passes", passes);
    cli_json_set(document, "warnings", warnings);
    cli_json_print(document);
}

/* -- for people -- */

static void print_head(const struct run *run)
{
    char pass[CLI_NUMBER_SIZE], window[CLI_NUMBER_SIZE], step[CLI_NUMBER_SIZE];
    char *title = cli_printable(dt2_model_name(run->model), false);
    printf("%s%s%s\n  computing on %s, %s a pass\n", cli_bold(), title, cli_normal(), run->info.compute_device,
           cli_seconds(run->step_ns, step));
    free(title);
    if (run->info.streamed_blocks)
        printf("  %zu of %zu blocks stream, %s a pass, through a window of %s\n\n", run->info.streamed_blocks,
               dt2_model_block_count(run->model), dt2_size_format(run->info.pass_bytes, pass, sizeof pass),
               dt2_size_format(run->info.window_bytes, window, sizeof window));
    else
        puts("  all blocks are used where they lie: nothing streams\n");
}

static void add_row(struct cli_table *table, const struct pass *pass)
{
    char number[CLI_NUMBER_SIZE];
    cli_table_size(table, pass->stats.bytes);
    cli_table_text(table, cli_grouped(pass->stats.hits, number));
    cli_table_text(table, cli_grouped(pass->stats.stalls, number));
    cli_table_text(table, cli_seconds(pass->stats.stall_ns, number));
    cli_table_size(table, pass->stats.window_bytes);
    cli_table_text(table, cli_seconds(pass->ns, number));
}

static void print_table(const struct run *run)
{
    static const struct cli_column columns[] = {
        { "PASS", true, 0, 0 },   { "STREAMED", true, 0, 0 },   { "HITS", true, 0, 1 }, { "STALLS", true, 0, 0 },
        { "STALLED", true, 0, 0 }, { "WINDOW USED", true, 0, 2 }, { "TIME", true, 0, 0 },
    };
    struct cli_table *table = cli_table_create(columns, sizeof columns / sizeof *columns);
    for (uint64_t i = 0; i < run->options->passes; i++) {
        cli_table_add(table, "%ju", (uintmax_t)i + 1);
        add_row(table, &run->passes[i]);
    }
    cli_table_print(table, 2);
    cli_table_destroy(table);
}

/* The first pass finds an empty window, and says little of those that follow. */
static void print_mean(const struct run *run)
{
    uint64_t count = run->options->passes - 1, sum = 0;
    char number[CLI_NUMBER_SIZE];
    for (uint64_t i = 0; i < count; i++)
        sum += run->passes[i + 1].ns;
    if (count == 0)
        return;
    printf("\n  %s a pass after the first", cli_seconds(sum / count, number));
    if (run->step_ns)
        printf(": %.0f %% of what it computes", 100.0 * (double)(sum / count) / (double)run->step_ns);
    putchar('\n');
}

static void print_run(const struct run *run)
{
    cli_warn_of_plan(dt2_model_applied_plan(run->model));
    for (size_t i = 0; i < dt2_session_warning_count(run->session); i++)
        cli_warn(dt2_session_warning(run->session, i));
    print_head(run);
    print_table(run);
    print_mean(run);
}

/* -- the command -- */

static int load(struct run *run, struct dt2_context *context, const struct cli_model *source, struct dt2_error *err)
{
    struct cli_progress progress;
    struct dt2_load_options how = DT2_LOAD_OPTIONS_INIT;
    cli_progress_start(&progress, run->options);
    cli_interrupt_start();
    how.name = run->options->arguments[0];
    how.progress = cli_progress;
    how.progress_data = &progress;
    int rc = dt2_model_load(context, source->file, source->blocks, &run->options->request, &how, &run->model, err);
    cli_status_hide();
    return cli_options_blame(run->options, rc, err);
}

static int run_open(const struct cli_options *options, struct dt2_context *context, const struct cli_model *source,
                    struct dt2_error *err)
{
    struct run run = { .options = options, .passes = cli_alloc(options->passes, sizeof *run.passes) };
    run.step_ns = options->request.step_ns == DT2_UNKNOWN ? 0 : options->request.step_ns;
    int rc = load(&run, context, source, err);
    if (rc == 0)
        rc = run_passes(&run, err);
    if (rc == 0 && options->json)
        print_json(&run, source->file);
    else if (rc == 0)
        print_run(&run);
    int closed = dt2_session_close(run.session, rc ? NULL : err);
    dt2_model_unref(run.model);
    free(run.passes);
    return rc ? rc : closed;
}

int cli_run(const struct cli_options *options, struct dt2_error *err)
{
    struct cli_catalog catalog = { .options = options };
    struct dt2_context *context = NULL;
    struct cli_model source = { NULL, NULL, NULL };
    int rc = cli_model_open(&catalog, options->arguments[0], &source, err);
    if (rc == 0)
        rc = cli_model_cut(&source, &options->request, err);
    if (rc == 0)
        cli_warn_of_left_out(options->arguments[0], &source);
    if (rc == 0)
        rc = cli_context_create(&context, err);
    if (rc == 0)
        rc = run_open(options, context, &source, err);
    dt2_context_destroy(context);
    cli_model_clear(&source);
    cli_catalog_close(&catalog);
    return rc;
}
