/* SPDX-License-Identifier: BSD-3-Clause */
/* Units of sizes, for those who parse them inside longer strings. */
#ifndef DT2_BASE_SIZE_H
#define DT2_BASE_SIZE_H

#include <distorch2/size.h>

/* The units, for messages. */
#define DT2_UNITS "b k kb kib m mb mib g gb gib t tb tib"

/* The bytes of the unit spelt by `length` letters, in any case; 0 when it is none. */
uint64_t dt2_unit_bytes(const char *unit, size_t length);

#endif
