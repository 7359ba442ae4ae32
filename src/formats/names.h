/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names put in an order in which equal ones are neighbours and any one is found quickly: by hash, then by their bytes.
 * The order means nothing else. Whoever chooses the names, colliding hashes on purpose too, sorting stays n log n.
 */
#ifndef DT2_FORMATS_NAMES_H
#define DT2_FORMATS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dt2_name {
    uint64_t hash;
    const char *text; /* not ours; need not end with NUL */
    uint32_t length;
    uint32_t index; /* whose name it is; equal names stand by index */
};

struct dt2_name dt2_name_make(const char *text, size_t length, size_t index);
bool dt2_name_equal(const struct dt2_name *a, const struct dt2_name *b);
void dt2_names_sort(struct dt2_name *names, size_t count);
/* The first of the sorted names whose neighbour equals it; NULL when all differ. */
const struct dt2_name *dt2_names_twice(const struct dt2_name *names, size_t count);
/* The first of the sorted names that equals `text`; NULL when there is none. */
const struct dt2_name *dt2_names_find(const struct dt2_name *names, size_t count, const char *text, size_t length);

#endif
