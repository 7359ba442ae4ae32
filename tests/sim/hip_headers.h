/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HIP for the simulator and the tests: AMD's header where configure found it, and in any case ours, which is held against
 * it, with what programs call beside the driver.
 */
#ifndef DT2_TESTS_SIM_HIP_HEADERS_H
#define DT2_TESTS_SIM_HIP_HEADERS_H

#ifdef DT2_REAL_HIP
#include <hip/hip_runtime_api.h>
/* Headers of one version of ROCm call deprecated what is the only name in another: ours are those that all have. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#endif

#include "hip_decl.h"

typedef struct ihipGraph *hipGraph_t;

hipError_t hipInit(unsigned flags);
hipError_t hipDriverGetVersion(int *version);
hipError_t hipDeviceSynchronize(void);
hipError_t hipDeviceReset(void);
hipError_t hipDeviceDisablePeerAccess(int peer);
hipError_t hipStreamCreate(hipStream_t *stream);
hipError_t hipStreamQuery(hipStream_t stream);
hipError_t hipStreamBeginCapture(hipStream_t stream, hipStreamCaptureMode mode);
hipError_t hipStreamEndCapture(hipStream_t stream, hipGraph_t *graph);
hipError_t hipMemcpy(void *to, const void *from, size_t bytes, hipMemcpyKind kind);
hipError_t hipMemsetAsync(void *memory, int value, size_t bytes, hipStream_t stream);
hipError_t hipMemset(void *memory, int value, size_t bytes);

#endif
