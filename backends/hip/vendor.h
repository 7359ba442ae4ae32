/* SPDX-License-Identifier: BSD-3-Clause */
/* What the shared source calls things, for HIP. */
#ifndef DT2_HIP_VENDOR_H
#define DT2_HIP_VENDOR_H

#include "entries.h"
#include "hip_decl.h"

#define GPU_DRIVER_NAME "hip"
#define GPU_VENDOR_TEXT "Advanced Micro Devices, Inc."
#define GPU_VARIABLE "HIP"
#define GPU_RUNTIME_TEXT "HIP"
#define GPU_RUNTIME_OPTION "hip_runtime"
#define GPU_RUNTIME_VARIABLE "DISTORCH2_AMDHIP64"
#define GPU_PICK(cuda, hip) hip
#define GPU(name) hip##name

#define GPU_Integrated hipDeviceAttributeIntegrated
#define GPU_HostAllocPortable hipHostMallocPortable
/* Codes after which a device is of no use any more. */
#define GPU_LOST_CODES                                                                                                 \
    hipErrorDeinitialized, hipErrorNoDevice, hipErrorECCNotCorrectable, hipErrorIllegalState, hipErrorIllegalAddress,  \
        hipErrorLaunchTimeOut, hipErrorContextIsDestroyed, hipErrorAssert, hipErrorLaunchFailure

struct dt2_hip_entries {
#define DT2_HIP_MEMBER(symbol) __typeof__(&symbol) symbol;
    DT2_HIP_ENTRIES(DT2_HIP_MEMBER)
#undef DT2_HIP_MEMBER
};

struct dt2_gpu_vendor {
    struct dt2_hip_entries hip;
    int version; /* 50221153: HIP 5.2 */
};

#endif
