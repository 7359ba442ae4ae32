/* SPDX-License-Identifier: BSD-3-Clause */
#include "ahead/order.h"
#include "base/alloc.h"
#include <string.h>

#define PASS_MOST 4 /* times the number of units */

bool dt2_order_make(struct dt2_order *order, size_t units)
{
    *order = (struct dt2_order){ .count = units, .capacity = PASS_MOST * units };
    order->sequence = dt2_alloc(order->capacity, sizeof *order->sequence);
    order->seen = dt2_alloc(order->capacity, sizeof *order->seen);
    if (!order->sequence || !order->seen) {
        dt2_order_clear(order);
        return false;
    }
    for (size_t i = 0; i < units; i++)
        order->sequence[i] = i;
    return true;
}

void dt2_order_renew(struct dt2_order *order)
{
    order->count = order->cursor = order->lead = order->seen_count = 0;
    order->overlong = false;
}

void dt2_order_append(struct dt2_order *order, size_t unit, bool passed)
{
    order->sequence[order->count++] = unit;
    order->cursor += passed;
}

void dt2_order_clear(struct dt2_order *order)
{
    dt2_release(order->sequence);
    dt2_release(order->seen);
    *order = (struct dt2_order){ 0 };
}

size_t dt2_order_ahead(const struct dt2_order *order)
{
    return order->lead < order->count ? order->sequence[(order->cursor + order->lead) % order->count] : DT2_NOWHERE;
}

void dt2_order_fetched(struct dt2_order *order)
{
    order->lead++;
}

/* A pass that broke off early teaches nothing: what it began, the next one may end. */
static bool teaches(const struct dt2_order *order)
{
    return order->seen_count > 0 && !order->overlong &&
           (order->seen_count > order->count ||
            memcmp(order->seen, order->sequence, order->seen_count * sizeof *order->seen) != 0);
}

bool dt2_order_pass(struct dt2_order *order)
{
    bool learnt = teaches(order), whole = order->seen_count == order->count;
    if (learnt) {
        size_t *former = order->sequence;
        order->sequence = order->seen;
        order->count = order->seen_count;
        order->seen = former;
    }
    order->seen_count = 0;
    order->overlong = false;
    if (!learnt && whole && order->cursor == 0)
        return false;
    order->cursor = order->lead = 0;
    return true;
}

static void remember(struct dt2_order *order, size_t unit)
{
    if (order->seen_count < order->capacity)
        order->seen[order->seen_count++] = unit;
    else
        order->overlong = true;
}

unsigned dt2_order_reach(struct dt2_order *order, size_t unit, size_t block, size_t *from, size_t *skipped)
{
    unsigned step = DT2_STEP_FOLLOWED;
    size_t distance = 0;
    if (!order->guided && order->seen_count > 0 && order->opener == block) {
        step = DT2_STEP_PASSED;
        if (dt2_order_pass(order))
            step |= DT2_STEP_RESET;
    }
    if (order->seen_count == 0)
        order->opener = block;
    remember(order, unit);
    while (distance < order->count && order->sequence[(order->cursor + distance) % order->count] != unit)
        distance++;
    if (distance == order->count)
        return step; /* nobody expected it: the place stays */
    *from = order->cursor;
    *skipped = distance < order->lead ? distance : order->lead;
    order->cursor = (order->cursor + distance + 1) % order->count;
    order->lead = order->lead > distance ? order->lead - distance - 1 : 0;
    return distance ? step | DT2_STEP_JUMPED : step;
}
