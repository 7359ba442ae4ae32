/* SPDX-License-Identifier: BSD-3-Clause */
/* What the shared source calls things, for CUDA. */
#ifndef DT2_CUDA_VENDOR_H
#define DT2_CUDA_VENDOR_H

#include <pthread.h>

#include "cuda_decl.h"
#include "entries.h"
#include "nvml_decl.h"

#define GPU_DRIVER_NAME "cuda"
#define GPU_VENDOR_TEXT "NVIDIA Corporation"
#define GPU_VARIABLE "CUDA"
#define GPU_RUNTIME_TEXT "CUDA"
#define GPU_RUNTIME_OPTION "cuda_runtime"
#define GPU_RUNTIME_VARIABLE "DISTORCH2_CUDART"
#define GPU_PICK(cuda, hip) cuda
#define GPU(name) cuda##name

#define GPU_Integrated cudaDevAttrIntegrated
#define GPU_HostAllocPortable cudaHostAllocPortable
/* Codes after which a context is of no use any more. */
#define GPU_LOST_CODES                                                                                                 \
    cudaErrorCudartUnloading, cudaErrorNoDevice, cudaErrorECCUncorrectable, cudaErrorNvlinkUncorrectable,              \
        cudaErrorIllegalAddress, cudaErrorLaunchTimeout, cudaErrorContextIsDestroyed, cudaErrorAssert,                 \
        cudaErrorHardwareStackError, cudaErrorIllegalInstruction, cudaErrorMisalignedAddress,                          \
        cudaErrorInvalidAddressSpace, cudaErrorInvalidPc, cudaErrorLaunchFailure

/* The members have the symbols' names. */
struct dt2_cuda_driver_entries {
#define DT2_CUDA_MEMBER(symbol) __typeof__(&symbol) symbol;
    DT2_CUDA_DRIVER_ENTRIES(DT2_CUDA_MEMBER)
};

struct dt2_cuda_alone_entries {
    DT2_CUDA_ALONE_ENTRIES(DT2_CUDA_MEMBER)
    DT2_CUDA_ALONE_OPTIONAL_ENTRIES(DT2_CUDA_MEMBER)
#undef DT2_CUDA_MEMBER
};

struct dt2_gpu_vendor {
    struct dt2_cuda_driver_entries cu;
    void *libcuda;
    int driver_version;  /* 12040: CUDA 12.4 */
    int runtime_version; /* of libcudart, where there is one */
    struct dt2_nvml nvml;
};

#endif
