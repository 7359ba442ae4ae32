/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams, each with a thread that runs its commands one after the other, late; and events. */
#include "engine.h"
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Numbers that are no addresses of anything, and no two the same. */
static const uintptr_t FIRST_ID = 0x51000000;
enum { ID_STEP = 16 };

static uintptr_t new_id(void)
{
    if (sim.next_id == 0)
        sim.next_id = FIRST_ID;
    return sim.next_id += ID_STEP;
}

static void wait_for_change(void)
{
    pthread_cond_wait(&sim.changed, &sim.lock);
}

/* -- events as the streams see them */

static struct sim_event *hold_event(struct sim_event *event)
{
    event->references++;
    return event;
}

static void drop_event(struct sim_event *event)
{
    if (--event->references)
        return;
    struct sim_event **link = &sim.events;
    while (*link != event)
        link = &(*link)->next;
    *link = event->next;
    free(event);
}

struct sim_event *sim_find_event(uintptr_t id)
{
    struct sim_event *event = sim.events;
    while (event && (event->id != id || !id))
        event = event->next;
    return event;
}

/* -- the life of a stream */

/* Whether a command may run: after what it waits for; on the default stream after all of the blocking ones, and they
 * after it. */
static bool is_ready(const struct sim_stream *stream, const struct sim_op *op)
{
    for (unsigned i = 0; i < op->wait_count; i++)
        if (op->waits[i].event->completed < op->waits[i].generation)
            return false;
    const struct sim_stream *legacy = stream->context->legacy;
    if (stream != legacy)
        return !stream->blocking || !legacy || !legacy->head || legacy->head->sequence > op->sequence;
    for (const struct sim_stream *other = sim.streams; other; other = other->next)
        if (other->context == stream->context && other->blocking && other->head && other->head->sequence < op->sequence)
            return false;
    return true;
}

static void finish(struct sim_stream *stream, struct sim_op *op)
{
    if (op->status)
        sim_context_stick(stream->context, op->status);
    struct sim_event *event = op->completes;
    if (event && op->generation > event->completed) {
        event->completed = op->generation;
        event->status = op->status;
    }
    stream->head = op->next;
    if (!stream->head)
        stream->tail = NULL;
    sim_op_drop(op);
    pthread_cond_broadcast(&sim.changed);
}

static void forget(struct sim_stream *stream)
{
    struct sim_stream **link = &sim.streams;
    while (*link != stream)
        link = &(*link)->next;
    *link = stream->next;
    for (struct sim_capture *capture = sim.captures; capture; capture = capture->next)
        if (capture->origin == stream)
            capture->origin = NULL;
    free(stream);
}

static void *stream_main(void *self)
{
    struct sim_stream *stream = self;
    prctl(PR_SET_TIMERSLACK, 1L); /* a link's time is to end when it ends, not 50 µs later */
    sim_lock();
    for (;;) {
        struct sim_op *op = stream->head;
        if (!op && stream->closing && stream->waiters == 0)
            break;
        if (!op || !is_ready(stream, op)) {
            wait_for_change();
            continue;
        }
        op->status = sim_execute(stream, op);
        finish(stream, op);
    }
    if (stream->detached)
        forget(stream);
    pthread_cond_broadcast(&sim.changed);
    sim_unlock();
    return NULL;
}

static struct sim_stream *new_stream(struct sim_context *context, bool blocking, uintptr_t id)
{
    struct sim_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return NULL;
    *stream = (struct sim_stream){ .next = sim.streams, .id = id, .context = context, .blocking = blocking };
    stream->random = sim.machine.seed * 1000003 + sim.next_stream++;
    if (pthread_create(&stream->thread, NULL, stream_main, stream)) {
        free(stream);
        return NULL;
    }
    sim.streams = stream;
    sim_order_join(stream);
    return stream;
}

static struct sim_stream *look_up(struct sim_context *context, uintptr_t id)
{
    if (id <= SIM_DEFAULT_STREAM) {
        if (!context->legacy && (context->legacy = new_stream(context, false, SIM_DEFAULT_STREAM)))
            pthread_detach(context->legacy->thread);
        return context->legacy;
    }
    for (struct sim_stream *stream = sim.streams; stream; stream = stream->next)
        if (stream->id == id && stream->context->api == context->api)
            return stream;
    return NULL;
}

