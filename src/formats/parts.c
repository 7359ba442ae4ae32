/* SPDX-License-Identifier: BSD-3-Clause */
#include "formats/parts.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARTS_MAX 512       /* as many as an index may name */
#define INDEX_MAX 100000000 /* bytes */
#define MISSING_SHOWN 4
#define LINKS_MAX 40 /* as the kernel follows */

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t length = strlen(name), n = strlen(suffix);
    return length > n && strcmp(name + length - n, suffix) == 0;
}

/* -- downloads --------------------------------------------------------------------------------------------------- */

/* What browsers and programs call a file until all of it is there. */
static const char *const unfinished[] = { ".part",       ".partial", ".incomplete", ".crdownload",
                                          ".opdownload", ".download", ".aria2" };

int dt2_part_check_name(const char *path, struct dt2_error *err)
{
    struct stat st;
    const char *suffix = NULL;
    for (size_t i = 0; i < DT2_COUNT(unfinished); i++)
        if (ends_with(name_of(path), unfinished[i]))
            suffix = unfinished[i];
    DT2_AUTO char *control = dt2_printf("%s.aria2", path);
    if (!control)
        return dt2_fail_nomem(err);
    if (suffix)
        dt2_fail(err, DT2_EFAILED, "%s: a name in %s is that of a download which is not finished", path, suffix);
    else if (stat(control, &st) == 0)
        dt2_fail(err, DT2_EFAILED, "%s: the download is not finished: %s lies beside it", path, name_of(control));
    else
        return 0;
    dt2_suggest(err, "finish the download; of a file that is whole, change the name");
    return DT2_EFAILED;
}

/* -- parts by their names ---------------------------------------------------------------------------------------- */

/* "DIR/model-00001-of-00003.safetensors": all but the number. */
struct pattern {
    const char *path;
    size_t before; /* characters up to the number */
    int digits;    /* of the number */
    uint64_t number, count;
    const char *after; /* from the "-of-" on */
};

/* The number that `text` begins with; *digits of it. 0 when it is none, or too large for parts. */
static uint64_t take_number(const char *text, size_t *digits)
{
    *digits = strspn(text, "0123456789");
    uint64_t number = *digits && *digits < 8 ? strtoull(text, NULL, 10) : 0;
    return number <= PARTS_MAX ? number : 0;
}

/* Whether the name says that the file is one of several. */
static bool parse_name(const char *path, struct pattern *pattern)
{
    const char *name = name_of(path), *of = NULL;
    for (const char *at = name; (at = strstr(at, "-of-")); at++)
        of = at;
    if (!of)
        return false;
    const char *begin = of;
    while (begin > name && begin[-1] >= '0' && begin[-1] <= '9')
        begin--;
    if (begin == of || begin == name || begin[-1] != '-')
        return false;
    size_t digits, count_digits;
    *pattern = (struct pattern){ .path = path, .before = (size_t)(begin - path), .after = of,
                                 .number = take_number(begin, &digits), .count = take_number(of + 4, &count_digits) };
    pattern->digits = (int)digits;
    char end = of[4 + count_digits];
    return pattern->number && pattern->number <= pattern->count && pattern->count > 1 && (end == '.' || !end);
}

static int refuse_missing(const struct pattern *pattern, char *const *paths, struct dt2_error *err)
{
    struct dt2_text list = { 0 };
    char shown[DT2_SHOWN];
    struct stat st;
    size_t missing = 0;
    for (size_t i = 0; i < pattern->count; i++) {
        const char *name = name_of(paths[i]);
        if (stat(paths[i], &st) < 0 && missing++ < MISSING_SHOWN)
            dt2_text_addf(&list, "%s%s", missing > 1 ? ", " : "", dt2_shown(name, strlen(name), shown));
    }
    if (missing > MISSING_SHOWN)
        dt2_text_addf(&list, " and %zu more", missing - MISSING_SHOWN);
    DT2_AUTO char *names = dt2_text_take(&list);
    if (!names)
        return dt2_fail_nomem(err);
    if (missing == 0)
        return 0;
    dt2_fail(err, DT2_EFAILED, "%s: is part %" PRIu64 " of %" PRIu64 " of a model; missing beside it: %s",
             pattern->path, pattern->number, pattern->count, names);
    dt2_suggest(err, "a model is loaded whole: put all of its parts into one folder");
    return DT2_EFAILED;
}

/* Lists the paths of all parts. */
static int list_parts(const struct pattern *pattern, struct dt2_whole *whole, struct dt2_error *err)
{
    whole->paths = dt2_alloc(pattern->count, sizeof *whole->paths);
    if (!whole->paths)
        return dt2_fail_nomem(err);
    for (uint64_t i = 0; i < pattern->count; i++) {
        char *path = dt2_printf("%.*s%0*" PRIu64 "%s", (int)pattern->before, pattern->path, pattern->digits, i + 1,
                                pattern->after);
        if (!path)
            return dt2_fail_nomem(err);
        whole->paths[whole->count++] = path;
    }
    return refuse_missing(pattern, whole->paths, err);
}

/* -- an index that names a part ---------------------------------------------------------------------------------- */

/* Whether the text of the index at `path` has the name in quotes; what cannot be read does not. */
static bool index_names(const char *path, const char *name)
{
    DT2_AUTO char *text = NULL, *quoted = dt2_printf("\"%s\"", name);
    size_t length;
    if (!quoted || dt2_read_file(path, INDEX_MAX, &text, &length, NULL) < 0)
        return false;
    return memmem(text, length, quoted, strlen(quoted)) != NULL;
}

