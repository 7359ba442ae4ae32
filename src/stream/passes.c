/* SPDX-License-Identifier: BSD-3-Clause */
/* Passes of the network, and what is counted in them. */
#include "base/checked.h"
#include "base/clock.h"
#include "model/model.h"
#include "plan/network.h"
#include "stream/stream.h"

#define TIMED_LEAST 3         /* passes, of which the quickest says what one computes */
#define TOLD_LEAST_NS 1000000 /* a network that takes less computes nothing */

/* What the pass that ends now computed is what it took but for what it waited. */
static void time_pass(struct dt2_session *session)
{
    uint64_t now = dt2_now_ns(), took = dt2_sub_floor(now - session->turned_ns, session->last.stall_ns);
    if (session->turned_ns && (session->timed == 0 || took < session->least_ns))
        session->least_ns = took;
    session->timed += session->turned_ns > 0;
    session->turned_ns = now;
}

void dt2_session_teach(const struct dt2_session *session)
{
    const struct dt2_model *model = session->model;
    char network[DT2_NETWORK_NAME];
    if (session->timed < TIMED_LEAST || session->least_ns < TOLD_LEAST_NS)
        return;
    dt2_network_name(model->blocks.blocks, model->blocks.count, network);
    dt2_context_learn(model->context, dt2_plan_compute_device(model->plan), network, session->least_ns);
}

/* The counts of a pass begin again. The lock is held. */
static void turn_page(struct dt2_session *session)
{
    session->total.passes++;
    session->last = dt2_session_since(&session->total, &session->begin);
    time_pass(session);
    session->begin = session->total;
}

void dt2_session_next_pass(struct dt2_session *session)
{
    if (dt2_fork_check(session->model->generation, "session", NULL) < 0)
        return;
    pthread_mutex_lock(&session->lock);
    session->order.guided = true;
    if (session->units.streaming && dt2_order_pass(&session->order))
        dt2_prefetch_rewind(session);
    turn_page(session);
    dt2_prefetch_wake(session);
    pthread_mutex_unlock(&session->lock);
}

void dt2_session_reach(struct dt2_session *session, size_t index, size_t block)
{
    const struct dt2_order *order = &session->order;
    bool begun = order->seen_count > 0 && block != order->opener;
    if (begun && index == session->reached && block != session->entered)
        return; /* another block of the unit where the network is */
    if (session->reached != DT2_NOWHERE && session->units.units[session->reached].visited)
        session->units.units[session->reached].wanted = false; /* the network left out some of its blocks */
    session->units.units[index].visited = 0;
    session->reached = index;
    session->entered = block;
    size_t from = 0, skipped = 0;
    unsigned step = dt2_order_reach(&session->order, index, block, &from, &skipped);
    if (step & DT2_STEP_PASSED)
        turn_page(session);
    if (step & DT2_STEP_RESET)
        dt2_prefetch_rewind(session);
    for (size_t i = 0; (step & DT2_STEP_JUMPED) && i < skipped; i++)
        session->units.units[session->order.sequence[(from + i) % session->order.count]].wanted = false;
}
