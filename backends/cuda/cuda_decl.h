/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The little of CUDA's runtime and of NVIDIA's driver API that is used here, declared here: so the module is in every
 * build, whether there is a toolkit or not. The lists have what the simulated runtime and the tests need, too.
 *
 * Where the real headers are included before, functions and types are declared a second time, so that a compiler compares
 * them, and the assertions look at the real constants: tests/gpu/declared.sh. With __CUDA_API_VERSION_INTERNAL the real
 * header declares a function of several versions by the names of its symbols, as here.
 */
#ifndef DT2_CUDA_DECL_H
#define DT2_CUDA_DECL_H

#include <stddef.h>

#include "declared.h"

/* -- the runtime */

#define DT2_CUDART_ERRORS(X)                                                                                           \
    X(cudaSuccess, 0)                                                                                                  \
    X(cudaErrorInvalidValue, 1)                                                                                        \
    X(cudaErrorMemoryAllocation, 2)                                                                                    \
    X(cudaErrorInitializationError, 3)                                                                                 \
    X(cudaErrorCudartUnloading, 4)                                                                                     \
    X(cudaErrorInvalidMemcpyDirection, 21)                                                                             \
    X(cudaErrorDevicesUnavailable, 46)                                                                                 \
    X(cudaErrorNoDevice, 100)                                                                                          \
    X(cudaErrorInvalidDevice, 101)                                                                                     \
    X(cudaErrorDeviceUninitialized, 201)                                                                               \
    X(cudaErrorECCUncorrectable, 214)                                                                                  \
    X(cudaErrorPeerAccessUnsupported, 217)                                                                             \
    X(cudaErrorNvlinkUncorrectable, 220)                                                                               \
    X(cudaErrorInvalidResourceHandle, 400)                                                                             \
    X(cudaErrorNotReady, 600)                                                                                          \
    X(cudaErrorIllegalAddress, 700)                                                                                    \
    X(cudaErrorLaunchTimeout, 702)                                                                                     \
    X(cudaErrorPeerAccessAlreadyEnabled, 704)                                                                          \
    X(cudaErrorPeerAccessNotEnabled, 705)                                                                              \
    X(cudaErrorContextIsDestroyed, 709)                                                                                \
    X(cudaErrorAssert, 710)                                                                                            \
    X(cudaErrorHostMemoryAlreadyRegistered, 712)                                                                       \
    X(cudaErrorHostMemoryNotRegistered, 713)                                                                           \
    X(cudaErrorHardwareStackError, 714)                                                                                \
    X(cudaErrorIllegalInstruction, 715)                                                                                \
    X(cudaErrorMisalignedAddress, 716)                                                                                 \
    X(cudaErrorInvalidAddressSpace, 717)                                                                               \
    X(cudaErrorInvalidPc, 718)                                                                                         \
    X(cudaErrorLaunchFailure, 719)                                                                                     \
    X(cudaErrorNotSupported, 801)                                                                                      \
    X(cudaErrorStreamCaptureUnsupported, 900)                                                                          \
    X(cudaErrorStreamCaptureInvalidated, 901)                                                                          \
    X(cudaErrorStreamCaptureUnmatched, 903)                                                                            \
    X(cudaErrorStreamCaptureUnjoined, 904)                                                                             \
    X(cudaErrorStreamCaptureIsolation, 905)                                                                            \
    X(cudaErrorStreamCaptureImplicit, 906)                                                                             \
    X(cudaErrorCapturedEvent, 907)                                                                                     \
    X(cudaErrorStreamCaptureWrongThread, 908)                                                                          \
    X(cudaErrorUnknown, 999)
#define DT2_CUDART_ATTRIBUTES(X)                                                                                       \
    X(cudaDevAttrIntegrated, 18)                                                                                       \
    X(cudaDevAttrPciBusId, 33)                                                                                         \
    X(cudaDevAttrPciDeviceId, 34)                                                                                      \
    X(cudaDevAttrUnifiedAddressing, 41)                                                                                \
    X(cudaDevAttrPciDomainId, 50)
