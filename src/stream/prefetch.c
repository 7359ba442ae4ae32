/* SPDX-License-Identifier: BSD-3-Clause */
/* The thread that fetches units: what it sends, what is on its way, and what arrives. */
#include "base/checked.h"
#include "base/ending.h"
#include "base/error.h"
#include "model/model.h"
#include "stream/prefetch.h"
#include <inttypes.h>
#include <string.h>

/* -- units that fail, and that arrive ------------------------------------------------------------------------ */

/* Puts a unit into the list of those that somebody waits for. */
void dt2_prefetch_ask(struct dt2_session *session, size_t index)
{
    if (!session->units.units[index].asked)
        session->asked[session->asked_count++] = index;
    session->units.units[index].asked = true;
}

/* Those who wait for the unit get the error. Nothing is fetched ahead until the next acquire. */
static void fail_unit(struct dt2_session *session, size_t index, const struct dt2_error *failure)
{
    session->failure = *failure;
    session->units.units[index].failures++;
    session->prefetch.halted = true;
    dt2_prefetch_rewind(session);
    pthread_cond_broadcast(&session->changed);
}

/* Nothing may be on its way any more when the places of what was coming are given to others. */
void dt2_prefetch_abandon(struct dt2_session *session, size_t index, const struct dt2_error *failure)
{
    struct dt2_prefetch *prefetch = &session->prefetch;
    if (dt2_ending())
        return;
    pthread_mutex_unlock(&session->lock);
    for (size_t i = 0; i < prefetch->flight_count; i++)
        dt2_route_finish(session, &prefetch->flights[i], true, NULL);
    dt2_staging_drain(&prefetch->staging, NULL);
    pthread_mutex_lock(&session->lock);
    dt2_prefetch_finish_parts(session);
    prefetch->flight_count = prefetch->landing_count = 0;
    prefetch->current = DT2_NOWHERE;
    prefetch->shaken = false;
    for (size_t i = 0; i < session->units.count; i++) {
        struct dt2_unit *unit = &session->units.units[i];
        if (unit->state != DT2_UNIT_COMING)
            continue;
        dt2_window_drop(&session->places, i);
        dt2_prefetch_forget(session, unit);
        if (unit->waiters && i != index)
            dt2_prefetch_ask(session, i);
    }
    if (index != DT2_NOWHERE)
        fail_unit(session, index, failure);
}

/* All of a unit's copies are queued. Its bytes are there once what is queued by now has run. */
static int arrive(struct dt2_session *session, size_t index, struct dt2_error *err)
{
    const struct dt2_opened *o = session->compute;
    struct dt2_unit *unit = &session->units.units[index];
    struct dt2_prefetch *prefetch = &session->prefetch;
    struct dt2_backend_error failure = { 0 };
    bool there = prefetch->routes[dt2_unit_at(unit)].kind == DT2_ROUTE_READ || (o->flags & DT2_DEVICE_HOST_ADDRESSABLE);
    if (!there && o->backend->event_record(o->driver, prefetch->staging.queue, &unit->arrival, &failure) < 0)
        return dt2_fail_driver(err, o->name, &failure);
    if (!there && !dt2_session_queue(session)) {
        prefetch->landing[prefetch->landing_count++] = index; /* without a stream the host waits for it */
        return 0;
    }
    unit->state = DT2_UNIT_HERE;
    pthread_cond_broadcast(&session->changed);
    return 0;
}

/* -- the thread ---------------------------------------------------------------------------------------------- */

/* Takes the first unit out of a list. */
static size_t shift(size_t *list, size_t *count)
{
    size_t first = list[0];
    memmove(list, list + 1, --*count * sizeof *list);
    return first;
}

/* Whether something that is on its way may make room. */
static bool in_transit(const struct dt2_session *session)
{
    return session->prefetch.flight_count || session->prefetch.landing_count;
}

