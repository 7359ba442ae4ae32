/* SPDX-License-Identifier: BSD-3-Clause */
/* What the sources of `distorch2 inspect` share. */
#ifndef CLI_INSPECT_H
#define CLI_INSPECT_H

#include "cli/hash.h"
#include "cli/json.h"
#include "cli/model.h"

/* Tensors of one dtype. */
struct cli_dtype {
    const char *name;
    size_t tensors;
    uint64_t bytes;
};
#define CLI_DTYPES_MAX 64 /* more than all formats together have */

/* Counts tensors by dtype, in the order in which these first appear. */
size_t cli_count_dtypes(const struct dt2_file *file, struct cli_dtype *dtypes);

/* One of the files that a model is in. */
struct cli_part {
    const char *path;
    size_t tensors;
    uint64_t bytes; /* of its tensors */
};
/* The parts, in the order of their data; *count of them. To be freed. */
struct cli_part *cli_count_parts(const struct dt2_file *file, size_t *count);

/* "union ControlNet for SDXL, 6 kinds of hints"; NULL when the network is not recognised. To be freed. */
char *cli_describe(const struct dt2_blocks *blocks);

/* A page for people. */
void cli_print_page(const char *name, const struct cli_model *model, const struct cli_sums *sums, bool tensors);

json_t *cli_model_json(const char *name, const struct cli_model *model, const struct cli_sums *sums);

#endif
