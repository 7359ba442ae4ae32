/* SPDX-License-Identifier: BSD-3-Clause */
/* Window, staging, routes, and the thread that fetches units ahead. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/ending.h"
#include "base/error.h"
#include "model/model.h"
#include "stream/stream.h"
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)
#define STAGING_BYTES (32 * MIB)
#define SLOTS 4
#define SLOT_MOST (8 * MIB)
#define SLOT_LEAST ((uint64_t)64 * 1024)

/* -- places ------------------------------------------------------------------------------------------------ */

/* What must stay: what is read, waited for or on its way; and, while fetching ahead, what was fetched for later. */
static bool keep_needed(void *data, size_t unit)
{
    const struct dt2_unit *u = &((struct dt2_session *)data)->units.units[unit];
    return u->holders || u->waiters || u->state == DT2_UNIT_COMING;
}

static bool keep_wanted(void *data, size_t unit)
{
    return keep_needed(data, unit) || ((struct dt2_session *)data)->units.units[unit].wanted;
}

static void free_event(const struct dt2_session *session, dt2_handle *event)
{
    if (*event)
        session->compute->backend->event_free(session->compute->driver, *event, NULL);
    *event = 0;
}

static void forget(struct dt2_session *session, struct dt2_unit *unit)
{
    free_event(session, &unit->arrival);
    free_event(session, &unit->reader);
    unit->state = DT2_UNIT_ABSENT;
}

void dt2_gear_rewind(struct dt2_session *session)
{
    session->order.lead = 0;
    for (size_t i = 0; i < session->units.count; i++)
        session->units.units[i].wanted = false;
}

/* Puts a part among those that can be written, the first first. */
static void add_part(struct dt2_gear *gear, struct dt2_part part)
{
    size_t at = gear->part_count++;
    for (; at > 0 && gear->parts[at - 1].until > part.until; at--)
        gear->parts[at] = gear->parts[at - 1];
    gear->parts[at] = part;
}

/* Divides the place of a unit into parts, by the units that lie there: their readers come to be of the parts. */
static void divide(struct dt2_session *session, uint64_t offset, uint64_t bytes)
{
    struct dt2_gear *gear = &session->gear;
    uint64_t at = offset, end = offset + bytes;
    size_t first, count = dt2_window_overlapped(&session->places, offset, bytes, &first);
    gear->part_count = gear->part = gear->waited = 0;
    for (size_t i = first; i < first + count; i++) {
        const struct dt2_tenant *tenant = &session->places.tenants[i];
        struct dt2_unit *former = &session->units.units[tenant->unit];
        if (tenant->offset > at) {
            add_part(gear, (struct dt2_part){ .offset = at - offset, .bytes = tenant->offset - at });
            at = tenant->offset;
        }
        uint64_t stop = dt2_min(tenant->offset + tenant->bytes, end);
        add_part(gear, (struct dt2_part){ at - offset, stop - at, former->reader, former->reader ? tenant->until : 0 });
        former->reader = 0;
        at = stop;
    }
    if (at < end)
        add_part(gear, (struct dt2_part){ .offset = at - offset, .bytes = end - at });
    gear->at = gear->parts[0].offset;
}

/* Copies from now on come after the readers of the parts before `end`. */
static int wait_for_readers(struct dt2_session *session, size_t end, struct dt2_error *err)
{
    const struct dt2_opened *o = session->compute;
    struct dt2_gear *gear = &session->gear;
    struct dt2_backend_error failure = { 0 };
    for (; gear->waited < end; gear->waited++) {
        dt2_handle *reader = &gear->parts[gear->waited].reader;
        if (*reader && o->backend->queue_wait_event(o->driver, gear->ring.queue, *reader, &failure) < 0)
            return dt2_fail_driver(err, o->name, &failure);
        free_event(session, reader);
    }
    return 0;
}

/* Blocks until a reader has run; when its event cannot tell, until all has that is queued on the caller's streams. */
static void finish_reader(struct dt2_session *session, dt2_handle *reader)
{
    const struct dt2_opened *o = session->compute;
    if (*reader && o->backend->event_wait(o->driver, *reader, NULL) < 0)
        for (size_t i = 0; i < session->stream_count; i++)
            o->backend->queue_wait(o->driver, session->streams[i].queue, NULL);
    free_event(session, reader);
}

