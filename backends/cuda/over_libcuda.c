/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The entries of the runtime that the shared source calls, over libcuda. In the driver API streams, events and device
 * pointers are the runtime's own ("CUDA Runtime API", "Interactions with the CUDA Driver API"), and it keeps no last
 * error. All is done in the current context, which a scope has made the device's primary one.
 */
#include "binding.h"
#include <stdio.h>

/* The functions have no argument that could tell a driver; there is one libcuda in a process. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows until it is bound */
static bool bound;
static struct dt2_cuda_driver_entries device_api;
static struct dt2_cuda_alone_entries api;

/*
 * An error of libcuda's has the number of the runtime's that means the same, since CUDA 10.1; two newer ones have no
 * twin there, and come out as unknown codes. These are the numbers that the shared source looks at.
 */
#define SAME(cu, cuda) _Static_assert((int)(cu) == (int)(cuda), #cu " is no " #cuda)
SAME(CUDA_SUCCESS, cudaSuccess);
SAME(CUDA_ERROR_OUT_OF_MEMORY, cudaErrorMemoryAllocation);
SAME(CUDA_ERROR_DEINITIALIZED, cudaErrorCudartUnloading);
SAME(CUDA_ERROR_NO_DEVICE, cudaErrorNoDevice);
SAME(CUDA_ERROR_ECC_UNCORRECTABLE, cudaErrorECCUncorrectable);
SAME(CUDA_ERROR_NVLINK_UNCORRECTABLE, cudaErrorNvlinkUncorrectable);
SAME(CUDA_ERROR_NOT_READY, cudaErrorNotReady);
SAME(CUDA_ERROR_ILLEGAL_ADDRESS, cudaErrorIllegalAddress);
SAME(CUDA_ERROR_LAUNCH_TIMEOUT, cudaErrorLaunchTimeout);
SAME(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, cudaErrorPeerAccessAlreadyEnabled);
SAME(CUDA_ERROR_CONTEXT_IS_DESTROYED, cudaErrorContextIsDestroyed);
SAME(CUDA_ERROR_ASSERT, cudaErrorAssert);
SAME(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, cudaErrorHostMemoryAlreadyRegistered);
SAME(CUDA_ERROR_HARDWARE_STACK_ERROR, cudaErrorHardwareStackError);
SAME(CUDA_ERROR_ILLEGAL_INSTRUCTION, cudaErrorIllegalInstruction);
SAME(CUDA_ERROR_MISALIGNED_ADDRESS, cudaErrorMisalignedAddress);
SAME(CUDA_ERROR_INVALID_ADDRESS_SPACE, cudaErrorInvalidAddressSpace);
SAME(CUDA_ERROR_INVALID_PC, cudaErrorInvalidPc);
SAME(CUDA_ERROR_LAUNCH_FAILED, cudaErrorLaunchFailure);
SAME(CUDA_ERROR_NOT_SUPPORTED, cudaErrorNotSupported);
SAME(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, cudaErrorStreamCaptureImplicit);

/* So have flags and attributes. */
SAME(CU_DEVICE_ATTRIBUTE_INTEGRATED, cudaDevAttrIntegrated);
SAME(CU_MEMHOSTALLOC_PORTABLE, cudaHostAllocPortable);
SAME(CU_MEMHOSTREGISTER_PORTABLE, cudaHostRegisterPortable);
SAME(CU_STREAM_NON_BLOCKING, cudaStreamNonBlocking);
SAME(CU_EVENT_BLOCKING_SYNC, cudaEventBlockingSync);
SAME(CU_EVENT_DISABLE_TIMING, cudaEventDisableTiming);
SAME(CU_STREAM_CAPTURE_STATUS_NONE, cudaStreamCaptureStatusNone);
SAME(CU_STREAM_CAPTURE_MODE_RELAXED, cudaStreamCaptureModeRelaxed);

#define AS_RUNTIMES(call) ((cudaError_t)(call))
#define ADDRESS(pointer) ((CUdeviceptr)(uintptr_t)(pointer))

/* -- the runtime, devices */

static cudaError_t over_RuntimeGetVersion(int *version)
{
    return AS_RUNTIMES(device_api.cuDriverGetVersion(version));
}

static cudaError_t over_GetDeviceCount(int *count)
{
    return AS_RUNTIMES(api.cuDeviceGetCount(count));
}

