/* SPDX-License-Identifier: BSD-3-Clause */
/* Beside a program that captures graphs: its captures stay good, and nothing of ours gets into a graph. */
#include "caller.h"

enum { NOTHING = 1 }; /* the simulator's graph of no commands */

static GPU(Stream_t) own;

static void begin(enum GPU(StreamCaptureMode) mode)
{
    must(GPU(StreamBeginCapture)(own, mode) == GPU(Success));
}

/* The capture is good, and what it captured is not ours. */
static void end_well(void)
{
    GPU(Graph_t) graph = NULL;
    must(GPU(StreamEndCapture)(own, &graph) == GPU(Success));
    must((uintptr_t)graph == NOTHING);
}

static void make_own(bool blocking)
{
    must(GPU(SetDevice)(0) == GPU(Success));
    must(GPU(StreamCreateWithFlags)(&own, blocking ? 0 : GPU(StreamNonBlocking)) == GPU(Success));
}

/* The mode that the thread has. */
static enum GPU(StreamCaptureMode) mode_now(void)
{
    enum GPU(StreamCaptureMode) mode = GPU(StreamCaptureModeRelaxed), found;
    must(GPU(ThreadExchangeStreamCaptureMode)(&mode) == GPU(Success));
    found = mode;
    must(GPU(ThreadExchangeStreamCaptureMode)(&mode) == GPU(Success));
    return found;
}

static void is_global(void)
{
    must(mode_now() == GPU(StreamCaptureModeGlobal));
}

/* -- captures elsewhere */

static void *work_in_thread(void *data)
{
    (void)data;
    work(0, is_global);
    work(1, is_global);
    return NULL;
}

static void check_peers(void)
{
    dt2_handle devices[2] = { opened(0), opened(1) };
    enum dt2_peer_verdict verdict;
    must(good(CALL(peer_check, devices[0], devices[1], &verdict)) && verdict == DT2_PEER_OK);
    must(good(CALL(device_close, devices[0])) && good(CALL(device_close, devices[1])));
}

/* Whatever is done meanwhile, by the thread that captures and by another. */
static void body_elsewhere(void)
{
    static const enum GPU(StreamCaptureMode) modes[] = { GPU(StreamCaptureModeGlobal),
                                                         GPU(StreamCaptureModeThreadLocal),
                                                         GPU(StreamCaptureModeRelaxed) };
    pthread_t thread;
    open_driver();
    make_own(false);
    for (int i = 0; i < 3; i++) {
        begin(modes[i]);
        work(0, is_global);
        if (i == 0)
            check_peers();
        must(pthread_create(&thread, NULL, work_in_thread, NULL) == 0);
        pthread_join(thread, NULL);
        end_well();
    }
    must(GPU(StreamDestroy)(own) == GPU(Success));
    close_driver();
}

/* The thread's mode comes back whatever it was, and also where the runtime fails to change it. */
static void body_mode(void)
{
    uint64_t free_bytes;
    open_driver();
    dt2_handle device = opened(0), queue = 0;
    for (int i = 0; i < 3; i++) {
        enum GPU(StreamCaptureMode) mode = (enum GPU(StreamCaptureMode))i;
        must(GPU(ThreadExchangeStreamCaptureMode)(&mode) == GPU(Success));
        must(good(CALL(queue_create, device, &queue)) && good(CALL(queue_destroy, queue)));
        must(good(CALL(device_free_bytes, 0, true, &free_bytes)));
        must((int)mode_now() == i);
    }
    enum GPU(StreamCaptureMode) mode = GPU(StreamCaptureModeGlobal);
    must(GPU(ThreadExchangeStreamCaptureMode)(&mode) == GPU(Success));
    for (uint64_t n = 1; n <= 2; n++) { /* on the way in, on the way out */
        sim_fail(GPU_DRIVER_NAME "ThreadExchangeStreamCaptureMode", n, false, GPU(ErrorInvalidValue));
        must(good(CALL(queue_create, device, &queue)));
        sim_forgive();
        is_global();
        must(GPU(PeekAtLastError)() == GPU(Success));
        must(good(CALL(queue_destroy, queue)));
    }
    must(good(CALL(device_close, device)));
    close_driver();
}

