/* SPDX-License-Identifier: BSD-3-Clause */
/* The face of libcuda.so.1: the work in the current context, memory, streams, events, copies, peers. */
#include "libcuda.h"

/* -- memory */

CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes)
{
    ENTER_CONTEXT(context);
    uint64_t bytes;
    sim_runtime_free_bytes(sim_context_device(context), &bytes);
    *free_bytes = bytes;
    *total_bytes = sim_context_device(context)->memory_bytes;
    return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
    ENTER_CONTEXT(context);
    void *memory = NULL;
    int status = bytes ? sim_malloc(context, bytes, &memory) : SIM_INVALID_VALUE;
    if (status == SIM_OK)
        *address = (uintptr_t)memory;
    return (CUresult)status;
}

CUresult cuMemFree_v2(CUdeviceptr address)
{
    ENTER_REGARDLESS(context);
    LEAVE_REGARDLESS(address ? sim_free(context, (void *)(uintptr_t)address) : SIM_INVALID_VALUE);
}

CUresult cuMemHostAlloc(void **address, size_t bytes, unsigned flags)
{
    ENTER_CONTEXT(context);
    return (CUresult)sim_host_alloc(context, bytes, flags & CU_MEMHOSTALLOC_PORTABLE, address);
}

CUresult cuMemFreeHost(void *address)
{
    ENTER_REGARDLESS(context);
    LEAVE_REGARDLESS(address ? sim_host_free(context, address) : SIM_INVALID_VALUE);
}

CUresult cuMemHostRegister_v2(void *address, size_t bytes, unsigned flags)
{
    ENTER_CONTEXT(context);
    return (CUresult)sim_host_register(context, address, bytes, flags & CU_MEMHOSTREGISTER_PORTABLE);
}

CUresult cuMemHostUnregister(void *address)
{
    ENTER_REGARDLESS(context);
    LEAVE_REGARDLESS(sim_host_unregister(context, address));
}

/* -- streams */

CUresult cuStreamCreate(CUstream *stream, unsigned flags)
{
    ENTER_CONTEXT(context);
    uintptr_t id = 0;
    if (flags & ~(unsigned)CU_STREAM_NON_BLOCKING)
        return CUDA_ERROR_INVALID_VALUE;
    int status = sim_stream_create(context, !(flags & CU_STREAM_NON_BLOCKING), &id);
    if (status == SIM_OK)
        *stream = (CUstream)id;
    return (CUresult)status;
}

CUresult cuStreamDestroy_v2(CUstream stream)
{
    ENTER_REGARDLESS(context);
    LEAVE_REGARDLESS(sim_stream_destroy(context, (uintptr_t)stream));
}

CUresult cuStreamSynchronize(CUstream stream)
{
    ENTER_REGARDLESS(context);
    LEAVE_REGARDLESS(sim_stream_wait(context, (uintptr_t)stream));
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags)
{
    ENTER_CONTEXT(context);
    return flags ? CUDA_ERROR_INVALID_VALUE
                 : (CUresult)sim_stream_wait_event(context, (uintptr_t)stream, (uintptr_t)event);
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *state)
{
    ENTER_CONTEXT(context);
    int found = 0, status = sim_capture_state(context, (uintptr_t)stream, &found);
    *state = (CUstreamCaptureStatus)found;
    return (CUresult)status;
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
    ENTER;
    int exchanged = (int)*mode, status = sim_capture_exchange(SIM_CUDA, &exchanged);
    *mode = (CUstreamCaptureMode)exchanged;
    return (CUresult)status;
}

CUresult cuStreamGetCtx(CUstream stream, CUcontext *context)
{
    ENTER;
    struct sim_context *current = sim_current(SIM_CUDA);
    if (!current)
        return CUDA_ERROR_INVALID_CONTEXT;
    struct sim_context *owner = sim_stream_context(current, (uintptr_t)stream);
    if (!owner)
        return CUDA_ERROR_INVALID_HANDLE;
    *context = (CUcontext)(void *)owner;
    return CUDA_SUCCESS;
}

/* -- events */

