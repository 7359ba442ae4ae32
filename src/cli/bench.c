/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * distorch2 bench: what this machine can do, measured plainly, and what a load and a session make of it. A machine is noisy: what
 * counts is the last column.
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
#include <string.h>

enum { ROWS_MOST = 16, PASSES = 3 };

/* A rate, and the one that nothing could be quicker than; NULL: it is a limit itself. */
struct row {
    const char *what;
    double gbps;
    const char *limit;
    double limit_gbps;
};

struct bench {
    const struct cli_options *options;
    struct dt2_context *context;
    struct cli_model model; /* without a file: no model was named */
    char *device;
    bool is_host;
    struct dt2_device_speeds link;
    struct dt2_file_speeds disk;
    struct row rows[ROWS_MOST];
    size_t count;
    struct cli_progress progress;
};

static void add(struct bench *bench, const char *what, double gbps, const char *limit, double limit_gbps)
{
    if (bench->count < ROWS_MOST)
        bench->rows[bench->count++] = (struct row){ what, gbps, limit, limit_gbps };
}

/* -- limits */

/* Bytes that measuring moves, so that it can be seen how far it is. */
static int show(struct bench *bench, uint64_t done)
{
    const uint64_t device = (uint64_t)1 << 30, file = bench->model.file ? (uint64_t)5 << 29 : 0;
    struct dt2_progress now = { .model = bench->device, .done_bytes = done * device, .total_bytes = device + file };
    if (done == 2)
        now.done_bytes = now.total_bytes;
    return cli_progress_show(&bench->progress, "measuring", &now);
}

static int choose_device(struct bench *bench, struct dt2_error *err)
{
    struct dt2_devices *devices;
    size_t index = 0;
    int rc = dt2_devices_list(bench->context, 0, &devices, err);
    if (rc)
        return rc;
    if (bench->options->device)
        rc = dt2_devices_find(devices, bench->options->device, &index, err);
    else
        index = dt2_devices_default(devices);
    const struct dt2_device *device = rc ? NULL : dt2_devices_get(devices, index);
    if (device) {
        bench->device = cli_format("%s", device->name);
        bench->is_host = strcmp(device->driver, "host") == 0;
    }
    dt2_devices_free(devices);
    return rc;
}

static int measure_limits(struct bench *bench, struct dt2_error *err)
{
    bench->link = (struct dt2_device_speeds)DT2_DEVICE_SPEEDS_INIT;
    bench->disk = (struct dt2_file_speeds)DT2_FILE_SPEEDS_INIT;
    if (show(bench, 0))
        return cli_fail(err, DT2_ECANCELLED, "interrupted");
    int rc = dt2_device_measure(bench->context, bench->device, &bench->link, err);
    if (rc == 0 && show(bench, 1))
        return cli_fail(err, DT2_ECANCELLED, "interrupted");
    if (rc == 0 && bench->model.file)
        rc = dt2_file_measure(bench->model.file, 0, &bench->disk, err);
    show(bench, 2);
    if (rc)
        return rc;
    add(bench, "write to the device", bench->link.write_gbps, NULL, -1);
    add(bench, "write, pinned", bench->link.write_pinned_gbps, NULL, -1);
    add(bench, "read from the device", bench->link.read_gbps, NULL, -1);
    add(bench, "read, pinned", bench->link.read_pinned_gbps, NULL, -1);
    if (bench->model.file) {
        add(bench, "disk, through the page cache", bench->disk.cold_gbps, NULL, -1);
        add(bench, "disk, past it", bench->disk.cold_direct_gbps, NULL, -1);
        add(bench, "page cache to fresh memory", bench->disk.fresh_gbps, NULL, -1);
        add(bench, "page cache to used memory", bench->disk.touched_gbps, NULL, -1);
    }
    return 0;
}

/* -- what is reached */

