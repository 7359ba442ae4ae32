/* SPDX-License-Identifier: BSD-3-Clause */
/* Window, staging, routes and thread: made and given back as one. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/thread.h"
#include "model/model.h"
#include "stream/prefetch.h"
#include <string.h>

#define MIB ((uint64_t)1 << 20)
#define STAGING_BYTES (32 * MIB)
#define SLOTS 4
#define SLOT_MOST (8 * MIB)
#define SLOT_LEAST ((uint64_t)64 * 1024)

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
        rc = dt2_notes_add(&session->notes, err, "%s", staging->compromise);
    if (rc == 0)
        rc = dt2_routes_pin_slots(session, err);
    session->staging_bytes = dt2_staging_bytes(staging);
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

int dt2_prefetch_make(struct dt2_session *session, struct dt2_error *err)
{
    struct dt2_prefetch *prefetch = &session->prefetch;
    size_t units = session->units.count;
    *prefetch = (struct dt2_prefetch){ .current = DT2_NOWHERE,
                               .landing = dt2_alloc(units, sizeof *prefetch->landing),
                               .parts = dt2_alloc(2 * units + 1, sizeof *prefetch->parts) };
    int rc = prefetch->landing && prefetch->parts ? 0 : dt2_fail_nomem(err);
    if (rc == 0)
        rc = make_window(session, err);
    if (rc == 0)
        rc = dt2_routes_make(session, err);
    if (rc == 0)
        rc = make_staging(session, err);
    if (rc == 0 && dt2_staging_bytes(&prefetch->staging) > 0)
        dt2_gatherers_start(&prefetch->gatherers);
    if (rc == 0)
        rc = start_thread(session, err);
    if (rc < 0)
        dt2_prefetch_clear(session);
    return rc;
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

void dt2_prefetch_clear(struct dt2_session *session)
{
    struct dt2_prefetch *prefetch = &session->prefetch;
    if (prefetch->running) {
        pthread_mutex_lock(&session->lock);
        prefetch->stop = true;
        pthread_cond_signal(&session->work);
        pthread_mutex_unlock(&session->lock);
        pthread_join(prefetch->thread, NULL);
    }
    settle(session);
    dt2_gatherers_stop(&prefetch->gatherers);
    dt2_routes_clear(session); /* before the slots, which they pinned */
    dt2_staging_clear(&prefetch->staging);
    dt2_store_clear(session->model->context->machine, &prefetch->window);
    atomic_fetch_sub(&session->model->window_bytes, prefetch->charged_bytes);
    dt2_release(prefetch->natives);
    dt2_release(prefetch->landing);
    dt2_release(prefetch->parts);
    *prefetch = (struct dt2_prefetch){ .current = DT2_NOWHERE };
    session->staging_bytes = 0;
}
