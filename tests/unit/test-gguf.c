/* SPDX-License-Identifier: BSD-3-Clause */
/* GGUF: files that its own package wrote, tables as large as they come, and files that were broken at random. */
#include "base/checked.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>
#include <time.h>

static struct dt2_file *open_file(const char *path)
{
    struct dt2_file *file;
    struct dt2_error err;
    if (ok(dt2_file_open(path, &file, &err) == 0, "%s is accepted", path))
        return file;
    diag("%s", err.text);
    exit(1);
}

static uint32_t crc32(const unsigned char *bytes, size_t size)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

/* A tensor as the lists of tests/data/gguf have it. */
static const char *describe(const struct dt2_file *file, size_t index)
{
    static char line[512], shape[128];
    const struct dt2_tensor *tensor = dt2_file_tensor(file, index);
    size_t used = 0;
    shape[0] = '\0';
    for (size_t i = 0; i < tensor->rank; i++)
        used += (size_t)snprintf(shape + used, sizeof shape - used, "%s%" PRIu64, i ? "," : "", tensor->shape[i]);
    unsigned char *bytes = malloc(tensor->bytes + 1);
    bool read = bytes && dt2_file_read(file, index, bytes, tensor->bytes, NULL) == 0;
    uint32_t crc = read ? crc32(bytes, tensor->bytes) : 0;
    free(bytes);
    snprintf(line, sizeof line, "%s\t%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%08" PRIx32 "\n", tensor->name, tensor->dtype,
             shape, tensor->offset, tensor->bytes, crc);
    return line;
}

/* What the package's own reader says of each file. */
static void test_written_by_package(const char *name, size_t count)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "gguf/%s.gguf", name);
    struct dt2_file *file = open_file(data_path(path));
    is_str(dt2_file_format(file), "gguf", "%s: format", name);
    snprintf(path, sizeof path, "gguf/%s.tsv", name);
    FILE *stream = fopen(data_path(path), "re");
    size_t n = 0;
    for (; stream && fgets(line, sizeof line, stream); n++)
        is_str(n < dt2_file_tensor_count(file) ? describe(file, n) : "(nothing)", line, "%s: tensor %zu", name, n);
    is_u64(n, count, "%s: the list has all", name);
    is_u64(dt2_file_tensor_count(file), count, "%s: tensors", name);
    if (stream)
        fclose(stream);
    dt2_file_free(file);
}

static void test_metadata(void)
{
    static const struct {
        const char *key, *value;
    } expected[] = {
        { "general.architecture", "distorch2-test" },
        { "general.alignment", "128" },
        { "general.description", "größer, \"quoted\"\nand a second line" },
        { "a.u8", "255" },
        { "a.i8", "-128" },
        { "a.u16", "65535" },
        { "a.i16", "-32768" },
        { "a.u32", "4294967295" },
        { "a.i32", "-2147483648" },
        { "a.u64", "18446744073709551615" },
        { "a.i64", "-9223372036854775808" },
        { "a.f32", "0.1" },
        { "a.f64", "0.3333333333333333" },
        { "a.yes", "true" },
        { "a.no", "false" },
        { "a.numbers", "[1, 2, 3]" },
        { "a.long", "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, ... 1000 in all]" },
        { "a.words",
          "[\"one\", \"zwei\", \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\"]" },
        { "a.arrays", "[[1, 2], [3]]" },
    };
    struct dt2_file *file = open_file(data_path("gguf/metadata.gguf"));
    is_u64(dt2_file_metadata_count(file), DT2_COUNT(expected), "metadata: count");
    for (size_t i = 0; i < DT2_COUNT(expected); i++) {
        const char *key, *value;
        dt2_file_metadata(file, i, &key, &value);
        is_str(key, expected[i].key, "metadata: key %zu", i);
        is_str(value, expected[i].value, "metadata: value of %s", expected[i].key);
    }
    dt2_file_free(file);
}

static void test_order(void)
{
    struct dt2_file *file = open_file(data_path("gguf/controlnet.gguf"));
    struct dt2_blocks *blocks;
    struct dt2_error err;
    if (!ok(dt2_blocks_make(file, &blocks, &err) == 0, "blocks are made"))
        exit(1);
    is_str(dt2_blocks_variant(blocks), "cldm", "a quantised ControlNet's variant");
    is_str(dt2_blocks_family(blocks), "sd1", "and family: shapes count elements, not bytes");
    is_str(dt2_blocks_array(blocks)[0].name, "time_embed.0", "in the order of execution");
    dt2_blocks_free(blocks);
    dt2_file_free(file);
}

