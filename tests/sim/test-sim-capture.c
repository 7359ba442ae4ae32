/* SPDX-License-Identifier: BSD-3-Clause */
/* Graph capture on the simulated CUDA machine: what is captured does not run, and who disturbs a capture breaks it. */
#include "cuda_headers.h"
#include "sandbox.h"
#include <pthread.h>

#define CARD "[gpu a]\ndrivers = cuda\nmemory = 64MiB\n"

static cudaStream_t stream, other;
static cudaEvent_t event;
static void *memory;

static bool good(cudaError_t code)
{
    if (code != cudaSuccess)
        diag("%s (%d)", cudaGetErrorName(code), (int)code);
    return code == cudaSuccess;
}

static void make(unsigned flags)
{
    must(good(cudaStreamCreateWithFlags(&stream, flags)) && good(cudaStreamCreateWithFlags(&other, flags)));
    must(good(cudaEventCreateWithFlags(&event, 0)) && good(cudaMalloc(&memory, 4096)));
    must(good(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal)));
}

static void drop(void)
{
    must(good(cudaStreamDestroy(stream)) && good(cudaStreamDestroy(other)));
    must(good(cudaEventDestroy(event)) && good(cudaFree(memory)));
}

static cudaError_t end(void)
{
    cudaGraph_t graph = NULL;
    cudaError_t code = cudaStreamEndCapture(stream, &graph);
    must((code == cudaSuccess) == (graph != NULL));
    return code;
}

static enum cudaStreamCaptureStatus state(void)
{
    enum cudaStreamCaptureStatus found = cudaStreamCaptureStatusNone;
    must(good(cudaStreamIsCapturing(stream, &found)));
    return found;
}

/* What is captured does not run. */
static void body_captured(void)
{
    unsigned char byte = 1;
    make(cudaStreamNonBlocking);
    must(state() == cudaStreamCaptureStatusActive);
    must(good(cudaMemsetAsync(memory, 7, 4096, stream)) && good(cudaEventRecord(event, stream)));
    must(good(end()) && state() == cudaStreamCaptureStatusNone);
    must(cudaEventQuery(event) == cudaErrorCapturedEvent);
    must(good(cudaMemcpy(&byte, memory, 1, cudaMemcpyDeviceToHost)) && byte != 7);
    must(end() == cudaErrorInvalidValue);
    drop();
}

/* Each of these breaks the capture, but not in a thread of relaxed mode. */
static void disturb(int what, cudaError_t expected)
{
    void *more = NULL, *host = NULL;
    cudaError_t code = what == 0   ? cudaMalloc(&more, 100)
                       : what == 1 ? cudaHostAlloc(&host, 100, 0)
                       : what == 2 ? cudaEventQuery(event)
                       : what == 3 ? cudaStreamSynchronize(other)
                                   : cudaDeviceSynchronize();
    must(code == expected);
    (void)cudaGetLastError();
    if (more)
        must(good(cudaFree(more)));
    if (host)
        must(good(cudaFreeHost(host)));
}

static enum cudaStreamCaptureMode thread_mode;

static void *disturb_in_thread(void *data)
{
    enum cudaStreamCaptureMode mode = thread_mode;
    must(good(cudaThreadExchangeStreamCaptureMode(&mode)) && mode == cudaStreamCaptureModeGlobal);
    bool forbidden = thread_mode == cudaStreamCaptureModeGlobal;
    disturb((int)(intptr_t)data, forbidden ? cudaErrorStreamCaptureUnsupported : cudaSuccess);
    return NULL;
}

static void body_disturbed(void)
{
    pthread_t thread;
    make(cudaStreamNonBlocking);
    for (int mode = 0; mode < 3; mode++)
        for (intptr_t what = 0; what < 5; what++) {
            thread_mode = (enum cudaStreamCaptureMode)mode;
            must(pthread_create(&thread, NULL, disturb_in_thread, (void *)what) == 0);
            pthread_join(thread, NULL);
            must(state() == (mode ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusInvalidated));
            must(end() == (mode ? cudaSuccess : cudaErrorStreamCaptureInvalidated));
            must(good(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal)));
        }
    disturb(0, cudaErrorStreamCaptureUnsupported); /* the thread's own */
    must(end() == cudaErrorStreamCaptureInvalidated);
    drop();
}

/* The default stream would wait for a blocking one that captures. To ask does no harm, to use it does. */
static void body_legacy(void)
{
    enum cudaStreamCaptureStatus found;
    make(0);
    must(cudaStreamIsCapturing(NULL, &found) == cudaErrorStreamCaptureImplicit);
    must(state() == cudaStreamCaptureStatusActive);
    must(cudaMemsetAsync(memory, 7, 4096, NULL) == cudaErrorStreamCaptureImplicit);
    must(end() == cudaErrorStreamCaptureInvalidated);
    drop();
}

/* A stream that waits for what was captured is part of the capture. */
static void body_joins(void)
{
    make(cudaStreamNonBlocking);
    must(good(cudaEventRecord(event, stream)) && good(cudaStreamWaitEvent(other, event, 0)));
    must(end() == cudaErrorStreamCaptureUnjoined);
    drop();
}

int main(void)
{
    static const struct sim_case cases[] = {
        { "what is captured does not run", CARD, body_captured, NULL, 0 },
        { "who disturbs a capture", CARD, body_disturbed, NULL, 0 },
        { "the default stream", CARD, body_legacy, NULL, 0 },
        { "a stream that gets into a capture", CARD, body_joins, "captured", 1 },
    };
    RUN_CASES(cases);
    return done_testing();
}
