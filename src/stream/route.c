/* SPDX-License-Identifier: BSD-3-Clause */
/* From a share's device to the window. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/ending.h"
#include "base/error.h"
#include "model/model.h"
#include "stream/stream.h"
#include <inttypes.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)
#define HOST_COPY_MOST (8 * MIB) /* that the thread copies itself before it looks around again */

/* -- making ------------------------------------------------------------------------------------------------ */

static bool host_reads(const struct dt2_opened *opened)
{
    return opened->flags & DT2_DEVICE_HOST_ADDRESSABLE;
}

/* What a donor can do by itself; where its memory can be mapped for the host to read, that comes later. */
static enum dt2_route_kind choose(const struct dt2_opened *donor, const struct dt2_opened *compute)
{
    bool same_driver = donor->driver == compute->driver;
    if (host_reads(donor))
        return compute->flags & DT2_DEVICE_SHARES_HOST ? DT2_ROUTE_DIRECT : DT2_ROUTE_GATHER;
    if (host_reads(compute))
        return DT2_ROUTE_READ;
    return same_driver && compute->backend->copy_peer ? DT2_ROUTE_PEER : DT2_ROUTE_RELAY;
}

/*
 * A peer is not trusted unseen: where what it sends does not arrive, or nobody can say, bytes go through the host. A pair of
 * which neither reaches the other keeps its route: the runtime goes through the host by itself, in a pipeline of its own.
 */
static int try_peer(struct dt2_session *session, struct dt2_route *route, struct dt2_error *err)
{
    const struct dt2_opened *donor = route->store->opened, *compute = session->compute;
    struct dt2_backend_error failure = { .text = "bytes that go directly do not arrive" };
    enum dt2_peer_verdict verdict = DT2_PEER_BROKEN;
    if (route->kind != DT2_ROUTE_PEER || !DT2_BACKEND_HAS(compute->backend, peer_check))
        return 0;
    int status = compute->backend->peer_check(compute->driver, compute->device, donor->device, &verdict, &failure);
    if (status == 0 && verdict != DT2_PEER_BROKEN)
        return 0;
    route->kind = DT2_ROUTE_RELAY;
    return dt2_notes_add(&session->notes, err, "from %s to %s bytes go through the host: %s", donor->name,
                              compute->name, failure.text);
}

/* Two devices in host memory, such as OpenCL on processors: one copy between them, for which the donor's is mapped. */
static void try_mapping(struct dt2_route *route, const struct dt2_opened *compute)
{
    const struct dt2_store *store = route->store;
    const struct dt2_opened *o = store->opened;
    if (route->kind != DT2_ROUTE_RELAY || !(o->flags & compute->flags & DT2_DEVICE_SHARES_HOST) ||
        !o->backend->buffer_map || !o->backend->buffer_unmap)
        return;
    for (size_t i = 0; i < store->slab_count; i++) {
        void *address;
        if (o->backend->buffer_map(o->driver, route->queue, store->slabs[i].buffer, 0, store->slabs[i].bytes,
                                   DT2_MAP_READ, &address, NULL) < 0)
            return; /* what is mapped is unmapped with the rest */
        route->sources[i].address = address;
        route->sources[i].mapped = true;
    }
    route->kind = DT2_ROUTE_DIRECT;
}

static int make_route(struct dt2_session *session, struct dt2_route *route, const struct dt2_store *store,
                      struct dt2_error *err)
{
    const struct dt2_opened *donor = store->opened;
    struct dt2_backend_error failure = { 0 };
    route->store = store;
    route->sources = dt2_alloc(store->slab_count, sizeof *route->sources);
    if (!route->sources)
        return dt2_fail_nomem(err);
    route->kind = choose(donor, session->compute);
    int rc = try_peer(session, route, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < store->slab_count; i++)
        route->sources[i].address = store->slabs[i].address;
    if (route->kind != DT2_ROUTE_READ && route->kind != DT2_ROUTE_RELAY)
        return 0;
    if (donor->backend->queue_create(donor->driver, donor->device, &route->queue, &failure) < 0)
        return dt2_fail_driver(err, donor->name, &failure);
    try_mapping(route, session->compute);
    return 0;
}

int dt2_routes_make(struct dt2_session *session, struct dt2_error *err)
{
    const struct dt2_storage *storage = &session->model->storage;
    struct dt2_prefetch *prefetch = &session->prefetch;
    int rc = 0;
    prefetch->routes = dt2_alloc(storage->count, sizeof *prefetch->routes);
    if (!prefetch->routes)
        return dt2_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < session->units.count; i++) {
        struct dt2_route *route = &prefetch->routes[session->units.units[i].share];
        if (!route->store)
            rc = make_route(session, route, &storage->stores[session->units.units[i].share], err);
    }
    if (rc == 0)
        rc = dt2_session_pin(session, err);
    for (size_t i = 0; rc == 0 && session->pins.of && i < storage->count; i++)
        prefetch->routes[i].pinning = session->pins.of[i];
    return rc == 0 ? dt2_session_pin_window(session, err) : rc;
}

