/* SPDX-License-Identifier: BSD-3-Clause */
/* PyTorch files: those of tests/data are read as they must be, and hostile ones refused with their reason. */
#include "formats/file.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <dirent.h>
#include <distorch2.h>

/* Every file whose reason is in the table. */
static void test_refusals(void)
{
    char path[PATH_MAX], line[1024];
    snprintf(path, sizeof path, "%s", data_path("hostile/pytorch/verdicts.tsv"));
    FILE *stream = fopen(path, "re");
    if (!ok(stream && fgets(line, sizeof line, stream), "the verdicts are there"))
        return;
    size_t count = 0;
    for (; fgets(line, sizeof line, stream); count++) {
        line[strcspn(line, "\n")] = '\0';
        char *reason = strchr(line, '\t');
        *reason++ = '\0';
        snprintf(path, sizeof path, "hostile/pytorch/%s", line);
        struct dt2_file *file;
        struct dt2_error err = { 0 };
        int rc = dt2_file_open(data_path(path), &file, &err);
        is_int(rc, DT2_EFAILED, "%s is refused", line);
        ok(strstr(err.text, reason) && strstr(err.text, line), "%s", reason);
        if (!strstr(err.text, reason))
            diag("it says: %s", err.text);
        if (rc == 0)
            dt2_file_free(file);
    }
    fclose(stream);
    ok(count > 180, "%zu files", count);
}

static bool same_tensor(const struct dt2_file *found, size_t i, const struct dt2_file *wanted, size_t j)
{
    const struct dt2_tensor *a = dt2_file_tensor(found, i), *b = dt2_file_tensor(wanted, j);
    bool same = strcmp(a->dtype, b->dtype) == 0 && a->rank == b->rank && a->bytes == b->bytes;
    for (size_t k = 0; same && k < a->rank; k++)
        same = a->shape[k] == b->shape[k];
    if (!same)
        return false;
    char *x = malloc(a->bytes + 1), *y = malloc(a->bytes + 1);
    same = dt2_file_read(found, i, x, a->bytes, NULL) == 0 && dt2_file_read(wanted, j, y, b->bytes, NULL) == 0 &&
           memcmp(x, y, a->bytes) == 0;
    free(x);
    free(y);
    return same;
}

/* One file against the safetensors file beside it. */
static void test_file(const char *name)
{
    char path[PATH_MAX];
    struct dt2_file *found, *wanted;
    struct dt2_error err = { 0 };
    snprintf(path, sizeof path, "pytorch/%s.pth", name);
    if (!ok(dt2_file_open(data_path(path), &found, &err) == 0, "%s is read", name)) {
        diag("%s", err.text);
        return;
    }
    snprintf(path, sizeof path, "pytorch/%s.safetensors", name);
    if (!ok(dt2_file_open(data_path(path), &wanted, &err) == 0, "%s is there", path))
        return;
    is_u64(dt2_file_tensor_count(found), dt2_file_tensor_count(wanted), "%s: as many tensors", name);
    for (size_t i = 0; i < dt2_file_tensor_count(wanted); i++) {
        const struct dt2_tensor *tensor = dt2_file_tensor(wanted, i);
        size_t index;
        ok(dt2_file_find(found, tensor->name, &index, &err) == 0 && same_tensor(found, index, wanted, i), "%s: %s",
           name, tensor->name);
    }
    for (size_t i = 1; i < dt2_file_tensor_count(found); i++)
        if (dt2_file_tensor(found, i)->offset < dt2_file_tensor(found, i - 1)->offset)
            ok(false, "%s: in the order of their data", name);
    bool legacy = strstr(name, "legacy") || strstr(name, "python2") || strstr(name, "parts");
    is_str(dt2_file_format(found), legacy ? "pytorch-legacy" : "pytorch-zip", "%s: its format", name);
    dt2_file_free(found);
    dt2_file_free(wanted);
}

static void test_files(void)
{
    DIR *folder = opendir(data_path("pytorch"));
    if (!ok(folder, "the files are there"))
        return;
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char name[256];
        snprintf(name, sizeof name, "%s", entry->d_name);
        char *suffix = strstr(name, ".pth");
        if (!suffix)
            continue;
        *suffix = '\0';
        test_file(name);
        count++;
    }
    closedir(folder);
    ok(count > 25, "%zu files", count);
}

static struct dt2_file *open_data(const char *name)
{
    struct dt2_file *file;
    struct dt2_error err;
    if (dt2_file_open(data_path(name), &file, &err) == 0)
        return file;
    diag("%s", err.text);
    exit(1);
}

static const char *metadata(const struct dt2_file *file, const char *wanted)
{
    for (size_t i = 0; i < dt2_file_metadata_count(file); i++) {
        const char *key, *value;
        dt2_file_metadata(file, i, &key, &value);
        if (strcmp(key, wanted) == 0)
            return value;
    }
    return NULL;
}

