/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated streams: late, in order, and merciless with those who do not wait. */
#include "sandbox.h"
#include "cudart.h"
#include "face.h"
#include <time.h>

#define MiB ((size_t)1 << 20)
/* A copy of 8 MiB takes 80 ms: whoever does not wait is too early. */
#define SLOW "[gpu slow]\ndrivers = cuda\nmemory = 256MiB\nlink_gbps = 0.1\n"
/* Copies between these two take as long as the slow one's link. */
#define BOTH SLOW "[gpu quick]\ndrivers = cuda\nmemory = 256MiB\nlink_gbps = 10\n"
#define FAST "seed = %s\n[gpu fast]\ndrivers = cuda\nmemory = 256MiB\n"
enum { BYTES = 8 << 20 };

static bool good(cudaError_t code)
{
    if (code != cudaSuccess)
        diag("%s (%d)", cudaGetErrorName(code), (int)code);
    return code == cudaSuccess;
}

static bool all(const char *memory, char value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (memory[i] != value)
            return false;
    return true;
}

static char *pinned(char value)
{
    char *memory = NULL;
    must(good(cudaHostAlloc((void **)&memory, BYTES, cudaHostAllocPortable)));
    memset(memory, value, BYTES);
    return memory;
}

static char *device_memory(void)
{
    char *memory = NULL;
    must(good(cudaMalloc((void **)&memory, BYTES)));
    return memory;
}

static cudaStream_t stream_of(unsigned flags)
{
    cudaStream_t stream = NULL;
    must(good(cudaStreamCreateWithFlags(&stream, flags)));
    return stream;
}

static cudaEvent_t event_after(cudaStream_t stream)
{
    cudaEvent_t event = NULL;
    must(good(cudaEventCreateWithFlags(&event, cudaEventDisableTiming)) && good(cudaEventRecord(event, stream)));
    return event;
}

static void drop(cudaStream_t stream, char *memory, char *host)
{
    must((!stream || good(cudaStreamDestroy(stream))) && good(cudaFree(memory)) && good(cudaFreeHost(host)));
}

/* -- copies */

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void body_both_links(void)
{
    char *slow = device_memory();
    must(good(cudaMemset(slow, 1, BYTES)) && good(cudaSetDevice(1)));
    char *quick = device_memory();
    cudaStream_t stream = stream_of(cudaStreamNonBlocking);
    double begin = seconds_now();
    must(good(cudaMemcpyPeerAsync(quick, 1, slow, 0, BYTES, stream)) && good(cudaStreamSynchronize(stream)));
    must(seconds_now() - begin >= 0.08);
    must(good(cudaStreamDestroy(stream)) && good(cudaFree(quick)) && good(cudaSetDevice(0)) && good(cudaFree(slow)));
}

static void body_late(void)
{
    char *host = pinned(1), *memory = device_memory();
    cudaStream_t stream = stream_of(cudaStreamNonBlocking);
    must(good(cudaMemcpyAsync(memory, host, BYTES, cudaMemcpyHostToDevice, stream)));
    cudaEvent_t event = event_after(stream);
    must(cudaEventQuery(event) == cudaErrorNotReady && cudaStreamQuery(stream) == cudaErrorNotReady);
    must(cudaGetLastError() == cudaSuccess); /* not ready is no error */
    must(good(cudaEventSynchronize(event)) && good(cudaEventQuery(event)) && good(cudaStreamQuery(stream)));
    memset(host, 2, BYTES);
    must(good(cudaMemcpyAsync(host, memory, BYTES, cudaMemcpyDeviceToHost, stream)) && !all(host, 1, BYTES));
    must(good(cudaStreamSynchronize(stream)) && all(host, 1, BYTES) && good(cudaEventDestroy(event)));
    drop(stream, memory, host);
}

