/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One walk serves the first scan and every later one: a directory costs a stat, and is read only when what an earlier
 * scan read of it no longer stands.
 */
#include "catalog/scan.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include "catalog/path.h"
#include "catalog/seen.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- one directory -- */

/* Whether two names are one but for the case of ASCII letters, whatever the locale. */
static bool is_same_letters(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        int x = *a >= 'A' && *a <= 'Z' ? *a + 32 : *a;
        int y = *b >= 'A' && *b <= 'Z' ? *b + 32 : *b;
        if (x != y)
            return false;
    }
    return *a == *b;
}

/* By the last suffix alone, in any case; the dots that a name begins with begin no suffix. */
static bool has_model_suffix(const char *name)
{
    static const char *const suffixes[] = { ".ckpt", ".pt",  ".pt2", ".bin", ".pth",
                                            ".safetensors", ".pkl", ".sft", ".gguf" };
    const char *dot = strrchr(name + strspn(name, "."), '.');
    for (size_t i = 0; dot && i < DT2_COUNT(suffixes); i++)
        if (is_same_letters(dot, suffixes[i]))
            return true;
    return false;
}

static void release_listing(struct dt2_listing *listing)
{
    if (!listing || --listing->references > 0)
        return;
    for (size_t i = 0; i < listing->count; i++)
        dt2_release(listing->entries[i].name);
    dt2_release(listing->entries);
    dt2_release(listing);
}

static void warn_of(const struct dt2_log *log, const char *folder, const char *name, const char *what)
{
    char shown[DT2_SHOWN_PATH], shown_name[DT2_SHOWN_PATH];
    dt2_log_line(log, DT2_LOG_WARNING, "%s%s%s: %s", dt2_show(folder, shown, sizeof shown), name[0] ? "/" : "",
                 dt2_show(name, shown_name, sizeof shown_name), what);
}

enum found { FOUND_NOTHING, FOUND_FILE, FOUND_FOLDER };

/* What an entry of an open directory is, where links lead; asks the file system only when it must. */
static enum found look_at(DIR *directory, const struct dirent *entry, const char *folder, const struct dt2_log *log)
{
    if (entry->d_type == DT_REG)
        return FOUND_FILE;
    if (entry->d_type == DT_DIR)
        return FOUND_FOLDER;
    if (entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN)
        return FOUND_NOTHING;
    struct stat st;
    if (fstatat(dirfd(directory), entry->d_name, &st, 0) < 0) {
        char what[128];
        snprintf(what, sizeof what, "a link that leads nowhere, skipped: %s", strerror(errno));
        warn_of(log, folder, entry->d_name, what);
        return FOUND_NOTHING;
    }
    return S_ISREG(st.st_mode) ? FOUND_FILE : S_ISDIR(st.st_mode) ? FOUND_FOLDER : FOUND_NOTHING;
}

static int add_listed(struct dt2_listing *listing, DIR *directory, const struct dirent *entry, const char *folder,
                      const struct dt2_log *log)
{
    const char *name = entry->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, ".git") == 0)
        return 0;
    enum found found = look_at(directory, entry, folder, log);
    if (found == FOUND_NOTHING || (found == FOUND_FILE && !has_model_suffix(name)))
        return 0;
    if (!dt2_utf8_valid(name, strlen(name))) {
        warn_of(log, folder, name, "the name is not UTF-8, skipped");
        return 0;
    }
    bool link = found == FOUND_FOLDER && entry->d_type != DT_DIR;
    struct dt2_listed listed = { dt2_strdup(name), found == FOUND_FOLDER, link };
    if (!listed.name || !DT2_GROW(listing->entries, listing->count, listing->capacity)) {
        dt2_release(listed.name);
        return DT2_ENOMEM;
    }
    listing->entries[listing->count++] = listed;
    return 0;
}

/* Adds what a directory holds to `listing`; errno tells of what could not be read. Returns 0 or DT2_ENOMEM. */
static int read_entries(struct dt2_listing *listing, const char *path, const struct dt2_log *log)
{
    DIR *directory = opendir(path);
    if (!directory)
        return 0;
    int rc = 0, failure = 0;
    while (rc == 0) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (!entry) {
            failure = errno;
            break;
        }
        rc = add_listed(listing, directory, entry, path, log);
    }
    closedir(directory);
    errno = failure;
    return rc;
}

/* Reads a directory; what cannot be read is logged, and tried again at the next scan. */
static struct dt2_listing *read_listing(const char *path, const struct dt2_stamp *stamp, const struct dt2_log *log)
{
    struct dt2_listing *listing = dt2_alloc(1, sizeof *listing);
    if (!listing)
        return NULL;
    listing->references = 1;
    listing->stamp = *stamp;
    errno = 0;
    if (read_entries(listing, path, log) < 0) {
        release_listing(listing);
        return NULL;
    }
    if (errno) {
        listing->stamp.settled = false;
        warn_of(log, path, "", strerror(errno));
    }
    return listing;
}

/* -- the walk -- */

