/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers of one dtype as those of another, for who has weights in memory in another dtype than the one to compute with. */
#ifndef DISTORCH2_CAST_H
#define DISTORCH2_CAST_H

#include <distorch2/error.h>

DT2_BEGIN_DECLS

/*
 * Casts `count` elements of host memory: "F16", "BF16", "F32" or "F64" to "F16", "BF16" or "F32", bit for bit as PyTorch's
 * Tensor.to() does on a processor with AVX2: to nearest even, what is too large becomes infinite, a NaN stays one.
 * `from` and `to` need no alignment; they must not overlap. Up to `threads` threads work, this one among them, each on 4 MiB of
 * what is written at least; 0: one. Where all of it is larger than that, it is written past the caches if that is quicker:
 * what a processor's caches hold it keeps holding.
 * Errors: DT2_EUSAGE for other dtypes, and for a count whose bytes no memory has.
 */
DT2_PUBLIC int dt2_cast(const char *from_dtype, const void *from, const char *to_dtype, void *to, uint64_t count, unsigned threads,
                        struct dt2_error *err);

DT2_END_DECLS
#endif
