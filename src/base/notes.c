/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/notes.h"
#include "base/alloc.h"
#include "base/error.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int dt2_notes_add(struct dt2_notes *notes, struct dt2_error *err, const char *format, ...)
{
    char words[1024];
    va_list args;
    va_start(args, format);
    dt2_format_into(words, sizeof words, format, args);
    va_end(args);
    for (size_t i = 0; i < notes->count; i++)
        if (strcmp(notes->items[i], words) == 0)
            return 0;
    if (!DT2_GROW(notes->items, notes->count, notes->capacity))
        return dt2_fail_nomem(err);
    notes->items[notes->count] = dt2_strdup(words);
    if (!notes->items[notes->count])
        return dt2_fail_nomem(err);
    notes->count++;
    return 0;
}

void dt2_notes_clear(struct dt2_notes *notes)
{
    for (size_t i = 0; i < notes->count; i++)
        dt2_release(notes->items[i]);
    dt2_release(notes->items);
    *notes = (struct dt2_notes){ 0 };
}
