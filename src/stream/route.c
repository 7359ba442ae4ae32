/* SPDX-License-Identifier: BSD-3-Clause */
/* From a share's device to the window. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/ending.h"
#include "base/error.h"
#include "load/move.h"
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
    const struct dt2_opened *donor = route->donor, *compute = session->compute;
    struct dt2_backend_error failure = { .text = "bytes that go directly do not arrive" };
    enum dt2_peer_verdict verdict = DT2_PEER_BROKEN;
    if (route->kind != DT2_ROUTE_PEER || !DT2_BACKEND_HAS(compute->backend, peer_check))
        return 0;
    int status = compute->backend->peer_check(compute->driver, compute->device, donor->device, &verdict, &failure);
    if (status == 0 && verdict != DT2_PEER_BROKEN)
        return 0;
    route->kind = DT2_ROUTE_RELAY;
    return dt2_session_say(session, err, "from %s to %s bytes go through the host: %s", donor->name,
                              compute->name, failure.text);
}

/* -- the slabs of a route: those that lie in one place, and stream ----------------------------------------- */

struct slab_walk {
    const struct dt2_session *session;
    size_t at;
    size_t share, index; /* of the slab that was found last */
    const struct dt2_slab *slab;
};

static struct slab_walk walk(const struct dt2_session *session, size_t at)
{
    return (struct slab_walk){ .session = session, .at = at };
}

/* The next slab; false: there is none. */
static bool next_slab(struct slab_walk *walk)
{
    const struct dt2_storage *storage = &walk->session->model->storage;
    for (walk->index += walk->slab != NULL; walk->share < storage->count; walk->share++, walk->index = 0)
        for (; walk->index < storage->stores[walk->share].slab_count; walk->index++) {
            walk->slab = &storage->stores[walk->share].slabs[walk->index];
            if (walk->slab->at == walk->at && (walk->share != walk->session->own || walk->at != walk->share))
                return true;
        }
    return false;
}

static struct dt2_source *source_of(const struct slab_walk *walk)
{
    return &walk->session->prefetch.sources[walk->share][walk->index];
}

/* Two devices in host memory, such as OpenCL on processors: one copy between them, for which the donor's is mapped. */
static void try_mapping(const struct dt2_session *session, size_t at)
{
    struct dt2_route *route = &session->prefetch.routes[at];
    const struct dt2_opened *o = route->donor;
    if (route->kind != DT2_ROUTE_RELAY || !(o->flags & session->compute->flags & DT2_DEVICE_SHARES_HOST) ||
        !o->backend->buffer_map || !o->backend->buffer_unmap)
        return;
    for (struct slab_walk w = walk(session, at); next_slab(&w);) {
        void *address;
        if (o->backend->buffer_map(o->driver, route->queue, w.slab->buffer, 0, w.slab->bytes, DT2_MAP_READ, &address,
                                   NULL) < 0)
            return; /* what is mapped is unmapped with the rest */
        *source_of(&w) = (struct dt2_source){ .address = address, .mapped = true };
    }
    route->kind = DT2_ROUTE_DIRECT;
}

static int make_route(struct dt2_session *session, size_t at, struct dt2_error *err)
{
    struct dt2_route *route = &session->prefetch.routes[at];
    struct dt2_backend_error failure = { 0 };
    const struct dt2_store *store = dt2_storage_at(&session->model->storage, at);
    if (!store) {
        route->kind = DT2_ROUTE_FILE;
        return 0;
    }
    const struct dt2_opened *donor = route->donor = store->opened;
    route->kind = choose(donor, session->compute);
    int rc = try_peer(session, route, err);
    if (rc < 0)
        return rc;
    for (struct slab_walk w = walk(session, at); next_slab(&w);)
        source_of(&w)->address = w.slab->address;
    if (route->kind != DT2_ROUTE_READ && route->kind != DT2_ROUTE_RELAY)
        return 0;
    if (donor->backend->queue_create(donor->driver, donor->device, &route->queue, &failure) < 0)
        return dt2_fail_driver(err, donor->name, &failure);
    try_mapping(session, at);
    return 0;
}

/* Of all places where slabs may lie. */
static size_t route_count(const struct dt2_session *session)
{
    return (size_t)dt2_storage_file(&session->model->storage) + 1;
}

static int alloc_routes(struct dt2_session *session, struct dt2_error *err)
{
    const struct dt2_storage *storage = &session->model->storage;
    struct dt2_prefetch *prefetch = &session->prefetch;
    prefetch->routes = dt2_alloc(route_count(session), sizeof *prefetch->routes);
    prefetch->sources = dt2_alloc(storage->count, sizeof *prefetch->sources);
    bool good = prefetch->routes && prefetch->sources;
    for (size_t i = 0; good && i < storage->count; i++) {
        prefetch->sources[i] = dt2_alloc(storage->stores[i].slab_count, sizeof(struct dt2_source));
        good = prefetch->sources[i];
    }
    return good ? 0 : dt2_fail_nomem(err);
}

