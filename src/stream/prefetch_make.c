/* SPDX-License-Identifier: BSD-3-Clause */
/* Window, staging, routes and thread: made and given back as one. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/thread.h"
#include "model/model.h"
#include "stream/prefetch.h"
#include <inttypes.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)
#define STAGING_BYTES (32 * MIB)
#define SLOTS 4
#define SLOT_MOST (8 * MIB)
#define SLOT_LEAST ((uint64_t)64 * 1024)

/* -- the window ------------------------------------------------------------------------------------------------ */

/*
 * What the caller said, or the plan, or else the largest unit. Once blocks were evicted, of which the plan knew nothing, twice the
 * largest unit, as it would have planned, and more than the caller's if it must be.
 */
static uint64_t wanted_window(const struct dt2_session *session, uint64_t largest, bool evicted)
{
    uint64_t wanted = session->options.window_bytes, planned = session->model->plan->window_bytes;
    if (wanted)
        return evicted ? dt2_max(wanted, largest) : wanted;
    return dt2_max(planned, evicted && largest <= UINT64_MAX / 2 ? 2 * largest : largest);
}

int dt2_prefetch_fit(struct dt2_session *session, struct dt2_error *err)
{
    const struct dt2_plan *plan = session->model->plan;
    const struct dt2_units *units = &session->units;
    bool evicted = dt2_storage_evicted(&session->model->storage) > 0;
    uint64_t planned = plan->window_bytes, left = plan->compute_left_bytes;
    uint64_t wanted = wanted_window(session, units->largest, evicted);
    if (wanted < units->largest)
        return dt2_fail(err, DT2_EUSAGE,
                        "a window of %" PRIu64 " bytes cannot hold the largest block that streams to %s, of %" PRIu64
                        " bytes; the plan has %" PRIu64,
                        wanted, session->compute->name, units->largest, planned);
    if (!evicted && wanted > planned && left != DT2_UNKNOWN && wanted - planned > left)
        return dt2_fail(err, DT2_ENOFIT,
                        "a window of %" PRIu64 " bytes is %" PRIu64
                        " bytes above what the plan and its budgets leave on %s, %" PRIu64,
                        wanted, wanted - planned - left, session->compute->name, planned + left);
    session->places.largest = units->largest;
    dt2_window_cut(&session->places, wanted, session->compute->max_alloc_bytes);
    return 0;
}

static int make_window(struct dt2_session *session, struct dt2_error *err)
{
    struct dt2_prefetch *prefetch = &session->prefetch;
    struct dt2_machine *machine = session->model->context->machine;
    size_t count = session->places.slab_count;
    struct dt2_backend_error failure = { 0 };
    DT2_AUTO uint64_t *slabs = dt2_alloc(count, sizeof *slabs);
    prefetch->natives = dt2_alloc(count, sizeof *prefetch->natives);
    if (!slabs || !prefetch->natives)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < count; i++)
        slabs[i] = session->places.slab_bytes;
    int rc = dt2_machine_open(machine, session->compute->name, &prefetch->window.opened, err);
    if (rc == 0)
        rc = dt2_store_alloc(machine, &prefetch->window, slabs, count, err);
    if (rc == 0) {
        prefetch->charged_bytes = dt2_window_bytes(&session->places);
        atomic_fetch_add(&session->model->window_bytes, prefetch->charged_bytes);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct dt2_opened *o = prefetch->window.opened;
        prefetch->natives[i].struct_size = sizeof *prefetch->natives;
        if (o->backend->buffer_native(o->driver, prefetch->window.slabs[i].buffer, &prefetch->natives[i], &failure) < 0)
            rc = dt2_fail_driver(err, o->name, &failure);
    }
    return rc;
}

static void clear_window(struct dt2_session *session)
{
    struct dt2_prefetch *prefetch = &session->prefetch;
    dt2_store_clear(session->model->context->machine, &prefetch->window);
    atomic_fetch_sub(&session->model->window_bytes, prefetch->charged_bytes);
    prefetch->charged_bytes = 0;
    dt2_release(DT2_TAKE(prefetch->natives));
}

/* -- the transport --------------------------------------------------------------------------------------------- */

