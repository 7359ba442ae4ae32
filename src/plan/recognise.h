/* SPDX-License-Identifier: BSD-3-Clause */
/* What network a file holds, told by the names of its tensors, and which of these it reads. */
#ifndef DT2_PLAN_RECOGNISE_H
#define DT2_PLAN_RECOGNISE_H

#include "plan/order.h"
#include <distorch2/plan.h>

#define DT2_PREFIX_MAX 96

struct dt2_network {
    const char *variant; /* NULL: not recognised */
    const char *family;  /* NULL: unknown */
    enum dt2_ordering ordering;
    struct dt2_traits traits;
    char prefix[DT2_PREFIX_MAX];   /* what its names begin with: "module.control_model.", "" most often */
    size_t wrapper_length;         /* how much of that comes of what the network was wrapped in */
    const char *const *reads;      /* see struct dt2_rule */
    const char *differences;       /* a key beside the network that its loader reads; NULL: there is none */
};

/* Depends on names and shapes alone, not on their order. */
struct dt2_network dt2_recognise(const struct dt2_file *file);
/* Whether the network reads the tensor of that name; one that is not recognised may read any. */
bool dt2_network_reads(const struct dt2_network *network, const char *name);
/* The name as the network itself has it; `name` where it is not of the network. */
const char *dt2_network_inner(const struct dt2_network *network, const char *name);

#endif
