/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every entry point that the CUDA and HIP drivers look up, and the version that brought it: the whole of what they
 * ask of a vendor. All have kept their signature ever since, up to CUDA 13 and ROCm 7, so that one module serves
 * CUDA 11 to 13 and one ROCm 5.2 to 7. Whatever fills a struct whose layout changed is not here
 * (*GetDeviceProperties, *PointerGetAttributes).
 *
 * The symbol that is looked up is the name as it stands here. What is required and missing makes a library
 * unusable, with the name of the symbol as the reason. Each list is a macro of one argument, which is called for
 * each line.
 */
#ifndef DT2_GPU_ENTRIES_H
#define DT2_GPU_ENTRIES_H

/*
 * The runtime: libcudart or libamdhip64. X(MEMBER, CUDA SYMBOL, HIP SYMBOL): the shared source calls MEMBER.
 * A ROCm version is that of the symbol's version node in libamdhip64, which starts at 4.2.
 */
#define DT2_GPU_RUNTIME_ENTRIES(X)                                                                                     \
    X(RuntimeGetVersion, cudaRuntimeGetVersion, hipRuntimeGetVersion)                   /* CUDA 2.2, ROCm 4.2 */       \
    X(GetDeviceCount, cudaGetDeviceCount, hipGetDeviceCount)                            /* CUDA 1.0, ROCm 4.2 */       \
    X(DeviceGetAttribute, cudaDeviceGetAttribute, hipDeviceGetAttribute)                /* CUDA 5.0, ROCm 4.2 */       \
    X(GetErrorName, cudaGetErrorName, hipGetErrorName)                                  /* CUDA 6.5, ROCm 4.2 */       \
    X(GetErrorString, cudaGetErrorString, hipGetErrorString)                            /* CUDA 1.0, ROCm 4.2 */       \
    X(GetLastError, cudaGetLastError, hipGetLastError)                                  /* CUDA 1.0, ROCm 4.2 */       \
    X(MemGetInfo, cudaMemGetInfo, hipMemGetInfo)                                        /* CUDA 3.0, ROCm 4.2 */       \
    X(Malloc, cudaMalloc, hipMalloc)                                                    /* CUDA 1.0, ROCm 4.2 */       \
    X(Free, cudaFree, hipFree)                                                          /* CUDA 1.0, ROCm 4.2 */       \
    X(HostAlloc, cudaHostAlloc, hipHostMalloc)                                          /* CUDA 2.2, ROCm 4.2 */       \
    X(FreeHost, cudaFreeHost, hipHostFree)                                              /* CUDA 1.1, ROCm 4.2 */       \
    X(HostRegister, cudaHostRegister, hipHostRegister)                                  /* CUDA 4.0, ROCm 4.2 */       \
    X(HostUnregister, cudaHostUnregister, hipHostUnregister)                            /* CUDA 4.0, ROCm 4.2 */       \
    X(StreamCreateWithFlags, cudaStreamCreateWithFlags, hipStreamCreateWithFlags)       /* CUDA 5.0, ROCm 4.2 */       \
    X(StreamDestroy, cudaStreamDestroy, hipStreamDestroy)                               /* CUDA 1.1, ROCm 4.2 */       \
    X(StreamSynchronize, cudaStreamSynchronize, hipStreamSynchronize)                   /* CUDA 1.1, ROCm 4.2 */       \
    X(StreamWaitEvent, cudaStreamWaitEvent, hipStreamWaitEvent)                         /* CUDA 3.2, ROCm 4.2 */       \
    X(MemcpyAsync, cudaMemcpyAsync, hipMemcpyAsync)                                     /* CUDA 1.1, ROCm 4.2 */       \
    X(MemcpyPeerAsync, cudaMemcpyPeerAsync, hipMemcpyPeerAsync)                         /* CUDA 4.0, ROCm 4.2 */       \
    X(DeviceCanAccessPeer, cudaDeviceCanAccessPeer, hipDeviceCanAccessPeer)             /* CUDA 4.0, ROCm 4.2 */       \
    X(DeviceEnablePeerAccess, cudaDeviceEnablePeerAccess, hipDeviceEnablePeerAccess)    /* CUDA 4.0, ROCm 4.2 */       \
    X(EventCreateWithFlags, cudaEventCreateWithFlags, hipEventCreateWithFlags)          /* CUDA 3.0, ROCm 4.2 */       \
    X(EventRecord, cudaEventRecord, hipEventRecord)                                     /* CUDA 1.1, ROCm 4.2 */       \
    X(EventQuery, cudaEventQuery, hipEventQuery)                                        /* CUDA 1.1, ROCm 4.2 */       \
    X(EventSynchronize, cudaEventSynchronize, hipEventSynchronize)                      /* CUDA 1.1, ROCm 4.2 */       \
    X(EventDestroy, cudaEventDestroy, hipEventDestroy)                                  /* CUDA 1.1, ROCm 4.2 */

