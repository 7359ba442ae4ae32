/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The index of a sharded model, MODEL.safetensors.index.json or MODEL.bin.index.json: a JSON object whose `weight_map`
 * tells which file of the index's directory holds each tensor. Every file is read as what it is, safetensors or
 * PyTorch's, by all rules of that, then their tables become one. As in the reference (diffusers), a file's tensors belong to the model although the map may miss some; stricter:
 * what the map says must be so, no tensor is in two files, and names of files lead nowhere else.
 */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include "formats/format.h"
#include "formats/json/scan.h"
#include "formats/merge.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 100000000    /* bytes of the index; and of all headers together: what one file may have */
#define SHARDS_MAX 512        /* each is a file that stays open */

struct reader {
    struct dt2_file *file;
    const char *path;
    struct dt2_error *err;
    struct dt2_json json;
    struct mapping { /* of `weight_map` */
        const char *tensor, *shard;
        size_t shard_index; /* in the order of shards */
    } *mappings;
    size_t mapping_count, mapping_capacity;
    size_t metadata_capacity;
    bool has_map;
};

static int DT2_PRINTF(2, 3) refuse(struct reader *reader, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    dt2_failv(reader->err, DT2_EFAILED, format, args);
    va_end(args);
    return dt2_fail_prefix(reader->err, DT2_EFAILED, "%s: ", reader->path);
}

#define SHOW(name) dt2_shown((name), strlen(name), (char[DT2_SHOWN]){ 0 })

/* -- the index -- */

/* Text that begins with '{' from its first byte on: the length that safetensors begins with is no such text. */
static bool probe(const struct dt2_head *head)
{
    size_t at = 0;
    while (at < head->length && head->bytes[at] && strchr(" \t\r\n", head->bytes[at]))
        at++;
    return head->length > 8 && at < head->length && head->bytes[at] == '{' && !memchr(head->bytes, '\0', 8);
}

static int read_text(struct reader *reader)
{
    const struct dt2_source *source = &reader->file->sources[0];
    if (source->size > TEXT_MAX)
        return refuse(reader, "an index of %" PRIu64 " bytes; at most %d are allowed", source->size, TEXT_MAX);
    char *text = reader->file->text = dt2_alloc(source->size + 1, 1);
    if (!text)
        return dt2_fail_nomem(reader->err);
    int rc = dt2_source_pread(source, text, source->size, 0, reader->err);
    if (rc < 0)
        return rc;
    if (!dt2_utf8_valid(text, source->size))
        return refuse(reader, "the index is not valid UTF-8");
    dt2_json_begin(&reader->json, text, source->size);
    return 0;
}

static bool is(const struct dt2_json_text *text, const char *word)
{
    return text->length == strlen(word) && memcmp(text->text, word, text->length) == 0;
}

/* A name that leads to a file of the index's own directory. */
static bool stays(const struct dt2_json_text *name)
{
    return name->length > 0 && !memchr(name->text, '/', name->length) && !memchr(name->text, '\0', name->length) &&
           !is(name, ".") && !is(name, "..");
}

static int parse_map(struct reader *reader)
{
    struct dt2_json *json = &reader->json;
    struct dt2_json_text tensor, shard;
    char shown[DT2_SHOWN];
    if (reader->has_map)
        return refuse(reader, "the index has weight_map twice");
    reader->has_map = true;
    dt2_json_enter(json, '{');
    while (dt2_json_member(json, &tensor) && dt2_json_string(json, &shard)) {
        if (memchr(tensor.text, '\0', tensor.length))
            return refuse(reader, "weight_map: the name '%s' holds the character NUL",
                          dt2_shown(tensor.text, tensor.length, shown));
        if (!stays(&shard))
            return refuse(reader, "weight_map: '%s' is no file of the index's own directory",
                          dt2_shown(shard.text, shard.length, shown));
        if (!DT2_GROW(reader->mappings, reader->mapping_count, reader->mapping_capacity))
            return dt2_fail_nomem(reader->err);
        reader->mappings[reader->mapping_count++] = (struct mapping){ tensor.text, shard.text, 0 };
    }
    return 0;
}

/* The text of a number or word, NUL-terminated: moved left over what stands before it and was read. */
static bool scalar(struct dt2_json *json, const char **value)
{
    dt2_json_peek(json);
    char *begin = json->at;
    if (!dt2_json_skip(json))
        return false;
    size_t length = (size_t)(json->at - begin);
    memmove(begin - 1, begin, length);
    begin[length - 1] = '\0';
    *value = begin - 1;
    return true;
}

/* What of the metadata is text or number; the rest is read over. */
static int parse_metadata(struct reader *reader)
{
    struct dt2_json *json = &reader->json;
    struct dt2_file *file = reader->file;
    struct dt2_json_text key, string;
    if (dt2_json_peek(json) != '{') {
        dt2_json_skip(json);
        return 0;
    }
    dt2_json_enter(json, '{');
    while (dt2_json_member(json, &key)) {
        const char *value;
        char first = dt2_json_peek(json);
        if (first == '{' || first == '[') {
            dt2_json_skip(json);
            continue;
        }
        bool read = first == '"' ? dt2_json_string(json, &string) : scalar(json, &value);
        if (!read)
            break;
        if (!DT2_GROW(file->metadata, file->metadata_count, reader->metadata_capacity))
            return dt2_fail_nomem(reader->err);
        if (first == '"')
            value = dt2_json_c_string(&string);
        file->metadata[file->metadata_count++] = (struct dt2_metadata){ dt2_json_c_string(&key), value };
    }
    return 0;
}

