/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files of every format that change while they are open: cut, emptied, grown, replaced, removed. Reading then gives
 * what is still there or an error in words, never a signal, and dt2_file_unchanged() says what happened.
 */
#include "base/checked.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>
#include <sys/stat.h>

static char *contents(const char *path, size_t *size)
{
    FILE *stream = fopen(path, "re");
    char *bytes = malloc(1 << 20);
    if (!stream || !bytes) {
        perror(path);
        exit(1);
    }
    *size = fread(bytes, 1, 1 << 20, stream);
    fclose(stream);
    return bytes;
}

static const char *copy_of(const char *from, const char *name)
{
    size_t size;
    char *bytes = contents(from, &size);
    const char *path = scratch_file(name, bytes, size, 0);
    free(bytes);
    return path;
}

/* What happens to the file at `path`. */
static bool cut(const char *path, off_t size)
{
    return truncate(path, size / 2) == 0;
}

static bool empty(const char *path, off_t size)
{
    (void)size;
    return truncate(path, 0) == 0;
}

static bool grow(const char *path, off_t size)
{
    return truncate(path, size + 1) == 0;
}

static bool replace(const char *path, off_t size)
{
    (void)size;
    return rename(copy_of(path, "another"), path) == 0;
}

static bool vanish(const char *path, off_t size)
{
    (void)size;
    return unlink(path) == 0;
}

static const struct change {
    const char *name;
    bool (*happen)(const char *path, off_t size);
    bool data_stay;
    const char *words; /* that dt2_file_unchanged() has for it */
} changes[] = {
    { "cut", cut, false, "had" },         { "emptied", empty, false, "had" },
    { "grown", grow, true, "had" },       { "replaced", replace, true, "replaced" },
    { "removed", vanish, true, "gone" },
};

/* How many tensors can no longer be read; each of those says why. */
static size_t unreadable(const struct dt2_file *file, size_t *wrong)
{
    size_t count = 0;
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
        const struct dt2_tensor *tensor = dt2_file_tensor(file, i);
        struct dt2_error err;
        char *bytes = malloc(tensor->bytes + 1);
        int rc = bytes ? dt2_file_read(file, i, bytes, tensor->bytes, &err) : DT2_ENOMEM;
        count += rc < 0;
        *wrong += rc < 0 && (rc != DT2_EFAILED || !strstr(err.text, "shorter than it was"));
        free(bytes);
    }
    return count;
}

/* `changing` is the file that changes of the model at `path`. */
static void test_change(const char *format, const char *path, const char *changing, const struct change *change)
{
    struct dt2_file *file;
    struct dt2_error err;
    struct stat st;
    size_t wrong = 0;
    if (!ok(dt2_file_open(path, &file, &err) == 0 && stat(changing, &st) == 0, "%s is opened", format)) {
        diag("%s", err.text);
        return;
    }
    is_str(dt2_file_format(file), format, "it is of that format");
    is_int(dt2_file_unchanged(file, &err), 0, "and unchanged");
    ok(change->happen(changing, st.st_size), "%s: it is %s", format, change->name);
    size_t lost = unreadable(file, &wrong);
    ok(change->data_stay ? lost == 0 : lost > 0, "%s, %s: %zu tensors cannot be read", format, change->name, lost);
    is_u64(wrong, 0, "%s, %s: and say why", format, change->name);
    int rc = dt2_file_unchanged(file, &err);
    ok(rc == DT2_EFAILED && strstr(err.text, change->words) && strstr(err.text, changing), "%s: %s", format,
       rc ? err.text : "(not seen)");
    dt2_file_free(file);
}

#define HEADER                                                            \
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[90],\"data_offsets\":[0,90]}," \
    "\"b\":{\"dtype\":\"U8\",\"shape\":[90],\"data_offsets\":[90,180]}}"

int main(void)
{
    static const struct {
        const char *format, *from;
    } models[] = {
        { "gguf", "gguf/types.gguf" },
        { "pytorch-zip", "pytorch/torch-zip.pth" },
        { "pytorch-zip", "pytorch/hand-big-endian.pth" }, /* nothing of it is read in place */
        { "pytorch-legacy", "pytorch/torch-legacy.pth" },
    };
    char path[PATH_MAX], changing[PATH_MAX];
    for (size_t i = 0; i < DT2_COUNT(changes); i++) {
        for (size_t j = 0; j < DT2_COUNT(models); j++) {
            snprintf(path, sizeof path, "%s", copy_of(data_path(models[j].from), "model"));
            test_change(models[j].format, path, path, &changes[i]);
        }
        snprintf(path, sizeof path, "%s", scratch_safetensors("model", HEADER, strlen(HEADER), 180));
        test_change("safetensors", path, path, &changes[i]);
        mkdir(scratch("folder"), 0700);
        snprintf(path, sizeof path, "%s", scratch("folder"));
        snprintf(changing, sizeof changing, "%s",
                 scratch_safetensors("folder/diffusion_pytorch_model.safetensors", HEADER, strlen(HEADER), 180));
        test_change("diffusers-folder", path, changing, &changes[i]);
        static const char index[] = "{\"weight_map\":{\"a\":\"diffusion_pytorch_model.safetensors\"}}";
        scratch_safetensors("folder/diffusion_pytorch_model.safetensors", HEADER, strlen(HEADER), 180);
        snprintf(path, sizeof path, "%s", scratch_file("folder/x.index.json", index, strlen(index), 0));
        test_change("safetensors-sharded", path, changing, &changes[i]);
        unlink(path);
    }
    return done_testing();
}