void dt2_gear_drop(struct dt2_session *session, size_t index)
{
    struct dt2_unit *unit = &session->units.units[index];
    finish_reader(session, &unit->reader);
    dt2_window_drop(&session->places, index);
    forget(session, unit);
}

/* The readers of parts that nothing was copied to. */
static void finish_parts(struct dt2_session *session)
{
    for (size_t i = 0; i < session->gear.part_count; i++)
        finish_reader(session, &session->gear.parts[i].reader);
    session->gear.part_count = 0;
}

/* Gives a unit a place, over units that need not stay. */
static void give_place(struct dt2_session *session, size_t index, uint64_t offset)
{
    struct dt2_unit *unit = &session->units.units[index];
    bool dropped = false;
    divide(session, offset, unit->bytes);
    size_t first, count = dt2_window_overlapped(&session->places, offset, unit->bytes, &first);
    for (size_t i = first; i < first + count; i++) {
        struct dt2_unit *former = &session->units.units[session->places.tenants[i].unit];
        dropped |= former->wanted;
        forget(session, former);
    }
    if (dropped)
        dt2_gear_rewind(session);
    dt2_window_put(&session->places, index, offset, unit->bytes);
    unit->offset = offset;
    unit->state = DT2_UNIT_COMING;
    session->total.window_bytes = dt2_max(session->total.window_bytes, dt2_window_used(&session->places));
    session->gear.current = index;
}

/* Gives a unit that is needed now a place over others. False: there is no room. */
static bool place(struct dt2_session *session, size_t index, bool (*keep)(void *, size_t))
{
    uint64_t offset;
    if (!dt2_window_find(&session->places, session->units.units[index].bytes, keep, session, &offset))
        return false;
    give_place(session, index, offset);
    return true;
}

/* What is held on to while the network goes on. */
static bool keep_lasting(void *data, size_t unit)
{
    const struct dt2_session *session = data;
    const struct dt2_unit *u = &session->units.units[unit];
    return u->holders && unit != session->latest;
}

/*
 * Gives a unit that is fetched ahead the place where it will arrive first; when that is one where something still has
 * to stay, it waits for it rather than to take a worse one. False: not now.
 */
static bool place_ahead(struct dt2_session *session, size_t index)
{
    uint64_t offset, bytes = session->units.units[index].bytes;
    if (!dt2_window_find(&session->places, bytes, keep_lasting, session, &offset))
        return false;
    size_t first, count = dt2_window_overlapped(&session->places, offset, bytes, &first);
    for (size_t i = first; i < first + count; i++)
        if (keep_wanted(session, session->places.tenants[i].unit))
            return false;
    give_place(session, index, offset);
    return true;
}

/* -- units that fail, and that arrive ------------------------------------------------------------------------ */

/* Puts a unit into the list of those that somebody waits for. */
void dt2_gear_ask(struct dt2_session *session, size_t index)
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
    session->gear.halted = true;
    dt2_gear_rewind(session);
    pthread_cond_broadcast(&session->changed);
}

/*
 * After a failure on the way to unit `index`: nothing may be on its way any more when the places of what was coming are
 * given to others. All that was coming is dropped; for other units than the one that failed, who waits asks again.
 */
static void abandon(struct dt2_session *session, size_t index, const struct dt2_error *failure)
{
    struct dt2_gear *gear = &session->gear;
    if (dt2_ending())
        return;
    pthread_mutex_unlock(&session->lock);
    for (size_t i = 0; i < gear->flight_count; i++)
        dt2_route_finish(session, &gear->flights[i], true, NULL);
    dt2_ring_drain(&gear->ring, NULL);
    pthread_mutex_lock(&session->lock);
    finish_parts(session);
    gear->flight_count = gear->landing_count = 0;
    gear->current = DT2_NOWHERE;
    gear->shaken = false;
    for (size_t i = 0; i < session->units.count; i++) {
        struct dt2_unit *unit = &session->units.units[i];
        if (unit->state != DT2_UNIT_COMING)
            continue;
        dt2_window_drop(&session->places, i);
        forget(session, unit);
        if (unit->waiters && i != index)
            dt2_gear_ask(session, i);
    }
    if (index != DT2_NOWHERE)
        fail_unit(session, index, failure);
}

