/* SPDX-License-Identifier: BSD-3-Clause */
#include "formats/pytorch/pytorch.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include "formats/pytorch/reader.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t dt2_pytorch_element_bytes(const struct dt2_global *type)
{
    return dt2_dtype_find(type->dtype, strlen(type->dtype))->bits / 8;
}

/* -- refusing -- */

static const char *show(struct dt2_pytorch_reader *reader, const struct dt2_pickle_value *key)
{
    return dt2_shown(dt2_pickle_text(reader->pickle, key), key->count, reader->shown);
}

int dt2_pytorch_refuse(struct dt2_pytorch_reader *reader, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    dt2_failv(reader->err, DT2_EFAILED, format, args);
    va_end(args);
    if (reader->key)
        dt2_fail_prefix(reader->err, DT2_EFAILED, "tensor '%s': ", show(reader, reader->key));
    return dt2_fail_prefix(reader->err, DT2_EFAILED, "%s: ", reader->path);
}

/* -- one tensor -- */

/* The arguments of a call that makes a tensor. */
struct arguments {
    const struct dt2_pickle_value *items;
    size_t count;
    const struct dt2_global *function;
};

/* Whether the arguments of a Parameter are (tensor, requires_grad, no hooks,
 * ...), as far as its function has them. */
static int check_parameter(struct dt2_pytorch_reader *reader, const struct arguments *arguments)
{
    enum dt2_global_kind kind = arguments->function->kind;
    size_t most = kind == DT2_GLOBAL_PARAMETER ? 2 : kind == DT2_GLOBAL_REBUILD_PARAMETER ? 3 : 4;
    size_t least = kind == DT2_GLOBAL_PARAMETER ? 1 : most;
    const struct dt2_pickle_value *items = arguments->items;
    if (arguments->count == 0 || items[0].kind != DT2_PICKLE_TENSOR)
        return dt2_pytorch_refuse(reader, "%s is called with no tensor", arguments->function->name);
    if (arguments->count < least || arguments->count > most)
        return dt2_pytorch_refuse(reader, "%s is called with %zu arguments", arguments->function->name,
                                  arguments->count);
    if ((arguments->count > 1 && items[1].kind != DT2_PICKLE_BOOL) ||
        (most > 2 && !dt2_pickle_is_no_hooks(reader->pickle, &items[2])))
        return dt2_pytorch_refuse(reader, "requires_grad or the hooks of its Parameter are "
                                          "other than true, false and none");
    return 0;
}

/* Through Parameters to the tensor in them: they are no deeper than values can
 * be. */
static int find_arguments(struct dt2_pytorch_reader *reader, const struct dt2_pickle_value *tensor,
                          struct arguments *arguments)
{
    for (;;) {
        const struct dt2_pickle_call *call = &reader->pickle->calls[tensor->at];
        *arguments = (struct arguments){ reader->pickle->items + call->args.at, call->args.count, call->function };
        bool parameter = call->function->kind == DT2_GLOBAL_PARAMETER ||
                         call->function->kind == DT2_GLOBAL_REBUILD_PARAMETER ||
                         call->function->kind == DT2_GLOBAL_REBUILD_PARAMETER_WITH_STATE;
        if (!parameter)
            return 0;
        int rc = check_parameter(reader, arguments);
        if (rc < 0)
            return rc;
        tensor = &arguments->items[0];
    }
}

