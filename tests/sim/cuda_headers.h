/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CUDA for the simulator and the tests: NVIDIA's headers where configure found them, and in any case ours, which are held
 * against them, with what programs call beside the driver.
 */
#ifndef DT2_TESTS_SIM_CUDA_HEADERS_H
#define DT2_TESTS_SIM_CUDA_HEADERS_H

#ifdef DT2_REAL_CUDA
#define __CUDA_API_VERSION_INTERNAL /* old and new versions of a function are declared, under their own names */
#include <cuda.h>
#include <cuda_runtime_api.h>
#endif

#include "cuda_decl.h"

typedef struct CUgraph_st *cudaGraph_t;

cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaGetDevice(int *device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceGetPCIBusId(char *text, int size, int device);
cudaError_t cudaDeviceSynchronize(void);
cudaError_t cudaDeviceReset(void);
cudaError_t cudaDeviceDisablePeerAccess(int peer);
cudaError_t cudaMallocHost(void **memory, size_t bytes);
cudaError_t cudaStreamCreate(cudaStream_t *stream);
cudaError_t cudaStreamQuery(cudaStream_t stream);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind);
cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaMemset(void *memory, int value, size_t bytes);

CUresult cuDevicePrimaryCtxReset_v2(CUdevice device);
CUresult cuCtxGetCurrent(CUcontext *context);
CUresult cuCtxSetCurrent(CUcontext context);
CUresult cuCtxGetDevice(CUdevice *device);
CUresult cuCtxDisablePeerAccess(CUcontext peer);

#endif