#define DT2_CUDART_COPIES(X)                                                                                           \
    X(cudaMemcpyHostToHost, 0)                                                                                         \
    X(cudaMemcpyHostToDevice, 1)                                                                                       \
    X(cudaMemcpyDeviceToHost, 2)                                                                                       \
    X(cudaMemcpyDeviceToDevice, 3)                                                                                     \
    X(cudaMemcpyDefault, 4)
#define DT2_CUDART_CAPTURE_STATES(X)                                                                                   \
    X(cudaStreamCaptureStatusNone, 0)                                                                                  \
    X(cudaStreamCaptureStatusActive, 1)                                                                                \
    X(cudaStreamCaptureStatusInvalidated, 2)
#define DT2_CUDART_CAPTURE_MODES(X)                                                                                    \
    X(cudaStreamCaptureModeGlobal, 0)                                                                                  \
    X(cudaStreamCaptureModeThreadLocal, 1)                                                                             \
    X(cudaStreamCaptureModeRelaxed, 2)
#define DT2_CUDART_FLAGS(X)                                                                                            \
    X(cudaHostAllocPortable, 0x1)                                                                                      \
    X(cudaHostRegisterPortable, 0x1)                                                                                   \
    X(cudaStreamDefault, 0x0)                                                                                          \
    X(cudaStreamNonBlocking, 0x1)                                                                                      \
    X(cudaEventBlockingSync, 0x1)                                                                                      \
    X(cudaEventDisableTiming, 0x2)

#ifndef __CUDA_RUNTIME_API_H__ /* the real one's guard */
enum cudaError { DT2_CUDART_ERRORS(DT2_DECLARED) };
enum cudaDeviceAttr { DT2_CUDART_ATTRIBUTES(DT2_DECLARED) };
enum cudaMemcpyKind { DT2_CUDART_COPIES(DT2_DECLARED) };
enum cudaStreamCaptureStatus { DT2_CUDART_CAPTURE_STATES(DT2_DECLARED) };
enum cudaStreamCaptureMode { DT2_CUDART_CAPTURE_MODES(DT2_DECLARED) };
enum { DT2_CUDART_FLAGS(DT2_DECLARED) };
#endif

DT2_CUDART_ERRORS(DT2_DECLARED_ALIKE)
DT2_CUDART_ATTRIBUTES(DT2_DECLARED_ALIKE)
DT2_CUDART_COPIES(DT2_DECLARED_ALIKE)
DT2_CUDART_CAPTURE_STATES(DT2_DECLARED_ALIKE)
DT2_CUDART_CAPTURE_MODES(DT2_DECLARED_ALIKE)
DT2_CUDART_FLAGS(DT2_DECLARED_ALIKE)

typedef enum cudaError cudaError_t;
typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
#define cudaStreamPerThread ((cudaStream_t)0x2)

cudaError_t cudaRuntimeGetVersion(int *version);
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device);
const char *cudaGetErrorName(cudaError_t error);
const char *cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError(void);
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes);
cudaError_t cudaMalloc(void **memory, size_t bytes);
cudaError_t cudaFree(void *memory);
cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void *memory);
cudaError_t cudaHostRegister(void *memory, size_t bytes, unsigned flags);
cudaError_t cudaHostUnregister(void *memory);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device, size_t bytes,
                                cudaStream_t stream);
cudaError_t cudaDeviceCanAccessPeer(int *can, int device, int peer);
cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned flags);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaPeekAtLastError(void);
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *state);
cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode);

/* -- libcuda */

