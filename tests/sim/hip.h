/* SPDX-License-Identifier: BSD-3-Clause */
/* What runtime.c calls things when it is libamdhip64. */
#ifndef DT2_TESTS_SIM_HIP_H
#define DT2_TESTS_SIM_HIP_H

#include "hip_headers.h"

#define API SIM_HIP
#define VENDOR(name) hip##name
#define HOST_ALLOC hipHostMalloc
#define HOST_FREE hipHostFree
#define HOST_PORTABLE hipHostMallocPortable
#define RUNTIME_VERSION 50221153
/* The kinds of memory have ROCm 5's numbers, whatever the header says: 6 numbered them anew. */
#define MEMORY_TYPE_HOST 0
#define MEMORY_TYPE_DEVICE 1
#define SET_DEVICE_MAKES_CONTEXT false

#define ATTRIBUTE(name) hipDeviceAttribute##name
#define PCI_DOMAIN hipDeviceAttributePciDomainID
#define PCI_FORMAT "%04x:%02x:%02x.%x"

#define RUNTIME_ERRORS(X)                                                                                              \
    X(SIM_OK, hipSuccess, "no error")                                                                                  \
    X(SIM_INVALID_VALUE, hipErrorInvalidValue, "invalid argument")                                                     \
    X(SIM_NOMEM, hipErrorOutOfMemory, "out of memory")                                                                 \
    X(SIM_NOT_INITIALIZED, hipErrorNotInitialized, "initialization error")                                             \
    X(SIM_NO_DEVICE, hipErrorNoDevice, "no ROCm-capable device is detected")                                           \
    X(SIM_INVALID_DEVICE, hipErrorInvalidDevice, "invalid device ordinal")                                             \
    X(SIM_INVALID_CONTEXT, hipErrorInvalidContext, "invalid device context")                                           \
    X(SIM_PEER_UNSUPPORTED, hipErrorPeerAccessUnsupported, "peer access is not supported between these two devices")   \
    X(SIM_INVALID_HANDLE, hipErrorInvalidHandle, "invalid resource handle")                                            \
    X(SIM_NOT_READY, hipErrorNotReady, "device not ready")                                                             \
    X(SIM_ILLEGAL_ADDRESS, hipErrorIllegalAddress, "an illegal memory access was encountered")                         \
    X(SIM_PEER_ENABLED, hipErrorPeerAccessAlreadyEnabled, "peer access is already enabled")                            \
    X(SIM_PEER_NOT_ENABLED, hipErrorPeerAccessNotEnabled, "peer access has not been enabled")                          \
    X(SIM_CONTEXT_DESTROYED, hipErrorContextIsDestroyed, "context is destroyed")                                       \
    X(SIM_HOST_REGISTERED, hipErrorHostMemoryAlreadyRegistered,                                                        \
      "part or all of the requested memory range is already mapped")                                                   \
    X(SIM_HOST_NOT_REGISTERED, hipErrorHostMemoryNotRegistered,                                                        \
      "pointer does not correspond to a registered memory region")                                                     \
    X(SIM_LAUNCH_FAILURE, hipErrorLaunchFailure, "unspecified launch failure")                                         \
    X(SIM_NOT_SUPPORTED, hipErrorNotSupported, "operation not supported")                                              \
    X(SIM_CAPTURE_UNSUPPORTED, hipErrorStreamCaptureUnsupported,                                                       \
      "operation not permitted when stream is capturing")                                                              \
    X(SIM_CAPTURE_INVALIDATED, hipErrorStreamCaptureInvalidated,                                                       \
      "operation failed due to a previous error during capture")                                                       \
    X(SIM_CAPTURE_UNMATCHED, hipErrorStreamCaptureUnmatched,                                                           \
      "capture was not initiated in this stream")                                                                      \
    X(SIM_CAPTURE_UNJOINED, hipErrorStreamCaptureUnjoined,                                                             \
      "capturing stream has unjoined work")                                                                            \
    X(SIM_CAPTURE_ISOLATION, hipErrorStreamCaptureIsolation,                                                           \
      "dependency created on uncaptured work in another stream")                                                       \
    X(SIM_CAPTURE_IMPLICIT, hipErrorStreamCaptureImplicit,                                                             \
      "operation would make the legacy stream depend on a capturing blocking stream")                                  \
    X(SIM_CAPTURED_EVENT, hipErrorCapturedEvent,                                                                       \
      "operation not permitted on an event last recorded in a capturing stream")                                       \
    X(SIM_CAPTURE_WRONG_THREAD, hipErrorStreamCaptureWrongThread,                                                      \
      "attempt to terminate a thread-local capture sequence from another thread")                                      \
    X(SIM_UNKNOWN, hipErrorUnknown, "unknown error")

#endif
