/* SPDX-License-Identifier: BSD-3-Clause */
/* What a placement will cost, by the model of cost.c. */
#ifndef DT2_PLAN_PREDICT_H
#define DT2_PLAN_PREDICT_H

#include "plan/draft.h"
#include <distorch2/plan.h>

/*
 * Of a draft whose blocks have their owners, and whose window is known. Lists, of as many as it has targets, may be NULL: the
 * seconds from the beginning of a load to the last byte of each. Errors: DT2_ENOMEM.
 */
int dt2_predict(const struct dt2_draft *draft, struct dt2_prediction *prediction, double *warm, double *cold,
                struct dt2_error *err);
/* The passes alone. */
int dt2_predict_pass(const struct dt2_draft *draft, struct dt2_prediction *prediction, struct dt2_error *err);

#endif