static void body_overwritten(void)
{
    char *host = pinned(1), *memory = device_memory();
    cudaStream_t stream = stream_of(cudaStreamNonBlocking);
    must(good(cudaMemcpyAsync(memory, host, BYTES, cudaMemcpyHostToDevice, stream)));
    host[BYTES / 2] = 2;
    must(good(cudaStreamSynchronize(stream)) && good(cudaMemcpy(host, memory, BYTES, cudaMemcpyDefault)));
    must(host[BYTES / 2] == 2); /* and what was read is what was there late */
    drop(stream, memory, host);
}

/* One host buffer is written by a device and read by another stream, after an event: no mistake. */
static void body_bounce(void)
{
    char *host = pinned(1), *from = device_memory(), *to = device_memory();
    cudaStream_t first = stream_of(cudaStreamNonBlocking), second = stream_of(cudaStreamNonBlocking);
    must(good(cudaMemsetAsync(from, 5, BYTES, first)));
    must(good(cudaMemcpyAsync(host, from, BYTES, cudaMemcpyDeviceToHost, first)));
    cudaEvent_t event = event_after(first);
    must(good(cudaStreamWaitEvent(second, event, 0)) && good(cudaEventDestroy(event)));
    must(good(cudaMemcpyAsync(to, host, BYTES, cudaMemcpyHostToDevice, second)) && good(cudaStreamSynchronize(second)));
    memset(host, 0, BYTES);
    must(good(cudaMemcpy(host, to, BYTES, cudaMemcpyDefault)) && all(host, 5, BYTES));
    must(good(cudaFree(from)) && good(cudaStreamDestroy(first)));
    drop(second, to, host);
}

static void body_pageable(void)
{
    char *host = malloc(BYTES), *memory = device_memory();
    cudaStream_t stream = stream_of(cudaStreamNonBlocking);
    memset(host, 3, BYTES);
    must(good(cudaMemcpyAsync(memory, host, BYTES, cudaMemcpyHostToDevice, stream)));
    memset(host, 4, BYTES); /* it was staged before the call returned */
    must(good(cudaMemcpyAsync(host, memory, BYTES, cudaMemcpyDeviceToHost, stream)) && all(host, 3, BYTES));
    must(good(cudaHostRegister(host, BYTES, 0)));
    must(good(cudaMemcpyAsync(memory, host, BYTES, cudaMemcpyHostToDevice, stream)) &&
         good(cudaStreamSynchronize(stream)));
    must(good(cudaHostUnregister(host)));
    must(sim_value("copies.h2d.pageable") == 1 && sim_value("copies.h2d.registered") == 1 &&
         sim_value("copies.d2h.pageable") == 1 && sim_value("copies.h2d.pinned") == 0);
    must(good(cudaStreamDestroy(stream)) && good(cudaFree(memory)));
    free(host);
}

/* -- too early */

static void body_freed_early(void)
{
    char *host = pinned(1), *memory = device_memory();
    cudaStream_t stream = stream_of(cudaStreamNonBlocking);
    must(good(cudaMemcpyAsync(memory, host, BYTES, cudaMemcpyHostToDevice, stream)) && good(cudaFree(memory)));
    must(cudaStreamSynchronize(stream) == cudaErrorIllegalAddress);
    cudaStreamDestroy(stream), cudaFreeHost(host);
}

static void body_unpinned_early(void)
{
    char *host = pinned(1), *memory = device_memory();
    cudaStream_t stream = stream_of(cudaStreamNonBlocking);
    must(good(cudaMemcpyAsync(memory, host, BYTES, cudaMemcpyHostToDevice, stream)) && good(cudaFreeHost(host)));
    must(cudaStreamSynchronize(stream) == cudaErrorIllegalAddress);
    cudaStreamDestroy(stream), cudaFree(memory);
}

/* -- order */