static double lower(double a, double b)
{
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

static double higher(double a, double b)
{
    return a > b ? a : b;
}

/* Loads the whole model to a device, or to host memory for it. */
static int load(struct bench *bench, const char *to, enum dt2_io io, struct dt2_model **model, struct dt2_error *err)
{
    char *everything = cli_format("%s,*", to);
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_load_options how = DT2_LOAD_OPTIONS_INIT;
    request.compute_device = bench->device;
    request.expert_mode_allocations = everything;
    how.io = io;
    how.progress = cli_progress;
    how.progress_data = &bench->progress;
    int rc = dt2_model_load(bench->context, bench->model.file, bench->model.blocks, &request, &how, model, err);
    free(everything);
    return rc;
}

static int load_once(struct bench *bench, bool cold, double *gbps, struct dt2_error *err)
{
    struct dt2_model *model;
    if (cold)
        dt2_file_drop_cache(bench->model.file);
    int rc = load(bench, bench->device, cold ? DT2_IO_AUTO : DT2_IO_BUFFERED, &model, err); /* which warms the next */
    if (rc)
        return rc;
    const struct dt2_model_stats *stats = dt2_model_statistics(model);
    *gbps = cli_gbps(stats->bytes, stats->ns);
    rc = dt2_model_unload(model, DT2_UNLOAD_WAIT, err);
    dt2_model_unref(model);
    return rc;
}

/* Bytes that stream through a session while nothing is computed. The first pass finds an empty window, and does not count. */
static int run_passes(struct bench *bench, struct dt2_session *session, double *gbps, struct dt2_error *err)
{
    struct dt2_session_info info = DT2_SESSION_INFO_INIT;
    uint64_t begin = cli_now_ns();
    int rc = dt2_session_info(session, &info, err);
    for (int pass = 0; rc == 0 && pass <= PASSES; pass++) {
        if (pass == 1)
            begin = cli_now_ns();
        for (size_t i = 0; rc == 0 && i < dt2_blocks_count(bench->model.blocks); i++) {
            rc = cli_interrupted() ? cli_fail(err, DT2_ECANCELLED, "interrupted") : dt2_session_acquire(session, i, 0, err);
            if (rc == 0)
                rc = dt2_session_release(session, i, err);
        }
        dt2_session_next_pass(session);
    }
    if (rc == 0)
        *gbps = cli_gbps(PASSES * info.pass_bytes, cli_now_ns() - begin);
    return rc;
}

static int run_session(struct bench *bench, double *gbps, struct dt2_error *err)
{
    struct dt2_model *model;
    struct dt2_session *session = NULL;
    int rc = load(bench, "cpu", DT2_IO_AUTO, &model, err);
    if (rc)
        return rc;
    rc = dt2_session_open(model, NULL, &session, err);
    if (rc == 0)
        rc = run_passes(bench, session, gbps, err);
    int closed = dt2_session_close(session, rc ? NULL : err);
    dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
    dt2_model_unref(model);
    return rc ? rc : closed;
}

static int measure_reached(struct bench *bench, struct dt2_error *err)
{
    double cold = -1, warm = -1, again = -1, streamed = -1;
    double disk = higher(bench->disk.cold_gbps, bench->disk.cold_direct_gbps), memory = bench->disk.fresh_gbps;
    double link = higher(bench->link.write_gbps, bench->link.write_pinned_gbps);
    int rc = load_once(bench, true, &cold, err);
    if (rc == 0)
        rc = load_once(bench, true, &again, err);
    cold = higher(cold, again); /* the first one also makes the device's context */
    if (rc == 0)
        rc = load_once(bench, false, &warm, err);
    if (rc == 0)
        rc = load_once(bench, false, &again, err);
    if (rc == 0 && !bench->is_host)
        rc = run_session(bench, &streamed, err);
    if (rc)
        return rc;
    add(bench, "a load, cold", cold, "disk", bench->is_host ? disk : lower(disk, link));
    add(bench, "a load, warm", higher(warm, again), bench->is_host ? "page cache" : "page cache, write",
        bench->is_host ? memory : lower(bench->disk.touched_gbps, link));
    if (!bench->is_host)
        add(bench, "a session's passes", streamed, "write", link);
    return 0;
}

/* -- printing */

static void print_json(const struct bench *bench)
{
    json_t *document = json_object(), *rows = json_array();
    for (size_t i = 0; i < bench->count; i++) {
        const struct row *row = &bench->rows[i];
        json_t *object = json_object();
        cli_json_set(object, "what", cli_json_text(row->what));
        cli_json_set(object, "gbps", cli_json_number(row->gbps));
        cli_json_set(object, "limit", cli_json_text(row->limit));
        cli_json_set(object, "limit_gbps", cli_json_number(row->limit_gbps));
        cli_json_set(object, "of_the_limit", cli_json_number(row->limit_gbps > 0 ? row->gbps / row->limit_gbps : -1));
        cli_json_append(rows, object);
    }
    cli_json_set(document, "device", cli_json_text(bench->device));
    cli_json_set(document, "model", cli_json_text(bench->model.path));
    cli_json_set(document, "measured_bytes", bench->model.file ? cli_json_bytes(bench->disk.bytes) : json_null());
    cli_json_set(document, "rows", rows);
    cli_json_print(document);
}

static void print_table(const struct bench *bench)
{
    static const struct cli_column columns[] = {
        { "WHAT", false, 0, 0 }, { "RATE", true, 0, 0 },         { "LIMIT", false, 0, 1 },
        { "", true, 0, 2 },      { "OF THE LIMIT", true, 0, 0 },
    };
    struct cli_table *table = cli_table_create(columns, sizeof columns / sizeof *columns);
    printf("%s%s%s\n", cli_bold(), bench->device, cli_normal());
    for (size_t i = 0; i < bench->count; i++) {
        const struct row *row = &bench->rows[i];
        char rate[CLI_NUMBER_SIZE];
        cli_table_text(table, row->what);
        cli_table_text(table, cli_rate(row->gbps, rate));
        cli_table_text(table, row->limit);
        cli_table_text(table, row->limit ? cli_rate(row->limit_gbps, rate) : NULL);
        if (row->limit && row->limit_gbps > 0)
            cli_table_add(table, "%.0f %%", 100 * row->gbps / row->limit_gbps);
        else
            cli_table_text(table, NULL);
    }
    cli_table_print(table, 2);
    cli_table_destroy(table);
    if (!bench->model.file)
        puts("\nname a MODEL to measure its disk, and loads of it");
}

static int bench_all(struct bench *bench, struct dt2_error *err)
{
    int rc = choose_device(bench, err);
    if (rc)
        return rc;
    cli_progress_start(&bench->progress, bench->options);
    cli_interrupt_start();
    rc = measure_limits(bench, err);
    if (rc == 0 && bench->model.file)
        rc = measure_reached(bench, err);
    cli_status_hide();
    if (rc == 0 && bench->options->json)
        print_json(bench);
    else if (rc == 0)
        print_table(bench);
    return rc;
}

int cli_bench(const struct cli_options *options, struct dt2_error *err)
{
    struct cli_catalog catalog = { .options = options };
    struct bench bench = { .options = options };
    int rc = cli_context_create(&bench.context, err);
    if (rc == 0 && options->argument_count > 0)
        rc = cli_model_open(&catalog, options->arguments[0], &bench.model, err);
    if (rc == 0)
        rc = bench_all(&bench, err);
    dt2_context_destroy(bench.context);
    cli_model_clear(&bench.model);
    cli_catalog_close(&catalog);
    free(bench.device);
    return rc;
}
