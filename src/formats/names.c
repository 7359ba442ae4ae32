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

/* The byte of the hash that counts at `level`, 0 the highest. */
static unsigned byte_at(const struct dt2_name *name, unsigned level)
{
    return name->hash >> (56 - 8 * level) & 0xFF;
}

/* Moves names to the part of the array that their byte at `level` asks for; part b then ends at ends[b]. */
static void distribute(struct dt2_name *names, size_t count, unsigned level, size_t ends[256])
{
    size_t next[256], counts[256] = { 0 };
    for (size_t i = 0; i < count; i++)
        counts[byte_at(&names[i], level)]++;
    for (size_t b = 0, sum = 0; b < 256; b++) {
        next[b] = sum;
        sum += counts[b];
        ends[b] = sum;
    }
    for (size_t b = 0; b < 256; b++)
        while (next[b] < ends[b]) {
            unsigned wanted = byte_at(&names[next[b]], level);
            struct dt2_name moved = names[next[b]];
            names[next[b]] = names[next[wanted]];
            names[next[wanted]++] = moved;
        }
}

/* Hashes spread evenly, so that distributing is quick; names made to collide are left to comparisons. */
static void sort(struct dt2_name *names, size_t count, unsigned level)
{
    if (count <= 32 || level == sizeof names->hash) {
        qsort(names, count, sizeof *names, compare);
        return;
    }
    size_t ends[256], begin = 0;
    distribute(names, count, level, ends);
    for (size_t b = 0; b < 256; begin = ends[b++])
        if (ends[b] - begin > 1)
            sort(names + begin, ends[b] - begin, level + 1);
}

void dt2_names_sort(struct dt2_name *names, size_t count)
{
    sort(names, count, 0);
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
