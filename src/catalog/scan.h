/* SPDX-License-Identifier: BSD-3-Clause */
/* The models that the folders hold. */
#ifndef DT2_CATALOG_SCAN_H
#define DT2_CATALOG_SCAN_H

#include "base/log.h"
#include "catalog/stamp.h"
#include <distorch2/catalog.h>

/* What one directory held when it was read; shared by a scan and those that follow while it does not change. */
struct dt2_listing {
    unsigned references;
    struct dt2_stamp stamp;
    struct dt2_listed {
        char *name;
        bool folder; /* else a model file */
        bool link;   /* to a folder */
    } *entries;
    size_t count;
    size_t capacity;
};

struct dt2_scan {
    struct dt2_model_name {
        struct dt2_catalog_entry entry;
        size_t rank; /* of its folder: the lowest counts */
        char *path;  /* owns what `entry` says */
    } *models;       /* by name */
    size_t model_count;
    size_t model_capacity;
    struct dt2_read {
        char *path;
        struct dt2_listing *listing;
    } *reads; /* by path: every directory that was walked */
    size_t read_count;
    size_t read_capacity;
    bool full; /* there was more than is listed */
};

/* Who is told how far a scan is, and may end it. */
struct dt2_watch {
    dt2_scan_fn *function; /* NULL: nobody */
    void *data;
};

/*
 * Walks the folders. Directories that have not changed since `before` (which may be zeroed) are not read again. Entries
 * refer to the strings of `folders`. Returns 0, DT2_ENOMEM or DT2_ECANCELLED.
 */
int dt2_scan_make(char *const *folders, size_t count, const struct dt2_scan *before, const struct dt2_log *log,
                  const struct dt2_watch *watch, struct dt2_scan *scan, struct dt2_error *err);
void dt2_scan_clear(struct dt2_scan *scan);
/* The model of that name, NULL when there is none. */
const struct dt2_catalog_entry *dt2_scan_find(const struct dt2_scan *scan, const char *name);
/* Counts the paths that only one of two scans has. */
struct dt2_catalog_changes dt2_scan_compare(const struct dt2_scan *before, const struct dt2_scan *after);

#endif