static void body_events(void)
{
    char *host = pinned(1), *memory = device_memory(), *back = pinned(0);
    cudaStream_t first = stream_of(cudaStreamNonBlocking), second = stream_of(cudaStreamNonBlocking);
    for (char i = 0; i < 3; i++) {
        memset(host, 10 + i, BYTES);
        must(good(cudaMemcpyAsync(memory, host, BYTES, cudaMemcpyHostToDevice, first)));
        cudaEvent_t written = event_after(first);
        must(good(cudaStreamWaitEvent(second, written, 0)) && good(cudaEventDestroy(written)));
        must(good(cudaMemcpyAsync(back, memory, BYTES, cudaMemcpyDeviceToHost, second)));
        must(good(cudaStreamSynchronize(second)) && all(back, 10 + i, BYTES));
    }
    must(good(cudaStreamDestroy(first)) && good(cudaFreeHost(back)));
    drop(second, memory, host);
}

/* The second stream does not wait for the first, and reads what is written. */
static void body_no_event(void)
{
    char *host = pinned(1), *memory = device_memory();
    cudaStream_t first = stream_of(cudaStreamNonBlocking), second = stream_of(cudaStreamNonBlocking);
    must(good(cudaMemset(memory, 7, BYTES)));
    must(good(cudaMemcpyAsync(memory, host, BYTES, cudaMemcpyHostToDevice, first)));
    must(good(cudaMemsetAsync(memory, 7, 1, second)) && good(cudaStreamSynchronize(second)));
    must(good(cudaStreamSynchronize(first)));
    must(good(cudaStreamDestroy(first)));
    drop(second, memory, host);
}

/* An event recorded again stands for its latest place; what waited for an earlier one has what it waited for. */
static void body_recorded_again(void)
{
    char *host = pinned(1), *memory = device_memory();
    cudaStream_t stream = stream_of(cudaStreamNonBlocking);
    cudaEvent_t event;
    must(good(cudaEventCreateWithFlags(&event, 0)) && good(cudaEventQuery(event)) && good(cudaEventSynchronize(event)));
    for (int i = 0; i < 2; i++)
        must(good(cudaMemcpyAsync(memory, host, BYTES, cudaMemcpyHostToDevice, stream)) &&
             good(cudaEventRecord(event, stream)));
    must(cudaEventQuery(event) == cudaErrorNotReady && good(cudaEventSynchronize(event)) &&
         good(cudaStreamQuery(stream)));
    must(good(cudaEventDestroy(event)));
    drop(stream, memory, host);
}

/* Its work goes on when a stream is destroyed. */
static void body_destroyed(void)
{
    char *host = pinned(6), *memory = device_memory();
    cudaStream_t stream = stream_of(cudaStreamNonBlocking);
    must(good(cudaMemcpyAsync(memory, host, BYTES, cudaMemcpyHostToDevice, stream)));
    cudaEvent_t event = event_after(stream);
    must(good(cudaStreamDestroy(stream)) && cudaEventQuery(event) == cudaErrorNotReady &&
         good(cudaEventSynchronize(event)));
    memset(host, 0, BYTES);
    must(good(cudaMemcpy(host, memory, BYTES, cudaMemcpyDefault)) && all(host, 6, BYTES) &&
         good(cudaEventDestroy(event)));
    drop(NULL, memory, host);
}

/* -- kernels */

enum { SOON_NS = 1000000, LATE_NS = 400000000 };

/* A kernel that should find what the host has. */
static void launch(cudaStream_t stream, const char *memory, uint64_t sum, uint64_t duration_ns)
{
    must(good(cudaSimLaunch(stream, memory, BYTES, sum, duration_ns)));
}

static void body_kernel(void)
{
    char *host = pinned(1), *memory = device_memory();
    uint64_t sum = sim_sum(host, BYTES);
    cudaStream_t copies = stream_of(cudaStreamNonBlocking), work = stream_of(cudaStreamNonBlocking);
    must(good(cudaMemcpyAsync(memory, host, BYTES, cudaMemcpyHostToDevice, copies)));
    cudaEvent_t arrival = event_after(copies);
    must(good(cudaStreamWaitEvent(work, arrival, 0)));
    launch(work, memory, sum, SOON_NS);
    must(good(cudaSimLaunch(work, NULL, 0, 0, SOON_NS)) && cudaStreamQuery(work) == cudaErrorNotReady);
    cudaEvent_t read = event_after(work);
    must(good(cudaStreamWaitEvent(copies, read, 0)) && good(cudaMemsetAsync(memory, 2, BYTES, copies)));
    must(good(cudaStreamSynchronize(copies)) && good(cudaStreamSynchronize(work)));
    must(cudaSimLaunch(work, host, BYTES, 0, 0) == cudaErrorInvalidValue); /* it reads device memory */
    must(sim_value("kernels") == 1 && good(cudaEventDestroy(arrival)) && good(cudaEventDestroy(read)));
    drop(copies, memory, host);
    must(good(cudaStreamDestroy(work)));
}

