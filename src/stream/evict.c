/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Slabs of the compute device's share that leave it while sessions run, and come back. Bytes never change, so they are copied
 * first, while everybody reads on; then all sessions are frozen for a moment, and what nobody uses by then changes places.
 */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "load/move.h"
#include "model/model.h"
#include "plan/capacity.h"
#include "stream/stream.h"
#include <inttypes.h>
#include <string.h>

/* One slab that is to change places. */
struct move {
    size_t index;         /* of the compute device's share */
    struct dt2_slab twin; /* where it is to lie, filled; and, once it has moved, what it had before */
    bool claimed;         /* nobody uses it, and nobody begins to */
};

struct moving {
    struct dt2_model *model;
    size_t own; /* the compute device's share */
    struct dt2_store *store; /* its */
    struct move *moves;
    size_t count;
    bool *leaving; /* of each slab: whether it is to leave, or has */
    struct dt2_devices *devices; /* what is free, less what was taken of it here */
    struct dt2_capacity capacity;
    struct dt2_error refusal; /* why the last slab that got no memory got none */
};

/* -- beginning and end ----------------------------------------------------------------------------------------- */

static int hold(struct moving *moving, const char *device, uint64_t bytes, struct dt2_error *err)
{
    size_t index;
    int rc = dt2_devices_find(moving->devices, device, &index, err);
    if (rc == 0)
        dt2_capacity_hold(&moving->capacity, index, bytes);
    return rc;
}

/* What the plan charged, and where slabs are by now, counts in what it was allowed outright. */
static int count_held(struct moving *moving, struct dt2_error *err)
{
    const struct dt2_model *model = moving->model;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < dt2_plan_share_count(model->plan); i++) {
        const struct dt2_share *share = dt2_plan_share(model->plan, i);
        uint64_t away = i == moving->own ? dt2_storage_evicted(&model->storage) : 0;
        rc = hold(moving, share->device, dt2_sub_floor(share->cost_bytes, away), err);
    }
    for (size_t i = 0; rc == 0 && i < moving->store->slab_count; i++) {
        const struct dt2_slab *slab = &moving->store->slabs[i];
        if (slab->at != moving->own && slab->at != dt2_storage_file(&model->storage))
            rc = hold(moving, dt2_model_device_at(model, slab->at), slab->bytes, err);
    }
    return rc;
}

/* What devices have free now, by the plan's reserves and budgets; what comes home leaves no reserve, it was let in once. */
static int look_round(struct moving *moving, bool home, struct dt2_error *err)
{
    const struct dt2_plan *plan = moving->model->plan;
    struct dt2_request request = dt2_plan_request(plan);
    DT2_AUTO struct dt2_limit *reserves = dt2_alloc(request.reserve_count + 1, sizeof *reserves);
    struct dt2_wanted wanted;
    size_t compute;
    if (!reserves)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < request.reserve_count; i++)
        reserves[i] = request.reserves[i];
    if (home)
        reserves[request.reserve_count++] = (struct dt2_limit){ dt2_plan_compute_device(plan), 0 };
    request.reserves = reserves;
    int rc = dt2_request_wanted(&request, &wanted, err);
    for (size_t i = 0; i < dt2_plan_share_count(plan); i++)
        dt2_wanted_device(&wanted, dt2_plan_share(plan, i)->device);
    if (rc == 0)
        rc = dt2_context_devices(moving->model->context, DT2_DEVICES_FREE, &wanted, &moving->devices, err);
    if (rc == 0)
        rc = dt2_devices_find(moving->devices, dt2_plan_compute_device(plan), &compute, err);
    if (rc == 0)
        rc = dt2_capacity_make(moving->devices, &request, compute, &moving->capacity, err);
    return rc == 0 ? count_held(moving, err) : rc;
}

static int begin(struct dt2_model *model, bool home, struct moving *moving, struct dt2_error *err)
{
    *moving = (struct moving){ .model = model, .own = dt2_plan_own_share(model->plan) };
    if (moving->own == SIZE_MAX)
        return 0;
    moving->store = &model->storage.stores[moving->own];
    moving->moves = dt2_alloc(moving->store->slab_count, sizeof *moving->moves);
    moving->leaving = dt2_alloc(moving->store->slab_count, sizeof *moving->leaving);
    return moving->moves && moving->leaving ? look_round(moving, home, err) : dt2_fail_nomem(err);
}

