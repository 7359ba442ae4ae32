/* SPDX-License-Identifier: BSD-3-Clause */
/* The pure parts of sessions: places in the window, and the order in which units are expected. */
#include "base/checked.h"
#include "ahead/order.h"
#include "ahead/window.h"
#include "support/tap.h"

/* -- the window ---------------------------------------------------------------------------------------------- */

#define UNITS 24

static bool kept[UNITS];

static bool keep(void *data, size_t unit)
{
    (void)data;
    return kept[unit];
}

/* Whether tenants are in order, apart, aligned, and each within one slab. */
static bool is_sound(const struct dt2_window *window)
{
    uint64_t end = 0;
    for (size_t i = 0; i < window->count; i++) {
        const struct dt2_tenant *t = &window->tenants[i];
        if (t->offset < end || t->offset % window->alignment ||
            t->offset / window->slab_bytes != (t->offset + t->bytes - 1) / window->slab_bytes)
            return false;
        end = t->offset + t->bytes;
    }
    return end <= dt2_window_bytes(window);
}

static bool lies_there(const struct dt2_window *window, size_t unit)
{
    for (size_t i = 0; i < window->count; i++)
        if (window->tenants[i].unit == unit)
            return true;
    return false;
}

static void test_cut(void)
{
    static const struct {
        uint64_t largest, alignment, bytes, most, slab, count;
    } cases[] = {
        { 100, 1, 200, UINT64_MAX, 200, 1 }, { 100, 1, 200, 150, 100, 2 }, { 100, 1, 250, 100, 100, 2 },
        { 100, 1, 250, 120, 120, 2 },        { 128, 64, 300, 1000, 256, 1 }, { 100, 1, 100, 100, 100, 1 },
        { 100, 1, 1000, 300, 250, 4 },       { 256, 256, 512, 300, 256, 2 },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        struct dt2_window window = { .largest = cases[i].largest, .alignment = cases[i].alignment };
        dt2_window_cut(&window, cases[i].bytes, cases[i].most);
        ok(window.slab_bytes == cases[i].slab && window.slab_count == cases[i].count,
           "a window of %" PRIu64 ", at most %" PRIu64 " at once: %" PRIu64 " slabs of %" PRIu64, cases[i].bytes,
           cases[i].most, (uint64_t)window.slab_count, window.slab_bytes);
    }
}

/* Random units come and go; what is kept stays; beside one that is held the largest always finds a place. */
static void test_places(void)
{
    bool sound = true, stays = true, room = true, one = true;
    for (unsigned round = 0; round < 300; round++) {
        struct dt2_tenant tenants[UNITS];
        uint64_t bytes[UNITS], alignment = 1ull << random_below(8), largest = 0;
        for (size_t i = 0; i < UNITS; i++) {
            bytes[i] = (1 + random_below(50)) * alignment;
            largest = dt2_max(largest, bytes[i]);
            kept[i] = false;
        }
        struct dt2_window window = { .largest = largest, .alignment = alignment, .tenants = tenants };
        bool two = random_below(2);
        dt2_window_cut(&window, two ? 2 * largest + random_below(largest) : largest + random_below(largest),
                       random_below(2) ? UINT64_MAX : largest + random_below(largest));
        two &= dt2_window_bytes(&window) >= 2 * largest;
        size_t held = UNITS;
        for (unsigned step = 0; step < 200; step++) {
            size_t unit = random_below(UNITS);
            uint64_t offset;
            if (lies_there(&window, unit))
                continue;
            if (!dt2_window_find(&window, bytes[unit], keep, NULL, &offset)) {
                room &= !two && held < UNITS;
                kept[held] = false;
                held = UNITS;
                continue;
            }
            dt2_window_put(&window, unit, offset, bytes[unit]);
            sound &= is_sound(&window) && lies_there(&window, unit);
            stays &= held == UNITS || lies_there(&window, held);
            if (random_below(2)) { /* from now on this one is held, and the one before is not */
                if (held < UNITS)
                    kept[held] = false;
                held = unit;
                kept[held] = true;
            } else if (random_below(8) == 0) {
                size_t before = window.count;
                dt2_window_drop(&window, unit);
                one &= window.count == before - 1 && !lies_there(&window, unit);
            }
        }
    }
    ok(sound, "places are apart, aligned and within one slab");
    ok(stays, "what is held stays");
    ok(room, "a window of twice the largest has room for any unit beside one that is held");
    ok(one, "a unit can be taken out");
}

