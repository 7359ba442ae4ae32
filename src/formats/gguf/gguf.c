/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GGUF, versions 2 and 3, little-endian: keys and values, a table of tensors, the data. Rules are those of ggml's own
 * reader; laxer: names may be longer than its 63 bytes, and arrays may hold arrays, as the format's description has it.
 * Elements are carried as they are, quantised ones too.
 */
#include "formats/gguf/gguf.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include <inttypes.h>
#include <string.h>

#define MAGIC "GGUF"
#define RANK_MAX 4
#define TENSOR_MIN 24 /* bytes in the table: an empty name, no dimensions, type, offset */

/* One tensor as the table has it. */
struct record {
    size_t name_at, shape_at; /* in the text, in the dimensions of all */
    const struct dt2_gguf_type *type;
    uint64_t blocks; /* of the type */
    uint64_t bytes;
    uint64_t offset; /* from where the data begin */
    uint32_t rank;
};

struct reader {
    struct dt2_file *file;
    struct dt2_gguf_cursor cursor;
    struct dt2_gguf_pairs pairs;
    struct record *records;
    size_t record_count, record_capacity;
    size_t shape_count, shape_capacity;
};

static bool probe(const struct dt2_head *head)
{
    return head->length >= sizeof MAGIC - 1 && memcmp(head->bytes, MAGIC, sizeof MAGIC - 1) == 0;
}

static int read_version(struct dt2_gguf_cursor *cursor)
{
    uint32_t version;
    int rc = dt2_gguf_skip(cursor, sizeof MAGIC - 1);
    if (rc == 0)
        rc = dt2_gguf_take(cursor, &version, sizeof version);
    if (rc < 0)
        return rc;
    if (version == 2 || version == 3)
        return 0;
    if (version && (version & 0xFFFF) == 0)
        return dt2_gguf_refuse(cursor, "the file is big-endian; little-endian ones can be read");
    return dt2_gguf_refuse(cursor, "version %" PRIu32 "; versions 2 and 3 can be read", version);
}

/* -- the table of tensors -- */

/* The dimensions, innermost first in the file and outermost first here; *elements is their product. */
static int read_shape(struct reader *reader, struct record *record, uint64_t *elements)
{
    struct dt2_gguf_cursor *cursor = &reader->cursor;
    struct dt2_file *file = reader->file;
    int rc = dt2_gguf_take(cursor, &record->rank, sizeof record->rank);
    if (rc < 0)
        return rc;
    if (record->rank > RANK_MAX)
        return dt2_gguf_refuse(cursor, "%" PRIu32 " dimensions; there may be %d", record->rank, RANK_MAX);
    uint64_t dimensions[RANK_MAX];
    rc = dt2_gguf_take(cursor, dimensions, record->rank * sizeof *dimensions);
    if (rc < 0)
        return rc;
    record->shape_at = reader->shape_count;
    *elements = 1;
    bool overflows = false;
    for (uint32_t i = 0; i < record->rank; i++) {
        if (!DT2_GROW(file->shapes, reader->shape_count, reader->shape_capacity))
            return dt2_fail_nomem(cursor->err);
        file->shapes[reader->shape_count++] = dimensions[record->rank - 1 - i];
        overflows |= dt2_mul_overflows(*elements, dimensions[i], elements);
    }
    if (overflows || *elements > INT64_MAX)
        return dt2_gguf_refuse(cursor, "its dimensions make 2^63 elements or more");
    return 0;
}

