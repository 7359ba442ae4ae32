/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks are acquired and released. */
#include "base/clock.h"
#include "base/error.h"
#include "model/model.h"
#include "stream/stream.h"

static int refuse_parked(const struct dt2_session *session, size_t block, struct dt2_error *err)
{
    return dt2_fail(err, DT2_EPARKED, "the session is parked: dt2_session_unpark() comes before block %s",
                    session->model->blocks.blocks[block].name);
}

/* Waits until a unit's copies are queued; those who wait keep it in the window. The lock is held. */
static int wait_for(struct dt2_session *session, size_t index, struct dt2_error *err)
{
    struct dt2_unit *unit = &session->units.units[index];
    unsigned failures = unit->failures;
    uint64_t begin = dt2_now_ns();
    unit->waiters++;
    while (unit->state != DT2_UNIT_HERE && unit->failures == failures && !session->prefetch.ended && !session->parked) {
        if (unit->state == DT2_UNIT_ABSENT)
            dt2_prefetch_ask(session, index);
        pthread_cond_signal(&session->work);
        pthread_cond_wait(&session->changed, &session->lock);
    }
    unit->waiters--;
    session->total.stall_ns += dt2_now_ns() - begin;
    if (unit->state == DT2_UNIT_HERE)
        return 0;
    if (session->parked)
        return refuse_parked(session, unit->block, err);
    if (unit->failures == failures)
        return dt2_fail(err, DT2_EGONE, "block %s does not come any more: the program is ending",
                        session->model->blocks.blocks[unit->block].name);
    if (err)
        *err = session->failure;
    return session->failure.code;
}

/*
 * A unit's bytes will never arrive: what was queued behind them failed too. The thread begins anew, and the unit is fetched
 * again unless somebody holds it.
 */
static int lose(struct dt2_session *session, size_t index, const struct dt2_backend_error *failure, struct dt2_error *err)
{
    if (session->units.units[index].holders == 0)
        dt2_prefetch_drop(session, index);
    session->prefetch.shaken = true;
    pthread_cond_signal(&session->work);
    return dt2_fail_driver(err, session->compute->name, failure);
}

/* Whether a unit's bytes have arrived. */
static int check_arrival(struct dt2_session *session, size_t index, struct dt2_error *err)
{
    const struct dt2_opened *o = session->compute;
    struct dt2_unit *unit = &session->units.units[index];
    struct dt2_backend_error failure = { 0 };
    if (unit->there || !unit->arrival)
        return 0;
    return o->backend->event_query(o->driver, unit->arrival, &unit->there, &failure) < 0
               ? lose(session, index, &failure, err)
               : 0;
}

/* Both at one go, where the driver can: a visit to a device costs more than what is done there. */
static int query_and_wait(struct dt2_session *session, size_t index, struct dt2_error *err)
{
    const struct dt2_opened *o = session->compute;
    struct dt2_unit *unit = &session->units.units[index];
    struct dt2_backend_error failure = { 0 };
    dt2_handle queue = dt2_session_queue(session);
    bool at_one_go = !unit->there && DT2_BACKEND_HAS(o->backend, queue_follow);
    int status = at_one_go    ? o->backend->queue_follow(o->driver, queue, unit->arrival, &unit->there, &failure)
                 : !unit->there ? o->backend->event_query(o->driver, unit->arrival, &unit->there, &failure)
                                : 0;
    if (status < 0)
        return status == DT2_BACKEND_CAPTURING ? dt2_fail_driver(err, o->name, &failure) : lose(session, index, &failure, err);
    if (!at_one_go)
        status = o->backend->queue_wait_event(o->driver, queue, unit->arrival, &failure);
    return status < 0 ? dt2_fail_driver(err, o->name, &failure) : 0;
}

/*
 * Makes the caller's stream wait for the unit's bytes; *there says whether they are there already. The stream waits even then:
 * that the host has asked is no point of synchronisation for what runs on the device (clGetEventInfo says so in the
 * specification of OpenCL, and with HIP caches are made valid where a queue waits). A stream that captures refuses to.
 */
static int follow_arrival(struct dt2_session *session, size_t index, bool *there, struct dt2_error *err)
{
    struct dt2_unit *unit = &session->units.units[index];
    *there = true;
    if (!unit->arrival)
        return 0;
    int rc = query_and_wait(session, index, err);
    *there = unit->there;
    return rc;
}