/* Memory that is nobody's place by now: twins that did not move, and what those left that did. */
static void free_twins(struct moving *moving)
{
    for (size_t i = 0; i < moving->count; i++) {
        struct move *move = &moving->moves[i];
        struct dt2_store *store = dt2_storage_at(&moving->model->storage, move->twin.at);
        if (store)
            dt2_slab_free(store, &move->twin);
    }
    moving->count = 0;
}

static void end(struct moving *moving)
{
    free_twins(moving);
    dt2_release(moving->moves);
    dt2_release(moving->leaving);
    dt2_capacity_clear(&moving->capacity);
    dt2_devices_free(moving->devices);
}

/* -- room ------------------------------------------------------------------------------------------------------ */

/* Takes memory for a slab at `at`, whose device has room for it. Errors: why there is none; also kept as the refusal. */
static int take_room(struct moving *moving, size_t at, struct move *move)
{
    struct dt2_model *model = moving->model;
    struct dt2_store *store = dt2_storage_at(&model->storage, at);
    struct dt2_error *err = &moving->refusal;
    const char *device = dt2_model_device_at(model, at);
    size_t index;
    int rc = dt2_devices_find(moving->devices, device, &index, err);
    if (rc < 0)
        return rc;
    uint64_t left = dt2_capacity_left(&moving->capacity, index);
    if (left != DT2_UNKNOWN && left < move->twin.bytes)
        return dt2_fail(err, DT2_ENOFIT, "%s has room for %" PRIu64 " bytes", device, left);
    if (!store->opened)
        rc = dt2_machine_open(model->storage.machine, device, &store->opened, err);
    if (rc == 0)
        rc = dt2_slab_alloc(model->storage.machine, store, &move->twin, err);
    if (rc < 0)
        return rc;
    dt2_capacity_charge(&moving->capacity, index, move->twin.bytes);
    move->twin.at = (uint32_t)at;
    return 0;
}

/* Whether blocks that lie there come through the window: the host computes with what lies in its own memory. */
static bool would_stream(const struct moving *moving, size_t at)
{
    const struct dt2_opened *compute = moving->store->opened;
    const struct dt2_store *store = dt2_storage_at(&moving->model->storage, at);
    bool is_host = store->opened ? store->opened->flags & DT2_DEVICE_HOST_ADDRESSABLE
                                 : strncmp(dt2_model_device_at(moving->model, at), "cpu", 3) == 0;
    return !(is_host && compute->flags & DT2_DEVICE_HOST_ADDRESSABLE);
}

/* A place for a slab that leaves: with a donor of the plan, in its order, else with the host, else in the file alone. */
static void find_place(struct moving *moving, struct move *move)
{
    struct dt2_storage *storage = &moving->model->storage;
    for (size_t at = 0; at <= dt2_storage_refuge(storage); at++)
        if (at != moving->own && would_stream(moving, at) && take_room(moving, at, move) == 0)
            return;
    move->twin.at = dt2_storage_file(storage);
}

/* -- the bytes ------------------------------------------------------------------------------------------------- */

/* Fills the twin. What goes to the file is there already, if it is still the file. */
static int fill(struct moving *moving, struct move *move, struct dt2_error *err)
{
    struct dt2_model *model = moving->model;
    const struct dt2_slab *slab = &moving->store->slabs[move->index];
    const struct dt2_store *from = dt2_storage_at(&model->storage, slab->at);
    const struct dt2_store *to = dt2_storage_at(&model->storage, move->twin.at);
    const struct dt2_slab_name name = { (uint32_t)moving->own, (uint32_t)move->index };
    if (!to)
        return dt2_file_unchanged(model->file, err);
    if (from)
        return dt2_slab_copy(from, slab, to, &move->twin, err);
    int rc = dt2_slab_load(model->file, &model->layout, name, to, &move->twin, err);
    return rc < 0 ? rc : dt2_file_unchanged(model->file, err);
}

/* -- the moment ------------------------------------------------------------------------------------------------ */

/* The largest unit of a session that streams, with those of slabs that are leaving. */
static uint64_t largest_then(const struct dt2_session *session, const struct moving *moving)
{
    uint64_t largest = session->units.largest;
    for (size_t i = 0; i < session->units.count; i++) {
        const struct dt2_unit *unit = &session->units.units[i];
        if (unit->movable && moving->leaving[unit->movable - moving->store->slabs])
            largest = dt2_max(largest, unit->bytes);
    }
    return largest;
}

