/* SPDX-License-Identifier: BSD-3-Clause */
#include "formats/merge.h"
#include "base/alloc.h"
#include "base/error.h"
#include <string.h>

extern const struct dt2_format dt2_format_gguf, dt2_format_index, dt2_format_safetensors;

/* What the model of several files is called, by the format of its files. PyTorch's own two are one here. */
static const struct dt2_format pytorch_sharded = { "pytorch-sharded", NULL, NULL, false };
static const struct dt2_format gguf_split = { "gguf-split", NULL, NULL, false };

static bool is_pytorch(const struct dt2_format *format)
{
    return format != &dt2_format_gguf && format != &dt2_format_safetensors;
}

static const struct dt2_format *format_of_all(const struct dt2_format *format)
{
    return format == &dt2_format_gguf          ? &gguf_split
           : format == &dt2_format_safetensors ? &dt2_format_index
                                               : &pytorch_sharded;
}

static int check_formats(const struct dt2_file *file, struct dt2_error *err)
{
    for (size_t i = 1; i < file->part_count; i++) {
        const struct dt2_file *a = file->parts[0], *b = file->parts[i];
        if (a->format != b->format && !(is_pytorch(a->format) && is_pytorch(b->format)))
            return dt2_fail(err, DT2_EFAILED, "%s: is %s, and %s, of the same model, is %s", b->sources[0].path,
                            b->format->name, a->sources[0].path, a->format->name);
    }
    return 0;
}

/* The parts' files become the model's own, behind those that it has. */
static int take_sources(struct dt2_file *file, struct dt2_error *err)
{
    struct dt2_source *sources =
        dt2_realloc(file->sources, file->source_count + file->part_count, sizeof *sources);
    if (!sources)
        return dt2_fail_nomem(err);
    file->sources = sources;
    for (size_t i = 0; i < file->part_count; i++) {
        sources[file->source_count++] = file->parts[i]->sources[0];
        file->parts[i]->source_count = 0;
    }
    return 0;
}

/* Copies a part's tables behind what is there; the axes of its views stay the part's. */
static void add_part(struct dt2_file *file, const struct dt2_file *part, uint32_t source, size_t entries, size_t pieces)
{
    uint32_t views = (uint32_t)file->view_count;
    for (size_t i = 0; i < part->piece_count; i++) {
        struct dt2_piece *piece = &file->pieces[pieces + i];
        *piece = part->pieces[i];
        piece->file = piece->file & DT2_IN_VIEW ? piece->file + views : source;
    }
    for (size_t i = 0; i < part->view_count; i++) {
        struct dt2_view *view = &file->views[file->view_count++];
        *view = part->views[i];
        view->file = source;
    }
    for (size_t i = 0; i < part->entry_count; i++) {
        file->entries[entries + i] = part->entries[i];
        file->entries[entries + i].first_piece += pieces;
    }
}

static int add_parts(struct dt2_file *file, struct dt2_error *err)
{
    size_t entries = 0, pieces = 0, views = 0;
    for (size_t i = 0; i < file->part_count; i++) {
        entries += file->parts[i]->entry_count;
        pieces += file->parts[i]->piece_count;
        views += file->parts[i]->view_count;
    }
    int rc = dt2_file_reserve(file, entries, pieces, err);
    if (rc < 0)
        return rc;
    file->views = dt2_alloc(views, sizeof *file->views);
    if (!file->views)
        return dt2_fail_nomem(err);
    entries = pieces = 0;
    for (size_t i = 0; i < file->part_count; i++) {
        const struct dt2_file *part = file->parts[i];
        add_part(file, part, (uint32_t)(file->source_count + i), entries, pieces);
        entries += part->entry_count;
        pieces += part->piece_count;
    }
    return take_sources(file, err);
}

uint32_t dt2_file_source_of(const struct dt2_file *file, size_t entry)
{
    uint32_t source = file->pieces[file->entries[entry].first_piece].file;
    return source & DT2_IN_VIEW ? file->views[source & ~DT2_IN_VIEW].file : source;
}

const char *dt2_file_name_of(const struct dt2_file *file, size_t entry)
{
    const char *path = file->sources[dt2_file_source_of(file, entry)].path, *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

uint64_t dt2_file_header_bytes(const struct dt2_file *file)
{
    bool has_header = file->format == &dt2_format_safetensors; /* which has no bytes besides header and tensors */
    return has_header ? file->sources[0].size - file->total_bytes : 0;
}

int dt2_file_merge(struct dt2_file *file, struct dt2_error *err)
{
    const struct dt2_name *twice;
    int rc = check_formats(file, err);
    if (rc == 0)
        rc = add_parts(file, err);
    if (rc == 0)
        rc = dt2_file_index_names(file, &twice, err);
    if (rc < 0)
        return rc;
    file->format = format_of_all(file->parts[0]->format);
    if (!twice)
        return 0;
    char name[DT2_SHOWN], first[DT2_SHOWN], second[DT2_SHOWN];
    const char *a = dt2_file_name_of(file, twice[0].index), *b = dt2_file_name_of(file, twice[1].index);
    return dt2_fail(err, DT2_EFAILED, "%s: DuplicateName: tensor '%s' is in '%s' and in '%s'", file->sources[0].path,
                    dt2_shown(twice->text, twice->length, name), dt2_shown(a, strlen(a), first),
                    dt2_shown(b, strlen(b), second));
}