/* In a ring the oldest go first. */
static void test_ring(void)
{
    struct dt2_tenant tenants[UNITS];
    struct dt2_window window = { .largest = 10, .alignment = 1, .tenants = tenants };
    memset(kept, 0, sizeof kept);
    dt2_window_cut(&window, 40, UINT64_MAX);
    for (size_t i = 0; i < 4; i++) {
        uint64_t offset = 99;
        ok(dt2_window_find(&window, 10, keep, NULL, &offset) && offset == 10 * i, "unit %zu lies at %zu", i, 10 * i);
        dt2_window_put(&window, i, offset, 10);
    }
    uint64_t offset = 99;
    ok(dt2_window_find(&window, 10, keep, NULL, &offset) && offset == 0, "the next one takes the place of the first");
    kept[0] = true;
    ok(dt2_window_find(&window, 10, keep, NULL, &offset) && offset == 10, "or of the second, when that is held");
    kept[1] = kept[2] = kept[3] = true;
    ok(!dt2_window_find(&window, 1, keep, NULL, &offset), "when all is held there is no place");
    is_u64(dt2_window_used(&window), 40, "all of it is used");
}

/* -- the order ------------------------------------------------------------------------------------------------ */

static unsigned reach(struct dt2_order *order, size_t unit)
{
    size_t from = 0, skipped = 0;
    return dt2_order_reach(order, unit, unit, &from, &skipped);
}

static void test_following(void)
{
    struct dt2_order order;
    if (!dt2_order_make(&order, 4))
        exit(1);
    bool ahead = true;
    for (size_t i = 0; i < 4; i++) {
        ahead &= dt2_order_ahead(&order) == i;
        dt2_order_fetched(&order);
    }
    ok(ahead, "units are expected in their order");
    ok(dt2_order_ahead(&order) == DT2_NOWHERE, "and no further than once round");
    is_u64(reach(&order, 0), DT2_STEP_FOLLOWED, "the first comes");
    ok(dt2_order_ahead(&order) == 0, "and is expected in the next pass");
    for (size_t i = 1; i < 4; i++)
        reach(&order, i);
    is_u64(order.lead, 0, "all that was fetched was used");
    dt2_order_fetched(&order);
    is_u64(reach(&order, 0), DT2_STEP_PASSED, "the first comes again: a pass is over, and nothing is fetched anew");
    dt2_order_clear(&order);
}

static void test_jumping(void)
{
    struct dt2_order order;
    size_t from = 9, skipped = 9;
    if (!dt2_order_make(&order, 6))
        exit(1);
    for (size_t i = 0; i < 3; i++)
        dt2_order_fetched(&order);
    is_u64(dt2_order_reach(&order, 2, 2, &from, &skipped), DT2_STEP_JUMPED, "a unit comes before its turn");
    ok(from == 0 && skipped == 2, "two were fetched in vain");
    ok(order.lead == 0 && dt2_order_ahead(&order) == 3, "what comes after it is expected next");
    is_u64(dt2_order_reach(&order, 5, 5, &from, &skipped), DT2_STEP_JUMPED, "and one far ahead");
    is_u64(skipped, 0, "for which nothing was fetched in vain");
    ok(dt2_order_ahead(&order) == 0, "the circle goes on at its beginning");
    dt2_order_clear(&order);
}

/* Expects exactly these, from the cursor on. */
static bool expects(struct dt2_order *order, const size_t *units, size_t count)
{
    bool same = order->count == count;
    for (size_t i = 0; same && i < count; i++)
        same = order->sequence[(order->cursor + i) % count] == units[i];
    return same;
}

static void test_learning(void)
{
    static const size_t backwards[] = { 3, 2, 1, 0 }, twice[] = { 3, 1, 3, 0, 2 }, most[] = { 0, 1, 2, 3 };
    struct dt2_order order;
    if (!dt2_order_make(&order, 4))
        exit(1);
    for (size_t i = 0; i < 4; i++)
        reach(&order, backwards[i]);
    is_u64(reach(&order, 3), DT2_STEP_PASSED | DT2_STEP_RESET, "a pass in another order is learnt");
    ok(expects(&order, (const size_t[]){ 2, 1, 0, 3 }, 4), "and expected from then on");
    reach(&order, 2);
    order.guided = true;
    ok(dt2_order_pass(&order), "a pass that breaks off starts the order anew");
    ok(expects(&order, backwards, 4), "and teaches nothing");
    for (size_t i = 0; i < 5; i++)
        is_u64(reach(&order, twice[i]) & DT2_STEP_PASSED, 0, "a guided pass ends when the caller says so");
    dt2_order_pass(&order);
    ok(expects(&order, twice, 5), "a unit that is used twice is expected twice");
    for (size_t i = 0; i < 100; i++)
        reach(&order, i % 4);
    dt2_order_pass(&order);
    ok(expects(&order, twice, 5), "a pass without end teaches nothing");
    for (size_t i = 0; i < 4; i++)
        reach(&order, most[i]);
    dt2_order_pass(&order);
    ok(expects(&order, most, 4), "a shorter one is learnt again");
    dt2_order_clear(&order);
}

int main(void)
{
    seed_random(20261124);
    test_cut();
    test_places();
    test_ring();
    test_following();
    test_jumping();
    test_learning();
    return done_testing();
}
