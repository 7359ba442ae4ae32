/* SPDX-License-Identifier: BSD-3-Clause */
/* In which order a network uses its blocks, told by their names alone. */
#ifndef DT2_PLAN_ORDER_H
#define DT2_PLAN_ORDER_H

#include "base/text.h"

/*
 * Appends a key for the block called `name` (`length` characters) to `keys`: of two blocks, the one with the smaller
 * key, byte by byte, is used first. Equal keys: the names differ only in ways that tell nothing.
 */
void dt2_order_key(struct dt2_text *keys, const char *name, size_t length);

#endif
