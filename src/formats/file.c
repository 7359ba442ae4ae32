/* SPDX-License-Identifier: BSD-3-Clause */
/* Tier 1: opening a model, telling its format by its content, and answering for the table that the reader made. */
#include "formats/file.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/sized.h"
#include "base/text.h"
#include "formats/folder.h"
#include "formats/format.h"
#include "formats/merge.h"
#include "formats/parts.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY /* a state on the stack: hashing then needs no memory */
#include <xxhash.h>

/* Every format, in the order in which the content is tried: safetensors, which has no magic number, comes last. */
#define FORMATS(FORMAT)                \
    FORMAT(dt2_format_gguf)            \
    FORMAT(dt2_format_index)           \
    FORMAT(dt2_format_pytorch_zip)     \
    FORMAT(dt2_format_pytorch_legacy)  \
    FORMAT(dt2_format_safetensors)

#define DECLARE(format) extern const struct dt2_format format;
#define ADDRESS(format) &format,
FORMATS(DECLARE)
static const struct dt2_format *const formats[] = { FORMATS(ADDRESS) };

/* -- opening -- */

#define SHOWN_BYTES 16

static int fail_unknown(const struct dt2_source *source, const struct dt2_head *head, struct dt2_error *err)
{
    const char *advice = "", *what = dt2_head_mistaken(head, &advice);
    if (what) {
        dt2_fail(err, DT2_EFAILED, "%s: not a model file: %s", source->path, what);
        dt2_suggest(err, "%s", advice);
        return DT2_EFAILED;
    }
    char hex[3 * SHOWN_BYTES + 1] = "", text[SHOWN_BYTES + 1] = "";
    for (size_t i = 0; i < dt2_min(head->length, SHOWN_BYTES); i++) {
        unsigned char c = head->bytes[i];
        snprintf(hex + 3 * i, 4, " %02x", c);
        text[i] = c >= ' ' && c < 0x7F ? (char)c : '.';
    }
    dt2_fail(err, DT2_EFAILED, "%s: not a model file: its %" PRIu64 " bytes begin with%s \"%s\"", source->path,
             source->size, hex, text);
    struct dt2_text known = { 0 };
    for (size_t i = 0; i < DT2_COUNT(formats); i++)
        dt2_text_addf(&known, "%s%s", i ? ", " : "", formats[i]->name);
    DT2_AUTO char *list = dt2_text_take(&known);
    if (list)
        dt2_suggest(err, "formats that can be read: %s", list);
    return DT2_EFAILED;
}

static int recognise(struct dt2_file *file, struct dt2_error *err)
{
    const struct dt2_source *source = &file->sources[0];
    struct dt2_head head = { .file_bytes = source->size };
    head.length = dt2_min(source->size, sizeof head.bytes);
    int rc = dt2_source_pread(source, head.bytes, head.length, 0, err);
    if (rc < 0)
        return rc;
    const char *advice;
    bool model = !dt2_head_mistaken(&head, &advice);
    for (size_t i = 0; model && i < DT2_COUNT(formats) && !file->format; i++)
        if (formats[i]->probe(&head))
            file->format = formats[i];
    return file->format ? 0 : fail_unknown(source, &head, err);
}

static void hash_view(XXH3_state_t *state, const struct dt2_view *view)
{
    uint64_t sizes[] = { view->file, view->offset, view->element_bytes, view->swap_bytes, view->axis_count };
    XXH3_128bits_update(state, sizes, sizeof sizes);
    XXH3_128bits_update(state, view->axes, view->axis_count * sizeof *view->axes);
}

/* A tensor's part of the fingerprint. Lengths go first, so that no two tables are the same bytes by concatenation. */
static void hash_entry(XXH3_state_t *state, const struct dt2_file *file, const struct dt2_entry *entry)
{
    const struct dt2_tensor *tensor = &entry->tensor;
    uint64_t sizes[] = { strlen(tensor->name), strlen(tensor->dtype), tensor->rank, entry->piece_count, tensor->bytes };
    XXH3_128bits_update(state, sizes, sizeof sizes);
    XXH3_128bits_update(state, tensor->name, sizes[0]);
    XXH3_128bits_update(state, tensor->dtype, sizes[1]);
    XXH3_128bits_update(state, tensor->shape, tensor->rank * sizeof *tensor->shape);
    for (size_t i = 0; i < entry->piece_count; i++) {
        const struct dt2_piece *piece = &file->pieces[entry->first_piece + i];
        uint64_t place[] = { piece->file, piece->offset, piece->bytes };
        XXH3_128bits_update(state, place, sizeof place);
        if (piece->file & DT2_IN_VIEW)
            hash_view(state, &file->views[piece->file & ~DT2_IN_VIEW]);
    }
    uint64_t home[] = { entry->home, entry->home_offset };
    if (file->base)
        XXH3_128bits_update(state, home, sizeof home);
}

