/* SPDX-License-Identifier: BSD-3-Clause */
#include "catalog/search.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include "catalog/path.h"
#include "catalog/yaml_tree.h"
#include <limits.h>
#include <string.h>

/* No such file is larger; what is would be something else. */
#define FILE_BYTES_MAX (1 << 20)
/* Each folder is looked up among those before it, and walked. */
#define FOLDERS_MAX 4096

/* -- the list -- */

/* Adds a folder at the end or, as a default one, in front; one that is listed already only ever moves to the front. */
static int add_folder(struct dt2_search *search, char *folder, bool in_front, const struct dt2_log *log,
                      struct dt2_error *err)
{
    DT2_AUTO char *added = folder;
    if (!added)
        return dt2_fail_nomem(err);
    if (!dt2_utf8_valid(added, strlen(added))) {
        char shown[DT2_SHOWN_PATH];
        dt2_log_line(log, DT2_LOG_WARNING, "%s: the path of a folder is not UTF-8, skipped",
                     dt2_show(added, shown, sizeof shown));
        return 0;
    }
    if (search->count == FOLDERS_MAX) {
        if (!search->full)
            dt2_log_line(log, DT2_LOG_WARNING, "more than %d folders to search, the others are skipped", FOLDERS_MAX);
        search->full = true;
        return 0;
    }
    size_t at = 0;
    while (at < search->count && strcmp(search->folders[at], added) != 0)
        at++;
    if (at < search->count && !in_front)
        return 0;
    if (at == search->count) {
        if (!DT2_GROW(search->folders, search->count, search->capacity))
            return dt2_fail_nomem(err);
        search->folders[search->count++] = DT2_TAKE(added);
    }
    if (in_front) {
        char *moved = search->folders[at];
        memmove(search->folders + 1, search->folders, at * sizeof *search->folders);
        search->folders[0] = moved;
    }
    return 0;
}

/* ComfyUI's own folders of a category: models/CATEGORY, but for these. */
static int add_default_folders(struct dt2_search *search, const struct dt2_sources *sources, const struct dt2_log *log,
                               struct dt2_error *err)
{
    static const struct {
        const char *category, *folders[2];
    } special[] = {
        { "controlnet", { "models/controlnet", "models/t2i_adapter" } },
        { "diffusion_models", { "models/unet", "models/diffusion_models" } },
        { "text_encoders", { "models/text_encoders", "models/clip" } },
        { "custom_nodes", { "custom_nodes" } },
        { "datasets", { "datasets" } },
    };
    if (!sources->base)
        return 0;
    for (size_t i = 0; i < DT2_COUNT(special); i++) {
        if (strcmp(special[i].category, sources->category) != 0)
            continue;
        int rc = 0;
        for (size_t j = 0; j < 2 && special[i].folders[j] && rc == 0; j++)
            rc = add_folder(search, dt2_path_join(sources->base, special[i].folders[j]), false, log, err);
        return rc;
    }
    DT2_AUTO char *models = dt2_path_join(sources->base, "models");
    return add_folder(search, models ? dt2_path_join(models, sources->category) : NULL, false, log, err);
}

/* -- the sections of a file -- */

struct reader {
    struct dt2_search *search;
    const char *category;
    const char *folder; /* of the file */
    const char *shown;  /* the file's path, for messages */
    const struct dt2_log *log;
    struct dt2_error *err;
    char section[DT2_SHOWN_PATH]; /* the name of the one being read, for messages */
};

#define WARN(reader, key, format, ...)                                                                                 \
    dt2_log_line((reader)->log, DT2_LOG_WARNING, "%s:%zu: section '%s': " format, (reader)->shown, (key)->line,        \
                 (reader)->section, __VA_ARGS__)

/* A string that can be a path, or part of one. */
static bool is_path(const struct dt2_yaml_node *node)
{
    return node->type == DT2_YAML_STRING && strlen(node->text) == node->length;
}

