/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * safetensors: a 64-bit little-endian length, a header of JSON, the data. Rules, their names and their order are those
 * of the reference implementation. Stricter: DuplicateName, NulInName, RankTooLarge, and a tensor must be an object
 * (the reference takes an array of its fields too).
 */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include "formats/dtype.h"
#include "formats/format.h"
#include "formats/json/scan.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX 8 /* bytes of the length */
#define HEADER_MAX 100000000
#define RANK_MAX 64

/* One tensor as the header has it. */
struct record {
    const struct dt2_dtype *dtype; /* NULL: not said yet */
    const char *name;
    size_t shape_at; /* its dimensions, in the table of all */
    uint64_t begin, end;
    uint8_t rank;
    bool has_shape, has_offsets;
};

struct reader {
    struct dt2_file *file;
    const struct dt2_source *source;
    struct dt2_error *err;
    struct dt2_json json;
    uint64_t header_bytes;
    struct record *records;
    size_t record_count, record_capacity;
    size_t shape_count, shape_capacity;
    size_t metadata_capacity;
    bool has_metadata;
    char shown[DT2_SHOWN];
};

static int DT2_PRINTF(3, 4) refuse(struct reader *reader, const char *rule, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    dt2_failv(reader->err, DT2_EFAILED, format, args);
    va_end(args);
    return dt2_fail_prefix(reader->err, DT2_EFAILED, "%s: %s: ", reader->source->path, rule);
}

/* The rule of everything that the header's JSON or types have wrong. */
#define DESERIALIZATION "InvalidHeaderDeserialization"

/* The name of a tensor as messages show it. */
static const char *show(struct reader *reader, const char *name)
{
    return dt2_shown(name, strlen(name), reader->shown);
}

static int refuse_json(struct reader *reader, const char *where)
{
    return refuse(reader, DESERIALIZATION, "%s: %s (byte %zu of the header)", where, reader->json.problem,
                  dt2_json_offset(&reader->json));
}

static bool is(const struct dt2_json_text *text, const char *word)
{
    return text->length == strlen(word) && memcmp(text->text, word, text->length) == 0;
}

/* -- the header's text -- */

/*
 * There is no magic number, but a believable length, and text behind it (zip archives too can begin with a believable
 * length). A wrong length before a '{' is a broken safetensors file.
 */
static bool probe(const struct dt2_head *head)
{
    uint64_t header_bytes;
    if (head->file_bytes <= PREFIX)
        return true; /* nothing else is so short: the reader says what is wrong */
    memcpy(&header_bytes, head->bytes, PREFIX);
    unsigned char first = head->bytes[PREFIX];
    bool text = first >= ' ' || first == '\t' || first == '\n' || first == '\r';
    return first == '{' || header_bytes == 0 || (header_bytes <= HEADER_MAX && text);
}

static int read_header(struct reader *reader)
{
    uint64_t size = reader->source->size, n;
    if (size < PREFIX)
        return refuse(reader, "HeaderTooSmall",
                      "not a model file: it has %" PRIu64 " bytes, and the length of a header takes %d", size, PREFIX);
    int rc = dt2_source_pread(reader->source, &n, PREFIX, 0, reader->err);
    if (rc < 0)
        return rc;
    if (n > HEADER_MAX)
        return refuse(reader, "HeaderTooLarge", "a header of %" PRIu64 " bytes; at most %d are allowed", n, HEADER_MAX);
    if (n > size - PREFIX)
        return refuse(reader, "InvalidHeaderLength",
                      "a header of %" PRIu64 " bytes in a file of %" PRIu64 " bytes; the file may be cut short", n,
                      size);
    if (n == 0)
        return refuse(reader, DESERIALIZATION, "the header is empty: the file begins with a length of 0");
    char *text = dt2_alloc(n + 1, 1);
    if (!text)
        return dt2_fail_nomem(reader->err);
    reader->file->text = text;
    reader->header_bytes = n;
    rc = dt2_source_pread(reader->source, text, n, PREFIX, reader->err);
    if (rc < 0)
        return rc;
    if (!dt2_utf8_valid(text, n))
        return refuse(reader, "InvalidHeader", "the header is not valid UTF-8");
    dt2_json_begin(&reader->json, text, n);
    return 0;
}

