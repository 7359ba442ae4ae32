/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DT2_MODEL_MEASURE_H
#define DT2_MODEL_MEASURE_H

#include <distorch2/error.h>

/* Reads `size` bytes with so many threads. `fresh`: into memory that is taken for it. Errors: DT2_ENOMEM, DT2_EFAILED. */
int dt2_measure_reads(int fd, uint64_t size, unsigned readers, bool fresh, double *gbps, struct dt2_error *err);

#endif
