/* SPDX-License-Identifier: BSD-3-Clause */
/* A pickle with several dicts of tensors, such as a model, its averaged weights, and an optimizer's. */
#include "base/alloc.h"
#include "base/error.h"
#include "formats/pytorch/reader.h"
#include <distorch2/size.h>
#include <string.h>

#define DICTS_SHOWN 8

/* One of the dicts: as much of a table as it takes to see what it is. */
struct candidate {
    struct dt2_file file;
    struct dt2_pytorch_reader reader;
    uint64_t bytes;
};

static void clear(struct candidate *candidate)
{
    dt2_release(candidate->file.shapes);
    dt2_release(candidate->file.axes);
    dt2_release(candidate->file.entries);
    dt2_release(candidate->file.pieces);
    dt2_release(candidate->file.names);
    dt2_release(candidate->reader.records);
}

static int add_tensors(struct candidate *candidate, const struct dt2_pickle_value *dict)
{
    struct dt2_pytorch_reader *reader = &candidate->reader;
    struct dt2_pickle_value key, value;
    struct dt2_pickle_walk walk = dt2_pickle_walk(reader->pickle, dict);
    int rc = 0;
    while (rc == 0 && dt2_pickle_next_entry(reader->pickle, &walk, &key, &value))
        if (value.kind == DT2_PICKLE_TENSOR && key.kind == DT2_PICKLE_STRING)
            rc = dt2_pytorch_add_tensor(reader, &key, &value);
    return rc;
}

/* The table of one dict. What is wrong with its tensors is not said here: it is then nothing that is known. */
static int read_candidate(const struct dt2_pytorch_reader *reader, const struct dt2_pickle_value *dict,
                          struct candidate *candidate)
{
    *candidate = (struct candidate){ .file = { .sources = reader->file->sources, .source_count = 1 } };
    candidate->reader = (struct dt2_pytorch_reader){ .file = &candidate->file, .pickle = reader->pickle,
                                                     .path = reader->path, .big_endian = reader->big_endian };
    struct dt2_file *file = &candidate->file;
    const struct dt2_name *twice;
    int rc = add_tensors(candidate, dict);
    size_t count = candidate->reader.record_count;
    if (rc == 0)
        rc = dt2_file_reserve(file, count, 1, NULL);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct dt2_pytorch_record *record = &candidate->reader.records[i];
        file->entries[i].tensor = (struct dt2_tensor){ .name = reader->pickle->text.data + record->name_at,
                                                       .dtype = record->dtype->name, .rank = record->rank,
                                                       .shape = file->shapes + record->shape_at };
        candidate->bytes += record->bytes;
    }
    return rc == 0 ? dt2_file_index_names(file, &twice, NULL) : rc;
}

/* Puts "ema (340 tensors, 1.35 GiB)" behind what is listed already. */
static void list_dict(struct dt2_text *list, const char *key, size_t length, const struct candidate *candidate)
{
    char shown[DT2_SHOWN], size[48];
    size_t count = candidate->reader.record_count;
    dt2_text_addf(list, "%s%s (%zu tensor%s, %s)", list->length ? ", " : "", dt2_shown(key, length, shown), count,
                  count == 1 ? "" : "s", dt2_size_format(candidate->bytes, size, sizeof size));
}

/* Looks at each dict that has tensors: *known of them are networks, of which *chosen is the last. */
static int look_at_all(const struct dt2_pytorch_reader *reader, const struct dt2_pickle_value *dict,
                       struct dt2_text *list, size_t *known, struct dt2_pickle_value *chosen)
{
    const struct dt2_pickle *pickle = reader->pickle;
    struct dt2_pickle_value key, value;
    struct dt2_pickle_walk walk = dt2_pickle_walk(pickle, dict);
    size_t listed = 0;
    while (dt2_pickle_next_entry(pickle, &walk, &key, &value)) {
        if (value.kind != DT2_PICKLE_DICT || !pickle->containers[value.at].has_tensors)
            continue;
        struct candidate candidate;
        int rc = read_candidate(reader, &value, &candidate);
        bool network = rc == 0 && dt2_file_is_network(&candidate.file);
        if (key.kind == DT2_PICKLE_STRING && listed++ < DICTS_SHOWN)
            list_dict(list, dt2_pickle_text(pickle, &key), key.count, &candidate);
        clear(&candidate);
        if (rc == DT2_ENOMEM)
            return rc;
        *known += network;
        *chosen = network ? value : *chosen;
    }
    if (listed > DICTS_SHOWN)
        dt2_text_addf(list, " and %zu more", listed - DICTS_SHOWN);
    return list->failed ? DT2_ENOMEM : 0;
}

int dt2_pytorch_choose_dict(struct dt2_pytorch_reader *reader, const struct dt2_pickle_value *dict,
                            struct dt2_pickle_value *chosen)
{
    struct dt2_text list = { 0 };
    size_t known = 0;
    int rc = look_at_all(reader, dict, &list, &known, chosen);
    DT2_AUTO char *words = dt2_text_take(&list);
    if (rc < 0 || !words)
        return dt2_fail_nomem(reader->err);
    if (known == 1)
        return 0;
    dt2_pytorch_refuse(reader, "it has several dicts of tensors, of which %s is a network that is known: %s",
                       known ? "more than one" : "none", words);
    dt2_suggest(reader->err, "name the one that is meant: --key NAME, or the key of struct dt2_file_options");
    return DT2_EFAILED;
}

int dt2_pytorch_suggest_dicts(struct dt2_pytorch_reader *reader, const struct dt2_pickle_value *dict)
{
    struct dt2_text list = { 0 };
    struct dt2_pickle_value chosen;
    size_t known = 0;
    if (dict->kind == DT2_PICKLE_DICT)
        look_at_all(reader, dict, &list, &known, &chosen);
    DT2_AUTO char *words = dt2_text_take(&list);
    if (words && *words)
        dt2_suggest(reader->err, "those that it has: %s", words);
    return DT2_EFAILED;
}
