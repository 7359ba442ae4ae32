/* SPDX-License-Identifier: BSD-3-Clause */
/* What network a file holds, told by the names of its tensors. */
#ifndef DT2_PLAN_RECOGNISE_H
#define DT2_PLAN_RECOGNISE_H

#include "plan/order.h"
#include <distorch2/plan.h>

struct dt2_network {
    const char *variant; /* NULL: not recognised */
    const char *family;  /* NULL: unknown */
    enum dt2_ordering ordering;
    struct dt2_traits traits;
};

/* Depends on names and shapes alone, not on their order. */
struct dt2_network dt2_recognise(const struct dt2_file *file);

#endif