/* The queue of copies, with slots when some route needs them. */
static int make_staging(struct dt2_session *session, struct dt2_error *err)
{
    struct dt2_staging *staging = &session->prefetch.staging;
    bool staged = dt2_routes_stage(session);
    uint64_t all = session->options.staging_bytes ? session->options.staging_bytes : STAGING_BYTES;
    uint64_t slot = dt2_max(dt2_min(all / SLOTS, SLOT_MOST), SLOT_LEAST) & ~(uint64_t)4095;
    bool shared = dt2_routes_share_slots(session);
    int rc = dt2_staging_make(session->compute, staged ? SLOTS : 0, slot, shared, staging, err);
    if (rc == 0 && staging->compromise[0])
        rc = dt2_session_say(session, err, "%s", staging->compromise);
    if (rc == 0)
        rc = dt2_routes_pin_slots(session, err);
    pthread_mutex_lock(&session->lock);
    session->staging_bytes = dt2_staging_bytes(staging);
    pthread_mutex_unlock(&session->lock);
    return rc;
}

static int start_thread(struct dt2_session *session, struct dt2_error *err)
{
    session->prefetch.running = true; /* written before the thread is there */
    int failure = dt2_thread_start(&session->prefetch.thread, dt2_prefetch_run, session);
    if (!failure)
        return 0;
    session->prefetch.running = false;
    return dt2_fail(err, DT2_EFAILED, "cannot start the thread of a session: %s", strerror(failure));
}

static int make_transport(struct dt2_session *session, struct dt2_error *err)
{
    struct dt2_prefetch *prefetch = &session->prefetch;
    size_t units = session->units.count;
    prefetch->current = DT2_NOWHERE;
    prefetch->landing = dt2_alloc(units, sizeof *prefetch->landing);
    prefetch->parts = dt2_alloc(2 * units + 1, sizeof *prefetch->parts);
    int rc = prefetch->landing && prefetch->parts ? 0 : dt2_fail_nomem(err);
    if (rc == 0)
        rc = dt2_routes_make(session, err);
    if (rc == 0)
        rc = make_staging(session, err);
    if (rc == 0 && dt2_staging_bytes(&prefetch->staging) > 0)
        dt2_gatherers_start(&prefetch->gatherers);
    return rc == 0 ? start_thread(session, err) : rc;
}

static void stop_thread(struct dt2_session *session)
{
    struct dt2_prefetch *prefetch = &session->prefetch;
    if (!prefetch->running)
        return;
    pthread_mutex_lock(&session->lock);
    prefetch->stop = true;
    pthread_cond_signal(&session->work);
    pthread_mutex_unlock(&session->lock);
    pthread_join(prefetch->thread, NULL);
}

/* After the thread, and all that it sent. The window, and what is in it, stays. */
static void clear_transport(struct dt2_session *session)
{
    struct dt2_prefetch *prefetch = &session->prefetch;
    dt2_gatherers_stop(&prefetch->gatherers);
    dt2_routes_clear(session); /* before the slots, which they pinned */
    dt2_staging_clear(&prefetch->staging);
    dt2_release(prefetch->landing);
    dt2_release(prefetch->parts);
    pthread_mutex_lock(&session->lock);
    *prefetch = (struct dt2_prefetch){ .current = DT2_NOWHERE,
                                       .window = prefetch->window,
                                       .natives = prefetch->natives,
                                       .charged_bytes = prefetch->charged_bytes };
    session->staging_bytes = 0;
    pthread_mutex_unlock(&session->lock);
}

/* -- both ------------------------------------------------------------------------------------------------------ */

int dt2_prefetch_make(struct dt2_session *session, struct dt2_error *err)
{
    bool there = session->prefetch.window.opened;
    int rc = there ? 0 : make_window(session, err);
    if (rc == 0)
        rc = make_transport(session, err);
    if (rc == 0)
        return 0;
    clear_transport(session);
    if (!there)
        clear_window(session);
    return rc;
}

