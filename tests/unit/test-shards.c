/* SPDX-License-Identifier: BSD-3-Clause */
/* Models of several files: a sharded index, and folders of diffusers. What is refused is in test-hostile. */
#include "base/checked.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>
#include <sys/stat.h>

#define INDEX "diffusion_pytorch_model.safetensors.index.json"

/* A file of safetensors in the folder "model", with a tensor of `bytes` bytes of 0 for each of the words. */
static void write_shard(const char *name, const char *words, unsigned bytes)
{
    char header[1024] = "{\"__metadata__\":{\"format\":\"pt\"}", path[64], *copy = strdup(words);
    size_t used = strlen(header);
    unsigned at = 0;
    for (char *rest, *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest), at += bytes)
        used += (size_t)snprintf(header + used, sizeof header - used,
                                 ",\"%s\":{\"dtype\":\"U8\",\"shape\":[%u],\"data_offsets\":[%u,%u]}", word, bytes, at,
                                 at + bytes);
    used += (size_t)snprintf(header + used, sizeof header - used, "}");
    snprintf(path, sizeof path, "model/%s", name);
    scratch_safetensors(path, header, used, at);
    free(copy);
}

static const char *write_text(const char *name, const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "model/%s", name);
    return scratch_file(path, text, strlen(text), 0);
}

static void empty_folder(void)
{
    char command[PATH_MAX + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", scratch("model"));
    if (system(command) != 0 || mkdir(scratch("model"), 0700) < 0)
        exit(1);
}

static struct dt2_file *open_model(const char *path)
{
    struct dt2_file *file;
    struct dt2_error err;
    if (ok(dt2_file_open(path, &file, &err) == 0, "%s is accepted", path))
        return file;
    diag("%s", err.text);
    exit(1);
}

/* "name:file name:file ...", files without their folder. */
static const char *describe(const struct dt2_file *file)
{
    static char text[1024];
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        const struct dt2_tensor *tensor = dt2_file_tensor(file, i);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s:%s", i ? " " : "", tensor->name,
                                 strrchr(tensor->file, '/') + 1);
    }
    return text;
}

static const char *write_model(void)
{
    empty_folder();
    write_shard("m-2.safetensors", "c.w", 3);
    write_shard("m-1.safetensors", "b.w a.w", 5);
    return write_text(INDEX, "{\"metadata\":{\"total_size\": 13,\"who\":\"a\\u0062c\",\"list\":[1],\"yes\":true},\n"
                             "\"weight_map\":{\"c.w\":\"m-2.safetensors\",\"a.w\":\"m-1.safetensors\","
                             "\"b.w\":\"m-1.safetensors\"},\"more\":[{}]}");
}

static void test_index(void)
{
    const char *path = write_model();
    struct dt2_file *file = open_model(path);
    struct dt2_error err;
    char bytes[5];
    is_str(dt2_file_format(file), "safetensors-sharded", "format");
    is_str(dt2_file_path(file), path, "the index is the model's path");
    is_u64(dt2_file_total_bytes(file), 13, "bytes of all files");
    is_str(describe(file), "b.w:m-1.safetensors a.w:m-1.safetensors c.w:m-2.safetensors",
           "files by name, in each its own order");
    for (size_t i = 0; i < 3; i++)
        ok(dt2_file_read(file, i, bytes, dt2_file_tensor(file, i)->bytes, &err) == 0, "tensor %zu is read", i);
    static const char *const expected[] = { "total_size", "13", "who", "abc", "yes", "true" };
    is_u64(dt2_file_metadata_count(file), 3, "the index's metadata");
    for (size_t i = 0; i < dt2_file_metadata_count(file); i++) {
        const char *key, *value;
        dt2_file_metadata(file, i, &key, &value);
        is_str(key, expected[2 * i], "key %zu", i);
        is_str(value, expected[2 * i + 1], "value %zu", i);
    }
    dt2_file_free(file);
}

/* Each of a model's files is looked at. */
static void test_changes(void)
{
    static const char *const names[] = { INDEX, "m-1.safetensors", "m-2.safetensors" };
    for (size_t i = 0; i < DT2_COUNT(names); i++) {
        struct dt2_file *file = open_model(write_model());
        struct dt2_error err;
        ok(dt2_file_unchanged(file, &err) == 0, "nothing changed");
        write_text(names[i], "other");
        ok(dt2_file_unchanged(file, &err) == DT2_EFAILED && strstr(err.text, names[i]), "%s changed", names[i]);
        dt2_file_free(file);
    }
}