static void body_wrong_bytes(void)
{
    char *host = pinned(1), *memory = device_memory();
    must(good(cudaMemcpy(memory, host, BYTES, cudaMemcpyHostToDevice)));
    launch(NULL, memory, 3, 0);
    must(good(cudaStreamSynchronize(NULL)));
    drop(NULL, memory, host);
}

static void body_kernel_too_early(void)
{
    char *host = pinned(1), *memory = device_memory();
    uint64_t sum = sim_sum(host, BYTES);
    cudaStream_t copies = stream_of(cudaStreamNonBlocking), work = stream_of(cudaStreamNonBlocking);
    must(good(cudaMemcpyAsync(memory, host, BYTES, cudaMemcpyHostToDevice, copies)));
    launch(work, memory, sum, LATE_NS);
    must(good(cudaDeviceSynchronize()));
    must(sim_value("wrong_bytes") == 1);
    drop(copies, memory, host);
    must(good(cudaStreamDestroy(work)));
}

static void body_kernel_overtaken(void)
{
    char *host = pinned(1), *memory = device_memory();
    uint64_t sum = sim_sum(host, BYTES);
    cudaStream_t work = stream_of(cudaStreamNonBlocking), other = stream_of(cudaStreamNonBlocking);
    must(good(cudaMemcpy(memory, host, BYTES, cudaMemcpyHostToDevice)));
    launch(work, memory, sum, LATE_NS);
    const struct timespec begun = { .tv_nsec = LATE_NS / 4 }; /* by then it has looked for the first time */
    nanosleep(&begun, NULL);
    must(good(cudaMemsetAsync(memory, 2, BYTES, other)) && good(cudaDeviceSynchronize()));
    must(sim_value("wrong_bytes") == 1 && sim_value("unordered") == 1);
    drop(work, memory, host);
    must(good(cudaStreamDestroy(other)));
}

/* -- the default stream */

static void default_stream(unsigned flags, bool waits)
{
    char *host = pinned(1), *memory = device_memory();
    void *other;
    cudaStream_t stream = stream_of(flags);
    must(good(cudaMalloc(&other, 100)));
    must(good(cudaMemcpyAsync(memory, host, BYTES, cudaMemcpyHostToDevice, stream)));
    must(good(cudaMemset(other, 1, 100))); /* on the default stream, and waited for */
    must((cudaStreamQuery(stream) == cudaSuccess) == waits);
    must(good(cudaStreamSynchronize(stream)));
    must(good(cudaMemcpyAsync(memory, host, BYTES, cudaMemcpyHostToDevice, NULL)));
    cudaEvent_t slow = event_after(NULL);
    must(good(cudaMemsetAsync(other, 2, 100, stream)) && good(cudaStreamSynchronize(stream)));
    must((cudaEventQuery(slow) == cudaSuccess) == waits);
    must(good(cudaDeviceSynchronize()) && good(cudaEventQuery(slow)) && good(cudaEventDestroy(slow)));
    must(good(cudaFree(other)));
    drop(stream, memory, host);
}

static void body_default_blocking(void)
{
    default_stream(cudaStreamDefault, true);
}

static void body_default_non_blocking(void)
{
    default_stream(cudaStreamNonBlocking, false);
}

/* -- order, whatever the timing */

enum link { NOTHING, EVENT, EARLY_EVENT, OTHERS_EVENT, HOST_EVENT, HOST_QUERY, HOST_STREAM, DEFAULT_STREAM };