static void clear_route(struct dt2_session *session, struct dt2_route *route)
{
    const struct dt2_opened *donor = route->store->opened;
    dt2_session_unpin_window(session, route);
    for (size_t i = 0; i < route->slots_pinned; i++)
        donor->backend->host_unregister(donor->driver, donor->device, session->prefetch.staging.slots[i].memory, NULL);
    for (size_t i = 0; route->sources && i < route->store->slab_count; i++) {
        const struct dt2_source *source = &route->sources[i];
        if (source->mapped)
            donor->backend->buffer_unmap(donor->driver, route->queue, route->store->slabs[i].buffer,
                                         (void *)(uintptr_t)source->address, NULL);
    }
    if (route->queue)
        donor->backend->queue_destroy(donor->driver, route->queue, NULL);
    dt2_release(route->sources);
}

void dt2_routes_clear(struct dt2_session *session)
{
    struct dt2_prefetch *prefetch = &session->prefetch;
    dt2_session_pin_stop(session);
    for (size_t i = 0; prefetch->routes && i < session->model->storage.count; i++)
        if (prefetch->routes[i].store)
            clear_route(session, &prefetch->routes[i]);
    dt2_release(prefetch->routes);
    prefetch->routes = NULL;
}

/* How much of a slab is pinned by now. */
static uint64_t pinned(const struct dt2_route *route, size_t slab)
{
    return route->pinning ? dt2_pinning_bytes(route->pinning, slab) : 0;
}

bool dt2_routes_stage(const struct dt2_session *session)
{
    for (size_t i = 0; i < session->model->storage.count; i++) {
        const struct dt2_route *route = &session->prefetch.routes[i];
        if (route->kind == DT2_ROUTE_RELAY)
            return true;
        for (size_t j = 0; route->kind == DT2_ROUTE_GATHER && j < route->store->slab_count; j++)
            if (pinned(route, j) < route->store->slabs[j].bytes)
                return true;
    }
    return false;
}

static bool uses_others_slots(const struct dt2_session *session, const struct dt2_route *route)
{
    return route->kind == DT2_ROUTE_RELAY && route->store->opened->driver != session->compute->driver;
}

bool dt2_routes_share_slots(const struct dt2_session *session)
{
    for (size_t i = 0; i < session->model->storage.count; i++)
        if (uses_others_slots(session, &session->prefetch.routes[i]))
            return true;
    return false;
}

/* Whether another route has pinned the slots for the driver of this one: for all of the driver's devices. */
static bool are_pinned(const struct dt2_session *session, const struct dt2_route *route)
{
    for (size_t i = 0; i < session->model->storage.count; i++) {
        const struct dt2_route *other = &session->prefetch.routes[i];
        if (other != route && other->slots_pinned && other->store->opened->driver == route->store->opened->driver)
            return true;
    }
    return false;
}

/* Pins the slots for the donor of a route. */
static int pin_slots(struct dt2_session *session, struct dt2_route *route, struct dt2_error *err)
{
    const struct dt2_opened *o = route->store->opened;
    const struct dt2_staging *staging = &session->prefetch.staging;
    struct dt2_backend_error failure = { 0 };
    int status = 0;
    if (!o->backend->host_register || !o->backend->host_unregister)
        return 0;
    while (status == 0 && route->slots_pinned < staging->count) {
        status = o->backend->host_register(o->driver, o->device, staging->slots[route->slots_pinned].memory,
                                           staging->slot_bytes, &failure);
        route->slots_pinned += status == 0;
    }
    return status == 0 ? 0
                       : dt2_notes_add(&session->notes, err, "staging memory between %s and %s is not pinned for %s: %s",
                                       o->name, session->compute->name, o->name, failure.text);
}

int dt2_routes_pin_slots(struct dt2_session *session, struct dt2_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < session->model->storage.count; i++) {
        struct dt2_route *route = &session->prefetch.routes[i];
        if (uses_others_slots(session, route) && !are_pinned(session, route))
            rc = pin_slots(session, route, err);
    }
    return rc;
}

/* -- going ------------------------------------------------------------------------------------------------- */

/* A place in the window as its slab and the offset there. */
static dt2_handle window_at(const struct dt2_session *session, uint64_t place, uint64_t *offset)
{
    *offset = place % session->places.slab_bytes;
    return session->prefetch.window.slabs[place / session->places.slab_bytes].buffer;
}

/* One copy that the compute device makes by itself, from an address or from a peer. */
static int copy_direct(struct dt2_session *session, const struct dt2_flight *flight, const struct dt2_stretch *piece,
                       struct dt2_error *err)
{
    const struct dt2_opened *o = session->compute;
    const struct dt2_route *route = flight->route;
    struct dt2_backend_error failure = { 0 };
    uint64_t offset, source = piece->source;
    dt2_handle window = window_at(session, flight->offset, &offset);
    int status = route->kind == DT2_ROUTE_PEER
                     ? o->backend->copy_peer(o->driver, session->prefetch.staging.queue, window, offset,
                                             route->store->slabs[piece->slab].buffer, source, flight->bytes, &failure)
                     : o->backend->copy_h2d(o->driver, session->prefetch.staging.queue, window, offset,
                                            route->sources[piece->slab].address + source, flight->bytes, &failure);
    return status < 0 ? dt2_fail_driver(err, o->name, &failure) : 0;
}

