/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The catalogue: model files in ComfyUI's folders, in ComfyUI's order, under ComfyUI's names. The rules are
 * those of ComfyUI's folder_paths.py and extra_config.py; `.gguf` files are listed besides.
 */
#ifndef DISTORCH2_CATALOG_H
#define DISTORCH2_CATALOG_H

#include <distorch2/context.h>

DT2_BEGIN_DECLS

struct dt2_catalog; /* opaque */

/*
 * Told at each folder that a scan comes to how many folders and models it has found. What is not 0 ends the scan: it then
 * fails with DT2_ECANCELLED.
 */
typedef int dt2_scan_fn(void *data, size_t folders, size_t models);

/* Where to look; zero or NULL means the default. Nothing of it is kept but copies. */
struct dt2_catalog_options {
    size_t struct_size;
    /* ComfyUI's base directory. NULL: $COMFYUI_PATH; else the current directory when it holds "models/"; else
     * ~/ComfyUI when it exists; else none. */
    const char *comfyui;
    /* Further extra_model_paths.yaml files, read in order after the one in the base directory. */
    const char *const *extra_model_paths;
    size_t extra_model_path_count;
    /* ComfyUI's folder category; NULL: "controlnet" (folders models/controlnet and models/t2i_adapter). */
    const char *category;
    dt2_scan_fn *progress; /* during scans, on the thread that calls; kept for refreshes */
    void *progress_data;
};
#define DT2_CATALOG_OPTIONS_INIT { sizeof(struct dt2_catalog_options), NULL, NULL, 0, NULL, NULL, NULL }

/*
 * One model file. `name` is relative to `folder`, '/'-separated; `path` is absolute. It belongs to the
 * catalogue, until the next refresh.
 */
struct dt2_catalog_entry {
    const char *name;
    const char *path;
    const char *folder;
};

/*
 * Opens a catalogue and scans it. `log` receives warnings, now and at each refresh: what is malformed in a YAML file
 * (with file, line and what was expected; the other sections stand), dangling links. `log` and `options` may be NULL.
 * Errors: DT2_EFAILED when a file of extra_model_paths cannot be read, or a path is relative and there is no working
 * directory; DT2_EUSAGE for a category that is no name, or a struct_size below that of the first version; DT2_ENOMEM. A folder that does not
 * exist gives nothing. An empty catalogue is no error. Links are followed; however many lead to a folder, it is listed once, where
 * it lies, or else by the first of them by name. File systems of the kernel are not looked into; what is beyond 32,768
 * folders or 262,144 models is cut, with a warning. Names that are not UTF-8 are skipped with a warning.
 */
DT2_PUBLIC int dt2_catalog_open(const struct dt2_catalog_options *options, dt2_log_fn *log, void *log_data,
                                struct dt2_catalog **catalog, struct dt2_error *err);
DT2_PUBLIC void dt2_catalog_free(struct dt2_catalog *catalog);

/* What dt2_catalog_refresh() saw. */
struct dt2_catalog_changes {
    size_t struct_size;
    size_t added;   /* paths that are listed now and were not before */
    size_t removed; /* paths that were listed before and are not now */
};
#define DT2_CATALOG_CHANGES_INIT { sizeof(struct dt2_catalog_changes), 0, 0 }

/*
 * Looks again: one stat for a directory that has not changed. `changes` may be NULL. Entries and names returned
 * before are invalid afterwards, so no other thread may read the catalogue meanwhile.
 * The YAML files are read again when they changed. Errors: as dt2_catalog_open(); the catalogue then stays as it was.
 */
DT2_PUBLIC int dt2_catalog_refresh(struct dt2_catalog *catalog, struct dt2_catalog_changes *changes,
                                   struct dt2_error *err);

/* The folders that are searched, in order; whether they exist or not. NULL for a wrong index. */
DT2_PUBLIC size_t dt2_catalog_folder_count(const struct dt2_catalog *catalog);
DT2_PUBLIC const char *dt2_catalog_folder(const struct dt2_catalog *catalog, size_t index);

/* The models, sorted by name, code point by code point. NULL for a wrong index. */
DT2_PUBLIC size_t dt2_catalog_count(const struct dt2_catalog *catalog);
DT2_PUBLIC const struct dt2_catalog_entry *dt2_catalog_get(const struct dt2_catalog *catalog, size_t index);

/* The size of an entry's file in bytes, asked of the file system now; DT2_UNKNOWN when it is gone. */
DT2_PUBLIC uint64_t dt2_catalog_bytes(const struct dt2_catalog_entry *entry);

/* Whether what a user calls a model is written as a path: it begins with "/", "./" or "../". No catalogue is needed for it. */
DT2_PUBLIC bool dt2_catalog_is_path(const char *model);

/*
 * Resolves what a user calls a model: a catalogue name first; a path when it begins with "/", "./" or "../" or when
 * no name matches; then an id of the Hugging Face hub, "USER/NAME" or "USER/NAME/FILE", which "hf:" before it makes an id
 * whatever else there is. Ids are looked up in the hub's local cache alone ($HF_HUB_CACHE, $HF_HOME/hub, or
 * ~/.cache/huggingface/hub), in the snapshot of refs/main: the file that is named, a folder of the diffusers library, or
 * the only model that there is. A name that would leave its folder by ".." is refused.
 * `path` receives the file or folder to open (free with dt2_text_free()). `catalog` may be NULL: paths and ids are known then.
 * Errors: DT2_ENOENT; the suggestion lists the nearest names, and of an id that has several models the text does.
 * DT2_EFAILED for a path that cannot be looked at, and for a download that is not complete, naming what is missing.
 */
DT2_PUBLIC int dt2_catalog_resolve(const struct dt2_catalog *catalog, const char *model, char **path,
                                   struct dt2_error *err);

DT2_END_DECLS
#endif
