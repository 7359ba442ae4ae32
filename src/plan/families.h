/* SPDX-License-Identifier: BSD-3-Clause */
/* The networks that are known: by which names each is told, and what of a file it reads. */
#ifndef DT2_PLAN_FAMILIES_H
#define DT2_PLAN_FAMILIES_H

#include "plan/order.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Families that shapes tell, not names. */
#define DT2_BY_WIDTH "by the width of the cross-attention"
#define DT2_BY_HINT "by the channels of the hint"
#define DT2_RULE_NAMES 3

/*
 * The first rule whose names are all present wins. A name that ends in '*' stands for all that begin so.
 * `hint` is the tensor that takes the hint in: its second dimension counts the hint's channels, and when that is
 * `inpaint`, a mask is among them. `types` has a row for each kind of hint that a union model takes. The weights of a
 * file with the key `differences` are to be added to those of the base model.
 */
struct dt2_rule {
    const char *present[DT2_RULE_NAMES];
    const char *absent; /* a name that tells another network, which has the same ones; NULL: there is none */
    const char *variant, *family;
    const char *under; /* what all names of the network begin with, "control_model."; NULL: nothing */
    const char *hint;
    unsigned inpaint;
    const char *types, *differences;
    bool needs_base;
    enum dt2_ordering ordering;
    /* The parts of the network, as names begin behind `under`, up to NULL: nothing else is read. NULL: all of a file is. */
    const char *const *reads;
};

extern const struct dt2_rule dt2_rules[];
extern const size_t dt2_rule_count;

#endif
