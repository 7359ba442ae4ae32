/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order in which the units of a network are expected: a circle with two marks. `cursor` is where the network is;
 * fetching is `lead` places before it. What was seen in a pass becomes the order of the next one. Pure.
 */
#ifndef DT2_AHEAD_ORDER_H
#define DT2_AHEAD_ORDER_H

#include <stdbool.h>
#include <stddef.h>

#define DT2_NOWHERE ((size_t)-1)

struct dt2_order {
    size_t *sequence; /* of units; one may occur several times */
    size_t count;
    size_t cursor; /* place in the sequence of what is expected next */
    size_t lead;   /* how many from there on are fetched, or being fetched */
    size_t opener; /* the block with which this pass began */
    size_t *seen;  /* in this pass */
    size_t seen_count;
    size_t capacity; /* of both; a pass that is longer is not learnt */
    bool overlong;
    bool guided; /* the caller says where passes end */
};

/* Expects units 0 .. `units` - 1 in this order. False without memory. */
bool dt2_order_make(struct dt2_order *order, size_t units);
void dt2_order_clear(struct dt2_order *order);
/* Expects nothing any more, and has seen nothing of this pass. */
void dt2_order_renew(struct dt2_order *order);
/* Expects one more unit after the others; in this pass it is `passed` already. None twice, of those that the order was made for. */
void dt2_order_append(struct dt2_order *order, size_t unit, bool passed);

/* The unit to be fetched next; DT2_NOWHERE when the whole circle is. */
size_t dt2_order_ahead(const struct dt2_order *order);
/* Says that it is. */
void dt2_order_fetched(struct dt2_order *order);

enum dt2_order_step {
    DT2_STEP_FOLLOWED = 0,
    DT2_STEP_JUMPED = 1, /* what is fetched for the places in between is not expected any more */
    DT2_STEP_PASSED = 2, /* a pass ended before this unit */
    DT2_STEP_RESET = 4,  /* nothing counts as fetched any more */
};
/*
 * The network has come to `unit`, for one of its blocks: the pass's first block begins another pass. Returns what that was, enum dt2_order_step or-ed. After a jump `*skipped` places from
 * the former cursor on, `*from`, were fetched in vain.
 */
unsigned dt2_order_reach(struct dt2_order *order, size_t unit, size_t block, size_t *from, size_t *skipped);
/* The pass ends here. Returns whether nothing counts as fetched any more. */
bool dt2_order_pass(struct dt2_order *order);

#endif
