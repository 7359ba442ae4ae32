/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes in words: parsed exactly, printed for people. All units are binary: 1 gb = 1 GiB = 2^30 bytes. */
#ifndef DISTORCH2_SIZE_H
#define DISTORCH2_SIZE_H

#include <distorch2/error.h>

DT2_BEGIN_DECLS

/*
 * Parses a size such as "1.5gb", "256 MiB" or "4096b" into bytes, rounded down to a whole byte by exact
 * decimal arithmetic. Units: b k kb kib m mb mib g gb gib t tb tib, in any case. A unit is required.
 * White space around number and unit is ignored, and so is the locale.
 * Errors: DT2_EUSAGE for anything else: no unit, a sign, an exponent, "1.", 2^63 bytes or more.
 */
DT2_PUBLIC int dt2_size_parse(const char *text, uint64_t *bytes, struct dt2_error *err);

/*
 * Parses a plain number of GiB as the node's `virtual_vram_gb` takes it ("4", "0.25"): 0.0 to 128.0.
 * Rounded UP to a whole byte, since it is the least that must leave the compute device.
 * Errors: DT2_EUSAGE outside the range or for anything that is no such number.
 */
DT2_PUBLIC int dt2_gib_parse(const char *text, uint64_t *bytes, struct dt2_error *err);

/*
 * Writes `bytes` for people into `out`, an array of `size` bytes (16 are always enough): three digits and a
 * unit, "0 B", "1023 B", "1.00 KiB", "689 MiB", "2.33 GiB"; "unknown" for DT2_UNKNOWN. The decimal point is
 * the locale's. Returns `out`.
 */
DT2_PUBLIC char *dt2_size_format(uint64_t bytes, char *out, size_t size);

DT2_END_DECLS
#endif
