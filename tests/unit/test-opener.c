/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Models whose files a program opens itself, from memory that it has: of every format, in one file or several, the table and the bytes
 * are those of the files at the paths, and what happens there afterwards does not matter.
 */
#include "base/checked.h"
#include "support/compared.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* -- what opens ----------------------------------------------------------------------------------------------------- */

struct opened {
    size_t count;
    int last; /* a second descriptor of the last one */
};

static int in_memory(void *data, const char *path, struct dt2_error *err)
{
    struct opened *opened = data;
    char bytes[4096];
    ssize_t got;
    int from = open(path, O_RDONLY | O_CLOEXEC), fd = memfd_create("model", MFD_CLOEXEC);
    if (from < 0 || fd < 0)
        exit(1);
    while ((got = read(from, bytes, sizeof bytes)) > 0)
        if (write(fd, bytes, (size_t)got) != got)
            exit(1);
    close(from);
    opened->count++;
    if (opened->last >= 0)
        close(opened->last);
    opened->last = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    (void)err;
    return fd;
}

static int fails(void *data, const char *path, struct dt2_error *err)
{
    (void)data;
    err->code = DT2_ENOENT;
    snprintf(err->text, sizeof err->text, "%s is not in the job", path);
    return DT2_ENOENT;
}

static int fails_silently(void *data, const char *path, struct dt2_error *err)
{
    (void)data, (void)path, (void)err;
    return DT2_EFAILED;
}

static int gives_pipe(void *data, const char *path, struct dt2_error *err)
{
    int ends[2];
    (void)data, (void)path, (void)err;
    if (pipe2(ends, O_CLOEXEC) < 0)
        exit(1);
    close(ends[1]);
    return ends[0];
}

static int open_by(const char *path, dt2_open_fn *open, void *data, struct dt2_file **file, struct dt2_error *err)
{
    struct dt2_file_options how = DT2_FILE_OPTIONS_INIT;
    how.open = open;
    how.open_data = data;
    return dt2_file_open_with(path, &how, file, err);
}

/* -- tests ---------------------------------------------------------------------------------------------------------- */

static void test_model(const char *path, size_t files)
{
    struct dt2_file *there = NULL, *here = NULL;
    struct dt2_error err = { 0 };
    struct opened opened = { .last = -1 };
    if (!ok(dt2_file_open(path, &there, &err) == 0 && open_by(path, in_memory, &opened, &here, &err) == 0, "%s: opened in both ways",
            path)) {
        diag("%s", err.text);
        dt2_file_free(there);
        return;
    }
    ok(opened.count >= files, "each of its %zu files is asked for: %zu", files, opened.count);
    is_str(dt2_file_path(here), dt2_file_path(there), "its path is the one that was given");
    is_str(dt2_file_fingerprint(here), dt2_file_fingerprint(there), "the table is the same");
    is_u64(compared_differences(there, here), 0, "and so is every tensor");
    dt2_file_free(there);
    is_int(dt2_file_unchanged(here, &err), 0, "it is as it was");
    if (ftruncate(opened.last, 1) < 0)
        exit(1);
    ok(dt2_file_unchanged(here, &err) == DT2_EFAILED && strstr(err.text, "had"), "until it changes: %s", err.text);
    dt2_file_free(here);
    close(opened.last);
}

#define HEADER                                                            \
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[90],\"data_offsets\":[0,90]}," \
    "\"b\":{\"dtype\":\"U8\",\"shape\":[90],\"data_offsets\":[90,180]}}"

/* What stands at the path afterwards does not matter, and loads are of what was given. */
static void test_gone(void)
{
    char path[PATH_MAX];
    struct dt2_file *file;
    struct dt2_blocks *blocks;
    struct dt2_context *context;
    struct dt2_model *model;
    struct dt2_error err;
    struct opened opened = { .last = -1 };
    struct dt2_load_options how = DT2_LOAD_OPTIONS_INIT;
    struct dt2_request request = DT2_REQUEST_INIT;
    snprintf(path, sizeof path, "%s", scratch_safetensors("gone.safetensors", HEADER, strlen(HEADER), 180));
    if (open_by(path, in_memory, &opened, &file, &err) < 0 || unlink(path) < 0 || dt2_blocks_make_all(file, &blocks, &err) < 0 ||
        dt2_context_create(NULL, &context, &err) < 0)
        exit(1);
    how.verify = true;
    request.compute_device = "cpu";
    is_int(dt2_file_unchanged(file, &err), 0, "a file that is gone from its path is unchanged for who has it");
    for (how.io = DT2_IO_AUTO; how.io <= DT2_IO_DIRECT; how.io++) {
        int rc = dt2_model_load(context, file, blocks, &request, &how, &model, &err);
        if (!ok(rc == 0, "it is loaded, and verified, io %d%s%s", (int)how.io, rc ? ": " : "", rc ? err.text : ""))
            continue;
        ok(dt2_model_unload(model, DT2_UNLOAD_REFUSE, &err) == 0, "and unloaded");
        dt2_model_unref(model);
    }
    dt2_context_destroy(context);
    dt2_blocks_free(blocks);
    dt2_file_free(file);
    close(opened.last);
}

static void test_refused(void)
{
    char path[PATH_MAX];
    struct dt2_file *file = NULL;
    struct dt2_error err;
    int before = dup(0);
    close(before);
    snprintf(path, sizeof path, "%s", scratch_safetensors("model", HEADER, strlen(HEADER), 180));
    ok(open_by(path, fails, NULL, &file, &err) == DT2_ENOENT && strstr(err.text, "is not in the job"), "what it says is passed on: %s",
       err.text);
    ok(open_by(path, fails_silently, NULL, &file, &err) == DT2_EFAILED && strstr(err.text, path), "who says nothing is said to: %s",
       err.text);
    ok(open_by(path, fails_silently, NULL, &file, NULL) == DT2_EFAILED, "also to who does not listen");
    ok(open_by(path, gives_pipe, NULL, &file, &err) == DT2_EFAILED && strstr(err.text, "a pipe"), "a pipe is refused: %s", err.text);
    ok(!file, "no file was made");
    int after = dup(0);
    close(after);
    is_int(after, before, "and no descriptor is left");
}

int main(void)
{
    static const char index[] =
        "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":\"two.safetensors\"}}";
    static const char other[] = "{\"c\":{\"dtype\":\"U8\",\"shape\":[90],\"data_offsets\":[0,90]}}";
    char path[PATH_MAX];
    scratch_begin();
    test_model(data_path("gguf/types.gguf"), 1);
    test_model(data_path("pytorch/torch-zip.pth"), 1);
    test_model(data_path("pytorch/torch-legacy.pth"), 1);
    scratch_safetensors("one.safetensors", HEADER, strlen(HEADER), 180);
    scratch_safetensors("two.safetensors", other, strlen(other), 90);
    snprintf(path, sizeof path, "%s", scratch_text("all.safetensors.index.json", index));
    test_model(path, 3);
    test_model(scratch("one.safetensors"), 3);
    test_gone();
    test_refused();
    return done_testing();
}