/* "x.safetensors.index.json", "x.safetensors.index.fp16.json" */
static bool is_index(const char *name)
{
    return ends_with(name, ".json") && strstr(name, ".index.");
}

/* The first by name of the folder's indices that name the file. A folder that cannot be listed has none. */
static int find_index(const char *path, struct dt2_whole *whole, struct dt2_error *err)
{
    const char *name = name_of(path);
    int folder_length = (int)(name - path);
    DT2_AUTO char *folder = folder_length ? dt2_strndup(path, (size_t)folder_length) : dt2_strdup(".");
    DIR *stream = folder ? opendir(folder) : NULL;
    int rc = folder ? 0 : dt2_fail_nomem(err);
    for (const struct dirent *entry; rc == 0 && stream && (entry = readdir(stream));) {
        if (!is_index(entry->d_name) || (whole->index && strcmp(name_of(whole->index), entry->d_name) <= 0))
            continue;
        DT2_AUTO char *index = dt2_printf("%.*s%s", folder_length, path, entry->d_name);
        if (!index)
            rc = dt2_fail_nomem(err);
        else if (index_names(index, name)) {
            dt2_release(whole->index);
            whole->index = DT2_TAKE(index);
        }
    }
    if (stream)
        closedir(stream);
    return rc;
}

/* By the path's own name, and what lies beside it. */
static int find_beside(const char *path, struct dt2_whole *whole, struct dt2_error *err)
{
    struct pattern pattern;
    *whole = (struct dt2_whole){ 0 };
    if (is_index(name_of(path)))
        return 0;
    int rc = find_index(path, whole, err);
    if (rc == 0 && !whole->index && parse_name(path, &pattern))
        rc = list_parts(&pattern, whole, err);
    if (rc < 0)
        dt2_whole_clear(whole);
    return rc;
}

/* Where a link leads, one step; NULL for what is none. */
static char *follow(const char *path)
{
    char target[PATH_MAX];
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length <= 0)
        return NULL;
    target[length] = '\0';
    return dt2_printf("%.*s%s", target[0] == '/' ? 0 : (int)(name_of(path) - path), path, target);
}

int dt2_whole_find(const char *path, struct dt2_whole *whole, struct dt2_error *err)
{
    int rc = find_beside(path, whole, err);
    DT2_AUTO char *at = follow(path);
    for (int links = 1; at && links < LINKS_MAX && rc != DT2_ENOMEM && !whole->index && !whole->count; links++) {
        struct dt2_error further = { 0 };
        int found = find_beside(at, whole, &further);
        if (found == DT2_ENOMEM || (found < 0 && rc == 0)) { /* else what the name that was given says of it stays */
            rc = found;
            if (err)
                *err = further;
        } else if (whole->index || whole->count)
            rc = 0;
        char *next = follow(at);
        dt2_release(at);
        at = next;
    }
    return rc;
}

void dt2_whole_clear(struct dt2_whole *whole)
{
    for (size_t i = 0; i < whole->count; i++)
        dt2_release(whole->paths[i]);
    dt2_release(whole->paths);
    dt2_release(whole->index);
    *whole = (struct dt2_whole){ 0 };
}

/* -- parts of GGUF ----------------------------------------------------------------------------------------------- */

/* The number that the metadata have under `key`; `otherwise` where there is none. */
static uint64_t number_of(const struct dt2_file *file, const char *key, uint64_t otherwise)
{
    for (size_t i = 0; i < file->metadata_count; i++)
        if (strcmp(file->metadata[i].key, key) == 0)
            return strtoull(file->metadata[i].value, NULL, 10);
    return otherwise;
}

int dt2_whole_check_part(const struct dt2_file *part, size_t number, size_t count, struct dt2_error *err)
{
    if (strncmp(part->format->name, "gguf", 4) != 0)
        return 0;
    uint64_t split_count = number_of(part, "split.count", count), split_number = number_of(part, "split.no", number);
    const char *path = part->sources[0].path;
    if (split_count == count && split_number == number)
        return 0;
    if (count > 1)
        return dt2_fail(err, DT2_EFAILED,
                        "%s: says that it is part %" PRIu64 " of %" PRIu64 " of a model; its name says %zu of %zu", path,
                        split_number + 1, split_count, number + 1, count);
    if (split_count <= 1)
        return 0;
    dt2_fail(err, DT2_EFAILED, "%s: says that it is part %" PRIu64 " of %" PRIu64 " of a model; its name does not", path,
             split_number + 1, split_count);
    dt2_suggest(err, "parts are told by their names: NAME-%05" PRIu64 "-of-%05" PRIu64 ".gguf, all in one folder",
                split_number + 1, split_count);
    return DT2_EFAILED;
}

int dt2_whole_check(const struct dt2_file *file, struct dt2_error *err)
{
    if (strncmp(file->format->name, "gguf", 4) != 0)
        return 0;
    if (file->part_count == 0)
        return dt2_whole_check_part(file, 0, 1, err);
    const struct dt2_file *first = file->parts[0];
    uint64_t tensors = number_of(first, "split.tensors.count", file->entry_count);
    if (tensors != file->entry_count)
        return dt2_fail(err, DT2_EFAILED, "%s: says that the model has %" PRIu64 " tensors; its %zu parts have %zu",
                        file->sources[0].path, tensors, file->part_count, file->entry_count);
    return 0;
}
