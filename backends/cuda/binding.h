/* SPDX-License-Identifier: BSD-3-Clause */
/* What the CUDA driver works with: libcuda always, and a libcudart where the process has one or is to have one. */
#ifndef DT2_CUDA_BINDING_H
#define DT2_CUDA_BINDING_H

#include "gpu.h"

/* A call of libcuda has failed: its name and code go into *err. The numbers are those of the runtime's errors. */
int dt2_cuda_fail(const struct dt2_gpu_driver *driver, struct dt2_backend_error *err, CUresult code, const char *what);

/*
 * Fills driver->runtime with functions that do by libcuda what the runtime's do; false, and why, where libcuda lacks an
 * entry for that. It works in the primary contexts, as a runtime does, so that pointers, streams and events of one that
 * comes into the process later are the same things.
 */
bool dt2_cuda_over_libcuda(struct dt2_gpu_driver *driver, char *why, size_t size);

#endif
