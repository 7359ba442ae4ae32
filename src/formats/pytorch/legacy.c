/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PyTorch before 1.6: five pickles one after the other (a magic number, the
 * protocol, facts about the system, the value, the keys of the storages), then
 * the storages in the order of their keys, each a number of elements and the
 * elements. Whatever the system, numbers are little-endian.
 */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "formats/names.h"
#include "formats/pytorch/pytorch.h"
#include <inttypes.h>
#include <string.h>

#define MAGIC "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
#define MAGIC_BYTES 10
#define PROTOCOL 1001
#define USTAR_AT 257 /* where the mark of a tar archive lies */
#define TAR_BYTES 512
#define TAR_SUM_AT 148

struct reader {
    struct dt2_file *file;
    const struct dt2_source *source;
    struct dt2_error *err;
    uint64_t at; /* what was read up to */
    struct dt2_pickle pickle;
    struct dt2_pickle keys;
    struct dt2_name *names; /* of the pickle's storages, sorted: one storage may
                               be named many times */
    char shown[DT2_SHOWN];
};

/*
 * A tar archive has a mark, or, before there was one, only the octal sum of its
 * first 512 bytes, the sum's own 8 taken for spaces. PyTorch looks for these
 * first: no file is to be that and a pickle.
 */
static bool is_tar(const unsigned char *bytes, size_t length)
{
    if (length >= USTAR_AT + 5 && memcmp(bytes + USTAR_AT, "ustar", 5) == 0)
        return true;
    if (length < TAR_BYTES)
        return false;
    int64_t unsigned_sum = 0, signed_sum = 0, told = 0;
    for (size_t i = 0; i < TAR_BYTES; i++) {
        bool own = i >= TAR_SUM_AT && i < TAR_SUM_AT + 8;
        unsigned_sum += own ? ' ' : bytes[i];
        signed_sum += own ? ' ' : (signed char)bytes[i];
    }
    size_t at = TAR_SUM_AT;
    while (at < TAR_SUM_AT + 7 && bytes[at] == ' ')
        at++;
    for (; at < TAR_SUM_AT + 8 && bytes[at] >= '0' && bytes[at] <= '7'; at++)
        told = told * 8 + (bytes[at] - '0');
    return told > 0 && (told == unsigned_sum || told == signed_sum);
}

/* The length of a safetensors header may begin as a pickle does; it goes on
 * with zeros, which are no opcodes, and then text. */
static bool is_length_of_text(const struct dt2_head *head)
{
    static const unsigned char zeros[4];
    return head->length > 8 && memcmp(head->bytes + 4, zeros, sizeof zeros) == 0 && head->bytes[8] >= '\t';
}

/* Any pickle: the reader says what is wrong with it. */
static bool probe(const struct dt2_head *head)
{
    bool pickle = head->length >= 2 && head->bytes[0] == 0x80 && head->bytes[1] < 16 && !is_length_of_text(head);
    return pickle || is_tar(head->bytes, head->length);
}

static int refuse_tar(struct reader *reader)
{
    unsigned char bytes[TAR_BYTES];
    size_t length = dt2_min(reader->source->size, sizeof bytes);
    int rc = dt2_source_pread(reader->source, bytes, length, 0, reader->err);
    if (rc < 0 || !is_tar(bytes, length))
        return rc;
    dt2_fail(reader->err, DT2_EFAILED, "%s: a tar archive, as the first versions of PyTorch wrote, is not read",
             reader->source->path);
    dt2_suggest(reader->err, "load it in Python with torch.load() and save it again");
    return DT2_EFAILED;
}

static int read_pickle(struct reader *reader, struct dt2_pickle *pickle)
{
    int rc = dt2_pickle_read(pickle, reader->source, reader->at, reader->source->size, "", 0, reader->err);
    reader->at = pickle->end;
    return rc;
}