/* To use what is no stream is a mistake; with a stream of another device it may be one: the caller tells. */
struct sim_stream *sim_find_stream(struct sim_context *context, uintptr_t id)
{
    struct sim_stream *stream = look_up(context, id);
    if (!stream)
        sim_note(SIM_BAD_HANDLE, "%#lx is no stream, or none any more", (unsigned long)id);
    return stream;
}

int sim_stream_create(struct sim_context *context, bool blocking, uintptr_t *id)
{
    SIM_LOCKED;
    struct sim_stream *stream = new_stream(context, blocking, new_id());
    if (!stream)
        return SIM_NOMEM;
    *id = stream->id;
    return SIM_OK;
}

/* From now on the stream has no name; it ends when its work is done. */
static void close_stream(struct sim_stream *stream)
{
    stream->id = 0;
    stream->closing = true;
    stream->detached = true;
    if (stream == stream->context->legacy)
        stream->context->legacy = NULL;
    else
        pthread_detach(stream->thread);
    pthread_cond_broadcast(&sim.changed);
}

int sim_stream_destroy(struct sim_context *context, uintptr_t id)
{
    SIM_LOCKED;
    struct sim_stream *stream = id > SIM_DEFAULT_STREAM ? sim_find_stream(context, id) : NULL;
    if (!stream)
        return SIM_INVALID_HANDLE;
    struct sim_context *owner = stream->context;
    if (stream->head) {
        close_stream(stream);
    } else { /* with nothing to do it is gone when the call returns */
        stream->id = 0;
        stream->closing = true;
        pthread_cond_broadcast(&sim.changed);
        sim_unlock();
        pthread_join(stream->thread, NULL);
        sim_lock();
        forget(stream);
    }
    return sim_context_check(owner);
}

void sim_close_streams(struct sim_context *context)
{
    for (bool found = true; found;) {
        found = false;
        for (struct sim_stream *stream = sim.streams; stream && !found; stream = stream->next)
            if (stream->context == context && stream->id) {
                close_stream(stream);
                found = true;
            }
    }
    for (struct sim_event *event = sim.events, *next; event; event = next) {
        next = event->next;
        if (event->context == context && event->id) {
            event->id = 0;
            drop_event(event);
        }
    }
}

struct sim_context *sim_stream_context(struct sim_context *context, uintptr_t id)
{
    SIM_LOCKED;
    const struct sim_stream *stream = look_up(context, id);
    return stream ? stream->context : NULL;
}

/* -- commands in a stream */

/* NULL without memory. */
struct sim_op *sim_op_new(struct sim_context *context, const struct sim_command *command)
{
    struct sim_op *op = calloc(1, sizeof *op + command->wait_count * sizeof op->waits[0]);
    if (!op)
        return NULL;
    op->command = *command;
    for (unsigned i = 0; i < command->wait_count; i++) {
        struct sim_event *event = sim_find_event(command->waits[i]);
        if (event && event->context->api == context->api)
            op->waits[op->wait_count++] = (struct sim_wait){ hold_event(event), event->recorded };
    }
    struct sim_event *event = sim_find_event(command->completes);
    if (event) {
        op->completes = hold_event(event);
        op->generation = ++event->recorded;
    }
    return op;
}

void sim_op_drop(struct sim_op *op)
{
    for (unsigned i = 0; i < op->wait_count; i++)
        drop_event(op->waits[i].event);
    if (op->completes)
        drop_event(op->completes);
    free(op->staged);
    free(op);
}

void sim_queue(struct sim_stream *stream, struct sim_op *op)
{
    op->sequence = sim.next_sequence++;
    if (stream->tail)
        stream->tail->next = op;
    else
        stream->head = op;
    stream->tail = op;
    sim_order_queued(stream, op);
    pthread_cond_broadcast(&sim.changed);
}

