/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/model.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/text.h"
#include <stdlib.h>

int cli_catalog_open(struct cli_catalog *catalog, struct dt2_error *err)
{
    const struct cli_options *options = catalog->options;
    if (catalog->opened)
        return 0;
    struct dt2_catalog_options where = DT2_CATALOG_OPTIONS_INIT;
    where.comfyui = options->comfyui;
    where.extra_model_paths = options->extra_model_paths.items;
    where.extra_model_path_count = options->extra_model_paths.count;
    where.category = options->category;
    struct cli_scan scan;
    cli_scan_start(&scan, options);
    where.progress = cli_scan_show;
    where.progress_data = &scan;
    int rc = dt2_catalog_open(&where, cli_log, NULL, &catalog->opened, err);
    cli_scan_end(&scan);
    return rc;
}

void cli_catalog_close(struct cli_catalog *catalog)
{
    dt2_catalog_free(catalog->opened);
    catalog->opened = NULL;
}

int cli_context_create(struct dt2_context **context, struct dt2_error *err)
{
    return cli_context_create_with(cli_log, context, err);
}

int cli_context_create_with(dt2_log_fn *log, struct dt2_context **context, struct dt2_error *err)
{
    struct dt2_context_options how = DT2_CONTEXT_OPTIONS_INIT;
    how.log = log;
    how.probe_isolated = true; /* a vendor's runtime that aborts or hangs must not take the tool along */
    return dt2_context_create(&how, context, err);
}

int (*cli_file_open)(const char *path, const struct dt2_file_options *how, struct dt2_file **file,
                     struct dt2_error *err) = dt2_file_open_with;
void (*cli_loaded)(void);

/* Makes the file the one that is stored in the dtype with that place in --dtype. */
static int store(struct cli_model *model, unsigned dtype, struct dt2_error *err)
{
    static const char *const dtypes[] = { "keep", "F16", "BF16", "F32" };
    struct dt2_storing how = DT2_STORING_INIT;
    struct dt2_file *stored;
    if (dtype == 0)
        return 0;
    how.dtype = dtypes[dtype];
    int rc = dt2_file_stored(model->file, &how, &stored, err);
    if (rc < 0)
        return rc;
    dt2_file_free(model->file);
    model->file = stored;
    return 0;
}

int cli_model_open(struct cli_catalog *catalog, const char *name, struct cli_model *model, struct dt2_error *err)
{
    struct dt2_file_options how = DT2_FILE_OPTIONS_INIT;
    how.key = catalog->options->key;
    *model = (struct cli_model){ NULL, NULL, NULL };
    int rc = dt2_catalog_is_path(name) ? 0 : cli_catalog_open(catalog, err);
    if (rc == 0)
        rc = dt2_catalog_resolve(catalog->opened, name, &model->path, err);
    if (rc == 0)
        rc = cli_file_open(model->path, &how, &model->file, err);
    if (rc == 0 && dt2_file_note(model->file))
        cli_note("%s: %s", name, dt2_file_note(model->file));
    if (rc == 0)
        rc = store(model, catalog->options->dtype, err);
    if (rc == 0 && catalog->options->all_tensors)
        rc = dt2_blocks_make_all(model->file, &model->blocks, err);
    else if (rc == 0)
        rc = dt2_blocks_make(model->file, &model->blocks, err);
    return rc;
}

uint64_t cli_model_bytes(const struct cli_model *model)
{
    uint64_t left_out;
    dt2_blocks_left_out(model->blocks, &left_out);
    return dt2_file_total_bytes(model->file) - left_out;
}

char *cli_model_left_out(const struct cli_model *model)
{
    uint64_t bytes;
    size_t count = dt2_blocks_left_out(model->blocks, &bytes);
    char size[CLI_NUMBER_SIZE], number[CLI_NUMBER_SIZE];
    if (count == 0)
        return NULL;
    return cli_format("%s in %s tensor%s belong%s to no ControlNet and %s not loaded",
                      dt2_size_format(bytes, size, sizeof size), cli_grouped(count, number), count == 1 ? "" : "s",
                      count == 1 ? "s" : "", count == 1 ? "is" : "are");
}

void cli_warn_of_left_out(const char *name, const struct cli_model *model)
{
    char *what = cli_model_left_out(model);
    if (what)
        cli_note("%s: %s; --all-tensors takes them too", name, what);
    free(what);
}

int cli_model_cut(struct cli_model *model, const struct dt2_request *request, struct dt2_error *err)
{
    struct dt2_blocks *cut;
    if (!request->place)
        return 0;
    int rc = dt2_blocks_cut(model->blocks, model->file, request->place, &cut, err);
    if (rc < 0)
        return rc;
    dt2_blocks_free(model->blocks);
    model->blocks = cut;
    return 0;
}

void cli_model_clear(struct cli_model *model)
{
    dt2_blocks_free(model->blocks);
    dt2_file_free(model->file);
    dt2_text_free(model->path);
    *model = (struct cli_model){ NULL, NULL, NULL };
}

void cli_warn_of_plan(const struct dt2_plan *plan)
{
    for (size_t i = 0; i < dt2_plan_warning_count(plan); i++)
        cli_warn(dt2_plan_warning(plan, i));
}
