/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where units of a network lie in the window of a session. Positions count through all slabs of the window; no unit lies
 * across two. New units go behind the last one, wrapping round, and push out what lay there. Pure.
 */
#ifndef DT2_STREAM_WINDOW_H
#define DT2_STREAM_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A unit that lies in the window. */
struct dt2_tenant {
    uint64_t offset;
    uint64_t bytes;
    size_t unit;
};

struct dt2_window {
    uint64_t slab_bytes; /* a multiple of the alignment */
    size_t slab_count;
    uint64_t largest; /* of the units that will be placed */
    uint64_t alignment;
    struct dt2_tenant *tenants; /* by offset; room for every unit */
    size_t count;
    uint64_t next; /* behind the unit that was placed last */
};

/*
 * The sizes of the slabs that give a window of `bytes` bytes where one allocation holds at most `most`, a multiple of the
 * alignment and not below `largest`. The window may become smaller, never below the largest unit.
 */
void dt2_window_cut(struct dt2_window *window, uint64_t bytes, uint64_t most);
uint64_t dt2_window_bytes(const struct dt2_window *window);

/*
 * Finds a place for `bytes` bytes, a multiple of the alignment, that covers no unit for which keep() is true. Where the
 * window has room for two of the largest, one that is placed alone leaves room for another.
 */
bool dt2_window_find(const struct dt2_window *window, uint64_t bytes, bool (*keep)(void *data, size_t unit), void *data,
                     uint64_t *offset);
/* The units that overlap a range: the first of them, and how many. */
size_t dt2_window_overlapped(const struct dt2_window *window, uint64_t offset, uint64_t bytes, size_t *first);
/* Takes the unit in, at a place that was found, and those that it covers out. */
void dt2_window_put(struct dt2_window *window, size_t unit, uint64_t offset, uint64_t bytes);
/* Takes one unit out; nothing when it does not lie there. */
void dt2_window_drop(struct dt2_window *window, size_t unit);
/* Bytes of the units that lie there. */
uint64_t dt2_window_used(const struct dt2_window *window);

#endif
