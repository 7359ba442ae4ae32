/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What of the host's memory a session has pinned: shares where they lie, all at once or piece by piece while passes run
 * already, and the window on a host that computes.
 */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/ending.h"
#include "base/error.h"
#include "base/thread.h"
#include "model/model.h"
#include "stream/stream.h"
#include <inttypes.h>
#include <string.h>

/* -- shares */

static bool can_register(const struct dt2_opened *opened)
{
    return opened->backend->host_register && opened->backend->host_unregister;
}

/* Whether copies from a share would be quicker if it were pinned: from memory of the host's to a device that has its own driver. */
static bool gains(const struct dt2_session *session, const struct dt2_route *route)
{
    bool copied = route->kind == DT2_ROUTE_GATHER || route->kind == DT2_ROUTE_DIRECT;
    return copied && !(session->compute->flags & DT2_DEVICE_HOST_ADDRESSABLE) && can_register(session->compute) &&
           route->donor->flags & DT2_DEVICE_HOST_ADDRESSABLE;
}

/* Half of the memory that this process may have: what is pinned cannot be given to anybody while memory is short. */
static int auto_budget(const struct dt2_session *session, uint64_t *budget, struct dt2_error *err)
{
    static const struct dt2_wanted host_alone = { .all = false };
    struct dt2_devices *devices;
    uint64_t least = UINT64_MAX;
    int rc = dt2_machine_list(session->model->context->machine, 0, &host_alone, &devices, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < devices->budget_count; i++)
        if (dt2_charged_to(devices, "cpu", devices->budgets[i].name))
            least = dt2_min(least, devices->budgets[i].total_bytes);
    dt2_devices_free(devices);
    *budget = least / 2;
    return 0;
}

static int choose_budget(struct dt2_session *session, struct dt2_error *err)
{
    session->pins.budget = session->options.pinned_bytes ? session->options.pinned_bytes : UINT64_MAX;
    session->pins.budget_of_all = UINT64_MAX;
    return session->options.host_memory == DT2_HOST_AUTO ? auto_budget(session, &session->pins.budget_of_all, err) : 0;
}

static uint64_t left_to_pin(const struct dt2_session *session)
{
    uint64_t all = atomic_load(&session->model->context->pinned_bytes);
    return dt2_min(dt2_sub_floor(session->pins.budget, dt2_session_pinned(session)),
                   dt2_sub_floor(session->pins.budget_of_all, all));
}

/* Memory of the caller's is left as it is unless pinning was asked for: it may be pinned already, or not be for pinning. */
static bool may_pin(const struct dt2_session *session, const struct dt2_slab *slab)
{
    return !slab->adopted || session->options.host_memory == DT2_HOST_PINNED;
}

/* Takes the pinning of each share that gains by it: once for the life of a session. */
static int take_all(struct dt2_session *session, struct dt2_error *err)
{
    const struct dt2_storage *storage = &session->model->storage;
    if (session->pins.of)
        return 0;
    struct dt2_pinning **of = dt2_alloc(storage->count, sizeof(struct dt2_pinning *));
    int rc = of ? choose_budget(session, err) : dt2_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < storage->count; i++)
        if (i != session->own && gains(session, &session->prefetch.routes[i]))
            rc = dt2_pinning_take(&session->model->pins, &storage->stores[i], session->compute, &of[i], err);
    pthread_mutex_lock(&session->lock); /* others ask what is pinned */
    session->pins.of = of;
    pthread_mutex_unlock(&session->lock);
    return rc;
}

uint64_t dt2_session_pinned(const struct dt2_session *session)
{
    const struct dt2_storage *storage = &session->model->storage;
    uint64_t bytes = 0;
    for (size_t i = 0; session->pins.of && i < storage->count; i++)
        for (size_t j = 0; session->pins.of[i] && j < storage->stores[i].slab_count; j++)
            bytes += dt2_pinning_bytes(session->pins.of[i], j);
    return bytes;
}

/* One piece more of some share. Returns 1 when there was one, 0 when all is pinned that may be; what the driver refuses. */
static int pin_one(struct dt2_session *session, struct dt2_error *err)
{
    const struct dt2_storage *storage = &session->model->storage;
    uint64_t left = left_to_pin(session), added = 0;
    for (size_t i = 0; left > 0 && i < storage->count; i++)
        for (size_t j = 0; session->pins.of[i] && j < storage->stores[i].slab_count; j++) {
            if (!may_pin(session, &storage->stores[i].slabs[j]))
                continue;
            int rc = dt2_pinning_add(session->pins.of[i], j, left, &added, err);
            if (rc < 0 || added > 0)
                return rc < 0 ? rc : 1;
        }
    return 0;
}

static uint64_t all_that_gains(const struct dt2_session *session)
{
    const struct dt2_storage *storage = &session->model->storage;
    uint64_t bytes = 0;
    for (size_t i = 0; i < storage->count; i++)
        for (size_t j = 0; session->pins.of[i] && j < storage->stores[i].slab_count; j++)
            if (may_pin(session, &storage->stores[i].slabs[j]))
                bytes += storage->stores[i].slabs[j].bytes;
    return bytes;
}