static cudaError_t over_DeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int index)
{
    CUdevice device;
    CUresult code = device_api.cuDeviceGet(&device, index);
    return AS_RUNTIMES(code == CUDA_SUCCESS ? api.cuDeviceGetAttribute(value, (CUdevice_attribute)attribute, device)
                                            : code);
}

static cudaError_t over_MemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    return AS_RUNTIMES(api.cuMemGetInfo_v2(free_bytes, total_bytes));
}

/* -- errors */

static const char *over_GetErrorName(cudaError_t code)
{
    const char *name = NULL;
    return device_api.cuGetErrorName((CUresult)code, &name) == CUDA_SUCCESS ? name : NULL;
}

static const char *over_GetErrorString(cudaError_t code)
{
    const char *text = NULL;
    return api.cuGetErrorString((CUresult)code, &text) == CUDA_SUCCESS ? text : NULL;
}

static cudaError_t over_GetLastError(void)
{
    return cudaSuccess;
}

/* -- memory */

static cudaError_t over_Malloc(void **memory, size_t bytes)
{
    CUdeviceptr address = 0;
    CUresult code = api.cuMemAlloc_v2(&address, bytes);
    if (code == CUDA_SUCCESS)
        *memory = (void *)(uintptr_t)address;
    return AS_RUNTIMES(code);
}

/* Of NULL: whether work can be done here, as who calls the runtime's for that means it. */
static cudaError_t over_Free(void *memory)
{
    size_t free_bytes, total_bytes;
    return AS_RUNTIMES(memory ? api.cuMemFree_v2(ADDRESS(memory)) : api.cuMemGetInfo_v2(&free_bytes, &total_bytes));
}

static cudaError_t over_HostAlloc(void **memory, size_t bytes, unsigned flags)
{
    return AS_RUNTIMES(api.cuMemHostAlloc(memory, bytes, flags));
}

static cudaError_t over_FreeHost(void *memory)
{
    return AS_RUNTIMES(api.cuMemFreeHost(memory));
}

static cudaError_t over_HostRegister(void *memory, size_t bytes, unsigned flags)
{
    return AS_RUNTIMES(api.cuMemHostRegister_v2(memory, bytes, flags));
}

static cudaError_t over_HostUnregister(void *memory)
{
    return AS_RUNTIMES(api.cuMemHostUnregister(memory));
}

/* -- streams and events */

static cudaError_t over_StreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    return AS_RUNTIMES(api.cuStreamCreate(stream, flags));
}

static cudaError_t over_StreamDestroy(cudaStream_t stream)
{
    return AS_RUNTIMES(api.cuStreamDestroy_v2(stream));
}

static cudaError_t over_StreamSynchronize(cudaStream_t stream)
{
    return AS_RUNTIMES(api.cuStreamSynchronize(stream));
}

static cudaError_t over_StreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    return AS_RUNTIMES(api.cuStreamWaitEvent(stream, event, flags));
}

static cudaError_t over_StreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *state)
{
    CUstreamCaptureStatus found = CU_STREAM_CAPTURE_STATUS_NONE;
    CUresult code = api.cuStreamIsCapturing(stream, &found);
    *state = (enum cudaStreamCaptureStatus)found;
    return AS_RUNTIMES(code);
}

static cudaError_t over_ThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode)
{
    CUstreamCaptureMode exchanged = (CUstreamCaptureMode)*mode;
    CUresult code = api.cuThreadExchangeStreamCaptureMode(&exchanged);
    *mode = (enum cudaStreamCaptureMode)exchanged;
    return AS_RUNTIMES(code);
}

static cudaError_t over_EventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    return AS_RUNTIMES(api.cuEventCreate(event, flags));
}

static cudaError_t over_EventRecord(cudaEvent_t event, cudaStream_t stream)
{
    return AS_RUNTIMES(api.cuEventRecord(event, stream));
}

static cudaError_t over_EventQuery(cudaEvent_t event)
{
    return AS_RUNTIMES(api.cuEventQuery(event));
}

static cudaError_t over_EventSynchronize(cudaEvent_t event)
{
    return AS_RUNTIMES(api.cuEventSynchronize(event));
}

static cudaError_t over_EventDestroy(cudaEvent_t event)
{
    return AS_RUNTIMES(api.cuEventDestroy_v2(event));
}

/* -- copies */

