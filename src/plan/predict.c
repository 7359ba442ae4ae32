/* SPDX-License-Identifier: BSD-3-Clause */
/* From a placement to the network that pass.c goes through. */
#include "plan/predict.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "plan/pass.h"
#include "plan/plan.h"
#include "plan/predict_load.h"
#include <string.h>

/*
 * Work that going through the passes may take at most, in looks at units that lie in the window: each unit that is placed looks
 * at the places beside all others there, and at what each of these covers. About twenty milliseconds.
 */
#define LOOKS_MOST 2e7

struct laying {
    const struct dt2_draft *draft;
    struct dt2_pass_unit *units;
    struct dt2_pass_step *steps;
    struct dt2_way *ways; /* by target */
    struct dt2_pass pass;
    double byte_ns; /* that computing with a byte of weights takes */
    uint64_t bytes; /* that stream */
    size_t last; /* the target of the block before */
};

static size_t device_of(const struct dt2_draft *draft, size_t block)
{
    return draft->targets[draft->owner[block]].device;
}

static bool streams(const struct dt2_draft *draft, size_t block)
{
    return draft->input->blocks[block].bytes > 0 && dt2_streams(draft->input, device_of(draft, block));
}

/* The unit of a block that streams: the last one, or a new one, as src/stream/units.c has it. */
static size_t add_to_units(struct laying *laying, size_t block)
{
    const struct dt2_input *input = laying->draft->input;
    size_t target = laying->draft->owner[block], count = laying->pass.unit_count;
    uint64_t room = dt2_block_cost(input, block, input->compute);
    struct dt2_pass_unit *last = count ? &laying->units[count - 1] : NULL;
    if (!last || laying->last != target || !dt2_ahead_joins(laying->pass.largest, room, last->bytes)) {
        last = &laying->units[laying->pass.unit_count++];
        *last = (struct dt2_pass_unit){ .way = target };
    }
    last->bytes += room;
    last->payload += input->blocks[block].bytes;
    last->blocks++;
    laying->bytes += input->blocks[block].bytes;
    return laying->pass.unit_count - 1;
}

/* One step a block; those that nobody waits for are one with the step before. */
static void add_block(struct laying *laying, size_t block)
{
    double ns = laying->byte_ns * (double)laying->draft->input->blocks[block].bytes;
    size_t count = laying->pass.step_count;
    bool comes = streams(laying->draft, block);
    if (!comes && count > 0 && laying->steps[count - 1].unit == DT2_NOWHERE) {
        laying->steps[count - 1].compute_ns += ns;
    } else {
        laying->steps[laying->pass.step_count++] =
            (struct dt2_pass_step){ comes ? add_to_units(laying, block) : DT2_NOWHERE, ns };
    }
    laying->last = laying->draft->owner[block];
}

static uint64_t largest_of(const struct dt2_draft *draft)
{
    uint64_t largest = 0;
    for (size_t i = 0; i < draft->input->count; i++)
        if (streams(draft, i))
            largest = dt2_max(largest, dt2_block_cost(draft->input, i, draft->input->compute));
    return largest;
}

static int lay(struct laying *laying, const struct dt2_draft *draft, double compute_ns, struct dt2_error *err)
{
    const struct dt2_input *input = draft->input;
    const struct dt2_device *compute = &input->devices->devices[input->compute];
    *laying = (struct laying){ .draft = draft,
                               .units = dt2_alloc(input->count, sizeof *laying->units),
                               .steps = dt2_alloc(input->count, sizeof *laying->steps),
                               .ways = dt2_alloc(draft->target_count, sizeof *laying->ways),
                               .byte_ns = input->model_bytes ? compute_ns / (double)input->model_bytes : 0,
                               .last = DT2_NONE };
    if (!laying->units || !laying->steps || !laying->ways)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < draft->target_count; i++)
        if (dt2_streams(input, draft->targets[i].device))
            laying->ways[i] = dt2_cost_way(input->devices, draft->targets[i].device, input->compute);
    struct dt2_pass *pass = &laying->pass;
    pass->largest = largest_of(draft);
    pass->alignment = dt2_max(compute->alignment_bytes, input->request->alignment_bytes);
    for (size_t i = 0; i < input->count; i++)
        add_block(laying, i);
    for (size_t i = 0; i < pass->unit_count; i++)
        if (dt2_round_up_overflows(laying->units[i].bytes, pass->alignment, &laying->units[i].bytes))
            laying->units[i].bytes = UINT64_MAX;
    pass->units = laying->units;
    pass->steps = laying->steps;
    pass->ways = laying->ways;
    pass->window_bytes = draft->window;
    pass->most = compute->max_alloc_bytes;
    return 0;
}

static void clear(struct laying *laying)
{
    dt2_release(laying->units);
    dt2_release(laying->steps);
    dt2_release(laying->ways);
}