/* Far more than anybody has; what a link to the root of a machine would find is cut here. */
#define FOLDERS_MOST 32768
#define MODELS_MOST 262144

struct walk {
    const struct dt2_scan *before;
    struct dt2_scan *scan;
    const struct dt2_log *log;
    const struct dt2_watch *watch;
    const char *folder;
    size_t rank;
    struct dt2_text path; /* where we are */
    struct dt2_seen seen; /* in this folder and below */
    char **links;         /* to folders: these are walked last, so that a folder is found where it is */
    size_t link_count, link_capacity, links_done;
};

static int by_path(const void *a, const void *b)
{
    const struct dt2_read *x = a, *y = b;
    return strcmp(x->path, y->path);
}

/* What the directory that the walk is in holds: from the earlier scan while that stands. NULL without memory. */
static const struct dt2_listing *list(struct walk *walk, const struct dt2_stamp *stamp)
{
    struct dt2_scan *scan = walk->scan;
    struct dt2_read read = { dt2_strdup(walk->path.data), NULL };
    if (!read.path || !DT2_GROW(scan->reads, scan->read_count, scan->read_capacity)) {
        dt2_release(read.path);
        return NULL;
    }
    const struct dt2_scan *before = walk->before;
    const struct dt2_read *known =
        before->read_count ? bsearch(&read, before->reads, before->read_count, sizeof read, by_path) : NULL;
    if (known && dt2_stamp_stands(&known->listing->stamp, stamp)) {
        read.listing = known->listing;
        read.listing->references++;
    } else {
        read.listing = read_listing(read.path, stamp, walk->log);
    }
    if (!read.listing) {
        dt2_release(read.path);
        return NULL;
    }
    scan->reads[scan->read_count++] = read;
    return read.listing;
}

static int add_model(struct walk *walk)
{
    struct dt2_scan *scan = walk->scan;
    char *path = dt2_strndup(walk->path.data, walk->path.length);
    if (!path || !DT2_GROW(scan->models, scan->model_count, scan->model_capacity)) {
        dt2_release(path);
        return DT2_ENOMEM;
    }
    const char *name = path + strlen(walk->folder);
    scan->models[scan->model_count++] = (struct dt2_model_name){
        .entry = { .name = name + strspn(name, "/"), .path = path, .folder = walk->folder },
        .rank = walk->rank,
        .path = path,
    };
    return 0;
}

/* Whether the scan has found as much as it may: said once. */
static bool is_full(struct walk *walk)
{
    struct dt2_scan *scan = walk->scan;
    if (scan->read_count < FOLDERS_MOST && scan->model_count < MODELS_MOST)
        return false;
    if (!scan->full)
        dt2_log_line(walk->log, DT2_LOG_WARNING,
                     "the catalogue is cut at %zu folders and %zu models: a link may lead to much more than models, at %s",
                     scan->read_count, scan->model_count, walk->path.data);
    scan->full = true;
    return true;
}

/*
 * Whether to walk the directory: not when it went away, is none, is the kernel's own, or when the walk has been there:
 * however many links lead to a folder, it is listed once. Returns 1, 0 or DT2_ENOMEM.
 */
static int enter(struct walk *walk, dev_t above, struct dt2_stamp *stamp)
{
    bool known;
    if (!dt2_stamp_take(walk->path.data, stamp)) {
        if (errno != ENOENT && errno != ENOTDIR)
            warn_of(walk->log, walk->path.data, "", strerror(errno));
        return 0;
    }
    if (!S_ISDIR(stamp->kind) || (stamp->device != above && dt2_is_kernels(walk->path.data)))
        return 0;
    if (!dt2_seen_add(&walk->seen, stamp->device, stamp->inode, &known))
        return DT2_ENOMEM;
    return !known;
}

static int keep_link(struct walk *walk)
{
    char *path = dt2_strndup(walk->path.data, walk->path.length);
    if (!path || !DT2_GROW(walk->links, walk->link_count, walk->link_capacity)) {
        dt2_release(path);
        return DT2_ENOMEM;
    }
    walk->links[walk->link_count++] = path;
    return 0;
}

static int walk_folder(struct walk *walk, dev_t above);

/* Goes to `listed` in the directory of `device` that the path is of. */
static int visit(struct walk *walk, const struct dt2_listed *listed, dev_t device)
{
    size_t length = walk->path.length;
    if (walk->path.data[length - 1] != '/')
        dt2_text_add(&walk->path, "/", 1);
    dt2_text_add(&walk->path, listed->name, strlen(listed->name));
    if (walk->path.failed)
        return DT2_ENOMEM;
    int rc = listed->link     ? keep_link(walk)
             : listed->folder ? walk_folder(walk, device)
                              : add_model(walk);
    walk->path.length = length;
    walk->path.data[length] = '\0';
    return rc;
}

