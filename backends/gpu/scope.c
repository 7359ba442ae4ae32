/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scope in which an entry works, and streams of the program's that capture a graph. While a thread captures in
 * global mode, which is the default, calls that might be unsafe fail in every thread, and the capture fails with them:
 * allocations, queries and waits among them. Ours concern nothing that is captured, so they are made in relaxed mode
 * (cudaThreadExchangeStreamCaptureMode's page), and the thread's own mode comes back.
 */
#include "gpu.h"

int dt2_gpu_enter(const struct dt2_gpu_device *device, struct dt2_gpu_scope *scope, struct dt2_backend_error *err)
{
    const struct dt2_gpu_runtime *runtime = &device->driver->runtime;
    enum GPU(StreamCaptureMode) mode = GPU(StreamCaptureModeRelaxed);
    int status = dt2_gpu_context_enter(device, scope, err);
    if (status != DT2_BACKEND_OK || !runtime->ThreadExchangeStreamCaptureMode)
        return status;
    if (runtime->ThreadExchangeStreamCaptureMode(&mode) != GPU(Success)) {
        dt2_gpu_forget(); /* then it is as it is with a runtime that has no captures */
    } else if (mode != GPU(StreamCaptureModeRelaxed)) {
        scope->runtime = runtime;
        scope->mode = mode;
    }
    return DT2_BACKEND_OK;
}

void dt2_gpu_leave(struct dt2_gpu_scope *scope)
{
    for (int i = 0; i < 2 && scope->runtime; i++) { /* the code may tell of earlier work */
        if (scope->runtime->ThreadExchangeStreamCaptureMode(&scope->mode) == GPU(Success))
            break;
        dt2_gpu_forget();
    }
    dt2_gpu_context_leave(scope);
}

/*
 * What is queued in a stream that captures does not run but becomes part of the graph, and a stream that waits for an
 * event of it too. To ask disturbs nothing, also where the default stream cannot be used for another that captures.
 */
int dt2_gpu_check_capture(const struct dt2_gpu_queue *queue, struct dt2_backend_error *err)
{
    const struct dt2_gpu_driver *driver = queue->device->driver;
    enum GPU(StreamCaptureStatus) state = GPU(StreamCaptureStatusNone);
    if (!queue->adopted || !driver->runtime.StreamIsCapturing)
        return DT2_BACKEND_OK;
    GPU(Error_t) code = driver->runtime.StreamIsCapturing(queue->stream, &state);
    if (code == GPU(ErrorStreamCaptureImplicit))
        dt2_gpu_forget();
    else if (code != GPU(Success))
        return dt2_gpu_fail(driver, err, code, "cannot tell whether the stream captures a graph");
    else if (state == GPU(StreamCaptureStatusNone))
        return DT2_BACKEND_OK;
    return DT2_GPU_REFUSE(driver, err, DT2_BACKEND_CAPTURING,
                          "the stream captures a graph, and what is queued would become part of it: this is to be done "
                          "before the capture begins, or after it has ended");
}

int dt2_gpu_enter_queue(const struct dt2_gpu_queue *queue, struct dt2_gpu_scope *scope, struct dt2_backend_error *err)
{
    int status = dt2_gpu_enter(queue->device, scope, err);
    return status == DT2_BACKEND_OK ? dt2_gpu_check_capture(queue, err) : status;
}
