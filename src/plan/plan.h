/* SPDX-License-Identifier: BSD-3-Clause */
/* A finished plan from the inside. */
#ifndef DT2_PLAN_PLAN_H
#define DT2_PLAN_PLAN_H

#include "plan/draft.h"
#include "plan/kept.h"

struct dt2_plan {
    struct dt2_share *shares; /* device names and block lists belong to the plan */
    size_t share_count;
    size_t *blocks; /* the lists of all shares, one after another */
    size_t *owner;  /* of each block: its share */
    struct dt2_kept_blocks kept; /* what was placed */
    uint64_t model_bytes;
    uint64_t window_bytes;
    uint64_t alignment_bytes; /* of each tensor at least; 0: the device's */
    uint64_t padding_bytes;   /* behind each tensor */
    bool resident; /* there is no window: its blocks are used where they lie */
    uint64_t compute_left_bytes; /* what the plan leaves of the compute device's budgets; DT2_UNKNOWN: no limit is known */
    char *compute_device;
    struct dt2_warnings warnings;
    struct dt2_charge *charges; /* by budget, 0 left out */
    size_t charge_count;
    char *request_json;
    char *fitted_json; /* what of the request was changed so that it fits; NULL: nothing */
    struct dt2_limit *reserves; /* of the request, with names of their own */
    size_t reserve_count;
    struct dt2_limit *budgets;
    size_t budget_count;
    bool eject_models;
    enum dt2_share_mode share;
    struct dt2_identified *identities; /* of the devices with a share, and of the one that computes */
    size_t identity_count;
    struct dt2_prediction prediction;
    bool predicted;
    bool carried; /* read from JSON: devices must be those for which it was made */
};

/* What a device was when a plan was made; texts that were unknown are NULL. */
struct dt2_identified {
    char *name, *model, *pci, *uuid;
    uint64_t total_bytes;
};

/* The share that lies on the device that computes; SIZE_MAX: none does. */
size_t dt2_plan_own_share(const struct dt2_plan *plan);

/* What the plan takes of one budget. */
struct dt2_charge {
    char *budget;
    uint64_t bytes;
};

/* The budget that is short, and by how much. */
struct dt2_shortage {
    char name[128];
    uint64_t bytes; /* 0: nothing was short */
};

/* dt2_plan_make(), which on DT2_ENOFIT also says in *shortage what is short; an allocation limit is no shortage. */
int dt2_plan_decide(const struct dt2_devices *devices, const struct dt2_block *blocks, size_t count,
                    const struct dt2_request *request, struct dt2_plan **plan, struct dt2_shortage *shortage,
                    struct dt2_error *err);

/* How the warning begins that names the models which a load ejects. */
#define DT2_WARNING_EJECTED "ejected first: "

/* The plan of a draft that fits; it takes the input's warnings. */
int dt2_plan_finish(const struct dt2_draft *draft, struct dt2_input *input, struct dt2_plan **plan, struct dt2_error *err);
/* The budget that is short in a capacity that was charged, if one is. */
void dt2_shortage_of(const struct dt2_capacity *capacity, struct dt2_shortage *shortage);

/* Records what of a request was changed, in the warnings too; `refused` says why. */
struct dt2_remedy;
int dt2_plan_tell_fitted(struct dt2_plan *plan, const struct dt2_remedy *remedy, const struct dt2_request *input,
                         const char *refused, struct dt2_error *err);

/* What of a request counts when its plan is applied later. */
int dt2_plan_keep_request(struct dt2_plan *plan, const struct dt2_request *request, struct dt2_error *err);
void dt2_plan_forget_request(struct dt2_plan *plan);
/* The request with which a plan is budgeted afresh; its lists are the plan's. */
struct dt2_request dt2_plan_request(const struct dt2_plan *plan);
/*
 * The same shares on `devices` as they are now: what they cost there, and whether the budgets hold it. `blocks` are those of the
 * plan. Errors: DT2_EUSAGE for other blocks; DT2_ENOENT for a device that is not there; DT2_ENOFIT.
 */
int dt2_plan_again(const struct dt2_devices *devices, const struct dt2_block *blocks, size_t count,
                   const struct dt2_plan *plan, const struct dt2_request *request, struct dt2_plan **again,
                   struct dt2_shortage *shortage, struct dt2_error *err);

/* A request as this version has it, with defaults for all that `given` (NULL is fine) does not say. Errors: DT2_EUSAGE. */
int dt2_request_read(const struct dt2_request *given, struct dt2_request *request, struct dt2_error *err);
/*
 * Tells every name of a device in a request, as it stands there, before anybody looks it up. What cannot be parsed has none.
 * Errors: DT2_ENOMEM.
 */
typedef void dt2_named_fn(void *data, const char *name);
int dt2_request_named(const struct dt2_request *request, dt2_named_fn *named, void *data, struct dt2_error *err);

extern const char *const dt2_share_words[]; /* of enum dt2_share_mode */
/* The request as a JSON object, for the record. NULL without memory. */
char *dt2_request_json(const struct dt2_request *request);

#endif
