/* SPDX-License-Identifier: BSD-3-Clause */
/* The one seam through which the library takes memory from the heap. Nothing else calls malloc. */
#ifndef DT2_BASE_ALLOC_H
#define DT2_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed memory for `count` objects of `size` bytes, at least one byte; NULL without memory or when the product overflows. */
void *dt2_alloc(size_t count, size_t size);
/* Grows to `count` objects; the new part is not zeroed. On failure the old memory stands. */
void *dt2_realloc(void *memory, size_t count, size_t size);
void dt2_release(void *memory);
char *dt2_strdup(const char *text);           /* NULL gives NULL */
char *dt2_strndup(const char *text, size_t length);
char *dt2_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Cleanup attributes: the variable is released when its scope is left. */
static inline void dt2_cleanup_release(void *pointer)
{
    dt2_release(*(void **)pointer);
}
#define DT2_AUTO __attribute__((cleanup(dt2_cleanup_release)))
/* Hands over what a DT2_AUTO variable holds, so that its cleanup frees nothing. */
#define DT2_TAKE(pointer)                                                                                              \
    ({                                                                                                                 \
        __auto_type dt2_taken = (pointer);                                                                             \
        (pointer) = NULL;                                                                                              \
        dt2_taken;                                                                                                     \
    })

/*
 * Makes room for one more object in an array that grows by doubling. `items` is a pointer variable, `count` how many are
 * used, `capacity` a size_t variable. Evaluates to false without memory; the array then stands.
 */
#define DT2_GROW(items, count, capacity) dt2_grow((void **)&(items), (count), &(capacity), sizeof *(items))
_Bool dt2_grow(void **items, size_t count, size_t *capacity, size_t size);

#endif