/* Those that may be missing. */
#define DT2_GPU_RUNTIME_OPTIONAL_ENTRIES(X)                                                                            \
    /* Without it nothing is pending. */                                                                               \
    X(PeekAtLastError, cudaPeekAtLastError, hipPeekAtLastError) /* CUDA 3.2, ROCm 4.2 */                               \
    /* Without these nobody captures. */                                                                               \
    X(StreamIsCapturing, cudaStreamIsCapturing, hipStreamIsCapturing) /* CUDA 10.0, ROCm 4.3 */                        \
    X(ThreadExchangeStreamCaptureMode, cudaThreadExchangeStreamCaptureMode, hipThreadExchangeStreamCaptureMode)        \
    /* CUDA 10.1, ROCm 5.0 */

/*
 * libcuda, NVIDIA's driver. The runtime tells neither a device's UUID nor its name nor its memory but through a
 * struct that changed, and its cudaSetDevice makes a context (since CUDA 12) and changes the thread's choice of a
 * device: so these tell what a device is, and put a context on the thread's stack for the time of a call.
 */
#define DT2_CUDA_DRIVER_ENTRIES(X)                                                                                     \
    X(cuInit)                       /* CUDA 2.0 */                                                                     \
    X(cuDriverGetVersion)           /* CUDA 2.2 */                                                                     \
    X(cuGetErrorName)               /* CUDA 6.0 */                                                                     \
    X(cuDeviceGet)                  /* CUDA 2.0 */                                                                     \
    X(cuDeviceGetName)              /* CUDA 2.0 */                                                                     \
    X(cuDeviceGetUuid)              /* CUDA 9.2: of a MIG slice, that of the whole GPU */                              \
    X(cuDeviceTotalMem_v2)          /* CUDA 3.2 */                                                                     \
    X(cuDeviceGetPCIBusId)          /* CUDA 4.1 */                                                                     \
    X(cuDevicePrimaryCtxGetState)   /* CUDA 7.0 */                                                                     \
    X(cuDevicePrimaryCtxRetain)     /* CUDA 7.0 */                                                                     \
    X(cuDevicePrimaryCtxRelease_v2) /* CUDA 11.0 */                                                                    \
    X(cuCtxPushCurrent_v2)          /* CUDA 4.0 */                                                                     \
    X(cuCtxPopCurrent_v2)           /* CUDA 4.0 */                                                                     \
    X(cuPointerGetAttribute)        /* CUDA 4.0: of one attribute, no struct */                                        \
    X(cuMemGetAddressRange_v2)      /* CUDA 3.2 */                                                                     \
    X(cuStreamGetCtx)               /* CUDA 9.2 */

/* Those that may be missing. */
#define DT2_CUDA_DRIVER_OPTIONAL_ENTRIES(X)                                                                            \
    X(cuDeviceGetUuid_v2) /* CUDA 11.4: of a MIG slice, its own; without it cuDeviceGetUuid is asked */

/*
 * Where no runtime is used: what libcuda must have for the same work (backends/cuda/over_libcuda.c). The versions are
 * those of the toolkit's cudaTypedefs.h.
 */