#define DT2_CUDA_ERRORS(X)                                                                                             \
    X(CUDA_SUCCESS, 0)                                                                                                 \
    X(CUDA_ERROR_INVALID_VALUE, 1)                                                                                     \
    X(CUDA_ERROR_OUT_OF_MEMORY, 2)                                                                                     \
    X(CUDA_ERROR_NOT_INITIALIZED, 3)                                                                                   \
    X(CUDA_ERROR_DEINITIALIZED, 4)                                                                                     \
    X(CUDA_ERROR_STUB_LIBRARY, 34)                                                                                     \
    X(CUDA_ERROR_DEVICE_UNAVAILABLE, 46)                                                                               \
    X(CUDA_ERROR_NO_DEVICE, 100)                                                                                       \
    X(CUDA_ERROR_INVALID_DEVICE, 101)                                                                                  \
    X(CUDA_ERROR_INVALID_CONTEXT, 201)                                                                                 \
    X(CUDA_ERROR_ECC_UNCORRECTABLE, 214)                                                                               \
    X(CUDA_ERROR_PEER_ACCESS_UNSUPPORTED, 217)                                                                         \
    X(CUDA_ERROR_NVLINK_UNCORRECTABLE, 220)                                                                            \
    X(CUDA_ERROR_INVALID_HANDLE, 400)                                                                                  \
    X(CUDA_ERROR_NOT_FOUND, 500)                                                                                       \
    X(CUDA_ERROR_NOT_READY, 600)                                                                                       \
    X(CUDA_ERROR_ILLEGAL_ADDRESS, 700)                                                                                 \
    X(CUDA_ERROR_LAUNCH_TIMEOUT, 702)                                                                                  \
    X(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, 704)                                                                     \
    X(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, 705)                                                                         \
    X(CUDA_ERROR_CONTEXT_IS_DESTROYED, 709)                                                                            \
    X(CUDA_ERROR_ASSERT, 710)                                                                                          \
    X(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, 712)                                                                  \
    X(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, 713)                                                                      \
    X(CUDA_ERROR_HARDWARE_STACK_ERROR, 714)                                                                            \
    X(CUDA_ERROR_ILLEGAL_INSTRUCTION, 715)                                                                             \
    X(CUDA_ERROR_MISALIGNED_ADDRESS, 716)                                                                              \
    X(CUDA_ERROR_INVALID_ADDRESS_SPACE, 717)                                                                           \
    X(CUDA_ERROR_INVALID_PC, 718)                                                                                      \
    X(CUDA_ERROR_LAUNCH_FAILED, 719)                                                                                   \
    X(CUDA_ERROR_NOT_SUPPORTED, 801)                                                                                   \
    X(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, 900)                                                                      \
    X(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, 901)                                                                      \
    X(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, 903)                                                                        \
    X(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, 904)                                                                         \
    X(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, 905)                                                                        \
    X(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, 906)                                                                         \
    X(CUDA_ERROR_CAPTURED_EVENT, 907)                                                                                  \
    X(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, 908)                                                                     \
    X(CUDA_ERROR_UNKNOWN, 999)
#define DT2_CUDA_ATTRIBUTES(X)                                                                                         \
    X(CU_DEVICE_ATTRIBUTE_INTEGRATED, 18)                                                                              \
    X(CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, 33)                                                                              \
    X(CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID, 34)                                                                           \
    X(CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 41)                                                                      \
    X(CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID, 50)
#define DT2_CUDA_POINTER_ATTRIBUTES(X)                                                                                 \
    X(CU_POINTER_ATTRIBUTE_CONTEXT, 1)                                                                                 \
    X(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, 2)                                                                             \
    X(CU_POINTER_ATTRIBUTE_IS_MANAGED, 8)                                                                              \
    X(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, 9)                                                                          \
    X(CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, 11)                                                                       \
    X(CU_POINTER_ATTRIBUTE_RANGE_SIZE, 12)
#define DT2_CUDA_MEMORY_TYPES(X)                                                                                       \
    X(CU_MEMORYTYPE_HOST, 1)                                                                                           \
    X(CU_MEMORYTYPE_DEVICE, 2)
#define DT2_CUDA_CAPTURE_STATES(X)                                                                                     \
    X(CU_STREAM_CAPTURE_STATUS_NONE, 0)
#define DT2_CUDA_CAPTURE_MODES(X)                                                                                      \
    X(CU_STREAM_CAPTURE_MODE_RELAXED, 2)
#define DT2_CUDA_FLAGS(X)                                                                                              \
    X(CU_MEMHOSTALLOC_PORTABLE, 0x1)                                                                                   \
    X(CU_MEMHOSTREGISTER_PORTABLE, 0x1)                                                                                \
    X(CU_STREAM_NON_BLOCKING, 0x1)                                                                                     \
    X(CU_EVENT_BLOCKING_SYNC, 0x1)                                                                                     \
    X(CU_EVENT_DISABLE_TIMING, 0x2)

