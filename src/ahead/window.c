/* SPDX-License-Identifier: BSD-3-Clause */
#include "ahead/window.h"
#include "base/checked.h"
#include <string.h>

void dt2_window_cut(struct dt2_window *window, uint64_t bytes, uint64_t most)
{
    uint64_t count = bytes / most + (bytes % most != 0);
    if (bytes / count < window->largest)
        count = bytes / window->largest;
    window->slab_bytes = dt2_min(bytes / count, most) / window->alignment * window->alignment;
    window->slab_count = count;
}

uint64_t dt2_window_bytes(const struct dt2_window *window)
{
    return window->slab_bytes * window->slab_count;
}

/*
 * Whether a unit may be placed there at all. A lone slab of two units or more keeps room for one of the largest on one
 * side of whatever is placed: else a unit in the middle would leave none to the next one.
 */
static bool admissible(const struct dt2_window *window, uint64_t at, uint64_t bytes)
{
    uint64_t total = dt2_window_bytes(window);
    bool lone = window->slab_count == 1 && total / 2 >= window->largest;
    return at % window->alignment == 0 && at < total && at % window->slab_bytes + bytes <= window->slab_bytes &&
           !(lone && at < window->largest && total - at - bytes < window->largest);
}

size_t dt2_window_overlapped(const struct dt2_window *window, uint64_t offset, uint64_t bytes, size_t *first)
{
    size_t begin = 0, beyond = window->count, end;
    while (begin < beyond) { /* the first that ends behind the offset */
        size_t middle = begin + (beyond - begin) / 2;
        if (window->tenants[middle].offset + window->tenants[middle].bytes <= offset)
            begin = middle + 1;
        else
            beyond = middle;
    }
    for (end = begin; end < window->count && window->tenants[end].offset < offset + bytes; end++)
        ;
    *first = begin;
    return end - begin;
}

/* How much of a tenant a range covers. */
static uint64_t covered(const struct dt2_tenant *tenant, uint64_t offset, uint64_t bytes)
{
    return dt2_min(offset + bytes, tenant->offset + tenant->bytes) - dt2_max(offset, tenant->offset);
}

/* When a unit has arrived that is placed there. */
static uint64_t arrival(const struct dt2_window *window, uint64_t offset, uint64_t bytes)
{
    uint64_t here = window->copied + bytes;
    size_t first, count = dt2_window_overlapped(window, offset, bytes, &first);
    const struct dt2_tenant *tenants = window->tenants + first;
    for (size_t i = 0; i < count; i++) {
        uint64_t rest = window->by_parts ? 0 : bytes; /* that is copied after this one was read */
        for (size_t j = 0; window->by_parts && tenants[i].until > window->copied && j < count; j++)
            rest += tenants[j].until >= tenants[i].until ? covered(&tenants[j], offset, bytes) : 0;
        here = dt2_max(here, tenants[i].until + rest);
    }
    return here;
}

struct search {
    const struct dt2_window *window;
    uint64_t bytes;
    bool (*keep)(void *data, size_t unit);
    void *data;
    bool found;
    uint64_t offset, here, distance; /* of the best place so far */
};

static void consider(struct search *search, uint64_t at)
{
    const struct dt2_window *window = search->window;
    uint64_t total = dt2_window_bytes(window);
    if (!admissible(window, at, search->bytes))
        return;
    size_t first, count = dt2_window_overlapped(window, at, search->bytes, &first);
    for (size_t i = first; i < first + count; i++)
        if (search->keep(search->data, window->tenants[i].unit))
            return;
    uint64_t here = arrival(window, at, search->bytes);
    uint64_t distance = at >= window->next ? at - window->next : total - window->next + at;
    if (search->found && (here > search->here || (here == search->here && distance >= search->distance)))
        return;
    search->found = true;
    search->offset = at;
    search->here = here;
    search->distance = distance;
}

bool dt2_window_find(const struct dt2_window *window, uint64_t bytes, bool (*keep)(void *data, size_t unit), void *data,
                     uint64_t *offset)
{
    struct search search = { .window = window, .bytes = bytes, .keep = keep, .data = data };
    consider(&search, window->next);
    for (size_t i = 0; i < window->slab_count; i++) { /* both ends of what is free */
        consider(&search, i * window->slab_bytes);
        consider(&search, (i + 1) * window->slab_bytes - bytes);
    }
    consider(&search, window->largest); /* where what a lone slab keeps free ends */
    for (size_t i = 0; i < window->count; i++) {
        consider(&search, window->tenants[i].offset + window->tenants[i].bytes);
        consider(&search, window->tenants[i].offset - bytes);
    }
    if (search.found)
        *offset = search.offset;
    return search.found;
}

void dt2_window_put(struct dt2_window *window, size_t unit, uint64_t offset, uint64_t bytes)
{
    window->copied = arrival(window, offset, bytes);
    size_t first, count = dt2_window_overlapped(window, offset, bytes, &first);
    struct dt2_tenant *at = window->tenants + first;
    memmove(at + 1, at + count, (window->count - first - count) * sizeof *at);
    *at = (struct dt2_tenant){ offset, bytes, unit, window->copied, 0 };
    window->count = window->count + 1 - count;
    window->next = offset + bytes;
    dt2_window_expect(window, unit);
}

static struct dt2_tenant *tenant_of(const struct dt2_window *window, size_t unit)
{
    for (size_t i = 0; i < window->count; i++)
        if (window->tenants[i].unit == unit)
            return &window->tenants[i];
    return NULL;
}

void dt2_window_expect(struct dt2_window *window, size_t unit)
{
    struct dt2_tenant *tenant = tenant_of(window, unit);
    if (tenant)
        tenant->until = window->read = dt2_max(window->read, tenant->here) + tenant->bytes;
}

void dt2_window_done(struct dt2_window *window, size_t unit)
{
    struct dt2_tenant *tenant = tenant_of(window, unit);
    if (tenant)
        tenant->until = 0;
}

void dt2_window_drop(struct dt2_window *window, size_t unit)
{
    struct dt2_tenant *tenant = tenant_of(window, unit);
    if (tenant)
        memmove(tenant, tenant + 1, (size_t)(window->tenants + --window->count - tenant) * sizeof *tenant);
}

uint64_t dt2_window_used(const struct dt2_window *window)
{
    uint64_t used = 0;
    for (size_t i = 0; i < window->count; i++)
        used += window->tenants[i].bytes;
    return used;
}