/* The dtype, and whether the arguments are those that the function takes. */
static int check_arguments(struct dt2_pytorch_reader *reader, const struct arguments *arguments,
                           const struct dt2_dtype **dtype)
{
    const struct dt2_pickle_value *items = arguments->items;
    enum dt2_global_kind kind = arguments->function->kind;
    bool has_dtype = kind == DT2_GLOBAL_REBUILD_TENSOR_V3;
    size_t least = kind == DT2_GLOBAL_REBUILD_TENSOR ? 4 : has_dtype ? 7 : 6;
    size_t most = kind == DT2_GLOBAL_REBUILD_TENSOR ? 4 : least + 1;
    if (arguments->count < least || arguments->count > most)
        return dt2_pytorch_refuse(reader, "%s is called with %zu arguments", arguments->function->name,
                                  arguments->count);
    if (items[0].kind != DT2_PICKLE_STORAGE || items[1].kind != DT2_PICKLE_INT || items[2].kind != DT2_PICKLE_TUPLE ||
        items[3].kind != DT2_PICKLE_TUPLE)
        return dt2_pytorch_refuse(reader, "storage, offset, size and stride are %s, %s, %s and %s",
                                  dt2_pickle_kind_name(&items[0]), dt2_pickle_kind_name(&items[1]),
                                  dt2_pickle_kind_name(&items[2]), dt2_pickle_kind_name(&items[3]));
    if (kind != DT2_GLOBAL_REBUILD_TENSOR &&
        (items[4].kind != DT2_PICKLE_BOOL || !dt2_pickle_is_no_hooks(reader->pickle, &items[5])))
        return dt2_pytorch_refuse(reader, "requires_grad is %s, or it has hooks", dt2_pickle_kind_name(&items[4]));
    if (has_dtype && items[6].kind == DT2_PICKLE_GLOBAL && items[6].global->kind == DT2_GLOBAL_UNLOADABLE)
        return dt2_pytorch_refuse(reader, "elements of this type cannot be loaded: %s", items[6].global->name);
    if (has_dtype && (items[6].kind != DT2_PICKLE_GLOBAL || items[6].global->kind != DT2_GLOBAL_DTYPE))
        return dt2_pytorch_refuse(reader, "its dtype is %s", dt2_pickle_kind_name(&items[6]));
    const struct dt2_pickle_value *metadata = arguments->count == least + 1 ? &items[least] : NULL;
    if (metadata && metadata->kind != DT2_PICKLE_NONE && metadata->kind != DT2_PICKLE_DICT)
        return dt2_pytorch_refuse(reader, "its metadata is %s", dt2_pickle_kind_name(metadata));
    if (metadata && !dt2_pickle_is_no_hooks(reader->pickle, metadata))
        return dt2_pytorch_refuse(reader, "its elements are to be conjugated or negated, which is not done");
    const struct dt2_global *type = has_dtype ? items[6].global : reader->pickle->storages[items[0].at].type;
    *dtype = dt2_dtype_find(type->dtype, strlen(type->dtype));
    if (reader->big_endian && (*dtype)->bits > 8 && has_dtype)
        return dt2_pytorch_refuse(reader, "big-endian elements in a storage without a dtype; "
                                          "PyTorch itself does not turn them");
    return 0;
}

/* Adds the dimensions to the table of shapes; *elements: their product. */
static int add_shape(struct dt2_pytorch_reader *reader, const struct dt2_pickle_value *size,
                     struct dt2_pytorch_record *record, uint64_t *elements)
{
    if (size->count > RANK_MAX)
        return dt2_pytorch_refuse(reader, "%" PRIu32 " dimensions; %d can be read", size->count, RANK_MAX);
    record->shape_at = reader->shape_count;
    record->rank = (uint8_t)size->count;
    *elements = 1;
    bool empty = false;
    for (size_t i = 0; i < size->count; i++) {
        const struct dt2_pickle_value *item = &reader->pickle->items[size->at + i];
        if (item->kind != DT2_PICKLE_INT || item->integer < 0)
            return dt2_pytorch_refuse(reader, "dimension %zu is %s", i,
                                      item->kind == DT2_PICKLE_INT ? "negative" : dt2_pickle_kind_name(item));
        if (!DT2_GROW(reader->file->shapes, reader->shape_count, reader->shape_capacity))
            return dt2_fail_nomem(reader->err);
        reader->file->shapes[reader->shape_count++] = (uint64_t)item->integer;
        empty |= item->integer == 0;
        if (!empty && dt2_mul_overflows(*elements, (uint64_t)item->integer, elements))
            return dt2_pytorch_refuse(reader, "its shape has 2^64 elements or more");
    }
    *elements = empty ? 0 : *elements;
    return 0;
}

