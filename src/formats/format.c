/* SPDX-License-Identifier: BSD-3-Clause */
/* What readers share. */
#include "formats/format.h"
#include "base/alloc.h"
#include "base/error.h"
#include <string.h>

int dt2_file_reserve(struct dt2_file *file, size_t tensors, size_t pieces, struct dt2_error *err)
{
    file->entries = dt2_alloc(tensors, sizeof *file->entries);
    file->pieces = dt2_alloc(pieces, sizeof *file->pieces);
    if (!file->entries || !file->pieces)
        return dt2_fail_nomem(err);
    file->entry_count = tensors;
    file->piece_count = pieces;
    return 0;
}

int dt2_file_index_names(struct dt2_file *file, const struct dt2_name **twice, struct dt2_error *err)
{
    size_t count = file->entry_count;
    file->names = dt2_alloc(count, sizeof *file->names);
    if (!file->names)
        return dt2_fail_nomem(err);
    for (size_t i = 0; i < count; i++)
        file->names[i] = dt2_name_make(file->entries[i].tensor.name, strlen(file->entries[i].tensor.name), i);
    dt2_names_sort(file->names, count);
    *twice = dt2_names_twice(file->names, count);
    return 0;
}
