/* SPDX-License-Identifier: BSD-3-Clause */
/* Sessions as their users see them. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/sized.h"
#include "load/load.h"
#include "model/model.h"
#include "stream/stream.h"
#include <inttypes.h>
#include <string.h>

/* -- opening ----------------------------------------------------------------------------------------------- */

static int choose_window(struct dt2_session *session, struct dt2_error *err)
{
    const struct dt2_plan *plan = session->model->plan;
    const struct dt2_units *units = &session->units;
    uint64_t planned = plan->window_bytes, wanted = session->options.window_bytes;
    if (wanted == 0)
        wanted = dt2_max(planned, units->largest);
    if (wanted < units->largest)
        return dt2_fail(err, DT2_EUSAGE,
                        "a window of %" PRIu64 " bytes cannot hold the largest block that streams to %s, of %" PRIu64
                        " bytes; the plan has %" PRIu64,
                        wanted, session->compute->name, units->largest, planned);
    if (wanted > planned && plan->compute_left_bytes != DT2_UNKNOWN && wanted - planned > plan->compute_left_bytes)
        return dt2_fail(err, DT2_ENOFIT,
                        "a window of %" PRIu64 " bytes is %" PRIu64
                        " bytes above what the plan and its budgets leave on %s, %" PRIu64,
                        wanted, wanted - planned - plan->compute_left_bytes, session->compute->name,
                        planned + plan->compute_left_bytes);
    session->places = (struct dt2_window){ .largest = units->largest, .alignment = session->compute->alignment_bytes };
    session->places.by_parts = session->options.has_stream;
    dt2_window_cut(&session->places, wanted, session->compute->max_alloc_bytes);
    session->places.tenants = dt2_alloc(units->count, sizeof *session->places.tenants);
    session->asked = dt2_alloc(units->count, sizeof *session->asked);
    if (!session->places.tenants || !session->asked || !dt2_order_make(&session->order, units->count))
        return dt2_fail_nomem(err);
    return 0;
}

/* The queue of a stream of the caller's comes to the front of those that the session knows; a new one is adopted. */
static int adopt_stream(struct dt2_session *session, void *native, struct dt2_error *err)
{
    const struct dt2_opened *o = session->compute;
    struct dt2_backend_error failure = { 0 };
    size_t known = 0;
    while (known < session->stream_count && session->streams[known].native != native)
        known++;
    if (known == session->stream_count) {
        if (!DT2_GROW(session->streams, session->stream_count, session->stream_capacity))
            return dt2_fail_nomem(err);
        struct dt2_stream made = { .native = native };
        int status = o->backend->queue_adopt(o->driver, o->device, native, &made.queue, &failure);
        if (status < 0)
            return dt2_fail_driver(err, o->name, &failure);
        session->streams[session->stream_count++] = made;
    }
    struct dt2_stream front = session->streams[known];
    memmove(session->streams + 1, session->streams, known * sizeof *session->streams);
    session->streams[0] = front;
    return 0;
}

static int prepare(struct dt2_session *session, struct dt2_error *err)
{
    struct dt2_model *model = session->model;
    int rc = dt2_machine_open(model->context->machine, dt2_plan_compute_device(model->plan), &session->compute, err);
    if (rc == 0)
        rc = dt2_units_make(model, session->compute->alignment_bytes, session->compute->max_alloc_bytes,
                            &session->units, err);
    if (rc == 0 && session->options.has_stream && (session->compute->flags & DT2_DEVICE_HOST_ADDRESSABLE))
        rc = dt2_fail(err, DT2_EUSAGE, "%s computes in the caller's thread and has no streams", session->compute->name);
    if (rc == 0 && session->options.has_stream)
        rc = adopt_stream(session, session->options.stream, err);
    if (rc == 0 && session->units.count)
        rc = choose_window(session, err);
    if (rc == 0 && session->units.count)
        rc = dt2_gear_make(session, err);
    return rc;
}

static void destroy(struct dt2_session *session)
{
    const struct dt2_opened *o = session->compute;
    dt2_gear_clear(session);
    for (size_t i = 0; i < session->stream_count; i++)
        o->backend->queue_destroy(o->driver, session->streams[i].queue, NULL);
    dt2_release(session->streams);
    dt2_order_clear(&session->order);
    dt2_release(session->places.tenants);
    dt2_release(session->asked);
    dt2_units_clear(&session->units);
    dt2_notes_clear(&session->notes);
    dt2_machine_close(session->model->context->machine, session->compute);
    pthread_cond_destroy(&session->changed);
    pthread_cond_destroy(&session->work);
    pthread_mutex_destroy(&session->lock);
    dt2_model_return(session->model);
    dt2_model_unref(session->model);
    dt2_release(session);
}