/* What slabs that are leaving give back, less what windows take for it beyond what they have. Sessions are locked. */
static uint64_t gain(const struct moving *moving)
{
    uint64_t bytes = 0, growth = 0;
    for (size_t i = 0; i < moving->store->slab_count; i++)
        bytes += moving->leaving[i] ? moving->store->slabs[i].bytes : 0;
    for (struct dt2_session *s = moving->model->first_session; s; s = s->next)
        growth += dt2_sub_floor(dt2_prefetch_window_after(s, largest_then(s, moving), true), s->prefetch.charged_bytes);
    return dt2_sub_floor(bytes, growth);
}

static uint64_t claimed_bytes(const struct moving *moving)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < moving->count; i++)
        bytes += moving->moves[i].claimed ? moving->store->slabs[moving->moves[i].index].bytes : 0;
    return bytes;
}

/* Whether every session could stream a slab's units: a window in which something is held stays as it is. */
static bool can_stream(const struct moving *moving, const struct dt2_slab *slab)
{
    for (const struct dt2_session *s = moving->model->first_session; s; s = s->next) {
        uint64_t most = dt2_prefetch_keeps_window(s) ? s->places.slab_bytes : s->compute->max_alloc_bytes;
        for (size_t i = 0; i < s->units.count; i++)
            if (s->units.units[i].movable == slab && s->units.units[i].bytes > most)
                return false;
    }
    return true;
}

/* Whether no session has a unit of the slab in use in its window. */
static bool is_let_go(const struct moving *moving, const struct dt2_slab *slab)
{
    for (const struct dt2_session *s = moving->model->first_session; s; s = s->next)
        for (size_t i = 0; i < s->units.count; i++)
            if (s->units.units[i].movable == slab && (s->units.units[i].holders || s->units.units[i].waiters))
                return false;
    return true;
}

/* Claims what nobody uses: from now on nobody begins to. */
static void claim(struct moving *moving, bool home)
{
    for (size_t i = 0; i < moving->count; i++) {
        struct move *move = &moving->moves[i];
        struct dt2_slab *slab = &moving->store->slabs[move->index];
        uint32_t unused = home ? 0 : 1;
        move->claimed = (home ? is_let_go(moving, slab) : can_stream(moving, slab)) &&
                        atomic_compare_exchange_strong(&slab->uses, &unused, home ? 1 : 0);
        moving->leaving[move->index] = !home && move->claimed;
    }
}

/* Those that were to leave stay. */
static void unclaim(struct moving *moving)
{
    for (size_t i = 0; i < moving->count; i++) {
        struct move *move = &moving->moves[i];
        if (move->claimed)
            atomic_fetch_add(&moving->store->slabs[move->index].uses, 1);
        move->claimed = false;
    }
}

/* Blocks until what callers have queued by now, which may read what leaves, has run. */
static int await_readers(const struct dt2_model *model, struct dt2_error *err)
{
    for (const struct dt2_session *s = model->first_session; s; s = s->next) {
        const struct dt2_opened *o = s->compute;
        struct dt2_backend_error failure = { 0 };
        for (size_t i = 0; i < s->stream_count; i++)
            if (o->backend->queue_wait(o->driver, s->streams[i].queue, &failure) < 0)
                return dt2_fail_driver(err, o->name, &failure);
    }
    return 0;
}

/* Addresses were given to those who borrow the model; sessions and exports hold what they use. */
static int check_borrowers(struct dt2_model *model, struct dt2_error *err)
{
    pthread_mutex_lock(&model->lock);
    size_t counted = atomic_load(&model->sessions) + atomic_load(&model->exports) + 1; /* and we */
    size_t others = model->borrowers > counted ? model->borrowers - counted : 0;
    pthread_mutex_unlock(&model->lock);
    return others ? dt2_fail(err, DT2_EBUSY,
                             "blocks of model %s cannot be moved: it has %zu borrowers beside its sessions, who may know "
                             "where its tensors lie",
                             model->name, others)
                  : 0;
}

/* A slab's memory and its twin's change places. */
static void swap(struct moving *moving, struct move *move)
{
    struct dt2_slab *slab = &moving->store->slabs[move->index];
    struct dt2_slab former = { .buffer = slab->buffer, .bytes = slab->bytes, .address = slab->address,
                               .backing = slab->backing, .at = slab->at };
    slab->buffer = move->twin.buffer;
    slab->address = move->twin.address;
    slab->backing = move->twin.backing;
    slab->at = move->twin.at;
    move->twin = former;
}

/* What lay in the windows of slabs that come home is not needed there. */
static void drop_from_windows(const struct moving *moving, const struct dt2_slab *slab)
{
    for (struct dt2_session *s = moving->model->first_session; s; s = s->next)
        for (size_t i = 0; i < s->units.count; i++)
            if (s->units.units[i].movable == slab)
                dt2_prefetch_drop(s, i);
}

