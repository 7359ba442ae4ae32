/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PyTorch since 1.6: a zip archive of stored entries. NAME/data.pkl is the
 * pickle, NAME/data/KEY are the storages, NAME/byteorder tells the order of
 * their bytes, little or big; without it, it is little.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "formats/pytorch/pytorch.h"
#include "formats/pytorch/zip.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct reader {
    struct dt2_file *file;
    const struct dt2_source *source;
    struct dt2_error *err;
    struct dt2_zip zip;
    struct dt2_pickle pickle;
    struct dt2_text name; /* of an entry; begins with that of the archive */
    size_t archive;       /* how long that is, "/" included */
    bool big_endian;
};

static bool probe(const struct dt2_head *head)
{
    return head->length >= 4 && (memcmp(head->bytes, "PK\3\4", 4) == 0 || memcmp(head->bytes, "PK\5\6", 4) == 0);
}

static const struct dt2_zip_entry *find(struct reader *reader, const char *name, size_t length)
{
    reader->name.length = reader->archive;
    dt2_text_add(&reader->name, name, length);
    return reader->name.failed ? NULL : dt2_zip_find(&reader->zip, reader->name.data, reader->name.length);
}

/* Names that PyTorch looks for when they may be missing: it would find them in
 * any case. */
static int check_case(struct reader *reader, const char *name)
{
    reader->name.length = reader->archive;
    dt2_text_add(&reader->name, name, strlen(name));
    if (reader->name.failed)
        return dt2_fail_nomem(reader->err);
    char shown[DT2_SHOWN];
    const struct dt2_zip_entry *found = dt2_zip_find_any_case(&reader->zip, reader->name.data, reader->name.length);
    if (!found || memcmp(found->name, reader->name.data, found->name_length) == 0)
        return 0;
    return dt2_fail(reader->err, DT2_EFAILED, "%s: entry '%s' of the archive is %s but for its case",
                    reader->source->path, dt2_shown(found->name, found->name_length, shown), name);
}

/* The one entry NAME/data.pkl tells the archive's name. */
static int find_pickle(struct reader *reader, const struct dt2_zip_entry **pickle)
{
    static const char data[] = "/data.pkl";
    const struct dt2_zip_entry *found = NULL;
    for (size_t i = 0; i < reader->zip.count; i++) {
        const struct dt2_zip_entry *entry = &reader->zip.entries[i];
        const char *slash = memchr(entry->name, '/', entry->name_length);
        size_t rest = slash ? entry->name_length - (size_t)(slash - entry->name) : 0;
        if (rest != sizeof data - 1 || memcmp(slash, data, rest) != 0)
            continue;
        if (found)
            return dt2_fail(reader->err, DT2_EFAILED, "%s: a zip archive with more than one data.pkl",
                            reader->source->path);
        found = entry;
    }
    if (!found)
        return dt2_fail(reader->err, DT2_EFAILED,
                        "%s: not a model file: a zip archive, but not of PyTorch: "
                        "it has no NAME/data.pkl",
                        reader->source->path);
    reader->archive = found->name_length - sizeof data + 2;
    dt2_text_add(&reader->name, found->name, reader->archive);
    if (reader->name.failed)
        return dt2_fail_nomem(reader->err);
    const struct dt2_zip_entry *first = dt2_zip_first(&reader->zip);
    if (first->name_length < reader->archive || memcmp(first->name, found->name, reader->archive) != 0)
        return dt2_fail(reader->err, DT2_EFAILED,
                        "%s: a zip archive whose first entry is not in the folder of data.pkl", reader->source->path);
    int rc = check_case(reader, "byteorder");
    if (rc == 0)
        rc = check_case(reader, "constants.pkl");
    if (rc < 0)
        return rc;
    if (find(reader, "constants.pkl", 13))
        return dt2_fail(reader->err, DT2_EFAILED, "%s: this file would run code: it is a TorchScript program",
                        reader->source->path);
    *pickle = found;
    return 0;
}

static int read_byte_order(struct reader *reader)
{
    const struct dt2_zip_entry *entry = find(reader, "byteorder", 9);
    char order[8] = "";
    if (!entry)
        return reader->name.failed ? dt2_fail_nomem(reader->err) : 0;
    if (entry->bytes < sizeof order) {
        int rc = dt2_source_pread(reader->source, order, entry->bytes, entry->data, reader->err);
        if (rc < 0)
            return rc;
    }
    reader->big_endian = entry->bytes == 3 && memcmp(order, "big", 3) == 0;
    if (reader->big_endian || (entry->bytes == 6 && memcmp(order, "little", 6) == 0))
        return 0;
    return dt2_fail(reader->err, DT2_EFAILED, "%s: its byteorder is neither little nor big", reader->source->path);
}