int dt2_session_open(struct dt2_model *model, const struct dt2_session_options *options, struct dt2_session **session,
                     struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    static const struct dt2_sized sized =
        DT2_SIZED(struct dt2_session_options, stream, "the session options'", "DT2_SESSION_OPTIONS_INIT");
    struct dt2_session_options how = DT2_SESSION_OPTIONS_INIT;
    if (dt2_options_read(&sized, options, &how, err) < 0)
        return DT2_EUSAGE;
    struct dt2_session *made = dt2_alloc(1, sizeof *made);
    if (!made)
        return dt2_fail_nomem(err);
    int rc = dt2_model_borrow(model, err);
    if (rc < 0) {
        dt2_release(made);
        return rc;
    }
    made->model = dt2_model_ref(model);
    made->options = how;
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->work, NULL);
    pthread_cond_init(&made->changed, NULL);
    rc = prepare(made, err);
    if (rc < 0)
        destroy(made);
    else
        *session = made;
    return rc;
}

/* Whether a streamed block is held, or waited for, in words. The lock is held. */
static int check_idle(struct dt2_session *session, const char *what, struct dt2_error *err)
{
    for (size_t i = 0; i < session->units.count; i++) {
        const struct dt2_unit *unit = &session->units.units[i];
        if (unit->holders || unit->waiters)
            return dt2_fail(err, DT2_EBUSY, "the session cannot be %s: block %s is held", what,
                            session->model->blocks.blocks[unit->block].name);
    }
    return 0;
}

int dt2_session_close(struct dt2_session *session, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    if (!session)
        return 0;
    pthread_mutex_lock(&session->lock);
    int rc = check_idle(session, "closed", err);
    pthread_mutex_unlock(&session->lock);
    if (rc == 0)
        destroy(session);
    return rc;
}

struct dt2_model *dt2_session_model(const struct dt2_session *session)
{
    return session->model;
}

/* -- passes ------------------------------------------------------------------------------------------------ */

/* The counts of a pass begin again. The lock is held. */
static void turn_page(struct dt2_session *session)
{
    session->total.passes++;
    session->last = dt2_session_since(&session->total, &session->begin);
    session->begin = session->total;
}

void dt2_session_next_pass(struct dt2_session *session)
{
    pthread_mutex_lock(&session->lock);
    session->order.guided = true;
    if (session->units.count && dt2_order_pass(&session->order))
        dt2_gear_rewind(session);
    turn_page(session);
    dt2_gear_wake(session);
    pthread_mutex_unlock(&session->lock);
}

/* The network has come to a unit: what was expected in between is not any more. */
static void reach(struct dt2_session *session, size_t index)
{
    size_t from = 0, skipped = 0;
    unsigned step = dt2_order_reach(&session->order, index, &from, &skipped);
    if (step & DT2_STEP_PASSED)
        turn_page(session);
    if (step & DT2_STEP_RESET)
        dt2_gear_rewind(session);
    for (size_t i = 0; (step & DT2_STEP_JUMPED) && i < skipped; i++)
        session->units.units[session->order.sequence[(from + i) % session->order.count]].wanted = false;
}

/* -- acquire and release ----------------------------------------------------------------------------------- */

/* Waits until a unit's copies are queued; those who wait keep it in the window. The lock is held. */
static int wait_for(struct dt2_session *session, size_t index, struct dt2_error *err)
{
    struct dt2_unit *unit = &session->units.units[index];
    unsigned failures = unit->failures;
    uint64_t begin = dt2_now_ns();
    unit->waiters++;
    while (unit->state != DT2_UNIT_HERE && unit->failures == failures && !session->gear.ended) {
        if (unit->state == DT2_UNIT_ABSENT)
            dt2_gear_ask(session, index);
        pthread_cond_signal(&session->work);
        pthread_cond_wait(&session->changed, &session->lock);
    }
    unit->waiters--;
    session->total.stall_ns += dt2_now_ns() - begin;
    if (unit->state == DT2_UNIT_HERE)
        return 0;
    if (unit->failures == failures)
        return dt2_fail(err, DT2_EBUSY, "block %s does not come any more: the program is ending",
                        session->model->blocks.blocks[unit->block].name);
    if (err)
        *err = session->failure;
    return session->failure.code;
}

/*
 * Whether a unit's bytes have arrived. When they never will, what was queued behind them failed too: the thread begins
 * anew, and the unit is fetched again unless somebody holds it.
 */
