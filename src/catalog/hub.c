/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cache as huggingface_hub lays it out (its guide "Understand caching"): models--USER--NAME with refs/main, which
 * holds a commit; snapshots/COMMIT, whose files are links into blobs; and blobs/NAME.incomplete, which are on their way.
 */
#include "catalog/hub.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/text.h"
#include "catalog/path.h"
#include "catalog/scan.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STEM "diffusion_pytorch_model" /* how the files of a diffusers folder begin */
#define NAMES_SHOWN 12

char *dt2_hub_cache(void)
{
    static const struct {
        const char *variable, *below;
    } places[] = { { "HF_HUB_CACHE", "" }, { "HF_HOME", "/hub" }, { "XDG_CACHE_HOME", "/huggingface/hub" } };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *value = getenv(places[i].variable);
        if (!value || !*value)
            continue;
        DT2_AUTO char *home = dt2_path_expand_home(value);
        return home ? dt2_printf("%s%s", home, places[i].below) : NULL;
    }
    return dt2_path_expand_home("~/.cache/huggingface/hub");
}

/* -- ids -- */

static const char *without_prefix(const char *text)
{
    return strncmp(text, DT2_HUB_PREFIX, strlen(DT2_HUB_PREFIX)) == 0 ? text + strlen(DT2_HUB_PREFIX) : text;
}

/* How many letters of a user's or a repository's name stand there. */
static size_t name_length(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    return text[0] == '.' || text[0] == '-' ? 0 : strspn(text, letters);
}

/* USER, NAME and, behind a third '/', a path within the repository. */
struct id {
    const char *user, *name, *file; /* file: NULL when none is named */
    int user_length, name_length;
};

static bool id_parse(const char *text, struct id *id)
{
    *id = (struct id){ .user = without_prefix(text) };
    size_t user = name_length(id->user);
    if (user == 0 || id->user[user] != '/')
        return false;
    id->name = id->user + user + 1;
    size_t name = name_length(id->name);
    const char *end = id->name + name;
    if (name == 0 || (*end && *end != '/') || strstr(id->name, ".."))
        return false;
    id->file = *end && end[1] ? end + 1 : NULL;
    id->user_length = (int)user;
    id->name_length = (int)name;
    return true;
}

bool dt2_hub_is_id(const char *text)
{
    struct id id;
    return id_parse(text, &id);
}

/* -- what a repository holds -- */

struct repository {
    const char *asked; /* as the user wrote it */
    char *folder, *snapshot;
    struct dt2_scan scan; /* model files of the snapshot */
    char *gone;           /* what the scan said of the first link without its blob */
};

static void repository_clear(struct repository *repository)
{
    dt2_release(repository->folder);
    dt2_release(repository->snapshot);
    dt2_release(repository->gone);
    dt2_scan_clear(&repository->scan);
}

