/* SPDX-License-Identifier: BSD-3-Clause */
/* From what a user calls a model to its open file and its blocks. */
#ifndef CLI_MODEL_H
#define CLI_MODEL_H

#include "cli/options.h"

struct cli_model {
    char *path;
    struct dt2_file *file;
    struct dt2_blocks *blocks;
};

/*
 * The catalogue as the options say, which is opened when it is first needed: no folder is looked into for a model that is
 * given as a path. Starts with the options alone.
 */
struct cli_catalog {
    const struct cli_options *options;
    struct dt2_catalog *opened;
};
/* Opens it; its warnings are logged. */
int cli_catalog_open(struct cli_catalog *catalog, struct dt2_error *err);
void cli_catalog_close(struct cli_catalog *catalog);
/* A context that logs. */
int cli_context_create(struct dt2_context **context, struct dt2_error *err);
/* The same, but with a log of the caller's. */
int cli_context_create_with(dt2_log_fn *log, struct dt2_context **context, struct dt2_error *err);

/* What opens a model for every command, and what is done when `load` has ended and keeps what it has loaded: distorch2-mpi has others. */
extern int (*cli_file_open)(const char *path, const struct dt2_file_options *how, struct dt2_file **file, struct dt2_error *err);
extern void (*cli_loaded)(void); /* may be NULL */

/* On failure model->path is set when the name could be resolved, so clear the model in any case. */
int cli_model_open(struct cli_catalog *catalog, const char *name, struct cli_model *model, struct dt2_error *err);
/* Cuts its blocks where --place sends tensors of one to different devices. */
int cli_model_cut(struct cli_model *model, const struct dt2_request *request, struct dt2_error *err);
void cli_model_clear(struct cli_model *model);

/* The bytes of its blocks: all that is loaded. */
uint64_t cli_model_bytes(const struct cli_model *model);
/* "3.88 GiB in 1,131 tensors belong to no ControlNet and are not loaded"; NULL when there are none. To be freed. */
char *cli_model_left_out(const struct cli_model *model);
/* Says so. */
void cli_warn_of_left_out(const char *name, const struct cli_model *model);

/* What a plan has to say; before the table, where it is not overlooked. */
void cli_warn_of_plan(const struct dt2_plan *plan);

#endif