/* -- a capture in a stream that we were given */

struct given {
    dt2_handle device, buffers[2], queue, ours, event;
};

static void give(struct given *g, GPU(Stream_t) stream)
{
    *g = (struct given){ .device = opened(0) };
    for (int i = 0; i < 2; i++)
        must(good(CALL(buffer_alloc, g->device, 4096, &g->buffers[i])));
    must(good(CALL(queue_create, g->device, &g->ours)) && good(CALL(event_record, g->ours, &g->event)));
    must(good(CALL(queue_adopt, g->device, stream, &g->queue)));
}

static void take_back(struct given *g)
{
    must(good(CALL(event_free, g->event)) && good(CALL(queue_destroy, g->ours)));
    for (int i = 0; i < 2; i++)
        must(good(CALL(buffer_free, g->buffers[i])));
    must(good(CALL(device_close, g->device)));
}

#define REFUSED(call) must((call) == DT2_BACKEND_CAPTURING && strstr(failure.text, "captures a graph"))

static void is_refused(struct given *g, GPU(Stream_t) stream)
{
    static char memory[4096];
    dt2_handle more = 0;
    REFUSED(CALL(event_record, g->queue, &more));
    REFUSED(CALL(queue_wait_event, g->queue, g->event));
    REFUSED(CALL(queue_wait, g->queue));
    REFUSED(CALL(copy_h2d, g->queue, g->buffers[0], 0, memory, 4096));
    REFUSED(CALL(copy_d2h, g->queue, g->buffers[0], 0, memory, 4096));
    REFUSED(CALL(copy_d2d, g->queue, g->buffers[0], 0, g->buffers[1], 0, 4096));
    REFUSED(CALL(copy_peer, g->queue, g->buffers[0], 0, g->buffers[1], 0, 4096));
    REFUSED(CALL(queue_adopt, g->device, stream, &more));
    must(!more && GPU(PeekAtLastError)() == GPU(Success));
}

static void body_given(void)
{
    struct given g;
    dt2_handle event = 0;
    open_driver();
    make_own(false);
    give(&g, own);
    for (int i = 0; i < 2; i++) {
        begin(GPU(StreamCaptureModeGlobal));
        is_refused(&g, own);
        end_well();
        must(good(CALL(event_record, g.queue, &event)) && good(CALL(queue_wait_event, g.ours, event)));
        must(good(CALL(queue_wait, g.queue)) && good(CALL(event_free, event)));
    }
    begin(GPU(StreamCaptureModeGlobal));
    must(good(CALL(queue_destroy, g.queue))); /* there is nothing of ours to be waited for */
    end_well();
    take_back(&g);
    must(GPU(StreamDestroy)(own) == GPU(Success));
    close_driver();
}

/* The default stream while another one, which it would wait for, captures. */
static void body_default(void)
{
    struct given g;
    open_driver();
    make_own(true);
    give(&g, NULL);
    begin(GPU(StreamCaptureModeGlobal));
    is_refused(&g, NULL);
    end_well();
    must(good(CALL(queue_wait, g.queue)) && good(CALL(queue_destroy, g.queue)));
    take_back(&g);
    must(GPU(StreamDestroy)(own) == GPU(Success));
    close_driver();
}

int main(void)
{
    static const struct sim_case cases[] = {
        { "captures elsewhere stay good", PAIR, body_elsewhere, NULL, 0 },
        { "a thread's mode comes back", PAIR, body_mode, NULL, 0 },
        { "a stream that captures gets nothing of ours", PAIR, body_given, NULL, 0 },
        { "nor does the default stream", PAIR, body_default, NULL, 0 },
    };
    RUN_CASES(cases);
    return done_testing();
}