/* -- files made here -- */

struct bytes {
    char *data;
    size_t size, capacity;
};

static void put(struct bytes *bytes, const void *data, size_t size)
{
    while (bytes->size + size > bytes->capacity) {
        bytes->capacity = bytes->capacity ? bytes->capacity * 2 : 4096;
        bytes->data = realloc(bytes->data, bytes->capacity);
        if (!bytes->data)
            exit(1);
    }
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

static void put_u32(struct bytes *bytes, uint32_t number)
{
    put(bytes, &number, sizeof number);
}

static void put_u64(struct bytes *bytes, uint64_t number)
{
    put(bytes, &number, sizeof number);
}

static void put_string(struct bytes *bytes, const char *text)
{
    put_u64(bytes, strlen(text));
    put(bytes, text, strlen(text));
}

static void put_header(struct bytes *bytes, uint32_t version, uint64_t tensors, uint64_t pairs)
{
    put(bytes, "GGUF", 4);
    put_u32(bytes, version);
    put_u64(bytes, tensors);
    put_u64(bytes, pairs);
}

/* A tensor of `count` bytes (type 24). */
static void put_tensor(struct bytes *bytes, const char *name, uint64_t count, uint64_t offset)
{
    put_string(bytes, name);
    put_u32(bytes, 1);
    put_u64(bytes, count);
    put_u32(bytes, 24);
    put_u64(bytes, offset);
}

static void pad(struct bytes *bytes, size_t alignment)
{
    while (bytes->size % alignment)
        put(bytes, "", 1);
}

static struct dt2_file *open_bytes(struct bytes *bytes, uint64_t zeros)
{
    struct dt2_file *file = open_file(scratch_file("made.gguf", bytes->data, bytes->size, zeros));
    free(bytes->data);
    *bytes = (struct bytes){ 0 };
    return file;
}

static void test_limits(void)
{
    struct bytes bytes = { 0 };
    put_header(&bytes, 2, 0, 0);
    struct dt2_file *file = open_bytes(&bytes, 0);
    is_u64(dt2_file_tensor_count(file), 0, "version 2 with nothing in it");
    dt2_file_free(file);

    char name[2049];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    put_header(&bytes, 3, 3, 1);
    put_string(&bytes, "general.alignment");
    put_u32(&bytes, 4);
    put_u32(&bytes, 1);
    put_tensor(&bytes, name, 3, 0);
    put_tensor(&bytes, "none", 0, 3);
    put_string(&bytes, "scalar");
    put_u32(&bytes, 0);
    put_u32(&bytes, 0);
    put_u64(&bytes, 3);
    size_t data_at = bytes.size;
    file = open_bytes(&bytes, 7);
    is_str(dt2_file_tensor(file, 0)->name, name, "a name of 2048 bytes");
    is_u64(dt2_file_tensor(file, 0)->offset, data_at, "an alignment of 1 pads nothing");
    is_u64(dt2_file_tensor(file, 1)->bytes, 0, "a tensor without elements");
    is_u64(dt2_file_tensor(file, 2)->rank, 0, "a scalar");
    is_u64(dt2_file_tensor(file, 2)->bytes, 4, "of one element");
    dt2_file_free(file);

    put_header(&bytes, 3, 2, 0);
    put_tensor(&bytes, "a", 33, 0);
    put_tensor(&bytes, "b", 5, 64);
    pad(&bytes, 32);
    data_at = bytes.size;
    file = open_bytes(&bytes, 69);
    is_u64(dt2_file_tensor(file, 1)->offset, data_at + 64, "the last tensor need not be padded");
    dt2_file_free(file);
}

/* The blocks of Q8_1 have 36 bytes in ggml and 40 in its Python package; what follows tells which. */
static void test_two_sizes(void)
{
    for (uint64_t block = 36; block <= 40; block += 4)
        for (int last = 0; last < 2; last++) {
            struct bytes bytes = { 0 };
            put_header(&bytes, 3, last ? 1 : 2, 0);
            put_string(&bytes, "quants");
            put_u32(&bytes, 1);
            put_u64(&bytes, 16 * 32);
            put_u32(&bytes, 9);
            put_u64(&bytes, 0);
            if (!last)
                put_tensor(&bytes, "next", 1, 16 * block);
            pad(&bytes, 32);
            struct dt2_file *file = open_bytes(&bytes, 16 * block + !last);
            is_u64(dt2_file_tensor(file, 0)->bytes, 16 * block, "Q8_1 with %" PRIu64 " bytes a block, %s", block,
                   last ? "the last" : "another behind it");
            dt2_file_free(file);
        }
}

#define MANY 1000000

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

/* A million of each: time grows with the file, not with its square. */
static void test_many(void)
{
    struct bytes bytes = { 0 };
    char name[32];
    put_header(&bytes, 3, MANY, MANY + 1);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "k%u", i);
        put_string(&bytes, name);
        put_u32(&bytes, 0);
        put(&bytes, "\1", 1);
    }
    put_string(&bytes, "strings");
    put_u32(&bytes, 9);
    put_u32(&bytes, 8);
    put_u64(&bytes, MANY);
    for (unsigned i = 0; i < MANY; i++)
        put_string(&bytes, "word");
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "t%u", i);
        put_tensor(&bytes, name, 1, (uint64_t)i * 32);
    }
    pad(&bytes, 32);
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    struct dt2_file *file = open_bytes(&bytes, (uint64_t)MANY * 32);
    double seconds = seconds_since(&start);
    is_u64(dt2_file_tensor_count(file), MANY, "a million tensors");
    is_u64(dt2_file_metadata_count(file), MANY + 1, "a million keys");
    diag("written and opened in %.2f s", seconds);
    ok(seconds < 60, "in time");
    dt2_file_free(file);
}