static const char *found(const struct dt2_yaml_node *node)
{
    bool cut = node->type == DT2_YAML_STRING && !is_path(node);
    return cut ? "a string with a NUL character" : dt2_yaml_type_name(node->type);
}

/*
 * The folder that a section's relative entries are in: the file's own when the section names none. It stays NULL when
 * what the section names is wrong, as was then logged.
 */
static int find_base_path(const struct reader *reader, const struct dt2_yaml_pair *pair, char **base)
{
    if (pair && !is_path(pair->value)) {
        WARN(reader, pair->key, "base_path is %s; expected a string with a path; the section is skipped",
             found(pair->value));
        return 0;
    }
    DT2_AUTO char *home = dt2_path_expand_home(pair ? pair->value->text : "");
    DT2_AUTO char *whole = home ? dt2_path_expand_variables(home) : NULL;
    char *joined = whole ? dt2_path_join(reader->folder, whole) : NULL;
    if (!joined)
        return dt2_fail_nomem(reader->err);
    if (strlen(joined) < PATH_MAX) {
        *base = joined;
        return 0;
    }
    WARN(reader, pair->key, "base_path has %zu bytes; expected less than %d; the section is skipped", strlen(joined),
         PATH_MAX);
    dt2_release(joined);
    return 0;
}

/* Adds one folder a line. */
static int add_lines(struct reader *reader, const char *base, const char *lines, bool in_front)
{
    const char *end = lines + strlen(lines);
    size_t length = 0;
    int rc = 0;
    for (const char *line = lines; rc == 0 && line < end; line += length + 1) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        length = (size_t)((newline ? newline : end) - line);
        if (length == 0)
            continue;
        DT2_AUTO char *entry = dt2_strndup(line, length);
        DT2_AUTO char *path = entry ? dt2_path_join(base, entry) : NULL;
        rc = add_folder(reader->search, path ? dt2_path_normal(path) : NULL, in_front, reader->log, reader->err);
    }
    return rc;
}

static int read_categories(struct reader *reader, const struct dt2_yaml_node *section, const char *base, bool in_front)
{
    int rc = 0;
    for (size_t i = 0; i < section->count && rc == 0; i++) {
        const struct dt2_yaml_node *key = section->pairs[i].key, *value = section->pairs[i].value;
        if (dt2_yaml_is(key, "base_path") || dt2_yaml_is(key, "is_default"))
            continue;
        if (!is_path(value)) {
            char shown[DT2_SHOWN_PATH];
            WARN(reader, key, "%s is %s; expected a string with one path a line",
                 dt2_show(key->text, shown, sizeof shown), found(value));
            continue;
        }
        if (is_path(key) && strcmp(dt2_category_present_name(key->text), reader->category) == 0)
            rc = add_lines(reader, base, value->text, in_front);
    }
    return rc;
}

static int read_section(struct reader *reader, const struct dt2_yaml_pair *pair)
{
    const struct dt2_yaml_node *section = pair->value;
    dt2_show(pair->key->text, reader->section, sizeof reader->section);
    if (section->type == DT2_YAML_NULL)
        return 0;
    if (section->type != DT2_YAML_MAP) {
        WARN(reader, pair->key, "is %s; expected a map of categories, as in 'controlnet: PATH'", found(section));
        return 0;
    }
    const struct dt2_yaml_pair *is_default = dt2_yaml_get(section, "is_default");
    if (is_default && (is_default->value->type == DT2_YAML_OTHER || is_default->value->type == DT2_YAML_MERGE))
        WARN(reader, is_default->key, "is_default is %s; expected true or false", found(is_default->value));
    DT2_AUTO char *base = NULL;
    int rc = find_base_path(reader, dt2_yaml_get(section, "base_path"), &base);
    if (rc < 0 || !base)
        return rc;
    return read_categories(reader, section, base, is_default && dt2_yaml_truth(is_default->value));
}

