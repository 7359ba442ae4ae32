/* SPDX-License-Identifier: BSD-3-Clause */
/* Sessions: opening, closing, the caller's streams, parking. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/sized.h"
#include "model/model.h"
#include "stream/stream.h"
#include <inttypes.h>
#include <string.h>

/* -- opening ----------------------------------------------------------------------------------------------- */

/* All that depends on how many units there are, whether they stream by now or not. */
static int make_tables(struct dt2_session *session, struct dt2_error *err)
{
    const struct dt2_units *units = &session->units;
    session->places.alignment = dt2_max(session->compute->alignment_bytes, session->model->plan->alignment_bytes);
    session->places.by_parts = session->options.has_stream;
    session->places.tenants = dt2_alloc(units->count, sizeof *session->places.tenants);
    session->asked = dt2_alloc(units->count, sizeof *session->asked);
    session->held = dt2_alloc(session->model->blocks.count, sizeof *session->held);
    session->reached = DT2_NOWHERE;
    if (!session->places.tenants || !session->asked || !session->held || !dt2_order_make(&session->order, units->count))
        return dt2_fail_nomem(err);
    dt2_order_renew(&session->order);
    for (size_t i = 0; i < units->count; i++)
        if (dt2_unit_streams(&units->units[i]))
            dt2_order_append(&session->order, i, false);
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
        if (status < 0) {
            int rc = dt2_fail_driver(err, o->name, &failure);
            return status == DT2_BACKEND_INVALID ? dt2_fail_as(err, DT2_EUSAGE) : rc; /* a queue of another device or context */
        }
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
        rc = dt2_units_make(model, dt2_max(session->compute->alignment_bytes, model->plan->alignment_bytes), session->compute->max_alloc_bytes,
                            &session->units, err);
    session->own = dt2_plan_own_share(model->plan);
    if (rc == 0 && session->options.has_stream && (session->compute->flags & DT2_DEVICE_HOST_ADDRESSABLE))
        rc = dt2_fail(err, DT2_EUSAGE, "%s computes in the caller's thread and has no streams", session->compute->name);
    if (rc == 0 && session->options.has_stream)
        rc = adopt_stream(session, session->options.stream, err);
    if (rc == 0)
        rc = make_tables(session, err);
    if (rc == 0 && session->units.streaming)
        rc = dt2_prefetch_fit(session, err);
    if (rc == 0 && session->units.streaming)
        rc = dt2_prefetch_make(session, err);
    return rc;
}

/* Who holds a block in place as the session ends reads it no more. */
static void let_all_go(struct dt2_session *session)
{
    const struct dt2_units *units = &session->units;
    for (size_t i = 0; session->held && i < session->model->blocks.count; i++)
        for (unsigned times = atomic_load(&session->held[i]); times > 0; times--)
            for (size_t j = units->first[i]; j < units->first[i + 1]; j++)
                if (!dt2_unit_streams(&units->units[units->lists[j]]))
                    dt2_slab_let_go(units->units[units->lists[j]].movable);
}

/* Takes the session out of the model's list. The model's `lives` is held. */
static void unlink_session(struct dt2_session *session)
{
    struct dt2_session **link = &session->model->first_session;
    while (*link && *link != session)
        link = &(*link)->next;
    if (*link)
        *link = session->next;
}

static void destroy(struct dt2_session *session)
{
    const struct dt2_opened *o = session->compute;
    struct dt2_model *model = session->model;
    pthread_mutex_lock(&model->lives);
    unlink_session(session);
    dt2_prefetch_clear(session);
    let_all_go(session);
    pthread_mutex_unlock(&model->lives);
    dt2_session_unpin(session);
    for (size_t i = 0; i < session->stream_count; i++)
        o->backend->queue_destroy(o->driver, session->streams[i].queue, NULL);
    dt2_release(session->streams);
    dt2_order_clear(&session->order);
    dt2_release(session->places.tenants);
    dt2_release(session->asked);
    dt2_release((void *)(uintptr_t)session->held);
    dt2_units_clear(&session->units);
    dt2_warnings_clear(&session->warnings);
    dt2_machine_close(model->context->machine, session->compute);
    pthread_cond_destroy(&session->changed);
    pthread_cond_destroy(&session->work);
    pthread_mutex_destroy(&session->lock);
    atomic_fetch_sub(&model->sessions, 1);
    dt2_model_return(model);
    dt2_model_unref(model);
    dt2_release(session);
}