static int parse(struct reader *reader)
{
    struct dt2_json *json = &reader->json;
    struct dt2_json_text key;
    dt2_json_enter(json, '{');
    while (dt2_json_member(json, &key)) {
        int rc = 0;
        if (is(&key, "weight_map"))
            rc = parse_map(reader);
        else if (is(&key, "metadata"))
            rc = parse_metadata(reader);
        else
            dt2_json_skip(json);
        if (rc < 0)
            return rc;
    }
    if (!dt2_json_finish(json))
        return refuse(reader, "not an index of safetensors files: %s (byte %zu)", json->problem, dt2_json_offset(json));
    if (!reader->has_map)
        return refuse(reader, "not a model file: it is JSON, and has no weight_map, which an index of files has");
    return reader->mapping_count ? 0 : refuse(reader, "weight_map names no tensor");
}

/* -- the shards -- */

static int compare_shards(const void *a, const void *b)
{
    const struct mapping *x = a, *y = b;
    return strcmp(x->shard, y->shard);
}

/* Numbers the shards by their names. */
static int number_shards(struct reader *reader, size_t *count)
{
    struct mapping *mappings = reader->mappings;
    qsort(mappings, reader->mapping_count, sizeof *mappings, compare_shards);
    for (size_t i = 1; i < reader->mapping_count; i++)
        mappings[i].shard_index =
            mappings[i - 1].shard_index + (strcmp(mappings[i - 1].shard, mappings[i].shard) != 0);
    *count = mappings[reader->mapping_count - 1].shard_index + 1;
    if (*count > SHARDS_MAX)
        return refuse(reader, "the model is in %zu files; at most %d are allowed", *count, SHARDS_MAX);
    return 0;
}

/* The path of a file beside the index; to be released. */
static char *beside(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    return dt2_printf("%.*s%s", slash ? (int)(slash - path) + 1 : 0, path, name);
}

static int open_shard(struct reader *reader, const char *name, uint64_t *header_bytes)
{
    struct dt2_file *file = reader->file;
    struct dt2_file **part = &file->parts[file->part_count];
    DT2_AUTO char *path = beside(reader->path, name);
    if (!path)
        return dt2_fail_nomem(reader->err);
    int rc = dt2_file_open_part(path, file->opener, part, reader->err);
    if (rc == DT2_ENOENT)
        return refuse(reader, "the file '%s', which the index names, is not there%s", SHOW(name),
                      dt2_link_is_dangling(path) ? ": it is a link that leads nowhere" : "");
    if (rc < 0)
        return rc;
    file->part_count++;
    *header_bytes += dt2_file_header_bytes(*part);
    if (*header_bytes > TEXT_MAX)
        return refuse(reader, "the headers of its files have more than %d bytes together", TEXT_MAX);
    return 0;
}

static int open_shards(struct reader *reader, size_t count)
{
    reader->file->parts = dt2_alloc(count, sizeof *reader->file->parts);
    if (!reader->file->parts)
        return dt2_fail_nomem(reader->err);
    uint64_t header_bytes = 0;
    int rc = 0;
    for (size_t i = 0; i < reader->mapping_count && rc == 0; i++)
        if (reader->mappings[i].shard_index == reader->file->part_count)
            rc = open_shard(reader, reader->mappings[i].shard, &header_bytes);
    return rc;
}

static int check_map(struct reader *reader)
{
    const struct dt2_file *file = reader->file;
    DT2_AUTO struct dt2_name *names = dt2_alloc(reader->mapping_count, sizeof *names);
    if (!names)
        return dt2_fail_nomem(reader->err);
    for (size_t i = 0; i < reader->mapping_count; i++) {
        const struct mapping *mapping = &reader->mappings[i];
        names[i] = dt2_name_make(mapping->tensor, strlen(mapping->tensor), i);
        const struct dt2_name *found =
            dt2_names_find(file->names, file->entry_count, mapping->tensor, names[i].length);
        if (!found)
            return refuse(reader, "tensor '%s' is not in '%s', where weight_map has it", SHOW(mapping->tensor),
                          SHOW(mapping->shard));
        if (dt2_file_source_of(file, found->index) != mapping->shard_index + 1)
            return refuse(reader, "tensor '%s' is in '%s', and weight_map has it in '%s'", SHOW(mapping->tensor),
                          SHOW(dt2_file_name_of(file, found->index)), SHOW(mapping->shard));
    }
    dt2_names_sort(names, reader->mapping_count);
    const struct dt2_name *twice = dt2_names_twice(names, reader->mapping_count);
    return twice ? refuse(reader, "DuplicateName: weight_map has tensor '%s' twice", SHOW(twice->text)) : 0;
}

static int read_all(struct reader *reader)
{
    size_t shards;
    int rc = read_text(reader);
    if (rc == 0)
        rc = parse(reader);
    if (rc == 0)
        rc = number_shards(reader, &shards);
    if (rc == 0)
        rc = open_shards(reader, shards);
    if (rc == 0)
        rc = dt2_file_merge(reader->file, reader->err);
    return rc == 0 ? check_map(reader) : rc;
}

static int read_file(struct dt2_file *file, struct dt2_error *err)
{
    struct reader reader = { .file = file, .path = file->sources[0].path, .err = err };
    int rc = read_all(&reader);
    dt2_release(reader.mappings);
    return rc;
}

const struct dt2_format dt2_format_index = { "safetensors-sharded", probe, read_file, false };