/* Sets what a tensor's pieces say of it. In what stands on another file, gangs and their members have their homes already. */
static void place_entry(struct dt2_file *file, size_t index)
{
    struct dt2_entry *entry = &file->entries[index];
    uint32_t source;
    dt2_file_where(file, &file->pieces[entry->first_piece], &source, &entry->tensor.offset);
    entry->tensor.file = file->sources[source].path;
    bool same = index > 0 && entry[-1].first_piece == entry->first_piece;
    if (!file->base) {
        entry->home = same ? entry[-1].home : index;
        entry->leader = index;
    }
}

/* What has no elements may have any dimensions beside the 0; those of 2^63 and more no array library can have. */
static int check_dimensions(const struct dt2_file *file, const struct dt2_tensor *tensor, struct dt2_error *err)
{
    char shown[DT2_SHOWN];
    for (size_t i = 0; i < tensor->rank; i++)
        if (tensor->shape[i] > INT64_MAX)
            return dt2_fail(err, DT2_EFAILED,
                            "%s: ValidationOverflow: tensor '%s': dimension %zu is %" PRIu64 "; it must be below 2^63",
                            dt2_file_path(file), dt2_show(tensor->name, shown, sizeof shown), i, tensor->shape[i]);
    return 0;
}

int dt2_file_finish(struct dt2_file *file, struct dt2_error *err)
{
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_128bits_reset(&state);
    if (file->base)
        XXH3_128bits_update(&state, file->base->fingerprint, sizeof file->base->fingerprint);
    for (size_t i = 0; i < file->entry_count; i++) {
        int rc = check_dimensions(file, &file->entries[i].tensor, err);
        if (rc < 0)
            return rc;
        place_entry(file, i);
        hash_entry(&state, file, &file->entries[i]);
        if (dt2_add_overflows(file->total_bytes, dt2_file_own_bytes(file, i), &file->total_bytes))
            return dt2_fail(err, DT2_EFAILED, "%s: its tensors have more than 2^64 bytes", file->sources[0].path);
    }
    XXH128_hash_t hash = XXH3_128bits_digest(&state);
    snprintf(file->fingerprint, sizeof file->fingerprint, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64,
             (uint64_t)hash.low64);
    return 0;
}

static int open_first(struct dt2_file *file, const char *path, struct dt2_error *err)
{
    file->sources = dt2_alloc(1, sizeof *file->sources);
    if (!file->sources)
        return dt2_fail_nomem(err);
    int rc = dt2_source_open(&file->sources[0], path, file->opener, err);
    file->source_count = rc == 0;
    return rc;
}

/* Before a file is read: an index that names itself would be read for ever. */
static int check_part(const struct dt2_file *file, struct dt2_error *err)
{
    if (file->format->in_parts)
        return 0;
    return dt2_fail(err, DT2_EFAILED, "%s: is no part of a model: its format is %s", file->sources[0].path,
                    file->format->name);
}

static int check_key(const struct dt2_file *file, struct dt2_error *err)
{
    char shown[DT2_SHOWN];
    if (!file->key || strncmp(file->format->name, "pytorch", 7) == 0)
        return 0;
    return dt2_fail(err, DT2_EUSAGE, "%s: its format is %s, which has no dicts of which one could be '%s'",
                    file->sources[0].path, file->format->name, dt2_show(file->key, shown, sizeof shown));
}

/* `part`: the file must be one that can be a model's part. `key` and `opener`: see struct dt2_file. */
static int open_file(const char *path, const struct dt2_format *format, bool part, const char *key,
                     const struct dt2_opener *opener, struct dt2_file **out, struct dt2_error *err)
{
    struct dt2_file *file = dt2_alloc(1, sizeof *file);
    if (!file)
        return dt2_fail_nomem(err);
    atomic_init(&file->references, 1);
    file->format = format;
    file->key = key;
    file->opener = opener;
    int rc = open_first(file, path, err);
    if (rc == 0 && !format)
        rc = recognise(file, err);
    if (rc == 0 && part)
        rc = check_part(file, err);
    if (rc == 0)
        rc = check_key(file, err);
    if (rc == 0)
        rc = file->format->read(file, err);
    file->key = NULL; /* which are the caller's */
    file->opener = NULL;
    if (rc == 0)
        rc = dt2_file_finish(file, err);
    if (rc < 0)
        dt2_file_free(file);
    else
        *out = file;
    return rc;
}