/* What cannot be pinned goes through staging memory, which is worth a warning. */
static int warn_refusal(struct dt2_session *session, const struct dt2_error *refusal, struct dt2_error *err)
{
    return dt2_session_say(session, err, "%" PRIu64 " of %" PRIu64 " bytes in host memory could be pinned for %s: %s",
                         dt2_session_pinned(session), all_that_gains(session), session->compute->name, refusal->text);
}

/* Pins as the passes go on, until all is, the driver has had enough, or somebody says stop. */
static void *pin_on(void *data)
{
    struct dt2_session *session = data;
    struct dt2_error refusal;
    int rc = 1;
    while (rc > 0 && !atomic_load(&session->pins.stop) && dt2_turn_begin()) {
        rc = pin_one(session, &refusal);
        dt2_turn_end();
    }
    if (rc < 0)
        (void)warn_refusal(session, &refusal, NULL); /* without memory it is not said */
    return NULL;
}

static int start(struct dt2_session *session)
{
    atomic_store(&session->pins.stop, false);
    session->pins.running = dt2_thread_start(&session->pins.thread, pin_on, session) == 0; /* else it goes without */
    return 0;
}

static int pin_now(struct dt2_session *session, struct dt2_error *err)
{
    struct dt2_error refusal;
    int rc;
    do
        rc = pin_one(session, &refusal);
    while (rc > 0);
    return rc < 0 ? warn_refusal(session, &refusal, err) : 0;
}

static int warn_unable(struct dt2_session *session, struct dt2_error *err)
{
    for (size_t i = 0; i < session->model->storage.count; i++)
        if (session->prefetch.routes[i].kind == DT2_ROUTE_GATHER && !can_register(session->compute))
            return dt2_session_say(session, err, "nothing in host memory is pinned for %s: its driver cannot",
                                 session->compute->name);
    return 0;
}

int dt2_session_pin(struct dt2_session *session, struct dt2_error *err)
{
    if (session->options.host_memory == DT2_HOST_PAGEABLE)
        return 0;
    int rc = take_all(session, err);
    if (rc == 0 && session->options.host_memory == DT2_HOST_PINNED)
        rc = warn_unable(session, err);
    if (rc < 0 || all_that_gains(session) == 0)
        return rc;
    return session->options.host_memory == DT2_HOST_PINNED ? pin_now(session, err) : start(session);
}

void dt2_session_pin_stop(struct dt2_session *session)
{
    atomic_store(&session->pins.stop, true);
    if (session->pins.running)
        pthread_join(session->pins.thread, NULL);
    session->pins.running = false;
}

void dt2_session_unpin(struct dt2_session *session)
{
    for (size_t i = 0; session->pins.of && i < session->model->storage.count; i++)
        dt2_pinning_drop(&session->model->pins, session->pins.of[i]);
    dt2_release(session->pins.of);
    session->pins.of = NULL;
}

/* -- the window, where the host computes: donors copy to it */

static bool is_first_of_driver(const struct dt2_session *session, size_t route)
{
    const struct dt2_route *routes = session->prefetch.routes;
    for (size_t i = 0; i < route; i++)
        if (routes[i].kind == DT2_ROUTE_READ && routes[i].donor->driver == routes[route].donor->driver)
            return false;
    return true;
}

static int pin_window_for(struct dt2_session *session, struct dt2_route *route, struct dt2_error *err)
{
    const struct dt2_opened *o = route->donor;
    const struct dt2_store *window = &session->prefetch.window;
    struct dt2_backend_error failure = { 0 };
    int status = 0;
    while (status == 0 && route->window_pinned < window->slab_count) {
        const struct dt2_slab *slab = &window->slabs[route->window_pinned];
        status = o->backend->host_register(o->driver, o->device, slab->address, slab->bytes, &failure);
        if (status == 0)
            dt2_keep_from_children(slab->address, slab->bytes, true);
        route->window_pinned += status == 0;
    }
    return status == 0 ? 0
                       : dt2_session_say(session, err, "the window on %s is not pinned for %s: %s",
                                       session->compute->name, o->name, failure.text);
}

int dt2_session_pin_window(struct dt2_session *session, struct dt2_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < session->model->storage.count; i++) {
        struct dt2_route *route = &session->prefetch.routes[i];
        if (route->kind == DT2_ROUTE_READ && can_register(route->donor) && is_first_of_driver(session, i))
            rc = pin_window_for(session, route, err);
    }
    return rc;
}

void dt2_session_unpin_window(struct dt2_session *session, struct dt2_route *route)
{
    const struct dt2_opened *o = route->donor;
    while (route->window_pinned > 0) {
        const struct dt2_slab *slab = &session->prefetch.window.slabs[--route->window_pinned];
        o->backend->host_unregister(o->driver, o->device, slab->address, NULL);
        dt2_keep_from_children(slab->address, slab->bytes, false);
    }
}
