/* SPDX-License-Identifier: BSD-3-Clause */
/* A part that is given for the whole: files of sharded and split models, and of downloads that are not finished. */
#include "base/checked.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>
#include <sys/stat.h>

static void empty_folder(void)
{
    char command[PATH_MAX + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", scratch("parts"));
    if (system(command) != 0 || mkdir(scratch("parts"), 0700) < 0)
        exit(1);
}

static const char *path_of(const char *name)
{
    return scratch("parts/%s", name);
}

/* A file of safetensors with one tensor of a byte. */
static void write_shard(const char *name, const char *tensor)
{
    char header[256], path[128];
    int n = snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", tensor);
    snprintf(path, sizeof path, "parts/%s", name);
    scratch_safetensors(path, header, (size_t)n, 1);
}

static void write_text(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "parts/%s", name);
    scratch_file(path, text, strlen(text), 0);
}

/* -- a split GGUF: a tensor F32[1] in each part ------------------------------------------------------------------- */

struct bytes {
    unsigned char data[1024];
    size_t count;
};

static void put(struct bytes *bytes, const void *data, size_t size)
{
    memcpy(bytes->data + bytes->count, data, size);
    bytes->count += size;
}

static void put_u64(struct bytes *bytes, uint64_t number)
{
    put(bytes, &number, sizeof number);
}

static void put_u32(struct bytes *bytes, uint32_t number)
{
    put(bytes, &number, sizeof number);
}

static void put_string(struct bytes *bytes, const char *text)
{
    put_u64(bytes, strlen(text));
    put(bytes, text, strlen(text));
}

static void put_u16_pair(struct bytes *bytes, const char *key, uint16_t value)
{
    put_string(bytes, key);
    put_u32(bytes, 2); /* an unsigned number of 16 bits */
    put(bytes, &value, sizeof value);
}

static void write_split(const char *name, const char *tensor, uint16_t number, uint16_t count, int32_t tensors)
{
    struct bytes bytes = { .count = 0 };
    put(&bytes, "GGUF", 4);
    put_u32(&bytes, 3);
    put_u64(&bytes, 1);
    put_u64(&bytes, 3);
    put_u16_pair(&bytes, "split.no", number);
    put_u16_pair(&bytes, "split.count", count);
    put_string(&bytes, "split.tensors.count");
    put_u32(&bytes, 5);
    put(&bytes, &tensors, sizeof tensors);
    put_string(&bytes, tensor);
    put_u32(&bytes, 1);
    put_u64(&bytes, 1);
    put_u32(&bytes, 0);
    put_u64(&bytes, 0);
    bytes.count = (bytes.count + 31) / 32 * 32;
    float value = (float)number + 1;
    put(&bytes, &value, sizeof value);
    bytes.count = (bytes.count + 31) / 32 * 32;
    char path[128];
    snprintf(path, sizeof path, "parts/%s", name);
    scratch_file(path, bytes.data, bytes.count, 0);
}

/* -- what is expected --------------------------------------------------------------------------------------------- */

static void expect_whole(const char *name, size_t tensors, const char *format, bool said)
{
    struct dt2_file *file = NULL;
    struct dt2_error err;
    int rc = dt2_file_open(path_of(name), &file, &err);
    if (!ok(rc == 0, "%s is opened", name)) {
        diag("%s", err.text);
        return;
    }
    is_u64(dt2_file_tensor_count(file), tensors, "%s: with all tensors", name);
    is_str(dt2_file_format(file), format, "%s: format", name);
    is_str(dt2_file_path(file), path_of(name), "%s: the path is the one that was given", name);
    ok(!dt2_file_note(file) == !said, "%s: which is%s said: %s", name, said ? "" : " not",
       dt2_file_note(file) ? dt2_file_note(file) : "");
    for (size_t i = 0; i < tensors; i++) {
        char value[8];
        ok(dt2_file_read(file, i, value, dt2_file_tensor(file, i)->bytes, &err) == 0, "%s: tensor %zu is read", name, i);
    }
    dt2_file_free(file);
}