/* Recurses no deeper than the longest path that the kernel takes allows. */
static int walk_folder(struct walk *walk, dev_t above)
{
    struct dt2_stamp stamp;
    int rc = is_full(walk) ? 0 : enter(walk, above, &stamp);
    if (rc <= 0)
        return rc;
    const struct dt2_watch *watch = walk->watch;
    if (watch->function && watch->function(watch->data, walk->scan->read_count, walk->scan->model_count))
        return DT2_ECANCELLED;
    const struct dt2_listing *listing = list(walk, &stamp);
    if (!listing)
        return DT2_ENOMEM;
    rc = 0;
    for (size_t i = 0; i < listing->count && rc == 0 && !walk->scan->full; i++)
        rc = visit(walk, &listing->entries[i], stamp.device);
    return rc;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Follows the links that were met, then those that these led to: in the order of their paths, whatever directories say. */
static int walk_links(struct walk *walk)
{
    int rc = 0;
    while (rc == 0 && walk->links_done < walk->link_count) {
        size_t end = walk->link_count;
        qsort(walk->links + walk->links_done, end - walk->links_done, sizeof *walk->links, by_text);
        for (; rc == 0 && walk->links_done < end; walk->links_done++) {
            const char *path = walk->links[walk->links_done];
            walk->path.length = 0;
            dt2_text_add(&walk->path, path, strlen(path));
            rc = walk->path.failed ? DT2_ENOMEM : walk_folder(walk, 0);
        }
    }
    return rc;
}

static int walk_all(struct walk *walk)
{
    dt2_text_add(&walk->path, walk->folder, strlen(walk->folder));
    int rc = walk->path.failed ? DT2_ENOMEM : walk_folder(walk, 0);
    if (rc == 0)
        rc = walk_links(walk);
    for (size_t i = 0; i < walk->link_count; i++)
        dt2_release(walk->links[i]);
    dt2_release(walk->links);
    dt2_seen_clear(&walk->seen);
    dt2_text_clear(&walk->path);
    return rc;
}

/* -- the models, by name -- */

/* Bytes of UTF-8 sort as its code points do. */
static int by_name(const void *a, const void *b)
{
    const struct dt2_model_name *x = a, *y = b;
    int order = strcmp(x->entry.name, y->entry.name);
    return order ? order : x->rank < y->rank ? -1 : x->rank > y->rank;
}

static void keep_first_of_each(struct dt2_scan *scan)
{
    size_t kept = 0;
    for (size_t i = 0; i < scan->model_count; i++) {
        struct dt2_model_name *model = &scan->models[i];
        if (kept > 0 && strcmp(scan->models[kept - 1].entry.name, model->entry.name) == 0)
            dt2_release(model->path);
        else
            scan->models[kept++] = *model;
    }
    scan->model_count = kept;
}

int dt2_scan_make(char *const *folders, size_t count, const struct dt2_scan *before, const struct dt2_log *log,
                  const struct dt2_watch *watch, struct dt2_scan *scan, struct dt2_error *err)
{
    struct dt2_scan made = { 0 };
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        struct walk walk = { .before = before, .scan = &made, .log = log, .watch = watch, .folder = folders[i],
                             .rank = i };
        rc = walk_all(&walk);
    }
    if (rc < 0) {
        dt2_scan_clear(&made);
        return rc == DT2_ECANCELLED ? dt2_fail(err, rc, "the search for models was interrupted") : dt2_fail_nomem(err);
    }
    if (made.read_count)
        qsort(made.reads, made.read_count, sizeof *made.reads, by_path);
    if (made.model_count)
        qsort(made.models, made.model_count, sizeof *made.models, by_name);
    keep_first_of_each(&made);
    *scan = made;
    return 0;
}

void dt2_scan_clear(struct dt2_scan *scan)
{
    for (size_t i = 0; i < scan->model_count; i++)
        dt2_release(scan->models[i].path);
    for (size_t i = 0; i < scan->read_count; i++) {
        release_listing(scan->reads[i].listing);
        dt2_release(scan->reads[i].path);
    }
    dt2_release(scan->models);
    dt2_release(scan->reads);
    *scan = (struct dt2_scan){ 0 };
}

const struct dt2_catalog_entry *dt2_scan_find(const struct dt2_scan *scan, const char *name)
{
    size_t low = 0, high = scan->model_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(scan->models[middle].entry.name, name);
        if (order == 0)
            return &scan->models[middle].entry;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct dt2_catalog_changes dt2_scan_compare(const struct dt2_scan *before, const struct dt2_scan *after)
{
    struct dt2_catalog_changes changes = { 0 };
    size_t i = 0, j = 0;
    while (i < before->model_count || j < after->model_count) {
        int order = 0;
        if (i == before->model_count || j == after->model_count)
            order = i == before->model_count ? 1 : -1;
        else
            order = strcmp(before->models[i].entry.name, after->models[j].entry.name);
        bool moved = order == 0 && strcmp(before->models[i].path, after->models[j].path) != 0;
        changes.removed += order < 0 || moved;
        changes.added += order > 0 || moved;
        i += order <= 0;
        j += order >= 0;
    }
    return changes;
}
