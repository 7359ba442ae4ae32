/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening a file and making its blocks when memory runs out: any one allocation fails, and everything is given back. */
#include "support/layout.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>
#include <sys/stat.h>

/* The linker leads the library's calls here. Negative: all succeed. */
static long until_failure = -1;
static long live;

void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);

static bool fails(void)
{
    return until_failure >= 0 && until_failure-- == 0;
}

void *__wrap_calloc(size_t count, size_t size)
{
    void *memory = fails() ? NULL : __real_calloc(count, size);
    live += memory != NULL;
    return memory;
}

void *__wrap_realloc(void *memory, size_t size)
{
    void *grown = fails() ? NULL : __real_realloc(memory, size);
    live += grown && !memory;
    return grown;
}

void __wrap_free(void *memory)
{
    live -= memory != NULL;
    __real_free(memory);
}

static int open_and_make(const char *path, struct dt2_error *err)
{
    struct dt2_file *file;
    struct dt2_blocks *blocks;
    int rc = dt2_file_open(path, &file, err);
    if (rc < 0)
        return rc;
    rc = dt2_blocks_make(file, &blocks, err);
    if (rc == 0)
        dt2_blocks_free(blocks);
    dt2_file_free(file);
    return rc;
}

static void test_file(const char *path, int verdict)
{
    long steps = 0, leaks = 0, wrong = 0;
    for (int rc = DT2_ENOMEM; rc == DT2_ENOMEM; steps++) {
        struct dt2_error err;
        long before = live;
        until_failure = steps;
        rc = open_and_make(path, &err);
        bool failed = until_failure < 0;
        until_failure = -1;
        leaks += live - before;
        wrong += rc != (failed ? DT2_ENOMEM : verdict);
    }
    is_int(leaks, 0, "nothing leaks in any of %ld failures", steps - 1);
    is_int(wrong, 0, "each says that memory ran out");
    ok(steps > 5, "there were some");
}

int main(void)
{
    char *text;
    struct layout layout = layout_read(data_path("layouts/control_v11p_sd15_canny_fp16.tsv"), &text);
    size_t size;
    char *header = layout_header(&layout, &size);
    test_file(scratch_file("model", header, size, layout.bytes), 0);
    test_file(scratch_file("short", header, size, 0), DT2_EFAILED);
    char path[PATH_MAX];
    test_file(data_path("gguf/metadata.gguf"), 0);
    test_file(data_path("hostile/gguf/name_twice.gguf"), DT2_EFAILED);
    test_file(data_path("hostile/index/tensor_elsewhere/model.safetensors.index.json"), DT2_EFAILED);
    test_file(data_path("hostile/index/tensor_missing/model.safetensors.index.json"), DT2_EFAILED);
    test_file(data_path("hostile/index/folder_several"), DT2_EFAILED);
    snprintf(path, sizeof path, "%s", scratch("folder"));
    mkdir(path, 0700);
    test_file((scratch_file("folder/diffusion_pytorch_model.safetensors", header, size, layout.bytes), path), 0);
    free(header);
    free(layout.tensors);
    free(text);
    return done_testing();
}
