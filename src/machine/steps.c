/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine/steps.h"
#include "base/alloc.h"
#include "base/error.h"
#include "machine/pool.h"
#include <string.h>

static struct dt2_step *find(const struct dt2_devices *devices, const char *device, const char *network)
{
    for (size_t i = 0; i < devices->step_count; i++)
        if (strcmp(devices->steps[i].device, device) == 0 && strcmp(devices->steps[i].network, network) == 0)
            return &devices->steps[i];
    return NULL;
}

const struct dt2_step *dt2_steps_find(const struct dt2_devices *devices, const char *device, const char *network)
{
    return find(devices, device, network);
}

/* The place of a new one; of as many as there may be that of the oldest. */
static struct dt2_step *place_of(struct dt2_devices *devices)
{
    struct dt2_step *oldest = devices->steps;
    if (devices->step_count < DT2_STEPS_MOST)
        return DT2_GROW(devices->steps, devices->step_count, devices->step_capacity) ? &devices->steps[devices->step_count++] : NULL;
    for (size_t i = 1; i < devices->step_count; i++)
        if (devices->steps[i].learnt_at < oldest->learnt_at)
            oldest = &devices->steps[i];
    return oldest;
}

int dt2_steps_put(struct dt2_devices *devices, const struct dt2_step *step, struct dt2_error *err)
{
    struct dt2_step made = *step, *place = find(devices, step->device, step->network);
    if (!dt2_pool_text(devices->pool, step->device, &made.device) || !dt2_pool_text(devices->pool, step->network, &made.network))
        return dt2_fail_nomem(err);
    if (!place)
        place = place_of(devices);
    if (!place)
        return dt2_fail_nomem(err);
    *place = made;
    return 0;
}