static int acquire_unit(struct dt2_session *session, size_t index, size_t block, struct dt2_error *err)
{
    struct dt2_unit *unit = &session->units.units[index];
    if (unit->movable && dt2_slab_use(unit->movable))
        return 0;
    if (session->parked)
        return refuse_parked(session, block, err);
    dt2_session_reach(session, index, block);
    session->prefetch.halted = false;
    session->total.acquires++;
    bool here = unit->state == DT2_UNIT_HERE, there = true;
    int rc = here ? 0 : wait_for(session, index, err);
    if (rc == 0)
        rc = follow_arrival(session, index, &there, err);
    session->total.hits += here && there;
    session->total.stalls += !(here && there);
    if (rc < 0)
        return rc;
    unit->holders++;
    unit->visited = (unit->visited + 1) % unit->blocks; /* 0: all of them */
    unit->wanted = unit->visited > 0;
    session->latest = index;
    return 0;
}

/* Takes back a hold of one who has read nothing. */
static void unhold(struct dt2_session *session, size_t index)
{
    if (!dt2_unit_streams(&session->units.units[index]))
        dt2_slab_let_go(session->units.units[index].movable);
    else if (--session->units.units[index].holders == 0 && !dt2_session_queue(session))
        dt2_window_done(&session->places, index);
}

/*
 * The readers of the unit are those that are queued by now. When that cannot be said, the host waits for them. The last
 * chance to say that what they read never arrived. On a stream that captures a graph nothing is queued that the copies could
 * wait for: the unit stays held.
 */
static int release_unit(struct dt2_session *session, size_t index, struct dt2_error *err)
{
    const struct dt2_opened *o = session->compute;
    struct dt2_unit *unit = &session->units.units[index];
    struct dt2_backend_error failure = { 0 };
    dt2_handle queue = dt2_session_queue(session), reader;
    if (!dt2_unit_streams(unit)) {
        dt2_slab_let_go(unit->movable);
        return 0;
    }
    if (unit->holders == 0)
        return dt2_fail(err, DT2_EUSAGE, "block %s is not held", session->model->blocks.blocks[unit->block].name);
    if (unit->holders > 1 || !queue) {
        unhold(session, index);
        return 0;
    }
    int status = o->backend->event_record(o->driver, queue, &reader, &failure);
    if (status == DT2_BACKEND_CAPTURING)
        return dt2_fail_driver(err, o->name, &failure);
    unit->holders = 0;
    if (status < 0 && o->backend->queue_wait(o->driver, queue, &failure) < 0)
        return dt2_fail_driver(err, o->name, &failure);
    if (status == 0) {
        if (unit->reader)
            o->backend->event_free(o->driver, unit->reader, NULL);
        unit->reader = reader;
        unit->turn = ++session->turns;
    }
    return check_arrival(session, index, err);
}

void dt2_session_pay(struct dt2_session *session)
{
    for (size_t i = 0; session->owed && i < session->units.count; i++) {
        struct dt2_unit *unit = &session->units.units[i];
        while (unit->owed && (release_unit(session, i, NULL) == 0 || unit->holders < unit->owed)) {
            unit->owed--;
            session->owed--;
        }
    }
}

static int check_block(const struct dt2_session *session, size_t block, struct dt2_error *err)
{
    if (block < session->model->blocks.count)
        return 0;
    return dt2_fail(err, DT2_EUSAGE, "model %s has %zu blocks; there is no index %zu", session->model->name,
                    session->model->blocks.count, block);
}

/* Blocks until the stream has run what was queued on it, and the bytes of a block that is held are there. */
static int wait_for_stream(struct dt2_session *session, size_t block, struct dt2_error *err)
{
    const struct dt2_opened *o = session->compute;
    const struct dt2_units *units = &session->units;
    struct dt2_backend_error failure = { 0 };
    dt2_handle event;
    pthread_mutex_lock(&session->lock);
    dt2_handle queue = dt2_session_queue(session);
    int status = queue ? o->backend->event_record(o->driver, queue, &event, &failure) : 0;
    pthread_mutex_unlock(&session->lock);
    if (queue && status == 0) {
        status = o->backend->event_wait(o->driver, event, &failure);
        o->backend->event_free(o->driver, event, NULL);
    }
    if (status < 0)
        return dt2_fail_driver(err, o->name, &failure);
    int rc = 0;
    pthread_mutex_lock(&session->lock);
    for (size_t i = units->first[block]; rc == 0 && i < units->first[block + 1]; i++)
        rc = check_arrival(session, units->lists[i], err);
    pthread_mutex_unlock(&session->lock);
    return rc;
}

/* -- blocks that lie on the compute device: without the lock ------------------------------------------------- */