static int read_sections(struct reader *reader, const struct dt2_yaml *yaml)
{
    const struct dt2_yaml_node *root = yaml->root;
    if ((!root && !yaml->cut) || (root && root->type != DT2_YAML_MAP)) {
        bool empty = !root || root->type == DT2_YAML_NULL;
        dt2_log_line(reader->log, DT2_LOG_WARNING, "%s:%zu: %s%s; expected a map of sections", reader->shown,
                     root ? root->line : 1, empty ? "the file is empty" : "the file holds ", empty ? "" : found(root));
        return 0;
    }
    int rc = 0;
    for (size_t i = 0; root && i < root->count && rc == 0; i++)
        rc = read_section(reader, &root->pairs[i]);
    return rc;
}

int dt2_search_read(struct dt2_search *search, const char *category, const char *path, const char *data, size_t length,
                    const struct dt2_log *log, struct dt2_error *err)
{
    char shown[DT2_SHOWN_PATH];
    dt2_show(path, shown, sizeof shown);
    DT2_AUTO char *folder = dt2_path_folder(path);
    if (!folder)
        return dt2_fail_nomem(err);
    struct reader reader = {
        .search = search, .category = category, .folder = folder, .shown = shown, .log = log, .err = err,
    };
    struct dt2_yaml yaml = { 0 };
    int rc = dt2_yaml_read(&yaml, shown, data, length, log, err);
    if (rc == 0)
        rc = read_sections(&reader, &yaml);
    dt2_yaml_clear(&yaml);
    return rc;
}

/* -- the files -- */

static int read_file(struct dt2_search *search, const struct dt2_sources *sources, size_t index,
                     const struct dt2_log *log, struct dt2_error *err)
{
    const struct dt2_source_file *file = &sources->files[index];
    struct dt2_stamp *stamp = &search->stamps[index];
    dt2_stamp_take(file->path, stamp);
    if (!file->required && !S_ISREG(stamp->kind))
        return 0;
    DT2_AUTO char *data = NULL;
    size_t length = 0;
    struct dt2_error why;
    int rc = dt2_read_file(file->path, FILE_BYTES_MAX, &data, &length, &why);
    if (rc == 0)
        return dt2_search_read(search, sources->category, file->path, data, length, log, err);
    if (rc == DT2_ENOMEM)
        return dt2_fail_nomem(err);
    char shown[sizeof why.text];
    dt2_show(why.text, shown, sizeof shown);
    if (file->required)
        return dt2_fail(err, DT2_EFAILED, "%s", shown);
    dt2_log_line(log, DT2_LOG_WARNING, "%s", shown);
    return 0;
}

int dt2_search_make(const struct dt2_sources *sources, const struct dt2_log *log, struct dt2_search *search,
                    struct dt2_error *err)
{
    struct dt2_search made = { .stamps = dt2_alloc(sources->file_count, sizeof *made.stamps) };
    int rc = made.stamps ? add_default_folders(&made, sources, log, err) : dt2_fail_nomem(err);
    for (size_t i = 0; i < sources->file_count && rc == 0; i++)
        rc = read_file(&made, sources, i, log, err);
    if (rc < 0)
        dt2_search_clear(&made);
    else
        *search = made;
    return rc;
}

bool dt2_search_stands(const struct dt2_search *search, const struct dt2_sources *sources)
{
    for (size_t i = 0; i < sources->file_count; i++) {
        struct dt2_stamp now;
        dt2_stamp_take(sources->files[i].path, &now);
        if (!dt2_stamp_stands(&search->stamps[i], &now))
            return false;
    }
    return true;
}

void dt2_search_clear(struct dt2_search *search)
{
    for (size_t i = 0; i < search->count; i++)
        dt2_release(search->folders[i]);
    dt2_release(search->folders);
    dt2_release(search->stamps);
    *search = (struct dt2_search){ 0 };
}