static void lock_sessions(struct dt2_model *model)
{
    for (struct dt2_session *s = model->first_session; s; s = s->next)
        pthread_mutex_lock(&s->lock);
}

static void unlock_sessions(struct dt2_model *model)
{
    for (struct dt2_session *s = model->first_session; s; s = s->next)
        pthread_mutex_unlock(&s->lock);
}

/* With all locks, and all sessions frozen. `home`: slabs come back; else they leave. */
static int change_places(struct moving *moving, bool home, struct dt2_error *err)
{
    struct dt2_model *model = moving->model;
    int rc = check_borrowers(model, err);
    if (rc < 0)
        return rc;
    for (struct dt2_session *s = model->first_session; s; s = s->next)
        dt2_session_pay(s);
    claim(moving, home);
    bool leave = !home && gain(moving) > 0;
    if (leave)
        rc = await_readers(model, err);
    if (!home && (!leave || rc < 0))
        unclaim(moving);
    for (size_t i = 0; i < moving->count; i++) {
        if (!moving->moves[i].claimed)
            continue;
        if (home)
            drop_from_windows(moving, &moving->store->slabs[moving->moves[i].index]);
        swap(moving, &moving->moves[i]);
    }
    return rc;
}

/* All sessions are frozen, what can moves, and all go on. *bytes is what moved. */
static int move_all(struct moving *moving, bool home, uint64_t *bytes, struct dt2_error *err)
{
    struct dt2_model *model = moving->model;
    for (struct dt2_session *s = model->first_session; s; s = s->next)
        dt2_prefetch_freeze(s);
    lock_sessions(model);
    pthread_rwlock_wrlock(&model->whereabouts);
    int rc = change_places(moving, home, err);
    *bytes = claimed_bytes(moving);
    for (struct dt2_session *s = model->first_session; (home || *bytes) && s; s = s->next) {
        int failed = dt2_prefetch_look_again(s, rc < 0 ? NULL : err);
        rc = rc < 0 ? rc : failed;
    }
    pthread_rwlock_unlock(&model->whereabouts);
    unlock_sessions(model);
    free_twins(moving); /* before windows are made, which may need the room */
    for (struct dt2_session *s = model->first_session; s; s = s->next) {
        int failed = dt2_prefetch_thaw(s, rc < 0 ? NULL : err);
        rc = rc < 0 ? rc : failed;
    }
    return rc;
}

/* -- evict ------------------------------------------------------------------------------------------------------ */

static uint64_t gain_by_now(const struct moving *moving)
{
    lock_sessions(moving->model);
    uint64_t bytes = gain(moving);
    unlock_sessions(moving->model);
    return bytes;
}

/* Picks slabs from the end on, which the network needs last, until they and the windows that they cost come to `bytes`. */
static int pick(struct moving *moving, uint64_t bytes, struct dt2_error *err)
{
    struct dt2_store *store = moving->store;
    int rc = 0;
    for (size_t i = store->slab_count; rc == 0 && i-- > 0 && gain_by_now(moving) < bytes;) {
        if (atomic_load(&store->slabs[i].uses) != 1)
            continue;
        struct move *move = &moving->moves[moving->count++];
        *move = (struct move){ .index = i, .twin = { .bytes = store->slabs[i].bytes } };
        moving->leaving[i] = true;
        find_place(moving, move);
        rc = fill(moving, move, err);
    }
    return rc;
}

/* -- restore ---------------------------------------------------------------------------------------------------- */

/* Takes room on the compute device for what was evicted, what the network needs first before the rest. *short_bytes: got none. */
static int take_back(struct moving *moving, uint64_t *short_bytes, struct dt2_error *err)
{
    struct dt2_store *store = moving->store;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < store->slab_count; i++) {
        if (store->slabs[i].at == moving->own)
            continue;
        struct move *move = &moving->moves[moving->count];
        *move = (struct move){ .index = i, .twin = { .bytes = store->slabs[i].bytes } };
        if (take_room(moving, moving->own, move) < 0) {
            *short_bytes += store->slabs[i].bytes;
            continue;
        }
        moving->count++;
        rc = fill(moving, move, err);
    }
    return rc;
}

