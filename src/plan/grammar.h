/* SPDX-License-Identifier: BSD-3-Clause */
/* The allocation string: "cuda:0,4gb;cuda:1,30%;cpu,*". Syntax alone; devices are looked up by who asked. */
#ifndef DT2_PLAN_GRAMMAR_H
#define DT2_PLAN_GRAMMAR_H

#include "base/decimal.h"
#include <distorch2/error.h>

enum dt2_amount {
    DT2_AMOUNT_WILDCARD, /* "*", or "5gb*": all that is left, expected to be no more than 5 GiB */
    DT2_AMOUNT_BYTES,
    DT2_AMOUNT_PERCENT,
    DT2_AMOUNT_FRACTION, /* of the device's total memory */
};

struct dt2_allocation {
    char *device;
    size_t device_at; /* offsets in the string, for carets */
    size_t amount_at;
    enum dt2_amount amount;
    struct dt2_decimal number; /* of percent or fraction */
    uint64_t bytes;            /* of bytes; of a wildcard, what was expected, DT2_UNKNOWN for a bare one */
};

struct dt2_allocations {
    struct dt2_allocation *items;
    size_t count;
    size_t capacity;
};

/*
 * Parses `string`; NULL and blank strings give no entries. Besides the syntax it checks what can be told without a
 * machine: one wildcard at most, percentages beside it no more than 100 in all, not only zeros where ratios are relative.
 * Errors: DT2_EUSAGE with a caret under the offending character.
 */
int dt2_allocations_parse(const char *string, struct dt2_allocations *entries, struct dt2_error *err);
void dt2_allocations_clear(struct dt2_allocations *entries);

/* Whether all entries are percentages: they are then relative to one another. False for no entries. */
bool dt2_allocations_pure_ratio(const struct dt2_allocations *entries);

#endif