static int read_pickle(struct reader *reader, const struct dt2_zip_entry *entry)
{
    char shown[DT2_SHOWN], place[DT2_SHOWN + 8];
    dt2_shown(entry->name, entry->name_length, shown);
    snprintf(place, sizeof place, " of %s", shown);
    int rc = dt2_pickle_read(&reader->pickle, reader->source, entry->data, entry->data + entry->bytes, place,
                             entry->data, reader->err);
    reader->pickle.place = "";
    return rc;
}

static int refuse_storage(struct reader *reader, const struct dt2_pickle_storage *storage, const char *what)
{
    char shown[DT2_SHOWN];
    return dt2_fail(reader->err, DT2_EFAILED, "%s: storage '%s': %s", reader->source->path,
                    dt2_shown(dt2_pickle_text(&reader->pickle, &storage->key), storage->key.count, shown), what);
}

/* PyTorch makes a storage when it is named first, and takes that one whatever
 * is said of it later. */
static int check_storages(struct reader *reader)
{
    const struct dt2_pickle *pickle = &reader->pickle;
    DT2_AUTO struct dt2_name *names = dt2_alloc(pickle->storage_count, sizeof *names);
    if (!names)
        return dt2_fail_nomem(reader->err);
    for (size_t i = 0; i < pickle->storage_count; i++) {
        const struct dt2_pickle_value *key = &pickle->storages[i].key;
        names[i] = dt2_name_make(dt2_pickle_text(pickle, key), key->count, i);
        if (pickle->storages[i].in_parts)
            return refuse_storage(reader, &pickle->storages[i], "a part of it is named, as in old files alone");
    }
    dt2_names_sort(names, pickle->storage_count);
    for (size_t i = 1; i < pickle->storage_count; i++) {
        const struct dt2_pickle_storage *a = &pickle->storages[names[i - 1].index],
                                        *b = &pickle->storages[names[i].index];
        if (dt2_name_equal(&names[i - 1], &names[i]) && (a->type != b->type || a->elements != b->elements))
            return refuse_storage(reader, b, "it is named with two types or sizes");
    }
    return 0;
}

/* Finds the entry of each storage that the pickle names. */
static int find_storages(struct reader *reader)
{
    reader->name.length = reader->archive;
    dt2_text_add(&reader->name, "data/", 5);
    reader->archive = reader->name.length;
    for (size_t i = 0; i < reader->pickle.storage_count; i++) {
        struct dt2_pickle_storage *storage = &reader->pickle.storages[i];
        const struct dt2_zip_entry *entry =
            find(reader, dt2_pickle_text(&reader->pickle, &storage->key), storage->key.count);
        if (reader->name.failed)
            return dt2_fail_nomem(reader->err);
        if (!entry)
            return refuse_storage(reader, storage, "the archive has no such entry");
        uint64_t element_bytes = dt2_pytorch_element_bytes(storage->type);
        if (storage->elements > entry->bytes / element_bytes) {
            char what[128];
            snprintf(what, sizeof what,
                     "%" PRIu64 " elements of %" PRIu64 " bytes do not fit into its %" PRIu64 " bytes",
                     storage->elements, element_bytes, entry->bytes);
            return refuse_storage(reader, storage, what);
        }
        storage->file_offset = entry->data + storage->view_offset * element_bytes;
        storage->bytes = storage->view_elements * element_bytes;
    }
    return 0;
}

static int read_all(struct reader *reader)
{
    const struct dt2_zip_entry *pickle = NULL;
    int rc = dt2_zip_read(&reader->zip, reader->source, reader->err);
    if (rc == 0)
        rc = find_pickle(reader, &pickle);
    if (rc == 0)
        rc = read_byte_order(reader);
    if (rc == 0)
        rc = read_pickle(reader, pickle);
    if (rc == 0)
        rc = check_storages(reader);
    if (rc == 0)
        rc = find_storages(reader);
    if (rc == 0)
        rc = dt2_pytorch_fill(reader->file, &reader->pickle, reader->big_endian, reader->err);
    return rc;
}

static int read_file(struct dt2_file *file, struct dt2_error *err)
{
    struct reader reader = { .file = file, .source = &file->sources[0], .err = err };
    int rc = read_all(&reader);
    dt2_pickle_clear(&reader.pickle);
    dt2_text_clear(&reader.name);
    dt2_zip_clear(&reader.zip);
    return rc;
}

const struct dt2_format dt2_format_pytorch_zip = { "pytorch-zip", probe, read_file, true };
