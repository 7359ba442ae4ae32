/* SPDX-License-Identifier: BSD-3-Clause */
/* From what a user calls a model to the file or folder to open. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/text.h"
#include "catalog/catalog.h"
#include "catalog/hub.h"
#include "catalog/path.h"
#include <string.h>

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

bool dt2_catalog_is_path(const char *model)
{
    return model[0] == '/' || begins_with(model, "./") || begins_with(model, "../") || strcmp(model, ".") == 0 ||
           strcmp(model, "..") == 0;
}

/* The names that are near, and what else the user can do. */
static int fail_unknown(const struct dt2_catalog *catalog, const char *model, struct dt2_error *err)
{
    char shown[DT2_SHOWN_PATH];
    DT2_AUTO char *cache = dt2_hub_is_id(model) ? dt2_hub_cache() : NULL;
    dt2_fail(err, DT2_ENOENT, "no model called '%s', neither in the catalogue nor as a path%s%s",
             dt2_show(model, shown, sizeof shown), cache ? ", nor in the hub's cache, " : "", cache ? cache : "");
    static const struct dt2_scan nothing;
    const struct dt2_scan *scan = catalog ? &catalog->scan : &nothing;
    if (scan->model_count == 0)
        dt2_suggest(err,
                    "the catalogue is empty: name ComfyUI's directory with --comfyui or COMFYUI_PATH, or give a path");
    else
        dt2_suggest(err, "'distorch2 models' lists the names that there are");
    struct dt2_nearest nearest = { .wanted = model };
    for (size_t i = 0; i < scan->model_count; i++)
        dt2_nearest_offer(&nearest, scan->models[i].entry.name);
    dt2_nearest_suggest(&nearest, err);
    return DT2_ENOENT;
}

/* An id of the hub, when its cache has it. What else it may have been meant to be, the suggestions tell. */
static int resolve_id(const struct dt2_catalog *catalog, const char *model, char **path, struct dt2_error *err)
{
    bool known;
    struct dt2_error inner;
    if (!dt2_hub_is_id(model))
        return fail_unknown(catalog, model, err);
    int rc = dt2_hub_resolve(model, path, &known, &inner);
    if (rc == DT2_ENOENT && !known)
        return fail_unknown(catalog, model, err);
    if (rc < 0 && err)
        *err = inner;
    return rc;
}

/* A path that does not exist. No catalogue was looked into for one that is written as a path, so none is spoken of. */
static int resolve_absent(const struct dt2_catalog *catalog, const char *model, char **path, struct dt2_error *err)
{
    char shown[DT2_SHOWN_PATH];
    struct stat st;
    dt2_show(model, shown, sizeof shown);
    if (lstat(model, &st) == 0 && S_ISLNK(st.st_mode))
        return dt2_fail(err, DT2_ENOENT, "%s: is a link that leads nowhere", shown);
    if (!dt2_catalog_is_path(model))
        return resolve_id(catalog, model, path, err);
    dt2_fail(err, DT2_ENOENT, "no model at %s: there is no such file or folder", shown);
    dt2_suggest(err, "a name of the catalogue is written without '%.*s'; 'distorch2 models' lists them",
                (int)strcspn(model, "/") + 1, model);
    return DT2_ENOENT;
}

/* A path that exists, as it was given. */
static int resolve_path(const struct dt2_catalog *catalog, const char *model, char **path, struct dt2_error *err)
{
    struct dt2_stamp stamp;
    if (!dt2_stamp_take(model, &stamp)) {
        if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG)
            return resolve_absent(catalog, model, path, err);
        char shown[DT2_SHOWN_PATH];
        return dt2_fail(err, DT2_EFAILED, "%s: cannot be read: %s", dt2_show(model, shown, sizeof shown),
                        strerror(errno));
    }
    *path = dt2_strdup(model);
    return *path ? 0 : dt2_fail_nomem(err);
}

/*
 * A folder is listed once, whatever links lead to it; a name through another of these is known to who saved it. *path stays
 * NULL where there is none.
 */
static int resolve_by_link(const struct dt2_catalog *catalog, const char *name, char **path, struct dt2_error *err)
{
    struct stat st;
    for (size_t i = 0; strchr(name, '/') && i < catalog->search.count; i++) {
        DT2_AUTO char *joined = dt2_path_join(catalog->search.folders[i], name);
        if (!joined)
            return dt2_fail_nomem(err);
        if (stat(joined, &st) == 0 && S_ISREG(st.st_mode)) {
            *path = DT2_TAKE(joined);
            return 0;
        }
    }
    return 0;
}

/* Names are compared as normalised text, so that ".." can only ever lead to another name of the catalogue. */
int dt2_catalog_resolve(const struct dt2_catalog *catalog, const char *model, char **path, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    bool known;
    *path = NULL;
    if (dt2_catalog_is_path(model))
        return resolve_path(catalog, model, path, err);
    if (begins_with(model, DT2_HUB_PREFIX))
        return dt2_hub_resolve(model, path, &known, err);
    DT2_AUTO char *name = dt2_path_normal(model);
    if (!name)
        return dt2_fail_nomem(err);
    if (strcmp(name, "..") == 0 || begins_with(name, "../")) {
        char shown[DT2_SHOWN_PATH];
        dt2_fail(err, DT2_ENOENT, "'%s' would leave the catalogue's folders by '..'",
                 dt2_show(model, shown, sizeof shown));
        dt2_suggest(err, "a path begins with '/', './' or '../': ./%s", shown);
        return DT2_ENOENT;
    }
    const struct dt2_catalog_entry *entry = catalog ? dt2_scan_find(&catalog->scan, name) : NULL;
    if (entry) {
        *path = dt2_strdup(entry->path);
        return *path ? 0 : dt2_fail_nomem(err);
    }
    int rc = catalog ? resolve_by_link(catalog, name, path, err) : 0;
    return rc < 0 || *path ? rc : resolve_path(catalog, model, path, err);
}
