/* SPDX-License-Identifier: BSD-3-Clause */
/* Sentences for the user, collected on the way. */
#ifndef DT2_BASE_WARNINGS_H
#define DT2_BASE_WARNINGS_H

#include <distorch2/error.h>

struct dt2_warnings {
    char **items;
    size_t count;
    size_t capacity;
};
/* A sentence that is there already is not said again. */
int dt2_warnings_add(struct dt2_warnings *warnings, struct dt2_error *err, const char *format, ...) DT2_PRINTF(3, 4);
void dt2_warnings_clear(struct dt2_warnings *warnings);

#endif