/* One less, of a count that is not 0. */
static bool take_from(_Atomic unsigned *count)
{
    unsigned old = atomic_load(count);
    while (old > 0 && !atomic_compare_exchange_weak(count, &old, old - 1))
        ;
    return old > 0;
}

/* Whether all units of a block are used where they lie. While the block is held that stays so. */
static bool is_in_place(const struct dt2_units *units, size_t block)
{
    for (size_t i = units->first[block]; i < units->first[block + 1]; i++)
        if (dt2_unit_streams(&units->units[units->lists[i]]))
            return false;
    return true;
}

/* Gives the units of a block before `end` back. */
static void leave_in_place(const struct dt2_units *units, size_t block, size_t end)
{
    for (size_t i = units->first[block]; i < end; i++)
        dt2_slab_let_go(units->units[units->lists[i]].movable);
}

/* Uses a block where it lies; false: some of it does not lie there. */
static bool use_in_place(struct dt2_session *session, size_t block)
{
    const struct dt2_units *units = &session->units;
    for (size_t i = units->first[block]; i < units->first[block + 1]; i++) {
        struct dt2_slab *movable = units->units[units->lists[i]].movable;
        if (movable && dt2_slab_use(movable))
            continue;
        leave_in_place(units, block, i);
        return false;
    }
    atomic_fetch_add(&session->held[block], 1);
    return true;
}

/* One more hold on a unit that was let go this moment. The lock is held. */
static void hold_again(struct dt2_unit *unit)
{
    if (dt2_unit_streams(unit))
        unit->holders++;
    else
        dt2_slab_hold(unit->movable);
}

/* -- all blocks ---------------------------------------------------------------------------------------------- */

int dt2_session_release(struct dt2_session *session, size_t block, struct dt2_error *err)
{
    if (check_block(session, block, err) < 0)
        return DT2_EUSAGE;
    if (dt2_fork_check(session->model->generation, "session", err) < 0)
        return DT2_EUSAGE;
    const struct dt2_units *units = &session->units;
    size_t first = units->first[block], end = units->first[block + 1];
    if (first == end)
        return 0;
    if (!take_from(&session->held[block]))
        return dt2_fail(err, DT2_EUSAGE, "block %s is not held", session->model->blocks.blocks[block].name);
    if (is_in_place(units, block)) {
        leave_in_place(units, block, end);
        return 0;
    }
    DT2_KEEP_ERRNO;
    int rc = 0;
    pthread_mutex_lock(&session->lock);
    dt2_session_pay(session);
    for (size_t i = first; i < end && rc != DT2_EBUSY; i++) {
        int failed = release_unit(session, units->lists[i], rc < 0 ? NULL : err);
        rc = rc < 0 && failed != DT2_EBUSY ? rc : failed;
        for (size_t j = first; failed == DT2_EBUSY && j < i; j++) /* a stream that captures: all or none */
            hold_again(&session->units.units[units->lists[j]]);
    }
    if (rc == DT2_EBUSY)
        atomic_fetch_add(&session->held[block], 1);
    dt2_prefetch_wake(session);
    pthread_mutex_unlock(&session->lock);
    return rc;
}

int dt2_session_acquire(struct dt2_session *session, size_t block, unsigned flags, struct dt2_error *err)
{
    if (check_block(session, block, err) < 0)
        return DT2_EUSAGE;
    if (dt2_fork_check(session->model->generation, "session", err) < 0)
        return DT2_EUSAGE;
    if (flags & ~(unsigned)DT2_ACQUIRE_HOST)
        return dt2_fail(err, DT2_EUSAGE, "flags %#x: not all are enum dt2_acquire_flag", flags);
    const struct dt2_units *units = &session->units;
    size_t first = units->first[block], end = units->first[block + 1], i = first;
    if (first == end || use_in_place(session, block)) /* it lies on the compute device */
        return 0;
    DT2_KEEP_ERRNO;
    int rc = 0;
    pthread_mutex_lock(&session->lock);
    dt2_session_pay(session);
    while (rc == 0 && i < end) {
        rc = acquire_unit(session, units->lists[i], block, err);
        i += rc == 0;
    }
    if (rc == 0)
        atomic_fetch_add(&session->held[block], 1);
    dt2_prefetch_wake(session);
    pthread_mutex_unlock(&session->lock);
    if (rc == 0 && (flags & DT2_ACQUIRE_HOST))
        rc = wait_for_stream(session, block, err);
    if (rc == 0)
        return 0;
    pthread_mutex_lock(&session->lock);
    if (i == end)
        take_from(&session->held[block]);
    while (i > first)
        unhold(session, units->lists[--i]);
    dt2_prefetch_wake(session);
    pthread_mutex_unlock(&session->lock);
    return rc;
}

