/* SPDX-License-Identifier: BSD-3-Clause */
/* In which order a network uses its blocks, told by their names alone. */
#ifndef DT2_PLAN_ORDER_H
#define DT2_PLAN_ORDER_H

#include "base/text.h"

enum dt2_ordering {
    DT2_ORDER_FILE,      /* as the data lie in the file */
    DT2_ORDER_NAMES,     /* as the names tell */
    DT2_ORDER_DIFFUSERS, /* as the names of a UNet ControlNet in diffusers' spelling tell */
    DT2_ORDER_PLAIN,     /* the same, where no streams meet and parts are counted in the order of their use */
    DT2_ORDER_LLLITE,    /* as names tell that spell the layers of a UNet with '_' */
    DT2_ORDER_BESIDE,    /* behind a network, what is no part of it */
};

/*
 * Appends a key for the block called `name` (`length` characters) to `keys`: of two blocks, the one with the smaller
 * key, byte by byte, is used first. Equal keys: the names differ only in ways that tell nothing. `ordering` is one by
 * names.
 */
void dt2_order_key(struct dt2_text *keys, enum dt2_ordering ordering, const char *name, size_t length);

#endif