static void expect_refused(const char *name, const char *words)
{
    struct dt2_file *file = NULL;
    struct dt2_error err = { 0 };
    int rc = dt2_file_open(path_of(name), &file, &err);
    if (!ok(rc == DT2_EFAILED && strstr(err.text, words), "%s is refused: %s", name, words))
        diag("%d: %s", rc, err.text);
    ok(strstr(err.text, scratch("parts")) != NULL, "%s: a path is named", name);
    dt2_file_free(file);
}

static void test_index(void)
{
    static const char index[] = "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}}";
    empty_folder();
    write_shard("one.safetensors", "a");
    write_shard("two.safetensors", "b");
    write_shard("three.safetensors", "c");
    expect_whole("one.safetensors", 1, "safetensors", false);
    write_text("m.safetensors.index.fp16.json", index);
    expect_whole("one.safetensors", 2, "safetensors-sharded", true);
    expect_whole("two.safetensors", 2, "safetensors-sharded", true);
    expect_whole("three.safetensors", 1, "safetensors", false);
    expect_whole("m.safetensors.index.fp16.json", 2, "safetensors-sharded", false);
    unlink(path_of("two.safetensors"));
    expect_refused("one.safetensors", "'two.safetensors', which the index names, is not there");
}

static void test_names(void)
{
    empty_folder();
    write_shard("m-00001-of-00002.safetensors", "a");
    expect_refused("m-00001-of-00002.safetensors", "missing beside it: m-00002-of-00002.safetensors");
    write_shard("m-00002-of-00002.safetensors", "b");
    expect_whole("m-00001-of-00002.safetensors", 2, "safetensors-sharded", true);
    expect_whole("m-00002-of-00002.safetensors", 2, "safetensors-sharded", true);
    write_shard("v-00001-of-00002.fp16.safetensors", "a");
    expect_refused("v-00001-of-00002.fp16.safetensors", "missing beside it: v-00002-of-00002.fp16.safetensors");
    write_shard("n-1-of-9.safetensors", "a");
    expect_refused("n-1-of-9.safetensors", "n-2-of-9.safetensors, n-3-of-9.safetensors, n-4-of-9.safetensors, "
                                           "n-5-of-9.safetensors and 4 more");
    /* None of these names says that there are others. */
    static const char *const alone[] = { "m-00001-of-00001.safetensors", "best-of-2.safetensors", "m-3-of-2.safetensors",
                                         "m-0-of-2.safetensors", "m-1-of-2x.safetensors", "m1-of-2.safetensors",
                                         "m-1-of-99999999999999999999.safetensors" };
    for (size_t i = 0; i < DT2_COUNT(alone); i++) {
        write_shard(alone[i], "a");
        expect_whole(alone[i], 1, "safetensors", false);
    }
    write_shard("d-1-of-2.safetensors", "a");
    write_shard("d-2-of-2.safetensors", "a");
    expect_refused("d-1-of-2.safetensors", "DuplicateName");
}

/* A link is what it leads to, whatever it is called: its own name goes first, as in caches whose links alone have names. */
static void test_links(void)
{
    static const char index[] = "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}}";
    empty_folder();
    write_shard("m-00001-of-00002.safetensors", "a");
    ok(symlink("m-00001-of-00002.safetensors", path_of("mine.safetensors")) == 0 &&
           symlink(path_of("mine.safetensors"), path_of("twice.safetensors")) == 0, "links");
    expect_refused("mine.safetensors", "missing beside it: m-00002-of-00002.safetensors");
    expect_refused("twice.safetensors", "missing beside it: m-00002-of-00002.safetensors");
    write_shard("m-00002-of-00002.safetensors", "b");
    expect_whole("mine.safetensors", 2, "safetensors-sharded", true);
    expect_whole("twice.safetensors", 2, "safetensors-sharded", true);
    ok(symlink("m-00002-of-00002.safetensors", path_of("part-00001-of-00003.safetensors")) == 0, "a link with another number");
    expect_whole("part-00001-of-00003.safetensors", 2, "safetensors-sharded", true);
    write_shard("blob", "a");
    ok(symlink("blob", path_of("s-00001-of-00002.safetensors")) == 0, "a cache");
    expect_refused("s-00001-of-00002.safetensors", "missing beside it: s-00002-of-00002.safetensors");
    expect_whole("blob", 1, "safetensors", false);
    write_shard("one.safetensors", "a");
    write_shard("two.safetensors", "b");
    write_text("x.safetensors.index.json", index);
    ok(symlink("one.safetensors", path_of("indexed.safetensors")) == 0, "a link to one that an index names");
    expect_whole("indexed.safetensors", 2, "safetensors-sharded", true);
}