static int read_type(struct reader *reader, struct record *record, uint64_t elements)
{
    struct dt2_gguf_cursor *cursor = &reader->cursor;
    uint32_t number;
    int rc = dt2_gguf_take(cursor, &number, sizeof number);
    if (rc < 0)
        return rc;
    const struct dt2_gguf_type *type = dt2_gguf_type(number);
    if (!type)
        return dt2_gguf_refuse(cursor, "no type has the number %" PRIu32, number);
    if (type->block_elements == 0)
        return dt2_gguf_refuse(cursor, "type %s (%" PRIu32 ") was removed from GGUF; make the file anew", type->name,
                               number);
    uint64_t row = record->rank ? reader->file->shapes[record->shape_at + record->rank - 1] : 1;
    if (row % type->block_elements != 0)
        return dt2_gguf_refuse(cursor, "rows of %" PRIu64 " elements; of type %s they are a multiple of %u", row,
                               type->name, type->block_elements);
    record->type = type;
    record->blocks = elements / type->block_elements;
    if (dt2_mul_overflows(record->blocks, type->block_bytes, &record->bytes))
        return dt2_gguf_refuse(cursor, "it has 2^64 bytes or more");
    return 0;
}

static int read_tensor(struct reader *reader, uint64_t number, struct record *record)
{
    uint64_t elements = 0;
    int rc = dt2_gguf_name(&reader->cursor, "tensor", number, &record->name_at);
    if (rc == 0)
        rc = read_shape(reader, record, &elements);
    if (rc == 0)
        rc = read_type(reader, record, elements);
    return rc == 0 ? dt2_gguf_take(&reader->cursor, &record->offset, sizeof record->offset) : rc;
}

static int read_tensors(struct reader *reader, uint64_t count)
{
    struct dt2_gguf_cursor *cursor = &reader->cursor;
    cursor->item = NULL;
    if (count > dt2_gguf_left(cursor) / TENSOR_MIN)
        return dt2_gguf_refuse(cursor, "%" PRIu64 " tensors are to follow, and %" PRIu64 " bytes are left", count,
                               dt2_gguf_left(cursor));
    if (!DT2_GROW(reader->file->shapes, reader->shape_count, reader->shape_capacity))
        return dt2_fail_nomem(cursor->err); /* there even when all tensors are scalars */
    for (uint64_t i = 0; i < count; i++) {
        if (!DT2_GROW(reader->records, reader->record_count, reader->record_capacity))
            return dt2_fail_nomem(cursor->err);
        int rc = read_tensor(reader, i, &reader->records[reader->record_count]);
        if (rc < 0)
            return rc;
        reader->record_count++;
    }
    return 0;
}

static int read_table(struct reader *reader)
{
    uint64_t tensors, pairs;
    int rc = read_version(&reader->cursor);
    if (rc == 0)
        rc = dt2_gguf_take(&reader->cursor, &tensors, sizeof tensors);
    if (rc == 0)
        rc = dt2_gguf_take(&reader->cursor, &pairs, sizeof pairs);
    if (rc == 0)
        rc = dt2_gguf_read_pairs(&reader->cursor, pairs, &reader->pairs);
    return rc == 0 ? read_tensors(reader, tensors) : rc;
}

/* -- where the data are -- */

/*
 * Of a type whose blocks writers make differently, the place of what follows tells how this one does: the offset of
 * the next tensor, or the end of the file.
 */
static void settle_bytes(struct reader *reader, uint64_t data_at, size_t index)
{
    struct record *record = &reader->records[index];
    bool last = index + 1 == reader->record_count;
    uint64_t next = last ? reader->cursor.source->size - data_at : reader->records[index + 1].offset;
    uint64_t other, padded;
    if (record->type->other_block_bytes == 0 || next < record->offset ||
        dt2_mul_overflows(record->blocks, record->type->other_block_bytes, &other) ||
        dt2_round_up_overflows(other, reader->pairs.alignment, &padded))
        return;
    uint64_t room = next - record->offset;
    if (room == padded || (last && room == other))
        record->bytes = other;
}

