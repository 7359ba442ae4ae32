/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A placement that is chosen: within the budgets the one with the least predicted stall a pass, then the least load time, then the
 * fewest runs.
 *
 * It begins with virtual VRAM: the first blocks on the compute device, as many as it holds, the others on the donors by their ways.
 * A second beginning spreads those that stream evenly between those that stay, so that the transfer of one hides behind computing
 * with others. From both it goes downhill: a block moves to another memory, or two change places, as long as that is better, and
 * the better of the two ends is taken; then a few blocks are thrown elsewhere, and downhill again, for as long as looks are left. So it
 * is never worse than virtual VRAM of the same bytes. Of N blocks, M memories and T looks at a placement, each of which goes through
 * passes in O(N): O(N T), where T is at most EVALUATIONS / N, so a bounded time whatever the model. Where there are so few placements
 * that all can be looked at (M^N at most ALL_MOST: twelve blocks in three memories), all that fit are, from the best so far on, and nothing has
 * a lesser stall. Where no runs fit, beside tight donors, blocks are moved and exchanged as long as less is lacking, of models of up to two hundred.
 */
#ifndef DT2_PLAN_AUTO_H
#define DT2_PLAN_AUTO_H

#include "plan/draft.h"

/* Sorts the donors of a request that names none: all devices but the compute device, the quickest way first. Errors: DT2_ENOMEM. */
int dt2_auto_donors(struct dt2_input *input, struct dt2_error *err);
/* The draft with which choosing begins: the least virtual VRAM, of what the request allows, that fits; if none does, the last tried. */
int dt2_auto_begin(struct dt2_input *input, struct dt2_draft *draft, struct dt2_error *err);
/* Makes a draft a better one, or one that fits; it stays as it is where none is found. It is charged afterwards. */
int dt2_auto_improve(struct dt2_input *input, struct dt2_draft *draft, struct dt2_error *err);

#endif
