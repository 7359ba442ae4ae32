/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two clocks: the network's, which acquires, computes and releases, and the fetcher's, which goes on for as long as its own is not
 * ahead of the network's. What copies take is known when they are sent, so what is on its way is a time of arrival.
 */
#include "plan/pass.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"

#define SLOTS 4 /* of staging memory, as sessions have them */
#define SLOT_BYTES ((double)(8 << 20))
#define PASSES 5
#define UNCOUNTED 2 /* the first finds an empty window, and what it fetched ahead may still be on its way in the second */

/* A unit as it is now. */
struct now {
    bool there, held, waited, wanted;
    double arrival;
    unsigned visited;
};

struct foresight {
    const struct dt2_pass *pass;
    struct dt2_order order;
    struct dt2_window window;
    struct dt2_ahead rule;
    struct now *units;
    size_t latest;
    double network, fetcher; /* the clocks */
    double queue;            /* until when the compute device's queue of copies is taken */
    double *donors;          /* and those of the ways' first legs */
    double slots[SLOTS];     /* until when they are in use */
    size_t slot;
    size_t *landing; /* what is on its way, the oldest first: a ring */
    size_t landed, sent;
    double busy, bytes;
};

/* -- what the rule asks ------------------------------------------------------------------------------------------- */

static unsigned standing(const void *data, size_t index)
{
    const struct foresight *f = data;
    const struct now *unit = &f->units[index];
    bool coming = unit->there && unit->arrival > f->fetcher;
    return (unit->there ? DT2_STANDS_THERE : 0) | (unit->held || unit->waited || coming ? DT2_STANDS_NEEDED : 0) |
           (unit->wanted ? DT2_STANDS_WANTED : 0) | (unit->held && index != f->latest ? DT2_STANDS_LASTING : 0);
}

static void want(void *data, size_t unit)
{
    ((struct foresight *)data)->units[unit].wanted = true;
}

static void rewind_order(struct foresight *f)
{
    f->order.lead = 0;
    for (size_t i = 0; i < f->pass->unit_count; i++)
        f->units[i].wanted = false;
}

/* -- copies ------------------------------------------------------------------------------------------------------- */

static double later(double a, double b)
{
    return a > b ? a : b;
}

static double leg_ns(const struct dt2_leg *leg, double bytes)
{
    return leg->copy_ns + leg->byte_ns * bytes;
}

/* One leg: the queue copies as soon as it comes to it. */
static double send_straight(struct foresight *f, const struct dt2_way *way, double bytes)
{
    double begin = later(f->fetcher, f->queue), took = leg_ns(&way->legs[0], bytes);
    f->busy += took;
    return f->queue = begin + took;
}

/*
 * Two legs that meet in slots of staging memory, piece by piece: the first by the fetcher itself, which does nothing else
 * meanwhile, or by the donor, of which two are under way at a time; the second by the queue.
 */
static double send_staged(struct foresight *f, const struct dt2_way *way, double *donor, double bytes)
{
    double before = f->fetcher, begin = later(f->fetcher, f->queue);
    for (double left = bytes; left > 0; left -= SLOT_BYTES) {
        double piece = left < SLOT_BYTES ? left : SLOT_BYTES, *slot = &f->slots[f->slot++ % SLOTS];
        double first = later(f->fetcher, later(*slot, way->by_host ? 0 : *donor)) + leg_ns(&way->legs[0], piece);
        f->fetcher = way->by_host ? first : later(before, f->fetcher);
        before = first;
        *donor = first;
        f->queue = *slot = later(first, f->queue) + leg_ns(&way->legs[1], piece);
    }
    f->busy += f->queue - begin;
    return f->queue;
}

/* What has arrived by now is not on its way any more. */
static void see_arrivals(struct foresight *f)
{
    while (f->landed < f->sent && f->units[f->landing[f->landed % f->pass->unit_count]].arrival <= f->fetcher)
        f->landed++;
}

/* Gives a unit its place, over what need not stay, and sends it. */
static void send(struct foresight *f, size_t index, uint64_t offset)
{
    const struct dt2_pass_unit *unit = &f->pass->units[index];
    const struct dt2_way *way = &f->pass->ways[unit->way];
    size_t first, count = dt2_window_overlapped(&f->window, offset, unit->bytes, &first);
    bool dropped = false;
    for (size_t i = first; i < first + count; i++) {
        struct now *former = &f->units[f->window.tenants[i].unit];
        dropped |= former->wanted;
        former->there = false;
    }
    if (dropped)
        rewind_order(f);
    dt2_window_put(&f->window, index, offset, unit->bytes);
    f->units[index].there = true;
    f->units[index].arrival = way->leg_count > 1 ? send_staged(f, way, &f->donors[unit->way], (double)unit->payload)
                                                 : send_straight(f, way, (double)unit->payload);
    f->bytes += (double)unit->payload;
    see_arrivals(f);
    f->landing[f->sent++ % f->pass->unit_count] = index;
}