/* Queues the donor's copy to host memory, with an event behind it. */
static int copy_from_donor(const struct dt2_route *route, const struct dt2_stretch *piece, void *to,
                           struct dt2_flight *flight, struct dt2_error *err)
{
    const struct dt2_opened *o = route->store->opened;
    struct dt2_backend_error failure = { 0 };
    int status = o->backend->copy_d2h(o->driver, route->queue, route->store->slabs[piece->slab].buffer,
                                      piece->source, to, flight->bytes, &failure);
    if (status == 0)
        status = o->backend->event_record(o->driver, route->queue, &flight->event, &failure);
    if (status < 0) { /* nothing says when the memory is free: wait here */
        o->backend->queue_wait(o->driver, route->queue, NULL);
        flight->event = 0;
        return dt2_fail_driver(err, o->name, &failure);
    }
    return 0;
}

/* The address of a place in a window that the host can write. */
static char *window_address(const struct dt2_session *session, uint64_t place)
{
    return (char *)session->prefetch.window.slabs[place / session->places.slab_bytes].address +
           place % session->places.slab_bytes;
}

/* Fills a slot, which the second leg empties. */
static int fill_slot(struct dt2_session *session, const struct dt2_stretch *piece, struct dt2_flight *flight,
                     struct dt2_error *err)
{
    const struct dt2_route *route = flight->route;
    int rc = dt2_staging_take(&session->prefetch.staging, &flight->slot, err);
    if (rc < 0)
        return rc;
    if (route->kind == DT2_ROUTE_GATHER)
        dt2_gather(&session->prefetch.gatherers, flight->slot->memory, route->sources[piece->slab].address + piece->source,
                   flight->bytes);
    else
        rc = copy_from_donor(route, piece, flight->slot->memory, flight, err);
    if (rc < 0)
        dt2_staging_return(&session->prefetch.staging, flight->slot);
    return rc;
}

/*
 * How much of a piece goes at one go, and whether it goes directly. A copy reads pinned memory of one registration, or memory
 * that is not pinned: drivers take a mixture for neither.
 */
static uint64_t bytes_at_once(const struct dt2_session *session, const struct dt2_route *route,
                              const struct dt2_stretch *piece, bool *direct)
{
    uint64_t left = piece->bytes, source = piece->source, end = pinned(route, piece->slab);
    *direct = route->kind == DT2_ROUTE_DIRECT || route->kind == DT2_ROUTE_PEER;
    if (source < end) {
        *direct = true;
        return dt2_min(left, dt2_min(source - source % DT2_PIN_PIECE + DT2_PIN_PIECE, end) - source);
    }
    if (route->kind == DT2_ROUTE_DIRECT && (host_reads(session->compute) || route->pinning))
        return dt2_min(left, HOST_COPY_MOST);
    return *direct || route->kind == DT2_ROUTE_READ ? left : dt2_min(left, session->prefetch.staging.slot_bytes);
}

int dt2_route_begin(struct dt2_session *session, const struct dt2_unit *unit, const struct dt2_stretch *piece,
                    struct dt2_flight *flight, struct dt2_error *err)
{
    struct dt2_route *route = &session->prefetch.routes[unit->share];
    bool direct;
    *flight = (struct dt2_flight){ .route = route, .offset = unit->offset + piece->target };
    flight->bytes = bytes_at_once(session, route, piece, &direct);
    int rc;
    if (direct)
        rc = copy_direct(session, flight, piece, err);
    else if (route->kind == DT2_ROUTE_READ)
        rc = copy_from_donor(route, piece, window_address(session, flight->offset), flight, err);
    else
        rc = fill_slot(session, piece, flight, err);
    return rc < 0 ? rc : direct;
}

int dt2_route_finish(struct dt2_session *session, struct dt2_flight *flight, bool lost, struct dt2_error *err)
{
    const struct dt2_opened *donor = flight->route->store->opened;
    struct dt2_backend_error failure = { 0 };
    int rc = 0;
    if (flight->event) {
        if (donor->backend->event_wait(donor->driver, flight->event, &failure) < 0) {
            rc = dt2_fail_driver(err, donor->name, &failure);
            donor->backend->queue_wait(donor->driver, flight->route->queue, NULL); /* before the memory is used again */
        }
        donor->backend->event_free(donor->driver, flight->event, NULL);
    }
    if (!flight->slot)
        return rc;
    if (rc == 0 && dt2_ending()) /* the wait was a long one */
        rc = dt2_fail(err, DT2_ECANCELLED, "the program is ending");
    if (rc < 0 || lost) {
        dt2_staging_return(&session->prefetch.staging, flight->slot);
        return rc;
    }
    uint64_t offset;
    dt2_handle window = window_at(session, flight->offset, &offset);
    const struct dt2_copy copy = { 0, window, offset, flight->bytes };
    return dt2_staging_send(&session->prefetch.staging, flight->slot, &copy, 1, err);
}
