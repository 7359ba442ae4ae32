/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Graph capture: what is queued in a stream that captures becomes part of a graph and does not run. The graph itself is
 * nothing here; what counts is who disturbs a capture, and what gets into one that should not.
 */
#include "engine.h"
#include <stdlib.h>

enum { GLOBAL = 0, RELAXED = 2 }; /* of enum cudaStreamCaptureMode, which HIP took over */

static _Thread_local int modes[SIM_API_COUNT]; /* of the thread: what may disturb a capture is forbidden by them */

int sim_capture_exchange(enum sim_api api, int *mode)
{
    int previous = modes[api];
    if (*mode < GLOBAL || *mode > RELAXED)
        return SIM_INVALID_VALUE;
    modes[api] = *mode;
    *mode = previous;
    return SIM_OK;
}

static bool is_own(const struct sim_capture *capture)
{
    return pthread_equal(capture->owner, pthread_self());
}

int sim_capture_begin(struct sim_context *context, uintptr_t id, int mode)
{
    SIM_LOCKED;
    if (id <= SIM_DEFAULT_STREAM)
        return SIM_CAPTURE_UNSUPPORTED;
    struct sim_stream *stream = sim_find_stream(context, id);
    struct sim_capture *capture = stream && !stream->capture ? calloc(1, sizeof *capture) : NULL;
    if (!capture)
        return stream ? SIM_INVALID_VALUE : SIM_INVALID_HANDLE;
    *capture = (struct sim_capture){ .next = sim.captures, .context = stream->context, .origin = stream, .mode = mode };
    capture->owner = pthread_self();
    stream->capture = sim.captures = capture; /* it stays: events tell of it */
    return SIM_OK;
}

int sim_capture_end(struct sim_context *context, uintptr_t id, uint64_t *commands)
{
    SIM_LOCKED;
    struct sim_stream *stream = sim_find_stream(context, id);
    struct sim_capture *capture = stream ? stream->capture : NULL;
    if (!capture || capture->origin != stream)
        return capture ? SIM_CAPTURE_UNMATCHED : SIM_INVALID_VALUE;
    if (capture->mode != RELAXED && !is_own(capture))
        return SIM_CAPTURE_WRONG_THREAD;
    bool unjoined = false;
    for (struct sim_stream *other = sim.streams; other; other = other->next)
        if (other->capture == capture) {
            unjoined |= other != stream;
            other->capture = NULL;
        }
    capture->origin = NULL;
    *commands = capture->commands;
    return capture->invalid ? SIM_CAPTURE_INVALIDATED : unjoined ? SIM_CAPTURE_UNJOINED : SIM_OK;
}

/* The capture with which work on the default stream of a context would collide. */
static struct sim_capture *implied(const struct sim_context *context)
{
    struct sim_capture *capture = sim.captures;
    while (capture && !(capture->origin && capture->context == context && capture->origin->blocking))
        capture = capture->next;
    return capture;
}

int sim_capture_state(struct sim_context *context, uintptr_t id, int *state)
{
    SIM_LOCKED;
    struct sim_stream *stream = sim_find_stream(context, id);
    if (!stream)
        return SIM_INVALID_HANDLE;
    if (stream == stream->context->legacy && implied(stream->context))
        return SIM_CAPTURE_IMPLICIT;
    *state = !stream->capture ? 0 : stream->capture->invalid ? 2 : 1;
    return SIM_OK;
}

int sim_capture_forbids(const struct sim_context *context)
{
    bool forbidden = false;
    if (modes[context->api] == RELAXED)
        return SIM_OK;
    for (struct sim_capture *capture = sim.captures; capture; capture = capture->next) {
        bool counts = is_own(capture) ? capture->mode != RELAXED
                                      : capture->mode == GLOBAL && modes[context->api] == GLOBAL;
        if (capture->origin && capture->context->api == context->api && counts)
            capture->invalid = forbidden = true;
    }
    return forbidden ? SIM_CAPTURE_UNSUPPORTED : SIM_OK;
}

int sim_capture_take(struct sim_stream *stream, bool *taken)
{
    struct sim_capture *capture = stream == stream->context->legacy ? implied(stream->context) : stream->capture;
    *taken = capture && capture == stream->capture && !capture->invalid;
    if (*taken)
        capture->commands++;
    if (!capture || *taken)
        return SIM_OK;
    bool was_invalid = capture->invalid;
    capture->invalid = true;
    return capture != stream->capture ? SIM_CAPTURE_IMPLICIT
           : was_invalid              ? SIM_CAPTURE_INVALIDATED
                                      : SIM_CAPTURE_UNSUPPORTED;
}

int sim_capture_stream_use(struct sim_stream *stream)
{
    struct sim_capture *capture = stream == stream->context->legacy ? implied(stream->context) : stream->capture;
    if (!capture)
        return SIM_OK;
    capture->invalid = true;
    return capture == stream->capture ? SIM_CAPTURE_UNSUPPORTED : SIM_CAPTURE_IMPLICIT;
}

int sim_capture_event_use(struct sim_event *event)
{
    if (event->capture)
        event->capture->invalid = true;
    return event->capture ? SIM_CAPTURED_EVENT : SIM_OK;
}

int sim_capture_wait(struct sim_stream *stream, const struct sim_event *event, bool *taken)
{
    *taken = false;
    if (!stream->capture && !event->capture)
        return SIM_OK;
    if (event->capture && !event->capture->origin)
        return SIM_CAPTURED_EVENT; /* of a capture that has ended */
    if (!event->capture) {
        stream->capture->invalid = true;
        return SIM_CAPTURE_ISOLATION;
    }
    if (!stream->capture) {
        sim_note(SIM_CAPTURED, "a stream of %s waits for an event that was captured, and becomes part of the graph",
                 stream->context->device->id);
        stream->capture = event->capture;
    }
    return sim_capture_take(stream, taken);
}
