/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What would fit, when a draft does not: the request nearest to it that was planned and does. Each step goes further away:
 *
 *   another amount of virtual VRAM      fit_virtual.c   on the grid of 0.01 GiB
 *   other amounts in the expert string  fit_cuts.c      the runs that move the fewest bytes,
 *                                       fit_words.c     and the string that means them
 *   the same with all donors that there are
 */
#ifndef DT2_PLAN_FIT_H
#define DT2_PLAN_FIT_H

#include "plan/draft.h"

/* What of a request to change; what is NULL or empty stays. */
struct dt2_remedy {
    char gib[48]; /* virtual VRAM, as --virtual-vram-gb takes it */
    uint64_t virtual_vram_bytes;
    char *donors;
    char *expert;
};
/* Looks for one. False: none was found, or there is no memory. */
bool dt2_remedy_find(const struct dt2_draft *draft, struct dt2_remedy *remedy);
void dt2_remedy_clear(struct dt2_remedy *remedy);
/* The request with it; its texts are the remedy's. */
struct dt2_request dt2_remedy_apply(const struct dt2_remedy *remedy, const struct dt2_request *request);
/* Suggests it, or says that nothing fits and what would help. */
void dt2_remedy_suggest(const struct dt2_remedy *remedy, bool found, const struct dt2_draft *draft, struct dt2_error *err);

/* Whether a request fits. *moved, which may be NULL: how many bytes lie elsewhere than in `draft`. */
bool dt2_request_fits(const struct dt2_draft *draft, const struct dt2_request *request, uint64_t *moved);

/* The amount of virtual VRAM nearest to that of the draft that fits: above it, or below. Fills `gib` and the bytes. */
bool dt2_fit_virtual(const struct dt2_draft *draft, const struct dt2_request *request, bool above, struct dt2_remedy *remedy);

/* Runs of blocks on devices in a given order: device i holds the blocks from ends[i - 1] up to ends[i]. */
struct dt2_cuts {
    size_t *sequence; /* the blocks that the request places nowhere by name, in execution order */
    size_t length;
    size_t *devices;
    size_t *ends;
    size_t count;
    uint64_t moved; /* bytes that lie elsewhere than in the draft */
};
/*
 * The runs that fit and move the fewest bytes. `devices` are the draft's, in order of their claims, then more ones. Each budget that
 * one device alone has is held exactly; where several draw on one it is found by trying, and may be a little off.
 */
bool dt2_cuts_find(const struct dt2_draft *draft, const size_t *devices, size_t count, struct dt2_cuts *cuts);
void dt2_cuts_clear(struct dt2_cuts *cuts);
/* The string that means these runs, in the user's kinds of amounts where that can be, and that was planned; NULL: none was found. */
char *dt2_cuts_words(const struct dt2_draft *draft, const struct dt2_cuts *cuts);

#endif
