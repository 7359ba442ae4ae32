/* SPDX-License-Identifier: BSD-3-Clause */
/* Clocks, in nanoseconds. */
#ifndef DT2_BASE_CLOCK_H
#define DT2_BASE_CLOCK_H

#include <stdint.h>

/* Now, on a clock that only goes on (CLOCK_MONOTONIC). */
uint64_t dt2_now_ns(void);
/* How long the calling thread has worked: waiting for others does not count. */
uint64_t dt2_thread_ns(void);

#endif
