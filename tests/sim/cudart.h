/* SPDX-License-Identifier: BSD-3-Clause */
/* What runtime.c calls things when it is libcudart. */
#ifndef DT2_TESTS_SIM_CUDART_H
#define DT2_TESTS_SIM_CUDART_H

#include "cuda_headers.h"

#define API SIM_CUDA
#define VENDOR(name) cuda##name
#define HOST_ALLOC cudaHostAlloc
#define HOST_FREE cudaFreeHost
#define HOST_MALLOC cudaMallocHost
#define HOST_PORTABLE cudaHostAllocPortable
#define RUNTIME_VERSION 13000
/* cudaSetDevice makes the context since CUDA 12. */
#define SET_DEVICE_MAKES_CONTEXT true

#define ATTRIBUTE(name) cudaDevAttr##name
#define PCI_DOMAIN cudaDevAttrPciDomainId
#define PCI_FORMAT "%04X:%02X:%02X.%X"
#define NUMA_ATTRIBUTE 134 /* cudaDevAttrHostNumaId, which headers have since CUDA 12.2 */

#define RUNTIME_ERRORS(X)                                                                                              \
    X(SIM_OK, cudaSuccess, "no error")                                                                                 \
    X(SIM_INVALID_VALUE, cudaErrorInvalidValue, "invalid argument")                                                    \
    X(SIM_NOMEM, cudaErrorMemoryAllocation, "out of memory")                                                           \
    X(SIM_NOT_INITIALIZED, cudaErrorInitializationError, "initialization error")                                       \
    X(SIM_UNAVAILABLE, cudaErrorDevicesUnavailable, "CUDA-capable device(s) is/are busy or unavailable")               \
    X(SIM_NO_DEVICE, cudaErrorNoDevice, "no CUDA-capable device is detected")                                          \
    X(SIM_INVALID_DEVICE, cudaErrorInvalidDevice, "invalid device ordinal")                                            \
    X(SIM_INVALID_CONTEXT, cudaErrorDeviceUninitialized, "invalid device context")                                     \
    X(SIM_PEER_UNSUPPORTED, cudaErrorPeerAccessUnsupported, "peer access is not supported between these two devices")  \
    X(SIM_INVALID_HANDLE, cudaErrorInvalidResourceHandle, "invalid resource handle")                                   \
    X(SIM_NOT_READY, cudaErrorNotReady, "device not ready")                                                            \
    X(SIM_ILLEGAL_ADDRESS, cudaErrorIllegalAddress, "an illegal memory access was encountered")                        \
    X(SIM_PEER_ENABLED, cudaErrorPeerAccessAlreadyEnabled, "peer access is already enabled")                           \
    X(SIM_PEER_NOT_ENABLED, cudaErrorPeerAccessNotEnabled, "peer access has not been enabled")                         \
    X(SIM_CONTEXT_DESTROYED, cudaErrorContextIsDestroyed, "context is destroyed")                                      \
    X(SIM_HOST_REGISTERED, cudaErrorHostMemoryAlreadyRegistered,                                                       \
      "part or all of the requested memory range is already mapped")                                                   \
    X(SIM_HOST_NOT_REGISTERED, cudaErrorHostMemoryNotRegistered,                                                       \
      "pointer does not correspond to a registered memory region")                                                     \
    X(SIM_LAUNCH_FAILURE, cudaErrorLaunchFailure, "unspecified launch failure")                                        \
    X(SIM_NOT_SUPPORTED, cudaErrorNotSupported, "operation not supported")                                             \
    X(SIM_CAPTURE_UNSUPPORTED, cudaErrorStreamCaptureUnsupported,                                                      \
      "operation not permitted when stream is capturing")                                                              \
    X(SIM_CAPTURE_INVALIDATED, cudaErrorStreamCaptureInvalidated,                                                      \
      "operation failed due to a previous error during capture")                                                       \
    X(SIM_CAPTURE_UNMATCHED, cudaErrorStreamCaptureUnmatched,                                                          \
      "capture was not initiated in this stream")                                                                      \
    X(SIM_CAPTURE_UNJOINED, cudaErrorStreamCaptureUnjoined,                                                            \
      "capturing stream has unjoined work")                                                                            \
    X(SIM_CAPTURE_ISOLATION, cudaErrorStreamCaptureIsolation,                                                          \
      "dependency created on uncaptured work in another stream")                                                       \
    X(SIM_CAPTURE_IMPLICIT, cudaErrorStreamCaptureImplicit,                                                            \
      "operation would make the legacy stream depend on a capturing blocking stream")                                  \
    X(SIM_CAPTURED_EVENT, cudaErrorCapturedEvent,                                                                      \
      "operation not permitted on an event last recorded in a capturing stream")                                       \
    X(SIM_CAPTURE_WRONG_THREAD, cudaErrorStreamCaptureWrongThread,                                                     \
      "attempt to terminate a thread-local capture sequence from another thread")                                      \
    X(SIM_UNKNOWN, cudaErrorUnknown, "unknown error")

#endif
