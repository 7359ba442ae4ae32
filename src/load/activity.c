/* SPDX-License-Identifier: BSD-3-Clause */
#include "load/activity.h"
#include "base/checked.h"
#include <string.h>

void dt2_activity_begin(struct dt2_activity *activity, uint64_t now_ns)
{
    *activity = (struct dt2_activity){ .begin_ns = now_ns, .interval_ns = DT2_INTERVAL_NS };
}

/* Two intervals become one. */
static void fold(struct dt2_activity *activity)
{
    for (size_t i = 0; i < DT2_DOINGS; i++) {
        uint64_t *done = activity->done_ns[i];
        for (size_t j = 0; j < DT2_INTERVALS / 2; j++)
            done[j] = done[2 * j] + done[2 * j + 1];
        memset(done + DT2_INTERVALS / 2, 0, DT2_INTERVALS / 2 * sizeof *done);
    }
    activity->interval_ns *= 2;
    activity->count = (activity->count + 1) / 2;
}

void dt2_activity_add(struct dt2_activity *activity, enum dt2_doing doing, uint64_t from_ns, uint64_t to_ns)
{
    uint64_t from = dt2_sub_floor(from_ns, activity->begin_ns), to = dt2_sub_floor(to_ns, activity->begin_ns);
    if (activity->interval_ns == 0 || to <= from)
        return;
    while (to > activity->interval_ns * DT2_INTERVALS)
        fold(activity);
    while (from < to) {
        size_t at = (size_t)(from / activity->interval_ns);
        uint64_t end = dt2_min(to, (at + 1) * activity->interval_ns);
        activity->done_ns[doing][at] += end - from;
        activity->count = at + 1 > activity->count ? at + 1 : activity->count;
        from = end;
    }
}