static int check_arrival(struct dt2_session *session, size_t index, bool *there, struct dt2_error *err)
{
    const struct dt2_opened *o = session->compute;
    struct dt2_unit *unit = &session->units.units[index];
    struct dt2_backend_error failure = { 0 };
    *there = true;
    if (!unit->arrival)
        return 0;
    if (o->backend->event_query(o->driver, unit->arrival, there, &failure) < 0) {
        if (unit->holders == 0)
            dt2_gear_drop(session, index);
        session->gear.shaken = true;
        pthread_cond_signal(&session->work);
        return dt2_fail_driver(err, o->name, &failure);
    }
    if (*there) {
        o->backend->event_free(o->driver, unit->arrival, NULL);
        unit->arrival = 0;
    }
    return 0;
}

/* Makes the caller's stream wait for the unit's bytes; *there says whether they are there already. */
static int follow_arrival(struct dt2_session *session, size_t index, bool *there, struct dt2_error *err)
{
    const struct dt2_opened *o = session->compute;
    struct dt2_backend_error failure = { 0 };
    int rc = check_arrival(session, index, there, err);
    if (rc < 0 || *there)
        return rc;
    int status = o->backend->queue_wait_event(o->driver, dt2_session_queue(session),
                                              session->units.units[index].arrival, &failure);
    return status < 0 ? dt2_fail_driver(err, o->name, &failure) : 0;
}

static int acquire_unit(struct dt2_session *session, size_t index, struct dt2_error *err)
{
    struct dt2_unit *unit = &session->units.units[index];
    if (session->parked)
        return dt2_fail(err, DT2_EBUSY, "the session is parked: dt2_session_unpark() comes before block %s",
                        session->model->blocks.blocks[unit->block].name);
    reach(session, index);
    session->gear.halted = false;
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
    unit->wanted = false;
    session->latest = index;
    return 0;
}

/*
 * The readers of the unit are those that are queued by now. When that cannot be said, the host waits for them. The last
 * chance to say that what they read never arrived.
 */
static int release_unit(struct dt2_session *session, size_t index, struct dt2_error *err)
{
    const struct dt2_opened *o = session->compute;
    struct dt2_unit *unit = &session->units.units[index];
    struct dt2_backend_error failure = { 0 };
    dt2_handle queue = dt2_session_queue(session), reader;
    int status = 0;
    if (unit->holders == 0)
        return dt2_fail(err, DT2_EUSAGE, "block %s is not held", session->model->blocks.blocks[unit->block].name);
    if (--unit->holders > 0)
        return 0;
    if (!queue) {
        dt2_window_done(&session->places, index);
        return 0;
    }
    status = o->backend->event_record(o->driver, queue, &reader, &failure);
    if (status < 0)
        status = o->backend->queue_wait(o->driver, queue, &failure);
    else {
        if (unit->reader)
            o->backend->event_free(o->driver, unit->reader, NULL);
        unit->reader = reader;
    }
    bool there;
    return status < 0 ? dt2_fail_driver(err, o->name, &failure) : check_arrival(session, index, &there, err);
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
    bool there;
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
        rc = check_arrival(session, units->lists[i], &there, err);
    pthread_mutex_unlock(&session->lock);
    return rc;
}

int dt2_session_release(struct dt2_session *session, size_t block, struct dt2_error *err)
{
    if (check_block(session, block, err) < 0)
        return DT2_EUSAGE;
    const struct dt2_units *units = &session->units;
    size_t first = units->first[block], end = units->first[block + 1];
    if (first == end)
        return 0;
    DT2_KEEP_ERRNO;
    int rc = 0;
    pthread_mutex_lock(&session->lock);
    for (size_t i = first; i < end; i++) {
        int failed = release_unit(session, units->lists[i], rc < 0 ? NULL : err);
        rc = rc < 0 ? rc : failed;
    }
    dt2_gear_wake(session);
    pthread_mutex_unlock(&session->lock);
    return rc;
}

int dt2_session_acquire(struct dt2_session *session, size_t block, unsigned flags, struct dt2_error *err)
{
    if (check_block(session, block, err) < 0)
        return DT2_EUSAGE;
    const struct dt2_units *units = &session->units;
    size_t first = units->first[block], end = units->first[block + 1], i = first;
    if (first == end) /* it lies on the compute device */
        return 0;
    DT2_KEEP_ERRNO;
    int rc = 0;
    pthread_mutex_lock(&session->lock);
    while (rc == 0 && i < end) {
        rc = acquire_unit(session, units->lists[i], err);
        i += rc == 0;
    }
    while (rc < 0 && i > first)
        release_unit(session, units->lists[--i], NULL);
    dt2_gear_wake(session);
    pthread_mutex_unlock(&session->lock);
    if (rc == 0 && (flags & DT2_ACQUIRE_HOST)) {
        rc = wait_for_stream(session, block, err);
        if (rc < 0)
            dt2_session_release(session, block, NULL);
    }
    return rc;
}