int dt2_routes_make(struct dt2_session *session, struct dt2_error *err)
{
    int rc = alloc_routes(session, err);
    for (size_t i = 0; rc == 0 && i < session->units.count; i++) {
        const struct dt2_unit *unit = &session->units.units[i];
        size_t at = dt2_unit_at(unit);
        if (dt2_unit_streams(unit) && session->prefetch.routes[at].kind == DT2_ROUTE_NONE)
            rc = make_route(session, at, err);
    }
    if (rc == 0)
        rc = dt2_session_pin(session, err);
    return rc == 0 ? dt2_session_pin_window(session, err) : rc;
}

static void clear_route(struct dt2_session *session, size_t at)
{
    struct dt2_route *route = &session->prefetch.routes[at];
    const struct dt2_opened *donor = route->donor;
    if (!donor)
        return;
    dt2_session_unpin_window(session, route);
    for (size_t i = 0; i < route->slots_pinned; i++)
        donor->backend->host_unregister(donor->driver, donor->device, session->prefetch.staging.slots[i].memory, NULL);
    for (struct slab_walk w = walk(session, at); next_slab(&w);)
        if (source_of(&w)->mapped)
            donor->backend->buffer_unmap(donor->driver, route->queue, w.slab->buffer,
                                         (void *)(uintptr_t)source_of(&w)->address, NULL);
    if (route->queue)
        donor->backend->queue_destroy(donor->driver, route->queue, NULL);
}

void dt2_routes_clear(struct dt2_session *session)
{
    struct dt2_prefetch *prefetch = &session->prefetch;
    dt2_session_pin_stop(session);
    for (size_t i = 0; prefetch->routes && i < route_count(session); i++)
        clear_route(session, i);
    for (size_t i = 0; prefetch->sources && i < session->model->storage.count; i++)
        dt2_release(prefetch->sources[i]);
    dt2_release(prefetch->sources);
    dt2_release(prefetch->routes);
    prefetch->routes = NULL;
    prefetch->sources = NULL;
}

/* What of a share is pinned; NULL: nothing will be. Slabs of the compute device's own that were evicted are not. */
static const struct dt2_pinning *pinning_of(const struct dt2_session *session, size_t share)
{
    return session->pins.of ? session->pins.of[share] : NULL;
}

/* How much of a slab is pinned by now. */
static uint64_t pinned(const struct dt2_session *session, size_t share, size_t slab)
{
    const struct dt2_pinning *pinning = pinning_of(session, share);
    return pinning ? dt2_pinning_bytes(pinning, slab) : 0;
}

bool dt2_routes_stage(const struct dt2_session *session)
{
    for (size_t i = 0; i < route_count(session); i++) {
        enum dt2_route_kind kind = session->prefetch.routes[i].kind;
        if (kind == DT2_ROUTE_RELAY || (kind == DT2_ROUTE_FILE && !host_reads(session->compute)))
            return true;
        for (struct slab_walk w = walk(session, i); kind == DT2_ROUTE_GATHER && next_slab(&w);)
            if (pinned(session, w.share, w.index) < w.slab->bytes)
                return true;
    }
    return false;
}

static bool uses_others_slots(const struct dt2_session *session, const struct dt2_route *route)
{
    return route->kind == DT2_ROUTE_RELAY && route->donor->driver != session->compute->driver;
}

bool dt2_routes_share_slots(const struct dt2_session *session)
{
    for (size_t i = 0; i < route_count(session); i++)
        if (uses_others_slots(session, &session->prefetch.routes[i]))
            return true;
    return false;
}

/* Whether another route has pinned the slots for the driver of this one: for all of the driver's devices. */
static bool are_pinned(const struct dt2_session *session, const struct dt2_route *route)
{
    for (size_t i = 0; i < route_count(session); i++) {
        const struct dt2_route *other = &session->prefetch.routes[i];
        if (other != route && other->slots_pinned && other->donor->driver == route->donor->driver)
            return true;
    }
    return false;
}

/* Pins the slots for the donor of a route. */
static int pin_slots(struct dt2_session *session, struct dt2_route *route, struct dt2_error *err)
{
    const struct dt2_opened *o = route->donor;
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
                       : dt2_session_say(session, err, "staging memory between %s and %s is not pinned for %s: %s",
                                       o->name, session->compute->name, o->name, failure.text);
}