static int read_preamble(struct reader *reader)
{
    struct dt2_pickle magic = { 0 }, protocol = { 0 }, system = { 0 };
    int rc = read_pickle(reader, &magic);
    if (rc == 0 && (magic.root.kind != DT2_PICKLE_LONG || magic.root.count != MAGIC_BYTES ||
                    memcmp(dt2_pickle_text(&magic, &magic.root), MAGIC, MAGIC_BYTES) != 0))
        rc = dt2_fail(reader->err, DT2_EFAILED,
                      "%s: not a model file: a pickle, but not of PyTorch: it is "
                      "%s, not PyTorch's magic number",
                      reader->source->path, dt2_pickle_kind_name(&magic.root));
    if (rc == 0)
        rc = read_pickle(reader, &protocol);
    if (rc == 0 && (protocol.root.kind != DT2_PICKLE_INT || protocol.root.integer != PROTOCOL))
        rc = dt2_fail(reader->err, DT2_EFAILED, "%s: the protocol of its file is not %d", reader->source->path,
                      PROTOCOL);
    if (rc == 0)
        rc = read_pickle(reader, &system);
    dt2_pickle_clear(&magic);
    dt2_pickle_clear(&protocol);
    dt2_pickle_clear(&system);
    return rc;
}

/* -- the storages -- */

static int DT2_PRINTF(4, 5) refuse(struct reader *reader, const char *key, size_t length, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    dt2_failv(reader->err, DT2_EFAILED, format, args);
    va_end(args);
    return dt2_fail_prefix(reader->err, DT2_EFAILED, "%s: storage '%s': ", reader->source->path,
                           dt2_shown(key, length, reader->shown));
}

static int index_storages(struct reader *reader)
{
    const struct dt2_pickle *pickle = &reader->pickle;
    reader->names = dt2_alloc(pickle->storage_count, sizeof *reader->names);
    if (!reader->names)
        return dt2_fail_nomem(reader->err);
    for (size_t i = 0; i < pickle->storage_count; i++) {
        const struct dt2_pickle_value *key = &pickle->storages[i].key;
        reader->names[i] = dt2_name_make(dt2_pickle_text(pickle, key), key->count, i);
    }
    dt2_names_sort(reader->names, pickle->storage_count);
    return 0;
}

/* PyTorch keeps parts under their own keys, beside the storages, and the first
 * meaning of a key stays. */
static int check_parts(struct reader *reader)
{
    const struct dt2_pickle *pickle = &reader->pickle;
    DT2_AUTO struct dt2_name *parts = dt2_alloc(pickle->storage_count, sizeof *parts);
    if (!parts)
        return dt2_fail_nomem(reader->err);
    size_t count = 0;
    for (size_t i = 0; i < pickle->storage_count; i++) {
        const struct dt2_pickle_value *key = &pickle->storages[i].part_key;
        if (key->kind != DT2_PICKLE_STRING)
            continue;
        parts[count++] = dt2_name_make(dt2_pickle_text(pickle, key), key->count, i);
        if (dt2_names_find(reader->names, pickle->storage_count, dt2_pickle_text(pickle, key), key->count))
            return refuse(reader, dt2_pickle_text(pickle, key), key->count, "a part of a storage has its key too");
    }
    dt2_names_sort(parts, count);
    for (size_t i = 1; i < count; i++) {
        const struct dt2_pickle_storage *a = &pickle->storages[parts[i - 1].index],
                                        *b = &pickle->storages[parts[i].index];
        bool same = a->key.count == b->key.count && a->view_offset == b->view_offset &&
                    a->view_elements == b->view_elements &&
                    memcmp(dt2_pickle_text(pickle, &a->key), dt2_pickle_text(pickle, &b->key), a->key.count) == 0;
        if (dt2_name_equal(&parts[i - 1], &parts[i]) && !same)
            return refuse(reader, parts[i].text, parts[i].length, "this part of a storage is named with two meanings");
    }
    return 0;
}

/* The storage at reader->at is all those of one name; checks them, and passes
 * over its bytes. */
