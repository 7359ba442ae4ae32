/* SPDX-License-Identifier: BSD-3-Clause */
/* Passes of the network, and what is counted in them. */
#include "model/model.h"
#include "stream/stream.h"

/* The counts of a pass begin again. The lock is held. */
static void turn_page(struct dt2_session *session)
{
    session->total.passes++;
    session->last = dt2_session_since(&session->total, &session->begin);
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