/* Tensors follow one another as the table lists them, each padded to the alignment; the last one need not be. */
static int check_places(struct reader *reader, uint64_t *data_at)
{
    struct dt2_gguf_cursor *cursor = &reader->cursor;
    uint64_t size = cursor->source->size, alignment = reader->pairs.alignment, expected = 0;
    *data_at = cursor->at; /* within 100 MB: rounding up cannot overflow */
    dt2_round_up_overflows(*data_at, alignment, data_at);
    for (size_t i = 0; i < reader->record_count; i++) {
        struct record *record = &reader->records[i];
        uint64_t begin, end, padded;
        cursor->item_name = record->name_at;
        if (record->offset != expected)
            return dt2_gguf_refuse(cursor,
                                   "its offset is %" PRIu64 ", and the tensors before it, padded to %" PRIu64
                                   " bytes, end at %" PRIu64,
                                   record->offset, alignment, expected);
        settle_bytes(reader, *data_at, i);
        if (dt2_add_overflows(*data_at, record->offset, &begin) || dt2_add_overflows(begin, record->bytes, &end) ||
            end > size)
            return dt2_gguf_refuse(cursor,
                                   "its %" PRIu64 " bytes begin %" PRIu64 " bytes into the data, and the file ends "
                                   "at byte %" PRIu64 "; it is cut short",
                                   record->bytes, record->offset, size);
        if (dt2_round_up_overflows(record->bytes, alignment, &padded) ||
            dt2_add_overflows(expected, padded, &expected))
            return dt2_gguf_refuse(cursor, "it ends beyond 2^64 bytes");
    }
    return 0;
}

/* -- the file -- */

static int fill_tensors(struct reader *reader, uint64_t data_at)
{
    struct dt2_file *file = reader->file;
    for (size_t i = 0; i < reader->record_count; i++) {
        const struct record *record = &reader->records[i];
        file->pieces[i] = (struct dt2_piece){ data_at + record->offset, record->bytes, 0 };
        file->entries[i] = (struct dt2_entry){ .tensor = { .name = file->text + record->name_at,
                                                           .dtype = record->type->name,
                                                           .shape = file->shapes + record->shape_at,
                                                           .rank = record->rank,
                                                           .bytes = record->bytes },
                                               .first_piece = i,
                                               .piece_count = 1 };
    }
    const struct dt2_name *twice;
    int rc = dt2_file_index_names(file, &twice, reader->cursor.err);
    if (rc < 0 || !twice)
        return rc;
    char shown[DT2_SHOWN];
    return dt2_fail(reader->cursor.err, DT2_EFAILED, "%s: GGUF: tensor '%s' is there twice",
                    reader->cursor.source->path, dt2_shown(twice->text, twice->length, shown));
}

static int fill(struct reader *reader, uint64_t data_at)
{
    struct dt2_file *file = reader->file;
    struct dt2_gguf_pairs *pairs = &reader->pairs;
    int rc = dt2_file_reserve(file, reader->record_count, reader->record_count, reader->cursor.err);
    if (rc < 0)
        return rc;
    file->metadata = dt2_alloc(pairs->count, sizeof *file->metadata);
    if (!file->metadata)
        return dt2_fail_nomem(reader->cursor.err);
    file->text = dt2_text_take(&reader->cursor.text);
    for (size_t i = 0; i < pairs->count; i++)
        file->metadata[i] = (struct dt2_metadata){ file->text + pairs->items[i].key_at,
                                                   file->text + pairs->items[i].value_at };
    file->metadata_count = pairs->count;
    return fill_tensors(reader, data_at);
}

static int read_file(struct dt2_file *file, struct dt2_error *err)
{
    struct reader reader = { .file = file };
    uint64_t data_at;
    int rc = dt2_gguf_begin(&reader.cursor, &file->sources[0], err);
    if (rc == 0)
        rc = read_table(&reader);
    if (rc == 0)
        rc = check_places(&reader, &data_at);
    if (rc == 0)
        rc = fill(&reader, data_at);
    dt2_gguf_clear(&reader.cursor);
    dt2_release(reader.pairs.items);
    dt2_release(reader.records);
    return rc;
}

const struct dt2_format dt2_format_gguf = { "gguf", probe, read_file, true };