static bool is_there(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* The first name in a folder that ends in `suffix`, and how many there are; NULL when there is none. */
static char *first_name(const char *folder, const char *suffix, size_t *count)
{
    char *first = NULL;
    DIR *stream = opendir(folder);
    *count = 0;
    for (const struct dirent *entry; stream && (entry = readdir(stream));) {
        size_t length = strlen(entry->d_name), n = strlen(suffix);
        if (entry->d_name[0] == '.' || length < n || strcmp(entry->d_name + length - n, suffix) != 0)
            continue;
        if (++*count == 1)
            first = dt2_strdup(entry->d_name);
    }
    if (stream)
        closedir(stream);
    return first;
}

/* Says that a download is not complete: what is missing, and what is on its way. */
static int fail_partial(const struct repository *repository, const char *missing, struct dt2_error *err)
{
    size_t count;
    DT2_AUTO char *blobs = dt2_printf("%s/blobs", repository->folder);
    DT2_AUTO char *incomplete = blobs ? first_name(blobs, ".incomplete", &count) : NULL;
    dt2_fail(err, DT2_EFAILED, "%s is not downloaded completely: %s%s%s", repository->asked, missing,
             incomplete ? "; on its way is blobs/" : "", incomplete ? incomplete : "");
    dt2_suggest(err, "download it again: huggingface-cli download %s", without_prefix(repository->asked));
    return DT2_EFAILED;
}

/* The snapshot of refs/main; without that, the only one. */
static int find_snapshot(struct repository *repository, struct dt2_error *err)
{
    DT2_AUTO char *ref = dt2_printf("%s/refs/main", repository->folder);
    DT2_AUTO char *snapshots = dt2_printf("%s/snapshots", repository->folder);
    if (!ref || !snapshots)
        return dt2_fail_nomem(err);
    size_t count = 1;
    DT2_AUTO char *commit = dt2_read_line(ref);
    if (!commit || !*commit || strchr(commit, '/')) {
        dt2_release(commit);
        commit = first_name(snapshots, "", &count);
    }
    if (count > 1)
        return dt2_fail(err, DT2_ENOENT, "%s: there is no refs/main in %s, and %zu snapshots are", repository->asked,
                        repository->folder, count);
    if (count == 0)
        return fail_partial(repository, "there is no snapshot", err);
    repository->snapshot = commit ? dt2_printf("%s/%s", snapshots, commit) : NULL;
    if (!repository->snapshot)
        return dt2_fail_nomem(err);
    if (is_there(repository->snapshot))
        return 0;
    DT2_AUTO char *missing = dt2_printf("snapshots/%s is missing", commit);
    return missing ? fail_partial(repository, missing, err) : dt2_fail_nomem(err);
}

/* The scan's log: a link that leads nowhere is a file that did not arrive. */
static void remember(void *data, enum dt2_log_level level, const char *line)
{
    struct repository *repository = data;
    (void)level;
    if (!repository->gone)
        repository->gone = dt2_strdup(line);
}

static int find_files(struct repository *repository, struct dt2_error *err)
{
    static const struct dt2_scan nothing;
    static const struct dt2_watch nobody;
    const struct dt2_log log = { remember, repository };
    return dt2_scan_make(&repository->snapshot, 1, &nothing, &log, &nobody, &repository->scan, err);
}

/* -- which of them -- */

/* "x-00001-of-00003.safetensors": where the number begins; NULL for the name of a whole model. */
static const char *part_number(const char *name)
{
    const char *of = strstr(name, "-of-");
    return of && of - name > 6 && of[-6] == '-' && strspn(of - 5, "0123456789") == 5 ? of - 6 : NULL;
}

/*
 * The path that stands for a model in parts, where `name` is the first of them: of its index, "x.safetensors.index.json",
 * "x.bin.index.json"; where there is none, that of the part, whose reader finds the others by their names. NULL: it is not the first.
 */
static char *whole_of(const struct repository *repository, const struct dt2_catalog_entry *entry)
{
    const char *name = entry->name, *number = part_number(name);
    if (!number || strncmp(number, "-00001-", 7) != 0)
        return NULL;
    const char *suffix = strrchr(number, '.');
    char *path = dt2_printf("%s/%.*s%s.index.json", repository->snapshot, (int)(number - name), name, suffix ? suffix : "");
    if (path && is_there(path))
        return path;
    dt2_release(path);
    return dt2_strdup(entry->path);
}

static int fail_several(const struct repository *repository, struct dt2_error *err)
{
    struct dt2_text list = { 0 };
    size_t shown = 0, more = 0;
    for (size_t i = 0; i < repository->scan.model_count; i++) {
        const char *name = repository->scan.models[i].entry.name;
        if (part_number(name))
            continue;
        if (shown < NAMES_SHOWN)
            dt2_text_addf(&list, "%s%s", shown++ ? ", " : "", name);
        else
            more++;
    }
    if (more)
        dt2_text_addf(&list, " and %zu more", more);
    DT2_AUTO char *names = dt2_text_take(&list);
    if (!names)
        return dt2_fail_nomem(err);
    dt2_fail(err, DT2_ENOENT, "%s has several models: %s", repository->asked, names);
    dt2_suggest(err, "name one: %s/FILE", repository->asked);
    return DT2_ENOENT;
}

static int choose(const struct repository *repository, char **path, struct dt2_error *err)
{
    DT2_AUTO char *found = NULL;
    size_t count = 0;
    bool folder = false;
    for (size_t i = 0; i < repository->scan.model_count; i++) {
        const struct dt2_catalog_entry *entry = &repository->scan.models[i].entry;
        folder |= strncmp(entry->name, STEM, strlen(STEM)) == 0 &&
                  (strstr(entry->name, ".safetensors") || strstr(entry->name, ".bin"));
        char *whole = whole_of(repository, entry);
        if (!whole && part_number(entry->name))
            continue;
        count++;
        if (!found)
            found = whole ? whole : dt2_strdup(entry->path);
        else
            dt2_release(whole);
    }
    if (repository->gone && (folder || count == 0))
        return fail_partial(repository, repository->gone, err);
    if (folder) /* the reader of such folders chooses */
        *path = dt2_strdup(repository->snapshot);
    else if (count == 0)
        return dt2_fail(err, DT2_ENOENT, "%s: no model file was downloaded to %s", repository->asked,
                        repository->snapshot);
    else if (count > 1)
        return fail_several(repository, err);
    else
        *path = DT2_TAKE(found);
    return *path ? 0 : dt2_fail_nomem(err);
}

/* The file of the snapshot that was named. */
static int find_file(const struct repository *repository, const char *file, char **path, struct dt2_error *err)
{
    struct stat link;
    DT2_AUTO char *whole = dt2_printf("%s/%s", repository->snapshot, file);
    if (!whole)
        return dt2_fail_nomem(err);
    if (is_there(whole)) {
        *path = DT2_TAKE(whole);
        return 0;
    }
    if (lstat(whole, &link) == 0) {
        DT2_AUTO char *missing = dt2_printf("the blob of %s is missing", file);
        return missing ? fail_partial(repository, missing, err) : dt2_fail_nomem(err);
    }
    dt2_fail(err, DT2_ENOENT, "%s: %s was not downloaded to %s", repository->asked, file, repository->snapshot);
    struct dt2_nearest nearest = { .wanted = file };
    for (size_t i = 0; i < repository->scan.model_count; i++)
        dt2_nearest_offer(&nearest, repository->scan.models[i].entry.name);
    dt2_nearest_suggest(&nearest, err);
    return DT2_ENOENT;
}

int dt2_hub_resolve(const char *text, char **path, bool *known, struct dt2_error *err)
{
    struct id id;
    *known = false;
    if (!id_parse(text, &id)) {
        char shown[DT2_SHOWN_PATH];
        return dt2_fail(err, DT2_ENOENT, "'%s' is no id of the hub: USER/NAME, or USER/NAME/FILE",
                        dt2_show(text, shown, sizeof shown));
    }
    struct repository repository = { .asked = text };
    DT2_AUTO char *cache = dt2_hub_cache();
    repository.folder =
        cache ? dt2_printf("%s/models--%.*s--%.*s", cache, id.user_length, id.user, id.name_length, id.name) : NULL;
    int rc = 0;
    if (!repository.folder)
        rc = dt2_fail_nomem(err);
    else if (!is_there(repository.folder))
        rc = dt2_fail(err, DT2_ENOENT, "%s was not downloaded to the hub's cache, %s", text, cache);
    *known = rc == 0;
    if (rc == 0)
        rc = find_snapshot(&repository, err);
    if (rc == 0)
        rc = find_files(&repository, err);
    if (rc == 0)
        rc = id.file ? find_file(&repository, id.file, path, err) : choose(&repository, path, err);
    repository_clear(&repository);
    return rc;
}
