/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The little of HIP that is used here, declared here: so the module is in every build, whether there is a ROCm or not.
 * The lists have what the simulated runtime and the tests need, too. What is here has been the same since ROCm 5.2; the
 * numbers of kinds of memory, which have not, are not here.
 *
 * Where the real header is included before, functions and types are declared a second time, so that a compiler compares
 * them, and the assertions look at the real constants: tests/gpu/declared.sh.
 */
#ifndef DT2_HIP_DECL_H
#define DT2_HIP_DECL_H

#include <stddef.h>

#include "declared.h"

#define DT2_HIP_ERRORS(X)                                                                                              \
    X(hipSuccess, 0)                                                                                                   \
    X(hipErrorInvalidValue, 1)                                                                                         \
    X(hipErrorOutOfMemory, 2)                                                                                          \
    X(hipErrorMemoryAllocation, 2)                                                                                     \
    X(hipErrorNotInitialized, 3)                                                                                       \
    X(hipErrorDeinitialized, 4)                                                                                        \
    X(hipErrorNoDevice, 100)                                                                                           \
    X(hipErrorInvalidDevice, 101)                                                                                      \
    X(hipErrorInvalidContext, 201)                                                                                     \
    X(hipErrorECCNotCorrectable, 214)                                                                                  \
    X(hipErrorPeerAccessUnsupported, 217)                                                                              \
    X(hipErrorInvalidHandle, 400)                                                                                      \
    X(hipErrorIllegalState, 401)                                                                                       \
    X(hipErrorNotReady, 600)                                                                                           \
    X(hipErrorIllegalAddress, 700)                                                                                     \
    X(hipErrorLaunchTimeOut, 702)                                                                                      \
    X(hipErrorPeerAccessAlreadyEnabled, 704)                                                                           \
    X(hipErrorPeerAccessNotEnabled, 705)                                                                               \
    X(hipErrorContextIsDestroyed, 709)                                                                                 \
    X(hipErrorAssert, 710)                                                                                             \
    X(hipErrorHostMemoryAlreadyRegistered, 712)                                                                        \
    X(hipErrorHostMemoryNotRegistered, 713)                                                                            \
    X(hipErrorLaunchFailure, 719)                                                                                      \
    X(hipErrorNotSupported, 801)                                                                                       \
    X(hipErrorStreamCaptureUnsupported, 900)                                                                           \
    X(hipErrorStreamCaptureInvalidated, 901)                                                                           \
    X(hipErrorStreamCaptureUnmatched, 903)                                                                             \
    X(hipErrorStreamCaptureUnjoined, 904)                                                                              \
    X(hipErrorStreamCaptureIsolation, 905)                                                                             \
    X(hipErrorStreamCaptureImplicit, 906)                                                                              \
    X(hipErrorCapturedEvent, 907)                                                                                      \
    X(hipErrorStreamCaptureWrongThread, 908)                                                                           \
    X(hipErrorUnknown, 999)
#define DT2_HIP_ATTRIBUTES(X)                                                                                          \
    X(hipDeviceAttributeIntegrated, 16)                                                                                \
    X(hipDeviceAttributePciBusId, 67)                                                                                  \
    X(hipDeviceAttributePciDeviceId, 68)                                                                               \
    X(hipDeviceAttributePciDomainID, 69)                                                                               \
    X(hipDeviceAttributeUnifiedAddressing, 85)
#define DT2_HIP_POINTER_ATTRIBUTES(X)                                                                                  \
    X(HIP_POINTER_ATTRIBUTE_MEMORY_TYPE, 2)                                                                            \
    X(HIP_POINTER_ATTRIBUTE_IS_MANAGED, 8)                                                                             \
    X(HIP_POINTER_ATTRIBUTE_DEVICE_ORDINAL, 9)                                                                         \
    X(HIP_POINTER_ATTRIBUTE_RANGE_START_ADDR, 11)                                                                      \
    X(HIP_POINTER_ATTRIBUTE_RANGE_SIZE, 12)
#define DT2_HIP_COPIES(X)                                                                                              \
    X(hipMemcpyHostToHost, 0)                                                                                          \
    X(hipMemcpyHostToDevice, 1)                                                                                        \
    X(hipMemcpyDeviceToHost, 2)                                                                                        \
    X(hipMemcpyDeviceToDevice, 3)                                                                                      \
    X(hipMemcpyDefault, 4)
#define DT2_HIP_CAPTURE_STATES(X)                                                                                      \
    X(hipStreamCaptureStatusNone, 0)                                                                                   \
    X(hipStreamCaptureStatusActive, 1)                                                                                 \
    X(hipStreamCaptureStatusInvalidated, 2)
#define DT2_HIP_CAPTURE_MODES(X)                                                                                       \
    X(hipStreamCaptureModeGlobal, 0)                                                                                   \
    X(hipStreamCaptureModeThreadLocal, 1)                                                                              \
    X(hipStreamCaptureModeRelaxed, 2)
#define DT2_HIP_FLAGS(X)                                                                                               \
    X(hipHostMallocPortable, 0x1)                                                                                      \
    X(hipHostRegisterPortable, 0x1)                                                                                    \
    X(hipStreamNonBlocking, 0x1)                                                                                       \
    X(hipEventBlockingSync, 0x1)                                                                                       \
    X(hipEventDisableTiming, 0x2)

