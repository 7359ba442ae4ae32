/* SPDX-License-Identifier: BSD-3-Clause */
#include "formats/names.h"
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct dt2_name dt2_name_make(const char *text, size_t length, size_t index)
{
    return (struct dt2_name){ XXH3_64bits(text, length), text, (uint32_t)length, (uint32_t)index };
}

static int compare_text(const struct dt2_name *a, const struct dt2_name *b)
{
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    return memcmp(a->text, b->text, a->length);
}

bool dt2_name_equal(const struct dt2_name *a, const struct dt2_name *b)
{
    return compare_text(a, b) == 0;
}

static int compare(const void *a, const void *b)
{
    const struct dt2_name *x = a, *y = b;
    int order = compare_text(x, y);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

void dt2_names_sort(struct dt2_name *names, size_t count)
{
    qsort(names, count, sizeof *names, compare);
}

const struct dt2_name *dt2_names_twice(const struct dt2_name *names, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (dt2_name_equal(&names[i - 1], &names[i]))
            return &names[i - 1];
    return NULL;
}

const struct dt2_name *dt2_names_find(const struct dt2_name *names, size_t count, const char *text, size_t length)
{
    struct dt2_name wanted = dt2_name_make(text, length, 0);
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_text(&names[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && dt2_name_equal(&names[low], &wanted) ? &names[low] : NULL;
}