/*
 * Puts shape and strides into `axes`. *last: how far the last element is from
 * the first, in bytes.
 */
static int make_axes(struct dt2_pytorch_reader *reader, const struct dt2_pickle_value *stride,
                     const struct dt2_pytorch_record *record, struct dt2_axis axes[RANK_MAX], uint64_t *last)
{
    if (stride->count != record->rank)
        return dt2_pytorch_refuse(reader, "%d dimensions, and %" PRIu32 " strides", record->rank, stride->count);
    uint64_t element_bytes = record->dtype->bits / 8;
    bool overflows = false;
    *last = 0;
    for (size_t i = 0; i < stride->count; i++) {
        const struct dt2_pickle_value *item = &reader->pickle->items[stride->at + i];
        if (item->kind != DT2_PICKLE_INT || item->integer < 0)
            return dt2_pytorch_refuse(reader, "stride %zu is %s", i,
                                      item->kind == DT2_PICKLE_INT ? "negative" : dt2_pickle_kind_name(item));
        axes[i].count = reader->file->shapes[record->shape_at + i];
        if (axes[i].count < 2)
            continue; /* no step is made */
        uint64_t walk;
        overflows |= dt2_mul_overflows((uint64_t)item->integer, element_bytes, &axes[i].stride_bytes);
        overflows |= dt2_mul_overflows(axes[i].count - 1, axes[i].stride_bytes, &walk);
        overflows |= dt2_add_overflows(*last, walk, last);
    }
    return overflows ? dt2_pytorch_refuse(reader, "its strides lead 2^64 bytes or more away") : 0;
}

/* Where the elements are in the file. */
static int place(struct dt2_pytorch_reader *reader, const struct arguments *arguments, uint64_t elements, uint64_t last,
                 struct dt2_pytorch_record *record)
{
    const struct dt2_pickle_storage *storage = &reader->pickle->storages[arguments->items[0].at];
    uint64_t element_bytes = record->dtype->bits / 8, offset, end;
    int64_t first = arguments->items[1].integer;
    if (first < 0)
        return dt2_pytorch_refuse(reader, "its offset in the storage is negative");
    bool outside = dt2_mul_overflows((uint64_t)first, element_bytes, &offset) ||
                   dt2_add_overflows(offset, elements ? last : 0, &end) ||
                   dt2_add_overflows(end, elements ? element_bytes : 0, &end) || end > storage->bytes;
    if (outside)
        return dt2_pytorch_refuse(reader, "offset, shape and strides do not fit into its storage of %" PRIu64 " bytes",
                                  storage->bytes);
    if (dt2_mul_overflows(elements, element_bytes, &record->bytes))
        return dt2_pytorch_refuse(reader, "its shape has 2^64 bytes or more");
    record->offset = storage->file_offset + offset;
    return 0;
}

/* Bytes that are reversed together. */
static uint8_t swap_bytes(const struct dt2_pytorch_reader *reader, const struct dt2_dtype *dtype)
{
    if (!reader->big_endian)
        return 1;
    return (uint8_t)(strcmp(dtype->name, "C64") == 0 ? 4 : dtype->bits / 8);
}

/* Keeps the axes of a tensor that is not contiguous in the file's own order. */
static int add_axes(struct dt2_pytorch_reader *reader, struct dt2_axis *axes, struct dt2_pytorch_record *record)
{
    uint64_t element_bytes = record->dtype->bits / 8;
    size_t count = record->bytes ? dt2_axes_join(axes, record->rank, element_bytes) : 0;
    record->swap_bytes = swap_bytes(reader, record->dtype);
    bool contiguous = count == 1 && axes[0].stride_bytes == element_bytes;
    if (count == 0 || (contiguous && record->swap_bytes == 1))
        return 0;
    record->axes_at = reader->axis_count;
    record->axis_count = (uint8_t)count;
    for (size_t i = 0; i < count; i++) {
        if (!DT2_GROW(reader->file->axes, reader->axis_count, reader->axis_capacity))
            return dt2_fail_nomem(reader->err);
        reader->file->axes[reader->axis_count++] = axes[i];
    }
    return 0;
}

