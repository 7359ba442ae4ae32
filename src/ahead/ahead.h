/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is fetched next, and where it goes: the rule of the prefetch. Sessions follow it (src/stream), and plans foresee with it
 * what passes will take (src/plan); both have their own clocks and copies, and this alone in common. Pure.
 */
#ifndef DT2_AHEAD_AHEAD_H
#define DT2_AHEAD_AHEAD_H

#include "ahead/order.h"
#include "ahead/window.h"

/* What a unit is at this moment, or-ed together. */
enum dt2_standing {
    DT2_STANDS_THERE = 1,   /* it has a place in the window */
    DT2_STANDS_NEEDED = 2,  /* it is read, waited for, or on its way */
    DT2_STANDS_WANTED = 4,  /* it was fetched for later */
    DT2_STANDS_LASTING = 8, /* it is held while the network goes on */
};

/* Where a network is, as its owner knows. */
struct dt2_ahead {
    struct dt2_order *order;
    struct dt2_window *window;
    unsigned (*standing)(const void *data, size_t unit); /* enum dt2_standing */
    void (*want)(void *data, size_t unit);               /* says that it was fetched for later */
    void *data;
};

/*
 * The next unit that is to be fetched; those before it that are in the window stay there. DT2_NOWHERE: there is none. Once it has
 * a place, dt2_order_fetched() says so.
 */
size_t dt2_ahead_next(const struct dt2_ahead *ahead);
/*
 * The place for a unit that is fetched ahead: where it will arrive first; when that is one where something still has to stay, it
 * waits for it rather than to take a worse one. False: not now.
 */
bool dt2_ahead_find(const struct dt2_ahead *ahead, uint64_t bytes, uint64_t *offset);
/* The place for one that is needed now, over what was fetched for later if it must be. False: there is no room. */
bool dt2_ahead_find_now(const struct dt2_ahead *ahead, uint64_t bytes, uint64_t *offset);

/*
 * Whether a block that takes `room` bytes in the window goes with the unit before it, from the same memory and of `before` bytes:
 * what costs more to order than to move is ordered together. `largest` is of the blocks that stream.
 */
bool dt2_ahead_joins(uint64_t largest, uint64_t room, uint64_t before);

/* A part of the place of a unit that is coming. */
struct dt2_part {
    uint64_t offset; /* in the unit */
    uint64_t bytes;
    uint64_t turn;   /* of the last reader of what lay there; 0: none is to be waited for */
    uint64_t until;  /* when that has been read, on the clock of the window */
    size_t unit;     /* that lay there; DT2_NOWHERE: none, or its reader is over */
    uint64_t reader; /* for the owner */
};

/*
 * Divides a place into parts by the units that lie there, in the order in which they can be written. turn() is of a unit's last
 * reader, 0 when it need not be waited for; each reader comes after all with a lower turn. There is room for two parts a unit
 * that lies there, and one more. Returns how many there are.
 */
size_t dt2_ahead_divide(const struct dt2_window *window, uint64_t offset, uint64_t bytes,
                        uint64_t (*turn)(const void *data, size_t unit), const void *data, struct dt2_part *parts);

#endif