/* -- parsing -- */

static int parse_dtype(struct reader *reader, struct record *record)
{
    struct dt2_json_text text;
    if (!dt2_json_string(&reader->json, &text))
        return 0; /* the problem sticks */
    record->dtype = dt2_dtype_find(text.text, text.length);
    if (record->dtype)
        return 0;
    char shown[DT2_SHOWN];
    refuse(reader, DESERIALIZATION, "tensor '%s': no dtype '%s'", show(reader, record->name),
           dt2_shown(text.text, text.length, shown));
    dt2_dtype_suggest(text.text, reader->err);
    return DT2_EFAILED;
}

static int parse_shape(struct reader *reader, struct record *record)
{
    struct dt2_file *file = reader->file;
    uint64_t dimension;
    record->has_shape = true;
    record->shape_at = reader->shape_count;
    dt2_json_enter(&reader->json, '[');
    while (dt2_json_element(&reader->json) && dt2_json_u64(&reader->json, &dimension)) {
        if (record->rank == RANK_MAX)
            return refuse(reader, "RankTooLarge", "tensor '%s' has more than %d dimensions", show(reader, record->name),
                          RANK_MAX);
        if (!DT2_GROW(file->shapes, reader->shape_count, reader->shape_capacity))
            return dt2_fail_nomem(reader->err);
        file->shapes[reader->shape_count++] = dimension;
        record->rank++;
    }
    return 0;
}

static void parse_offsets(struct reader *reader, struct record *record)
{
    struct dt2_json *json = &reader->json;
    record->has_offsets = true;
    dt2_json_enter(json, '[');
    for (int i = 0; i < 2; i++)
        if (!dt2_json_element(json) || !dt2_json_u64(json, i ? &record->end : &record->begin)) {
            dt2_json_fail(json, "data_offsets are two numbers");
            return;
        }
    if (dt2_json_element(json))
        dt2_json_fail(json, "data_offsets are two numbers");
}

/* One field of a tensor. Fields that we do not know are read over, as in the reference. */
static int parse_field(struct reader *reader, struct record *record, const struct dt2_json_text *key)
{
    bool dtype = is(key, "dtype"), shape = is(key, "shape"), offsets = is(key, "data_offsets");
    if ((dtype && record->dtype) || (shape && record->has_shape) || (offsets && record->has_offsets))
        return refuse(reader, DESERIALIZATION, "tensor '%s' has %s twice", show(reader, record->name), key->text);
    if (dtype)
        return parse_dtype(reader, record);
    if (shape)
        return parse_shape(reader, record);
    if (offsets)
        parse_offsets(reader, record);
    else
        dt2_json_skip(&reader->json);
    return 0;
}

static int parse_tensor(struct reader *reader, const struct dt2_json_text *name)
{
    if (memchr(name->text, '\0', name->length))
        return refuse(reader, "NulInName", "tensor '%s': a name must not hold the character NUL",
                      dt2_shown(name->text, name->length, reader->shown));
    if (!DT2_GROW(reader->records, reader->record_count, reader->record_capacity))
        return dt2_fail_nomem(reader->err);
    struct record *record = &reader->records[reader->record_count++];
    *record = (struct record){ .name = name->text };
    struct dt2_json_text key;
    dt2_json_enter(&reader->json, '{');
    while (dt2_json_member(&reader->json, &key)) {
        int rc = parse_field(reader, record, &key);
        if (rc < 0)
            return rc;
    }
    if (reader->json.problem) {
        char where[DT2_SHOWN + 16];
        snprintf(where, sizeof where, "tensor '%s'", show(reader, record->name));
        return refuse_json(reader, where);
    }
    const char *missing = !record->dtype ? "dtype" : !record->has_shape ? "shape" : "data_offsets";
    if (!record->dtype || !record->has_shape || !record->has_offsets)
        return refuse(reader, DESERIALIZATION, "tensor '%s' has no %s", show(reader, record->name), missing);
    return 0;
}

