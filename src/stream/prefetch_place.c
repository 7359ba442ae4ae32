/* SPDX-License-Identifier: BSD-3-Clause */
/* Places in the window for what is fetched, over what was read or will be. */
#include "base/checked.h"
#include "base/error.h"
#include "model/model.h"
#include "stream/prefetch.h"

#define PART_LEAST ((uint64_t)1 << 20) /* about as long on a fast link as it takes to queue a copy and an event */

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

/* Puts a part among those that can be written, the first first. */
static void sort_in(struct dt2_prefetch *prefetch, struct dt2_part part)
{
    size_t at = prefetch->part_count++;
    for (; at > 0 && prefetch->parts[at - 1].until > part.until; at--)
        prefetch->parts[at] = prefetch->parts[at - 1];
    prefetch->parts[at] = part;
}

/*
 * Makes one part of two that lie beside each other, when both wait for the same, or when the one that could be written first is
 * so small that a copy of its own would cost more than waiting. The later reader comes after the other, whose event says
 * nothing more then.
 */
static bool merge(const struct dt2_session *session, struct dt2_part *part, struct dt2_part next)
{
    struct dt2_part *early = part->turn < next.turn ? part : &next, *late = early == part ? &next : part;
    if (early->turn != late->turn && early->bytes >= PART_LEAST)
        return false;
    dt2_prefetch_free_event(session, &early->reader);
    *part = (struct dt2_part){ part->offset, part->bytes + next.bytes, late->reader, late->turn,
                               dt2_max(part->until, next.until) };
    return true;
}

/* The reader of what lies there comes to be of the part, unless copies wait for it already. */
static struct dt2_part part_of(struct dt2_session *session, struct dt2_unit *former, uint64_t offset, uint64_t bytes,
                               uint64_t until)
{
    struct dt2_part part = { .offset = offset, .bytes = bytes };
    if (former->turn <= session->prefetch.followed)
        dt2_prefetch_free_event(session, &former->reader);
    if (former->reader) {
        part.reader = former->reader;
        part.turn = former->turn;
        part.until = until;
    }
    former->reader = 0;
    return part;
}

/* Divides the place of a unit into parts, by the units that lie there. */
static void divide(struct dt2_session *session, uint64_t offset, uint64_t bytes)
{
    struct dt2_prefetch *prefetch = &session->prefetch;
    uint64_t at = offset, end = offset + bytes;
    size_t first, count = dt2_window_overlapped(&session->places, offset, bytes, &first);
    struct dt2_part last = { 0 };
    prefetch->part_count = prefetch->part = prefetch->waited = 0;
    for (size_t i = first; at < end; i++) {
        const struct dt2_tenant *tenant = i < first + count ? &session->places.tenants[i] : NULL;
        struct dt2_part part = { .offset = at - offset, .bytes = (tenant ? tenant->offset : end) - at };
        if (tenant && tenant->offset <= at)
            part = part_of(session, &session->units.units[tenant->unit], at - offset,
                           dt2_min(tenant->offset + tenant->bytes, end) - at, tenant->until);
        else if (tenant)
            i--; /* its turn comes behind the gap before it */
        at += part.bytes;
        if (last.bytes == 0)
            last = part;
        else if (!merge(session, &last, part)) {
            sort_in(prefetch, last);
            last = part;
        }
    }
    sort_in(prefetch, last);
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

static bool place_over(struct dt2_session *session, size_t index, bool (*keep)(void *, size_t))
{
    uint64_t offset;
    if (!dt2_window_find(&session->places, session->units.units[index].bytes, keep, session, &offset))
        return false;
    give_place(session, index, offset);
    return true;
}

bool dt2_prefetch_place(struct dt2_session *session, size_t index)
{
    return place_over(session, index, keep_wanted) || place_over(session, index, keep_needed);
}

/* What is held on to while the network goes on. */
static bool keep_lasting(void *data, size_t unit)
{
    const struct dt2_session *session = data;
    const struct dt2_unit *u = &session->units.units[unit];
    return u->holders && unit != session->latest;
}

bool dt2_prefetch_place_ahead(struct dt2_session *session, size_t index)
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
