/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening a file and making its blocks when memory runs out: any one allocation fails, and everything is given back.
 * And how much memory small files can take.
 */
#include "support/layout.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>
#include <sys/stat.h>
#include <malloc.h>

/* The linker leads the library's calls here. Negative: all succeed. */
static long until_failure = -1;
static long live;
static size_t held_bytes, most_bytes;

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

static void *hold(void *memory)
{
    held_bytes += malloc_usable_size(memory);
    most_bytes = held_bytes > most_bytes ? held_bytes : most_bytes;
    return memory;
}

void *__wrap_calloc(size_t count, size_t size)
{
    void *memory = fails() ? NULL : __real_calloc(count, size);
    live += memory != NULL;
    return hold(memory);
}

void *__wrap_realloc(void *memory, size_t size)
{
    size_t old = malloc_usable_size(memory);
    void *grown = fails() ? NULL : __real_realloc(memory, size);
    live += grown && !memory;
    if (!grown)
        return NULL;
    most_bytes = held_bytes + size > most_bytes ? held_bytes + size : most_bytes; /* old and new at once */
    held_bytes -= old;
    return hold(grown);
}

void __wrap_free(void *memory)
{
    live -= memory != NULL;
    held_bytes -= malloc_usable_size(memory);
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

/* A pickle of the legacy layout that repeats `part` takes less than 200 bytes for each byte, whatever the part. */
static void test_pickle(const char *begin, const char *part, size_t size)
{
    static char bytes[1 << 20];
    const size_t most = size * ((1 << 19) / size + 5000); /* of one part each, tables have just been doubled then */
    size_t used = strlen(begin);
    memcpy(bytes, "\x80\4", 2);
    memcpy(bytes + 2, begin, used);
    for (used += 2; used + size < most; used += size)
        memcpy(bytes + used, part, size);
    struct dt2_error err;
    const char *path = scratch_file("pickle", bytes, used, 0);
    size_t before = most_bytes = held_bytes;
    is_int(open_and_make(path, &err), DT2_EFAILED, "a pickle of '%.16s' is refused", part);
    size_t took = most_bytes - before;
    ok(took < 200 * used, "%zu bytes take %zu, %.1f each", used, took, (double)took / (double)used);
}

#define TEST_PICKLE(begin, part) test_pickle(begin, part, sizeof part - 1)

static void test_pickles(void)
{
    TEST_PICKLE("", "]");
    TEST_PICKLE("", "}0");
    TEST_PICKLE("N", "\x94");
    TEST_PICKLE("", "N");
    TEST_PICKLE("N", "\x85");
    TEST_PICKLE("", "N\x85" "0");
    TEST_PICKLE("", "NN\x86" "0");
    TEST_PICKLE("", "K\0\x94");
    TEST_PICKLE("", "\x8c\1a");
    TEST_PICKLE("", "\x8c\0" "0");
    TEST_PICKLE("", "]Na0");
    TEST_PICKLE("]", "Na");
    TEST_PICKLE("ctorch.nn.parameter\nParameter\nq\1)q\2", "h\1h\2R0");
    TEST_PICKLE("ccollections\nOrderedDict\nq\1)q\2", "h\1h\2R0");
    TEST_PICKLE("(\x8c\7storagectorch\nFloatStorage\n\x8c\1k\x8c\3cpuK\1tq\1", "h\1Q0");
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
    test_file(data_path("pytorch/torch-zip.pth"), 0);
    test_file(data_path("pytorch/torch-legacy.pth"), 0);
    test_file(data_path("pytorch/hand-big-endian.pth"), 0);
    test_file(data_path("hostile/pytorch/value-in-dict.pth"), DT2_EFAILED);
    test_file(data_path("hostile/pytorch/legacy-key-twice.pth"), DT2_EFAILED);
    test_file(data_path("hostile/pytorch/value-twice.pth"), DT2_EFAILED);
    test_pickles();
    free(header);
    free(layout.tensors);
    free(text);
    return done_testing();
}
