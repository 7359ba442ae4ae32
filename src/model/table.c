/* SPDX-License-Identifier: BSD-3-Clause */
/* A table of tensors that outlives its file. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include "formats/names.h"
#include "model/model.h"
#include <string.h>

/* Copies a string to the end of `text` and moves the end. */
static const char *keep(char **end, const char *string)
{
    size_t size = strlen(string) + 1;
    const char *kept = memcpy(*end, string, size);
    *end += size;
    return kept;
}

int dt2_table_copy(const struct dt2_file *file, struct dt2_table *table, struct dt2_error *err)
{
    size_t count = dt2_file_tensor_count(file), dimensions = 0, characters = 0;
    for (size_t i = 0; i < count; i++) {
        const struct dt2_tensor *tensor = dt2_file_tensor(file, i);
        dimensions += tensor->rank;
        characters += strlen(tensor->name) + strlen(tensor->file) + strlen(tensor->dtype) + 3;
    }
    *table = (struct dt2_table){ .tensors = dt2_alloc(count, sizeof *table->tensors),
                                 .count = count,
                                 .shapes = dt2_alloc(dimensions, sizeof *table->shapes),
                                 .text = dt2_alloc(characters, 1),
                                 .names = dt2_alloc(count, sizeof *table->names),
                                 .homes = dt2_alloc(count, sizeof *table->homes) };
    if (!table->tensors || !table->shapes || !table->text || !table->names || !table->homes) {
        dt2_table_clear(table);
        return dt2_fail_nomem(err);
    }
    uint64_t *shape = table->shapes;
    char *end = table->text;
    for (size_t i = 0; i < count; i++) {
        struct dt2_tensor *copy = &table->tensors[i];
        *copy = *dt2_file_tensor(file, i);
        if (copy->rank)
            memcpy(shape, copy->shape, copy->rank * sizeof *shape);
        copy->shape = shape;
        shape += copy->rank;
        copy->name = keep(&end, copy->name);
        copy->file = keep(&end, copy->file);
        copy->dtype = keep(&end, copy->dtype);
        table->homes[i].tensor = dt2_file_home(file, i, &table->homes[i].offset);
        table->names[i] = dt2_name_make(copy->name, strlen(copy->name), i);
    }
    dt2_names_sort(table->names, count);
    return 0;
}

void dt2_table_clear(struct dt2_table *table)
{
    dt2_release(table->tensors);
    dt2_release(table->shapes);
    dt2_release(table->text);
    dt2_release(table->names);
    dt2_release(table->homes);
    *table = (struct dt2_table){ 0 };
}

int dt2_table_find(const struct dt2_table *table, const char *name, size_t *index, struct dt2_error *err)
{
    const struct dt2_name *found = dt2_names_find(table->names, table->count, name, strlen(name));
    if (found) {
        *index = found->index;
        return 0;
    }
    struct dt2_nearest nearest = { .wanted = name };
    for (size_t i = 0; i < table->count; i++)
        dt2_nearest_offer(&nearest, table->tensors[i].name);
    dt2_fail(err, DT2_ENOENT, "no tensor is called %s", name);
    dt2_nearest_suggest(&nearest, err);
    return DT2_ENOENT;
}
