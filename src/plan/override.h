/* SPDX-License-Identifier: BSD-3-Clause */
/* request.place: "PATTERN=DEVICE;...", blocks or single tensors that go to a device whatever the rest of a request says. */
#ifndef DT2_PLAN_OVERRIDE_H
#define DT2_PLAN_OVERRIDE_H

#include <distorch2/plan.h>

struct dt2_override {
    char *pattern; /* "*" is any text, "?" any character */
    char *device;
    size_t device_at; /* in the string, for carets */
    size_t index;     /* of the device, once somebody has looked it up */
    bool used;        /* it matched something */
};

struct dt2_overrides {
    struct dt2_override *items;
    size_t count;
    size_t capacity;
};

/* NULL and blank strings give none. Errors: DT2_EUSAGE with a caret under the offending character. */
int dt2_overrides_parse(const char *string, struct dt2_overrides *overrides, struct dt2_error *err);
void dt2_overrides_clear(struct dt2_overrides *overrides);

/* The first that matches a tensor of a block, by its name (NULL: unknown) or the block's; the count when none does. */
size_t dt2_overrides_match(const struct dt2_overrides *overrides, const char *block, const char *tensor);
/*
 * That of a whole block. Errors: DT2_EUSAGE when its tensors would go to different devices, naming two of them.
 */
int dt2_overrides_match_block(const struct dt2_overrides *overrides, const struct dt2_block *block, size_t *match,
                              struct dt2_error *err);

#endif
