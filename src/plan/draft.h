/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plan in the making. It goes through four steps, one a file:
 *
 *   request -> claims        claims.c    the mode turns the request into quotas in order, and says who absorbs
 *   claims  -> targets       place.c     "cpu" becomes its NUMA nodes; every other device is its own target
 *   targets -> owner[]       place.c     every block gets one target: from the front, from the back, the rest
 *   owner[] -> charges       plan.c      what that costs, and whether the budgets hold it
 *   charges -> remedy        fit.c       what would fit, when they do not
 */
#ifndef DT2_PLAN_DRAFT_H
#define DT2_PLAN_DRAFT_H

#include "base/warnings.h"
#include "plan/capacity.h"
#include "plan/grammar.h"
#include "plan/override.h"

#define DT2_NONE SIZE_MAX

/* What is planned: a request with its names looked up, whatever virtual VRAM comes to be tried. */
struct dt2_input {
    const struct dt2_devices *devices;
    const struct dt2_block *blocks; /* in execution order */
    size_t count;
    uint64_t model_bytes;
    const struct dt2_request *request;
    uint64_t virtual_vram_bytes; /* as the request has it, or by default */
    struct dt2_allocations entries;
    size_t *entry_devices; /* index of each entry's device */
    struct dt2_overrides overrides;
    size_t *placed; /* of each block: the device that the request names for it, or DT2_NONE; NULL when it names none */
    size_t compute;
    const struct dt2_step *learnt; /* how long a pass computes there; NULL: nobody knows */
    size_t *donors; /* without the compute device, in order */
    size_t donor_count;
    struct dt2_capacity capacity;
    struct dt2_warnings warnings;
};
/* `request` is one of dt2_request_read(), and stays where it is. */
int dt2_input_make(const struct dt2_devices *devices, const struct dt2_block *blocks, size_t count,
                   const struct dt2_request *request, struct dt2_input *input, struct dt2_error *err);
void dt2_input_clear(struct dt2_input *input);
/* Whether a request names virtual VRAM; else it has the default, and what becomes of that is no news. */
bool dt2_request_has_virtual_vram(const struct dt2_request *request);
uint64_t dt2_request_virtual_vram(const struct dt2_request *request);

/* What one device is to get. */
struct dt2_claim {
    size_t device;
    uint64_t quota; /* of a wildcard: what nominally remains */
    bool wildcard;
    bool placed; /* there is one only because the request places blocks here by name */
    uint64_t expected;    /* of a wildcard such as "5gb*"; else DT2_UNKNOWN */
    uint64_t limit;       /* what its budgets hold, in bytes of cost, where that bounds it; else DT2_UNKNOWN */
    size_t first_target;
    size_t target_count;
};

/* A memory that gets blocks: a device, or one of the NUMA nodes behind "cpu". */
struct dt2_target {
    size_t device;
    uint64_t quota;
    uint64_t limit; /* in bytes of cost; DT2_UNKNOWN: none */
    uint64_t bytes;
    uint64_t cost; /* of the tensors, aligned */
    size_t blocks;
    bool wildcard;
    bool absorbs;
};

struct dt2_draft {
    const struct dt2_input *input;
    uint64_t virtual_vram_bytes;
    bool virtual_counts; /* how much is kept off the compute device plays a part */
    bool virtual_only; /* no expert string decides: small blocks stay on the compute device */
    struct dt2_claim *claims;
    size_t claim_count;
    size_t claim_capacity;
    size_t absorber; /* index of the claim that takes what the others leave */
    struct dt2_target *targets;
    size_t target_count;
    size_t *owner;   /* of each block: the index of its target */
    uint64_t window; /* bytes for streaming on the compute device */
    uint64_t beside; /* that the compute device holds beside tensors, where it is a node that "cpu" is cut into */
};

/* Makes the claims of a draft for its virtual_vram_bytes. `capacity` is scratch: it is charged on the way. */
int dt2_claims_make(struct dt2_draft *draft, struct dt2_capacity *capacity, struct dt2_warnings *warnings,
                    struct dt2_error *err);
/* Places every block. */
int dt2_draft_place(struct dt2_draft *draft, struct dt2_error *err);
/* Gives a block that is nowhere to a target, and takes it back. */
void dt2_draft_assign(struct dt2_draft *draft, size_t target, size_t block);
void dt2_draft_take_back(struct dt2_draft *draft, size_t block);
/* One draft from claims to charges, whether it fits or not. */
int dt2_draft_make(const struct dt2_input *input, uint64_t virtual_vram_bytes, struct dt2_capacity *capacity,
                   struct dt2_warnings *warnings, struct dt2_draft *draft, struct dt2_error *err);
/* Charges a draft whose blocks have their owners. */
void dt2_draft_charge(struct dt2_draft *draft, struct dt2_capacity *capacity);
/* Whether every budget holds a draft that was charged, and every tensor is within the largest allocation where it lies. */
bool dt2_draft_fits(const struct dt2_draft *draft, const struct dt2_capacity *capacity);
/* The same in words, of every budget that is short. Errors: DT2_ENOFIT, without a suggestion. */
int dt2_draft_check(const struct dt2_draft *draft, const struct dt2_capacity *capacity, struct dt2_error *err);
void dt2_draft_clear(struct dt2_draft *draft);
/* Whether what lies on `device` must stream to the compute device: what lies in host memory is used in place by "cpu". */
bool dt2_streams(const struct dt2_input *input, size_t device);
/* Whether a tensor of the block is above the device's largest allocation; *bytes is the first that is. */
bool dt2_block_is_too_large(const struct dt2_block *block, const struct dt2_device *device, uint64_t *bytes);

/* The tensors of a block, each of which is aligned by itself: those that it lists, else one of all its bytes. */
size_t dt2_block_tensors(const struct dt2_block *block);
uint64_t dt2_block_tensor_bytes(const struct dt2_block *block, size_t index);
/* Under 0.01 % of the model: costs more to stream than to keep. */
bool dt2_block_is_small(const struct dt2_block *block, uint64_t model_bytes);
/* What a block takes on a device: its tensors with their padding, each rounded up to the alignment there. */
uint64_t dt2_block_cost(const struct dt2_input *input, size_t block, size_t device);
/* The device that the request names for a block; DT2_NONE: none. */
static inline size_t dt2_placed(const struct dt2_input *input, size_t block)
{
    return input->placed ? input->placed[block] : DT2_NONE;
}

#endif
