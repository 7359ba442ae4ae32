/* SPDX-License-Identifier: BSD-3-Clause */
/* plan --compare: what else could be asked for, and what each would cost. */
#ifndef CLI_COMPARE_H
#define CLI_COMPARE_H

#include "cli/model.h"

/* The machine that is planned for; one of the two. */
struct cli_planner {
    struct dt2_devices *saved;
    struct dt2_context *context;
};
int cli_planner_plan(const struct cli_planner *planner, const struct dt2_request *request, const struct dt2_blocks *blocks,
                     struct dt2_plan **plan, struct dt2_error *err);

/* Says of the donors of a plan, where the request names them, which make a pass wait longer than the host would in their place. */
void cli_compare_donors(const struct cli_planner *planner, const struct cli_options *options, const struct cli_model *model,
                        const struct dt2_plan *plan, unsigned indent);

/* Plans each candidate, and prints all. What does not fit is a row like the others. */
int cli_compare(const struct cli_planner *planner, const struct cli_options *options, const struct cli_model *model,
                struct dt2_error *err);

#endif
