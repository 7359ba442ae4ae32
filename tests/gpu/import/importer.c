/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program that loads a model, and a library that brings its own runtime (needs.c), in one order or the other.
 *
 * usage: importer us|import DEVICE LIBRARY [RUNTIME]
 *
 * us: the model is loaded first. RUNTIME is the context's option for the device's driver. What the drivers say of
 * themselves is printed, and why something could not be done: then it ends with 1.
 */
#include "mixed/source.h"
#include <dlfcn.h>

static int (*import_work)(void *);

static void import(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL), *work = library ? dlsym(library, "import_work") : NULL;
    if (!work)
        layout_die("%s", dlerror());
    memcpy(&import_work, &work, sizeof work);
}

static void print_line(void *data, enum dt2_log_level level, const char *line)
{
    (void)data;
    (void)level;
    puts(line);
}

/* The first tensor's place is written to by the library, where that is there already, before all is given back. */
static void load(const struct dt2_context_options *how, const struct source *source, const char *device)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
    struct dt2_context *context;
    struct dt2_model *model;
    struct dt2_native native = DT2_NATIVE_INIT;
    struct dt2_error err;
    request.compute_device = device;
    request.virtual_vram_bytes = 0;
    options.verify = true;
    if (dt2_context_create(how, &context, &err) < 0 ||
        dt2_model_load(context, source->file, source->blocks, &request, &options, &model, &err) < 0)
        layout_die("%s", err.text);
    if (strcmp(dt2_model_device(model, 0), device) != 0)
        layout_die("the model lies on %s", dt2_model_device(model, 0));
    if (import_work && (dt2_model_native(model, 0, &native, &err) < 0 || import_work(native.handle) != 0))
        layout_die("the library cannot work with the model's memory");
    dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
    dt2_model_unref(model);
    dt2_context_destroy(context);
}

int main(int argc, char **argv)
{
    struct dt2_context_options how = DT2_CONTEXT_OPTIONS_INIT;
    struct source source;
    if (argc < 4)
        return 2;
    bool us_first = strcmp(argv[1], "us") == 0, hip = strncmp(argv[2], "hip", 3) == 0;
    how.log = print_line;
    how.cuda_runtime = hip ? NULL : argv[4];
    how.hip_runtime = hip ? argv[4] : NULL;
    seed_random(20261129);
    scratch_begin();
    source_make(&source, "model.safetensors", 8, 40000);
    if (us_first)
        load(&how, &source, argv[2]);
    import(argv[3]);
    load(&how, &source, argv[2]);
    source_free(&source);
    return import_work(NULL);
}
