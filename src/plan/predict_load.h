/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DT2_PLAN_PREDICT_LOAD_H
#define DT2_PLAN_PREDICT_LOAD_H

#include "plan/cost.h"
#include "plan/draft.h"

/* What a load takes in all, and until each target has its bytes; `each` may be NULL. Errors: DT2_ENOMEM. */
int dt2_predict_load(const struct dt2_draft *draft, bool cold, double *seconds, double *each, struct dt2_error *err);

#endif