#ifndef HIP_INCLUDE_HIP_HIP_RUNTIME_API_H /* the real one's guard */
typedef enum hipError_t { DT2_HIP_ERRORS(DT2_DECLARED) } hipError_t;
typedef enum hipDeviceAttribute_t { DT2_HIP_ATTRIBUTES(DT2_DECLARED) } hipDeviceAttribute_t;
typedef enum hipPointer_attribute { DT2_HIP_POINTER_ATTRIBUTES(DT2_DECLARED) } hipPointer_attribute;
typedef enum hipMemcpyKind { DT2_HIP_COPIES(DT2_DECLARED) } hipMemcpyKind;
typedef enum hipStreamCaptureStatus { DT2_HIP_CAPTURE_STATES(DT2_DECLARED) } hipStreamCaptureStatus;
typedef enum hipStreamCaptureMode { DT2_HIP_CAPTURE_MODES(DT2_DECLARED) } hipStreamCaptureMode;
enum { DT2_HIP_FLAGS(DT2_DECLARED) };
struct hipUUID_t {
    char bytes[16];
};
#endif

DT2_HIP_ERRORS(DT2_DECLARED_ALIKE)
DT2_HIP_ATTRIBUTES(DT2_DECLARED_ALIKE)
DT2_HIP_POINTER_ATTRIBUTES(DT2_DECLARED_ALIKE)
DT2_HIP_COPIES(DT2_DECLARED_ALIKE)
DT2_HIP_CAPTURE_STATES(DT2_DECLARED_ALIKE)
DT2_HIP_CAPTURE_MODES(DT2_DECLARED_ALIKE)
DT2_HIP_FLAGS(DT2_DECLARED_ALIKE)

typedef int hipDevice_t;
typedef void *hipDeviceptr_t;
typedef struct ihipStream_t *hipStream_t;
typedef struct ihipEvent_t *hipEvent_t;
typedef struct hipUUID_t hipUUID;
#define hipStreamPerThread ((hipStream_t)2)
DT2_DECLARED_SIZE(hipUUID, 16)
DT2_DECLARED_MEMBER(hipUUID, bytes, 0, char[16])
DT2_DECLARED_SIZE(hipError_t, 4)
DT2_DECLARED_SIZE(hipDeviceAttribute_t, 4)

hipError_t hipRuntimeGetVersion(int *version);
hipError_t hipGetDeviceCount(int *count);
hipError_t hipDeviceGetAttribute(int *value, hipDeviceAttribute_t attribute, int device);
const char *hipGetErrorName(hipError_t error);
const char *hipGetErrorString(hipError_t error);
hipError_t hipGetLastError(void);
hipError_t hipMemGetInfo(size_t *free_bytes, size_t *total_bytes);
hipError_t hipMalloc(void **memory, size_t bytes);
hipError_t hipFree(void *memory);
hipError_t hipHostMalloc(void **memory, size_t bytes, unsigned flags);
hipError_t hipHostFree(void *memory);
hipError_t hipHostRegister(void *memory, size_t bytes, unsigned flags);
hipError_t hipHostUnregister(void *memory);
hipError_t hipStreamCreateWithFlags(hipStream_t *stream, unsigned flags);
hipError_t hipStreamDestroy(hipStream_t stream);
hipError_t hipStreamSynchronize(hipStream_t stream);
hipError_t hipStreamWaitEvent(hipStream_t stream, hipEvent_t event, unsigned flags);
hipError_t hipMemcpyAsync(void *to, const void *from, size_t bytes, hipMemcpyKind kind, hipStream_t stream);
hipError_t hipMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device, size_t bytes,
                              hipStream_t stream);
hipError_t hipDeviceCanAccessPeer(int *can, int device, int peer);
hipError_t hipDeviceEnablePeerAccess(int peer, unsigned flags);
hipError_t hipEventCreateWithFlags(hipEvent_t *event, unsigned flags);
hipError_t hipEventRecord(hipEvent_t event, hipStream_t stream);
hipError_t hipEventQuery(hipEvent_t event);
hipError_t hipEventSynchronize(hipEvent_t event);
hipError_t hipEventDestroy(hipEvent_t event);
hipError_t hipPeekAtLastError(void);
hipError_t hipStreamIsCapturing(hipStream_t stream, hipStreamCaptureStatus *state);
hipError_t hipThreadExchangeStreamCaptureMode(hipStreamCaptureMode *mode);
hipError_t hipGetDevice(int *device);
hipError_t hipSetDevice(int device);
hipError_t hipDeviceGet(hipDevice_t *device, int index);
hipError_t hipDeviceGetName(char *name, int size, hipDevice_t device);
hipError_t hipDeviceGetUuid(hipUUID *uuid, hipDevice_t device);
hipError_t hipDeviceTotalMem(size_t *bytes, hipDevice_t device);
hipError_t hipDeviceGetPCIBusId(char *text, int size, int device);
hipError_t hipPointerGetAttribute(void *data, hipPointer_attribute attribute, hipDeviceptr_t address);
hipError_t hipMemGetAddressRange(hipDeviceptr_t *base, size_t *size, hipDeviceptr_t address);
int hipGetStreamDeviceId(hipStream_t stream);

#endif