void sim_drain(struct sim_stream *stream, uint64_t sequence)
{
    const struct sim_clock clock = stream->clock;
    stream->waiters++;
    while (stream->head && stream->head->sequence < sequence)
        wait_for_change();
    stream->waiters--;
    sim_order_known(&clock);
    pthread_cond_broadcast(&sim.changed);
}

static bool overlaps(const void *base, uint64_t size, const void *address, uint64_t bytes)
{
    const char *a = base, *b = address;
    return a && b && a < b + bytes && b < a + size;
}

static bool reads(const struct sim_op *op)
{
    return op->command.kind == SIM_KERNEL || (op->command.kind == SIM_COPY && !op->staged);
}

static bool touches(const struct sim_op *op, const void *address, uint64_t bytes, bool writes)
{
    const struct sim_command *command = &op->command;
    return (command->kind != SIM_NOTHING && overlaps(command->to, command->bytes, address, bytes)) ||
           (reads(op) && !writes && overlaps(command->from, command->bytes, address, bytes));
}

static bool any_op(const void *address, uint64_t bytes, bool writes, bool running)
{
    for (const struct sim_stream *stream = sim.streams; stream; stream = stream->next)
        for (const struct sim_op *op = stream->head; op; op = op->next)
            if ((!running || op->running) && touches(op, address, bytes, writes))
                return true;
    return false;
}

bool sim_pending(const void *address, uint64_t bytes, bool writes)
{
    return any_op(address, bytes, writes, false);
}

void sim_wait_untouched(const void *address, uint64_t bytes)
{
    while (any_op(address, bytes, false, true))
        wait_for_change();
}

static bool conflicts(const struct sim_op *one, const struct sim_op *other)
{
    const struct sim_command *command = &one->command;
    return (command->kind != SIM_NOTHING && touches(other, command->to, command->bytes, false)) ||
           (reads(one) && touches(other, command->from, command->bytes, true));
}

const struct sim_op *sim_conflict(const struct sim_stream *stream, const struct sim_op *op)
{
    for (const struct sim_stream *other = sim.streams; other; other = other->next)
        for (const struct sim_op *one = other->head; one && other != stream; one = one->next)
            if ((one->sequence < op->sequence || one->running) && conflicts(op, one))
                return one;
    return NULL;
}

void sim_wait_idle(const void *address, uint64_t bytes)
{
    SIM_LOCKED;
    while (sim_pending(address, bytes, false))
        wait_for_change();
    sim_order_forget(address, bytes);
}

/* A command without bytes, for its place in the order. */
static int queue_nothing(struct sim_stream *stream, const struct sim_command *command)
{
    struct sim_op *op = sim_op_new(stream->context, command);
    if (!op)
        return SIM_NOMEM;
    sim_queue(stream, op);
    return SIM_OK;
}

int sim_stream_wait(struct sim_context *context, uintptr_t id)
{
    SIM_LOCKED;
    struct sim_stream *stream = sim_find_stream(context, id);
    if (!stream)
        return SIM_INVALID_HANDLE;
    struct sim_context *owner = stream->context;
    int status = sim_capture_stream_use(stream);
    if (status || (status = sim_capture_forbids(owner)))
        return status;
    if (stream == context->legacy) { /* with the blocking streams, too */
        status = queue_nothing(stream, &(struct sim_command){ .kind = SIM_NOTHING });
        if (status)
            return status;
    }
    sim_drain(stream, sim.next_sequence);
    return sim_context_check(owner);
}

int sim_stream_query(struct sim_context *context, uintptr_t id)
{
    SIM_LOCKED;
    struct sim_stream *stream = sim_find_stream(context, id);
    if (!stream)
        return SIM_INVALID_HANDLE;
    int status = sim_capture_stream_use(stream);
    if (status || (status = sim_capture_forbids(stream->context)) || (status = sim_context_check(stream->context)))
        return status;
    if (stream->head)
        return SIM_NOT_READY;
    sim_order_known(&stream->clock);
    return SIM_OK;
}

/* -- events */

