/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening a file and making its blocks when memory runs out: any one allocation fails, and everything is given back.
 * And how much memory small files can take.
 */
#include "formats/format.h"
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

/* Opening a file takes less than DT2_MEMORY_FACTOR bytes for each of its own, whatever it says. */
static void test_bound(const char *what, const char *bytes, size_t size)
{
    struct dt2_error err;
    const char *path = scratch_file("bound", bytes, size, 0);
    size_t before = most_bytes = held_bytes;
    int rc = open_and_make(path, &err);
    size_t took = most_bytes - before;
    ok(rc != DT2_ENOMEM && took < DT2_MEMORY_FACTOR * size, "%s: %zu bytes take %zu, %.1f each", what, size, took,
       (double)took / (double)size);
}

/* The bytes of a file of repeated parts. */
struct parts {
    char *bytes;
    size_t used;
    size_t count; /* of parts */
};

/* As many of one part as take half a megabyte, and 5000: tables have then just been doubled. */
static struct parts repeat(const void *begin, size_t begin_size, const void *part, size_t size)
{
    struct parts parts = { calloc(1, (1 << 20) + 5000 * size), begin_size, (1 << 19) / size + 5000 };
    if (!parts.bytes)
        exit(1);
    memcpy(parts.bytes, begin, begin_size);
    for (size_t i = 0; i < parts.count; i++, parts.used += size)
        memcpy(parts.bytes + parts.used, part, size);
    return parts;
}

static void test_parts(const char *what, struct parts parts)
{
    test_bound(what, parts.bytes, parts.used);
    free(parts.bytes);
}

#define TEST_PICKLE(begin, part) \
    test_parts(part, repeat("\x80\4" begin, sizeof begin + 1, part, sizeof part - 1))

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

/* A file of safetensors whose header is repeated parts and `end`. */
static void test_header(const char *begin, const char *part, const char *end)
{
    char first[256] = "........";
    size_t length = strlen(end);
    strcat(first, begin);
    struct parts parts = repeat(first, strlen(first), part, strlen(part));
    memcpy(parts.bytes + parts.used, end, length);
    parts.used += length;
    memcpy(parts.bytes, &(uint64_t){ parts.used - 8 }, 8);
    test_parts(part, parts);
}

#define EMPTY "{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,0]}"

static void test_headers(void)
{
    test_header("{", "\"\":" EMPTY ",", "\"\":" EMPTY "}");
    test_header("{\"__metadata__\":{", "\"\":\"\",", "\"\":\"\"}}");
    test_header("{\"a\":{\"dtype\":\"U8\",\"shape\":[", "1,", "1]}}");
    test_header("{", "\"\":{\"shape\":[1]},", "}");
    test_header("{\"\\u0000\":{\"shape\":[", "[", "]}");
}

static void test_indexes(void)
{
    struct parts parts = repeat("{\"weight_map\":{", 15, "\"\":\"a\",", 7);
    memcpy(parts.bytes + parts.used, "\"\":\"a\"}}", 8);
    parts.used += 8;
    test_parts("an index's names", parts);
    parts = repeat("{\"metadata\":{", 13, "\"\":1,", 5);
    test_parts("an index's metadata", parts);
}

/* Keys of GGUF, and tensors: of one byte as a name, and the least that follows it. */
static void test_gguf(void)
{
    static const char begin[24] = "GGUF\3", pair[14] = "\1\0\0\0\0\0\0\0a\0\0\0\0\1";
    static const char tensor[25] = "\1\0\0\0\0\0\0\0a", words[8] = "";
    struct parts parts = repeat(begin, sizeof begin, pair, sizeof pair);
    memcpy(parts.bytes + 16, &(uint64_t){ parts.count }, 8);
    test_parts("GGUF keys", parts);
    parts = repeat(begin, sizeof begin, tensor, sizeof tensor);
    memcpy(parts.bytes + 8, &(uint64_t){ parts.count }, 8);
    test_parts("GGUF tensors", parts);
    char array[49] = "GGUF\3";
    array[16] = 1;
    memcpy(array + 24, "\1\0\0\0\0\0\0\0a\11\0\0\0\10\0\0\0", 17);
    parts = repeat(array, sizeof array, words, sizeof words);
    memcpy(parts.bytes + 41, &(uint64_t){ parts.count }, 8);
    test_parts("GGUF strings", parts);
}

/* A directory of entries that have one name, one local header, or none of their own. */
static void test_zip(void)
{
    static const char local[31] = { 'P', 'K', 3, 4, [26] = 1, [30] = 'a' };
    static const char entry[47] = { 'P', 'K', 1, 2, [28] = 1, [46] = 'a' };
    char end[22] = "PK\5\6";
    struct parts parts = repeat(local, sizeof local, entry, sizeof entry);
    uint32_t size = (uint32_t)(parts.used - sizeof local), at = sizeof local;
    memcpy(end + 8, &(uint16_t){ (uint16_t)parts.count }, 2);
    memcpy(end + 10, &(uint16_t){ (uint16_t)parts.count }, 2);
    memcpy(end + 12, &size, 4);
    memcpy(end + 16, &at, 4);
    memcpy(parts.bytes + parts.used, end, sizeof end);
    parts.used += sizeof end;
    test_parts("entries of a zip archive", parts);
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
    test_headers();
    test_indexes();
    test_gguf();
    test_zip();
    free(header);
    free(layout.tensors);
    free(text);
    return done_testing();
}