#ifndef __cuda_cuda_h__ /* the real one's guard */
enum cudaError_enum { DT2_CUDA_ERRORS(DT2_DECLARED) };
enum CUdevice_attribute_enum { DT2_CUDA_ATTRIBUTES(DT2_DECLARED) };
enum CUpointer_attribute_enum { DT2_CUDA_POINTER_ATTRIBUTES(DT2_DECLARED) };
enum CUmemorytype_enum { DT2_CUDA_MEMORY_TYPES(DT2_DECLARED) };
enum CUstreamCaptureStatus_enum { DT2_CUDA_CAPTURE_STATES(DT2_DECLARED) };
enum CUstreamCaptureMode_enum { DT2_CUDA_CAPTURE_MODES(DT2_DECLARED) };
enum { DT2_CUDA_FLAGS(DT2_DECLARED) };
struct CUuuid_st {
    char bytes[16];
};
#endif

DT2_CUDA_ERRORS(DT2_DECLARED_ALIKE)
DT2_CUDA_ATTRIBUTES(DT2_DECLARED_ALIKE)
DT2_CUDA_POINTER_ATTRIBUTES(DT2_DECLARED_ALIKE)
DT2_CUDA_MEMORY_TYPES(DT2_DECLARED_ALIKE)
DT2_CUDA_CAPTURE_STATES(DT2_DECLARED_ALIKE)
DT2_CUDA_CAPTURE_MODES(DT2_DECLARED_ALIKE)
DT2_CUDA_FLAGS(DT2_DECLARED_ALIKE)

typedef enum cudaError_enum CUresult;
typedef enum CUdevice_attribute_enum CUdevice_attribute;
typedef enum CUpointer_attribute_enum CUpointer_attribute;
typedef enum CUmemorytype_enum CUmemorytype;
typedef enum CUstreamCaptureStatus_enum CUstreamCaptureStatus;
typedef enum CUstreamCaptureMode_enum CUstreamCaptureMode;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUuuid_st CUuuid;
DT2_DECLARED_SIZE(CUuuid, 16)
DT2_DECLARED_MEMBER(CUuuid, bytes, 0, char[16])
DT2_DECLARED_SIZE(CUmemorytype, 4)

CUresult cuInit(unsigned flags);
CUresult cuDriverGetVersion(int *version);
CUresult cuGetErrorName(CUresult error, const char **text);
CUresult cuDeviceGet(CUdevice *device, int index);
CUresult cuDeviceGetName(char *name, int size, CUdevice device);
CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device);
CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device);
CUresult cuDeviceGetPCIBusId(char *text, int size, CUdevice device);
CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active);
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device);
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device);
CUresult cuCtxPushCurrent_v2(CUcontext context);
CUresult cuCtxPopCurrent_v2(CUcontext *context);
CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr address);
CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size, CUdeviceptr address);
CUresult cuStreamGetCtx(CUstream stream, CUcontext *context);
CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device);
CUresult cuDeviceGetCount(int *count);
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device);
CUresult cuGetErrorString(CUresult error, const char **text);
CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes);
CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes);
CUresult cuMemFree_v2(CUdeviceptr address);
CUresult cuMemHostAlloc(void **memory, size_t bytes, unsigned flags);
CUresult cuMemFreeHost(void *memory);
CUresult cuMemHostRegister_v2(void *memory, size_t bytes, unsigned flags);
CUresult cuMemHostUnregister(void *memory);
CUresult cuStreamCreate(CUstream *stream, unsigned flags);
CUresult cuStreamDestroy_v2(CUstream stream);
CUresult cuStreamSynchronize(CUstream stream);
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags);
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream);
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream);
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream);
CUresult cuMemcpyPeerAsync(CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context, size_t bytes,
                           CUstream stream);
CUresult cuDeviceCanAccessPeer(int *can, CUdevice device, CUdevice peer);
CUresult cuCtxEnablePeerAccess(CUcontext peer, unsigned flags);
CUresult cuEventCreate(CUevent *event, unsigned flags);
CUresult cuEventRecord(CUevent event, CUstream stream);
CUresult cuEventQuery(CUevent event);
CUresult cuEventSynchronize(CUevent event);
CUresult cuEventDestroy_v2(CUevent event);
CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *state);
CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode);

#endif
