/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DT2_MODEL_MEASURE_H
#define DT2_MODEL_MEASURE_H

#include <distorch2/error.h>

/* Where bytes are read to. */
enum dt2_reading_into {
    DT2_INTO_TOUCHED,   /* memory that is used again and again */
    DT2_INTO_FRESH,     /* memory that is taken for it, which the kernel makes when it is written */
    DT2_INTO_POPULATED, /* ... when it is asked to, piece by piece, as loads do */
};

/* Reads `size` bytes with so many threads. Errors: DT2_ENOMEM, DT2_EFAILED. */
int dt2_measure_reads(int fd, uint64_t size, unsigned readers, enum dt2_reading_into into, double *gbps, struct dt2_error *err);

#endif
