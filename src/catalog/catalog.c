/* SPDX-License-Identifier: BSD-3-Clause */
#include "catalog/catalog.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/sized.h"
#include <string.h>

static int make(struct dt2_catalog *catalog, const struct dt2_catalog_options *options, struct dt2_error *err)
{
    int rc = dt2_sources_make(options, &catalog->log, &catalog->sources, err);
    if (rc == 0)
        rc = dt2_search_make(&catalog->sources, &catalog->log, &catalog->search, err);
    if (rc == 0)
        rc = dt2_scan_make(catalog->search.folders, catalog->search.count, &catalog->scan, &catalog->log,
                           &catalog->watch, &catalog->scan, err);
    return rc;
}

static const struct dt2_sized sized_options =
    DT2_SIZED(struct dt2_catalog_options, category, "the catalogue options'", "DT2_CATALOG_OPTIONS_INIT");
static const struct dt2_sized sized_changes =
    DT2_SIZED(struct dt2_catalog_changes, removed, "the changes'", "DT2_CATALOG_CHANGES_INIT");

int dt2_catalog_open(const struct dt2_catalog_options *options, dt2_log_fn *log, void *log_data,
                     struct dt2_catalog **catalog, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    struct dt2_catalog_options known = DT2_CATALOG_OPTIONS_INIT;
    if (dt2_options_read(&sized_options, options, &known, err) < 0)
        return DT2_EUSAGE;
    struct dt2_catalog *made = dt2_alloc(1, sizeof *made);
    if (!made)
        return dt2_fail_nomem(err);
    made->log = (struct dt2_log){ log, log_data };
    made->watch = (struct dt2_watch){ known.progress, known.progress_data };
    int rc = make(made, &known, err);
    if (rc < 0)
        dt2_catalog_free(made);
    else
        *catalog = made;
    return rc;
}

void dt2_catalog_free(struct dt2_catalog *catalog)
{
    DT2_KEEP_ERRNO;
    if (!catalog)
        return;
    dt2_scan_clear(&catalog->scan);
    dt2_search_clear(&catalog->search);
    dt2_sources_clear(&catalog->sources);
    dt2_release(catalog);
}

/* Puts `search` and a scan of its folders in the place of the catalogue's; on failure the catalogue stays as it was. */
static int replace(struct dt2_catalog *catalog, struct dt2_search *search, struct dt2_catalog_changes *changes,
                   struct dt2_error *err)
{
    struct dt2_scan scan;
    int rc = dt2_scan_make(search->folders, search->count, &catalog->scan, &catalog->log, &catalog->watch, &scan, err);
    if (rc < 0)
        return rc;
    if (changes) {
        const struct dt2_catalog_changes found = dt2_scan_compare(&catalog->scan, &scan);
        dt2_result_write(&sized_changes, &found, changes);
    }
    dt2_scan_clear(&catalog->scan);
    catalog->scan = scan;
    return 0;
}

int dt2_catalog_refresh(struct dt2_catalog *catalog, struct dt2_catalog_changes *changes, struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    if (changes && dt2_result_check(&sized_changes, changes, err) < 0)
        return DT2_EUSAGE;
    if (dt2_search_stands(&catalog->search, &catalog->sources))
        return replace(catalog, &catalog->search, changes, err);
    struct dt2_search search;
    int rc = dt2_search_make(&catalog->sources, &catalog->log, &search, err);
    if (rc < 0)
        return rc;
    rc = replace(catalog, &search, changes, err);
    if (rc < 0) {
        dt2_search_clear(&search);
        return rc;
    }
    dt2_search_clear(&catalog->search);
    catalog->search = search;
    return 0;
}

size_t dt2_catalog_folder_count(const struct dt2_catalog *catalog)
{
    return catalog->search.count;
}

const char *dt2_catalog_folder(const struct dt2_catalog *catalog, size_t index)
{
    return index < catalog->search.count ? catalog->search.folders[index] : NULL;
}

size_t dt2_catalog_count(const struct dt2_catalog *catalog)
{
    return catalog->scan.model_count;
}

const struct dt2_catalog_entry *dt2_catalog_get(const struct dt2_catalog *catalog, size_t index)
{
    return index < catalog->scan.model_count ? &catalog->scan.models[index].entry : NULL;
}

uint64_t dt2_catalog_bytes(const struct dt2_catalog_entry *entry)
{
    DT2_KEEP_ERRNO;
    struct stat st;
    return stat(entry->path, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : DT2_UNKNOWN;
}