static int refuse_resident(const struct dt2_model *model, struct dt2_error *err)
{
    return dt2_fail(err, DT2_EUSAGE,
                    "model %s was loaded to be used where its blocks lie (request.resident): no window was planned for it",
                    model->name);
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
    if (how.host_memory != DT2_HOST_AUTO && how.host_memory != DT2_HOST_PAGEABLE && how.host_memory != DT2_HOST_PINNED)
        return dt2_fail(err, DT2_EUSAGE, "host_memory %d is no enum dt2_host_memory", (int)how.host_memory);
    struct dt2_session *made = dt2_alloc(1, sizeof *made);
    if (!made)
        return dt2_fail_nomem(err);
    int rc = model->plan->resident ? refuse_resident(model, err) : dt2_model_borrow(model, err);
    if (rc < 0) {
        dt2_release(made);
        return rc;
    }
    made->model = dt2_model_ref(model);
    made->options = how;
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->work, NULL);
    pthread_cond_init(&made->changed, NULL);
    pthread_mutex_lock(&model->lives);
    rc = prepare(made, err);
    atomic_fetch_add(&model->sessions, 1);
    made->next = model->first_session;
    model->first_session = made;
    pthread_mutex_unlock(&model->lives);
    if (rc < 0)
        destroy(made);
    else
        *session = made;
    return rc;
}

/* Whether a streamed block is held, or waited for, in words. The lock is held. */
static int check_idle(struct dt2_session *session, const char *what, struct dt2_error *err)
{
    dt2_session_pay(session);
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
    if (dt2_fork_check(session->model->generation, "session", err) < 0)
        return DT2_EUSAGE;
    pthread_mutex_lock(&session->lock);
    int rc = check_idle(session, "closed", err);
    pthread_mutex_unlock(&session->lock);
    if (rc < 0)
        return rc;
    dt2_session_teach(session);
    destroy(session);
    return 0;
}

struct dt2_model *dt2_session_model(const struct dt2_session *session)
{
    return session->model;
}

/* -- streams ------------------------------------------------------------------------------------------------ */

int dt2_session_use_stream(struct dt2_session *session, void *stream, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    const struct dt2_opened *o = session->compute;
    struct dt2_backend_error failure = { 0 };
    dt2_handle event = 0;
    if (dt2_fork_check(session->model->generation, "session", err) < 0)
        return DT2_EUSAGE;
    if (!session->options.has_stream)
        return dt2_fail(err, DT2_EUSAGE, "the session was opened without a stream");
    pthread_mutex_lock(&session->lock);
    dt2_handle former = dt2_session_queue(session);
    void *native = session->streams[0].native;
    int rc = adopt_stream(session, stream, err), status = 0;
    if (rc == 0 && dt2_session_queue(session) != former) { /* what counts on the new one counts on the former too */
        status = o->backend->event_record(o->driver, former, &event, &failure);
        if (status == 0)
            status = o->backend->queue_wait_event(o->driver, dt2_session_queue(session), event, &failure);
        if (event)
            o->backend->event_free(o->driver, event, NULL);
    }
    if (status < 0) /* it goes on with the former, which is known */
        adopt_stream(session, native, NULL);
    pthread_mutex_unlock(&session->lock);
    return status < 0 ? dt2_fail_driver(err, o->name, &failure) : rc;
}

/* -- parking -------------------------------------------------------------------------------- */

bool dt2_session_streams(const struct dt2_session *session, size_t block)
{
    const struct dt2_units *units = &session->units;
    if (block >= session->model->blocks.count)
        return false;
    for (size_t i = units->first[block]; i < units->first[block + 1]; i++)
        if (dt2_unit_streams(&units->units[units->lists[i]]))
            return true;
    return false;
}

int dt2_session_park(struct dt2_session *session, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    if (dt2_fork_check(session->model->generation, "session", err) < 0)
        return DT2_EUSAGE;
    pthread_mutex_lock(&session->model->lives);
    pthread_mutex_lock(&session->lock);
    int rc = session->parked ? 0 : check_idle(session, "parked", err);
    bool ours = rc == 0 && !session->parked;
    session->parked |= ours;
    pthread_mutex_unlock(&session->lock);
    if (ours)
        dt2_prefetch_clear(session);
    pthread_mutex_unlock(&session->model->lives);
    return rc;
}

int dt2_session_unpark(struct dt2_session *session, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    if (dt2_fork_check(session->model->generation, "session", err) < 0)
        return DT2_EUSAGE;
    pthread_mutex_lock(&session->model->lives);
    pthread_mutex_lock(&session->lock);
    bool made = session->parked && session->units.streaming;
    int rc = made && !session->prefetch.window.opened ? dt2_prefetch_fit(session, err) : 0;
    pthread_mutex_unlock(&session->lock);
    if (made && rc == 0)
        rc = dt2_prefetch_make(session, err);
    pthread_mutex_lock(&session->lock);
    session->parked &= rc < 0;
    pthread_mutex_unlock(&session->lock);
    pthread_mutex_unlock(&session->model->lives);
    return rc;
}