static void test_fingerprint(void)
{
    struct dt2_file *a = open_model(write_model());
    char before[33];
    strcpy(before, dt2_file_fingerprint(a));
    dt2_file_free(a);
    write_shard("m-2.safetensors", "c.w", 4);
    struct dt2_file *b = open_model(scratch("model/" INDEX));
    ok(strcmp(before, dt2_file_fingerprint(b)) != 0, "a change in the second file changes the fingerprint");
    dt2_file_free(b);
}

/* A tensor that the map misses belongs to the model, as in the reference. */
static void test_unmapped(void)
{
    write_model();
    write_shard("m-2.safetensors", "c.w d.w", 3);
    struct dt2_file *file = open_model(scratch("model/" INDEX));
    is_u64(dt2_file_tensor_count(file), 4, "a tensor that is in no map is there");
    dt2_file_free(file);
}

/* Hugging Face's cache is made of links to files elsewhere; they lie beside the index as links. */
static void test_links(void)
{
    write_model();
    char other[PATH_MAX];
    snprintf(other, sizeof other, "%s", scratch("elsewhere"));
    ok(rename(scratch("model/m-1.safetensors"), other) == 0 && symlink(other, scratch("model/m-1.safetensors")) == 0,
       "a file becomes a link");
    struct dt2_file *file = open_model(scratch("model"));
    is_u64(dt2_file_tensor_count(file), 3, "links are followed");
    dt2_file_free(file);
    unlink(other);
    struct dt2_error err;
    is_int(dt2_file_open(scratch("model"), &file, &err), DT2_EFAILED, "one that leads nowhere is refused");
    unlink(scratch("model/" INDEX));
    ok(symlink("/nonexistent/x", scratch("model/" INDEX)) == 0, "the index itself is such a link");
    is_int(dt2_file_open(scratch("model"), &file, &err), DT2_EFAILED, "that is refused too");
}

/* Which of its files a folder is. */
static void test_folders(void)
{
    static const struct {
        const char *files, *tensors; /* tensors are called after their file */
    } cases[] = {
        { "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.safetensors" },
        { "diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.fp16.safetensors" },
        { "diffusion_pytorch_model.fp16.safetensors diffusion_pytorch_model.safetensors config.json",
          "diffusion_pytorch_model.safetensors" },
        { "diffusion_pytorch_model.fp16.safetensors other.safetensors diffusion_pytorch_model.bin",
          "diffusion_pytorch_model.fp16.safetensors" },
        { "diffusion_pytorch_model_v2.safetensors", "diffusion_pytorch_model_v2.safetensors" },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        empty_folder();
        char *copy = strdup(cases[i].files);
        for (char *rest, *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
            write_shard(word, "t", 1);
        struct dt2_file *file = open_model(scratch("model"));
        is_str(dt2_file_format(file), "diffusers-folder", "%s: format", cases[i].files);
        is_str(dt2_file_path(file), scratch("model"), "%s: the folder is the path", cases[i].files);
        char expected[128];
        snprintf(expected, sizeof expected, "t:%s", cases[i].tensors);
        is_str(describe(file), expected, "%s: the file", cases[i].files);
        dt2_file_free(file);
        free(copy);
    }
    write_model();
    write_shard("diffusion_pytorch_model.safetensors", "other", 1);
    struct dt2_file *file = open_model(scratch("model/"));
    is_u64(dt2_file_tensor_count(file), 3, "the index goes first");
    ok(!strstr(dt2_file_tensor(file, 0)->file, "//"), "no slash is doubled");
    is_str(dt2_file_format(file), "diffusers-folder", "and is a folder all the same");
    dt2_file_free(file);
}

/* As many names as memory holds: the time is not their square. */
static void test_many(void)
{
    enum { COUNT = 100000 };
    empty_folder();
    char *header = malloc(COUNT * 96 + 64), *index = malloc(COUNT * 48 + 64);
    size_t used = 0, mapped = 0;
    if (!header || !index)
        exit(1);
    for (unsigned i = 0; i < COUNT; i++) {
        used += (size_t)sprintf(header + used, "%c\"t%u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%u,%u]}",
                                i ? ',' : '{', i, i, i + 1);
        mapped += (size_t)sprintf(index + mapped, "%s\"t%u\":\"s\"", i ? "," : "{\"weight_map\":{", i);
    }
    used += (size_t)sprintf(header + used, "}");
    sprintf(index + mapped, "}}");
    scratch_safetensors("model/s", header, used, COUNT);
    struct dt2_file *file = open_model(write_text("many.safetensors.index.json", index));
    is_u64(dt2_file_tensor_count(file), COUNT, "a hundred thousand tensors");
    dt2_file_free(file);
    free(header);
    free(index);
}

int main(void)
{
    test_index();
    test_changes();
    test_fingerprint();
    test_unmapped();
    test_links();
    test_folders();
    test_many();
    return done_testing();
}