static cudaError_t over_MemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                                    cudaStream_t stream)
{
    switch (kind) {
    case cudaMemcpyHostToDevice:
        return AS_RUNTIMES(api.cuMemcpyHtoDAsync_v2(ADDRESS(to), from, bytes, stream));
    case cudaMemcpyDeviceToHost:
        return AS_RUNTIMES(api.cuMemcpyDtoHAsync_v2(to, ADDRESS(from), bytes, stream));
    case cudaMemcpyDeviceToDevice:
        return AS_RUNTIMES(api.cuMemcpyDtoDAsync_v2(ADDRESS(to), ADDRESS(from), bytes, stream));
    default:
        return cudaErrorInvalidMemcpyDirection;
    }
}

/* -- devices of which another is to know: by their primary contexts, which are held by whoever has them open */

static CUresult take_primary(int index, CUdevice *device, CUcontext *context)
{
    CUresult code = device_api.cuDeviceGet(device, index);
    return code == CUDA_SUCCESS ? device_api.cuDevicePrimaryCtxRetain(context, *device) : code;
}

static cudaError_t over_MemcpyPeerAsync(void *to, int to_index, const void *from, int from_index, size_t bytes,
                                        cudaStream_t stream)
{
    CUdevice devices[2];
    CUcontext contexts[2];
    if (to_index == from_index)
        return over_MemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
    CUresult code = take_primary(to_index, &devices[0], &contexts[0]);
    if (code != CUDA_SUCCESS)
        return AS_RUNTIMES(code);
    code = take_primary(from_index, &devices[1], &contexts[1]);
    if (code == CUDA_SUCCESS) {
        code = api.cuMemcpyPeerAsync(ADDRESS(to), contexts[0], ADDRESS(from), contexts[1], bytes, stream);
        (void)device_api.cuDevicePrimaryCtxRelease_v2(devices[1]);
    }
    (void)device_api.cuDevicePrimaryCtxRelease_v2(devices[0]);
    return AS_RUNTIMES(code);
}

static cudaError_t over_DeviceCanAccessPeer(int *can, int index, int peer)
{
    CUdevice device, other;
    CUresult code = device_api.cuDeviceGet(&device, index);
    if (code == CUDA_SUCCESS)
        code = device_api.cuDeviceGet(&other, peer);
    return AS_RUNTIMES(code == CUDA_SUCCESS ? api.cuDeviceCanAccessPeer(can, device, other) : code);
}

static cudaError_t over_DeviceEnablePeerAccess(int peer, unsigned flags)
{
    CUdevice device;
    CUcontext context;
    CUresult code = take_primary(peer, &device, &context);
    if (code != CUDA_SUCCESS)
        return AS_RUNTIMES(code);
    code = api.cuCtxEnablePeerAccess(context, flags);
    (void)device_api.cuDevicePrimaryCtxRelease_v2(device);
    return AS_RUNTIMES(code);
}

/* -- binding */

/* Within the lock. */
static bool bind(const struct dt2_gpu_vendor *vendor, char *why, size_t size)
{
    const struct dt2_gpu_symbol symbols[] = {
#define SYMBOL(symbol) { #symbol, &api.symbol },
        DT2_CUDA_ALONE_ENTRIES(SYMBOL)
    };
    const struct dt2_gpu_symbol optional[] = {
        DT2_CUDA_ALONE_OPTIONAL_ENTRIES(SYMBOL)
#undef SYMBOL
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        if (!dt2_gpu_bind(vendor->libcuda, &symbols[i])) {
            snprintf(why, size, "it lacks %s", symbols[i].name);
            return false;
        }
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
        (void)dt2_gpu_bind(vendor->libcuda, &optional[i]);
    device_api = vendor->cu;
    return true;
}

bool dt2_cuda_over_libcuda(struct dt2_gpu_driver *driver, char *why, size_t size)
{
    static const struct dt2_gpu_runtime over = { /* every one that is called: what is missing here does not compile */
#define ENTRY(member, cuda, hip) .member = over_##member,
        DT2_GPU_RUNTIME_ENTRIES(ENTRY)
#undef ENTRY
    };
    pthread_mutex_lock(&lock);
    bound = bound || bind(&driver->vendor, why, size);
    bool good = bound;
    pthread_mutex_unlock(&lock);
    if (!good)
        return false;
    driver->runtime = over;
    if (api.cuStreamIsCapturing)
        driver->runtime.StreamIsCapturing = over_StreamIsCapturing;
    if (api.cuThreadExchangeStreamCaptureMode)
        driver->runtime.ThreadExchangeStreamCaptureMode = over_ThreadExchangeStreamCaptureMode;
    return true;
}
