/* SPDX-License-Identifier: BSD-3-Clause */
/* How much host memory there is and how much of it is free, as the kernel says. */
#ifndef DT2_MACHINE_MEMINFO_H
#define DT2_MACHINE_MEMINFO_H

#include <distorch2/common.h>

/* Either may be DT2_UNKNOWN. */
struct dt2_memory {
    uint64_t total_bytes;
    uint64_t free_bytes;
};

/* `root` stands before /proc and /sys: "" for this machine, another folder in tests. */
struct dt2_memory dt2_meminfo_host(const char *root);             /* MemTotal, MemAvailable */
struct dt2_memory dt2_meminfo_node(const char *root, int number); /* free: with what its page cache can give back */

#endif
