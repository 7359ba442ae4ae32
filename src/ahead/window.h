/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where units of a network lie in the window of a session. Positions count through all slabs of the window; no unit lies
 * across two. New units push out what lay there, when it has been read. Pure.
 *
 * Where a unit should go depends on when what lies there will have been read, and nobody knows. So places are chosen as
 * if units were read in the order in which they come, and computing with one took as long as copying it, which is where
 * the choice matters: with slow copies all wait for them anyway, with fast ones there is time enough. Then a clock that
 * counts bytes tells both.
 */
#ifndef DT2_AHEAD_WINDOW_H
#define DT2_AHEAD_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A unit that lies in the window. */
struct dt2_tenant {
    uint64_t offset;
    uint64_t bytes;
    size_t unit;
    uint64_t here;  /* on the clock: when it has arrived */
    uint64_t until; /* when it has been read; 0: it was */
};

struct dt2_window {
    uint64_t slab_bytes; /* a multiple of the alignment */
    size_t slab_count;
    uint64_t largest; /* of the units that will be placed */
    uint64_t alignment;
    bool by_parts; /* a unit is copied part by part, each when what it covers has been read; else when all of it was */
    struct dt2_tenant *tenants; /* by offset; room for every unit */
    size_t count;
    uint64_t next; /* behind the unit that was placed last */
    uint64_t copied; /* on the clock: when all copies are done */
    uint64_t read;   /* when all readers are done */
};

/*
 * The sizes of the slabs that give a window of `bytes` bytes where one allocation holds at most `most`, a multiple of the
 * alignment and not below `largest`. The window may become smaller, never below the largest unit.
 */
void dt2_window_cut(struct dt2_window *window, uint64_t bytes, uint64_t most);
uint64_t dt2_window_bytes(const struct dt2_window *window);

/*
 * Finds the place where `bytes` bytes, a multiple of the alignment, arrive first, and of several such places the next
 * behind the last unit, wrapping round. It covers no unit for which keep() is true. Where the window has room for two of the
 * largest, one that is placed alone leaves room for another.
 */
bool dt2_window_find(const struct dt2_window *window, uint64_t bytes, bool (*keep)(void *data, size_t unit), void *data,
                     uint64_t *offset);
/* The units that overlap a range: the first of them, and how many. */
size_t dt2_window_overlapped(const struct dt2_window *window, uint64_t offset, uint64_t bytes, size_t *first);
/* Takes the unit in, at a place that was found, and those that it covers out. */
void dt2_window_put(struct dt2_window *window, size_t unit, uint64_t offset, uint64_t bytes);
/* Says that a unit that lies there will be read once more after all others, or that it has been read. */
void dt2_window_expect(struct dt2_window *window, size_t unit);
void dt2_window_done(struct dt2_window *window, size_t unit);
/* Takes one unit out; nothing when it does not lie there. */
void dt2_window_drop(struct dt2_window *window, size_t unit);
/* Bytes of the units that lie there. */
uint64_t dt2_window_used(const struct dt2_window *window);

#endif