CUresult cuEventCreate(CUevent *event, unsigned flags)
{
    ENTER_CONTEXT(context);
    uintptr_t id = 0;
    if (flags & ~(unsigned)(CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING))
        return CUDA_ERROR_INVALID_VALUE;
    int status = sim_event_create(context, &id);
    if (status == SIM_OK)
        *event = (CUevent)id;
    return (CUresult)status;
}

CUresult cuEventDestroy_v2(CUevent event)
{
    ENTER_REGARDLESS(context);
    LEAVE_REGARDLESS(sim_event_destroy(context, (uintptr_t)event));
}

CUresult cuEventRecord(CUevent event, CUstream stream)
{
    ENTER_CONTEXT(context);
    return (CUresult)sim_event_record(context, (uintptr_t)event, (uintptr_t)stream);
}

CUresult cuEventQuery(CUevent event)
{
    ENTER_CONTEXT(context);
    return (CUresult)sim_event_query(context, (uintptr_t)event);
}

CUresult cuEventSynchronize(CUevent event)
{
    ENTER_REGARDLESS(context);
    LEAVE_REGARDLESS(sim_event_wait(context, (uintptr_t)event));
}

/* -- copies */

/* In the current context only: whoever means another stream's device must have made it current. */
static CUresult copy(struct sim_context *context, CUstream stream, struct sim_command *command, int direction)
{
    const struct sim_context *owner = sim_stream_context(context, (uintptr_t)stream);
    if (owner && owner != context)
        sim_violation(SIM_WRONG_DEVICE, "work is queued in a stream of %s while %s is current",
                      sim_context_device(owner)->id, sim_context_device(context)->id);
    command->kind = SIM_COPY;
    command->direction = direction;
    return (CUresult)sim_run(context, (uintptr_t)stream, command);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
    ENTER_CONTEXT(context);
    struct sim_command command = { .to = (void *)(uintptr_t)to, .from = from, .bytes = bytes };
    return copy(context, stream, &command, SIM_H2D);
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    ENTER_CONTEXT(context);
    struct sim_command command = { .to = to, .from = (void *)(uintptr_t)from, .bytes = bytes };
    return copy(context, stream, &command, SIM_D2H);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    ENTER_CONTEXT(context);
    struct sim_command command = { .to = (void *)(uintptr_t)to, .from = (void *)(uintptr_t)from, .bytes = bytes };
    return copy(context, stream, &command, SIM_D2D);
}

/* The device of a context that lives, NULL for anything else. */
static const struct sim_device *device_of(CUcontext context)
{
    struct sim_context *named = (void *)context;
    return sim_context_is(SIM_CUDA, named) && sim_context_active(named) ? sim_context_device(named) : NULL;
}

CUresult cuMemcpyPeerAsync(CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context, size_t bytes,
                           CUstream stream)
{
    ENTER_CONTEXT(context);
    struct sim_command command = { .to = (void *)(uintptr_t)to, .from = (void *)(uintptr_t)from, .bytes = bytes };
    command.to_device = device_of(to_context);
    command.from_device = device_of(from_context);
    if (!command.to_device || !command.from_device)
        return CUDA_ERROR_INVALID_CONTEXT;
    return copy(context, stream, &command, SIM_PEER);
}

/* -- peers */

CUresult cuDeviceCanAccessPeer(int *can, CUdevice handle, CUdevice peer)
{
    ENTER;
    return (CUresult)sim_can_access_peer(SIM_CUDA, handle, peer, can);
}

CUresult cuCtxEnablePeerAccess(CUcontext peer, unsigned flags)
{
    ENTER_CONTEXT(context);
    const struct sim_device *device = device_of(peer);
    if (!device || flags)
        return device ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_INVALID_CONTEXT;
    return (CUresult)sim_enable_peer(context, libcuda_index_of(device));
}

CUresult cuCtxDisablePeerAccess(CUcontext peer)
{
    ENTER_REGARDLESS(context);
    const struct sim_device *device = device_of(peer);
    LEAVE_REGARDLESS(device ? sim_disable_peer(context, libcuda_index_of(device)) : SIM_INVALID_CONTEXT);
}