/* What is no tensor is told by name. */
static void test_metadata(void)
{
    struct dt2_file *file = open_data("pytorch/torch-wrapped.pth");
    is_str(metadata(file, "epoch"), "7", "beside the state dict");
    is_str(metadata(file, "config"), "(a dict)", "a dict beside it");
    is_str(metadata(file, "step"), "12", "a number beside the tensors");
    is_str(metadata(file, "lr"), "0.0001", "a float");
    is_str(metadata(file, "flag"), "True", "a bool");
    is_str(metadata(file, "nothing"), "(None)", "None");
    is_str(metadata(file, "names"), "(a list)", "a list");
    is_str(metadata(file, "huge"), "(a long number)", "a long number");
    is_str(metadata(file, "kind"), "canny", "a string");
    is_str(metadata(file, "state_dict"), NULL, "not the state dict itself");
    is_u64(dt2_file_metadata_count(file), 9, "nothing else");
    dt2_file_free(file);
}

static size_t find(const struct dt2_file *file, const char *name)
{
    size_t index = SIZE_MAX;
    ok(dt2_file_find(file, name, &index, NULL) == 0, "%s is there", name);
    return index;
}

/* Tensors of the same bytes count once; those that only overlap do not. */
static void test_sharing(void)
{
    struct dt2_file *file = open_data("pytorch/torch-zip.pth");
    size_t all = find(file, "view.all"), same = find(file, "view.same"), part = find(file, "view.part");
    is_u64(dt2_file_home(file, same, NULL), dt2_file_home(file, all, NULL), "another shape is the same tensor");
    is_u64(dt2_file_home(file, part, NULL), part, "a part is not");
    is_u64(dt2_file_own_bytes(file, all) + dt2_file_own_bytes(file, same), 120, "its bytes count once");
    uint64_t sum = 0;
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++)
        sum += dt2_file_own_bytes(file, i);
    is_u64(dt2_file_total_bytes(file), sum, "as the sum of all");
    struct dt2_blocks *blocks;
    is_int(dt2_blocks_make(file, &blocks, NULL), 0, "its blocks");
    uint64_t bytes = 0;
    for (size_t i = 0; i < dt2_blocks_count(blocks); i++)
        bytes += dt2_blocks_array(blocks)[i].bytes;
    is_u64(bytes, sum, "have as many bytes");
    dt2_blocks_free(blocks);
    dt2_file_free(file);
}

/* A loaded tensor that shares its bytes is where the other one is, and reads as the file has it. */
static void check_loaded(const struct dt2_file *file, struct dt2_model *model)
{
    size_t wrong = 0;
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        uint64_t bytes = dt2_file_tensor(file, i)->bytes;
        char *x = malloc(bytes + 1), *y = malloc(bytes + 1);
        wrong += dt2_file_read(file, i, x, bytes, NULL) < 0 || dt2_model_read(model, i, y, bytes, NULL) < 0 ||
                 memcmp(x, y, bytes) != 0;
        free(x);
        free(y);
    }
    is_u64(wrong, 0, "every tensor is what the file has");
    struct dt2_native all = DT2_NATIVE_INIT, same = DT2_NATIVE_INIT;
    is_int(dt2_model_native(model, find(file, "view.all"), &all, NULL), 0, "where one name is");
    is_int(dt2_model_native(model, find(file, "view.same"), &same, NULL), 0, "where the other name is");
    ok(all.handle && all.handle == same.handle && all.offset == same.offset, "is one place");
}

static void test_load(void)
{
    struct dt2_file *file = open_data("pytorch/torch-zip.pth");
    struct dt2_error err = { 0 };
    struct dt2_blocks *blocks;
    struct dt2_context *context;
    struct dt2_model *model;
    if (dt2_blocks_make(file, &blocks, &err) < 0 || dt2_context_create(NULL, &context, &err) < 0) {
        ok(false, "a context: %s", err.text);
        return;
    }
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
    request.compute_device = "cpu";
    request.expert_mode_allocations = "cpu,*";
    options.verify = true;
    if (ok(dt2_model_load(context, file, blocks, &request, &options, &model, &err) == 0, "it loads, verified")) {
        is_u64(dt2_model_statistics(model)->bytes, dt2_file_total_bytes(file), "each byte once");
        check_loaded(file, model);
        dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
        dt2_model_unref(model);
    } else {
        diag("%s", err.text);
    }
    dt2_context_destroy(context);
    dt2_blocks_free(blocks);
    dt2_file_free(file);
}

/* A header of 640 bytes begins like a pickle of protocol 2. */
static void test_look_alike(void)
{
    char header[640];
    memset(header, ' ', sizeof header);
    memcpy(header, "{}", 2);
    struct dt2_file *file;
    if (ok(dt2_file_open(scratch_safetensors("alike", header, sizeof header, 0), &file, NULL) == 0, "it is read")) {
        is_str(dt2_file_format(file), "safetensors", "as safetensors");
        dt2_file_free(file);
    }
}

int main(void)
{
    test_look_alike();
    test_refusals();
    test_files();
    test_metadata();
    test_sharing();
    test_load();
    return done_testing();
}
