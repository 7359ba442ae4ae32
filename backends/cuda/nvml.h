/* SPDX-License-Identifier: BSD-3-Clause */
/* Free memory of NVIDIA's devices, without a context. */
#ifndef DT2_CUDA_NVML_H
#define DT2_CUDA_NVML_H

#include <stdbool.h>

#include "nvml_decl.h"

void dt2_nvml_init(struct dt2_nvml *nvml);
void dt2_nvml_close(struct dt2_nvml *nvml); /* also after a failure */

/*
 * Looks a device up by its UUID, as a GPU and as a MIG slice; else by its PCI address, which the caller gives only
 * where one device has it ("" else). False, with the reason, when there is no NVML or it does not tell.
 */
bool dt2_nvml_free_bytes(struct dt2_nvml *nvml, const char *uuid, const char *pci, uint64_t *free_bytes, char *why,
                         size_t size);

#endif
