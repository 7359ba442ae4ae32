/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All devices are filled at once, from one file. Bytes flow as water does: each gets the same rate until its own link, a bridge that
 * it shares, or the file is full; when one has all its bytes the others get what it leaves. So from one end of a device's filling
 * to the next: as many steps as there are devices, and in each as many looks at all of them.
 */
#include "plan/predict_load.h"
#include "base/alloc.h"
#include "base/error.h"
#include <string.h>

struct flow {
    struct dt2_filling filling;
    double left;  /* bytes */
    double rate;
    bool fixed;   /* it cannot have more than it has */
    double end;   /* when its last byte is there */
};

struct river {
    struct flow *flows;
    size_t count;
    bool cold;
};

/* The part of the file's rate that a byte a nanosecond to this memory takes. */
static double file_part(const struct river *river, const struct flow *flow)
{
    return 1 / (river->cold ? flow->filling.cold_gbps : flow->filling.warm_gbps);
}

static bool share_bridge(const struct flow *a, const struct flow *b)
{
    return a == b || (a->filling.shared && b->filling.shared && strcmp(a->filling.shared, b->filling.shared) == 0);
}

/* How much more each that is not fixed may have until the bridge of one is full, whose rate is that of its fastest link. */
static double bridge_slack(const struct river *river, const struct flow *flow)
{
    double used = 0, most = 0, sharers = 0;
    for (size_t i = 0; i < river->count; i++) {
        const struct flow *other = &river->flows[i];
        if (!share_bridge(flow, other))
            continue;
        used += other->rate;
        most = other->filling.own_gbps > most ? other->filling.own_gbps : most;
        sharers += !other->fixed;
    }
    return sharers > 0 ? (most - used) / sharers : 0;
}

static double file_slack(const struct river *river)
{
    double used = 0, parts = 0;
    for (size_t i = 0; i < river->count; i++) {
        used += river->flows[i].rate * file_part(river, &river->flows[i]);
        parts += river->flows[i].fixed ? 0 : file_part(river, &river->flows[i]);
    }
    return parts > 0 ? (1 - used) / parts : 0;
}

static double slack_of(const struct river *river, const struct flow *flow)
{
    double own = flow->filling.own_gbps - flow->rate, bridge = bridge_slack(river, flow);
    return own < bridge ? own : bridge;
}

/* Rates for all that still have bytes to come; who is at a limit is fixed, and the others share on. */
static void share_out(struct river *river)
{
    size_t open = 0;
    for (size_t i = 0; i < river->count; i++) {
        river->flows[i].rate = 0;
        river->flows[i].fixed = river->flows[i].left <= 0;
        open += !river->flows[i].fixed;
    }
    while (open > 0) {
        double more = file_slack(river);
        size_t tightest = SIZE_MAX;
        for (size_t i = 0; i < river->count; i++)
            if (!river->flows[i].fixed && slack_of(river, &river->flows[i]) <= more) {
                more = slack_of(river, &river->flows[i]);
                tightest = i;
            }
        for (size_t i = 0; i < river->count; i++)
            if (!river->flows[i].fixed)
                river->flows[i].rate += more > 0 ? more : 0;
        if (tightest == SIZE_MAX)
            return; /* the file is full */
        river->flows[tightest].fixed = true;
        open--;
    }
}

/* When the next one has all its bytes. */
static double next_end(const struct river *river)
{
    double least = -1;
    for (size_t i = 0; i < river->count; i++) {
        const struct flow *flow = &river->flows[i];
        if (flow->left > 0 && flow->rate > 0 && (least < 0 || flow->left / flow->rate < least))
            least = flow->left / flow->rate;
    }
    return least;
}

static double run(struct river *river)
{
    double now = 0;
    for (size_t i = 0; i < river->count; i++)
        if (river->flows[i].left > 0 && river->flows[i].filling.open_ns > now)
            now = river->flows[i].filling.open_ns; /* all are opened at once, before the first byte */
    for (;;) {
        share_out(river);
        double took = next_end(river);
        if (took < 0)
            return now;
        now += took;
        for (size_t i = 0; i < river->count; i++) {
            struct flow *flow = &river->flows[i];
            if (flow->left <= 0)
                continue;
            flow->left -= flow->rate * took;
            if (flow->left < 1) {
                flow->left = 0;
                flow->end = now;
            }
        }
    }
}

int dt2_predict_load(const struct dt2_draft *draft, bool cold, double *seconds, double *each, struct dt2_error *err)
{
    struct river river = { .count = draft->target_count, .cold = cold };
    DT2_AUTO struct flow *flows = dt2_alloc(draft->target_count, sizeof *flows);
    if (!flows)
        return dt2_fail_nomem(err);
    river.flows = flows;
    for (size_t i = 0; i < river.count; i++)
        flows[i] = (struct flow){ .filling = dt2_cost_filling(draft->input->devices, draft->targets[i].device),
                                  .left = (double)draft->targets[i].bytes };
    *seconds = run(&river) / 1e9;
    for (size_t i = 0; each && i < river.count; i++)
        each[i] = flows[i].end / 1e9;
    return 0;
}
