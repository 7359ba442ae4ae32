/* SPDX-License-Identifier: BSD-3-Clause */
/* Free memory of AMD's devices, without touching them. */
#ifndef DT2_HIP_SYSFS_H
#define DT2_HIP_SYSFS_H

#include <stdint.h>

/*
 * What amdgpu says below `root` ("/sys") of the device at a PCI address; DT2_UNKNOWN when it says nothing that
 * makes sense.
 */
uint64_t dt2_sysfs_free_bytes(const char *root, const char *pci);

#endif