#define DT2_CUDA_ALONE_ENTRIES(X)                                                                                      \
    X(cuDeviceGetCount)       /* CUDA 2.0 */                                                                           \
    X(cuDeviceGetAttribute)   /* CUDA 2.0 */                                                                           \
    X(cuGetErrorString)       /* CUDA 6.0 */                                                                           \
    X(cuMemGetInfo_v2)        /* CUDA 3.2 */                                                                           \
    X(cuMemAlloc_v2)          /* CUDA 3.2 */                                                                           \
    X(cuMemFree_v2)           /* CUDA 3.2 */                                                                           \
    X(cuMemHostAlloc)         /* CUDA 2.2 */                                                                           \
    X(cuMemFreeHost)          /* CUDA 2.0 */                                                                           \
    X(cuMemHostRegister_v2)   /* CUDA 6.5 */                                                                           \
    X(cuMemHostUnregister)    /* CUDA 4.0 */                                                                           \
    X(cuStreamCreate)         /* CUDA 2.0 */                                                                           \
    X(cuStreamDestroy_v2)     /* CUDA 4.0 */                                                                           \
    X(cuStreamSynchronize)    /* CUDA 2.0 */                                                                           \
    X(cuStreamWaitEvent)      /* CUDA 3.2 */                                                                           \
    X(cuMemcpyHtoDAsync_v2)   /* CUDA 3.2 */                                                                           \
    X(cuMemcpyDtoHAsync_v2)   /* CUDA 3.2 */                                                                           \
    X(cuMemcpyDtoDAsync_v2)   /* CUDA 3.2 */                                                                           \
    X(cuMemcpyPeerAsync)      /* CUDA 4.0 */                                                                           \
    X(cuDeviceCanAccessPeer)  /* CUDA 4.0 */                                                                           \
    X(cuCtxEnablePeerAccess)  /* CUDA 4.0 */                                                                           \
    X(cuEventCreate)          /* CUDA 2.0 */                                                                           \
    X(cuEventRecord)          /* CUDA 2.0 */                                                                           \
    X(cuEventQuery)           /* CUDA 2.0 */                                                                           \
    X(cuEventSynchronize)     /* CUDA 2.0 */                                                                           \
    X(cuEventDestroy_v2)      /* CUDA 4.0 */

/* Those that may be missing: as for a runtime, nobody captures then. */
#define DT2_CUDA_ALONE_OPTIONAL_ENTRIES(X)                                                                             \
    X(cuStreamIsCapturing)               /* CUDA 10.0 */                                                               \
    X(cuThreadExchangeStreamCaptureMode) /* CUDA 10.1 */

/* libamdhip64, beside the lines above: what only HIP has, or what libcuda tells for CUDA. */
#define DT2_HIP_ENTRIES(X)                                                                                             \
    X(hipGetDevice)           /* ROCm 4.2 */                                                                           \
    X(hipSetDevice)           /* ROCm 4.2: a choice of the thread, no context is made */                               \
    X(hipDeviceGet)           /* ROCm 4.2 */                                                                           \
    X(hipDeviceGetName)       /* ROCm 4.2 */                                                                           \
    X(hipDeviceGetUuid)       /* ROCm 5.1 */                                                                           \
    X(hipDeviceTotalMem)      /* ROCm 4.2 */                                                                           \
    X(hipDeviceGetPCIBusId)   /* ROCm 4.2 */                                                                           \
    X(hipPointerGetAttribute) /* ROCm 5.0: of one attribute, no struct */                                              \
    X(hipMemGetAddressRange)  /* ROCm 4.2 */                                                                           \
    X(hipGetStreamDeviceId)   /* ROCm 4.2 */

/*
 * libnvidia-ml, which tells free memory without a context; all optional together: without it free memory is unknown
 * until a context is there. The declarations are ours (backends/cuda/nvml_decl.h). The driver numbers are NVIDIA's, as
 * of the oldest that CUDA 11 runs on; each entry is older than that.
 */
#define DT2_NVML_ENTRIES(X)                                                                                            \
    X(nvmlInit_v2)                      /* R450 */                                                                     \
    X(nvmlShutdown)                     /* R450 */                                                                     \
    X(nvmlErrorString)                  /* R450 */                                                                     \
    X(nvmlDeviceGetHandleByUUID)        /* R450; "GPU-..." or, for a MIG slice since R470, "MIG-..." */                \
    X(nvmlDeviceGetHandleByPciBusId_v2) /* R450 */                                                                     \
    X(nvmlDeviceGetMemoryInfo)          /* R450 */

#endif
