/* SPDX-License-Identifier: BSD-3-Clause */
/* Free memory of AMD's devices, without touching them. */
#ifndef DT2_HIP_SYSFS_H
#define DT2_HIP_SYSFS_H

#include <stdint.h>

/*
 * Free bytes of the memory that a device has of its own, by what amdgpu says below `root` ("/sys") of its PCI address.
 * DT2_UNKNOWN when it says nothing that makes sense, and when it speaks of another memory than the `total_bytes` of the
 * runtime's: an APU has a carve-out of half a gigabyte, or of none at all, and computes in the host's memory.
 */
uint64_t dt2_sysfs_free_bytes(const char *root, const char *pci, uint64_t total_bytes);

#endif
