/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the list of folders comes from: ComfyUI's directory, the category, the YAML files. */
#include "base/alloc.h"
#include "base/error.h"
#include "catalog/path.h"
#include "catalog/search.h"
#include <stdlib.h>
#include <string.h>

const char *dt2_category_present_name(const char *category)
{
    if (strcmp(category, "unet") == 0)
        return "diffusion_models";
    return strcmp(category, "clip") == 0 ? "text_encoders" : category;
}

static bool is_folder(const char *path)
{
    struct dt2_stamp stamp;
    return dt2_stamp_take(path, &stamp) && S_ISDIR(stamp.kind);
}

/* The directory that the user named; empty counts as not named. */
static const char *named_base(const struct dt2_catalog_options *options)
{
    if (options->comfyui && options->comfyui[0])
        return options->comfyui;
    const char *path = getenv("COMFYUI_PATH");
    return path && path[0] ? path : NULL;
}

static int find_base(const char *named, const struct dt2_log *log, char **base, struct dt2_error *err)
{
    if (named) {
        int rc = dt2_path_absolute(named, base, err);
        char shown[DT2_SHOWN_PATH];
        if (rc == 0 && !is_folder(*base))
            dt2_log_line(log, DT2_LOG_WARNING, "%s: no such folder; expected ComfyUI's directory",
                         dt2_show(*base, shown, sizeof shown));
        return rc;
    }
    if (is_folder("models"))
        return dt2_path_absolute(".", base, err);
    DT2_AUTO char *home = dt2_path_expand_home("~/ComfyUI");
    if (!home)
        return dt2_fail_nomem(err);
    return is_folder(home) ? dt2_path_absolute(home, base, err) : 0;
}

static int take_category(const char *category, char **taken, struct dt2_error *err)
{
    if (!category)
        category = "controlnet";
    if (category[0] == '\0' || category[0] == '.' || strchr(category, '/')) {
        char shown[DT2_SHOWN_PATH];
        return dt2_fail(err, DT2_EUSAGE, "category '%s': expected the name of one of ComfyUI's folder categories",
                        dt2_show(category, shown, sizeof shown));
    }
    *taken = dt2_strdup(dt2_category_present_name(category));
    return *taken ? 0 : dt2_fail_nomem(err);
}

/* The base directory's own file is read when it exists, before those that the caller names. */
static int list_files(const struct dt2_catalog_options *options, struct dt2_sources *sources, struct dt2_error *err)
{
    sources->files = dt2_alloc(options->extra_model_path_count + 1, sizeof *sources->files);
    if (!sources->files)
        return dt2_fail_nomem(err);
    if (sources->base) {
        char *path = dt2_path_join(sources->base, "extra_model_paths.yaml");
        if (!path)
            return dt2_fail_nomem(err);
        sources->files[sources->file_count++] = (struct dt2_source_file){ path, false };
    }
    for (size_t i = 0; i < options->extra_model_path_count; i++) {
        struct dt2_source_file *file = &sources->files[sources->file_count];
        int rc = dt2_path_absolute(options->extra_model_paths[i], &file->path, err);
        if (rc < 0)
            return rc;
        file->required = true;
        sources->file_count++;
    }
    return 0;
}

int dt2_sources_make(const struct dt2_catalog_options *options, const struct dt2_log *log, struct dt2_sources *sources,
                     struct dt2_error *err)
{
    struct dt2_sources made = { 0 };
    int rc = take_category(options->category, &made.category, err);
    if (rc == 0)
        rc = find_base(named_base(options), log, &made.base, err);
    if (rc == 0)
        rc = list_files(options, &made, err);
    if (rc < 0)
        dt2_sources_clear(&made);
    else
        *sources = made;
    return rc;
}

void dt2_sources_clear(struct dt2_sources *sources)
{
    for (size_t i = 0; i < sources->file_count; i++)
        dt2_release(sources->files[i].path);
    dt2_release(sources->files);
    dt2_release(sources->base);
    dt2_release(sources->category);
    *sources = (struct dt2_sources){ 0 };
}