int dt2_file_open_as(const char *path, const struct dt2_format *format, const struct dt2_opener *opener, struct dt2_file **out,
                     struct dt2_error *err)
{
    return open_file(path, format, false, NULL, opener, out, err);
}

int dt2_file_open_part(const char *path, const struct dt2_opener *opener, struct dt2_file **out, struct dt2_error *err)
{
    return open_file(path, NULL, true, NULL, opener, out, err);
}

static int read_parts(struct dt2_file *file, char *const *paths, size_t count, const struct dt2_opener *opener,
                      struct dt2_error *err)
{
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = dt2_file_open_part(paths[i], opener, &file->parts[i], err);
        file->part_count += rc == 0;
        if (rc == 0)
            rc = dt2_whole_check_part(file->parts[i], i, count, err);
    }
    if (rc == 0)
        rc = dt2_file_merge(file, err);
    return rc == 0 ? dt2_file_finish(file, err) : rc;
}

int dt2_file_open_parts(char *const *paths, size_t count, const struct dt2_opener *opener, struct dt2_file **out,
                        struct dt2_error *err)
{
    struct dt2_file *file = dt2_alloc(1, sizeof *file);
    if (file) {
        atomic_init(&file->references, 1);
        file->parts = dt2_alloc(count, sizeof *file->parts);
    }
    int rc = file && file->parts ? read_parts(file, paths, count, opener, err) : dt2_fail_nomem(err);
    if (rc < 0)
        dt2_file_free(file);
    else
        *out = file;
    return rc;
}

/* The path is one of a model's files: says so, and remains the model's path. */
static int keep_given(struct dt2_file *file, const char *path, struct dt2_error *err)
{
    const char *slash = strrchr(path, '/');
    char shown[DT2_SHOWN];
    file->given = dt2_strdup(path);
    file->note = dt2_printf("%s is one of a model's %zu files: all of them are read",
                            dt2_show(slash ? slash + 1 : path, shown, sizeof shown), file->part_count);
    return file->given && file->note ? 0 : dt2_fail_nomem(err);
}

static int open_whole(const struct dt2_whole *whole, const char *path, const struct dt2_opener *opener, struct dt2_file **out,
                      struct dt2_error *err)
{
    struct dt2_file *file;
    int rc = whole->index ? dt2_file_open_as(whole->index, NULL, opener, &file, err)
                          : dt2_file_open_parts(whole->paths, whole->count, opener, &file, err);
    if (rc < 0) {
        char shown[DT2_SHOWN];
        if (err && !err->suggestion[0])
            dt2_suggest(err, "%s is one of that model's files, which is loaded whole", dt2_show(path, shown, sizeof shown));
        return rc == DT2_ENOENT ? DT2_EFAILED : rc;
    }
    rc = file->part_count > 1 ? keep_given(file, path, err) : 0;
    if (rc < 0)
        dt2_file_free(file);
    else
        *out = file;
    return rc;
}

/* The model at a path: the file itself, or the whole that it is a part of. */
static int open_model(const char *path, const char *key, const struct dt2_opener *opener, struct dt2_file **out,
                      struct dt2_error *err)
{
    struct dt2_whole whole = { 0 };
    struct dt2_file *file = NULL;
    int rc = dt2_part_check_name(path, err);
    if (rc == 0)
        rc = dt2_whole_find(path, &whole, err);
    if (rc == 0)
        rc = !key && (whole.index || whole.paths) ? open_whole(&whole, path, opener, &file, err)
                                                  : open_file(path, NULL, false, key, opener, &file, err);
    dt2_whole_clear(&whole);
    if (rc == 0)
        rc = dt2_whole_check(file, err);
    if (rc < 0)
        dt2_file_free(file);
    else
        *out = file;
    return rc;
}

static int open_folder(const char *folder, const char *key, const struct dt2_opener *opener, struct dt2_file **out,
                       struct dt2_error *err)
{
    DT2_AUTO char *path = NULL, *kept = dt2_strdup(folder);
    if (!kept)
        return dt2_fail_nomem(err);
    int rc = dt2_folder_model(folder, &path, err);
    if (rc == 0)
        rc = open_model(path, key, opener, out, err);
    if (rc == DT2_ENOENT)
        return dt2_fail(err, DT2_EFAILED, "%s: is a link that leads nowhere", path);
    if (rc < 0)
        return rc;
    dt2_release((*out)->given);
    (*out)->given = DT2_TAKE(kept);
    dt2_release(DT2_TAKE((*out)->note)); /* a folder is the whole */
    (*out)->is_folder = true;
    return 0;
}