int dt2_pytorch_add_tensor(struct dt2_pytorch_reader *reader, const struct dt2_pickle_value *key,
                           const struct dt2_pickle_value *tensor)
{
    struct dt2_pytorch_record record = { .name_at = key->at, .name_length = key->count };
    struct arguments arguments;
    struct dt2_axis axes[RANK_MAX];
    uint64_t elements = 0, last = 0;
    reader->key = key;
    if (memchr(dt2_pickle_text(reader->pickle, key), '\0', key->count))
        return dt2_pytorch_refuse(reader, "a name must not hold the character NUL");
    if (!dt2_utf8_valid(dt2_pickle_text(reader->pickle, key), key->count))
        return dt2_pytorch_refuse(reader, "its name is not valid UTF-8");
    int rc = find_arguments(reader, tensor, &arguments);
    if (rc == 0)
        rc = check_arguments(reader, &arguments, &record.dtype);
    if (rc == 0)
        rc = add_shape(reader, &arguments.items[2], &record, &elements);
    if (rc == 0)
        rc = make_axes(reader, &arguments.items[3], &record, axes, &last);
    if (rc == 0)
        rc = place(reader, &arguments, elements, last, &record);
    if (rc == 0)
        rc = add_axes(reader, axes, &record);
    if (rc < 0)
        return rc;
    reader->key = NULL;
    if (!DT2_GROW(reader->records, reader->record_count, reader->record_capacity))
        return dt2_fail_nomem(reader->err);
    reader->records[reader->record_count++] = record;
    return 0;
}

/* -- the table -- */

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* The reader that records are sorted for: qsort() hands nothing through. */
struct sorted {
    const struct dt2_pytorch_record *record;
    const struct dt2_pytorch_reader *reader;
};

/* By place; what is read from one place in one way is neighbours, whatever its
 * shape. */
static int compare_bytes(const struct sorted *x, const struct sorted *y)
{
    const struct dt2_pytorch_record *a = x->record, *b = y->record;
    const struct dt2_axis *axes = x->reader->file->axes;
    int order = compare_numbers(a->offset, b->offset);
    order = order ? order : compare_numbers(a->bytes, b->bytes);
    order = order ? order : compare_numbers(a->axis_count, b->axis_count);
    if (order || a->axis_count == 0)
        return order;
    order = compare_numbers(a->swap_bytes, b->swap_bytes);
    order = order ? order : compare_numbers(a->dtype->bits, b->dtype->bits);
    for (size_t i = 0; order == 0 && i < a->axis_count; i++) {
        const struct dt2_axis *p = &axes[a->axes_at + i], *q = &axes[b->axes_at + i];
        order = compare_numbers(p->count, q->count);
        order = order ? order : compare_numbers(p->stride_bytes, q->stride_bytes);
    }
    return order;
}

static int compare(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    const char *text = x->reader->pickle->text.data;
    int order = compare_bytes(x, y);
    return order ? order : strcmp(text + x->record->name_at, text + y->record->name_at);
}

/* Writes the piece of a tensor, and its view when it has one. */
static void fill_piece(struct dt2_pytorch_reader *reader, const struct dt2_pytorch_record *record,
                       struct dt2_piece *piece)
{
    struct dt2_file *file = reader->file;
    *piece = (struct dt2_piece){ record->offset, record->bytes, 0 };
    if (record->axis_count == 0)
        return;
    *piece = (struct dt2_piece){ 0, record->bytes, DT2_IN_VIEW | (uint32_t)file->view_count };
    file->views[file->view_count++] = (struct dt2_view){ .offset = record->offset,
                                                         .element_bytes = (uint8_t)(record->dtype->bits / 8),
                                                         .swap_bytes = record->swap_bytes,
                                                         .axis_count = record->axis_count,
                                                         .axes = file->axes + record->axes_at };
}

/* Tensors that are the same bytes get one piece: they are one tensor of several
 * names. */