/* What has arrived is known to have, without the queue that it came by; what never will is given up, unless somebody holds it. */
static void await_arrivals(struct dt2_session *session)
{
    const struct dt2_opened *o = session->compute;
    for (size_t i = 0; i < session->units.count; i++) {
        struct dt2_unit *unit = &session->units.units[i];
        bool lost = unit->arrival && !unit->there && o->backend->event_wait(o->driver, unit->arrival, NULL) < 0;
        if (lost && unit->holders == 0)
            dt2_prefetch_drop(session, i);
        dt2_prefetch_free_event(session, &unit->arrival);
    }
}

void dt2_prefetch_freeze(struct dt2_session *session)
{
    stop_thread(session);
    if (!session->prefetch.running)
        return;
    pthread_mutex_lock(&session->lock);
    dt2_prefetch_abandon(session, DT2_NOWHERE, NULL);
    await_arrivals(session);
    pthread_mutex_unlock(&session->lock);
    clear_transport(session);
}

/* Waits for all that reads or writes the window. */
static void settle(struct dt2_session *session)
{
    for (size_t i = 0; i < session->prefetch.flight_count; i++)
        dt2_route_finish(session, &session->prefetch.flights[i], true, NULL);
    if (session->prefetch.staging.ready)
        dt2_staging_drain(&session->prefetch.staging, NULL);
    dt2_prefetch_finish_parts(session);
    for (size_t i = 0; i < session->units.count; i++) {
        struct dt2_unit *unit = &session->units.units[i];
        dt2_prefetch_finish_reader(session, &unit->reader);
        dt2_prefetch_forget(session, unit);
        unit->wanted = unit->asked = false;
    }
    session->places.count = 0;
    session->places.next = session->places.copied = session->places.read = 0;
    session->order.lead = 0;
    session->asked_count = 0;
}

/* Whether somebody holds something in the window, which stays as it is then. */
static bool is_held(const struct dt2_session *session)
{
    for (size_t i = 0; i < session->units.count; i++)
        if (session->units.units[i].holders)
            return true;
    return false;
}

bool dt2_prefetch_keeps_window(const struct dt2_session *session)
{
    return session->prefetch.window.opened && is_held(session);
}

uint64_t dt2_prefetch_window_after(const struct dt2_session *session, uint64_t largest, bool evicted)
{
    if (session->parked || dt2_prefetch_keeps_window(session))
        return session->prefetch.charged_bytes;
    return largest ? wanted_window(session, largest, evicted) : 0;
}

/* The units that stream from now on, from where the network is. */
static void renew_order(struct dt2_session *session)
{
    dt2_order_renew(&session->order);
    for (size_t i = 0; i < session->units.count; i++)
        if (dt2_unit_streams(&session->units.units[i]))
            dt2_order_append(&session->order, i, session->reached != DT2_NOWHERE && i <= session->reached);
    dt2_prefetch_rewind(session);
}

int dt2_prefetch_look_again(struct dt2_session *session, struct dt2_error *err)
{
    struct dt2_prefetch *prefetch = &session->prefetch;
    struct dt2_window *places = &session->places;
    uint64_t slab_bytes = places->slab_bytes, slab_count = places->slab_count;
    dt2_units_count(&session->units);
    renew_order(session);
    if (dt2_prefetch_keeps_window(session))
        places->largest = session->units.largest;
    if (session->parked || dt2_prefetch_keeps_window(session))
        return 0;
    int rc = session->units.streaming ? dt2_prefetch_fit(session, err) : 0;
    prefetch->outgrown = prefetch->window.opened && (rc < 0 || session->units.streaming == 0 ||
                                                     slab_bytes != places->slab_bytes || slab_count != places->slab_count);
    for (size_t i = 0; prefetch->outgrown && i < session->units.count; i++)
        dt2_prefetch_drop(session, i);
    session->parked |= rc < 0;
    return rc;
}

int dt2_prefetch_thaw(struct dt2_session *session, struct dt2_error *err)
{
    if (session->prefetch.outgrown)
        clear_window(session);
    int rc = session->units.streaming && !session->parked ? dt2_prefetch_make(session, err) : 0;
    pthread_mutex_lock(&session->lock);
    session->prefetch.outgrown = false;
    session->parked |= rc < 0;
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
    return rc;
}

void dt2_prefetch_clear(struct dt2_session *session)
{
    stop_thread(session);
    settle(session);
    clear_transport(session);
    clear_window(session);
}
