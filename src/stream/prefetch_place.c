/* SPDX-License-Identifier: BSD-3-Clause */
/* Places in the window for what is fetched, over what was read or will be. */
#include "base/checked.h"
#include "base/error.h"
#include "model/model.h"
#include "stream/prefetch.h"

/* -- what the rule asks --------------------------------------------------------------------------------------- */

static unsigned standing(const void *data, size_t index)
{
    const struct dt2_session *session = data;
    const struct dt2_unit *unit = &session->units.units[index];
    bool needed = unit->holders || unit->waiters || unit->state == DT2_UNIT_COMING;
    return (unit->state != DT2_UNIT_ABSENT ? DT2_STANDS_THERE : 0) | (needed ? DT2_STANDS_NEEDED : 0) |
           (unit->wanted ? DT2_STANDS_WANTED : 0) |
           (unit->holders && index != session->latest ? DT2_STANDS_LASTING : 0);
}

static void want(void *data, size_t unit)
{
    ((struct dt2_session *)data)->units.units[unit].wanted = true;
}

struct dt2_ahead dt2_prefetch_rule(struct dt2_session *session)
{
    return (struct dt2_ahead){ &session->order, &session->places, standing, want, session };
}

/* A reader that copies wait for already need not be waited for again. */
static uint64_t turn_of(const void *data, size_t unit)
{
    const struct dt2_session *session = data;
    const struct dt2_unit *former = &session->units.units[unit];
    return former->reader && former->turn > session->prefetch.followed ? former->turn : 0;
}

/* -- places ---------------------------------------------------------------------------------------------------- */

void dt2_prefetch_free_event(const struct dt2_session *session, dt2_handle *event)
{
    if (*event)
        session->compute->backend->event_free(session->compute->driver, *event, NULL);
    *event = 0;
}

void dt2_prefetch_forget(struct dt2_session *session, struct dt2_unit *unit)
{
    dt2_prefetch_free_event(session, &unit->arrival);
    dt2_prefetch_free_event(session, &unit->reader);
    unit->state = DT2_UNIT_ABSENT;
    unit->there = false;
}

void dt2_prefetch_rewind(struct dt2_session *session)
{
    session->order.lead = 0;
    for (size_t i = 0; i < session->units.count; i++)
        session->units.units[i].wanted = false;
}

/* Divides the place of a unit into parts; the readers that are to be waited for come to be of the parts. */
static void divide(struct dt2_session *session, uint64_t offset, uint64_t bytes)
{
    struct dt2_prefetch *prefetch = &session->prefetch;
    prefetch->part_count = dt2_ahead_divide(&session->places, offset, bytes, turn_of, session, prefetch->parts);
    prefetch->part = prefetch->waited = 0;
    for (size_t i = 0; i < prefetch->part_count; i++) {
        struct dt2_part *part = &prefetch->parts[i];
        if (part->unit == DT2_NOWHERE)
            continue;
        part->reader = session->units.units[part->unit].reader;
        session->units.units[part->unit].reader = 0;
    }
    prefetch->at = prefetch->parts[0].offset;
}

int dt2_prefetch_wait_for_readers(struct dt2_session *session, size_t end, struct dt2_error *err)
{
    const struct dt2_opened *o = session->compute;
    struct dt2_prefetch *prefetch = &session->prefetch;
    struct dt2_backend_error failure = { 0 };
    for (; prefetch->waited < end; prefetch->waited++) {
        struct dt2_part *part = &prefetch->parts[prefetch->waited];
        bool follows = part->turn <= prefetch->followed;
        if (!follows && o->backend->queue_wait_event(o->driver, prefetch->staging.queue, part->reader, &failure) < 0)
            return dt2_fail_driver(err, o->name, &failure);
        prefetch->followed = dt2_max(prefetch->followed, part->turn);
        dt2_prefetch_free_event(session, &part->reader);
    }
    return 0;
}

void dt2_prefetch_finish_reader(struct dt2_session *session, dt2_handle *reader)
{
    const struct dt2_opened *o = session->compute;
    if (*reader && o->backend->event_wait(o->driver, *reader, NULL) < 0)
        for (size_t i = 0; i < session->stream_count; i++)
            o->backend->queue_wait(o->driver, session->streams[i].queue, NULL);
    dt2_prefetch_free_event(session, reader);
}

void dt2_prefetch_drop(struct dt2_session *session, size_t index)
{
    struct dt2_unit *unit = &session->units.units[index];
    dt2_prefetch_finish_reader(session, &unit->reader);
    dt2_window_drop(&session->places, index);
    dt2_prefetch_forget(session, unit);
}

void dt2_prefetch_finish_parts(struct dt2_session *session)
{
    for (size_t i = 0; i < session->prefetch.part_count; i++)
        dt2_prefetch_finish_reader(session, &session->prefetch.parts[i].reader);
    session->prefetch.part_count = 0;
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
        dt2_prefetch_forget(session, former);
    }
    if (dropped)
        dt2_prefetch_rewind(session);
    dt2_window_put(&session->places, index, offset, unit->bytes);
    unit->offset = offset;
    unit->state = DT2_UNIT_COMING;
    session->total.window_bytes = dt2_max(session->total.window_bytes, dt2_window_used(&session->places));
    session->prefetch.current = index;
}

bool dt2_prefetch_place(struct dt2_session *session, size_t index)
{
    const struct dt2_ahead rule = dt2_prefetch_rule(session);
    uint64_t offset;
    if (!dt2_ahead_find_now(&rule, session->units.units[index].bytes, &offset))
        return false;
    give_place(session, index, offset);
    return true;
}

bool dt2_prefetch_place_ahead(struct dt2_session *session, size_t index)
{
    const struct dt2_ahead rule = dt2_prefetch_rule(session);
    uint64_t offset;
    if (!dt2_ahead_find(&rule, session->units.units[index].bytes, &offset))
        return false;
    give_place(session, index, offset);
    return true;
}
