/* SPDX-License-Identifier: BSD-3-Clause */
/* The folders that are searched, in ComfyUI's order: its own, then those of extra_model_paths.yaml files. */
#ifndef DT2_CATALOG_SEARCH_H
#define DT2_CATALOG_SEARCH_H

#include "base/log.h"
#include "catalog/stamp.h"
#include <distorch2/catalog.h>

struct dt2_source_file {
    char *path;    /* absolute */
    bool required; /* the caller named it: it must be readable */
};

/* Where the list of folders comes from; fixed when a catalogue is opened, whatever the working directory is later. */
struct dt2_sources {
    char *base;     /* ComfyUI's directory, absolute; NULL: none */
    char *category; /* by its present name */
    struct dt2_source_file *files;
    size_t file_count;
};

/* ComfyUI renamed two folder categories; the former names stand for the present ones everywhere. */
const char *dt2_category_present_name(const char *category);
/* Errors: DT2_EUSAGE for a category that is no name; DT2_EFAILED for a relative path without a working directory. */
int dt2_sources_make(const struct dt2_catalog_options *options, const struct dt2_log *log, struct dt2_sources *sources,
                     struct dt2_error *err);
void dt2_sources_clear(struct dt2_sources *sources);

/* The list. Starts zeroed. */
struct dt2_search {
    char **folders;
    size_t count;
    size_t capacity;
    bool full;                /* more were asked for than can be listed */
    struct dt2_stamp *stamps; /* of the sources' files, when they were read */
};

/* Reads the files. Errors: DT2_EFAILED when a required one cannot be read; DT2_ENOMEM. */
int dt2_search_make(const struct dt2_sources *sources, const struct dt2_log *log, struct dt2_search *search,
                    struct dt2_error *err);
/* Adds the folders of one file's text; what is malformed in it is logged. Returns 0 or DT2_ENOMEM. */
int dt2_search_read(struct dt2_search *search, const char *category, const char *path, const char *data, size_t length,
                    const struct dt2_log *log, struct dt2_error *err);
/* Whether no file has changed since. */
bool dt2_search_stands(const struct dt2_search *search, const struct dt2_sources *sources);
void dt2_search_clear(struct dt2_search *search);

#endif
