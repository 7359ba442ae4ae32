/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/alloc.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *dt2_alloc(size_t count, size_t size)
{
    return calloc(count ? count : 1, size ? size : 1);
}

void *dt2_realloc(void *memory, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count ? count : 1, size ? size : 1, &bytes))
        return NULL;
    return realloc(memory, bytes);
}

void dt2_release(void *memory)
{
    free(memory);
}

char *dt2_strndup(const char *text, size_t length)
{
    char *copy = dt2_alloc(length + 1, 1);
    if (copy && length)
        memcpy(copy, text, length);
    return copy;
}

char *dt2_strdup(const char *text)
{
    return text ? dt2_strndup(text, strlen(text)) : NULL;
}

char *dt2_printf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : dt2_alloc((size_t)length + 1, 1);
    if (!text)
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

_Bool dt2_grow(void **items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return 1;
    size_t wanted = *capacity ? *capacity * 2 : 8;
    if (wanted < *capacity)
        return 0;
    void *grown = dt2_realloc(*items, wanted, size);
    if (!grown)
        return 0;
    *items = grown;
    *capacity = wanted;
    return 1;
}
