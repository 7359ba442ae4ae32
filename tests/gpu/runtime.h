/* SPDX-License-Identifier: BSD-3-Clause */
/* What programs call of the runtime that a test is compiled for. */
#ifndef DT2_TESTS_GPU_RUNTIME_H
#define DT2_TESTS_GPU_RUNTIME_H

#ifndef GPU_IS_HIP
#define GPU_IS_HIP 0
#endif

#if GPU_IS_HIP
#include "sim/hip_headers.h"
#else
#include "sim/cuda_headers.h"
#endif

#endif