/* -- the fetcher --------------------------------------------------------------------------------------------------- */

/* Sees the oldest that is on its way arrive, and waits for that when it must. False: nothing is on its way. */
static bool land(struct foresight *f)
{
    see_arrivals(f);
    if (f->landed == f->sent)
        return false;
    f->fetcher = f->units[f->landing[f->landed++ % f->pass->unit_count]].arrival;
    return true;
}

/* One turn: something is sent, or waited for. False: there is nothing to do until the network goes on. */
static bool take_turn(struct foresight *f, size_t asked)
{
    uint64_t offset;
    if (asked != DT2_NOWHERE && !f->units[asked].there) {
        if (dt2_ahead_find_now(&f->rule, f->pass->units[asked].bytes, &offset)) {
            send(f, asked, offset);
            return true;
        }
        return land(f);
    }
    size_t index = dt2_ahead_next(&f->rule);
    if (index != DT2_NOWHERE && dt2_ahead_find(&f->rule, f->pass->units[index].bytes, &offset)) {
        send(f, index, offset);
        want(f, index);
        dt2_order_fetched(&f->order);
        return true;
    }
    return land(f);
}

/* The fetcher goes on until its clock is the network's. */
static void catch_up(struct foresight *f, size_t asked)
{
    while (f->fetcher <= f->network && take_turn(f, asked))
        ;
    f->fetcher = later(f->fetcher, f->network);
}

/* -- the network --------------------------------------------------------------------------------------------------- */

/* Waits until a unit is there. */
static void acquire(struct foresight *f, size_t index)
{
    struct now *unit = &f->units[index];
    if (unit->visited == 0) {
        size_t from, skipped;
        dt2_order_reach(&f->order, index, index, &from, &skipped);
    }
    catch_up(f, DT2_NOWHERE);
    unit->waited = true;
    while (!unit->there && take_turn(f, index))
        ;
    f->network = later(f->network, unit->there ? unit->arrival : f->fetcher);
    unit->waited = false;
    unit->held = true;
    unit->visited = (unit->visited + 1) % f->pass->units[index].blocks;
    unit->wanted = unit->visited > 0;
    f->latest = index;
}

static void release(struct foresight *f, size_t index)
{
    catch_up(f, DT2_NOWHERE);
    f->units[index].held = false;
    dt2_window_done(&f->window, index);
}

static void go_through(struct foresight *f)
{
    for (size_t i = 0; i < f->pass->step_count; i++) {
        const struct dt2_pass_step *step = &f->pass->steps[i];
        if (step->unit != DT2_NOWHERE)
            acquire(f, step->unit);
        f->network += step->compute_ns;
        if (step->unit != DT2_NOWHERE)
            release(f, step->unit);
    }
    if (dt2_order_pass(&f->order))
        rewind_order(f);
}

static int make(const struct dt2_pass *pass, struct foresight *f, struct dt2_error *err)
{
    size_t ways = 1;
    for (size_t i = 0; i < pass->unit_count; i++)
        ways = pass->units[i].way + 1 > ways ? pass->units[i].way + 1 : ways;
    *f = (struct foresight){ .pass = pass, .latest = DT2_NOWHERE };
    f->window.alignment = pass->alignment;
    f->window.largest = pass->largest;
    dt2_window_cut(&f->window, pass->window_bytes, pass->most);
    f->window.tenants = dt2_alloc(pass->unit_count, sizeof *f->window.tenants);
    f->units = dt2_alloc(pass->unit_count, sizeof *f->units);
    f->landing = dt2_alloc(pass->unit_count, sizeof *f->landing);
    f->donors = dt2_alloc(ways, sizeof *f->donors);
    bool good = f->window.tenants && f->units && f->landing && f->donors && dt2_order_make(&f->order, pass->unit_count);
    f->order.guided = true;
    return good ? 0 : dt2_fail_nomem(err);
}

static void clear(struct foresight *f)
{
    dt2_order_clear(&f->order);
    dt2_release(f->window.tenants);
    dt2_release(f->units);
    dt2_release(f->landing);
    dt2_release(f->donors);
}

int dt2_pass_foresee(const struct dt2_pass *pass, struct dt2_pass_times *times, struct dt2_error *err)
{
    struct foresight f;
    double begin = 0, busy = 0, bytes = 0;
    int rc = make(pass, &f, err);
    f.rule = (struct dt2_ahead){ &f.order, &f.window, standing, want, &f };
    for (int i = 0; rc == 0 && i < PASSES; i++) {
        if (i == UNCOUNTED) {
            begin = f.network;
            busy = f.busy;
            bytes = f.bytes;
        }
        go_through(&f);
    }
    if (rc == 0)
        *times = (struct dt2_pass_times){ .pass_ns = (f.network - begin) / (PASSES - UNCOUNTED),
                                          .transfer_ns = (f.busy - busy) / (PASSES - UNCOUNTED),
                                          .bytes = (f.bytes - bytes) / (PASSES - UNCOUNTED) };
    clear(&f);
    return rc;
}