static int fill_entries(struct dt2_pytorch_reader *reader, const struct sorted *sorted)
{
    struct dt2_file *file = reader->file;
    const char *text = reader->pickle->text.data;
    size_t pieces = 0;
    for (size_t i = 0; i < reader->record_count; i++) {
        const struct dt2_pytorch_record *record = sorted[i].record;
        bool same = i > 0 && record->bytes > 0 && compare_bytes(&sorted[i - 1], &sorted[i]) == 0;
        if (!same)
            fill_piece(reader, record, &file->pieces[pieces++]);
        file->entries[i] = (struct dt2_entry){ .tensor = { .name = text + record->name_at,
                                                           .dtype = record->dtype->name,
                                                           .shape = file->shapes + record->shape_at,
                                                           .rank = record->rank,
                                                           .bytes = record->bytes },
                                               .first_piece = pieces - 1,
                                               .piece_count = 1 };
    }
    file->piece_count = pieces;
    const struct dt2_name *twice;
    int rc = dt2_file_index_names(file, &twice, reader->err);
    if (rc == 0 && twice)
        rc = dt2_pytorch_refuse(reader, "tensor '%s' is there twice",
                                dt2_shown(twice->text, twice->length, reader->shown));
    return rc;
}

static int fill(struct dt2_pytorch_reader *reader)
{
    struct dt2_file *file = reader->file;
    size_t count = reader->record_count;
    DT2_AUTO struct sorted *sorted = dt2_alloc(count, sizeof *sorted);
    file->views = dt2_alloc(count, sizeof *file->views);
    if (!sorted || !file->views)
        return dt2_fail_nomem(reader->err);
    for (size_t i = 0; i < count; i++)
        sorted[i] = (struct sorted){ &reader->records[i], reader };
    qsort(sorted, count, sizeof *sorted, compare);
    int rc = dt2_file_reserve(file, count, count, reader->err);
    return rc < 0 ? rc : fill_entries(reader, sorted);
}

static int check_sum(struct dt2_pytorch_reader *reader)
{
    const struct dt2_file *file = reader->file;
    uint64_t sum = 0, most, size = file->sources[0].size;
    bool overflows =
        dt2_mul_overflows(size, DT2_PYTORCH_REPEATS, &most) || dt2_add_overflows(most, DT2_PYTORCH_SPARE, &most);
    for (size_t i = 0; i < file->entry_count; i++)
        if (i == 0 || file->entries[i].first_piece != file->entries[i - 1].first_piece)
            overflows |= dt2_add_overflows(sum, file->entries[i].tensor.bytes, &sum);
    if (overflows || sum > most)
        return dt2_pytorch_refuse(reader, "its tensors repeat the bytes of a file of %" PRIu64 " to %" PRIu64, size,
                                  sum);
    return 0;
}

/* Names, keys and values keep the pickle's text. */
static int take_metadata(struct dt2_pytorch_reader *reader)
{
    struct dt2_file *file = reader->file;
    const char *text = reader->pickle->text.data;
    file->metadata = dt2_alloc(reader->metadata_count, sizeof *file->metadata);
    if (!file->metadata)
        return dt2_fail_nomem(reader->err);
    for (size_t i = 0; i < reader->metadata_count; i++)
        file->metadata[i] = (struct dt2_metadata){ text + reader->metadata[i].key_at, text + reader->metadata[i].value_at };
    file->metadata_count = reader->metadata_count;
    file->text = dt2_text_take(&reader->pickle->text);
    return 0;
}

int dt2_pytorch_fill(struct dt2_file *file, struct dt2_pickle *pickle, bool big_endian, struct dt2_error *err)
{
    struct dt2_pytorch_reader reader = {
        .file = file, .pickle = pickle, .path = file->sources[0].path, .err = err, .big_endian = big_endian
    };
    int rc = dt2_pytorch_read_state_dict(&reader);
    if (rc == 0)
        rc = fill(&reader);
    if (rc == 0)
        rc = check_sum(&reader);
    if (rc == 0)
        rc = take_metadata(&reader);
    dt2_release(reader.records);
    dt2_release(reader.metadata);
    return rc;
}