static int check_tensor(const struct dt2_session *session, size_t tensor, struct dt2_error *err)
{
    const struct dt2_model *model = session->model;
    if (tensor < model->table.count)
        return 0;
    return dt2_fail(err, DT2_EUSAGE, "model %s has %zu tensors; there is no index %zu", model->name, model->table.count,
                    tensor);
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
    int rc = check_tensor(session, tensor, err);
    if (rc < 0)
        return rc;
    size_t index = session->units.of_tensor[session->model->table.same_as[tensor]];
    if (index == DT2_NOWHERE)
        return 0;
    pthread_mutex_lock(&session->lock);
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
    pthread_mutex_lock(&session->lock);
    release_unit(session, session->units.of_tensor[session->model->table.same_as[tensor]], NULL);
    dt2_gear_wake(session);
    pthread_mutex_unlock(&session->lock);
}

int dt2_session_native(struct dt2_session *session, size_t tensor, struct dt2_native *native, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    int rc = dt2_result_check(&dt2_sized_native, native, err);
    if (rc == 0)
        rc = check_tensor(session, tensor, err);
    if (rc < 0)
        return rc;
    size_t home = session->model->table.same_as[tensor], index = session->units.of_tensor[home];
    if (index == DT2_NOWHERE) {
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
        uint64_t place = unit->offset + session->units.offsets[home], slab = session->places.slab_bytes;
        const struct dt2_backend_native *at = &session->gear.natives[place / slab];
        native->device = session->compute->name;
        native->handle = at->is_address ? (char *)at->handle + place % slab : at->handle;
        native->offset = at->is_address ? 0 : place % slab;
    }
    pthread_mutex_unlock(&session->lock);
    return rc;
}

int dt2_session_use_stream(struct dt2_session *session, void *stream, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    const struct dt2_opened *o = session->compute;
    struct dt2_backend_error failure = { 0 };
    dt2_handle former = dt2_session_queue(session), event = 0;
    if (!former)
        return dt2_fail(err, DT2_EUSAGE, "the session was opened without a stream");
    pthread_mutex_lock(&session->lock);
    former = dt2_session_queue(session);
    int rc = adopt_stream(session, stream, err), status = 0;
    if (rc == 0 && dt2_session_queue(session) != former) { /* what counts on the new one counts on the former too */
        status = o->backend->event_record(o->driver, former, &event, &failure);
        if (status == 0)
            status = o->backend->queue_wait_event(o->driver, dt2_session_queue(session), event, &failure);
        if (event)
            o->backend->event_free(o->driver, event, NULL);
    }
    pthread_mutex_unlock(&session->lock);
    return status < 0 ? dt2_fail_driver(err, o->name, &failure) : rc;
}

/* -- parking -------------------------------------------------------------------------------- */

bool dt2_session_streams(const struct dt2_session *session, size_t block)
{
    return block < session->model->blocks.count && session->units.first[block] != session->units.first[block + 1];
}

/* Waits until no other thread parks or unparks. The lock is held. */
static void wait_for_parking(struct dt2_session *session)
{
    while (session->parking)
        pthread_cond_wait(&session->changed, &session->lock);
}

/* The gear is made or given back without the lock. */
static void end_parking(struct dt2_session *session, bool parked)
{
    pthread_mutex_lock(&session->lock);
    session->parking = false;
    session->parked = parked;
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
}

int dt2_session_park(struct dt2_session *session, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    pthread_mutex_lock(&session->lock);
    wait_for_parking(session);
    int rc = session->parked ? 0 : check_idle(session, "parked", err);
    bool ours = rc == 0 && !session->parked;
    if (ours)
        session->parking = session->parked = true;
    pthread_mutex_unlock(&session->lock);
    if (ours) {
        dt2_gear_clear(session);
        end_parking(session, true);
    }
    return rc;
}

int dt2_session_unpark(struct dt2_session *session, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    pthread_mutex_lock(&session->lock);
    wait_for_parking(session);
    bool ours = session->parked;
    session->parking = ours;
    pthread_mutex_unlock(&session->lock);
    int rc = ours && session->units.count ? dt2_gear_make(session, err) : 0;
    if (ours)
        end_parking(session, rc < 0);
    return rc;
}