/* -- broken files -- */

static char *contents(const char *name, size_t *size)
{
    char path[64];
    snprintf(path, sizeof path, "gguf/%s.gguf", name);
    FILE *stream = fopen(data_path(path), "re");
    char *bytes = malloc(65536);
    *size = stream && bytes ? fread(bytes, 1, 65536, stream) : 0;
    if (stream)
        fclose(stream);
    return bytes;
}

/* Opens what was broken: it is refused in words that begin with the path, or is a model whose tensors can be read. */
static bool holds(const char *path)
{
    struct dt2_file *file;
    struct dt2_error err;
    int rc = dt2_file_open(path, &file, &err);
    if (rc < 0)
        return rc == DT2_EFAILED && strncmp(err.text, path, strlen(path)) == 0;
    bool good = true;
    for (size_t i = 0; i < dt2_file_tensor_count(file) && good; i++) {
        const struct dt2_tensor *tensor = dt2_file_tensor(file, i);
        char *bytes = malloc(tensor->bytes + 1);
        good = bytes && dt2_file_read(file, i, bytes, tensor->bytes, &err) == 0;
        free(bytes);
    }
    dt2_file_free(file);
    return good;
}

static void test_broken(const char *name, size_t data_at)
{
    size_t size, wrong = 0;
    char *bytes = contents(name, &size);
    for (size_t length = 1; length < data_at; length += length < 1024 ? 1 : 61) {
        struct dt2_file *file;
        struct dt2_error err;
        wrong += dt2_file_open(scratch_file("broken.gguf", bytes, length, 0), &file, &err) == 0;
    }
    is_u64(wrong, 0, "%s: refused wherever it is cut before its data", name);
    wrong = 0;
    for (unsigned i = 0; i < 3000; i++) {
        size_t at = 4 + random_below(data_at - 4);
        char kept = bytes[at];
        bytes[at] = (char)(random_below(2) ? random_below(256) : (unsigned char)kept ^ 1u << random_below(8));
        wrong += !holds(scratch_file("broken.gguf", bytes, size, 0));
        bytes[at] = kept;
    }
    is_u64(wrong, 0, "%s: with any one byte changed it is refused, or can be read", name);
    free(bytes);
}

int main(void)
{
    seed_random(1964);
    test_written_by_package("types", 34);
    test_written_by_package("metadata", 2);
    test_written_by_package("controlnet", 8);
    test_metadata();
    test_order();
    test_limits();
    test_two_sizes();
    test_broken("metadata", 4864);
    test_broken("controlnet", 640);
    test_broken("types", 2048);
    test_many();
    return done_testing();
}