static int place_storage(struct reader *reader, const struct dt2_name *name, const struct dt2_name *end)
{
    struct dt2_pickle_storage *storages = reader->pickle.storages, *first = &storages[name->index];
    uint64_t element_bytes = dt2_pytorch_element_bytes(first->type), size = reader->source->size;
    unsigned char count_bytes[8];
    if (first->file_offset > 0)
        return refuse(reader, name->text, name->length, "its key is there twice");
    if (size - reader->at < sizeof count_bytes)
        return refuse(reader, name->text, name->length, "the file ends before it");
    int rc = dt2_source_pread(reader->source, count_bytes, sizeof count_bytes, reader->at, reader->err);
    if (rc < 0)
        return rc;
    uint64_t count = 0;
    for (size_t i = sizeof count_bytes; i-- > 0;)
        count = count << 8 | count_bytes[i];
    reader->at += sizeof count_bytes;
    if (count > (size - reader->at) / element_bytes)
        return refuse(reader, name->text, name->length,
                      "%" PRIu64 " elements of %" PRIu64 " bytes at byte %" PRIu64 " pass the end of the file", count,
                      element_bytes, reader->at);
    for (const struct dt2_name *same = name; same < end && dt2_name_equal(same, name); same++) {
        struct dt2_pickle_storage *storage = &storages[same->index];
        if (storage->elements != count)
            return refuse(reader, name->text, name->length,
                          "%" PRIu64 " elements are there, and the pickle says %" PRIu64, count, storage->elements);
        if (storage->type != first->type)
            return refuse(reader, name->text, name->length, "it is both %s and %s", first->type->name,
                          storage->type->name);
        storage->file_offset = reader->at + storage->view_offset * element_bytes;
        storage->bytes = storage->view_elements * element_bytes;
    }
    reader->at += count * element_bytes;
    return 0;
}

static int place_storages(struct reader *reader)
{
    struct dt2_pickle *pickle = &reader->pickle, *keys = &reader->keys;
    if (keys->root.kind != DT2_PICKLE_LIST)
        return dt2_fail(reader->err, DT2_EFAILED, "%s: the keys of its storages are %s, not a list",
                        reader->source->path, dt2_pickle_kind_name(&keys->root));
    struct dt2_pickle_walk walk = dt2_pickle_walk(keys, &keys->root);
    for (const struct dt2_pickle_value *key; (key = dt2_pickle_next(keys, &walk));) {
        if (key->kind != DT2_PICKLE_STRING)
            return dt2_fail(reader->err, DT2_EFAILED, "%s: the key of a storage is %s, not a string",
                            reader->source->path, dt2_pickle_kind_name(key));
        const char *text = dt2_pickle_text(keys, key);
        const struct dt2_name *name = dt2_names_find(reader->names, pickle->storage_count, text, key->count);
        if (!name)
            return refuse(reader, text, key->count, "no tensor has it, so that nobody knows its size");
        int rc = place_storage(reader, name, reader->names + pickle->storage_count);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < pickle->storage_count; i++)
        if (pickle->storages[i].file_offset == 0)
            return refuse(reader, dt2_pickle_text(pickle, &pickle->storages[i].key), pickle->storages[i].key.count,
                          "it is not among those of the file");
    return 0;
}

static int read_all(struct reader *reader)
{
    int rc = refuse_tar(reader);
    if (rc == 0)
        rc = read_preamble(reader);
    if (rc == 0)
        rc = read_pickle(reader, &reader->pickle);
    if (rc == 0)
        rc = read_pickle(reader, &reader->keys);
    if (rc == 0)
        rc = index_storages(reader);
    if (rc == 0)
        rc = check_parts(reader);
    if (rc == 0)
        rc = place_storages(reader);
    if (rc == 0)
        rc = dt2_pytorch_fill(reader->file, &reader->pickle, false, reader->err);
    return rc;
}

static int read_file(struct dt2_file *file, struct dt2_error *err)
{
    struct reader reader = { .file = file, .source = &file->sources[0], .err = err };
    int rc = read_all(&reader);
    dt2_release(reader.names);
    dt2_pickle_clear(&reader.keys);
    dt2_pickle_clear(&reader.pickle);
    return rc;
}

const struct dt2_format dt2_format_pytorch_legacy = { "pytorch-legacy", probe, read_file, true };
