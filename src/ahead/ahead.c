/* SPDX-License-Identifier: BSD-3-Clause */
#include "ahead/ahead.h"
#include "base/checked.h"

/* About as long on a fast link as it takes to queue a copy and an event. */
#define PART_LEAST ((uint64_t)1 << 20)
/* A small block is one of so many bytes at most, and at most that part of the largest, so that windows are not crowded. */
#define SMALL_MOST ((uint64_t)64 * 1024)
#define SMALL_PART 16

/* -- what comes next ------------------------------------------------------------------------------------------- */

size_t dt2_ahead_next(const struct dt2_ahead *ahead)
{
    for (;;) {
        size_t unit = dt2_order_ahead(ahead->order);
        if (unit == DT2_NOWHERE || !(ahead->standing(ahead->data, unit) & DT2_STANDS_THERE))
            return unit;
        dt2_window_expect(ahead->window, unit);
        ahead->want(ahead->data, unit);
        dt2_order_fetched(ahead->order);
    }
}

/* No unit that joins another makes one larger than the largest block, nor does it wait for the block behind it. */
bool dt2_ahead_joins(uint64_t largest, uint64_t room, uint64_t before)
{
    uint64_t both;
    return room <= dt2_min(largest / SMALL_PART, SMALL_MOST) && !dt2_add_overflows(before, room, &both) && both <= largest;
}

/* -- where it goes --------------------------------------------------------------------------------------------- */

/* What must stay: what is read, waited for or on its way; and, while fetching ahead, what was fetched for later. */
static bool keep_needed(void *data, size_t unit)
{
    const struct dt2_ahead *ahead = data;
    return ahead->standing(ahead->data, unit) & DT2_STANDS_NEEDED;
}

static bool keep_wanted(void *data, size_t unit)
{
    const struct dt2_ahead *ahead = data;
    return ahead->standing(ahead->data, unit) & (DT2_STANDS_NEEDED | DT2_STANDS_WANTED);
}

/* What is held on to while the network goes on. */
static bool keep_lasting(void *data, size_t unit)
{
    const struct dt2_ahead *ahead = data;
    return ahead->standing(ahead->data, unit) & DT2_STANDS_LASTING;
}

bool dt2_ahead_find_now(const struct dt2_ahead *ahead, uint64_t bytes, uint64_t *offset)
{
    struct dt2_ahead asked = *ahead;
    return dt2_window_find(ahead->window, bytes, keep_wanted, &asked, offset) ||
           dt2_window_find(ahead->window, bytes, keep_needed, &asked, offset);
}

bool dt2_ahead_find(const struct dt2_ahead *ahead, uint64_t bytes, uint64_t *offset)
{
    struct dt2_ahead asked = *ahead;
    uint64_t found;
    if (!dt2_window_find(ahead->window, bytes, keep_lasting, &asked, &found))
        return false;
    size_t first, count = dt2_window_overlapped(ahead->window, found, bytes, &first);
    for (size_t i = first; i < first + count; i++)
        if (keep_wanted(&asked, ahead->window->tenants[i].unit))
            return false;
    *offset = found;
    return true;
}

/* -- its parts ------------------------------------------------------------------------------------------------- */

/* Puts a part among those that can be written, the first first. */
static void sort_in(struct dt2_part *parts, size_t *count, struct dt2_part part)
{
    size_t at = (*count)++;
    for (; at > 0 && parts[at - 1].until > part.until; at--)
        parts[at] = parts[at - 1];
    parts[at] = part;
}

/*
 * Makes one part of two that lie beside each other, when both wait for the same, or when the one that could be written first is
 * so small that a copy of its own would cost more than waiting. The later reader comes after the other, which says nothing more
 * then.
 */
static bool merge(struct dt2_part *part, struct dt2_part next)
{
    const struct dt2_part *early = part->turn < next.turn ? part : &next, *late = early == part ? &next : part;
    if (early->turn != late->turn && early->bytes >= PART_LEAST)
        return false;
    *part = (struct dt2_part){ .offset = part->offset,
                               .bytes = part->bytes + next.bytes,
                               .turn = late->turn,
                               .until = dt2_max(part->until, next.until),
                               .unit = late->unit };
    return true;
}

size_t dt2_ahead_divide(const struct dt2_window *window, uint64_t offset, uint64_t bytes,
                        uint64_t (*turn)(const void *data, size_t unit), const void *data, struct dt2_part *parts)
{
    uint64_t at = offset, end = offset + bytes;
    size_t first, count = dt2_window_overlapped(window, offset, bytes, &first), made = 0;
    struct dt2_part last = { 0 };
    for (size_t i = first; at < end; i++) {
        const struct dt2_tenant *tenant = i < first + count ? &window->tenants[i] : NULL;
        struct dt2_part part = { .offset = at - offset, .bytes = (tenant ? tenant->offset : end) - at, .unit = DT2_NOWHERE };
        if (tenant && tenant->offset <= at) {
            part.bytes = dt2_min(tenant->offset + tenant->bytes, end) - at;
            part.turn = turn(data, tenant->unit);
            part.until = part.turn ? tenant->until : 0;
            part.unit = part.turn ? tenant->unit : DT2_NOWHERE;
        } else if (tenant) {
            i--; /* its turn comes behind the gap before it */
        }
        at += part.bytes;
        if (last.bytes == 0)
            last = part;
        else if (!merge(&last, part)) {
            sort_in(parts, &made, last);
            last = part;
        }
    }
    sort_in(parts, &made, last);
    return made;
}