static int check_tensor(const struct dt2_session *session, size_t tensor, struct dt2_error *err)
{
    const struct dt2_model *model = session->model;
    if (tensor >= model->table.count)
        return dt2_fail(err, DT2_EUSAGE, "model %s has %zu tensors; there is no index %zu", model->name,
                        model->table.count, tensor);
    if (model->owners[tensor] == SIZE_MAX)
        return dt2_fail(err, DT2_EUSAGE, "tensor %s of model %s is in no block, and was not loaded",
                        model->table.tensors[tensor].name, model->name);
    return 0;
}

int dt2_session_acquire_tensor(struct dt2_session *session, size_t tensor, unsigned flags, struct dt2_error *err)
{
    int rc = check_tensor(session, tensor, err);
    return rc == 0 ? dt2_session_acquire(session, session->model->owners[tensor], flags, err) : rc;
}

int dt2_session_release_tensor(struct dt2_session *session, size_t tensor, struct dt2_error *err)
{
    int rc = check_tensor(session, tensor, err);
    return rc == 0 ? dt2_session_release(session, session->model->owners[tensor], err) : rc;
}

int dt2_session_hold(struct dt2_session *session, size_t tensor, struct dt2_session **held, struct dt2_error *err)
{
    int rc = dt2_fork_check(session->model->generation, "session", err);
    if (rc == 0)
        rc = check_tensor(session, tensor, err);
    if (rc < 0)
        return rc;
    size_t index = session->units.of_tensor[session->model->table.homes[tensor].tensor];
    if (index == DT2_NOWHERE)
        return 0;
    pthread_mutex_lock(&session->lock);
    if (!dt2_unit_streams(&session->units.units[index])) {
        pthread_mutex_unlock(&session->lock);
        return 0;
    }
    if (session->units.units[index].holders == 0) {
        rc = dt2_fail(err, DT2_EUSAGE, "the block of tensor %s is not held", session->model->table.tensors[tensor].name);
    } else {
        session->units.units[index].holders++;
        *held = session;
    }
    pthread_mutex_unlock(&session->lock);
    return rc;
}

void dt2_session_let_go(struct dt2_session *session, size_t tensor)
{
    size_t index = session->units.of_tensor[session->model->table.homes[tensor].tensor];
    if (dt2_fork_check(session->model->generation, "session", NULL) < 0)
        return;
    pthread_mutex_lock(&session->lock);
    session->units.units[index].owed++;
    session->owed++;
    dt2_session_pay(session);
    dt2_prefetch_wake(session);
    pthread_mutex_unlock(&session->lock);
}

int dt2_session_native(struct dt2_session *session, size_t tensor, struct dt2_native *native, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    int rc = dt2_fork_check(session->model->generation, "session", err);
    if (rc == 0)
        rc = dt2_result_check(&dt2_sized_native, native, err);
    if (rc == 0)
        rc = check_tensor(session, tensor, err);
    if (rc < 0)
        return rc;
    struct dt2_home home = session->model->table.homes[tensor];
    size_t index = session->units.of_tensor[home.tensor];
    if (index == DT2_NOWHERE || !dt2_unit_streams(&session->units.units[index])) {
        rc = dt2_model_native(session->model, tensor, native, err);
        if (rc == 0 && !native->handle) /* without bytes it lies nowhere, so not on a donor */
            native->device = session->compute->name;
        return rc;
    }
    const struct dt2_unit *unit = &session->units.units[index];
    pthread_mutex_lock(&session->lock);
    if (unit->holders == 0) {
        rc = dt2_fail(err, DT2_EUSAGE, "tensor %s has no address on %s: its block is not held",
                      session->model->table.tensors[tensor].name, session->compute->name);
    } else {
        uint64_t place = unit->offset + session->units.offsets[home.tensor] + home.offset, slab = session->places.slab_bytes;
        const struct dt2_backend_native *at = &session->prefetch.natives[place / slab];
        const struct dt2_native found = { .device = session->compute->name,
                                          .handle = at->is_address ? (char *)at->handle + place % slab : at->handle,
                                          .offset = at->is_address ? 0 : place % slab };
        dt2_result_write(&dt2_sized_native, &found, native);
    }
    pthread_mutex_unlock(&session->lock);
    return rc;
}
