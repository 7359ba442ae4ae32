/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_LOAD_PLAN_H
#define CLI_LOAD_PLAN_H

#include "cli/options.h"

/* What `load --plan FILE` goes by. Without --plan: the options as they are. */
struct cli_load_plan {
    struct cli_options options; /* with the dtype and the places of the plan */
    char *text;                 /* NULL: there is no plan */
    size_t length;
    char *place;
};
/* Is to be cleared in any case. */
int cli_load_plan_read(const struct cli_options *options, struct cli_load_plan *plan, struct dt2_error *err);
int cli_load_plan_parse(const struct cli_load_plan *plan, const struct dt2_file *file, const struct dt2_blocks *blocks,
                        struct dt2_plan **parsed, struct dt2_error *err);
void cli_load_plan_clear(struct cli_load_plan *plan);

#endif