/* Whether a window was kept as it was since it was held, and is another by now than it should be. */
static bool is_window_left(struct dt2_model *model)
{
    bool left = false, evicted = dt2_storage_evicted(&model->storage) > 0;
    lock_sessions(model);
    for (struct dt2_session *s = model->first_session; s; s = s->next)
        left |= s->prefetch.charged_bytes != dt2_prefetch_window_after(s, s->units.largest, evicted);
    unlock_sessions(model);
    return left;
}

/* Why not all came back. */
static int tell_away(const struct moving *moving, uint64_t away, uint64_t short_bytes, struct dt2_error *err)
{
    const char *device = dt2_plan_compute_device(moving->model->plan);
    if (short_bytes)
        return dt2_fail(err, moving->refusal.code,
                        "%" PRIu64 " bytes of model %s that were evicted from %s are not back, for want of room for %" PRIu64
                        " of them: %s",
                        away, moving->model->name, device, short_bytes, moving->refusal.text);
    return dt2_fail(err, DT2_EBUSY, "%" PRIu64 " bytes of model %s that were evicted from %s are not back: they are in use",
                    away, moving->model->name, device);
}

/* -- the calls --------------------------------------------------------------------------------------------------- */

static int check_device(const struct dt2_model *model, const char *device, struct dt2_error *err)
{
    const char *compute = dt2_plan_compute_device(model->plan);
    if (!device || strcmp(device, compute) == 0)
        return 0;
    return dt2_fail(err, DT2_EUSAGE, "nothing of model %s can be evicted from %s: blocks are resident on %s, where it computes",
                    model->name, device, compute);
}

static uint64_t device_bytes(const struct dt2_model *model)
{
    return atomic_load(&model->window_bytes) + dt2_storage_bytes(&model->storage, dt2_plan_own_share(model->plan));
}

int dt2_model_evict(struct dt2_model *model, const char *device, uint64_t bytes, uint64_t *freed_bytes, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    struct moving moving = { 0 };
    uint64_t moved = 0;
    if (freed_bytes)
        *freed_bytes = 0;
    int rc = dt2_fork_check(model->generation, "model", err);
    if (rc == 0)
        rc = check_device(model, device, err);
    if (rc == 0)
        rc = dt2_model_borrow(model, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&model->lives);
    uint64_t before = device_bytes(model);
    if (bytes)
        rc = begin(model, false, &moving, err);
    if (rc == 0 && moving.store)
        rc = pick(&moving, bytes, err);
    if (rc == 0 && moving.count)
        rc = move_all(&moving, false, &moved, err);
    end(&moving);
    if (freed_bytes)
        *freed_bytes = dt2_sub_floor(before, device_bytes(model));
    pthread_mutex_unlock(&model->lives);
    dt2_model_return(model);
    return rc;
}

int dt2_model_restore(struct dt2_model *model, uint64_t *restored_bytes, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    struct moving moving = { 0 };
    uint64_t moved = 0, short_bytes = 0;
    int rc = dt2_fork_check(model->generation, "model", err);
    if (rc == 0)
        rc = dt2_model_borrow(model, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&model->lives);
    uint64_t away = dt2_storage_evicted(&model->storage);
    if (away)
        rc = begin(model, true, &moving, err);
    moving.model = model;
    if (rc == 0 && away)
        rc = take_back(&moving, &short_bytes, err);
    if (rc == 0 && (moving.count || is_window_left(model)))
        rc = move_all(&moving, true, &moved, err);
    if (rc == 0 && moved < away)
        rc = tell_away(&moving, away - moved, short_bytes, err);
    end(&moving);
    pthread_mutex_unlock(&model->lives);
    dt2_model_return(model);
    if (restored_bytes)
        *restored_bytes = moved;
    return rc;
}

/* Whether what lies at a place counts for a device; of NULL and "cpu" all and every host memory does. */
static bool counts(const char *at, const char *device)
{
    if (!device || strcmp(at, device) == 0)
        return true;
    return strcmp(device, "cpu") == 0 && strncmp(at, "cpu:", 4) == 0;
}

uint64_t dt2_model_held(const struct dt2_model *model, const char *device)
{
    struct dt2_model *m = (struct dt2_model *)(uintptr_t)model;
    uint64_t bytes = 0;
    DT2_KEEP_ERRNO;
    if (dt2_model_visit(m, NULL) < 0)
        return 0;
    for (size_t at = 0; at <= dt2_storage_refuge(&model->storage); at++)
        if (counts(dt2_model_device_at(model, at), device))
            bytes += dt2_storage_bytes(&model->storage, at);
    if (counts(dt2_plan_compute_device(model->plan), device))
        bytes += atomic_load(&m->window_bytes);
    dt2_model_leave(m);
    return bytes;
}