int dt2_file_open(const char *path, struct dt2_file **out, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    return dt2_file_open_with(path, NULL, out, err);
}

static const struct dt2_sized sized_options =
    DT2_SIZED(struct dt2_file_options, key, "the file options'", "DT2_FILE_OPTIONS_INIT");

int dt2_file_open_with(const char *path, const struct dt2_file_options *options, struct dt2_file **out,
                       struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    struct dt2_file_options known = DT2_FILE_OPTIONS_INIT;
    if (dt2_options_read(&sized_options, options, &known, err) < 0)
        return DT2_EUSAGE;
    const char *key = known.key && *known.key ? known.key : NULL;
    const struct dt2_opener opener = { known.open, known.open_data };
    return dt2_folder_is(path) ? open_folder(path, key, &opener, out, err) : open_model(path, key, &opener, out, err);
}

/* What a file has that those which stand on it use too. */
static void free_opened(struct dt2_file *file)
{
    for (size_t i = 0; i < file->source_count; i++)
        dt2_source_close(&file->sources[i]);
    dt2_release(file->sources);
    dt2_release(file->views);
    dt2_release(file->axes);
    dt2_release(file->metadata);
    dt2_release(file->given);
    dt2_release(file->note);
    for (size_t i = 0; i < file->part_count; i++)
        dt2_file_free(file->parts[i]);
    dt2_release(file->parts);
}

struct dt2_file *dt2_file_ref(const struct dt2_file *file)
{
    struct dt2_file *ours = (struct dt2_file *)(uintptr_t)file; /* the count is not part of what const promises */
    atomic_fetch_add(&ours->references, 1);
    return ours;
}

void dt2_file_free(struct dt2_file *file)
{
    DT2_KEEP_ERRNO;
    if (!file || atomic_fetch_sub(&file->references, 1) != 1)
        return;
    if (file->base)
        dt2_file_free(file->base);
    else
        free_opened(file);
    dt2_release(file->entries);
    dt2_release(file->pieces);
    dt2_release(file->converted);
    dt2_release(file->shapes);
    dt2_release(file->text);
    dt2_release(file->names);
    dt2_release(file);
}

/* -- answering -- */

const char *dt2_file_path(const struct dt2_file *file)
{
    return file->given ? file->given : file->sources[0].path;
}

const char *dt2_file_note(const struct dt2_file *file)
{
    return file->note;
}

const char *dt2_file_format(const struct dt2_file *file)
{
    return file->is_folder ? DT2_FOLDER_FORMAT : file->format->name;
}

uint64_t dt2_file_total_bytes(const struct dt2_file *file)
{
    return file->total_bytes;
}

const char *dt2_file_fingerprint(const struct dt2_file *file)
{
    return file->fingerprint;
}

size_t dt2_file_tensor_count(const struct dt2_file *file)
{
    return file->entry_count;
}

const struct dt2_tensor *dt2_file_tensor(const struct dt2_file *file, size_t index)
{
    return index < file->entry_count ? &file->entries[index].tensor : NULL;
}

static int fail_find(const struct dt2_file *file, const char *name, struct dt2_error *err)
{
    char shown[DT2_SHOWN];
    dt2_fail(err, DT2_ENOENT, "%s: no tensor '%s'", dt2_file_path(file), dt2_shown(name, strlen(name), shown));
    if (!err)
        return DT2_ENOENT;
    struct dt2_nearest nearest = { .wanted = name };
    for (size_t i = 0; i < file->entry_count; i++)
        dt2_nearest_offer(&nearest, file->entries[i].tensor.name);
    dt2_nearest_suggest(&nearest, err);
    return DT2_ENOENT;
}

int dt2_file_find(const struct dt2_file *file, const char *name, size_t *index, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    const struct dt2_name *found = dt2_names_find(file->names, file->entry_count, name, strlen(name));
    if (!found)
        return fail_find(file, name, err);
    *index = found->index;
    return 0;
}

size_t dt2_file_metadata_count(const struct dt2_file *file)
{
    return file->metadata_count;
}

void dt2_file_metadata(const struct dt2_file *file, size_t index, const char **key, const char **value)
{
    bool there = index < file->metadata_count;
    *key = there ? file->metadata[index].key : NULL;
    *value = there ? file->metadata[index].value : NULL;
}