static void test_gguf(void)
{
    empty_folder();
    write_split("g-00001-of-00002.gguf", "a", 0, 2, 2);
    expect_refused("g-00001-of-00002.gguf", "missing beside it: g-00002-of-00002.gguf");
    write_split("g-00002-of-00002.gguf", "b", 1, 2, 2);
    expect_whole("g-00001-of-00002.gguf", 2, "gguf-split", true);
    expect_whole("g-00002-of-00002.gguf", 2, "gguf-split", true);
    write_split("renamed.gguf", "a", 0, 2, 2);
    expect_refused("renamed.gguf", "part 1 of 2 of a model; its name does not");
    write_split("g-00002-of-00002.gguf", "b", 0, 2, 2);
    expect_refused("g-00001-of-00002.gguf", "part 1 of 2 of a model; its name says 2 of 2");
    write_split("g-00002-of-00002.gguf", "b", 1, 3, 2);
    expect_refused("g-00001-of-00002.gguf", "part 2 of 3 of a model; its name says 2 of 2");
    write_split("g-00001-of-00002.gguf", "a", 0, 2, 5);
    write_split("g-00002-of-00002.gguf", "b", 1, 2, 5);
    expect_refused("g-00001-of-00002.gguf", "says that the model has 5 tensors");
    write_split("one.gguf", "a", 0, 1, 1);
    expect_whole("one.gguf", 1, "gguf", false);
    write_shard("g-00002-of-00002.gguf", "b");
    expect_refused("g-00001-of-00002.gguf", "of the same model, is gguf");
}

static void test_downloads(void)
{
    static const char *const names[] = { "m.safetensors.part", "m.safetensors.incomplete", "m.safetensors.crdownload",
                                         "m.pth.partial", "m.download", "m.safetensors.aria2" };
    empty_folder();
    for (size_t i = 0; i < DT2_COUNT(names); i++) {
        write_shard(names[i], "a");
        expect_refused(names[i], "a download which is not finished");
    }
    empty_folder();
    write_shard("m.safetensors", "a");
    expect_whole("m.safetensors", 1, "safetensors", false);
    write_text("m.safetensors.aria2", "x");
    expect_refused("m.safetensors", "m.safetensors.aria2 lies beside it");
    write_shard("part.safetensors", "a");
    expect_whole("part.safetensors", 1, "safetensors", false);
}

static void test_folders(void)
{
    static const char index[] = "{\"weight_map\":{\"a\":\"diffusion_pytorch_model.fp16-00001-of-00002.safetensors\","
                                "\"b\":\"diffusion_pytorch_model.fp16-00002-of-00002.safetensors\"}}";
    empty_folder();
    write_shard("diffusion_pytorch_model.fp16-00001-of-00002.safetensors", "a");
    write_shard("diffusion_pytorch_model.fp16-00002-of-00002.safetensors", "b");
    expect_whole("", 2, "diffusers-folder", false); /* the files' own names are enough */
    write_text("diffusion_pytorch_model.safetensors.index.fp16.json", index);
    expect_whole("", 2, "diffusers-folder", false);
    write_text("diffusion_pytorch_model.safetensors.index.bf16.json", index);
    expect_refused("", "2 indices, and no diffusion_pytorch_model.safetensors.index.json among them: "
                       "diffusion_pytorch_model.safetensors.index.bf16.json");
    unlink(path_of("diffusion_pytorch_model.fp16-00002-of-00002.safetensors"));
    expect_refused("diffusion_pytorch_model.safetensors.index.fp16.json", "is not there");
}

int main(void)
{
    test_index();
    test_names();
    test_links();
    test_gguf();
    test_downloads();
    test_folders();
    return done_testing();
}