static int refuse_metadata_twice(struct reader *reader)
{
    size_t count = reader->file->metadata_count;
    DT2_AUTO struct dt2_name *keys = dt2_alloc(count, sizeof *keys);
    if (!keys)
        return dt2_fail_nomem(reader->err);
    for (size_t i = 0; i < count; i++)
        keys[i] = dt2_name_make(reader->file->metadata[i].key, strlen(reader->file->metadata[i].key), i);
    dt2_names_sort(keys, count);
    const struct dt2_name *twice = dt2_names_twice(keys, count);
    if (!twice)
        return 0;
    return refuse(reader, "DuplicateName", "__metadata__ has '%s' twice", show(reader, twice->text));
}

static int parse_metadata(struct reader *reader)
{
    struct dt2_json *json = &reader->json;
    struct dt2_file *file = reader->file;
    struct dt2_json_text key, value;
    if (reader->has_metadata)
        return refuse(reader, DESERIALIZATION, "the header has __metadata__ twice");
    reader->has_metadata = true;
    if (dt2_json_peek(json) == 'n') {
        dt2_json_skip(json); /* null: none */
        return 0;
    }
    dt2_json_enter(json, '{');
    while (dt2_json_member(json, &key) && dt2_json_string(json, &value)) {
        if (!DT2_GROW(file->metadata, file->metadata_count, reader->metadata_capacity))
            return dt2_fail_nomem(reader->err);
        file->metadata[file->metadata_count++] = (struct dt2_metadata){ dt2_json_c_string(&key),
                                                                              dt2_json_c_string(&value) };
    }
    return json->problem ? refuse_json(reader, "__metadata__, a map of strings") : refuse_metadata_twice(reader);
}

static int parse(struct reader *reader)
{
    struct dt2_json *json = &reader->json;
    struct dt2_json_text key;
    if (!DT2_GROW(reader->file->shapes, reader->shape_count, reader->shape_capacity))
        return dt2_fail_nomem(reader->err); /* there even when all tensors are scalars */
    dt2_json_enter(json, '{');
    while (dt2_json_member(json, &key)) {
        int rc = is(&key, "__metadata__") ? parse_metadata(reader) : parse_tensor(reader, &key);
        if (rc < 0)
            return rc;
    }
    return dt2_json_finish(json) ? 0 : refuse_json(reader, "the header");
}

/* -- checking -- */