static void pause_until_over(void)
{
    const struct timespec over = { .tv_nsec = 60000000 };
    nanosleep(&over, NULL);
}

/* A copy and, long after it, a read by another stream: the timing is always right. */
static void linked(enum link link)
{
    enum { PIECE = 65536 };
    char *host = pinned(1), *memory = device_memory();
    bool blocking = link == DEFAULT_STREAM;
    cudaStream_t first = stream_of(blocking ? cudaStreamDefault : cudaStreamNonBlocking);
    cudaStream_t second = stream_of(blocking ? cudaStreamDefault : cudaStreamNonBlocking);
    cudaStream_t third = stream_of(cudaStreamNonBlocking);
    cudaEvent_t early = event_after(first);
    must(good(cudaMemcpyAsync(memory, host, PIECE, cudaMemcpyHostToDevice, first)));
    cudaEvent_t event = event_after(first);
    must(good(cudaMemcpyAsync(memory + PIECE, host + PIECE, PIECE, cudaMemcpyHostToDevice, third)));
    cudaEvent_t others = event_after(third);
    pause_until_over();
    if (link == EVENT || link == EARLY_EVENT || link == OTHERS_EVENT)
        must(good(cudaStreamWaitEvent(second, link == EVENT ? event : link == EARLY_EVENT ? early : others, 0)));
    if (link == HOST_EVENT)
        must(good(cudaEventSynchronize(event)));
    if (link == HOST_QUERY)
        must(good(cudaEventQuery(event)));
    if (link == HOST_STREAM)
        must(good(cudaStreamSynchronize(first)));
    if (link == DEFAULT_STREAM)
        must(good(cudaMemsetAsync(memory + 2 * PIECE, 0, PIECE, NULL)));
    must(good(cudaSimLaunch(second, memory, PIECE, sim_sum(host, PIECE), 0)));
    must(good(cudaDeviceSynchronize()) && good(cudaEventDestroy(early)) && good(cudaEventDestroy(event)));
    must(good(cudaEventDestroy(others)) && good(cudaStreamDestroy(second)) && good(cudaStreamDestroy(third)));
    drop(first, memory, host);
}

static void body_linked(void)
{
    linked(EVENT);
    linked(HOST_EVENT);
    linked(HOST_QUERY);
    linked(HOST_STREAM);
    linked(DEFAULT_STREAM);
}

static void body_lucky(void)
{
    linked(NOTHING);
    linked(EARLY_EVENT);
    linked(OTHERS_EVENT);
}

/* What is read before it is overwritten: by an event of a third stream that waited for the reader. */
static void lucky_write(bool wait)
{
    char *host = pinned(1), *memory = device_memory();
    cudaStream_t reader = stream_of(cudaStreamNonBlocking), writer = stream_of(cudaStreamNonBlocking);
    cudaStream_t between = stream_of(cudaStreamNonBlocking);
    must(good(cudaMemcpy(memory, host, 4096, cudaMemcpyHostToDevice)));
    must(good(cudaSimLaunch(reader, memory, 4096, sim_sum(host, 4096), 0)));
    must(good(cudaSimLaunch(writer, memory, 4096, sim_sum(host, 4096), 0))); /* two readers need no order */
    cudaEvent_t read = event_after(reader);
    must(good(cudaStreamWaitEvent(between, read, 0)));
    cudaEvent_t passed_on = event_after(between);
    pause_until_over();
    if (wait)
        must(good(cudaStreamWaitEvent(writer, passed_on, 0)));
    must(good(cudaMemsetAsync(memory, 2, 4096, writer)) && good(cudaDeviceSynchronize()));
    must(good(cudaEventDestroy(read)) && good(cudaEventDestroy(passed_on)));
    must(good(cudaStreamDestroy(reader)) && good(cudaStreamDestroy(between)));
    drop(writer, memory, host);
}

static void body_passed_on(void)
{
    lucky_write(true);
}

static void body_lucky_write(void)
{
    lucky_write(false);
}