/* Whether going through it is within what a plan may take, and possible: nothing is above the window or its slabs. */
static bool can_be_foreseen(const struct dt2_pass *pass, uint64_t bytes)
{
    uint64_t largest = 0;
    for (size_t i = 0; i < pass->unit_count; i++)
        largest = dt2_max(largest, pass->units[i].bytes);
    double mean = (double)bytes / (double)pass->unit_count, there = (double)pass->window_bytes / (mean > 1 ? mean : 1);
    double looks = (double)pass->unit_count * (8 + there) * (8 + there);
    return pass->window_bytes >= largest && pass->most >= largest && largest <= pass->largest && pass->alignment > 0 &&
           pass->window_bytes < UINT64_MAX / 4 && looks < LOOKS_MOST;
}

/* Without going through it: what does not hide behind computing. */
static struct dt2_pass_times sum_up(const struct dt2_pass *pass, double compute_ns, uint64_t bytes)
{
    double transfer = 0;
    for (size_t i = 0; i < pass->unit_count; i++) {
        const struct dt2_way *way = &pass->ways[pass->units[i].way];
        double slowest = 0, payload = (double)pass->units[i].payload;
        for (unsigned j = 0; j < way->leg_count; j++) {
            double leg = way->legs[j].copy_ns + way->legs[j].byte_ns * payload;
            slowest = leg > slowest ? leg : slowest;
        }
        transfer += slowest;
    }
    return (struct dt2_pass_times){ transfer > compute_ns ? transfer : compute_ns, transfer, (double)bytes };
}

static int foresee(const struct laying *laying, double compute_ns, struct dt2_prediction *prediction, struct dt2_error *err)
{
    const struct dt2_pass *pass = &laying->pass;
    struct dt2_pass_times times;
    int rc = 0;
    prediction->whole = can_be_foreseen(pass, laying->bytes);
    if (prediction->whole)
        rc = dt2_pass_foresee(pass, &times, err);
    else
        times = sum_up(pass, compute_ns, laying->bytes);
    if (rc < 0)
        return rc;
    prediction->streamed_bytes = (uint64_t)times.bytes;
    prediction->transfer_seconds = times.transfer_ns / 1e9;
    prediction->stall_seconds = times.pass_ns > compute_ns ? (times.pass_ns - compute_ns) / 1e9 : 0;
    for (size_t i = 0; i < pass->unit_count; i++)
        prediction->assumed |= pass->ways[pass->units[i].way].assumed;
    return 0;
}

/* What a pass computes: as it was said, or as sessions learnt it, or estimated. */
static double step_ns(const struct dt2_input *input, struct dt2_prediction *prediction)
{
    const struct dt2_step *learnt = input->learnt;
    if (input->request->step_ns != DT2_UNKNOWN)
        return (double)input->request->step_ns;
    prediction->learnt_at = learnt ? learnt->learnt_at : 0;
    prediction->compute_estimated = !learnt;
    return learnt ? 1e6 * learnt->step_ms : dt2_cost_compute_ns(input->devices, input->compute, input->model_bytes);
}

int dt2_predict_pass(const struct dt2_draft *draft, struct dt2_prediction *prediction, struct dt2_error *err)
{
    const struct dt2_input *input = draft->input;
    struct laying laying = { 0 };
    double compute_ns = step_ns(input, prediction);
    prediction->compute_seconds = compute_ns / 1e9;
    prediction->whole = true;
    if (input->request->resident || draft->window == 0)
        return 0;
    int rc = lay(&laying, draft, compute_ns, err);
    if (rc == 0 && laying.pass.unit_count > 0)
        rc = foresee(&laying, compute_ns, prediction, err);
    clear(&laying);
    return rc;
}

static bool takes_part(const struct dt2_draft *draft, size_t device)
{
    bool part = device == draft->input->compute;
    for (size_t i = 0; i < draft->target_count && !part; i++)
        part = draft->targets[i].device == device;
    return part;
}

/* The list of devices, and each driver that has a part in the plan: devices of one are neighbours. */
static double start_seconds(const struct dt2_draft *draft)
{
    const struct dt2_devices *devices = draft->input->devices;
    const struct dt2_speeds *speeds = dt2_devices_speeds(devices);
    double ms = speeds && speeds->start_ms > 0 ? speeds->start_ms : 0;
    const char *started = "";
    for (size_t i = 0; i < devices->count; i++) {
        const struct dt2_device *device = &devices->devices[i];
        if (device->start_ms <= 0 || strcmp(device->driver, started) == 0 || !takes_part(draft, i))
            continue;
        ms += device->start_ms;
        started = device->driver;
    }
    return ms / 1e3;
}

int dt2_predict(const struct dt2_draft *draft, struct dt2_prediction *prediction, double *warm, double *cold,
                struct dt2_error *err)
{
    *prediction = (struct dt2_prediction){ .whole = true, .start_seconds = start_seconds(draft) };
    for (size_t i = 0; i < draft->target_count; i++)
        if (draft->targets[i].bytes > 0)
            prediction->assumed |= dt2_cost_filling(draft->input->devices, draft->targets[i].device).assumed;
    int rc = dt2_predict_load(draft, false, &prediction->load_seconds, warm, err);
    if (rc == 0)
        rc = dt2_predict_load(draft, true, &prediction->load_cold_seconds, cold, err);
    return rc == 0 ? dt2_predict_pass(draft, prediction, err) : rc;
}