const struct dt2_piece *dt2_file_pieces(const struct dt2_file *file, size_t tensor, size_t *count)
{
    const struct dt2_entry *entry = &file->entries[tensor];
    *count = entry->piece_count;
    return file->pieces + entry->first_piece;
}

void dt2_file_where(const struct dt2_file *file, const struct dt2_piece *piece, uint32_t *source, uint64_t *offset)
{
    while (!(piece->file & DT2_IN_VIEW) && piece->file & DT2_CONVERTED)
        piece = &file->pieces[file->converted[piece->file & ~DT2_CONVERTED].first_piece];
    const struct dt2_view *view = piece->file & DT2_IN_VIEW ? &file->views[piece->file & ~DT2_IN_VIEW] : NULL;
    *source = view ? view->file : piece->file;
    *offset = view ? view->offset : piece->offset;
}

size_t dt2_file_leader(const struct dt2_file *file, size_t tensor)
{
    return file->entries[tensor].leader;
}

size_t dt2_file_home(const struct dt2_file *file, size_t tensor, uint64_t *offset)
{
    if (offset)
        *offset = file->entries[tensor].home_offset;
    return file->entries[tensor].home;
}

uint64_t dt2_file_own_bytes(const struct dt2_file *file, size_t tensor)
{
    return file->entries[tensor].home == tensor ? file->entries[tensor].tensor.bytes : 0;
}

/* -- reading -- */

static int pread_view(const struct dt2_file *file, size_t index, const struct iovec *iov, int count, uint64_t offset,
                      struct dt2_error *err)
{
    if (index >= file->view_count)
        return dt2_fail(err, DT2_EUSAGE, "%s: no view %zu among its %zu", dt2_file_path(file), index, file->view_count);
    const struct dt2_view *view = &file->views[index];
    for (int i = 0; i < count; offset += iov[i++].iov_len) {
        int rc = dt2_view_read(view, &file->sources[view->file], iov[i].iov_base, iov[i].iov_len, offset, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int pread_as(const struct dt2_file *file, uint32_t file_index, const struct iovec *iov, int count, uint64_t offset,
                    bool check, struct dt2_error *err)
{
    if (file_index & DT2_IN_VIEW)
        return pread_view(file, file_index & ~DT2_IN_VIEW, iov, count, offset, err);
    if (file_index & DT2_CONVERTED)
        return dt2_converted_read(file, file_index & ~DT2_CONVERTED, iov, count, offset, check, err);
    if (file_index >= file->source_count)
        return dt2_fail(err, DT2_EUSAGE, "%s: no file %" PRIu32 " among its %zu", dt2_file_path(file), file_index,
                        file->source_count);
    return dt2_source_preadv(&file->sources[file_index], iov, count, offset, err);
}

int dt2_file_pread(const struct dt2_file *file, uint32_t file_index, const struct iovec *iov, int count,
                   uint64_t offset, struct dt2_error *err)
{
    return pread_as(file, file_index, iov, count, offset, false, err);
}

int dt2_file_pread_check(const struct dt2_file *file, uint32_t file_index, const struct iovec *iov, int count,
                         uint64_t offset, struct dt2_error *err)
{
    return pread_as(file, file_index, iov, count, offset, true, err);
}

int dt2_file_read(const struct dt2_file *file, size_t index, void *destination, uint64_t size, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    if (index >= file->entry_count)
        return dt2_fail(err, DT2_EUSAGE, "%s: no tensor %zu among its %zu", dt2_file_path(file), index,
                        file->entry_count);
    const struct dt2_tensor *tensor = &file->entries[index].tensor;
    char shown[DT2_SHOWN];
    if (size != tensor->bytes)
        return dt2_fail(err, DT2_EUSAGE, "%s: tensor '%s' has %" PRIu64 " bytes, and the destination %" PRIu64,
                        dt2_file_path(file), dt2_shown(tensor->name, strlen(tensor->name), shown), tensor->bytes, size);
    if (size == 0)
        return 0; /* to NULL, perhaps */
    size_t count;
    const struct dt2_piece *pieces = dt2_file_pieces(file, index, &count);
    char *to = destination;
    for (size_t i = 0; i < count; i++) {
        const struct iovec part = { to, pieces[i].bytes };
        int rc = dt2_file_pread(file, pieces[i].file, &part, 1, pieces[i].offset, err);
        if (rc < 0)
            return rc;
        to += pieces[i].bytes;
    }
    return 0;
}

int dt2_file_unchanged(const struct dt2_file *file, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    for (size_t i = 0; i < file->source_count; i++) {
        int rc = dt2_source_unchanged(&file->sources[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}