/* What somebody waits for. True: there is work, or a failure was told. */
static bool start_asked(struct dt2_session *session)
{
    struct dt2_error failure;
    size_t index = session->asked[0];
    struct dt2_unit *unit = &session->units.units[index];
    if (unit->state == DT2_UNIT_ABSENT && !dt2_prefetch_place(session, index)) {
        if (in_transit(session))
            return false;
        dt2_fail(&failure, DT2_EFULL,
                 "the window of %" PRIu64 " bytes on %s has no room for block %s of %" PRIu64
                 " bytes beside those that are held",
                 dt2_window_bytes(&session->places), session->compute->name,
                 session->model->blocks.blocks[unit->block].name, unit->bytes);
        fail_unit(session, index, &failure);
    }
    shift(session->asked, &session->asked_count);
    unit->asked = false;
    return true;
}

/* The next unit that is to be fetched; DT2_NOWHERE: there is none. */
static size_t ahead(struct dt2_session *session)
{
    const struct dt2_ahead rule = dt2_prefetch_rule(session);
    return session->prefetch.halted ? DT2_NOWHERE : dt2_ahead_next(&rule);
}

/* What comes next. True: there is work. */
static bool start_ahead(struct dt2_session *session)
{
    size_t index = ahead(session);
    if (index == DT2_NOWHERE || !dt2_prefetch_place_ahead(session, index))
        return false;
    session->units.units[index].wanted = true;
    dt2_order_fetched(&session->order);
    return true;
}

void dt2_prefetch_wake(struct dt2_session *session)
{
    if (session->asked_count || ahead(session) != DT2_NOWHERE)
        pthread_cond_signal(&session->work);
}

/* What is to be sent next of the current unit: of one stretch, into one part. False: all is sent. */
static bool find_piece(struct dt2_session *session, struct dt2_stretch *piece)
{
    struct dt2_prefetch *prefetch = &session->prefetch;
    const struct dt2_unit *unit = &session->units.units[prefetch->current];
    while (prefetch->part < prefetch->part_count) {
        const struct dt2_part *part = &prefetch->parts[prefetch->part];
        for (size_t i = 0; i < unit->stretch_count; i++) {
            const struct dt2_stretch *stretch = &session->units.stretches[unit->first_stretch + i];
            uint64_t begin = dt2_max(stretch->target, prefetch->at);
            uint64_t end = dt2_min(stretch->target + stretch->bytes, part->offset + part->bytes);
            if (begin < end) {
                *piece = (struct dt2_stretch){ stretch->slab, stretch->source + (begin - stretch->target), begin,
                                               end - begin };
                return true;
            }
        }
        if (++prefetch->part < prefetch->part_count)
            prefetch->at = prefetch->parts[prefetch->part].offset;
    }
    return false;
}

/*
 * The first legs of all pieces of a unit are queued. Its arrival is an event on the queue of copies, which says only what was
 * queued there before it: so it comes behind the last second leg, whichever piece went last. Flights end in the order in
 * which they began, so that is the one of the unit's newest flight; without a flight all went directly, and it comes now.
 */
static int all_sent(struct dt2_session *session, size_t index, struct dt2_error *err)
{
    struct dt2_prefetch *prefetch = &session->prefetch;
    for (size_t i = prefetch->flight_count; i-- > 0;)
        if (prefetch->flights[i].unit == index) {
            prefetch->flights[i].last = true;
            return 0;
        }
    return arrive(session, index, err);
}

/* Sends the next piece of the current unit. */
static void send_piece(struct dt2_session *session)
{
    struct dt2_prefetch *prefetch = &session->prefetch;
    size_t index = prefetch->current;
    struct dt2_stretch piece;
    struct dt2_flight flight;
    struct dt2_error failure;
    find_piece(session, &piece);
    pthread_mutex_unlock(&session->lock);
    int rc = dt2_prefetch_wait_for_readers(session, prefetch->part + 1, &failure);
    if (rc == 0)
        rc = dt2_route_begin(session, &session->units.units[index], &piece, &flight, &failure);
    pthread_mutex_lock(&session->lock);
    if (rc < 0) {
        dt2_prefetch_abandon(session, index, &failure);
        return;
    }
    prefetch->at = piece.target + flight.bytes;
    flight.unit = index;
    if (rc == 0)
        prefetch->flights[prefetch->flight_count++] = flight;
    if (find_piece(session, &piece))
        return;
    prefetch->current = DT2_NOWHERE;
    session->total.bytes += session->units.units[index].payload;
    /* for those who come to the rest of their places */
    rc = dt2_prefetch_wait_for_readers(session, prefetch->part_count, &failure);
    if (rc == 0)
        rc = all_sent(session, index, &failure);
    if (rc < 0)
        dt2_prefetch_abandon(session, index, &failure);
}

