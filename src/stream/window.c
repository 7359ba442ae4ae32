/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream/window.h"
#include "base/checked.h"
#include <string.h>

#define NOWHERE UINT64_MAX

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
 * The first place from `at` on that may be taken at all. A lone slab of two units or more keeps room for one of the
 * largest on one side of whatever is placed: else a unit in the middle would leave none to the next one.
 */
static uint64_t admissible(const struct dt2_window *window, uint64_t at, uint64_t bytes)
{
    uint64_t total = dt2_window_bytes(window), over = at % window->alignment;
    at += over ? window->alignment - over : 0;
    if (at % window->slab_bytes + bytes > window->slab_bytes)
        at = (at / window->slab_bytes + 1) * window->slab_bytes;
    if (at >= total)
        return NOWHERE;
    bool lone = window->slab_count == 1 && total / 2 >= window->largest;
    if (lone && at < window->largest && total - at - bytes < window->largest)
        at = window->largest; /* there is room: total is at least twice that */
    return at;
}

size_t dt2_window_overlapped(const struct dt2_window *window, uint64_t offset, uint64_t bytes, size_t *first)
{
    size_t begin = 0, end;
    while (begin < window->count && window->tenants[begin].offset + window->tenants[begin].bytes <= offset)
        begin++;
    for (end = begin; end < window->count && window->tenants[end].offset < offset + bytes; end++)
        ;
    *first = begin;
    return end - begin;
}

bool dt2_window_find(const struct dt2_window *window, uint64_t bytes, bool (*keep)(void *data, size_t unit), void *data,
                     uint64_t *offset)
{
    bool wrapped = false;
    uint64_t at = window->next;
    for (;;) {
        at = admissible(window, at, bytes);
        if (at == NOWHERE || (wrapped && at >= window->next)) {
            if (wrapped)
                return false;
            wrapped = true;
            at = 0;
            continue;
        }
        size_t first, count = dt2_window_overlapped(window, at, bytes, &first), i = first;
        while (i < first + count && !keep(data, window->tenants[i].unit))
            i++;
        if (i == first + count) {
            *offset = at;
            return true;
        }
        at = window->tenants[i].offset + window->tenants[i].bytes;
    }
}

void dt2_window_put(struct dt2_window *window, size_t unit, uint64_t offset, uint64_t bytes)
{
    size_t first, count = dt2_window_overlapped(window, offset, bytes, &first);
    struct dt2_tenant *at = window->tenants + first;
    memmove(at + 1, at + count, (window->count - first - count) * sizeof *at);
    *at = (struct dt2_tenant){ offset, bytes, unit };
    window->count = window->count + 1 - count;
    window->next = offset + bytes;
}

void dt2_window_drop(struct dt2_window *window, size_t unit)
{
    for (size_t i = 0; i < window->count; i++)
        if (window->tenants[i].unit == unit) {
            memmove(window->tenants + i, window->tenants + i + 1, (--window->count - i) * sizeof *window->tenants);
            return;
        }
}

uint64_t dt2_window_used(const struct dt2_window *window)
{
    uint64_t used = 0;
    for (size_t i = 0; i < window->count; i++)
        used += window->tenants[i].bytes;
    return used;
}