/* All of a unit's copies are queued. Its bytes are there once what is queued by now has run. */
static int arrive(struct dt2_session *session, size_t index, struct dt2_error *err)
{
    const struct dt2_opened *o = session->compute;
    struct dt2_unit *unit = &session->units.units[index];
    struct dt2_gear *gear = &session->gear;
    struct dt2_backend_error failure = { 0 };
    bool there = gear->routes[unit->share].kind == DT2_ROUTE_READ || (o->flags & DT2_DEVICE_HOST_ADDRESSABLE);
    if (!there && o->backend->event_record(o->driver, gear->ring.queue, &unit->arrival, &failure) < 0)
        return dt2_fail_driver(err, o->name, &failure);
    if (!there && !dt2_session_queue(session)) {
        gear->landing[gear->landing_count++] = index; /* without a stream the host waits for it */
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
    return session->gear.flight_count || session->gear.landing_count;
}

/* What somebody waits for. True: there is work, or a failure was told. */
static bool start_asked(struct dt2_session *session)
{
    struct dt2_error failure;
    size_t index = session->asked[0];
    struct dt2_unit *unit = &session->units.units[index];
    if (unit->state == DT2_UNIT_ABSENT && !place(session, index, keep_wanted) && !place(session, index, keep_needed)) {
        if (in_transit(session))
            return false;
        dt2_fail(&failure, DT2_EBUSY,
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

/* The next unit that is to be fetched; those before it that are in the window stay there. DT2_NOWHERE: there is none. */
static size_t ahead(struct dt2_session *session)
{
    for (;;) {
        size_t index = session->gear.halted ? DT2_NOWHERE : dt2_order_ahead(&session->order);
        if (index == DT2_NOWHERE || session->units.units[index].state == DT2_UNIT_ABSENT)
            return index;
        dt2_window_expect(&session->places, index);
        session->units.units[index].wanted = true;
        dt2_order_fetched(&session->order);
    }
}

/* What comes next. True: there is work. */
static bool start_ahead(struct dt2_session *session)
{
    size_t index = ahead(session);
    if (index == DT2_NOWHERE || !place_ahead(session, index))
        return false;
    session->units.units[index].wanted = true;
    dt2_order_fetched(&session->order);
    return true;
}

void dt2_gear_wake(struct dt2_session *session)
{
    if (session->asked_count || ahead(session) != DT2_NOWHERE)
        pthread_cond_signal(&session->work);
}

/* What is to be sent next of the current unit: of one stretch, into one part. False: all is sent. */
static bool find_piece(struct dt2_session *session, struct dt2_stretch *piece)
{
    struct dt2_gear *gear = &session->gear;
    const struct dt2_unit *unit = &session->units.units[gear->current];
    while (gear->part < gear->part_count) {
        const struct dt2_part *part = &gear->parts[gear->part];
        for (size_t i = 0; i < unit->stretch_count; i++) {
            const struct dt2_stretch *stretch = &session->units.stretches[unit->first_stretch + i];
            uint64_t begin = dt2_max(stretch->target, gear->at);
            uint64_t end = dt2_min(stretch->target + stretch->bytes, part->offset + part->bytes);
            if (begin < end) {
                *piece = (struct dt2_stretch){ stretch->slab, stretch->source + (begin - stretch->target), begin,
                                               end - begin };
                return true;
            }
        }
        if (++gear->part < gear->part_count)
            gear->at = gear->parts[gear->part].offset;
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
    struct dt2_gear *gear = &session->gear;
    for (size_t i = gear->flight_count; i-- > 0;)
        if (gear->flights[i].unit == index) {
            gear->flights[i].last = true;
            return 0;
        }
    return arrive(session, index, err);
}

/* Sends the next piece of the current unit. */
static void send_piece(struct dt2_session *session)
{
    struct dt2_gear *gear = &session->gear;
    size_t index = gear->current;
    struct dt2_stretch piece;
    struct dt2_flight flight;
    struct dt2_error failure;
    find_piece(session, &piece);
    pthread_mutex_unlock(&session->lock);
    int rc = wait_for_readers(session, gear->part + 1, &failure);
    if (rc == 0)
        rc = dt2_route_begin(session, &session->units.units[index], &piece, &flight, &failure);
    pthread_mutex_lock(&session->lock);
    if (rc < 0) {
        abandon(session, index, &failure);
        return;
    }
    gear->at = piece.target + flight.bytes;
    flight.unit = index;
    if (rc == 0)
        gear->flights[gear->flight_count++] = flight;
    if (find_piece(session, &piece))
        return;
    gear->current = DT2_NOWHERE;
    session->total.bytes += session->model->blocks.blocks[session->units.units[index].block].bytes;
    rc = wait_for_readers(session, gear->part_count, &failure); /* for those who come to the rest of their places */
    if (rc == 0)
        rc = all_sent(session, index, &failure);
    if (rc < 0)
        abandon(session, index, &failure);
}

/* Ends the oldest flight. */
static void finish_flight(struct dt2_session *session)
{
    struct dt2_gear *gear = &session->gear;
    struct dt2_flight flight = gear->flights[0];
    struct dt2_error failure;
    memmove(gear->flights, gear->flights + 1, --gear->flight_count * sizeof *gear->flights);
    pthread_mutex_unlock(&session->lock);
    int rc = dt2_route_finish(session, &flight, false, &failure);
    pthread_mutex_lock(&session->lock);
    if (rc == 0 && flight.last)
        rc = arrive(session, flight.unit, &failure);
    if (rc < 0)
        abandon(session, flight.unit, &failure);
}

/* Takes note of the oldest unit whose arrival the host waits for; `blocking` false: only when it is there. */
static bool land(struct dt2_session *session, bool blocking)
{
    struct dt2_gear *gear = &session->gear;
    if (gear->landing_count == 0)
        return false;
    const struct dt2_opened *o = session->compute;
    size_t index = gear->landing[0];
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
        abandon(session, index, &failure);
        return true;
    }
    if (!done)
        return false;
    shift(gear->landing, &gear->landing_count);
    free_event(session, &unit->arrival);
    unit->state = DT2_UNIT_HERE;
    pthread_cond_broadcast(&session->changed);
    return true;
}

/* Whether a piece can be sent: of the current unit, or of the next. A failure that was told counts as work done. */
static bool next_piece(struct dt2_session *session)
{
    if (session->gear.current != DT2_NOWHERE)
        return true;
    if (session->asked_count && start_asked(session))
        return true;
    return start_ahead(session);
}

/* One turn of the thread. False: there is nothing to do, and nothing was said since the lock was taken for the last time. */
static bool take_turn(struct dt2_session *session)
{
    struct dt2_gear *gear = &session->gear;
    if (gear->shaken)
        abandon(session, DT2_NOWHERE, NULL);
    while (land(session, false))
        ;
    if (gear->stop || gear->shaken)
        return true;
    if (gear->flight_count < DT2_FLIGHTS_MOST / 2 && next_piece(session)) {
        if (gear->current != DT2_NOWHERE)
            send_piece(session);
        return true;
    }
    if (gear->flight_count == 0)
        return land(session, true);
    finish_flight(session);
    return true;
}

/*
 * The thread waits only where it has looked, since it took the lock for the last time, at all that may end the wait: it lets
 * go of the lock while it abandons and lands, and what is said meanwhile is said once.
 */
static void *fetch(void *data)
{
    struct dt2_session *session = data;
    pthread_mutex_lock(&session->lock);
    while (!session->gear.stop && dt2_turn_begin()) {
        bool worked = take_turn(session);
        dt2_turn_end();
        if (!worked)
            pthread_cond_wait(&session->work, &session->lock);
    }
    session->gear.ended = true;
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
    return NULL;
}

/* -- made and given back as one -------------------------------------------------------------------------------- */

static int make_window(struct dt2_session *session, struct dt2_error *err)
{
    struct dt2_gear *gear = &session->gear;
    struct dt2_machine *machine = session->model->context->machine;
    size_t count = session->places.slab_count;
    struct dt2_backend_error failure = { 0 };
    DT2_AUTO uint64_t *slabs = dt2_alloc(count, sizeof *slabs);
    gear->natives = dt2_alloc(count, sizeof *gear->natives);
    if (!slabs || !gear->natives)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < count; i++)
        slabs[i] = session->places.slab_bytes;
    int rc = dt2_machine_open(machine, session->compute->name, &gear->window.opened, err);
    if (rc == 0)
        rc = dt2_store_alloc(machine, &gear->window, slabs, count, err);
    if (rc == 0) {
        gear->charged_bytes = dt2_window_bytes(&session->places);
        atomic_fetch_add(&session->model->window_bytes, gear->charged_bytes);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct dt2_opened *o = gear->window.opened;
        gear->natives[i].struct_size = sizeof *gear->natives;
        if (o->backend->buffer_native(o->driver, gear->window.slabs[i].buffer, &gear->natives[i], &failure) < 0)
            rc = dt2_fail_driver(err, o->name, &failure);
    }
    return rc;
}

/* The queue of copies, with slots when some route needs them. */
static int make_ring(struct dt2_session *session, struct dt2_error *err)
{
    bool staged = dt2_routes_stage(session);
    uint64_t all = session->options.staging_bytes ? session->options.staging_bytes : STAGING_BYTES;
    uint64_t slot = dt2_max(dt2_min(all / SLOTS, SLOT_MOST), SLOT_LEAST) & ~(uint64_t)4095;
    int rc = dt2_ring_make(session->compute, staged ? SLOTS : 0, slot, &session->gear.ring, err);
    if (rc < 0)
        return rc;
    session->staging_bytes = staged ? SLOTS * slot : 0;
    dt2_routes_pin_slots(session);
    return 0;
}

static int start_thread(struct dt2_session *session, struct dt2_error *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&session->gear.thread, NULL, fetch, session);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure)
        return dt2_fail(err, DT2_EFAILED, "cannot start the thread of a session: %s", strerror(failure));
    session->gear.running = true;
    return 0;
}

int dt2_gear_make(struct dt2_session *session, struct dt2_error *err)
{
    struct dt2_gear *gear = &session->gear;
    size_t units = session->units.count;
    *gear = (struct dt2_gear){ .current = DT2_NOWHERE,
                               .landing = dt2_alloc(units, sizeof *gear->landing),
                               .parts = dt2_alloc(2 * units + 1, sizeof *gear->parts) };
    int rc = gear->landing && gear->parts ? 0 : dt2_fail_nomem(err);
    if (rc == 0)
        rc = make_window(session, err);
    if (rc == 0)
        rc = dt2_routes_make(session, err);
    if (rc == 0)
        rc = make_ring(session, err);
    if (rc == 0)
        rc = start_thread(session, err);
    if (rc < 0)
        dt2_gear_clear(session);
    return rc;
}

/* Waits for all that reads or writes the window. */
static void settle(struct dt2_session *session)
{
    for (size_t i = 0; i < session->gear.flight_count; i++)
        dt2_route_finish(session, &session->gear.flights[i], true, NULL);
    if (session->gear.ring.ready)
        dt2_ring_drain(&session->gear.ring, NULL);
    finish_parts(session);
    for (size_t i = 0; i < session->units.count; i++) {
        struct dt2_unit *unit = &session->units.units[i];
        finish_reader(session, &unit->reader);
        forget(session, unit);
        unit->wanted = unit->asked = false;
    }
    session->places.count = 0;
    session->places.next = session->places.copied = session->places.read = 0;
    session->order.lead = 0;
    session->asked_count = 0;
}

void dt2_gear_clear(struct dt2_session *session)
{
    struct dt2_gear *gear = &session->gear;
    if (gear->running) {
        pthread_mutex_lock(&session->lock);
        gear->stop = true;
        pthread_cond_signal(&session->work);
        pthread_mutex_unlock(&session->lock);
        pthread_join(gear->thread, NULL);
    }
    settle(session);
    dt2_routes_clear(session); /* before the ring, whose slots they pinned */
    dt2_ring_clear(&gear->ring);
    dt2_store_clear(session->model->context->machine, &gear->window);
    atomic_fetch_sub(&session->model->window_bytes, gear->charged_bytes);
    dt2_release(gear->natives);
    dt2_release(gear->landing);
    dt2_release(gear->parts);
    *gear = (struct dt2_gear){ .current = DT2_NOWHERE };
    session->staging_bytes = 0;
}
