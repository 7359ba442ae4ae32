/* SPDX-License-Identifier: BSD-3-Clause */
#include "load/activity.h"
#include "support/tap.h"

static uint64_t sum_of(const struct dt2_activity *activity, enum dt2_doing doing)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < activity->count; i++)
        sum += activity->done_ns[doing][i];
    return sum;
}

static void test_intervals(void)
{
    struct dt2_activity activity;
    dt2_activity_begin(&activity, 1000);
    dt2_activity_add(&activity, DT2_READING, 1000 + DT2_INTERVAL_NS / 2, 1000 + 2 * DT2_INTERVAL_NS + 7);
    ok(activity.count == 3 && activity.done_ns[DT2_READING][0] == DT2_INTERVAL_NS / 2 &&
           activity.done_ns[DT2_READING][1] == DT2_INTERVAL_NS && activity.done_ns[DT2_READING][2] == 7,
       "what was done is dealt out over the intervals in which it was");
    dt2_activity_add(&activity, DT2_COPYING, 0, 1500);
    ok(sum_of(&activity, DT2_COPYING) == 500, "what lies before the beginning is left out");
    dt2_activity_add(&activity, DT2_WAITING, 3000, 3000);
    dt2_activity_add(&activity, DT2_WAITING, 4000, 3000);
    ok(sum_of(&activity, DT2_WAITING) == 0, "nothing is nothing, nor what ends before it begins");
}

/* However long it goes on, nothing is lost. */
static void test_long(void)
{
    struct dt2_activity activity;
    uint64_t now = 5, done = 0;
    bool good = true;
    dt2_activity_begin(&activity, now);
    for (uint64_t i = 1; i < 5000; i++) {
        uint64_t took = i * 7919 % 3000000;
        dt2_activity_add(&activity, DT2_READING, now, now + took);
        done += took;
        now += took + i % 1000;
        good = good && activity.count <= DT2_INTERVALS;
    }
    ok(good && sum_of(&activity, DT2_READING) == done, "intervals grow, and nothing is lost");
    ok(activity.interval_ns * activity.count >= now - 5 - 1000, "they reach to the end");
    dt2_activity_add(&activity, DT2_READING, now, UINT64_MAX / 2);
    ok(activity.count == DT2_INTERVALS || activity.count > DT2_INTERVALS / 2, "and as far as a clock goes");
}

int main(void)
{
    struct dt2_activity nothing = { 0 };
    dt2_activity_add(&nothing, DT2_READING, 1, 2);
    ok(nothing.count == 0, "nothing is kept before it has begun");
    test_intervals();
    test_long();
    return done_testing();
}