/* -- many streams, many copies: what is waited for is right, whatever the delays */

static void body_random(void)
{
    enum { STREAMS = 4, ROUNDS = 60, PIECE = 4096 };
    char *host = pinned(0), *memory = device_memory();
    cudaStream_t streams[STREAMS];
    cudaEvent_t events[STREAMS] = { NULL };
    for (int i = 0; i < STREAMS; i++)
        streams[i] = stream_of(cudaStreamNonBlocking);
    for (int i = 0; i < ROUNDS; i++) {
        int s = i % STREAMS;
        if (events[s])
            must(good(cudaEventSynchronize(events[s])) && good(cudaEventDestroy(events[s])));
        memset(host + s * PIECE, i, PIECE);
        must(good(cudaMemcpyAsync(memory + i * PIECE, host + s * PIECE, PIECE, cudaMemcpyHostToDevice, streams[s])));
        events[s] = event_after(streams[s]);
    }
    for (int i = 0; i < STREAMS; i++)
        must(good(cudaEventSynchronize(events[i])) && good(cudaEventDestroy(events[i])) &&
             good(cudaStreamDestroy(streams[i])));
    must(good(cudaMemcpy(host, memory, ROUNDS * PIECE, cudaMemcpyDefault)));
    for (int i = 0; i < ROUNDS; i++)
        must(all(host + i * PIECE, (char)i, PIECE));
    drop(NULL, memory, host);
}

int main(void)
{
    static const struct sim_case cases[] = {
        { "copies run late", SLOW, body_late, NULL, 0 },
        { "a copy between two devices is on both links", BOTH, body_both_links, NULL, 0 },
        { "a source that is overwritten", SLOW, body_overwritten, "overwritten_source", 1 },
        { "a source that a device writes", SLOW, body_bounce, NULL, 0 },
        { "pageable and registered memory", SLOW, body_pageable, NULL, 0 },
        { "memory is freed before the copy is done", SLOW, body_freed_early, "use_after_free", 2 },
        { "pinned memory is freed before the copy is done", SLOW, body_unpinned_early, "use_after_free", 1 },
        { "a stream waits for an event of another", SLOW, body_events, NULL, 0 },
        { "a stream does not wait for another", SLOW, body_no_event, "unordered", 1 },
        { "an event is recorded again", SLOW, body_recorded_again, NULL, 0 },
        { "kernels read late what was copied for them", SLOW, body_kernel, NULL, 0 },
        { "a kernel finds other bytes", SLOW, body_wrong_bytes, "wrong_bytes", 2 },
        { "a kernel begins before its bytes are there", SLOW, body_kernel_too_early, "unordered", 1 },
        { "a kernel's bytes are overwritten while it reads", SLOW, body_kernel_overtaken, "wrong_bytes", 1 },
        { "order by events, by the host, by the default stream", SLOW, body_linked, NULL, 0 },
        { "a read without order whose timing is right", SLOW, body_lucky, "unordered", 3 },
        { "order that is passed on by a third stream", SLOW, body_passed_on, NULL, 0 },
        { "a write without order whose timing is right", SLOW, body_lucky_write, "unordered", 1 },
        { "a stream is destroyed with work in it", SLOW, body_destroyed, NULL, 0 },
        { "the default stream and a blocking one wait for each other", SLOW, body_default_blocking, NULL, 0 },
        { "the default stream and a non-blocking one do not", SLOW, body_default_non_blocking, NULL, 0 },
    };
    RUN_CASES(cases);
    for (int seed = 1; seed <= 5; seed++) {
        static struct outcome outcome;
        char text[16], machine[256];
        snprintf(text, sizeof text, "%d", seed);
        snprintf(machine, sizeof machine, FAST, text);
        run_case(machine, body_random, &outcome);
        ok(outcome.status == 0 && reported(&outcome, "violations") == 0, "four streams with seed %d", seed);
        is_u64(reported(&outcome, "seed"), (uint64_t)seed, "which the report names");
    }
    return done_testing();
}