/* By place, as the data lie; tensors without bytes at one place by name, so that the header's order never counts. */
static int compare_places(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

static void sort_by_place(struct reader *reader)
{
    for (size_t i = 1; i < reader->record_count; i++)
        if (compare_places(&reader->records[i - 1], &reader->records[i]) > 0) {
            qsort(reader->records, reader->record_count, sizeof *reader->records, compare_places);
            return;
        }
}

/* A name twice is refused before all other rules: programs differ in which of the two they take. */
static int check_names(struct reader *reader)
{
    struct dt2_file *file = reader->file;
    int rc = dt2_file_reserve(file, reader->record_count, reader->record_count, reader->err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < reader->record_count; i++)
        file->entries[i].tensor.name = reader->records[i].name;
    const struct dt2_name *twice;
    rc = dt2_file_index_names(file, &twice, reader->err);
    if (rc < 0 || !twice)
        return rc;
    const struct record *a = &reader->records[twice[0].index], *b = &reader->records[twice[1].index];
    return refuse(reader, "DuplicateName",
                  "tensor '%s' is there twice, with data_offsets [%" PRIu64 ", %" PRIu64 "] and [%" PRIu64 ", %" PRIu64
                  "]%s",
                  show(reader, a->name), a->begin, a->end, b->begin, b->end,
                  a->end <= b->begin ? "; who keeps one of them has a hole in the data (InvalidOffset)" : "");
}

/* The size that dtype and shape ask for must be what data_offsets say. */
static int check_size(struct reader *reader, const struct record *record)
{
    uint64_t bits = 1;
    bool overflows = false;
    for (size_t i = 0; i < record->rank; i++)
        overflows |= dt2_mul_overflows(bits, reader->file->shapes[record->shape_at + i], &bits);
    overflows |= dt2_mul_overflows(bits, record->dtype->bits, &bits);
    uint64_t bytes = record->end - record->begin;
    if (!overflows && bits % 8 == 0 && bits / 8 == bytes)
        return 0;
    const char *shown = show(reader, record->name);
    if (overflows)
        return refuse(reader, "ValidationOverflow", "tensor '%s': its shape has 2^64 bits or more", shown);
    if (bits % 8)
        return refuse(reader, "MisalignedSlice", "tensor '%s': %" PRIu64 " bits (%s) do not fill whole bytes", shown,
                      bits, record->dtype->name);
    return refuse(reader, "TensorInvalidInfo",
                  "tensor '%s': dtype %s and shape make %" PRIu64 " bytes, and data_offsets [%" PRIu64 ", %" PRIu64
                  "] hold %" PRIu64,
                  shown, record->dtype->name, bits / 8, record->begin, record->end, bytes);
}

/* Tensors must follow one another without holes, from the first byte of the data to the last of the file. */
static int check_places(struct reader *reader)
{
    uint64_t expected = 0;
    for (size_t i = 0; i < reader->record_count; i++) {
        const struct record *record = &reader->records[i];
        if (record->begin != expected || record->end < record->begin)
            return refuse(reader, "InvalidOffset",
                          "tensor '%s' has data_offsets [%" PRIu64 ", %" PRIu64 "], and must begin at %" PRIu64,
                          show(reader, record->name), record->begin, record->end, expected);
        int rc = check_size(reader, record);
        if (rc < 0)
            return rc;
        expected = record->end;
    }
    uint64_t data_bytes = reader->source->size - PREFIX - reader->header_bytes;
    if (expected == data_bytes)
        return 0;
    return refuse(reader, "MetadataIncompleteBuffer",
                  "the tensors end at %" PRIu64 ", and the file holds %" PRIu64 " bytes of data%s", expected,
                  data_bytes, expected > data_bytes ? "; the file is cut short" : "");
}

static void fill(struct reader *reader)
{
    struct dt2_file *file = reader->file;
    for (size_t i = 0; i < reader->record_count; i++) {
        const struct record *record = &reader->records[i];
        uint64_t bytes = record->end - record->begin;
        file->pieces[i] = (struct dt2_piece){ PREFIX + reader->header_bytes + record->begin, bytes, 0 };
        file->entries[i] = (struct dt2_entry){ .tensor = { .name = record->name,
                                                           .dtype = record->dtype->name,
                                                           .shape = file->shapes + record->shape_at,
                                                           .rank = record->rank,
                                                           .bytes = bytes },
                                               .first_piece = i,
                                               .piece_count = 1 };
    }
}

static int read_file(struct dt2_file *file, struct dt2_error *err)
{
    struct reader reader = { .file = file, .source = &file->sources[0], .err = err };
    int rc = read_header(&reader);
    if (rc == 0)
        rc = parse(&reader);
    if (rc == 0) {
        sort_by_place(&reader);
        rc = check_names(&reader);
    }
    if (rc == 0)
        rc = check_places(&reader);
    if (rc == 0)
        fill(&reader);
    dt2_release(reader.records);
    return rc;
}

const struct dt2_format dt2_format_safetensors = { "safetensors", probe, read_file, true };