/* Ends the oldest flight. */
static void finish_flight(struct dt2_session *session)
{
    struct dt2_prefetch *prefetch = &session->prefetch;
    struct dt2_flight flight = prefetch->flights[0];
    struct dt2_error failure;
    memmove(prefetch->flights, prefetch->flights + 1, --prefetch->flight_count * sizeof *prefetch->flights);
    pthread_mutex_unlock(&session->lock);
    int rc = dt2_route_finish(session, &flight, false, &failure);
    pthread_mutex_lock(&session->lock);
    if (rc == 0 && flight.last)
        rc = arrive(session, flight.unit, &failure);
    if (rc < 0)
        dt2_prefetch_abandon(session, flight.unit, &failure);
}

/* Takes note of the oldest unit whose arrival the host waits for; `blocking` false: only when it is there. */
static bool land(struct dt2_session *session, bool blocking)
{
    struct dt2_prefetch *prefetch = &session->prefetch;
    if (prefetch->landing_count == 0)
        return false;
    const struct dt2_opened *o = session->compute;
    size_t index = prefetch->landing[0];
    struct dt2_unit *unit = &session->units.units[index];
    struct dt2_backend_error failed = { 0 };
    struct dt2_error failure;
    bool done = true;
    pthread_mutex_unlock(&session->lock); /* the event is the thread's own until the unit is there */
    int status = blocking ? o->backend->event_wait(o->driver, unit->arrival, &failed)
                          : o->backend->event_query(o->driver, unit->arrival, &done, &failed);
    pthread_mutex_lock(&session->lock);
    if (status < 0) {
        dt2_fail_driver(&failure, o->name, &failed);
        dt2_prefetch_abandon(session, index, &failure);
        return true;
    }
    if (!done)
        return false;
    shift(prefetch->landing, &prefetch->landing_count);
    dt2_prefetch_free_event(session, &unit->arrival);
    unit->state = DT2_UNIT_HERE;
    pthread_cond_broadcast(&session->changed);
    return true;
}

/* Whether a piece can be sent: of the current unit, or of the next. A failure that was told counts as work done. */
static bool next_piece(struct dt2_session *session)
{
    if (session->prefetch.current != DT2_NOWHERE)
        return true;
    if (session->asked_count && start_asked(session))
        return true;
    return start_ahead(session);
}

/* One turn of the thread. False: there is nothing to do, and nothing was said since the lock was taken last. */
static bool take_turn(struct dt2_session *session)
{
    struct dt2_prefetch *prefetch = &session->prefetch;
    if (prefetch->shaken)
        dt2_prefetch_abandon(session, DT2_NOWHERE, NULL);
    while (land(session, false))
        ;
    if (prefetch->stop || prefetch->shaken)
        return true;
    if (prefetch->flight_count < DT2_FLIGHTS_MOST / 2 && next_piece(session)) {
        if (prefetch->current != DT2_NOWHERE)
            send_piece(session);
        return true;
    }
    if (prefetch->flight_count == 0)
        return land(session, true);
    finish_flight(session);
    return true;
}

/*
 * The thread waits only where it has looked, since it took the lock last, at all that may end the wait: it lets go of the
 * lock while it abandons and lands, and what is said meanwhile is said once.
 */
void *dt2_prefetch_run(void *data)
{
    struct dt2_session *session = data;
    pthread_mutex_lock(&session->lock);
    while (!session->prefetch.stop && dt2_turn_begin()) {
        bool worked = take_turn(session);
        dt2_turn_end();
        if (!worked)
            pthread_cond_wait(&session->work, &session->lock);
    }
    session->prefetch.ended = !session->prefetch.stop;
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
    return NULL;
}