int sim_event_create(struct sim_context *context, uintptr_t *id)
{
    SIM_LOCKED;
    struct sim_event *event = calloc(1, sizeof *event);
    if (!event)
        return SIM_NOMEM;
    *event = (struct sim_event){ .next = sim.events, .id = new_id(), .context = context, .references = 1 };
    sim.events = event;
    *id = event->id;
    return SIM_OK;
}

/* The event behind a number; a number that is none is a mistake. */
static struct sim_event *get_event(const struct sim_context *context, uintptr_t id)
{
    struct sim_event *event = sim_find_event(id);
    if (event && event->context->api == context->api)
        return event;
    sim_note(SIM_BAD_HANDLE, "%#lx is no event, or none any more", (unsigned long)id);
    return NULL;
}

int sim_event_destroy(struct sim_context *context, uintptr_t id)
{
    SIM_LOCKED;
    struct sim_event *event = get_event(context, id);
    if (!event)
        return SIM_INVALID_HANDLE;
    struct sim_context *owner = event->context;
    event->id = 0;
    drop_event(event);
    return sim_context_check(owner);
}

int sim_event_record(struct sim_context *context, uintptr_t id, uintptr_t stream_id)
{
    SIM_LOCKED;
    struct sim_event *event = get_event(context, id);
    struct sim_stream *stream = event ? sim_find_stream(context, stream_id) : NULL;
    if (!stream)
        return SIM_INVALID_HANDLE;
    if (stream->context != context || event->context != stream->context)
        sim_note(SIM_WRONG_DEVICE, "an event of %s is recorded in a stream of %s while %s is current",
                 event->context->device->id, stream->context->device->id, context->device->id);
    if (event->context != stream->context)
        return SIM_INVALID_HANDLE;
    bool captured = false;
    int status = sim_context_check(stream->context);
    if (status || (status = sim_capture_take(stream, &captured)))
        return status;
    event->capture = stream->capture;
    return captured ? SIM_OK : queue_nothing(stream, &(struct sim_command){ .kind = SIM_NOTHING, .completes = id });
}

/* The outcome of the work before an event: its own in OpenCL, the context's elsewhere. */
static int outcome(struct sim_event *event)
{
    int status = sim_context_check(event->context);
    return event->context->api == SIM_OPENCL && event->status ? event->status : status;
}

int sim_event_query(struct sim_context *context, uintptr_t id)
{
    SIM_LOCKED;
    if (sim.machine.query_us) {
        sim_unlock();
        usleep(sim.machine.query_us);
        sim_lock();
    }
    struct sim_event *event = get_event(context, id);
    if (!event)
        return SIM_INVALID_HANDLE;
    int status = sim_capture_event_use(event);
    if (status || (status = sim_capture_forbids(event->context)))
        return status;
    status = outcome(event);
    if (status == SIM_OK && event->completed < event->recorded)
        return SIM_NOT_READY;
    if (event->completed >= event->recorded)
        sim_order_known(&event->clock);
    return status;
}

int sim_event_wait(struct sim_context *context, uintptr_t id)
{
    SIM_LOCKED;
    struct sim_event *event = get_event(context, id);
    if (!event)
        return SIM_INVALID_HANDLE;
    int status = sim_capture_event_use(event);
    if (status || (status = sim_capture_forbids(event->context)))
        return status;
    const struct sim_clock clock = event->clock;
    hold_event(event);
    for (uint64_t generation = event->recorded; event->completed < generation;)
        wait_for_change();
    sim_order_known(&clock);
    status = outcome(event);
    drop_event(event);
    return status;
}

int sim_stream_wait_event(struct sim_context *context, uintptr_t stream_id, uintptr_t id)
{
    SIM_LOCKED;
    struct sim_event *event = get_event(context, id);
    struct sim_stream *stream = event ? sim_find_stream(context, stream_id) : NULL;
    if (!stream)
        return SIM_INVALID_HANDLE;
    bool captured = false;
    int status = sim_context_check(stream->context);
    struct sim_command command = { .kind = SIM_NOTHING, .wait_count = 1, .waits = &id };
    if (status == SIM_OK)
        status = sim_capture_wait(stream, event, &captured);
    return status || captured ? status : queue_nothing(stream, &command);
}