int dt2_routes_pin_slots(struct dt2_session *session, struct dt2_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < route_count(session); i++) {
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

/* Where a piece comes from. */
struct origin {
    struct dt2_slab_name name;
    const struct dt2_slab *slab;
    const char *address; /* of the slab, for the host; NULL: it has none */
    uint64_t offset;     /* in the slab */
};

static struct origin origin_of(const struct dt2_session *session, const struct dt2_unit *unit, const struct dt2_stretch *piece)
{
    return (struct origin){ .name = { unit->share, piece->slab },
                            .slab = &session->model->storage.stores[unit->share].slabs[piece->slab],
                            .address = session->prefetch.sources[unit->share][piece->slab].address,
                            .offset = piece->source };
}

/* One copy that the compute device makes by itself, from an address or from a peer. */
static int copy_direct(struct dt2_session *session, const struct dt2_flight *flight, const struct origin *from,
                       struct dt2_error *err)
{
    const struct dt2_opened *o = session->compute;
    const struct dt2_route *route = flight->route;
    struct dt2_backend_error failure = { 0 };
    uint64_t offset;
    dt2_handle window = window_at(session, flight->offset, &offset);
    int status = route->kind == DT2_ROUTE_PEER
                     ? o->backend->copy_peer(o->driver, session->prefetch.staging.queue, window, offset,
                                             from->slab->buffer, from->offset, flight->bytes, &failure)
                     : o->backend->copy_h2d(o->driver, session->prefetch.staging.queue, window, offset,
                                            from->address + from->offset, flight->bytes, &failure);
    return status < 0 ? dt2_fail_driver(err, o->name, &failure) : 0;
}

/* Queues the donor's copy to host memory, with an event behind it. */
static int copy_from_donor(const struct dt2_route *route, const struct origin *from, void *to, struct dt2_flight *flight,
                           struct dt2_error *err)
{
    const struct dt2_opened *o = route->donor;
    struct dt2_backend_error failure = { 0 };
    int status = o->backend->copy_d2h(o->driver, route->queue, from->slab->buffer, from->offset, to, flight->bytes, &failure);
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

/* What was evicted to the file alone is read there. */
static int read_from_file(const struct dt2_session *session, const struct origin *from, void *to, uint64_t bytes,
                          struct dt2_error *err)
{
    const struct dt2_model *model = session->model;
    return dt2_slab_read(model->file, &model->layout, from->name, from->offset, bytes, to, err);
}

/* Fills a slot, which the second leg empties. */
static int fill_slot(struct dt2_session *session, const struct origin *from, struct dt2_flight *flight, struct dt2_error *err)
{
    const struct dt2_route *route = flight->route;
    int rc = dt2_staging_take(&session->prefetch.staging, &flight->slot, err);
    if (rc < 0)
        return rc;
    if (route->kind == DT2_ROUTE_GATHER)
        dt2_gather(&session->prefetch.gatherers, flight->slot->memory, from->address + from->offset, flight->bytes);
    else if (route->kind == DT2_ROUTE_FILE)
        rc = read_from_file(session, from, flight->slot->memory, flight->bytes, err);
    else
        rc = copy_from_donor(route, from, flight->slot->memory, flight, err);
    if (rc < 0)
        dt2_staging_return(&session->prefetch.staging, flight->slot);
    return rc;
}

/*
 * How much of a piece goes at one go, and whether it goes directly. A copy reads pinned memory of one registration, or memory
 * that is not pinned: drivers take a mixture for neither.
 */
static uint64_t bytes_at_once(const struct dt2_session *session, const struct dt2_route *route, const struct origin *from,
                              uint64_t left, bool *direct)
{
    uint64_t source = from->offset, end = pinned(session, from->name.share, from->name.slab);
    *direct = route->kind == DT2_ROUTE_DIRECT || route->kind == DT2_ROUTE_PEER;
    if (source < end) {
        *direct = true;
        return dt2_min(left, dt2_min(source - source % DT2_PIN_PIECE + DT2_PIN_PIECE, end) - source);
    }
    if (route->kind == DT2_ROUTE_DIRECT && (host_reads(session->compute) || pinning_of(session, from->name.share)))
        return dt2_min(left, HOST_COPY_MOST);
    if (route->kind == DT2_ROUTE_FILE && host_reads(session->compute)) {
        *direct = true;
        return dt2_min(left, HOST_COPY_MOST);
    }
    return *direct || route->kind == DT2_ROUTE_READ ? left : dt2_min(left, session->prefetch.staging.slot_bytes);
}

int dt2_route_begin(struct dt2_session *session, const struct dt2_unit *unit, const struct dt2_stretch *piece,
                    struct dt2_flight *flight, struct dt2_error *err)
{
    struct dt2_route *route = &session->prefetch.routes[dt2_unit_at(unit)];
    const struct origin from = origin_of(session, unit, piece);
    bool direct;
    *flight = (struct dt2_flight){ .route = route, .offset = unit->offset + piece->target };
    flight->bytes = bytes_at_once(session, route, &from, piece->bytes, &direct);
    int rc;
    if (direct && route->kind == DT2_ROUTE_FILE)
        rc = read_from_file(session, &from, window_address(session, flight->offset), flight->bytes, err);
    else if (direct)
        rc = copy_direct(session, flight, &from, err);
    else if (route->kind == DT2_ROUTE_READ)
        rc = copy_from_donor(route, &from, window_address(session, flight->offset), flight, err);
    else
        rc = fill_slot(session, &from, flight, err);
    return rc < 0 ? rc : direct;
}

int dt2_route_finish(struct dt2_session *session, struct dt2_flight *flight, bool lost, struct dt2_error *err)
{
    const struct dt2_opened *donor = flight->route->donor;
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
