/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/model.h"
#include "cli/report.h"

int cli_catalog_open(const struct cli_options *options, struct dt2_catalog **catalog, struct dt2_error *err)
{
    struct dt2_catalog_options where = DT2_CATALOG_OPTIONS_INIT;
    where.comfyui = options->comfyui;
    where.extra_model_paths = options->extra_model_paths.items;
    where.extra_model_path_count = options->extra_model_paths.count;
    where.category = options->category;
    return dt2_catalog_open(&where, cli_log, NULL, catalog, err);
}

int cli_context_create(struct dt2_context **context, struct dt2_error *err)
{
    struct dt2_context_options how = DT2_CONTEXT_OPTIONS_INIT;
    how.log = cli_log;
    how.probe_isolated = true; /* a vendor's runtime that aborts or hangs must not take the tool along */
    return dt2_context_create(&how, context, err);
}

int cli_model_open(const struct dt2_catalog *catalog, const char *name, struct cli_model *model, struct dt2_error *err)
{
    *model = (struct cli_model){ NULL, NULL, NULL };
    int rc = dt2_catalog_resolve(catalog, name, &model->path, err);
    if (rc == 0)
        rc = dt2_file_open(model->path, &model->file, err);
    if (rc == 0)
        rc = dt2_blocks_make(model->file, &model->blocks, err);
    return rc;
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
