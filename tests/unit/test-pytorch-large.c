/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PyTorch files with a million of everything that can be nested or repeated: read or refused in time and memory in
 * proportion to their size.
 */
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>
#include <inttypes.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <time.h>

#define SECONDS_MOST 60 /* a million squared would be hours */

static size_t many = 1000000;

struct bytes {
    char *data;
    size_t size, capacity;
};

static void put(struct bytes *bytes, const void *data, size_t size)
{
    if (bytes->size + size > bytes->capacity) {
        bytes->capacity = 2 * (bytes->size + size);
        bytes->data = realloc(bytes->data, bytes->capacity);
        if (!bytes->data)
            exit(1);
    }
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

#define PUT(bytes, literal) put(bytes, literal, sizeof literal - 1)

static void put_text(struct bytes *bytes, const char *format, size_t number)
{
    char text[64];
    uint32_t length = (uint32_t)snprintf(text, sizeof text, format, number);
    PUT(bytes, "X");
    put(bytes, &length, 4);
    put(bytes, text, length);
}

static void put_u16(struct bytes *bytes, uint16_t value)
{
    put(bytes, &value, 2);
}

static void put_u32(struct bytes *bytes, uint32_t value)
{
    put(bytes, &value, 4);
}

static void put_u64(struct bytes *bytes, uint64_t value)
{
    put(bytes, &value, 8);
}

/* -- archives -- */

struct archive {
    struct bytes file, directory;
    size_t count;
};

/* The part of a header that the local one and the central one share. */
static void put_common(struct bytes *to, const char *name, size_t size)
{
    put_u16(to, 0); /* flags */
    put_u16(to, 0);
    put_u32(to, 0);
    put_u32(to, 0);
    put_u32(to, (uint32_t)size);
    put_u32(to, (uint32_t)size);
    put_u16(to, (uint16_t)strlen(name));
}

static void add_entry(struct archive *archive, const char *name, const void *data, size_t size)
{
    uint32_t at = (uint32_t)archive->file.size;
    struct bytes *file = &archive->file, *directory = &archive->directory;
    PUT(file, "PK\3\4\0\0");
    put_common(file, name, size);
    put_u16(file, 0);
    put(file, name, strlen(name));
    put(file, data, size);
    PUT(directory, "PK\1\2\0\0\0\0");
    put_common(directory, name, size);
    PUT(directory, "\0\0\0\0\0\0\0\0\0\0\0\0");
    put_u32(directory, at);
    put(directory, name, strlen(name));
    archive->count++;
}

static const char *finish_archive(struct archive *archive)
{
    struct bytes *file = &archive->file;
    uint64_t begin = file->size, size = archive->directory.size, end = begin + size;
    put(file, archive->directory.data, size);
    PUT(file, "PK\6\6");
    put_u64(file, 44);
    PUT(file, "\0\0\0\0\0\0\0\0\0\0\0\0");
    put_u64(file, archive->count);
    put_u64(file, archive->count);
    put_u64(file, size);
    put_u64(file, begin);
    PUT(file, "PK\6\7\0\0\0\0");
    put_u64(file, end);
    put_u32(file, 1);
    PUT(file, "PK\5\6\0\0\0\0");
    put_u32(file, 0xFFFFFFFF);
    put_u64(file, UINT64_MAX);
    put_u16(file, 0);
    const char *path = scratch_file("large", file->data, file->size, 0);
    free(file->data);
    free(archive->directory.data);
    *archive = (struct archive){ 0 };
    return path;
}

/* -- opening -- */

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Opens a file: it has `tensors` tensors, or is refused with `reason`. */
static void expect(const char *what, const char *path, size_t tensors, const char *reason)
{
    struct dt2_file *file;
    struct dt2_error err = { 0 };
    double begin = seconds();
    int rc = dt2_file_open(path, &file, &err);
    double took = seconds() - begin;
    if (reason)
        ok(rc == DT2_EFAILED && strstr(err.text, reason), "%s: refused, %s", what, reason);
    else
        ok(rc == 0 && dt2_file_tensor_count(file) == tensors, "%s: %zu tensors", what, tensors);
    if (rc < 0 && !(reason && strstr(err.text, reason)))
        diag("%s", err.text);
    ok(took < SECONDS_MOST, "%s: in %.2f s", what, took);
    if (rc == 0)
        dt2_file_free(file);
}

/* Opens an archive with this pickle, and one storage of 64 bytes. */
static void expect_pickle(const char *what, struct bytes *pickle, size_t tensors, const char *reason)
{
    struct archive archive = { 0 };
    add_entry(&archive, "m/data.pkl", pickle->data, pickle->size);
    add_entry(&archive, "m/data/0", (char[64]){ 0 }, 64);
    expect(what, finish_archive(&archive), tensors, reason);
    free(pickle->data);
    *pickle = (struct bytes){ 0 };
}

static void repeat(struct bytes *pickle, const void *part, size_t size)
{
    for (size_t i = 0; i < many; i++)
        put(pickle, part, size);
}

#define REPEAT(pickle, literal) repeat(pickle, literal, sizeof literal - 1)

/* -- what is repeated -- */

static void test_nesting(void)
{
    struct bytes pickle = { 0 };
    PUT(&pickle, "\x80\2");
    REPEAT(&pickle, "]");
    REPEAT(&pickle, "a");
    PUT(&pickle, ".");
    expect_pickle("lists in lists", &pickle, 0, many < 1 << 20 ? "nested deeper than 100" : "on the stack");
    PUT(&pickle, "\x80\2");
    REPEAT(&pickle, "(");
    expect_pickle("marks", &pickle, 0, "more than 1000 marks");
    PUT(&pickle, "\x80\2N");
    REPEAT(&pickle, "\x85");
    expect_pickle("tuples in tuples", &pickle, 0, "nested deeper than 100");
    PUT(&pickle, "\x80\2");
    REPEAT(&pickle, "}X\1\0\0\0a");
    PUT(&pickle, "N");
    REPEAT(&pickle, "s");
    PUT(&pickle, ".");
    expect_pickle("dicts in dicts", &pickle, 0, many > 1 << 19 ? "on the stack" : "nested deeper than 100");
}

static void test_repeating(void)
{
    struct bytes pickle = { 0 };
    PUT(&pickle, "\x80\4}");
    REPEAT(&pickle, "N\x94\x30");
    PUT(&pickle, ".");
    expect_pickle("memos", &pickle, 0, "it holds no tensors");
    PUT(&pickle, "\x80\4}");
    REPEAT(&pickle, "ctorch\nSize\n0");
    PUT(&pickle, ".");
    expect_pickle("globals", &pickle, 0, "it holds no tensors");
    PUT(&pickle, "\x80\4}");
    REPEAT(&pickle, "ccollections\nOrderedDict\n)R0");
    PUT(&pickle, ".");
    expect_pickle("calls", &pickle, 0, "it holds no tensors");
    PUT(&pickle, "\x80\2]q\0]q\1");
    REPEAT(&pickle, "h\0Na0h\1Na0");
    PUT(&pickle, "00}.");
    expect_pickle("runs of two lists in turn", &pickle, 0, "it holds no tensors");
}

/* Big things named many times: n times n if they were walked each time. */
static void test_sharing(void)
{
    struct bytes pickle = { 0 };
    PUT(&pickle, "\x80\2}q\0");
    REPEAT(&pickle, "NNs");
    PUT(&pickle, "0}");
    for (size_t i = 0; i < many; i++) {
        put_text(&pickle, "%zu", i);
        PUT(&pickle, "h\0s");
    }
    PUT(&pickle, ".");
    expect_pickle("one dict in a dict, many times", &pickle, 0, "it holds no tensors");
    PUT(&pickle, "\x80\2]q\0");
    REPEAT(&pickle, "NN\x86"
                    "a");
    PUT(&pickle, "0ccollections\nOrderedDict\nq\1"
                 "0}");
    for (size_t i = 0; i < many; i++) {
        put_text(&pickle, "%zu", i);
        PUT(&pickle, "h\1h\0\x85Rs");
    }
    PUT(&pickle, ".");
    expect_pickle("one list of pairs, many dicts", &pickle, 0, "made of other than one list that is used once");
}

/* Puts the things that all tensors need into memos 0 to 5: function, storage, size, stride, hooks, and one tensor. */
static void put_parts(struct bytes *pickle)
{
    PUT(pickle, "\x80\2ctorch._utils\n_rebuild_tensor_v2\nq\0(X\7\0\0\0storagectorch\nFloatStorage\n"
                "X\1\0\0\0"
                "0X\3\0\0\0cpuK\x10tq\6Qq\1K\4\x85q\2K\2\x85q\3ccollections\nOrderedDict\n)Rq\4"
                "00000"
                "h\0(h\1K\0h\2h\3\x89h\4tRq\5"
                "0}");
}

static void test_tensors(void)
{
    struct bytes pickle = { 0 };
    put_parts(&pickle);
    for (size_t i = 0; i < many; i++) {
        put_text(&pickle, "block.%zu.weight", i);
        PUT(&pickle, "h\0(h\1K\0h\2h\3\x89h\4tRs");
    }
    PUT(&pickle, ".");
    expect_pickle("tensors of the same bytes", &pickle, many, NULL);
    put_parts(&pickle);
    for (size_t i = 0; i < many; i++) {
        uint8_t offset = (uint8_t)(i % 4);
        put_text(&pickle, "block.%zu.weight", i);
        PUT(&pickle, "h\0(h\6QK");
        put(&pickle, &offset, 1);
        PUT(&pickle, "h\2h\3\x89h\4tRs");
    }
    PUT(&pickle, ".");
    expect_pickle("storages of one key", &pickle, many, NULL);
    put_parts(&pickle);
    REPEAT(&pickle, "X\6\0\0\0weighth\5s");
    PUT(&pickle, ".");
    expect_pickle("one name", &pickle, 0, "key 'weight' is there twice");
}

static void test_entries(void)
{
    struct archive archive = { 0 };
    struct bytes pickle = { 0 };
    put_parts(&pickle);
    PUT(&pickle, "X\1\0\0\0wh\5s.");
    add_entry(&archive, "m/data.pkl", pickle.data, pickle.size);
    for (size_t i = 0; i < many; i++) {
        char name[32];
        snprintf(name, sizeof name, "m/data/%zu", i);
        add_entry(&archive, name, (char[64]){ 0 }, i ? 0 : 64);
    }
    free(pickle.data);
    expect("entries of an archive", finish_archive(&archive), 1, NULL);
}

/* The legacy layout: each tensor has a storage of its own, which the list of keys names and which has a count. */
static void test_legacy(void)
{
    struct bytes file = { 0 };
    PUT(&file, "\x80\2\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\2M\xe9\3.\x80\2}.");
    PUT(&file, "\x80\2ctorch._utils\n_rebuild_tensor_v2\nq\0"
               "0ctorch\nFloatStorage\nq\1"
               "0K\1\x85q\2"
               "0ccollections\nOrderedDict\n)Rq\3"
               "0}");
    for (size_t i = 0; i < many; i++) {
        put_text(&file, "t%zu", i);
        PUT(&file, "h\0((X\7\0\0\0storageh\1");
        put_text(&file, "%zu", i);
        PUT(&file, "X\3\0\0\0cpuK\1NtQK\0h\2h\2\x89h\3tRs");
    }
    PUT(&file, ".\x80\2](");
    for (size_t i = 0; i < many; i++)
        put_text(&file, "%zu", i);
    PUT(&file, "e.");
    for (size_t i = 0; i < many; i++) {
        put_u64(&file, 1);
        PUT(&file, "abcd");
    }
    const char *path = scratch_file("large", file.data, file.size, 0);
    free(file.data);
    expect("storages of the legacy layout", path, many, NULL);
}

int main(void)
{
    if (getenv("DT2_TEST_SLOW"))
        many = 30000;
    test_nesting();
    test_repeating();
    test_sharing();
    test_tensors();
    test_entries();
    test_legacy();
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    diag("%ld MiB of memory at most, the files themselves included", usage.ru_maxrss / 1024);
    return done_testing();
}
