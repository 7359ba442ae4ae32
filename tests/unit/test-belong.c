/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every public function that takes two objects checks that they belong together, and says so before it touches anything:
 *
 *   dt2_model_load            file, blocks
 *   dt2_model_load_plan       file, blocks, plan
 *   dt2_blocks_cut            blocks, file
 *   dt2_plan_check, _json     plan, file
 *   dt2_session_verify        session, file
 *   dt2_tensor_dlpack         model, session
 *   dt2_tensor_dlpack_device  model, session
 */
#include "support/layout.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>

static struct dt2_context *context;

struct source {
    char path[PATH_MAX];
    struct dt2_file *file;
    struct dt2_blocks *blocks;
};

/* Writes a model of `count` tensors of `bytes` bytes to the file `name`. */
static const char *write_model(const char *name, size_t count, const char *bytes)
{
    static char names[64][24];
    struct layout layout = { 0 };
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "block%zu.%s", i / 2, i % 2 ? "bias" : "weight");
        layout_add(&layout, names[i], "U8", bytes);
    }
    size_t size;
    char *header = layout_header(&layout, &size);
    const char *path = scratch_file(name, header, size, layout.bytes);
    free(header);
    free(layout.tensors);
    return path;
}

static void open_source(struct source *source, const char *path)
{
    struct dt2_error err;
    snprintf(source->path, sizeof source->path, "%s", path);
    if (dt2_file_open(source->path, &source->file, &err) < 0 || dt2_blocks_make(source->file, &source->blocks, &err) < 0)
        layout_die("%s", err.text);
}

static void close_source(struct source *source)
{
    dt2_blocks_free(source->blocks);
    dt2_file_free(source->file);
}

static struct dt2_request on_cpu(void)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    request.compute_device = "cpu";
    return request;
}

static struct dt2_model *load(struct source *source)
{
    struct dt2_request request = on_cpu();
    struct dt2_model *model;
    struct dt2_error err;
    request.eject_models = false;
    if (dt2_model_load(context, source->file, source->blocks, &request, NULL, &model, &err) < 0)
        layout_die("%s", err.text);
    return model;
}

static void unload(struct dt2_model *model)
{
    dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
    dt2_model_unref(model);
}

/* A refusal names both. */
static void refused(int code, const struct dt2_error *err, const char *one, const char *other, const char *what)
{
    is_int(code, DT2_EUSAGE, "%s: refused", what);
    if (!ok(strstr(err->text, one) && strstr(err->text, other), "%s: both are named", what))
        diag("%s", err->text);
}

static void test_blocks(struct source *large, struct source *small)
{
    struct dt2_request request = on_cpu();
    struct dt2_model *bystander = load(small), *model = NULL;
    struct dt2_error err = { 0 };
    refused(dt2_model_load(context, small->file, large->blocks, &request, NULL, &model, &err), &err, large->path,
            small->path, "more blocks than the file has");
    refused(dt2_model_load(context, large->file, small->blocks, &request, NULL, &model, &err), &err, large->path,
            small->path, "fewer blocks than the file has");
    ok(model == NULL, "no model comes of it");
    ok(dt2_model_loaded(bystander), "and nothing was ejected for it");
    unload(bystander);
}

/* Blocks that are kept while their file is replaced on disk. */
static void test_kept(void)
{
    struct dt2_request request = on_cpu();
    struct dt2_model *model = NULL;
    struct dt2_error err = { 0 };
    struct source source;
    struct dt2_file *again;
    open_source(&source, write_model("kept.safetensors", 40, "4096"));
    char other[PATH_MAX];
    snprintf(other, sizeof other, "%s", write_model("other.safetensors", 8, "100"));
    scratch_need(rename(other, source.path) == 0, other);
    is_int(dt2_file_open(source.path, &again, &err), 0, "the file that took its place opens");
    refused(dt2_model_load(context, again, source.blocks, &request, NULL, &model, &err), &err, "with 40 tensors",
            "has 8", "blocks of the file that was there before");
    dt2_file_free(again);
    scratch_need(rename(write_model("same.safetensors", 40, "4096"), source.path) == 0, source.path);
    is_int(dt2_file_open(source.path, &again, &err), 0, "a file with the same table takes its place");
    is_int(dt2_model_load(context, again, source.blocks, &request, NULL, &model, &err), 0, "the blocks serve for it");
    if (model)
        unload(model);
    dt2_file_free(again);
    close_source(&source);
}

static void test_plan(struct source *large, struct source *small)
{
    struct dt2_plan *plan;
    struct dt2_error err = { 0 };
    struct dt2_request request = on_cpu();
    is_int(dt2_model_plan(context, large->blocks, &request, &plan, &err), 0, "a plan");
    is_int(dt2_plan_check(plan, large->file, &err), 0, "is for its file");
    refused(dt2_plan_check(plan, small->file, &err), &err, small->path, "block block", "for another file");
    struct dt2_model *model = NULL;
    struct dt2_blocks *cut = NULL;
    refused(dt2_model_load_plan(context, small->file, small->blocks, plan, NULL, &model, &err), &err, "its 20", "2 given",
            "loading by the plan of other blocks");
    refused(dt2_model_load_plan(context, small->file, large->blocks, plan, NULL, &model, &err), &err, large->path,
            small->path, "loading another file by it");
    refused(dt2_blocks_cut(large->blocks, small->file, "*=cpu", &cut, &err), &err, large->path, small->path,
            "cutting blocks of another file");
    ok(!model && !cut, "nothing comes of these");
    is_int(dt2_model_load_plan(context, large->file, large->blocks, plan, NULL, &model, &err), 0, "its own loads");
    if (model) {
        is_str(dt2_model_device(model, 0), "cpu", "as the plan says");
        unload(model);
    }
    char *json = dt2_plan_json(plan, small->file);
    ok(json == NULL, "which is no part of its JSON");
    dt2_text_free(json);
    json = dt2_plan_json(plan, large->file);
    ok(json && strstr(json, dt2_file_fingerprint(large->file)), "its own is");
    dt2_text_free(json);
    dt2_plan_free(plan);
}

static void test_session(struct source *large, struct source *small)
{
    struct dt2_model *one = load(large), *two = load(small);
    struct dt2_session *session;
    struct dt2_error err = { 0 };
    void *managed = NULL;
    struct dt2_dlpack_device device = DT2_DLPACK_DEVICE_INIT;
    is_int(dt2_session_open(one, NULL, &session, &err), 0, "a session");
    refused(dt2_session_verify(session, small->file, NULL, NULL, NULL, &err), &err, small->path, large->path,
            "verifying against another file");
    refused(dt2_tensor_dlpack(two, session, 0, DT2_DLPACK_VERSIONED, &managed, &err), &err, "another model", large->path,
            "a tensor of another model");
    refused(dt2_tensor_dlpack_device(two, session, 0, &device, &err), &err, "another model", large->path,
            "its device");
    dt2_session_close(session, NULL);
    unload(one);
    unload(two);
}

int main(void)
{
    struct source large, small;
    struct dt2_context_options options = DT2_CONTEXT_OPTIONS_INIT;
    options.backend_path = "";
    if (dt2_context_create(&options, &context, NULL) < 0)
        return 1;
    open_source(&large, write_model("large.safetensors", 40, "5000"));
    open_source(&small, write_model("small.safetensors", 4, "100"));
    test_blocks(&large, &small);
    test_kept();
    test_plan(&large, &small);
    test_session(&large, &small);
    close_source(&large);
    close_source(&small);
    dt2_context_destroy(context);
    return done_testing();
}
