/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/warnings.h"
#include "base/alloc.h"
#include "base/error.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int dt2_warnings_add(struct dt2_warnings *warnings, struct dt2_error *err, const char *format, ...)
{
    char words[1024];
    va_list args;
    va_start(args, format);
    dt2_format_into(words, sizeof words, format, args);
    va_end(args);
    for (size_t i = 0; i < warnings->count; i++)
        if (strcmp(warnings->items[i], words) == 0)
            return 0;
    if (!DT2_GROW(warnings->items, warnings->count, warnings->capacity))
        return dt2_fail_nomem(err);
    warnings->items[warnings->count] = dt2_strdup(words);
    if (!warnings->items[warnings->count])
        return dt2_fail_nomem(err);
    warnings->count++;
    return 0;
}

void dt2_warnings_clear(struct dt2_warnings *warnings)
{
    for (size_t i = 0; i < warnings->count; i++)
        dt2_release(warnings->items[i]);
    dt2_release(warnings->items);
    *warnings = (struct dt2_warnings){ 0 };
}
